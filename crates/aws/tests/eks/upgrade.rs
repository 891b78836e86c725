//! From 1.33 to 1.35: the cluster, its add-ons, its nodes, one minor version at a time, and again where it stopped.

use crate::{
    in_sandbox::{client, registry},
    stack::{CLUSTER, Wanted, all, run},
};
use causeway_core::{Engine, apply::Report, error::chain, plan::PlanOptions, store::MemoryStore};
use causeway_sandbox::gateway::{Act, Rule};
use std::sync::Arc;

const ACCOUNT: &str = "000000000552";

async fn apply(engine: &Engine, wanted: &Wanted) -> Option<Report> {
    let planned = engine.plan(&all(wanted), &PlanOptions::default()).await;
    let planned = planned.unwrap_or_else(|e| panic!("{}", chain(&e)));
    if planned.plan.is_empty() {
        return None;
    }
    Some(engine.apply(planned, &run()).await.unwrap_or_else(|e| panic!("{}", chain(&e))))
}

#[tokio::test]
async fn an_upgrade_goes_one_minor_version_at_a_time() {
    let sandbox = causeway_sandbox::shared().unwrap();
    let (key, _) = sandbox.credentials(ACCOUNT).unwrap();
    let aws = client(ACCOUNT).await;
    let engine = Engine::new(registry(ACCOUNT).await, Arc::new(MemoryStore::default()));
    let old = Wanted { version: "1.33", ..Wanted::default() };
    let report = apply(&engine, &old).await.unwrap();
    assert!(report.is_complete(), "{:#?}", report.failed);
    assert!(apply(&engine, &old).await.is_none());

    // The nodes do not follow at first: the next run goes on with them, and not with the cluster.
    let rule = Rule::new("eks:UpdateNodegroupVersion", Act::Denied).once().access_key(&key);
    let rule = sandbox.gateway().rules().add(rule);
    let new = Wanted { version: "1.35", ..old };
    let report = apply(&engine, &new).await.unwrap();
    assert_eq!(report.failed.len(), 1, "{:#?}", report.failed);
    assert_eq!(report.failed[0].0.0, "nodes");
    sandbox.gateway().rules().remove(rule);

    let mut applies = 0;
    while let Some(report) = apply(&engine, &new).await {
        assert!(report.is_complete(), "{:#?}", report.failed);
        applies += 1;
        assert!(applies < 5, "it never ends");
    }
    assert_eq!(applies, 2, "one for the nodes that were left behind, one for the second step");

    let cluster = aws.eks.describe_cluster().name(CLUSTER).send().await.unwrap().cluster.unwrap();
    assert_eq!(cluster.version(), Some("1.35"));
    let updates: Vec<String> = sandbox
        .gateway()
        .mutations()
        .into_iter()
        .filter(|call| {
            call.access_key == key && call.service == "eks" && call.operation.starts_with("Update")
        })
        .map(|call| format!("{}{}", call.operation, if call.status == 200 { "" } else { " refused" }))
        .collect();
    let step = ["UpdateClusterVersion", "UpdateAddon", "UpdateNodegroupVersion"];
    let refused = "UpdateNodegroupVersion refused";
    let expected = [step[0], step[1], refused, step[2], step[0]];
    assert_eq!(updates[..5], expected);
    // The add-ons of the sandbox's 1.35 are those of 1.34, so only the nodes are left.
    assert_eq!(updates[5..], [step[2]]);
}
