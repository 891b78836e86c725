//! Any object, by server-side apply with one field manager.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use crate::{
    Kubernetes,
    balanced::{is_protected, unprotected},
    call::{Call, caused},
    looks::api_of,
    noun::{Noun, Scope},
    rollout,
    shown::{Owned, shown},
    vault::{STORED, filled},
};
use causeway_core::{
    Class, Cx, Error, Live, Owner, Recovery, Resource, Secret, Tags, Timing, diff::Diff, error::Found,
    outputs, value::lifted,
};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::marker::PhantomData;

/// Who sets our fields.
pub const MANAGER: &str = "causeway";
/// The label with the name of the stack.
pub const STACK: &str = "causeway-deploy.github.io/stack";
const ADDRESS: &str = "causeway-deploy.github.io/address";
const INSTANCE: &str = "causeway-deploy.github.io/instance";
/// The annotation that says what was applied last, by its digest.
const APPLIED: &str = "causeway-deploy.github.io/applied";

/// One object of the kind `K`, with only the fields that we set.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Manifest<K: Noun> {
    /// Where kinds have namespaces, the one that it lives in.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Unique in its kind and namespace.
    pub name: String,
    /// All the rest of it.
    pub object: Json,
    /// Whose it is, as annotations; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

outputs! {
    /// What an object tells others.
    pub struct ManifestOutputs => ManifestRefs {
        /// Of this object and no other, also when it is made again by the same name.
        pub uid: String,
        /// Where a Service or an Ingress is reached from outside.
        pub address: Option<String>,
        /// Who decides how many replicas there are, if it is not us: an autoscaler, or `kubectl scale`.
        pub scaled_by: Option<String>,
        /// Until when what a Certificate has got is valid: another time is another certificate.
        pub valid_until: Option<String>,
    }
}

impl<K: Noun> Manifest<K> {
    /// The object as it was composed. A value that is known later stands in it by
    /// [`Value::inline`](causeway_core::Value::inline).
    ///
    /// # Panics
    /// If the object does not serialise, which plain structs always do.
    pub fn new(object: &K) -> Self {
        let metadata = object.metadata();
        let mut json = lifted(&serde_json::to_value(object).expect("an object is plain data"));
        if let Json::Object(fields) = &mut json {
            for known in ["apiVersion", "kind", "status"] {
                fields.remove(known);
            }
            if let Some(Json::Object(metadata)) = fields.get_mut("metadata") {
                metadata.remove("name");
                metadata.remove("namespace");
                if metadata.is_empty() {
                    fields.remove("metadata");
                }
            }
        }
        Manifest {
            namespace: metadata.namespace.clone().filter(|_| <K::Scope as Scope>::NAMESPACED),
            name: metadata.name.clone().unwrap_or_default(),
            object: json,
            tags: Tags::default(),
            kind: PhantomData,
        }
    }

    /// As it is sent. With `scaled`, how many replicas there are is left to others.
    async fn sent(&self, cx: &Cx<'_, Self>, scaled: bool) -> Result<Json, Error> {
        let is_secret = K::KIND == "Secret";
        let exposed = exposed(&self.object, is_secret)?;
        let filled = if is_secret { filled(&exposed, cx.client.vault.as_ref()).await? } else { exposed };
        let Json::Object(mut object) = filled else {
            return Err(Error::Invalid(format!("the {} {} is no object", K::KIND, self.name)));
        };
        object.insert("apiVersion".into(), json!(K::API_VERSION));
        object.insert("kind".into(), json!(K::KIND));
        let metadata = inside(&mut object, "metadata");
        metadata.insert("name".into(), json!(self.name));
        if let Some(namespace) = &self.namespace {
            metadata.insert("namespace".into(), json!(namespace));
        }
        let annotations = inside(metadata, "annotations");
        annotations.insert(APPLIED.into(), json!(digest(&self.object)));
        for (tag, annotation) in [(Tags::ADDRESS, ADDRESS), (Tags::INSTANCE, INSTANCE)] {
            if let Some(value) = self.tags.0.get(tag) {
                annotations.insert(annotation.into(), json!(value));
            }
        }
        let labels = inside(metadata, "labels");
        labels.insert("app.kubernetes.io/managed-by".into(), json!(MANAGER));
        if let Some(stack) = self.tags.0.get(Tags::STACK) {
            labels.insert(STACK.into(), json!(stack));
        }
        if scaled {
            inside(&mut object, "spec").remove("replicas");
        }
        Ok(Json::Object(object))
    }

