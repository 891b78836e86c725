//! Why a rollout does not come up: what its pods, their events and their logs say, and whether there is hope.
//!
//! The status of a workload counts pods and tells no reason. So while a Deployment, a StatefulSet, a DaemonSet or a Job is
//! not ready, its pods of the newest revision are looked at: first after two seconds, when most rollouts are over, and then less
//! often the longer it takes. The reason stands on the screen behind the count. A plan does not ask. Of a Service and an Ingress
//! the last event is told, of a Certificate what its authority waits for.
//!
//! | what is seen | how long it is waited for |
//! | --- | --- |
//! | unschedulable, with the scheduler's words | as long as the rollout may take: machines may be on their way |
//! | an image whose registry does not answer, or does not let us in | as long: registries come back, rights spread |
//! | a quota that is used up, a webhook that is away, an account that is not there | as long: others go, or come |
//! | a probe that fails, volumes that cannot be mounted: the last event | as long: programs start slowly |
//! | a Secret or ConfigMap of this plan that is not there | as long: the plan makes it |
//! | any other Secret, ConfigMap or key in one that is not there | a minute, as nobody says that it comes |
//! | an image that its registry does not have | a minute, in which somebody may push it |
//! | a container that ends again and again, with its exit code and last lines | until its third restart, and one that we saw |
//! | a pod that pod security, a webhook, a policy or a limit range refuses, or that is wrong | seconds: the next one is the same |
//! | a Service or an Ingress without an address: the last event | as long: subnets are tagged, rights spread |
//! | a Certificate that is not issued: its challenge, or the last event | as long: DNS takes its time |
//!
//! Where a wait ends early, the status is [`Status::Failed`], and the engine goes on with what does not need it. What was told
//! before the wait began is not enough for that: the reason of the last run may be what this one has mended. Reasons are extra: who may
//! not look at pods is told the count, as before.

mod ask;
mod pod;

use crate::{Noun, rollout::is_seen};
use causeway_core::Status;
use kube::Client;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Most rollouts are over by then, and cost no call.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(15);
/// A pause is so much shorter than what was waited.
const PART: u32 = 4;
/// For so long a reason without hope has to stay the same.
const SURE: Duration = Duration::from_secs(5);
/// For so long somebody may bring what nobody is known to.
const BRIEF: Duration = Duration::from_secs(60);
/// Characters of a reason.
const WORDS: usize = 600;

/// What can be asked why it does not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    /// Of cert-manager: its authority has challenges.
    Certificate,
    /// Makes no pods: who works on it says what is wrong in events.
    Other,
}

impl Work {
    /// Whether its status may be about another generation and says nothing of it.
    fn counts_nothing(self) -> bool {
        matches!(self, Work::Certificate | Work::Other)
    }

    fn of<K: Noun>() -> Option<Work> {
        match (K::GROUP, K::KIND) {
            ("apps", "Deployment") => Some(Work::Deployment),
            ("apps", "StatefulSet") => Some(Work::StatefulSet),
            ("apps", "DaemonSet") => Some(Work::DaemonSet),
            ("batch", "Job") => Some(Work::Job),
            ("cert-manager.io", "Certificate") => Some(Work::Certificate),
            ("", "Service") | ("networking.k8s.io", "Ingress") => Some(Work::Other),
            _ => None,
        }
    }
}

/// Whether it may still come right, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hope {
    /// By itself, or by what others do.
    Some,
    /// If somebody does something soon.
    Brief,
    /// Not without a change of what is wanted.
    None,
}

/// Where to read more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Log {
    pod: String,
    container: String,
    /// Of the container before it was started again.
    previous: bool,
    /// The Secrets that the pod has, and may tell.
    secrets: BTreeSet<String>,
}

/// Something that keeps a rollout from coming up.
#[derive(Clone, Debug)]
struct Trouble {
    /// In one word, the same as long as it is the same.
    kind: String,
    why: String,
    hope: Hope,
    /// The pod, and its UID.
    pod: Option<String>,
    about: String,
    /// How often this has happened, and to what.
    count: Option<(String, i64)>,
    /// Whether events say more.
    events: bool,
    log: Option<Log>,
    lacks: Option<pod::Lacks>,
}

