//! What Cloudflare may answer beside what was asked for.

use causeway_core::{Class, Error, error::chain};
use causeway_dns::{
    Name, ZoneClient,
    error::ProviderError,
    provider::{
        Provider,
        cloudflare::{Account, Cloudflare, Plan},
    },
    zone::Zone,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Something that answers every call with these bytes, and then closes the connection.
async fn answering(answer: impl Into<String>) -> Cloudflare {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/client/v4", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 8192];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    Cloudflare::new(Account { endpoint, token: "secret-token".into(), plan: Plan::Free, calls: None })
        .unwrap()
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn zone() -> Zone {
    Zone { name: Name::parse("example.com").unwrap(), id: "0123456789abcdef0123456789abcdef".into() }
}

async fn told(answer: String) -> (ProviderError, Error) {
    let provider = answering(answer).await;
    let error = provider.list(&zone()).await.unwrap_err();
    let client = ZoneClient::new(Arc::new(provider), zone());
    (error, client.records().await.unwrap_err())
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_what_it_is() {
    let error = |code: u32, message: &str| {
        format!(
            r#"{{"success":false,"errors":[{{"code":{code},"message":"{message}"}}],"messages":[],"result":null}}"#
        )
    };
    let chained = r#"{"success":false,"errors":[{"code":1004,"message":"DNS Validation Error","error_chain":[{"code":9021,"message":"Invalid TTL."}]}],"result":null}"#;
    for (answer, class, says) in [
        (http("502 Bad Gateway", "", "<html><h1>502</h1></html>"), Class::Transient, "a page in HTML"),
        (http("200 OK", "", "<html>please log in</html>"), Class::Final, "please log in"),
        (
            http("200 OK", "", r#"{"success":true,"result":[{"id":"1","#),
            Class::Transient,
            "ends in the middle",
        ),
        (http("200 OK", "", ""), Class::Transient, "it is empty"),
        (http("200 OK", "", r#"{"success":true,"result":"?"}"#), Class::Final, "expected a sequence"),
        (http("500 Internal Server Error", "", &error(1002, "sorry")), Class::Transient, "1002: sorry"),
        (
            http("403 Forbidden", "", &error(10000, "Authentication error")),
            Class::Denied,
            "10000: Authentication error; look whether the token",
        ),
        (http("403 Forbidden", "", &error(9109, "Invalid access token")), Class::Denied, "a valid one"),
        (
            http("404 Not Found", "", &error(7003, "Could not route to /zones/x")),
            Class::Final,
            "7003: Could not",
        ),
        (
            http("400 Bad Request", "", chained),
            Class::Final,
            "1004: DNS Validation Error (9021: Invalid TTL.)",
        ),
        (http("400 Bad Request", "", r#"{"success":false}"#), Class::Final, "HTTP 400 without a reason"),
    ] {
        let (_, error) = told(answer).await;
        assert_eq!(error.class(), class, "{}", chain(&error));
        let text = chain(&error);
        assert!(text.contains(says) && text.contains("dns_records:List"), "{says}: {text}");
        assert!(!text.contains("secret-token"), "{text}");
    }
}

/// external-dns #5971 (the process ends), octoDNS #551 (300 seconds, whatever was said).
#[tokio::test]
async fn a_throttle_says_when_and_without_a_header_it_says_that() {
    let body = r#"{"success":false,"errors":[{"code":10429,"message":"slow down"}],"result":null}"#;
    let once = async |headers: &str| {
        let provider = answering(http("429 Too Many Requests", headers, body)).await;
        provider.list(&zone()).await.unwrap_err()
    };
    let error = once("retry-after: 7\r\n").await;
    assert!(
        matches!(error, ProviderError::Throttled { after: Some(after), .. } if after == Duration::from_secs(7))
    );
    assert_eq!(error.class(), Class::Throttled);
    assert!(error.to_string().contains("the next one in 7 s"), "{error}");
    let error = once("").await;
    assert!(error.to_string().contains("does not say when"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_may_be_tried_again() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"succ"] {
        let provider = answering(answer).await;
        let error = provider.list(&zone()).await.unwrap_err();
        assert_eq!(error.class(), Class::Transient, "{error}");
    }
}

#[tokio::test]
async fn a_zone_that_is_not_shown_is_told_with_those_that_are() {
    let body =
        r#"{"success":true,"result":[{"id":"1","name":"example.org"}],"result_info":{"total_count":1}}"#;
    let provider = Arc::new(answering(http("200 OK", "", body)).await);
    let wanted = causeway_dns::DnsZone { name: "example.com".into(), account: "a".into(), id: None };
    let Err(error) = ZoneClient::connect(provider, &wanted).await else { panic!("there is no such zone") };
    assert!(error.to_string().contains("show no zone `example.com`: they show `example.org`"), "{error}");
}
