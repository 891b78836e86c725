//! moto describes parameters without their ARNs, which AWS tells.
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterMetadata.html>

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;

pub(super) const INFO: FixInfo = FixInfo {
    name: "ssm_parameter_arns",
    service: "ssm",
    operations: &["DescribeParameters"],
    why: "moto leaves the ARN out of what it tells of a parameter; AWS tells it",
};

pub(super) fn run<'a>(_: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = crate::account::of(&request.scope.access_key).to_owned();
        let region = request.scope.region.clone();
        let mut answer = next.run(request).await;
        let Ok(mut output) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        for parameter in output["Parameters"].as_array_mut().into_iter().flatten() {
            let name = parameter["Name"].as_str().unwrap_or_default().trim_start_matches('/');
            parameter["ARN"] = format!("arn:aws:ssm:{region}:{account}:parameter/{name}").into();
        }
        answer.body = output.to_string().into();
        answer
    })
}
