//! Buckets, and journals in them, in the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![allow(clippy::print_stderr, reason = "figures for people")]
#![cfg(feature = "s3")]

mod in_sandbox;

use aws_config::SdkConfig;
use aws_sdk_s3::{primitives::ByteStream, types::ServerSideEncryption};
use causeway_aws::{
    AwsStack,
    id::Arn,
    policy::{PolicyDocument, Principal, Statement},
    s3::{Bucket, LifecycleRule, S3Store},
};
use causeway_core::{
    Engine, Registry, Stack, Tags, Value,
    engine::Run,
    error::chain,
    journal::{Entry, Journal, Stamped, State},
    plan::{Action, PlanOptions},
    secret::SealKey,
    store::{LocalStore, MemoryStore, Store, StoreError, copy},
    testing::{
        Lifecycle,
        crash::all_rules,
        sim::{self, SimCloud, SimPlace},
    },
};
use causeway_sandbox::gateway::{Act, Gateway, Rule, RuleId};
use in_sandbox::{REGION, client, config, registry};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Mutex, MutexGuard},
};

const ACCOUNT: &str = "000000000536";
const JOURNALS: &str = "000000000537";

// ---- Buckets

fn sample() -> Bucket {
    Bucket { tags: Tags::from([("team", "platform"), ("cost", "1")]), ..Bucket::private("causeway-life", 30) }
}

