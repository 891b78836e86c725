//! Controllers' own programs, as processes where no pod's program runs: with the service account, the arguments and the Secrets
//! that their Deployment gives them, so that manifests are tried on what reads them.
//!
//! They are built with Go when somebody first asks for them. The modules with the main functions of cert-manager cannot be had
//! from the proxy, so its packages are put together by a main function of ours, `kubernetes/cert-manager/main.go`. The load
//! balancer controller is a module without versions; the newest release of it whose commit other modules name is taken.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::world::{each, is_of, texts};
use super::{Cluster, Inner, kubeconfig, programs};
use crate::Error;
use crate::cache::Cache;
use crate::gateway::{BoxError, lock};
use crate::go::{self, Part};
use crate::install::{self, Progress};
use crate::supervise;

/// The version of cert-manager.
pub const CERT_MANAGER: &str = "1.18.2";
/// The version of the AWS load balancer controller.
pub const LOAD_BALANCER_CONTROLLER: &str = "2.8.2";

const CERTIFICATES: Part = Part {
    // The number changes with `main.go`.
    name: "cert-manager-1",
    version: CERT_MANAGER,
    module: include_str!("../../kubernetes/cert-manager/go.mod"),
    sums: include_str!("../../kubernetes/cert-manager/go.sum"),
    main: Some(include_str!("../../kubernetes/cert-manager/main.go")),
    stamps: &["github.com/cert-manager/cert-manager/pkg/util.AppVersion=v"],
    numbers: None,
    renames: &[("causeway", "cert-manager")],
    programs: &["cert-manager"],
    step: "compile cert-manager (about five minutes, once)",
};

const LOAD_BALANCERS: Part = Part {
    name: "load-balancer-controller",
    version: LOAD_BALANCER_CONTROLLER,
    module: include_str!("../../kubernetes/load-balancer-controller/go.mod"),
    sums: include_str!("../../kubernetes/load-balancer-controller/go.sum"),
    main: None,
    stamps: &["sigs.k8s.io/aws-load-balancer-controller/pkg/version.GitVersion=v"],
    numbers: None,
    renames: &[],
    programs: &["aws-load-balancer-controller"],
    step: "compile the AWS load balancer controller (about five minutes, once)",
};

/// The programs of controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controllers {
    /// cert-manager: the first argument is `controller`, `webhook` or `cainjector`.
    pub cert_manager: PathBuf,
    /// The AWS load balancer controller.
    pub load_balancers: PathBuf,
}

/// Builds them if they are not there, and returns where they are. Blocks: about ten minutes, milliseconds when they are there.
///
/// # Errors
///
/// [`install::Error`]: there is no Go, or one that is too old, or a build failed.
pub fn controllers(
    cache: &Cache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Controllers, install::Error> {
    let parts = [&CERTIFICATES, &LOAD_BALANCERS];
    if parts.iter().any(|part| !part.is_built(cache)) {
        go::build(cache, &parts, progress)?;
    }
    let program = |part: &Part| part.folder(cache).join(part.programs[0]);
    Ok(Controllers { cert_manager: program(&CERTIFICATES), load_balancers: program(&LOAD_BALANCERS) })
}

/// What runs for the pods of a Deployment.
pub struct Program<'a> {
    /// The Deployment, with one container and one replica or more.
    pub deployment: (&'a str, &'a str),
    /// The program itself.
    pub command: &'a Path,
    /// Arguments before those of the Deployment.
    pub first: &'a [&'a str],
    /// Arguments after those of the Deployment, by a port of 127.0.0.1 that is free for its webhooks, and the folder in which
    /// the Secrets are that it mounts. `--kubeconfig` is among the arguments already.
    pub more: &'a (dyn Fn(u16, &Path) -> Vec<String> + Sync),
    /// All of its environment.
    pub environment: &'a [(&'static str, String)],
}

