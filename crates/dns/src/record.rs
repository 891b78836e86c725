//! Records as providers list them, and the normal form of what they say.

use crate::name::{Name, NameError};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// The octets that one string of a TXT record may have (RFC 1035, 3.3.14). Longer text is several strings.
const TXT_STRING: usize = 255;

/// The type of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name for the same thing.
    Cname,
    /// IPv4 addresses that Route 53 takes from another name of its own.
    Alias,
    /// As [`Kind::Alias`], for IPv6.
    Alias6,
    /// Text.
    Txt,
    /// A mail server.
    Mx,
    /// A name server.
    Ns,
    /// Where a service is.
    Srv,
    /// Who may issue certificates.
    Caa,
    /// Any other type, by its name. Such records are looked at and never touched.
    Other(String),
}

impl Kind {
    /// The kind that DNS calls `word`.
    pub fn of(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "A" => Kind::A,
            "AAAA" => Kind::Aaaa,
            "CNAME" => Kind::Cname,
            "TXT" => Kind::Txt,
            "MX" => Kind::Mx,
            "NS" => Kind::Ns,
            "SRV" => Kind::Srv,
            "CAA" => Kind::Caa,
            other => Kind::Other(other.to_owned()),
        }
    }

    /// What DNS calls it. An alias is answered as addresses.
    pub fn as_str(&self) -> &str {
        match self {
            Kind::A | Kind::Alias => "A",
            Kind::Aaaa | Kind::Alias6 => "AAAA",
            Kind::Cname => "CNAME",
            Kind::Txt => "TXT",
            Kind::Mx => "MX",
            Kind::Ns => "NS",
            Kind::Srv => "SRV",
            Kind::Caa => "CAA",
            Kind::Other(word) => word,
        }
    }

    /// Whether Cloudflare can stand in front of it.
    pub fn is_proxiable(&self) -> bool {
        matches!(self, Kind::A | Kind::Aaaa | Kind::Cname)
    }
}
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a name can have only once. Records of one class at one name are one resource: an address that becomes a CNAME is
/// a change of it, and goes out in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Where the name leads: A and AAAA together, or a CNAME, or an alias.
    Address,
    /// TXT.
    Txt,
    /// MX.
    Mx,
    /// NS.
    Ns,
    /// SRV.
    Srv,
    /// CAA.
    Caa,
}

impl Class {
    /// The class of records of `kind`; none for what is never touched.
    pub fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::A | Kind::Aaaa | Kind::Cname | Kind::Alias | Kind::Alias6 => Some(Class::Address),
            Kind::Txt => Some(Class::Txt),
            Kind::Mx => Some(Class::Mx),
            Kind::Ns => Some(Class::Ns),
            Kind::Srv => Some(Class::Srv),
            Kind::Caa => Some(Class::Caa),
            Kind::Other(_) => None,
        }
    }

    /// As it is written in a spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Address => "address",
            Class::Txt => "txt",
            Class::Mx => "mx",
            Class::Ns => "ns",
            Class::Srv => "srv",
            Class::Caa => "caa",
        }
    }
}
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One record: a name, a type, and one thing that it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Name,
    /// The type.
    pub kind: Kind,
    /// What it says, in [normal form](normal); of types that are never touched, as the provider has it.
    pub value: String,
    /// Seconds for which resolvers may keep it; what stands for "automatic" is the provider's affair.
    pub ttl: u32,
    /// Whether Cloudflare stands in front of it. `None`: the provider has no such thing, or it is to stay as it is.
    pub proxied: Option<bool>,
    /// People's words about it. `None`: there are none, or they are to stay as they are.
    pub comment: Option<String>,
    /// The provider's tags, `name:value`. `None`: as `comment`.
    pub labels: Option<BTreeSet<String>>,
    /// What an alias has beside its target.
    pub alias: Option<AliasTarget>,
    /// What the provider knows it by: an id, or its value as it was written. Empty for what is not there yet.
    pub handle: String,
    /// Whether it is something that we do not understand, like one answer of several that a policy chooses from.
    pub is_opaque: bool,
}

/// Where the target of an alias is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AliasTarget {
    /// The hosted zone that the target's name is in: a load balancer tells its own.
    pub zone: String,
    /// Whether Route 53 leaves the target out while it is not healthy.
    pub evaluate_health: bool,
}

impl Entry {
    /// A record with nothing but its value.
    pub fn new(name: Name, kind: Kind, value: impl Into<String>, ttl: u32) -> Self {
        Entry {
            name,
            kind,
            value: value.into(),
            ttl,
            proxied: None,
            comment: None,
            labels: None,
            alias: None,
            handle: String::new(),
            is_opaque: false,
        }
    }

