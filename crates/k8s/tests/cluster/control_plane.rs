//! One control plane for all tests, behind an EKS cluster of the sandbox.

use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_core::{Error, Registry, Secret};
use causeway_k8s::{
    Access, Kubernetes, Token, Tokens,
    crds::{Bundles, Folder},
};
use causeway_sandbox::{Sandbox, cache::Cache, kubernetes, shared};
use futures::future::BoxFuture;
use serde_json::Value as Json;
use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};
use tower::BoxError;

const ACCOUNT: &str = "000000000561";
const REGION: &str = "us-west-2";
const NAME: &str = "objects";
/// What a person would do with boto3.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sandbox/tests/kubernetes/cluster.py");

pub(crate) fn sandbox() -> &'static Sandbox {
    shared().unwrap_or_else(|e| panic!("{}", causeway_core::error::chain(e)))
}

pub(crate) fn by_boto3(arguments: &[&str]) -> Json {
    let (key, secret) = sandbox().credentials(ACCOUNT).unwrap();
    let output = Command::new(&sandbox().installed().python)
        .arg(SCRIPT)
        .args(arguments)
        .envs(sandbox().env())
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The cluster, made when it is first asked for, with two nodes and its maker as its administrator.
pub(crate) fn access() -> Access {
    static MADE: OnceLock<Access> = OnceLock::new();
    MADE.get_or_init(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let made = by_boto3(&["create", NAME]);
        by_boto3(&["enter", NAME, "AmazonEKSClusterAdminPolicy"]);
        by_boto3(&["nodes", NAME, "system", "2"]);
        Access {
            region: REGION.into(),
            name: NAME.into(),
            endpoint: made["endpoint"].as_str().unwrap().into(),
            certificate_authority: STANDARD.encode(made["authority"].as_str().unwrap()).into(),
        }
    })
    .clone()
}

/// Signed by boto3, as the AWS CLI does it.
struct Signed;

impl Tokens for Signed {
    fn token(&self) -> BoxFuture<'_, Result<Token, BoxError>> {
        Box::pin(async {
            let token = tokio::task::spawn_blocking(|| by_boto3(&["token", NAME])).await?;
            let expires = SystemTime::now() + Duration::from_secs(600);
            Ok(Token { secret: Secret::new(token.as_str().unwrap_or_default()), expires })
        })
    }
}

/// Where upstream's definitions of custom resources are.
pub(crate) fn definitions() -> PathBuf {
    kubernetes::definitions(&Cache::find().unwrap()).unwrap()
}

pub(crate) async fn connect(access: Access) -> Result<Kubernetes, Error> {
    let bundles: Arc<dyn Bundles> = Arc::new(Folder(definitions()));
    Ok(Kubernetes::new(&access, Signed)?.with_bundles(bundles))
}

pub(crate) fn registry() -> Registry {
    let mut registry = Registry::new();
    causeway_k8s::register(&mut registry, connect);
    registry
}

/// Account, region and name of the cluster.
pub(crate) fn where_it_is() -> (&'static str, &'static str, &'static str) {
    (ACCOUNT, REGION, NAME)
}

/// For what is done behind the engine's back.
pub(crate) fn api() -> kube::Client {
    Kubernetes::new(&access(), Signed).unwrap().client()
}
