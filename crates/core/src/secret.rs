//! Secrets: plain in memory, a keyed digest everywhere else.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value as Json, json};
use std::fmt;

/// A value that reaches the cloud and nothing else.
#[derive(Clone, PartialEq)]
pub enum Secret {
    /// The value itself.
    Plain(String),
    /// What the journal keeps of it.
    Sealed(String),
}

/// A secret was read back from the journal, where only its digest is kept.
#[derive(Debug, thiserror::Error)]
#[error("a secret was read back from the journal, where only its digest is kept")]
pub struct SealedSecret;

impl Secret {
    /// A secret in plain text.
    pub fn new(plain: impl Into<String>) -> Self {
        Secret::Plain(plain.into())
    }

    /// The plain text, to hand to an API.
    ///
    /// # Errors
    /// [`SealedSecret`] when it was read back from the journal.
    pub fn expose(&self) -> Result<&str, SealedSecret> {
        match self {
            Secret::Plain(s) => Ok(s),
            Secret::Sealed(_) => Err(SealedSecret),
        }
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Secret::Plain(p) => json!({ "$secret": p }).serialize(s),
            Secret::Sealed(d) => json!({ "$sealed": d }).serialize(s),
        }
    }
}
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(d)?;
        let text = |k: &str| json.get(k).and_then(Json::as_str).map(str::to_owned);
        text("$secret")
            .map(Secret::Plain)
            .or_else(|| text("$sealed").map(Secret::Sealed))
            .ok_or_else(|| D::Error::custom("expected a secret"))
    }
}

/// The key of the digests, one per journal. Digests of one stack say nothing about those of another.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealKey(String);

impl SealKey {
    /// A new random key.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn random() -> Self {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        SealKey(hex::encode(bytes))
    }

    /// A key that tests can rely on.
    pub fn fixed(text: &str) -> Self {
        SealKey(text.to_owned())
    }

    /// For a stack without a journal: every secret is new, and its digest says nothing.
    pub fn none() -> Self {
        SealKey(String::new())
    }

    fn digest(&self, plain: &str) -> String {
        if self.0.is_empty() {
            return "new".to_owned();
        }
        let mut mac =
            Hmac::<sha2::Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(plain.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}
impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// JSON with every secret turned into a digest: the only form that may be stored or shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Sealed(Json);

impl Sealed {
    /// `json` without its secrets.
    pub fn of(json: &Json, key: &SealKey) -> Self {
        Sealed(seal(json, key))
    }

    /// JSON that was made from sealed JSON, and so holds no secret either.
    pub(crate) fn again(json: Json) -> Self {
        Sealed(json)
    }

    /// The JSON, which holds no secret.
    pub fn as_json(&self) -> &Json {
        &self.0
    }
}

fn seal(json: &Json, key: &SealKey) -> Json {
    match json {
        Json::Object(m) => match m.get("$secret").and_then(Json::as_str) {
            Some(plain) => json!({ "$sealed": key.digest(plain) }),
            None => Json::Object(m.iter().map(|(k, v)| (k.clone(), seal(v, key))).collect()),
        },
        Json::Array(a) => Json::Array(a.iter().map(|v| seal(v, key)).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_never_shows_and_still_differs() {
        let key = SealKey::fixed("k");
        let sealed = |plain: &str| Sealed::of(&json!({ "password": Secret::new(plain), "n": 1 }), &key);
        let text = serde_json::to_string(&sealed("hunter2")).unwrap();
        assert!(!text.contains("hunter2"));
        assert_eq!(sealed("hunter2"), sealed("hunter2"));
        assert_ne!(sealed("hunter2"), sealed("hunter3"));
        assert_ne!(
            sealed("hunter2"),
            Sealed::of(&json!({ "password": Secret::new("hunter2"), "n": 1 }), &SealKey::fixed("l"))
        );
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