    /// Its class; none for what is never touched.
    pub fn class(&self) -> Option<Class> {
        Class::of(&self.kind)
    }
}

/// Why text says nothing that a record of its kind could say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It is no address.
    #[error("`{text}` is no {} address", if *kind == Kind::A { "IPv4" } else { "IPv6" })]
    Address {
        /// The kind.
        kind: Kind,
        /// What was given.
        text: String,
    },
    /// It is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Something is missing, too much, or out of range.
    #[error("`{text}` is no {kind} record; it is written as {form}")]
    Form {
        /// The kind.
        kind: Kind,
        /// What was given.
        text: String,
        /// How it is written.
        form: &'static str,
    },
    /// Quotes that do not match.
    #[error("`{0}` is no text: a quote is open, or something stands between two strings")]
    Quotes(String),
}

/// The normal form of what a record says: equal text means the same to a resolver.
///
/// Text is either as it is, or, beginning with a quote, as it stands in a zone file. Its normal form is one quoted string,
/// however many it is in DNS.
///
/// # Errors
/// When no record of that kind could say it.
pub fn normal(kind: &Kind, text: &str) -> Result<String, ValueError> {
    let form = |form| ValueError::Form { kind: kind.clone(), text: text.to_owned(), form };
    let words: Vec<&str> = text.split_whitespace().collect();
    Ok(match kind {
        Kind::A => {
            let ip: Ipv4Addr = text.trim().parse().map_err(|_| address(kind, text))?;
            ip.to_string()
        }
        Kind::Aaaa => {
            let ip: Ipv6Addr = text.trim().parse().map_err(|_| address(kind, text))?;
            ip.to_string()
        }
        Kind::Cname | Kind::Ns | Kind::Alias | Kind::Alias6 => Name::parse(text)?.to_string(),
        Kind::Mx => {
            let form = || form("a priority and a name: `10 mail.example.com`");
            let [priority, target] = words[..] else { return Err(form()) };
            let priority: u16 = priority.parse().map_err(|_| form())?;
            format!("{priority} {}", target_name(target)?)
        }
        Kind::Srv => {
            let form = || form("priority, weight, port and a name: `0 5 443 host.example.com`");
            let [priority, weight, port, target] = words[..] else { return Err(form()) };
            let number = |word: &str| word.parse::<u16>().map_err(|_| form());
            let target = target_name(target)?;
            format!("{} {} {} {target}", number(priority)?, number(weight)?, number(port)?)
        }
        Kind::Caa => {
            let form = || form("flags, a tag and a value: `0 issue \"letsencrypt.org\"`");
            let mut parts = text.trim().splitn(3, char::is_whitespace);
            let (Some(flags), Some(tag), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(form());
            };
            let flags: u8 = flags.parse().map_err(|_| form())?;
            if tag.is_empty() || !tag.chars().all(|c| c.is_ascii_alphanumeric()) {
                return Err(form());
            }
            format!("{flags} {} {}", tag.to_ascii_lowercase(), quoted(&text_of(value.trim())?))
        }
        Kind::Txt => quoted(&text_of(text)?),
        Kind::Other(_) => text.to_owned(),
    })
}

fn address(kind: &Kind, text: &str) -> ValueError {
    ValueError::Address { kind: kind.clone(), text: text.to_owned() }
}

/// The root alone says that there is none (RFC 7505, RFC 2782).
fn target_name(text: &str) -> Result<String, NameError> {
    if text == "." { Ok(text.to_owned()) } else { Name::parse(text).map(|n| n.to_string()) }
}

/// The octets that `text` stands for.
///
/// # Errors
/// When it begins with a quote and is not as in a zone file.
pub fn text_of(text: &str) -> Result<Vec<u8>, ValueError> {
    if !text.trim_start().starts_with('"') {
        return Ok(text.as_bytes().to_vec());
    }
    let open = || ValueError::Quotes(text.to_owned());
    let mut out = vec![];
    let (mut inside, mut bytes) = (false, text.trim().bytes());
    while let Some(byte) = bytes.next() {
        match (inside, byte) {
            (_, b'"') => inside = !inside,
            (true, b'\\') => match bytes.next().ok_or_else(open)? {
                first if first.is_ascii_digit() => {
                    let digits = [first, bytes.next().ok_or_else(open)?, bytes.next().ok_or_else(open)?];
                    let digits = std::str::from_utf8(&digits).map_err(|_| open())?;
                    out.push(digits.parse().map_err(|_| open())?);
                }
                other => out.push(other),
            },
            (true, other) => out.push(other),
            (false, b' ' | b'\t') => {}
            (false, _) => return Err(open()),
        }
    }
    if inside { Err(open()) } else { Ok(out) }
}

