//! Whether API servers take what a plan changes in clusters that are there. Each object is sent as an apply would send it, as a
//! [dry run](Kubernetes::dry), so that validation, admission, policies, webhooks, quotas and rights answer before anything is changed.
//!
//! Not asked are objects that stand on what the same plan makes first, or that hold a value which is not known before an apply or is
//! secret; and what is replaced, as long as the old one is in its way.

use crate::{
    Access, Kubernetes,
    call::{Call, answer, caused},
    crds::Crds,
    manifest::holds_secret,
    noun::{Noun, definition},
};
use causeway_core::{
    Class, Error, Registry, Resource, Tags,
    diff::Diff,
    engine::Planned,
    finding::Finding,
    place::{Place, PlaceData},
    plan::Action,
    registry::{AnyKind, AnyLive, At},
    value::{Address, is_unknown},
    wanted::Wanted,
};
use futures::{StreamExt, future::join_all, stream};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{Api, api::ListParams, core::Status};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};
use tokio::time::timeout;

/// What the findings are under.
pub const CHECK: &str = "objects";
/// Longer than a sound API server needs for all that a plan has.
const LIMIT: Duration = Duration::from_secs(20);
/// Requests to one API server: it gives each of its users a share, and an apply has as many.
const AT_ONCE: usize = 10;
/// What an API server judges other objects by. Where a plan changes one of these, what it says now of what comes after counts for
/// nothing.
const JUDGES: [&str; 10] = [
    "k8s.core.namespace",
    "k8s.core.resource_quota",
    "k8s.core.limit_range",
    "k8s.networking.ingress_class",
    "k8s.rbac.",
    "k8s.scheduling.",
    "k8s.storage.",
    "k8s.admissionregistration.",
    "k8s.apiextensions.",
    "k8s.apiregistration.",
];

/// Asks about what `planned` makes or changes. `wanted` is all of it, and `connect` makes the client of a cluster, as for
/// [`register`](crate::register).
pub async fn ask<F, Fut>(planned: &Planned, wanted: &[Wanted], connect: F) -> Vec<Finding>
where
    F: Fn(Access) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Kubernetes, Error>> + Send + 'static,
{
    let mut dry = Registry::new();
    let connecting = connect.clone();
    crate::register(&mut dry, move |access| {
        let connecting = connecting(access);
        async move { Ok(connecting.await?.dry()) }
    });
    let clusters = questions(planned, wanted, &dry);
    let answers = clusters.into_iter().map(|(place, cluster)| asked(place, cluster, &connect));
    join_all(answers).await.into_iter().flatten().map(|finding| finding.of(CHECK)).collect()
}

/// What is asked of one API server.
#[derive(Default)]
struct Cluster<'a> {
    questions: Vec<Question<'a>>,
    /// How many changes it is not asked about.
    left_out: usize,
}

/// Whether it takes one object.
struct Question<'a> {
    address: &'a Address,
    kind: &'a dyn AnyKind,
    place: &'a PlaceData,
    spec: Json,
    recorded: Option<&'a Json>,
    instance: &'a str,
    /// What is there and how it changes; nothing where it is made.
    update: Option<(&'a AnyLive, &'a Diff)>,
}

fn questions<'a>(
    planned: &'a Planned,
    wanted: &'a [Wanted],
    dry: &'a Registry,
) -> BTreeMap<&'a PlaceData, Cluster<'a>> {
    let mut clusters: BTreeMap<&PlaceData, Cluster<'_>> = BTreeMap::new();
    let mut unsettled: BTreeSet<&Address> = BTreeSet::new();
    for one in wanted.iter().filter(|one| one.place.provider == Access::PROVIDER) {
        let after = planned.stack().nodes().get(&one.address).map(|node| &node.after);
        let waits = after.is_some_and(|after| after.iter().any(|earlier| unsettled.contains(earlier)));
        if waits || is_unsettled(one) {
            unsettled.insert(&one.address);
        }
        let changes = matches!(one.action, Action::Create | Action::Update | Action::Adopt);
        // Before there is a cluster there is nobody to ask.
        if !(changes || one.action.replaces()) || is_unknown(&one.place.spec.json()) {
            continue;
        }
        let cluster = clusters.entry(&one.place).or_default();
        match question(planned, one, dry).filter(|_| changes && !waits) {
            Some(question) => cluster.questions.push(question),
            None => cluster.left_out += 1,
        }
    }
    clusters
}

