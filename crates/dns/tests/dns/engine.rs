//! Records under the engine, on a provider in memory that keeps the documented rules.

use crate::world::{World, ZONE, address, at, registry, stack, zone};
use causeway_core::{Stack, plan::Action, plan::PlanOptions, testing::Lifecycle, text};
use causeway_dns::{
    Class, Name, Record, ZoneClient,
    provider::memory::{Cut, Manner, Memory},
    record::Kind,
};
use std::sync::Arc;

const BOTH: [Manner; 2] = [Manner::Sets, Manner::Records];

fn world(manner: Manner) -> World {
    World::new(Arc::new(Memory::new(ZONE, manner, 200)))
}

fn six() -> Vec<(&'static str, Record)> {
    let lb = |name: &str, lb: &str| address(&format!("{name}.example.com"), &[lb]);
    vec![
        ("ai", lb("ai", "LB-1.us-east-2.elb.amazonaws.com")),
        ("ai-all", lb("*.ai", "LB-1.us-east-2.elb.amazonaws.com")),
        ("oregon", lb("oregon-proxy.ai", "LB-2.us-west-2.elb.amazonaws.com")),
        ("oregon-all", lb("*.oregon-proxy.ai", "LB-2.us-west-2.elb.amazonaws.com")),
        ("emea", lb("emea-proxy.ai", "LB-3.eu-west-2.elb.amazonaws.com")),
        ("emea-all", lb("*.emea-proxy.ai", "LB-3.eu-west-2.elb.amazonaws.com")),
    ]
}

#[tokio::test]
async fn records_live_as_every_kind_does() {
    for manner in BOTH {
        let zone = Arc::new(Memory::new(ZONE, manner, 200));
        let mut life = Lifecycle::start(
            registry(zone.clone()),
            stack("prod", [("ai", address("ai.example.com", &["10.0.0.1"]))]),
        )
        .await;
        let mut two = address("ai.example.com", &["10.0.0.1", "2001:DB8::1"]);
        two.ttl = Some(120);
        let steps = life.change("a second address", stack("prod", [("ai", two)])).await;
        assert_eq!(steps, [(at("ai"), Action::Update)]);
        let behind = zone.clone();
        life.drift("removed by hand", "ai", async move { behind.remove("ai.example.com", &Kind::A) }).await;
        let cname = address("ai.example.com", &["LB.example.net"]);
        let steps = life.change("a name instead of addresses", stack("prod", [("ai", cname)])).await;
        assert_eq!(steps, [(at("ai"), Action::Update)]);
        life.end().await;
        assert_eq!(zone.entries(), []);
    }
}

#[tokio::test]
async fn every_class_is_made_and_read_back() {
    for manner in BOTH {
        let world = world(manner);
        let of = |class, values: &[&str]| {
            Record::new("x.example.com", class, values.iter().map(|v| (*v).to_owned())).unwrap()
        };
        let stack = stack(
            "prod",
            [
                ("address", of(Class::Address, &["10.0.0.1"])),
                ("text", of(Class::Txt, &["v=spf1 -all", &"long ".repeat(100)])),
                ("mail", of(Class::Mx, &["10 Mail.example.com."])),
                ("names", of(Class::Ns, &["ns1.example.net", "ns2.example.net"])),
                ("service", of(Class::Srv, &["0 5 443 host.example.com"])),
                ("issuers", of(Class::Caa, &["0 issue letsencrypt.org"])),
            ],
        );
        world.settle(&stack).await;
        assert_eq!(world.said().len(), 8);
        assert_eq!(world.marks().len(), 6);
        world.settle(&Stack::new("prod")).await;
        assert_eq!(world.zone.entries(), []);
    }
}

