//! A certificate for a name and its wildcard, issued by a real ACME server that looks the challenges up in DNS.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use causeway_sandbox::cloudflare::{Token, Zone};
use causeway_sandbox::shared;
use http_body_util::BodyExt;
use instant_acme::{
    Account, BodyWrapper, BytesResponse, ChallengeType, Error, HttpClient, Identifier, NewAccount, NewOrder,
    OrderStatus, RetryPolicy,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::json;

/// The client of the library, which brings none that trusts others than the system's authorities.
struct Http(reqwest::Client);

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| Error::Other(error.into()))?.to_bytes();
            let request = client.request(parts.method, parts.uri.to_string()).headers(parts.headers);
            let response = request.body(body).send().await.map_err(|error| Error::Other(error.into()))?;
            Ok(BytesResponse::from(http::Response::<reqwest::Body>::from(response)))
        })
    }
}

#[tokio::test]
async fn a_certificate_for_a_name_and_its_wildcard_is_issued_by_dns() {
    let sandbox = shared().unwrap();
    let acme = sandbox.acme().await.unwrap();
    let cloudflare = sandbox.cloudflare();
    let zone = cloudflare.add_zone(Zone::new("acme.example.com")).unwrap();
    let token = cloudflare.add_token(Token::dns("acme").zones(["acme.example.com"]));
    let records = format!("{}/zones/{zone}/dns_records", cloudflare.endpoint());

    let authority = reqwest::Certificate::from_pem(acme.authority().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
    let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_http(Box::new(Http(client.clone())));
    let (account, _) = builder.create(&new, acme.directory().to_owned(), None).await.unwrap();
    let names = ["ai.acme.example.com", "*.ai.acme.example.com"];
    let names = names.map(|name| Identifier::Dns(name.to_owned()));

    // Without the records nothing is issued.
    let refused = order(&account, &names, async |_, _| {}).await;
    assert!(refused.is_none());

    let issued = order(&account, &names, async |name, value| {
        let record =
            json!({"type": "TXT", "name": format!("_acme-challenge.{name}"), "content": value, "ttl": 60});
        let response = client.post(&records).bearer_auth(&token).json(&record).send().await.unwrap();
        assert_eq!(response.status(), 200);
    })
    .await;
    assert_eq!(
        cloudflare.records("acme.example.com").len(),
        2,
        "one value for the name, one for the wildcard"
    );

    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(issued.unwrap().as_bytes()).collect::<Result<_, _>>().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(acme.root().await.unwrap().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let trusted = |name: &'static str| {
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).is_ok()
    };
    assert!(trusted("ai.acme.example.com") && trusted("workspace.ai.acme.example.com"));
    assert!(!trusted("acme.example.com"));
}

/// Orders a certificate; `solve` makes the record of each challenge. `None` if the order was refused.
async fn order(
    account: &Account,
    names: &[Identifier],
    solve: impl AsyncFn(String, String),
) -> Option<String> {
    let mut order = account.new_order(&NewOrder::new(names)).await.unwrap();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        let mut challenge = authorization.challenge(ChallengeType::Dns01).unwrap();
        let name = challenge.identifier().to_string();
        let name = name.strip_prefix("*.").unwrap_or(&name).to_owned();
        solve(name, challenge.key_authorization().dns_value()).await;
        challenge.set_ready().await.unwrap();
    }
    if order.poll_ready(&RetryPolicy::default()).await.ok() != Some(OrderStatus::Ready) {
        return None;
    }
    order.finalize().await.unwrap();
    Some(order.poll_certificate(&RetryPolicy::default()).await.unwrap())
}
