//! Records: their life, what is refused of them, batches and lists.

use std::time::Duration;

use causeway_sandbox::cloudflare::{Options, Plan, Zone};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, cause, codes, id};

#[tokio::test]
async fn put_resets_what_is_not_given_and_patch_keeps_it() {
    let api = Api::paid().await;
    let made = api
        .made(json!({
            "type": "A", "name": "WWW.example.com.", "content": "198.51.100.4", "ttl": 300,
            "comment": "a note", "tags": ["team:dns"],
        }))
        .await;
    assert_eq!(made["name"], "www.example.com");
    assert_eq!(
        (&made["proxied"], &made["proxiable"], &made["meta"]),
        (&json!(false), &json!(true), &json!({}))
    );
    assert_eq!(made["comment_modified_on"], made["created_on"]);
    assert!(made["created_on"].as_str().unwrap().ends_with('Z'));
    api.cloudflare.advance(Duration::from_secs(60));
    let path = api.records(&format!("/{}", id(&made)));
    let (_, body) = api.ask(Method::PATCH, &path, Some(&json!({"content": "198.51.100.5"}))).await;
    let patched = &body["result"];
    for kept in
        ["id", "name", "ttl", "comment", "tags", "created_on", "comment_modified_on", "tags_modified_on"]
    {
        assert_eq!(patched[kept], made[kept], "{kept}");
    }
    assert_eq!(patched["content"], "198.51.100.5");
    assert!(patched["modified_on"].as_str() > made["modified_on"].as_str());
    let (_, body) = api.ask(Method::PATCH, &path, Some(&json!({"comment": null}))).await;
    assert_eq!((&body["result"]["comment"], &body["result"]["tags"]), (&Value::Null, &json!(["team:dns"])));
    let whole = json!({"type": "A", "name": "www", "content": "198.51.100.6", "ttl": 60});
    let (_, body) = api.ask(Method::PUT, &path, Some(&whole)).await;
    let put = &body["result"];
    assert_eq!((id(put), &put["created_on"]), (id(&made), &made["created_on"]));
    assert_eq!((&put["tags"], &put["ttl"]), (&json!([]), &json!(60)));
    let (_, body) = api.ask(Method::PATCH, &path, Some(&json!({"proxied": true}))).await;
    assert_eq!((&body["result"]["ttl"], &body["result"]["proxied"]), (&json!(1), &json!(true)));
    assert_eq!(api.get(&path).await["result"], body["result"]);
    let (_, body) = api.ask(Method::DELETE, &path, None).await;
    assert_eq!(body["result"], json!({"id": id(&made)}));
    let (status, body) = api.ask(Method::DELETE, &path, None).await;
    assert_eq!((status, codes(&body)), (404, (81044, None)));
}

