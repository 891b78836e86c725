//! Whether the models of Bedrock may be used that the plan is about: those that LiteLLM is told, or, without it, those that match
//! what roles are let use. Bedrock tells without one being used:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetFoundationModelAvailability.html>. An inference profile leads to
//! models in several regions, and to others from elsewhere:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>.

use super::{Finding, Preflight, region_of};
use crate::{Call, lint, policy::Effect};
use aws_sdk_bedrock::{
    Client,
    operation::get_foundation_model_availability::GetFoundationModelAvailabilityOutput as Availability,
    types::{
        AgreementStatus, AuthorizationStatus, EntitlementAvailability,
        FoundationModelLifecycleStatus as Lifecycle, InferenceProfileType, RegionAvailability,
    },
};
use causeway_core::{Error, Value, plan::matches_pattern};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use std::collections::{BTreeMap, BTreeSet};

/// Requests on their way at once.
const AT_ONCE: usize = 5;
/// What precedes a model in its ARN.
const MODEL: &str = "foundation-model/";

/// A model that something is told to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What people ask for. Models of the same name stand in for each other.
    pub name: String,
    /// Where it is asked.
    pub region: String,
    /// As Bedrock calls it: a model, or an inference profile like `us.anthropic.claude-3-haiku-20240307-v1:0`.
    pub id: String,
}

/// A model in a region.
type At = (String, String);

/// Models of which one suffices.
struct Group {
    asked: String,
    /// Where each of them leads; nowhere where there is no such profile.
    leads: Vec<(Model, Vec<At>)>,
    /// Whether the plan has something that asks one of these, and nothing else.
    is_told: bool,
}

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let groups =
        if preflight.models.is_empty() { matching(preflight).await? } else { told(preflight).await? };
    let all: BTreeSet<&At> = groups.iter().flat_map(|g| &g.leads).flat_map(|(_, to)| to).collect();
    let regions: BTreeSet<&str> = all.iter().map(|(region, _)| region.as_str()).collect();
    let clients: BTreeMap<&str, Client> =
        regions.into_iter().map(|region| (region, bedrock(preflight, region))).collect();
    let answer_of = |at| {
        let (region, _): &At = at;
        let client = &clients[region.as_str()];
        async move { Ok::<_, Error>((at, ask(client, &at.1).await?)) }
    };
    let asking: Vec<_> = all.into_iter().map(answer_of).collect();
    let answers = stream::iter(asking).buffer_unordered(AT_ONCE);
    let troubles: BTreeMap<&At, Option<Trouble>> = answers.try_collect().await?;
    Ok(groups.iter().map(|group| judge(group, &troubles)).collect())
}

fn bedrock(preflight: &Preflight, region: &str) -> Client {
    let config = aws_sdk_bedrock::config::Builder::from(&preflight.config);
    Client::from_conf(config.region(aws_config::Region::new(region.to_owned())).build())
}

/// What LiteLLM is told, by name.
async fn told(preflight: &Preflight) -> Result<Vec<Group>, Error> {
    let regions: BTreeSet<&String> = preflight.models.iter().map(|model| &model.region).collect();
    let profiles = try_join_all(regions.into_iter().map(async |region| {
        let all = bedrock(preflight, region).list_inference_profiles();
        let all = all.type_equals(InferenceProfileType::SystemDefined).into_paginator().items().send();
        let all = all.try_collect().await.call("bedrock:ListInferenceProfiles")?;
        let of = |profile: aws_sdk_bedrock::types::InferenceProfileSummary| {
            let models = profile.models.iter().filter_map(|model| at(model.model_arn()?, region));
            (profile.inference_profile_id.clone(), models.collect::<Vec<At>>())
        };
        Ok::<_, Error>((region, all.into_iter().map(of).collect::<BTreeMap<_, _>>()))
    }));
    let profiles: BTreeMap<&String, BTreeMap<String, Vec<At>>> = profiles.await?.into_iter().collect();
    let mut names: BTreeMap<&String, Vec<(Model, Vec<At>)>> = BTreeMap::new();
    for model in &preflight.models {
        let leads = match profiles[&model.region].get(&model.id) {
            Some(leads) => leads.clone(),
            None if is_profile(&model.id) => vec![],
            None => vec![(model.region.clone(), model.id.clone())],
        };
        names.entry(&model.name).or_default().push((model.clone(), leads));
    }
    let group = |(name, leads): (&String, Vec<_>)| {
        let asked = format!("whether the {} models behind {name} may be used", leads.len());
        Group { asked, leads, is_told: true }
    };
    Ok(names.into_iter().map(group).collect())
}

