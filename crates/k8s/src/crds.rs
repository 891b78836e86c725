//! Definitions of custom resources, as their makers publish them: files by pinned address and digest.
//!
//! Never a schema of ours: it would cut off fields that controllers need. A definition is never deleted, as all objects of it
//! would go with it, whoever made them.
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

mod bundles;

pub(crate) use bundles::Nowhere;
pub use bundles::{Bundles, Folder, Https};

use crate::{
    Kubernetes, MANAGER,
    call::{Call, caused},
    looks::api_of,
    rollout,
};
use causeway_core::{Class, Cx, Error, Live, Owner, Recovery, Resource, Status, Timing, diff::Diff, outputs};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The annotation with the address of the file that a definition is from.
const SOURCE: &str = "causeway-deploy.github.io/source";
/// The annotation with the digest of that file.
const DIGEST: &str = "causeway-deploy.github.io/sha256";

/// Definitions that belong together, like all of one controller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crds {
    /// Whose they are. Unique in the cluster.
    pub name: String,
    /// Where they are.
    pub files: Vec<File>,
}

/// One file of a [`Crds`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where it is published; under a tag, not a branch.
    pub url: String,
    /// Its digest in hex. `None`: whatever the first apply finds is what later ones have to find; the journal keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The definitions in it, like `nodepools.karpenter.sh`. Others in the file are left out.
    pub names: Vec<String>,
}

outputs! {
    /// What definitions tell others.
    pub struct CrdsOutputs => CrdsRefs {
        /// The digest of each file, by its address.
        pub digests: BTreeMap<String, String>,
    }
}

