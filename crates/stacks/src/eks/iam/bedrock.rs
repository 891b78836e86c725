//! Models, for LiteLLM and for workspaces.

use super::{Site, anywhere, on};
use causeway_aws::policy::PolicyDocument;
use causeway_core::{Value, text};

/// May use the models that match `models`, like `anthropic.*`. Inference profiles lead to models of several regions, so
/// both are allowed in all of them.
pub(in crate::eks) fn bedrock(site: &Site, models: &[String]) -> PolicyDocument {
    let all = models.iter().flat_map(|model| -> [Value<String>; 2] {
        [
            text!("arn:", site.partition, ":bedrock:*::foundation-model/", model),
            text!("arn:", site.partition, ":bedrock:*:", site.account, ":inference-profile/*", model),
        ]
    });
    PolicyDocument::new([
        on("InvokeModels", &["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"], all),
        anywhere("ListInferenceProfiles", &["bedrock:ListInferenceProfiles"]),
    ])
}
