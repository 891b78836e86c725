//! The gateway in front of two tiny backends that answer with what they got.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

/// Where the two backends listen.
struct Two(String, String);

impl Backends for Two {
    fn url<'a>(
        &'a self,
        backend: Backend,
        _account: &'a str,
        _region: &'a str,
    ) -> BoxFuture<'a, Result<String, BoxError>> {
        let url = if backend == Backend::Moto { &self.0 } else { &self.1 };
        Box::pin(async move { Ok(url.clone()) })
    }
}

/// A backend that answers `NAME METHOD PATH LENGTH`, and an unknown operation as moto does.
async fn backend(name: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request: Request<Incoming>| async move {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut answer =
                    Response::new(Full::new(Bytes::from(format!("{name} {method} {path} {}", body.len()))));
                if body.starts_with(b"Action=Odd") {
                    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    answer.headers_mut().insert("content-type", "text/html; charset=utf-8".parse().unwrap());
                    *answer.body_mut() =
                        Full::new(Bytes::from_static(b"<!doctype html>\n<title>500</title>"));
                }
                Ok::<_, Infallible>(answer)
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    format!("http://{addr}")
}

async fn start() -> Gateway {
    let two = Two(backend("moto").await, backend("fakecloud").await);
    Gateway::start(Config::new(Arc::new(two))).await.unwrap()
}

async fn send(
    gateway: &Gateway,
    method: &str,
    path: &str,
    service: Option<&str>,
    body: impl Into<Bytes>,
) -> Result<(u16, String), BoxError> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", gateway.endpoint()));
    if let Some(service) = service {
        let credential =
            format!("AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-2/{service}/aws4_request, Signature=0");
        request = request.header("authorization", credential);
    }
    let answer = forward::client().request(request.body(forward::full(body.into()))?).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

async fn vpcs(gateway: &Gateway) -> Result<(u16, String), BoxError> {
    send(gateway, "POST", "/", Some("ec2"), "Action=CreateVpc").await
}

#[tokio::test]
async fn calls_go_to_the_emulator_of_the_table_and_are_counted() {
    let gateway = start().await;
    assert_eq!(vpcs(&gateway).await.unwrap(), (200, "moto POST / 16".into()));
    assert_eq!(
        send(&gateway, "GET", "/clusters", Some("eks"), "").await.unwrap().1,
        "fakecloud GET /clusters 0"
    );
    assert_eq!(
        send(&gateway, "GET", "/v2/a/tags/list", None, "").await.unwrap().1,
        "fakecloud GET /v2/a/tags/list 0"
    );
    let (status, text) = send(&gateway, "POST", "/", None, "Action=CreateVpc").await.unwrap();
    assert_eq!(status, 403);
    assert!(text.contains("MissingAuthenticationToken"), "{text}");
    let (status, text) = send(&gateway, "POST", "/", Some("quantum"), "").await.unwrap();
    assert!(status == 403 && text.contains("quantum"), "{text}");

    let calls = gateway.calls();
    let names: Vec<String> = calls.iter().map(Call::name).collect();
    assert_eq!(names, ["ec2:CreateVpc", "eks:ListClusters", "registry:GET /v2/a/tags/list"]);
    assert_eq!((&*calls[0].region, &*calls[0].access_key, calls[0].status), ("eu-west-2", "A", 200));
    assert_eq!(gateway.mutations().iter().map(Call::name).collect::<Vec<_>>()[0], "ec2:CreateVpc");
    let (_, page) = send(&gateway, "GET", "/_causeway/calls", None, "").await.unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["calls"].as_array().unwrap().len(), 3);
    gateway.reset_calls();
    assert!(gateway.calls().is_empty());
}

#[tokio::test]
async fn large_bodies_of_s3_stream_through() {
    let gateway = start().await;
    let body = vec![7; 40 << 20];
    let length = body.len();
    assert_eq!(
        send(&gateway, "PUT", "/b/k", Some("s3"), body).await.unwrap(),
        (200, format!("fakecloud PUT /b/k {length}"))
    );
    assert_eq!(gateway.calls()[0].name(), "s3:PutObject");
}

