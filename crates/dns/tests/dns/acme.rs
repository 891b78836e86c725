//! A certificate for a name and its wildcard, issued by a real ACME server that looks the challenges up in DNS, where our provider
//! has written them.

use crate::world::{World, stack_in};
use causeway_core::Stack;
use causeway_dns::{
    Class, DnsZone, Record,
    provider::cloudflare::{Account as Login, Cloudflare, Plan},
};
use causeway_sandbox::{
    cloudflare::{Token, Zone},
    shared,
};
use http_body_util::BodyExt;
use instant_acme::{
    Account, BodyWrapper, BytesResponse, ChallengeType, Error, HttpClient, Identifier, NewAccount, NewOrder,
    OrderStatus, RetryPolicy,
};
use rustls::{
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

/// The zone that it is about. Its own name, as the sandbox is shared.
const ZONE: &str = "acme.example.com";

/// What an ACME server calls a challenge that it looked for in vain (RFC 8555, section 6.7).
const UNAUTHORIZED: &str = "urn:ietf:params:acme:error:unauthorized";

/// The client of the library, which brings none that trusts others than the system's authorities.
struct Http(reqwest::Client);

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<bytes::Bytes>>,
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

/// The texts of an order's challenges, by name: of a name and its wildcard, two at one.
type Challenges = BTreeMap<String, Vec<String>>;

#[tokio::test]
async fn a_certificate_for_a_name_and_its_wildcard_is_issued_through_our_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let sandbox = shared().unwrap_or_else(|e| panic!("{e}"));
    let acme = sandbox.acme().await.unwrap();
    let cloudflare = sandbox.cloudflare();
    cloudflare.add_zone(Zone::new(ZONE)).unwrap();
    let token = cloudflare.add_token(Token::dns("acme").zones([ZONE]));
    let login = Login { endpoint: cloudflare.endpoint(), token: token.into(), plan: Plan::Free, calls: None };
    let world = World::new(Arc::new(Cloudflare::new(login).unwrap()));
    let place = DnsZone { name: ZONE.into(), account: "a".into(), id: None };
    let stack = |texts: &Challenges| {
        let records = texts.iter().map(|(name, texts)| {
            let mut record = Record::new(name.as_str(), Class::Txt, texts.iter().cloned()).unwrap();
            record.ttl = Some(60);
            (name.clone(), record)
        });
        stack_in(&place, "acme", records)
    };

    let authority = reqwest::Certificate::from_pem(acme.authority().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
    let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_http(Box::new(Http(client)));
    let (account, _) = builder.create(&new, acme.directory().to_owned(), None).await.unwrap();
    let names = ["ai.acme.example.com", "*.ai.acme.example.com"];
    let names = names.map(|name| Identifier::Dns(name.to_owned()));

    // Without the records nothing is issued.
    assert!(order(&account, &names, async |_| {}).await.is_none());

    let issued = order(&account, &names, async |texts| {
        assert_eq!(texts.values().map(Vec::len).collect::<Vec<_>>(), [2], "{texts:?}");
        world.settle(&stack(&texts)).await;
    })
    .await;
    let written = cloudflare.records(ZONE);
    let challenges = written.iter().filter(|r| r.name == "_acme-challenge.ai.acme.example.com");
    assert_eq!(challenges.count(), 2, "one value for the name, one for the wildcard: {written:#?}");
    world.settle(&Stack::new("acme")).await;
    assert!(cloudflare.records(ZONE).is_empty(), "challenges and marks are gone when it is done");

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

/// Orders a certificate; `solve` makes the records of its challenges. `None` if the order was refused.
async fn order(account: &Account, names: &[Identifier], solve: impl AsyncFn(Challenges)) -> Option<String> {
    let mut order = account.new_order(&NewOrder::new(names)).await.unwrap();
    let mut texts = Challenges::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        let challenge = authorization.challenge(ChallengeType::Dns01).unwrap();
        let name = challenge.identifier().to_string();
        let name = format!("_acme-challenge.{}", name.strip_prefix("*.").unwrap_or(&name));
        texts.entry(name).or_default().push(challenge.key_authorization().dns_value());
    }
    solve(texts).await;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        // A server that has looked before it answers says here already what it did not find.
        match authorization.challenge(ChallengeType::Dns01).unwrap().set_ready().await {
            Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(UNAUTHORIZED) => return None,
            answer => answer.unwrap(),
        }
    }
    if order.poll_ready(&RetryPolicy::default()).await.ok() != Some(OrderStatus::Ready) {
        return None;
    }
    order.finalize().await.unwrap();
    Some(order.poll_certificate(&RetryPolicy::default()).await.unwrap())
}