impl Trouble {
    fn new(kind: &str, why: String) -> Self {
        Trouble {
            kind: kind.to_owned(),
            why,
            hope: Hope::Some,
            pod: None,
            about: String::new(),
            count: None,
            events: false,
            log: None,
            lacks: None,
        }
    }
}

/// Kind, namespace and name.
type Key = (&'static str, String, String);

/// What is known of the rollouts that are waited for.
pub(crate) struct Reasons {
    api: Client,
    waits: Mutex<BTreeMap<Key, Wait>>,
    /// The keys of the Secrets and ConfigMaps that a plan wants.
    wanted: Mutex<BTreeMap<Key, BTreeSet<String>>>,
}

/// One rollout that is waited for.
#[derive(Clone)]
struct Wait {
    /// UID and generation.
    of: (String, i64),
    /// It had failed before it was waited for.
    old: bool,
    since: Instant,
    next: Instant,
    hash: Option<String>,
    /// How often everything had happened when the wait began.
    before: Option<BTreeMap<String, i64>>,
    worst: Option<Worst>,
}

/// The worst that was seen with the last look.
#[derive(Clone)]
struct Worst {
    trouble: Trouble,
    since: Instant,
    lines: Option<String>,
    /// There is no use in waiting.
    over: bool,
}

impl Wait {
    fn new(of: (String, i64), old: bool, now: Instant) -> Self {
        Wait { of, old, since: now, next: now + FIRST, hash: None, before: None, worst: None }
    }

    /// Takes what the last look has found; of several things that are as bad, the one of the newest pod.
    fn learn(&mut self, troubles: Vec<Trouble>, now: Instant) {
        let counts = troubles.iter().filter_map(|trouble| trouble.count.clone());
        let before = &*self.before.get_or_insert_with(|| counts.collect());
        let is_new = |trouble: &Trouble| {
            let count = trouble.count.as_ref();
            count.is_none_or(|(what, times)| before.get(what).is_none_or(|before| times > before))
        };
        let worst = troubles.into_iter().max_by_key(|one| (one.hope, one.log.is_some(), !one.events));
        let last = self.worst.take();
        self.worst = worst.map(|trouble| {
            let same = last.filter(|last| last.trouble.kind == trouble.kind);
            let since = same.as_ref().map_or(now, |last| last.since);
            let over = match trouble.hope {
                Hope::Some => false,
                Hope::Brief => now - since >= BRIEF,
                Hope::None => now - since >= SURE && is_new(&trouble),
            };
            let read = same.filter(|last| last.trouble.count == trouble.count).and_then(|last| last.lines);
            Worst { trouble, since, lines: read, over }
        });
    }

    fn pace(&mut self, now: Instant) {
        self.next = now + ((now - self.since) / PART).clamp(FIRST, LONGEST);
    }
}

impl Reasons {
    pub(crate) fn new(api: Client) -> Self {
        Reasons { api, waits: Mutex::default(), wanted: Mutex::default() }
    }

    /// A Secret or a ConfigMap that is wanted; any other kind says nothing.
    pub(crate) fn wanted<K: Noun>(&self, namespace: Option<&str>, name: &str, object: &Json) {
        if !(K::GROUP.is_empty() && ["Secret", "ConfigMap"].contains(&K::KIND)) {
            return;
        }
        let parts = ["data", "stringData", "binaryData"].into_iter();
        let keys =
            parts.filter_map(|part| object[part].as_object()).flat_map(|values| values.keys().cloned());
        let key = (K::KIND, namespace.unwrap_or_default().to_owned(), name.to_owned());
        locked(&self.wanted).insert(key, keys.collect());
    }

    /// `status` of a workload as its counts say it, with the reason, and as hopeless where it is. For others and in a
    /// survey, `status`.
    pub(crate) async fn told<K: Noun>(&self, object: &Json, status: Status, survey: bool) -> Status {
        let Some(work) = Work::of::<K>() else { return status };
        let text = |path: &str| object.pointer(path).and_then(Json::as_str).unwrap_or_default().to_owned();
        let key = (K::KIND, text("/metadata/namespace"), text("/metadata/name"));
        let (on, failed) = match &status {
            Status::Pending(on) if !survey && (work.counts_nothing() || is_seen(object)) => {
                (on.clone(), false)
            }
            Status::Failed(on) if !survey => (on.clone(), true),
            _ => {
                locked(&self.waits).remove(&key);
                return status;
            }
        };
        let now = Instant::now();
        let generation = object.pointer("/metadata/generation").and_then(Json::as_i64).unwrap_or_default();
        let of = (text("/metadata/uid"), generation);
        let mut wait = locked(&self.waits)
            .remove(&key)
            .filter(|wait| wait.of == of)
            .unwrap_or_else(|| Wait::new(of, failed && work == Work::Deployment, now));
        // The deadline of a deployment was missed in an earlier run. What was in its way may be gone.
        let failed = failed && !wait.old;
        if failed || now >= wait.next {
            self.look(work, object, &mut wait).await;
        }
        let status = self.status(&wait, &on, failed);
        if matches!(status, Status::Pending(_)) {
            locked(&self.waits).insert(key, wait);
        }
        status
    }

    async fn look(&self, work: Work, object: &Json, wait: &mut Wait) {
        let found = ask::troubles(&self.api, work, object, &mut wait.hash).await;
        let now = Instant::now();
        wait.pace(now);
        // Who may not look at pods is told nothing more.
        let Ok(mut troubles) = found else { return };
        for trouble in &mut troubles {
            self.judge(object, trouble);
        }
        wait.learn(troubles, now);
        let Some(worst) = &mut wait.worst else { return };
        if worst.trouble.events
            && let Ok(Some(told)) = ask::events(&self.api, object, &worst.trouble).await
        {
            let why = &mut worst.trouble.why;
            *why = if worst.trouble.log.is_some() { format!("{why}; {told}") } else { told };
        }
        if let (Some(log), None) = (&worst.trouble.log, &worst.lines) {
            worst.lines = ask::lines(&self.api, object, log).await;
        }
    }

    /// What is missing and made by nobody has little hope.
    fn judge(&self, object: &Json, trouble: &mut Trouble) {
        let Some(lacks) = &trouble.lacks else { return };
        let namespace = object.pointer("/metadata/namespace").and_then(Json::as_str).unwrap_or_default();
        let name = (lacks.kind, namespace.to_owned(), lacks.name.clone());
        let wanted = locked(&self.wanted)
            .get(&name)
            .is_some_and(|keys| lacks.key.as_ref().is_none_or(|key| keys.contains(key)));
        if !wanted {
            trouble.hope = Hope::Brief;
            trouble.why += "; this plan does not make it";
        }
    }

    fn status(&self, wait: &Wait, on: &str, failed: bool) -> Status {
        let mut text = on.to_owned();
        let worst = wait.worst.as_ref().filter(|worst| !worst.trouble.why.is_empty());
        if let Some(Worst { trouble, lines, .. }) = worst {
            if let Some(pod) = &trouble.pod {
                text += &format!(": pod {pod}");
            }
            text += &format!(": {}", plain(&trouble.why, WORDS));
            if let Some(lines) = lines {
                text += &format!("; its last lines: {lines}");
            }
        }
        match failed || worst.is_some_and(|worst| worst.over) {
            true => Status::Failed(text),
            false => Status::Pending(text),
        }
    }
}

fn locked<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every change under these locks is complete in itself.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A condition that holds.
fn condition<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|one| one["type"] == name && one["status"] == "True")
}

fn is_told(object: &Json, name: &str) -> bool {
    condition(object, name).is_some()
}

/// On one line, and no longer than that.
fn plain(text: &str, most: usize) -> String {
    let mut plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    if plain.len() < text.len() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests;
