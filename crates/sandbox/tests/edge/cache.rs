//! What is kept, for how long, and what viewers get of it.

use super::{Site, boto3, until, warm};
use causeway_sandbox::edge::Fetch;
use causeway_sandbox::gateway::{Act, Rule};
use serde_json::{Value, json};

/// The statuses of the fetches for a path so far.
fn fetches(site: &Site, path: &str) -> Vec<u16> {
    let all = warm().edge().fetches(&site.id).into_iter();
    all.filter(|fetch| fetch.path == path).map(|fetch| fetch.status).collect()
}

fn control(value: &str) -> Value {
    json!({ "more": { "CacheControl": value } })
}

#[test]
fn what_is_kept_is_not_fetched_again_and_what_is_old_is_asked_for() {
    let site = Site::make(
        "000000007201",
        json!({
            "name": "kept",
            "objects": {
                "default": {}, "year": control("max-age=31536000, immutable"), "always": control("max-age=0, must-revalidate"),
                "never": control("no-store"), "shared": control("max-age=0, s-maxage=3600"),
            },
        }),
    );
    for (path, second) in [
        ("/default", "Hit"),
        ("/year", "Hit"),
        ("/shared", "Hit"),
        ("/always", "RefreshHit"),
        ("/never", "Miss"),
    ] {
        let first = site.get(path);
        assert_eq!((first.status, first.from(), first.text()), (200, "Miss", path[1..].to_owned()));
        let again = site.get(&format!("{path}?not=counted"));
        assert_eq!((again.status, again.from(), again.text()), (200, second, path[1..].to_owned()), "{path}");
        let expected: &[u16] = match second {
            "Hit" => &[200],
            "RefreshHit" => &[200, 304],
            _ => &[200, 200],
        };
        assert_eq!(fetches(&site, path), expected, "{path}");
    }
    assert!(!site.get("/default").header("age").is_empty());

    // What has changed at the origin: what is good is still given, what is asked for is new.
    let change = json!({ "bucket": site.bucket, "objects": { "default": { "body": "new" }, "always": { "body": "new" } } });
    boto3(site.account, &change, "answer = put(given['bucket'], given['objects'])");
    assert_eq!(site.get("/default").text(), "default");
    let always = site.get("/always");
    assert_eq!((always.text().as_str(), always.from()), ("new", "Miss"));
}

#[test]
fn an_invalidation_evicts_what_it_names() {
    let site = Site::make(
        "000000007202",
        json!({ "name": "evicted", "objects": { "a": {}, "b/1": {}, "b/2": {}, "c": {} } }),
    );
    let paths = ["/a", "/b/1", "/b/2", "/c"];
    for path in paths {
        site.get(path);
    }
    let script = "answer = client('cloudfront').create_invalidation(DistributionId=given[0], InvalidationBatch={\n    \
        'CallerReference': 'x', 'Paths': {'Quantity': 2, 'Items': ['/a', '/b/*']}})['Invalidation']['Status']";
    assert_eq!(boto3(site.account, &json!([site.id]), script), "InProgress");
    let from: Vec<String> = paths.iter().map(|path| site.get(path).from().to_owned()).collect();
    assert_eq!(from, ["Miss", "Miss", "Miss", "Hit"]);
    assert_eq!(site.get("/a").from(), "Hit");
}

#[test]
fn errors_are_kept_and_have_pages_that_no_function_sees() {
    let site = Site::make(
        "000000007203",
        json!({
            "name": "errors",
            "objects": { "errors/404.html": { "body": "no such page" }, "there": {} },
            // A function that would break the page, and is not asked about it.
            "functions": { "viewer-request": "function handler(e) { e.request.uri = '/x' + e.request.uri; return e.request; }" },
            "errors": [
                { "ErrorCode": 403, "ResponsePagePath": "/errors/404.html", "ResponseCode": "404", "ErrorCachingMinTTL": 1 },
                { "ErrorCode": 500, "ErrorCachingMinTTL": 0 },
            ],
        }),
    );
    let first = site.get("/a");
    assert_eq!((first.status, first.text().as_str(), first.from()), (404, "no such page", "Error"));
    assert_eq!(fetches(&site, "/x/a"), [403]);
    assert_eq!(fetches(&site, "/errors/404.html"), [200]);
    // It is there now, but for a second the error is good.
    let put = json!({ "bucket": site.bucket, "objects": { "x/a": { "body": "found" } } });
    boto3(site.account, &put, "answer = put(given['bucket'], given['objects'])");
    until("the error is forgotten", || (site.get("/a").text() == "found").then_some(()));
    // Each try but the first after a second was answered from the cache; the page was fetched once.
    assert_eq!(fetches(&site, "/errors/404.html"), [200]);
    let head = site.ask("HEAD", "/b", &[]);
    assert_eq!((head.status, head.body.len()), (404, 0));
}

