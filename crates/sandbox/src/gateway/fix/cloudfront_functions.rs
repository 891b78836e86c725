//! Functions of CloudFront have two stages: what is worked on, and what was published last. Fakecloud keeps the code of both and
//! the settings of one, and shows the live stage of functions that were never published.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/managing-functions.html>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::future::BoxFuture;
use percent_encoding::percent_decode_str;

use super::{FixInfo, Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::{Element, Node};
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "cloudfront_functions",
    service: "cloudfront",
    operations: &[
        "CreateFunction",
        "UpdateFunction",
        "PublishFunction",
        "DeleteFunction",
        "DescribeFunction",
        "GetFunction",
        "ListFunctions",
    ],
    why: "fakecloud shows a live stage of functions that were never published, with the settings of the other stage, and takes \
          code of any size; AWS answers NoSuchFunctionExists and FunctionSizeLimitExceeded",
};

/// How large the code of a function may be, in bytes:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html>.
const LARGEST: usize = 10 * 1024;

/// The summaries of what was published last, by account and name.
#[derive(Default)]
pub(crate) struct Published(Mutex<BTreeMap<[String; 2], Bytes>>);

impl Published {
    /// Whether a function has a live stage.
    pub(crate) fn has(&self, scope: &Scope, name: &str) -> bool {
        lock(&self.0).contains_key(&key(scope, name))
    }

    /// The summary of the live stage of a function.
    pub(crate) fn of(&self, scope: &Scope, name: &str) -> Option<Element> {
        let summary = lock(&self.0).get(&key(scope, name)).cloned()?;
        Element::parse(std::str::from_utf8(&summary).ok()?)
    }
}

fn key(scope: &Scope, name: &str) -> [String; 2] {
    [crate::account::of(&scope.access_key), name].map(str::to_owned)
}

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let operation = request.operation.name.clone();
        let name = super::cloudfront_sites::behind(&request, "function");
        let key = key(&request.scope, &name);
        let live = request.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "Stage=LIVE"));
        let published = &state.fixes.published.0;
        match operation.as_str() {
            "CreateFunction" | "UpdateFunction" => {
                let code = parse(&request.body).and_then(|input| input.get("FunctionCode"));
                let code =
                    code.and_then(|code| STANDARD.decode(code.split_whitespace().collect::<String>()).ok());
                if code.is_some_and(|code| code.len() > LARGEST) {
                    let message = "The function code exceeds the limit of 10 KB.";
                    return request.refuse(413, "FunctionSizeLimitExceeded", message);
                }
            }
            "DescribeFunction" | "GetFunction" if live && !lock(published).contains_key(&key) => {
                return request.refuse(404, "NoSuchFunctionExists", "The function was not published.");
            }
            _ => {}
        }
        let mut answer = next.run(request.clone()).await;
        if !answer.status.is_success() {
            return answer;
        }
        match operation.as_str() {
            "PublishFunction" => drop(lock(published).insert(key, answer.body.clone())),
            "DeleteFunction" => drop(lock(published).remove(&key)),
            "DescribeFunction" if live => {
                if let Some(summary) = lock(published).get(&key) {
                    answer.body = summary.clone();
                }
            }
            "ListFunctions" if live => {
                if let Some(mut list) = parse(&answer.body) {
                    let all = lock(published);
                    let mut kept = 0;
                    if let Some(items) = list.child_mut("Items") {
                        items.children.retain_mut(|node| match node {
                            Node::Element(summary) => {
                                let name = summary.get("Name").unwrap_or_default();
                                let Some(live) = all.get(&self::key(&request.scope, &name)) else {
                                    return false;
                                };
                                if let Some(live) = parse(live) {
                                    summary.children = live.children;
                                }
                                kept += 1;
                                true
                            }
                            Node::Text(_) => false,
                        });
                    }
                    list.set("Quantity", &kept.to_string());
                    answer.body = list.document().into();
                }
            }
            _ => {}
        }
        answer
    })
}

/// Reads a document.
pub(super) fn parse(body: &[u8]) -> Option<Element> {
    Element::parse(std::str::from_utf8(body).ok()?)
}

/// Decodes one segment of a path.
pub(super) fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
