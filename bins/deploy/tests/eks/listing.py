"""Everything of the EKS target that is in an account, as boto3 tells it: nothing of Causeway's own is asked."""

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

import boto3


def pages(client, operation, key, **arguments):
    found = client.get_paginator(operation).paginate(**arguments)
    return [thing for page in found for thing in page[key]]


def tags(thing, key="Tags"):
    named = thing.get(key) or []
    if isinstance(named, dict):
        return named
    return {tag.get("Key", tag.get("key")): tag.get("Value", tag.get("value")) for tag in named}


def tagged(things):
    return [{**thing, "Tags": tags(thing)} for thing in things]


def templates(ec2):
    for template in tagged(ec2.describe_launch_templates()["LaunchTemplates"]):
        versions = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"])["LaunchTemplateVersions"]
        data = versions[0]["LaunchTemplateData"]
        data["UserData"] = base64.b64decode(data.get("UserData") or "").decode()
        yield {**template, "Data": data}


def urls(secrets, client):
    """What the secrets that are URLs say, and whether they hold the password that is kept beside them: never it itself."""

    def value(name):
        return client.get_secret_value(SecretId=name)["SecretString"]

    for secret in secrets:
        if not secret["Name"].endswith("/database-url"):
            continue
        text = value(secret["Name"])
        url = urllib.parse.urlsplit(text)
        password = value(secret["Name"].removesuffix("url") + "password")
        yield secret["Name"], {
            "scheme": url.scheme, "user": url.username, "host": url.hostname, "port": url.port,
            "path": url.path, "query": url.query, "length": len(password),
            "holds_the_password": urllib.parse.unquote(url.password or "") == password,
            "encoded": f":{urllib.parse.quote(password, safe='-._~')}@" in text,
        }


def registry(ecr):
    """Whether the registry lets the token in that ECR hands out, and nobody without one."""
    data = ecr.get_authorization_token()["authorizationData"][0]
    answers = {}
    for who, headers in (("token", {"Authorization": "Basic " + data["authorizationToken"]}), ("nobody", {})):
        endpoint = data["proxyEndpoint"]
        endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
        try:
            request = urllib.request.Request(f"{endpoint}/v2/", headers=headers)
            answers[who] = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).status
        except urllib.error.HTTPError as error:
            answers[who] = error.code
    user = base64.b64decode(data["authorizationToken"]).decode().split(":")[0]
    return {"user": user, "answers": answers}


def clusters(eks):
    for name in eks.list_clusters()["clusters"]:
        groups = [eks.describe_nodegroup(clusterName=name, nodegroupName=group)["nodegroup"]
                  for group in eks.list_nodegroups(clusterName=name)["nodegroups"]]
        addons = [eks.describe_addon(clusterName=name, addonName=addon)["addon"]
                  for addon in eks.list_addons(clusterName=name)["addons"]]
        entries = []
        for arn in eks.list_access_entries(clusterName=name)["accessEntries"]:
            entry = eks.describe_access_entry(clusterName=name, principalArn=arn)["accessEntry"]
            policies = eks.list_associated_access_policies(clusterName=name, principalArn=arn)
            entries.append({**entry, "policies": policies["associatedAccessPolicies"]})
        yield {
            **eks.describe_cluster(name=name)["cluster"],
            "nodegroups": groups,
            "addons": addons,
            "entries": entries,
            "identities": eks.list_pod_identity_associations(clusterName=name)["associations"],
        }


