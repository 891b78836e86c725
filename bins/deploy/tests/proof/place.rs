//! An account of a sandbox, a folder, and the library in between: what the binary does, without its process, so that a
//! process can be ended at any moment at little cost.

use crate::world::{EXAMPLE, World, write_image};
use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use causeway_config::File;
use causeway_core::{
    Engine, Registry, Stack,
    apply::Listener,
    engine::{Planned, Run},
    guard::Rules,
    journal::Stamped,
    plan::{PlanOptions, Step},
    store::LocalStore,
};
use causeway_sandbox::{
    Sandbox,
    gateway::{Act, Call, Rule},
};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longer than any run takes here.
const LIMIT: Duration = Duration::from_secs(300);

/// Long enough for a run to get from one call to the next.
const NEXT: Duration = Duration::from_millis(500);

/// The moment at which a run is ended.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// The call, like `ec2:CreateVpc`.
    pub(crate) call: String,
    /// The how manieth of its name, from 1.
    pub(crate) nth: u64,
    /// Where in the call.
    pub(crate) when: When,
}

/// Where in a call a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It has had no effect.
    Before,
    /// It has had its effect, and its answer has not come.
    After,
    /// Its answer has come, and what follows of it was done up to the next call.
    Answered,
}

/// One account and one folder.
pub(crate) struct Place {
    sandbox: Arc<Sandbox>,
    folder: TempDir,
    account: String,
    key: String,
    secret: String,
    region: String,
    /// What the SDK repeats.
    retries: RetryConfig,
    /// Instead of the HTTP client of the library.
    http: Option<SharedHttpClient>,
    /// So many steps run at a time at most.
    at_once: usize,
    /// How many times as often it looks at what it waits for.
    hurry: u32,
}

/// What a process of ours would be: its tasks end where they stand when it is dropped.
fn process() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn ended(process: Runtime) {
    process.shutdown_timeout(Duration::from_secs(20));
}

impl Place {
    /// The example of the ECS target.
    pub(crate) fn new(sandbox: &Arc<Sandbox>, number: u64) -> Self {
        let place = Place::with(sandbox, number, EXAMPLE);
        write_image(&place.folder.path().join("image"), "v2.28.3", "");
        place.edit("count = 1\n", "count = 1\nhealth_check_grace_seconds = 0\n");
        place
    }

