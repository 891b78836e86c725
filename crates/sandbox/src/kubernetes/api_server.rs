//! An API server without a cluster: nothing runs beside it, so what it is given it only checks and keeps.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::authority::Authority;
use super::kubeconfig::kubeconfig;
use super::programs::{self, Server, Spec};
use super::{Kubernetes, Version};
use crate::Error;
use crate::gateway::BoxError;
use crate::supervise::Process;

/// A running API server of some version, to try manifests on. It ends when it is dropped.
pub struct ApiServer {
    url: String,
    kubeconfig: PathBuf,
    _process: Process,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Its address, like `https://127.0.0.1:40001`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file with which clients reach it as its administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(super) async fn start(kubernetes: &Kubernetes, version: Version) -> Result<ApiServer, Error> {
        let number = kubernetes.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("alone-{}-{number}", version.number());
        let failed = |source: BoxError| Error::Cluster { act: "start", name: id.clone(), source };
        let shared = &kubernetes.shared;
        let programs = shared.programs(version).await?;
        let etcd = shared.etcd(&programs).await?;
        let authority = Authority::new("kubernetes").map_err(|error| failed(error.into()))?;
        let folder = shared.folder().join(&id);
        let spec = Spec {
            id: &id,
            authority: &authority,
            folder: &folder,
            issuer: "https://kubernetes.default.svc",
            review: None,
            tunnel: None,
            // Nobody makes the accounts that pods would have.
            alone: true,
        };
        let Server { process, address, .. } =
            programs::api_server(&shared.ground, &programs, etcd, &spec).await?;
        let admin = authority.client("admin", Some("system:masters")).map_err(|e| failed(e.into()))?;
        let url = format!("https://{address}");
        let text = kubeconfig(&id, &url, authority.certificate(), &admin);
        let kubeconfig =
            programs::write(folder.join("kubeconfig"), &text).map_err(|error| failed(error.into()))?;
        Ok(ApiServer { url, kubeconfig, _process: process })
    }
}
