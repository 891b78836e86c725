//! Rows 134 to 142 of the list of what ran before: keys of LiteLLM and copies of images, by our own program.

use crate::{
    ACCOUNT, REGIONS, SEEN,
    look::{annotation, at, bounded, container, granted, list, names, of, pod, texts, variables},
    text,
    world::World,
};
use causeway_sandbox::shared;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

const HOME: &str = REGIONS[0];
const SPACES: [&str; 3] = ["coder-ws", "coder-ws-experiment", "coder-ws-demo"];
/// As `ai-coder.toml` names it.
const IMAGE: &str = "registry.example/deploy:v0.1.0";
const SERVER: &str = include_str!("litellm.py");

/// A server with the rules of LiteLLM.
struct LiteLlm {
    server: Child,
    url: String,
}

impl LiteLlm {
    fn start(master: &str) -> Self {
        let mut python = Command::new(&shared().unwrap().installed().python);
        let mut server = python.args(["-c", SERVER, master]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        LiteLlm { server, url: format!("http://127.0.0.1:{}", line.trim()) }
    }

    /// All keys that it knows.
    fn keys(&self, world: &World) -> Vec<Json> {
        let script = format!(
            "import urllib.request\nopener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))\n\
             print(opener.open('{}/keys').read().decode())",
            self.url
        );
        serde_json::from_str(&world.boto3(&script)).unwrap()
    }
}

impl Drop for LiteLlm {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What was seen of the keys.
pub(crate) struct Keys {
    /// All that was told.
    pub(crate) told: String,
    /// What LiteLLM knows after two keys were made, and one more was asked for too early.
    known: Vec<Json>,
    /// What is kept in Secrets Manager, by its stage.
    kept: Json,
    /// What was said of the namespaces, the first time and the second.
    brought: [Json; 2],
}

const KEPT: &str = "import json\nsecrets = boto3.client('secretsmanager', region_name='us-east-2')\n\
    value = lambda name, stage: secrets.get_secret_value(SecretId=name, VersionStage=stage)['SecretString']\n\
    key = 'ai-coder/litellm/workspace-key'\n\
    print(json.dumps({'now': value(key, 'AWSCURRENT'), 'before': value(key, 'AWSPREVIOUS'),\n\
    'master': value('ai-coder/litellm/master-key', 'AWSCURRENT')}))";

/// Makes keys and brings them to all clusters, by hand.
pub(crate) fn keys(world: &World) -> Keys {
    // Before there is a key, nothing is brought: what the stack has put there is none.
    let mut told = world.deploy(&["llm-key", "bring"]).exits(69);
    assert!(told.contains("no key of LiteLLM is in force yet"), "{told}");
    let master = "import json\nprint(boto3.client('secretsmanager', region_name='us-east-2')\
        .get_secret_value(SecretId='ai-coder/litellm/master-key')['SecretString'])";
    let litellm = LiteLlm::start(world.boto3(master).trim());
    let make = ["llm-key", "make", "--url", &litellm.url];
    told += &world.deploy(&make).succeeds();
    let early = world.deploy(&make).succeeds();
    assert!(early.contains("no other one is made until then"), "{early}");
    // As if hours had passed.
    let first: Json = serde_json::from_str(&world.boto3(KEPT)).unwrap();
    let aged = text(&first, "/now").replace("\"made\":\"2", "\"made\":\"1");
    world.boto3(&format!(
        "boto3.client('secretsmanager', region_name='us-east-2')\
         .put_secret_value(SecretId='ai-coder/litellm/workspace-key', SecretString='''{aged}''')"
    ));
    told += &(early + &world.deploy(&make).succeeds());
    let known = litellm.keys(world);
    let kept = serde_json::from_str(&world.boto3(KEPT)).unwrap();
    let bring = || {
        let output = world.deploy(&["llm-key", "bring", "--json"]).output();
        serde_json::from_str::<Json>(&output).unwrap()["result"].take()
    };
    let brought = [bring(), bring()];
    told += &format!("{brought:?}");
    told += &frozen(world, &litellm);
    Keys { told, known, kept, brought }
}

/// During a freeze: refused by hand; by the clock, keys that are in use live on, and nothing else happens.
fn frozen(world: &World, litellm: &LiteLlm) -> String {
    let day =
        r#"{"name": "summit", "zone": "UTC", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}"#;
    let before = litellm.keys(world);
    let mut told = String::new();
    for verb in ["make", "bring"] {
        let mut flags = vec!["llm-key", verb, "--freeze", day];
        if verb == "make" {
            flags.extend(["--url", &litellm.url]);
        }
        let refused = world.deploy(&flags).exits(101);
        assert!(refused.contains("nothing is to be changed during `summit`"), "{refused}");
        flags.push("--scheduled");
        told += &(refused + &world.deploy(&flags).succeeds());
    }
    let after = litellm.keys(world);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        let end = |one: &Json| one["end"].as_f64().unwrap();
        assert!(before["key"] == after["key"] && end(after) > end(before), "{told}");
    }
    told
}

fn key(kept: &str) -> String {
    text(&serde_json::from_str(kept).unwrap(), "/key").to_owned()
}

#[test]
fn row_134_the_key_is_kept_in_secrets_manager() {
    let keys = &SEEN.keys;
    let now = key(text(&keys.kept, "/now"));
    let before = key(text(&keys.kept, "/before"));
    assert!(now.starts_with("sk-") && before.starts_with("sk-") && now != before);
    let known: BTreeSet<&str> = keys.known.iter().map(|one| text(one, "/key")).collect();
    assert_eq!(known, BTreeSet::from([&*now, &*before]), "both work, and no other");
    // It is in Secrets and nowhere else; the master's is told to nobody.
    for secret in [&now, &before, &text(&keys.kept, "/master").to_owned()] {
        assert!(!SEEN.told.contains(secret.as_str()) && !keys.told.contains(secret.as_str()));
    }
}

#[test]
fn row_135_the_key_reaches_every_namespace_of_workspaces() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let now = key(text(&SEEN.keys.kept, "/now"));
    for region in REGIONS {
        for space in SPACES {
            let secret = at(region, "Secret", &format!("{space}/litellm"));
            assert_eq!(
                STANDARD.decode(text(secret, "/data/token")).unwrap(),
                now.as_bytes(),
                "{region} {space}"
            );
            // Who brings it may read this one and no other.
            let account = format!("{space}/rotate-key");
            assert_eq!(
                granted(region, "Role", &account, &account),
                BTreeSet::from([" secrets create".into()])
            );
            let rules = list(&at(region, "Role", &account)["rules"]);
            let [named] =
                rules.iter().filter(|rule| !rule["resourceNames"].is_null()).collect::<Vec<_>>()[..]
            else {
                panic!("{rules:?}")
            };
            assert_eq!(texts(&named["resourceNames"]), BTreeSet::from(["litellm"]));
            let role = annotation(at(region, "ServiceAccount", &account), "eks.amazonaws.com/role-arn");
            assert_eq!(role, format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{region}-key-reader"));
        }
    }
    let changed = |brought: &Json| {
        let all = list(&brought["namespaces"]);
        (all.len(), all.iter().filter(|one| one["changed"] == true).count())
    };
    let [first, second] = &SEEN.keys.brought;
    assert_eq!((changed(first), changed(second)), ((9, 9), (9, 0)));
}

#[test]
fn row_136_times_that_go_together() {
    let make = at(HOME, "CronJob", "litellm/rotate-key");
    assert_eq!(text(make, "/spec/schedule"), "0 */4 * * *");
    for region in REGIONS {
        for space in SPACES {
            let bring = at(region, "CronJob", &format!("{space}/rotate-key"));
            assert_eq!(
                (text(bring, "/spec/schedule"), text(bring, "/spec/timeZone")),
                ("10 */1 * * *", "UTC")
            );
            assert_eq!(text(bring, "/spec/concurrencyPolicy"), "Forbid");
        }
        assert_eq!(names(region, "CronJob").contains("litellm/rotate-key"), region == HOME);
    }
    let args = texts(&container(&make["spec"]["jobTemplate"])["args"]);
    assert!(
        args.contains("--life") && args.contains("8") && args.contains("--overlap") && args.contains("2")
    );
}

#[test]
fn row_137_who_suspends_a_job_is_not_overruled() {
    for (region, objects) in REGIONS.into_iter().zip(&SEEN.again) {
        let jobs: Vec<&Json> = objects.iter().filter(|one| one["kind"] == "CronJob").collect();
        assert_eq!(jobs.len(), if region == HOME { 5 } else { 3 });
        for job in jobs {
            assert_eq!(job["spec"]["suspend"], true, "{region} {}", text(job, "/metadata/name"));
        }
    }
}

#[test]
fn row_139_jobs_run_our_own_program() {
    for region in REGIONS {
        for job in of(region, "CronJob") {
            let template = &job["spec"]["jobTemplate"];
            let container = container(template);
            assert_eq!(container["image"], IMAGE);
            assert!(container["command"].is_null(), "the entry point of the image is our program");
            bounded(
                &json!({ "metadata": job["metadata"], "spec": { "template": template["spec"]["template"] } }),
                65_532,
            );
            let args: Vec<&str> = list(&container["args"]).iter().filter_map(Json::as_str).collect();
            let verb = match text(job, "/metadata/name") {
                "fetch-and-store" => vec!["mirror"],
                _ if text(job, "/metadata/namespace") == "litellm" => vec!["llm-key", "make"],
                _ => vec!["llm-key", "bring"],
            };
            assert!(args.starts_with(&verb) && args.contains(&"--scheduled"), "{args:?}");
            let volumes = list(&pod(template)["volumes"]);
            assert!(
                volumes.iter().all(|one| !one["emptyDir"].is_null()),
                "a script of somebody: {volumes:?}"
            );
        }
    }
    let make = container(&at(HOME, "CronJob", "litellm/rotate-key")["spec"]["jobTemplate"]);
    assert_eq!(variables(make)["LITELLM_MASTER_KEY"], "litellm-keys/master");
    let role = annotation(at(HOME, "ServiceAccount", "litellm/rotate-key"), "eks.amazonaws.com/role-arn");
    assert_eq!(role, format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{HOME}-key-maker"));
}

#[test]
fn row_142_images_are_copied_once_a_week() {
    let job = at(HOME, "CronJob", "coder/fetch-and-store");
    assert_eq!((text(job, "/spec/schedule"), text(job, "/spec/timeZone")), ("0 0 * * 1", "UTC"));
    let args = texts(&container(&job["spec"]["jobTemplate"])["args"]);
    assert!(
        args.contains("coder-preview=ghcr.io/coder/coder-preview:v2.29.0") && args.contains(HOME),
        "{args:?}"
    );
    let role = annotation(at(HOME, "ServiceAccount", "coder/fetch-and-store"), "eks.amazonaws.com/role-arn");
    assert_eq!(role, format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{HOME}-mirror"));
    for region in &REGIONS[1..] {
        assert!(!names(region, "CronJob").contains("coder/fetch-and-store"));
    }
}

/// What nobody asks for is in no plan.
#[test]
fn without_jobs_there_are_none() {
    let planned = |jobs: bool| {
        let text = crate::example();
        let text = if jobs {
            text
        } else {
            text.replace("[eks.coder.jobs]\n", "").replace(&format!("image = \"{IMAGE}\"\n"), "")
        };
        let world = World::with(if jobs { 7203 } else { 7205 }, &text);
        world.write("token", "token");
        crate::vendored(&world);
        let plan: Json = serde_json::from_str(&world.stdout(&["plan", "--json"])).unwrap();
        let steps = list(&plan["result"]["plan"]["steps"]).iter();
        steps.filter(|step| text_of(step) == "k8s.batch.cron_job").count()
    };
    assert_eq!((planned(true), planned(false)), (1 + 1 + 9, 0));
}

fn text_of(step: &Json) -> &str {
    text(step, "/kind")
}