#[tokio::test]
async fn every_check_tells_its_code_and_changes_nothing() {
    let api = Api::start().await;
    let fields = |extra: Value| {
        let mut record = json!({"type": "A", "name": "a", "content": "198.51.100.4", "ttl": 1});
        record.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        record
    };
    for (extra, code) in [
        (json!({"type": "BOGUS"}), 9002),
        (json!({"type": null}), 9002),
        (json!({"name": ""}), 9000),
        (json!({"name": "a..b"}), 9000),
        (json!({"name": null}), 9000),
        (json!({"content": "198.51.100.256"}), 9005),
        (json!({"content": null}), 9005),
        (json!({"type": "AAAA"}), 9006),
        (json!({"type": "CNAME"}), 9007),
        (json!({"type": "CNAME", "content": "A.example.com."}), 9039),
        (json!({"type": "MX", "content": "not a host", "priority": 1}), 9009),
        (json!({"ttl": 0}), 9021),
        (json!({"ttl": 59}), 9021),
        (json!({"ttl": 86_401}), 9021),
        (json!({"proxied": true, "content": "10.0.0.1"}), 9003),
        (json!({"proxied": true, "content": "1.1.1.1"}), 9003),
        (json!({"proxied": true, "type": "TXT"}), 9004),
        (json!({"tags": ["a:b"]}), 9300),
        (json!({"comment": "x".repeat(101)}), 9313),
    ] {
        let (status, body) = api.post(fields(extra.clone())).await;
        assert_eq!((status, codes(&body)), (400, (1004, Some(code))), "{extra}: {body}");
    }
    for (extra, code) in [
        (json!({"content": 7}), 9207),
        (json!({"comment": "a\nb"}), 0),
        (json!({"type": "MX", "content": "mx.example.com"}), 0),
        (json!({"type": "TXT", "content": ""}), 0),
        (json!({"type": "SRV", "data": {"weight": 1, "port": 1, "target": "a.example.com"}}), 0),
        (json!({"type": "CAA", "data": {"flags": 256, "tag": "issue", "value": "ca"}}), 0),
    ] {
        let (status, body) = api.post(fields(extra.clone())).await;
        assert_eq!((status, codes(&body)), (400, (code, None)), "{extra}: {body}");
    }
    assert!(api.contents().is_empty());
    assert!(api.cloudflare.mutations().iter().all(|call| !call.changed));
    for extra in [
        json!({"ttl": 60}),
        json!({"comment": "x".repeat(100), "name": "b"}),
        json!({"ttl": 86_400, "name": "c"}),
    ] {
        api.made(fields(extra)).await;
    }
    let paid = Api::with(Options::default(), Zone::new("example.com").plan(Plan::Enterprise)).await;
    paid.made(fields(json!({"ttl": 30, "tags": ["a:b"], "comment": "x".repeat(500)}))).await;
    assert_eq!(cause(&paid.post(fields(json!({"name": "b", "tags": vec!["t"; 21]}))).await.1), 9300);
    let small = Api::with(Options::default(), Zone::new("example.com").record_quota(1)).await;
    small.made(fields(json!({}))).await;
    assert_eq!(cause(&small.post(fields(json!({"name": "b"}))).await.1), 81045);
}

#[tokio::test]
async fn names_and_contents_come_back_in_one_form() {
    let api = Api::start().await;
    for (record, name, content) in [
        (json!({"type": "A", "name": "@", "content": "198.51.100.4"}), "example.com", "198.51.100.4"),
        (
            json!({"type": "AAAA", "name": "bücher", "content": "2001:DB8::0:1"}),
            "xn--bcher-kva.example.com",
            "2001:db8::1",
        ),
        (
            json!({"type": "CNAME", "name": "*.dev", "content": "Bücher.example."}),
            "*.dev.example.com",
            "xn--bcher-kva.example",
        ),
        (
            json!({"type": "MX", "name": "@", "content": "MX.example.net", "priority": 5}),
            "example.com",
            "mx.example.net",
        ),
        (
            json!({"type": "TXT", "name": "t", "content": "\"Quoted Text\""}),
            "t.example.com",
            "\"Quoted Text\"",
        ),
        (
            json!({"type": "CAA", "name": "@", "data": {"flags": 0, "tag": "issue", "value": "ca.example"}}),
            "example.com",
            "0 issue \"ca.example\"",
        ),
        (
            json!({"type": "SRV", "name": "_sip._tcp", "data": {"priority": 1, "weight": 2, "port": 3, "target": "sip.example.com"}}),
            "_sip._tcp.example.com",
            "2 3 sip.example.com",
        ),
        (
            json!({"type": "HTTPS", "name": "h", "data": {"priority": 1, "target": ".", "value": "alpn=\"h3\""}}),
            "h.example.com",
            "1 . alpn=\"h3\"",
        ),
    ] {
        let made = api.made(record.clone()).await;
        assert_eq!((&made["name"], &made["content"]), (&json!(name), &json!(content)), "{record}");
        assert_eq!(made["ttl"], 1);
    }
}

