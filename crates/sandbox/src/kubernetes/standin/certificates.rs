//! cert-manager: issuers are ready, certificates are issued by an authority of the sandbox, and its certificate is injected where
//! an annotation asks for it. No ACME server and no DNS is asked.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Behaviour, Stage, condition, is_due};
use crate::gateway::BoxError;
use crate::kubernetes::world::{
    API_SERVICES, CERTIFICATES, CLUSTER_ISSUERS, CRDS, ISSUERS, MUTATING, SECRETS, VALIDATING, each, has,
    path, texts,
};

const FROM: &str = "cert-manager.io/inject-ca-from";
const FROM_SECRET: &str = "cert-manager.io/inject-ca-from-secret";

pub(super) async fn pass(stage: &Stage, behaviour: Behaviour) -> Result<(), BoxError> {
    if stage.world.runs("cert-manager-controller") {
        for kind in [ISSUERS, CLUSTER_ISSUERS] {
            for issuer in stage.world.all(kind) {
                issuer_is_ready(stage, kind, &issuer, behaviour).await?;
            }
        }
        for certificate in stage.world.all(CERTIFICATES) {
            issue(stage, &certificate, behaviour).await?;
        }
    }
    if stage.world.runs("cert-manager-cainjector") {
        for (kind, at) in
            [(VALIDATING, "webhooks"), (MUTATING, "webhooks"), (CRDS, "crd"), (API_SERVICES, "service")]
        {
            for object in stage.world.all(kind) {
                inject(stage, kind, at, &object).await?;
            }
        }
    }
    Ok(())
}

async fn issuer_is_ready(
    stage: &Stage,
    kind: &str,
    issuer: &Value,
    behaviour: Behaviour,
) -> Result<(), BoxError> {
    if !is_due(issuer, behaviour) {
        return Ok(());
    }
    let conditions = match behaviour {
        Behaviour::Fails => {
            condition(issuer, "Ready", false, "ErrRegisterACMEAccount", "the sandbox was told to fail")
        }
        _ if issuer["spec"]["acme"].is_null() => condition(issuer, "Ready", true, "IsReady", ""),
        _ => condition(
            issuer,
            "Ready",
            true,
            "ACMEAccountRegistered",
            "The ACME account was registered with the ACME server",
        ),
    };
    if let Some(conditions) = conditions {
        stage.status(kind, issuer, json!({ "conditions": conditions })).await?;
    }
    Ok(())
}

async fn issue(stage: &Stage, certificate: &Value, behaviour: Behaviour) -> Result<(), BoxError> {
    let (meta, spec) = (&certificate["metadata"], &certificate["spec"]);
    let (Some(namespace), Some(secret)) = (meta["namespace"].as_str(), spec["secretName"].as_str()) else {
        return Ok(());
    };
    if !is_due(certificate, behaviour) {
        return Ok(());
    }
    let reference = &spec["issuerRef"];
    let name = reference["name"].as_str().unwrap_or_default();
    let issuer = match reference["kind"].as_str() {
        Some("ClusterIssuer") => stage.world.get(CLUSTER_ISSUERS, &format!("/{name}")),
        _ => stage.world.get(ISSUERS, &format!("{namespace}/{name}")),
    };
    let waits = match issuer {
        _ if behaviour == Behaviour::Fails => Some(("Failed", "the sandbox was told to fail".to_owned())),
        None => Some((
            "DoesNotExist",
            format!("Issuing certificate as Secret does not exist; the issuer {name} is not there"),
        )),
        Some(issuer) if !has(&issuer, "Ready", "True") => Some((
            "DoesNotExist",
            format!("Issuing certificate as Secret does not exist; the issuer {name} is not ready"),
        )),
        Some(_) => None,
    };
    if let Some((reason, message)) = waits {
        if let Some(conditions) = condition(certificate, "Ready", false, reason, &message) {
            stage.status(CERTIFICATES, certificate, json!({ "conditions": conditions })).await?;
        }
        return Ok(());
    }
    let names: Vec<String> = match texts(&spec["dnsNames"]).map(str::to_owned).collect::<Vec<_>>() {
        names if names.is_empty() => vec![spec["commonName"].as_str().unwrap_or(secret).to_owned()],
        names => names,
    };
    let known = stage.world.get(SECRETS, &format!("{namespace}/{secret}"));
    let for_names = names.join(",");
    let is_for =
        |secret: &Value| secret["metadata"]["annotations"]["cert-manager.io/alt-names"] == *for_names;
    if !known.is_some_and(|known| is_for(&known)) {
        let identity = stage.vouching.server(&names[0], &names)?;
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": secret, "namespace": namespace, "annotations": {
                "cert-manager.io/alt-names": for_names,
                "cert-manager.io/certificate-name": meta["name"],
                "cert-manager.io/issuer-name": name,
            } },
            "data": {
                "tls.crt": STANDARD.encode(&identity.certificate),
                "tls.key": STANDARD.encode(&identity.key),
                "ca.crt": STANDARD.encode(stage.vouching.certificate()),
            },
        });
        stage.client.apply(&format!("/api/v1/namespaces/{namespace}/secrets/{secret}"), &object).await?;
    }
    let message = "Certificate is up to date and has not expired";
    if let Some(conditions) = condition(certificate, "Ready", true, "Ready", message) {
        let at = |days: i64| {
            (Timestamp::now() + SignedDuration::from_hours(24 * days))
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string()
        };
        let status = json!({
            "conditions": conditions, "notBefore": at(0), "notAfter": at(90), "renewalTime": at(60), "revision": 1,
        });
        stage.status(CERTIFICATES, certificate, status).await?;
    }
    Ok(())
}

