//! What the types of records hold: their contents in the form that Cloudflare keeps, and names.
//! <https://developers.cloudflare.com/dns/manage-dns-records/reference/dns-record-types/>

use std::net::{Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;
use serde_json::{Map, Value};

use super::answer::Refusal;

/// A type of record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Its number in DNS.
    pub(super) number: u16,
    pub(super) form: Form,
}

/// How its content is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    Ipv4,
    Ipv6,
    Host,
    /// A host with a priority beside it.
    Mail,
    Text,
    /// From the fields of `data`.
    Data(&'static [Field]),
}

/// A field of `data`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    name: &'static str,
    shape: Shape,
}

#[derive(Debug, PartialEq, Eq)]
enum Shape {
    /// A whole number up to this.
    Number(u64),
    /// As [`Number`](Shape::Number); written beside the content and not in it.
    Priority,
    Word,
    Host,
    /// Any text, in quotes.
    Quoted,
    /// Any text.
    Plain,
    /// Any number; 0 if it is missing.
    Metric(&'static str),
}

const fn number(name: &'static str, most: u64) -> Field {
    Field { name, shape: Shape::Number(most) }
}

const fn field(name: &'static str, shape: Shape) -> Field {
    Field { name, shape }
}

const BYTE: u64 = 255;
const SHORT: u64 = 65_535;

const SERVICE: &[Field] =
    &[number("priority", SHORT), field("target", Shape::Host), field("value", Shape::Plain)];
const ASSOCIATION: &[Field] = &[
    number("usage", BYTE),
    number("selector", BYTE),
    number("matching_type", BYTE),
    field("certificate", Shape::Word),
];
const LOCATION: &[Field] = &[
    number("lat_degrees", 90),
    number("lat_minutes", 59),
    field("lat_seconds", Shape::Metric("")),
    field("lat_direction", Shape::Word),
    number("long_degrees", 180),
    number("long_minutes", 59),
    field("long_seconds", Shape::Metric("")),
    field("long_direction", Shape::Word),
    field("altitude", Shape::Metric("m")),
    field("size", Shape::Metric("m")),
    field("precision_horz", Shape::Metric("m")),
    field("precision_vert", Shape::Metric("m")),
];

/// Every type that the API knows.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "A", number: 1, form: Form::Ipv4 },
    Kind { name: "NS", number: 2, form: Form::Host },
    Kind { name: "CNAME", number: 5, form: Form::Host },
    Kind { name: "PTR", number: 12, form: Form::Host },
    Kind { name: "MX", number: 15, form: Form::Mail },
    Kind { name: "TXT", number: 16, form: Form::Text },
    Kind { name: "AAAA", number: 28, form: Form::Ipv6 },
    Kind { name: "LOC", number: 29, form: Form::Data(LOCATION) },
    Kind {
        name: "SRV",
        number: 33,
        form: Form::Data(&[
            field("priority", Shape::Priority),
            number("weight", SHORT),
            number("port", SHORT),
            field("target", Shape::Host),
        ]),
    },
    Kind {
        name: "NAPTR",
        number: 35,
        form: Form::Data(&[
            number("order", SHORT),
            number("preference", SHORT),
            field("flags", Shape::Quoted),
            field("service", Shape::Quoted),
            field("regex", Shape::Quoted),
            field("replacement", Shape::Host),
        ]),
    },
    Kind {
        name: "CERT",
        number: 37,
        form: Form::Data(&[
            number("type", SHORT),
            number("key_tag", SHORT),
            number("algorithm", BYTE),
            field("certificate", Shape::Word),
        ]),
    },
    Kind {
        name: "DS",
        number: 43,
        form: Form::Data(&[
            number("key_tag", SHORT),
            number("algorithm", BYTE),
            number("digest_type", BYTE),
            field("digest", Shape::Word),
        ]),
    },
    Kind {
        name: "SSHFP",
        number: 44,
        form: Form::Data(&[
            number("algorithm", BYTE),
            number("type", BYTE),
            field("fingerprint", Shape::Word),
        ]),
    },
    Kind {
        name: "DNSKEY",
        number: 48,
        form: Form::Data(&[
            number("flags", SHORT),
            number("protocol", BYTE),
            number("algorithm", BYTE),
            field("public_key", Shape::Word),
        ]),
    },
    Kind { name: "TLSA", number: 52, form: Form::Data(ASSOCIATION) },
    Kind { name: "SMIMEA", number: 53, form: Form::Data(ASSOCIATION) },
    Kind { name: "OPENPGPKEY", number: 61, form: Form::Text },
    Kind { name: "SVCB", number: 64, form: Form::Data(SERVICE) },
    Kind { name: "HTTPS", number: 65, form: Form::Data(SERVICE) },
    Kind {
        name: "URI",
        number: 256,
        form: Form::Data(&[
            field("priority", Shape::Priority),
            number("weight", SHORT),
            field("target", Shape::Quoted),
        ]),
    },
    Kind {
        name: "CAA",
        number: 257,
        form: Form::Data(&[number("flags", BYTE), field("tag", Shape::Word), field("value", Shape::Quoted)]),
    },
];

