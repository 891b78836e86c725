//! What is in key value stores, and its limits.

use super::{Answer, boto3, escaped, keys};
use serde_json::{Value, json};

const ACCOUNT: &str = "000000007001";

fn store(name: &str) -> String {
    let script = "answer = client('cloudfront').create_key_value_store(Name=given)['KeyValueStore']['ARN']";
    boto3(ACCOUNT, &json!(name), script).as_str().unwrap().to_owned()
}

struct Store(String);

impl Store {
    fn call(&self, method: &str, path: &str, etag: &str, body: &Value) -> Answer {
        keys(ACCOUNT, &self.0, method, path, etag, &body.to_string())
    }

    fn etag(&self) -> String {
        self.call("GET", "", "", &Value::Null).header("etag").to_owned()
    }

    fn put(&self, key: &str, value: &str) -> Answer {
        self.call("PUT", &format!("/keys/{}", escaped(key)), &self.etag(), &json!({ "Value": value }))
    }

    fn get(&self, key: &str) -> Answer {
        self.call("GET", &format!("/keys/{}", escaped(key)), "", &Value::Null)
    }

    fn update(&self, puts: &[(String, String)], deletes: &[&str]) -> Answer {
        let puts: Vec<Value> =
            puts.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let deletes: Vec<Value> = deletes.iter().map(|key| json!({ "Key": key })).collect();
        self.call("POST", "/keys", &self.etag(), &json!({ "Puts": puts, "Deletes": deletes }))
    }
}

fn error(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("x-amzn-errortype"))
}

#[test]
fn a_key_is_written_read_and_deleted() {
    let store = Store(store("one"));
    let first = store.etag();
    assert_eq!(store.put("to:1:/a b/ü", "308 /c").json(), json!({ "ItemCount": 1, "TotalSizeInBytes": 18 }));
    assert_ne!(store.etag(), first);
    let found = store.get("to:1:/a b/ü");
    let expected = json!({ "Key": "to:1:/a b/ü", "Value": "308 /c", "ItemCount": 1, "TotalSizeInBytes": 18 });
    assert_eq!(found.json(), expected);
    let told = store.call("GET", "", "", &Value::Null).json();
    assert_eq!(
        (&told["KvsARN"], &told["Status"], &told["ItemCount"]),
        (&json!(store.0), &json!("READY"), &json!(1))
    );
    assert!(told["Created"].as_f64().unwrap() <= told["LastModified"].as_f64().unwrap());
    let gone =
        store.call("DELETE", &format!("/keys/{}", escaped("to:1:/a b/ü")), &store.etag(), &Value::Null);
    assert_eq!(gone.json()["ItemCount"], 0);
    assert_eq!(error(&store.get("to:1:/a b/ü")), (404, "ResourceNotFoundException"));
}

#[test]
fn who_has_seen_an_older_version_changes_nothing() {
    let store = Store(store("two"));
    let stale = store.etag();
    store.put("a", "1");
    let body = json!({ "Value": "2" });
    assert_eq!(error(&store.call("PUT", "/keys/a", &stale, &body)), (409, "ConflictException"));
    assert_eq!(error(&store.call("PUT", "/keys/a", "", &body)), (400, "ValidationException"));
    assert_eq!(store.get("a").json()["Value"], "1");
}

#[test]
fn limits_are_those_of_cloudfront() {
    let store = Store(store("three"));
    let of = |n: usize| "k".repeat(n);
    assert_eq!(store.put(&of(512), &of(512)).status, 200);
    assert_eq!(error(&store.put(&of(513), "")), (400, "ValidationException"));
    assert_eq!(error(&store.put("k", &of(1024))), (400, "ValidationException"));
    assert_eq!(store.put("k", &of(1023)).status, 200);

    let many = |from: usize, n: usize, value: &str| {
        (from..from + n).map(|n| (format!("{n:05}"), value.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(error(&store.update(&many(0, 50, "v"), &["k"])), (400, "ValidationException"));
    assert_eq!(store.update(&many(0, 49, "v"), &["k"]).json()["ItemCount"], 50);
    // All or nothing.
    let mut wrong = many(100, 2, "v");
    wrong[1].1 = of(2000);
    assert_eq!(store.update(&wrong, &[]).status, 400);
    assert_eq!(store.get("00100").status, 404);

    // 5 MB at most.
    let mut at = 1000;
    let full = loop {
        let answer = store.update(&many(at, 50, &of(1000)), &[]);
        if answer.status != 200 {
            break answer;
        }
        at += 50;
        assert!(at < 20_000, "a store has a limit");
    };
    assert_eq!(error(&full), (402, "ServiceQuotaExceededException"));
}

#[test]
fn keys_come_in_pages() {
    let store = Store(store("four"));
    let all: Vec<(String, String)> = (0..25).map(|n| (format!("k{n:02}"), n.to_string())).collect();
    store.update(&all, &[]);
    let mut seen = Vec::new();
    let mut query = "?MaxResults=7".to_owned();
    loop {
        let page = store.call("GET", &format!("/keys{query}"), "", &Value::Null).json();
        for item in page["Items"].as_array().unwrap() {
            seen.push((item["Key"].as_str().unwrap().to_owned(), item["Value"].as_str().unwrap().to_owned()));
        }
        match page["NextToken"].as_str() {
            Some(token) => query = format!("?MaxResults=7&NextToken={token}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
    assert_eq!(store.call("GET", "/keys", "", &Value::Null).json()["Items"].as_array().unwrap().len(), 10);
    assert_eq!(
        error(&store.call("GET", "/keys?MaxResults=51", "", &Value::Null)),
        (400, "ValidationException")
    );
}

#[test]
fn a_store_that_is_not_there_or_somebody_elses_is_refused() {
    let mine = Store(store("five"));
    let other = keys("000000007002", &mine.0, "GET", "", "", "");
    assert_eq!(error(&other), (403, "AccessDeniedException"));
    let gone = boto3(
        ACCOUNT,
        &json!("five"),
        "cf = client('cloudfront')\n\
         cf.delete_key_value_store(Name=given, IfMatch=cf.describe_key_value_store(Name=given)['ETag'])\n\
         answer = True",
    );
    assert_eq!(gone, true);
    assert_eq!(error(&mine.call("GET", "", "", &Value::Null)), (404, "ResourceNotFoundException"));
}
