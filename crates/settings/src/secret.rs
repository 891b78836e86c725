//! Secrets are named in a file, never written.

use crate::Problem;
use causeway_core::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

/// Where a secret is to be found. Secrets are named in a configuration, never written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretSource {
    /// `env:NAME`: an environment variable of whoever runs the deployment.
    Env(String),
    /// `file:PATH`: the content of a file, without the line end.
    File(String),
    /// `aws-secret:NAME` or `aws-secret:NAME#KEY`: a secret that is in Secrets Manager already; a key inside it if it
    /// is JSON. The container gets it from there, and the deployment never sees it.
    Aws {
        /// Name or ARN.
        id: String,
        /// Key inside a JSON secret.
        key: Option<String>,
    },
}

impl TryFrom<String> for SecretSource {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretSource::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretSource::File(path.to_owned())),
            Some(("aws-secret", id)) if !id.is_empty() => {
                let (id, key) = id.split_once('#').map_or((id, None), |(id, key)| (id, Some(key.to_owned())));
                Ok(SecretSource::Aws { id: id.to_owned(), key })
            }
            // The text may be a secret that somebody wrote down, so it is not repeated.
            _ => Err("a secret is named, not written\n\
                      put it into a variable or a file, and write `env:NAME` or `file:PATH` here; or \
                      `aws-secret:ARN`, if it is in Secrets Manager"
                .into()),
        }
    }
}
impl From<SecretSource> for String {
    fn from(source: SecretSource) -> Self {
        source.to_string()
    }
}
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => write!(f, "env:{name}"),
            SecretSource::File(path) => write!(f, "file:{path}"),
            SecretSource::Aws { id, key: None } => write!(f, "aws-secret:{id}"),
            SecretSource::Aws { id, key: Some(key) } => write!(f, "aws-secret:{id}#{key}"),
        }
    }
}
impl JsonSchema for SecretSource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretSource".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(env|file|aws-secret):.+",
            "description": "Where a secret is to be found: `env:NAME`, `file:PATH` or `aws-secret:NAME[#KEY]`."
        })
    }
}

/// Why a secret is not to be found, before it is known where in the file it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    message: String,
    help: String,
}

impl Missing {
    /// As a problem of the key at `path`.
    pub fn at(self, path: Vec<String>) -> Problem {
        Problem { path, message: self.message, help: self.help }
    }
}

impl SecretSource {
    /// The secret. `folder` is where relative paths start, and `environment` answers for a variable. `None`: it is not ours
    /// to look up.
    pub fn look_up(
        &self,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Result<Secret, Missing>> {
        let missing = |message: String, help: String| Err(Missing { message, help });
        match self {
            SecretSource::Env(name) => Some(match environment(name) {
                Some(value) if !value.is_empty() => Ok(Secret::new(value)),
                Some(_) => {
                    missing(format!("the environment variable {name} is empty"), format!("export {name}=..."))
                }
                None => missing(
                    format!("the environment variable {name} is not set"),
                    format!("export {name}=..."),
                ),
            }),
            SecretSource::File(path) => {
                let path = folder.join(path);
                let name = path.display();
                Some(match std::fs::read_to_string(&path) {
                    Ok(text) => match text.trim_end_matches(['\r', '\n']) {
                        "" => missing(format!("the file {name} is empty"), "write the secret into it".into()),
                        secret => Ok(Secret::new(secret)),
                    },
                    Err(e) => missing(
                        format!("cannot read the secret in {name}: {e}"),
                        "the path starts at the folder of this file".into(),
                    ),
                })
            }
            SecretSource::Aws { .. } => None,
        }
    }
}
