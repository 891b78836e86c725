"""What boto3 sees through the gateway. argv[1] names the scenario; a failed assertion is a failed test."""

import json
import sys
import time
import traceback

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"})


def client(name):
    return boto3.client(name, config=CONFIG)


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def until(seconds, what, look):
    end = time.time() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.time() < end, f"not within {seconds} s: {what}"
        time.sleep(0.25)


def note(*words):
    print(f"{time.time() - START:6.1f}", *words, file=sys.stderr)


START = time.time()


def network():
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{i}.0/24", AvailabilityZone=zones[i])["Subnet"]["SubnetId"]
        for i in range(2)
    ]
    group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    return ec2, vpc, subnets, group


class Web:
    """A service with one task, without a load balancer unless `targets` is given."""

    def __init__(self, image, targets=None, grace=0, **more):
        self.ecs = client("ecs")
        self.ecs.create_cluster(clusterName="c")
        _, _, self.subnets, self.group = network() if targets is None else targets["network"]
        self.network = {
            "awsvpcConfiguration": {
                "subnets": self.subnets,
                "securityGroups": [self.group],
                "assignPublicIp": "ENABLED",
            }
        }
        if targets:
            more["loadBalancers"] = [
                {"targetGroupArn": targets["group"], "containerName": "web", "containerPort": 3000}
            ]
            more["healthCheckGracePeriodSeconds"] = grace
        self.arn = self.ecs.create_service(
            cluster="c",
            serviceName="web",
            taskDefinition=self.define(image),
            desiredCount=1,
            launchType="FARGATE",
            networkConfiguration=self.network,
            deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
            **more,
        )["service"]["serviceArn"]

    def define(self, image):
        return self.ecs.register_task_definition(
            family="web",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            executionRoleArn="arn:aws:iam::123456789012:role/x",
            containerDefinitions=[
                {
                    "name": "web",
                    "image": image,
                    "portMappings": [{"containerPort": 3000}],
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {
                            "awslogs-group": "/web",
                            "awslogs-region": "us-east-1",
                            "awslogs-stream-prefix": "web",
                        },
                    },
                }
            ],
        )["taskDefinition"]["taskDefinitionArn"]

    def live(self):
        return self.ecs.describe_services(cluster="c", services=["web"])["services"][0]

    def deploy(self, image):
        definition = self.define(image)
        self.ecs.update_service(cluster="c", service="web", taskDefinition=definition)
        return definition

    def attempt(self):
        arn = self.ecs.list_service_deployments(cluster="c", service="web")["serviceDeployments"][0][
            "serviceDeploymentArn"
        ]
        return self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]

    def done(self, seconds=60):
        def look():
            live = self.live()
            first = live["deployments"][0]
            return len(live["deployments"]) == 1 and first["rolloutState"] != "IN_PROGRESS" and live

        return until(seconds, "deployment", look)

    def tasks(self, status="RUNNING"):
        arns = self.ecs.list_tasks(cluster="c", serviceName="web", desiredStatus=status)["taskArns"]
        return self.ecs.describe_tasks(cluster="c", tasks=arns)["tasks"] if arns else []