#[tokio::test]
async fn some_records_do_not_stand_beside_others() {
    let api = Api::start().await;
    let record = |kind: &str, name: &str| match kind {
        "A" => json!({"type": kind, "name": name, "content": "198.51.100.4"}),
        "AAAA" => json!({"type": kind, "name": name, "content": "2001:db8::1"}),
        "TXT" => json!({"type": kind, "name": name, "content": "text"}),
        _ => json!({"type": kind, "name": name, "content": "target.example.net"}),
    };
    for (number, (first, second, code)) in [
        ("A", "CNAME", 81053),
        ("AAAA", "CNAME", 81053),
        ("CNAME", "CNAME", 81053),
        ("CNAME", "A", 81054),
        ("CNAME", "AAAA", 81054),
        ("A", "NS", 81055),
        ("TXT", "NS", 81055),
        ("NS", "A", 81056),
        ("NS", "CNAME", 81056),
        ("A", "A", 81058),
        ("TXT", "TXT", 81058),
        ("NS", "NS", 81058),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("n{number}");
        api.made(record(first, &name)).await;
        let (status, body) = api.post(record(second, &name)).await;
        assert_eq!((status, codes(&body)), (400, (code, None)), "{first} {second}");
    }
    for (first, second) in [("A", "AAAA"), ("A", "TXT"), ("CNAME", "TXT")] {
        let name = format!("{first}-{second}");
        api.made(record(first, &name)).await;
        api.made(record(second, &name)).await;
    }
    // The same text is the same record, with quotes and without.
    let quoted = json!({"type": "TXT", "name": "n10", "content": "\"text\""});
    assert_eq!(cause(&api.post(quoted).await.1), 81058);
    // Nor can a change make what cannot be made.
    let other = api.made(json!({"type": "A", "name": "other", "content": "198.51.100.4"})).await;
    let path = api.records(&format!("/{}", id(&other)));
    let (_, body) = api.ask(Method::PATCH, &path, Some(&json!({"name": "n9"}))).await;
    assert_eq!(cause(&body), 81058);
}

#[tokio::test]
async fn a_batch_happens_in_cloudflares_order_and_as_a_whole_or_not_at_all() {
    let api = Api::start().await;
    let old = api.made(json!({"type": "A", "name": "www", "content": "198.51.100.4"})).await;
    let kept = api.made(json!({"type": "A", "name": "kept", "content": "198.51.100.4"})).await;
    let put = api.made(json!({"type": "A", "name": "put", "content": "198.51.100.4", "ttl": 60})).await;
    let before = api.contents();
    let (status, body) = api
        .batch(json!({
            "deletes": [{"id": id(&old)}],
            "posts": [
                {"type": "TXT", "name": "new", "content": "text"},
                {"type": "CNAME", "name": "kept", "content": "a.example.net"},
            ],
        }))
        .await;
    assert_eq!((status, codes(&body)), (400, (81053, None)));
    assert_eq!(api.contents(), before);
    // The type of a name changes in one batch, whatever the order of its lists.
    let (status, body) = api
        .batch(json!({
            "posts": [{"type": "CNAME", "name": "www", "content": "lb.example.net"}],
            "puts": [{"id": id(&put), "type": "A", "name": "put", "content": "198.51.100.9"}],
            "patches": [{"id": id(&kept), "content": "198.51.100.7"}],
            "deletes": [{"id": id(&old)}],
        }))
        .await;
    assert_eq!(status, 200, "{body}");
    let result = &body["result"];
    assert_eq!(result["deletes"][0]["id"], old["id"]);
    assert_eq!(result["patches"][0]["content"], "198.51.100.7");
    assert_eq!(
        (&result["puts"][0]["content"], &result["puts"][0]["ttl"]),
        (&json!("198.51.100.9"), &json!(1))
    );
    assert_eq!(result["posts"][0]["type"], "CNAME");
    assert_eq!(api.cloudflare.mutations().last().unwrap().operation, "records:batch");
    let (_, body) = api.batch(json!({"posts": []})).await;
    assert_eq!(body["result"], json!({"deletes": null, "patches": null, "puts": null, "posts": []}));
    assert_eq!(codes(&api.batch(json!({"deletes": [{}]})).await.1).0, 9207);
    assert_eq!(codes(&api.batch(json!({"deletes": [{"id": id(&old)}]})).await.1).0, 81044);
}

