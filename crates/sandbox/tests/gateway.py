"""What boto3 sees through the gateway. argv[1] names the scenario; a failed assertion is a failed test."""

import json
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

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

    def __init__(self, image, targets=None, grace=0, net=None, **more):
        self.ecs = client("ecs")
        self.ecs.create_cluster(clusterName="c")
        _, _, self.subnets, self.group = net or (targets["network"] if targets else network())
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
    ends = [(t["stopCode"], t["stoppedReason"]) for t in web.tasks("STOPPED")]
    assert live["deployments"][0]["rolloutState"] == "COMPLETED", (live, ends)
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
    # The crashed tasks of the deleted service must not count against a new one of its name.
    live = Web("example.com/coder:v3", net=(None, None, web.subnets, web.group)).done()
    assert live["deployments"][0]["rolloutState"] == "COMPLETED", live


def balancer(net):
    _, vpc, subnets, group = net
    elb = client("elbv2")
    arn = elb.create_target_group(
        Name="web", Protocol="HTTP", Port=3000, VpcId=vpc, TargetType="ip", HealthCheckPath="/healthz"
    )["TargetGroups"][0]["TargetGroupArn"]
    lb = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    return elb, arn, lb["LoadBalancerArn"], lb["State"]["Code"]


def targets():
    client("logs").create_log_group(logGroupName="/web")
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
    first = live["deployments"][0]
    ends = [(t["stopCode"], t["stoppedReason"]) for t in web.tasks("STOPPED")]
    assert first["rolloutState"] == "COMPLETED", (first, live["events"], ends)
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


def tokens():
    ec2, vpc, subnets, group = network()
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    make = lambda **more: ec2.create_nat_gateway(
        **{"SubnetId": subnets[0], "AllocationId": address, "ClientToken": "t1", **more}
    )["NatGateway"]
    first = make()
    assert first["State"] == "pending", first
    assert make()["NatGatewayId"] == first["NatGatewayId"]
    assert refused(make, SubnetId=subnets[1]) == "IdempotentParameterMismatch"
    ids = [first["NatGatewayId"]]
    assert len(ec2.describe_nat_gateways()["NatGateways"]) == 1
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=ids, WaiterConfig={"Delay": 1})
    assert refused(ec2.release_address, AllocationId=address) == "InvalidIPAddress.InUse"
    assert refused(ec2.delete_subnet, SubnetId=subnets[0]) == "DependencyViolation"
    assert refused(ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True) == "DryRunOperation"
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert refused(ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=vpc) == "DependencyViolation"
    assert refused(ec2.delete_internet_gateway, InternetGatewayId=gateway) == "DependencyViolation"
    assert refused(ec2.delete_vpc, VpcId=vpc) == "DependencyViolation"
    other = ec2.create_security_group(GroupName="other", Description="other", VpcId=vpc)["GroupId"]
    pair = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": group}]}]
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=pair)
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    run = lambda **more: ec2.run_instances(
        ImageId=ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
        MinCount=1,
        MaxCount=1,
        SubnetId=subnets[1],
        ClientToken="i1",
        **more,
    )["Instances"][0]["InstanceId"]
    machine = run()
    assert run() == machine
    ec2.terminate_instances(InstanceIds=[machine])
    # Everything goes in the right order.
    ec2.delete_security_group(GroupId=other)
    ec2.delete_security_group(GroupId=group)
    ec2.delete_nat_gateway(NatGatewayId=ids[0])
    until(20, "address free", lambda: refused(ec2.release_address, AllocationId=address) in (None, "InvalidAllocationID.NotFound"))
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    for subnet in subnets:
        until(20, "subnet free", lambda: refused(ec2.delete_subnet, SubnetId=subnet) in (None, "InvalidSubnetID.NotFound"))
    note("delete vpc", refused(ec2.delete_vpc, VpcId=vpc))
    assert vpc not in [found["VpcId"] for found in ec2.describe_vpcs()["Vpcs"]]


def at_once():
    """Rules of one security group that come and go at the same time: none is lost, none stays."""
    ec2, _, _, group = network()
    open_ = lambda port: {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ports = lambda: sorted(
        rule["FromPort"]
        for rule in ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
        if not rule["IsEgress"]
    )
    allow = lambda port: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[open_(port)])
    revoke = lambda port: ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[open_(port)])
    with ThreadPoolExecutor(8) as pool:
        here = range(1, 9)
        list(pool.map(allow, here))
        for _ in range(10):
            coming = range(here.stop, here.stop + 8)
            changes = [pool.submit(revoke, port) for port in here] + [pool.submit(allow, port) for port in coming]
            [change.result() for change in changes]
            assert ports() == list(coming), (here, ports())
            here = coming