impl Kind {
    pub(super) fn find(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Whether Cloudflare can stand in front of it.
    pub(super) fn proxies(&self) -> bool {
        matches!(self.name, "A" | "AAAA" | "CNAME")
    }
}

/// A content as it is kept.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) content: String,
    pub(super) priority: Option<u16>,
    pub(super) data: Option<Map<String, Value>>,
}

impl Content {
    /// Reads what a request has for `kind`.
    pub(super) fn read(
        kind: &Kind,
        content: Option<&str>,
        data: Option<&Map<String, Value>>,
        priority: Option<u16>,
    ) -> Result<Content, Refusal> {
        let text = content.unwrap_or_default();
        let plain = |content: String| Content { content, priority: None, data: None };
        match kind.form {
            Form::Ipv4 => {
                let address: Ipv4Addr = text.parse().map_err(|_| {
                    Refusal::invalid(9005, "Content for A record must be a valid IPv4 address.")
                })?;
                Ok(plain(address.to_string()))
            }
            Form::Ipv6 => {
                let address: Ipv6Addr = text.parse().map_err(|_| {
                    Refusal::invalid(9006, "Content for AAAA record must be a valid IPv6 address.")
                })?;
                Ok(plain(address.to_string()))
            }
            Form::Host => {
                let message = format!("Content for {} record is invalid.", kind.name);
                let invalid = match kind.name {
                    "CNAME" => Refusal::invalid(9007, message),
                    _ => Refusal::without_code(message),
                };
                host(text).map(plain).ok_or(invalid)
            }
            Form::Mail => {
                let invalid = || Refusal::invalid(9009, "Content for MX record must be a hostname.");
                let content = if text == "." { text.to_owned() } else { host(text).ok_or_else(invalid)? };
                let priority = priority.ok_or_else(|| missing("priority"))?;
                Ok(Content { content, priority: Some(priority), data: None })
            }
            Form::Text if text.is_empty() => {
                Err(Refusal::without_code(format!("Content for {} record is empty.", kind.name)))
            }
            Form::Text => Ok(plain(text.to_owned())),
            Form::Data(fields) => assemble(fields, data, priority),
        }
    }
}

fn missing(field: &str) -> Refusal {
    Refusal::without_code(format!("{field} is a required data field."))
}

fn assemble(
    fields: &[Field],
    data: Option<&Map<String, Value>>,
    beside: Option<u16>,
) -> Result<Content, Refusal> {
    let (mut words, mut kept, mut priority) = (Vec::new(), Map::new(), None);
    for Field { name, shape } in fields {
        let given = data.and_then(|data| data.get(*name));
        let wrong = || Refusal::without_code(format!("{name} is not a valid value of its data field."));
        let text = || match given {
            None => Err(missing(name)),
            Some(value) => value.as_str().ok_or_else(wrong),
        };
        let (word, value) = match shape {
            Shape::Number(most) => {
                let number = given.ok_or_else(|| missing(name))?.as_u64().filter(|number| number <= most);
                let number = number.ok_or_else(wrong)?;
                (Some(number.to_string()), Value::from(number))
            }
            Shape::Priority => {
                let number = match given {
                    Some(given) => given.as_u64().and_then(|number| u16::try_from(number).ok()),
                    None => Some(beside.ok_or_else(|| missing(name))?),
                };
                priority = Some(number.ok_or_else(wrong)?);
                (None, Value::from(priority))
            }
            Shape::Word => {
                let word = text()?;
                if word.is_empty() || word.contains(char::is_whitespace) {
                    return Err(wrong());
                }
                (Some(word.to_owned()), Value::from(word))
            }
            Shape::Host => {
                let target = text()?;
                let target =
                    if target == "." { target.to_owned() } else { host(target).ok_or_else(wrong)? };
                (Some(target.clone()), Value::from(target))
            }
            Shape::Quoted => {
                let text = text()?;
                (Some(quoted(text)), Value::from(text))
            }
            Shape::Plain => {
                let text = text()?;
                ((!text.is_empty()).then(|| text.to_owned()), Value::from(text))
            }
            Shape::Metric(unit) => {
                let number = given.map_or(Some(0.0), Value::as_f64).ok_or_else(wrong)?;
                (Some(format!("{number}{unit}")), Value::from(number))
            }
        };
        words.extend(word);
        kept.insert((*name).to_owned(), value);
    }
    Ok(Content { content: words.join(" "), priority, data: Some(kept) })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name of a record in its zone: whole, in Punycode, lower case, without a dot at the end.
pub(super) fn owner(given: &str, zone: &str) -> Option<String> {
    let given = given.strip_suffix('.').unwrap_or(given);
    if given == "@" {
        return Some(zone.to_owned());
    }
    let name = punycode(given)?;
    let within = name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
    let name = if within { name } else { format!("{name}.{zone}") };
    let star = name.strip_prefix("*.").unwrap_or(&name);
    is_name(star).then_some(name)
}

/// The name of a host in the same form.
pub(super) fn host(given: &str) -> Option<String> {
    let name = punycode(given.strip_suffix('.').unwrap_or(given))?;
    // The last label of an address is a number, that of a host is not.
    let numeric =
        name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    (is_name(&name) && !numeric).then_some(name)
}

fn punycode(name: &str) -> Option<String> {
    idna::domain_to_ascii_cow(name.as_bytes(), AsciiDenyList::EMPTY).ok().map(|name| name.into_owned())
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte);
    name.len() <= 253
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(allowed))
}

