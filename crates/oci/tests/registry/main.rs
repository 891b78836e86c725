//! Against a registry that does what registries do: asks for a token, sends blobs from elsewhere, breaks off.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod copy;

use bytes::Bytes;
use causeway_oci::{Digest, Error, Logins, Registries, Repository, fetch};
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode, body::Frame, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs, io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

/// What one does.
#[derive(Default)]
struct State {
    /// Bodies with their types, by path.
    has: BTreeMap<String, (String, Vec<u8>)>,
    /// Every call: path, `Range`, and whether it had a permit.
    calls: Vec<(String, Option<String>, bool)>,
    /// Whom tokens are for: `Basic ..`; anybody if not said.
    login: Option<String>,
    /// Breaks blobs off after so many bytes, so often.
    breaks: (usize, usize),
    /// Answers with 429, so often.
    busy: usize,
    /// Knows no ranges.
    no_ranges: bool,
    /// Who has the blobs, if not the registry itself.
    store: Option<String>,
}

type Shared = Arc<Mutex<State>>;
type Body = BoxBody<Bytes, io::Error>;

/// Serves on a port of its own; answers with its name.
async fn serve(state: Shared) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let host = name.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (state, host) = (state.clone(), host.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = answer(&state, &host, &request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                // A connection that is cut is what some tests are about.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    name
}

fn answer(state: &Shared, host: &str, request: &Request<Incoming>) -> Response<Body> {
    let mut state = state.lock().unwrap();
    let path = request.uri().path().to_owned();
    let header = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
    let (permit, range) = (header("authorization"), header("range"));
    state.calls.push((path.clone(), range.clone(), permit.is_some()));
    let full = |text: String| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let say = |status: u16, text: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        Response::builder().status(status).body(full(text.to_owned())).unwrap()
    };
    if state.busy > 0 {
        state.busy -= 1;
        return say(429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#);
    }
    if path == "/token" {
        assert!(
            request.uri().query().unwrap().contains("scope=repository%3Aa%2Fb%3Apull"),
            "{}",
            request.uri()
        );
        return match &state.login {
            Some(login) if permit.as_ref() != Some(login) => {
                say(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}"#)
            }
            _ => say(200, r#"{"token":"t"}"#),
        };
    }
    // Blobs are on another path without a permit, as on the network of a registry's maker.
    let stored = path.starts_with("/stored/");
    if !stored && permit.as_deref() != Some("Bearer t") {
        let challenge =
            format!(r#"Bearer realm="http://{host}/token",service="here",scope="repository:a/b:pull""#);
        let mut answer = say(401, "{}");
        answer.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
        return answer;
    }
    if let Some(digest) = path.strip_prefix("/v2/a/b/blobs/") {
        let mut answer = say(307, "");
        let host = state.store.as_deref().unwrap_or(host);
        answer.headers_mut().insert("location", format!("http://{host}/stored/{digest}").parse().unwrap());
        return answer;
    }
    let Some((kind, bytes)) = state.has.get(&path).cloned() else {
        return say(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
    };
    let mut built = Response::builder().header("content-type", kind);
    let mut from = 0;
    if let Some(start) = range.filter(|_| !state.no_ranges) {
        from = start.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        let end = bytes.len() - 1;
        built = built.status(206).header("content-range", format!("bytes {from}-{end}/{}", bytes.len()));
    }
    let rest = bytes[from..].to_vec();
    if stored && state.breaks.1 > 0 && rest.len() > state.breaks.0 {
        state.breaks.1 -= 1;
        let some = Bytes::copy_from_slice(&rest[..state.breaks.0]);
        // Later, so that what came before is sent.
        let cut = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(io::Error::other("cut"))
        };
        let parts = stream::iter([Ok(Frame::data(some))]).chain(stream::once(cut));
        return built
            .header("content-length", rest.len())
            .body(BodyExt::boxed(StreamBody::new(parts)))
            .unwrap();
    }
    built.body(Full::new(Bytes::from(rest)).map_err(|never| match never {}).boxed()).unwrap()
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image for two processors, with an attestation: its digest, and all of its digests.
fn image(state: &mut State, tag: &str) -> (Digest, BTreeSet<String>) {
    let mut all = BTreeSet::new();
    let blob = |state: &mut State, all: &mut BTreeSet<String>, bytes: &[u8], kind: &str| {
        let digest = Digest::of(bytes);
        state.has.insert(format!("/stored/{digest}"), (kind.into(), bytes.into()));
        all.insert(digest.hex().to_owned());
        serde_json::json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    };
    let shared = blob(state, &mut all, &vec![7; 300_000], "application/vnd.oci.image.layer.v1.tar+gzip");
    let mut manifests = vec![];
    for (os, processor) in [("linux", "amd64"), ("linux", "arm64"), ("unknown", "unknown")] {
        let platform = serde_json::json!({"os": os, "architecture": processor});
        let config = blob(
            state,
            &mut all,
            platform.to_string().as_bytes(),
            "application/vnd.oci.image.config.v1+json",
        );
        let own = blob(
            state,
            &mut all,
            format!("{tag}{processor}").as_bytes(),
            "application/vnd.oci.image.layer.v1.tar",
        );
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [shared, own]});
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        all.insert(digest.hex().to_owned());
        let size = bytes.len();
        state.has.insert(format!("/v2/a/b/manifests/{digest}"), (MANIFEST.into(), bytes));
        manifests.push(
            serde_json::json!({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform}),
        );
    }
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let bytes = index.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    all.insert(digest.hex().to_owned());
    for name in [tag.to_owned(), digest.to_string()] {
        state.has.insert(format!("/v2/a/b/manifests/{name}"), (INDEX.into(), bytes.clone()));
    }
    (digest, all)
}

struct World {
    state: Shared,
    registries: Registries,
    repository: Repository,
    folder: tempfile::TempDir,
    digest: Digest,
    all: BTreeSet<String>,
}

impl World {
    async fn new(logins: impl Fn(&str) -> String) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let state = Shared::default();
        let (digest, all) = image(&mut state.lock().unwrap(), "v1");
        let host = serve(state.clone()).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let registries = Registries::new(client, Logins::parse(&logins(&host)).unwrap());
        let repository = format!("{host}/a/b").parse().unwrap();
        World { state, registries, repository, folder: tempfile::tempdir().unwrap(), digest, all }
    }

    async fn fetch(&self, digest: &Digest) -> Result<causeway_oci::Fetched, Error> {
        fetch(&self.registries, &self.repository, digest, "v1", self.folder.path(), &|there, size| {
            assert!(there <= size);
        })
        .await
    }

    fn blobs(&self) -> BTreeSet<String> {
        let all = fs::read_dir(self.folder.path().join("blobs/sha256")).unwrap();
        all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn calls(&self) -> Vec<(String, Option<String>, bool)> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }
}

fn nobody(_: &str) -> String {
    "{}".into()
}

#[tokio::test]
async fn a_tag_is_the_digest_of_all_its_platforms() {
    let world = World::new(nobody).await;
    let found = world.registries.look(&world.repository, "v1").await.unwrap();
    assert_eq!(found.digest, world.digest);
    assert_eq!(found.platforms, ["linux/amd64", "linux/arm64"].map(str::to_owned).into());
    let asked: Vec<String> = world.calls().into_iter().map(|(path, ..)| path).collect();
    assert_eq!(asked, ["/v2/a/b/manifests/v1", "/token", "/v2/a/b/manifests/v1"]);
    // The token is kept.
    world.registries.look(&world.repository, "v1").await.unwrap();
    assert_eq!(world.calls().len(), 1);

    let missing = world.registries.look(&world.repository, "v2").await.unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    assert!(missing.to_string().ends_with("does not have the image a/b:v2"), "{missing}");
}

#[tokio::test]
async fn an_image_comes_whole_and_only_once() {
    let world = World::new(nobody).await;
    let fetched = world.fetch(&world.digest).await.unwrap();
    assert_eq!(world.blobs(), world.all);
    assert_eq!(fetched.size, fetched.came);
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(world.folder.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], world.digest.to_string());
    assert_eq!(index["manifests"][0]["mediaType"], INDEX);
    assert!(world.folder.path().join("oci-layout").exists());
    world.calls();

    let again = world.fetch(&world.digest).await.unwrap();
    assert_eq!((again.size, again.came), (fetched.size, 0));
    assert_eq!(world.calls(), []);

    // What somebody damaged comes again, and only that.
    let layer = Digest::of(&vec![7; 300_000]);
    let path = world.folder.path().join("blobs/sha256").join(layer.hex());
    fs::write(&path, vec![8; 300_000]).unwrap();
    assert_eq!(world.fetch(&world.digest).await.unwrap().came, 300_000);
    assert_eq!(fs::read(&path).unwrap(), vec![7; 300_000]);

    // Another version takes its place.
    let (digest, all) = image(&mut world.state.lock().unwrap(), "v2");
    let came = world.fetch(&digest).await.unwrap().came;
    assert!(came < 300_000, "the layer that both have is kept: {came}");
    assert_eq!(world.blobs(), all);
}

