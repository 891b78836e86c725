"""A deployment as people make it by hand, with names of its own; prints what it made."""

import json

import boto3

TAGS = [{"Key": "app", "Value": "prod"}]
SMALL = [{"key": "app", "value": "prod"}]
ec2, ecs, elb, rds = (boto3.client(client) for client in ("ec2", "ecs", "elbv2", "rds"))


def tagged(kind, name):
    return [{"ResourceType": kind, "Tags": TAGS + [{"Key": "Name", "Value": name}]}]


vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc", "prod-vpc"))["Vpc"]["VpcId"]
zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"][:2]]
subnets = {}
for kind, start in (("public", 0), ("private", 100)):
    for letter, zone, third in zip("ab", zones, (start + 1, start + 2)):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{third}.0/24", AvailabilityZone=zone,
                                   TagSpecifications=tagged("subnet", f"prod-{kind}-{letter}"))["Subnet"]["SubnetId"]
        if kind == "public":
            ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
        subnets[f"{kind}-{letter}"] = subnet
gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", "prod-gw"))["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tagged("route-table", "prod-rt"))["RouteTable"]["RouteTableId"]
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
for name in ("public-a", "public-b"):
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnets[name])
groups = {}
for name in ("balancer", "database"):
    groups[name] = ec2.create_security_group(GroupName=f"prod-{name}-sg", Description=f"{name} of production", VpcId=vpc,
                                             TagSpecifications=tagged("security-group", f"prod-{name}"))["GroupId"]
ec2.authorize_security_group_ingress(GroupId=groups["balancer"], IpPermissions=[
    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
rds.create_db_subnet_group(DBSubnetGroupName="prod-subnets", DBSubnetGroupDescription="production", Tags=TAGS,
                           SubnetIds=[subnets["private-a"], subnets["private-b"]])
rds.create_db_instance(DBInstanceIdentifier="prod-db", Engine="postgres", EngineVersion="16", AllocatedStorage=20,
                       DBInstanceClass="db.t4g.medium", MasterUsername="admin_user", MasterUserPassword="by-hand-1",
                       DBName="prod", DBSubnetGroupName="prod-subnets", VpcSecurityGroupIds=[groups["database"]], Tags=TAGS)
rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier="prod-db", WaiterConfig={"Delay": 1, "MaxAttempts": 120})
elb.create_load_balancer(Name="prod-lb", Subnets=[subnets["public-a"], subnets["public-b"]], Tags=TAGS,
                         SecurityGroups=[groups["balancer"]])
boto3.client("logs").create_log_group(logGroupName="/ecs/prod", tags={"app": "prod"})
trust = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
role = boto3.client("iam").create_role(RoleName="prodTaskExecutionRole", AssumeRolePolicyDocument=json.dumps(trust),
                                       Tags=TAGS)["Role"]["Arn"]
ecs.create_cluster(clusterName="prod-cluster", tags=SMALL)
task = ecs.register_task_definition(
    family="prod", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="1024", memory="2048",
    executionRoleArn=role, tags=SMALL,
    containerDefinitions=[{"name": "coder", "image": "coder:v2.20.0", "essential": True,
                           "portMappings": [{"containerPort": 3000, "protocol": "tcp"}]}])
ecs.create_service(cluster="prod-cluster", serviceName="prod-service", desiredCount=0, launchType="FARGATE", tags=SMALL,
                   taskDefinition=task["taskDefinition"]["taskDefinitionArn"],
                   networkConfiguration={"awsvpcConfiguration": {
                       "subnets": [subnets["public-a"]], "securityGroups": [groups["balancer"]],
                       "assignPublicIp": "ENABLED"}})
print(json.dumps({
    "vpc": vpc, "gateway": gateway, "table": table, **subnets, "balancer-group": groups["balancer"],
    "database-group": groups["database"], "subnet-group": "prod-subnets", "database": "prod-db", "balancer": "prod-lb",
    "logs": "/ecs/prod", "role": role, "cluster": "prod-cluster", "task": "prod:1", "service": "prod-cluster/prod-service",
}))