/// As of the record that proves a certificate: only ACM knows its name.
#[tokio::test]
async fn a_name_that_another_resource_tells_is_known_in_time() {
    for manner in BOTH {
        let world = world(manner);
        let proved_by = |label: &str| {
            let mut stack = Stack::new("prod");
            stack.at(&zone(), |stack| {
                let first = stack.add("first", address("ai.example.com", &["10.0.0.1"])).name.clone();
                let proof = Record::address(text!(label, ".", first), ["Proof.example.net".to_owned()]);
                stack.add("proof", proof.unwrap());
            });
            stack
        };
        world.settle(&proved_by("_a")).await;
        let said = |label: &str| {
            [format!("{label}.ai.example.com CNAME proof.example.net"), "ai.example.com A 10.0.0.1".into()]
        };
        assert_eq!((world.said(), world.marks().len()), (said("_a").to_vec(), 2));
        world.zone.put("_b.ai.example.com", Kind::A, "192.0.2.1");
        let report = world.apply(&proved_by("_b")).await.unwrap();
        assert!(!report.is_complete() && world.said().contains(&"_b.ai.example.com A 192.0.2.1".to_owned()));
        world.zone.remove("_b.ai.example.com", &Kind::A);
        world.settle(&proved_by("_b")).await;
        assert_eq!((world.said(), world.marks().len()), (said("_b").to_vec(), 2));
        world.settle(&Stack::new("prod")).await;
        assert_eq!(world.zone.entries(), []);
    }
}

/// Issue 6, D 1: six records, and the second run changes nothing.
#[tokio::test]
async fn six_records_take_one_list_and_one_change_and_then_no_change() {
    let world = world(Manner::Records);
    let stack = stack("prod", six());
    let report = world.apply(&stack).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failed);
    assert_eq!(world.zone.calls(), (1, 1));
    let second = world.apply(&stack).await.unwrap();
    assert!(second.done.is_empty());
    assert_eq!(world.zone.calls(), (2, 1));
}

/// external-dns #2410, #3706, #1044: the mark is made although the record is not, and the next run owns what it did not
/// make.
#[tokio::test]
async fn what_is_refused_leaves_no_mark() {
    for manner in BOTH {
        let world = world(manner);
        let stack = stack("prod", [("ai", address("ai.example.com", &["10.0.0.1"]))]);
        world.zone.put("ai.example.com", Kind::A, "192.0.2.1");
        let foreign = world.zone.entries();
        let plan = world.plan(&stack).await.plan;
        assert!(plan.conflicts[0].why.contains("was not made by this stack"), "{:?}", plan.conflicts);
        assert!(world.apply(&stack).await.is_err());
        assert!(world.apply(&stack).await.is_err());
        assert_eq!(world.zone.entries(), foreign);
    }
}

/// As above, where it appears between the plan and its apply: the provider refuses all of it, or we see it.
#[tokio::test]
async fn what_appears_meanwhile_is_not_taken_over() {
    for manner in BOTH {
        let world = world(manner);
        let stack = stack("prod", [("ai", address("ai.example.com", &["lb.example.net"]))]);
        let engine = world.engine();
        let planned = engine.plan(&stack, &PlanOptions::default()).await.unwrap();
        world.zone.put("ai.example.com", Kind::Cname, "other.example.net");
        let foreign = world.zone.entries();
        let report = engine.apply(planned, &Default::default()).await.unwrap();
        assert_eq!(report.failed.len(), 1, "{report:?}");
        assert_eq!(world.zone.entries(), foreign);
    }
}

/// external-dns #6617, #1487, #5850: a record of ours without a mark where another owner's mark stands.
#[tokio::test]
async fn another_owners_mark_keeps_us_out() {
    let mark = "heritage=external-dns,external-dns/owner=default,external-dns/resource=ingress/a/b";
    for manner in BOTH {
        let world = world(manner);
        world.zone.put("cname-ai.example.com", Kind::Txt, mark);
        let foreign = world.zone.entries();
        let stack = stack("prod", [("ai", address("ai.example.com", &["lb.example.net"]))]);
        let report = world.apply(&stack).await.unwrap();
        assert!(report.failed[0].1.contains("is marked as default's, for `ingress/a/b`"), "{report:?}");
        assert_eq!(world.zone.entries(), foreign);
        // With its record beside it, the plan itself says so.
        world.zone.put("ai.example.com", Kind::Cname, "theirs.example.net");
        let plan = world.plan(&stack).await.plan;
        assert!(plan.conflicts.iter().any(|c| c.why.contains("of stack `default`")), "{:?}", plan.conflicts);
    }
}

