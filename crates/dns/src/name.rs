//! DNS names in one normal form: lower case, no trailing dot, other scripts as Punycode.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The octets that a label may have (RFC 1035, 2.3.4).
const LABEL: usize = 63;

/// The characters that a name may have without its trailing dot: 255 octets on the wire.
const NAME: usize = 253;

/// A name in normal form: two that mean the same are equal text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing between two dots, or nothing at all.
    #[error("`{0}` is no DNS name: a label is empty")]
    EmptyLabel(String),
    /// A label is too long.
    #[error("`{name}` is no DNS name: `{label}` has {} characters in DNS, and a label has at most 63", label.len())]
    LongLabel {
        /// The name.
        name: String,
        /// The label as it would be in DNS.
        label: String,
    },
    /// The name is too long.
    #[error("`{name}` is no DNS name: it has {length} characters in DNS, and a name has at most 253")]
    Long {
        /// The name.
        name: String,
        /// How long it is in DNS.
        length: usize,
    },
    /// A character that no name of ours has.
    #[error("`{name}` is no DNS name: `{label}` has {character:?} in it")]
    Character {
        /// The name.
        name: String,
        /// The label.
        label: String,
        /// The first such character.
        character: char,
    },
    /// A star that is not the whole first label.
    #[error("`{0}` is no DNS name: a wildcard is the whole first label, like `*.example.com`")]
    Wildcard(String),
    /// Letters that cannot be written in DNS.
    #[error("`{name}` is no DNS name: `{label}` is not allowed by IDNA (UTS 46)")]
    Idna {
        /// The name.
        name: String,
        /// The label.
        label: String,
    },
}

impl Name {
    /// The name that `text` means, whatever its case, with or without a trailing dot.
    ///
    /// # Errors
    /// When it is none: see [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let plain = text.trim().strip_suffix('.').unwrap_or(text.trim());
        let labels = plain.split('.').enumerate().map(|(at, label)| normal_label(text, at, label));
        let name = labels.collect::<Result<Vec<_>, _>>()?.join(".");
        if name.len() > NAME {
            return Err(NameError::Long { name: text.to_owned(), length: name.len() });
        }
        Ok(Name(name))
    }

    /// A name as a provider says it, which may have any character. What is not ours may be called as it likes.
    pub fn as_listed(text: &str) -> Self {
        let plain = text.strip_suffix('.').unwrap_or(text);
        Name::parse(plain).unwrap_or_else(|_| Name(plain.to_ascii_lowercase()))
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its first label is a star.
    pub fn is_wildcard(&self) -> bool {
        self.0 == "*" || self.0.starts_with("*.")
    }

    /// Whether it is `zone`, or below it.
    pub fn is_in(&self, zone: &Name) -> bool {
        self.0.strip_suffix(&zone.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The first label, and the rest if there is one.
    pub fn split(&self) -> (&str, Option<&str>) {
        match self.0.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (&self.0, None),
        }
    }

    /// For people: in its own script.
    pub fn to_unicode(&self) -> String {
        idna::domain_to_unicode(&self.0).0
    }
}

fn normal_label(name: &str, at: usize, label: &str) -> Result<String, NameError> {
    if label.is_empty() {
        return Err(NameError::EmptyLabel(name.to_owned()));
    }
    if label == "*" && at == 0 {
        return Ok(label.to_owned());
    }
    if label.contains('*') {
        return Err(NameError::Wildcard(name.to_owned()));
    }
    let normal = if label.is_ascii() {
        label.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(label)
            .map_err(|_| NameError::Idna { name: name.to_owned(), label: label.to_owned() })?
    };
    if let Some(character) = normal.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_')) {
        return Err(NameError::Character { name: name.to_owned(), label: label.to_owned(), character });
    }
    if normal.len() > LABEL {
        return Err(NameError::LongLabel { name: name.to_owned(), label: normal });
    }
    Ok(normal)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::parse(text)
    }
}
impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Name::parse(&text)
    }
}
impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        Name::parse(text).unwrap().0
    }

    #[test]
    fn names_that_mean_the_same_are_equal() {
        assert_eq!(name("AI.Example.COM."), "ai.example.com");
        assert_eq!(name(" ai.example.com"), "ai.example.com");
        assert_eq!(name("Bücher.example"), name("xn--bcher-kva.EXAMPLE"));
        assert_eq!(name("*.AI.example.com"), "*.ai.example.com");
        assert_eq!(name("_acme-challenge.example.com"), "_acme-challenge.example.com");
        assert_eq!(Name::parse("bücher.example").unwrap().to_unicode(), "bücher.example");
    }

    #[test]
    fn what_is_no_name_is_told_with_its_reason() {
        let why = |text: &str| Name::parse(text).unwrap_err().to_string();
        assert!(why("").contains("a label is empty"));
        assert!(why("a..b").contains("a label is empty"));
        assert!(why("a b.example.com").contains("' '"));
        assert!(why("https://example.com").contains("':'"));
        assert!(why("a.*.example.com").contains("whole first label"));
        assert!(why("a*.example.com").contains("whole first label"));
        assert!(why(&format!("{}.example.com", "a".repeat(64))).contains("at most 63"));
        assert!(why(&vec!["a".repeat(50); 6].join(".")).contains("at most 253"));
        // The limit is of what is in DNS, where ü takes more room.
        assert!(
            why(&format!("{}.example", "ü".repeat(60))).contains("IDNA")
                || why(&"ü".repeat(60)).contains("63")
        );
    }

    #[test]
    fn a_name_is_in_a_zone_by_whole_labels() {
        let zone = Name::parse("example.com").unwrap();
        assert!(Name::parse("example.com").unwrap().is_in(&zone));
        assert!(Name::parse("a.b.example.com").unwrap().is_in(&zone));
        assert!(!Name::parse("badexample.com").unwrap().is_in(&zone));
        assert!(!Name::parse("com").unwrap().is_in(&zone));
    }

    #[test]
    fn a_foreign_name_may_be_anything() {
        assert_eq!(Name::as_listed("Weird Name\\052.example.com.").as_str(), "weird name\\052.example.com");
    }
}