def balancers():
    net = network()
    ec2, vpc, subnets, group = net
    elb, target_group, lb, _ = balancer(net)
    arguments = {"Name": "web", "Subnets": subnets, "SecurityGroups": [group]}
    again = elb.create_load_balancer(**arguments)["LoadBalancers"][0]["LoadBalancerArn"]
    assert again == lb
    arguments["Scheme"] = "internal"
    assert refused(elb.create_load_balancer, **arguments) == "DuplicateLoadBalancerName"
    one = refused(elb.create_load_balancer, Name="one", Subnets=subnets[:1])
    assert one == "ValidationError", one
    listen = {
        "LoadBalancerArn": lb,
        "Protocol": "HTTP",
        "Port": 80,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": target_group}],
    }
    health = lambda: elb.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
    elb.register_targets(TargetGroupArn=target_group, Targets=[{"Id": "10.9.0.77", "Port": 3000}])
    assert [one["TargetHealth"]["State"] for one in health()] == ["unused"], health()
    listener = elb.create_listener(**listen)["Listeners"][0]["ListenerArn"]
    assert refused(elb.create_listener, **listen) == "DuplicateListener"
    states = lambda: [one["TargetHealth"]["State"] for one in health()]
    note("nobody answers", states())
    assert states()[0] in ("initial", "unhealthy")
    elb.deregister_targets(TargetGroupArn=target_group, Targets=[{"Id": "10.9.0.77", "Port": 3000}])
    assert health() == []
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    assert refused(ec2.delete_subnet, SubnetId=subnets[0]) == "DependencyViolation"
    on = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=lb, Attributes=on)
    assert refused(elb.delete_load_balancer, LoadBalancerArn=lb) == "OperationNotPermitted"
    on[0]["Value"] = "false"
    elb.modify_load_balancer_attributes(LoadBalancerArn=lb, Attributes=on)
    assert refused(elb.delete_target_group, TargetGroupArn=target_group) == "ResourceInUse"
    elb.delete_listener(ListenerArn=listener)
    elb.delete_load_balancer(LoadBalancerArn=lb)
    elb.delete_target_group(TargetGroupArn=target_group)
    ec2.delete_security_group(GroupId=group)
    for subnet in subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


def databases():
    ec2, vpc, subnets, group = network()
    rds = client("rds")
    make = {"DBSubnetGroupName": "g", "DBSubnetGroupDescription": "d"}
    rds.create_db_subnet_group(SubnetIds=subnets, Tags=[{"Key": "a", "Value": "b"}], **make)
    assert refused(rds.create_db_subnet_group, SubnetIds=subnets, **make) == "DBSubnetGroupAlreadyExists"
    third = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.7.0/24")["Subnet"]["SubnetId"]
    changed = rds.modify_db_subnet_group(DBSubnetGroupName="g", SubnetIds=[*subnets, third])["DBSubnetGroup"]
    assert len(changed["Subnets"]) == 3, changed
    kept = rds.describe_db_subnet_groups(DBSubnetGroupName="g")["DBSubnetGroups"][0]
    assert kept["DBSubnetGroupDescription"] == "d" and len(kept["Subnets"]) == 3, kept
    tags = rds.list_tags_for_resource(ResourceName=kept["DBSubnetGroupArn"])["TagList"]
    assert tags == [{"Key": "a", "Value": "b"}], tags
    arguments = {
        "DBInstanceIdentifier": "db",
        "DBInstanceClass": "db.t4g.micro",
        "Engine": "postgres",
        "EngineVersion": "16.4",
        "MasterUsername": "coder",
        "MasterUserPassword": "first-pass'word",
        "DBName": "coder",
        "AllocatedStorage": 20,
        "DBSubnetGroupName": "g",
        "VpcSecurityGroupIds": [group],
        "DeletionProtection": True,
    }
    bogus = refused(rds.create_db_instance, **{**arguments, "DBInstanceClass": "db.bogus"})
    assert bogus == "InvalidParameterValue", bogus
    bogus = refused(rds.create_db_instance, **{**arguments, "EngineVersion": "99"})
    assert bogus == "InvalidParameterCombination", bogus
    created = rds.create_db_instance(**arguments)["DBInstance"]
    assert created["DBInstanceStatus"] == "creating" and "Endpoint" not in created, created
    live = lambda: rds.describe_db_instances(DBInstanceIdentifier="db")["DBInstances"][0]
    assert live()["DBInstanceStatus"] == "creating", live()
    until(60, "database", lambda: live()["DBInstanceStatus"] == "available")
    note("available", live()["Endpoint"])
    changed = rds.modify_db_instance(
        DBInstanceIdentifier="db", MasterUserPassword="second", ApplyImmediately=True, DeletionProtection=True
    )["DBInstance"]
    assert changed["DBInstanceStatus"] == "modifying", changed
    until(60, "change", lambda: live()["DBInstanceStatus"] == "available")
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    assert refused(rds.delete_db_subnet_group, DBSubnetGroupName="g") == "InvalidDBSubnetGroupStateFault"
    delete = lambda **more: refused(rds.delete_db_instance, DBInstanceIdentifier="db", **more)
    assert delete(SkipFinalSnapshot=True) == "InvalidParameterCombination"
    return live()["Endpoint"]