/// external-dns #4914: the mark stays, the record is deleted by hand, and is never made again.
#[tokio::test]
async fn a_record_that_was_deleted_by_hand_is_made_again() {
    for manner in BOTH {
        let world = world(manner);
        let stack = stack("prod", six());
        world.settle(&stack).await;
        let before = world.said();
        world.zone.remove("ai.example.com", &Kind::Cname);
        world.settle(&stack).await;
        assert_eq!(world.said(), before);
        assert_eq!(world.marks().len(), 6);
    }
}

/// external-dns #5898, #3621, #330: a change of type is fatal.
#[tokio::test]
async fn an_address_becomes_a_name_in_one_call() {
    for manner in BOTH {
        let world = world(manner);
        world.settle(&stack("prod", [("ai", address("ai.example.com", &["10.0.0.1", "::1"]))])).await;
        let (_, calls) = world.zone.calls();
        world.settle(&stack("prod", [("ai", address("ai.example.com", &["lb.example.net"]))])).await;
        assert_eq!(world.zone.calls().1, calls + 1);
        assert_eq!(world.said(), ["ai.example.com CNAME lb.example.net"]);
        assert_eq!(world.marks(), ["cname-ai.example.com prod"]);
    }
}

/// external-dns #1517, #421, #1764, #3007: one bad change blocks all others.
#[tokio::test]
async fn one_bad_record_keeps_no_other_back() {
    for manner in BOTH {
        let world = world(manner);
        world.zone.refuse("emea-proxy.ai.example.com");
        let report = world.apply(&stack("prod", six())).await.unwrap();
        let [(bad, why)] = &report.failed[..] else { panic!("{report:?}") };
        assert_eq!(bad, &at("emea"));
        assert!(why.contains("is not to our taste"), "{why}");
        assert_eq!(world.said().len(), 5);
        assert!(world.zone.calls().1 <= 2 * 3 + 1, "halved, not one by one: {:?}", world.zone.calls());
    }
}

/// external-dns #2036, #2178, #2737: after a change of the owner's name everything is an orphan.
#[tokio::test]
async fn another_stack_is_told_whose_it_is_and_takes_nothing() {
    for manner in BOTH {
        let world = world(manner);
        world.settle(&stack("prod", six())).await;
        let before = world.zone.entries();
        let other = World::new(world.zone.clone());
        let plan = other.plan(&stack("production", six())).await.plan;
        assert_eq!(plan.conflicts.len(), 6);
        assert!(plan.conflicts[0].why.contains("of stack `prod`"), "{:?}", plan.conflicts);
        assert!(other.apply(&stack("production", six())).await.is_err());
        assert_eq!(world.zone.entries(), before);
    }
}

/// external-dns #3217 with `registry: noop`, and whatever else clears what it does not know.
#[tokio::test]
async fn foreign_records_are_not_touched() {
    for manner in BOTH {
        let world = world(manner);
        for (name, kind, value) in [
            ("example.com", Kind::Ns, "ns1.example.net"),
            ("example.com", Kind::Txt, "v=spf1 -all"),
            ("www.example.com", Kind::A, "192.0.2.1"),
            ("ai.example.com", Kind::Txt, "google-site-verification=1"),
            ("a-ai.example.com", Kind::Txt, "somebody's words where our mark goes"),
            ("odd name.example.com", Kind::Other("LOC".into()), "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m"),
        ] {
            world.zone.put(name, kind, value);
        }
        let foreign = world.zone.entries();
        world.settle(&stack("prod", [("ai", address("ai.example.com", &["10.0.0.1"]))])).await;
        world.settle(&stack("prod", [("ai", address("ai.example.com", &["10.0.0.2"]))])).await;
        assert_eq!(world.zone.entries().len(), foreign.len() + 2);
        world.settle(&Stack::new("prod")).await;
        assert_eq!(world.zone.entries(), foreign);
    }
}

