//! Planned moves, at the sandbox's Cloudflare, with a clock that nobody waits for.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use causeway_core::{error::chain, plan::Action};
use causeway_dns::Name;
use causeway_dns_sync::{
    File, Options, Sync,
    moving::{MoveError, Progress},
    wanted::Because,
};
use causeway_sandbox::cloudflare::{Act, Cloudflare, Options as CloudOptions, Rule, Token, Zone};
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tempfile::TempDir;

const NAMES: [&str; 2] = ["ai.example.com", "*.ai.example.com"];
const OLD: &str = "old.elb.example.net";
const NEW: &str = "new.elb.example.net";

/// A zone in which both names lead to the old load balancer, for 300 seconds, and another one that stays.
struct World {
    cloudflare: Cloudflare,
    folder: TempDir,
    token: String,
    kept: bool,
}

impl World {
    async fn new(kept: bool, rest: &str) -> Arc<World> {
        World::with(kept, rest, Zone::new("example.com")).await
    }

    async fn with(kept: bool, rest: &str, zone: Zone) -> Arc<World> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let cloudflare = Cloudflare::start(CloudOptions::default()).await.unwrap();
        cloudflare.add_zone(zone).unwrap();
        let token = cloudflare.add_token(Token::dns("ci"));
        let world = World { cloudflare, folder: tempfile::tempdir().unwrap(), token, kept };
        world.configure(OLD, rest);
        world.apply().await;
        world.cloudflare.reset_calls();
        Arc::new(world)
    }

    /// The sources say `target`; `rest` is added at the top.
    fn configure(&self, target: &str, rest: &str) {
        let record = |name: &str, target: &str| {
            format!("[[records]]\nname = \"{name}\"\nvalues = [\"{target}\"]\nttl = 300\n")
        };
        let state = if self.kept { "[state]\nfolder = \"state\"\n" } else { "" };
        let records: String = NAMES.iter().map(|name| record(name, target)).collect();
        let text = format!(
            "owner = \"prod\"\n{rest}[zones.\"example.com\"]\nprovider = \"cloudflare\"\ntoken = \"env:CF\"\n\
             api = \"{}\"\n{state}[verify]\nservers = [\"{}\"]\n{records}{}",
            self.cloudflare.endpoint(),
            self.cloudflare.dns(),
            record("other.example.com", "192.0.2.1"),
        );
        std::fs::write(self.folder.path().join("dns-sync.toml"), text).unwrap();
    }

    /// A run of its own: nothing is remembered but the journal, or the marks.
    async fn sync(&self) -> Sync {
        let file = File::read(&self.folder.path().join("dns-sync.toml")).unwrap();
        let secrets = file.secrets(&|_| Some(self.token.clone())).unwrap();
        Sync::new(&file, &secrets).await.unwrap()
    }

    /// What an apply would do and leave, and does.
    async fn apply(&self) -> (usize, Vec<Because>) {
        let sync = self.sync().await;
        let prepared = sync.plan(&Options::default(), "test").await.unwrap();
        let left = prepared.left.iter().map(|left| left.because).collect();
        // A journal that was made again has some of its fields still to learn.
        let steps = prepared.planned.plan.steps.iter().filter(|step| step.action != Action::Record).count();
        let outcome = sync.apply(prepared, Default::default()).await.unwrap();
        assert!(outcome.report.is_complete(), "{:?}", outcome.report.failed);
        (steps, left)
    }

    /// Where the names lead, and their TTL, if that is the same for both.
    fn leads(&self) -> (String, u32) {
        let records = self.cloudflare.records("example.com");
        let both: BTreeSet<(String, u32)> = records
            .iter()
            .filter(|r| NAMES.contains(&r.name.as_str()) && r.kind == "CNAME")
            .map(|r| (r.content.clone(), r.ttl))
            .collect();
        assert_eq!(both.len(), 1, "{both:?}");
        both.into_iter().next().unwrap()
    }

    /// Everything that is in the zone, without what is another each time.
    fn all(&self) -> Vec<String> {
        let instance = |text: &str| {
            let parts = text.split(',').filter(|part| !part.contains(":instance="));
            parts.collect::<Vec<_>>().join(",")
        };
        let records = self.cloudflare.records("example.com");
        let mut all: Vec<String> = records
            .iter()
            .map(|r| format!("{} {} {} {} {}", r.name, r.kind, instance(&r.content), r.ttl, r.proxied))
            .collect();
        all.sort();
        all
    }

    /// The whole of a move, by a clock that jumps; what is on its way already goes on.
    async fn moved(&self, start: Timestamp) -> Result<Timestamp, MoveError> {
        let mut now = start;
        self.sync().await.begin(&names(), &target(), 60, "test", now).await?;
        for _ in 0..200 {
            match self.sync().await.go_on(&names(), "test", now).await? {
                Progress::Done => return Ok(now),
                Progress::Changed(_) => {}
                Progress::Waiting(until) => now = until,
                Progress::Unseen(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        panic!("it does not end");
    }
}

fn names() -> Vec<Name> {
    NAMES.iter().map(|name| Name::parse(name).unwrap()).collect()
}

fn target() -> BTreeSet<String> {
    [NEW.to_owned()].into()
}

fn noon() -> Timestamp {
    "2030-01-01T12:00:00Z".parse().unwrap()
}

fn after(seconds: u64) -> Timestamp {
    noon() + Duration::from_secs(seconds)
}

const LOOSE: &str = "guard = { changes_percent = 100, pause = 0 }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_ttl_goes_down_before_a_name_leads_elsewhere_and_comes_back() {
    for kept in [true, false] {
        let world = World::new(kept, LOOSE).await;
        let before = world.all();
        let go_on = async |at| world.sync().await.go_on(&[], "test", at).await.unwrap();
        assert_eq!(go_on(noon()).await, Progress::Done, "nothing moves");

        let done = world.sync().await.begin(&names(), &target(), 60, "test", noon()).await.unwrap();
        assert_eq!(done[1], "the TTL of `ai.example.com` is 60 s; it was 300 s");
        assert_eq!(world.leads(), (OLD.to_owned(), 60));
        assert_eq!(world.cloudflare.mutations().len(), 1, "both names in one call");
        // Others go on, and leave alone what moves, whatever the sources say.
        for says in [OLD, NEW] {
            world.configure(says, LOOSE);
            let (steps, left) = world.apply().await;
            assert_eq!((steps, left), (0, vec![Because::Moving; 2]), "kept: {kept}");
        }
        assert_eq!(world.leads(), (OLD.to_owned(), 60));

        // The zone's own server says so ten seconds later: from then on old answers run out.
        assert!(matches!(go_on(after(10)).await, Progress::Changed(_)));
        assert_eq!(go_on(after(11)).await, Progress::Waiting(after(310)));
        assert_eq!(go_on(after(309)).await, Progress::Waiting(after(310)));
        assert_eq!(world.leads(), (OLD.to_owned(), 60));
        assert!(matches!(go_on(after(310)).await, Progress::Changed(_)));
        assert_eq!(world.leads(), (NEW.to_owned(), 60));
        let moves = world.sync().await.moves().await.unwrap();
        assert_eq!((moves.len(), moves[0].to.clone()), (2, target()));
        assert!(matches!(go_on(after(311)).await, Progress::Changed(_)));
        assert_eq!(world.leads(), (NEW.to_owned(), 300));
        assert_eq!(go_on(after(312)).await, Progress::Done);

        // As if an apply had done it, to the byte: marks too.
        assert_eq!(world.apply().await, (0, vec![]));
        let after: Vec<String> = before.iter().map(|line| line.replace(OLD, NEW)).collect();
        assert_eq!(world.all(), after);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_target_is_named_the_sources_say_it() {
    let world = World::new(true, LOOSE).await;
    let nothing = BTreeSet::new();
    let begin = async || world.sync().await.begin(&names(), &nothing, 60, "test", noon()).await;
    let error = begin().await.unwrap_err();
    assert!(chain(&error).contains("leads where its sources say"), "{}", chain(&error));
    world.configure(NEW, LOOSE);
    assert_eq!(begin().await.unwrap().len(), 2);
    // Once more, it is under way; elsewhere, it is not.
    assert_eq!(begin().await.unwrap(), [""; 0]);
    let elsewhere = ["192.0.2.7".to_owned()].into();
    let error = world.sync().await.begin(&names(), &elsewhere, 60, "test", noon()).await.unwrap_err();
    assert!(chain(&error).contains(&format!("on its way to {NEW}")), "{}", chain(&error));
    world.moved(noon()).await.unwrap();
    assert_eq!(world.leads(), (NEW.to_owned(), 300));
    assert_eq!(world.apply().await, (0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_ended_leaves_the_name_where_it_leads() {
    for (progress, leads) in [(0, OLD), (1, OLD), (2, NEW)] {
        let world = World::new(true, LOOSE).await;
        world.sync().await.begin(&names(), &target(), 60, "test", noon()).await.unwrap();
        for _ in 0..progress {
            world.sync().await.go_on(&[], "test", after(1000)).await.unwrap();
            // The second look is past the wait of the first.
            world.sync().await.go_on(&[], "test", after(2000 * progress)).await.unwrap();
        }
        let leads = if world.leads().0 == NEW { NEW } else { leads };
        world.sync().await.cancel(&names(), "test").await.unwrap();
        assert_eq!(world.leads(), (leads.to_owned(), 300), "{progress}");
        assert_eq!(world.sync().await.moves().await.unwrap(), []);
        // The next run follows the sources.
        world.apply().await;
        assert_eq!(world.leads(), (OLD.to_owned(), 300));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_moves_against_a_guard_or_away_from_what_somebody_changed() {
    // Two of three records are more than half.
    let world = World::new(true, "guard = { pause = 0 }\n").await;
    let before = world.all();
    let begin = async |names: &[Name], to: &str| {
        let to = [to.to_owned()].into();
        chain(&world.sync().await.begin(names, &to, 60, "test", noon()).await.unwrap_err())
    };
    let said = begin(&names(), NEW).await;
    assert!(said.contains("refused"), "{said}");
    let said = begin(&[Name::parse("nobody.example.com").unwrap()], NEW).await;
    assert!(said.contains("`nobody.example.com` has no record of ours"), "{said}");
    world.configure(OLD, "guard = { pause = 0, policy = \"create-only\" }\n");
    let said = begin(&names()[..1], NEW).await;
    assert!(said.contains("refused"), "{said}");
    world.configure(OLD, "guard = { pause = 0, probe = \"tls\", probe_port = 1 }\n");
    let said = begin(&names()[..1], "127.0.0.1").await;
    assert!(said.contains("does not answer for it"), "{said}");
    assert_eq!((world.all(), world.cloudflare.mutations().len()), (before, 0));

    // Somebody is quicker while old answers run out.
    world.configure(OLD, LOOSE);
    world.sync().await.begin(&names(), &target(), 60, "test", noon()).await.unwrap();
    world.sync().await.go_on(&[], "test", noon()).await.unwrap();
    let text = std::fs::read_to_string(world.folder.path().join("dns-sync.toml")).unwrap();
    let path = world.folder.path().join("other.toml");
    std::fs::write(&path, text.replace("\"state\"", "\"other\"").replace(OLD, "else.example.net")).unwrap();
    let file = File::read(&path).unwrap();
    let quicker = Sync::new(&file, &file.secrets(&|_| Some(world.token.clone())).unwrap()).await.unwrap();
    quicker.cancel(&names(), "other").await.unwrap();
    let error = world.sync().await.go_on(&[], "test", after(400)).await.unwrap_err();
    assert!(chain(&error).contains("differs in the zone"), "{}", chain(&error));
    assert_eq!(world.leads().0, OLD);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_servers_do_not_say_yet_is_waited_for() {
    let world = World::with(true, LOOSE, Zone::new("example.com").lag(3)).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.sync().await.begin(&names(), &target(), 60, "test", noon()).await.unwrap();
    let progress = world.sync().await.go_on(&[], "test", noon()).await.unwrap();
    let Progress::Unseen(said) = progress else { panic!("{progress:?}") };
    assert!(said[0].ends_with("says of `*.ai.example.com`: for 300 s"), "{said:?}");
    world.moved(noon()).await.unwrap();
    assert_eq!(world.leads(), (NEW.to_owned(), 300));
}

/// What a proxy stands in front of is answered with the proxy: nobody has to wait.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_and_where_the_ttl_is_low_there_is_nothing_to_lower() {
    for defaults in ["defaults = { proxied = true }\n", "defaults = { ttl = 60 }\n"] {
        let rest = format!("{LOOSE}{defaults}");
        let world = World::new(true, &rest).await;
        if defaults.contains("ttl") {
            let path = world.folder.path().join("dns-sync.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text.replace("ttl = 300", "ttl = 60")).unwrap();
            world.apply().await;
        }
        let ttl = world.leads().1;
        let done = world.sync().await.begin(&names(), &target(), 60, "test", noon()).await.unwrap();
        assert_eq!(done[1], format!("`ai.example.com` leads to {NEW}"));
        assert_eq!(world.moved(noon()).await.unwrap(), noon(), "nothing was waited for");
        assert_eq!(world.leads(), (NEW.to_owned(), ttl));
    }
}

/// Begins a move in a runtime of its own, which ends with all that it was about to do.
fn killable(world: Arc<World>) -> impl FnOnce() {
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            tokio::select! {
                moved = world.moved(noon()) => panic!("nobody held it: {moved:?}"),
                _ = ended => {}
            }
        });
        runtime.shutdown_background();
    });
    move || {
        end.send(()).unwrap();
        thread.join().unwrap();
    }
}

/// At each call that changes something, before and after it has had its effect, with a journal and without.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_is_followed_by_one_who_goes_on() {
    for kept in [true, false] {
        let world = World::new(kept, LOOSE).await;
        world.moved(noon()).await.unwrap();
        let calls = world.cloudflare.mutations().len() as u64;
        let expected = world.all();
        assert!(calls >= 4, "{calls}");
        for act in [Act::HoldBefore, Act::HoldAfter] {
            for n in 1..=calls {
                let world = World::new(kept, LOOSE).await;
                let rule = world.cloudflare.rules().add(Rule::new("records:batch", act).nth(n));
                let first = killable(Arc::clone(&world));
                let held = world.cloudflare.rules().wait_held(rule, 1, Duration::from_secs(60)).await;
                let at = format!("{act:?} at call {n} of {calls}, with a journal: {kept}");
                assert!(held, "{at}");
                first();
                assert!(world.cloudflare.rules().wait_abandoned(rule, Duration::from_secs(60)).await, "{at}");
                world.cloudflare.rules().remove(rule);
                let leads = format!(" CNAME {NEW}");
                let far = |line: &String| ["=waiting", "=switched", &leads].iter().any(|w| line.contains(*w));
                let waits = !world.all().iter().any(far);
                let end = world.moved(after(5000)).await;
                let end = end.unwrap_or_else(|e| panic!("{at}: {}", chain(&e)));
                assert!(!waits || end >= after(5300), "{at}: old answers are still kept at {end}");
                assert_eq!(world.all(), expected, "{at}");
            }
        }
    }
}
