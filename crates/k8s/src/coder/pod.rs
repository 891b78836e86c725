//! What the server of Coder and its proxies have in common: one program, one way in.

use crate::{
    kept::{Keeper, Kept},
    objects::Objects,
    workload::{self, Nodes, Resources, Workload, container, http_probe, scratch},
};
use causeway_core::Value;
use k8s_openapi::{
    api::core::v1::{
        EnvVar, EnvVarSource, ObjectFieldSelector, Probe, SecretVolumeSource, Service, ServicePort,
        ServiceSpec, Volume, VolumeMount,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use std::collections::BTreeMap;

/// Where Coder's own image has its program.
pub(super) const PROGRAM: &str = "/opt/coder";
/// The user of Coder's own image.
pub(super) const USER: i64 = 1000;
/// Seconds that connections and builds have to end.
pub(super) const GRACE: i64 = 600;

const HTTP: i32 = 8080;
const HTTPS: i32 = 8443;
pub(super) const METRICS: i32 = 2112;
const CERTIFICATES: &str = "/etc/coder/tls";

/// The certificate that clients are shown.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The Secret that it is kept in, with `tls.crt` and `tls.key`.
    pub secret: String,
    /// Which certificate it is, where that is known, like the day that it ends: Coder reads it when it starts, so pods start
    /// anew with another one.
    pub revision: Option<Value<String>>,
}

impl Tls {
    /// For who looks at revisions.
    pub(super) fn kept(&self) -> Kept {
        Kept {
            secret: self.secret.clone(),
            key: "tls.crt".into(),
            from: Keeper::Others(self.revision.clone()),
        }
    }
}

/// The network load balancer in front.
/// <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/>
#[derive(Clone, Debug)]
pub struct LoadBalancer {
    /// Only for the network it is in, and those that are connected to it.
    pub internal: bool,
    /// Nobody deletes it by mistake, and so nobody does with the Service.
    pub deletion_protection: bool,
    /// Each of its addresses sends to the nodes of all zones.
    pub cross_zone: bool,
    /// From where it may be reached; from anywhere if empty.
    pub source_ranges: Vec<String>,
    /// What else the controller is to be told.
    pub annotations: BTreeMap<String, String>,
}
impl Default for LoadBalancer {
    fn default() -> Self {
        LoadBalancer {
            internal: false,
            deletion_protection: true,
            cross_zone: true,
            source_ranges: vec![],
            annotations: BTreeMap::new(),
        }
    }
}

impl LoadBalancer {
    fn annotations(&self) -> BTreeMap<String, String> {
        let scheme = if self.internal { "internal" } else { "internet-facing" };
        let attributes = format!(
            "deletion_protection.enabled={},load_balancing.cross_zone.enabled={}",
            self.deletion_protection, self.cross_zone
        );
        let own = [("nlb-target-type", "instance"), ("scheme", scheme), ("attributes", attributes.as_str())]
            .map(|(name, value)| {
                (format!("service.beta.kubernetes.io/aws-load-balancer-{name}"), value.to_owned())
            });
        let mut all = BTreeMap::from(own);
        all.extend(self.annotations.clone());
        all
    }

    /// Passes what comes in at 80, and with a certificate at 443, on to the pods of `work` as it is.
    pub(super) fn service(&self, work: &Workload, tls: bool) -> Service {
        let port = |name: &str, port: i32| ServicePort {
            name: Some(name.to_owned()),
            port,
            protocol: Some("TCP".into()),
            target_port: Some(IntOrString::String(name.to_owned())),
            ..ServicePort::default()
        };
        let ports = [Some(port("http", 80)), tls.then(|| port("https", 443))];
        Service {
            metadata: ObjectMeta { annotations: Some(self.annotations()), ..work.metadata() },
            spec: Some(ServiceSpec {
                type_: Some("LoadBalancer".into()),
                load_balancer_class: Some("service.k8s.aws/nlb".into()),
                load_balancer_source_ranges: Some(self.source_ranges.clone())
                    .filter(|ranges| !ranges.is_empty()),
                external_traffic_policy: Some("Cluster".into()),
                session_affinity: Some("None".into()),
                selector: Some(work.selector()),
                ports: Some(ports.into_iter().flatten().collect()),
                ..ServiceSpec::default()
            }),
            status: None,
        }
    }
}

/// The variables of a container, each once.
#[derive(Default)]
pub(crate) struct Environment(Vec<EnvVar>);

impl Environment {
    /// The later of two with one name counts.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.put(EnvVar { name: name.to_owned(), value: Some(value.to_string()), value_from: None })
    }

    pub(crate) fn kept(&mut self, name: &str, value: &Kept) -> &mut Self {
        self.put(value.variable(name))
    }

    pub(crate) fn put(&mut self, variable: EnvVar) -> &mut Self {
        self.0.retain(|other| other.name != variable.name);
        self.0.push(variable);
        self
    }

    pub(crate) fn list(self) -> Vec<EnvVar> {
        self.0
    }
}

