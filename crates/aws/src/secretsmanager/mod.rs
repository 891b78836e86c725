//! Secrets Manager.

mod secret;
mod value;

pub use secret::{Secret, SecretOutputs, SecretRefs};
pub use value::SecretValue;

use crate::{Aws, Call, id::Arn};
use aws_config::SdkConfig;
use causeway_core::{Error, error::Found, registry::ProviderKinds};
use std::ops::Deref;

/// Speaks to Secrets Manager.
pub struct SecretsManager {
    api: aws_sdk_secretsmanager::Client,
}

impl SecretsManager {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        SecretsManager { api: crate::client::client!(aws_sdk_secretsmanager, config) }
    }

    /// The current value of a secret: text only, as everything that Causeway writes is.
    ///
    /// # Errors
    /// If the call fails, or the value is not text.
    pub async fn value(&self, secret: &Arn) -> Result<causeway_core::Secret, Error> {
        let found = self.api.get_secret_value().secret_id(secret.as_str()).send().await;
        match found.call("secretsmanager:GetSecretValue")?.secret_string {
            Some(text) => Ok(causeway_core::Secret::Plain(text)),
            None => Err(Error::Invalid(format!("the value of {secret} is not text"))),
        }
    }

    /// The value that a secret had before the last change, if it was changed.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn previous(&self, secret: &Arn) -> Result<Option<causeway_core::Secret>, Error> {
        let call = self.api.get_secret_value().secret_id(secret.as_str()).version_stage("AWSPREVIOUS");
        let found = call.send().await.call("secretsmanager:GetSecretValue").found()?;
        Ok(found.and_then(|value| value.secret_string).map(causeway_core::Secret::Plain))
    }
}
impl Deref for SecretsManager {
    type Target = aws_sdk_secretsmanager::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Secret>()
}
