//! Who may ask, how often, for what; and what goes wrong on purpose.

use std::time::Duration;

use causeway_sandbox::cloudflare::{Act, Options, Rule, Status, Token, Zone};
use reqwest::Method;
use serde_json::json;

use super::{Api, codes};

#[tokio::test]
async fn zones_are_listed_in_pages_by_name_and_by_status() {
    let api = Api::start().await;
    for number in 0..7 {
        let zone = Zone::new(&format!("zone{number}.example.net"));
        let status = if number == 3 { Status::Pending } else { Status::Active };
        api.cloudflare.add_zone(zone.status(status)).unwrap();
    }
    assert_eq!(api.cloudflare.add_zone(Zone::new("Example.com")), None);
    let page = api.get("/zones?per_page=5&page=2").await;
    assert_eq!(
        page["result_info"],
        json!({"page": 2, "per_page": 5, "count": 3, "total_count": 8, "total_pages": 2})
    );
    let named = api.get("/zones?name=example.com&status=active").await;
    assert_eq!(named["result"][0]["id"], json!(api.zone));
    assert_eq!(named["result"].as_array().unwrap().len(), 1);
    let pending = api.get("/zones?status=pending").await;
    assert_eq!(pending["result"][0]["name"], "zone3.example.net");
    let found = api.get("/zones?name=starts_with:zone&order=name&direction=desc").await;
    assert_eq!(found["result"][0]["name"], "zone6.example.net");
    for wrong in ["per_page=4", "per_page=51", "page=0", "order=age", "status=lost"] {
        let (status, body) = api.ask(Method::GET, &format!("/zones?{wrong}"), None).await;
        assert_eq!((status, codes(&body)), (400, (0, None)), "{wrong}");
    }
    let zone = api.get(&format!("/zones/{}", api.zone)).await;
    assert_eq!(
        (&zone["result"]["name"], &zone["result"]["status"]),
        (&json!("example.com"), &json!("active"))
    );
}

#[tokio::test]
async fn a_token_sees_and_changes_only_what_it_may() {
    let api = Api::start().await;
    let other = api.cloudflare.add_zone(Zone::new("example.org")).unwrap();
    let add = |token| api.cloudflare.add_token(token);
    let one = add(Token::dns("one").zones(["example.org"]));
    let reader = add(Token::new("reader").zone_read().dns_read());
    let writer = add(Token::new("writer").dns_edit());
    let record = json!({"type": "A", "name": "a", "content": "192.0.2.1", "ttl": 1});
    let ask = async |token: &str, method, path: &str, body| {
        let response = api.send_as(token, method, path, body).await.unwrap();
        let status = response.status().as_u16();
        let body = response.json::<serde_json::Value>().await.unwrap();
        (status, if status == 200 { None } else { Some(codes(&body).0) }, body)
    };
    let (_, _, seen) = ask(&one, Method::GET, "/zones", None).await;
    assert_eq!(seen["result_info"]["total_count"], 1);
    assert_eq!(seen["result"][0]["id"], json!(other));
    assert_eq!(
        seen["result"][0]["permissions"],
        json!(["#dns_records:edit", "#dns_records:read", "#zone:read"])
    );
    let zone = format!("/zones/{}", api.zone);
    assert_eq!(ask(&one, Method::GET, &zone, None).await.1, Some(9109));
    let records = api.records("");
    assert_eq!(ask(&one, Method::GET, &records, None).await.1, Some(10000));
    assert_eq!(ask(&reader, Method::GET, &records, None).await.0, 200);
    let refused = ask(&reader, Method::POST, &records, Some(&record)).await;
    assert_eq!((refused.0, refused.1), (403, Some(10000)));
    assert_eq!(ask(&writer, Method::POST, &records, Some(&record)).await.0, 200);
    assert_eq!(ask(&writer, Method::GET, &records, None).await.0, 200);
    let refused = ask(&writer, Method::GET, "/zones", None).await;
    assert_eq!((refused.0, refused.1), (403, Some(0)));
    let nowhere = format!("/zones/{}/dns_records", "0".repeat(32));
    assert_eq!(ask(&api.token, Method::GET, &nowhere, None).await.1, Some(10000));
    assert!(api.cloudflare.revoke(&one));
    let refused = ask(&one, Method::GET, "/zones", None).await;
    assert_eq!((refused.0, refused.1), (403, Some(9109)));
    let refused = ask(&one, Method::GET, "/user/tokens/verify", None).await;
    assert_eq!((refused.0, refused.1), (401, Some(1000)));
    assert_eq!(
        ask(&api.token, Method::GET, "/user/tokens/verify", None).await.2["result"]["status"],
        "active"
    );
}

