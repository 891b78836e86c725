//! The key value store that the edge reads. Its version, the ETag, decides between two that write at once.

use crate::error::{Call, Error};
use aws_config::SdkConfig;
use aws_sdk_cloudfrontkeyvaluestore::{
    Client,
    config::endpoint::{Endpoint, EndpointFuture, Params, ResolveEndpoint},
    error::SdkError,
    operation::{put_key::PutKeyError, update_keys::UpdateKeysError},
    types::{DeleteKeyRequestListItem, PutKeyRequestListItem},
};
use aws_smithy_types::{Document, endpoint::EndpointAuthScheme};
use causeway_site::{Release, layout};
use std::{collections::BTreeMap, time::Duration};

/// Keys that one call may write.
const BATCH: usize = 50;

/// What a key and its value may have together.
const MOST_BYTES: usize = 1024;

/// How often a write is tried again after others that do not matter to it.
const TRIES: usize = 20;

/// Between two tries where the version that is told has not caught up yet.
const PAUSE: Duration = Duration::from_millis(500);

/// The key under which whoever removes old releases says since when, so that nobody publishes meanwhile: `<time> running` at
/// first, then `<time>`.
const COLLECTED: &str = "gc";

/// The digest of the error page that is there, and of which the edge has no older one.
const ERROR_PAGE: &str = "error-page";

#[derive(Clone, Debug)]
pub(crate) struct Store {
    client: Client,
    arn: String,
}

/// What the store said; writes hold on to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    etag: String,
    pub(crate) live: Option<Release>,
    collected: Option<String>,
}

/// What is written.
#[derive(Clone, Debug)]
enum Write {
    One(String, String),
    Many(Vec<(String, String)>, Vec<String>),
}

impl Store {
    pub(crate) fn new(config: &SdkConfig, arn: &str) -> Store {
        let mut builder = aws_sdk_cloudfrontkeyvaluestore::config::Builder::from(config);
        // The SDK puts the account in front of the host, and an address of this machine has no names below it.
        if let Some(url) = config.endpoint_url().filter(|url| is_here(url)) {
            builder = builder.endpoint_resolver(Here(url.to_owned()));
        }
        Store { client: Client::from_conf(builder.build()), arn: arn.to_owned() }
    }

    pub(crate) async fn see(&self) -> Result<Seen, Error> {
        // The version first: what is written in between makes the next write fail, and not be lost.
        let described = self.client.describe_key_value_store().kvs_arn(&self.arn).send().await;
        let etag = described.call(|| "look at the key value store".to_owned())?.e_tag;
        let (live, collected) = futures::try_join!(self.get(layout::LIVE), self.get(COLLECTED))?;
        let live = live.map(|text| {
            let what = format!("the key `{}` of the key value store", layout::LIVE);
            serde_json::from_str(&text).map_err(|source| Error::Decode { what, source })
        });
        Ok(Seen { etag, live: live.transpose()?, collected })
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<String>, Error> {
        match self.client.get_key().kvs_arn(&self.arn).key(key).send().await {
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
                Ok(None)
            }
            answer => answer.call(|| format!("read `{key}` in the key value store")).map(|a| Some(a.value)),
        }
    }

