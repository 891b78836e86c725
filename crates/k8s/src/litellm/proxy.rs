//! The proxy: its pods, the way to them, and what they read.

use super::config::Config;
use crate::{
    Manifest,
    coder::{Environment, run, secret_files},
    kept::{Kept, keep},
    objects::Objects,
    platform::namespace::{self, Namespace, PodSecurity, Port},
    rbac::Account,
    workload::{Nodes, Resources, Workload, container, http_probe, ports, scratch},
};
use causeway_core::{Address, Handle, Stack, Value};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, ConfigMapVolumeSource, Container, Probe, Service, Volume, VolumeMount},
        networking::v1::{
            HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
            IngressServiceBackend, IngressSpec, ServiceBackendPort,
        },
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const NAME: &str = "litellm";
const PORT: i32 = 4000;
/// The user `nobody` of LiteLLM's image for those who do not run as root.
const USER: i64 = 65_534;
/// Where the configuration is, and the modules beside it.
const CONFIG: &str = "/etc/litellm";
/// Where the credentials of Vertex are. Not `/tmp`, which has to be written to.
const GOOGLE: &str = "/etc/google";
const GOOGLE_KEY: &str = "service_account.json";
const STRIP_HEADER: &str = include_str!("strip_header_middleware.py");
/// Of pods. A configuration is read once, at the start.
const CHECKSUM: &str = "causeway-deploy.github.io/config";

/// What people choose about the proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it runs. Made here.
    pub namespace: String,
    /// Its image: the one for those who do not run as root.
    pub image: String,
    /// How many pods.
    pub replicas: i32,
    /// Of each pod.
    pub resources: Resources,
    /// Where it runs.
    pub nodes: Nodes,
    /// What it is told.
    pub config: Config,
    /// The project of Google Cloud whose Vertex is asked, and the key of a service account there.
    pub vertex: Option<(String, Kept)>,
    /// The region of AWS that is asked where a model names none.
    pub region: String,
    /// The role of AWS that it asks Bedrock as.
    pub role_arn: Option<Value<String>>,
    /// The URL of its database.
    pub database: Kept,
    /// The host of its cache, which is spoken to over TLS only.
    pub redis_host: Value<String>,
    /// The port of its cache.
    pub redis_port: u16,
    /// The password of its cache.
    pub redis_password: Kept,
    /// Who has it may do everything.
    pub master_key: Kept,
    /// Encrypts what it keeps in its database. It cannot change.
    pub salt_key: Kept,
    /// The way in.
    pub entry: Entry,
    /// Any other variable. It counts more than what is set here.
    pub environment: BTreeMap<String, String>,
}

/// The application load balancer in front.
/// <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/>
#[derive(Clone, Debug)]
pub struct Entry {
    /// The class of its Ingress. Whoever makes the class decides which controller serves it.
    pub class: String,
    /// The name that it answers to.
    pub host: String,
    /// The certificate, by ARN; looked for by the name where it is not given.
    pub certificate_arn: Option<Value<String>>,
    /// Only for the network it is in, and those that are connected to it.
    pub internal: bool,
    /// From where it may be reached; from anywhere if empty.
    pub source_ranges: Vec<String>,
    /// What else the controller is to be told, like the firewall in front of it.
    pub annotations: BTreeMap<String, String>,
}

impl Settings {
    /// Four pods that are reached from inside only.
    pub fn new(image: &str, config: Config, needs: Needs) -> Self {
        Settings {
            namespace: NAME.into(),
            image: image.into(),
            replicas: 4,
            resources: Resources { cpu: ("250m", "2"), memory: ("512Mi", "4Gi"), storage: ("256Mi", "2Gi") },
            nodes: Nodes::default(),
            config,
            vertex: None,
            region: needs.region,
            role_arn: None,
            database: needs.database,
            redis_host: needs.redis_host,
            redis_port: 6379,
            redis_password: needs.redis_password,
            master_key: needs.master_key,
            salt_key: needs.salt_key,
            entry: Entry {
                class: "alb".into(),
                host: needs.host,
                certificate_arn: None,
                internal: true,
                source_ranges: vec![],
                annotations: BTreeMap::new(),
            },
            environment: BTreeMap::new(),
        }
    }
}

