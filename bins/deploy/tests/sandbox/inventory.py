"""What is in an account, counted by boto3: nothing of Causeway's own is asked."""

import json

import boto3


def names(client, operation, key, field, keep=lambda thing: True, **arguments):
    pages = boto3.client(client).get_paginator(operation).paginate(**arguments)
    return sorted(str(thing[field] if field else thing) for page in pages for thing in page[key] if keep(thing))


ecs = boto3.client("ecs")
clusters = names("ecs", "list_clusters", "clusterArns", None)
listeners = []
for balancer in boto3.client("elbv2").describe_load_balancers()["LoadBalancers"]:
    found = boto3.client("elbv2").describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    listeners += [f"{balancer['LoadBalancerName']}:{listener['Port']}" for listener in found]
kms = boto3.client("kms")
keys = [key["KeyId"] for key in kms.list_keys()["Keys"]]
own_keys = [kms.describe_key(KeyId=key)["KeyMetadata"] for key in keys]
zones = boto3.client("route53").list_hosted_zones()["HostedZones"]
records = [
    f"{record['Name']} {record['Type']}"
    for zone in zones
    for record in boto3.client("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    if record["Type"] not in ("NS", "SOA")
]
own_vpcs = [vpc["VpcId"] for vpc in boto3.client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
inside = [{"Name": "vpc-id", "Values": own_vpcs or ["vpc-none"]}]
rules = boto3.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
groups = boto3.client("ec2").describe_security_groups(Filters=inside)["SecurityGroups"]
own_groups = {group["GroupId"] for group in groups if group["GroupName"] != "default"}

print(json.dumps({
    "vpcs": len(own_vpcs),
    "subnets": sorted(s["CidrBlock"] for s in boto3.client("ec2").describe_subnets(Filters=inside)["Subnets"]),
    "gateways": len(names("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId",
                          lambda g: any(t["Key"].startswith("causeway:") for t in g.get("Tags", [])))),
    "groups": sorted(group["GroupName"] for group in groups if group["GroupId"] in own_groups),
    "rules": sum(1 for rule in rules if rule["GroupId"] in own_groups),
    "databases": names("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
    "snapshots": len(names("rds", "describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier",
                           lambda s: s["SnapshotType"] == "manual")),
    "subnet_groups": names("rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName"),
    "clusters": [arn.rpartition("/")[2] for arn in clusters],
    "services": [arn.rpartition("/")[2] for c in clusters for arn in names("ecs", "list_services", "serviceArns", None, cluster=c)],
    "revisions": names("ecs", "list_task_definitions", "taskDefinitionArns", None, status="ACTIVE"),
    "balancers": names("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
    "targets": len(names("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupArn")),
    "listeners": sorted(listeners),
    "certificates": names("acm", "list_certificates", "CertificateSummaryList", "DomainName"),
    "zones": sorted(zone["Name"] for zone in zones),
    "records": sorted(records),
    "repositories": names("ecr", "describe_repositories", "repositories", "repositoryName"),
    "keys": sum(1 for key in own_keys if key["KeyManager"] == "CUSTOMER" and key["KeyState"] == "Enabled"),
    "secrets": names("secretsmanager", "list_secrets", "SecretList", "Name"),
    "log_groups": names("logs", "describe_log_groups", "logGroups", "logGroupName",
                        lambda g: not g["logGroupName"].startswith("/aws/")),
    "alarms": names("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "topics": len(names("sns", "list_topics", "Topics", "TopicArn")),
    "roles": names("iam", "list_roles", "Roles", "RoleName", lambda r: not r["Path"].startswith("/aws-service-role/")),
}))