    async fn apply(&self, cx: &Cx<'_, Self>, params: &PatchParams, sent: &Json) -> Result<(), kube::Error> {
        let objects = api_of::<K>(&cx.client.api, self.namespace.as_deref());
        objects.patch(&self.name, params, &Patch::Apply(sent)).await.map(drop)
    }

    fn live(&self, object: &Json) -> Live<Self> {
        let text = |path: &str| object.pointer(path).and_then(Json::as_str).map(str::to_owned);
        let annotation = |name: &str| text(&format!("/metadata/annotations/{}", name.replace('/', "~1")));
        let label = |name: &str| text(&format!("/metadata/labels/{}", name.replace('/', "~1")));
        let owned = Owned::by(object, MANAGER);
        let trusted = annotation(APPLIED).is_some_and(|applied| applied == digest(&self.object));
        let mut found = Map::new();
        for (field, want) in self.object.as_object().into_iter().flatten() {
            found.insert(field.clone(), shown(want, object.get(field), owned.field(field), trusted));
        }
        let scaled_by = scaled_by(object);
        if let (Some(_), Some(replicas)) = (&scaled_by, self.object.pointer("/spec/replicas")) {
            inside(&mut found, "spec").insert("replicas".into(), replicas.clone());
        }
        let mut tags = self.tags.clone();
        for (tag, value) in [
            (Tags::STACK, label(STACK)),
            (Tags::ADDRESS, annotation(ADDRESS)),
            (Tags::INSTANCE, annotation(INSTANCE)),
        ] {
            match value {
                Some(value) => tags.0.insert(tag.to_owned(), value),
                None => tags.0.remove(tag),
            };
        }
        let status = match object.pointer("/metadata/deletionTimestamp") {
            Some(_) => rollout::leaving(object),
            None => K::status(object),
        };
        let outputs = ManifestOutputs {
            uid: text("/metadata/uid").unwrap_or_default(),
            address: rollout::address(object),
            scaled_by,
            valid_until: text("/status/notAfter"),
        };
        let owner = tags.owner();
        let spec = Manifest { object: Json::Object(found), tags, ..self.clone() };
        Live { spec, outputs, status, owner }
    }
}

impl<K: Noun> Resource for Manifest<K> {
    const KIND: &'static str = K::NOUN;
    const RECOVERY: Recovery = Recovery::Name(&["namespace", "name"]);
    const REPLACE: &'static [&'static str] = K::REPLACE;
    const MOVES: &'static [&'static str] = &["address", "scaled_by", "valid_until"];
    const DATA: bool = K::DATA;
    const HOLDS: Option<&'static str> = match K::BALANCED {
        Some(_) => Some("a protected load balancer, whose address people know,"),
        None => None,
    };
    const TIMING: Timing = K::TIMING;
    type Client = Kubernetes;
    type Outputs = ManifestOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let (looks, namespace) = (&cx.client.looks, self.namespace.as_deref());
        looks.reasons.wanted::<K>(namespace, &self.name, &self.object);
        let Some(object) = looks.at::<K>(namespace, &self.name).await? else { return Ok(None) };
        let live = self.live(&object);
        let status = looks.reasons.told::<K>(&object, live.status, cx.is_survey()).await;
        Ok(Some(Live { status, ..live }))
    }

    /// What somebody else has made under the same name is not ours to remove.
    async fn read_along(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ours = |live: &Live<Self>| {
            let recorded = cx.recorded.as_ref();
            live.owner != Owner::Nobody || recorded.is_none_or(|known| known.uid == live.outputs.uid)
        };
        Ok(self.read(cx).await?.filter(ours))
    }

    fn takes_along(&self) -> Vec<String> {
        let protected = K::BALANCED.is_some_and(|annotation| is_protected(&self.object, annotation));
        if protected {
            vec!["its load balancer, which is protected, with its address".into()]
        } else {
            vec![]
        }
    }

    fn holds_data(&self) -> bool {
        K::BALANCED.is_none_or(|annotation| is_protected(&self.object, annotation))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let params = PatchParams::apply(MANAGER).validation_strict();
        let sent = self.sent(cx, false).await?;
        self.apply(cx, &params, &sent).await.change("kubernetes:apply").map_err(|error| match error {
            // Its namespace, or its kind, is as new as it is.
            Error::Call { call, class: Class::NotFound, source } => {
                Error::Call { call, class: Class::NotNow, source }
            }
            other => other,
        })
    }

    /// Takes back what others took over, but only what the plan showed as changing.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let scaled = live.outputs.scaled_by.is_some();
        let params = PatchParams::apply(MANAGER).validation_strict();
        let sent = self.sent(cx, scaled).await?;
        match self.apply(cx, &params, &sent).await {
            Err(kube::Error::Api(status))
                if caused(&status, "FieldManagerConflict") && shows(diff, &status) =>
            {
                self.apply(cx, &params.force(), &sent).await
            }
            answer => answer,
        }
        .change("kubernetes:apply")
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let this = Preconditions { uid: Some(live.outputs.uid.clone()), ..Preconditions::default() };
        let params = DeleteParams::foreground().preconditions(this);
        let objects = api_of::<K>(&cx.client.api, self.namespace.as_deref());
        if let Some(annotation) = K::BALANCED.filter(|annotation| is_protected(&live.spec.object, annotation))
        {
            let off = Patch::Merge(unprotected(&live.spec.object, annotation));
            let lifting = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
            objects.patch(&self.name, &lifting, &off).await.map(drop).change("kubernetes:patch").found()?;
        }
        let deleted: Result<_, kube::Error> = objects.delete(&self.name, &params).await;
        deleted.map(drop).change("kubernetes:delete").found().map(drop)
    }
}

