//! What the zones answer in DNS: RFC 1034, RFC 4592 for wildcards, RFC 2308 for what is not there.
//!
//! Cloudflare's own ways: a name with a proxied record has Cloudflare's addresses, here some of the ranges for documentation,
//! and an alias at the apex is flattened: what it points to is answered as its own.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde_json::Value;

use super::content::{Kind, strings};
use super::record::Record;
use super::wire::{Code, Reply, Resource, name as wire_name, number, strings as texts};
use super::zone::{NAME_SERVERS, View};

/// How long an automatic TTL is, and that of proxied records.
const AUTOMATIC: u32 = 300;
/// Of the records that Cloudflare itself has in a zone.
const OWN: u32 = 86_400;
/// How long an absence is kept.
const ABSENT: u32 = 1800;
/// Longer chains of aliases are loops.
const CHAIN: usize = 16;

/// The addresses of proxied names.
const PROXY: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(203, 0, 113, 10), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10));

/// Answers a question out of all zones.
pub(super) fn answer(zones: &[View<'_>], asked: &str, kind: u16) -> Reply {
    follow(zones, asked, kind, CHAIN)
}

/// As [`answer`], with at most so many aliases on the way.
fn follow(zones: &[View<'_>], asked: &str, kind: u16, mut left: usize) -> Reply {
    let of = |name: &str| {
        let within = |live: &&View<'_>| {
            name.strip_suffix(live.name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        zones.iter().filter(within).max_by_key(|live| live.name.len())
    };
    let Some(live) = of(asked) else { return Reply::empty(Code::Refused) };
    let mut reply = Reply { authoritative: true, ..Reply::empty(Code::Ok) };
    let mut name = asked.to_owned();
    while left > 0 {
        left -= 1;
        if let Some(delegation) = delegation(live, &name, kind) {
            // Of what is below a delegation this server is not the authority.
            reply.authoritative = !reply.answers.is_empty();
            reply.authorities = delegation;
            return reply;
        }
        let Some(node) = node(live, &name) else {
            reply.code = Code::NoSuchName;
            reply.authorities.push(soa(live, ABSENT));
            return reply;
        };
        let mut found = matching(live, &node, &name, kind);
        if !found.is_empty() {
            reply.answers.append(&mut found);
            return reply;
        }
        let alias = node.iter().find(|record| record.kind == "CNAME" && !record.proxied);
        let Some(alias) = alias else {
            reply.authorities.push(soa(live, ABSENT));
            return reply;
        };
        if is_flat(live, alias, &name) {
            let target = flattened(zones, alias, &name, kind, left);
            reply.code = target.code;
            reply.answers.extend(target.answers);
            if reply.answers.is_empty() && reply.code == Code::Ok {
                reply.authorities.push(soa(live, ABSENT));
            }
            return reply;
        }
        reply.answers.extend(resource(alias, &name));
        // What is in another zone the asker asks there.
        if of(&alias.content).is_none_or(|other| other.name != live.name) {
            return reply;
        }
        name.clone_from(&alias.content);
    }
    reply.code = Code::Failed;
    reply
}

fn is_flat(live: &View<'_>, alias: &Record, name: &str) -> bool {
    name == live.name || alias.settings.get("flatten_cname") == Some(&Value::Bool(true))
}

/// The addresses of an alias' target as those of the alias. Outside the zones nobody is asked.
fn flattened(zones: &[View<'_>], alias: &Record, owner: &str, kind: u16, left: usize) -> Reply {
    if !matches!(kind, number::A | number::AAAA) {
        return Reply::empty(Code::Ok);
    }
    let mut target = follow(zones, &alias.content, kind, left);
    target.answers.retain(|resource| resource.kind == kind);
    for resource in &mut target.answers {
        owner.clone_into(&mut resource.name);
    }
    if target.code == Code::Refused {
        target.code = Code::Failed;
    }
    target
}

/// The records of a name: its own, or those of the wildcard that stands for it. `None`: there is no such name.
fn node(live: &View<'_>, name: &str) -> Option<Vec<Arc<Record>>> {
    let own = |name: &str| live.records.at(name).cloned().collect::<Vec<_>>();
    // The apex is there even without records of the API, and a name between labels is there because of what is below it.
    if name == live.name || live.records.reaches(name) {
        return Some(own(name));
    }
    let mut encloser = name;
    loop {
        encloser = encloser.split_once('.')?.1;
        if encloser == live.name || live.records.reaches(encloser) {
            let wild = own(&format!("*.{encloser}"));
            return (!wild.is_empty()).then_some(wild);
        }
    }
}

/// The name servers to which a name, or one above it, is delegated.
fn delegation(live: &View<'_>, name: &str, kind: u16) -> Option<Vec<Resource>> {
    let mut at = name;
    let mut found = None;
    while at != live.name {
        let servers: Vec<_> = live.records.at(at).filter(|record| record.kind == "NS").collect();
        // The parent answers for the DS of a delegation.
        let own = at == name && kind == number::DS;
        if !own && !servers.is_empty() {
            found = Some(servers.into_iter().flat_map(|record| resource(record, at)).collect());
        }
        at = at.split_once('.')?.1;
    }
    found
}

/// What a name has of a type.
fn matching(live: &View<'_>, node: &[Arc<Record>], name: &str, kind: u16) -> Vec<Resource> {
    let mut found = Vec::new();
    let wants = |number| kind == number || kind == number::ANY;
    if name == live.name {
        if wants(number::SOA) {
            found.push(soa(live, OWN));
        }
        if wants(number::NS) {
            found.extend(NAME_SERVERS.iter().map(|server| Resource {
                name: name.to_owned(),
                kind: number::NS,
                ttl: OWN,
                data: wire_name(server),
            }));
        }
    }
    let proxied = node.iter().any(|record| record.proxied);
    if proxied {
        let own = |kind, data| Resource { name: name.to_owned(), kind, ttl: AUTOMATIC, data };
        if wants(number::A) {
            found.push(own(number::A, PROXY.0.octets().to_vec()));
        }
        if wants(number::AAAA) {
            found.push(own(number::AAAA, PROXY.1.octets().to_vec()));
        }
    }
    for record in node {
        let hidden = proxied && matches!(record.kind, "A" | "AAAA" | "CNAME");
        let flat = record.kind == "CNAME" && is_flat(live, record, name);
        let wanted = Kind::find(record.kind).is_some_and(|record| wants(record.number));
        if wanted && !hidden && !flat {
            found.extend(resource(record, name));
        }
    }
    found
}

fn soa(live: &View<'_>, ttl: u32) -> Resource {
    let mut data = wire_name(NAME_SERVERS[0]);
    data.extend(wire_name("dns.cloudflare.com"));
    for value in [live.serial, 10_000, 2400, 604_800, ABSENT] {
        data.extend(value.to_be_bytes());
    }
    Resource { name: live.name.to_owned(), kind: number::SOA, ttl, data }
}

/// A record as it is answered for `owner`. `None` for types that are kept only, see the module.
fn resource(record: &Record, owner: &str) -> Option<Resource> {
    let kind = Kind::find(record.kind)?;
    let content = record.content.as_str();
    let data = match record.kind {
        "A" => content.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        "AAAA" => content.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
        "NS" | "CNAME" | "PTR" => wire_name(content),
        "MX" => [&record.priority?.to_be_bytes()[..], &wire_name(content)].concat(),
        "TXT" => texts(&strings(content)),
        other => fields(other, record.data.as_ref()?)?,
    };
    let ttl = if record.ttl == 1 { AUTOMATIC } else { record.ttl };
    Some(Resource { name: owner.to_owned(), kind: kind.number, ttl, data })
}

/// The bytes of the types that have `data`.
fn fields(kind: &str, data: &serde_json::Map<String, Value>) -> Option<Vec<u8>> {
    let short = |field: &str| {
        let number = u16::try_from(data.get(field)?.as_u64()?).ok()?;
        Some(number.to_be_bytes().to_vec())
    };
    let byte = |field: &str| Some(vec![u8::try_from(data.get(field)?.as_u64()?).ok()?]);
    let text = |field: &str| data.get(field)?.as_str();
    let parts = match kind {
        "SRV" => vec![short("priority")?, short("weight")?, short("port")?, wire_name(text("target")?)],
        "URI" => vec![short("priority")?, short("weight")?, text("target")?.into()],
        "CAA" => {
            vec![byte("flags")?, texts(&[text("tag")?.into()]), text("value")?.into()]
        }
        "DS" => vec![short("key_tag")?, byte("algorithm")?, byte("digest_type")?, hex(text("digest")?)?],
        "SSHFP" => vec![byte("algorithm")?, byte("type")?, hex(text("fingerprint")?)?],
        "TLSA" | "SMIMEA" => {
            vec![byte("usage")?, byte("selector")?, byte("matching_type")?, hex(text("certificate")?)?]
        }
        "NAPTR" => {
            let strings: Vec<Vec<u8>> = ["flags", "service", "regex"]
                .iter()
                .map(|field| text(field).map(Into::into))
                .collect::<Option<_>>()?;
            vec![short("order")?, short("preference")?, texts(&strings), wire_name(text("replacement")?)]
        }
        _ => return None,
    };
    Some(parts.concat())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.chunks(2).map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?)).collect()
}
