//! A small client of an API server, for what the sandbox itself asks of it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::authority::Identity;

/// The name under which the sandbox changes objects.
const MANAGER: &str = "causeway-sandbox";
/// The server sends nothing for minutes while it watches; everything else answers within seconds.
const ANSWER: Duration = Duration::from_secs(30);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("make a client")]
    Client(#[source] reqwest::Error),
    #[error("{method} {path}")]
    Send {
        method: Method,
        path: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{method} {path}: {status}: {message}")]
    Answer { method: Method, path: String, status: u16, message: String },
}

impl Error {
    /// Whether the server answered with this status.
    pub(crate) fn is(&self, wanted: u16) -> bool {
        matches!(self, Error::Answer { status, .. } if *status == wanted)
    }
}

/// Speaks to one API server as one user.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// `base` is like `https://127.0.0.1:6443`; `authority` a certificate as PEM.
    pub(crate) fn new(base: String, authority: &str, identity: &Identity) -> Result<Client, Error> {
        let http = http(authority, identity).map_err(Error::Client)?;
        Ok(Client { http, base })
    }

    /// The same user at another address.
    pub(crate) fn at(&self, base: String) -> Client {
        Client { http: self.http.clone(), base }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base)).timeout(ANSWER);
        if let Some(body) = body {
            request = request.header("content-type", kind).body(body.to_string());
        }
        let failed = |source| Error::Send { method: method.clone(), path: path.to_owned(), source };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let text = response.text().await.map_err(failed)?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let message = value["message"].as_str().unwrap_or(&text).to_owned();
        Err(Error::Answer { method, path: path.to_owned(), status: status.as_u16(), message })
    }

    /// Whether the server is ready.
    pub(crate) async fn ready(&self) -> bool {
        self.send(Method::GET, "/readyz", "", None).await.is_ok()
    }

    /// An object or a list; `None` if it is not there.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>, Error> {
        match self.send(Method::GET, path, "", None).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an object as we want it, or changes it to that.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Result<Value, Error> {
        let path = format!("{path}?fieldManager={MANAGER}&force=true");
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", Some(object)).await
    }

    /// Makes an object.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value, Error> {
        self.send(Method::POST, &format!("{path}?fieldManager={MANAGER}"), "application/json", Some(object))
            .await
    }

    /// Changes parts of an object; `null` takes a field away.
    pub(crate) async fn merge(&self, path: &str, part: &Value) -> Result<Value, Error> {
        let path = format!("{path}?fieldManager={MANAGER}");
        self.send(Method::PATCH, &path, "application/merge-patch+json", Some(part)).await
    }

    /// Deletes an object; that it is gone already is as good.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Error> {
        match self.send(Method::DELETE, path, "application/json", Some(&json!({}))).await {
            Err(error) if !error.is(404) => Err(error),
            _ => Ok(()),
        }
    }

    /// The changes of a list since `version`.
    pub(crate) async fn watch(&self, path: &str, version: &str) -> Result<Watch, Error> {
        let path =
            format!("{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}");
        let failed = |source| Error::Send { method: Method::GET, path: path.clone(), source };
        let response = self.http.get(format!("{}{path}", self.base)).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        if status != 200 {
            let message = response.text().await.unwrap_or_default();
            return Err(Error::Answer { method: Method::GET, path, status, message });
        }
        Ok(Watch { response, path, rest: Vec::new() })
    }
}

/// The changes of a list.
pub(crate) struct Watch {
    response: reqwest::Response,
    path: String,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event; `None` when the server has ended the watch.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Error> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line).unwrap_or_default()));
            }
            let failed = |source| Error::Send { method: Method::GET, path: self.path.clone(), source };
            match self.response.chunk().await.map_err(failed)? {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}

fn http(authority: &str, identity: &Identity) -> Result<reqwest::Client, reqwest::Error> {
    let pem = format!("{}{}", identity.certificate, identity.key);
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(authority.as_bytes())?])
        .identity(reqwest::Identity::from_pem(pem.as_bytes())?)
        .build()
}
