//! Values that are kept outside of the cluster, and reach it only when an object that holds them is written.

use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_core::{Error, Secret, Value};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// Has secrets by their names.
pub trait Vault: Send + Sync + 'static {
    /// The value of the secret that is called `name` there.
    ///
    /// # Errors
    /// What went wrong, classified.
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>>;
}

/// There is none.
pub(crate) struct NoVault;

impl Vault for NoVault {
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>> {
        let error =
            Error::Invalid(format!("{name} is kept outside of the cluster, and nothing says where that is"));
        async move { Err(error) }.boxed()
    }
}

/// A value that a [`Vault`] has: where one stands in the data of a Secret, it is fetched when that is written. A plan and the
/// journal know where it is, and not what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// What it is called there.
    pub name: Value<String>,
    /// The key inside it, where it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which revision of it there is, where that is known: with another one the object is written anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Value<String>>,
}

/// How a stored value is told from others in an object.
pub(crate) const STORED: &str = "$stored";

impl Stored {
    pub(crate) fn placeholder(&self) -> Json {
        json!({ STORED: self })
    }
}

/// Whether this stands for a stored value.
pub(crate) fn is_stored(object: &Map<String, Json>) -> bool {
    object.len() == 1 && object.contains_key(STORED)
}

/// `json` with the values in place of what stands for them, as the data of a Secret has them.
pub(crate) fn filled<'a>(json: &'a Json, vault: &'a dyn Vault) -> BoxFuture<'a, Result<Json, Error>> {
    async move {
        match json {
            Json::Object(fields) if is_stored(fields) => {
                let stored = serde_json::from_value(fields[STORED].clone());
                let stored: Stored =
                    stored.map_err(|source| Error::Decode { what: "stored secret", kind: "k8s", source })?;
                let secret = vault.secret(stored.name.get()?).await?;
                Ok(Json::String(STANDARD.encode(picked(&stored, secret.expose()?)?)))
            }
            Json::Object(fields) => {
                let mut out = Map::new();
                for (name, value) in fields {
                    out.insert(name.clone(), filled(value, vault).await?);
                }
                Ok(Json::Object(out))
            }
            // No list of a Secret holds values.
            other => Ok(other.clone()),
        }
    }
    .boxed()
}

fn picked(stored: &Stored, whole: &str) -> Result<String, Error> {
    let Some(key) = &stored.key else { return Ok(whole.to_owned()) };
    let name = stored.name.get()?;
    let fields: Map<String, Json> = serde_json::from_str(whole).map_err(|_| {
        Error::Invalid(format!("the secret {name} is no JSON object, so it has no key `{key}`"))
    })?;
    match fields.get(key) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(Json::Null) | None => Err(Error::Invalid(format!("the secret {name} has no key `{key}`"))),
        Some(other) => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;
    impl Vault for Two {
        fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>> {
            let value = match name {
                "plain" => Ok(Secret::new("hunter2")),
                "json" => Ok(Secret::new(r#"{"user": "coder", "port": 5432}"#)),
                other => Err(Error::Invalid(format!("no {other}"))),
            };
            async move { value }.boxed()
        }
    }

    fn stored(name: &str, key: Option<&str>) -> Json {
        Stored { name: name.into(), key: key.map(str::to_owned), version: None }.placeholder()
    }

    #[tokio::test]
    async fn values_are_put_where_they_are_meant() {
        let object = json!({
            "type": "Opaque",
            "data": { "a": stored("plain", None), "b": stored("json", Some("port")), "c": "eA==" },
        });
        let filled = filled(&object, &Two).await.unwrap();
        let text = |key: &str| STANDARD.decode(filled["data"][key].as_str().unwrap()).unwrap();
        assert_eq!((text("a"), text("b"), text("c")), (b"hunter2".into(), b"5432".into(), b"x".into()));
        assert_eq!(filled["type"], "Opaque");
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_without_the_rest_of_the_secret() {
        for (wrong, why) in [
            (stored("json", Some("password")), "the secret json has no key `password`"),
            (stored("plain", Some("password")), "the secret plain is no JSON object"),
            (stored("else", None), "no else"),
        ] {
            let error = filled(&json!({ "data": { "a": wrong } }), &Two).await.unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        let error = filled(&stored("plain", None), &NoVault).await.unwrap_err().to_string();
        assert!(error.contains("plain is kept outside"), "{error}");
    }
}
