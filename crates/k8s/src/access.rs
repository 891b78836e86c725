//! A cluster as a place, and the client for it: no file, no program beside ours.

use causeway_core::{
    Error, Secret, Value,
    place::{Client, Place},
};
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderValue, Method, Request, Uri, header::AUTHORIZATION};
use kube::{
    Config,
    client::{Body, ClientBuilder},
};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::Mutex;
use tower::{BoxError, buffer::BufferLayer, filter::AsyncFilterLayer};

use crate::{
    crds::{Bundles, Nowhere},
    looks::Looks,
    vault::{NoVault, Vault},
};

/// What has to be known to speak to a cluster. Where it comes from a resource of the same stack, its objects are planned
/// before there is a cluster, and applied once it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Access {
    /// The region that the cluster is in.
    pub region: String,
    /// What the cluster is called.
    pub name: String,
    /// `https://..`
    pub endpoint: Value<String>,
    /// The certificate that its API shows is signed by this one: PEM in Base64, as EKS and kubeconfigs have it.
    pub certificate_authority: Value<String>,
}

impl Place for Access {
    const PROVIDER: &'static str = "kubernetes";
}

/// What a request is sent with.
#[derive(Clone, Debug)]
pub struct Token {
    /// For the header `Authorization: Bearer ..`.
    pub secret: Secret,
    /// From then on another one is needed.
    pub expires: SystemTime,
}

/// Makes tokens for one cluster. Asked for another one shortly before one expires.
pub trait Tokens: Send + Sync + 'static {
    /// A token that can be used from now on.
    fn token(&self) -> BoxFuture<'_, Result<Token, BoxError>>;
}

/// Speaks to one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Kubernetes {
    pub(crate) api: kube::Client,
    pub(crate) looks: Arc<Looks>,
    pub(crate) bundles: Arc<dyn Bundles>,
    pub(crate) vault: Arc<dyn Vault>,
}

impl Client for Kubernetes {
    type Place = Access;
}

/// A request may wait for an admission webhook, which has at most 30 seconds.
const ANSWER: Duration = Duration::from_secs(45);
/// A cluster that is away is told within the time of one look.
const CONNECT: Duration = Duration::from_secs(10);
/// Requests that may wait for their turn.
const AT_ONCE: usize = 1_024;
/// So much before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(60);

impl Kubernetes {
    /// A client for the cluster at `access`. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Connect`] where the address or the certificate cannot be read.
    pub fn new(access: &Access, tokens: impl Tokens) -> Result<Kubernetes, Error> {
        let config =
            config(access).map_err(|source| Error::Connect { place: access.name.clone(), source })?;
        let held = Arc::new(Held { tokens: Box::new(tokens), token: Mutex::default() });
        let authorize = move |request| Arc::clone(&held).authorize(request);
        let api = ClientBuilder::try_from(config)
            .map_err(|source| Error::Connect { place: access.name.clone(), source: Box::new(source) })?
            .with_layer(&BufferLayer::new(AT_ONCE))
            .with_layer(&AsyncFilterLayer::new(authorize))
            .build();
        let looks = Arc::new(Looks::new(api.clone()));
        Ok(Kubernetes { looks, bundles: Arc::new(Nowhere), vault: Arc::new(NoVault), api })
    }
}

impl Kubernetes {
    /// The definitions of custom resources come from `bundles`. Without, there are none.
    #[must_use]
    pub fn with_bundles(self, bundles: Arc<dyn Bundles>) -> Self {
        Kubernetes { bundles, ..self }
    }

    /// Values that are kept outside of the cluster come from `vault`. Without, there are none.
    #[must_use]
    pub fn with_vault(self, vault: Arc<dyn Vault>) -> Self {
        Kubernetes { vault, ..self }
    }

    /// The same, and changes nothing: whatever it sends, it asks for a dry run. Admission, validation, quotas and rights answer as
    /// they would, and nothing is stored.
    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>
    #[must_use]
    pub fn dry(self) -> Self {
        let api = self.api.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { api.send(dry(request)?).await.map_err(BoxError::from) }
        });
        let api = kube::Client::new(service, self.api.default_namespace());
        Kubernetes { looks: Arc::new(Looks::new(api.clone())), api, ..self }
    }

    /// The client itself, for what is not a resource.
    pub fn client(&self) -> kube::Client {
        self.api.clone()
    }
}

/// Speaks to the cluster that this program runs in, as its own service account; outside of one, to that of the kubeconfig.
///
/// # Errors
/// [`Error::Connect`] where there is neither.
pub async fn here() -> Result<kube::Client, Error> {
    let failed = |source: BoxError| Error::Connect { place: "the cluster that this runs in".into(), source };
    let mut config = Config::infer().await.map_err(|error| failed(error.into()))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    kube::Client::try_from(config).map_err(|error| failed(error.into()))
}

fn config(access: &Access) -> Result<Config, BoxError> {
    let mut config = Config::new(access.endpoint.get()?.parse::<Uri>()?);
    config.root_cert = Some(certificates(access.certificate_authority.get()?)?);
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    // The engine repeats.
    config.default_retry = false;
    Ok(config)
}

/// The certificates of PEM in Base64, as DER.
fn certificates(encoded: &str) -> Result<Vec<Vec<u8>>, BoxError> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let pem = STANDARD.decode(encoded.trim())?;
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&pem).map(|found| found.map(|der| der.to_vec())).collect();
    match found? {
        none if none.is_empty() => Err("the certificate authority holds no certificate in PEM".into()),
        some => Ok(some),
    }
}

/// A request that stores nothing.
fn dry(mut request: Request<Body>) -> Result<Request<Body>, BoxError> {
    if request.method() != Method::GET {
        let uri = request.uri();
        let asks = if uri.query().is_some_and(|query| !query.is_empty()) { '&' } else { '?' };
        *request.uri_mut() = format!("{}{asks}dryRun=All", uri.to_string().trim_end_matches('?')).parse()?;
    }
    Ok(request)
}

struct Held {
    tokens: Box<dyn Tokens>,
    token: Mutex<Option<Token>>,
}

impl Held {
    fn authorize(
        self: Arc<Self>,
        mut request: Request<Body>,
    ) -> BoxFuture<'static, Result<Request<Body>, BoxError>> {
        async move {
            let mut held = self.token.lock().await;
            let token = match held.take() {
                Some(token) if token.expires > SystemTime::now() + MARGIN => token,
                _ => self.tokens.token().await?,
            };
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.secret.expose()?))?;
            value.set_sensitive(true);
            *held = Some(token);
            drop(held);
            request.headers_mut().insert(AUTHORIZATION, value);
            Ok(request)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_something_is_a_dry_run() {
        let asked = |method: &str, uri: &str| {
            let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
            dry(request).unwrap().uri().to_string()
        };
        assert_eq!(asked("GET", "/api/v1/nodes?limit=1"), "/api/v1/nodes?limit=1");
        assert_eq!(
            asked("PATCH", "/api/v1/nodes/a?&fieldManager=b"),
            "/api/v1/nodes/a?&fieldManager=b&dryRun=All"
        );
        assert_eq!(asked("POST", "/api/v1/nodes?"), "/api/v1/nodes?dryRun=All");
        assert_eq!(asked("DELETE", "/api/v1/nodes/a"), "/api/v1/nodes/a?dryRun=All");
    }
}