    /// The account of this number, with this configuration.
    pub(crate) fn with(sandbox: &Arc<Sandbox>, number: u64, configuration: &str) -> Self {
        let account = format!("{number:012}");
        let (key, secret) = sandbox.credentials(&account).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("causeway.toml"), configuration).unwrap();
        let region = File::read(&folder.path().join("causeway.toml")).unwrap().config.stack.region;
        let retries = RetryConfig::disabled();
        let sandbox = Arc::clone(sandbox);
        Place { sandbox, folder, account, key, secret, region, retries, http: None, at_once: 10, hurry: 1 }
    }

    /// Runs so many steps at a time, and looks so many times as often at what it waits for.
    #[allow(dead_code, reason = "a bench does")]
    pub(crate) fn at(&mut self, at_once: usize, hurry: u32) {
        (self.at_once, self.hurry) = (at_once, hurry);
    }

    /// Lets the SDK repeat, and speaks through `http`.
    pub(crate) fn through(&mut self, retries: RetryConfig, http: Option<SharedHttpClient>) {
        (self.retries, self.http) = (retries, http);
    }

    /// Its access key, for rules of the gateway.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("causeway.toml")
    }

    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(from), "the configuration does not hold {from:?}");
        fs::write(self.file(), text.replace(from, to)).unwrap();
    }

    /// What the configuration asks for.
    pub(crate) fn stack(&self) -> Stack {
        let file = File::read(&self.file()).unwrap();
        file.stack(&file.given(&|_| None).unwrap()).unwrap()
    }

    fn engine(&self) -> impl Future<Output = Engine> + use<> {
        let (key, secret, account) = (self.key.clone(), self.secret.clone(), self.account.clone());
        let region = Region::new(self.region.clone());
        let (retries, http) = (self.retries.clone(), self.http.clone());
        let (at_once, hurry) = (self.at_once, self.hurry);
        let (endpoint, journal) = (self.sandbox.endpoint().to_owned(), self.folder.path().join("journal"));
        async move {
            let mut config = aws_config::defaults(BehaviorVersion::latest())
                .region(region)
                .endpoint_url(endpoint)
                .credentials_provider(Credentials::new(key, secret, None, None, "test"))
                .retry_config(retries);
            if let Some(http) = http {
                config = config.http_client(http);
            }
            let config = config.load().await;
            let mut registry = Registry::default();
            causeway_aws::register(&mut registry, config);
            let engine = Engine::new(registry, Arc::new(LocalStore::new(journal))).account(account);
            engine.at_once(at_once).hurried(hurry)
        }
    }

    /// A whole run in a process of its own.
    fn apply(&self, stack: Stack) -> impl Future<Output = Result<(), String>> + use<> {
        self.apply_told(stack, Run::default().listener)
    }

    fn apply_told(
        &self,
        stack: Stack,
        listener: Listener,
    ) -> impl Future<Output = Result<(), String>> + use<> {
        let engine = self.engine();
        async move {
            let engine = engine.await;
            let planned = engine.plan(&stack, &PlanOptions::default()).await.map_err(|e| told(&e))?;
            let rules = permitted(&planned);
            let run = Run { actor: "test".into(), rules, listener, ..Run::default() };
            let report = engine.apply(planned, &run).await.map_err(|e| told(&e))?;
            match report.is_complete() {
                true => Ok(()),
                false => {
                    let (failed, away) = (&report.failed, &report.away);
                    Err(format!("failed: {failed:?}, skipped: {}, away: {away:?}", report.skipped.len()))
                }
            }
        }
    }

    /// Applies `stack`, undisturbed.
    pub(crate) fn run(&self, stack: &Stack) -> Result<(), String> {
        self.run_told(stack, Run::default().listener)
    }

    /// Applies `stack`, undisturbed, and tells `listener` what happens.
    pub(crate) fn run_told(&self, stack: &Stack, listener: Listener) -> Result<(), String> {
        let process = process();
        let apply = self.apply_told(stack.clone(), listener);
        let result = process.block_on(async { tokio::time::timeout(LIMIT, apply).await });
        ended(process);
        result.unwrap_or_else(|_| Err("it takes too long".into()))
    }

    /// What a run would do, as addresses. Nothing, once all is well.
    pub(crate) fn left(&self, stack: &Stack) -> Result<Vec<String>, String> {
        let process = process();
        let engine = self.engine();
        let options = PlanOptions::default();
        let result = process.block_on(async { engine.await.plan(stack, &options).await });
        ended(process);
        let steps = result.map_err(|e| told(&e))?.plan.steps;
        let fields =
            |s: &Step| s.diff.changes.iter().map(|c| format!("{c:?}")).collect::<Vec<_>>().join(", ");
        Ok(steps.iter().map(|s| format!("{:?} {}: {}", s.action, s.address, fields(s))).collect())
    }

    /// Applies `stack` and ends the process at `moment`. Whether that moment came.
    pub(crate) fn crash(&self, stack: &Stack, moment: &Moment) -> bool {
        let gateway = self.sandbox.gateway();
        let act = if moment.when == When::Before { Act::HoldBefore } else { Act::HoldAfter };
        let rule = gateway.rules().add(Rule::new(&moment.call, act).access_key(&self.key).nth(moment.nth));
        let mut rules = vec![rule];
        let process = process();
        let begun = Instant::now();
        let came = process.block_on(async {
            tokio::select! {
                came = gateway.rules().wait_held(rule, 1, LIMIT) => came,
                _ = self.apply(stack.clone()) => false,
            }
        });
        if came && moment.when == When::Answered {
            // The answer goes on its way, and no call after it.
            let next = gateway.rules().add(Rule::new("*", Act::HoldBefore).access_key(&self.key));
            gateway.rules().release(rule);
            process.block_on(gateway.rules().wait_held(next, 1, NEXT));
            rules.push(next);
        }
        ended(process);
        // A call that is held before its effect must not go on: the gateway has to see first that nobody waits for it.
        while rules.iter().any(|rule| gateway.rules().held(*rule) > 0) && begun.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        for rule in rules {
            gateway.rules().remove(rule);
        }
        came
    }

    /// The changes so far, by name, with how often each was made.
    pub(crate) fn changes(&self) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        self.calls().iter().filter(|c| c.mutates).for_each(|c| *out.entry(c.name()).or_default() += 1);
        out
    }

    /// How many calls of this name have had an effect so far, or may have had one.
    pub(crate) fn effective(&self, name: &str) -> u64 {
        self.calls().iter().filter(|c| c.forwarded && c.name() == name).count() as u64
    }

    /// The calls so far, in the order of their ends.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.sandbox.gateway().calls_of(&self.key)
    }

    /// What the journal says.
    #[allow(dead_code, reason = "a bench reads it")]
    pub(crate) fn journal(&self) -> Vec<Stamped> {
        let store = LocalStore::new(self.folder.path().join("journal"));
        process().block_on(causeway_core::store::Store::load(&store)).unwrap()
    }

    /// What is there, counted by boto3, without what differs between accounts.
    pub(crate) fn inventory(&self, boto3: &Boto3) -> Json {
        let text = boto3.inventory(&self.key, &self.secret).replace(&self.account, "ACCOUNT");
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sandbox.close_account(&self.account);
    }
}