/// Whether this is a geography, a provider and a model, and not a model alone.
fn is_profile(id: &str) -> bool {
    id.split('.').count() > 2
}

/// The model and its region in an ARN. A global profile leads to models without a region.
fn at(arn: &str, here: &str) -> Option<At> {
    let mut parts = arn.splitn(6, ':');
    let region = parts.nth(3)?;
    let model = parts.nth(1)?.strip_prefix(MODEL)?;
    Some((if region.is_empty() { here } else { region }.to_owned(), model.to_owned()))
}

/// What matches patterns in the policies of what is made or changed.
async fn matching(preflight: &Preflight) -> Result<Vec<Group>, Error> {
    let mut patterns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for attached in lint::policies(&preflight.wanted).iter().filter(|attached| attached.wanted.is_touched()) {
        let Some(region) = region_of(attached.wanted) else { continue };
        for statement in attached.document.statements.iter().filter(|s| s.effect == Effect::Allow) {
            let invokes =
                |a: &Value<String>| lint::tail(a).is_some_and(|action| action.starts_with("bedrock:Invoke"));
            if statement.actions.0.iter().any(invokes) {
                let model = |arn: String| arn.split_once(MODEL).map(|(_, model)| model.to_owned());
                let models = statement.resources.0.iter().filter_map(|arn| lint::tail(arn).and_then(model));
                patterns.entry(region.clone()).or_default().extend(models);
            }
        }
    }
    let groups = try_join_all(patterns.iter().map(async |(region, patterns)| {
        let all = bedrock(preflight, region).list_foundation_models().send().await;
        let all = all.call("bedrock:ListFoundationModels")?;
        let current = all.model_summaries().iter().filter(|model| {
            let lifecycle = model.model_lifecycle().map(|lifecycle| lifecycle.status());
            lifecycle.is_none_or(|status| *status == Lifecycle::Active)
        });
        let current: Vec<&str> = current.map(|model| model.model_id()).collect();
        let group = |pattern: &String| {
            let found = current.iter().filter(|id| matches_pattern(pattern, id));
            let model = |id: &&str| {
                let at = (region.clone(), (*id).to_owned());
                (Model { name: pattern.clone(), region: region.clone(), id: at.1.clone() }, vec![at])
            };
            let asked = format!("whether models like {pattern} may be used in {region}");
            Group { asked, leads: found.map(model).collect(), is_told: false }
        };
        Ok::<_, Error>(patterns.iter().map(group).collect::<Vec<_>>())
    }));
    Ok(groups.await?.into_iter().flatten().collect())
}

/// Why a model cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    NoProfile,
    NoModel,
    NotInRegion,
    NotAgreed,
    AgreementPending,
    AgreementFailed,
    NotAuthorized,
    NotEntitled,
}

