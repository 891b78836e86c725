"""What the account has beside the clusters and for them, by region."""

import json

import boto3

REGIONS = ("us-east-2", "us-west-2", "eu-west-2")
NAME = "ai-coder"


def addons(eks):
    names = eks.list_addons(clusterName=NAME)["addons"]
    return {name: eks.describe_addon(clusterName=NAME, addonName=name)["addon"] for name in names}


def identities(eks, iam):
    found = {}
    for one in eks.list_pod_identity_associations(clusterName=NAME)["associations"]:
        told = eks.describe_pod_identity_association(clusterName=NAME, associationId=one["associationId"])
        role = told["association"]["roleArn"]
        attached = iam.list_attached_role_policies(RoleName=role.split("/")[-1])["AttachedPolicies"]
        found[f"{one['namespace']}/{one['serviceAccount']}"] = {
            "role": role,
            "policies": [policy["PolicyName"] for policy in attached],
        }
    return found


def queues(sqs):
    urls = sqs.list_queues().get("QueueUrls", [])
    told = lambda url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {url.split("/")[-1]: told(url) for url in urls}


def rules(events):
    targets = lambda name: events.list_targets_by_rule(Rule=name)["Targets"]
    return [{**rule, "targets": targets(rule["Name"])} for rule in events.list_rules()["Rules"]]


def balancers(elb):
    found = elb.describe_load_balancers()["LoadBalancers"]
    tags = lambda arn: elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    told = lambda arn: {tag["Key"]: tag["Value"] for tag in tags(arn)}
    return [{**one, "tags": told(one["LoadBalancerArn"])} for one in found]


def trusted(iam, role):
    """The service accounts that may act as a role."""
    statements = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    tests = [test for one in statements for test in one["Condition"].values()]
    subjects = [values for test in tests for key, values in test.items() if key.endswith(":sub")]
    return [one for values in subjects for one in ([values] if isinstance(values, str) else values)]


def region(name):
    client = lambda service: boto3.client(service, region_name=name)
    eks, iam = client("eks"), client("iam")
    discovery = [{"Name": "tag:karpenter.sh/discovery", "Values": [NAME]}]
    groups = client("ec2").describe_security_groups(Filters=discovery)["SecurityGroups"]
    offered = client("ec2").get_paginator("describe_instance_type_offerings").paginate()
    return {
        "vpc": eks.describe_cluster(name=NAME)["cluster"]["resourcesVpcConfig"]["vpcId"],
        "addons": addons(eks),
        "identities": identities(eks, iam),
        "queues": queues(client("sqs")),
        "rules": rules(client("events")),
        "balancers": balancers(client("elbv2")),
        "groups": [group["GroupName"] for group in groups],
        "types": [one["InstanceType"] for page in offered for one in page["InstanceTypeOfferings"]],
        "workspace": trusted(iam, f"{NAME}-{name}-workspace"),
    }


print(json.dumps({name: region(name) for name in REGIONS}, default=str))
