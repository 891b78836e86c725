//! The pages for people: what programs do by [`Cloudflare`](super::Cloudflare), with curl.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use super::fault::Rule;
use super::token::Token;
use super::zone::Zone;
use super::{Error, Place, State};
use crate::gateway::{RuleId, lock};

/// Answers `/_causeway/PAGE`.
pub(super) fn answer(state: &State, method: &Method, page: &str, body: &[u8]) -> Answer {
    let answer =
        |status: StatusCode, value: Value| Answer::new(status, "application/json", format!("{value:#}\n"));
    let ok = |value| answer(StatusCode::OK, value);
    let wrong =
        |error: serde_json::Error| answer(StatusCode::BAD_REQUEST, json!({ "error": error.to_string() }));
    match (method.as_str(), page) {
        ("GET", "calls") => match serde_json::to_value(&*lock(&state.calls)) {
            Ok(calls) => ok(json!({ "calls": calls })),
            Err(error) => wrong(error),
        },
        ("DELETE", "calls") => {
            lock(&state.calls).clear();
            ok(json!({ "calls": [] }))
        }
        ("GET", "rules") => {
            let rules = state.rules.list().into_iter();
            let rules: Vec<_> = rules
                .map(|(id, rule, acted)| {
                    json!({ "id": id, "rule": rule, "acted": acted, "held": state.rules.held(id) })
                })
                .collect();
            ok(json!({ "rules": rules }))
        }
        ("POST", "rules") => match serde_json::from_slice::<Rule>(body) {
            Ok(rule) => ok(json!({ "id": state.rules.add(rule) })),
            Err(error) => wrong(error),
        },
        ("DELETE", "rules") => {
            state.rules.clear();
            ok(json!({ "rules": [] }))
        }
        ("POST", "release") => {
            state.rules.release_all();
            ok(json!({}))
        }
        ("POST", "zones") => match serde_json::from_slice::<Zone>(body) {
            Ok(zone) => match state.add_zone(zone) {
                Some(id) => ok(json!({ "id": id })),
                None => {
                    answer(StatusCode::CONFLICT, json!({ "error": "there is such a zone, or it is no name" }))
                }
            },
            Err(error) => wrong(error),
        },
        ("POST", "tokens") => match serde_json::from_slice::<TokenForm>(body) {
            Ok(form) => ok(json!({ "token": state.add_token(form.into()) })),
            Err(error) => wrong(error),
        },
        ("DELETE", _) if page.starts_with("rules/") => {
            match serde_json::from_str::<RuleId>(&page["rules/".len()..]) {
                Ok(id) => ok(json!({ "removed": state.rules.remove(id) })),
                Err(error) => wrong(error),
            }
        }
        _ => answer(
            StatusCode::NOT_FOUND,
            json!({ "error": "no such page; there are calls, rules, release, zones, tokens" }),
        ),
    }
}

impl Place {
    /// Adds the zone, unless it is there.
    ///
    /// # Errors
    /// Nobody answers, or `zone` is no name.
    pub async fn add_zone(&self, zone: &str) -> Result<(), Error> {
        let failed = |source| Error::AddZone { zone: zone.to_owned(), source };
        let page = self.endpoint.replace("/client/v4", "/_causeway/zones");
        let client = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
        let form = json!({ "name": zone }).to_string();
        let answer = client.post(page).body(form).send().await.map_err(failed)?;
        match answer.status() {
            StatusCode::CONFLICT => Ok(()),
            _ => answer.error_for_status().map(drop).map_err(failed),
        }
    }
}

/// A token as people ask for it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForm {
    name: String,
    #[serde(default)]
    permissions: Vec<Permission>,
    #[serde(default)]
    zones: Option<Vec<String>>,
}

#[derive(serde::Deserialize)]
enum Permission {
    #[serde(rename = "Zone:Read")]
    ZoneRead,
    #[serde(rename = "DNS:Read")]
    DnsRead,
    #[serde(rename = "DNS:Edit")]
    DnsEdit,
}

impl From<TokenForm> for Token {
    fn from(form: TokenForm) -> Token {
        let token =
            form.permissions.into_iter().fold(Token::new(&form.name), |token, permission| match permission {
                Permission::ZoneRead => token.zone_read(),
                Permission::DnsRead => token.dns_read(),
                Permission::DnsEdit => token.dns_edit(),
            });
        Token { zones: form.zones, ..token }
    }
}