def rollback():
    client("logs").create_log_group(logGroupName="/web")
    web = Web("example.com/coder:v1")
    live = web.done()
    note("first deployment", live["deployments"][0]["rolloutState"], live["events"][0]["message"])
    assert live["deployments"][0]["rolloutState"] == "COMPLETED", live
    assert live["runningCount"] == 1
    (first,) = web.tasks()
    assert first["attachments"][0]["type"] == "ElasticNetworkInterface", first
    assert web.attempt()["status"] == "SUCCESSFUL", web.attempt()

    bad = web.deploy("example.com/coder:crash")
    until(30, "second deployment", lambda: len(web.live()["deployments"]) == 2)
    seen = set()

    def look():
        attempt = web.attempt()
        seen.add(attempt["status"])
        assert first["taskArn"] in [task["taskArn"] for task in web.tasks()], "the old task must serve on"
        return attempt["status"] == "ROLLBACK_SUCCESSFUL" and attempt

    attempt = until(60, "rollback", look)
    note("rollback", seen, attempt["deploymentCircuitBreaker"], attempt["rollback"]["reason"])
    assert attempt["deploymentCircuitBreaker"] == {"status": "TRIGGERED", "failureCount": 3, "threshold": 3}, attempt
    live = web.done()
    assert live["taskDefinition"] != bad and live["runningCount"] == 1, live
    stopped = [task for task in web.tasks("STOPPED") if task["taskDefinitionArn"] == bad]
    assert len(stopped) >= 3, stopped
    for task in stopped[:3]:
        note(task["stopCode"], task["stoppedReason"], task["containers"][0].get("exitCode"))
        assert task["stopCode"] == "EssentialContainerExited", task
        assert task["containers"][0]["exitCode"] == 1, task
    logs = client("logs")
    stream = f"web/web/{stopped[0]['taskArn'].split('/')[-1]}"
    events = logs.get_log_events(logGroupName="/web", logStreamName=stream)["events"]
    note("log", [event["message"] for event in events][-3:])
    assert events, "no log lines"

    web.deploy("example.com/coder:missing")
    attempt = until(60, "rollback", lambda: web.attempt()["status"] == "ROLLBACK_SUCCESSFUL" and web.attempt())
    reasons = {task["stoppedReason"] for task in web.tasks("STOPPED") if task["stopCode"] == "TaskFailedToStart"}
    note("missing", reasons)
    assert reasons and all(reason.startswith("CannotPullContainerError") for reason in reasons), reasons

    good = web.deploy("example.com/coder:v2")
    live = web.done()
    assert live["taskDefinition"] == good and live["deployments"][0]["rolloutState"] == "COMPLETED", live
    until(20, "old task gone", lambda: [t["taskDefinitionArn"] for t in web.tasks()] == [good])
    assert web.attempt()["status"] == "SUCCESSFUL"
    note("events", [event["message"] for event in live["events"]][:4])

    web.ecs.update_service(cluster="c", service="web", forceNewDeployment=True)
    live = web.done()
    assert live["taskDefinition"] == good and live["runningCount"] == 1, live
    web.ecs.delete_service(cluster="c", service="web", force=True)
    until(30, "inactive", lambda: web.live()["status"] == "INACTIVE")


def balancer(net):
    _, vpc, subnets, group = net
    elb = client("elbv2")
    arn = elb.create_target_group(
        Name="web", Protocol="HTTP", Port=3000, VpcId=vpc, TargetType="ip", HealthCheckPath="/healthz"
    )["TargetGroups"][0]["TargetGroupArn"]
    lb = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    return elb, arn, lb["LoadBalancerArn"], lb["State"]["Code"]


def targets():
    net = network()
    elb, group, lb, state = balancer(net)
    assert state == "provisioning", state
    ecs = client("ecs")
    try:
        Web("example.com/coder:v1", targets={"network": net, "group": group})
        raise AssertionError("a target group without a load balancer must be refused")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidParameterException", error
    elb.create_listener(
        LoadBalancerArn=lb, Protocol="HTTP", Port=80, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}]
    )
    elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[lb], WaiterConfig={"Delay": 1})
    web = Web("example.com/coder:v1", targets={"network": net, "group": group})
    health = lambda: [
        target["TargetHealth"]["State"]
        for target in elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    ]
    live = web.done()
    note("healthy", health(), live["loadBalancers"])
    assert live["loadBalancers"][0]["targetGroupArn"] == group, live["loadBalancers"]
    assert health() == ["healthy"], health()
    (first,) = web.tasks()
    web.deploy("example.com/coder:unhealthy")
    attempt = until(120, "rollback", lambda: web.attempt()["status"] == "ROLLBACK_SUCCESSFUL" and web.attempt())
    note("unhealthy", attempt["deploymentCircuitBreaker"])
    reasons = {task["stoppedReason"] for task in web.tasks("STOPPED")}
    assert reasons == {"Task failed ELB health checks"} or any("ELB health checks" in r for r in reasons), reasons
    assert first["taskArn"] in [task["taskArn"] for task in web.tasks()]
    assert "healthy" in health(), health()
    details = {item["name"]: item["value"] for item in first["attachments"][0]["details"]}
    found = client("ec2").describe_network_interfaces(NetworkInterfaceIds=[details["networkInterfaceId"]])
    found = found["NetworkInterfaces"][0]
    note("interface", found["Association"], found["SubnetId"])
    assert found["Association"]["PublicIp"] and found["PrivateIpAddress"] == details["privateIPv4Address"], found
    assert found["Groups"][0]["GroupId"] == net[3], found


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]]()
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    json.dump("done", sys.stdout)
