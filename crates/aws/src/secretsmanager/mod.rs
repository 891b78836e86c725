//! Secrets Manager.

mod secret;
mod value;

pub use secret::{Secret, SecretOutputs, SecretRefs};
pub use value::SecretValue;

use crate::{Aws, Call, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};
use causeway_core::{Error, coalesce::Coalesce, error::Found, registry::ProviderKinds};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

/// Speaks to Secrets Manager.
pub struct SecretsManager {
    api: aws_sdk_secretsmanager::Client,
    /// Secrets by name, from the list of all, which may be some minutes old.
    pub(crate) listed: Coalesce<String, SecretListEntry>,
}

impl SecretsManager {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        /// Names in one filter.
        const MOST: usize = 10;
        let api = crate::client::client!(aws_sdk_secretsmanager, config);
        let list = api.clone();
        SecretsManager { api, listed: Coalesce::new(MOST, move |names| secrets(list.clone(), names)) }
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

/// The secrets in `names`, as far as the list pays: for one alone none is made, and no more pages are turned than there
/// are names. Those that were not come to are left out; so are all of them without the permission to list.
async fn secrets(
    api: aws_sdk_secretsmanager::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, SecretListEntry>, Error> {
    let mut found = BTreeMap::new();
    if names.len() < 2 {
        return Ok(found);
    }
    // It passes all that begins like one of these.
    let named =
        Filter::builder().key(FilterNameStringType::Name).set_values(Some(names.iter().cloned().collect()));
    let mut pages = api.list_secrets().filters(named.build()).max_results(100).into_paginator().send();
    for _ in 0..names.len() {
        let Some(page) = pages.next().await else { break };
        match page.call("secretsmanager:ListSecrets") {
            Ok(page) => {
                let all = page.secret_list.unwrap_or_default().into_iter();
                let named = all.filter_map(|secret| Some((secret.name.clone()?, secret)));
                found.extend(named.filter(|(name, _)| names.contains(name)));
            }
            Err(error) => {
                tracing::debug!(error = error.chain(), "secrets are read one by one");
                break;
            }
        }
    }
    Ok(found)
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Secret>()
}
