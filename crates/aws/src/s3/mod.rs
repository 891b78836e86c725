//! Simple Storage Service: buckets, and the journal that is kept in one.

mod bucket;
mod bucket_policy;
mod lease;
mod objects;
mod store;

pub use bucket::{Bucket, BucketOutputs, BucketRefs, LifecycleRule};
pub use bucket_policy::{BucketPolicy, BucketPolicyOutputs, BucketPolicyRefs};
pub use store::S3Store;

use crate::{Aws, Call};
use aws_config::SdkConfig;
use causeway_core::{Class, Error, Tags, error::Found, registry::ProviderKinds};
use std::ops::Deref;

/// Speaks to S3.
pub struct S3 {
    api: aws_sdk_s3::Client,
}

impl S3 {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        S3 { api: crate::client::client!(aws_sdk_s3, config) }
    }

    /// The names and tags of all buckets of the region that let us look at them.
    pub(crate) async fn tagged(&self, region: &str) -> Result<Vec<(String, Tags)>, Error> {
        let mut pages = self.list_buckets().bucket_region(region).into_paginator().items().send();
        let mut found = vec![];
        while let Some(bucket) = pages.next().await {
            let bucket = match bucket.call("s3:ListBuckets") {
                // Who keeps no bucket needs no right to list them.
                Err(error) if error.class() == Class::Denied => break,
                bucket => bucket?,
            };
            let Some(name) = bucket.name else { continue };
            let tags = self.get_bucket_tagging().bucket(&name).send().await;
            match tags.call("s3:GetBucketTagging").found() {
                Ok(Some(tags)) => {
                    let tags = tags.tag_set.into_iter().map(|tag| (tag.key, tag.value));
                    found.push((name, Tags::live(tags)));
                }
                Ok(None) => {}
                Err(error) if error.class() == Class::Denied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
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
