//! A site of Next.js, published by this program to a distribution that the target `[docs]` made, in a real browser.
//!
//! Without node or Chromium it is left out, and says so; with `CAUSEWAY_NODE=required` that is a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod chromium;
mod next;

use causeway_core::{Engine, Registry, Stack, engine::Run, plan::PlanOptions, store::LocalStore};
use causeway_stacks::{cloudfront, config::StackConfig};
use chromium::Page;
use serde_json::json;
use std::{path::Path, process::Command, sync::Arc};

const ACCOUNT: &str = "000000008101";
const REGION: &str = "us-east-1";

/// A stack of the target, applied; the id of its distribution.
async fn distribution(name: &str) -> String {
    let sandbox = causeway_sandbox::shared().unwrap_or_else(|e| panic!("{}", causeway_core::error::chain(e)));
    let (key, secret) = sandbox.credentials(ACCOUNT).unwrap();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(sandbox.endpoint())
        .credentials_provider(aws_credential_types::Credentials::new(key, secret, None, None, "sandbox"))
        .retry_config(causeway_aws::retries())
        .region(aws_config::Region::new(REGION))
        .load()
        .await;
    let mut registry = Registry::new();
    causeway_aws::register(&mut registry, config);
    let mut stack = Stack::new(name);
    let common =
        StackConfig { name: name.into(), region: "eu-west-1".into(), account: None, tags: [].into() };
    let docs = cloudfront::Docs { comment: name.into(), ..cloudfront::Docs::default() };
    cloudfront::docs(&mut stack, &common, &docs, None);
    let journal = tempfile::tempdir().unwrap();
    let engine = Engine::new(registry, Arc::new(LocalStore::new(journal.path())));
    let planned = engine.plan(&stack, &PlanOptions::default()).await.unwrap();
    let report = engine.apply(planned, &Run::default()).await.unwrap();
    assert!(report.is_complete(), "{:?} {:?}", report.failed, report.skipped);
    let made =
        report.outputs.iter().find(|(address, _)| address.to_string().ends_with(cloudfront::DISTRIBUTION));
    made.unwrap().1["id"].as_str().unwrap().to_owned()
}

fn publish(distribution: &str, folder: &Path) {
    let sandbox = causeway_sandbox::shared().unwrap();
    let (key, secret) = sandbox.credentials(ACCOUNT).unwrap();
    let home = tempfile::tempdir().unwrap();
    // Beside the folder of this test.
    let test = std::env::current_exe().unwrap();
    let output = Command::new(test.ancestors().nth(2).unwrap().join("docs-publish"))
        .args(["publish", "--distribution", distribution, "--json"])
        .arg(folder)
        .current_dir(home.path())
        .envs(sandbox.env())
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// Walks through a site; `spelled` is how it spells a page.
fn walk(page: &mut Page, at: &str, spelled: impl Fn(&str) -> String, other: impl Fn(&str) -> String) {
    let heading = "document.querySelector('main h1').innerText";
    let path = "location.pathname";
    let home = format!("{at}/");
    page.visit(&home);
    page.becomes(heading, &json!("Home"));
    page.becomes("getComputedStyle(document.querySelector('h1')).color", &json!("rgb(0, 96, 160)"));
    // It is alive once its counter counts; the state is lost if a page is loaded anew.
    page.becomes(
        "(() => { const b = document.querySelector('#counter'); if (b.innerText === '0') b.click(); return b.innerText; })()",
        &json!("1"),
    );
    let kept = "document.querySelector('#counter').innerText";
    page.click("nav a[href^='/guide']");
    page.becomes(heading, &json!("Guide"));
    page.becomes(path, &json!(spelled("/guide")));
    page.click("main a[href*='second']");
    page.becomes(heading, &json!("Topic second"));
    page.becomes(path, &json!(spelled("/guide/second")));
    page.value("history.back()");
    page.becomes(heading, &json!("Guide"));
    page.click("nav a[href^='/about']");
    page.becomes(heading, &json!("About"));
    page.becomes(kept, &json!("1"));
    assert_eq!(page.errors(), Vec::<String>::new());

    // A deep link, spelled in both ways.
    for link in [spelled("/guide/c-plus-plus"), other("/guide/c-plus-plus")] {
        page.visit(&format!("{at}{link}"));
        page.becomes(heading, &json!("Topic c-plus-plus"));
        page.becomes(path, &json!(spelled("/guide/c-plus-plus")));
        page.becomes(kept, &json!("0"));
    }
    assert_eq!(page.errors(), Vec::<String>::new());

    // What there is not, and from there back into the site.
    let nothing = format!("{at}{}", spelled("/nothing/here"));
    page.visit(&nothing);
    page.becomes(heading, &json!("There is no such page"));
    assert_eq!(page.status(&nothing), Some(404));
    page.click("nav a[href='/']");
    page.becomes(heading, &json!("Home"));
    // The browser tells of the page that it did not get, and of nothing else.
    let errors = page.errors();
    assert!(
        errors.iter().all(|error| error.contains("404") && error.contains("/nothing/here")),
        "{errors:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_nextjs_is_walked_through_in_a_browser() {
    let prepared = tokio::task::spawn_blocking(|| {
        let browser = chromium::find().ok_or("there is no Chromium")?;
        Ok::<_, String>((browser, next::exports()?))
    });
    let (browser, exports) = match prepared.await.unwrap() {
        Ok(prepared) => prepared,
        Err(why) => {
            assert_ne!(std::env::var("CAUSEWAY_NODE").as_deref(), Ok("required"), "{why}");
            eprintln!("left out: {why}");
            return;
        }
    };
    for (export, slash) in exports.iter().zip([true, false]) {
        let id = distribution(if slash { "with-slash" } else { "without-slash" }).await;
        let (export, browser) = (export.clone(), browser.clone());
        let walked = tokio::task::spawn_blocking(move || {
            publish(&id, &export);
            let at = causeway_sandbox::shared().unwrap().edge().url(&id);
            let (with, without) = (|path: &str| format!("{path}/"), |path: &str| path.to_owned());
            let mut page = Page::open(&browser);
            if slash {
                walk(&mut page, &at, with, without)
            } else {
                walk(&mut page, &at, without, with)
            }
            if let Some(folder) = std::env::var_os("CAUSEWAY_PICTURES") {
                std::fs::write(Path::new(&folder).join(format!("{id}.base64")), page.picture()).unwrap();
            }
        });
        walked.await.unwrap();
    }
}
