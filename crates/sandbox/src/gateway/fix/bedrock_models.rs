//! Fakecloud takes any text for a model of Bedrock, offers every model in every region, and its profiles lead to two regions wherever they
//! are asked for.
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetFoundationModelAvailability.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::eks_clusters::behind;
use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;

pub(super) const INFO: FixInfo = FixInfo {
    name: "bedrock_models",
    service: "bedrock",
    operations: &["GetFoundationModelAvailability", "ListFoundationModels", "ListInferenceProfiles"],
    why: "fakecloud takes any text for a model, offers all in every region, authorises nobody before an agreement, and lacks a profile; AWS \
          refuses what is no model, offers each in some regions, and leads a profile to regions by where it is asked for. Here are the \
          models of Claude that LiteLLM leads to, and no others",
};

/// Where a model of Claude is offered: where its profile for the US leads, where that leads only from there, and where it is without.
struct Offered {
    model: &'static str,
    regions: &'static [&'static str],
    own: &'static [&'static str],
    besides: &'static [&'static str],
}

const ALL: &[&str] = &["us-east-1", "us-east-2", "us-west-2"];
const OLD: &[&str] = &["us-east-1", "us-west-2"];
const OHIO: &[&str] = &["us-east-2"];
const LONDON: &[&str] = &["eu-west-2"];

/// Not all that there are: those that LiteLLM leads to.
#[rustfmt::skip]
const OFFERED: &[Offered] = &[
    Offered { model: "anthropic.claude-3-haiku-20240307-v1:0", regions: OLD, own: OHIO, besides: LONDON },
    Offered { model: "anthropic.claude-3-5-haiku-20241022-v1:0", regions: ALL, own: &[], besides: &[] },
    Offered { model: "anthropic.claude-3-sonnet-20240229-v1:0", regions: OLD, own: &[], besides: LONDON },
    Offered { model: "anthropic.claude-3-5-sonnet-20241022-v2:0", regions: ALL, own: &[], besides: &[] },
    Offered { model: "anthropic.claude-3-7-sonnet-20250219-v1:0", regions: ALL, own: &[], besides: LONDON },
];

impl Offered {
    fn is_in(&self, region: &str) -> bool {
        [self.regions, self.own, self.besides].iter().any(|all| all.contains(&region))
    }

    /// The profile for the regions of the US, as it is told in `region`.
    fn profile(&self, region: &str) -> Value {
        let id = format!("us.{}", self.model);
        let own = self.own.iter().filter(|own| **own == region);
        let leads = self.regions.iter().chain(own);
        let models = leads.map(
            |to| json!({ "modelArn": format!("arn:aws:bedrock:{to}::foundation-model/{}", self.model) }),
        );
        json!({
            "inferenceProfileArn": format!("arn:aws:bedrock:{region}:000000000000:inference-profile/{id}"),
            "inferenceProfileId": id,
            "inferenceProfileName": id,
            "models": models.collect::<Vec<_>>(),
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
        })
    }
}

pub(super) fn run<'a>(_state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let (region, operation) = (request.scope.region.clone(), request.operation.name.clone());
        let model = behind(&request, "foundation-model-availability");
        let offered = OFFERED.iter().find(|one| one.model == model);
        if operation == "GetFoundationModelAvailability" {
            if !is_model(&model) {
                return request.refuse(
                    400,
                    "ValidationException",
                    "The provided model identifier is invalid.",
                );
            }
            if offered.is_none() {
                let message = format!("The model {model} was not found.");
                return request.refuse(404, "ResourceNotFoundException", &message);
            }
        }
        let mut answer = next.run(request).await;
        let Ok(mut output) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        if let Some(offered) = offered {
            output["authorizationStatus"] = "AUTHORIZED".into();
            output["entitlementAvailability"] = "AVAILABLE".into();
            let there = if offered.is_in(&region) { "AVAILABLE" } else { "NOT_AVAILABLE" };
            output["regionAvailability"] = there.into();
        }
        if let Some(models) = output["modelSummaries"].as_array_mut() {
            let mut like = models.first().cloned().unwrap_or_default();
            let here = OFFERED.iter().filter(|one| one.is_in(&region));
            *models = here
                .map(|one| {
                    like["modelId"] = one.model.into();
                    like["modelArn"] =
                        format!("arn:aws:bedrock:{region}::foundation-model/{}", one.model).into();
                    like.clone()
                })
                .collect();
        }
        if let Some(profiles) = output["inferenceProfileSummaries"].as_array_mut() {
            profiles.retain(|one| {
                !one["inferenceProfileId"].as_str().is_some_and(|id| id.starts_with("us.anthropic."))
            });
            let here = OFFERED.iter().filter(|one| ALL.contains(&region.as_str()) && one.is_in(&region));
            profiles.extend(here.map(|one| one.profile(&region)));
        }
        answer.body = output.to_string().into();
        answer
    })
}

/// Whether this could be the id of a model: its provider and its name with dots between, then up to two versions with colons.
fn is_model(id: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let mut parts = id.split(':');
    let name: Vec<&str> = parts.next().unwrap_or_default().split('.').collect();
    let versions: Vec<&str> = parts.collect();
    id.len() <= 140
        && (2..=4).contains(&name.len())
        && versions.len() <= 2
        && name.iter().chain(&versions).all(|text| word(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_model_is_told_from_what_could_be_one() {
        assert!(OFFERED.iter().all(|one| is_model(one.model)));
        assert!(is_model("anthropic.claude-v2") && is_model("us.anthropic.claude-v2:1"));
        assert!(!is_model("claude") && !is_model("anthropic.*") && !is_model("anthropic.claude:1:2:3"));
    }

    #[test]
    fn a_profile_leads_to_other_regions_from_elsewhere() {
        let regions = |from| OFFERED[0].profile(from)["models"].as_array().unwrap().len();
        assert_eq!((regions("us-east-2"), regions("us-west-2")), (3, 2));
        assert!(!OFFERED[2].is_in("us-east-2") && OFFERED[2].is_in("eu-west-2"));
    }
}