#[test]
fn an_error_without_a_rule_is_kept_for_ten_seconds() {
    let site =
        Site::make("000000007204", json!({ "name": "ten", "actions": ["s3:GetObject", "s3:ListBucket"] }));
    let first = site.get("/a");
    // Who may list a bucket is told what is not in it.
    assert_eq!((first.status, first.from()), (404, "Error"));
    assert!(first.text().contains("NoSuchKey"), "{}", first.text());
    site.get("/a");
    assert_eq!(fetches(&site, "/a"), [404]);
}

#[test]
fn the_policy_of_the_bucket_decides() {
    let site = Site::make(
        "000000007205",
        json!({ "name": "closed", "objects": { "a": {}, "b": {}, "c": {} }, "allowed": false }),
    );
    let closed = site.get("/a");
    assert_eq!(closed.status, 403);
    assert!(closed.text().contains("AccessDenied"));
    let allow = |arn: &str| boto3(site.account, &json!([site.bucket, arn]), "answer = allow(*given)");
    allow(&format!("{}X", site.arn));
    assert_eq!(site.get("/b").status, 403);
    allow(&site.arn);
    assert_eq!(site.get("/c").status, 200);
}

#[test]
fn viewers_get_parts_and_short_answers() {
    let text = "0123456789".repeat(500);
    let site = Site::make(
        "000000007206",
        json!({ "name": "short", "objects": { "index.html": { "body": text }, "small": {} }, "root": "index.html" }),
    );
    let whole = site.get("/");
    assert_eq!((whole.status, whole.text() == text, whole.header("content-type")), (200, true, "text/html"));
    let etag = whole.header("etag").to_owned();
    let known = site.with("/", &[("If-None-Match", &etag)]);
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, etag.as_str()));
    let part = site.with("/", &[("Range", "bytes=10-14")]);
    assert_eq!((part.status, part.text().as_str()), (206, "01234"));
    assert_eq!(part.header("content-range"), "bytes 10-14/5000");
    let head = site.ask("HEAD", "/", &[]);
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, "5000"));
    let head = site.ask("HEAD", "/small", &[]);
    assert_eq!((head.status, head.from(), head.header("content-length")), (200, "Miss", "5"));
    for (encoding, shorter) in [("br", true), ("gzip, br;q=0", true), ("identity", false)] {
        let answer = site.with("/", &[("Accept-Encoding", encoding)]);
        assert_eq!(!answer.header("content-encoding").is_empty(), shorter, "{encoding}");
        assert_eq!(answer.body.len() < 1000, shorter, "{encoding}");
        assert_eq!(answer.header("etag").starts_with("W/"), shorter);
    }
    assert_eq!(site.with("/small", &[("Accept-Encoding", "br")]).header("content-encoding"), "");
    assert_eq!(site.ask("POST", "/", &[]).status, 403);
    let plain = site.with("/a?b", &[("X-Forwarded-Proto", "http")]);
    assert_eq!((plain.status, plain.from()), (301, "Redirect"));
    assert_eq!(plain.header("location"), format!("https://{}/a?b", site.domain));
}