/// octoDNS #1090, external-dns #1463, DNSControl #489: what the provider rounds is changed for ever.
#[tokio::test]
async fn what_the_provider_makes_of_a_wish_is_no_difference() {
    for manner in BOTH {
        let world = world(manner);
        let wish = |at, name: &str, ttl, proxied| {
            let mut record = address(&format!("{name}.example.com"), &["LB.Example.net."]);
            (record.ttl, record.proxied) = (Some(ttl), Some(proxied));
            (at, record)
        };
        world
            .settle(&stack(
                "prod",
                [
                    wish("short", "a", 5, false),
                    wish("long", "b", 1_000_000, false),
                    wish("proxied", "c", 300, true),
                    wish("automatic", "d", 0, false),
                ],
            ))
            .await;
    }
}

/// DNSControl #1440 (more than 1,000 corrections), external-dns #2135, #1274, octoDNS #551 (rate limits).
#[tokio::test]
async fn two_hundred_changes_among_ten_thousand_records_take_as_few_calls_as_there_are_chunks() {
    let world = world(Manner::Records);
    for n in 0..10_000 {
        world.zone.put(&format!("other-{n}.example.com"), Kind::A, "192.0.2.1");
    }
    let names: Vec<&'static str> = (0..200).map(|n| &*Box::leak(format!("r{n}").into_boxed_str())).collect();
    let wanted = names.iter().map(|at| (*at, address(&format!("{at}.example.com"), &["10.0.0.1"])));
    let report = world.apply(&stack("prod", wanted)).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failed);
    // Two records each, 200 a call.
    assert_eq!(world.zone.calls(), (1, 2));
}

#[tokio::test]
async fn what_was_made_by_hand_is_adopted_with_a_mark_and_nothing_else() {
    for manner in BOTH {
        let world = world(manner);
        world.zone.put("ai.example.com", Kind::Cname, "lb-1.us-east-2.elb.amazonaws.com");
        let theirs = world.zone.entries();
        let stack = stack("prod", six());
        let report = world.apply_with(&stack, &PlanOptions { adopt: true, ..Default::default() }).await;
        assert!(report.unwrap().is_complete());
        assert!(world.zone.entries().contains(&theirs[0]));
        assert_eq!((world.said().len(), world.marks().len()), (6, 6));
        world.settle(&stack).await;
    }
}

/// A person's AAAA beside our A is not ours, although both are where the name leads.
#[tokio::test]
async fn what_somebody_adds_of_another_type_is_left_alone_and_keeps_a_name_out() {
    for manner in BOTH {
        let world = world(manner);
        let ours = stack("prod", [("ai", address("ai.example.com", &["10.0.0.1"]))]);
        world.settle(&ours).await;
        world.zone.put("ai.example.com", Kind::Aaaa, "2001:db8::1");
        assert!(world.plan(&ours).await.plan.steps.is_empty());
        let cname = stack("prod", [("ai", address("ai.example.com", &["lb.example.net"]))]);
        let report = world.apply(&cname).await.unwrap();
        assert!(report.failed[0].1.contains("a CNAME stands alone at its name"), "{report:?}");
        world.settle(&Stack::new("prod")).await;
        assert_eq!(world.said(), ["ai.example.com AAAA 2001:db8::1"]);
    }
}

#[tokio::test]
async fn a_lost_answer_costs_nothing() {
    for manner in BOTH {
        for cut in [Cut::Before, Cut::After] {
            let world = world(manner);
            world.zone.cut(0, cut);
            tokio::time::pause();
            world.settle(&stack("prod", six())).await;
            tokio::time::resume();
            assert_eq!((world.said().len(), world.marks().len()), (6, 6));
        }
    }
}

