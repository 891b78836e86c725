//! The calls.

use crate::{
    Digest, Error, Logins, Repository,
    challenge::{Challenge, Issued},
    manifest::{ACCEPT, Descriptor, Manifest, Parts, Platform},
    names::scheme,
};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT as TAKES, AUTHORIZATION, CONTENT_TYPE, RANGE, WWW_AUTHENTICATE},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How often something is asked for that nobody answers.
pub(crate) const TRIES: u32 = 4;
/// After the first time; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// Registries take no larger manifests.
const LARGEST: usize = 4 << 20;

/// Asks registries. What they want for it is remembered.
pub struct Registries {
    client: Client,
    logins: Logins,
    /// What goes into the header `Authorization`, by repository.
    permits: Mutex<BTreeMap<Repository, String>>,
}

/// What a tag stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// That of the index if there are images for several platforms.
    pub digest: Digest,
    /// What it runs on, like `linux/arm64`.
    pub platforms: BTreeSet<String>,
}

/// A manifest, as it came.
pub(crate) struct Came {
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) manifest: Manifest,
}

pub(crate) async fn pause(tries: u32) {
    tokio::time::sleep(PAUSE * 2_u32.saturating_pow(tries)).await;
}

impl Registries {
    /// Asks with `client`, as whom `logins` says.
    pub fn new(client: Client, logins: Logins) -> Self {
        Registries { client, logins, permits: Mutex::default() }
    }