/// Whether every field of a conflict is one that changes by this diff.
fn shows(diff: &Diff, status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.filter(|cause| cause.reason == "FieldManagerConflict").all(|cause| {
        // An item of a list is named by its key there and by its place here, so the list has to do.
        let path = cause.field.split('[').next().unwrap_or_default();
        diff.touches(&format!("object{path}"))
            || diff.changes.iter().any(|c| format!("object{path}").starts_with(&format!("{}.", c.path)))
    })
}

/// Who set the number of replicas the way that is meant for it.
fn scaled_by(object: &Json) -> Option<String> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let scales = |entry: &&Json| {
        entry["subresource"] == "scale" && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
    };
    entries.iter().find(scales)?.get("manager")?.as_str().map(str::to_owned)
}

fn inside<'a>(object: &'a mut Map<String, Json>, field: &str) -> &'a mut Map<String, Json> {
    let at = object.entry(field).or_insert_with(|| Json::Object(Map::new()));
    if !at.is_object() {
        *at = Json::Object(Map::new());
    }
    match at {
        Json::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

/// Whether a secret stands in it, or the name of one.
pub(crate) fn holds_secret(json: &Json) -> bool {
    match json {
        Json::Object(fields) => {
            let is = |key: &String| ["$secret", "$sealed", STORED].contains(&key.as_str());
            fields.keys().any(is) || fields.values().any(holds_secret)
        }
        Json::Array(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

/// With its secrets in plain text, encoded where they are the data of a Secret.
fn exposed(json: &Json, encode: bool) -> Result<Json, Error> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    Ok(match json {
        Json::Object(fields) if fields.contains_key("$secret") || fields.contains_key("$sealed") => {
            let secret: Secret = serde_json::from_value(json.clone()).map_err(|source| Error::Decode {
                what: "secret",
                kind: "k8s",
                source,
            })?;
            let plain = secret.expose()?;
            Json::String(if encode { STANDARD.encode(plain) } else { plain.to_owned() })
        }
        Json::Object(fields) => Json::Object(
            fields.iter().map(|(k, v)| Ok((k.clone(), exposed(v, encode)?))).collect::<Result<_, Error>>()?,
        ),
        Json::Array(items) => {
            Json::Array(items.iter().map(|v| exposed(v, encode)).collect::<Result<_, Error>>()?)
        }
        other => other.clone(),
    })
}

/// Of all but the secrets in it, which nobody should find by their digest.
fn digest(object: &Json) -> String {
    fn put(json: &Json, out: &mut Sha256) {
        match json {
            Json::Object(fields) if fields.keys().any(|key| key == "$secret" || key == "$sealed") => {
                out.update(b"secret;");
            }
            Json::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(key, _)| *key);
                out.update(b"{");
                for (key, value) in fields {
                    out.update(Json::String(key.clone()).to_string());
                    put(value, out);
                }
                out.update(b"}");
            }
            Json::Array(items) => {
                out.update(b"[");
                items.iter().for_each(|item| put(item, out));
                out.update(b"]");
            }
            other => out.update(format!("{other};")),
        }
    }
    let mut out = Sha256::new();
    put(object, &mut out);
    hex::encode(&out.finalize()[..16])
}