#[tokio::test]
async fn headers_and_paths_that_are_wrong_are_told_by_their_codes() {
    let api = Api::start().await;
    let url = format!("{}/zones", api.cloudflare.endpoint());
    for (name, value, code) in [
        (None, "", (9106, None)),
        (Some("authorization"), "Bearer short", (6003, Some(6111))),
        (Some("authorization"), "Token 0123456789012345678901234567890123456789", (6003, Some(6111))),
        (Some("x-auth-key"), "key", (6003, Some(6103))),
    ] {
        let request = api.client.get(&url);
        let request = match name {
            Some(name) => request.header(name, value),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 400, "{value}");
        assert_eq!(codes(&response.json().await.unwrap()), code, "{value}");
    }
    for (method, path, status, code) in [
        (Method::GET, "/zones/example.com".to_owned(), 404, 7003),
        (Method::GET, api.records("/42"), 404, 7003),
        (Method::GET, "/user/zones/list".to_owned(), 400, 7000),
        (Method::DELETE, api.records(""), 405, 7001),
        (Method::GET, api.records(&format!("/{}", "a".repeat(32))), 404, 81044),
    ] {
        let (found, body) = api.ask(method, &path, None).await;
        assert_eq!((found, codes(&body).0), (status, code), "{path}");
    }
    for body in ["{", "[]", "", r#"{"type": "A", "name": "a", "content": "192.0.2.1", "ttl": "1"}"#] {
        let url = format!("{}{}", api.cloudflare.endpoint(), api.records(""));
        let response = api.client.post(url).bearer_auth(&api.token).body(body).send().await.unwrap();
        assert_eq!(codes(&response.json().await.unwrap()).0, 9207, "{body}");
    }
    // Who does not say what a body is, like cert-manager, has JSON.
    let url = format!("{}{}", api.cloudflare.endpoint(), api.records(""));
    let body = r#"{"type": "TXT", "name": "unsaid.example.com", "content": "a", "ttl": 120}"#;
    let response = api.client.post(url).bearer_auth(&api.token).body(body).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn the_twelve_hundred_and_first_request_is_blocked_and_all_for_five_minutes() {
    let api = Api::start().await;
    let sibling = api.cloudflare.add_token(Token::dns("sibling").user("test"));
    let stranger = api.cloudflare.add_token(Token::dns("stranger"));
    let ask = async |token: &str| api.send_as(token, Method::GET, "/user/tokens/verify", None).await.unwrap();
    for _ in 0..1199 {
        assert_eq!(ask(&api.token).await.status(), 200);
    }
    let last = ask(&sibling).await;
    assert!(last.headers()["ratelimit"].to_str().unwrap().starts_with("\"default\";r=0;t="));
    assert_eq!(last.headers()["ratelimit-policy"], "\"default\";q=1200;w=300");
    assert!(!last.headers().contains_key("retry-after"));
    let refused = ask(&api.token).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "300");
    assert_eq!(codes(&refused.json().await.unwrap()).0, 10429);
    assert_eq!(ask(&stranger).await.status(), 200);
    api.cloudflare.advance(Duration::from_secs(200));
    let refused = ask(&sibling).await;
    assert_eq!(refused.status(), 429);
    let left: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((60..=100).contains(&left), "{left}");
    api.cloudflare.advance(Duration::from_secs(left));
    assert_eq!(ask(&api.token).await.status(), 200);
}

#[tokio::test]
async fn faults_come_before_or_after_the_effect() {
    let api = Api::start().await;
    let mut number = 0;
    for (act, status, effect) in [
        (Act::CutBefore, None, false),
        (Act::CutAfter, None, true),
        (Act::ErrorBefore, Some(500), false),
        (Act::ErrorAfter, Some(500), true),
        (Act::HtmlBefore, Some(502), false),
        (Act::HtmlAfter, Some(502), true),
        (Act::Truncated, Some(200), true),
        (Act::TooMany(7), Some(429), false),
        (Act::TooManySilently, Some(429), false),
        (Act::Denied, Some(403), false),
        (Act::Unauthenticated, Some(403), false),
    ] {
        number += 1;
        let record = json!({"type": "A", "name": format!("n{number}"), "content": "192.0.2.1", "ttl": 1});
        let rule = api.cloudflare.rules().add(Rule::new("records:post", act).once());
        let before = api.contents().len();
        api.cloudflare.reset_calls();
        let response = api.send(Method::POST, &api.records(""), Some(&record)).await;
        assert_eq!(response.as_ref().ok().map(|response| response.status().as_u16()), status, "{act:?}");
        assert_eq!(api.contents().len() > before, effect, "{act:?}");
        assert_eq!(api.cloudflare.rules().acted(rule), 1);
        let [call] = &api.cloudflare.mutations()[..] else { panic!("{act:?}: not one call") };
        assert_eq!((call.status, call.changed), (status.unwrap_or(0), effect), "{act:?}");
        assert_eq!((call.operation.as_str(), call.token.as_str()), ("records:post", "test"));
        assert_eq!(call.zone.as_deref(), Some("example.com"));
        if let Ok(response) = response {
            let after = response.headers().get("retry-after").cloned();
            assert_eq!(
                after.map(|after| after.to_str().unwrap().to_owned()),
                match act {
                    Act::TooMany(seconds) => Some(seconds.to_string()),
                    _ => None,
                }
            );
            let text = response.text().await.unwrap();
            let json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            assert_eq!(json, !matches!(act, Act::HtmlBefore | Act::HtmlAfter | Act::Truncated), "{text}");
        }
    }
}

