//! Values that pods get from Secrets, and how pods come to know that one has changed.

use crate::{Manifest, Stored, objects::Objects, workload::Workload};
use causeway_core::{Secret, Value};
use k8s_openapi::{
    api::core::v1::{self, EnvVar, EnvVarSource, SecretKeySelector},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Of pods. What changes here starts new ones: they read their secrets when they start.
const REVISION: &str = "causeway-deploy.github.io/secrets";

/// A value in a Secret.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The Secret, in the namespace of the pods.
    pub secret: String,
    /// The key in it.
    pub key: String,
    /// Who puts it there.
    pub from: Keeper,
}

/// Who puts a value into a Secret.
#[derive(Clone, Debug)]
pub enum Keeper {
    /// We do: this is it.
    Us(Secret),
    /// We do, from where it is kept.
    Vault(Stored),
    /// Somebody else: another part of the stack, or people. Where it is known which revision of the value there is, pods
    /// start anew with each.
    Others(Option<Value<String>>),
}

impl Kept {
    /// A value that we put into a Secret.
    pub fn given(secret: &str, key: &str, value: Secret) -> Self {
        Kept { secret: secret.into(), key: key.into(), from: Keeper::Us(value) }
    }

    /// A value that we put into a Secret from where it is kept.
    pub fn stored(secret: &str, key: &str, value: Stored) -> Self {
        Kept { secret: secret.into(), key: key.into(), from: Keeper::Vault(value) }
    }

    /// A value that somebody else puts into a Secret.
    pub fn elsewhere(secret: &str, key: &str) -> Self {
        Kept { secret: secret.into(), key: key.into(), from: Keeper::Others(None) }
    }

    /// The variable `name` of a container.
    pub(crate) fn variable(&self, name: &str) -> EnvVar {
        let secret_key_ref = SecretKeySelector {
            name: self.secret.clone(),
            key: self.key.clone(),
            ..SecretKeySelector::default()
        };
        EnvVar {
            name: name.to_owned(),
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(secret_key_ref),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        }
    }
}

/// Adds the Secrets that are ours, and has the pods of `work` start anew when a value changes.
pub(crate) fn keep(objects: &mut Objects<'_>, work: &mut Workload, all: &[&Kept]) {
    let mut ours: BTreeMap<&str, BTreeMap<&str, Json>> = BTreeMap::new();
    for kept in all {
        if let Some(data) = kept.from.data() {
            ours.entry(&kept.secret).or_default().insert(&kept.key, data);
        }
    }
    for (name, data) in ours {
        let object = v1::Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..work.metadata() },
            type_: Some("Opaque".into()),
            ..v1::Secret::default()
        };
        let mut manifest = Manifest::new(&object);
        manifest.object["data"] = json!(data);
        objects.put(&format!("secret-{name}"), manifest);
    }
    let revision = revision(all);
    if !revision.is_empty() {
        work.annotations.insert(REVISION.into(), revision);
    }
}

impl Keeper {
    /// What stands in the data of a Secret, where we put it there.
    pub(crate) fn data(&self) -> Option<Json> {
        match self {
            Keeper::Us(value) => Some(json!(value)),
            Keeper::Vault(value) => Some(value.placeholder()),
            Keeper::Others(_) => None,
        }
    }
}

/// One digest of all given values together: a single one that can be guessed is not found by it beside one that cannot. And
/// the revisions of the others.
fn revision(all: &[&Kept]) -> String {
    let mut given = BTreeMap::new();
    let mut parts = vec![];
    for kept in all {
        match &kept.from {
            Keeper::Us(value) => {
                given.insert((&kept.secret, &kept.key), value.expose().unwrap_or_default());
            }
            Keeper::Vault(Stored { version, .. }) | Keeper::Others(version) => {
                parts.extend(version.as_ref().map(Value::inline));
            }
        }
    }
    if !given.is_empty() {
        let mut digest = Sha256::new();
        for ((secret, key), plain) in given {
            digest.update(Json::from(vec![secret.as_str(), key, plain]).to_string());
        }
        parts.insert(0, hex::encode(&digest.finalize()[..16]));
    }
    parts.dedup();
    parts.join(" ")
}
