//! An apply of what runs in a cluster is ended with SIGKILL at random moments: in front of what it sends to the API server, which
//! then comes there or does not. Several runs are ended one after another, and the one after them finishes the work: every object
//! is what an undisturbed run leaves, nothing is there twice, and there is nothing left to do. The AWS side is made once, and the
//! cluster stays; what is in it is taken away by others after each row of runs.
//!
//! `CAUSEWAY_CASES` says how many moments, `CAUSEWAY_SEED` which; there are few by default, the same every time.

use crate::{destroyed, kubernetes, list_of, text, vendored, world::World};
use causeway_sandbox::{
    gateway::{Act, Latency, Rule},
    kubernetes::Cluster,
    shared,
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

const EXAMPLE: &str = include_str!("../../../../examples/single-region.toml");
/// Who takes away what is in the cluster has no permit, so nothing is protected.
const CODER: &str = "[eks.coder]\nvendored = \"vendor\"\nload_balancer = { deletion_protection = false }\n";
const NUMBER: u64 = 7202;
const REGION: &str = "us-east-2";
/// Moments when nobody asks for more.
const MOMENTS: usize = 6;
/// Runs that are ended before one is left in peace.
const IN_A_ROW: usize = 6;
/// Longer than any run takes.
const LIMIT: Duration = Duration::from_secs(300);

/// Where a run is ended.
#[derive(Debug)]
struct Moment {
    /// In front of so many pieces that it sends.
    sent: u64,
    /// Whether that piece still comes to the API server.
    arrives: bool,
}

/// Numbers that are the same every time. <https://prng.di.unimi.it/splitmix64.c>
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// A cluster, and the folder that it is applied from.
struct Place {
    world: World,
    cluster: Cluster,
    /// The journal with the AWS side only.
    journal: Vec<u8>,
}

impl Place {
    /// With its AWS side, and nothing in the cluster.
    fn new() -> Self {
        let world = World::with(NUMBER, &EXAMPLE.replace("[eks.coder]\n", CODER));
        vendored(&world);
        let inside = inside(&world);
        let flags = ["apply", "--yes"].into_iter().chain(inside.iter().flat_map(|part| ["--except", part]));
        world.deploy(&flags.collect::<Vec<_>>()).succeeds();
        let journal = fs::read(journal(&world)).unwrap();
        let cluster = shared().unwrap().cluster(&format!("{NUMBER:012}"), REGION, "coder").unwrap();
        Place { world, cluster, journal }
    }

    /// Of a cluster that runs. One that did not would be started in a runtime that ends here.
    fn kubeconfig(&self) -> PathBuf {
        assert!(self.cluster.runs());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(self.cluster.kubeconfig()).unwrap().to_owned()
    }

    /// Applies, and there is nothing left to do.
    fn apply(&self) -> Result<(), String> {
        let told = self.world.deploy(&["apply", "--yes"]).code_and_text();
        let plan = self.world.deploy(&["plan", "--detailed-exitcode"]).code_and_text();
        match (told, plan) {
            ((Some(0), _), (Some(0), _)) => Ok(()),
            ((Some(0), _), (code, text)) => Err(format!("the plan after it exits with {code:?}: {text}")),
            ((code, text), _) => Err(format!("it exits with {code:?}: {text}")),
        }
    }

    /// Ends an apply at `moment`. Whether that came.
    fn ended(&self, moment: &Moment) -> bool {
        let rule = self.world.rule(Rule::new("kubernetes:Send", Act::HoldBefore).nth(moment.sent));
        let mut apply = self.world.start(&["apply", "--yes"]);
        let begun = Instant::now();
        let came = loop {
            if self.world.held(rule) > 0 {
                break true;
            }
            if apply.ended().is_some() {
                break false;
            }
            assert!(begun.elapsed() < LIMIT, "{moment:?} did not come about");
            std::thread::sleep(Duration::from_millis(2));
        };
        drop(apply);
        if moment.arrives {
            shared().unwrap().gateway().rules().release(rule);
        } else {
            self.cluster.cut();
        }
        while self.world.held(rule) > 0 {
            assert!(begun.elapsed() < LIMIT, "{moment:?} is still held");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.world.unset(rule);
        came
    }

    /// As if nothing had ever been applied to the cluster.
    fn clear(&self) {
        kubernetes("clear", &[self.kubeconfig()]);
        fs::write(journal(&self.world), &self.journal).unwrap();
    }

    /// What is ours in the cluster by kind and name, without what is another every time; and how many pods each workload has, and
    /// load balancers the account.
    fn listing(&self) -> BTreeMap<String, Json> {
        let [objects] = &list_of(&[self.kubeconfig()])[..] else { panic!("not one cluster") };
        let mut all = BTreeMap::new();
        for one in objects {
            let name = format!(
                "{} {}/{}",
                one["kind"],
                text(one, "/metadata/namespace"),
                text(one, "/metadata/name")
            );
            // What controllers make of an object has its annotations, and it as its owner.
            if crate::address(one).is_some() && one["metadata"]["ownerReferences"].is_null() {
                assert!(all.insert(name, same(one)).is_none());
            } else if one["kind"] == "ReplicaSet" {
                let owner = text(one, "/metadata/ownerReferences/0/name");
                let count = all.entry(format!("revisions of {}/{owner}", text(one, "/metadata/namespace")));
                let count = count.or_insert(Json::from(0));
                *count = Json::from(count.as_u64().unwrap() + 1);
            }
        }
        let balancers = self.world.boto3(&format!(
            "print(len(boto3.client('elbv2', region_name='{REGION}').describe_load_balancers()['LoadBalancers']))"
        ));
        all.insert("load balancers".into(), Json::from(balancers.trim()));
        all
    }
}

/// The parts of the plan that are inside the cluster, like `us-east-2/platform/*`.
fn inside(world: &World) -> BTreeSet<String> {
    let plan: Json = serde_json::from_str(&world.stdout(&["plan", "--json"])).unwrap();
    let part = |step: &Json| text(step, "/address").split('/').take(2).collect::<Vec<_>>().join("/") + "/*";
    let steps = plan["result"]["plan"]["steps"].as_array().unwrap();
    let (inside, outside): (Vec<&Json>, Vec<&Json>) =
        steps.iter().partition(|step| text(step, "/kind").starts_with("k8s."));
    let inside: BTreeSet<String> = inside.into_iter().map(part).collect();
    assert!(outside.into_iter().all(|step| !inside.contains(&part(step))), "{inside:?}");
    inside
}

fn journal(world: &World) -> PathBuf {
    world.folder().join(".causeway/journal.jsonl")
}

/// `text` with every moment in it, like that at which a certificate ends, at the same time.
fn timeless(text: &str) -> String {
    const ZERO: &str = "0000-00-00T00:00:00Z";
    let is_moment = |bytes: &[u8]| {
        bytes
            .iter()
            .zip(ZERO.bytes())
            .all(|(byte, zero)| if zero == b'0' { byte.is_ascii_digit() } else { *byte == zero })
    };
    let moments = text.as_bytes().windows(ZERO.len()).filter(|bytes| is_moment(bytes));
    let moments: BTreeSet<&str> = moments.map(|bytes| str::from_utf8(bytes).unwrap()).collect();
    moments.into_iter().fold(text.to_owned(), |text, moment| text.replace(moment, ZERO))
}

/// An object without what is another for each that is made by this name: its id and moments, addresses that are given out, who
/// signs for webhooks. How often its pods were started anew stays.
fn same(object: &Json) -> Json {
    let mut one: Json = serde_json::from_str(&timeless(&object.to_string())).unwrap();
    let metadata = &object["metadata"];
    one["metadata"] =
        serde_json::json!({ "labels": metadata["labels"], "annotations": metadata["annotations"] });
    if let Some(annotations) = one["metadata"]["annotations"].as_object_mut() {
        annotations.retain(|name, _| {
            !["instance", "applied"].iter().any(|it| *name == format!("causeway-deploy.github.io/{it}"))
        });
    }
    one.as_object_mut().unwrap().remove("status");
    if object["kind"] == "Service" {
        let spec = one["spec"].as_object_mut().unwrap();
        spec.retain(|field, _| !["clusterIP", "clusterIPs", "healthCheckNodePort"].contains(&field.as_str()));
        spec["ports"].as_array_mut().unwrap().iter_mut().for_each(|port| drop(port["nodePort"].take()));
    }
    if let Some(hooks) = one.get_mut("webhooks").and_then(Json::as_array_mut) {
        hooks.iter_mut().for_each(|hook| drop(hook["clientConfig"]["caBundle"].take()));
    }
    if object["kind"] == "ServiceAccount" {
        one.as_object_mut().unwrap().remove("secrets");
    }
    one
}

fn asked<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str, usual: T) -> T {
    std::env::var(name).map_or(usual, |number| number.parse().unwrap())
}

#[test]
fn killed_at_random_moments_the_next_run_finishes() {
    let begun = Instant::now();
    let (moments, seed) = (asked("CAUSEWAY_CASES", MOMENTS), asked("CAUSEWAY_SEED", 1));
    let place = Place::new();
    // How much is sent is counted by what does nothing else.
    let counted = place.world.rule(Rule::new("kubernetes:Send", Act::Latency(Latency::Fixed(0))));
    place.world.deploy(&["apply", "--yes"]).succeeds();
    let all = place.world.acted(counted);
    place.world.unset(counted);
    place.world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    let wanted = place.listing();
    let objects = wanted.keys().filter(|name| name.starts_with('"')).count();
    assert!(objects > 100, "{objects}");
    println!(
        "{all} pieces sent for {objects} objects; AWS and the undisturbed run took {:?}",
        begun.elapsed()
    );

    let (mut dice, mut came, mut rows, mut wrong) = (Dice(seed), 0, 0, vec![]);
    while came < moments {
        place.clear();
        let mut row = vec![];
        while row.len() < IN_A_ROW && came < moments {
            // The later ones have less to do.
            let most = if row.is_empty() { all } else { all / 2 };
            let moment = Moment { sent: 1 + dice.below(most), arrives: dice.below(2) == 1 };
            if !place.ended(&moment) {
                break;
            }
            row.push(moment);
            came += 1;
        }
        rows += 1;
        if let Err(why) = place.apply() {
            wrong.push(format!("ended at {row:?}: the next run: {why}"));
        }
        let found = place.listing();
        let names: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
        for name in names.into_iter().filter(|name| found.get(*name) != wanted.get(*name)) {
            let [found, wanted] = [&found, &wanted].map(|all| all.get(name));
            wrong.push(format!("ended at {row:?}: {name}: {found:?} instead of {wanted:?}"));
        }
        println!(
            "{came} of {moments} moments in {rows} rows, {} violations, {:?}: {row:?}",
            wrong.len(),
            begun.elapsed()
        );
    }
    println!("CAUSEWAY_CASES={moments} CAUSEWAY_SEED={seed}");
    destroyed(&place.world);
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}