impl Trouble {
    fn text(self) -> &'static str {
        match self {
            Trouble::NoProfile => "there is no such inference profile",
            Trouble::NoModel => "Bedrock knows no such model",
            Trouble::NotInRegion => "it is not offered",
            Trouble::NotAgreed => "nobody of the account has agreed to its terms",
            Trouble::AgreementPending => "the agreement to its terms is on its way",
            Trouble::AgreementFailed => "the agreement to its terms did not work",
            Trouble::NotAuthorized => "the account is not authorised",
            Trouble::NotEntitled => "the account is not entitled",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Trouble::NoProfile | Trouble::NoModel | Trouble::NotInRegion => {
                "choose another model or region; `aws bedrock list-inference-profiles` and `list-foundation-models` tell what a region has"
            }
            Trouble::NotAgreed | Trouble::AgreementFailed => {
                "agree to them once for the account: use the model in the console of Bedrock, or `aws bedrock \
                 create-foundation-model-agreement`, as somebody with aws-marketplace:Subscribe, which the roles of the stack do not have; \
                 Anthropic wants its form filled in before"
            }
            Trouble::AgreementPending => "ask again in a quarter of an hour",
            Trouble::NotAuthorized | Trouble::NotEntitled => {
                "ask who pays for the account, or AWS: a policy of the organisation, the way it is paid or where it is registered may be why"
            }
        }
    }
}

async fn ask(client: &Client, model: &str) -> Result<Option<Trouble>, Error> {
    let answer = client.get_foundation_model_availability().model_id(model).send().await;
    if let Err(error) = &answer
        && let Some(error) = error.as_service_error()
        && (error.is_validation_exception() || error.is_resource_not_found_exception())
    {
        return Ok(Some(Trouble::NoModel));
    }
    Ok(trouble(&answer.call("bedrock:GetFoundationModelAvailability")?))
}

/// What stands first in the way.
fn trouble(told: &Availability) -> Option<Trouble> {
    if *told.region_availability() == RegionAvailability::NotAvailable {
        return Some(Trouble::NotInRegion);
    }
    match told.agreement_availability().map(|agreement| agreement.status()) {
        Some(AgreementStatus::NotAvailable) => return Some(Trouble::NotAgreed),
        Some(AgreementStatus::Pending) => return Some(Trouble::AgreementPending),
        Some(AgreementStatus::Error) => return Some(Trouble::AgreementFailed),
        _ => {}
    }
    if *told.authorization_status() == AuthorizationStatus::NotAuthorized {
        return Some(Trouble::NotAuthorized);
    }
    (*told.entitlement_availability() == EntitlementAvailability::NotAvailable)
        .then_some(Trouble::NotEntitled)
}