#[tokio::test]
async fn mistakes_are_told_with_their_remedy_and_change_nothing() {
    let world = world(Manner::Records);
    let told = async |record: Record| {
        let answer = world.apply(&stack("prod", [("x", record)])).await;
        assert_eq!(world.zone.entries(), []);
        match answer {
            Ok(report) => report.failed[0].1.clone(),
            Err(why) => why,
        }
    };
    let with = |change: &dyn Fn(&mut Record)| {
        let mut record = address("x.example.com", &["10.0.0.1"]);
        change(&mut record);
        record
    };
    for (record, says) in [
        (address("x.example.org", &["10.0.0.1"]), "is not in the zone `example.com`"),
        (address("x.example.com", &[]), "it says nothing"),
        (address("x.example.com", &["10.0.0.1", "lb.example.net"]), "leads nowhere else"),
        (address("x.example.com", &["x.example.com"]), "leads to itself"),
        (address("x.example.com", &["10.0.0.256.example .net"]), "is no DNS name"),
        (with(&|r| r.name = "bad name.example.com".into()), "is no DNS name"),
        (with(&|r| r.labels = Some(["a:b".to_owned()].into_iter().collect())), "has no tags"),
        (with(&|r| r.comment = Some("x".repeat(101))), "and 100 are allowed"),
        (with(&|r| r.comment = Some("a\nb".into())), "more than one line"),
        (
            with(&|r| {
                r.alias = Some(causeway_dns::Alias {
                    zone: "Z1".to_owned().into(),
                    evaluate_health: false,
                    ipv6: false,
                });
            }),
            "has no aliases",
        ),
        (
            Record::new("example.com", Class::Ns, ["ns1.example.net".to_owned()]).unwrap(),
            "the name servers of `example.com` itself",
        ),
        (Record::new("x.example.com", Class::Mx, ["mail".to_owned()]).unwrap(), "`10 mail.example.com`"),
        (
            with(&|r| {
                (r.class, r.proxied) = (Class::Txt, Some(true));
            }),
            "cannot be proxied",
        ),
    ] {
        let why = told(record).await;
        assert!(why.contains(says), "{says}: {why}");
    }
}

#[tokio::test]
async fn records_are_released_and_given_to_another_stack_by_their_marks_alone() {
    for manner in BOTH {
        let world = world(manner);
        world.settle(&stack("prod", six())).await;
        let said = world.said();
        let client = ZoneClient::connect(world.zone.clone(), &crate::world::zone()).await.unwrap();
        let name = |text: &str| Name::parse(text).unwrap();
        let refused = client.release("test", &name("ai.example.com"), Class::Address).await.unwrap_err();
        assert!(refused.to_string().contains("is prod's, for `causeway/ai`"), "{refused}");
        client.release("prod", &name("*.ai.example.com"), Class::Address).await.unwrap();
        client.transfer("prod", "test", &name("ai.example.com"), Class::Address).await.unwrap();
        assert_eq!(world.said(), said);
        let owners: Vec<String> = client.marks().await.unwrap().into_iter().map(|m| m.owner).collect();
        assert_eq!((owners.len(), owners.iter().filter(|o| *o == "test").count()), (5, 1));
        // Who has it now takes it over; who had it is told, and its deletion touches neither.
        let other = World::new(world.zone.clone());
        let adopt = PlanOptions { adopt: true, ..Default::default() };
        let ai = stack("test", six().into_iter().filter(|(at, _)| *at == "ai"));
        assert!(other.apply_with(&ai, &adopt).await.unwrap().is_complete());
        let plan = world.plan(&stack("prod", six())).await.plan;
        assert!(plan.conflicts.iter().any(|c| c.why.contains("of stack `test`")), "{:?}", plan.conflicts);
        world.settle(&Stack::new("prod")).await;
        let lb = "lb-1.us-east-2.elb.amazonaws.com";
        assert_eq!(
            world.said(),
            [format!("*.ai.example.com CNAME {lb}"), format!("ai.example.com CNAME {lb}")]
        );
        assert_eq!(world.marks(), ["cname-ai.example.com test"]);
    }
}
