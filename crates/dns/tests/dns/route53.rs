//! Route 53 as the sandbox has it.

use crate::world::{World, address, registry, stack_in};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_route53::{config::Credentials, types as sdk};
use causeway_core::{Stack, plan::Action, testing::Lifecycle};
use causeway_dns::{
    Alias, Class, DnsZone, Name, Record,
    error::ProviderError,
    provider::{Change, Provider, SetChange, route53::Route53},
    record::{Entry, Kind},
    zone::Zone,
};
use std::sync::Arc;

struct There {
    client: aws_sdk_route53::Client,
    provider: Arc<Route53>,
    zone: Zone,
    place: DnsZone,
}

async fn config(account: &str) -> SdkConfig {
    let sandbox = causeway_sandbox::shared().unwrap_or_else(|e| panic!("{}", causeway_core::error::chain(e)));
    let (key, secret) = sandbox.credentials(account).unwrap();
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(sandbox.endpoint())
        .credentials_provider(Credentials::new(key, secret, None, None, "sandbox"))
        .region(Region::new("us-east-1"))
        .load()
        .await
}

impl There {
    /// An account of its own, with a zone.
    async fn new(account: &str) -> Self {
        let config = config(account).await;
        let client = aws_sdk_route53::Client::new(&config);
        let made =
            client.create_hosted_zone().name("example.com").caller_reference(account).send().await.unwrap();
        let id = made.hosted_zone().unwrap().id().trim_start_matches("/hostedzone/").to_owned();
        let zone = Zone { name: Name::parse("example.com").unwrap(), id: id.clone() };
        let place = DnsZone { name: "example.com".into(), account: "a".into(), id: None };
        There { client, provider: Arc::new(Route53::new(&config)), zone, place }
    }

    async fn there(&self) -> Vec<String> {
        let listed = self.provider.list(&self.zone).await.unwrap();
        let mut all: Vec<String> =
            listed.iter().map(|e| format!("{} {} {} {}", e.name, e.kind, e.handle, e.ttl)).collect();
        all.sort();
        all
    }

    /// Adds a set as somebody else would.
    async fn put(&self, set: sdk::ResourceRecordSet) {
        let change = sdk::Change::builder()
            .action(sdk::ChangeAction::Create)
            .resource_record_set(set)
            .build()
            .unwrap();
        let batch = sdk::ChangeBatch::builder().changes(change).build().unwrap();
        let request = self.client.change_resource_record_sets().hosted_zone_id(&self.zone.id);
        request.change_batch(batch).send().await.unwrap();
    }
}

#[tokio::test]
async fn records_live_on_route_53_and_foreign_ones_stay() {
    let there = There::new("000000000801").await;
    let value = |v: &str| sdk::ResourceRecord::builder().value(v).build().unwrap();
    let foreign = sdk::ResourceRecordSet::builder()
        .name("example.com.")
        .r#type(sdk::RrType::Txt)
        .ttl(60)
        .resource_records(value("\"v=spf1 \" \"-all\""))
        .resource_records(value("\"other\""));
    there.put(foreign.build().unwrap()).await;
    let theirs = there.there().await;
    let of = |class, values: &[&str]| {
        let record = Record::new("x.example.com", class, values.iter().map(|v| (*v).to_owned())).unwrap();
        (class.to_string(), record)
    };
    let alias = |target: &str, ipv6| {
        let mut record = Record::address("example.com", [target.to_owned()]).unwrap();
        record.alias = Some(Alias { zone: "Z3AADJGX6KTTL2".to_owned().into(), evaluate_health: true, ipv6 });
        ("apex".to_owned(), record)
    };
    let all = |address_of: &[&str], text: &str, alias| {
        let records = [
            of(Class::Txt, &["one", text]),
            of(Class::Mx, &["10 Mail.example.net."]),
            of(Class::Srv, &["0 5 443 host.example.net"]),
            of(Class::Caa, &["0 issue letsencrypt.org"]),
            ("all".to_owned(), address("*.ai.example.com", address_of)),
            alias,
        ];
        stack_in(&there.place, "prod", records)
    };
    let first = all(
        &["192.0.2.1", "2001:DB8::1"],
        &"long ".repeat(100),
        alias("LB-1.us-east-2.elb.amazonaws.com", false),
    );
    let mut life = Lifecycle::start(registry(there.provider.clone()), first).await;
    let second = all(&["192.0.2.2"], "short", alias("lb-2.us-east-2.elb.amazonaws.com", true));
    life.change("other values", second).await;
    let third = all(&["lb.example.net"], "short", alias("lb-2.us-east-2.elb.amazonaws.com", true));
    let steps = life.change("a name", third).await;
    assert_eq!(steps, [(crate::world::at("all"), Action::Update)]);
    let now = there.there().await;
    assert!(theirs.iter().all(|record| now.contains(record)), "{now:#?}");
    life.end().await;
    assert_eq!(there.there().await, theirs);
}

