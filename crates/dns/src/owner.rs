//! Whose a record is: a TXT record beside it, as external-dns writes and reads it.
//!
//! `heritage=external-dns,external-dns/owner=STACK,external-dns/resource=causeway/ADDRESS`, at the record's name with its
//! type in front: `cname-ai.example.com`. What external-dns does not know stands behind that, and it passes over it.
//! <https://kubernetes-sigs.github.io/external-dns/latest/docs/registry/txt/>

use crate::{
    name::{Name, NameError},
    record::{Entry, Kind, text_of},
};
use causeway_core::Tags;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::collections::BTreeMap;

/// Stands for a wildcard's star, which has no meaning inside a name: external-dns calls that
/// `--txt-wildcard-replacement`.
pub const WILDCARD: &str = "any";

/// Where a mark would leave the zone or a label be too long, it stands below the name: external-dns calls that
/// `--txt-prefix=causeway-%{record_type}.`.
const BELOW: &str = "causeway-";

/// In front of the address of a resource of ours.
const OURS: &str = "causeway/";

/// What would end a part, or a string of a zone file.
const UNSAFE: &AsciiSet = &CONTROLS.add(b',').add(b'=').add(b'%').add(b'"').add(b'\\').add(b' ');

/// What a mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Who says that it owns the record: the name of a stack, or an external-dns.
    pub owner: String,
    /// What the record is for, in the owner's words.
    pub resource: String,
    /// What else of ours stands in it.
    rest: BTreeMap<String, String>,
}

impl Mark {
    /// The mark of a resource with these tags. None where the engine did not name its owner.
    pub fn of(tags: &Tags) -> Option<Self> {
        let mut rest = tags.0.clone();
        let owner = rest.remove(Tags::STACK)?;
        let resource = format!("{OURS}{}", rest.remove(Tags::ADDRESS)?);
        Some(Mark { owner, resource, rest })
    }

    /// What `text`, in any form that a TXT record has, says about an owner.
    pub fn parse(text: &str) -> Option<Self> {
        let octets = text_of(text).ok()?;
        let text = String::from_utf8(octets).ok()?;
        // octoDNS says no more than this, at `_owner.TYPE.NAME`.
        if text == "*octodns*" {
            let nothing = BTreeMap::new();
            return Some(Mark { owner: "octodns".into(), resource: "octodns".into(), rest: nothing });
        }
        let parts: BTreeMap<&str, &str> = text.split(',').filter_map(|part| part.split_once('=')).collect();
        if *parts.get("heritage")? != "external-dns" {
            return None;
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let rest =
            parts.iter().filter_map(|(key, value)| Some((decoded(key.strip_prefix(OURS)?), decoded(value))));
        Some(Mark {
            owner: decoded(parts.get("external-dns/owner").copied().unwrap_or_default()),
            resource: decoded(parts.get("external-dns/resource").copied().unwrap_or_default()),
            rest: rest.collect(),
        })
    }

    /// As text.
    pub fn text(&self) -> String {
        let safe = |text: &str| utf8_percent_encode(text, UNSAFE).to_string();
        let mut text = format!(
            "heritage=external-dns,external-dns/owner={},external-dns/resource={}",
            safe(&self.owner),
            safe(&self.resource)
        );
        for (key, value) in &self.rest {
            text.push_str(&format!(",{OURS}{}={}", safe(key), safe(value)));
        }
        text
    }

    /// The tags that it stands for. Who is not a stack of ours has no incarnations.
    pub fn tags(&self) -> Tags {
        let mut tags = Tags(self.rest.clone());
        let address = self.resource.strip_prefix(OURS).unwrap_or(&self.resource);
        tags.0.insert(Tags::STACK.into(), self.owner.clone());
        tags.0.insert(Tags::ADDRESS.into(), address.to_owned());
        tags.0.entry(Tags::INSTANCE.into()).or_default();
        tags
    }

    /// The same for another owner, as another incarnation: whoever had it must not take it for what it made.
    pub fn transferred(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.owner);
        let instance = self.rest.entry(Tags::INSTANCE.to_owned()).or_default();
        *instance = format!("{instance}-{owner}");
        self
    }

    /// Whether a stack of ours wrote it.
    pub fn is_ours(&self) -> bool {
        self.resource.starts_with(OURS)
    }
}

/// Where the mark of `name`'s records of `kind` stands.
///
/// # Errors
/// When there is no room for it.
pub fn place(name: &Name, kind: &Kind, zone: &Name) -> Result<Name, NameError> {
    let prefix = kind.as_str().to_ascii_lowercase();
    let (first, rest) = name.split();
    let first = if first == "*" { WILDCARD } else { first };
    match rest.filter(|_| name != zone) {
        Some(rest) if first.len() + prefix.len() < 63 => Name::parse(&format!("{prefix}-{first}.{rest}")),
        Some(rest) => Name::parse(&format!("{BELOW}{prefix}.{first}.{rest}")),
        None => Name::parse(&format!("{BELOW}{prefix}.{name}")),
    }
}

