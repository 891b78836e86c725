//! The bucket: whole objects, their headers, and copies inside it.

use crate::error::{Call, Error};
use aws_config::{Region, SdkConfig, retry::RetryConfig};
use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::{ByteStream, Length},
    types::{
        BucketVersioningStatus, ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete,
        MetadataDirective, ObjectIdentifier,
    },
};
use causeway_site::{Encoding, File, ReleaseId, layout};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Files up to this size are read as a whole; larger ones are streamed, as many are sent at once.
const SMALL: u64 = PIECE as u64;

/// Files from this size on are sent in parts.
const LARGE: u64 = 64 * 1024 * 1024;

/// Bytes of a part.
const PART: u64 = 16 * 1024 * 1024;

/// Parts that an upload may have.
const MOST_PARTS: u64 = 10_000;

/// Bytes that are read at once where a file is streamed.
const PIECE: usize = 256 * 1024;

/// Objects that one call may remove.
const BATCH: usize = 1000;

/// How often a call is tried; S3 asks to slow down when much is sent at once.
const TRIES: u32 = 6;

/// What the digest of an object's content is kept under in its metadata.
const DIGEST: &str = "sha256";

/// What stands as it is in the source of a copy.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    client: Client,
    name: String,
    /// The account that has to own it: a bucket of the same name elsewhere is not ours.
    owner: Option<String>,
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
}

/// What an object is to be served as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served<'a> {
    pub(crate) file: &'a File,
    /// How it is compressed.
    pub(crate) encoding: Option<Encoding>,
}

/// As it is.
impl<'a> From<&'a File> for Served<'a> {
    fn from(file: &'a File) -> Self {
        Served { file, encoding: None }
    }
}

/// A file of this machine that is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local<'a> {
    pub(crate) path: &'a Path,
    pub(crate) size: u64,
    /// Its digest in hexadecimal.
    pub(crate) sha256: &'a str,
}

/// What an object is served as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headed {
    sha256: Option<String>,
    encoding: Option<String>,
    content_type: Option<String>,
    cache_control: Option<String>,
    headers: BTreeMap<String, String>,
}

/// How a bucket is guarded. That it is encrypted is not asked: S3 has encrypted everything since 2023.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guards {
    /// Whether all public access is blocked.
    pub(crate) blocked: bool,
    /// Whether its policy is for everybody.
    pub(crate) public: bool,
    /// Whether it has a website endpoint.
    pub(crate) website: bool,
    pub(crate) versions: bool,
}

impl Headed {
    /// Whether it holds what `file` does, in this form.
    pub(crate) fn holds(&self, file: &File, encoding: Option<Encoding>) -> bool {
        self.sha256.as_ref() == Some(&file.sha256) && self.encoding.as_deref() == encoding.map(Encoding::name)
    }

    /// Whether it is served as `file` says.
    pub(crate) fn serves(&self, file: &File) -> bool {
        self.content_type.as_ref() == Some(&file.content_type)
            && self.cache_control.as_ref() == Some(&file.cache_control)
            && self.headers == file.headers
    }
}