def region(name):
    def client(service):
        return boto3.client(service, region_name=name)

    ec2, ssm, ecr, sqs, events = client("ec2"), client("ssm"), client("ecr"), client("sqs"), client("events")
    own = [vpc for vpc in tagged(ec2.describe_vpcs()["Vpcs"]) if not vpc["IsDefault"]]
    inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"] for vpc in own] or ["vpc-none"]}]
    for vpc in own:
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            answer = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=attribute)
            vpc[attribute] = answer[attribute[0].upper() + attribute[1:]]["Value"]
    queues = []
    for url in sqs.list_queues().get("QueueUrls", []):
        queues.append({"url": url, **sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]})
    rules = [{**rule, "Targets": events.list_targets_by_rule(Rule=rule["Name"])["Targets"],
              "Tags": tags(events.list_tags_for_resource(ResourceARN=rule["Arn"]))}
             for rule in events.list_rules()["Rules"]]
    repositories = []
    for repository in ecr.describe_repositories()["repositories"]:
        for key, call, field in (("policy", ecr.get_repository_policy, "policyText"),
                                 ("lifecycle", ecr.get_lifecycle_policy, "lifecyclePolicyText")):
            try:
                repository[key] = json.loads(call(repositoryName=repository["repositoryName"])[field])
            except ecr.exceptions.ClientError:
                repository[key] = None
        repositories.append(repository)
    parameters = [ssm.get_parameter(Name=found["Name"], WithDecryption=True)["Parameter"]
                  for found in ssm.describe_parameters()["Parameters"]]
    cache, rds, logs = client("elasticache"), client("rds"), client("logs")
    databases = rds.describe_db_instances()["DBInstances"]
    groups = {parameters["DBParameterGroupName"] for db in databases for parameters in db["DBParameterGroups"]}
    manager = client("secretsmanager")
    secrets = manager.list_secrets()["SecretList"]
    kms = client("kms")
    aliases = [alias for alias in kms.list_aliases()["Aliases"] if not alias["AliasName"].startswith("alias/aws/")]
    keys = {alias["AliasName"]: {
        **kms.describe_key(KeyId=alias["TargetKeyId"])["KeyMetadata"],
        "Rotated": kms.get_key_rotation_status(KeyId=alias["TargetKeyId"])["KeyRotationEnabled"],
    } for alias in aliases}
    return {
        "vpcs": own,
        "subnets": tagged(ec2.describe_subnets(Filters=inside)["Subnets"]),
        "tables": tagged(ec2.describe_route_tables(Filters=inside)["RouteTables"]),
        "gateways": tagged(ec2.describe_internet_gateways()["InternetGateways"]),
        "groups": tagged(ec2.describe_security_groups(Filters=inside)["SecurityGroups"]),
        "acls": ec2.describe_network_acls(Filters=inside)["NetworkAcls"],
        "interfaces": [{**i, "Tags": tags(i, "TagSet")}
                       for i in ec2.describe_network_interfaces(Filters=inside)["NetworkInterfaces"]],
        "endpoints": tagged(ec2.describe_vpc_endpoints()["VpcEndpoints"]),
        "templates": list(templates(ec2)),
        "scaling": [{**group, "Tags": group["Tags"]}
                    for group in client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]],
        "instances": [tagged([i])[0] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]
                      if i["State"]["Name"] == "running"],
        "parameters": parameters,
        "clusters": list(clusters(client("eks"))),
        "logs": pages(logs, "describe_log_groups", "logGroups"),
        "queues": queues,
        "rules": rules,
        "repositories": repositories,
        "replication": ecr.describe_registry().get("replicationConfiguration"),
        "databases": databases,
        "snapshots": rds.describe_db_snapshots()["DBSnapshots"],
        "database_subnets": rds.describe_db_subnet_groups()["DBSubnetGroups"],
        "database_parameters": {name: {p["ParameterName"]: p.get("ParameterValue") for p in pages(
            rds, "describe_db_parameters", "Parameters", DBParameterGroupName=name)} for name in groups},
        "caches": cache.describe_replication_groups()["ReplicationGroups"],
        "cache_subnets": cache.describe_cache_subnet_groups()["CacheSubnetGroups"],
        "cache_nodes": cache.describe_cache_clusters()["CacheClusters"],
        "secrets": secrets,
        "urls": dict(urls(secrets, manager)),
        "keys": keys,
        "registry": registry(ecr) if repositories else None,
        "flow_logs": ec2.describe_flow_logs()["FlowLogs"],
        "nat_gateways": [gateway for gateway in tagged(ec2.describe_nat_gateways()["NatGateways"])
                         if gateway["State"] == "available"],
        "addresses": ec2.describe_addresses()["Addresses"],
        "images": [image for image in ec2.describe_images(Owners=["568608671756"])["Images"]],
    }


def identities():
    iam = boto3.client("iam", region_name="us-east-1")
    roles = {}
    for role in pages(iam, "list_roles", "Roles"):
        name = role["RoleName"]
        inline = {policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                  for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]}
        managed = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        roles[name] = {**role, "inline": inline, "managed": sorted(policy["PolicyName"] for policy in managed)}
    providers = [iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
                 for provider in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    policies = {}
    for policy in pages(iam, "list_policies", "Policies", Scope="Local"):
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        policies[policy["PolicyName"]] = version["PolicyVersion"]["Document"]
    return {
        "policies": policies,
        "roles": roles,
        "providers": providers,
        "profiles": pages(iam, "list_instance_profiles", "InstanceProfiles"),
    }


def listing(names):
    return {"regions": {name: region(name) for name in names}, "iam": identities()}


if __name__ == "__main__":
    print(json.dumps(listing(sys.argv[1:]), default=str))