impl Resource for Crds {
    const KIND: &'static str = "k8s.crds";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const MOVES: &'static [&'static str] = &["digests"];
    const RETAIN: bool = true;
    const TIMING: Timing = Timing::seconds(5, 1, 300);
    type Client = Kubernetes;
    type Outputs = CrdsOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let names = self.files.iter().flat_map(|file| &file.names);
        let looks = names.map(|name| cx.client.looks.at::<CustomResourceDefinition>(None, name));
        let found = futures::future::try_join_all(looks).await?;
        let found: BTreeMap<String, Json> = found
            .into_iter()
            .flatten()
            .filter_map(|object| Some((object.pointer("/metadata/name")?.as_str()?.to_owned(), object)))
            .collect();
        Ok((!found.is_empty()).then(|| self.live(&found)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        self.apply(cx, &self.files.iter().collect::<Vec<_>>(), false).await
    }

    /// Takes over what others set in these definitions: a definition is from one file as a whole.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, _: &Diff) -> Result<(), Error> {
        let is_there = |file: &File, there: &File| {
            let digest = file.sha256.is_none() || file.sha256 == there.sha256;
            file.url == there.url && file.names == there.names && digest
        };
        let pairs = self.files.iter().zip(&live.spec.files);
        let missing: Vec<&File> =
            pairs.filter(|(file, there)| !is_there(file, there)).map(|(file, _)| file).collect();
        self.apply(cx, &missing, true).await
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

impl Crds {
    /// As the cluster has them: of each file those that are there, and what all of them say of it.
    fn live(&self, found: &BTreeMap<String, Json>) -> Live<Self> {
        let of = |file: &File| {
            let there: Vec<(&String, &Json)> =
                file.names.iter().filter_map(|name| Some((name, found.get(name)?))).collect();
            let agreed = |key: &str| {
                let mut values = there.iter().map(|(_, object)| annotation(object, key));
                let first = values.next().flatten()?;
                values.all(|value| value == Some(first)).then(|| first.to_owned())
            };
            File {
                url: agreed(SOURCE).unwrap_or_default(),
                sha256: agreed(DIGEST),
                names: there.into_iter().map(|(name, _)| name.clone()).collect(),
            }
        };
        let files: Vec<File> = self.files.iter().map(of).collect();
        let digests =
            files.iter().filter_map(|file| Some((file.url.clone(), file.sha256.clone()?))).collect();
        let waits = found.iter().map(|(name, object)| (name, rollout::established(object)));
        let status = waits.fold(Status::Ready, |all, (name, one)| match (all, one) {
            (Status::Ready, Status::Pending(why)) => Status::Pending(format!("{name}: {why}")),
            (Status::Ready | Status::Pending(_), Status::Failed(why)) => {
                Status::Failed(format!("{name}: {why}"))
            }
            (all, _) => all,
        });
        let owner = match found.values().all(|object| annotation(object, DIGEST).is_some()) {
            true => Owner::Anybody,
            false => Owner::Nobody,
        };
        Live { spec: Crds { files, ..self.clone() }, outputs: CrdsOutputs { digests }, status, owner }
    }

    async fn apply(&self, cx: &Cx<'_, Self>, files: &[&File], force: bool) -> Result<(), Error> {
        for file in files {
            let bytes = cx.client.bundles.fetch(&file.url).await?;
            let digest = digest_of(&bytes);
            let known = cx.recorded.as_ref().and_then(|recorded| recorded.digests.get(&file.url));
            check(file, known, &digest)?;
            for definition in definitions(file, &bytes, &digest)? {
                let name = definition["metadata"]["name"].as_str().unwrap_or_default();
                let mut params = PatchParams::apply(MANAGER).validation_strict();
                params.force = force;
                let api = api_of::<CustomResourceDefinition>(&cx.client.api, None);
                match api.patch(name, &params, &Patch::Apply(&definition)).await {
                    // Another stack has just applied the same file, or another one: the next look tells which.
                    Err(kube::Error::Api(status)) if !force && caused(&status, "FieldManagerConflict") => {
                        let call = "kubernetes:apply";
                        return Err(Error::Call {
                            call,
                            class: Class::NotNow,
                            source: status.message.into(),
                        });
                    }
                    answer => answer.map(drop).call("kubernetes:apply")?,
                }
            }
        }
        Ok(())
    }
}

fn annotation<'o>(object: &'o Json, key: &str) -> Option<&'o str> {
    object.pointer(&format!("/metadata/annotations/{}", key.replace('/', "~1")))?.as_str()
}

/// The digest of a file, in hex.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A file is what was planned, or what it was the first time.
pub(crate) fn check(file: &File, known: Option<&String>, digest: &str) -> Result<(), Error> {
    let wanted = file.sha256.as_ref().or(known);
    match wanted.filter(|wanted| *wanted != digest) {
        None => Ok(()),
        Some(wanted) => Err(Error::Invalid(format!(
            "the file {} has the digest {digest} and should have {wanted}: it was changed where it is published or on its \
             way; compare both before you trust it",
            file.url
        ))),
    }
}

/// The definitions of a file as they are applied: what they define, and where they are from.
fn definitions(file: &File, bytes: &[u8], digest: &str) -> Result<Vec<Json>, Error> {
    let broken = |source: Box<dyn std::error::Error + Send + Sync>| Error::Call {
        call: "reading definitions",
        class: Class::Final,
        source,
    };
    let text = std::str::from_utf8(bytes).map_err(|e| broken(e.into()))?;
    // As Kubernetes reads YAML: only `true` and `false` are booleans.
    let options = serde_saphyr::options! { strict_booleans: true };
    let documents: Vec<Json> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|e| broken(e.into()))?;
    let find = |name: &String| {
        let named = |document: &&Json| {
            document["kind"] == "CustomResourceDefinition" && document["metadata"]["name"] == **name
        };
        let document = documents.iter().find(named).ok_or_else(|| {
            Error::Invalid(format!(
                "the file {} holds no definition of {name}; name one that is in it",
                file.url
            ))
        })?;
        let mut annotations = Map::new();
        let theirs = document["metadata"]["annotations"].as_object();
        // What Helm is told means nothing here.
        let theirs = theirs.into_iter().flatten().filter(|(key, _)| !key.starts_with("helm.sh/"));
        annotations.extend(theirs.map(|(key, value)| (key.clone(), value.clone())));
        annotations.insert(SOURCE.into(), json!(file.url));
        annotations.insert(DIGEST.into(), json!(digest));
        Ok(json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": name,
                "annotations": annotations,
                "labels": {"app.kubernetes.io/managed-by": MANAGER},
            },
            "spec": document["spec"],
        }))
    };
    file.names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: a.b.c\n  \
        # A comment {{ template }}\n  labels: {app: '{{ template \"name\" . }}'}\n  annotations: {helm.sh/resource-policy: keep, x: y}\n\
        spec: {group: b.c, default: n, list: [1, 2]}\n---\nkind: Other\n";

    fn file(sha256: Option<&str>, name: &str) -> File {
        File {
            url: "https://here/a.yaml".into(),
            sha256: sha256.map(str::to_owned),
            names: vec![name.into()],
        }
    }

    #[test]
    fn a_definition_is_its_spec_and_where_it_is_from() {
        let found = definitions(&file(None, "a.b.c"), TEXT.as_bytes(), "abc").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["spec"], json!({"group": "b.c", "default": "n", "list": [1, 2]}));
        assert_eq!(
            found[0]["metadata"]["annotations"],
            json!({"x": "y", SOURCE: "https://here/a.yaml", DIGEST: "abc"})
        );
        assert_eq!(found[0]["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": MANAGER}));
        let error = definitions(&file(None, "z.b.c"), TEXT.as_bytes(), "abc").unwrap_err();
        assert!(error.to_string().contains("holds no definition of z.b.c"), "{error}");
    }

    #[test]
    fn a_file_is_what_was_planned_or_what_it_was_the_first_time() {
        let known = "old".to_owned();
        assert!(check(&file(Some("new"), "a"), Some(&known), "new").is_ok(), "the plan counts");
        assert!(check(&file(Some("new"), "a"), Some(&known), "old").is_err());
        assert!(check(&file(None, "a"), None, "any").is_ok());
        assert!(check(&file(None, "a"), Some(&known), "old").is_ok());
        assert!(check(&file(None, "a"), Some(&known), "new").is_err());
    }

    #[test]
    fn what_others_made_is_nobodys_and_what_is_missing_is_seen() {
        let wanted = Crds {
            name: "all".into(),
            files: vec![File { names: vec!["a".into(), "b".into()], ..file(Some("1"), "") }],
        };
        let object = |name: &str, annotations: Json| {
            let established = json!([{"type": "Established", "status": "True"}]);
            let metadata = json!({"name": name, "annotations": annotations});
            (name.to_owned(), json!({"metadata": metadata, "status": {"conditions": established}}))
        };
        let ours = json!({SOURCE: "https://here/a.yaml", DIGEST: "1"});
        let all = BTreeMap::from([object("a", ours.clone()), object("b", ours.clone())]);
        let live = wanted.live(&all);
        assert_eq!(
            (live.spec.files, live.owner, live.status),
            (wanted.files.clone(), Owner::Anybody, Status::Ready)
        );
        let live = wanted.live(&BTreeMap::from([object("a", ours.clone())]));
        assert_eq!(live.spec.files[0].names, ["a"]);
        let mut all = BTreeMap::from([object("a", ours), object("b", json!({}))]);
        let live = wanted.live(&all);
        assert_eq!((live.spec.files[0].sha256.clone(), live.owner), (None, Owner::Nobody));
        all.get_mut("b").unwrap()["status"] = json!({});
        assert!(matches!(wanted.live(&all).status, Status::Pending(why) if why.starts_with("b: ")));
    }
}
