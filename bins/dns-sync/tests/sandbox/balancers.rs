//! Load balancers of AWS, made by boto3, of which the tags come in more than one call.

use crate::world::World;
use causeway_sandbox::shared;
use tokio::process::Command;

const ACCOUNT: &str = "000000000683";
const REGION: &str = "us-west-2";

/// 23 load balancers with a name in their tag, and a service behind the first.
const MAKE: &str = r#"
import boto3
ec2, elb, ecs = (boto3.client(name) for name in ("ec2", "elbv2", "ecs"))
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
zones = [z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"][:2]]
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=z)["Subnet"]["SubnetId"] for i, z in enumerate(zones)]
first = None
for i in range(23):
    names = f"n{i}.example.com" + (" _wildcard.n0.example.com" if i == 0 else "")
    made = elb.create_load_balancer(Name=f"lb-{i}", Subnets=subnets, Type="network", Tags=[{"Key": "causeway.dev/hostname", "Value": names}])
    first = first or made["LoadBalancers"][0]["LoadBalancerArn"]
group = elb.create_target_group(Name="coder", Protocol="TCP", Port=3000, VpcId=vpc, TargetType="ip")["TargetGroups"][0]["TargetGroupArn"]
elb.create_listener(LoadBalancerArn=first, Protocol="TCP", Port=80, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
ecs.create_cluster(clusterName="coder")
ecs.register_task_definition(family="coder", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
    containerDefinitions=[{"name": "coder", "image": "coder", "portMappings": [{"containerPort": 3000}]}])
ecs.create_service(cluster="coder", serviceName="coder", taskDefinition="coder", desiredCount=0, launchType="FARGATE",
    networkConfiguration={"awsvpcConfiguration": {"subnets": subnets}},
    loadBalancers=[{"targetGroupArn": group, "containerName": "coder", "containerPort": 3000}])
# One that is still being made is left alone.
elb.get_waiter("load_balancer_available").wait(WaiterConfig={"Delay": 1})
"#;

#[tokio::test(flavor = "multi_thread")]
async fn load_balancers_are_found_by_their_tags_and_services_by_theirs() {
    let sandbox = shared().unwrap_or_else(|e| panic!("{e}"));
    let (key, secret) = sandbox.credentials(ACCOUNT).unwrap();
    let within = |command: &mut Command| {
        command.envs(sandbox.env()).env("AWS_ACCESS_KEY_ID", &key).env("AWS_SECRET_ACCESS_KEY", &secret);
        command.env("AWS_DEFAULT_REGION", REGION).env("AWS_REGION", REGION);
    };
    let mut make = Command::new(&sandbox.installed().python);
    make.args(["-c", MAKE]);
    within(&mut make);
    let made = make.output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let world = World::new().await;
    world.configure(&format!(
        "[balancers.west]\nregion = \"{REGION}\"\ntag = \"causeway.dev/hostname\"\n\
         names = {{ \"lb-1\" = [\"named.example.com\"] }}\n\
         [ecs.west]\nregion = \"{REGION}\"\ncluster = \"coder\"\n\
         services = {{ coder = [\"service.example.com\"], gone = [\"gone.example.com\"] }}\n"
    ));
    let run = async || {
        let mut command = world.command(&["apply"]);
        within(&mut command);
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = run().await;
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("there is no service `gone` in the cluster `coder`"), "{err}");
    let said = world.said();
    assert_eq!(said.len(), 23 + 1 + 1 + 1, "{said:#?}");
    let of = |name: &str| {
        let line = said.iter().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {said:#?}")).split(" CNAME ").nth(1).unwrap()
    };
    assert_eq!(of("*.n0.example.com"), of("n0.example.com"));
    assert_eq!(of("service.example.com"), of("n0.example.com"), "the service is behind the first");
    assert_eq!(of("named.example.com"), of("n1.example.com"));
    assert!(of("n22.example.com").contains("lb-22"), "{said:#?}");
    world.mutations();
    run().await;
    assert!(world.mutations().is_empty());
}
