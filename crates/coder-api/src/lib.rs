//! The REST API of a Coder server: <https://coder.com/docs/reference/api>. Knows nothing of stacks and clouds.

use serde::Deserialize;
use std::time::Duration;

/// Long enough for a server far away, and short enough for somebody who waits.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Speaks to one Coder server.
#[derive(Clone, Debug)]
pub struct Coder {
    http: reqwest::Client,
    url: String,
}

/// `GET /api/v2/buildinfo`: what the server says of itself, without a login.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BuildInfo {
    /// Like `v2.28.3+e0a1b2c`.
    pub version: String,
    /// Where that version is described.
    pub external_url: String,
}

/// Why a Coder server did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client could not be made.
    #[error("making an HTTP client failed")]
    Client(#[source] reqwest::Error),
    /// Nobody answered: no such name, no way there, no TLS, or too late.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// Somebody answered, and not well.
    #[error("{url} answers with status {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is not what a Coder server says.
    #[error("{url} does not answer like a Coder server")]
    Decode {
        /// What was asked.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
}

impl Coder {
    /// The server at `url`, its access URL.
    ///
    /// # Errors
    /// If TLS cannot be set up on this machine.
    pub fn new(url: &str) -> Result<Self, Error> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(Error::Client)?;
        Ok(Coder::with(http, url))
    }

    /// The server at `url`, asked by `http`: for one that is to be reached in a way of its own.
    pub fn with(http: reqwest::Client, url: &str) -> Self {
        Coder { http, url: url.trim_end_matches('/').to_owned() }
    }

    /// `GET /healthz`: whether the server is up.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where nobody answers, [`Error::Status`] where it is not well.
    pub async fn healthz(&self) -> Result<(), Error> {
        self.get("/healthz").await.map(drop)
    }

    /// `GET /api/v2/buildinfo`.
    ///
    /// # Errors
    /// As [`Coder::healthz`], and [`Error::Decode`] where it is not Coder that answers.
    pub async fn build_info(&self) -> Result<BuildInfo, Error> {
        let path = "/api/v2/buildinfo";
        let url = format!("{}{path}", self.url);
        self.get(path).await?.json().await.map_err(|source| Error::Decode { url, source })
    }

    async fn get(&self, path: &str) -> Result<reqwest::Response, Error> {
        let url = format!("{}{path}", self.url);
        let answer = self.http.get(&url).send().await;
        let answer =
            answer.map_err(|source| Error::Unreachable { url: url.clone(), source: source.without_url() })?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            status => Err(Error::Status { url, status: status.as_u16() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    /// Answers one request as HTTP does.
    fn server(status: &'static str, body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        });
        format!("http://{address}/")
    }

    fn coder(url: &str) -> Coder {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Coder::new(url).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_is_up_says_what_it_is() {
        coder(&server("200 OK", "OK")).healthz().await.unwrap();
        let body = r#"{"external_url":"https://example.com","version":"v2.28.3","telemetry":true}"#;
        assert_eq!(coder(&server("200 OK", body)).build_info().await.unwrap().version, "v2.28.3");
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_apart() {
        let unwell = coder(&server("503 Service Unavailable", "")).healthz().await;
        assert!(matches!(unwell, Err(Error::Status { status: 503, .. })), "{unwell:?}");
        let other = coder(&server("200 OK", "<html>")).build_info().await;
        assert!(matches!(other, Err(Error::Decode { .. })), "{other:?}");
        let nobody = coder("http://127.0.0.1:1").healthz().await;
        assert!(matches!(nobody, Err(Error::Unreachable { .. })), "{nobody:?}");
    }
}