/// All places where somebody may have marked `name`'s records of `kind`: ours, external-dns before its version 0.12 and
/// with the star as it is, and octoDNS.
pub fn places(name: &Name, kind: &Kind, zone: &Name) -> Vec<Name> {
    let word = kind.as_str().to_ascii_lowercase();
    let mut places: Vec<Name> = place(name, kind, zone).into_iter().collect();
    // A mark there is that of the name without its type, as external-dns reads it, too.
    if !looks_like_a_place(name) {
        places.push(name.clone());
    }
    places.push(Name::as_listed(&format!("{word}-{name}")));
    if matches!(kind, Kind::Alias | Kind::Alias6) {
        places.push(Name::as_listed(&format!("cname-{name}")));
    }
    let (first, rest) = name.split();
    if let (true, Some(rest)) = (first == "*", rest) {
        places.push(Name::as_listed(&format!("_owner.{word}._wildcard.{rest}")));
        places.push(Name::as_listed(&format!("{word}-_wildcard.{rest}")));
        places.push(Name::as_listed(&format!("{word}-wildcard.{rest}")));
    }
    places.push(Name::as_listed(&format!("_owner.{word}.{name}")));
    places
}

/// Whether marks stand at such a name: its first label begins with a type.
fn looks_like_a_place(name: &Name) -> bool {
    const TYPES: [&str; 9] = ["a", "aaaa", "cname", "txt", "mx", "ns", "srv", "caa", "naptr"];
    let (first, _) = name.split();
    first.strip_prefix(BELOW).unwrap_or(first).split_once('-').is_some_and(|(word, _)| TYPES.contains(&word))
        || first.strip_prefix(BELOW).is_some_and(|word| TYPES.contains(&word))
}

/// The mark that `entry` is, if it is one.
pub fn mark_in(entry: &Entry) -> Option<Mark> {
    if entry.kind == Kind::Txt { Mark::parse(&entry.value) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn at(of: &str, kind: Kind) -> String {
        place(&name(of), &kind, &name("example.com")).unwrap().to_string()
    }

    #[test]
    fn a_mark_says_whose_it_is_and_external_dns_reads_it() {
        let tags = Tags::from([
            (Tags::STACK, "prod"),
            (Tags::ADDRESS, "dns/ai"),
            (Tags::INSTANCE, "i1"),
            ("team", "a, b=c%"),
        ]);
        let text = Mark::of(&tags).unwrap().text();
        let begins = "heritage=external-dns,external-dns/owner=prod,external-dns/resource=causeway/dns/ai,";
        assert!(text.starts_with(begins), "{text}");
        // external-dns drops every part that has not just one `=`.
        assert!(text.split(',').all(|part| part.matches('=').count() == 1), "{text}");
        assert_eq!(Mark::parse(&text).unwrap().tags(), tags);
        assert_eq!(Mark::parse(&format!("\"{text}\"")).unwrap().tags(), tags);
    }

    #[test]
    fn the_mark_of_an_external_dns_is_read() {
        let mark = Mark::parse(
            "\"heritage=external-dns,external-dns/owner=default,external-dns/resource=ingress/a/b\"",
        );
        let mark = mark.unwrap();
        assert_eq!((mark.owner.as_str(), mark.resource.as_str()), ("default", "ingress/a/b"));
        assert!(!mark.is_ours());
        assert_eq!(Mark::parse("heritage=mate,x=y"), None);
        assert_eq!(Mark::parse("v=spf1 -all"), None);
        assert_eq!(Mark::parse("*octodns*").unwrap().owner, "octodns");
    }

    /// external-dns #3028, #2922, #3684: the star inside `a-*.x` makes it no name.
    #[test]
    fn the_mark_of_a_wildcard_is_a_name() {
        assert_eq!(at("*.ai.example.com", Kind::Cname), "cname-any.ai.example.com");
        assert_eq!(at("*.example.com", Kind::A), "a-any.example.com");
    }

    #[test]
    fn a_mark_is_not_that_of_the_name_where_it_stands() {
        let zone = name("example.com");
        assert!(places(&name("ai.example.com"), &Kind::A, &zone).contains(&name("ai.example.com")));
        for place in ["a-ai.example.com", "causeway-a.example.com"] {
            assert!(!places(&name(place), &Kind::A, &zone).contains(&name(place)), "{place}");
        }
    }

    #[test]
    fn a_mark_stays_in_its_zone_and_has_room() {
        assert_eq!(at("ai.example.com", Kind::A), "a-ai.example.com");
        assert_eq!(at("ai.example.com", Kind::Alias6), "aaaa-ai.example.com");
        assert_eq!(at("example.com", Kind::A), "causeway-a.example.com");
        let long = "l".repeat(60);
        assert_eq!(at(&format!("{long}.example.com"), Kind::A), format!("a-{long}.example.com"));
        let below = format!("causeway-cname.{long}.example.com");
        assert_eq!(at(&format!("{long}.example.com"), Kind::Cname), below);
    }
}