#[tokio::test]
async fn what_moto_does_not_know_is_said_clearly() {
    let gateway = start().await;
    let (status, text) = send(&gateway, "POST", "/", Some("rds"), "Action=OddThing").await.unwrap();
    assert_eq!(status, 501);
    assert!(text.contains("Moto does not know rds:OddThing"), "{text}");
}

#[tokio::test]
async fn faults_before_do_not_reach_the_emulator_and_faults_after_do() {
    for (act, reached, status) in [
        (Act::Throttle, false, 503),
        (Act::ErrorBefore, false, 500),
        (Act::ErrorAfter, true, 500),
        (Act::CutBefore, false, 0),
        (Act::CutAfter, true, 0),
    ] {
        let gateway = start().await;
        let rule = gateway.rules().add(Rule::new("ec2:Create*", act).once());
        let answer = vpcs(&gateway).await;
        assert_eq!(answer.is_err(), status == 0, "{act:?}: {answer:?}");
        if let Ok((seen, _)) = answer {
            assert_eq!(seen, status, "{act:?}");
        }
        assert_eq!(gateway.rules().acted(rule), 1);
        let call = &gateway.calls()[0];
        assert_eq!((call.forwarded, call.status), (reached, status), "{act:?}");
        assert_eq!(vpcs(&gateway).await.unwrap().0, 200, "{act:?} only once");
    }
}

#[tokio::test]
async fn latency_takes_its_time() {
    let gateway = start().await;
    gateway.rules().add(Rule::new("*", Act::Latency(Latency::Fixed(120))));
    let began = Instant::now();
    vpcs(&gateway).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(120));
    assert!(gateway.calls()[0].millis >= 120);
}

#[tokio::test]
async fn a_held_call_waits_and_one_whose_caller_left_never_goes_on() {
    let gateway = Arc::new(start().await);
    let rule = gateway.rules().add(Rule::new("*", Act::HoldBefore));
    let held = tokio::spawn({
        let gateway = gateway.clone();
        async move { vpcs(&gateway).await.unwrap().0 }
    });
    assert!(gateway.rules().wait_held(rule, 1, Duration::from_secs(5)).await);
    assert!(gateway.calls().is_empty());
    gateway.rules().release(rule);
    assert_eq!(held.await.unwrap(), 200);

    let left = tokio::spawn({
        let gateway = gateway.clone();
        async move { vpcs(&gateway).await.map(|answer| answer.0).ok() }
    });
    assert!(gateway.rules().wait_held(rule, 1, Duration::from_secs(5)).await);
    left.abort();
    let began = Instant::now();
    while gateway.calls().len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(5), "the connection's end was not noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((gateway.calls()[1].forwarded, gateway.calls()[1].status), (false, 0));
}

#[tokio::test]
async fn rules_can_be_set_over_http() {
    let gateway = start().await;
    let rule = r#"{"operation":"ec2:*","times":1,"act":"throttle"}"#;
    let (status, answer) = send(&gateway, "POST", "/_causeway/rules", None, rule).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(vpcs(&gateway).await.unwrap().0, 503);
    let (_, page) = send(&gateway, "GET", "/_causeway/rules", None, "").await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&page).unwrap()["rules"][0]["acted"], 1);
    let (status, _) = send(&gateway, "POST", "/_causeway/rules", None, r#"{"act":"explode"}"#).await.unwrap();
    assert_eq!(status, 400);
    let (_, page) = send(&gateway, "GET", "/_causeway/fixes", None, "").await.unwrap();
    assert!(page.contains("ecs_deployments"), "{page}");
}

#[tokio::test]
async fn an_emulator_that_is_gone_is_an_error_of_the_service() {
    let two = Two("http://127.0.0.1:1".into(), "http://127.0.0.1:1".into());
    let gateway = Gateway::start(Config::new(Arc::new(two))).await.unwrap();
    let (status, text) = vpcs(&gateway).await.unwrap();
    assert!(status == 503 && text.contains("ServiceUnavailable"), "{status} {text}");
}

#[test]
fn the_documentation_lists_every_correction() {
    let text = include_str!("mod.rs");
    for fix in fixes() {
        assert!(text.contains(&format!("//! | `{}` |", fix.name)), "{}", fix.name);
    }
}
