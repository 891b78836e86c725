//! Small objects under one prefix of a bucket: read with patience, written on a condition.

use crate::Call;
use aws_sdk_s3::{error::SdkError, primitives::ByteStream, types::ServerSideEncryption};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use causeway_core::{Class, Error, error::Found, store::StoreError};
use std::{future::Future, sync::Arc, time::Duration};

/// The object's metadata that says who wrote it.
const WRITER: &str = "writer";

/// The objects under one prefix.
pub(super) struct Objects {
    pub(super) api: aws_sdk_s3::Client,
    pub(super) bucket: String,
    /// Empty, or ends with a slash.
    pub(super) prefix: String,
    /// The KMS key that objects are encrypted with. `None`: S3's own.
    pub(super) kms_key: Option<String>,
}

/// An object that was read.
pub(super) struct Object {
    pub(super) body: Vec<u8>,
    pub(super) etag: String,
    pub(super) writer: Option<String>,
}

/// When an object is written.
pub(super) enum Only {
    /// While there is none.
    New,
    /// While it is still the one with this ETag.
    Over(String),
}

/// What became of a write.
pub(super) enum Put {
    /// It is there, with this ETag.
    Written(String),
    /// The condition did not hold.
    Refused,
    /// Nobody knows, or another write was under way: the object must be looked at.
    Unknown(Error),
}

impl Objects {
    pub(super) fn place(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.bucket, self.prefix)
    }

    /// Writes once, without repeating anything.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
    pub(super) async fn put(
        &self,
        key: &str,
        body: Vec<u8>,
        writer: &str,
        only: &Only,
    ) -> Result<Put, StoreError> {
        let put = self
            .api
            .put_object()
            .bucket(&self.bucket)
            .key(format!("{}{key}", self.prefix))
            .metadata(WRITER, writer)
            .body(ByteStream::from(body));
        let put = match &self.kms_key {
            Some(key) => put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key),
            None => put.server_side_encryption(ServerSideEncryption::Aes256),
        };
        let put = match only {
            Only::New => put.if_none_match("*"),
            Only::Over(etag) => put.if_match(etag),
        };
        let answer = put.send().await;
        let status = answer.as_ref().err().and_then(status);
        match answer.call("s3:PutObject") {
            Ok(written) => Ok(Put::Written(written.e_tag.unwrap_or_default())),
            Err(_) if status == Some(412) => Ok(Put::Refused),
            Err(error) if status == Some(409) || again(&error) => Ok(Put::Unknown(error)),
            // `If-Match` on an object that is gone.
            Err(error) if error.class() == Class::NotFound && matches!(only, Only::Over(_)) => {
                Ok(Put::Unknown(error))
            }
            Err(error) => Err(self.failed("writing", key)(error)),
        }
    }

    /// The object, if there is one.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let path = format!("{}{key}", self.prefix);
        let get = async || {
            let answer = self.api.get_object().bucket(&self.bucket).key(&path).send().await;
            let Some(found) = answer.call("s3:GetObject").found()? else { return Ok(None) };
            let etag = found.e_tag.unwrap_or_default();
            let writer = found.metadata.and_then(|mut all| all.remove(WRITER));
            let body = found.body.collect().await.map_err(|source| Error::Call {
                call: "s3:GetObject",
                class: Class::Transient,
                source: Box::new(source),
            })?;
            Ok(Some(Object { body: body.to_vec(), etag, writer }))
        };
        patiently(get).await.map_err(self.failed("reading", key))
    }

    /// The keys that start with `start` and come after `start` followed by `after`, in order.
    pub(super) async fn list(&self, start: &str, after: &str) -> Result<Vec<String>, StoreError> {
        let prefix = format!("{}{start}", self.prefix);
        let list = async || {
            let list = self.api.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
            let mut pages = list.start_after(format!("{prefix}{after}")).into_paginator().send();
            let mut keys = vec![];
            while let Some(page) = pages.next().await {
                let objects = page.call("s3:ListObjectsV2")?.contents.unwrap_or_default();
                let names = objects.into_iter().filter_map(|object| object.key);
                keys.extend(names.filter_map(|key| key.strip_prefix(&self.prefix).map(ToOwned::to_owned)));
            }
            Ok(keys)
        };
        patiently(list).await.map_err(|error| match error.class() {
            Class::NotFound => StoreError::Missing(format!("the bucket `{}`", self.bucket)),
            _ => self.failed("listing", start)(error),
        })
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = format!("{}{key}", self.prefix);
        let delete = async || {
            self.api.delete_object().bucket(&self.bucket).key(&path).send().await.call("s3:DeleteObject")
        };
        patiently(delete).await.map(drop).map_err(self.failed("deleting", key))
    }

    /// Says what was tried, with the place.
    pub(super) fn failed<E>(&self, act: &str, key: &str) -> impl FnOnce(E) -> StoreError + use<E>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let act = format!("{act} {}", self.place(key));
        move |source| StoreError::Io { act, source: Arc::new(source) }
    }
}

/// Pauses between tries: about twenty seconds in all.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    (0..9).map(|n| Duration::from_millis((100 << n).min(5_000)))
}

async fn patiently<T, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> Result<T, Error> {
    for pause in pauses() {
        match call().await {
            Err(error) if again(&error) => tokio::time::sleep(pause).await,
            other => return other,
        }
    }
    call().await
}

fn again(error: &Error) -> bool {
    matches!(error.class(), Class::Transient | Class::Throttled | Class::NotNow)
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}
