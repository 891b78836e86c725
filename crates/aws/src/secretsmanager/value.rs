//! What a secret holds, and where that comes from.

use super::SecretsManager;
use crate::id::Arn;
use causeway_core::{Error, Secret, Set, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where the value of a secret comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretValue {
    /// Given.
    Plain(Secret),
    /// Random, made once in memory and never seen by anybody. Made again when these settings change.
    Generated {
        /// How many characters: 8 to 4096.
        length: usize,
        /// Only letters and digits, for places that take nothing else. 62 characters instead of 82.
        #[serde(default)]
        exclude_punctuation: bool,
        /// What it starts with, where a program tells its keys by that; not counted.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
    },
    /// Text with other secrets inside it, like `postgres://coder:{password}@db.example.com/coder`.
    ///
    /// They are read and put together in memory, when this secret is written. A placeholder that stands in the user
    /// information of a URL is percent-encoded; anywhere else the value is put in as it is.
    Template {
        /// The text. `{name}` is replaced by the value of the secret of that name, `{name.field}` by a field of it
        /// where it holds a JSON object.
        text: Value<String>,
        /// The secrets, by the name that the text calls them.
        secrets: BTreeMap<String, Value<Arn>>,
        /// Version ids of those secrets: another version writes the text anew. Without them it keeps the values
        /// that it was written with.
        #[serde(default)]
        versions: Set<String>,
    },
}

impl SecretValue {
    /// Letters and digits, 43 of them: 256 bits, and safe in a URL, a shell and a database's options.
    pub fn generated() -> Self {
        Self::starting_with("")
    }

    /// As [`SecretValue::generated`], after `prefix`.
    pub fn starting_with(prefix: &str) -> Self {
        SecretValue::Generated { length: 43, exclude_punctuation: true, prefix: prefix.to_owned() }
    }

    /// The value itself, made or put together now.
    pub(crate) async fn make(&self, secrets_manager: &SecretsManager) -> Result<String, Error> {
        match self {
            SecretValue::Plain(secret) => Ok(secret.expose()?.to_owned()),
            SecretValue::Generated { length, exclude_punctuation, prefix } => {
                Ok(format!("{prefix}{}", random(*length, *exclude_punctuation)?))
            }
            SecretValue::Template { text, secrets, .. } => {
                let text = text.get()?;
                let mut values = BTreeMap::new();
                for name in placeholders(text).map(|place| place.name).collect::<BTreeSet<_>>() {
                    let Some(arn) = secrets.get(name) else {
                        return Err(Error::Invalid(format!(
                            "the template names a secret `{name}` that is not given"
                        )));
                    };
                    values.insert(name, secrets_manager.value(arn.get()?).await?);
                }
                fill(text, &values)
            }
        }
    }
}

/// Random text.
fn random(length: usize, exclude_punctuation: bool) -> Result<String, Error> {
    if !(8..=4096).contains(&length) {
        return Err(Error::Invalid(format!("a generated secret has 8 to 4096 characters, not {length}")));
    }
    // Without quotes, `@`, `/`, `\`, `$`, `%`, blanks: RDS refuses some, shells and URLs trip over others.
    const CHARACTERS: &[u8; 82] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#&()*+,-.:;<=>?[]^_";
    let characters = if exclude_punctuation { &CHARACTERS[..62] } else { &CHARACTERS[..] };
    // Only whole multiples, or the first characters would come up more often.
    let bound = 256 - 256 % characters.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0u8; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes)
            .map_err(|e| Error::Invalid(format!("the operating system gives no random bytes: {e}")))?;
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < bound);
        text.extend(
            fair.take(length - text.len()).map(|byte| char::from(characters[byte % characters.len()])),
        );
    }
    Ok(text)
}

/// `{name}` or `{name.field}` in a template.
struct Placeholder<'t> {
    start: usize,
    end: usize,
    name: &'t str,
    field: Option<&'t str>,
}

