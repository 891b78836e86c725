//! What EKS refuses, and what is refused before EKS is asked.

use crate::{
    in_sandbox::{REGION, client, registry},
    stack::{CLUSTER, Wanted, cluster, nodes, run},
};
use aws_sdk_eks::{error::ProvideErrorMetadata, types::VpcConfigRequest};
use causeway_aws::{Aws, AwsStack, eks::Cluster, id::Arn};
use causeway_core::{
    Address, Cx, Engine, Resource, Set, Stack,
    diff::{Change, Diff, FieldChange},
    error::chain,
    plan::PlanOptions,
    store::MemoryStore,
};
use serde_json::Value as Json;
use std::{sync::Arc, time::Duration};

fn stack(wanted: &Wanted) -> Stack {
    let mut stack = Stack::new("eks");
    stack.region(REGION, |stack| {
        let made = cluster(stack, wanted);
        nodes(stack, wanted, &made);
    });
    stack
}

/// A cluster with nodes, and the engine that made it.
async fn made(account: &str, wanted: &Wanted) -> Engine {
    let engine = Engine::new(registry(account).await, Arc::new(MemoryStore::default()));
    let planned = engine.plan(&stack(wanted), &PlanOptions::default()).await;
    let planned = planned.unwrap_or_else(|e| panic!("{}", chain(&e)));
    let report = engine.apply(planned, &run()).await;
    let report = report.unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert!(report.is_complete(), "{:#?}", report.failed);
    engine
}

/// What comes of an upgrade to `version`, past the look-up that goes step by step.
async fn upgrade(aws: &Aws, version: &str, accepted: &[&str]) -> Result<(), String> {
    let address = Address::from("cluster");
    let cx = Cx { client: aws, address: &address, instance: "i1", recorded: None };
    let any = Cluster::new(CLUSTER, version, Arn::default().into(), Set::default());
    let live = any.read(&cx).await.unwrap().unwrap();
    let wanted = Cluster {
        version: version.into(),
        accepted_insights: Some(accepted.iter().copied().collect()),
        ..live.spec.clone()
    };
    let change = Change::Set { from: Json::Null, to: Json::Null };
    let diff = Diff { changes: vec![FieldChange { path: "version".into(), change }] };
    wanted.update(&cx, &live, &diff).await.map_err(|e| e.chain())
}

#[tokio::test]
async fn an_upgrade_that_would_break_something_is_not_begun() {
    const ACCOUNT: &str = "000000000553";
    let old = Wanted { version: "1.33", nodes_version: Some("1.30"), ..Wanted::default() };
    let engine = made(ACCOUNT, &old).await;
    let next = Wanted { version: "1.34", ..old };
    let waiting = engine.plan(&stack(&next), &PlanOptions::default()).await.unwrap();
    assert!(waiting.plan.is_empty(), "the cluster waits for its nodes");

    let aws = client(ACCOUNT).await;
    let why = upgrade(&aws, "1.35", &[]).await.unwrap_err();
    assert!(why.contains("runs Kubernetes 1.33") && why.contains("ask for 1.34"), "{why}");
    let why = upgrade(&aws, "1.32", &[]).await.unwrap_err();
    assert!(why.contains("does not go back to 1.32"), "{why}");
    let why = upgrade(&aws, "1.34", &["another one"]).await.unwrap_err();
    assert!(why.contains("`Kubelet version skew`: Nodes would be too old"), "{why}");
    upgrade(&aws, "1.34", &["Kubelet version skew"]).await.unwrap();
    let cluster = aws.eks.describe_cluster().name(CLUSTER).send().await.unwrap().cluster.unwrap();
    assert_eq!((cluster.version(), cluster.status().unwrap().as_str()), (Some("1.34"), "UPDATING"));
}

#[tokio::test]
async fn the_sandbox_refuses_what_eks_refuses() {
    const ACCOUNT: &str = "000000000554";
    made(ACCOUNT, &Wanted { version: "1.33", ..Wanted::default() }).await;
    let eks = &client(ACCOUNT).await.eks;
    macro_rules! refused {
        ($call:expr) => {{
            let error = $call.send().await.unwrap_err().into_service_error();
            format!("{}: {}", error.code().unwrap_or_default(), error.message().unwrap_or_default())
        }};
    }
    let skip = refused!(eks.update_cluster_version().name(CLUSTER).version("1.35"));
    assert_eq!(
        skip,
        "InvalidParameterException: Unsupported Kubernetes minor version update from 1.33 to 1.35"
    );
    let there = eks.describe_cluster().name(CLUSTER).send().await.unwrap().cluster.unwrap();
    let subnets = there.resources_vpc_config().unwrap().subnet_ids().to_vec();
    let network = VpcConfigRequest::builder().set_subnet_ids(Some(subnets)).build();
    let other = || eks.create_cluster().name("other").role_arn(there.role_arn().unwrap());
    let never = refused!(other().version("1.99").resources_vpc_config(network));
    assert_eq!(never, "InvalidParameterException: unsupported Kubernetes version");
    let protected = refused!(eks.delete_cluster().name(CLUSTER));
    assert!(protected.starts_with("InvalidRequestException: "), "{protected}");
    eks.update_cluster_config().name(CLUSTER).deletion_protection(false).send().await.unwrap();
    let second = refused!(eks.update_cluster_config().name(CLUSTER).deletion_protection(true));
    assert!(second.starts_with("ResourceInUseException: "), "{second}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = refused!(eks.delete_cluster().name(CLUSTER));
    assert!(used.starts_with("ResourceInUseException: "), "{used}");
    let network = VpcConfigRequest::builder().subnet_ids("subnet-0").build();
    let unknown = refused!(other().resources_vpc_config(network));
    assert!(unknown.contains("The subnet ID 'subnet-0' does not exist"), "{unknown}");
}
