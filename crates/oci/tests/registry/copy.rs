//! From a registry that breaks off into one that takes nothing whose parts it does not have.

use crate::{Body, State, World, image, nobody};
use bytes::Bytes;
use causeway_oci::{Copied, Digest, Error, Logins, Registries, Repository, copy, missing};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

/// What another registry has, and how it behaves.
#[derive(Default)]
struct Other {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// Method and path, in their order.
    calls: Vec<String>,
    /// The largest piece of an upload that came at once.
    largest: usize,
    /// Permits that run out between the beginning of an upload and its end.
    run_out: usize,
    /// Uploads that fail once they have come.
    fails: usize,
    /// Tags stay.
    immutable: bool,
}

type Shared = Arc<Mutex<Other>>;

async fn serve(state: Shared) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let state = state.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let state = state.clone();
                    async move { Ok::<_, Infallible>(answer(&state, request).await) }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    name
}

fn say(status: u16, body: Vec<u8>, headers: &[(&str, &str)]) -> Response<Body> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed();
    let mut answer = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(body).unwrap()
}

async fn answer(state: &Shared, request: Request<Incoming>) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let (method, path) = (parts.method, parts.uri.path().to_owned());
    let digest = parts.uri.query().and_then(|query| query.split_once("digest=sha256%3A")).map(|(_, hex)| hex);
    let digest = digest.map(|hex| format!("sha256:{hex}"));
    let mut came = vec![];
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return say(400, vec![], &[]) };
        let piece = frame.into_data().unwrap();
        let mut state = state.lock().unwrap();
        state.largest = state.largest.max(piece.len());
        came.extend_from_slice(&piece);
    }
    let mut state = state.lock().unwrap();
    state.calls.push(format!("{method} {path}"));
    let permit = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let upload = method == Method::PUT && path.contains("/uploads/");
    if permit.as_deref() != Some("Basic QVdTOmNhbmFyeQ==") || upload && state.run_out > 0 {
        state.run_out -= usize::from(upload);
        return say(401, vec![], &[("www-authenticate", "Basic realm=\"other\"")]);
    }
    let Some(rest) = path.strip_prefix("/v2/c/d/") else { return say(404, vec![], &[]) };
    match (method.as_str(), rest.split_once('/').unwrap()) {
        ("HEAD", ("blobs", digest)) => {
            say(if state.blobs.contains_key(digest) { 200 } else { 404 }, vec![], &[])
        }
        ("POST", ("blobs", "uploads/")) => {
            say(202, vec![], &[("location", "/v2/c/d/blobs/uploads/1?state=x")])
        }
        ("PUT", ("blobs", _)) if state.fails > 0 => {
            state.fails -= 1;
            say(503, vec![], &[])
        }
        ("PUT", ("blobs", "uploads/1")) => {
            assert!(parts.uri.query().unwrap().starts_with("state=x&"), "{}", parts.uri);
            assert_eq!(parts.headers["content-length"].to_str().unwrap(), came.len().to_string());
            let found = Digest::of(&came).to_string();
            if Some(&found) != digest.as_ref() {
                return say(400, br#"{"errors":[{"code":"DIGEST_INVALID"}]}"#.into(), &[]);
            }
            state.blobs.insert(found, came);
            say(201, vec![], &[])
        }
        ("GET", ("manifests", name)) => match state.manifests.get(name) {
            Some((kind, bytes)) => say(200, bytes.clone(), &[("content-type", kind)]),
            None => say(404, vec![], &[]),
        },
        ("PUT", ("manifests", name)) => {
            let manifest: serde_json::Value = serde_json::from_slice(&came).unwrap();
            let listed = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
            let named = |one: &serde_json::Value| one["digest"].as_str().unwrap().to_owned();
            let others = listed("manifests").iter().all(|one| state.manifests.contains_key(&named(one)));
            let config = manifest.get("config").into_iter().cloned();
            let blobs = listed("layers").into_iter().chain(config);
            if !others || !blobs.map(|one| named(&one)).all(|digest| state.blobs.contains_key(&digest)) {
                return say(400, br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#.into(), &[]);
            }
            let digest = Digest::of(&came).to_string();
            let stays = !name.starts_with("sha256:") && state.immutable && state.manifests.contains_key(name);
            if stays {
                return say(400, br#"{"errors":[{"code":"TAG_INVALID"}]}"#.into(), &[]);
            }
            let kind = parts.headers["content-type"].to_str().unwrap().to_owned();
            state.manifests.insert(digest, (kind.clone(), came.clone()));
            state.manifests.insert(name.to_owned(), (kind, came));
            say(201, vec![], &[])
        }
        other => panic!("{other:?}"),
    }
}

/// Two registries, and whoever knows both.
struct Both {
    from: World,
    registries: Registries,
    other: Shared,
    to: Repository,
}

impl Both {
    async fn new() -> Self {
        let from = World::new(nobody).await;
        let other = Shared::default();
        let host = serve(other.clone()).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let logins = Logins::default().with(&host, "AWS", "canary");
        let to = format!("{host}/c/d").parse().unwrap();
        Both { from, registries: Registries::new(client, logins), other, to }
    }

    async fn copy(&self, digest: &Digest, tag: &str) -> Result<Copied, Error> {
        let progress = |there, size| assert!(there <= size);
        copy(&self.registries, &self.from.repository, digest, &self.to, tag, &progress).await
    }

    fn has(&self) -> BTreeSet<String> {
        let other = self.other.lock().unwrap();
        let names = other.blobs.keys().chain(other.manifests.keys());
        names.filter_map(|name| name.strip_prefix("sha256:")).map(str::to_owned).collect()
    }

    fn tag(&self, tag: &str) -> Option<Digest> {
        self.other.lock().unwrap().manifests.get(tag).map(|(_, bytes)| Digest::of(bytes))
    }

    fn sent(&self) -> usize {
        let calls = std::mem::take(&mut self.other.lock().unwrap().calls);
        calls.iter().filter(|call| call.starts_with("PUT /v2/c/d/blobs")).count()
    }
}

#[tokio::test]
async fn row_140_an_image_goes_whole_and_only_once() {
    let both = Both::new().await;
    let digest = both.from.digest.clone();
    let would = missing(&both.registries, &both.from.repository, &digest, &both.to).await.unwrap();
    assert!(both.has().is_empty(), "who only looks sends nothing");
    let copied = both.copy(&digest, "v1").await.unwrap();
    assert_eq!(would, copied);
    assert_eq!((both.has(), both.tag("v1")), (both.from.all.clone(), Some(digest.clone())));
    assert!(both.other.lock().unwrap().largest < 300_000, "a layer came in one piece");
    // One layer that three images share, and two parts of each.
    assert_eq!(both.sent(), 7);
    let again = both.copy(&digest, "v1").await.unwrap();
    assert_eq!((again.size, again.went, both.sent()), (copied.size, 0, 0));

    let (newer, _) = image(&mut both.from.state.lock().unwrap(), "v2");
    let went = both.copy(&newer, "v1").await.unwrap().went;
    assert!(went > 0 && went < 300_000, "the layer that both have stays: {went}");
    assert_eq!(both.tag("v1"), Some(newer));
    assert!(both.tag(&digest.to_string()).is_some(), "what the tag stood for can be had by its digest");
}

#[tokio::test]
async fn what_breaks_off_goes_on_where_it_was() {
    let both = Both::new().await;
    both.from.state.lock().unwrap().breaks = (100_000, 2);
    both.copy(&both.from.digest, "v1").await.unwrap();
    assert_eq!(both.has(), both.from.all);
    assert_eq!(both.sent(), 7, "an upload was begun again");
    let both = Both::new().await;
    *both.from.state.lock().unwrap() = {
        let mut state = std::mem::take(&mut *both.from.state.lock().unwrap());
        (state.breaks, state.no_ranges) = ((100_000, 1), true);
        state
    };
    both.copy(&both.from.digest, "v1").await.unwrap();
    assert_eq!(both.has(), both.from.all, "also where the other knows no ranges");
}

#[tokio::test]
async fn what_fails_is_sent_again_and_not_for_ever() {
    let both = Both::new().await;
    (both.other.lock().unwrap().fails, both.other.lock().unwrap().run_out) = (1, 1);
    both.copy(&both.from.digest, "v1").await.unwrap();
    assert_eq!((both.has(), both.sent()), (both.from.all.clone(), 9));
    let both = Both::new().await;
    both.other.lock().unwrap().run_out = 100;
    let error = both.copy(&both.from.digest, "v1").await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    assert!(both.tag("v1").is_none(), "a tag came before what it stands for");
}

#[tokio::test]
async fn what_is_something_else_is_not_passed_on() {
    let layer = Digest::of(&vec![7; 300_000]);
    for wrong in [vec![8; 300_000], vec![7; 300_001]] {
        let both = Both::new().await;
        let put = |state: &mut State| {
            state.has.insert(format!("/stored/{layer}"), ("x".into(), wrong.clone()));
        };
        put(&mut both.from.state.lock().unwrap());
        let error = both.copy(&both.from.digest, "v1").await.unwrap_err();
        assert!(matches!(&error, Error::Digest { wanted, .. } if *wanted == layer), "{error}");
        assert!(!both.has().contains(layer.hex()) && both.tag("v1").is_none());
    }
}

#[tokio::test]
async fn a_tag_that_stays_is_told_and_a_repository_that_is_not_there() {
    let both = Both::new().await;
    both.other.lock().unwrap().immutable = true;
    let old = both.from.digest.clone();
    both.copy(&old, "v1").await.unwrap();
    let (newer, _) = image(&mut both.from.state.lock().unwrap(), "v2");
    let error = both.copy(&newer, "v1").await.unwrap_err();
    assert!(matches!(&error, Error::TagStays { there, .. } if *there == old), "{error}");
    assert_eq!(both.tag("v1"), Some(old));
    assert!(both.tag(&newer.to_string()).is_some(), "it can be had by its digest");

    let gone: Repository = format!("{}/not/there", both.to.registry()).parse().unwrap();
    let nothing = |_, _| ();
    let error =
        copy(&both.registries, &both.from.repository, &newer, &gone, "v1", &nothing).await.unwrap_err();
    assert!(error.to_string().ends_with("does not have the repository not/there"), "{error}");
}
