//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>

use crate::{
    Aws, Call,
    id::{Arn, key_as_wanted},
    policy::{Effect, PolicyDocument, Principal, Statement},
    shown::shown,
};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    BucketVersioningStatus, CreateBucketConfiguration, Delete, ExpirationStatus, LifecycleExpiration,
    LifecycleRule as Rule, LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectIdentifier,
    ObjectOwnership, OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule, Tag, Tagging, VersioningConfiguration,
};
use aws_smithy_types::error::operation::BuildError;
use causeway_core::{
    Class, Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Value,
    diff::Diff,
    error::Found,
    outputs,
    undo::{Mark, UndoRule},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A general purpose bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// Unique among all accounts of the partition; lower case.
    pub name: Name,
    /// Whether what is overwritten or deleted is kept. `None`: it is not. Once on, it can only be suspended.
    #[serde(default)]
    pub versioning: Option<bool>,
    /// The KMS key that objects are encrypted with unless a writer says otherwise; S3 then asks KMS once for many
    /// objects. `None`: S3's own keys (AES-256).
    #[serde(default)]
    pub kms_key: Option<Value<Arn>>,
    /// Whether nothing in it can be made public, by a policy or an access list. `None`: nothing can.
    #[serde(default)]
    pub block_public_access: Option<bool>,
    /// `BucketOwnerEnforced` (access lists mean nothing), `BucketOwnerPreferred` or `ObjectWriter`. `None`: the first.
    #[serde(default)]
    pub object_ownership: Option<String>,
    /// What is deleted in time. `None`: nothing.
    #[serde(default)]
    pub lifecycle: Option<Vec<LifecycleRule>>,
    /// Whether requests that do not come over TLS are refused. `None`: they are not.
    #[serde(default)]
    pub require_tls: Option<bool>,
    /// Who may do what, besides what [`Bucket::require_tls`] says. `None`: this account, as IAM says.
    #[serde(default)]
    pub policy: Option<PolicyDocument>,
    /// Whether deleting the bucket deletes what is in it, with all versions. `None`: it is refused while there is
    /// anything.
    #[serde(default)]
    pub force_delete: Option<bool>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

/// What is deleted in time. At least one of the times is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRule {
    /// Unique in the bucket.
    pub id: String,
    /// Only objects whose key starts with this; empty: all.
    #[serde(default)]
    pub prefix: String,
    /// Objects this many days old.
    #[serde(default)]
    pub expiration_days: Option<i32>,
    /// Versions that were overwritten or deleted this many days ago.
    #[serde(default)]
    pub noncurrent_days: Option<i32>,
    /// Uploads in parts that were begun this many days ago and never finished.
    #[serde(default)]
    pub abort_multipart_days: Option<i32>,
}

outputs! {
    /// What a bucket tells others.
    pub struct BucketOutputs => BucketRefs {
        /// `arn:aws:s3:::<name>`
        pub arn: Arn,
        /// The name.
        pub name: String,
        /// `<name>.s3.<region>.amazonaws.com`
        pub domain: String,
    }
}

impl Bucket {
    /// A bucket as AWS makes it when asked for nothing else.
    pub fn new(name: impl Into<Name>) -> Self {
        Bucket {
            name: name.into(),
            versioning: None,
            kms_key: None,
            block_public_access: None,
            object_ownership: None,
            lifecycle: None,
            require_tls: None,
            policy: None,
            force_delete: None,
            tags: Tags::default(),
        }
    }

    /// A bucket for what must stay private and must not get lost, like a journal: versioned, reached only over TLS, and
    /// keeping for `days` what was overwritten or deleted.
    pub fn private(name: impl Into<Name>, days: i32) -> Self {
        Bucket {
            versioning: Some(true),
            block_public_access: Some(true),
            object_ownership: Some(OWNER.into()),
            lifecycle: Some(vec![LifecycleRule {
                id: "old-versions".into(),
                prefix: String::new(),
                expiration_days: None,
                noncurrent_days: Some(days),
                abort_multipart_days: Some(7),
            }]),
            require_tls: Some(true),
            ..Bucket::new(name)
        }
    }
}

const OWNER: &str = "BucketOwnerEnforced";
/// Marks the statement of [`Bucket::require_tls`].
const TLS: &str = "RefusePlainHttp";