#[tokio::test]
async fn what_a_policy_chooses_from_is_left_alone() {
    let there = There::new("000000000802").await;
    let weighted = sdk::ResourceRecordSet::builder()
        .name("ai.example.com.")
        .r#type(sdk::RrType::A)
        .ttl(60)
        .set_identifier("blue")
        .weight(1)
        .resource_records(sdk::ResourceRecord::builder().value("192.0.2.1").build().unwrap());
    there.put(weighted.build().unwrap()).await;
    let theirs = there.there().await;
    let world = World::new(there.provider.clone());
    let adopt = causeway_core::plan::PlanOptions { adopt: true, ..Default::default() };
    for values in [["192.0.2.2"], ["lb.example.net"]] {
        let stack = stack_in(&there.place, "prod", [("ai", address("ai.example.com", &values))]);
        let told = match world.apply_with(&stack, &adopt).await {
            Ok(report) => report.failed[0].1.clone(),
            Err(told) => told,
        };
        assert!(told.contains("policy"), "{told}");
        assert_eq!(there.there().await, theirs);
    }
}

#[tokio::test]
async fn route_53_sees_that_somebody_was_quicker() {
    let there = There::new("000000000803").await;
    let name = Name::parse("new.example.com").unwrap();
    let change = |before: Vec<Entry>, after: Vec<Entry>| Change {
        sets: vec![SetChange { name: name.clone(), word: "A".into(), before, after }],
    };
    let one = |value: &str| vec![Entry::new(name.clone(), Kind::A, value, 300)];
    let make = change(vec![], one("192.0.2.1"));
    there.provider.change(&there.zone, std::slice::from_ref(&make)).await.unwrap();
    let before = there.there().await;
    let error = there.provider.change(&there.zone, &[make]).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
    assert_eq!(there.there().await, before);
}

/// Issue 6, D 5: in chunks of 1,000 records and 32,000 characters.
#[tokio::test]
async fn hundreds_of_changes_go_out_in_chunks_that_route_53_takes() {
    let there = There::new("000000000804").await;
    let theirs = there.there().await;
    let world = World::new(there.provider.clone());
    let wanted = |target: &'static str| {
        let records = (0..200).map(|n| (format!("n{n}"), address(&format!("n{n}.example.com"), &[target])));
        stack_in(&there.place, "prod", records)
    };
    world.settle(&wanted("lb.example.net")).await;
    world.settle(&wanted("other.example.net")).await;
    assert_eq!(there.there().await.len(), theirs.len() + 400);
    world.settle(&Stack::new("prod")).await;
    assert_eq!(there.there().await, theirs);
}

#[tokio::test]
async fn a_zone_that_route_53_does_not_have_is_told() {
    let there = There::new("000000000805").await;
    let zone = Zone { id: "Z0NOTHERE".into(), ..there.zone.clone() };
    let error = there.provider.list(&zone).await.unwrap_err();
    assert!(error.to_string().contains("NoSuchHostedZone"), "{error}");
    let world = World::new(there.provider.clone());
    let elsewhere = DnsZone { name: "example.org".into(), account: "a".into(), id: None };
    let stack = stack_in(&elsewhere, "prod", [("ai", address("ai.example.org", &["192.0.2.1"]))]);
    let told = world.apply(&stack).await.unwrap_err();
    assert!(told.contains("show no zone `example.org`: they show `example.com`"), "{told}");
}

#[tokio::test]
async fn random_stacks_settle_on_route_53() {
    let there = There::new("000000000806").await;
    crate::properties::settle_random_stacks(there.provider.clone(), &there.zone, 8).await;
}
