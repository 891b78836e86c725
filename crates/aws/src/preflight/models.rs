//! Whether the models of Bedrock may be used that roles of the stack are let use. Bedrock tells without using one, by
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetFoundationModelAvailability.html>; so far it is not asked
//! here, and the line says how to ask.

use super::{Finding, Preflight};
use crate::{lint, policy::Effect};
use causeway_core::{Error, Value};
use std::collections::BTreeSet;

/// What precedes a model in its ARN.
const MODEL: &str = "foundation-model/";

#[expect(clippy::unused_async, reason = "as every check")]
pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut wanted = BTreeSet::new();
    for attached in lint::policies(&preflight.wanted) {
        let Some(region) = super::region_of(attached.wanted) else { continue };
        for statement in attached.document.statements.iter().filter(|s| s.effect == Effect::Allow) {
            let invokes =
                |a: &Value<String>| lint::tail(a).is_some_and(|action| action.starts_with("bedrock:Invoke"));
            if statement.actions.0.iter().any(invokes) {
                let model = |arn: String| arn.split_once(MODEL).map(|(_, model)| model.to_owned());
                let models = statement.resources.0.iter().filter_map(|arn| lint::tail(arn).and_then(model));
                wanted.extend(models.map(|model| (region.clone(), model)));
            }
        }
    }
    Ok(wanted.iter().map(|(region, model)| by_hand(region, model)).collect())
}

fn by_hand(region: &str, model: &str) -> Finding {
    let asked = format!("whether models like {model} may be used in {region}");
    let remedy = format!(
        "`aws bedrock get-foundation-model-availability --region {region} --model-id MODEL` tells of one, and `aws bedrock \
         list-foundation-models --region {region}` lists them"
    );
    Finding::not_asked(asked, "Bedrock is not asked", remedy)
}
