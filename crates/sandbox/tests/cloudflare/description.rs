//! Whether requests and answers are as Cloudflare's API is published. [Prism](https://github.com/stoplightio/prism) stands between
//! the client and our server, and checks both by a description in OpenAPI. Neither is part of this project:
//!
//! ```console
//! $ npm install --prefix target/prism @stoplight/prism-cli@5.14.2
//! $ export CAUSEWAY_PRISM=$PWD/target/prism/node_modules/.bin/prism
//! $ export CAUSEWAY_CLOUDFLARE_DESCRIPTION=cloudflare-dns.openapi.json
//! $ cargo test -p causeway-sandbox --all-features --test cloudflare description -- --nocapture
//! ```
//!
//! The description has the paths of zones, their records with `batch`, and `/user/tokens/verify`, without `/client/v4`. Cloudflare's own is at
//! <https://github.com/cloudflare/api-schemas>; the requests of this test and the endpoint of batches are those of its libraries.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Api, id};

#[tokio::test]
async fn requests_and_answers_follow_the_published_description() {
    let given = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(prism), Some(description)) =
        (given("CAUSEWAY_PRISM"), given("CAUSEWAY_CLOUDFLARE_DESCRIPTION"))
    else {
        eprintln!(
            "skipped: CAUSEWAY_PRISM and CAUSEWAY_CLOUDFLARE_DESCRIPTION say where to find what checks"
        );
        return;
    };
    let api = Api::paid().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut proxy = tokio::process::Command::new(prism)
        .args(["proxy", "--errors", "-h", "127.0.0.1", "-p", &port.to_string(), &description])
        .arg(api.cloudflare.endpoint())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut tries = 0;
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tries += 1;
        assert!(tries < 600 && proxy.try_wait().unwrap().is_none(), "the proxy does not start");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let through = async |method: Method, path: &str, body: Option<&Value>| {
        let request =
            api.client.request(method, format!("http://127.0.0.1:{port}{path}")).bearer_auth(&api.token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let mut records = Vec::new();
    for record in [
        json!({"type": "A", "name": "a", "content": "192.0.2.1", "proxied": true}),
        json!({"type": "AAAA", "name": "a", "content": "2001:db8::1"}),
        json!({"type": "CNAME", "name": "*.c", "content": "a.example.net", "settings": {"flatten_cname": true}}),
        json!({"type": "MX", "name": "@", "content": "mx.example.com", "priority": 0}),
        json!({"type": "NS", "name": "sub", "content": "ns.example.net"}),
        json!({"type": "TXT", "name": "t", "content": "\"quoted text\"", "tags": ["team:dns"]}),
        json!({"type": "CAA", "name": "@", "data": {"flags": 0, "tag": "issue", "value": "letsencrypt.org"}}),
        json!({"type": "SRV", "name": "_sip._tcp", "data": {"priority": 1, "weight": 0, "port": 5060, "target": "sip.example.com"}}),
        json!({"type": "TLSA", "name": "_443._tcp", "data": {"usage": 3, "selector": 1, "matching_type": 1, "certificate": "00ff"}}),
        json!({"type": "HTTPS", "name": "h", "data": {"priority": 1, "target": ".", "value": "alpn=\"h3\""}}),
        json!({"type": "URI", "name": "u", "priority": 1, "data": {"weight": 2, "target": "https://example.com"}}),
    ] {
        let mut record = record;
        // Both may be left out, and the description does not know it.
        record["ttl"] = json!(1);
        record["comment"] = json!("a note");
        let (status, body) = through(Method::POST, &api.records(""), Some(&record)).await;
        assert_eq!(status, 200, "{record}: {body}");
        records.push((record, body["result"].clone()));
    }
    let (first, made) = &records[0];
    let one = api.records(&format!("/{}", id(made)));
    for (method, path, body) in [
        (Method::GET, "/user/tokens/verify".to_owned(), None),
        (Method::GET, "/zones?name=example.com&status=active&per_page=50&page=1".to_owned(), None),
        (Method::GET, format!("/zones/{}", api.zone), None),
        (Method::GET, api.records("?per_page=1000&order=name&direction=desc"), None),
        (Method::GET, one.clone(), None),
        (Method::PUT, one.clone(), Some(first.clone())),
        (Method::PATCH, one.clone(), Some(json!({"comment": "another"}))),
        (
            Method::POST,
            api.records("/batch"),
            Some(json!({
                "deletes": [{"id": id(&records[1].1)}],
                "patches": [{"id": id(&records[2].1), "ttl": 300}],
                "posts": [{"type": "A", "name": "b", "content": "192.0.2.2", "ttl": 60, "comment": "new"}],
            })),
        ),
        (Method::DELETE, one.clone(), None),
    ] {
        let (status, body) = through(method.clone(), &path, body.as_ref()).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
    }
    // Refusals have the form that is published, too.
    let (status, body) = through(Method::GET, &one, None).await;
    assert_eq!((status, super::codes(&body).0), (404, 81044), "{body}");
    let twin = json!({"type": "A", "name": "b", "content": "192.0.2.2", "ttl": 60});
    let (status, body) = through(Method::POST, &api.records(""), Some(&twin)).await;
    assert_eq!((status, super::codes(&body).0), (400, 81058), "{body}");
    let short = json!({"type": "A", "name": "z", "content": "10.0.0.1", "ttl": 60, "proxied": true});
    let (status, body) = through(Method::POST, &api.records(""), Some(&short)).await;
    assert_eq!((status, super::cause(&body)), (400, 9003), "{body}");

    // What the description forbids does not reach our server through the proxy, which would refuse it, too.
    let kept = api.contents();
    let record = |extra: Value| {
        let mut record = json!({"type": "A", "name": "x", "content": "192.0.2.9", "ttl": 60});
        record.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Some(record)
    };
    let another = api.records(&format!("/{}", id(&records[5].1)));
    for (method, path, body) in [
        (Method::GET, "/zones?per_page=999".to_owned(), None),
        (Method::GET, "/zones?status=lost".to_owned(), None),
        (Method::GET, api.records("?order=age"), None),
        (Method::GET, api.records(&format!("/{}", "a".repeat(34))), None),
        (Method::POST, api.records(""), record(json!({"type": "BOGUS"}))),
        (Method::POST, api.records(""), record(json!({"content": "nope"}))),
        (Method::POST, api.records(""), record(json!({"ttl": 5}))),
        (Method::POST, api.records(""), record(json!({"ttl": "60"}))),
        (Method::POST, api.records(""), record(json!({"name": "n".repeat(256)}))),
        (Method::POST, api.records(""), record(json!({"comment": "x".repeat(501)}))),
        (Method::POST, api.records(""), record(json!({"type": "TXT", "proxied": true}))),
        (Method::POST, api.records(""), record(json!({"type": "MX", "content": "mx.example.com"}))),
        (Method::PATCH, another.clone(), Some(json!({}))),
        (Method::PUT, another.clone(), Some(json!({"name": "t", "content": "text", "ttl": 1}))),
        (Method::POST, api.records("/batch"), Some(json!({"deletes": [{}]}))),
        (Method::POST, api.records("/batch"), Some(json!({"creates": []}))),
        (Method::POST, api.records("/batch"), Some(json!({}))),
    ] {
        let (refused, said) = through(method.clone(), &path, body.as_ref()).await;
        assert!(
            [400, 422].contains(&refused),
            "the description allows {method} {path} {body:?}: {refused} {said}"
        );
        let (ours, said) = api.ask(method.clone(), &path, body.as_ref()).await;
        assert!((400..500).contains(&ours), "we allow {method} {path} {body:?}: {said}");
    }
    let text =
        api.client.post(format!("{}{}", api.cloudflare.endpoint(), api.records(""))).bearer_auth(&api.token);
    let text = text.header("content-type", "text/plain").body(twin.to_string()).send().await.unwrap();
    assert_eq!(text.status(), 400);
    assert_eq!(api.contents(), kept);
}
