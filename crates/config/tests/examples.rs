//! The examples of this repository: each is read, built and planned for an empty account, and the plan reads as it did.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use causeway_config::File;
use causeway_core::{
    Registry,
    guard::guard,
    journal::State,
    observe::Observed,
    plan::{PlanOptions, plan},
    render,
};
use std::path::Path;

/// The plan of an example for an empty account, as people read it.
fn planned(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let file = File::read(&path).unwrap();
    let mut given = file.given(&|_| None).unwrap();
    // The snapshot is about the stack, not about the stand-in's bytes.
    given.source_digest = Some(format!("sha256:{}", "d".repeat(64)));
    let stack = file.stack(&given).unwrap();
    stack.check().unwrap();
    let mut registry = Registry::new();
    causeway_aws::register(&mut registry, aws_config::SdkConfig::builder().build());
    causeway_k8s::register(&mut registry, |access| async move {
        Err(causeway_core::Error::Connect { place: access.name, source: "nothing is asked".into() })
    });
    let plan =
        || plan(&stack, &State::default(), &Observed::default(), &registry, &PlanOptions::default()).unwrap();
    assert_eq!(plan(), plan(), "a plan is the same every time");
    assert!(guard(&plan(), &file.config.rules([])).is_empty());
    render::plan(&plan(), true).replace(&path.parent().unwrap().display().to_string(), "examples")
}

#[test]
fn the_ecs_example_plans_as_it_did() {
    insta::assert_snapshot!(planned("ecs.toml"));
}

#[test]
fn the_single_region_example_plans_as_it_did() {
    insta::assert_snapshot!(planned("single-region.toml"));
}

#[test]
fn the_three_regions_example_plans_as_it_did() {
    insta::assert_snapshot!(planned("ai-coder.toml"));
}

#[test]
fn the_docs_example_plans_as_it_did() {
    insta::assert_snapshot!(planned("docs.toml"));
}