#[test]
fn hosts_and_behaviors_lead_to_their_distribution() {
    let site = Site::make(
        "000000007207",
        json!({
            "name": "hosts", "aliases": ["docs.example.org"], "path": "/in",
            "objects": { "in/a.txt": { "body": "plain" }, "in/x/b": { "body": "rewritten" } },
            "functions": { "viewer-request": "function handler(e) { e.request.uri = '/x/b'; return e.request; }" },
            "plain": ["*.txt"], "query": { "QueryStringBehavior": "whitelist", "QueryStrings": { "Quantity": 1, "Items": ["v"] } },
        }),
    );
    let at = |host: &str| super::http(warm().edge().address(), "GET", host, "/any", &[], "");
    let id = site.id.to_lowercase();
    let hosts = [
        format!("{id}.cloudfront.net"),
        format!("{id}.localhost:1"),
        "docs.example.org".to_owned(),
        "DOCS.example.org.localhost".to_owned(),
    ];
    for host in hosts {
        assert_eq!(at(&host).text(), "rewritten", "{host}");
    }
    for host in ["nothing.cloudfront.net", "example.org", "docs.example.org.cloudfront.net", ""] {
        assert_eq!((at(host).status, at(host).from()), (403, "Error"), "{host}");
    }
    assert_eq!(site.get("/a.txt").text(), "plain");
    // Of the query only what counts tells answers apart.
    let from = ["/a.txt?v=1", "/a.txt?v=1&w=2", "/a.txt?v=2"].map(|path| site.get(path).from().to_owned());
    assert_eq!(from, ["Miss", "Hit", "Miss"]);

    // A change is there at once; a distribution that is not enabled is not.
    boto3(
        site.account,
        &json!(site.id),
        "cf = client('cloudfront')\n\
         found = cf.get_distribution_config(Id=given)\n\
         config = {**found['DistributionConfig'], 'Enabled': False}\n\
         answer = cf.update_distribution(Id=given, IfMatch=found['ETag'], DistributionConfig=config)['Distribution']['Id']",
    );
    assert_eq!(site.get("/a.txt").status, 403);
}

#[test]
fn a_function_that_fails_shows_nothing_of_itself() {
    let site = Site::make(
        "000000007208",
        json!({
            "name": "failing", "objects": { "ok": {}, "status": {} },
            "functions": {
                "viewer-request": "function handler(e) {
                    const r = e.request;
                    if (r.uri === '/throw') throw new Error('secret');
                    if (r.uri === '/uri') r.uri = 'no';
                    if (r.uri === '/hidden') r.headers['x-edge-a'] = { value: 'b' };
                    if (r.uri === '/forever') while (true) {}
                    if (r.uri === '/nothing') return;
                    return r;
                }",
                "viewer-response": "function handler(e) {
                    if (e.request.uri === '/status') e.response.statusCode = 201;
                    e.response.headers['x-seen'] = { value: e.context.eventType + ' ' + e.viewer.ip + ' ' + e.version };
                    return e.response;
                }",
            },
        }),
    );
    assert_eq!(site.get("/ok").header("x-seen"), "viewer-response 127.0.0.1 1.0");
    for (path, status, from) in [
        ("/throw", 503, "FunctionExecutionError"),
        ("/forever", 503, "FunctionExecutionError"),
        ("/uri", 502, "FunctionValidationError"),
        ("/hidden", 502, "FunctionValidationError"),
        ("/nothing", 502, "FunctionValidationError"),
        ("/status", 502, "FunctionValidationError"),
    ] {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.from()), (status, from), "{path}");
        assert!(!answer.text().contains("secret"));
    }
    // An error of the origin is not shown to the function for responses.
    assert_eq!((site.get("/no").status, site.get("/no").header("x-seen")), (403, ""));
    assert!(warm().edge().failures().iter().any(|failure| failure.contains("secret")));
}

#[test]
fn an_origin_that_fails_is_met_by_rules_and_what_there_was_is_good_meanwhile() {
    let site = Site::make(
        "000000007209",
        json!({ "name": "away", "objects": { "a": control("max-age=0"), "b": {} }, "errors": [{ "ErrorCode": 500, "ErrorCachingMinTTL": 0 }] }),
    );
    assert_eq!(site.get("/a").status, 200);
    let key = warm().credentials(site.account).unwrap().0;
    let rule = warm()
        .gateway()
        .rules()
        .add(Rule { access_key: Some(key), ..Rule::new("edge:Origin", Act::ErrorBefore) });
    let stale = site.get("/a");
    assert_eq!((stale.status, stale.text().as_str()), (200, "a"));
    assert_eq!((site.get("/b").status, site.get("/b").from()), (500, "Error"));
    warm().gateway().rules().remove(rule);
    assert_eq!(site.get("/b").status, 200);
    let expected = Fetch { distribution: site.id.clone(), path: "/a".into(), status: 500, conditional: true };
    assert!(warm().edge().fetches(&site.id).contains(&expected));
}
