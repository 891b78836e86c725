//! Let's Encrypt, for trying out and for good, and the certificates that are asked from it.

use super::{NAMESPACE, ROUTE53_ACCOUNT, Settings};
use crate::{
    Manifest,
    custom::{
        Acme, Certificate, CertificateSpec, Cloudflare, ClusterIssuer, Dns01, IssuerRef, IssuerSpec,
        KubernetesAuth, PrivateKey, Route53, Route53Auth, SecretKey, ServiceAccountRef, Solver as Solves,
        SolverSelector,
    },
    kept::Keeper,
    objects::Objects,
    rbac::named,
};
use causeway_core::Value;
use k8s_openapi::api::core::v1::Secret as Object;
use serde_json::json;

/// The issuer of certificates that browsers trust. Let's Encrypt counts them.
pub const PRODUCTION: &str = "letsencrypt";
/// The issuer of certificates that nobody trusts, to try out with.
pub const STAGING: &str = "letsencrypt-staging";

const SERVERS: [(&str, &str); 2] = [
    (PRODUCTION, "https://acme-v02.api.letsencrypt.org/directory"),
    (STAGING, "https://acme-staging-v02.api.letsencrypt.org/directory"),
];

const TOKEN: (&str, &str) = ("cloudflare-token", "token.key");

/// How names are proved to be ours: by a record in their zone.
#[derive(Clone, Debug)]
pub enum Solver {
    /// Zones at Cloudflare.
    Cloudflare {
        /// Their names, with all that is in them. For all names where there are none.
        zones: Vec<String>,
    },
    /// Zones of Route 53.
    Route53 {
        /// Their names, with all that is in them. For all names where there are none.
        zones: Vec<String>,
        /// The region whose API is spoken to.
        region: String,
        /// May edit the zones; taken on by the service account [`ROUTE53_ACCOUNT`].
        role_arn: Value<String>,
        /// The zone; looked up by name where it is not given.
        hosted_zone_id: Option<Value<String>>,
    },
}

impl Solver {
    fn spec(&self) -> Solves {
        let (zones, dns01) = match self {
            Solver::Cloudflare { zones } => {
                let token = SecretKey { name: TOKEN.0.into(), key: Some(TOKEN.1.into()) };
                (zones, Dns01 { cloudflare: Some(Cloudflare { api_token_secret_ref: token }), route53: None })
            }
            Solver::Route53 { zones, region, role_arn, hosted_zone_id } => {
                let account = ServiceAccountRef { name: ROUTE53_ACCOUNT.into() };
                let route53 = Route53 {
                    region: region.clone(),
                    hosted_zone_id: hosted_zone_id.as_ref().map(Value::inline),
                    role: Some(role_arn.inline()),
                    auth: Some(Route53Auth { kubernetes: KubernetesAuth { service_account_ref: account } }),
                };
                (zones, Dns01 { route53: Some(route53), cloudflare: None })
            }
        };
        let selector = (!zones.is_empty()).then(|| SolverSelector { dns_zones: zones.clone() });
        Solves { selector, dns01: Some(dns01) }
    }
}

/// What the solvers prove themselves with at Cloudflare.
pub(super) fn credentials(objects: &mut Objects<'_>, token: &Keeper) {
    let Some(token) = token.data() else { return };
    let object = Object {
        metadata: named(Some(NAMESPACE), TOKEN.0),
        type_: Some("Opaque".into()),
        ..Object::default()
    };
    let mut manifest = Manifest::new(&object);
    manifest.object["data"] = json!({ TOKEN.1: token });
    objects.put(TOKEN.0, manifest);
}

/// Both issuers.
pub(super) fn add(objects: &mut Objects<'_>, settings: &Settings) {
    if settings.solvers.is_empty() {
        return;
    }
    for (name, server) in SERVERS {
        let acme = Acme {
            server: server.into(),
            email: Some(settings.email.clone()),
            private_key_secret_ref: SecretKey { name: format!("{name}-account"), key: None },
            solvers: settings.solvers.iter().map(Solver::spec).collect(),
        };
        let issuer = ClusterIssuer {
            metadata: named(None, name),
            spec: IssuerSpec { acme: Some(acme), ..IssuerSpec::default() },
        };
        objects.add(&format!("issuer-{name}"), &issuer);
    }
}

/// A certificate for `hosts`, like a host and its wildcard, kept in the Secret `name` and renewed 30 days before its end.
/// The first host is the name in its subject.
pub fn certificate(namespace: &str, name: &str, issuer: &str, hosts: &[&str]) -> Certificate {
    Certificate {
        metadata: named(Some(namespace), name),
        spec: CertificateSpec {
            secret_name: name.to_owned(),
            issuer_ref: IssuerRef {
                name: issuer.to_owned(),
                kind: "ClusterIssuer".into(),
                group: Some("cert-manager.io".into()),
            },
            // A subject holds 64 characters; names count by the list anyway.
            common_name: hosts.first().filter(|host| host.len() <= 64).map(|&host| host.to_owned()),
            dns_names: hosts.iter().map(|&host| host.to_owned()).collect(),
            duration: Some("2160h".into()),
            renew_before: Some("720h".into()),
            private_key: Some(PrivateKey {
                algorithm: Some("RSA".into()),
                size: Some(4_096),
                rotation_policy: Some("Always".into()),
            }),
        },
    }
}
