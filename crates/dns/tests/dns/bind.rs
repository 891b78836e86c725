//! RFC 2136 against a real BIND, where one is installed (`apt-get install bind9`). With `CAUSEWAY_BIND=required` one must be.

use crate::world::{World, address, registry, stack_in};
use causeway_core::{Stack, testing::Lifecycle};
use causeway_dns::{
    Class, DnsZone, Name, Record,
    error::ProviderError,
    provider::{
        Change, Provider, SetChange,
        rfc2136::{Account, Algorithm, Key, Rfc2136},
    },
    record::{Entry, Kind},
    zone::Zone,
};
use causeway_sandbox::bind::{Bind as Server, SECRET};
use std::sync::Arc;

/// A zone with a few records of others.
const FILE: &str = "$TTL 600\n@ IN SOA ns1 admin 1 3600 600 86400 60\n@ IN NS ns1\nns1 IN A 127.0.0.1\n\
                    www IN A 192.0.2.77\n@ IN MX 10 Mail.example.net.\n@ IN TXT \"v=spf1 \" \"-all\"\n\
                    odd IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m\n";

/// A BIND that ends with the test.
struct Bind(Server);

impl Bind {
    /// None where BIND is not installed.
    async fn start() -> Option<Self> {
        Server::start("example.com", FILE).await.unwrap().map(Bind)
    }

    fn account(&self, key: &str) -> Account {
        let key = Key { name: key.into(), algorithm: Algorithm::Sha256, secret: SECRET.into() };
        Account {
            server: self.0.address().to_string(),
            key: Some(key),
            zones: vec![Name::parse("example.com").unwrap()],
        }
    }

    fn provider(&self, key: &str) -> Arc<Rfc2136> {
        Arc::new(Rfc2136::new(self.account(key)).unwrap())
    }

    /// All records but the SOA, whose serial counts the changes.
    async fn there(&self) -> Vec<(String, String, String, u32)> {
        let listed = self.provider("test").list(&zone_of()).await.unwrap();
        let plain = listed.into_iter().filter(|e| e.kind != Kind::Other("SOA".into()));
        let mut all: Vec<_> =
            plain.map(|e| (e.name.to_string(), e.kind.to_string(), e.handle, e.ttl)).collect();
        all.sort();
        all
    }
}

fn zone_of() -> Zone {
    Zone { name: Name::parse("example.com").unwrap(), id: "example.com".into() }
}

/// It is found among the zones that are told.
fn place() -> DnsZone {
    DnsZone { name: "example.com".into(), account: "a".into(), id: None }
}

#[tokio::test]
async fn records_live_on_a_real_bind_and_foreign_ones_stay() {
    let Some(bind) = Bind::start().await else { return };
    let theirs = bind.there().await;
    assert_eq!(theirs.len(), 6);
    let of = |class, values: &[&str]| {
        (class, Record::new("x.example.com", class, values.iter().map(|v| (*v).to_owned())).unwrap())
    };
    let all = |address: &[&str], text: &str| {
        let records = [
            of(Class::Address, address),
            of(Class::Txt, &["one", text]),
            of(Class::Mx, &["10 Mail.example.net."]),
            of(Class::Srv, &["0 5 443 host.example.net"]),
            of(Class::Caa, &["0 issue letsencrypt.org", "128 iodef mailto:a@example.net"]),
        ];
        let mut named: Vec<(String, Record)> = records.into_iter().map(|(c, r)| (c.to_string(), r)).collect();
        named.push(("all".into(), address_of("*.ai", "LB.example.net.")));
        named.push(("apex".into(), Record::address("example.com", ["192.0.2.5".to_owned()]).unwrap()));
        stack_in(&place(), "prod", named)
    };
    let registry = registry(bind.provider("test"));
    let mut life = Lifecycle::start(registry, all(&["192.0.2.1", "2001:DB8::1"], &"long ".repeat(100))).await;
    life.change("other values", all(&["192.0.2.2"], "short \"and\" quoted; \\ and ü")).await;
    let kept: Vec<_> = bind.there().await.into_iter().filter(|record| theirs.contains(record)).collect();
    assert_eq!(kept, theirs);
    life.end().await;
    assert_eq!(bind.there().await, theirs);
}

fn address_of(name: &str, target: &str) -> Record {
    let mut record = address(&format!("{name}.example.com"), &[target]);
    record.ttl = Some(120);
    record
}