impl Resource for Bucket {
    const KIND: &'static str = "aws.s3.bucket";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const UNDO: &'static [UndoRule] = &[UndoRule::change(
        "versioning",
        Mark::Compensable,
        "versioning can be suspended and never be turned off again",
    )];
    const DATA: bool = true;
    type Client = Aws;
    type Outputs = BucketOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let s3 = &cx.client.s3;
        let name = &cx.name(&self.name);
        let head = s3.head_bucket().bucket(name).send().await;
        let status = head.as_ref().err().and_then(|e| e.raw_response()).map(|r| r.status().as_u16());
        if status == Some(403) {
            return Err(Error::Invalid(format!(
                "the bucket `{name}` belongs to another account, or s3:ListBucket on it is not allowed; bucket names \
                 are unique among all accounts, so another name may be needed"
            )));
        }
        if head.call("s3:HeadBucket").found()?.is_none() {
            return Ok(None);
        }
        let found = tokio::try_join!(
            async { s3.get_bucket_versioning().bucket(name).send().await.call("s3:GetBucketVersioning") },
            async {
                let get = s3.get_bucket_encryption().bucket(name).send().await;
                get.call("s3:GetBucketEncryption").found()
            },
            async {
                let get = s3.get_public_access_block().bucket(name).send().await;
                get.call("s3:GetPublicAccessBlock").found()
            },
            async {
                let get = s3.get_bucket_ownership_controls().bucket(name).send().await;
                get.call("s3:GetBucketOwnershipControls").found()
            },
            async {
                let get = s3.get_bucket_lifecycle_configuration().bucket(name).send().await;
                get.call("s3:GetBucketLifecycleConfiguration").found()
            },
            async {
                let get = s3.get_bucket_policy().bucket(name).send().await;
                get.call("s3:GetBucketPolicy").found()
            },
            async {
                let get = s3.get_bucket_tagging().bucket(name).send().await;
                get.call("s3:GetBucketTagging").found()
            },
        );
        let (versioning, encryption, access, ownership, lifecycle, policy, tags) = match found {
            // Deleted between two calls.
            Err(error) if error.class() == Class::NotFound => return Ok(None),
            other => other?,
        };
        let outputs = self.outputs(cx);
        let key = encryption
            .and_then(|found| found.server_side_encryption_configuration?.rules.into_iter().next())
            .and_then(|rule| rule.apply_server_side_encryption_by_default?.kms_master_key_id);
        let open = PublicAccessBlockConfiguration::builder().build();
        let blocked =
            access.and_then(|found| found.public_access_block_configuration).unwrap_or(open) == blocked(true);
        let ownership = ownership
            .and_then(|found| found.ownership_controls?.rules.into_iter().next())
            .map_or(ObjectOwnership::ObjectWriter, |rule| rule.object_ownership);
        let lifecycle = lifecycle.map(|found| found.rules.unwrap_or_default().iter().map(rule).collect());
        let policy = policy.and_then(|found| found.policy).map(|text| PolicyDocument::parse(&text));
        let policy = policy.transpose().map_err(|source| Error::Decode {
            what: "a policy document",
            kind: Self::KIND,
            source,
        })?;
        let (tls, policy) = without_tls(policy, &tls_only(&outputs.arn));
        let tags = tags.map(|found| found.tag_set).unwrap_or_default();
        let tags = Tags::live(tags.into_iter().map(|tag| (tag.key, tag.value)));
        Ok(Some(Live {
            spec: Bucket {
                name: self.name.live(cx.instance, name),
                versioning: shown(
                    self.versioning.as_ref(),
                    Some(versioning.status == Some(BucketVersioningStatus::Enabled)),
                    false,
                ),
                kms_key: key_as_wanted(self.kms_key.as_ref(), key.as_deref()),
                block_public_access: shown(self.block_public_access.as_ref(), Some(blocked), true),
                object_ownership: shown(
                    self.object_ownership.as_ref(),
                    Some(ownership.as_str().to_owned()),
                    OWNER.to_owned(),
                ),
                lifecycle: shown(self.lifecycle.as_ref(), lifecycle, vec![]),
                require_tls: shown(self.require_tls.as_ref(), Some(tls), false),
                policy: shown(self.policy.as_ref(), policy, PolicyDocument::nothing()),
                force_delete: None,
                tags: tags.clone(),
            },
            outputs,
            status: Status::Ready,
            owner: tags.owner(),
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        // The region in which buckets were born has no name here.
        let region = Some(cx.client.region.as_str()).filter(|region| *region != "us-east-1");
        let configuration = CreateBucketConfiguration::builder()
            .set_location_constraint(region.map(BucketLocationConstraint::from))
            .set_tags(Some(tags(self.tags.iter())?))
            .build();
        let create = cx.client.s3.create_bucket().bucket(cx.name(&self.name));
        create.create_bucket_configuration(configuration).send().await.call("s3:CreateBucket")?;
        // The rest is left to `update`, which sees what is missing; a new bucket is private.
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let s3 = &cx.client.s3;
        let name = live.outputs.name.as_str();
        if diff.touches("block_public_access") {
            let put = s3.put_public_access_block().bucket(name);
            let put = put.public_access_block_configuration(blocked(self.block_public_access != Some(false)));
            put.send().await.call("s3:PutPublicAccessBlock")?;
        }
        if diff.touches("object_ownership") {
            let ownership = ObjectOwnership::from(self.object_ownership.as_deref().unwrap_or(OWNER));
            let rule = OwnershipControlsRule::builder().object_ownership(ownership).build().map_err(built)?;
            let controls = OwnershipControls::builder().rules(rule).build().map_err(built)?;
            let put = s3.put_bucket_ownership_controls().bucket(name).ownership_controls(controls);
            put.send().await.call("s3:PutBucketOwnershipControls")?;
        }
        if diff.touches("versioning") {
            let status = match self.versioning {
                Some(true) => BucketVersioningStatus::Enabled,
                _ => BucketVersioningStatus::Suspended,
            };
            let versioning = VersioningConfiguration::builder().status(status).build();
            let put = s3.put_bucket_versioning().bucket(name).versioning_configuration(versioning);
            put.send().await.call("s3:PutBucketVersioning")?;
        }
        if diff.touches("kms_key") {
            let put = s3.put_bucket_encryption().bucket(name);
            let put = put.server_side_encryption_configuration(self.encryption()?).send().await;
            put.call("s3:PutBucketEncryption")?;
        }
        if diff.touches("lifecycle") {
            self.put_lifecycle(cx, name).await?;
        }
        if diff.touches("policy") || diff.touches("require_tls") {
            self.put_policy(cx, live, diff).await?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() || !steps.remove.is_empty() {
            // All tags are set at once, those of others among them.
            let kept = live.spec.tags.iter().filter(|(key, _)| {
                !steps.remove.contains(key) && !steps.set.iter().any(|(set, _)| set == key)
            });
            let all = Tagging::builder().set_tag_set(Some(tags(kept.chain(steps.set.iter().copied()))?));
            let put = s3.put_bucket_tagging().bucket(name).tagging(all.build().map_err(built)?);
            put.send().await.call("s3:PutBucketTagging")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let name = &live.outputs.name;
        if self.force_delete == Some(true) {
            empty(cx, name).await.found()?;
        }
        cx.client.s3.delete_bucket().bucket(name).send().await.call("s3:DeleteBucket").found()?;
        Ok(())
    }
}

impl Bucket {
    fn outputs(&self, cx: &Cx<'_, Self>) -> BucketOutputs {
        let name = cx.name(&self.name);
        let region = cx.client.region.as_str();
        let (partition, suffix) = partition(region);
        BucketOutputs {
            arn: Arn(format!("arn:{partition}:s3:::{name}")),
            domain: format!("{name}.s3.{region}.{suffix}"),
            name,
        }
    }

    fn encryption(&self) -> Result<ServerSideEncryptionConfiguration, Error> {
        let how = match &self.kms_key {
            Some(key) => ServerSideEncryptionByDefault::builder()
                .sse_algorithm(ServerSideEncryption::AwsKms)
                .kms_master_key_id(key.get()?.as_str()),
            None => ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256),
        };
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(how.build().map_err(built)?)
            .bucket_key_enabled(self.kms_key.is_some())
            .build();
        ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(built)
    }

    async fn put_lifecycle(&self, cx: &Cx<'_, Self>, name: &str) -> Result<(), Error> {
        let s3 = &cx.client.s3;
        let rules = self.lifecycle.iter().flatten().map(LifecycleRule::written);
        let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
        if rules.is_empty() {
            let delete = s3.delete_bucket_lifecycle().bucket(name).send().await;
            delete.call("s3:DeleteBucketLifecycle").found()?;
            return Ok(());
        }
        let all = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build().map_err(built)?;
        let put = s3.put_bucket_lifecycle_configuration().bucket(name).lifecycle_configuration(all);
        put.send().await.call("s3:PutBucketLifecycleConfiguration")?;
        Ok(())
    }

    /// Both fields are one document.
    async fn put_policy(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let s3 = &cx.client.s3;
        let name = &live.outputs.name;
        // What nobody here ever managed stays, except a statement of ours that somebody changed.
        let kept = || live.spec.policy.clone().filter(|_| !diff.touches("policy"));
        let mut policy = self.policy.clone().or_else(kept).unwrap_or_else(|| PolicyDocument::new([]));
        policy.statements.retain(|statement| statement.sid.as_deref() != Some(TLS));
        if self.require_tls == Some(true) {
            policy.statements.push(tls_only(&live.outputs.arn));
        }
        if policy.statements.is_empty() {
            let delete = s3.delete_bucket_policy().bucket(name).send().await;
            delete.call("s3:DeleteBucketPolicy").found()?;
            return Ok(());
        }
        // A principal must have spread before a policy may name it.
        let later: &[&str] = if policy.names_principals() { &["MalformedPolicy"] } else { &[] };
        let put = s3.put_bucket_policy().bucket(name).policy(policy.text()?).send().await;
        put.call_later("s3:PutBucketPolicy", later)?;
        Ok(())
    }
}

impl LifecycleRule {
    fn written(&self) -> Result<Rule, Error> {
        let noncurrent = |days| NoncurrentVersionExpiration::builder().noncurrent_days(days).build();
        let abort = |days| AbortIncompleteMultipartUpload::builder().days_after_initiation(days).build();
        Rule::builder()
            .id(&self.id)
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix(&self.prefix).build())
            .set_expiration(
                self.expiration_days.map(|days| LifecycleExpiration::builder().days(days).build()),
            )
            .set_noncurrent_version_expiration(self.noncurrent_days.map(noncurrent))
            .set_abort_incomplete_multipart_upload(self.abort_multipart_days.map(abort))
            .build()
            .map_err(built)
    }
}

/// A rule as ours. One that is switched off does nothing, so it shows no times; what else a rule of somebody else may
/// do is not shown.
fn rule(rule: &Rule) -> LifecycleRule {
    let on = rule.status == ExpirationStatus::Enabled;
    LifecycleRule {
        id: rule.id.clone().unwrap_or_default(),
        prefix: rule.filter.as_ref().and_then(|filter| filter.prefix.clone()).unwrap_or_default(),
        expiration_days: rule.expiration.as_ref().and_then(|e| e.days).filter(|_| on),
        noncurrent_days: rule
            .noncurrent_version_expiration
            .as_ref()
            .and_then(|e| e.noncurrent_days)
            .filter(|_| on),
        abort_multipart_days: rule
            .abort_incomplete_multipart_upload
            .as_ref()
            .and_then(|a| a.days_after_initiation)
            .filter(|_| on),
    }
}

/// Deletes everything in it, with all versions and delete markers.
async fn empty(cx: &Cx<'_, Bucket>, name: &str) -> Result<(), Error> {
    let s3 = &cx.client.s3;
    loop {
        // What was deleted is not listed any more, so the next page is the first one again.
        let page = s3.list_object_versions().bucket(name).send().await.call("s3:ListObjectVersions")?;
        let versions = page.versions.unwrap_or_default().into_iter().map(|v| (v.key, v.version_id));
        let markers = page.delete_markers.unwrap_or_default().into_iter().map(|m| (m.key, m.version_id));
        let objects: Vec<_> = versions
            .chain(markers)
            .map(|(key, version)| {
                ObjectIdentifier::builder().set_key(key).set_version_id(version).build().map_err(built)
            })
            .collect::<Result<_, _>>()?;
        if objects.is_empty() {
            return Ok(());
        }
        let all = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(built)?;
        let deleted = s3.delete_objects().bucket(name).delete(all).send().await.call("s3:DeleteObjects")?;
        if let Some(error) = deleted.errors.unwrap_or_default().first() {
            return Err(Error::Invalid(format!(
                "`{}` in the bucket `{name}` cannot be deleted: {}",
                error.key().unwrap_or_default(),
                error.message().or(error.code()).unwrap_or("no reason was given"),
            )));
        }
    }
}

fn blocked(all: bool) -> PublicAccessBlockConfiguration {
    PublicAccessBlockConfiguration::builder()
        .block_public_acls(all)
        .ignore_public_acls(all)
        .block_public_policy(all)
        .restrict_public_buckets(all)
        .build()
}

/// The partition of a region, and what the names of its services end in.
pub(super) fn partition(region: &str) -> (&'static str, &'static str) {
    match region {
        _ if region.starts_with("cn-") => ("aws-cn", "amazonaws.com.cn"),
        _ if region.starts_with("us-gov-") => ("aws-us-gov", "amazonaws.com"),
        _ => ("aws", "amazonaws.com"),
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html>
pub(super) fn tls_only(bucket: &Arn) -> Statement {
    let Arn(arn) = bucket;
    Statement {
        sid: Some(TLS.into()),
        effect: Effect::Deny,
        ..Statement::allow(["s3:*"], [arn.clone(), format!("{arn}/*")]).to([Principal::everybody()]).when(
            "Bool",
            "aws:SecureTransport",
            ["false"],
        )
    }
}

/// Whether `statement` is in the policy, and what else is.
pub(super) fn without_tls(
    policy: Option<PolicyDocument>,
    statement: &Statement,
) -> (bool, Option<PolicyDocument>) {
    let Some(mut policy) = policy else { return (false, None) };
    let wanted = sorted(serde_json::to_value(statement).unwrap_or_default());
    let before = policy.statements.len();
    policy.statements.retain(|s| serde_json::to_value(s).map(sorted).ok().as_ref() != Some(&wanted));
    let found = policy.statements.len() < before;
    (found, Some(policy).filter(|policy| !policy.statements.is_empty()))
}

/// Nothing in a statement depends on the order of a list.
fn sorted(json: Json) -> Json {
    match json {
        Json::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(sorted).collect();
            items.sort_by_key(Json::to_string);
            items.into()
        }
        Json::Object(fields) => fields.into_iter().map(|(key, value)| (key, sorted(value))).collect(),
        other => other,
    }
}

fn tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<Tag>, Error> {
    tags.map(|(key, value)| Tag::builder().key(key).value(value).build().map_err(built)).collect()
}

fn built(error: BuildError) -> Error {
    Error::Invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_refuses_plain_http_is_told_from_others() {
        let ours = tls_only(&Arn("arn:aws:s3:::b".into()));
        let other = Statement::allow(["s3:GetObject"], ["arn:aws:s3:::b/*"]).to([Principal::everybody()]);
        let text = PolicyDocument::new([other.clone(), ours.clone()]).text().unwrap();
        let turned = text
            .replace(r#"["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#, r#"["arn:aws:s3:::b/*","arn:aws:s3:::b"]"#);
        assert_ne!(turned, text);
        let (found, rest) = without_tls(Some(PolicyDocument::parse(&turned).unwrap()), &ours);
        assert!(found && rest.unwrap().means(&PolicyDocument::new([other.clone()])));
        let weaker = PolicyDocument::parse(&text.replace("s3:*", "s3:GetObject")).unwrap();
        let (found, rest) = without_tls(Some(weaker), &ours);
        assert!(!found && rest.unwrap().statements.len() == 2);
        assert!(matches!(without_tls(Some(PolicyDocument::new([ours.clone()])), &ours), (true, None)));
    }

    #[test]
    fn a_rule_reads_as_it_was_written() {
        let all = Bucket::private("b", 30).lifecycle.unwrap();
        assert_eq!(rule(&all[0].written().unwrap()), all[0]);
        let mut off = all[0].written().unwrap();
        off.status = ExpirationStatus::Disabled;
        assert_eq!(rule(&off).noncurrent_days, None);
    }
}