/// What a TXT content says: without quotes if it is written in quotes, and in pieces of at most 255 bytes.
pub(super) fn strings(content: &str) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    if content.starts_with('"') {
        let mut bytes = content.bytes();
        let mut piece: Option<Vec<u8>> = None;
        while let Some(byte) = bytes.next() {
            match (byte, &mut piece) {
                (b'"', Some(_)) => strings.extend(piece.take()),
                (b'"', None) => piece = Some(Vec::new()),
                (b'\\', Some(piece)) => piece.extend(bytes.next()),
                (byte, Some(piece)) => piece.push(byte),
                (_, None) => {}
            }
        }
        strings.extend(piece);
    } else {
        strings.push(content.as_bytes().to_vec());
    }
    let pieces = |string: Vec<u8>| match string.is_empty() {
        true => vec![string],
        false => string.chunks(255).map(<[u8]>::to_vec).collect(),
    };
    strings.into_iter().flat_map(pieces).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_and_in_one_form() {
        let owner = |name| owner(name, "example.com");
        for (given, kept) in [
            ("@", "example.com"),
            ("Example.COM.", "example.com"),
            ("www", "www.example.com"),
            ("WWW.example.com", "www.example.com"),
            ("*.a", "*.a.example.com"),
            ("münchen", "xn--mnchen-3ya.example.com"),
            ("_acme-challenge", "_acme-challenge.example.com"),
            // A name of another zone is taken for a relative one.
            ("a.example.org", "a.example.org.example.com"),
            ("notexample.com", "notexample.com.example.com"),
        ] {
            assert_eq!(owner(given).as_deref(), Some(kept), "{given}");
        }
        let long = "a".repeat(64);
        for given in ["", "a..b", "a b", "a.*.b", "a*", long.as_str()] {
            assert_eq!(owner(given), None, "{given}");
        }
    }

    #[test]
    fn texts_are_read_with_and_without_quotes() {
        let strings = |text: &str| {
            strings(text).into_iter().map(|piece| String::from_utf8(piece).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(strings("plain \"text\""), ["plain \"text\""]);
        assert_eq!(strings(r#""one" "t\"wo""#), ["one", "t\"wo"]);
        assert_eq!(strings(&"x".repeat(300)).iter().map(String::len).collect::<Vec<_>>(), [255, 45]);
        assert_eq!(strings("\"\""), [""]);
    }

    #[test]
    fn contents_are_kept_in_one_form() {
        let read = |kind, content| Content::read(Kind::find(kind).unwrap(), Some(content), None, Some(10));
        assert_eq!(read("AAAA", "2001:DB8:0::1").unwrap().content, "2001:db8::1");
        assert_eq!(read("CNAME", "Target.Example.NET.").unwrap().content, "target.example.net");
        assert_eq!(read("A", "10.0.0.01").unwrap_err().code, 9005);
        assert_eq!(read("CNAME", "1.1.1.1").unwrap_err().code, 9007);
        let data = serde_json::json!({"flags": 0, "tag": "issue", "value": "letsencrypt.org"});
        let caa = Content::read(Kind::find("CAA").unwrap(), None, data.as_object(), None).unwrap();
        assert_eq!(caa.content, "0 issue \"letsencrypt.org\"");
        let data =
            serde_json::json!({"priority": 1, "weight": 2, "port": 5060, "target": "Sip.example.com."});
        let srv = Content::read(Kind::find("SRV").unwrap(), None, data.as_object(), None).unwrap();
        assert_eq!((srv.content.as_str(), srv.priority), ("2 5060 sip.example.com", Some(1)));
    }
}
