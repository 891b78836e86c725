//! Saved plans. What is read is written as it was; of a signed plan no byte can be altered; any plan can be judged and
//! shown, and data never goes unasked.
#![no_main]

mod common;

use causeway_core::{
    guard::{Rules, guard},
    plan::Plan,
    render,
    saved::{Program, SavedPlan},
    signature::SigningKey,
};
use common::{choose, told};
use serde_json::Value as Json;
use std::sync::LazyLock;

/// RFC 8410, 10.3.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";

static SIGNER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::parse(KEY).expect("a key"));

fn program() -> Program {
    Program { version: "1".into(), build: "b".into() }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    match SavedPlan::read(data, &program()) {
        Ok((plan, None)) => assert_eq!(plan.text(None).as_bytes(), data, "there is one way to write a plan"),
        Ok((plan, Some(_))) => reads_back(&plan),
        Err(error) => drop(told(&error)),
    }
    // A digest keeps nearly all of what is made up out, so it is put right.
    let Ok(json) = serde_json::from_slice::<Json>(data) else { return };
    if let Ok(saved) = serde_json::from_value::<SavedPlan>(json.clone()) {
        let saved = SavedPlan { format: causeway_core::saved::FORMAT, program: program(), ..saved };
        reads_back(&saved);
        cannot_be_altered(&saved, data);
        can_be_shown(&saved.plan);
    } else if let Ok(plan) = serde_json::from_value::<Plan>(json) {
        can_be_shown(&plan);
    }
});

fn reads_back(saved: &SavedPlan) {
    let (again, nobody) =
        SavedPlan::read(saved.text(None).as_bytes(), &program()).expect("what was written is read");
    assert_eq!((&again, nobody), (saved, None));
    assert_eq!(again.digest(), saved.digest());
}

fn cannot_be_altered(saved: &SavedPlan, data: &[u8]) {
    let text = saved.text(Some(&SIGNER)).into_bytes();
    let (again, signer) = SavedPlan::read(&text, &program()).expect("what was signed is read");
    assert_eq!((&again, signer), (saved, Some(SIGNER.public())));
    let mut altered = text.clone();
    let at = choose(data, 0, text.len());
    match choose(data, 1, 5) {
        0 => altered[at] ^= 1 << choose(data, 2, 8),
        1 => altered.truncate(at),
        2 => drop(altered.remove(at)),
        3 => altered.insert(at, b" 0\"}\n"[choose(data, 2, 5)]),
        _ => altered.swap(at, choose(data, 2, text.len())),
    }
    if altered == text {
        return;
    }
    let read = SavedPlan::read(&altered, &program());
    assert!(read.is_err(), "altered at {at}: {}", String::from_utf8_lossy(&altered));
}

fn can_be_shown(plan: &Plan) {
    let refusals = guard(plan, &Rules::default());
    for step in plan.steps.iter().filter(|s| s.data && s.action.removes()) {
        assert!(refusals.iter().any(|r| r.address.as_ref() == Some(&step.address)), "data goes unasked");
    }
    for shown in [render::plan(plan, true), render::plan(plan, false), render::summary(plan)] {
        assert!(!shown.is_empty());
    }
    let _ = (render::refusals(&refusals), plan.digest(), plan.is_empty());
}