#[tokio::test]
async fn a_batch_has_200_changes_on_the_free_plan_and_3500_on_others() {
    let posts = |count: usize| {
        let post = |number| json!({"type": "TXT", "name": format!("n{number}"), "content": "text"});
        json!({"posts": (0..count).map(post).collect::<Vec<_>>()})
    };
    for (api, most) in [(Api::start().await, 200), (Api::paid().await, 3500)] {
        let (status, body) = api.batch(posts(most + 1)).await;
        assert_eq!((status, codes(&body).0), (400, 0));
        assert!(api.contents().is_empty());
        assert_eq!(api.batch(posts(most)).await.0, 200);
        assert_eq!(api.contents().len(), most);
        let page = api.get(&api.records("?per_page=100&page=2")).await;
        assert_eq!(page["result_info"]["total_count"], json!(most));
    }
}

#[tokio::test]
async fn records_are_filtered_ordered_and_cut_into_pages() {
    let api = Api::paid().await;
    for record in [
        json!({"type": "TXT", "name": "b", "content": "zebra", "comment": "From Ingress", "tags": ["team:dns", "env:prod"]}),
        json!({"type": "A", "name": "c", "content": "198.51.100.4", "ttl": 120, "comment": "by hand"}),
        json!({"type": "A", "name": "a", "content": "198.51.100.5", "proxied": true, "tags": ["team:web"]}),
        json!({"type": "CNAME", "name": "d", "content": "a.example.com"}),
    ] {
        api.made(record).await;
    }
    for (query, names) in [
        ("", "a c d b"),
        ("order=name", "a b c d"),
        ("order=name&direction=desc", "d c b a"),
        ("order=ttl&direction=desc", "c b a d"),
        ("type=A&order=name", "a c"),
        ("name=b.example.com", "b"),
        ("name=B.Example.com", "b"),
        ("name.startswith=c", "c"),
        ("name=b.example.com&type=A", ""),
        ("name=b.example.com&type=A&match=any&order=name", "a b c"),
        ("content.contains=51.100&order=name", "a c"),
        ("content.endswith=.5", "a"),
        ("proxied=true", "a"),
        ("comment=from+ingress", "b"),
        ("comment.present&order=name", "b c"),
        ("comment.absent&order=name", "a d"),
        ("comment.contains=HAND", "c"),
        ("tag=team&order=name", "a b"),
        ("tag=team:web", "a"),
        ("tag.absent=team&order=name", "c d"),
        ("tag=team:dns&tag=team:web", ""),
        ("tag=team:dns&tag=team:web&tag_match=any&order=name", "a b"),
        ("tag.startswith=env:p", "b"),
        ("search=ZEB", "b"),
        ("order=name&per_page=3&page=2", "d"),
    ] {
        let found = api.get(&api.records(&format!("?{query}"))).await;
        let found: Vec<&str> = found["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["name"].as_str().unwrap().split('.').next().unwrap())
            .collect();
        let mut wanted: Vec<&str> = names.split_whitespace().collect();
        let mut sorted = found.clone();
        // Without an order only the types are in order.
        if !query.contains("order=") {
            sorted.sort_unstable();
            wanted.sort_unstable();
        }
        assert_eq!(sorted, wanted, "{query}");
    }
    let kinds = api.get(&api.records("")).await;
    let kinds: Vec<&str> =
        kinds["result"].as_array().unwrap().iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["A", "A", "CNAME", "TXT"]);
    for wrong in ["per_page=0", "per_page=5000001", "order=id", "match=some", "direction=up"] {
        let (status, body) = api.ask(Method::GET, &api.records(&format!("?{wrong}")), None).await;
        assert_eq!((status, codes(&body).0), (400, 0), "{wrong}");
    }
}