/// What has no default.
#[derive(Clone, Debug)]
pub struct Needs {
    /// As [`Settings::region`].
    pub region: String,
    /// As [`Settings::database`].
    pub database: Kept,
    /// As [`Settings::redis_host`].
    pub redis_host: Value<String>,
    /// As [`Settings::redis_password`].
    pub redis_password: Kept,
    /// As [`Settings::master_key`].
    pub master_key: Kept,
    /// As [`Settings::salt_key`].
    pub salt_key: Kept,
    /// As [`Entry::host`].
    pub host: String,
}

/// What others refer to.
pub struct LiteLlm {
    /// The way in: its address is the name that DNS points at. It needs the load balancer controller.
    pub ingress: Handle<Manifest<Ingress>>,
    /// The proxy answers once this is ready.
    pub deployment: Handle<Manifest<Deployment>>,
    /// The namespace and what belongs to it.
    pub namespace: Vec<Address>,
}

/// Adds the proxy.
pub fn add(stack: &mut Stack, settings: &Settings) -> LiteLlm {
    let namespace = Namespace {
        name: &settings.namespace,
        security: PodSecurity::Restricted,
        ingress: &[Port::Tcp(4000)],
        egress: &[Port::Tcp(443), Port::Tcp(5432), Port::Tcp(settings.redis_port)],
        quota: BTreeMap::new(),
    };
    let namespace = stack.scope("namespace", |stack| namespace::add(stack, &namespace));
    let files = files(settings);
    let mut work = workload(settings, &files);
    let account = Account::new(&settings.namespace, NAME);
    let mut objects = Objects::after(stack, namespace.clone());
    objects.add("service-account", &account.object(settings.role_arn.as_ref()));
    keep(&mut objects, &mut work, &secrets(settings));
    objects
        .add("config", &ConfigMap { metadata: work.metadata(), data: Some(files), ..ConfigMap::default() });
    objects.add("service", &service(&work));
    let deployment = run(&mut objects, &work);
    let ingress = objects.add("ingress", &ingress(&work, &settings.entry));
    LiteLlm { ingress, deployment, namespace }
}

fn secrets(settings: &Settings) -> Vec<&Kept> {
    let Settings { database, redis_password, master_key, salt_key, .. } = settings;
    let vertex = settings.vertex.iter().map(|(_, key)| key);
    [database, redis_password, master_key, salt_key].into_iter().chain(vertex).collect()
}

/// What is mounted beside each other.
fn files(settings: &Settings) -> BTreeMap<String, String> {
    let mut config = settings.config.clone();
    config.callbacks.push("strip_header_middleware.strip_header_callback".into());
    config.vertex = settings.vertex.as_ref().map(|(project, _)| super::config::Vertex {
        project: project.clone(),
        credentials: format!("{GOOGLE}/{GOOGLE_KEY}"),
    });
    BTreeMap::from([
        ("config.yaml".to_owned(), config.render()),
        ("strip_header_middleware.py".to_owned(), STRIP_HEADER.to_owned()),
    ])
}

