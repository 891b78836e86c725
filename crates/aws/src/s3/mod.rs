//! Simple Storage Service: buckets, and the journal that is kept in one.

mod bucket;
mod bucket_policy;
mod lease;
mod objects;
mod store;

pub use bucket::{Bucket, BucketOutputs, BucketRefs, LifecycleRule};
pub use bucket_policy::{BucketPolicy, BucketPolicyOutputs, BucketPolicyRefs};
pub use store::S3Store;

use crate::Aws;
use aws_config::SdkConfig;
use causeway_core::registry::ProviderKinds;
use std::ops::Deref;

/// Speaks to S3.
pub struct S3 {
    api: aws_sdk_s3::Client,
}

impl S3 {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        S3 { api: crate::client::client!(aws_sdk_s3, config) }
    }
}
impl Deref for S3 {
    type Target = aws_sdk_s3::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Bucket>().add::<BucketPolicy>()
}