#[tokio::test]
async fn what_was_cut_off_goes_on_where_it_was() {
    let world = World::new(nobody).await;
    world.state.lock().unwrap().breaks = (100_000, 2);
    let fetched = world.fetch(&world.digest).await.unwrap();
    assert_eq!((world.blobs(), fetched.came), (world.all.clone(), fetched.size));
    let ranges: Vec<String> = world.calls().into_iter().filter_map(|(_, range, _)| range).collect();
    // Asked of the registry, and then of where it sends us.
    assert_eq!(ranges, ["bytes=100000-", "bytes=100000-", "bytes=200000-", "bytes=200000-"]);
}

#[tokio::test]
async fn what_was_left_by_an_earlier_run_is_used_if_it_is_right() {
    let world = World::new(nobody).await;
    let layer = Digest::of(&vec![7; 300_000]);
    let blobs = world.folder.path().join("blobs/sha256");
    let begun = blobs.join(layer.hex()).with_extension("part");
    let ranges = || world.calls().into_iter().filter(|(_, range, _)| range.is_some()).count();
    // Right; not right; and right, but the registry begins at the start whatever is asked. What comes more than once, or not.
    for (left, no_ranges, more) in
        [(vec![7; 250_000], false, -250_000), (vec![8; 250_000], false, 50_000), (vec![7; 9], true, 0)]
    {
        let _ = fs::remove_dir_all(&blobs);
        fs::create_dir_all(&blobs).unwrap();
        fs::write(&begun, left).unwrap();
        world.state.lock().unwrap().no_ranges = no_ranges;
        let fetched = world.fetch(&world.digest).await.unwrap();
        assert_eq!(world.blobs(), world.all);
        assert_eq!(fs::read(blobs.join(layer.hex())).unwrap(), vec![7; 300_000]);
        assert_eq!(fetched.came.cast_signed() - fetched.size.cast_signed(), more);
        assert_eq!(ranges(), 2);
    }
}