fn changes() -> [(&'static str, Bucket); 3] {
    let reader =
        PolicyDocument::new([Statement::allow(["s3:GetObject"], ["arn:aws:s3:::causeway-life/public/*"])
            .to([Principal::service("cloudfront.amazonaws.com")])
            .when("StringEquals", "aws:SourceAccount", ["123456789012"])]);
    let one = Bucket {
        kms_key: Some(Arn::from("arn:aws:kms:us-east-1:123456789012:key/0a1b").into()),
        lifecycle: Some(vec![LifecycleRule {
            id: "drafts".into(),
            prefix: "drafts/".into(),
            expiration_days: Some(10),
            noncurrent_days: Some(1),
            abort_multipart_days: None,
        }]),
        policy: Some(reader),
        object_ownership: Some("BucketOwnerPreferred".into()),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    let two = Bucket { block_public_access: Some(false), require_tls: None, kms_key: None, ..one.clone() };
    let three = Bucket { tags: Tags::default(), ..Bucket::new("causeway-life") };
    [("all of it", one), ("less said", two), ("nothing said", three)]
}

fn stack(bucket: &Bucket) -> Stack {
    let mut stack = Stack::new("s3");
    stack.region(REGION, |stack| {
        stack.add("bucket", bucket.clone());
    });
    stack
}

#[tokio::test]
async fn a_bucket_lives_and_dies() {
    let s3 = &client(ACCOUNT).await.s3;
    let name = "causeway-life";
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(&sample())).await;
    life.drift("opened", "bucket", async {
        s3.delete_public_access_block().bucket(name).send().await.expect("the emulator takes it");
    })
    .await;
    life.drift("over plain HTTP", "bucket", async {
        s3.delete_bucket_policy().bucket(name).send().await.expect("the emulator takes it");
    })
    .await;
    for (what, changed) in changes() {
        assert_eq!(life.change(what, stack(&changed)).await, [("bucket".into(), Action::Update)], "{what}");
    }
    let access = s3.get_public_access_block().bucket(name).send().await.expect("it was put back");
    let access = access.public_access_block_configuration.expect("it was put back");
    assert_eq!(access.block_public_policy, Some(true), "what is not said any more is closed again");
    let domain = life.outputs("bucket").await["domain"].clone();
    assert_eq!(domain, "causeway-life.s3.us-east-1.amazonaws.com");
    life.end().await;
}

#[tokio::test]
async fn a_bucket_that_holds_something_stays_unless_it_is_said() {
    let s3 = &client(ACCOUNT).await.s3;
    let name = "causeway-full";
    let bucket = |force| Bucket { versioning: Some(true), force_delete: force, ..Bucket::new(name) };
    let engine = Engine::new(registry(ACCOUNT).await, Arc::new(MemoryStore::default()));
    let apply = async |stack: &Stack| {
        let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
        let run = Run { rules: all_rules(&planned.plan), ..Run::default() };
        engine.apply(planned, &run).await.unwrap()
    };
    assert!(apply(&stack(&bucket(None))).await.is_complete());
    for body in ["one", "two"] {
        let put = s3.put_object().bucket(name).key("kept").body(ByteStream::from_static(body.as_bytes()));
        put.send().await.unwrap();
    }
    s3.delete_object().bucket(name).key("kept").send().await.unwrap();
    let refused = apply(&Stack::new("s3")).await;
    let reasons = format!("{:?}", refused.failed);
    assert!(reasons.contains("BucketNotEmpty"), "{reasons}");
    assert!(apply(&stack(&bucket(Some(true)))).await.is_complete());
    assert!(apply(&Stack::new("s3")).await.is_complete());
    assert!(s3.head_bucket().bucket(name).send().await.is_err());
}

// ---- Journals

/// The sandbox with a bucket for one test. Tests take turns, since they count calls and inject faults.
struct Place {
    config: SdkConfig,
    bucket: &'static str,
    gateway: &'static Gateway,
    key: String,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());

impl Place {
    async fn new(bucket: &'static str) -> Self {
        let turn = TURN.lock().await;
        let config = config(JOURNALS).await;
        let s3 = aws_sdk_s3::Client::new(&config);
        s3.create_bucket().bucket(bucket).send().await.expect("a bucket");
        let sandbox = causeway_sandbox::shared().expect("a sandbox");
        let (key, _) = sandbox.credentials(JOURNALS).expect("twelve digits");
        Place { config, bucket, gateway: sandbox.gateway(), key, _turn: turn }
    }

    fn store(&self) -> S3Store {
        S3Store::new(&self.config, self.bucket, "coder/prod", None)
    }

    fn fault(&self, operation: &str, act: Act) -> Rule {
        Rule::new(&format!("s3:{operation}"), act).access_key(&self.key)
    }

    fn set(&self, rule: Rule) -> Faulty {
        Faulty(self.gateway, self.gateway.rules().add(rule))
    }

    /// What `act` calls, in order.
    async fn calls<T>(&self, act: impl Future<Output = T>) -> (T, Vec<String>) {
        let before = self.mine().len();
        let answer = act.await;
        (answer, self.mine().split_off(before))
    }

    fn mine(&self) -> Vec<String> {
        let calls = self.gateway.calls();
        calls.into_iter().filter(|c| c.access_key == self.key).map(|c| c.operation).collect()
    }

    async fn keys(&self, under: &str) -> Vec<String> {
        let s3 = aws_sdk_s3::Client::new(&self.config);
        let list = s3.list_objects_v2().bucket(self.bucket).prefix(format!("coder/prod/{under}"));
        let found = list.send().await.unwrap().contents.unwrap_or_default();
        found.into_iter().filter_map(|o| o.key).collect()
    }
}

/// A rule that ends with the test, however it ends.
struct Faulty(&'static Gateway, RuleId);
impl Drop for Faulty {
    fn drop(&mut self) {
        self.0.rules().remove(self.1);
    }
}

fn ran(seq: u64, actor: &str) -> Stamped {
    let entry = Entry::Plan { digest: format!("d{seq}"), actor: actor.into() };
    Stamped { seq, at: jiff::Timestamp::UNIX_EPOCH, entry }
}

fn all(from: u64, to: u64) -> Vec<Stamped> {
    (from..=to).map(|seq| ran(seq, "a")).collect()
}

fn fenced(answer: &Result<(), StoreError>, at: u64) -> bool {
    matches!(answer, Err(StoreError::Fenced(seq)) if *seq == at)
}

#[tokio::test]
async fn a_second_writer_is_fenced_whatever_it_wants_to_write() {
    let place = Place::new("fenced").await;
    let (one, two, late) = (place.store(), place.store(), place.store());
    for store in [&one, &two, &late] {
        assert!(store.load().await.unwrap().is_empty());
    }
    one.append(0, &all(1, 3)).await.unwrap();
    // The same next entry, however many come with it and whatever they say.
    assert!(fenced(&two.append(0, &all(1, 1)).await, 3));
    assert!(fenced(&late.append(0, &all(1, 3)).await, 3));
    // Neither the end as others know it, nor an end that nobody knows.
    assert!(fenced(&one.append(0, &all(1, 1)).await, 3));
    assert!(fenced(&one.append(2, &all(3, 3)).await, 3));
    assert!(fenced(&place.store().append(7, &all(8, 8)).await, 3));
    // Whoever looks again may go on, and then the first one is the stale one.
    two.append(3, &all(4, 4)).await.unwrap();
    assert!(fenced(&one.append(3, &all(4, 5)).await, 4));
    assert_eq!(place.store().load().await.unwrap(), all(1, 4));
    assert_eq!(place.keys("entries/").await.len(), 2);
}

#[tokio::test]
async fn a_writer_that_slept_through_a_hundred_runs_is_fenced() {
    let place = Place::new("asleep").await;
    let sleeper = place.store();
    sleeper.append(0, &all(1, 1)).await.unwrap();
    let busy = place.store().compact_after(10);
    for seq in 2..=60 {
        busy.append(seq - 1, &all(seq, seq)).await.unwrap();
    }
    busy.settle().await;
    assert!(!place.keys("snapshots/").await.is_empty());
    assert!(fenced(&sleeper.append(1, &all(2, 2)).await, 2));
    assert_eq!(place.store().load().await.unwrap(), all(1, 60));
}

#[tokio::test]
async fn lost_answers_are_found_out() {
    let place = Place::new("lost").await;
    let store = place.store();
    store.load().await.unwrap();
    let mut seq = 0;
    for (act, calls) in [
        (Act::CutAfter, &["PutObject", "GetObject"][..]),
        (Act::ErrorAfter, &["PutObject", "GetObject"]),
        (Act::CutBefore, &["PutObject", "GetObject", "PutObject"]),
        (Act::ErrorBefore, &["PutObject", "GetObject", "PutObject"]),
        // Had no effect, so there is nothing to look for.
        (Act::Throttle, &["PutObject", "PutObject"]),
    ] {
        let _fault = place.set(place.fault("PutObject", act).once());
        let (answer, made) = place.calls(store.append(seq, &all(seq + 1, seq + 2))).await;
        answer.unwrap_or_else(|e| panic!("{act:?}: {}", chain(&e)));
        assert_eq!(made, calls, "{act:?}");
        seq += 2;
    }
    assert_eq!(place.store().load().await.unwrap(), all(1, seq));

    // The answer that was lost was a refusal: somebody else had written the very same entry.
    let other = place.store();
    other.load().await.unwrap();
    store.append(seq, &all(seq + 1, seq + 1)).await.unwrap();
    let _fault = place.set(place.fault("PutObject", Act::CutAfter).once());
    assert!(fenced(&other.append(seq, &all(seq + 1, seq + 1)).await, seq + 1));
}

#[tokio::test]
async fn an_append_that_nobody_waited_for_is_gone_on_from() {
    let place = Place::new("dropped").await;
    let store = place.store();
    store.load().await.unwrap();
    for (seq, act) in [(0, Act::HoldAfter), (2, Act::HoldBefore)] {
        let fault = place.set(place.fault("PutObject", act).once());
        let batch = all(seq + 1, seq + 1);
        let append = store.append(seq, &batch);
        let held = place.gateway.rules().wait_held(fault.1, 1, Duration::from_secs(60));
        tokio::select! {
            answer = append => panic!("{answer:?}"),
            held = held => assert!(held),
        }
        drop(fault);
        store.append(seq, &all(seq + 1, seq + 2)).await.unwrap_or_else(|e| panic!("{act:?}: {}", chain(&e)));
    }
    assert_eq!(place.store().load().await.unwrap(), all(1, 4));
}

#[tokio::test]
async fn a_journal_that_cannot_be_reached_is_not_an_empty_one() {
    let place = Place::new("reached").await;
    let missing = S3Store::new(&place.config, "no-such-bucket", "coder/prod", None);
    let error = missing.load().await.unwrap_err();
    assert!(matches!(&error, StoreError::Missing(what) if what.contains("no-such-bucket")), "{error:?}");
    let error = missing.append(0, &all(1, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error:?}");
    assert!(matches!(missing.hold("x").await, Err(StoreError::Io { .. })));
}

#[tokio::test]
async fn damage_is_told_from_the_end() {
    let place = Place::new("damage").await;
    let store = place.store();
    for seq in 1..=4 {
        store.append(seq - 1, &all(seq, seq)).await.unwrap();
    }
    let s3 = aws_sdk_s3::Client::new(&place.config);
    let key = &place.keys("entries/").await[1];
    let put = async |text: &'static str| {
        let put =
            s3.put_object().bucket(place.bucket).key(key).body(ByteStream::from_static(text.as_bytes()));
        put.send().await.unwrap();
    };
    put("{\"seq\":").await;
    let error = place.store().load().await.unwrap_err();
    assert!(matches!(error, StoreError::Decode { line: 1, .. }), "{error:?}");
    put("").await;
    assert!(place.store().load().await.is_err());
    s3.delete_object().bucket(place.bucket).key(key).send().await.unwrap();
    let error = chain(&place.store().load().await.unwrap_err());
    assert!(error.contains("entry 2 is missing"), "{error}");
}

/// Answers one request after the other as `script` says, whatever is asked, and tells what was.
async fn scripted(script: Vec<(u16, &'static str)>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = vec![];
        for (status, body) in script {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = vec![];
            loop {
                let mut part = [0; 4096];
                let read = stream.read(&mut part).await.unwrap();
                assert!(read > 0, "the request was cut off");
                text.extend_from_slice(&part[..read]);
                let all = String::from_utf8_lossy(&text).into_owned();
                let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    asked.push(all);
                    break;
                }
            }
            let head =
                format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
        asked
    });
    (endpoint, asked)
}

const NOTHING_LISTED: (u16, &str) =
    (200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");

#[tokio::test]
async fn a_conflict_with_a_write_that_is_under_way_is_looked_into() {
    let conflict = (409, "<Error><Code>ConditionalRequestConflict</Code></Error>");
    let no_key = (404, "<Error><Code>NoSuchKey</Code></Error>");
    let (endpoint, asked) = scripted(vec![NOTHING_LISTED, NOTHING_LISTED, conflict, no_key, (200, "")]).await;
    let config = config(JOURNALS).await.into_builder().endpoint_url(endpoint).build();
    let store = S3Store::new(&config, "b", "", None);
    store.load().await.unwrap();
    store.append(0, &all(1, 2)).await.unwrap_or_else(|e| panic!("{}", chain(&e)));
    let asked = asked.await.unwrap();
    for put in [&asked[2], &asked[4]] {
        assert!(put.starts_with("PUT /b/entries/00000000000000000001?"), "{put}");
        assert!(put.contains("\r\nif-none-match: *\r\n"), "{put}");
        assert!(put.contains("\r\nx-amz-server-side-encryption: AES256\r\n"), "{put}");
        assert_eq!(put.split_once("\r\n\r\n").unwrap().1.lines().count(), 2);
    }
    assert!(asked[3].starts_with("GET /b/entries/00000000000000000001?"), "{}", asked[3]);
}

#[tokio::test]
async fn what_is_not_allowed_is_not_tried_again() {
    let denied = (403, "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>");
    let (endpoint, asked) = scripted(vec![NOTHING_LISTED, NOTHING_LISTED, denied]).await;
    let config = config(JOURNALS).await.into_builder().endpoint_url(endpoint).build();
    let store = S3Store::new(&config, "b", "", None);
    store.load().await.unwrap();
    let error = chain(&store.append(0, &all(1, 1)).await.unwrap_err());
    assert!(
        error.contains("writing s3://b/entries/00000000000000000001") && error.contains("AccessDenied: No.")
    );
    assert_eq!(asked.await.unwrap().len(), 3);
}

// ---- Snapshots

#[tokio::test]
async fn a_load_after_a_snapshot_is_three_calls() {
    let place = Place::new("calls").await;
    let store = place.store().compact_after(usize::MAX);
    store.load().await.unwrap();
    let (_, calls) = place
        .calls(async {
            for seq in 1..=20 {
                store.append(seq - 1, &all(seq, seq)).await.unwrap();
            }
        })
        .await;
    assert_eq!(calls, ["PutObject"; 20]);
    let (_, calls) = place.calls(place.store().load()).await;
    assert_eq!(calls.len(), 2 + 20);
    let (made, calls) = place.calls(store.compact()).await;
    made.unwrap();
    assert_eq!(calls.len(), 2 + 20 + 3);
    let (entries, calls) = place.calls(place.store().load()).await;
    assert_eq!(entries.unwrap(), all(1, 20));
    assert_eq!(calls.len(), 3, "{calls:?}");
    // Again, there is nothing to do.
    let (_, calls) = place.calls(store.compact()).await;
    assert!(!calls.iter().any(|c| c == "PutObject"), "{calls:?}");
}

#[tokio::test]
async fn snapshots_are_made_in_the_background_and_replace_each_other() {
    let place = Place::new("snapshots").await;
    let store = place.store().compact_after(5);
    for seq in 1..=30 {
        store.append(seq - 1, &all(seq, seq)).await.unwrap();
        if seq % 10 == 0 {
            store.settle().await;
        }
    }
    store.settle().await;
    assert_eq!(place.keys("snapshots/").await.len(), 1);
    assert_eq!(place.keys("entries/").await.len(), 30, "entries stay: the fence needs their keys");
    let (entries, calls) = place.calls(place.store().load()).await;
    assert_eq!(entries.unwrap(), all(1, 30));
    // Ten were written since the last time that nothing went on.
    assert!(calls.len() <= 3 + 10, "{calls:?}");
    // A loader that was just reading the older one looks again.
    let s3 = aws_sdk_s3::Client::new(&place.config);
    let key = place.keys("snapshots/").await.remove(0);
    let hold = place.set(place.fault("GetObject", Act::HoldBefore).once());
    let reader = place.store();
    let load = tokio::spawn(async move { reader.load().await });
    assert!(place.gateway.rules().wait_held(hold.1, 1, Duration::from_secs(60)).await);
    s3.delete_object().bucket(place.bucket).key(key).send().await.unwrap();
    drop(hold);
    assert_eq!(load.await.unwrap().unwrap(), all(1, 30));
}

#[tokio::test]
async fn a_snapshot_that_does_not_read_is_left_aside() {
    let place = Place::new("tampered").await;
    let store = place.store();
    for seq in 1..=4 {
        store.append(seq - 1, &all(seq, seq)).await.unwrap();
    }
    store.compact().await.unwrap();
    let s3 = aws_sdk_s3::Client::new(&place.config);
    let key = &place.keys("snapshots/").await[0];
    for text in ["{\"seq\":1,", "", "\n"] {
        let put =
            s3.put_object().bucket(place.bucket).key(key).body(ByteStream::from_static(text.as_bytes()));
        put.send().await.unwrap();
        assert_eq!(place.store().load().await.unwrap(), all(1, 4), "{text:?}");
    }
    store.append(4, &all(5, 5)).await.unwrap();
    store.compact().await.unwrap();
    assert_eq!(place.store().load().await.unwrap(), all(1, 5));
}

#[tokio::test]
async fn the_power_goes_at_every_moment_of_a_compaction() {
    let place = Place::new("crashes").await;
    let mut points = 0;
    let mut seq = 0;
    for act in [Act::HoldBefore, Act::HoldAfter] {
        for nth in 1.. {
            let store = place.store().compact_after(usize::MAX);
            store.load().await.unwrap();
            for _ in 0..3 {
                store.append(seq, &all(seq + 1, seq + 1)).await.unwrap();
                seq += 1;
            }
            let fault = place.set(place.fault("*", act).nth(nth));
            let crashed = tokio::select! {
                done = store.compact() => { done.unwrap(); false }
                held = place.gateway.rules().wait_held(fault.1, 1, Duration::from_secs(60)) => held,
            };
            drop(fault);
            let next = place.store();
            assert_eq!(next.load().await.unwrap(), all(1, seq), "{act:?} {nth}");
            next.append(seq, &all(seq + 1, seq + 1)).await.unwrap();
            seq += 1;
            if !crashed {
                break;
            }
            points += 1;
            if nth % 4 == 0 {
                next.compact().await.unwrap();
            }
        }
    }
    assert_eq!(place.store().load().await.unwrap(), all(1, seq));
    assert!(points >= 16, "{points}");
    eprintln!("{points} crash points");
}

#[tokio::test]
async fn more_objects_than_one_page_lists() {
    let place = Place::new("pages").await;
    let store = place.store().compact_after(usize::MAX);
    for seq in 1..=1_010 {
        store.append(seq - 1, &all(seq, seq)).await.unwrap();
    }
    let (entries, calls) = place.calls(place.store().load()).await;
    assert_eq!(entries.unwrap(), all(1, 1_010));
    assert_eq!(calls.iter().filter(|c| *c == "ListObjectsV2").count(), 3);
}

// ---- The lease

#[tokio::test]
async fn a_lease_tells_who_is_at_work() {
    let place = Place::new("lease").await;
    let (one, two) = (place.store(), place.store());
    let (hold, calls) = place.calls(one.hold("ada@host, process 7")).await;
    assert_eq!(calls, ["GetObject", "PutObject"]);
    let Err(StoreError::Held(who)) = two.hold("bob").await else { panic!("two hold the journal") };
    assert!(who.starts_with("ada@host, process 7, since 20") && who.contains("its lease ends at"), "{who}");
    let there = two.holder().await.unwrap().unwrap();
    assert!(there.who == "ada@host, process 7" && there.is_live(jiff::Timestamp::now()));
    drop(hold);
    one.settle().await;
    {
        let _lost = place.set(place.fault("PutObject", Act::CutAfter).once());
        let (hold, calls) = place.calls(one.hold("ada")).await;
        assert!(hold.is_ok(), "it is hers, though the answer was lost");
        assert_eq!(calls, ["GetObject", "PutObject", "GetObject"]);
    }
    one.settle().await;
    let held = two.hold("bob").await.unwrap();
    assert!(matches!(one.hold("ada").await, Err(StoreError::Held(who)) if who.starts_with("bob, since")));
    one.unlock().await.unwrap();
    let _mine = one.hold("ada").await.unwrap();
    drop(held);
    two.settle().await;
    assert!(matches!(two.hold("x").await, Err(StoreError::Held(who)) if who.starts_with("ada, since")));
}

#[tokio::test]
async fn a_lease_is_renewed_while_it_is_held_and_taken_over_when_nobody_does() {
    let place = Place::new("renewed").await;
    let second = Duration::from_secs(1);
    let (one, two) = (place.store().lease(second * 6), place.store().lease(second * 6));
    let hold = one.hold("ada").await.unwrap();
    let start = Instant::now();
    while start.elapsed() < second * 9 {
        assert!(matches!(two.hold("bob").await, Err(StoreError::Held(_))), "{:?}", start.elapsed());
        tokio::time::sleep(second / 4).await;
    }
    drop(hold);
    one.settle().await;

    // A process that dies takes its runtime with it.
    let config = place.config.clone();
    let dead = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = S3Store::new(&config, "renewed", "coder/prod", None).lease(second * 6);
            store.append(0, &all(1, 1)).await.unwrap();
            std::mem::forget(store.hold("the dead").await.unwrap());
        });
    });
    dead.join().unwrap();
    assert!(matches!(two.hold("bob").await, Err(StoreError::Held(who)) if who.starts_with("the dead,")));
    tokio::time::sleep(second * 6).await;
    let _held = two.hold("bob").await.unwrap();
    assert_eq!(two.load().await.unwrap(), all(1, 1));
}

