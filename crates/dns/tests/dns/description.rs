//! Whether what our provider sends to Cloudflare is as Cloudflare's API is published.
//! [Prism](https://github.com/stoplightio/prism) stands between the provider and the sandbox's Cloudflare, and looks at every request
//! with a description in OpenAPI. Neither is part of this project:
//!
//! ```console
//! $ npm install --prefix target/prism @stoplight/prism-cli@5.14.2
//! $ export CAUSEWAY_PRISM=$PWD/target/prism/node_modules/.bin/prism
//! $ export CAUSEWAY_CLOUDFLARE_DESCRIPTION=cloudflare-dns.openapi.json
//! $ cargo test -p causeway-dns --all-features --test dns description -- --nocapture
//! ```
//!
//! The description has the paths of zones and of their records with `batch`, without `/client/v4`. Cloudflare's own is at
//! <https://github.com/cloudflare/api-schemas>.

use crate::{
    sandboxed::There,
    world::{World, address, stack_in},
};
use causeway_core::Stack;
use causeway_dns::{
    Class, DnsZone, Name, Record,
    provider::{
        Change, Provider, SetChange,
        cloudflare::{Account, Cloudflare, Plan},
    },
    record::{Entry, Kind},
};
use std::{net::TcpListener, process::Stdio, sync::Arc, time::Duration};

/// What Prism says of a request that is not as the description has it.
const VIOLATION: &str = "Violation: request";

#[tokio::test]
async fn what_is_sent_follows_the_published_description() {
    let given = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(prism), Some(description)) =
        (given("CAUSEWAY_PRISM"), given("CAUSEWAY_CLOUDFLARE_DESCRIPTION"))
    else {
        eprintln!(
            "skipped: CAUSEWAY_PRISM and CAUSEWAY_CLOUDFLARE_DESCRIPTION say where to find what checks"
        );
        return;
    };
    let there = There::new(Plan::Paid).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut proxy = tokio::process::Command::new(prism)
        .args(["proxy", "-h", "127.0.0.1", "-p", &port.to_string(), &description])
        .arg(there.cloud.endpoint())
        .stdout(std::fs::File::create(&log).unwrap())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for tries in 0.. {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            break;
        }
        assert!(tries < 600 && proxy.try_wait().unwrap().is_none(), "the proxy does not start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (endpoint, token) = (format!("http://127.0.0.1:{port}"), there.token.as_str().into());
    let account = Account { endpoint, token, plan: Plan::Paid, calls: None };
    let provider = Arc::new(Cloudflare::new(account).unwrap());
    // Found by its name, so that zones are listed.
    let place = DnsZone { id: None, ..there.place.clone() };
    let world = World::new(provider.clone());

    let of = |class: Class, values: &[&str]| {
        let record = Record::new("x.example.com", class, values.iter().map(|v| (*v).to_owned()));
        (class.to_string(), record.unwrap())
    };
    let all = |target: &[&str], text: &str, flavour: Option<&str>| {
        let mut records = vec![
            of(Class::Txt, &["one", text]),
            of(Class::Mx, &["10 mail.example.net"]),
            of(Class::Ns, &["ns1.example.net"]),
            of(Class::Srv, &["0 5 443 host.example.net"]),
            of(
                Class::Caa,
                &["0 issue \"letsencrypt.org; validationmethods=dns-01\"", "128 iodef mailto:a@b.c"],
            ),
        ];
        records[2].1.name = "below.example.com".into();
        let mut ai = address("ai.example.com", target);
        ai.proxied = flavour.map(|_| true);
        ai.comment = flavour.map(str::to_owned);
        ai.labels =
            flavour.map(|text| [causeway_core::Value::Known(format!("team:{text}"))].into_iter().collect());
        ai.ttl = flavour.is_none().then_some(120);
        records.push(("ai".into(), ai));
        records.push(("all".into(), address("*.ai.example.com", target)));
        stack_in(&place, "prod", records)
    };
    world.settle(&all(&["192.0.2.1", "2001:db8::1"], &"long ".repeat(100), None)).await;
    world.settle(&all(&["192.0.2.2"], "short \"and\" quoted", Some("blue"))).await;
    world.settle(&all(&["lb.example.net"], "short", Some("green"))).await;
    world.settle(&all(&["192.0.2.1"], "short", None)).await;
    world.settle(&Stack::new("prod")).await;

    let said = || std::fs::read_to_string(&log).unwrap();
    let calls = there.cloud.calls().len();
    let (seen, wrong) = (said().matches("Request received").count(), said().matches(VIOLATION).count());
    assert_eq!(wrong, 0, "{}", said());
    assert!(calls >= 15 && seen == calls, "{seen} of {calls} calls went through it");
    eprintln!("{seen} requests, {wrong} that the description does not know");

    // Something that it forbids is seen.
    let name = Name::parse("x.example.com").unwrap();
    let after = vec![Entry::new(name.clone(), Kind::A, "192.0.2.1", 5)];
    let bad = Change { sets: vec![SetChange { name, word: "A".into(), before: vec![], after }] };
    provider.change(&there.zone, &[bad]).await.unwrap_err();
    assert!(said().contains(VIOLATION), "{}", said());
}
