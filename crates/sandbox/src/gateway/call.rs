//! What is remembered of a call.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// One call that went through the gateway.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Name of the service in the credential scope, like `ecs`; `registry` for the OCI registry of ECR.
    pub service: String,
    /// Like `RunTask`; method and path where the pattern is not known.
    pub operation: String,
    /// The access key of the caller; it stands for the account.
    pub access_key: String,
    /// What the client calls itself, where it was given a name for its user agent.
    pub app: Option<String>,
    /// Region of the credential scope.
    pub region: String,
    /// HTTP status that the caller saw; 0 if the connection was cut.
    pub status: u16,
    /// Whether the operation's verb changes anything.
    pub mutates: bool,
    /// Whether the call reached an emulator, so that it could have an effect.
    pub forwarded: bool,
    /// When it came in, in milliseconds since 1970 in JSON.
    #[serde(serialize_with = "millis")]
    pub at: SystemTime,
    /// How long it took, with injected latency.
    pub millis: u64,
}

impl Call {
    /// `ecs:RunTask`, the form in which rules name calls.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }
}

pub(crate) fn millis<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
