//! Cloudflare as the sandbox has it: with the documented checks, codes and limits, and with faults.

use crate::world::{World, address, at, stack_in};
use causeway_core::{Stack, plan::Action, testing::Lifecycle};
use causeway_dns::{
    Class, DnsZone, Name, Record,
    provider::{
        Provider,
        cloudflare::{Account, Cloudflare, Plan},
    },
    record::{Entry, Kind},
    zone::Zone,
};
use causeway_sandbox::cloudflare::{self as sandbox, Act, Options, Rule, Token};
use std::{sync::Arc, time::Instant};

pub(crate) struct There {
    pub(crate) cloud: sandbox::Cloudflare,
    pub(crate) place: DnsZone,
    pub(crate) zone: Zone,
    pub(crate) token: String,
    plan: Plan,
}

impl There {
    pub(crate) async fn new(plan: Plan) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let cloud = sandbox::Cloudflare::start(Options::default()).await.unwrap();
        let paid = if plan == Plan::Free { sandbox::Plan::Free } else { sandbox::Plan::Pro };
        let id = cloud.add_zone(sandbox::Zone::new("example.com").plan(paid)).unwrap();
        let token = cloud.add_token(Token::dns("test"));
        let zone = Zone { name: Name::parse("example.com").unwrap(), id: id.clone() };
        let place = DnsZone { name: "example.com".into(), account: "a".into(), id: Some(id) };
        There { cloud, place, zone, token, plan }
    }

    fn provider(&self) -> Arc<Cloudflare> {
        let (endpoint, token) = (self.cloud.endpoint(), self.token.as_str().into());
        Arc::new(Cloudflare::new(Account { endpoint, token, plan: self.plan, calls: None }).unwrap())
    }

    fn world(&self) -> World<Cloudflare> {
        World::new(self.provider())
    }

    fn stack(&self, records: impl IntoIterator<Item = (String, Record)>) -> Stack {
        stack_in(&self.place, "prod", records)
    }

    /// What is in the zone, as `name type content`, marks left out.
    fn said(&self) -> Vec<String> {
        let records = self.cloud.records("example.com");
        let plain = records.iter().filter(|r| !r.content.contains("heritage="));
        let mut said: Vec<String> = plain.map(|r| format!("{} {} {}", r.name, r.kind, r.content)).collect();
        said.sort();
        said
    }

    fn operations(&self) -> Vec<String> {
        self.cloud.calls().into_iter().map(|call| call.operation).collect()
    }
}

fn named(names: &[&str], target: &str) -> Vec<(String, Record)> {
    let one = |n: &&str| (n.replace('*', "all"), address(&format!("{n}.example.com"), &[target]));
    names.iter().map(one).collect()
}

const SIX: [&str; 6] =
    ["ai", "*.ai", "oregon-proxy.ai", "*.oregon-proxy.ai", "emea-proxy.ai", "*.emea-proxy.ai"];

fn six() -> Vec<(String, Record)> {
    let lbs = [
        "LB-1.us-east-2.elb.amazonaws.com",
        "lb-2.us-west-2.elb.amazonaws.com",
        "lb-3.eu-west-2.elb.amazonaws.com",
    ];
    lbs.iter().zip(SIX.chunks(2)).flat_map(|(lb, names)| named(names, lb)).collect()
}

#[tokio::test]
async fn every_class_lives_as_every_kind_does() {
    let there = There::new(Plan::Paid).await;
    let of = |class, values: &[&str]| {
        let mut record = Record::new("x.example.com", class, values.iter().map(|v| (*v).to_owned())).unwrap();
        record.comment = Some("from a test".into());
        (class.to_string(), record)
    };
    let all = |address: &[&str], text: &str| {
        there.stack([
            of(Class::Address, address),
            of(Class::Txt, &["v=spf1 -all", text]),
            of(Class::Mx, &["10 Mail.example.com."]),
            of(Class::Srv, &["0 5 443 host.example.com"]),
            of(Class::Caa, &["0 issue letsencrypt.org", "128 iodef mailto:a@example.com"]),
        ])
    };
    let registry = crate::world::registry(there.provider());
    let mut life = Lifecycle::start(registry, all(&["192.0.2.1", "2001:DB8::1"], &"long ".repeat(100))).await;
    life.change("other values", all(&["192.0.2.2"], "short \"and\" quoted; \\ and ü")).await;
    let steps = life.change("a name", all(&["LB.example.net"], "short")).await;
    assert!(steps.contains(&(at("address"), Action::Update)));
    life.end().await;
    assert!(there.cloud.records("example.com").is_empty());
}

