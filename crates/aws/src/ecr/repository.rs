//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>

use crate::{
    Aws, Call,
    id::{Arn, key_as_wanted},
    policy::PolicyDocument,
    shown::shown,
};
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability, Tag,
};
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A repository of container images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repository {
    /// Unique in the account and region; lower case, may hold slashes.
    pub name: Name,
    /// `MUTABLE` or `IMMUTABLE`: whether a tag can be moved to another image. `None`: it can.
    #[serde(default)]
    pub image_tag_mutability: Option<String>,
    /// Whether images are scanned when they are pushed. `None`: they are not.
    #[serde(default)]
    pub scan_on_push: Option<bool>,
    /// The key that images are encrypted with. `None`: one of ECR's own (AES-256).
    #[serde(default)]
    pub kms_key: Option<Value<Arn>>,
    /// Which images expire, in the JSON of
    /// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html>. `None`: none does.
    #[serde(default)]
    pub lifecycle_policy: Option<Json>,
    /// Who else may pull or push. Its statements name no resource. `None`: this account, as IAM says.
    #[serde(default)]
    pub repository_policy: Option<PolicyDocument>,
    /// Whether deleting the repository deletes the images in it. `None`: it is refused while there are any.
    #[serde(default)]
    pub force_delete: Option<bool>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a repository tells others.
    pub struct RepositoryOutputs => RepositoryRefs {
        /// `arn:aws:ecr:..:repository/..`
        pub arn: Arn,
        /// The name.
        pub name: String,
        /// What stands before the `:` or `@` of an image: `<account>.dkr.ecr.<region>.amazonaws.com/<name>`.
        pub repository_uri: String,
        /// The account.
        pub registry_id: String,
    }
}

impl Repository {
    /// A repository as AWS makes it when asked for nothing else.
    pub fn new(name: impl Into<Name>) -> Self {
        Repository {
            name: name.into(),
            image_tag_mutability: None,
            scan_on_push: None,
            kms_key: None,
            lifecycle_policy: None,
            repository_policy: None,
            force_delete: None,
            tags: Tags::default(),
        }
    }
}