impl Bucket {
    pub(crate) fn new(config: &SdkConfig, name: &str, region: Option<&str>, owner: Option<String>) -> Bucket {
        let mut builder = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(config.endpoint_url().is_some())
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES));
        if let Some(region) = region {
            builder = builder.region(Region::new(region.to_owned()));
        }
        Bucket { client: Client::from_conf(builder.build()), name: name.to_owned(), owner }
    }

    /// All objects whose keys start with `prefix`, by what comes after it.
    pub(crate) async fn list(&self, prefix: &str) -> Result<BTreeMap<String, Listed>, Error> {
        let call = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let mut pages = call.set_expected_bucket_owner(self.owner.clone()).into_paginator().send();
        let mut all = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.call(|| format!("list {prefix} in the bucket {}", self.name))?;
            for object in page.contents.unwrap_or_default() {
                let Some(path) = object.key.as_deref().and_then(|key| key.strip_prefix(prefix)) else {
                    continue;
                };
                let size = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
                let at = object.last_modified.and_then(|at| Timestamp::from_second(at.secs()).ok());
                let modified = at.unwrap_or(Timestamp::MAX);
                all.insert(path.to_owned(), Listed { size, modified });
            }
        }
        Ok(all)
    }

    /// Every release of which there are objects, oldest first.
    pub(crate) async fn releases(&self) -> Result<Vec<ReleaseId>, Error> {
        let call = self.client.list_objects_v2().bucket(&self.name).prefix(layout::RELEASES).delimiter("/");
        let mut pages = call.set_expected_bucket_owner(self.owner.clone()).into_paginator().send();
        let mut ids = vec![];
        while let Some(page) = pages.next().await {
            let page = page.call(|| format!("list the releases in the bucket {}", self.name))?;
            let prefixes = page.common_prefixes.unwrap_or_default();
            let names =
                prefixes.iter().filter_map(|p| p.prefix()?.strip_prefix(layout::RELEASES)?.strip_suffix('/'));
            ids.extend(names.filter_map(|name| name.parse::<ReleaseId>().ok()));
        }
        ids.sort();
        Ok(ids)
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Option<Headed>, Error> {
        let call = self.client.head_object().bucket(&self.name).key(key);
        let answer = match call.set_expected_bucket_owner(self.owner.clone()).send().await {
            Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found()) => return Ok(None),
            answer => answer.call(|| format!("look at {key}"))?,
        };
        let metadata = answer.metadata.unwrap_or_default();
        let header = |(name, value): (&String, &String)| {
            Some((name.strip_prefix(layout::HEADER)?.to_owned(), value.clone()))
        };
        Ok(Some(Headed {
            sha256: metadata.get(DIGEST).cloned(),
            encoding: answer.content_encoding.filter(|encoding| !encoding.is_empty()),
            content_type: answer.content_type,
            cache_control: answer.cache_control,
            headers: metadata.iter().filter_map(header).collect(),
        }))
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let call = self.client.get_object().bucket(&self.name).key(key);
        let answer = match call.set_expected_bucket_owner(self.owner.clone()).send().await {
            Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_key()) => return Ok(None),
            answer => answer.call(|| format!("read {key}"))?,
        };
        let body = answer
            .body
            .collect()
            .await
            .map_err(|source| Error::Visit { url: key.to_owned(), source: source.into() })?;
        Ok(Some(body.to_vec()))
    }

    /// Writes an object that is in memory.
    pub(crate) async fn put<'a>(
        &self,
        key: &str,
        body: Vec<u8>,
        served: impl Into<Served<'a>>,
    ) -> Result<(), Error> {
        let sum = aws_smithy_types::base64::encode(Sha256::digest(&body));
        let sent = self.put_stream(key, ByteStream::from(body), sum, served.into()).await;
        sent.map_err(|(_, error)| error)
    }

    /// Writes an object from a file.
    ///
    /// # Errors
    /// [`Error::Moved`] if the file is not what `local` says of it.
    pub(crate) async fn upload(&self, key: &str, local: Local<'_>, served: Served<'_>) -> Result<(), Error> {
        let shown = || local.path.display().to_string();
        let unreadable = |source: std::io::Error| Error::Local { path: shown(), source };
        if local.size >= LARGE {
            return self.upload_in_parts(key, local, served).await;
        }
        let body = if local.size <= SMALL {
            let bytes = tokio::fs::read(local.path).await.map_err(unreadable)?;
            if bytes.len() as u64 != local.size {
                return Err(Error::Moved(shown()));
            }
            ByteStream::from(bytes)
        } else {
            let stream = ByteStream::read_from().path(local.path).buffer_size(PIECE);
            let stream = stream.length(Length::Exact(local.size)).build().await;
            stream.map_err(|e| unreadable(std::io::Error::other(e)))?
        };
        let sum = hex::decode(local.sha256).unwrap_or_default();
        let sent = self.put_stream(key, body, aws_smithy_types::base64::encode(sum), served).await;
        sent.map_err(|(damaged, error)| if damaged { Error::Moved(shown()) } else { error })
    }

    /// Of an error also whether the content was not what its digest says.
    async fn put_stream(
        &self,
        key: &str,
        body: ByteStream,
        sum: String,
        Served { file, encoding }: Served<'_>,
    ) -> Result<(), (bool, Error)> {
        let call = self.client.put_object().bucket(&self.name).key(key).body(body);
        let call = call.content_type(&file.content_type).cache_control(&file.cache_control);
        let call = call.set_content_encoding(encoding.map(|encoding| encoding.name().to_owned()));
        let call = call.set_metadata(Some(metadata(file))).set_expected_bucket_owner(self.owner.clone());
        let answer = call.checksum_sha256(sum).send().await;
        let damaged = answer.as_ref().err().is_some_and(is_damaged);
        answer.call(|| format!("write {key}")).map(drop).map_err(|error| (damaged, error))
    }

    async fn upload_in_parts(
        &self,
        key: &str,
        local: Local<'_>,
        Served { file, encoding }: Served<'_>,
    ) -> Result<(), Error> {
        let size = PART.max(local.size.div_ceil(MOST_PARTS));
        let path = local.path.to_owned();
        let sums =
            tokio::task::spawn_blocking(move || part_sums(&path, size)).await.map_err(Error::Thread)?;
        let unreadable = |source| Error::Local { path: local.path.display().to_string(), source };
        let (sums, whole) = sums.map_err(unreadable)?;
        if whole != local.sha256 {
            return Err(Error::Moved(local.path.display().to_string()));
        }
        let call = self.client.create_multipart_upload().bucket(&self.name).key(key);
        let call = call.content_type(&file.content_type).cache_control(&file.cache_control);
        let call = call.set_content_encoding(encoding.map(|encoding| encoding.name().to_owned()));
        let call = call.set_metadata(Some(metadata(file))).set_expected_bucket_owner(self.owner.clone());
        let begun = call.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await;
        let upload = begun.call(|| format!("begin to write {key}"))?.upload_id.unwrap_or_default();
        match self.parts(key, local.path, (&upload, size), &sums).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let abort =
                    self.client.abort_multipart_upload().bucket(&self.name).key(key).upload_id(&upload);
                // What cannot be taken back now is taken back when old releases are removed.
                let _ = abort.send().await;
                Err(error)
            }
        }
    }

    async fn parts(
        &self,
        key: &str,
        local: &Path,
        (upload, size): (&str, u64),
        sums: &[[u8; 32]],
    ) -> Result<(), Error> {
        let unreadable = |source| Error::Local { path: local.display().to_string(), source };
        let whole = tokio::fs::metadata(local).await.map_err(unreadable)?.len();
        let mut parts = vec![];
        let mut offset = 0;
        for (n, sum) in (1..).zip(sums) {
            let sum = aws_smithy_types::base64::encode(sum);
            let length = size.min(whole.saturating_sub(offset));
            let stream = ByteStream::read_from().path(local).buffer_size(PIECE).offset(offset);
            let body = stream.length(Length::Exact(length)).build().await;
            let body = body.map_err(|e| unreadable(std::io::Error::other(e)))?;
            let call = self.client.upload_part().bucket(&self.name).key(key).upload_id(upload).part_number(n);
            let call = call.body(body).checksum_sha256(&sum).set_expected_bucket_owner(self.owner.clone());
            let answer = call.send().await;
            if answer.as_ref().err().is_some_and(is_damaged) {
                return Err(Error::Moved(local.display().to_string()));
            }
            let tag = answer.call(|| format!("write part {n} of {key}"))?.e_tag;
            parts.push(CompletedPart::builder().part_number(n).set_e_tag(tag).checksum_sha256(sum).build());
            offset += length;
        }
        let done = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let call = self.client.complete_multipart_upload().bucket(&self.name).key(key).upload_id(upload);
        let call = call.multipart_upload(done).set_expected_bucket_owner(self.owner.clone());
        call.send().await.call(|| format!("finish writing {key}")).map(drop)
    }

    /// Copies an object inside the bucket, with its headers or, where `served` is given, with those of it. `false`: there is
    /// none to copy.
    pub(crate) async fn copy(
        &self,
        from: &str,
        key: &str,
        served: Option<Served<'_>>,
    ) -> Result<bool, Error> {
        let source = utf8_percent_encode(&format!("{}/{from}", self.name), PATH).to_string();
        let call = self.client.copy_object().bucket(&self.name).key(key).copy_source(source);
        let call = call.set_expected_bucket_owner(self.owner.clone());
        let call = match served {
            None => call.metadata_directive(MetadataDirective::Copy),
            Some(Served { file, encoding }) => call
                .metadata_directive(MetadataDirective::Replace)
                .content_type(&file.content_type)
                .cache_control(&file.cache_control)
                .set_content_encoding(encoding.map(|encoding| encoding.name().to_owned()))
                .set_metadata(Some(metadata(file))),
        };
        match call.send().await {
            Err(error) if error.code() == Some("NoSuchKey") => Ok(false),
            answer => answer.call(|| format!("copy {from} to {key}")).map(|_| true),
        }
    }

    /// Removes objects. What cannot be removed is told.
    pub(crate) async fn delete(&self, keys: &[String]) -> Result<(), Error> {
        for keys in keys.chunks(BATCH) {
            let object = |key: &String| ObjectIdentifier::builder().key(key).build().ok();
            let objects = keys.iter().filter_map(object).collect();
            let Ok(delete) = Delete::builder().quiet(true).set_objects(Some(objects)).build() else {
                continue;
            };
            let call = self.client.delete_objects().bucket(&self.name).delete(delete);
            let answer = call.set_expected_bucket_owner(self.owner.clone()).send().await;
            let answer = answer.call(|| format!("remove objects of the bucket {}", self.name))?;
            if let Some(first) = answer.errors().first() {
                return Err(Error::Call {
                    act: format!("remove {}", first.key().unwrap_or_default()),
                    code: first.code().map(str::to_owned),
                    ahead: None,
                    source: crate::error::Answer::new(first.message().unwrap_or_default()),
                });
            }
        }
        Ok(())
    }

    /// How it is guarded.
    pub(crate) async fn guards(&self) -> Result<Guards, Error> {
        let act = || format!("look at the bucket {}", self.name);
        let none = |code: Option<&str>| {
            code.is_some_and(|code| code.starts_with("NoSuch") && code != "NoSuchBucket")
        };
        let on = |flag: Option<bool>| flag == Some(true);
        let block = match self.client.get_public_access_block().bucket(&self.name).send().await {
            Err(error) if none(error.code()) => None,
            answer => answer.call(act)?.public_access_block_configuration,
        };
        let blocked = block.is_some_and(|b| {
            on(b.block_public_acls())
                && on(b.ignore_public_acls())
                && on(b.block_public_policy())
                && on(b.restrict_public_buckets())
        });
        let public = match self.client.get_bucket_policy_status().bucket(&self.name).send().await {
            Err(error) if none(error.code()) => false,
            answer => answer.call(act)?.policy_status.is_some_and(|status| on(status.is_public())),
        };
        let website = match self.client.get_bucket_website().bucket(&self.name).send().await {
            Err(error) if none(error.code()) => false,
            answer => answer.call(act).map(|_| true)?,
        };
        let versions = self.client.get_bucket_versioning().bucket(&self.name).send().await.call(act)?;
        let versions = versions.status == Some(BucketVersioningStatus::Enabled);
        Ok(Guards { blocked, public, website, versions })
    }

    /// Ends uploads in parts that began before `before` and were never finished. Returns how many.
    pub(crate) async fn end_uploads(&self, before: Timestamp) -> Result<usize, Error> {
        let call = self.client.list_multipart_uploads().bucket(&self.name);
        let answer = call.set_expected_bucket_owner(self.owner.clone()).send().await;
        let answer = answer.call(|| format!("list the uploads to the bucket {}", self.name))?;
        let mut ended = 0;
        for upload in answer.uploads() {
            let begun = upload.initiated().and_then(|at| Timestamp::from_second(at.secs()).ok());
            let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
            let ours = key.starts_with(layout::RELEASES) || key.starts_with(layout::SHARED);
            if ours && begun.is_some_and(|begun| begun < before) {
                let call = self.client.abort_multipart_upload().bucket(&self.name).key(key).upload_id(id);
                call.send().await.call(|| format!("end the upload of {key}"))?;
                ended += 1;
            }
        }
        Ok(ended)
    }
}

