//! Where files come from that others publish.

use causeway_core::{Class, Error};
use futures::{FutureExt, future::BoxFuture};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Has files by the address that they are published at.
pub trait Bundles: Send + Sync + 'static {
    /// The file at `url`. Its digest is checked by who asks.
    ///
    /// # Errors
    /// What went wrong, classified: [`Class::Transient`] where it may work later.
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, Error>>;
}

/// From where they are published.
pub struct Https {
    client: reqwest::Client,
    mirrors: BTreeMap<String, String>,
}

/// A file of a few hundred kilobytes.
const ANSWER: Duration = Duration::from_secs(60);
const CALL: &str = "fetching definitions";

impl Https {
    /// Asks with `client`.
    pub fn new(client: reqwest::Client) -> Self {
        Https { client, mirrors: BTreeMap::new() }
    }

    /// Asks these instead of hosts, like `registry.example/github` instead of `raw.githubusercontent.com`. The digests that
    /// files have to have stay the same.
    #[must_use]
    pub fn mirrors(self, mirrors: BTreeMap<String, String>) -> Self {
        Https { mirrors, ..self }
    }

    /// Where the file at `url` is asked for.
    fn place(&self, url: &str) -> String {
        let parts = url.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
        let instead = parts.and_then(|(host, path)| Some((self.mirrors.get(host)?, path)));
        instead.map_or_else(
            || url.to_owned(),
            |(instead, path)| {
                let host = instead.split('/').next().unwrap_or_default();
                format!("{}://{instead}/{path}", causeway_oci::scheme(host))
            },
        )
    }
}

impl Bundles for Https {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        async move {
            let failed = |source: reqwest::Error| {
                let class = match source.status() {
                    Some(status) if status.is_client_error() && status != 429 => Class::Final,
                    _ => Class::Transient,
                };
                Error::Call { call: CALL, class, source: Box::new(source) }
            };
            let answer = self.client.get(self.place(url)).timeout(ANSWER).send().await.map_err(failed)?;
            let answer = answer.error_for_status().map_err(failed)?;
            Ok(answer.bytes().await.map_err(failed)?.to_vec())
        }
        .boxed()
    }
}

/// From a folder that has them by address: `https://host/path/file.yaml` is `host/path/file.yaml` in it.
pub struct Folder(pub PathBuf);

impl Bundles for Folder {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        async move {
            let path = url.strip_prefix("https://").filter(|path| path.split('/').all(|part| part != ".."));
            let Some(path) = path else {
                return Err(Error::Invalid(format!(
                    "{url} is no address of a file that a folder could have"
                )));
            };
            let file = self.0.join(path);
            tokio::fs::read(&file).await.map_err(|source| Error::Call {
                call: CALL,
                class: Class::Final,
                source: Box::new(Unread { file, source }),
            })
        }
        .boxed()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", file.display())]
struct Unread {
    file: PathBuf,
    source: std::io::Error,
}

/// Nobody said where from.
pub(crate) struct Nowhere;

impl Bundles for Nowhere {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        let missing = format!("nobody said where to get {url} from: this client was made without bundles");
        async move { Err(Error::Invalid(missing)) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_asked_instead_of_the_host_that_it_mirrors() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mirrors = [("a.b", "c.d/e"), ("here.b", "127.0.0.1:5000")];
        let mirrors = mirrors.map(|(host, instead)| (host.to_owned(), instead.to_owned())).into();
        let https = Https::new(reqwest::Client::new()).mirrors(mirrors);
        assert_eq!(https.place("https://a.b/x/y.yaml"), "https://c.d/e/x/y.yaml");
        assert_eq!(https.place("https://here.b/x"), "http://127.0.0.1:5000/x");
        assert_eq!(https.place("https://a.b.c/x"), "https://a.b.c/x");
    }

    #[tokio::test]
    async fn a_folder_has_files_by_address_and_none_outside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("here/v1")).unwrap();
        std::fs::write(folder.path().join("here/v1/a.yaml"), "a").unwrap();
        let bundles = Folder(folder.path().to_owned());
        assert_eq!(bundles.fetch("https://here/v1/a.yaml").await.unwrap(), b"a");
        let error = bundles.fetch("https://here/v1/b.yaml").await.unwrap_err();
        assert!(error.chain().contains("here/v1/b.yaml"), "{}", error.chain());
        assert!(matches!(bundles.fetch("https://here/../../a").await, Err(Error::Invalid(_))));
    }
}
