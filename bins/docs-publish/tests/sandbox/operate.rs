//! Publishing, twice, a little changed, and going back.

use crate::world::World;
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_published_all_at_once_and_visited() {
    let world = World::new(1).await;
    assert_eq!(world.visit("/").await.status, 503, "nothing is published");
    world.write_site("one");
    world
        .write("_headers", "/guide/\n  X-Frame-Options: DENY\n/*.svg\n  Cache-Control: public, max-age=60\n");
    world.write("_redirects", "/old /guide/ 301\n/news/:year/* /guide/:splat?y=:year\n");
    world.write("LICENSE", "free");
    world.write("with space+plus.txt", "odd");
    let done = world.publish().await;
    assert_eq!(
        (&done["switched"], &done["uploaded"], &done["before"]),
        (&json!(true), &json!(8), &json!(null))
    );

    let home = world.visit("/").await;
    assert_eq!((home.status, home.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert!(home.body.contains("home one"));
    assert_eq!(home.headers["cache-control"], "public, max-age=0, s-maxage=31536000, must-revalidate");
    let guide = world.visit("/guide/").await;
    assert_eq!((guide.status, guide.headers["x-frame-options"].as_str()), (200, "DENY"));
    assert!(!guide.headers.keys().any(|name| name.starts_with("x-amz-meta")), "{guide:?}");
    assert_eq!(world.visit("/guide").await.headers["location"], "/guide/");
    let script = world.visit("/_next/static/one.js").await;
    assert_eq!((script.status, script.body.as_str()), (200, "// one"));
    assert_eq!(script.headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(world.visit("/logo.svg").await.headers["cache-control"], "public, max-age=60");
    assert_eq!(
        world.visit("/LICENSE").await.body,
        "free",
        "the router alone would look for LICENSE/index.html"
    );
    assert_eq!(world.visit("/with%20space+plus.txt").await.body, "odd");
    let old = world.visit("/old").await;
    assert_eq!((old.status, old.headers["location"].as_str()), (301, "/guide/"));
    assert_eq!(world.visit("/news/2026/a/b").await.headers["location"], "/guide/a/b?y=2026");
    let nothing = world.visit("/nothing/").await;
    assert_eq!(nothing.status, 404);
    assert!(nothing.body.contains("nothing one"), "{nothing:?}");
    assert_eq!(world.visit("/_headers").await.status, 308, "what was read is no file of the site");
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_is_once_and_a_change_is_what_changed() {
    let world = World::new(2).await;
    world.write_site("one");
    let first = world.publish().await;
    world.calls();
    let again = world.publish().await;
    assert_eq!(again["release"], first["release"]);
    let calls = world.calls();
    assert!(!calls.iter().any(|call| call.mutates), "{calls:#?}");
    assert!(calls.len() <= 8, "{calls:#?}");

    // One page, of the same size.
    let text = std::fs::read_to_string(world.path("guide/index.html")).unwrap();
    world.write("guide/index.html", text.replace("guide one", "guide two"));
    let changed = world.publish().await;
    assert_eq!(
        (&changed["uploaded"], &changed["copied"], &changed["retouched"]),
        (&json!(1), &json!(4), &json!(0))
    );
    assert_eq!(changed["bytes"], json!(text.len()));
    // The page and the manifest; what the edge knows of the release, and the switch.
    let expected = |put: usize, copied: usize| {
        let counts = [
            ("cloudfront-keyvaluestore:PutKey", 1),
            ("cloudfront-keyvaluestore:UpdateKeys", 1),
            ("s3:CopyObject", copied),
            ("s3:PutObject", put),
        ];
        counts.map(|(name, n)| (name.to_owned(), n)).into_iter().collect::<BTreeMap<_, _>>()
    };
    assert_eq!(world.changes(), expected(2, 4));
    assert_eq!((&changed["error_page"], &changed["invalidated"]), (&json!(false), &json!([])));
    assert!(world.visit("/guide/").await.body.contains("guide two"));
    assert!(world.visit("/").await.body.contains("home one"));

    // One header.
    world.write("_headers", "/guide/\n  X-Robots-Tag: noindex\n");
    let headers = world.publish().await;
    assert_eq!(world.changes(), expected(1, 5), "the manifest is all that is sent");
    assert_eq!(
        (&headers["uploaded"], &headers["copied"], &headers["retouched"]),
        (&json!(0), &json!(4), &json!(1))
    );
    let guide = world.visit("/guide/").await;
    assert_eq!(guide.headers["x-robots-tag"], "noindex");
    assert!(guide.body.contains("guide two"));

    // A header of an immutable file: it lies in no release, so the edge is told.
    world.visit("/_next/static/one.js").await;
    world.write("_headers", "/_next/*\n  X-Robots-Tag: none\n");
    let shared = world.publish().await;
    assert_eq!((&shared["uploaded"], &shared["retouched"]), (&json!(0), &json!(2)));
    assert_eq!(shared["invalidated"], json!(["/_next/static/one.js", "/shared/_next/static/one.js"]));
    assert_eq!(world.visit("/_next/static/one.js").await.headers["x-robots-tag"], "none");

    // A new error page.
    world.write("404.html", "gone");
    let error = world.publish().await;
    assert_eq!((&error["error_page"], &error["invalidated"]), (&json!(true), &json!(["/_errors/404.html"])));
    assert_eq!(world.visit("/nowhere/").await.body, "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_tab_finds_its_files_and_going_back_is_one_write() {
    let world = World::new(3).await;
    assert_eq!(world.run(&["rollback"]).await.ends_with(64).says("nothing is published yet").code, 64);
    world.write_site("one");
    let one = world.publish().await;
    std::fs::remove_dir_all(world.path("")).unwrap();
    world.write_site("two");
    let two = world.publish().await;
    assert_eq!(two["before"], one["release"]);
    assert!(world.visit("/").await.body.contains("home two"));
    assert_eq!(
        world.visit("/_next/static/one.js").await.body,
        "// one",
        "of a page that is still open somewhere"
    );

    let diff = world.run(&["diff", "site", "--detailed-exitcode"]).await.ends_with(0);
    assert_eq!(diff.out, "nothing to do\n");
    world.calls();
    world.run(&["rollback"]).await.ends_with(0).says(one["release"].as_str().unwrap());
    let changes = world.changes();
    // One write for the switch; the error page is another one, with its invalidation and its note.
    let expected =
        [("cloudfront-keyvaluestore:PutKey", 2), ("cloudfront:CreateInvalidation", 1), ("s3:CopyObject", 1)];
    let expected: BTreeMap<String, usize> =
        expected.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    assert_eq!(changes, expected);
    assert!(world.visit("/").await.body.contains("home one"));
    assert!(world.visit("/nowhere/").await.body.contains("nothing one"));
    let diff = world.run(&["diff", "site", "--detailed-exitcode", "--json"]).await.ends_with(2).result();
    assert_eq!(diff["added"], json!(["_next/static/two.js"]));
    assert_eq!(diff["removed"], json!(["_next/static/one.js"]));

    let kept = world.run(&["releases", "--json"]).await.ends_with(0).result();
    let lives: Vec<_> = kept["releases"].as_array().unwrap().iter().map(|r| r["live"].clone()).collect();
    assert_eq!(lives, [json!(true), json!(false)]);
    // The very folder again: its release is there, so it is only switched to.
    let again = world.publish().await;
    assert_eq!(
        (&again["release"], &again["uploaded"], &again["copied"]),
        (&two["release"], &json!(0), &json!(0))
    );
    assert!(world.visit("/").await.body.contains("home two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_not_gone_back_to() {
    let world = World::new(4).await;
    world.write_site("one");
    let one = world.publish().await["release"].as_str().unwrap().to_owned();
    world.write("more/index.html", "more");
    let two = world.publish().await["release"].as_str().unwrap().to_owned();
    world.remove_object(&format!("releases/{one}/style.css")).await;
    world.run(&["rollback"]).await.ends_with(101).says(&format!("of the release {one} are gone"));
    assert_eq!(world.visit("/more/").await.body, "more");
    // The live one is damaged: one has to say that there is no way back to it. What can be sent is sent anew.
    world.remove_object(&format!("releases/{two}/style.css")).await;
    world.write("more/index.html", "still more");
    world.run(&["publish", "site"]).await.ends_with(101).says("--without-way-back");
    assert_eq!(world.visit("/more/").await.body, "more");
    world.run(&["publish", "site", "--without-way-back"]).await.ends_with(0);
    assert_eq!(world.visit("/more/").await.body, "still more");
    assert_eq!(world.visit("/style.css").await.body, "/* one */");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_seen_by_who_has_its_address_only() {
    let world = World::new(5).await;
    world.write_site("one");
    world.publish().await;
    world.write("guide/index.html", "soon");
    let preview = world.run(&["preview", "site", "--json"]).await.ends_with(0).result();
    let id = preview["release"].as_str().unwrap();
    assert_eq!(preview["url"], json!(format!("https://{}/_preview/{id}", world.site.domain)));
    assert!(world.visit("/guide/").await.body.contains("guide one"));
    let begun = world.visit(&format!("/_preview/{id}")).await;
    assert_eq!(begun.status, 302);
    let cookie = begun.headers["set-cookie"].split(';').next().unwrap().to_owned();
    assert_eq!(world.visit_with("/guide/", &[("cookie", &cookie)]).await.body, "soon");
    // What was looked at is what goes live.
    world.calls();
    let live = world.publish().await;
    assert_eq!(
        (&live["release"], &live["uploaded"], &live["copied"]),
        (&preview["release"], &json!(0), &json!(0))
    );
    assert!(!world.changes().contains_key("s3:PutObject"));
    assert_eq!(world.visit("/guide/").await.body, "soon");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_kept_release_needs_goes() {
    let world = World::new(6).await;
    for version in ["one", "two", "three", "four"] {
        let _ = std::fs::remove_dir_all(world.path(""));
        world.write_site(version);
        world.write("_redirects", "/old /guide/ 301\n");
        world.publish().await;
    }
    let before = world.objects().await;
    let keep = ["gc", "--keep", "1", "--days", "0", "--json"];
    let would = world.run(&[&keep[..], &["--dry-run"]].concat()).await.ends_with(0).result();
    assert_eq!(world.objects().await, before, "only told");
    world.run(&[&keep[..], &["--most", "3"]].concat()).await.ends_with(101);
    assert_eq!(world.objects().await, before, "too much at once");
    let gone = world.run(&keep).await.ends_with(0).result();
    assert_eq!(gone, would);
    // The live one, and the one before it, which is where one goes back to.
    assert_eq!((gone["releases"].as_array().unwrap().len(), &gone["kept"]), (2, &json!(2)));
    assert_eq!((&gone["shared"], &gone["keys"]), (&json!(2), &json!(6)));
    let left = world.objects().await;
    assert!(left.contains(&"shared/_next/static/three.js".to_owned()), "{left:?}");
    assert!(!left.contains(&"shared/_next/static/two.js".to_owned()), "{left:?}");
    assert!(world.visit("/").await.body.contains("home four"));
    world.run(&["rollback"]).await.ends_with(0);
    assert!(world.visit("/").await.body.contains("home three"));
    assert_eq!(world.visit("/_next/static/three.js").await.body, "// three");
}
