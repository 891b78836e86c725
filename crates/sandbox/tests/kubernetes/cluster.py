"""What the tests of control planes ask of AWS, through boto3. The first argument is what to do; answers are JSON."""

import base64
import json
import os
import sys

import boto3
from botocore.signers import RequestSigner

REGION = os.environ["AWS_REGION"]
ASSUME = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
eks, ec2, iam = (boto3.client(name) for name in ("eks", "ec2", "iam"))


def role(name):
    try:
        return iam.get_role(RoleName=name)["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        return iam.create_role(RoleName=name, AssumeRolePolicyDocument=ASSUME)["Role"]["Arn"]


def create(name):
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{16 * n}.0/20", AvailabilityZone=REGION + zone)["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    eks.create_cluster(
        name=name,
        roleArn=role("cluster"),
        resourcesVpcConfig={"subnetIds": subnets},
        accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
    )
    return describe(name)


def describe(name):
    cluster = eks.describe_cluster(name=name)["cluster"]
    return {
        "endpoint": cluster["endpoint"],
        "authority": base64.b64decode(cluster["certificateAuthority"]["data"]).decode(),
        "issuer": cluster["identity"]["oidc"]["issuer"],
        "subnets": cluster["resourcesVpcConfig"]["subnetIds"],
        "vpc": cluster["resourcesVpcConfig"]["vpcId"],
    }


def nodes(cluster, group, size, taint=""):
    eks.create_nodegroup(
        clusterName=cluster,
        nodegroupName=group,
        subnets=describe(cluster)["subnets"],
        nodeRole=role("nodes"),
        instanceTypes=["m5.large"],
        scalingConfig={"minSize": 0, "maxSize": 9, "desiredSize": int(size)},
        labels={"team": group},
        taints=[{"key": taint, "effect": "NO_SCHEDULE"}] if taint else [],
    )


def scale(cluster, group, size):
    eks.update_nodegroup_config(
        clusterName=cluster, nodegroupName=group, scalingConfig={"minSize": 0, "maxSize": 9, "desiredSize": int(size)}
    )


def enter(cluster, policy="", namespace="", *groups):
    arn = boto3.client("sts").get_caller_identity()["Arn"].replace(":sts:", ":iam:")
    eks.create_access_entry(clusterName=cluster, principalArn=arn, kubernetesGroups=list(groups))
    if policy:
        scope = {"type": "namespace", "namespaces": [namespace]} if namespace else {"type": "cluster"}
        eks.associate_access_policy(
            clusterName=cluster,
            principalArn=arn,
            policyArn=f"arn:aws:eks::aws:cluster-access-policy/{policy}",
            accessScope=scope,
        )
    return arn


def role_token(cluster):
    """The token of a session of a role with a path, which has an access entry."""
    arn = iam.create_role(RoleName="admin", Path="/people/", AssumeRolePolicyDocument=ASSUME)["Role"]["Arn"]
    eks.create_access_entry(clusterName=cluster, principalArn=arn, username="{{AccountID}}:{{SessionName}}")
    session = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="ada@home")["Credentials"]
    os.environ["AWS_ACCESS_KEY_ID"] = session["AccessKeyId"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = session["SecretAccessKey"]
    os.environ["AWS_SESSION_TOKEN"] = session["SessionToken"]
    return token(cluster)


def leave(cluster):
    arn = boto3.client("sts").get_caller_identity()["Arn"].replace(":sts:", ":iam:")
    eks.delete_access_entry(clusterName=cluster, principalArn=arn)


def token(cluster, header="x-k8s-aws-id"):
    session = boto3.session.Session()
    signer = RequestSigner(
        session.client("sts").meta.service_model.service_id, REGION, "sts", "v4", session.get_credentials(), session.events
    )
    request = {
        "method": "GET",
        "url": f"https://sts.{REGION}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {header: cluster},
        "context": {},
    }
    url = signer.generate_presigned_url(request, region_name=REGION, expires_in=60, operation_name="")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def addon(cluster, name):
    eks.create_addon(clusterName=cluster, addonName=name)


def tag(cluster, key):
    ec2.create_tags(Resources=describe(cluster)["subnets"], Tags=[{"Key": key, "Value": "1"}])


def balancers(cluster):
    elb = boto3.client("elbv2")
    made = []
    for one in elb.describe_load_balancers()["LoadBalancers"]:
        arn = one["LoadBalancerArn"]
        tags = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
        listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        made.append(
            {
                "address": one["DNSName"],
                "type": one["Type"],
                "ports": [listener["Port"] for listener in listeners],
                "tags": {tag["Key"]: tag["Value"] for tag in tags},
            }
        )
    return made


def delete(name):
    for addon in eks.list_addons(clusterName=name)["addons"]:
        eks.delete_addon(clusterName=name, addonName=addon)
    for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
        # EKS refuses while an update goes on.
        settled = eks.get_waiter("nodegroup_active")
        settled.wait(clusterName=name, nodegroupName=group, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        eks.delete_nodegroup(clusterName=name, nodegroupName=group)
    eks.delete_cluster(name=name)


json.dump(globals()[sys.argv[1]](*sys.argv[2:]), sys.stdout)
