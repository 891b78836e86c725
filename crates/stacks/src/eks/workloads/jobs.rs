//! Our own program, run at set times.

use super::{Wanted, system_nodes};
use crate::eks::roles::llm_key_name;
use causeway_core::{Address, Stack};
use causeway_k8s::{
    coder::workspaces::Workspaces,
    cron::Schedule,
    kept::Kept,
    litellm::keys::{self, Job},
    mirror::{self, Settings},
};
use std::collections::BTreeMap;

/// LiteLLM as pods beside it see it. The answer has a key in it, and stays in the namespace.
const LITELLM: &str = "http://litellm.litellm.svc";
const LITELLM_NAMESPACE: &str = "litellm";

/// The job that copies images, where there are some.
pub(super) fn mirror(stack: &mut Stack, wanted: &Wanted<'_>, after: &[Address]) {
    let Some(jobs) = wanted.coder.jobs.as_ref().filter(|_| !wanted.given.copies.is_empty()) else { return };
    let mut args = texts(&["mirror", "--region", &wanted.site.region]);
    for copy in &wanted.given.copies {
        args.extend(["--copy".to_owned(), format!("{}={}", copy.to, copy.from)]);
    }
    args.extend(at_set_times(wanted));
    let settings = Settings {
        schedule: Schedule {
            cron: jobs.mirror.clone(),
            time_zone: jobs.time_zone.clone(),
            limit_seconds: 3_600,
        },
        role_arn: wanted.role("mirror"),
        nodes: system_nodes(),
        ..Settings::new(&jobs.image, args)
    };
    stack.scope("mirror", |stack| mirror::add(stack, after, &settings));
}

/// The job that makes keys of LiteLLM.
pub(super) fn make(stack: &mut Stack, wanted: &Wanted<'_>, after: &[Address], master_key: &Kept) {
    let Some([schedule, _]) = schedules(wanted) else { return };
    let rotation = wanted.coder.jobs.as_ref().map(|jobs| jobs.rotation()).unwrap_or_default();
    let numbers = [rotation.life, rotation.overlap()].map(|hours| hours.to_string());
    let args = ["--url", LITELLM, "--life", &numbers[0], "--overlap", &numbers[1]];
    let Some(job) = job(wanted, "make", &args, schedule, "key-maker") else { return };
    // The Secret is LiteLLM's own; its revision does not start a job.
    let master_key = Kept::elsewhere(&master_key.secret, &master_key.key);
    stack.scope("llm-key", |stack| keys::make(stack, LITELLM_NAMESPACE, after, &master_key, &job));
}

/// The job that brings the key of LiteLLM to one namespace of workspaces.
pub(super) fn bring(stack: &mut Stack, wanted: &Wanted<'_>, space: &Workspaces) {
    let Some([_, schedule]) = schedules(wanted) else { return };
    let args = ["--namespace", space.name.as_str()];
    let Some(job) = job(wanted, "bring", &args, schedule, "key-reader") else { return };
    stack.scope("llm-key", |stack| keys::bring(stack, &space.name, &space.made, &job));
}

/// When keys are made and brought, where there are jobs and LiteLLM.
fn schedules(wanted: &Wanted<'_>) -> Option<[Schedule; 2]> {
    wanted.config.litellm.as_ref()?;
    // Times that do not go together were told when the file was read.
    wanted.coder.jobs.as_ref()?.rotation().schedules().ok()
}

fn job(wanted: &Wanted<'_>, verb: &str, more: &[&str], schedule: Schedule, role: &str) -> Option<Job> {
    let jobs = wanted.coder.jobs.as_ref()?;
    // The secret is where the control plane is.
    let (secret, region) = (llm_key_name(&wanted.site.cluster), wanted.home);
    let mut args = texts(&["llm-key", verb, "--secret", &secret, "--region", region]);
    args.extend(texts(more));
    args.extend(at_set_times(wanted));
    Some(Job {
        image: jobs.image.clone(),
        args,
        schedule,
        role_arn: wanted.role(role),
        nodes: system_nodes(),
        environment: BTreeMap::new(),
    })
}

/// What every job is told: that a clock runs it, and when nothing is to be changed.
fn at_set_times(wanted: &Wanted<'_>) -> Vec<String> {
    let mut args = texts(&["--scheduled"]);
    for freeze in &wanted.given.freezes {
        args.extend(["--freeze".to_owned(), serde_json::json!(freeze).to_string()]);
    }
    args
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|&one| one.to_owned()).collect()
}
