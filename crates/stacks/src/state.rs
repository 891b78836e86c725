//! `[state]`: where the journal is kept.

use crate::config::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[state]`: where the journal is kept. At most one of the two. Without either it is in the folder `.causeway/STACK`, and for
/// Coder on EKS in the bucket `causeway-ACCOUNT-REGION`, which the first apply makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateConfig {
    /// A folder; a relative path starts at the folder of this file.
    pub folder: Option<String>,
    /// A bucket, for several people or machines. `deploy init --bootstrap` makes it.
    pub s3: Option<S3State>,
}

/// `[state.s3]`: a journal in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3State {
    /// The name of the bucket. One bucket can hold the journals of many stacks.
    pub bucket: String,
    /// What the keys start with. The name of the stack if left out.
    pub prefix: Option<String>,
    /// The region of the bucket. That of the stack if left out.
    pub region: Option<String>,
    /// The ARN of the KMS key to encrypt with. S3's own key if left out.
    pub kms_key: Option<String>,
    /// Whether the first `apply` makes the bucket if there is none. If left out, `deploy init --bootstrap` has to.
    #[serde(default)]
    pub create: bool,
}

impl StateConfig {
    /// What cannot work.
    pub fn problems(&self) -> Vec<Problem> {
        let mut out = vec![];
        if self.folder.is_some() && self.s3.is_some() {
            out.push(Problem::at(
                "state.folder",
                "the journal cannot be in a folder and in a bucket",
                "keep one of `folder` and `s3`; `deploy state move` moves a journal that is there",
            ));
        }
        if self.folder.as_ref().is_some_and(String::is_empty) {
            out.push(Problem::at(
                "state.folder",
                "the name of the folder is empty",
                "leave it out, or name one",
            ));
        }
        out.extend(self.s3.iter().flat_map(S3State::problems));
        out
    }
}

impl S3State {
    fn problems(&self) -> Vec<Problem> {
        let mut out = Vec::from_iter(crate::legal::bucket("state.s3.bucket", &self.bucket));
        let safe = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if let Some(prefix) = &self.prefix
            && (prefix.trim_matches('/').is_empty()
                || !prefix.chars().all(safe)
                || prefix.trim_end_matches('/').split('/').any(str::is_empty))
        {
            out.push(Problem::at(
                "state.s3.prefix",
                format!("`{prefix}` cannot be a prefix"),
                "letters, digits and `-_.`, with single slashes in between, like `coder/prod`",
            ));
        }
        for (key, value) in [("region", &self.region), ("kms_key", &self.kms_key)] {
            if value.as_ref().is_some_and(|v| v.is_empty()) {
                let message = format!("`{key}` is empty");
                out.push(Problem::at(&format!("state.s3.{key}"), message, "leave it out, or fill it in"));
            }
        }
        out
    }
}
