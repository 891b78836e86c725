//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html>

use super::bucket::{tls_only, without_tls};
use crate::{Aws, Call, id::Arn, policy::PolicyDocument};
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Status, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// Who may do what with a bucket, apart from the bucket: for a policy that names what needs the bucket first, like the
/// distribution that serves it. The bucket's own `policy` has to be left out then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketPolicy {
    /// The name of the bucket.
    pub bucket: Value<String>,
    /// Who may do what, besides what [`Bucket::require_tls`](super::Bucket::require_tls) says.
    pub policy: PolicyDocument,
}

outputs! {
    /// What a policy tells others.
    pub struct BucketPolicyOutputs => BucketPolicyRefs {
        /// The name of the bucket.
        pub bucket: String,
    }
}

impl Resource for BucketPolicy {
    const KIND: &'static str = "aws.s3.bucket_policy";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["bucket"]);
    const REPLACE: &'static [&'static str] = &["bucket"];
    type Client = Aws;
    type Outputs = BucketPolicyOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let bucket = self.bucket.get()?;
        let Some((_, Some(policy))) = self.look(cx, bucket).await? else { return Ok(None) };
        Ok(Some(Live {
            spec: BucketPolicy { bucket: self.bucket.clone(), policy },
            outputs: BucketPolicyOutputs { bucket: bucket.clone() },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        self.put(cx, Some(self.policy.clone())).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        self.put(cx, Some(self.policy.clone())).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        self.put(cx, None).await
    }
}

impl BucketPolicy {
    /// Whether plain HTTP is refused, and what the policy says besides. `None`: there is no such bucket, or no policy.
    async fn look(
        &self,
        cx: &Cx<'_, Self>,
        bucket: &str,
    ) -> Result<Option<(bool, Option<PolicyDocument>)>, Error> {
        let found = cx.client.s3.get_bucket_policy().bucket(bucket).send().await;
        let Some(text) = found.call("s3:GetBucketPolicy").found()?.and_then(|found| found.policy) else {
            return Ok(None);
        };
        let policy = PolicyDocument::parse(&text).map_err(|source| Error::Decode {
            what: "a policy document",
            kind: Self::KIND,
            source,
        })?;
        Ok(Some(without_tls(Some(policy), &tls_only(&arn(cx, bucket)))))
    }

    /// Writes it, and beside it the statement that is the bucket's.
    async fn put(&self, cx: &Cx<'_, Self>, wanted: Option<PolicyDocument>) -> Result<(), Error> {
        let bucket = self.bucket.get()?;
        let tls = self.look(cx, bucket).await?.is_some_and(|(tls, _)| tls);
        let mut policy = wanted.unwrap_or_else(|| PolicyDocument::new([]));
        policy.statements.extend(tls.then(|| tls_only(&arn(cx, bucket))));
        if policy.statements.is_empty() {
            let delete = cx.client.s3.delete_bucket_policy().bucket(bucket).send().await;
            delete.call("s3:DeleteBucketPolicy").found()?;
            return Ok(());
        }
        // A principal must have spread before a policy may name it.
        let later: &[&str] = if policy.names_principals() { &["MalformedPolicy"] } else { &[] };
        let put = cx.client.s3.put_bucket_policy().bucket(bucket).policy(policy.text()?).send().await;
        put.call_later("s3:PutBucketPolicy", later)?;
        Ok(())
    }
}

fn arn(cx: &Cx<'_, BucketPolicy>, bucket: &str) -> Arn {
    let partition = super::bucket::partition(&cx.client.region).0;
    Arn(format!("arn:{partition}:s3:::{bucket}"))
}