#[tokio::test]
async fn many_ask_for_the_lease_and_one_gets_it() {
    let place = Place::new("asking").await;
    for round in 0..3 {
        let _lost = (round == 1).then(|| place.set(place.fault("PutObject", Act::CutAfter).probability(0.5)));
        let stores: Vec<_> = (0..10).map(|_| place.store()).collect();
        let answers = futures::future::join_all(stores.iter().map(|store| store.hold("one of them"))).await;
        assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1, "round {round}");
        assert!(answers.iter().all(|a| matches!(a, Ok(_) | Err(StoreError::Held(_)))));
        drop(_lost);
        drop(answers);
        futures::future::join_all(stores.iter().map(S3Store::settle)).await;
    }
}

// ---- Many writers

/// What one writer saw and did.
#[derive(Default)]
struct Log {
    /// From, to, first and last entry of what was acknowledged.
    appends: Vec<(Instant, Instant, u64, u64)>,
    /// From, to, and how many entries there were.
    loads: Vec<(Instant, Instant, u64)>,
    fenced: usize,
}

async fn write(store: S3Store, name: String, rounds: usize) -> Log {
    let mut log = Log::default();
    let mut behind = None;
    while log.appends.len() < rounds {
        let from = Instant::now();
        let after = match behind.take() {
            Some(known) => known,
            None => {
                let entries = store.load().await.unwrap_or_else(|e| panic!("{}", chain(&e)));
                log.loads.push((from, Instant::now(), entries.len() as u64));
                entries.len() as u64
            }
        };
        let last = after + 1 + log.appends.len() as u64 % 3;
        let batch: Vec<_> = (after + 1..=last).map(|seq| ran(seq, &name)).collect();
        let from = Instant::now();
        match store.append(after, &batch).await {
            Ok(()) => {
                log.appends.push((from, Instant::now(), after + 1, last));
                // Every other time it goes on at once, as a run does.
                behind = (log.appends.len() % 2 == 1).then_some(last);
            }
            Err(StoreError::Fenced(_)) => log.fenced += 1,
            Err(other) => panic!("{}", chain(&other)),
        }
    }
    store.settle().await;
    log
}