    /// All keys and their values.
    pub(crate) async fn all(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut pages = self.client.list_keys().kvs_arn(&self.arn).into_paginator().send();
        let mut all = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.call(|| "list the key value store".to_owned())?;
            all.extend(page.items.unwrap_or_default().into_iter().map(|item| (item.key, item.value)));
        }
        Ok(all)
    }

    /// Writes and removes keys that visitors do not see yet, or not any more.
    ///
    /// # Errors
    /// [`Error::Lost`] if somebody switched or removed releases since `seen`.
    pub(crate) async fn update(
        &self,
        seen: Seen,
        puts: &[(String, String)],
        deletes: &[String],
    ) -> Result<Seen, Error> {
        for (key, value) in puts {
            fits(key, value)?;
        }
        let mut seen = seen;
        for puts in puts.chunks(BATCH) {
            seen = self.write(seen, &Write::Many(puts.to_vec(), vec![])).await?;
        }
        for deletes in deletes.chunks(BATCH) {
            seen = self.write(seen, &Write::Many(vec![], deletes.to_vec())).await?;
        }
        Ok(seen)
    }

    /// The switch: one write.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub(crate) async fn switch(&self, seen: Seen, release: &Release, value: String) -> Result<Seen, Error> {
        fits(layout::LIVE, &value)?;
        let seen = self.write(seen, &Write::One(layout::LIVE.to_owned(), value)).await?;
        Ok(Seen { live: Some(release.clone()), ..seen })
    }

    pub(crate) async fn error_page(&self) -> Result<Option<String>, Error> {
        self.get(ERROR_PAGE).await
    }

    /// Notes that the edge has the error page of this digest.
    pub(crate) async fn set_error_page(&self, seen: Seen, sha256: &str) -> Result<Seen, Error> {
        self.write(seen, &Write::One(ERROR_PAGE.to_owned(), sha256.to_owned())).await
    }

    /// From now on nobody publishes.
    pub(crate) async fn begin_collecting(&self, seen: Seen, at: &str) -> Result<Seen, Error> {
        let value = format!("{at} running");
        let seen = self.write(seen, &Write::One(COLLECTED.to_owned(), value.clone())).await?;
        Ok(Seen { collected: Some(value), ..seen })
    }

    /// From now on everybody may publish; whoever began before loses.
    pub(crate) async fn end_collecting(&self, seen: Seen, at: &str) -> Result<Seen, Error> {
        let seen = self.write(seen, &Write::One(COLLECTED.to_owned(), at.to_owned())).await?;
        Ok(Seen { collected: Some(at.to_owned()), ..seen })
    }

    async fn write(&self, mut seen: Seen, write: &Write) -> Result<Seen, Error> {
        for _ in 0..TRIES {
            let (stale, error) = match self.send(&seen.etag, write).await {
                Ok(etag) => return Ok(Seen { etag, ..seen }),
                Err(refused) => refused,
            };
            if !stale {
                return Err(error);
            }
            let now = self.see().await?;
            // The answer to this write may have been lost.
            if write.is_done(&now) {
                return Ok(Seen { etag: now.etag, ..seen });
            }
            let collected = now.collected != seen.collected && !write.is_of(COLLECTED);
            if now.live != seen.live || collected {
                return Err(Error::Lost(now.live.map(|live| live.id)));
            }
            if now.etag == seen.etag {
                tokio::time::sleep(PAUSE).await;
            }
            seen.etag = now.etag;
        }
        Err(Error::Lost(seen.live.map(|live| live.id)))
    }

    /// Sends a write; of an error also whether it is about the version.
    async fn send(&self, etag: &str, write: &Write) -> Result<String, (bool, Error)> {
        match write {
            Write::One(key, value) => {
                let call = self.client.put_key().kvs_arn(&self.arn).if_match(etag).key(key).value(value);
                let answer = call.send().await;
                let stale = answer.as_ref().err().and_then(SdkError::as_service_error);
                let stale = stale.is_some_and(PutKeyError::is_conflict_exception);
                let named = answer.call(|| format!("write `{key}` to the key value store"));
                named.map(|answer| answer.e_tag).map_err(|error| (stale, error))
            }
            Write::Many(puts, deletes) => {
                let put = |(key, value): &(String, String)| {
                    PutKeyRequestListItem::builder().key(key).value(value).build().ok()
                };
                let delete = |key: &String| DeleteKeyRequestListItem::builder().key(key).build().ok();
                let puts: Vec<_> = puts.iter().filter_map(put).collect();
                let deletes: Vec<_> = deletes.iter().filter_map(delete).collect();
                let call = self.client.update_keys().kvs_arn(&self.arn).if_match(etag);
                let call = call.set_puts((!puts.is_empty()).then_some(puts));
                let answer = call.set_deletes((!deletes.is_empty()).then_some(deletes)).send().await;
                let stale = answer.as_ref().err().and_then(SdkError::as_service_error);
                let stale = stale.is_some_and(UpdateKeysError::is_conflict_exception);
                let named = answer.call(|| "write to the key value store".to_owned());
                named.map(|answer| answer.e_tag).map_err(|error| (stale, error))
            }
        }
    }
}

impl Write {
    fn is_of(&self, key: &str) -> bool {
        matches!(self, Write::One(one, _) if one == key)
    }

    /// Whether it is a switch, and visitors get what it would switch to.
    fn is_done(&self, now: &Seen) -> bool {
        let live = now.live.as_ref().and_then(|live| serde_json::to_string(live).ok());
        matches!(self, Write::One(key, value) if key == layout::LIVE && live.as_ref() == Some(value))
    }
}

impl Seen {
    /// The version of the store.
    pub(crate) fn version(&self) -> &str {
        &self.etag
    }

    /// Since when old releases are being removed; `None` if they are not.
    pub(crate) fn collecting(&self) -> Option<&str> {
        self.collected.as_deref()?.strip_suffix(" running")
    }
}

fn fits(key: &str, value: &str) -> Result<(), Error> {
    let bytes = key.len() + value.len();
    if bytes <= MOST_BYTES { Ok(()) } else { Err(Error::Large { what: format!("`{key}`"), bytes }) }
}

/// Whether a URL leads to this machine.
fn is_here(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// One address for all stores.
#[derive(Debug)]
struct Here(String);

impl ResolveEndpoint for Here {
    fn resolve_endpoint<'a>(&'a self, _: &'a Params) -> EndpointFuture<'a> {
        let scheme = EndpointAuthScheme::with_capacity("sigv4a", 2)
            .put("signingName", "cloudfront-keyvaluestore".to_owned())
            .put("signingRegionSet", Document::Array(vec!["*".to_owned().into()]));
        EndpointFuture::ready(Ok(Endpoint::builder().url(self.0.clone()).auth_scheme(scheme).build()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_seen() {
        for (url, here) in [
            ("http://127.0.0.1:4566", true),
            ("http://localhost:4566/", true),
            ("http://[::1]:4566", true),
            ("https://cloud.example.com", false),
        ] {
            assert_eq!(is_here(url), here, "{url}");
        }
    }

    #[test]
    fn a_value_has_to_fit() {
        assert!(fits("live", &"x".repeat(1020)).is_ok());
        assert!(matches!(fits("live", &"x".repeat(1021)), Err(Error::Large { bytes: 1025, .. })));
    }
}