/// One of Coder's programs that answers HTTP.
pub(super) struct Program<'a> {
    pub namespace: &'a str,
    pub image: &'a str,
    pub args: &'a [&'a str],
    pub replicas: i32,
    pub resources: Resources,
    pub nodes: &'a Nodes,
    pub tls: Option<&'a Tls>,
    pub metrics: bool,
}

impl Program<'_> {
    /// Its pods, with `environment` added to what they always have.
    pub(super) fn workload(&self, environment: Environment) -> Workload {
        let mut own = Environment::default();
        own.set("CODER_HTTP_ADDRESS", format!("0.0.0.0:{HTTP}"))
            .put(own_address())
            // By which replicas reach each other: who is connected to one is found through all.
            .set("CODER_DERP_SERVER_RELAY_URL", format!("http://$(KUBE_POD_IP):{HTTP}"));
        let mut ports = vec![("http", HTTP)];
        let (mut volumes, mut mounts) = writable();
        if let Some(tls) = self.tls {
            own.set("CODER_TLS_ENABLE", true)
                .set("CODER_TLS_ADDRESS", format!("0.0.0.0:{HTTPS}"))
                .set("CODER_TLS_CERT_FILE", format!("{CERTIFICATES}/tls.crt"))
                .set("CODER_TLS_KEY_FILE", format!("{CERTIFICATES}/tls.key"));
            ports.push(("https", HTTPS));
            let (volume, mount) = secret_files("tls", &tls.secret, CERTIFICATES);
            volumes.push(volume);
            mounts.push(mount);
        }
        if self.metrics {
            own.set("CODER_PROMETHEUS_ENABLE", true)
                .set("CODER_PROMETHEUS_ADDRESS", format!("0.0.0.0:{METRICS}"));
            ports.push(("prometheus-http", METRICS));
        }
        environment.list().into_iter().for_each(|variable| {
            own.put(variable);
        });
        let mut container = container("coder", self.image, self.resources);
        container.command = Some(vec![PROGRAM.into()]);
        container.args = Some(self.args.iter().map(|&arg| arg.to_owned()).collect());
        container.env = Some(own.list());
        container.ports = workload::ports(&ports);
        container.volume_mounts = Some(mounts);
        // The first start makes the tables of the database, which takes minutes.
        container.startup_probe =
            Some(Probe { failure_threshold: Some(60), ..http_probe("/healthz", "http", 0) });
        container.readiness_probe = Some(http_probe("/healthz", "http", 0));
        container.liveness_probe = Some(http_probe("/healthz", "http", 0));
        Workload {
            name: "coder".into(),
            namespace: self.namespace.to_owned(),
            part_of: "coder".into(),
            replicas: self.replicas,
            service_account: "coder".into(),
            container,
            init: vec![],
            volumes,
            nodes: self.nodes.clone(),
            grace_seconds: GRACE,
            priority_class: None,
            annotations: BTreeMap::new(),
            user: USER,
        }
    }
}

/// What Coder's programs write to: what they unpack, what Terraform fetches, and the work itself.
pub(super) fn writable() -> (Vec<Volume>, Vec<VolumeMount>) {
    [
        scratch("tmp", "/tmp", "4Gi"),
        scratch("cache", "/home/coder/.cache", "4Gi"),
        scratch("config", "/home/coder/.config", "64Mi"),
    ]
    .into_iter()
    .unzip()
}

/// The keys of a Secret as files in a folder.
pub(crate) fn secret_files(name: &str, secret: &str, path: &str) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}

fn own_address() -> EnvVar {
    let field = ObjectFieldSelector { field_path: "status.podIP".into(), ..ObjectFieldSelector::default() };
    EnvVar {
        name: "KUBE_POD_IP".into(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
    }
}

/// Adds the pods of `work` and what keeps enough of them, once all before is there.
pub(crate) fn run(
    objects: &mut Objects<'_>,
    work: &Workload,
) -> causeway_core::Handle<crate::Manifest<k8s_openapi::api::apps::v1::Deployment>> {
    objects.then();
    let deployment = objects.add("deployment", &work.deployment());
    keep_enough(objects, work);
    deployment
}

/// As [`run`], with pods whose names stay.
pub(crate) fn run_named(
    objects: &mut Objects<'_>,
    work: &Workload,
) -> causeway_core::Handle<crate::Manifest<k8s_openapi::api::apps::v1::StatefulSet>> {
    objects.then();
    let set = objects.add("stateful-set", &work.stateful_set());
    keep_enough(objects, work);
    set
}

fn keep_enough(objects: &mut Objects<'_>, work: &Workload) {
    if let Some(budget) = work.disruption_budget() {
        objects.add("disruption-budget", &budget);
    }
}