/// Checks that what all saw has one order that fits the clock.
fn check(logs: &[(String, Log)], entries: &[Stamped]) {
    let appends: Vec<_> =
        logs.iter().flat_map(|(name, log)| log.appends.iter().map(move |append| (name, *append))).collect();
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry.seq, at as u64 + 1);
        let winners: Vec<_> =
            appends.iter().filter(|(_, (_, _, first, last))| (*first..=*last).contains(&entry.seq)).collect();
        let [(winner, _)] = winners[..] else { panic!("entry {} has {} winners", entry.seq, winners.len()) };
        assert_eq!(*entry, ran(entry.seq, winner));
    }
    assert_eq!(
        appends.iter().map(|(_, (_, _, first, last))| last - first + 1).sum::<u64>(),
        entries.len() as u64
    );
    for (_, (from, _, first, _)) in &appends {
        let earlier = appends.iter().filter(|(_, (_, to, _, _))| to < from);
        assert!(earlier.into_iter().all(|(_, (_, _, _, last))| last < first));
    }
    for (from, to, seen) in logs.iter().flat_map(|(_, log)| &log.loads) {
        for (_, (begun, done, first, last)) in &appends {
            assert!(done >= from || last <= seen, "an acknowledged append was not seen");
            assert!(begun <= to || first > seen, "an append was seen before it was made");
        }
    }
}

