//! Saved plans: what is applied is what was saved, or nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use base64::Engine;
use causeway_core::{
    guard::{Rules, guard},
    plan::PlanOptions,
    saved::{Program, SavedError, SavedPlan},
    signature::{PublicKey, SigningKey},
    testing::crash::Sim,
};
use serde_json::json;
use web::{Web, nothing};

fn program() -> Program {
    Program { version: "1.2.3".into(), build: "ab".repeat(32) }
}

fn key(n: u8) -> SigningKey {
    // PKCS#8 of any 32 bytes: RFC 8410, 7.
    let der =
        [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &[n; 32]].concat();
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    SigningKey::parse(&format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")).unwrap()
}

fn read(text: &str) -> Result<SavedPlan, SavedError> {
    SavedPlan::read(text.as_bytes(), &program()).map(|(plan, _)| plan)
}

async fn standing() -> Sim {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    sim
}

async fn saved(sim: &Sim, web: &Web) -> SavedPlan {
    let planned = sim.engine().plan(&web.stack(), &PlanOptions::default()).await.unwrap();
    let saved = SavedPlan::of(&planned, &PlanOptions::default(), &program(), "sim-1");
    read(&saved.text(None)).unwrap()
}

async fn moved(sim: &Sim, web: &Web, saved: &SavedPlan) -> Vec<String> {
    let planned = sim.engine().plan(&web.stack(), &saved.options()).await.unwrap();
    saved.deviations(&planned).into_iter().map(|m| format!("{} {}", m.address, m.why)).collect()
}

fn larger() -> Web {
    Web { gateway_size: Some(2), count: 3, ..Web::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_what_was_written_and_its_digest_follows_its_content() {
    let sim = standing().await;
    let one = saved(&sim, &larger()).await;
    assert_eq!(read(&one.text(None)).unwrap(), one);
    assert_eq!(saved(&sim, &larger()).await.digest(), one.digest());
    assert_ne!(saved(&sim, &Web { count: 4, ..larger() }).await.digest(), one.digest());
    assert!(one.text(None).contains(&one.digest()));
    assert!(!one.text(None).contains("canary"), "a saved plan holds no secret");
    assert!(!saved(&Sim::new(1), &Web::default()).await.text(None).contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_altered_or_made_elsewhere_is_refused() {
    let sim = standing().await;
    let text = saved(&sim, &larger()).await.text(None);
    for (from, to) in [
        ("\"to\":3", "\"to\":4"),
        ("\"only\":[]", "\"only\":[\"x\"]"),
        ("\"digest\":\"", "\"digest\":\"0"),
        ("\"stack\":\"web\"", "\"stack\":\"web\",\"more\":1"),
    ] {
        assert!(text.contains(from), "{from}");
        let altered = read(&text.replacen(from, to, 1));
        assert!(matches!(altered, Err(SavedError::Altered { .. })), "{from}: {altered:?}");
    }
    for other in
        [Program { version: "1.2.4".into(), ..program() }, Program { build: "cd".repeat(32), ..program() }]
    {
        let refused = SavedPlan::read(text.as_bytes(), &other);
        assert!(matches!(refused, Err(SavedError::OtherProgram { .. })), "{refused:?}");
    }
    for none in ["", "{}", "[1]", "{\"digest\":\"x\"}", "name = 1"] {
        assert!(matches!(read(none), Err(SavedError::Decode(_))), "{none}");
    }
    // What is laid out otherwise may hide something: a key twice, of which a reader sees the first.
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(read(&serde_json::to_string_pretty(&json).unwrap()).is_err());
    assert!(read(&text.replacen("\"only\":[]", "\"only\":[\"x\"],\"only\":[]", 1)).is_err());
}

/// Every byte in turn becomes others.
fn every_byte_counts(text: &str) {
    let bytes = text.as_bytes();
    for i in 0..bytes.len() {
        for other in [bytes[i] ^ 1, bytes[i] ^ 0x20, b' ', b'0', 0xff] {
            let mut altered = bytes.to_vec();
            altered[i] = other;
            let read = SavedPlan::read(&altered, &program());
            assert!(other == bytes[i] || read.is_err(), "byte {i}, {:?} as {other}", char::from(bytes[i]));
        }
        let cut = SavedPlan::read(&bytes[..i], &program());
        assert!(cut.is_err(), "cut at {i}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_byte_of_a_saved_plan_can_be_changed() {
    let sim = standing().await;
    let plan = saved(&sim, &Web { gateway_size: Some(2), ..Web::default() }).await;
    every_byte_counts(&plan.text(None));
    every_byte_counts(&plan.text(Some(&key(1))));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]
    #[test]
    fn whatever_is_done_to_a_saved_plan_is_seen(
        edits in proptest::collection::vec((0usize..100_000, proptest::prelude::any::<u8>(), 0u8..3), 1..4)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let text = runtime.block_on(async {
            let sim = standing().await;
            saved(&sim, &larger()).await.text(Some(&key(1)))
        });
        let mut bytes = text.clone().into_bytes();
        for (at, byte, how) in edits {
            let at = at % bytes.len();
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        proptest::prop_assume!(bytes != text.as_bytes());
        proptest::prop_assert!(SavedPlan::read(&bytes, &program()).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_signature_says_who_approved_the_plan_and_nobody_else_can_give_it() {
    let sim = standing().await;
    let plan = saved(&sim, &larger()).await;
    let who = |text: &str| SavedPlan::read(text.as_bytes(), &program()).map(|(_, signer)| signer);
    assert_eq!(who(&plan.text(None)).unwrap(), None);
    let signed = plan.text(Some(&key(1)));
    assert_eq!(who(&signed).unwrap(), Some(key(1).public()));
    assert!(signed.contains(&plan.digest()), "the digest is that of the plan, signed or not");
    // Another plan under the same signature, and the name of another under it.
    let other = saved(&sim, &Web { count: 4, ..larger() }).await;
    let signature =
        |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["signature"].clone();
    let mut json: serde_json::Value = serde_json::from_str(&other.text(None)).unwrap();
    json["signature"] = signature(&signed);
    let moved = who(&format!("{json}\n"));
    assert!(matches!(moved, Err(SavedError::Signature(_))), "{moved:?}");
    let forged = signed.replace(&key(1).public().line(), &key(2).public().line());
    assert_ne!(forged, signed);
    assert!(matches!(who(&forged), Err(SavedError::Signature(_))));
    for key in [PublicKey::parse(&key(1).public().line()).unwrap(), key(1).public()] {
        assert_eq!(key.to_string(), key.to_string());
        assert!(key.to_string().starts_with("SHA256:"));
    }
}

#[tokio::test(start_paused = true)]
async fn where_signatures_are_wanted_a_plan_without_one_is_refused() {
    let sim = standing().await;
    let plan = sim.plan(&larger().stack(), &PlanOptions::default()).await.unwrap();
    let rules = |signed_by| Rules { signers: [key(1).public()].into(), signed_by, ..Rules::default() };
    let why =
        |signed_by| guard(&plan, &rules(signed_by)).into_iter().map(|r| (r.rule, r.why)).collect::<Vec<_>>();
    assert!(why(Some(key(1).public())).is_empty());
    let none = why(None);
    assert!(none.len() == 1 && none[0].0 == "signature" && none[0].1.contains("--sign"), "{none:?}");
    assert!(why(Some(key(2).public()))[0].1.contains("which is no key of `plan_signers`"));
    let nothing = sim.plan(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    assert!(guard(&nothing, &rules(None)).is_empty(), "there is nothing to approve");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_still_holds_has_nothing_moved() {
    let sim = standing().await;
    let plan = saved(&sim, &larger()).await;
    assert!(moved(&sim, &larger(), &plan).await.is_empty());
    let engine = sim.engine();
    let planned = engine.plan(&larger().stack(), &plan.options()).await.unwrap();
    let report = engine.apply(planned, &causeway_core::engine::Run::default()).await.unwrap();
    assert!(report.is_complete());
    let left = moved(&sim, &larger(), &plan).await;
    assert!(left.contains(&"service was to be changed, and is not any more".to_owned()), "{left:?}");
    assert_eq!(left.len(), plan.plan.steps.len());
}

#[tokio::test(start_paused = true)]
async fn the_resource_that_moved_is_named() {
    let sim = standing().await;
    let plan = saved(&sim, &larger()).await;
    sim.cloud.tamper("sim.service", "service", "count", json!(9));
    assert_eq!(
        moved(&sim, &larger(), &plan).await,
        ["service has changed since the plan was made: count: 2 -> 9"]
    );
}

#[tokio::test(start_paused = true)]
async fn another_configuration_is_another_plan() {
    let sim = standing().await;
    let plan = saved(&sim, &larger()).await;
    let other = Web { count: 4, policy: "write", ..larger() };
    assert_eq!(
        moved(&sim, &other, &plan).await,
        [
            "role is not in the plan, and would be changed now",
            "service would be changed otherwise now: count: 3 -> 4",
        ]
    );
    let secret = Web { password: "another-canary", ..larger() };
    assert_eq!(moved(&sim, &secret, &plan).await, ["database is not in the plan, and would be changed now"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_plan_and_a_last_one_can_be_saved_too() {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    let first = saved(&sim, &Web::default()).await;
    assert!(moved(&sim, &Web::default(), &first).await.is_empty());
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    let engine = sim.engine();
    let planned = engine.plan(&nothing(), &PlanOptions::default()).await.unwrap();
    let last = SavedPlan::of(&planned, &PlanOptions::default(), &program(), "sim-1");
    assert!(last.deviations(&engine.plan(&nothing(), &last.options()).await.unwrap()).is_empty());
    sim.cloud.tamper("sim.gateway", "network/gateway", "size", json!(2));
    let now = last.deviations(&engine.plan(&nothing(), &last.options()).await.unwrap());
    assert_eq!(now.iter().map(|m| m.address.0.as_str()).collect::<Vec<_>>(), ["network/gateway"]);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_goes_on_elsewhere_does_not_matter() {
    let sim = standing().await;
    let only = PlanOptions { only: vec!["service".into()], ..PlanOptions::default() };
    let planned = sim.engine().plan(&larger().stack(), &only).await.unwrap();
    let plan = SavedPlan::of(&planned, &only, &program(), "sim-1");
    let gateway = PlanOptions { only: vec!["network/*".into()], ..PlanOptions::default() };
    sim.run(&larger().stack(), &gateway).await.unwrap();
    assert!(sim.state().seq > plan.plan.after);
    assert!(moved(&sim, &larger(), &plan).await.is_empty());
}

/// Found by fuzzing: half of the numbers with all their digits came back as their neighbours, and such a plan was refused
/// as altered.
#[test]
fn numbers_read_back_to_the_last_digit() {
    for number in [-7.312715117751975e-237, 4.8986194852115666e206, 0.1 + 0.2, f64::MAX, 5e-324] {
        let text = serde_json::to_string(&number).unwrap();
        assert_eq!(serde_json::from_str::<f64>(&text).unwrap(), number, "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string(), text);
    }
}
