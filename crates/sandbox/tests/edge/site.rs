//! The functions of `causeway-site` in all their branches, as visitors meet them.

use super::{Answer, Site};
use serde_json::{Value, json};

const ONE: &str = "20261122T150000Z-00000001";
const TWO: &str = "20261122T160000Z-00000002";

fn object(release: &str, path: &str) -> String {
    format!("releases/{release}/{path}")
}

fn objects(all: &[(&str, &str)]) -> Value {
    let all = all.iter().map(|(key, body)| ((*key).to_owned(), json!({ "body": body })));
    all.collect::<serde_json::Map<_, _>>().into()
}

fn moved(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("location"))
}

#[test]
fn pages_in_directories() {
    let site = Site::released(
        "000000007101",
        &json!({ "id": ONE, "style": "directory", "immutable": ["/_next/static/"] }),
        objects(&[
            (&object(ONE, "index.html"), "home"),
            (&object(ONE, "guide/index.html"), "guide"),
            (&object(ONE, "a b/index.html"), "space"),
            (&object(ONE, "c++/index.html"), "plus"),
            (&object(ONE, "ü.txt"), "umlaut"),
            (&object(ONE, ".well-known/release.json"), "{}"),
            ("shared/_next/static/a.js", "script"),
        ]),
    );
    for (path, body) in [
        ("/", "home"),
        ("//", "home"),
        ("/guide/", "guide"),
        ("///guide/", "guide"),
        ("/guide/index.html", "guide"),
        ("/a%20b/", "space"),
        ("/c++/", "plus"),
        ("/c%2B%2B/", "plus"),
        ("/%C3%BC.txt", "umlaut"),
        ("/.well-known/release.json", "{}"),
        ("/_next/static/a.js", "script"),
        ("/guide/?q=1&q=2", "guide"),
    ] {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    for (path, target) in [
        ("/guide", "/guide/"),
        ("/guide?b=2&a=1&a=3&c", "/guide/?a=1&a=3&b=2&c"),
        ("/guide?x=%2B+%26", "/guide/?x=%2B+%26"),
        // No path leads to another host.
        ("//evil.com/x", "/evil.com/x/"),
        ("///evil", "/evil/"),
        ("/\\evil", "/%5Cevil/"),
        ("\\\\evil", ""),
        ("/%5Cevil", "/%5Cevil/"),
        ("/%2F/evil", "/%2F/evil/"),
    ] {
        let answer = site.get(path);
        if target.is_empty() {
            assert_eq!(answer.status, 400, "{path}");
            continue;
        }
        let (status, location) = moved(&answer);
        // Parameters keep the order that they have in JSON, which is no promise.
        let sorted = |url: &str| {
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            let mut query: Vec<String> = query.split('&').map(str::to_owned).collect();
            query.sort();
            (path.to_owned(), query)
        };
        assert_eq!((status, sorted(location)), (308, sorted(target)), "{path}");
        assert_eq!(answer.from(), "FunctionGeneratedResponse");
    }
    for path in ["/no/", "/no.html", "/_next/static/b.js", "/releases/", "/shared/_next/static/a.js"] {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (404, "not here"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.from(), "Error");
    }
    // The page itself is a page.
    assert_eq!(site.get("/_errors/404.html").text(), "not here");
}

#[test]
fn pages_in_files() {
    let site = Site::released(
        "000000007102",
        &json!({ "id": ONE, "style": "file", "immutable": ["/assets/"] }),
        objects(&[
            (&object(ONE, "index.html"), "home"),
            (&object(ONE, "guide.html"), "guide"),
            (&object(ONE, "guide/first.html"), "first"),
            (&object(ONE, "guide.txt"), "payload"),
            ("shared/assets/a.css", "style"),
        ]),
    );
    for (path, body) in [
        ("/", "home"),
        ("/guide", "guide"),
        ("/guide/first", "first"),
        ("/guide.html", "guide"),
        ("/guide.txt?_rsc=1", "payload"),
        ("/assets/a.css", "style"),
    ] {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{path}");
    }
    for (path, target) in [
        ("/guide/", "/guide"),
        ("/guide//", "/guide"),
        ("/guide/?a=1", "/guide?a=1"),
        ("//evil.com/", "/evil.com"),
        ("/\\evil/", "/%5Cevil"),
    ] {
        assert_eq!(moved(&site.get(path)), (308, target), "{path}");
    }
    assert_eq!(site.get("/no").status, 404);
}

#[test]
fn redirects_and_rewrites() {
    let site = Site::released(
        "000000007103",
        &json!({ "id": ONE, "style": "directory", "exact": true, "rules": 2 }),
        objects(&[(&object(ONE, "LICENSE"), "license"), (&object(ONE, "v2/page/index.html"), "page")]),
    );
    let exact = |path: &str, value: &str| site.write(&format!("to:{ONE}:{path}"), value);
    exact("/old", "301 /new/");
    exact("/asked", "302 /new/?fixed=1");
    exact("/part", "307 /new/#part");
    exact("/LICENSE", "200 /LICENSE");
    exact("/away", "308 https://example.com/x");
    let rules = |n: usize, rules: Value| site.write(&format!("rules:{ONE}:{n}"), &rules.to_string());
    rules(
        0,
        json!([
            ["/blog/*", 301, "/posts/:splat"],
            ["/top/*", 301, "/:splat"],
            ["/to/:where", 302, "/:where"],
            ["/:year/never", 301, "/no"],
        ]),
    );
    rules(
        1,
        json!([
            ["/u/:user/p/:use", 302, "https://example.com:8443/:user-:use/:other"],
            ["/v1/*", 200, "/v2/:splat"],
        ]),
    );
    for (path, expected) in [
        ("/old", (301, "/new/")),
        ("/old?a=1", (301, "/new/?a=1")),
        ("/asked?a=1", (302, "/new/?fixed=1")),
        ("/part?a=1", (307, "/new/?a=1#part")),
        ("/away", (308, "https://example.com/x")),
        ("/blog/a/b.html", (301, "/posts/a/b.html")),
        ("/blog/", (301, "/posts/")),
        ("/blog/$&$1", (301, "/posts/$&$1")),
        ("/u/ann/p/use", (302, "https://example.com:8443/ann-use/:other")),
        // What a visitor puts in leads to no other host.
        ("/top//evil.com", (301, "/evil.com")),
        ("/top/\\evil.com", (301, "/%5Cevil.com")),
        ("/to/\\evil.com", (302, "/%5Cevil.com")),
    ] {
        assert_eq!(moved(&site.get(path)), expected, "{path}");
    }
    assert_eq!(site.get("/LICENSE").text(), "license");
    assert_eq!(site.get("/v1/page/index.html").text(), "page");
    // A path that no key can name is looked up like any other.
    assert_eq!(site.get(&format!("/{}/", "x".repeat(600))).status, 404);
}

#[test]
fn a_switch_and_a_preview() {
    let site = Site::make(
        "000000007104",
        json!({
            "name": "switched",
            "objects": objects(&[(&object(ONE, "index.html"), "one"), (&object(TWO, "index.html"), "two")]),
            "functions": { "viewer-request": causeway_site::ROUTER, "viewer-response": causeway_site::HEADERS },
        }),
    );
    let nothing = site.get("/");
    assert_eq!((nothing.status, nothing.header("cache-control")), (503, "no-store"));
    assert_eq!(nothing.from(), "FunctionGeneratedResponse");

    let release = |id: &str| json!({ "id": id, "style": "directory" }).to_string();
    site.write("live", &release(ONE));
    site.write(&format!("release:{TWO}"), &release(TWO));
    assert_eq!(site.get("/").text(), "one");

    let begun = site.get(&format!("/_preview/{TWO}"));
    assert_eq!((moved(&begun), begun.header("cache-control")), ((302, "/"), "no-store"));
    let cookie = format!("causeway-release={TWO}");
    assert_eq!(begun.header("set-cookie"), format!("{cookie}; Path=/; Secure; HttpOnly; SameSite=Lax"));
    let looking = |cookie: &str| site.with("/", &[("Cookie", cookie)]).text();
    assert_eq!(looking(&format!("other=1; {cookie}")), "two");
    // Nobody else sees it.
    assert_eq!(site.get("/").text(), "one");
    // What is not there, or is none, shows what is live.
    assert_eq!(looking("causeway-release=20261122T160000Z-00000003"), "one");
    assert_eq!(looking("causeway-release=../../x"), "one");
    let unknown = site.get("/_preview/20261122T160000Z-00000003");
    assert_eq!((unknown.status, unknown.header("set-cookie")), (404, ""));
    let ended = site.get("/_preview/");
    assert_eq!(moved(&ended), (302, "/"));
    assert!(ended.header("set-cookie").starts_with("causeway-release=; "));
    assert!(ended.header("set-cookie").ends_with("; Max-Age=0"));

    // A switch is one write; nothing is invalidated.
    site.write("live", &release(TWO));
    assert_eq!(site.get("/").text(), "two");
    site.write("live", &release(ONE));
    let back = site.get("/");
    assert_eq!((back.text().as_str(), back.from()), ("one", "Hit"));
}

#[test]
fn encodings_and_headers_of_a_release() {
    let more = |kind: &str, encoding: &str| {
        let mut more =
            json!({ "ContentType": kind, "Metadata": { "header-x-frame-options": "DENY", "other": "x" } });
        if !encoding.is_empty() {
            more["ContentEncoding"] = encoding.into();
        }
        more
    };
    let mut all = json!({});
    for (ending, encoding) in [("", ""), (".br", "br"), (".gz", "gzip")] {
        let key = object(ONE, &format!("index.html{ending}"));
        all[key] = json!({ "body": format!("as{ending}"), "more": more("text/html", encoding) });
        let key = format!("shared/_next/a.js{ending}");
        all[key] = json!({ "body": format!("script{ending}"), "more": more("text/javascript", encoding) });
    }
    let varies = json!({ "ContentType": "text/css", "Metadata": { "header-vary": "Origin" } });
    all[object(ONE, "a.css")] = json!({ "body": "style", "more": varies });
    all[object(ONE, "a.png")] = json!({ "body": "picture", "more": more("image/png", "") });
    let site = Site::released(
        "000000007105",
        &json!({ "id": ONE, "style": "directory", "immutable": ["/_next/"], "encodings": ["br", "gzip"], "shared": ["gzip"] }),
        all,
    );
    for (accepted, body, encoding) in [
        ("gzip, deflate, br", "as.br", "br"),
        ("gzip", "as.gz", "gzip"),
        ("br;q=0, gzip;q=0.5", "as.gz", "gzip"),
        ("deflate, x-br", "as", ""),
        ("", "as", ""),
    ] {
        let answer = site.with("/", &[("Accept-Encoding", accepted)]);
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{accepted}");
        assert_eq!(answer.header("content-encoding"), encoding, "{accepted}");
        assert_eq!(answer.header("content-type"), "text/html");
        assert_eq!(answer.header("vary"), "accept-encoding");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert!(!answer.headers.keys().any(|name| name.starts_with("x-amz-meta")), "{:?}", answer.headers);
    }
    assert_eq!(site.get("/a.css").header("vary"), "Origin, accept-encoding");
    // Immutable files are of all releases: what is there of them is told apart.
    assert_eq!(site.with("/_next/a.js", &[("Accept-Encoding", "br, gzip")]).text(), "script.gz");
    assert_eq!(site.with("/_next/a.js", &[("Accept-Encoding", "br")]).text(), "script");
    let picture = site.with("/a.png", &[("Accept-Encoding", "br")]);
    assert_eq!((picture.text().as_str(), picture.header("content-encoding")), ("picture", ""));
}
