//! Coder and LiteLLM as objects: what they are to the letter, and what all of them keep to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod coder;
mod litellm;
mod rules;
mod settings;

use causeway_core::{
    Stack,
    secret::{SealKey, Sealed},
};
use causeway_k8s::Access;
use serde_json::{Map, Value as Json, json};

/// A stack of objects in one cluster.
fn stack(build: impl FnOnce(&mut Stack)) -> Stack {
    let access = Access {
        region: "us-east-2".into(),
        name: "coder".into(),
        endpoint: "https://127.0.0.1".into(),
        certificate_authority: "".into(),
    };
    let mut stack = Stack::new("apps");
    stack.at(&access, build);
    stack
}

/// All objects by address, with what is secret sealed.
fn objects(stack: &Stack) -> Map<String, Json> {
    let one = |(address, node): (&causeway_core::Address, &causeway_core::stack::Node)| {
        let mut spec = node.spec.clone();
        let fields = spec.as_object_mut().unwrap();
        fields.remove("tags");
        fields.insert("kind".into(), json!(node.kind));
        (address.0.clone(), spec)
    };
    stack.nodes().iter().map(one).collect()
}

fn golden(name: &str, stack: &Stack) {
    let sealed = Sealed::of(&Json::Object(objects(stack)), &SealKey::fixed("golden"));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!(name, sealed.as_json()));
}
