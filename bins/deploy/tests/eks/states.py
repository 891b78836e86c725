"""The Terraform states of the original layout, a root for each part, over what is in the account: what `terraform state
pull` would print in each, as far as it names things. Given are a folder, the name of the stack, and its regions: that of the
control plane with 14 roots, and those of proxies with 8 each."""

import json
import sys

import boto3

FOLDER, STACK, *REGIONS = sys.argv[1:]
SERVER = ["vpc", "eks", "rds", "redis", "ecr", "k8s-cert-manager", "k8s-coder-server", "k8s-coder-ws",
          "k8s-ebs-controller", "k8s-fetch-and-store", "k8s-karpenter", "k8s-lb-controller", "k8s-litellm",
          "k8s-metrics-server"]
PROXY = ["eks", "k8s-cert-manager", "k8s-coder-proxy", "k8s-coder-ws", "k8s-ebs-controller", "k8s-karpenter",
         "k8s-lb-controller", "k8s-metrics-server"]
# What is of no region has its name in its own.
OWNERS = {"cert-manager": "k8s-cert-manager", "load-balancer": "k8s-lb-controller", "karpenter": "k8s-karpenter",
          "ebs-csi": "k8s-ebs-controller", "mirror": "k8s-fetch-and-store", "nat": "vpc", "cluster": "eks",
          "system-node": "eks", "provisioner": "k8s-coder-ws", "workspace": "k8s-coder-ws"}
account = boto3.client("sts", region_name=REGIONS[0]).get_caller_identity()["Account"]
iam = boto3.client("iam", region_name=REGIONS[0])