/// Whether the plan makes it, or changes what others are judged by.
fn is_unsettled(one: &Wanted) -> bool {
    match one.action {
        Action::Keep | Action::Record => false,
        Action::Update | Action::Adopt => {
            one.kind == Crds::KIND || JUDGES.iter().any(|judge| one.kind.starts_with(judge))
        }
        _ => true,
    }
}

fn question<'a>(planned: &'a Planned, one: &'a Wanted, dry: &'a Registry) -> Option<Question<'a>> {
    let mut spec = one.json().clone();
    // Definitions are files that an apply fetches, and the values of secrets leave for a cluster only when they are applied.
    let is_object = one.kind != Crds::KIND && one.kind != Secret::NOUN;
    if !is_object || is_unknown(&spec) || holds_secret(&spec["object"]) {
        return None;
    }
    let step = planned.plan.step(&one.address)?;
    let instance = step.instance.as_deref().unwrap_or_default();
    spec["tags"] = json!({
        Tags::STACK: planned.stack().name(),
        Tags::ADDRESS: one.address,
        Tags::INSTANCE: instance,
    });
    let update = match one.action {
        Action::Create => None,
        _ => Some((planned.observed.live.get(&one.address)?, &step.diff)),
    };
    Some(Question {
        address: &one.address,
        kind: dry.get(one.kind)?.as_ref(),
        place: &one.place,
        spec,
        recorded: one.outputs.as_ref(),
        instance,
        update,
    })
}

impl Question<'_> {
    async fn ask(&self) -> Result<(), Error> {
        let at = At {
            place: &self.place.spec,
            address: self.address,
            instance: self.instance,
            recorded: self.recorded,
            going: false,
        };
        match self.update {
            None => self.kind.create(at, &self.spec).await,
            Some((live, diff)) => self.kind.update(at, &self.spec, live, diff).await,
        }
    }

    /// What an error means; nothing where it does not say that the object is refused.
    fn refused(&self, by: &str, error: &Error) -> Option<Finding> {
        let asked = format!("whether {by} takes {}", self.address);
        let said = answer(error);
        let (answer, remedy) = match (error.class(), said) {
            (_, Some(status)) if status.code == 404 && !is_about_its_namespace(status) => {
                let definition = definition(self.kind.kind()).unwrap_or_default();
                (
                    format!("it knows no {definition}, and nothing in this plan brings that definition"),
                    "install what brings it, or take out the setting that asks for this object; for alerts these are the \
                     Prometheus operator and [eks.coder.alerts]",
                )
            }
            (_, Some(status)) if status.code == 404 => {
                (status.message.clone(), "make the namespace; nothing in this plan does")
            }
            (Class::Final, Some(status)) if caused(status, "FieldManagerConflict") => {
                (status.message.clone(), "let whoever else sets these fields give them up")
            }
            // Policies refuse with the status that they are given, so that it does not tell them from what is not valid.
            (Class::Denied | Class::Final, Some(status)) => (
                status.message.clone(),
                "change what it names: the setting that this comes from, or the policy, webhook, quota or right that refuses it",
            ),
            _ => return None,
        };
        Some(Finding::failed(asked, answer, remedy))
    }
}

fn is_about_its_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}

