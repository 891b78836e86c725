//! What the edge has to know of CloudFront without asking all the time: which distributions there are, when something has
//! changed, and what was invalidated.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Invalidation.html>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::cloudfront_functions::{decode, parse};
use super::{FixInfo, Next, Request};
use crate::gateway::operation::mutates;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "cloudfront_sites",
    service: "cloudfront",
    operations: &[],
    why: "fakecloud's distributions neither cache nor run functions, and its invalidations are complete at once, each of its own \
          whatever its caller reference; the sandbox's edge does, and AWS gives the first answer again, \
          InvalidationBatchAlreadyExists or TooManyInvalidationsInProgress",
};

/// Paths in progress at a time, for one distribution: without a star, and with one.
const PATHS: usize = 3000;
const WILDCARDS: usize = 15;

/// What is known of distributions.
#[derive(Default)]
pub(crate) struct Sites(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Whose each distribution is, by its id, and since when.
    owners: BTreeMap<String, (Scope, Instant)>,
    /// How often something was changed, by account.
    changes: BTreeMap<String, u64>,
    /// By distribution.
    invalidations: BTreeMap<String, Vec<Invalidation>>,
}

struct Invalidation {
    at: Instant,
    reference: String,
    paths: Vec<String>,
    answer: Answer,
}

impl Sites {
    /// All distributions, with whose they are and since when.
    pub(crate) fn all(&self) -> Vec<(String, Scope, Instant)> {
        let known = lock(&self.0);
        known.owners.iter().map(|(id, (scope, since))| (id.clone(), scope.clone(), *since)).collect()
    }

    /// How often the account of `scope` has changed something in CloudFront.
    pub(crate) fn changes(&self, scope: &Scope) -> u64 {
        let account = crate::account::of(&scope.access_key);
        lock(&self.0).changes.get(account).copied().unwrap_or_default()
    }

    /// Whether what was fetched at `at` was invalidated since.
    pub(crate) fn is_invalid(&self, distribution: &str, path: &str, at: Instant) -> bool {
        let known = lock(&self.0);
        let all = known.invalidations.get(distribution);
        all.into_iter()
            .flatten()
            .filter(|one| one.at >= at)
            .any(|one| one.paths.iter().any(|pattern| fits(pattern, path)))
    }
}

/// Whether a path is meant: a star stands at the end, for anything.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.trim_start_matches('/'), path.trim_start_matches('/'));
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

/// What the segment behind `collection` names, or "".
pub(super) fn behind(request: &Request, collection: &str) -> String {
    let mut path = request.uri.path().split('/').skip_while(|segment| *segment != collection).skip(1);
    path.next().map(decode).unwrap_or_default()
}

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let operation = request.operation.name.clone();
        if operation == "CreateInvalidation" {
            return invalidate(state, request, next).await;
        }
        let scope = request.scope.clone();
        let id = behind(&request, "distribution");
        let answer = next.run(request).await;
        if !answer.status.is_success() || !mutates(&operation) {
            return answer;
        }
        let made = (operation == "CreateDistribution").then(|| parse(&answer.body)?.get("Id")).flatten();
        let mut known = lock(&state.fixes.sites.0);
        if let Some(id) = made {
            known.owners.insert(id, (scope.clone(), Instant::now()));
        }
        if operation == "DeleteDistribution" {
            known.owners.remove(&id);
            known.invalidations.remove(&id);
        }
        *known.changes.entry(crate::account::of(&scope.access_key).to_owned()).or_default() += 1;
        answer
    })
}

async fn invalidate(state: &Arc<State>, request: Request, next: Next<'_>) -> Answer {
    let id = behind(&request, "distribution");
    let Some(batch) = parse(&request.body) else { return next.run(request).await };
    let paths: Vec<String> = batch.all("Path").iter().map(|path| path.text()).collect();
    let reference = batch.get("CallerReference").unwrap_or_default();
    let lasts = state.pending.times(&request.scope.access_key).invalidation;
    {
        let known = lock(&state.fixes.sites.0);
        let all = known.invalidations.get(&id).map(Vec::as_slice).unwrap_or_default();
        if let Some(first) = all.iter().find(|one| one.reference == reference) {
            if first.paths == paths {
                return first.answer.clone();
            }
            let message = "The caller reference was used before with other paths.";
            return request.refuse(400, "InvalidationBatchAlreadyExists", message);
        }
        if is_too_much(all, &paths, lasts) {
            let message = "Too many invalidations are in progress.";
            return request.refuse(400, "TooManyInvalidationsInProgress", message);
        }
    }
    let answer = next.run(request).await;
    if answer.status.is_success() {
        let one = Invalidation { at: Instant::now(), reference, paths, answer: answer.clone() };
        lock(&state.fixes.sites.0).invalidations.entry(id).or_default().push(one);
    }
    answer
}

fn is_too_much(all: &[Invalidation], paths: &[String], lasts: Duration) -> bool {
    let running = all.iter().filter(|one| one.at.elapsed() < lasts).flat_map(|one| &one.paths);
    let (wild, plain): (Vec<&String>, Vec<&String>) =
        running.chain(paths).partition(|path| path.ends_with('*'));
    wild.len() > WILDCARDS || plain.len() > PATHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_rest() {
        assert!(fits("/*", "/a/b") && fits("/a/*", "/a/b") && fits("/a*", "/ab") && fits("a/b", "/a/b"));
        assert!(!fits("/a/*", "/a") && !fits("/a", "/a/b") && !fits("/a/*/c", "/a/b/c"));
    }

    #[test]
    fn so_many_paths_are_in_progress_at_a_time() {
        let paths = |n: usize, end: &str| (0..n).map(|n| format!("/{n}{end}")).collect::<Vec<_>>();
        let running = [Invalidation {
            at: Instant::now(),
            reference: String::new(),
            paths: paths(PATHS - 1, ""),
            answer: Answer::new(http::StatusCode::CREATED, "text/xml", ""),
        }];
        let lasts = Duration::from_secs(3600);
        assert!(!is_too_much(&running, &paths(1, ""), lasts));
        assert!(is_too_much(&running, &paths(2, ""), lasts));
        assert!(!is_too_much(&running, &paths(2, ""), Duration::ZERO));
        assert!(!is_too_much(&running, &paths(WILDCARDS, "*"), lasts));
        assert!(is_too_much(&running, &paths(WILDCARDS + 1, "*"), lasts));
    }
}