fn workload(settings: &Settings, files: &BTreeMap<String, String>) -> Workload {
    let (mut volumes, mut mounts): (Vec<_>, Vec<_>) =
        [scratch("tmp", "/tmp", "1Gi"), scratch("home", "/home/litellm", "512Mi")].into_iter().unzip();
    volumes.push(Volume {
        name: "config".into(),
        config_map: Some(ConfigMapVolumeSource { name: NAME.into(), ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    });
    mounts.push(VolumeMount {
        name: "config".into(),
        mount_path: CONFIG.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    if let Some((_, key)) = &settings.vertex {
        let (mut volume, mount) = secret_files("google", &key.secret, GOOGLE);
        if let Some(secret) = &mut volume.secret {
            secret.items = Some(vec![k8s_openapi::api::core::v1::KeyToPath {
                key: key.key.clone(),
                path: GOOGLE_KEY.into(),
                mode: None,
            }]);
        }
        volumes.push(volume);
        mounts.push(mount);
    }
    let mut digest = Sha256::new();
    for (name, text) in files {
        digest.update(name);
        digest.update([0]);
        digest.update(text);
        digest.update([0]);
    }
    Workload {
        name: NAME.into(),
        namespace: settings.namespace.clone(),
        part_of: NAME.into(),
        replicas: settings.replicas,
        service_account: NAME.into(),
        container: Container {
            command: Some(vec!["litellm".into()]),
            args: Some(["--port", "4000", "--config", "/etc/litellm/config.yaml"].map(str::to_owned).into()),
            env: Some(environment(settings).list()),
            ports: ports(&[("http", PORT)]),
            volume_mounts: Some(mounts),
            // The first start makes the tables of the database, which takes minutes.
            startup_probe: Some(Probe {
                failure_threshold: Some(60),
                ..http_probe("/health/liveliness", "http", 0)
            }),
            liveness_probe: Some(http_probe("/health/liveliness", "http", 0)),
            readiness_probe: Some(http_probe("/health/readiness", "http", 0)),
            ..container(NAME, &settings.image, settings.resources)
        },
        init: vec![],
        volumes,
        nodes: settings.nodes.clone(),
        // A request may take 45 seconds, and is repeated twice.
        grace_seconds: 150,
        priority_class: None,
        annotations: BTreeMap::from([(CHECKSUM.into(), hex::encode(&digest.finalize()[..16]))]),
        user: USER,
    }
}

fn environment(settings: &Settings) -> Environment {
    let mut all = Environment::default();
    all.set("AWS_REGION_NAME", &settings.region)
        .set("DOCS_URL", "/swagger")
        .set("LITELLM_LOG", "ERROR")
        .set("LITELLM_MODE", "PRODUCTION")
        // Read-only, so nothing is compiled or unpacked beside the program.
        .set("PYTHONDONTWRITEBYTECODE", 1)
        .set("HOME", "/home/litellm")
        .set("LITELLM_MIGRATION_DIR", "/tmp/migrations")
        .set("REDIS_HOST", settings.redis_host.inline())
        .set("REDIS_PORT", settings.redis_port)
        .set("REDIS_SSL", "True")
        .kept("REDIS_PASSWORD", &settings.redis_password)
        .kept("DATABASE_URL", &settings.database)
        .kept("LITELLM_MASTER_KEY", &settings.master_key)
        .kept("LITELLM_SALT_KEY", &settings.salt_key);
    for (name, value) in &settings.environment {
        all.set(name, value);
    }
    all
}

/// At a port of every node, which is where the load balancer finds it.
fn service(work: &Workload) -> Service {
    let mut service = work.service(&[("http", 80)]);
    if let Some(spec) = &mut service.spec {
        spec.type_ = Some("NodePort".into());
    }
    service
}

fn ingress(work: &Workload, entry: &Entry) -> Ingress {
    let scheme = if entry.internal { "internal" } else { "internet-facing" };
    let mut annotations = BTreeMap::from(
        [
            ("scheme", scheme),
            ("target-type", "instance"),
            ("listen-ports", r#"[{"HTTPS":443}]"#),
            ("ssl-policy", "ELBSecurityPolicy-TLS13-1-2-2021-06"),
            ("healthcheck-path", "/health/liveliness"),
            ("unhealthy-threshold-count", "3"),
        ]
        .map(|(name, value)| (format!("alb.ingress.kubernetes.io/{name}"), value.to_owned())),
    );
    if let Some(arn) = &entry.certificate_arn {
        annotations.insert("alb.ingress.kubernetes.io/certificate-arn".into(), arn.inline());
    }
    if !entry.source_ranges.is_empty() {
        let ranges = entry.source_ranges.join(",");
        annotations.insert("alb.ingress.kubernetes.io/inbound-cidrs".into(), ranges);
    }
    annotations.extend(entry.annotations.clone());
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: work.name.clone(),
            port: Some(ServiceBackendPort { name: Some("http".into()), number: None }),
        }),
        resource: None,
    };
    let path = HTTPIngressPath { path: Some("/".into()), path_type: "Prefix".into(), backend };
    Ingress {
        metadata: ObjectMeta { annotations: Some(annotations), ..work.metadata() },
        spec: Some(IngressSpec {
            ingress_class_name: Some(entry.class.clone()),
            rules: Some(vec![IngressRule {
                host: Some(entry.host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            ..IngressSpec::default()
        }),
        status: None,
    }
}
