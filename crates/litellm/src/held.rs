//! A key, as it is kept.

use causeway_core::Secret;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// What every alias of ours begins with. Other keys are not ours to delete.
pub(crate) const ALIAS: &str = "causeway-workspaces-";
/// What LiteLLM wants every key to begin with.
const PREFIX: &str = "sk-";

/// A key that workspaces share.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The key.
    pub key: Secret,
    /// What LiteLLM calls it. No secret.
    pub alias: String,
    /// When it was thought up, which is before LiteLLM knew of it.
    pub made: Timestamp,
}

/// There is no key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key of LiteLLM is kept there")]
pub struct NoKey;

#[derive(Serialize, Deserialize)]
struct Text {
    key: String,
    alias: String,
    made: Timestamp,
}

impl Held {
    /// A new one, that nobody knows.
    pub(crate) fn new(now: Timestamp) -> Result<Self, getrandom::Error> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)?;
        let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
        // Two runs at once would otherwise make two of one alias, which LiteLLM refuses.
        let alias = format!("{ALIAS}{time}-{}", hex::encode(&bytes[..3]));
        getrandom::fill(&mut bytes)?;
        Ok(Held { key: Secret::new(format!("{PREFIX}{}", hex::encode(bytes))), alias, made: now })
    }

    /// From what [`Held::text`] gave.
    ///
    /// # Errors
    /// [`NoKey`]: what is kept is something else. It is not told what.
    pub fn parse(text: &Secret) -> Result<Self, NoKey> {
        let text = text.expose().map_err(|_| NoKey)?;
        let Text { key, alias, made } = serde_json::from_str(text).map_err(|_| NoKey)?;
        let rest = key.strip_prefix(PREFIX).unwrap_or_default();
        if rest.len() < 16 || !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(NoKey);
        }
        Ok(Held { key: Secret::new(key), alias, made })
    }

    /// As it is kept.
    ///
    /// # Errors
    /// Where the key is sealed, which one that was made or read here never is.
    pub fn text(&self) -> Result<Secret, causeway_core::secret::SealedSecret> {
        let key = self.key.expose()?.to_owned();
        let text = serde_json::json!(Text { key, alias: self.alias.clone(), made: self.made });
        Ok(Secret::new(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_133_what_is_no_key_is_never_taken_for_one() {
        let held = Held::new("2026-11-22T12:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(Held::parse(&held.text().unwrap()), Ok(held.clone()));
        assert!(held.alias.starts_with("causeway-workspaces-20261122-120000-"), "{}", held.alias);
        assert!(!format!("{held:?}").contains(held.key.expose().unwrap()));
        for text in [
            "null",
            "",
            "kMDgUXTqfBYdrsTuZ9UOlJXmBHW1S3jw2wGX4UkEEnA",
            r#"{"key":"null","alias":"a","made":"2026-11-22T12:00:00Z"}"#,
            r#"{"key":null,"alias":"a","made":"2026-11-22T12:00:00Z"}"#,
            r#"{"key":"sk-","alias":"a","made":"2026-11-22T12:00:00Z"}"#,
            r#"{"key":"sk-a b c d e f g h i j k","alias":"a","made":"2026-11-22T12:00:00Z"}"#,
            r#"{"LITELLM_MASTER_KEY":"sk-0123456789abcdef0123"}"#,
        ] {
            assert_eq!(Held::parse(&Secret::new(text)), Err(NoKey), "{text}");
        }
    }
}