/// The headers that S3 does not know, and the digest of the content, which the edge shows nobody.
fn metadata(file: &File) -> HashMap<String, String> {
    let headers =
        file.headers.iter().map(|(name, value)| (format!("{}{name}", layout::HEADER), value.clone()));
    headers.chain([(DIGEST.to_owned(), file.sha256.clone())]).collect()
}

fn is_damaged<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(error.code(), Some("BadDigest" | "XAmzContentChecksumMismatch" | "IncompleteBody"))
}

/// The digest of each part, and that of all.
fn part_sums(path: &PathBuf, size: u64) -> std::io::Result<(Vec<[u8; 32]>, String)> {
    let mut file = std::fs::File::open(path)?;
    let (mut sums, mut whole, mut piece) = (vec![], Sha256::new(), vec![0; PIECE]);
    loop {
        file.seek(SeekFrom::Start(sums.len() as u64 * size))?;
        let (mut part, mut left) = (Sha256::new(), size);
        while left > 0 {
            let most = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
            match file.read(&mut piece[..most])? {
                0 => break,
                n => {
                    part.update(&piece[..n]);
                    whole.update(&piece[..n]);
                    left -= n as u64;
                }
            }
        }
        if left == size {
            return Ok((sums, hex::encode(whole.finalize())));
        }
        sums.push(part.finalize().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_hashed_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, b"abcabcab").unwrap();
        let (sums, whole) = part_sums(&path, 3).unwrap();
        let expected = [b"abc".as_slice(), b"abc", b"ab"].map(|part| <[u8; 32]>::from(Sha256::digest(part)));
        assert_eq!(sums, expected);
        assert_eq!(whole, hex::encode(Sha256::digest(b"abcabcab")));
        let (sums, _) = part_sums(&path, 4).unwrap();
        assert_eq!(sums.len(), 2, "no empty part at the end");
    }
}
