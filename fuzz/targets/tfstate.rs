//! States of Terraform and OpenTofu. What is read is what an equal document in other words says; nothing that is read or
//! told depends on a field that may hold a secret.
#![no_main]

mod common;

use causeway_aws::terraform::parse;
use common::{CANARY, leaks, told};
use serde_json::Value as Json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let read = parse(data, HOME);
    if let Err(error) = &read {
        told(error);
    }
    let Ok(mut json) = serde_json::from_slice::<Json>(data) else { return };
    if let Ok(named) = &read {
        assert!(named.candidates.iter().all(|c| !c.identity.is_empty()), "what is named has a name");
        assert_eq!(
            parse(json.to_string().as_bytes(), HOME).as_ref().ok(),
            Some(named),
            "the same in other words"
        );
    }
    if leaks(&json.to_string()) {
        return;
    }
    poison(&mut json);
    match parse(json.to_string().as_bytes(), HOME) {
        Ok(named) => {
            assert!(!leaks(&format!("{named:?}")), "a secret was read: {named:?}");
            if let Ok(before) = read {
                assert_eq!(named, before, "what may be secret makes no difference");
            }
        }
        Err(error) => assert!(!leaks(&told(&error)), "a secret is told: {error:?}"),
    }
});

/// The attributes that name things, and are therefore no secrets.
const NAMES: [&str; 11] = [
    "id",
    "arn",
    "region",
    "name",
    "identifier",
    "family",
    "bucket",
    "key_id",
    "zone_id",
    "alarm_name",
    "node_group_name",
];

/// Where what says no region is.
const HOME: &str = "us-east-1";

/// Puts a canary into all values of outputs, of attributes that name nothing, and of what providers keep for themselves.
fn poison(state: &mut Json) {
    if let Some(outputs) = state.get_mut("outputs") {
        *outputs = CANARY.into();
    }
    let resources = state.get_mut("resources").and_then(Json::as_array_mut);
    let instances = resources.into_iter().flatten().filter_map(|r| r.get_mut("instances"));
    for instance in instances.filter_map(Json::as_array_mut).flatten().filter_map(Json::as_object_mut) {
        for (key, value) in instance.iter_mut() {
            match (key.as_str(), value) {
                ("attributes", Json::Object(attributes)) => {
                    let secret = attributes.iter_mut().filter(|(name, _)| !NAMES.contains(&name.as_str()));
                    secret.for_each(|(_, value)| *value = CANARY.into());
                }
                ("index_key" | "deposed" | "attributes", _) => {}
                (_, value) => *value = CANARY.into(),
            }
        }
    }
}
