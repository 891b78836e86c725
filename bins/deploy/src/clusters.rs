//! How clusters are reached: as whoever deploys, with a token that we sign ourselves.

use crate::{
    failure::{Code, Failure},
    internet,
    screen::Screen,
};
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use causeway_aws::{Aws, Call, Region, eks};
use causeway_config::File;
use causeway_core::{Error, Registry};
use causeway_k8s::{
    Access, Kubernetes, Token, Tokens, Vault,
    crds::{Bundles, Folder},
    lock::{DEFINITIONS, Lock},
};
use causeway_sandbox::{
    cache::Cache,
    install::Progress,
    kubernetes::{self, Version, install},
};
use futures::future::BoxFuture;
use std::{sync::Arc, time::SystemTime};

/// Adds what is inside clusters to what can be deployed. Without `bundles` there are no definitions to be had.
pub(crate) fn register(
    registry: &mut Registry,
    sdk: &SdkConfig,
    bundles: Option<Arc<dyn Bundles>>,
    vault: Arc<dyn Vault>,
) {
    let sdk = sdk.clone();
    causeway_k8s::register(registry, move |access: Access| {
        let kubernetes = connect(&sdk, &access);
        let (bundles, vault) = (bundles.clone(), Arc::clone(&vault));
        async move {
            let kubernetes = kubernetes?.with_vault(vault);
            Ok(match bundles {
                Some(bundles) => kubernetes.with_bundles(bundles),
                None => kubernetes,
            })
        }
    });
}

/// A client for a cluster, as whoever deploys.
///
/// # Errors
/// There are no credentials, or where it is cannot be read.
pub(crate) fn connect(sdk: &SdkConfig, access: &Access) -> Result<Kubernetes, Error> {
    let credentials = sdk.credentials_provider().ok_or_else(|| Error::Connect {
        place: access.name.clone(),
        source: "there are no credentials to enter it with".into(),
    })?;
    let caller = Caller { credentials, region: access.region.clone(), cluster: access.name.clone() };
    Kubernetes::new(access, caller)
}

/// The API of the cluster `name` in `region`, as whoever deploys.
///
/// # Errors
/// There is no such cluster, or no way there.
pub(crate) async fn enter(
    sdk: &SdkConfig,
    region: &str,
    name: &str,
) -> Result<causeway_k8s::Client, Failure> {
    let aws = Aws::new(sdk, &Region::new(region));
    let found = aws.eks.describe_cluster().name(name).send().await.call("eks:DescribeCluster")?.cluster;
    let none =
        || Failure::new(Code::Unavailable, format!("the cluster {name} in {region} has no address yet"));
    let cluster = found.ok_or_else(none)?;
    let authority = cluster.certificate_authority.and_then(|one| one.data).ok_or_else(none)?;
    let access = Access {
        region: region.to_owned(),
        name: name.to_owned(),
        endpoint: cluster.endpoint.ok_or_else(none)?.into(),
        certificate_authority: authority.into(),
    };
    Ok(connect(sdk, &access)?.client())
}

/// Whoever deploys, at the door of one cluster.
struct Caller {
    credentials: SharedCredentialsProvider,
    region: String,
    cluster: String,
}

impl Tokens for Caller {
    fn token(&self) -> BoxFuture<'_, Result<Token, Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async move {
            let credentials = self.credentials.provide_credentials().await?;
            let token = eks::token(&credentials, &self.region, &self.cluster, SystemTime::now())?;
            Ok(Token { secret: token.secret, expires: token.expires })
        })
    }
}

/// Where definitions of custom resources come from: `vendored`, or where they are published, or a mirror of that.
pub(crate) fn definitions(file: &File, vendored: Option<&str>) -> Result<Arc<dyn Bundles>, Failure> {
    if let Some(folder) = vendored {
        return Ok(Arc::new(Folder(file.folder().join(folder).join(DEFINITIONS))));
    }
    // What is wrong with the lock was told when the stack was made.
    let lock = Lock::beside(file.folder()).unwrap_or_default();
    Ok(Arc::new(internet::bundles(&internet::client()?, &lock)))
}

/// Says which images are named by tag only: what a tag means may change between the plan and the pods.
pub(crate) fn tell_tags(file: &File, screen: &Screen) {
    if file.config.eks.as_ref().is_none_or(|eks| eks.coder.is_none()) {
        return;
    }
    let by_tag = Lock::beside(file.folder()).unwrap_or_default().by_tag();
    if !by_tag.is_empty() {
        let names = by_tag.join(", ");
        screen.note(&format!("named by tag and not by digest, until `deploy update` pins them: {names}"));
    }
}

/// Installs what clusters of the sandbox need, where it is missing, and answers with the definitions of custom resources.
pub(crate) async fn of_sandbox(
    mut progress: impl FnMut(Progress<'_>) + Send + 'static,
) -> Result<Arc<dyn Bundles>, Failure> {
    let work = move || {
        let cache = Cache::find().ok_or(causeway_sandbox::Error::NoCache)?;
        install(&cache, Version::Newest, &mut progress).map_err(causeway_sandbox::Error::Install)?;
        kubernetes::definitions(&cache).map_err(causeway_sandbox::Error::Install)
    };
    let folder = tokio::task::spawn_blocking(work).await;
    let folder = folder.map_err(|e| Failure::new(Code::Bug, format!("the installation broke off: {e}")))?;
    Ok(Arc::new(Folder(folder?)))
}
