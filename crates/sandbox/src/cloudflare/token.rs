//! Tokens: what a bearer may do, and in which zones.

use http::{HeaderMap, header};

use super::answer::Refusal;

/// An API token. <https://developers.cloudflare.com/fundamentals/api/reference/permissions/>
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub(super) name: String,
    pub(super) user: String,
    pub(super) value: String,
    pub(super) zone_read: bool,
    pub(super) dns_read: bool,
    pub(super) dns_edit: bool,
    pub(super) zones: Option<Vec<String>>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("zone_read", &self.zone_read)
            .field("dns_read", &self.dns_read)
            .field("dns_edit", &self.dns_edit)
            .field("zones", &self.zones)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// A token that may do nothing yet, in all zones, of a user of its own. The name is how rules and the log of calls know it.
    pub fn new(name: &str) -> Token {
        Token {
            name: name.to_owned(),
            user: name.to_owned(),
            value: String::new(),
            zone_read: false,
            dns_read: false,
            dns_edit: false,
            zones: None,
        }
    }

    /// A token that a DNS tool asks for: Zone:Read and DNS:Edit.
    pub fn dns(name: &str) -> Token {
        Token::new(name).zone_read().dns_edit()
    }

    /// May list and read zones (Zone:Read).
    pub fn zone_read(self) -> Token {
        Token { zone_read: true, ..self }
    }

    /// May list and read records (DNS:Read).
    pub fn dns_read(self) -> Token {
        Token { dns_read: true, ..self }
    }

    /// May list, read and change records (DNS:Edit).
    pub fn dns_edit(self) -> Token {
        Token { dns_edit: true, ..self }
    }

    /// Only in these zones; for it there are no others.
    pub fn zones<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Token {
        Token { zones: Some(names.into_iter().map(str::to_owned).collect()), ..self }
    }

    /// Of a user who has other tokens too: their requests count together.
    pub fn user(self, name: &str) -> Token {
        Token { user: name.to_owned(), ..self }
    }

    /// What it may do, in the words of a zone.
    pub(super) fn permissions(&self) -> Vec<&'static str> {
        let all = [
            ("#dns_records:edit", self.dns_edit),
            ("#dns_records:read", self.dns_edit || self.dns_read),
            ("#zone:read", self.zone_read),
        ];
        all.into_iter().filter(|(_, may)| *may).map(|(name, _)| name).collect()
    }

    pub(super) fn covers(&self, zone: &str) -> bool {
        self.zones.as_ref().is_none_or(|zones| zones.iter().any(|name| name == zone))
    }
}

/// The bearer's token in the headers of a request, known or not.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        if headers.contains_key("x-auth-key") || headers.contains_key("x-auth-email") {
            return Err(Refusal::header(6103, "Invalid format for X-Auth-Key header"));
        }
        return Err(Refusal::new(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"));
    };
    let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    let form = |token: &&str| {
        (40..=80).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    token.filter(form).ok_or_else(|| Refusal::header(6111, "Invalid format for Authorization header"))
}

/// 40 characters, as a real one.
pub(super) fn secret() -> String {
    format!("{}{}", id(), &id()[..8])
}

/// 32 hexadecimal digits, as the ids of zones and records.
pub(super) fn id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