#[tokio::test]
async fn what_is_something_else_is_refused() {
    let world = World::new(nobody).await;
    let layer = Digest::of(&vec![7; 300_000]);
    for wrong in [vec![8; 300_000], vec![7; 300_001]] {
        let path = format!("/stored/{layer}");
        world.state.lock().unwrap().has.insert(path, ("x".into(), wrong));
        let error = world.fetch(&world.digest).await.unwrap_err();
        assert!(matches!(&error, Error::Digest { wanted, .. } if *wanted == layer), "{error}");
        assert!(!world.folder.path().join("index.json").exists());
        assert!(!world.blobs().iter().any(|name| name.contains(layer.hex())), "nothing wrong is left");
    }
    let path = format!("/v2/a/b/manifests/{}", world.digest);
    world.state.lock().unwrap().has.insert(path, (INDEX.into(), b"{\"manifests\":[]}".to_vec()));
    fs::remove_dir_all(world.folder.path().join("blobs")).unwrap();
    let error = world.fetch(&world.digest).await.unwrap_err();
    assert!(matches!(&error, Error::Digest { wanted, .. } if *wanted == world.digest), "{error}");
}

#[tokio::test]
async fn a_registry_may_want_to_know_who_asks() {
    let world = World::new(nobody).await;
    world.state.lock().unwrap().login = Some("Basic YWRhOmNhbmFyeQ==".into());
    let error = world.registries.look(&world.repository, "v1").await.unwrap_err();
    assert!(error.to_string().contains("401") && error.to_string().contains("who are you?"), "{error}");
    assert!(error.remedy().contains("docker login"));

    let known = |host: &str| format!(r#"{{"auths": {{"{host}": {{"auth": "YWRhOmNhbmFyeQ=="}}}}}}"#);
    let world = World::new(known).await;
    world.state.lock().unwrap().login = Some("Basic YWRhOmNhbmFyeQ==".into());
    world.registries.look(&world.repository, "v1").await.unwrap();
    // Passwords go to where tokens are, and nowhere else.
    let calls = world.calls();
    assert_eq!(calls.iter().map(|(_, _, permit)| *permit).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn who_is_busy_is_asked_again_and_not_for_ever() {
    let world = World::new(nobody).await;
    world.state.lock().unwrap().busy = 2;
    world.registries.look(&world.repository, "v1").await.unwrap();
    world.state.lock().unwrap().busy = 100;
    world.calls();
    let error = world.registries.look(&world.repository, "v1").await.unwrap_err();
    assert!(error.to_string().contains("429") && error.to_string().contains("slow down"), "{error}");
    assert_eq!(world.calls().len(), 4);
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_image() {
    let world = World::new(nobody).await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let gone: Repository = format!("127.0.0.1:{port}/a").parse().unwrap();
    let error = world.registries.look(&gone, "v1").await.unwrap_err();
    assert!(matches!(error, Error::Silent { .. }), "{error}");
}

#[tokio::test]
async fn who_only_keeps_blobs_gets_no_token() {
    let world = World::new(nobody).await;
    let store = Shared::default();
    store.lock().unwrap().has = world.state.lock().unwrap().has.clone();
    let host = serve(store.clone()).await;
    world.state.lock().unwrap().store = Some(host);
    world.fetch(&world.digest).await.unwrap();
    let calls = &store.lock().unwrap().calls;
    assert!(!calls.is_empty());
    assert!(calls.iter().all(|(path, _, permit)| path.starts_with("/stored/") && !permit), "{calls:?}");
}
