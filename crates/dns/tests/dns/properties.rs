//! What holds for whatever is in a zone and whatever is wanted.

use crate::world::{World, ZONE, stack, stack_in};
use causeway_core::{Stack, plan::PlanOptions};
use causeway_dns::{
    Class, DnsZone, Record,
    provider::{
        Provider,
        memory::{Cut, Manner, Memory},
    },
    record::{Entry, Kind},
    zone::Zone,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::{sync::Arc, time::Duration};

/// Names that meet: a wildcard, the zone itself, and places of marks of others.
const NAMES: [&str; 5] =
    ["ai.example.com", "*.ai.example.com", "example.com", "a-ai.example.com", "deep.x.example.com"];

fn record() -> impl Strategy<Value = Record> {
    let ip = (1u8..4).prop_map(|n| format!("192.0.2.{n}"));
    let ips = proptest::collection::btree_set(ip, 1..3).prop_map(|ips| ips.into_iter().collect::<Vec<_>>());
    let both = Just(vec!["192.0.2.9".to_owned(), "2001:DB8::1".to_owned()]);
    let cname =
        prop_oneof![Just(vec!["LB-1.example.net".to_owned()]), Just(vec!["lb-2.example.net.".to_owned()])];
    let text = "[ -~]{0,300}".prop_map(|t| vec![t.replace('"', "'")]);
    let of = prop_oneof![
        4 => prop_oneof![ips, both, cname].prop_map(|values| (Class::Address, values)),
        1 => text.prop_map(|values| (Class::Txt, values)),
        1 => Just((Class::Mx, vec!["10 Mail.example.net".to_owned()])),
        1 => Just((Class::Caa, vec!["0 issue letsencrypt.org".to_owned()])),
    ];
    let ttl = proptest::option::of(prop_oneof![Just(0), Just(5), Just(300), Just(1_000_000)]);
    let proxied = proptest::option::of(any::<bool>());
    (of, ttl, proxied).prop_map(|((class, values), ttl, proxied)| {
        let mut record = Record::new("x.example.com", class, values).unwrap();
        record.ttl = ttl;
        record.proxied = proxied.filter(|_| class == Class::Address);
        record
    })
}

fn named(record: &Record) -> &str {
    record.name.get().unwrap()
}

/// What one stack wants: at most one record at each address, no two of the same class at one name, nothing beside a CNAME.
fn wanted() -> impl Strategy<Value = Vec<(String, Record)>> {
    let one = (0..NAMES.len(), record());
    proptest::collection::vec(one, 0..6).prop_map(|records| {
        let mut out: Vec<(String, Record)> = vec![];
        for (name, mut record) in records {
            record.name = NAMES[name].into();
            let alone = |r: &Record| {
                r.class == Class::Address && r.values.get().unwrap().iter().any(|v| v.contains("example.net"))
            };
            // Marks of the one are at the name of the other.
            let meets = |r: &Record| {
                let near = |a: &str, b: &str| a == "ai.example.com" && b == "a-ai.example.com";
                (alone(r) || alone(&record))
                    && (near(named(r), named(&record)) || near(named(&record), named(r)))
            };
            let clash = |(_, r): &(String, Record)| {
                r.name == record.name && (r.class == record.class || alone(r) || alone(&record)) || meets(r)
            };
            // Where the name servers of others are.
            let at_apex = named(&record) == ZONE && alone(&record);
            if !at_apex && !out.iter().any(clash) {
                out.push((format!("{}/{}", named(&record).replace('*', "all"), record.class), record));
            }
        }
        out
    })
}

fn foreign() -> impl Strategy<Value = Vec<(String, Kind, String)>> {
    let one = prop_oneof![
        Just(("www.example.com".to_owned(), Kind::A, "192.0.2.77".to_owned())),
        Just(("example.com".to_owned(), Kind::Ns, "ns1.example.net".to_owned())),
        Just(("b.example.com".to_owned(), Kind::Other("HTTPS".into()), "1 . alpn=h3".to_owned())),
        Just(("zz.example.com".to_owned(), Kind::Txt, "not ours".to_owned())),
        Just((
            "a-zz.example.com".to_owned(),
            Kind::Txt,
            "heritage=external-dns,external-dns/owner=default,external-dns/resource=service/a/b".to_owned()
        )),
    ];
    proptest::collection::vec(one, 0..5).prop_map(|mut all| {
        all.sort();
        all.dedup();
        all
    })
}

fn world(manner: Manner, most: usize, foreign: &[(String, Kind, String)]) -> World {
    let zone = Memory::new(ZONE, manner, most);
    foreign.iter().for_each(|(name, kind, value)| zone.put(name, kind.clone(), value));
    World::new(Arc::new(zone))
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![Just(Manner::Sets), Just(Manner::Records)]
}

/// Issue 6, D 3: random stacks, one after the other, on a provider that is no stand-in. After each nothing is left to do, and
/// in the end the zone is as it was.
pub(crate) async fn settle_random_stacks<P: Provider>(provider: Arc<P>, zone: &Zone, cases: usize) {
    let place = DnsZone { name: zone.name.to_string(), account: "a".into(), id: Some(zone.id.clone()) };
    let there = async || {
        let listed = provider.list(zone).await.unwrap();
        let plain = listed.into_iter().filter(|e| e.kind != Kind::Other("SOA".into()));
        let mut all: Vec<String> =
            plain.map(|e| format!("{} {} {} {}", e.name, e.kind, e.handle, e.ttl)).collect();
        all.sort();
        all
    };
    let theirs = there().await;
    let mut random = TestRunner::deterministic();
    let world = World::new(Arc::clone(&provider));
    for _ in 0..cases {
        let mut records = wanted().new_tree(&mut random).unwrap().current();
        // Where others have records of these classes.
        records.retain(|(_, record)| named(record) != ZONE);
        for (_, record) in &mut records {
            record.proxied = record.proxied.filter(|_| provider.limits().proxies);
            if record.values.get().unwrap() == [String::new()] {
                record.values = ["not empty".to_owned()].into_iter().collect();
            }
        }
        world.settle(&stack_in(&place, "prod", records)).await;
    }
    world.settle(&Stack::new("prod")).await;
    assert_eq!(there().await, theirs);
}

fn run<F: Future<Output = ()>>(future: F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(future);
}

fn has_all(world: &World, theirs: &[Entry]) -> bool {
    let now = world.zone.entries();
    theirs.iter().all(|e| now.contains(e))
}

/// What is there, without what differs from one run to the next.
fn plain(world: &World) -> (Vec<String>, Vec<String>) {
    (world.said(), world.marks())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// After an apply nothing is left to do, foreign records are as they were, and in the end they are alone.
    #[test]
    fn a_plan_after_an_apply_is_empty(
        manner in manner(), theirs in foreign(), first in wanted(), second in wanted(),
    ) {
        run(async {
            let world = world(manner, 200, &theirs);
            let theirs = world.zone.entries();
            for wanted in [first, second] {
                world.settle(&stack("prod", wanted)).await;
                assert!(has_all(&world, &theirs));
            }
            world.settle(&Stack::new("prod")).await;
            assert_eq!(world.zone.entries(), theirs);
        });
    }

    /// Killed at any call, before or after its effect: the next run ends where one ends that was never killed.
    #[test]
    fn a_run_that_is_killed_is_finished_by_the_next(
        manner in manner(), theirs in foreign(), first in wanted(), second in wanted(), after in any::<bool>(),
    ) {
        run(async {
            let whole = world(manner, 12, &theirs);
            let ours = |wanted: &[(String, Record)]| stack("prod", wanted.iter().cloned());
            whole.settle(&ours(&first)).await;
            whole.settle(&ours(&second)).await;
            let (_, calls) = whole.zone.calls();
            for call in 0..calls {
                let world = world(manner, 12, &theirs);
                world.zone.cut(call, if after { Cut::DieAfter } else { Cut::DieBefore });
                for wanted in [&first, &second] {
                    let stack = ours(wanted);
                    let died = tokio::time::timeout(Duration::from_secs(3600), world.apply(&stack)).await.is_err();
                    let _ = died;
                    world.settle(&stack).await;
                }
                assert_eq!(plain(&world), plain(&whole), "killed at call {call}");
            }
        });
    }

    /// Two who do not know of each other, with journals of their own: what one has the other does not touch.
    #[test]
    fn of_two_runs_at_once_one_has_a_record(theirs in foreign(), wanted in wanted()) {
        run(async {
            let one = world(Manner::Sets, 200, &theirs);
            let other = World::new(Arc::clone(&one.zone));
            let (mine, yours) = (stack("prod", wanted.clone()), stack("test", wanted));
            let (first, second) = (one.engine(), other.engine());
            let options = PlanOptions::default();
            let planned = first.plan(&mine, &options).await.unwrap();
            let late = second.plan(&yours, &options).await.unwrap();
            assert!(first.apply(planned, &Default::default()).await.unwrap().is_complete());
            let there = one.zone.entries();
            let report = second.apply(late, &Default::default()).await.unwrap();
            assert_eq!(report.failed.len(), mine.nodes().len(), "{report:?}");
            assert_eq!(one.zone.entries(), there);
            one.settle(&mine).await;
        });
    }
}
