//! Text that is there compressed before anybody asks for it.

use crate::world::{Seen, World};
use serde_json::json;
use std::collections::BTreeSet;

const BOTH: [&str; 5] = ["publish", "site", "--json", "--precompress", "br,gzip"];

/// Text of which the compressed form is still larger than what CloudFront leaves alone.
fn long() -> String {
    let mut dice = 1_u32;
    let mut word = || {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x} ", dice >> 12)
    };
    (0..2_000).map(|_| word()).collect()
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.headers.get(name).map_or("", String::as_str)
}

async fn asked(world: &World, path: &str, accepted: &str) -> Seen {
    match accepted {
        "" => world.visit(path).await,
        _ => world.visit_with(path, &[("accept-encoding", accepted)]).await,
    }
}

fn site(world: &World) {
    world.write_site("one");
    world.write("long.txt", long());
    world.write("empty.txt", "");
    world.write("LICENSE", "free");
    world.write("_headers", "/guide/\n  X-Frame-Options: DENY\n/style.css\n  Vary: Origin\n");
    world.write("_redirects", "/manual/ /guide/index.html 200\n/old /guide/ 301\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_get_text_as_they_take_it() {
    let world = World::new(90).await;
    site(&world);
    let done = world.run(&BOTH).await.ends_with(0).result();
    assert_eq!(done["verified"]["wrong"], json!([]), "{done:#}");
    let objects: BTreeSet<String> = world.objects().await.into_iter().collect();
    let text = |key: &&String| causeway_site::layout::is_text(key) && !key.starts_with("_errors/");
    assert!(objects.iter().filter(text).count() > 6);
    for key in objects.iter().filter(text) {
        assert!(objects.contains(&format!("{key}.br")) && objects.contains(&format!("{key}.gz")), "{key}");
    }
    for (path, of) in [
        ("/", "home one"),
        ("/guide/", "guide one"),
        ("/manual/", "guide one"),
        ("/style.css", "/* one */"),
        ("/_next/static/one.js", "// one"),
        ("/long.txt", "f"),
        ("/empty.txt", ""),
        ("/.well-known/release.json", "{"),
        ("/LICENSE", "free"),
    ] {
        let plain = world.visit(path).await;
        assert!(plain.status == 200 && plain.body.contains(of), "{path}: {plain:?}");
        let compressed = path != "/LICENSE";
        for (accepted, encoding) in [
            ("gzip, deflate, br, zstd", "br"),
            ("br", "br"),
            ("gzip", "gzip"),
            ("br;q=0, gzip;q=0.5", "gzip"),
            ("gzip;q=0", ""),
            ("identity", ""),
            ("", ""),
        ] {
            let seen = asked(&world, path, accepted).await;
            let encoding = if compressed { encoding } else { "" };
            assert_eq!((seen.status, &seen.body), (200, &plain.body), "{path} {accepted}");
            assert_eq!(header(&seen, "content-encoding"), encoding, "{path} {accepted}");
            for name in ["content-type", "cache-control", "x-frame-options"] {
                assert_eq!(header(&seen, name), header(&plain, name), "{path} {accepted} {name}");
            }
            assert!(header(&seen, "vary").contains("accept-encoding"), "{path} {accepted}: {seen:?}");
            // One for each form, and a strong one, as it is for these very bytes.
            let etag = header(&seen, "etag");
            assert!(
                etag.starts_with('"') && (etag == header(&plain, "etag")) == encoding.is_empty(),
                "{seen:?}"
            );
            let known = [("accept-encoding", accepted), ("if-none-match", etag)];
            assert_eq!(world.visit_with(path, &known).await.status, 304, "{path} {accepted}");
        }
    }
    assert!(asked(&world, "/long.txt", "br").await.bytes.len() > 1_000, "or it proves nothing about twice");
    assert_eq!(header(&asked(&world, "/style.css", "br").await, "vary"), "Origin, accept-encoding");
    assert_eq!(asked(&world, "/old", "br").await.status, 301);
    let nothing = asked(&world, "/nothing.html", "br").await;
    assert!(nothing.status == 404 && nothing.body.contains("nothing one"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_switched_on_and_off_and_gone_back_to() {
    let world = World::new(91).await;
    site(&world);
    let plain = world.publish().await;
    let br = || asked(&world, "/style.css", "br");
    assert_eq!(header(&br().await, "content-encoding"), "", "it is too small for CloudFront itself");
    // What is there as it is is copied; only what is compressed is sent.
    let diff = ["diff", "site", "--detailed-exitcode", "--precompress", "br"];
    world.run(&diff).await.ends_with(2).says("what is compressed: br");
    let on = world.run(&BOTH).await.ends_with(0).result();
    let text = 8;
    let immutable = 1;
    assert_eq!(
        (&on["uploaded"], &on["copied"], &on["retouched"]),
        (&json!(2 * text), &json!(text - immutable + 1), &json!(0)),
        "{on:#}"
    );
    assert_eq!(on["invalidated"], json!([]));
    assert_eq!(header(&br().await, "content-encoding"), "br");
    world.calls();
    let again = world.run(&BOTH).await.ends_with(0).result();
    assert_eq!(again["release"], on["release"]);
    assert!(world.changes().is_empty());
    // One page is three objects.
    world.write("guide/index.html", "<p>guide two");
    let page = world.run(&BOTH).await.ends_with(0).result();
    assert_eq!((&page["uploaded"], &page["retouched"]), (&json!(3), &json!(0)), "{page:#}");
    assert_eq!(asked(&world, "/guide/", "br").await.body, "<p>guide two");
    // One header of an immutable file, in all of its forms.
    for accepted in ["", "br", "gzip"] {
        asked(&world, "/_next/static/one.js", accepted).await;
    }
    let headers =
        "/guide/\n  X-Frame-Options: DENY\n/style.css\n  Vary: Origin\n/_next/*\n  X-Robots-Tag: none\n";
    world.write("_headers", headers);
    let shared = world.run(&BOTH).await.ends_with(0).result();
    assert_eq!((&shared["uploaded"], &shared["retouched"]), (&json!(0), &json!(3)), "{shared:#}");
    assert_eq!(
        shared["invalidated"],
        json!(["/_next/static/one.js", "/shared/_next/*"]),
        "all that is there"
    );
    for (accepted, encoding) in [("", ""), ("br", "br"), ("gzip", "gzip")] {
        let seen = asked(&world, "/_next/static/one.js", accepted).await;
        assert_eq!((header(&seen, "x-robots-tag"), header(&seen, "content-encoding")), ("none", encoding));
        assert_eq!(seen.body, "// one");
    }
    let kept = world.run(&["releases", "--json"]).await.ends_with(0).result();
    let encodings: Vec<_> =
        kept["releases"].as_array().unwrap().iter().map(|r| r["encodings"].clone()).collect();
    assert_eq!(encodings, [json!([]), json!(["br", "gzip"]), json!(["br", "gzip"]), json!(["br", "gzip"])]);
    world.run(&["releases"]).await.ends_with(0).says("br, gzip live");

    // Off again, and back: the switch is one write in both directions.
    let off = world.publish().await;
    assert_eq!((&off["uploaded"], &off["retouched"], &off["switched"]), (&json!(0), &json!(0), &json!(true)));
    assert_eq!(header(&br().await, "content-encoding"), "");
    assert_eq!(header(&asked(&world, "/long.txt", "br").await, "content-encoding"), "br", "of CloudFront");
    let back = world.run(&["rollback", "--json"]).await.ends_with(0).result();
    assert_eq!((&back["release"], &back["verified"]["wrong"]), (&shared["release"], &json!([])));
    assert_eq!(header(&br().await, "content-encoding"), "br");
    assert_ne!(plain["release"], back["release"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_is_proved_verified_and_goes_with_its_release() {
    let world = World::new(92).await;
    site(&world);
    let first = world.run(&BOTH).await.ends_with(0).result();
    let id = first["release"].as_str().unwrap();
    // Past us, before the edge has it.
    world.write("more.js", "more and more and more");
    let next = ["publish", "site", "--json", "--precompress", "br", "--no-verify"];
    let next = world.run(&next).await.ends_with(0).result();
    let key = format!("releases/{}/more.js.br", next["release"].as_str().unwrap());
    let put = world.s3().put_object().bucket(&world.site.bucket).key(key).body(b"no brotli".to_vec().into());
    let put = put.content_type("text/javascript; charset=utf-8").content_encoding("br");
    put.cache_control("public, max-age=0, s-maxage=31536000, must-revalidate").send().await.unwrap();
    let url = format!("https://{}", world.site.domain);
    let seen = world.run(&["verify", &url, "--sample"]).await.ends_with(100);
    seen.says("wrong: /more.js").says("to who takes br");
    // Gone: one does not go back to it. Sent again: one does.
    for gone in [format!("releases/{id}/style.css.gz"), "shared/_next/static/one.js.gz".to_owned()] {
        world.remove_object(&gone).await;
        let refused = world.run(&["rollback", id]).await.ends_with(101);
        refused.says(&format!("of the release {id} are gone or damaged, first {gone}"));
        std::fs::remove_file(world.path("more.js")).unwrap();
        world.write("n.txt", &gone);
        world.run(&[&BOTH[..], &["--without-way-back"]].concat()).await.ends_with(0);
        world.write("more.js", "more");
        if gone.starts_with("shared") {
            assert!(world.objects().await.contains(&gone), "it was sent again");
        }
        let put = world.s3().put_object().bucket(&world.site.bucket).key(&gone);
        put.body(b"x".to_vec().into()).send().await.unwrap();
        world.run(&["rollback", id]).await.ends_with(101).says("gone or damaged");
        world.remove_object(&gone).await;
    }
    // Two without, and nothing that was compressed is needed any more but what immutable files have.
    for text in ["three", "four"] {
        world.write("index.html", text);
        world.run(&["publish", "site", "--without-way-back"]).await.ends_with(0);
    }
    assert!(world.objects().await.iter().any(|key| key.starts_with("shared/") && key.ends_with(".br")));
    world.run(&["gc", "--keep", "1", "--days", "0"]).await.ends_with(0);
    let compressed = |keys: Vec<String>| {
        keys.into_iter().filter(|key| key.ends_with(".br") || key.ends_with(".gz")).collect::<Vec<_>>()
    };
    assert_eq!(compressed(world.objects().await), ["shared/_next/static/one.js.br"]);
    std::fs::remove_dir_all(world.path("_next")).unwrap();
    for text in ["five", "six"] {
        world.write("index.html", text);
        world.publish().await;
    }
    world.run(&["gc", "--keep", "1", "--days", "0"]).await.ends_with(0);
    assert_eq!(compressed(world.objects().await), Vec::<String>::new());
    assert_eq!(world.visit("/").await.body, "six");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_releases_from_before_are_found_by_who_takes_brotli() {
    let world = World::new(94).await;
    site(&world);
    world.publish().await;
    let next = |version: &'static str| {
        std::fs::remove_dir_all(world.path("")).unwrap();
        site(&world);
        world.write_site(version);
        std::fs::remove_file(world.path("_next/static/one.js")).unwrap();
    };
    // A page that is still open asks for its script, which is in no folder any more; nobody compressed it.
    next("two");
    let on = world.run(&BOTH).await.ends_with(0).result();
    assert_eq!(on["verified"]["wrong"], json!([]));
    for (path, body, encoding) in [
        ("/_next/static/one.js", "// one", ""),
        ("/_next/static/two.js", "// two", ""),
        ("/style.css", "/* two */", "br"),
    ] {
        let seen = asked(&world, path, "br").await;
        assert_eq!((seen.body.as_str(), header(&seen, "content-encoding")), (body, encoding), "{path}");
    }
    // Once there is none that is not, all are.
    world.write("n.txt", "n");
    world.run(&BOTH).await.ends_with(0);
    world.run(&["gc", "--keep", "1", "--days", "0"]).await.ends_with(0);
    world.write("n.txt", "m");
    world.run(&BOTH).await.ends_with(0);
    assert_eq!(header(&asked(&world, "/_next/static/two.js", "br").await, "content-encoding"), "br");
    // And no more where there is one again, whoever is led where.
    next("three");
    world.publish().await;
    world.run(&["rollback"]).await.ends_with(0);
    for version in ["two", "three"] {
        let seen = asked(&world, &format!("/_next/static/{version}.js"), "br").await;
        assert_eq!((seen.status, seen.body), (200, format!("// {version}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kept_release_has_compressed_stays() {
    let world = World::new(93).await;
    site(&world);
    world.run(&BOTH).await.ends_with(0);
    world.write("index.html", "plain");
    world.publish().await;
    let before = world.objects().await;
    world.run(&["gc", "--keep", "1", "--days", "0"]).await.ends_with(0);
    assert_eq!(world.objects().await, before);
    world.run(&["rollback"]).await.ends_with(0);
    let script = asked(&world, "/_next/static/one.js", "gzip").await;
    assert_eq!((header(&script, "content-encoding"), script.body.as_str()), ("gzip", "// one"));
}
