//! The edge of CloudFront and its key value stores, on real emulators: distributions are made with boto3, and looked at by HTTP.

#![expect(clippy::unwrap_used, reason = "a failed test may panic anywhere, also in what its functions share")]

#[path = "edge/cache.rs"]
mod cache;
#[path = "edge/control.rs"]
mod control;
#[path = "edge/keys.rs"]
mod keys;
#[path = "edge/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use causeway_sandbox::gateway::Pending;
use causeway_sandbox::{Sandbox, shared};
use serde_json::{Value, json};

fn warm() -> &'static Sandbox {
    let sandbox = shared().unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(error)));
    // What is written to a store is seen at once, so that nothing here waits.
    let pending = Pending { key_value_store: Duration::ZERO, ..Pending::default() };
    sandbox.gateway().set_pending(pending);
    sandbox
}

/// Runs Python with boto3 as an account; the script finds `given` and leaves its answer in `answer`.
fn boto3(account: &str, given: &Value, script: &str) -> Value {
    let sandbox = warm();
    let (key, secret) = sandbox.credentials(account).unwrap();
    let script = format!(
        "{}\ngiven = json.loads(sys.stdin.read())\n{script}\njson.dump(answer, sys.stdout, default=str)\n",
        include_str!("edge.py")
    );
    let mut child = Command::new(&sandbox.installed().python)
        .args(["-c", &script])
        .envs(sandbox.env())
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An answer to a request.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The first word of `x-cache`.
    fn from(&self) -> &str {
        self.header("x-cache").split(' ').next().unwrap()
    }
}

/// A request as it is written here: no library may tidy its path up.
fn http(
    address: SocketAddr,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: bytes[end + 4..].to_vec() }
}

/// A distribution of an account.
struct Site {
    account: &'static str,
    id: String,
    arn: String,
    domain: String,
    store: String,
    bucket: String,
}

impl Site {
    /// Makes what `site` of `edge.py` makes.
    fn make(account: &'static str, options: Value) -> Site {
        let made = boto3(account, &options, "answer = site(given)");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Site {
            account,
            id: text("id"),
            arn: text("arn"),
            domain: text("domain"),
            store: text("store"),
            bucket: text("bucket"),
        }
    }

    /// One with both functions of `causeway-site`, a release `20261122T150000Z-00000001` that is live, and an error page.
    fn released(account: &'static str, release: &Value, objects: Value) -> Site {
        let mut objects = objects;
        objects["_errors/404.html"] = json!({ "body": "not here" });
        let page = |code: u16| json!({ "ErrorCode": code, "ResponsePagePath": "/_errors/404.html", "ResponseCode": "404", "ErrorCachingMinTTL": 1 });
        let site = Site::make(
            account,
            json!({
                "name": format!("site-{account}"),
                "objects": objects,
                "functions": { "viewer-request": causeway_site::ROUTER, "viewer-response": causeway_site::HEADERS },
                "errors": [page(403), page(404)],
                "headers": { "SecurityHeadersConfig": { "ContentTypeOptions": { "Override": true } } },
            }),
        );
        site.write("live", &release.to_string());
        site
    }

    fn get(&self, path: &str) -> Answer {
        self.with(path, &[])
    }

    fn with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        http(warm().edge().address(), method, &self.domain, path, headers, "")
    }

    /// Writes a key of its store.
    fn write(&self, key: &str, value: &str) {
        let etag = self.keys("GET", "", "", "").header("etag").to_owned();
        let key = format!("/keys/{}", escaped(key));
        let answer = self.keys("PUT", &key, &etag, &json!({ "Value": value }).to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// A call about its store; `path` is behind the store's own.
    fn keys(&self, method: &str, path: &str, etag: &str, body: &str) -> Answer {
        keys(self.account, &self.store, method, path, etag, body)
    }
}

/// A call about a key value store, signed for any region.
fn keys(account: &str, arn: &str, method: &str, path: &str, etag: &str, body: &str) -> Answer {
    let key = format!("AKCW{account}SBOX");
    let signature = format!(
        "AWS4-ECDSA-P256-SHA256 Credential={key}/20261122/cloudfront-keyvaluestore/aws4_request, SignedHeaders=host, Signature=0"
    );
    let mut headers = vec![("Authorization", signature.as_str()), ("Content-Type", "application/json")];
    if !etag.is_empty() {
        headers.push(("If-Match", etag));
    }
    let path = format!("/key-value-stores/{}{path}", escaped(arn));
    http(warm().gateway().addr(), method, "localhost", &path, &headers, body)
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}
