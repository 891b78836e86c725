//! Calls of the API: one at a time within the budget, and what their answers mean.
//!
//! <https://developers.cloudflare.com/fundamentals/api/reference/limits/>

use crate::{
    budget::Budget,
    error::{ProviderError, excerpt},
};
use reqwest::{Client, Method, StatusCode, Url, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;
use std::time::Duration;

const PROVIDER: &str = "Cloudflare";

/// How long an answer may take. A batch of 3,500 takes some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Codes of what stands in the way, or is not there any more: what was listed is not what is there.
const CONFLICTS: [u32; 8] = [81044, 81053, 81054, 81055, 81056, 81057, 81058, 81062];

/// Codes of credentials that do not serve: malformed, unknown, or without a permission.
const DENIALS: [u32; 6] = [1000, 6003, 9103, 9106, 9109, 10000];

/// Codes of too many calls.
const THROTTLES: [u32; 3] = [10100, 10300, 10429];

/// Speaks to the API.
pub(super) struct Api {
    http: Client,
    endpoint: Url,
    token: SecretString,
    budget: Budget,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    success: Option<bool>,
    #[serde(default)]
    errors: Vec<Problem>,
    #[serde(default)]
    result: Json,
    #[serde(default)]
    result_info: Option<Info>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    error_chain: Vec<Problem>,
}

impl Problem {
    fn codes(&self, out: &mut Vec<u32>) {
        out.push(self.code);
        self.error_chain.iter().for_each(|p| p.codes(out));
    }

    fn words(&self) -> String {
        let why: Vec<String> = self.error_chain.iter().map(Problem::words).collect();
        let own = format!("{}: {}", self.code, excerpt(self.message.as_bytes()));
        if why.is_empty() { own } else { format!("{own} ({})", why.join("; ")) }
    }
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    total_count: Option<usize>,
}

impl Api {
    pub(super) fn new(endpoint: &str, token: SecretString, budget: Budget) -> Result<Self, ProviderError> {
        let call = "cloudflare:Connect";
        // Joining to a base that does not end so would drop its last part.
        let base = format!("{}/", endpoint.trim_end_matches('/'));
        let endpoint = Url::parse(&base).map_err(|source| ProviderError::Unreached {
            call,
            source: format!("`{endpoint}`: {source}").into(),
        })?;
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .user_agent(concat!("causeway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| ProviderError::Unreached { call, source: source.into() })?;
        Ok(Api { http, endpoint, token, budget })
    }

    /// Everything that is listed at `path`.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        call: &'static str,
        path: &str,
        a_page: usize,
    ) -> Result<Vec<T>, ProviderError> {
        let mut all: Vec<T> = vec![];
        for page in 1.. {
            let (some, info) = self
                .send::<Vec<T>>(call, Method::GET, &format!("{path}?page={page}&per_page={a_page}"), None)
                .await?;
            let got = some.len();
            all.extend(some);
            let more = match info.and_then(|info| info.total_count) {
                Some(total) => all.len() < total,
                None => got >= a_page,
            };
            if got == 0 || !more {
                break;
            }
        }
        Ok(all)
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        call: &'static str,
        path: &str,
        body: &Json,
    ) -> Result<T, ProviderError> {
        Ok(self.send(call, Method::POST, path, Some(body)).await?.0)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        call: &'static str,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<(T, Option<Info>), ProviderError> {
        let unreached =
            |source: reqwest::Error| ProviderError::Unreached { call, source: source.without_url().into() };
        self.budget.take(call).await?;
        let writes = method != Method::GET;
        let url = self
            .endpoint
            .join(path)
            .map_err(|source| ProviderError::Unreached { call, source: source.into() })?;
        let mut request = self.http.request(method, url).bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreached)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let said = |name: &str| headers.get(name).and_then(|h| h.to_str().ok());
        if status != StatusCode::TOO_MANY_REQUESTS {
            self.budget.told(said("ratelimit"));
        }
        let bytes = response.bytes().await.map_err(unreached)?;
        let envelope = match serde_json::from_slice::<Envelope>(&bytes) {
            Ok(envelope) => envelope,
            Err(_) if status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(self.throttled(call, &headers, excerpt(&bytes)));
            }
            Err(error) => return Err(no_answer(call, status, &bytes, &error, writes)),
        };
        if !status.is_success() || envelope.success == Some(false) {
            let words = words(status, &envelope.errors);
            let mut codes = vec![];
            envelope.errors.iter().for_each(|p| p.codes(&mut codes));
            let has = |known: &[u32]| codes.iter().any(|c| known.contains(c));
            if status == StatusCode::TOO_MANY_REQUESTS || has(&THROTTLES) {
                return Err(self.throttled(call, &headers, words));
            }
            return Err(match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => denied(call, words, writes),
                _ if status.is_server_error() => ProviderError::Server { call, words },
                _ if has(&CONFLICTS) => ProviderError::Conflict { call, words },
                _ if has(&DENIALS) && !has(&[1004]) => denied(call, words, writes),
                _ => ProviderError::Refused { call, words },
            });
        }
        match serde_json::from_value(envelope.result) {
            Ok(result) => Ok((result, envelope.result_info)),
            Err(error) => Err(no_answer(call, status, &bytes, &error, writes)),
        }
    }

    fn throttled(&self, call: &'static str, headers: &HeaderMap, words: String) -> ProviderError {
        let after = headers.get("retry-after").and_then(|h| h.to_str().ok()?.trim().parse().ok());
        let after = after.map(Duration::from_secs);
        self.budget.refused(after);
        ProviderError::Throttled { call, words, after }
    }
}

fn words(status: StatusCode, errors: &[Problem]) -> String {
    let all: Vec<String> = errors.iter().map(Problem::words).collect();
    if all.is_empty() { format!("HTTP {} without a reason", status.as_u16()) } else { all.join("; ") }
}

fn denied(call: &'static str, words: String, writes: bool) -> ProviderError {
    let remedy = if writes {
        "the token cannot change this zone: give it DNS:Edit for it"
    } else {
        "look whether the token is a valid one and has Zone:Read and DNS:Read for this zone"
    };
    ProviderError::Denied { call, words, remedy }
}

fn no_answer(
    call: &'static str,
    status: StatusCode,
    body: &[u8],
    error: &serde_json::Error,
    writes: bool,
) -> ProviderError {
    let begins = body.iter().find(|b| !b.is_ascii_whitespace());
    let why = match begins {
        None => "it is empty".to_owned(),
        Some(b'<') => "it is a page in HTML, as proxies send".to_owned(),
        Some(_) if error.is_eof() => "it ends in the middle".to_owned(),
        Some(_) => error.to_string(),
    };
    // What was to be changed may have been, so it is looked at once more.
    let passes = writes || status.is_server_error() || error.is_eof();
    ProviderError::NoAnswer {
        call,
        provider: PROVIDER,
        status: status.as_u16(),
        why,
        excerpt: excerpt(body),
        passes,
    }
}
