//! cert-manager: certificates from an authority that is asked over ACME.
//! <https://cert-manager.io/docs/reference/api-docs/>

use super::{custom_resource, spec};

custom_resource! {
    /// Whom certificates of one namespace are asked from.
    Issuer { "cert-manager.io" / "v1", "issuers", NamespaceResourceScope, IssuerSpec }
}
custom_resource! {
    /// Whom certificates of all namespaces are asked from.
    ClusterIssuer { "cert-manager.io" / "v1", "clusterissuers", ClusterResourceScope, IssuerSpec }
}
custom_resource! {
    /// A certificate that is kept in a Secret and renewed in time.
    Certificate { "cert-manager.io" / "v1", "certificates", NamespaceResourceScope, CertificateSpec }
}

spec! {
    /// One of the ways to get certificates.
    struct IssuerSpec {
        /// From an authority that speaks ACME, like Let's Encrypt.
        acme: Option<Acme>,
        /// From themselves.
        self_signed: Option<SelfSigned>,
    }
    /// No settings.
    struct SelfSigned {}
    /// An authority that speaks ACME.
    struct Acme {
        /// The directory of the authority.
        server: String,
        /// Who is told when a certificate is about to end.
        email: Option<String>,
        /// The Secret that keeps the key of the account.
        private_key_secret_ref: SecretKey,
        /// How names are proved to be ours.
        solvers: Vec<Solver>,
    }
    /// How names are proved to be ours.
    struct Solver {
        /// For these names; for all where there are none.
        selector: Option<SolverSelector>,
        /// By a TXT record, which also goes for wildcards.
        dns01: Option<Dns01>,
    }
    /// Which names a solver is for.
    struct SolverSelector {
        /// The zones, with all that is in them.
        dns_zones: Vec<String>,
    }
    /// Who keeps the TXT record.
    struct Dns01 {
        /// Cloudflare.
        cloudflare: Option<Cloudflare>,
        /// Route 53.
        route53: Option<Route53>,
    }
    /// A zone at Cloudflare.
    struct Cloudflare {
        /// A token that may edit the zone.
        api_token_secret_ref: SecretKey,
    }
    /// A zone of Route 53.
    struct Route53 {
        /// The region of its API.
        region: String,
        /// The zone; looked up by name where it is not given.
        #[serde(rename = "hostedZoneID")]
        hosted_zone_id: Option<String>,
        /// The role that may change it.
        role: Option<String>,
        /// Who takes on the role.
        auth: Option<Route53Auth>,
    }
    /// Who takes on a role of AWS.
    struct Route53Auth {
        /// A service account.
        kubernetes: KubernetesAuth,
    }
    /// Somebody in the cluster.
    struct KubernetesAuth {
        /// A service account, whose token is asked for.
        service_account_ref: ServiceAccountRef,
    }
    /// A service account beside cert-manager.
    struct ServiceAccountRef {
        /// Its name.
        name: String,
    }
    /// A key in a Secret.
    struct SecretKey {
        /// The Secret.
        name: String,
        /// The key in it.
        key: Option<String>,
    }
    /// What is wanted of a certificate.
    struct CertificateSpec {
        /// The Secret that it is kept in.
        secret_name: String,
        /// Whom it is asked from.
        issuer_ref: IssuerRef,
        /// The name in its subject.
        common_name: Option<String>,
        /// All names that it is for.
        dns_names: Vec<String>,
        /// How long it lasts, like `2160h`.
        duration: Option<String>,
        /// How long before its end it is renewed, like `720h`.
        renew_before: Option<String>,
        /// Its key.
        private_key: Option<PrivateKey>,
    }
    /// An issuer.
    struct IssuerRef {
        /// Its name.
        name: String,
        /// `Issuer` or `ClusterIssuer`.
        kind: String,
        /// `cert-manager.io`
        group: Option<String>,
    }
    /// The key of a certificate.
    struct PrivateKey {
        /// `RSA`, `ECDSA` or `Ed25519`.
        algorithm: Option<String>,
        /// In bits.
        size: Option<i64>,
        /// `Always`: each renewal has a new one.
        rotation_policy: Option<String>,
    }
}