async fn asked<F, Fut>(place: &PlaceData, cluster: Cluster<'_>, connect: &F) -> Vec<Finding>
where
    F: Fn(Access) -> Fut,
    Fut: Future<Output = Result<Kubernetes, Error>>,
{
    let Cluster { questions, left_out } = cluster;
    let by = by(place);
    let mut answers = vec![];
    let asking = async {
        let mut asking =
            stream::iter(&questions).map(async |one| (one, one.ask().await)).buffer_unordered(AT_ONCE);
        while let Some(answer) = asking.next().await {
            answers.push(answer);
        }
    };
    // What has not answered by then is told below.
    let _ = timeout(LIMIT, asking).await;
    answers.sort_by_key(|(one, _)| one.address);
    let (mut taken, mut refused, mut silent) = (0, vec![], vec![]);
    for (one, answer) in &answers {
        match answer {
            Ok(()) => taken += 1,
            Err(error) => match one.refused(&by, error) {
                Some(finding) => refused.push((is_bad_request(error), finding)),
                None => silent.push(error.chain()),
            },
        }
    }
    let (odd, refused): (Vec<_>, Vec<_>) = refused.into_iter().partition(|(odd, _)| *odd);
    let mut findings: Vec<Finding> = refused.into_iter().map(|(_, finding)| finding).collect();
    if !odd.is_empty() {
        let odd = odd.into_iter().map(|(_, finding)| finding).collect();
        findings.extend(without_dry_runs(place, connect, odd).await);
    }
    let unheard = silent.len() + questions.len() - answers.len();
    if unheard > 0 {
        let asked = format!("whether {by} takes {unheard} of the objects that change");
        let late = || format!("it did not answer within {} s", LIMIT.as_secs());
        findings.push(Finding::unreachable(asked, silent.into_iter().next().unwrap_or_else(late)));
    }
    if taken > 0 {
        let asked = format!("whether {by} takes {taken} of the objects that change");
        findings.push(Finding::passed(asked, rest(left_out)));
    }
    findings
}

fn by(place: &PlaceData) -> String {
    let json = place.spec.json();
    let text = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
    format!("the API server of {} in {}", text("name"), text("region"))
}

fn rest(left_out: usize) -> String {
    match left_out {
        0 => "it does".into(),
        n => format!(
            "it does; {n} more cannot be asked before the apply, for they stand on what it makes first, replace something, or hold secrets"
        ),
    }
}

fn is_bad_request(error: &Error) -> bool {
    answer(error).is_some_and(|status| status.code == 400)
}

/// An API server refuses a dry run as a bad request where a webhook that has a say could leave traces. Nobody can register such a
/// webhook any more, and those that were there before stay.
/// <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#side-effects>
async fn without_dry_runs<F, Fut>(place: &PlaceData, connect: &F, odd: Vec<Finding>) -> Vec<Finding>
where
    F: Fn(Access) -> Fut,
    Fut: Future<Output = Result<Kubernetes, Error>>,
{
    let looked = async {
        let access = serde_json::from_value(place.spec.json());
        let access = access.map_err(|source| Error::Decode { what: "place", kind: "kubernetes", source })?;
        webhooks(&connect(access).await?.client()).await
    };
    match looked.await {
        Ok(webhooks) if webhooks.is_empty() => odd,
        Ok(webhooks) => {
            let remedy = format!(
                "it has webhooks that know no dry run: {}; see whether they have a say",
                webhooks.join(", ")
            );
            odd.into_iter().map(|one| Finding::not_asked(one.asked, one.answer, &remedy)).collect()
        }
        Err(error) => odd.into_iter().map(|one| Finding::not_answered(one.asked, &error)).collect(),
    }
}

/// The webhooks of a cluster that could leave traces.
async fn webhooks(api: &kube::Client) -> Result<Vec<String>, Error> {
    let (all, params) = ("kubernetes:list", ListParams::default());
    let changing = Api::<MutatingWebhookConfiguration>::all(api.clone()).list(&params).await.call(all)?;
    let judging = Api::<ValidatingWebhookConfiguration>::all(api.clone()).list(&params).await.call(all)?;
    let changing = changing.items.into_iter().flat_map(|one| one.webhooks.unwrap_or_default());
    let judging = judging.items.into_iter().flat_map(|one| one.webhooks.unwrap_or_default());
    let all = changing
        .map(|one| (one.name, one.side_effects))
        .chain(judging.map(|one| (one.name, one.side_effects)));
    Ok(all.filter(|(_, effects)| leaves_traces(effects)).map(|(name, _)| name).collect())
}

fn leaves_traces(side_effects: &str) -> bool {
    !["None", "NoneOnDryRun"].contains(&side_effects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_leaves_traces_unless_it_says_that_it_does_not() {
        assert!(leaves_traces("Some") && leaves_traces("Unknown"));
        assert!(!leaves_traces("None") && !leaves_traces("NoneOnDryRun"));
    }

    #[test]
    fn every_judge_is_a_kind() {
        let mut registry = Registry::new();
        crate::register(&mut registry, |_| async { Err(Error::Invalid(String::new())) });
        for judge in JUDGES {
            assert!(registry.kinds().any(|kind| kind.kind().starts_with(judge)), "{judge}");
        }
    }
}