fn told(error: &dyn std::error::Error) -> String {
    causeway_core::error::chain(error)
}

/// Rules that permit everything.
fn permitted(planned: &Planned) -> Rules {
    Rules {
        permits: planned.plan.steps.iter().map(|s| s.address.clone()).collect(),
        max_removals: None,
        public_ports: (0..=u16::MAX).collect(),
        ..Rules::default()
    }
}

/// A Python that stays, as boto3 takes longer to start than to ask.
pub(crate) struct Boto3(Mutex<(Child, BufReader<std::process::ChildStdout>)>);

const SERVER: &str = r#"
import contextlib, io, json, sys
import boto3, botocore.session
code = compile(sys.argv[1], "inventory.py", "exec")
loader = botocore.session.Session().get_component("data_loader")
for line in sys.stdin:
    session = botocore.session.Session()
    session.register_component("data_loader", loader)
    session.set_credentials(*line.split())
    boto3.setup_default_session(botocore_session=session)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    print(json.dumps(json.loads(out.getvalue())), flush=True)
"#;

impl Boto3 {
    /// For a script that prints what is in an account.
    pub(crate) fn start(sandbox: &Sandbox, script: &str) -> Self {
        let mut python = Command::new(&sandbox.installed().python);
        python.env_clear().envs(sandbox.env()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        python.args(["-c", SERVER, script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Boto3(Mutex::new((child, answers)))
    }

    fn inventory(&self, key: &str, secret: &str) -> String {
        let mut python = self.0.lock().unwrap();
        writeln!(python.0.stdin.as_mut().unwrap(), "{key} {secret}").unwrap();
        let mut line = String::new();
        python.1.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Boto3 {
    fn drop(&mut self) {
        let (child, _) = self.0.get_mut().unwrap();
        // It ends by itself when nobody asks any more; an error means that it has ended already.
        drop(child.stdin.take());
        let _ = child.wait();
    }
}

/// What is in an account, without the number of the account.
pub(crate) fn anonymous(inventory: &Json, world: &World) -> Json {
    let account = causeway_sandbox::account::of(world.key());
    serde_json::from_str(&inventory.to_string().replace(account, "ACCOUNT")).unwrap()
}

/// What differs, by name; of lists only what is in one of them.
pub(crate) fn differences(found: &Json, wanted: &Json) -> BTreeMap<String, String> {
    let empty = serde_json::Map::new();
    let (found, wanted) = (found.as_object().unwrap_or(&empty), wanted.as_object().unwrap_or(&empty));
    let names: std::collections::BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    names
        .into_iter()
        .filter(|n| found.get(*n) != wanted.get(*n))
        .map(|n| {
            let [found, wanted] = [found.get(n), wanted.get(n)];
            let told = match (found.and_then(Json::as_array), wanted.and_then(Json::as_array)) {
                (Some(found), Some(wanted)) => {
                    format!("{} instead of {}", without(found, wanted), without(wanted, found))
                }
                _ => format!("{found:?} instead of {wanted:?}"),
            };
            (n.clone(), told)
        })
        .collect()
}

/// What is more often in `all` than in `others`.
fn without(all: &[Json], others: &[Json]) -> Json {
    let mut rest = all.to_vec();
    for other in others {
        if let Some(i) = rest.iter().position(|one| one == other) {
            rest.swap_remove(i);
        }
    }
    rest.into()
}