/// Issue 6, D 1: six records, twice; then a load balancer is replaced.
#[tokio::test]
async fn six_records_take_two_calls_and_a_replaced_load_balancer_one_change() {
    let there = There::new(Plan::Free).await;
    let world = there.world();
    assert!(world.apply(&there.stack(six())).await.unwrap().is_complete());
    assert_eq!(there.operations(), ["records:list", "records:batch"]);
    assert_eq!((there.said().len(), there.cloud.records("example.com").len()), (6, 12));
    there.cloud.reset_calls();
    assert!(world.apply(&there.stack(six())).await.unwrap().done.is_empty());
    assert_eq!(there.operations(), ["records:list"]);
    let before = there.cloud.records("example.com");
    let mut moved = six();
    moved[0].1 = address("ai.example.com", &["lb-9.us-east-2.elb.amazonaws.com"]);
    assert!(world.apply(&there.stack(moved)).await.unwrap().is_complete());
    let after = there.cloud.records("example.com");
    let changed: Vec<&str> = after.iter().filter(|r| !before.contains(r)).map(|r| r.name.as_str()).collect();
    assert_eq!((changed, after.len()), (vec!["ai.example.com"], 12));
}

/// Issue 6, D 5.
#[tokio::test]
async fn two_hundred_changes_among_ten_thousand_records_take_two_pages_and_the_chunks() {
    for (plan, chunks) in [(Plan::Free, 2), (Plan::Paid, 1)] {
        let there = There::new(plan).await;
        let provider = there.provider();
        let fill: Vec<_> = (0..9_800).map(|n| (format!("o{n}"), format!("o{n}.example.com"))).collect();
        for some in fill.chunks(if plan == Plan::Free { 200 } else { 3500 }) {
            let sets = some.iter().map(|(_, name)| {
                let name = Name::parse(name).unwrap();
                let after = vec![Entry::new(name.clone(), Kind::A, "192.0.2.1", 1)];
                causeway_dns::provider::SetChange { name, word: "A".into(), before: vec![], after }
            });
            let change = causeway_dns::provider::Change { sets: sets.collect() };
            provider.change(&there.zone, &[change]).await.unwrap();
        }
        let hundred: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
        let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
        let world = there.world();
        world.settle(&there.stack(named(&hundred, "lb.example.net"))).await;
        assert_eq!(there.cloud.records("example.com").len(), 10_000);
        there.cloud.reset_calls();
        // A hundred to be changed, and a hundred to be made, of which half are marks.
        let mut next = named(&hundred, "other.example.net");
        let new: Vec<String> = (0..100).map(|n| format!("m{n}")).collect();
        next.extend(named(&new.iter().map(String::as_str).collect::<Vec<_>>(), "lb.example.net"));
        let begun = Instant::now();
        let report = world.apply(&there.stack(next)).await.unwrap();
        assert!(report.is_complete(), "{:?}", report.failed);
        let calls = there.operations();
        println!("{plan:?}: {} calls, {:?}", calls.len(), begun.elapsed());
        let count = |of: &str| calls.iter().filter(|o| *o == of).count();
        assert_eq!((count("records:list"), count("records:batch"), calls.len()), (2, chunks, 2 + chunks));
    }
}

