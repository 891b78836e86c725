//! Elastic Container Registry.

mod existing_image;
mod image;
mod layout;
mod replication_rule;
mod repository;

pub use existing_image::{ExistingImage, ExistingImageOutputs, ExistingImageRefs};
pub use image::{Image, ImageOutputs, ImageRefs};
pub use layout::{Descriptor, Layout, LayoutError};
pub use replication_rule::{Destination, ReplicationRule, ReplicationRuleOutputs, ReplicationRuleRefs};
pub use repository::{Repository, RepositoryOutputs, RepositoryRefs};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use aws_sdk_ecr::types::{ImageIdentifier, Repository as SdkRepository};
use base64::Engine;
use causeway_core::{Error, Secret, coalesce::Coalesce, error::Found, registry::ProviderKinds};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

/// Speaks to the registry of the account in one region.
pub struct Ecr {
    api: aws_sdk_ecr::Client,
    /// Repositories by name.
    pub(crate) repositories: Coalesce<String, SdkRepository>,
    /// Held while the replication rules are read and written as a whole.
    pub(crate) replication: tokio::sync::Mutex<()>,
}

/// What `docker login` takes. Good for twelve hours.
#[derive(Clone, Debug)]
pub struct Login {
    /// Always `AWS`.
    pub user: String,
    /// The token.
    pub password: Secret,
    /// Like `https://123456789012.dkr.ecr.us-east-2.amazonaws.com`.
    pub endpoint: String,
}

impl Ecr {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_ecr, config);
        let list = api.clone();
        let repositories = Coalesce::new(usize::MAX, move |names| repositories_by_name(list.clone(), names));
        Ecr { api, repositories, replication: tokio::sync::Mutex::default() }
    }

    /// The digest (`sha256:..`) of the image that `tag` names now, to deploy exactly that. `None` where the repository
    /// or the tag does not exist.
    ///
    /// # Errors
    /// If the call fails for another reason.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>, Error> {
        let image = ImageIdentifier::builder().image_tag(tag).build();
        let found = self.api.describe_images().repository_name(repository).image_ids(image).send().await;
        let found = found.call("ecr:DescribeImages").found()?;
        let image = found.and_then(|found| found.image_details.unwrap_or_default().into_iter().next());
        Ok(image.and_then(|image| image.image_digest))
    }

    /// Whether the repository holds the image with this digest (`sha256:..`).
    ///
    /// # Errors
    /// If the call fails.
    pub async fn holds(&self, repository: &str, digest: &str) -> Result<bool, Error> {
        let image = ImageIdentifier::builder().image_digest(digest).build();
        let found = self.api.describe_images().repository_name(repository).image_ids(image).send().await;
        let found = found.call("ecr:DescribeImages").found()?;
        Ok(found.is_some_and(|found| !found.image_details().is_empty()))
    }

    /// A login for the account's registry, to push and pull with.
    ///
    /// # Errors
    /// If the call fails, or answers with something else than a login.
    pub async fn login(&self) -> Result<Login, Error> {
        let found = self.api.get_authorization_token().send().await.call("ecr:GetAuthorizationToken")?;
        found
            .authorization_data
            .unwrap_or_default()
            .into_iter()
            .next()
            .and_then(|data| login(&data.authorization_token?, data.proxy_endpoint?))
            .ok_or_else(|| Error::Invalid("ecr:GetAuthorizationToken answered with no login".into()))
    }
}
impl Deref for Ecr {
    type Target = aws_sdk_ecr::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Repository>().add::<Image>().add::<ExistingImage>().add::<ReplicationRule>()
}

fn login(token: &str, endpoint: String) -> Option<Login> {
    let token = base64::engine::general_purpose::STANDARD.decode(token).ok()?;
    let token = String::from_utf8(token).ok()?;
    let (user, password) = token.split_once(':')?;
    Some(Login { user: user.to_owned(), password: Secret::new(password), endpoint })
}

/// One that does not exist fails a call that names several, so several are picked from the list of all.
async fn repositories_by_name(
    api: aws_sdk_ecr::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, SdkRepository>, Error> {
    let mut list = api.describe_repositories();
    if names.len() == 1 {
        list = list.set_repository_names(Some(names.iter().cloned().collect()));
    }
    let mut found = BTreeMap::new();
    let mut pages = list.into_paginator().items().send();
    while let Some(repository) = pages.next().await {
        let Some(repository) = repository.call("ecr:DescribeRepositories").found()? else { break };
        if let Some(name) = repository.repository_name.clone().filter(|name| names.contains(name)) {
            found.insert(name, repository);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_user_and_a_password() {
        let token = base64::engine::general_purpose::STANDARD.encode("AWS:hun:ter2");
        let login = login(&token, "https://registry".into()).unwrap();
        assert_eq!((login.user.as_str(), login.password.expose().unwrap()), ("AWS", "hun:ter2"));
        assert!(!format!("{login:?}").contains("ter2"));
        assert!(super::login("?", String::new()).is_none());
    }
}
