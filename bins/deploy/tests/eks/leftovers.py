"""What controllers of a cluster would have made beside it, and the same of another cluster. Says what is there."""

import json
import sys
import time

import boto3

REGION = "us-east-2"
ec2, elb, classic, iam, logs = (
    boto3.client(service, region_name=REGION) for service in ("ec2", "elbv2", "elb", "iam", "logs"))


def pairs(**of):
    return [{"Key": key, "Value": value} for key, value in of.items()]


def of_cluster(name):
    return pairs(**{f"kubernetes.io/cluster/{name}": "owned"})


def of_controller(name):
    return pairs(**{"elbv2.k8s.aws/cluster": name})


def spec(kind, tags):
    return [{"ResourceType": kind, "Tags": tags}]


def network(filters):
    return ec2.describe_vpcs(Filters=filters)["Vpcs"][0]["VpcId"]


def make(name, vpc, subnets):
    """What is there of the cluster `name` in `vpc`: found by the tags of each controller."""
    inside = [{"Name": "vpc-id", "Values": [vpc]}]

    def group(called):
        return ec2.create_security_group(GroupName=called, Description="made by a controller", VpcId=vpc,
                                         TagSpecifications=spec("security-group", of_controller(name)))["GroupId"]

    def let_in(into, source, port):
        ec2.authorize_security_group_ingress(GroupId=into, IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": source}]}])

    front, back = group(f"k8s-{name}-front"), group(f"k8s-traffic-{name}")
    let_in(back, front, 443)
    for nodes in ec2.describe_security_groups(
            Filters=[*inside, {"Name": "group-name", "Values": [f"{name}-node"]}])["SecurityGroups"]:
        let_in(nodes["GroupId"], back, 8080)
    target = elb.create_target_group(Name=f"k8s-{name}-http", Protocol="TCP", Port=80, VpcId=vpc, TargetType="instance",
                                     Tags=of_controller(name))["TargetGroups"][0]["TargetGroupArn"]
    balancer = elb.create_load_balancer(Name=f"k8s-{name}", Type="network", Scheme="internet-facing", Subnets=subnets,
                                        SecurityGroups=[front, back], Tags=of_controller(name))
    balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="TCP", Port=80,
                        DefaultActions=[{"Type": "forward", "TargetGroupArn": target}])
    elb.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=pairs(
        **{"deletion_protection.enabled": "true"}))
    # Kubernetes' own, for a Service that no controller took.
    own = ec2.create_security_group(GroupName=f"k8s-elb-{name}", Description="made by Kubernetes", VpcId=vpc,
                                    TagSpecifications=spec("security-group", of_cluster(name)))["GroupId"]
    classic.create_load_balancer(LoadBalancerName=f"a1b2-{name}", Subnets=subnets, SecurityGroups=[own], Tags=of_cluster(name),
                                 Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}])
    image = ec2.describe_images(Owners=["568608671756"])["Images"][0]["ImageId"]
    ec2.run_instances(ImageId=image, InstanceType="t3.large", MinCount=1, MaxCount=1, SubnetId=subnets[0],
                      TagSpecifications=spec("instance", [*of_cluster(name), *pairs(**{"karpenter.sh/nodepool": "default"})]))
    ec2.create_launch_template(LaunchTemplateName=f"karpenter.k8s.aws/{name}", LaunchTemplateData={"ImageId": image},
                               TagSpecifications=spec("launch-template", of_cluster(name)))
    ec2.create_network_interface(SubnetId=subnets[0], Groups=[back], TagSpecifications=spec(
        "network-interface", pairs(**{"cluster.k8s.amazonaws.com/name": name})))
    ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=20, VolumeType="gp3", TagSpecifications=spec(
        "volume", [*of_cluster(name), *pairs(**{
            "ebs.csi.aws.com/cluster": "true", "kubernetes.io/created-for/pvc/name": f"home-{name}"})]))
    # Karpenter gives its nodes a role that is ours.
    iam.create_instance_profile(InstanceProfileName=f"{name}_1234", Path=f"/karpenter/{REGION}/{name}/uid/", Tags=[
        *of_cluster(name), *pairs(**{"topology.kubernetes.io/region": REGION})])
    for role in iam.list_roles()["Roles"]:
        if role["RoleName"] == f"{name}-{REGION}-karpenter-node":
            iam.add_role_to_instance_profile(InstanceProfileName=f"{name}_1234", RoleName=role["RoleName"])
    for called in (f"/aws/eks/{name}/karpenter", f"/aws/containerinsights/{name}/application"):
        logs.create_log_group(logGroupName=called)


def there():
    """The names of all that could be left."""
    def named(thing, keys=("Tags", "TagSet")):
        return sorted(f"{tag['Key']}={tag['Value']}" for key in keys for tag in thing.get(key, []))

    machines = [machine for found in ec2.describe_instances()["Reservations"] for machine in found["Instances"]]
    return {
        "balancers": sorted(b["LoadBalancerName"] for b in elb.describe_load_balancers()["LoadBalancers"]),
        "classic": sorted(b["LoadBalancerName"] for b in classic.describe_load_balancers()["LoadBalancerDescriptions"]),
        "targets": sorted(g["TargetGroupName"] for g in elb.describe_target_groups()["TargetGroups"]),
        "machines": sorted(named(m) for m in machines if m["State"]["Name"] == "running"),
        "templates": sorted(t["LaunchTemplateName"] for t in ec2.describe_launch_templates()["LaunchTemplates"]),
        "volumes": sorted(named(v) for v in ec2.describe_volumes()["Volumes"] if named(v) and not v["Attachments"]),
        "interfaces": len(ec2.describe_network_interfaces()["NetworkInterfaces"]),
        "profiles": sorted(p["InstanceProfileName"] for p in iam.list_instance_profiles()["InstanceProfiles"]),
        "groups": sorted(g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]),
        "logs": sorted(g["logGroupName"] for g in logs.describe_log_groups()["logGroups"]),
    }


if sys.argv[1] == "there":
    print(json.dumps(there()))
elif sys.argv[1] == "other":
    default = network([{"Name": "is-default", "Values": ["true"]}])
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [default]}])["Subnets"]
    make("coder-2", default, [subnet["SubnetId"] for subnet in subnets][:2])
elif sys.argv[1] == "ours":
    ours = network([{"Name": "tag:Name", "Values": ["coder-us-east-2"]}])
    subnets = ec2.describe_subnets(Filters=[
        {"Name": "vpc-id", "Values": [ours]}, {"Name": "tag:Name", "Values": ["coder-public-*"]}])["Subnets"]
    make("coder", ours, [subnet["SubnetId"] for subnet in subnets][:2])
elif sys.argv[1] == "without-cluster":
    # As somebody would who removes the cluster by hand.
    eks = boto3.client("eks", region_name=REGION)
    for group in eks.list_nodegroups(clusterName="coder")["nodegroups"]:
        eks.delete_nodegroup(clusterName="coder", nodegroupName=group)
        eks.get_waiter("nodegroup_deleted").wait(clusterName="coder", nodegroupName=group, WaiterConfig={"Delay": 1})
    eks.update_cluster_config(name="coder", deletionProtection=False)
    while True:
        try:
            eks.delete_cluster(name="coder")
            break
        except eks.exceptions.ResourceInUseException:
            time.sleep(1)
    eks.get_waiter("cluster_deleted").wait(name="coder", WaiterConfig={"Delay": 1})