#[tokio::test]
async fn a_call_is_held_and_a_connection_that_was_answered_is_closed() {
    let api = Api::start().await;
    let record = json!({"type": "A", "name": "held", "content": "192.0.2.1", "ttl": 1});
    let rule = api.cloudflare.rules().add(Rule::new("records:*", Act::HoldAfter).changes());
    let path = api.records("");
    let (response, ()) = tokio::join!(api.send(Method::POST, &path, Some(&record)), async {
        assert!(api.cloudflare.rules().wait_held(rule, 1, Duration::from_secs(30)).await);
        assert_eq!(api.contents().len(), 1, "it took effect already");
        assert!(api.cloudflare.rules().remove(rule));
    });
    assert_eq!(response.unwrap().status(), 200);
    // A connection of its own, without the client's own repetition.
    let client = reqwest::Client::builder().no_proxy().retry(reqwest::retry::never()).build().unwrap();
    let delete = async |id: &str| {
        let url = format!("{}{}", api.cloudflare.endpoint(), api.records(&format!("/{id}")));
        client.delete(url).bearer_auth(&api.token).send().await
    };
    api.cloudflare.rules().add(Rule::new("records:delete", Act::CutNext).once());
    assert_eq!(delete(&"0".repeat(32)).await.unwrap().status(), 404);
    let kept = api.cloudflare.records("example.com")[0].id.clone();
    assert!(delete(&kept).await.is_err());
    assert_eq!(api.contents().len(), 1);
    assert_eq!(delete(&kept).await.unwrap().status(), 200);
}

#[tokio::test]
async fn people_have_pages() {
    let api = Api::start().await;
    let base = api.cloudflare.endpoint().replace("/client/v4", "/_causeway");
    let post = async |page: &str, body| {
        let response = api.client.post(format!("{base}/{page}")).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json::<serde_json::Value>().await.unwrap())
    };
    let zone = json!({"name": "example.net", "plan": "pro"});
    assert_eq!(post("zones", zone.clone()).await.0, 200);
    assert_eq!(post("zones", zone).await.0, 409);
    let form = json!({"name": "ci", "permissions": ["Zone:Read"], "zones": ["example.net"]});
    let (_, body) = post("tokens", form).await;
    let seen = api.send_as(body["token"].as_str().unwrap(), Method::GET, "/zones", None).await.unwrap();
    assert_eq!(seen.json::<serde_json::Value>().await.unwrap()["result"][0]["name"], "example.net");
    let rule = json!({"operation": "zones:list", "act": {"too-many": 3}, "times": 1});
    assert_eq!(post("rules", rule).await.0, 200);
    let refused = api.send(Method::GET, "/zones", None).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"3".parse().unwrap()));
    let calls = api.client.get(format!("{base}/calls")).send().await.unwrap();
    let calls: serde_json::Value = calls.json().await.unwrap();
    assert_eq!(calls["calls"][1]["codes"], json!([10429]));
    assert!(!calls.to_string().contains(&api.token), "a secret is never shown");
}

#[tokio::test]
async fn errors_stand_for_themselves_where_they_are_not_to_be_wrapped() {
    let options = Options { chains: false, old_duplicates: true, ..Options::default() };
    let api = Api::with(options, Zone::new("example.com")).await;
    let record = json!({"type": "A", "name": "a", "content": "192.0.2.1", "ttl": 5});
    assert_eq!(codes(&api.post(record).await.1), (9021, None));
    let record = json!({"type": "TXT", "name": "a", "content": "one"});
    api.made(record.clone()).await;
    assert_eq!(codes(&api.post(record).await.1), (81057, None));
}