impl Resource for Repository {
    const KIND: &'static str = "aws.ecr.repository";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name", "kms_key"];
    const DATA: bool = true;
    type Client = Aws;
    type Outputs = RepositoryOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ecr = &cx.client.ecr;
        let arn = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (repository, confirmed) = tokio::join!(
            ecr.repositories.get(cx.name(&self.name)),
            cx.client.tag_index.confirms(cx, arn, &self.tags)
        );
        let Some(repository) = repository? else { return Ok(None) };
        let name = repository.repository_name.unwrap_or_default();
        let arn = repository.repository_arn.unwrap_or_default();
        let (lifecycle_policy, repository_policy, tags) = tokio::try_join!(
            async {
                if self.lifecycle_policy.is_none() && cx.may_skip_unset() {
                    return Ok(None);
                }
                let policy = ecr.get_lifecycle_policy().repository_name(&name).send().await;
                let policy = policy.call("ecr:GetLifecyclePolicy").found()?;
                parse(policy.and_then(|p| p.lifecycle_policy_text), |text| serde_json::from_str(text))
            },
            async {
                if self.repository_policy.is_none() && cx.may_skip_unset() {
                    return Ok(None);
                }
                let policy = ecr.get_repository_policy().repository_name(&name).send().await;
                let policy = policy.call("ecr:GetRepositoryPolicy").found()?;
                parse(policy.and_then(|p| p.policy_text), PolicyDocument::parse)
            },
            async {
                if let Some(tags) = confirmed {
                    return Ok(tags);
                }
                let tags = ecr.list_tags_for_resource().resource_arn(&arn).send().await;
                let tags = tags.call("ecr:ListTagsForResource").found()?;
                let tags = tags.and_then(|found| found.tags).unwrap_or_default();
                Ok(Tags::live(tags.into_iter().map(|tag| (tag.key, tag.value))))
            }
        )?;
        let key = repository.encryption_configuration.and_then(|encryption| encryption.kms_key);
        Ok(Some(Live {
            spec: Repository {
                name: self.name.live(cx.instance, &name),
                image_tag_mutability: shown(
                    self.image_tag_mutability.as_ref(),
                    repository.image_tag_mutability.map(|m| m.as_str().to_owned()),
                    "MUTABLE".into(),
                ),
                scan_on_push: shown(
                    self.scan_on_push.as_ref(),
                    repository.image_scanning_configuration.map(|scan| scan.scan_on_push),
                    false,
                ),
                kms_key: key_as_wanted(self.kms_key.as_ref(), key.as_deref()),
                // No policy is written as an object.
                lifecycle_policy: shown(self.lifecycle_policy.as_ref(), lifecycle_policy, Json::from("none")),
                repository_policy: shown(
                    self.repository_policy.as_ref(),
                    repository_policy,
                    PolicyDocument::nothing(),
                ),
                force_delete: None,
                tags: tags.clone(),
            },
            outputs: RepositoryOutputs {
                arn: arn.into(),
                name,
                repository_uri: repository.repository_uri.unwrap_or_default(),
                registry_id: repository.registry_id.unwrap_or_default(),
            },
            status: Status::Ready,
            owner: tags.owner(),
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        let encryption = match &self.kms_key {
            Some(key) => EncryptionConfiguration::builder()
                .encryption_type(EncryptionType::Kms)
                .kms_key(key.get()?.as_str())
                .build()
                .map(Some)
                .map_err(|e| Error::Invalid(e.to_string()))?,
            None => None,
        };
        let tags = self.tags.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
        cx.client
            .ecr
            .create_repository()
            .repository_name(&name)
            .set_image_tag_mutability(self.image_tag_mutability.as_deref().map(ImageTagMutability::from))
            .set_image_scanning_configuration(self.scan_on_push.map(scanning))
            .set_encryption_configuration(encryption)
            .set_tags(Some(tags))
            .send()
            .await
            .call("ecr:CreateRepository")?;
        if self.lifecycle_policy.is_some() {
            self.put_lifecycle_policy(cx, &name).await?;
        }
        if self.repository_policy.is_some() {
            self.put_repository_policy(cx, &name).await?;
        }
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let ecr = &cx.client.ecr;
        let (name, arn) = (live.outputs.name.as_str(), live.outputs.arn.as_str());
        if diff.touches("image_tag_mutability") {
            let mutability =
                self.image_tag_mutability.as_deref().map_or(ImageTagMutability::Mutable, Into::into);
            let put = ecr.put_image_tag_mutability().repository_name(name).image_tag_mutability(mutability);
            put.send().await.call("ecr:PutImageTagMutability")?;
        }
        if diff.touches("scan_on_push") {
            let scanning = scanning(self.scan_on_push.unwrap_or_default());
            let put = ecr.put_image_scanning_configuration().repository_name(name);
            let put = put.image_scanning_configuration(scanning).send().await;
            put.call("ecr:PutImageScanningConfiguration")?;
        }
        if diff.touches("lifecycle_policy") {
            self.put_lifecycle_policy(cx, name).await?;
        }
        if diff.touches("repository_policy") {
            self.put_repository_policy(cx, name).await?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
            ecr.tag_resource().resource_arn(arn).set_tags(Some(set)).send().await.call("ecr:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = ecr.untag_resource().resource_arn(arn).set_tag_keys(Some(keys)).send().await;
            untag.call("ecr:UntagResource")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.ecr.delete_repository().repository_name(&live.outputs.name);
        let delete = delete.force(self.force_delete.unwrap_or_default()).send().await;
        delete.call("ecr:DeleteRepository").found()?;
        Ok(())
    }
}

impl Repository {
    async fn put_lifecycle_policy(&self, cx: &Cx<'_, Self>, name: &str) -> Result<(), Error> {
        let ecr = &cx.client.ecr;
        match &self.lifecycle_policy {
            Some(policy) => {
                let put = ecr.put_lifecycle_policy().repository_name(name);
                let put = put.lifecycle_policy_text(policy.to_string()).send().await;
                put.call("ecr:PutLifecyclePolicy")?;
            }
            None => {
                let delete = ecr.delete_lifecycle_policy().repository_name(name).send().await;
                delete.call("ecr:DeleteLifecyclePolicy").found()?;
            }
        }
        Ok(())
    }

    async fn put_repository_policy(&self, cx: &Cx<'_, Self>, name: &str) -> Result<(), Error> {
        let ecr = &cx.client.ecr;
        match &self.repository_policy {
            Some(policy) => {
                let set = ecr.set_repository_policy().repository_name(name).policy_text(policy.text()?);
                set.send().await.call("ecr:SetRepositoryPolicy")?;
            }
            None => {
                let delete = ecr.delete_repository_policy().repository_name(name).send().await;
                delete.call("ecr:DeleteRepositoryPolicy").found()?;
            }
        }
        Ok(())
    }
}

fn parse<T>(
    text: Option<String>,
    parse: impl Fn(&str) -> Result<T, serde_json::Error>,
) -> Result<Option<T>, Error> {
    text.map(|text| parse(&text)).transpose().map_err(|source| Error::Decode {
        what: "a policy document",
        kind: Repository::KIND,
        source,
    })
}

fn scanning(on_push: bool) -> ImageScanningConfiguration {
    ImageScanningConfiguration::builder().scan_on_push(on_push).build()
}

fn tag(key: &str, value: &str) -> Result<Tag, Error> {
    Tag::builder().key(key).value(value).build().map_err(|e| Error::Invalid(e.to_string()))
}