/// `octets` as one string of a zone file.
fn quoted(octets: &[u8]) -> String {
    let mut out = String::from("\"");
    for octet in octets {
        match octet {
            b'"' | b'\\' => out.extend(['\\', char::from(*octet)]),
            b' '..=b'~' => out.push(char::from(*octet)),
            other => out.push_str(&format!("\\{other:03}")),
        }
    }
    out.push('"');
    out
}

/// A value in normal form as it stands in a zone file, where text is in strings that DNS can hold.
///
/// # Errors
/// When it is not in normal form.
pub fn in_zone_file(kind: &Kind, value: &str) -> Result<String, ValueError> {
    match kind {
        Kind::Txt => {
            let octets = text_of(value)?;
            let strings = octets.chunks(TXT_STRING).map(quoted).collect::<Vec<_>>();
            Ok(if strings.is_empty() { "\"\"".to_owned() } else { strings.join(" ") })
        }
        _ => Ok(value.to_owned()),
    }
}

/// The strings that DNS holds a text in.
///
/// # Errors
/// When it is not in normal form.
pub fn strings_of(value: &str) -> Result<Vec<Vec<u8>>, ValueError> {
    let octets = text_of(value)?;
    let strings: Vec<Vec<u8>> = octets.chunks(TXT_STRING).map(<[u8]>::to_vec).collect();
    Ok(if strings.is_empty() { vec![vec![]] } else { strings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is(kind: Kind, text: &str) -> String {
        normal(&kind, text).unwrap()
    }

    #[test]
    fn values_that_mean_the_same_are_equal() {
        assert_eq!(is(Kind::Aaaa, "2001:DB8:0:0:0:0:0:1"), "2001:db8::1");
        assert_eq!(is(Kind::Cname, "My-LB-1.Elb.AMAZONAWS.com."), "my-lb-1.elb.amazonaws.com");
        assert_eq!(is(Kind::Mx, "010  Mail.Example.com."), "10 mail.example.com");
        assert_eq!(is(Kind::Mx, "0 ."), "0 .");
        assert_eq!(is(Kind::Srv, "0 5 443 A.example."), "0 5 443 a.example");
        assert_eq!(is(Kind::Caa, "0 ISSUE letsencrypt.org"), is(Kind::Caa, "0 issue \"letsencrypt.org\""));
        assert_eq!(is(Kind::Txt, "v=spf1 -all"), is(Kind::Txt, "\"v=spf1\" \" -all\""));
        assert_eq!(is(Kind::Txt, "ü"), is(Kind::Txt, "\"\\195\\188\""));
        assert_ne!(is(Kind::Txt, "A"), is(Kind::Txt, "a"));
    }

    #[test]
    fn what_no_record_says_is_told_with_its_form() {
        let why = |kind, text: &str| normal(&kind, text).unwrap_err().to_string();
        assert_eq!(why(Kind::A, "10.0.0.256"), "`10.0.0.256` is no IPv4 address");
        assert_eq!(why(Kind::Aaaa, "10.0.0.1"), "`10.0.0.1` is no IPv6 address");
        assert!(why(Kind::Cname, "http://a.example").contains("':'"));
        assert!(why(Kind::Mx, "mail.example.com").contains("10 mail.example.com"));
        assert!(why(Kind::Mx, "70000 mail.example.com").contains("priority"));
        assert!(why(Kind::Srv, "0 5 host.example.com").contains("port"));
        assert!(why(Kind::Caa, "0 issue").contains("letsencrypt"));
        assert!(why(Kind::Txt, "\"open").contains("quote is open"));
    }

    #[test]
    fn long_text_is_in_strings_that_dns_can_hold() {
        let long = "x".repeat(600);
        let strings = strings_of(&is(Kind::Txt, &long)).unwrap();
        assert_eq!(strings.iter().map(Vec::len).collect::<Vec<_>>(), [255, 255, 90]);
        let written = in_zone_file(&Kind::Txt, &is(Kind::Txt, &long)).unwrap();
        assert_eq!(is(Kind::Txt, &written), is(Kind::Txt, &long));
    }

    proptest! {
        #[test]
        fn text_survives_the_zone_file(octets in proptest::collection::vec(any::<u8>(), 0..700)) {
            let written = in_zone_file(&Kind::Txt, &quoted(&octets)).unwrap();
            prop_assert_eq!(text_of(&written).unwrap(), octets);
        }

        #[test]
        fn a_normal_form_is_its_own(text in "\\PC{0,40}") {
            for kind in [Kind::Txt, Kind::Cname, Kind::Mx, Kind::Srv, Kind::Caa, Kind::A, Kind::Aaaa] {
                if let Ok(once) = normal(&kind, &text) {
                    prop_assert_eq!(normal(&kind, &once).unwrap(), once);
                }
            }
        }
    }
}