/// Whatever happens to a call, the run or the next one ends with six records and six marks.
#[tokio::test]
async fn faults_cost_nothing_but_time() {
    for act in [
        Act::TooMany(1),
        Act::TooManySilently,
        Act::ErrorBefore,
        Act::ErrorAfter,
        Act::HtmlBefore,
        Act::HtmlAfter,
        Act::Truncated,
        Act::CutBefore,
        Act::CutAfter,
        Act::CutNext,
    ] {
        for operation in ["records:list", "records:batch"] {
            let there = There::new(Plan::Free).await;
            let rule = Rule {
                operation: operation.into(),
                access_key: None,
                region: None,
                changes: false,
                probability: 1.0,
                seed: None,
                skip: 0,
                times: Some(1),
                bucket: None,
                act,
            };
            there.cloud.rules().add(rule);
            let report = there.world().apply(&there.stack(six())).await.unwrap();
            assert!(report.is_complete(), "{act:?} at {operation}: {report:?}");
            let names = (there.said().len(), there.cloud.records("example.com").len());
            assert_eq!(names, (6, 12), "{act:?} at {operation}");
        }
    }
}

#[tokio::test]
async fn a_token_that_may_only_read_changes_nothing_and_is_told() {
    let mut there = There::new(Plan::Free).await;
    there.token = there.cloud.add_token(Token::new("reader").zone_read().dns_read());
    let report = there.world().apply(&there.stack(six())).await.unwrap();
    assert_eq!(report.failed.len(), 6);
    assert!(report.failed[0].1.contains("give it DNS:Edit"), "{report:?}");
    there.token = there.cloud.add_token(Token::new("stranger"));
    let told = there.world().apply(&there.stack(six())).await.unwrap_err();
    assert!(told.contains("has Zone:Read and DNS:Read"), "{told}");
    assert!(there.cloud.records("example.com").is_empty());
}

/// Cloudflare does not take an address that nobody reaches behind its proxy (9003). The others go through.
#[tokio::test]
async fn a_bad_record_is_told_in_cloudflares_words_and_keeps_no_other_back() {
    let there = There::new(Plan::Free).await;
    let mut records = six();
    let mut bad = address("bad.example.com", &["10.0.0.1"]);
    bad.proxied = Some(true);
    records.push(("bad".into(), bad));
    let report = there.world().apply(&there.stack(records)).await.unwrap();
    let [(which, why)] = &report.failed[..] else { panic!("{report:?}") };
    assert_eq!(which, &at("bad"));
    assert!(why.contains("9003"), "{why}");
    assert_eq!(there.said().len(), 6);
}

/// What people do in the dashboard stays theirs.
#[tokio::test]
async fn what_nobody_speaks_of_stays_as_people_set_it() {
    let there = There::new(Plan::Paid).await;
    let world = there.world();
    let mut with = address("ai.example.com", &["lb.example.net"]);
    (with.comment, with.proxied, with.ttl) = (Some("people's words".into()), Some(true), None);
    with.labels = Some(["team:dns".to_owned()].into_iter().collect());
    // Another stack stands for people: its marks are taken away.
    let people = World::new(there.provider());
    people.settle(&stack_in(&there.place, "people", [("ai", with)])).await;
    let listed = there.provider().list(&there.zone).await.unwrap();
    let marks: Vec<Entry> = listed.into_iter().filter(|e| e.kind == Kind::Txt).collect();
    let word = "TXT".to_owned();
    let gone =
        causeway_dns::provider::SetChange { name: marks[0].name.clone(), word, before: marks, after: vec![] };
    there
        .provider()
        .change(&there.zone, &[causeway_dns::provider::Change { sets: vec![gone] }])
        .await
        .unwrap();
    let ours = there.stack([("ai".to_owned(), address("ai.example.com", &["lb-2.example.net"]))]);
    let adopt = causeway_core::plan::PlanOptions { adopt: true, ..Default::default() };
    assert!(world.apply_with(&ours, &adopt).await.unwrap().is_complete());
    let records = there.cloud.records("example.com");
    let record = records.iter().find(|r| r.kind == "CNAME").unwrap();
    assert_eq!(record.content, "lb-2.example.net");
    assert_eq!((record.comment.as_deref(), record.proxied), (Some("people's words"), true));
    assert_eq!(record.tags, ["team:dns"]);
    world.settle(&ours).await;
}

#[tokio::test]
async fn random_stacks_settle_on_the_sandboxes_cloudflare() {
    let there = There::new(Plan::Free).await;
    crate::properties::settle_random_stacks(there.provider(), &there.zone, 25).await;
    assert!(there.cloud.records("example.com").is_empty());
}