/// Braces around anything but a name are text: a template may be JSON.
fn placeholders(text: &str) -> impl Iterator<Item = Placeholder<'_>> {
    fn is_name(name: &str) -> bool {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }
    text.match_indices('{').filter_map(move |(start, _)| {
        let inside = &text[start + 1..start + text[start..].find('}')?];
        let (name, field) = match inside.split_once('.') {
            Some((name, field)) => (name, Some(field)),
            None => (inside, None),
        };
        let named = is_name(name) && field.is_none_or(is_name);
        named.then_some(Placeholder { start, end: start + inside.len() + 2, name, field })
    })
}

fn fill(text: &str, values: &BTreeMap<&str, Secret>) -> Result<String, Error> {
    /// What stands for itself everywhere in a URL: <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>.
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let mut filled = String::new();
    let mut done = 0;
    for place in placeholders(text) {
        let Some(secret) = values.get(place.name) else { continue };
        let whole = secret.expose()?;
        let value = match place.field {
            Some(field) => field_of(whole, place.name, field)?,
            None => whole.to_owned(),
        };
        filled.push_str(&text[done..place.start]);
        if in_user_information(&text[..place.start], &text[place.end..]) {
            filled.extend(utf8_percent_encode(&value, ESCAPED));
        } else {
            filled.push_str(&value);
        }
        done = place.end;
    }
    filled.push_str(&text[done..]);
    Ok(filled)
}

/// The errors name the field and never show what is there.
fn field_of(whole: &str, name: &str, field: &str) -> Result<String, Error> {
    let json: Option<serde_json::Value> = serde_json::from_str(whole).ok();
    match json.as_ref().and_then(|json| json.get(field)) {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(number @ serde_json::Value::Number(_)) => Ok(number.to_string()),
        _ => Err(Error::Invalid(format!("the secret `{name}` holds no JSON object with a text `{field}`"))),
    }
}

/// Whether what stands between `before` and `after` is between `://` and `@` of a URL.
fn in_user_information(before: &str, after: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
    let opened = before.rsplit_once("://").is_some_and(|(_, user)| !user.contains(|c| ends(c) || c == '@'));
    let closed = after.split_once('@').is_some_and(|(rest, _)| !rest.contains(ends));
    opened && closed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, password: &str) -> String {
        fill(text, &BTreeMap::from([("password", Secret::new(password))])).unwrap()
    }

    #[test]
    fn user_information_is_escaped_and_nothing_else() {
        assert_eq!(
            filled("postgres://coder:{password}@db:5432/coder?sslmode=require", "a/b@c:d%"),
            "postgres://coder:a%2Fb%40c%3Ad%25@db:5432/coder?sslmode=require"
        );
        assert_eq!(filled("https://host/?token={password}", "a/b"), "https://host/?token=a/b");
        assert_eq!(filled("https://host/{password}@x", "a/b"), "https://host/a/b@x");
        assert_eq!(
            filled("redis://:{password}@one redis://:{password}@two", "@"),
            "redis://:%40@one redis://:%40@two"
        );
    }

    #[test]
    fn templates_may_be_json_and_reach_into_json() {
        let text = r#"{"user":"coder","password":"{password.password}","port":{password.port}}"#;
        let rds = r#"{"username":"coder","password":"s3{password}cret","port":5432}"#;
        assert_eq!(filled(text, rds), r#"{"user":"coder","password":"s3{password}cret","port":5432}"#);
        let missing = fill("{password.no}", &BTreeMap::from([("password", Secret::new(rds))])).unwrap_err();
        assert!(!missing.to_string().contains("s3"));
    }

    #[test]
    fn generated_values_differ_and_use_what_they_may() {
        let one = random(4096, true).unwrap();
        assert_eq!(one.len(), 4096);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(one.bytes().collect::<BTreeSet<_>>().len(), 62);
        assert_eq!(random(4096, false).unwrap().bytes().collect::<BTreeSet<_>>().len(), 82);
        assert_ne!(random(32, false).unwrap(), random(32, false).unwrap());
        assert!(random(7, false).is_err());
    }

    #[test]
    fn the_value_shows_nowhere() {
        let value = SecretValue::Plain(Secret::new("hunter2"));
        assert!(!format!("{value:?}").contains("hunter2"));
        assert_eq!(
            serde_json::to_value(&value).unwrap(),
            serde_json::json!({"plain": {"$secret": "hunter2"}})
        );
    }
}
