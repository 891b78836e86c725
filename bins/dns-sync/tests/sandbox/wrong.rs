//! What people and providers get wrong: a message that says so, an exit code, and nothing changed.

use crate::world::{World, ZONE};
use causeway_sandbox::cloudflare::{Act, Rule, Token};

const ONE: &str = "[[records]]\nname = \"a.example.com\"\nvalues = [\"192.0.2.1\"]\n";

/// A right file with `from` made into `to`: what is said.
const FILES: [(&str, &str, &str); 27] = [
    ("owner = \"prod\"", "owner = \"Prod & Co\"", "`owner` has to be lowercase letters"),
    ("owner = \"prod\"", "", "`owner` is missing"),
    ("owner = \"prod\"", "owner = 7", "has to be text in quotes"),
    ("owner = \"prod\"", "owner = \"prod", "close the quotes"),
    ("owner = \"prod\"", "owner = \"prod\"\nownre = \"x\"", "did you mean `owner`?"),
    ("\"cloudflare\"", "\"cloudfare\"", "did you mean `cloudflare`?"),
    ("\"env:CF\"", "\"env:NOT_SET_ANYWHERE\"", "the environment variable NOT_SET_ANYWHERE is not set"),
    ("\"env:CF\"", "\"file:token\"", "cannot read the secret in"),
    ("\"env:CF\"", "\"hunter2hunter2\"", "a secret is named, not written"),
    ("\"env:CF\"", "\"aws-secret:x\"", "has to be where this program can read it"),
    ("api = \"http", "api = \"ftp", "`api` is no URL"),
    ("token = \"env:CF\"\n", "", "`token` is missing"),
    ("\"cloudflare\"", "\"rfc2136\"", "a zone at a server with dynamic updates has no `token`"),
    ("token = ", "server = \"ns1.example.com\"\ntoken = ", "a zone at Cloudflare has no `server`"),
    ("token = ", "key = { name = \"test\" }\ntoken = ", "`secret` is missing"),
    (
        "[[records]]",
        "[zones.\"example.net\"]\nprovider = \"rfc2136\"\nserver = \"192.0.2.53\"\n\
         [[records]]\nname = \"x.example.net\"\nvalues = [\"192.0.2.1\"]\nproxied = true\n[[records]]",
        "nobody can stand in front of `x.example.net`",
    ),
    ("a.example.com", "a..example.com", "a..example.com"),
    ("a.example.com", "a_b!.example.com", "example.com"),
    ("a.example.com", "a.example.org", "is in none of the zones"),
    ("[guard]", "[guard]\npolicy = \"delete-all\"", "`policy` has to be"),
    ("[guard]", "[guard]\nreads = 0", "`reads` has to be between 1 and 10"),
    ("[guard]", "[guard]\nreads = -1", "`reads` has to be between"),
    ("values = [\"192.0.2.1\"]", "values = []", "says nothing"),
    ("values = [\"192.0.2.1\"]", "values = \"192.0.2.1\"", "has to be a list"),
    ("[[records]]", "[clusters.ohio.services]\n\"coder\" = []\n[[records]]", "does not say which namespace"),
    (
        "[[records]]",
        "[[records]]\nname = \"A.example.com.\"\nvalues = [\"192.0.2.9\"]\n[[records]]",
        "somewhere twice",
    ),
    (
        "[[records]]",
        "[clusters.ohio]\nannotations = false\n[[records]]",
        "nothing gives names in the cluster `ohio`",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_file_is_told_at_its_place() {
    let world = World::new().await;
    for (from, to, says) in FILES {
        let right = format!("{}{ONE}", world.head());
        let wrong = right.replacen(from, to, 1);
        assert_ne!(right, wrong, "{from}");
        world.write("dns-sync.toml", &wrong);
        let ran = world.run(&["apply"]).await;
        assert_eq!(ran.code, 64, "{to}: {ran:#?}");
        let said: String = ran.err.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
        assert!(said.contains(says), "{to}: `{says}` is not in {}", ran.err);
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
    world.write("dns-sync.toml", "");
    assert!(world.run(&["plan"]).await.ends_with(64).err.contains("the file says nothing"));
    std::fs::write(world.path("dns-sync.toml"), b"owner = \"\xff\"").unwrap();
    assert!(world.run(&["plan"]).await.ends_with(64).err.contains("not UTF-8 text"));
    std::fs::remove_file(world.path("dns-sync.toml")).unwrap();
    assert!(world.run(&["plan"]).await.ends_with(64).err.contains("dns-sync init"));
    world.run(&["init"]).await.ends_with(0);
    assert!(world.run(&["plan"]).await.ends_with(64).err.contains("CLOUDFLARE_API_TOKEN is not set"));
    world.run(&["init"]).await.ends_with(101);
    assert!(world.cloudflare.calls().is_empty(), "nobody was asked");
}

/// What a provider answers: what is said, and the exit code.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_well_changes_nothing() {
    for (call, act, says) in [
        ("*", Act::Denied, "10000"),
        ("*", Act::Unauthenticated, "10001"),
        ("*", Act::HtmlBefore, "a page in HTML"),
        ("*", Act::ErrorBefore, "500"),
        ("*", Act::CutBefore, "no answer"),
        ("*", Act::TooMany(3600), "3600 s"),
        ("*", Act::TooManySilently, "does not say when"),
        ("records:list", Act::Truncated, "ends in the middle"),
        ("records:batch", Act::Denied, "10000"),
    ] {
        let world = World::new().await;
        world.configure(ONE);
        world.cloudflare.rules().add(Rule::new(call, act));
        let ran = world.run(&["apply", "--time-limit", "6"]).await;
        assert!([69, 100].contains(&ran.code), "{act:?}: {ran:#?}");
        assert!(ran.err.contains(says), "{act:?}: `{says}` is not in {}", ran.err);
        assert!(world.said().is_empty() && world.marks() == 0, "{act:?}");
        world.cloudflare.rules().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_not_enough_are_told() {
    let world = World::new().await;
    world.configure(ONE);
    for (token, code, says) in [
        (Token::new("nothing"), 69, "requires permission"),
        (Token::new("reader").zone_read().dns_read(), 100, "10000"),
        (Token::dns("elsewhere").zones(["example.org"]), 69, "show no zone `example.com`"),
    ] {
        let secret = world.cloudflare.add_token(token);
        let output = world.command(&["apply"]).env("CF", &secret).output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains(says), "`{says}` is not in {err}");
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(world.said().is_empty());
    }
    world.cloudflare.revoke(&world.token);
    assert!(world.run(&["apply"]).await.ends_with(69).err.contains("9109"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_record_can_say_and_what_sources_get_wrong_is_told() {
    let world = World::new().await;
    let record = |values: &str| format!("[[records]]\nname = \"b.example.com\"\nvalues = {values}\n");
    let outputs = "[outputs.prod]\nfile = \"outputs.json\"\nnames = { \"b.example.com\" = \"balancer\" }\n";
    world.write("rubbish.json", "{");
    world.write("none.json", r#"{"version":1,"result":{"outputs":{"other":"x"}}}"#);
    world.write("unknown.json", r#"{"version":1,"result":{"outputs":{"balancer":null}}}"#);
    world.write("table.json", r#"{"version":1,"result":{"outputs":{"balancer":{}}}}"#);
    let from = |file: &str| outputs.replace("outputs.json", file);
    for (rest, code, says) in [
        (record("[\"x.example.net\", \"192.0.2.1\"]"), 100, "leads nowhere else"),
        (record("[\"b.example.com\"]"), 100, "leads to itself"),
        (record("[\"not a name\"]"), 100, "not a name"),
        (from("absent.json"), 69, "absent.json failed"),
        (from("rubbish.json"), 69, "not what `deploy outputs --json` writes"),
        (from("none.json"), 69, "there is no output `balancer`; there is other"),
        (from("unknown.json"), 69, "is not known yet"),
        (from("table.json"), 69, "neither text nor a list"),
        ("[clusters.ohio]\nkubeconfig = \"absent\"\n".into(), 69, "clusters/ohio did not answer: reading"),
    ] {
        world.configure(&format!("{ONE}{rest}"));
        let ran = world.run(&["apply"]).await;
        assert_eq!(ran.code, code, "{rest}: {ran:#?}");
        assert!(ran.err.contains(says), "{rest}: `{says}` is not in {}", ran.err);
        // What is right goes through.
        assert_eq!(world.said(), ["a.example.com A 192.0.2.1"], "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_stays_and_is_told() {
    let world = World::new().await;
    world.configure(ONE);
    world.run(&["apply"]).await.ends_with(0);
    // Another configuration wants the same name, and one of its own.
    let other = "[[records]]\nname = \"b.example.com\"\nvalues = [\"192.0.2.2\"]\n";
    let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
    let text = text.replace("\"prod\"", "\"other\"").replace("192.0.2.1", "192.0.2.3");
    world.write("dns-sync.toml", &format!("{text}{other}"));
    let ran = world.run(&["apply"]).await.ends_with(64);
    assert!(ran.err.contains("the journal is of the stack `prod`"), "{ran:#?}");
    let text = text.replace("\"state\"", "\"state2\"");
    world.write("dns-sync.toml", &format!("{text}{other}"));
    let ran = world.run(&["apply"]).await.ends_with(100);
    assert!(ran.err.contains("of stack `prod`"), "{ran:#?}");
    assert_eq!(world.said(), ["a.example.com A 192.0.2.1", "b.example.com A 192.0.2.2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_against_a_guard_or_by_an_old_plan() {
    let world = World::new().await;
    let records = |last: u8, n: u8| -> String {
        (1..=n)
            .map(|i| {
                format!("[[records]]\nname = \"r{i}.example.com\"\nvalues = [\"192.0.2.{}\"]\n", last + i)
            })
            .collect()
    };
    world.configure(&records(0, 6));
    world.run(&["apply"]).await.ends_with(0);
    let before = world.said();
    world.mutations();
    // Six of six at once: all sources wrong, more likely than all right.
    world.configure(&records(100, 6));
    let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
    world.write("dns-sync.toml", &text.replace("changes_percent = 100\n", ""));
    let ran = world.run(&["apply"]).await.ends_with(101);
    assert!(ran.err.contains("6 of 6 records would be changed and 3 are allowed"), "{ran:#?}");
    let ran = world.run(&["apply", "--digest", &"0".repeat(64)]).await.ends_with(101);
    assert!(ran.err.contains("the plan is another one"), "{ran:#?}");
    // A damaged journal.
    std::fs::write(world.path("state/journal.jsonl"), "{}\n").unwrap();
    let ran = world.run(&["apply"]).await.ends_with(69);
    assert!(ran.err.contains("journal.jsonl does not decode"), "{ran:#?}");
    assert!(world.mutations().is_empty() && world.said() == before);
    assert_eq!(world.cloudflare.records(ZONE).len(), 12);
}