def states_of(region, roots):
    """The resources in each of the roots of a region."""
    states = {root: [] for root in roots}
    ec2, eks, rds, kms, ecr, ssm, sqs, events, logs, scaling, secrets = (
        boto3.client(service, region_name=region)
        for service in ("ec2", "eks", "rds", "kms", "ecr", "ssm", "sqs", "events", "logs", "autoscaling",
                        "secretsmanager"))

    def put(root, kind, /, **attributes):
        # The network of a proxy is in the root of its cluster.
        root = "eks" if root == "vpc" and root not in states else root
        states[root].append({
            "mode": "managed", "type": kind, "name": "this",
            "provider": 'provider["registry.terraform.io/hashicorp/aws"]',
            "instances": [{"schema_version": 0, "attributes": attributes}]})

    def arn(service, resource):
        return f"arn:aws:{service}:{region}:{account}:{resource}"

    def owner(name):
        rest = "k8s-coder-server" if "k8s-coder-server" in states else "k8s-coder-proxy"
        return next((root for part, root in OWNERS.items() if part in name), rest)

    def here(name):
        others = [other for other in REGIONS if other in name]
        return region in others or (not others and region == REGIONS[0])

    vpc = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [f"{STACK}-{region}"]}])["Vpcs"][0]["VpcId"]
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    put("vpc", "aws_vpc", id=vpc, arn=arn("ec2", f"vpc/{vpc}"))
    for subnet in ec2.describe_subnets(Filters=inside)["Subnets"]:
        put("vpc", "aws_subnet", id=subnet["SubnetId"])
    for gateway in ec2.describe_internet_gateways(
            Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}])["InternetGateways"]:
        put("vpc", "aws_internet_gateway", id=gateway["InternetGatewayId"])
    for table in ec2.describe_route_tables(Filters=inside)["RouteTables"]:
        if not any(association.get("Main") for association in table["Associations"]):
            put("vpc", "aws_route_table", id=table["RouteTableId"])
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        put("vpc", "aws_vpc_endpoint", id=endpoint["VpcEndpointId"])
    for interface in ec2.describe_network_interfaces(Filters=inside)["NetworkInterfaces"]:
        if interface["SourceDestCheck"] is False:
            put("vpc", "aws_network_interface", id=interface["NetworkInterfaceId"])
    for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
        if "nat" in group["AutoScalingGroupName"]:
            put("vpc", "aws_autoscaling_group", id=group["AutoScalingGroupName"], name=group["AutoScalingGroupName"])
    for parameter in ssm.describe_parameters()["Parameters"]:
        put("vpc", "aws_ssm_parameter", id=parameter["Name"], name=parameter["Name"])
    for template in ec2.describe_launch_templates()["LaunchTemplates"]:
        root = "vpc" if "nat" in template["LaunchTemplateName"] else "eks"
        put(root, "aws_launch_template", id=template["LaunchTemplateId"], name=template["LaunchTemplateName"])
    for group in ec2.describe_security_groups(Filters=inside)["SecurityGroups"]:
        if group["GroupName"] == "default" or group["GroupName"].startswith("eks-cluster-sg"):
            continue
        data = "database" in group["GroupName"] or "cache" in group["GroupName"]
        root = "vpc" if "nat" in group["GroupName"] else "rds" if data else "eks"
        put(root, "aws_security_group", id=group["GroupId"], name=group["GroupName"])

    for name in eks.list_clusters()["clusters"]:
        put("eks", "aws_eks_cluster", id=name, name=name, arn=arn("eks", f"cluster/{name}"))
        for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
            put("eks", "aws_eks_node_group", id=f"{name}:{group}", node_group_name=group, cluster_name=name)
        for addon in eks.list_addons(clusterName=name)["addons"]:
            put("eks", "aws_eks_addon", id=f"{name}:{addon}", addon_name=addon)
    for alias in kms.list_aliases()["Aliases"]:
        if not alias["AliasName"].startswith("alias/aws/"):
            put("eks", "aws_kms_key", id=alias["TargetKeyId"], key_id=alias["TargetKeyId"],
                arn=arn("kms", "key/" + alias["TargetKeyId"]))
            put("eks", "aws_kms_alias", id=alias["AliasName"], name=alias["AliasName"])
    for group in logs.describe_log_groups()["logGroups"]:
        put("eks", "aws_cloudwatch_log_group", id=group["logGroupName"], name=group["logGroupName"])
    for provider in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
        if here(provider["Arn"]):
            put("eks", "aws_iam_openid_connect_provider", id=provider["Arn"], arn=provider["Arn"])

    for group in rds.describe_db_subnet_groups()["DBSubnetGroups"]:
        put("rds", "aws_db_subnet_group", id=group["DBSubnetGroupName"], name=group["DBSubnetGroupName"])
    for group in rds.describe_db_parameter_groups()["DBParameterGroups"]:
        if not group["DBParameterGroupName"].startswith("default."):
            put("rds", "aws_db_parameter_group", id=group["DBParameterGroupName"], name=group["DBParameterGroupName"])
    for database in rds.describe_db_instances()["DBInstances"]:
        put("rds", "aws_db_instance", id=database["DbiResourceId"], identifier=database["DBInstanceIdentifier"],
            arn=database["DBInstanceArn"], password="hunter2-canary")
    for secret in secrets.list_secrets()["SecretList"]:
        put("rds", "aws_secretsmanager_secret", id=secret["ARN"], arn=secret["ARN"], name=secret["Name"])
    if "redis" in states:
        cache = boto3.client("elasticache", region_name=region)
        for group in cache.describe_replication_groups()["ReplicationGroups"]:
            name = group["ReplicationGroupId"]
            put("redis", "aws_elasticache_replication_group", id=name, replication_group_id=name, arn=group["ARN"])
        for group in cache.describe_cache_subnet_groups()["CacheSubnetGroups"]:
            if group["CacheSubnetGroupName"] != "default":
                put("redis", "aws_elasticache_subnet_group", id=group["CacheSubnetGroupName"],
                    name=group["CacheSubnetGroupName"])
    for repository in ecr.describe_repositories()["repositories"]:
        put("ecr", "aws_ecr_repository", id=repository["repositoryName"], name=repository["repositoryName"],
            arn=repository["repositoryArn"])
    for url in sqs.list_queues().get("QueueUrls", []):
        put("k8s-karpenter", "aws_sqs_queue", id=url, name=url.rsplit("/", 1)[1])
    for rule in events.list_rules()["Rules"]:
        put("k8s-karpenter", "aws_cloudwatch_event_rule", id=rule["Name"], name=rule["Name"], arn=rule["Arn"])

    for role in iam.list_roles()["Roles"]:
        if not role["Path"].startswith("/aws-service-role/") and here(role["RoleName"]):
            name = role["RoleName"]
            put(owner(name), "aws_iam_role", id=name, name=name, arn=role["Arn"])
    for profile in iam.list_instance_profiles()["InstanceProfiles"]:
        name = profile["InstanceProfileName"]
        if here(name):
            put(owner(name), "aws_iam_instance_profile", id=name, name=name, arn=profile["Arn"])
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        name = policy["PolicyName"]
        if here(name):
            put(owner(name), "aws_iam_policy", id=policy["Arn"], name=name, arn=policy["Arn"])
    put("k8s-metrics-server", "helm_release", id="metrics-server", name="metrics-server")
    return states


# The original has one registry, and nothing that copies it.
boto3.client("ecr", region_name=REGIONS[0]).put_replication_configuration(replicationConfiguration={"rules": []})
written = []
for region in REGIONS:
    roots = SERVER if region == REGIONS[0] else PROXY
    for root, resources in states_of(region, roots).items():
        name = f"{region}-{root}"
        with open(f"{FOLDER}/{name}.tfstate", "w", encoding="utf-8") as file:
            json.dump({"version": 4, "terraform_version": "1.9.5", "serial": len(written), "lineage": name,
                       "outputs": {}, "resources": resources}, file)
        written.append(name)
print(json.dumps(written))