/// The CA that an object is to trust, in base64.
async fn wanted(stage: &Stage, object: &Value) -> Result<Option<String>, BoxError> {
    let annotation = |name: &str| object["metadata"]["annotations"][name].as_str();
    let of = |key: &str| {
        stage.world.get(SECRETS, key).and_then(|secret| secret["data"]["ca.crt"].as_str().map(str::to_owned))
    };
    if let Some(key) = annotation(FROM) {
        let certificate = stage.world.get(CERTIFICATES, key);
        let secret = certificate.and_then(|it| it["spec"]["secretName"].as_str().map(str::to_owned));
        let namespace = key.split('/').next().unwrap_or_default();
        return Ok(secret.and_then(|secret| of(&format!("{namespace}/{secret}"))));
    }
    let Some(key) = annotation(FROM_SECRET) else { return Ok(None) };
    // That of its own webhook, which makes it when it starts.
    if let (None, true, Some((namespace, name))) =
        (of(key), stage.world.runs("cert-manager-webhook"), key.split_once('/'))
    {
        let authority = STANDARD.encode(stage.vouching.certificate());
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": name, "namespace": namespace, "annotations": { "cert-manager.io/allow-direct-injection": "true" } },
            "data": { "ca.crt": authority, "tls.crt": authority },
        });
        stage.client.apply(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"), &object).await?;
    }
    Ok(of(key))
}

async fn inject(stage: &Stage, kind: &str, at: &str, object: &Value) -> Result<(), BoxError> {
    let Some(authority) = wanted(stage, object).await? else { return Ok(()) };
    let spec = &object["spec"];
    let change = match at {
        "webhooks" => {
            let mut webhooks: Vec<Value> = each(&object["webhooks"]).cloned().collect();
            if webhooks.iter().all(|webhook| webhook["clientConfig"]["caBundle"] == *authority) {
                return Ok(());
            }
            for webhook in &mut webhooks {
                webhook["clientConfig"]["caBundle"] = authority.clone().into();
            }
            json!({ "webhooks": webhooks })
        }
        "crd"
            if spec["conversion"]["webhook"]["clientConfig"].is_object()
                && spec["conversion"]["webhook"]["clientConfig"]["caBundle"] != *authority =>
        {
            json!({ "spec": { "conversion": { "webhook": { "clientConfig": { "caBundle": authority } } } } })
        }
        "service" if spec["caBundle"] != *authority => json!({ "spec": { "caBundle": authority } }),
        _ => return Ok(()),
    };
    stage.client.merge(&path(kind, object), &change).await?;
    Ok(())
}