    /// What `tag` stands for now.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn look(&self, repository: &Repository, tag: &str) -> Result<Found, Error> {
        let came = self.manifest(repository, tag).await?;
        let platforms = match &came.manifest.parts {
            Parts::Index { manifests } => {
                manifests.iter().filter_map(|one| one.platform.as_ref()?.name()).collect()
            }
            Parts::Image { config, .. } => {
                let platform: Option<Platform> =
                    serde_json::from_slice(&self.small(repository, config).await?).ok();
                platform.iter().filter_map(Platform::name).collect()
            }
        };
        Ok(Found { digest: came.digest, platforms })
    }

    /// The manifest of a tag or a digest.
    pub(crate) async fn manifest(&self, repository: &Repository, of: &str) -> Result<Came, Error> {
        let what = format!("the image {}:{of}", repository.path()).replace(":sha256:", "@sha256:");
        let registry = || repository.registry().to_owned();
        let answer = self.get(repository, &what, &format!("manifests/{of}"), 0).await?;
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        let bytes = whole(answer, LARGEST).await.map_err(|source| Error::Silent {
            registry: registry(),
            what: what.clone(),
            source: source.without_url(),
        })?;
        let digest = Digest::of(&bytes);
        if let Some(wanted) = of.parse::<Digest>().ok().filter(|wanted| *wanted != digest) {
            return Err(Error::Digest { registry: registry(), what, found: digest, wanted });
        }
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|source| Error::Senseless {
            registry: registry(),
            what,
            source: Box::new(source),
        })?;
        let media_type = manifest.media_type.clone().unwrap_or(media_type);
        Ok(Came { digest, bytes, media_type, manifest })
    }

    /// A blob of a few kilobytes.
    async fn small(&self, repository: &Repository, of: &Descriptor) -> Result<Vec<u8>, Error> {
        let answer = self.blob(repository, of, 0).await?;
        let bytes = whole(answer, LARGEST).await.map_err(|source| Error::Silent {
            registry: repository.registry().to_owned(),
            what: of.digest.to_string(),
            source: source.without_url(),
        })?;
        match Digest::of(&bytes) {
            found if found == of.digest => Ok(bytes),
            found => Err(Error::Digest {
                registry: repository.registry().to_owned(),
                what: format!("a part of {}", repository.path()),
                found,
                wanted: of.digest.clone(),
            }),
        }
    }

    /// A blob, from this byte on; a registry may answer with all of it.
    pub(crate) async fn blob(
        &self,
        repository: &Repository,
        of: &Descriptor,
        from: u64,
    ) -> Result<Response, Error> {
        let what = format!("a part of {}", repository.path());
        self.get(repository, &what, &format!("blobs/{}", of.digest), from).await
    }

    /// Asks until there is an answer, or no hope of one.
    async fn get(
        &self,
        repository: &Repository,
        what: &str,
        path: &str,
        from: u64,
    ) -> Result<Response, Error> {
        let url = format!("{}/{path}", repository.url());
        let request = || {
            let mut request = self.client.request(Method::GET, &url);
            if path.starts_with("manifests/") {
                request = request.header(TAKES, ACCEPT);
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            request
        };
        self.ask(repository, what, &request).await
    }

    /// As [`Registries::get`], whatever is asked.
    pub(crate) async fn ask(
        &self,
        repository: &Repository,
        what: &str,
        request: &(dyn Fn() -> RequestBuilder + Sync),
    ) -> Result<Response, Error> {
        let mut tries = 0;
        loop {
            match self.once(repository, what, request).await {
                Err(error) if error.passes() && tries + 1 < TRIES => {
                    pause(tries).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn once(
        &self,
        repository: &Repository,
        what: &str,
        request: &(dyn Fn() -> RequestBuilder + Sync),
    ) -> Result<Response, Error> {
        let silent = silent(repository, what);
        let request = |permit: Option<String>| match permit {
            Some(permit) => request().header(AUTHORIZATION, permit),
            None => request(),
        };
        let answer = request(self.known(repository)).send().await.map_err(&silent)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return judged(answer, repository, what).await;
        }
        // A permit may have run out, so that it is asked for once more.
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE);
        let challenge = challenges.iter().find_map(|header| Challenge::parse(header.to_str().ok()?));
        let permit = match challenge {
            Some(challenge) => self.permit(repository, what, challenge).await?,
            None => None,
        };
        let Some(permit) = permit else { return judged(answer, repository, what).await };
        self.permits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(repository.clone(), permit.clone());
        judged(request(Some(permit)).send().await.map_err(&silent)?, repository, what).await
    }

    /// What the registry took the last time.
    pub(crate) fn known(&self, repository: &Repository) -> Option<String> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner).get(repository).cloned()
    }

    /// Asks for another permit the next time: this one is taken no more.
    pub(crate) fn forget(&self, repository: &Repository) {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner).remove(repository);
    }

    /// What sends.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// What `tag` stands for now; nothing where there is no such tag, or no such repository.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn tagged(&self, repository: &Repository, tag: &str) -> Result<Option<Digest>, Error> {
        match self.manifest(repository, tag).await {
            Ok(came) => Ok(Some(came.digest)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What satisfies the challenge; nothing if we are nobody there.
    async fn permit(
        &self,
        repository: &Repository,
        what: &str,
        challenge: Challenge,
    ) -> Result<Option<String>, Error> {
        let login = self.logins.of(repository.registry()).await.map(|login| format!("Basic {login}"));
        let (realm, mut asks) = match challenge {
            Challenge::Basic => return Ok(login),
            Challenge::Bearer { realm, asks } => (realm, asks),
        };
        let senseless = |source: Box<dyn std::error::Error + Send + Sync>| Error::Senseless {
            registry: repository.registry().to_owned(),
            what: "the place where tokens are".to_owned(),
            source,
        };
        let url = Url::parse(&realm).map_err(|source| senseless(source.into()))?;
        // A password goes to nobody who can be listened to on the way.
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "https" && url.scheme() != scheme(host) {
            return Err(senseless(format!("{realm} has no TLS").into()));
        }
        if !asks.iter().any(|(name, _)| name == "scope") {
            asks.push(("scope".to_owned(), format!("repository:{}:pull", repository.path())));
        }
        let what = format!("a token for {what}");
        let mut request = self.client.get(url).query(&asks);
        if let Some(login) = login {
            request = request.header(AUTHORIZATION, login);
        }
        let silent = |source: reqwest::Error| Error::Silent {
            registry: repository.registry().to_owned(),
            what: what.clone(),
            source: source.without_url(),
        };
        let answer = request.send().await.map_err(silent)?;
        let issued: Issued = judged(answer, repository, &what).await?.json().await.map_err(silent)?;
        Ok(issued.token().map(|token| format!("Bearer {token}")))
    }
}

/// All of a body that is at most this long; what is longer is cut off, and then has another digest.
async fn whole(mut answer: Response, largest: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut out = vec![];
    while let Some(chunk) = answer.chunk().await? {
        out.extend_from_slice(&chunk);
        if out.len() > largest {
            break;
        }
    }
    Ok(out)
}

/// Nobody answered for `what`.
pub(crate) fn silent(repository: &Repository, what: &str) -> impl Fn(reqwest::Error) -> Error + use<> {
    let (registry, what) = (repository.registry().to_owned(), what.to_owned());
    move |source| Error::Silent {
        registry: registry.clone(),
        what: what.clone(),
        source: source.without_url(),
    }
}

/// Errors by their status.
pub(crate) async fn judged(answer: Response, repository: &Repository, what: &str) -> Result<Response, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let (registry, what) = (repository.registry().to_owned(), what.to_owned());
    if status == StatusCode::NOT_FOUND {
        return Err(Error::Missing { registry, what });
    }
    Err(Error::Refused { registry, what, status, said: said(answer).await })
}

/// Of `{"errors": [{"code": "..", "message": ".."}]}`:
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>.
async fn said(answer: Response) -> String {
    let bytes = whole(answer, 64 << 10).await.unwrap_or_default();
    let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let words = |key: &str| body.pointer(&format!("/errors/0/{key}")).and_then(|word| word.as_str());
    let text = [words("code"), words("message")].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}
