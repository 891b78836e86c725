//! Zones and records in the sandbox.
#![cfg(feature = "route53")]

use crate::by_hand::One;
use crate::changes::life;
use causeway_aws::{
    Aws,
    id::HostedZoneId,
    route53::{ExistingHostedZone, HostedZone, Record},
};
use causeway_core::{Cx, Resource, Set, Tags};

const ACCOUNT: &str = "000000003105";

fn name(test: &str) -> String {
    format!("{test}-{}.example.com", std::process::id())
}

fn zone(name: &str) -> HostedZone {
    HostedZone {
        comment: Some("for people".into()),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..HostedZone::public(name)
    }
}

fn zone_changes(name: &str) -> Vec<(HostedZone, &'static [&'static str])> {
    let one = HostedZone {
        comment: Some("for others".into()),
        tags: Tags::from([("team", "other")]),
        ..zone(name)
    };
    let two = HostedZone { comment: None, ..one.clone() };
    vec![(one, &["comment", "tags.cost", "tags.team"]), (two, &["comment"])]
}

fn record(zone: &HostedZoneId, name: &str) -> Record {
    Record::new(zone.clone(), format!("*.Coder.{name}."), "A", ["10.0.0.2", "10.0.0.1"])
}

fn record_changes(zone: &HostedZoneId, name: &str) -> Vec<(Record, &'static [&'static str])> {
    let one = Record { ttl: Some(60), values: ["10.0.0.3"].into_iter().collect(), ..record(zone, name) };
    let two = Record { ttl: None, ..one.clone() };
    let target = HostedZoneId::from("Z3AADJGX6KTTL2");
    let target =
        Record::alias(zone.clone(), "x".to_owned(), "Web-1.us-east-2.elb.amazonaws.com".to_owned(), target);
    let three = Record { ttl: None, values: Set::default(), alias: target.alias, ..one.clone() };
    vec![(one, &["ttl", "values"]), (two, &["ttl"]), (three, &["alias", "values"])]
}

fn text(zone: &HostedZoneId, name: &str) -> Record {
    Record::new(zone.clone(), name.to_owned(), "TXT", ["v=spf1 -all".to_owned(), "say \"hi\" ".repeat(60)])
}

async fn with_zone(aws: &Aws, name: &str) -> (HostedZoneId, One<'static, HostedZone>) {
    // The client lives as long as the test.
    let aws: &'static Aws = Box::leak(Box::new(aws.clone()));
    let mut one = One::new(aws, name);
    let (live, _) = one.apply(&zone(name)).await;
    assert_eq!(live.outputs.name_servers.len(), 4);
    (live.outputs.zone_id, one)
}

#[tokio::test]
async fn zones_live_and_die() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let name = name("zones");
    life(One::new(&aws, &name), zone(&name), zone_changes(&name)).await;
}

#[tokio::test]
async fn a_zone_without_its_tags_is_found_by_its_caller_reference() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let name = name("lost");
    let mut one = One::new(&aws, &name);
    // The run ended right after the create.
    zone(&name).create(&one.cx()).await.unwrap();
    assert!(One::new(&aws, "another").read(&zone(&name)).await.is_none());
    let (_, touched) = one.apply(&zone(&name)).await;
    assert!(touched.iter().any(|t| t.starts_with("tags")), "{touched:?}");
    one.delete(&zone(&name)).await;
}

#[tokio::test]
async fn records_live_and_die() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let name = name("records");
    let (id, zone_life) = with_zone(&aws, &name).await;
    life(One::new(&aws, "record"), record(&id, &name), record_changes(&id, &name)).await;
    life(One::new(&aws, "text"), text(&id, &name), vec![]).await;
    zone_life.delete(&zone(&name)).await;
    // With their zone, the records are gone too.
    assert!(One::new(&aws, "text").read(&text(&id, &name)).await.is_none());
}

#[tokio::test]
async fn a_record_of_somebody_else_is_not_overwritten() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let name = name("taken");
    let (id, zone_life) = with_zone(&aws, &name).await;
    let mut theirs = One::new(&aws, "theirs");
    theirs.apply(&record(&id, &name)).await;
    let ours = record_changes(&id, &name).remove(0).0;
    let one = One::new(&aws, "ours");
    assert!(ours.create(&one.cx()).await.is_err());
    let (_, touched) = theirs.apply(&record(&id, &name)).await;
    assert!(touched.is_empty(), "{touched:?}");
    theirs.delete(&record(&id, &name)).await;
    zone_life.delete(&zone(&name)).await;
}

#[tokio::test]
async fn an_existing_zone_is_found_by_a_name_in_it() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let name = name("existing");
    let (id, zone_life) = with_zone(&aws, &name).await;
    let address = "zone".into();
    let cx = Cx { client: &aws, address: &address, instance: "", recorded: None };
    let found = ExistingHostedZone::holding(&format!("a.b.{name}")).read(&cx).await.unwrap().unwrap();
    assert_eq!(found.outputs.zone_id, id);
    assert_eq!(found.outputs.zone_name, name);
    let missing = ExistingHostedZone { private: true, ..ExistingHostedZone::holding(&name) };
    assert!(missing.read(&cx).await.unwrap().is_none());
    assert!(missing.create(&cx).await.unwrap_err().to_string().contains("no private hosted zone"));
    zone_life.delete(&zone(&name)).await;
}