#[tokio::test]
async fn an_address_becomes_a_name_in_one_update_on_a_real_bind() {
    let Some(bind) = Bind::start().await else { return };
    let world = World::new(bind.provider("test"));
    let ai = |values: &[&str]| stack_in(&place(), "prod", [("ai", address("ai.example.com", values))]);
    world.settle(&ai(&["192.0.2.1", "::1"])).await;
    world.settle(&ai(&["lb.example.net"])).await;
    world.settle(&ai(&["192.0.2.1"])).await;
    world.settle(&Stack::new("prod")).await;
    assert_eq!(bind.there().await.len(), 6);
}

#[tokio::test]
async fn a_real_bind_sees_that_somebody_was_quicker() {
    let Some(bind) = Bind::start().await else { return };
    let name = Name::parse("new.example.com").unwrap();
    let change = |word: &str, before: Vec<Entry>, after: Vec<Entry>| Change {
        sets: vec![SetChange { name: name.clone(), word: word.into(), before, after }],
    };
    let one = |kind, value: &str| vec![Entry::new(name.clone(), kind, value, 300)];
    let provider = bind.provider("test");
    let make = change("A", vec![], one(Kind::A, "192.0.2.1"));
    provider.change(&zone_of(), std::slice::from_ref(&make)).await.unwrap();
    // Made meanwhile; changed meanwhile; and a name where an address is, which the server would pass over.
    for late in [
        make,
        change("A", one(Kind::A, "192.0.2.9"), one(Kind::A, "192.0.2.2")),
        change("CNAME", vec![], one(Kind::Cname, "lb.example.net")),
        change("A", one(Kind::A, "192.0.2.9"), vec![]),
    ] {
        let there = bind.there().await;
        let error = provider.change(&zone_of(), &[late]).await.unwrap_err();
        assert!(matches!(error, ProviderError::Conflict { .. }), "{error}");
        assert_eq!(bind.there().await, there);
    }
}

#[tokio::test]
async fn a_real_bind_refuses_and_is_not_believed_without_its_key() {
    let Some(bind) = Bind::start().await else { return };
    let make = Change {
        sets: vec![SetChange {
            name: Name::parse("new.example.com").unwrap(),
            word: "A".into(),
            before: vec![],
            after: vec![Entry::new(Name::parse("new.example.com").unwrap(), Kind::A, "192.0.2.1", 300)],
        }],
    };
    // A key that may only read, one that is not known, and one with another secret.
    let refused = bind.provider("reader").change(&zone_of(), std::slice::from_ref(&make)).await.unwrap_err();
    assert!(matches!(refused, ProviderError::Denied { .. }), "{refused}");
    let unknown = bind.provider("nobody").list(&zone_of()).await.unwrap_err();
    assert!(matches!(unknown, ProviderError::Denied { .. }), "{unknown}");
    let mut account = bind.account("test");
    account.key.as_mut().unwrap().secret = "b3RoZXI=".into();
    let wrong = Rfc2136::new(account).unwrap().list(&zone_of()).await.unwrap_err();
    assert!(matches!(wrong, ProviderError::Denied { .. }), "{wrong}");
    let elsewhere = Zone { name: Name::parse("example.org").unwrap(), id: "example.org".into() };
    let error = bind.provider("test").list(&elsewhere).await.unwrap_err();
    assert!(matches!(error, ProviderError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn thousands_of_records_are_transferred_and_two_hundred_changed_on_a_real_bind() {
    let Some(bind) = Bind::start().await else { return };
    let provider = bind.provider("test");
    let fill: Vec<String> = (0..10_000).map(|n| format!("o{n}.example.com")).collect();
    for some in fill.chunks(500) {
        let sets = some.iter().map(|name| {
            let name = Name::parse(name).unwrap();
            let after = vec![Entry::new(name.clone(), Kind::A, "192.0.2.1", 300)];
            SetChange { name, word: "A".into(), before: vec![], after }
        });
        provider.change(&zone_of(), &[Change { sets: sets.collect() }]).await.unwrap();
    }
    assert_eq!(bind.there().await.len(), 10_006);
    let wanted = |target: &'static str| {
        let records = (0..200).map(|n| (format!("n{n}"), address(&format!("n{n}.example.com"), &[target])));
        stack_in(&place(), "prod", records)
    };
    let world = World::new(bind.provider("test"));
    world.settle(&wanted("lb.example.net")).await;
    world.settle(&wanted("other.example.net")).await;
    assert_eq!(bind.there().await.len(), 10_406);
}

#[tokio::test]
async fn random_stacks_settle_on_a_real_bind() {
    let Some(bind) = Bind::start().await else { return };
    crate::properties::settle_random_stacks(bind.provider("test"), &zone_of(), 25).await;
}
