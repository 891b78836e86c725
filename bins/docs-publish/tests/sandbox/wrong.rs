//! What people, builds and AWS get wrong: a message that says so, an exit code, and visitors who get what they got before.

use crate::{site::Lacks, world::World};
use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use causeway_sandbox::gateway::{Act, Pending, Rule};
use jiff::SignedDuration;
use std::time::Duration;

/// Files that are written, arguments, exit code, what is said.
type Row = (&'static [(&'static str, &'static str)], &'static [&'static str], i32, &'static str);

const INPUTS: &[Row] = &[
    (&[], &["publish", "nowhere"], 64, "there is no folder nowhere"),
    (&[("a", "x")], &["publish", "site/a"], 64, "site/a is no folder"),
    (&[("_headers", "/*\n  a: b")], &["publish", "site"], 64, "site has no files"),
    (
        &[("a/index.html", "x"), ("b.html", "x")],
        &["publish", "site"],
        64,
        "`--style directory` or `--style file`",
    ),
    (&[("_headers", "/*\n  Via: x\n  a b")], &["publish", "site"], 64, "_headers:3: `a b` is no header"),
    (&[("_redirects", "/a\n/b /c 404")], &["publish", "site"], 64, "_redirects:2: `404` is no status"),
    (&[("_redirects", "/* /index.html 200")], &["publish", "site"], 64, "in the place of every file below"),
    (&[], &["publish"], 64, "no folder is named"),
    (&[], &["publish", "site", "--style", "both"], 64, "invalid value 'both'"),
    (&[], &["publish", "site", "--precompress", "zstd"], 64, "invalid value 'zstd'"),
    (
        &[
            ("../bad.toml", "[publish]\nprecompress = [\"br\", \"gzip\"]"),
            ("app.js", "x"),
            ("app.js.br", "y"),
        ],
        &["publish", "site", "-f", "bad.toml"],
        64,
        "`app.js.br` has the name under which `app.js` is there compressed",
    ),
    (&[], &["publish", "site", "--jobs", "0"], 64, "0 is not in 1..=256"),
    (&[], &["publish", "site", "--distribution", "ENOWHERE"], 64, "there is no distribution ENOWHERE"),
    (
        &[],
        &["publish", "site", "--site", "https://nowhere.example.com/a"],
        64,
        "no distribution for nowhere.example.com",
    ),
    (&[], &["publish", "site", "--site", "x", "--distribution", "y"], 64, "cannot be used with"),
    (&[], &["publish", "site", "-f", "absent.toml"], 64, "cannot read absent.toml"),
    (
        &[("../bad.toml", "[publish]\nfoldr = \"x\"")],
        &["publish", "-f", "bad.toml"],
        64,
        "did you mean `folder`?",
    ),
    (
        &[("../bad.toml", "[publish]\nimmutable = [\"/\"]")],
        &["diff", "-f", "bad.toml"],
        64,
        "is no beginning of paths",
    ),
    (
        &[("../bad.toml", "[gc]\nreleases = 0")],
        &["gc", "-f", "bad.toml"],
        64,
        "`releases` has to be between 1",
    ),
    (
        &[],
        &["publish", "site", "--build", "echo no; exit 3"],
        101,
        "`echo no; exit 3` ended with exit status: 3",
    ),
    (&[], &["rollback", "yesterday"], 64, "`yesterday` names no release"),
    (&[], &["rollback", "20200101T000000Z-00000000"], 64, "there is no release 20200101T000000Z-00000000"),
    (&[], &["rollback"], 64, "there is no earlier release"),
    (&[("_redirects", "/a /b 301")], &["publish", "site", "--allow", "everything"], 64, "the rules are home"),
    (&[(".env.production", "A=b")], &["publish", "site"], 101, "this file holds secrets"),
    (&[("app.js.map", "{}")], &["publish", "site"], 101, "app.js.map: a source map"),
    (&[("_errors/x.html", "x")], &["publish", "site"], 101, "the edge needs this name"),
    (
        &[("../bad.toml", "[checks]\nlinks = \"refuse\""), ("index.html", "<a href=/no/>x</a>")],
        &["publish", "site", "-f", "bad.toml"],
        101,
        "index.html: `/no/` leads to `/no/`, where there is nothing",
    ),
    (&[("../bad.toml", "[checks]\nallow = [\"all\"]")], &["check", "-f", "bad.toml"], 64, "`all` is no rule"),
    (&[("_next/static/x.js", "changed")], &["publish", "site"], 101, "_next/static/x.js is immutable"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_told_and_changes_nothing() {
    let world = World::new(40).await;
    let right = || {
        let _ = std::fs::remove_dir_all(world.path(""));
        world.write("index.html", "right");
        world.write("_next/static/x.js", "x");
    };
    right();
    world.publish().await;
    for (files, arguments, code, says) in INPUTS {
        right();
        for (path, text) in *files {
            // Of what is nothing but rules, nothing is left.
            if *says == "site has no files" {
                std::fs::remove_dir_all(world.path("")).unwrap();
            }
            world.write(path, text);
        }
        world.calls();
        world.run(arguments).await.ends_with(*code).says(says);
        assert!(world.changes().is_empty(), "{arguments:?}");
    }
    right();
    assert_eq!(world.visit("/").await.body, "right");
    let json = world.run(&["publish", "nowhere", "--json"]).await.ends_with(64);
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&document["exit_code"], document["result"].is_null()), (&serde_json::json!(64), true));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn links_are_followed_inside_only() {
    use std::os::unix::fs::symlink;
    let world = World::new(41).await;
    world.write("index.html", "right");
    world.write("../secret", "x");
    for (to, says) in
        [("../../secret", "leads out of the folder"), ("..", "leads"), ("nothing", "cannot read")]
    {
        let link = world.path("folder/link");
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(to, &link).unwrap();
        world.run(&["publish", "site"]).await.ends_with(64).says(says);
        std::fs::remove_file(link).unwrap();
    }
    assert!(world.objects().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distribution_that_is_not_set_up_is_told_what_it_lacks() {
    for (n, lacks, says) in [
        (42, Lacks::Functions, "has no function for viewer requests"),
        (43, Lacks::Store, "has a function that has no key value store"),
        (44, Lacks::Privacy, "reads its pages from a website endpoint"),
        (45, Lacks::Bucket, "has no bucket of S3"),
    ] {
        let world = World::with(n, lacks).await;
        world.write("index.html", "x");
        world.run(&["publish", "site"]).await.ends_with(64).says(says).says("`[docs]`");
        assert!(world.objects().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_refuses_is_told_and_the_next_run_goes_on() {
    let world = World::new(46).await;
    world.write_site("one");
    world.publish().await;
    world.write("404.html", "another");
    world.write("index.html", "home two");
    let gateway = world.sandbox.gateway();
    for (operation, act, code, says) in [
        ("cloudfront:GetDistribution", Act::Denied, 69, "cannot look at the distribution"),
        ("cloudfront:DescribeFunction", Act::Denied, 69, "the credentials may not do this"),
        (
            "cloudfront-keyvaluestore:DescribeKeyValueStore",
            Act::Denied,
            69,
            "the credentials may not do this",
        ),
        ("s3:PutObject", Act::Denied, 69, "the bucket is another account's"),
        ("s3:PutObject", Act::Expired, 69, "the credentials have run out"),
        ("s3:ListObjectsV2", Act::CutBefore, 69, "running this again goes on"),
        ("cloudfront-keyvaluestore:UpdateKeys", Act::ErrorBefore, 69, "cannot write to the key value store"),
        ("cloudfront-keyvaluestore:PutKey", Act::Denied, 69, "cannot write `live`"),
    ] {
        let rule = gateway.rules().add(Rule::new(operation, act).access_key(&world.key));
        world.run(&["publish", "site"]).await.ends_with(code).says(says);
        gateway.rules().remove(rule);
        assert!(world.visit("/").await.body.contains("home one"), "{operation} {act:?}");
    }
    // An answer that is lost is no failure: the switch is seen to have been made.
    let rule = gateway
        .rules()
        .add(Rule::new("cloudfront-keyvaluestore:PutKey", Act::CutAfter).access_key(&world.key).once());
    world.publish().await;
    assert_eq!(gateway.rules().acted(rule), 1);
    gateway.rules().remove(rule);
    assert_eq!(world.visit("/").await.body, "home two");
    assert_eq!(world.visit("/nowhere/").await.body, "another");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_publish_at_once_one_loses_before_the_switch() {
    let world = World::new(47).await;
    world.write_site("one");
    let one = world.publish().await;
    world.write("index.html", "slow");
    let gateway = world.sandbox.gateway();
    // The first is held when all but the switch is done.
    let rule = gateway
        .rules()
        .add(Rule::new("cloudfront-keyvaluestore:PutKey", Act::HoldBefore).access_key(&world.key).once());
    let slow = world.spawn(&["publish", "site"]);
    assert!(gateway.rules().wait_held(rule, 1, Duration::from_secs(120)).await);
    world.write("index.html", "quick");
    let quick = world.publish().await;
    assert_eq!(quick["before"], one["release"]);
    gateway.rules().remove(rule);
    let slow = slow.wait_with_output().await.unwrap();
    let said = String::from_utf8(slow.stderr).unwrap();
    assert_eq!(slow.status.code(), Some(101), "{said}");
    assert!(said.contains("somebody else published meanwhile"), "{said}");
    assert!(said.contains(quick["release"].as_str().unwrap()), "{said}");
    assert_eq!(world.visit("/").await.body, "quick");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_publishes_while_old_releases_go_and_who_began_before_loses() {
    let world = World::new(48).await;
    world.write_site("one");
    world.publish().await;
    world.write("index.html", "two");
    let gateway = world.sandbox.gateway();
    let rule = gateway.rules().add(Rule::new("s3:PutObject", Act::HoldBefore).access_key(&world.key).once());
    let publishing = world.spawn(&["publish", "site"]);
    assert!(gateway.rules().wait_held(rule, 1, Duration::from_secs(120)).await);
    world.run(&["gc"]).await.ends_with(0);
    gateway.rules().remove(rule);
    let ended = publishing.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(101), "{}", String::from_utf8_lossy(&ended.stderr));
    // And the other way round.
    let rule =
        gateway.rules().add(Rule::new("s3:ListObjectsV2", Act::HoldBefore).access_key(&world.key).once());
    let collecting = world.spawn(&["gc"]);
    assert!(gateway.rules().wait_held(rule, 1, Duration::from_secs(120)).await);
    world.run(&["publish", "site"]).await.ends_with(69).says("old releases are being removed since");
    gateway.rules().remove(rule);
    assert!(collecting.wait_with_output().await.unwrap().status.success());
    world.publish().await;
    assert_eq!(world.visit("/").await.body, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_changes_meanwhile_is_not_published() {
    let world = World::new(49).await;
    world.write_site("one");
    world.publish().await;
    world.write_site("two");
    let gateway = world.sandbox.gateway();
    let rule = gateway.rules().add(Rule::new("s3:PutObject", Act::HoldBefore).access_key(&world.key).once());
    let run = world.spawn(&["publish", "site", "--jobs", "1"]);
    assert!(gateway.rules().wait_held(rule, 1, Duration::from_secs(120)).await);
    world.write(
        "index.html",
        std::fs::read_to_string(world.path("index.html")).unwrap().replace("two", "TWO"),
    );
    gateway.rules().remove(rule);
    let ended = run.wait_with_output().await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(100), "{said}");
    assert!(said.contains("index.html changed while it was published"), "{said}");
    assert!(world.visit("/").await.body.contains("home one"));
}

/// Until something of the gateway is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..600 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_invalidations_are_waited_for_and_visitors_have_the_release_meanwhile() {
    let lasts =
        |invalidation| Pending { invalidation, key_value_store: Duration::ZERO, ..Pending::default() };
    let world = World::made(50, Lacks::Nothing, lasts(Duration::from_secs(3600))).await;
    world.write_site("one");
    world.publish().await;
    assert!(world.visit("/nowhere/").await.body.contains("nothing one"));
    // As many as CloudFront takes, for an hour.
    let paths: Vec<String> = (0..3_000).map(|n| format!("/{n}")).collect();
    let paths = Paths::builder().quantity(3_000).set_items(Some(paths)).build().unwrap();
    let batch = InvalidationBatch::builder().paths(paths).caller_reference("others").build().unwrap();
    let cloudfront = aws_sdk_cloudfront::Client::new(&world.config);
    let call = cloudfront.create_invalidation().distribution_id(&world.site.distribution);
    call.invalidation_batch(batch).send().await.unwrap();
    world.write_site("two");
    world.calls();
    let ran = world.run(&["publish", "site", "--patience", "5"]).await.ends_with(100);
    let ran = ran.says("for 5 s as many were in progress as CloudFront takes at once");
    ran.says("but what there is not may still show an older error page")
        .says("`--patience SECONDS` waits longer");
    assert!(world.visit("/").await.body.contains("home two"), "all else is the new release");
    assert!(world.visit("/nowhere/").await.body.contains("nothing one"), "as the edge has it");
    assert!(
        world.changes()["cloudfront:CreateInvalidation"] > 1,
        "it was asked again before it was given up"
    );
    // The next run has nothing to send, waits, and makes it whole.
    let refused = || {
        let calls = world.sandbox.gateway().calls();
        let ours = calls.iter().filter(|call| call.access_key == world.key && call.status == 400);
        ours.filter(|call| call.operation == "CreateInvalidation").count()
    };
    let before = refused();
    let next = world.spawn(&["publish", "site", "--json"]);
    until("the next run is refused as well", || refused() > before).await;
    world.sandbox.gateway().set_pending_of(&world.key, lasts(Duration::from_millis(500)));
    let next = next.wait_with_output().await.unwrap();
    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
    assert!(!world.changes().contains_key("s3:PutObject"), "all of it was there");
    assert!(world.visit("/nowhere/").await.body.contains("nothing two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_made_up_for_or_told() {
    let world = World::new(51).await;
    world.write_site("one");
    for (ahead, said) in [(3723, "1h 2m"), (-1803, "30m")] {
        world.sandbox.gateway().set_clock(&world.key, SignedDuration::from_secs(ahead));
        let side = if ahead < 0 { "ahead" } else { "behind" };
        world.calls();
        let mut command = world.command(&["publish", "site"]);
        let output = command.env("AWS_DISABLE_CLOCK_SKEW_CORRECTION", "true").output().await.unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{text}");
        assert!(text.contains("SignatureDoesNotMatch: Signature "), "{text}");
        let hint = text.lines().find(|line| line.starts_with("hint: ")).unwrap();
        assert!(
            hint.contains(&format!("the clock of this machine is {said}")) && hint.contains(side),
            "{hint}"
        );
        assert!(world.calls().iter().all(|call| !call.forwarded), "nobody saw it");
        // The SDK signs anew, with the time that it was told.
        world.write("index.html", format!("home {ahead}"));
        world.publish().await;
        let refused = world.calls().iter().filter(|call| call.status == 403).count();
        assert!(refused > 0, "or it was not looked at");
        assert_eq!(world.visit("/").await.body, format!("home {ahead}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distribution_that_is_being_deployed_is_waited_for_before_the_edge_is_asked() {
    let pending = Pending { distribution: Duration::from_secs(3600), ..Pending::default() };
    let world = World::made(52, Lacks::Nothing, pending).await;
    world.write_site("one");
    world.write("../quick.toml", "[verify]\npatience = 1");
    let arguments = ["publish", "site", "-f", "quick.toml"];
    let ran = world.run(&[&arguments[..], &["--patience", "1"]].concat()).await.ends_with(100);
    let ran = ran
        .says("is being deployed: edges know it in some minutes")
        .says("is still being deployed after 1 s");
    ran.says("is published, and was not seen at the edge");
    assert_eq!(world.visit("/").await.status, 403, "no edge knows it yet");
    // All of it is there; it is waited for as long as it takes, and not for the second that the edge is given.
    world.write("index.html", "home two");
    world.calls();
    let run = world.spawn(&arguments);
    let looks = || {
        world
            .sandbox
            .gateway()
            .calls()
            .iter()
            .filter(|call| call.access_key == world.key && call.name() == "cloudfront:GetDistribution")
            .count()
    };
    let before = looks();
    until("it waits for the distribution", || looks() > before + 2).await;
    world
        .sandbox
        .gateway()
        .set_pending_of(&world.key, Pending { key_value_store: Duration::ZERO, ..Pending::default() });
    let ended = run.wait_with_output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(world.visit("/").await.body, "home two");
}
