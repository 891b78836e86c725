//! The sandbox's Cloudflare, asked over HTTP and DNS as its clients do.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod api;
mod description;
mod dns;
mod records;

use causeway_sandbox::cloudflare::{Cloudflare, Options, Plan, Token, Zone};
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// A Cloudflare with one zone, and a token for it.
struct Api {
    cloudflare: Cloudflare,
    zone: String,
    token: String,
    client: reqwest::Client,
}

impl Api {
    async fn start() -> Api {
        Api::with(Options::default(), Zone::new("example.com")).await
    }

    async fn paid() -> Api {
        Api::with(Options::default(), Zone::new("example.com").plan(Plan::Pro)).await
    }

    async fn with(options: Options, zone: Zone) -> Api {
        let cloudflare = Cloudflare::start(options).await.unwrap();
        let zone = cloudflare.add_zone(zone).unwrap();
        let token = cloudflare.add_token(Token::dns("test"));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Api { cloudflare, zone, token, client }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::Result<Response> {
        self.send_as(&self.token, method, path, body).await
    }

    async fn send_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Response> {
        let url = format!("{}{path}", self.cloudflare.endpoint());
        let request = self.client.request(method, url).bearer_auth(token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        request.send().await
    }

    /// Status and body.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let response = self.send(method, path, body).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!((status, &body["success"]), (200, &json!(true)), "{path}: {body}");
        body
    }

    /// The path of the zone's records, or of one.
    fn records(&self, rest: &str) -> String {
        format!("/zones/{}/dns_records{rest}", self.zone)
    }

    async fn post(&self, record: Value) -> (u16, Value) {
        self.ask(Method::POST, &self.records(""), Some(&record)).await
    }

    /// Posts a record that must be taken, and returns it.
    async fn made(&self, record: Value) -> Value {
        let (status, body) = self.post(record.clone()).await;
        assert_eq!(status, 200, "{record}: {body}");
        body["result"].clone()
    }

    async fn batch(&self, body: Value) -> (u16, Value) {
        self.ask(Method::POST, &self.records("/batch"), Some(&body)).await
    }

    fn contents(&self) -> Vec<(String, &'static str, String)> {
        let records = self.cloudflare.records("example.com");
        records.into_iter().map(|record| (record.name, record.kind, record.content)).collect()
    }
}

/// The code of the first error, and that of its cause.
fn codes(body: &Value) -> (u64, Option<u64>) {
    assert_eq!((&body["success"], &body["result"]), (&json!(false), &Value::Null), "{body}");
    let error = &body["errors"][0];
    (error["code"].as_u64().unwrap(), error["error_chain"][0]["code"].as_u64())
}

/// The innermost code.
fn cause(body: &Value) -> u64 {
    let (code, cause) = codes(body);
    cause.unwrap_or(code)
}

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}