def end_of_databases():
    rds = client("rds")
    rds.modify_db_instance(DBInstanceIdentifier="db", DeletionProtection=False, ApplyImmediately=True)
    delete = lambda **more: refused(rds.delete_db_instance, DBInstanceIdentifier="db", **more)
    assert delete() == "InvalidParameterCombination"
    both = {"SkipFinalSnapshot": True, "FinalDBSnapshotIdentifier": "last"}
    assert delete(**both) == "InvalidParameterCombination"
    assert delete(FinalDBSnapshotIdentifier="last") is None
    assert rds.describe_db_snapshots(DBSnapshotIdentifier="last")["DBSnapshots"]
    gone = refused(rds.describe_db_instances, DBInstanceIdentifier="db")
    assert gone == "DBInstanceNotFound", gone
    rds.delete_db_subnet_group(DBSubnetGroupName="g")
    versions = rds.describe_db_engine_versions(Engine="postgres")["DBEngineVersions"]
    assert versions
    note("versions", [version["EngineVersion"] for version in versions][:8])


def policies():
    iam = client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    broken = refused(iam.create_role, RoleName="r", AssumeRolePolicyDocument="{}")
    assert broken == "MalformedPolicyDocument", broken
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))
    policy = iam.create_policy(PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=policy)
    assert refused(iam.delete_policy, PolicyArn=policy) == "DeleteConflict"
    iam.detach_role_policy(RoleName="r", PolicyArn=policy)
    iam.delete_policy(PolicyArn=policy)
    ecs = client("ecs")
    define = lambda **more: refused(
        ecs.register_task_definition,
        family="x",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        containerDefinitions=[{"name": "a", "image": "b", "portMappings": [{"containerPort": 1}]}],
        **more,
    )
    assert define(cpu="256", memory="4096") == "ClientException"
    assert define(cpu="256", memory="512") is None
    ports = ecs.describe_task_definition(taskDefinition="x")["taskDefinition"]["containerDefinitions"][0]
    assert ports["portMappings"][0]["hostPort"] == 1, ports


def codes():
    """Error codes of one call each, under a fault that the caller has set."""
    ask = {
        "ec2": lambda: client("ec2").describe_vpcs(),
        "iam": lambda: client("iam").list_roles(),
        "elbv2": lambda: client("elbv2").describe_load_balancers(),
        "rds": lambda: client("rds").describe_db_instances(),
        "acm": lambda: client("acm").list_certificates(),
        "ecs": lambda: client("ecs").list_clusters(),
        "ecr": lambda: client("ecr").describe_repositories(),
        "eks": lambda: client("eks").list_clusters(),
        "s3": lambda: client("s3").list_buckets(),
        "route53": lambda: client("route53").list_hosted_zones(),
        "cloudfront": lambda: client("cloudfront").list_distributions(),
        "cloudwatch": lambda: client("cloudwatch").describe_alarms(),
        "logs": lambda: client("logs").describe_log_groups(),
        "secretsmanager": lambda: client("secretsmanager").list_secrets(),
        "sns": lambda: client("sns").list_topics(),
        "sqs": lambda: client("sqs").list_queues(),
        "wafv2": lambda: client("wafv2").list_web_acls(Scope="REGIONAL"),
    }
    answers = {}
    for name, call in ask.items():
        try:
            call()
            answers[name] = "ok"
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            answers[name] = f"{error.response['Error']['Code']} {status}"
        except botocore.exceptions.HTTPClientError as error:
            answers[name] = type(error).__name__
    note(answers)
    return answers


if __name__ == "__main__":
    try:
        answer = globals()[sys.argv[1]]()
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    json.dump(answer, sys.stdout)
