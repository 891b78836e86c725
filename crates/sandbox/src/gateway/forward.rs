//! Calls to the emulators.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::fix::Request;
use super::operation::{Operation, Wire, mutates};
use super::refusal::{Answer, refuse};
use super::route::{Backend, Protocol, Scope, route};
use super::xml::Element;
use super::{BoxError, State};

/// A body that is known or streams through.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The pooled client for all emulators.
pub(crate) type Client = hyper_util::client::legacy::Client<HttpConnector, Body>;

pub(crate) fn client() -> Client {
    hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Headers that belong to one connection, and those that the body's new length makes wrong.
const HOP: &[HeaderName] =
    &[header::CONNECTION, header::TRANSFER_ENCODING, header::EXPECT, header::UPGRADE, header::TE];

fn without_hop(headers: &HeaderMap, also: Option<&HeaderName>) -> HeaderMap {
    let mut kept = headers.clone();
    for name in HOP.iter().chain(also) {
        kept.remove(name);
    }
    kept
}

/// Sends a request on to an emulator and hands its answer back as it comes.
pub(crate) async fn pass(
    state: &State,
    backend: Backend,
    scope: &Scope,
    parts: &http::request::Parts,
    body: Body,
    length_known: bool,
) -> Result<Response<Incoming>, BoxError> {
    let account = crate::account::of(&scope.access_key);
    let base = state.backends.url(backend, account, &scope.region).await?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = format!("{base}{path}").parse()?;
    let mut request = http::Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    // A buffered body may have been rewritten; its length is set anew.
    *request.headers_mut() = without_hop(&parts.headers, (!length_known).then_some(&header::CONTENT_LENGTH));
    if backend == Backend::Moto {
        // One moto serves all accounts and knows only the keys that its own IAM made.
        request.headers_mut().insert("x-moto-account-id", account.parse()?);
    }
    Ok(state.client.request(request).await?)
}

/// Streams an answer to the caller.
pub(crate) fn stream(response: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    parts.headers = without_hop(&parts.headers, None);
    Response::from_parts(parts, body.map_err(BoxError::from).boxed_unsync())
}

impl State {
    /// Sends a request without a body on to an emulator, and meets no rules.
    pub(crate) async fn pass(
        &self,
        backend: Backend,
        scope: &Scope,
        parts: &http::request::Parts,
    ) -> Result<Response<Incoming>, BoxError> {
        pass(self, backend, scope, parts, full(Bytes::new()), true).await
    }

    /// Sends a buffered request to its emulator and reads the whole answer. An emulator that cannot be reached or does
    /// not know the operation is reported as an error of the service, with its name.
    pub(crate) async fn send(&self, request: &Request) -> Answer {
        let Request { scope, backend, operation, .. } = request;
        let mut parts = http::Request::new(()).into_parts().0;
        parts.method = request.method.clone();
        parts.uri = request.uri.clone();
        parts.headers = request.headers.clone();
        let answer = async {
            // Until the answer is read. Nobody who goes away ends it sooner, see `fix::serve`.
            let _turn = match backend {
                Backend::Moto => Some(self.turns.wait(&scope.access_key, mutates(&operation.name)).await?),
                Backend::Fakecloud => None,
            };
            let response = pass(self, *backend, scope, &parts, full(request.body.clone()), false).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            let headers = without_hop(&parts.headers, Some(&header::CONTENT_LENGTH));
            Ok::<_, BoxError>(Answer { status: parts.status, headers, body })
        };
        match answer.await {
            Ok(answer) if unimplemented(&answer) => request.refuse(
                501,
                "NotImplemented",
                &format!("The emulator {backend:?} does not know {}:{}.", scope.service, operation.name),
            ),
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, ?backend, service = scope.service, operation = operation.name, "emulator did not answer");
                request.refuse(
                    503,
                    "ServiceUnavailable",
                    &format!("The emulator {backend:?} did not answer: {error}."),
                )
            }
        }
    }

    /// Calls a service that speaks in forms, for the caller of `scope`. The error is the service's answer.
    pub(crate) async fn query(
        &self,
        scope: &Scope,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Element, Answer> {
        let backend = route(service).map_or(Backend::Moto, |(backend, _)| backend);
        self.query_at(backend, scope, service, action, parameters).await
    }

    /// Like [`query`](State::query), at an emulator that the table does not name for the service.
    pub(crate) async fn query_at(
        &self,
        backend: Backend,
        scope: &Scope,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Element, Answer> {
        let version = match service {
            "autoscaling" => "2011-01-01",
            "ec2" => "2016-11-15",
            "rds" => "2014-10-31",
            "elasticloadbalancing" => "2015-12-01",
            "monitoring" => "2010-08-01",
            "sns" => "2010-03-31",
            _ => "2010-05-08",
        };
        let mut pairs = vec![("Action", action), ("Version", version)];
        pairs.extend(parameters);
        let body = form(pairs);
        let mut request = Request::to(scope, service, action, body.into());
        request.backend = backend;
        request.headers.insert(
            header::CONTENT_TYPE,
            const { header::HeaderValue::from_static("application/x-www-form-urlencoded") },
        );
        let answer = self.send(&request).await;
        match std::str::from_utf8(&answer.body).ok().and_then(Element::parse) {
            Some(root) if answer.status.is_success() => Ok(root),
            _ => Err(answer),
        }
    }

    /// Reads from CloudFront at a path behind its version, like `/function`.
    pub(crate) async fn cloudfront(&self, scope: &Scope, path: &str) -> Result<Answer, Answer> {
        let mut request = Request::to(scope, "cloudfront", path, Bytes::new());
        request.method = Method::GET;
        let Ok(uri) = format!("/2020-05-31{path}").parse() else {
            return Err(request.refuse(400, "InvalidArgument", "This is no path."));
        };
        request.uri = uri;
        let answer = self.send(&request).await;
        if answer.status.is_success() { Ok(answer) } else { Err(answer) }
    }

    /// Calls a service that speaks JSON with a target header. The error is the service's answer.
    pub(crate) async fn json(
        &self,
        scope: &Scope,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Answer> {
        let prefix = match service {
            "acm" => "CertificateManager",
            "ecr" => "AmazonEC2ContainerRegistry_V20150921",
            "ecs" => "AmazonEC2ContainerServiceV20141113",
            "events" => "AWSEvents",
            "kms" => "TrentService",
            "logs" => "Logs_20140328",
            "sqs" => "AmazonSQS",
            "ssm" => "AmazonSSM",
            _ => service,
        };
        let mut request = Request::to(scope, service, operation, input.to_string().into());
        request.headers.insert(
            header::CONTENT_TYPE,
            const { header::HeaderValue::from_static("application/x-amz-json-1.1") },
        );
        if let Ok(target) = format!("{prefix}.{operation}").parse() {
            request.headers.insert("x-amz-target", target);
        }
        let answer = self.send(&request).await;
        match serde_json::from_slice(&answer.body) {
            Ok(value) if answer.status.is_success() => Ok(value),
            _ => Err(answer),
        }
    }
}

/// Moto answers an operation that it does not have with a page for people.
fn unimplemented(answer: &Answer) -> bool {
    let html = answer
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    html && !answer.status.is_success() && answer.body.trim_ascii_start().starts_with(b"<!doctype html>")
}

/// Pairs as an URL-encoded form.
pub(crate) fn form<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> String {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| format!("{}={}", encode(key.as_ref()), encode(value.as_ref())))
        .collect();
    pairs.join("&")
}

impl Request {
    /// A request of our own for the caller of `scope`.
    pub(crate) fn to(scope: &Scope, service: &str, operation: &str, body: Bytes) -> Request {
        let (backend, protocol) = route(service).unwrap_or((Backend::Fakecloud, Protocol::Json));
        let mut headers = HeaderMap::new();
        if let Ok(value) = scope.authorization(service).parse() {
            headers.insert(header::AUTHORIZATION, value);
        }
        Request {
            scope: Scope { service: service.to_owned(), ..scope.clone() },
            operation: Operation { name: operation.to_owned(), wire: Wire::Service(protocol) },
            backend,
            method: Method::POST,
            uri: Uri::from_static("/"),
            headers,
            body,
        }
    }

    /// An error in the caller's protocol.
    pub(crate) fn refuse(&self, status: u16, code: &str, message: &str) -> Answer {
        refuse(self.operation.wire, &self.scope.service, status, code, message)
    }
}