fn judge(group: &Group, troubles: &BTreeMap<&At, Option<Trouble>>) -> Finding {
    let Group { asked, leads, is_told } = group;
    if leads.is_empty() {
        return Finding::failed(asked, "no model there matches", Trouble::NoModel.remedy());
    }
    let trouble_at = |at: &At| troubles.get(at).copied().flatten();
    // Nobody tells where a profile leads a request, so all of its regions have to do.
    let (mut good, mut may) = (0, 0);
    let mut why: BTreeMap<Trouble, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (model, leads) in leads {
        if leads.is_empty() {
            why.entry(Trouble::NoProfile).or_default().entry(&model.id).or_default().insert(&model.region);
        }
        for at in leads {
            if let Some(trouble) = trouble_at(at) {
                why.entry(trouble).or_default().entry(&at.1).or_default().insert(&at.0);
            }
        }
        let free = leads.iter().filter(|at| trouble_at(at).is_none()).count();
        good += usize::from(free == leads.len() && free > 0);
        may += usize::from(free > 0);
    }
    if why.is_empty() {
        let answer = "the account may; whether it is served, Bedrock tells only those who ask a model";
        return Finding::passed(asked, answer);
    }
    let names = |all: &BTreeMap<&str, BTreeSet<&str>>| {
        let one = |(id, regions): (&&str, &BTreeSet<&str>)| {
            format!("{id} in {}", regions.iter().copied().collect::<Vec<_>>().join(", "))
        };
        all.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let told: Vec<String> =
        why.iter().map(|(trouble, all)| format!("{}: {}", trouble.text(), names(all))).collect();
    let answer = format!("{good} of {} without doubt; {}", leads.len(), told.join("; "));
    let remedies: BTreeSet<&str> = why.keys().map(|trouble| trouble.remedy()).collect();
    let remedy = remedies.into_iter().collect::<Vec<_>>().join("; ");
    if *is_told && may == 0 {
        Finding::failed(asked, answer, remedy)
    } else {
        Finding::warning(asked, answer, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_bedrock::types::AgreementAvailability;
    use causeway_core::finding::Verdict;

    fn availability(agreement: AgreementStatus) -> Availability {
        let agreement = AgreementAvailability::builder().status(agreement).build().unwrap();
        Availability::builder()
            .model_id("a.b")
            .agreement_availability(agreement)
            .authorization_status(AuthorizationStatus::Authorized)
            .entitlement_availability(EntitlementAvailability::Available)
            .region_availability(RegionAvailability::Available)
            .build()
            .unwrap()
    }

    #[test]
    fn what_stands_in_the_way_is_told_one_by_one() {
        assert_eq!(trouble(&availability(AgreementStatus::Available)), None);
        assert_eq!(trouble(&availability(AgreementStatus::NotAvailable)), Some(Trouble::NotAgreed));
        assert_eq!(trouble(&availability(AgreementStatus::Pending)), Some(Trouble::AgreementPending));
        assert_eq!(trouble(&availability(AgreementStatus::Error)), Some(Trouble::AgreementFailed));
        let mut told = availability(AgreementStatus::Available);
        told.entitlement_availability = EntitlementAvailability::NotAvailable;
        assert_eq!(trouble(&told), Some(Trouble::NotEntitled));
        told.authorization_status = AuthorizationStatus::NotAuthorized;
        assert_eq!(trouble(&told), Some(Trouble::NotAuthorized));
        told.region_availability = RegionAvailability::NotAvailable;
        assert_eq!(trouble(&told), Some(Trouble::NotInRegion));
    }

    #[test]
    fn one_of_several_that_stand_in_for_each_other_suffices() {
        let at = |region: &str, id: &str| (region.to_owned(), id.to_owned());
        let model = |id: &str| Model { name: "small".into(), region: "here".into(), id: id.into() };
        let (good, bad) = (at("here", "a.good"), at("there", "a.bad"));
        let troubles = BTreeMap::from([(&good, None), (&bad, Some(Trouble::NotAgreed))]);
        let verdict = |is_told, leads| {
            let found = judge(&Group { asked: "whether".into(), leads, is_told }, &troubles);
            (found.verdict, found.answer)
        };
        let (first, second) = ((model("a.good"), vec![good.clone()]), (model("a.bad"), vec![bad.clone()]));
        assert_eq!(verdict(true, vec![first.clone()]).0, Verdict::Passed);
        let (found, answer) = verdict(true, vec![first, second.clone()]);
        assert_eq!(found, Verdict::Warning);
        assert!(answer.contains("1 of 2") && answer.contains("a.bad in there"), "{answer}");
        assert_eq!(verdict(true, vec![second.clone()]).0, Verdict::Failed);
        assert_eq!(verdict(false, vec![second]).0, Verdict::Warning, "nothing asks for just this one");
        let profile = (model("us.a.both"), vec![good.clone(), bad.clone()]);
        assert_eq!(verdict(true, vec![profile]).0, Verdict::Warning, "it may lead to the one or the other");
        assert_eq!(verdict(true, vec![(model("us.a.none"), vec![])]).0, Verdict::Failed);
        assert_eq!(verdict(false, vec![]).0, Verdict::Failed);
    }

    #[test]
    fn a_profile_leads_to_regions_or_anywhere() {
        let arn = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1";
        assert_eq!(at(arn, "here"), Some(("us-east-1".into(), "anthropic.claude-v2:1".into())));
        let arn = "arn:aws:bedrock:::foundation-model/a.b";
        assert_eq!(at(arn, "here"), Some(("here".into(), "a.b".into())));
        assert!(is_profile("us.anthropic.claude-v2:1") && !is_profile("anthropic.claude-v2:1"));
    }
}