async fn writers(place: &Place, count: usize, rounds: usize) {
    let start = Instant::now();
    let before = place.mine().len();
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            let name = format!("w{n}");
            let store = place.store().compact_after(12);
            tokio::spawn(async move { (name.clone(), write(store, name, rounds).await) })
        })
        .collect();
    let mut logs = vec![];
    for task in tasks {
        logs.push(task.await.unwrap());
    }
    let entries = place.store().load().await.unwrap();
    check(&logs, &entries);
    let fenced: usize = logs.iter().map(|(_, log)| log.fenced).sum();
    eprintln!(
        "{count} writers: {} appends acknowledged, {fenced} fenced, {} entries, {} calls, {:.1} s",
        count * rounds,
        entries.len(),
        place.mine().len() - before,
        start.elapsed().as_secs_f64()
    );
    assert!(count == 1 || fenced > 0, "they never met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers() {
    writers(&Place::new("two").await, 2, 25).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_writers() {
    writers(&Place::new("five").await, 5, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_writers() {
    writers(&Place::new("twenty").await, 20, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_writers_on_a_bad_line() {
    let place = Place::new("bad-line").await;
    let _faults = [
        ("PutObject", Act::CutAfter),
        ("PutObject", Act::ErrorAfter),
        ("PutObject", Act::CutBefore),
        ("PutObject", Act::Throttle),
        ("GetObject", Act::CutAfter),
        ("ListObjectsV2", Act::ErrorBefore),
    ]
    .map(|(operation, act)| place.set(place.fault(operation, act).probability(0.1)));
    writers(&place, 5, 6).await;
}

#[tokio::test]
async fn two_journals_on_one_store() {
    let place = Place::new("journals").await;
    let open = async |stack: &str| {
        let store: Arc<dyn Store> = Arc::new(place.store());
        let state = State::fold(&store.load().await.unwrap()).unwrap();
        (stack.to_owned(), Journal::new(store, state, Arc::new(jiff::Timestamp::now)))
    };
    let (one, two) = (open("one").await, open("two").await);
    let opened = |(stack, _): &(String, Journal)| Entry::Opened {
        format: 1,
        stack: stack.clone(),
        seal_key: SealKey::fixed("k"),
    };
    let ran = |n: usize| Entry::Plan { digest: format!("d{n}"), actor: "a".into() };
    one.1.append(opened(&one)).await.unwrap();
    assert!(two.1.append(opened(&two)).await.is_err());
    assert!(two.1.append(ran(0)).await.is_err(), "a stale writer changes nothing");
    // Entries that come together go out together.
    let (answers, calls) =
        place.calls(futures::future::join_all((0..40).map(|n| one.1.append(ran(n))))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(calls.len() <= 3, "{} calls", calls.len());
    let state = State::fold(&place.store().load().await.unwrap()).unwrap();
    assert_eq!((state.stack.as_str(), state.seq), ("one", 41));
}

// ---- Encryption, moving, and the engine

/// What stands at every object: how it is encrypted, and with which key.
async fn encryption(
    place: &Place,
    key: Option<String>,
) -> Vec<(Option<ServerSideEncryption>, Option<String>)> {
    let store = S3Store::new(&place.config, place.bucket, "coder/prod", key);
    store.append(0, &all(1, 1)).await.unwrap();
    store.compact().await.unwrap();
    let _hold = store.hold("x").await.unwrap();
    let s3 = aws_sdk_s3::Client::new(&place.config);
    let mut found = vec![];
    for key in place.keys("").await {
        let head = s3.head_object().bucket(place.bucket).key(key).send().await.unwrap();
        found.push((head.server_side_encryption, head.ssekms_key_id));
    }
    found
}

#[tokio::test]
async fn every_object_is_encrypted() {
    let place = Place::new("encrypted").await;
    let found = encryption(&place, None).await;
    assert_eq!(found, [const { (Some(ServerSideEncryption::Aes256), None) }; 3]);
}

#[cfg(feature = "kms")]
#[tokio::test]
async fn every_object_is_encrypted_with_the_key_that_was_named() {
    let place = Place::new("kms").await;
    let key = client(JOURNALS).await.kms.create_key().send().await.unwrap().key_metadata.unwrap();
    let arn = key.arn.unwrap();
    for (how, with) in encryption(&place, Some(arn.clone())).await {
        assert_eq!(how, Some(ServerSideEncryption::AwsKms));
        assert!(with.is_some_and(|with| arn.ends_with(&with)));
    }
}

#[tokio::test]
async fn a_journal_moves_here_and_back() {
    let place = Place::new("moved").await;
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (LocalStore::new(folder.path()), place.store());
    here.append(0, &all(1, 300)).await.unwrap();
    let (moved, calls) = place.calls(copy(&here, &there, "x")).await;
    assert_eq!(moved.unwrap(), 300);
    assert!(calls.len() <= 8, "{calls:?}");
    there.settle().await;
    there.append(300, &all(301, 301)).await.unwrap();
    assert!(copy(&here, &there, "x").await.is_err(), "it has gone on");
    there.settle().await;
    let back = tempfile::tempdir().unwrap();
    let back = LocalStore::new(back.path());
    assert_eq!(copy(&there, &back, "x").await.unwrap(), 301);
    assert_eq!(back.load().await.unwrap(), all(1, 301));
}

fn network(cidrs: &[&str]) -> Stack {
    let mut stack = Stack::new("net");
    stack.at(&SimPlace { region: "sim-1".into() }, |stack| {
        let vpc = sim::Network { cidr: "10.0.0.0/16".into(), dns: None, tags: Tags::default() };
        let vpc = stack.add("vpc", vpc);
        for (n, cidr) in cidrs.iter().enumerate() {
            let network: Value<String> = vpc.network_id.clone();
            let subnet = sim::Subnet { network, cidr: (*cidr).into(), public: None };
            stack.add(&format!("subnet-{n}"), subnet);
        }
        let role = sim::Role {
            name: "runner".into(),
            path: None,
            policy: format!("{} subnets", cidrs.len()),
            tags: Tags::default(),
        };
        stack.add("role", role);
    });
    stack
}

/// Applies, changes and removes; answers all entries, without what differs from run to run: how long steps took, and
/// the order that the engine gives to independent ones by that.
async fn deployed(store: Arc<dyn Store>) -> (Vec<String>, String) {
    let cloud = SimCloud::new(7, sim::Fuse::default());
    cloud.habits(|habits| {
        habits.latency = Duration::from_millis(1);
        habits.tag_lag = Duration::ZERO;
        habits.ready_after.clear();
    });
    let mut registry = Registry::new();
    cloud.register(&mut registry);
    let ids = std::sync::atomic::AtomicU64::new(0);
    let id = move || format!("i{:011}", ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let clock = || jiff::Timestamp::UNIX_EPOCH;
    let engine =
        Engine::new(registry, Arc::clone(&store)).at_once(1).deterministic(Arc::new(clock), Arc::new(id));
    let mut inventory = String::new();
    for stack in [
        network(&["10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]),
        network(&["10.0.1.0/24"]),
        Stack::new("net"),
    ] {
        let planned =
            engine.plan(&stack, &PlanOptions::default()).await.unwrap_or_else(|e| panic!("{}", chain(&e)));
        let run = Run { actor: "ada".into(), rules: all_rules(&planned.plan), ..Run::default() };
        let report = engine.apply(planned, &run).await.unwrap_or_else(|e| panic!("{}", chain(&e)));
        assert!(report.is_complete(), "{:?}", report.failed);
        let again = engine.plan(&stack, &PlanOptions::default()).await.unwrap();
        assert!(again.plan.steps.is_empty());
        inventory.push_str(&cloud.inventory().to_string());
    }
    let entries = store.load().await.unwrap().into_iter().map(|mut stamped| {
        if let Entry::Done { took_ms, .. } = &mut stamped.entry {
            *took_ms = 0;
        }
        match stamped.entry {
            Entry::Opened { stack, .. } => stack,
            entry => serde_json::to_string(&entry).unwrap(),
        }
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    (entries, inventory)
}

#[tokio::test]
async fn the_engine_does_the_same_as_with_a_journal_in_memory() {
    let place = Place::new("engine").await;
    let (memory, inventory) = deployed(Arc::new(MemoryStore::default())).await;
    let store = Arc::new(place.store());
    let kept = Arc::clone(&store);
    let ((entries, same), calls) = place.calls(deployed(store)).await;
    kept.settle().await;
    assert_eq!(entries, memory);
    assert_eq!(same, inventory);
    assert!(entries.len() > 20, "{}", entries.len());
    let puts = calls.iter().filter(|c| *c == "PutObject").count();
    let bytes: usize = entries.iter().map(String::len).sum();
    eprintln!(
        "{} entries in {puts} PUTs (six for the lease), {} calls in all, {} bytes an entry",
        entries.len(),
        calls.len(),
        bytes / entries.len()
    );
}