impl std::fmt::Debug for Program<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Runs a program for the pods of a Deployment, until the cluster ends: as their service account, with the arguments and
    /// Secrets of their container. Connections of the API server to the pods reach it. Its log is called `NAMESPACE-NAME`
    /// ([`Sandbox::logs`](crate::Sandbox::logs)).
    ///
    /// # Errors
    ///
    /// [`Error`]: there is no such Deployment, account or Secret, or the program does not start.
    pub async fn run(&self, program: &Program<'_>) -> Result<(), Error> {
        let (namespace, name) = program.deployment;
        let failed =
            |source| Error::Cluster { act: "run a program in", name: format!("{namespace}/{name}"), source };
        self.start_program(program).await.map_err(failed)
    }

    async fn start_program(&self, program: &Program<'_>) -> Result<(), BoxError> {
        let (namespace, name) = program.deployment;
        let client = &self.0.running().await?.client;
        let of = |kind: &str, name: &str| format!("{kind}/namespaces/{namespace}/{name}");
        let there = client.get(&of("/apis/apps/v1", &format!("deployments/{name}"))).await?;
        let pod = &there.ok_or("there is no such Deployment")?["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let image = container["image"].as_str().ok_or("its container has no image")?;

        let folder = self.0.folder.join("programs").join(format!("{namespace}-{name}"));
        programs::private_folder(&folder)?;
        let account = pod["serviceAccountName"].as_str().unwrap_or("default");
        let asked = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "expirationSeconds": 86_400 } });
        let told = client.create(&of("/api/v1", &format!("serviceaccounts/{account}/token")), &asked).await?;
        let token = told["status"]["token"].as_str().ok_or("there is no token in the answer")?;
        let file = kubeconfig::by_token(name, &self.url(), self.certificate_authority(), token);
        let file = programs::write(folder.join("kubeconfig"), &file)?;
        for (mount, secret) in mounts(pod) {
            let secret = client.get(&of("/api/v1", &format!("secrets/{secret}"))).await?;
            let to = folder.join(mount.trim_start_matches('/'));
            fs::create_dir_all(&to)?;
            for (key, value) in
                secret.as_ref().and_then(|secret| secret["data"].as_object()).into_iter().flatten()
            {
                let value = STANDARD.decode(value.as_str().unwrap_or_default())?;
                programs::write(to.join(key), &String::from_utf8(value)?)?;
            }
        }

        let address = supervise::free_address()?;
        let mut arguments: Vec<String> = program.first.iter().map(|&text| text.to_owned()).collect();
        arguments.extend(texts(&container["args"]).map(|text| text.replace("$(POD_NAMESPACE)", namespace)));
        arguments.push(format!("--kubeconfig={}", file.display()));
        arguments.extend((program.more)(address.port(), &folder));
        let environment = program.environment.iter();
        let name = format!("{namespace}-{name}");
        let ground = &self.0.shared.ground;
        let process = ground.spawn(&supervise::Program {
            log: ground.log(&name),
            name,
            command: program.command.to_owned(),
            arguments: arguments.into_iter().map(OsString::from).collect(),
            environment: environment.map(|(name, value)| (*name, OsString::from(value))).collect(),
            user: None,
            signal: "TERM",
            grace: Duration::from_secs(2),
        })?;
        self.0.processes.add(process);
        let mut programs = lock(&self.0.programs);
        programs.insert(image.to_owned(), address);
        Ok(())
    }
}

impl Inner {
    /// Where the program is that runs for a pod.
    pub(super) fn program_of(&self, pod: &Value) -> Option<SocketAddr> {
        let programs = lock(&self.programs);
        programs.iter().find(|(image, _)| is_of(pod, image)).map(|(_, address)| *address)
    }
}

/// Where its first container has Secrets, and their names.
fn mounts(pod: &Value) -> impl Iterator<Item = (&str, &str)> {
    each(&pod["containers"][0]["volumeMounts"]).filter_map(|mount| {
        let volume = each(&pod["volumes"]).find(|volume| volume["name"] == mount["name"])?;
        Some((mount["mountPath"].as_str()?, volume["secret"]["secretName"].as_str()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_name_the_versions_that_we_say() {
        assert!(
            CERTIFICATES.module.contains(&format!("github.com/cert-manager/cert-manager v{CERT_MANAGER}\n"))
        );
        // The commit of v2.8.2.
        assert!(
            LOAD_BALANCERS
                .module
                .contains("aws-load-balancer-controller v0.0.0-20240809195826-f39ae43121c3 ")
        );
    }

    #[test]
    fn secrets_are_where_the_container_has_them() {
        let pod = json!({
            "containers": [{ "volumeMounts": [{ "name": "cert", "mountPath": "/certs" }, { "name": "tmp", "mountPath": "/tmp" }] }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }, { "name": "cert", "secret": { "secretName": "tls" } }],
        });
        assert_eq!(mounts(&pod).collect::<Vec<_>>(), [("/certs", "tls")]);
    }
}
