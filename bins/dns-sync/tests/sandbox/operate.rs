//! What stands around `apply`: verify, undo, export, adopt, run.

use crate::world::{World, ZONE};
use causeway_dns::{
    Name,
    provider::{
        Change, Provider as _, SetChange,
        cloudflare::{Account, Cloudflare as Provider, Plan},
    },
    record::{Entry, Kind},
};
use causeway_sandbox::{
    bind::{Bind, SECRET, WRITER},
    cloudflare::{Act, Cloudflare, Options, Record, Rule, Token, Zone},
};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

fn records(all: &[(&str, &str)]) -> String {
    let record =
        |(name, value): &(&str, &str)| format!("[[records]]\nname = \"{name}\"\nvalues = [\"{value}\"]\n");
    all.iter().map(record).collect()
}

const THREE: [(&str, &str); 3] =
    [("a.example.com", "192.0.2.1"), ("*.a.example.com", "one.example.net"), ("b.example.com", "192.0.2.2")];

/// With DNS at the sandbox's Cloudflare, as the zone's own server and as a resolver.
fn asked(world: &World) -> String {
    let dns = world.cloudflare.dns();
    format!("[verify]\nservers = [\"{dns}\"]\nresolvers = [\"{dns}\"]\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_looked_at_on_the_wire() {
    let world = World::new().await;
    world.configure(&format!("{}{}", records(&THREE), asked(&world)));
    world.run(&["apply"]).await.ends_with(0);
    let ran = world.run(&["verify"]).await.ends_with(0);
    assert!(ran.out.contains("6 of 6 answers are right"), "{ran:#?}");

    // Somebody else is quicker: another journal, so that ours knows nothing of it.
    let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
    let moved = text.replace("192.0.2.1\"", "192.0.2.9\"").replace("one.example.net", "two.example.net");
    world.write("other.toml", &moved.replace("\"state\"", "\"other\""));
    world.run(&["apply", "-f", "other.toml"]).await.ends_with(0);
    let ran = world.run(&["verify", "--json"]).await.ends_with(100);
    assert!(ran.err.contains("a.example.com: 127.0.0.1 says `192.0.2.9`"), "{ran:#?}");
    assert!(ran.err.contains("*.a.example.com"), "a wildcard is asked for by a label that nobody has");
    let checked = ran.json()["result"]["checked"].as_array().unwrap().clone();
    assert_eq!((checked.len(), checked.iter().filter(|c| c["right"] == true).count()), (6, 2));

    world.write("dns-sync.toml", &text.replace("resolvers = [", "resolvers = [\"127.0.0.1:1\", "));
    let ran = world.run(&["verify"]).await.ends_with(100);
    assert!(ran.err.contains("127.0.0.1 does not answer"), "{ran:#?}");
}

/// A record of every class, one that is delegated, and one that says that there is no mail.
const CLASSES: &str = r#"
records = [
  { name = "a.example.com", values = ["192.0.2.1", "2001:db8::1"] },
  { name = "example.com", class = "mx", values = ["10 Mail.example.net", "20 mail2.example.net."] },
  { name = "none.example.com", class = "mx", values = ["0 ."] },
  { name = "below.example.com", class = "ns", values = ["ns1.example.net", "ns2.example.net"] },
  { name = "_sip._tcp.example.com", class = "srv", values = ["0 5 5060 Sip.example.net"] },
  { name = "example.com", class = "caa", values = ["0 issue \"letsencrypt.org; validationmethods=dns-01\"", "128 iodef mailto:a@example.net"] },
  { name = "t.example.com", class = "txt", values = ["v=spf1 \"-all\""] },
]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_class_is_looked_at_on_the_wire() {
    let file = "$TTL 600\n@ IN SOA ns1 admin 1 3600 600 86400 60\n@ IN NS ns1\nns1 IN A 127.0.0.1\n";
    let bind = Bind::start(ZONE, file).await.unwrap();
    let mut worlds = vec![];
    if let Some(bind) = &bind {
        let mut world = World::new().await;
        world.env = vec![("TSIG".into(), SECRET.into())];
        let (at, key) = (bind.address(), format!("{{ name = \"{WRITER}\", secret = \"env:TSIG\" }}"));
        let zone = format!("provider = \"rfc2136\"\nserver = \"{at}\"\nkey = {key}\n");
        world.configure_at(&zone, &format!("[verify]\nservers = [\"{at}\"]\n"));
        worlds.push(world);
    }
    let world = World::new().await;
    world.configure(&asked(&world).replace(", ", ""));
    worlds.push(world);
    for world in worlds {
        let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
        // A list has to stand before all tables.
        world.write("dns-sync.toml", &format!("{CLASSES}{text}"));
        world.run(&["apply"]).await.ends_with(0);
        let ran = world.run(&["verify", "--json"]).await.ends_with(0).json();
        let checked = ran["result"]["checked"].as_array().unwrap().clone();
        let names: std::collections::BTreeSet<_> =
            checked.iter().filter_map(|c| c["name"].as_str()).collect();
        assert_eq!(names.len(), 6, "{checked:#?}");

        // Somebody else changes one of each.
        let mut other = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
        let changes = [
            ("10 Mail", "15 mail"),
            ("ns2", "ns3"),
            ("5060", "5061"),
            ("128 iodef", "0 iodef"),
            ("-all", "~all"),
        ];
        for (from, to) in changes {
            other = other.replacen(from, to, 1);
        }
        world.write("other.toml", &other.replace("\"state\"", "\"other\""));
        world.run(&["apply", "-f", "other.toml"]).await.ends_with(0);
        let ran = world.run(&["verify", "--json"]).await.ends_with(100);
        for says in [
            "`15 mail.example.net`",
            "`ns3.example.net`",
            "`0 5 5061 sip.example.net`",
            "`0 iodef \"mailto:a@example.net\"`",
            "~all",
        ] {
            assert!(ran.err.contains(says), "`{says}` is not in {ran:#?}");
        }
        let checked = ran.json()["result"]["checked"].as_array().unwrap().clone();
        let right = checked.iter().filter(|c| c["right"] == true).filter_map(|c| c["name"].as_str());
        let right: std::collections::BTreeSet<_> = right.collect();
        assert_eq!(right, ["a.example.com", "none.example.com"].into(), "{checked:#?}");
    }
}

/// Cloudflare cannot be told what was there before, so it keeps what both have made. Each is told whose else it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_two_have_made_at_the_same_moment_is_told_to_both() {
    let world = World::new().await;
    let one = |value: &str| records(&[("a.example.com", value), ("own.example.com", value)]);
    world.configure(&one("192.0.2.2").replace("own", "other"));
    let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
    world.write("other.toml", &text.replace("\"prod\"", "\"other\"").replace("\"state\"", "\"other\""));
    world.configure(&one("192.0.2.1"));
    let rule = world.cloudflare.rules().add(Rule::new("records:batch", Act::HoldBefore).nth(1));
    let mut first = world.spawn(&["apply"]);
    assert!(world.cloudflare.rules().wait_held(rule, 1, Duration::from_secs(60)).await);
    world.run(&["apply", "-f", "other.toml"]).await.ends_with(0);
    world.cloudflare.rules().release(rule);
    first.wait().await.unwrap();
    let both = ["a.example.com A 192.0.2.1", "a.example.com A 192.0.2.2"];
    assert_eq!(world.said()[..2], both);

    let (all, marks) = (world.said(), world.marks());
    world.mutations();
    for (file, whose) in [("dns-sync.toml", "other"), ("other.toml", "prod")] {
        let ran = world.run(&["apply", "-f", file]).await.ends_with(100);
        let left = ran.err.lines().find(|line| line.contains("`a.example.com`")).unwrap_or_default();
        assert!(left.contains(whose), "{file}: {ran:#?}");
    }
    assert!(world.mutations().is_empty() && world.said() == all && world.marks() == marks);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_when_dns_has_caught_up() {
    let cloudflare = Cloudflare::start(Options::default()).await.unwrap();
    cloudflare.add_zone(Zone::new(ZONE).lag(4)).unwrap();
    let token = cloudflare.add_token(Token::dns("ci"));
    let world = World { cloudflare, token, folder: tempfile::tempdir().unwrap(), env: vec![] };
    world.configure(&format!("{}{}", records(&THREE), asked(&world)));
    world.run(&["apply"]).await.ends_with(0);
    world.run(&["verify"]).await.ends_with(100);
    world.run(&["verify", "--wait", "60"]).await.ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_taken_back_to_what_was_before() {
    let world = World::new().await;
    world.configure(&records(&THREE));
    world.run(&["apply"]).await.ends_with(0);
    let before = world.said();
    let next = [
        ("a.example.com", "elsewhere.example.net"),
        ("*.a.example.com", "one.example.net"),
        ("c.example.com", "192.0.2.3"),
    ];
    world.configure(&records(&next));
    world.run(&["apply", "--permit", "b.example.com"]).await.ends_with(0);
    assert_ne!(world.said(), before);
    world.mutations();
    world.run(&["undo", "--dry-run"]).await.ends_with(0);
    assert!(world.mutations().is_empty());
    world.run(&["undo"]).await.ends_with(0);
    assert_eq!((world.said(), world.marks()), (before.clone(), 3));

    // The run before, of which part has changed since.
    world.mutations();
    let runs = world.run(&["undo", "--list", "--json"]).await.ends_with(0).json();
    let first = runs["result"]["runs"][0]["first"].to_string();
    let ran = world.run(&["undo", &first]).await.ends_with(101);
    assert!(ran.err.contains("a later run has changed"), "{ran:#?}");
    // The last one, and somebody has changed the zone since.
    let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
    world.write("other.toml", &text.replace("\"state\"", "\"other\"").replace("elsewhere", "nowhere"));
    world.run(&["apply", "-f", "other.toml", "--permit", "b.example.com"]).await.ends_with(0);
    world.mutations();
    let (said, ran) = (world.said(), world.run(&["undo"]).await.ends_with(101));
    assert!(ran.err.contains("in the zone"), "{ran:#?}");
    world.run(&["undo", "77"]).await.ends_with(64);
    world.configure_without_journal(&records(&next));
    world.run(&["undo"]).await.ends_with(101);
    assert!(world.mutations().is_empty() && world.said() == said);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_marked_is_adopted_and_only_then_changed() {
    let world = World::new().await;
    world.configure(&records(&THREE));
    world.run(&["apply"]).await.ends_with(0);
    // Without its marks, it is nobody's.
    let plain = world.said();
    let exported = world.run(&["export"]).await.ends_with(0).out;
    let other = World::new().await;
    other.configure(&exported.replace("# prod", "# exported"));
    other.run(&["apply"]).await.ends_with(0);
    assert_eq!(other.said(), plain, "what was exported is what was there");
    let owner =
        |text: &str| std::fs::read_to_string(world.path("dns-sync.toml")).unwrap().replace("\"prod\"", text);
    world.write("other.toml", &owner("\"other\"").replace("\"state\"", "\"state2\""));
    let exported = world.run(&["export", "-f", "other.toml"]).await.ends_with(0).out;
    assert_eq!(exported.trim(), "", "nothing there is its own");
    let exported = world.run(&["export", "--all", "-f", "other.toml", "--json"]).await.ends_with(0).json();
    assert_eq!(exported["result"]["records"].as_array().unwrap().len(), 3);
    let ran = world.run(&["adopt", "-f", "other.toml"]).await.ends_with(100);
    assert!(ran.err.contains("of stack `prod`"), "what somebody has is not adopted: {ran:#?}");
}

/// Makes a record as somebody would by hand: without a mark.
async fn by_hand(world: &World, name: &str, kind: Kind, value: &str) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (endpoint, token) = (world.cloudflare.endpoint(), world.token.as_str().into());
    let provider = Provider::new(Account { endpoint, token, plan: Plan::Free, calls: None }).unwrap();
    let zone = provider.zones().await.unwrap().remove(0);
    let name = Name::parse(name).unwrap();
    let (word, after) = (kind.to_string(), vec![Entry::new(name.clone(), kind, value, 600)]);
    let change = Change { sets: vec![SetChange { name, word, before: vec![], after }] };
    provider.change(&zone, &[change]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_by_hand_is_left_alone_until_it_is_adopted() {
    let world = World::new().await;
    by_hand(&world, "a.example.com", Kind::A, "192.0.2.1").await;
    by_hand(&world, "*.a.example.com", Kind::Cname, "old.example.net").await;
    world.mutations();
    let before = world.cloudflare.records(ZONE);
    world.configure(&records(&THREE));
    // What is nobody's is left alone, and the rest goes through.
    let ran = world.run(&["apply"]).await.ends_with(100);
    assert!(ran.err.contains("`a.example.com` stays as it is"), "{ran:#?}");
    assert_eq!((world.said().len(), world.marks()), (3, 1));
    let same = |record: &Record| world.cloudflare.records(ZONE).contains(record);
    assert!(before.iter().all(same), "not even their TTL is another");

    // What says the same gets a mark and nothing else; what does not says what the sources say then.
    world.run(&["adopt"]).await.ends_with(0);
    assert!(same(&before[0]) && world.marks() == 3, "{:#?}", world.cloudflare.records(ZONE));
    let wildcard = |r: &&Record| r.name == "*.a.example.com";
    let now = world.cloudflare.records(ZONE).into_iter().find(|r| wildcard(&r)).unwrap();
    assert_eq!((now.content.as_str(), now.ttl), ("one.example.net", 600), "nobody said a TTL");
    // Nobody knows whose they were, so it is not taken back.
    let ran = world.run(&["undo"]).await.ends_with(101);
    assert!(ran.err.contains("was taken over"), "{ran:#?}");
    world.mutations();
    world.run(&["apply"]).await.ends_with(0);
    assert!(world.mutations().is_empty());
}

async fn get(address: &str, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_follow_each_other_and_tell_numbers() {
    let world = World::new().await;
    world.configure(&records(&THREE));
    let mut run = world.spawn(&["run", "--interval", "1", "--metrics", "127.0.0.1:0"]);
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let address = first.split("http://").nth(1).unwrap().trim_end_matches("/metrics").to_owned();
    let read = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let until = async |what: &str| {
        for _ in 0..300 {
            let text = get(&address, "/metrics").await;
            if text.contains(what) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("`{what}` does not come: {}", get(&address, "/metrics").await);
    };
    let text = until("dns_sync_changes_total{action=\"create\"} 3").await;
    assert!(text.contains("dns_sync_source_up{source=\"records\"} 1"), "{text}");
    world.configure(&records(&[THREE[0], ("*.a.example.com", "two.example.net"), THREE[2]]));
    until("dns_sync_changes_total{action=\"update\"} 1").await;
    assert!(world.said().contains(&"*.a.example.com CNAME two.example.net".to_owned()));
    world.write("dns-sync.toml", "rubbish");
    until("dns_sync_runs_total{exit_code=\"64\"}").await;
    assert!(get(&address, "/nothing").await.starts_with("HTTP/1.1 404"));
    let pid = i32::try_from(run.id().unwrap()).unwrap();
    tokio::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().await.unwrap();
    assert_eq!(run.wait().await.unwrap().code(), Some(0), "it ends when it is told to");
    read.await.unwrap();
}
