//! The cloud as what runs behind it sees it: calls from inside are not counted and meet no rules, since on AWS too they are
//! nobody's calls.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use http::Method;
use serde_json::Value;

use super::State;
use super::fix::{Request, serve};
use super::forward::form;
use super::refusal::Answer;
use super::route::Scope;
use super::rule::Act;
use super::xml::Element;

/// One account and region of the cloud, for the control plane of a cluster.
#[derive(Clone)]
pub struct Inside {
    state: Weak<State>,
    address: SocketAddr,
    scope: Scope,
    cluster: String,
}

/// Why a call from inside failed: the service refused it, or the gateway has ended.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {status}: {body}")]
pub(crate) struct Refused {
    operation: String,
    status: u16,
    body: String,
}

impl Inside {
    pub(super) fn new(state: &Arc<State>, scope: &Scope, cluster: &str) -> Inside {
        let account = crate::account::of(&scope.access_key);
        let key = crate::account::credentials(account).map(|(key, _)| key);
        // Not the caller's own key, which may be that of a session that ends.
        let scope = Scope { access_key: key.unwrap_or_else(|| scope.access_key.clone()), ..scope.clone() };
        Inside { state: Arc::downgrade(state), address: state.address, scope, cluster: cluster.to_owned() }
    }

    pub(crate) fn region(&self) -> &str {
        &self.scope.region
    }

    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Where the API server of the cluster has tokens reviewed.
    pub(crate) fn review(&self) -> String {
        let Scope { access_key, region, .. } = &self.scope;
        let account = crate::account::of(access_key);
        format!("http://{}/_causeway/review/{account}/{region}/{}", self.address, self.cluster)
    }

    async fn send(&self, request: Request) -> Result<Answer, Refused> {
        let operation = request.operation.name.clone();
        let refused = |status, body| Refused { operation, status, body };
        let Some(state) = self.state.upgrade() else {
            return Err(refused(503, "the gateway has ended".to_owned()));
        };
        let answer = serve(&state, request).await;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(refused(answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// What EKS says at a path behind the cluster's, like `/node-groups`.
    pub(crate) async fn eks(&self, operation: &str, path: &str) -> Result<Value, Refused> {
        let mut request = Request::to(&self.scope, "eks", operation, bytes::Bytes::new());
        request.method = Method::GET;
        let path = format!("/clusters/{}{path}", self.cluster);
        request.uri = path.parse().map_err(|error: http::uri::InvalidUri| Refused {
            operation: operation.to_owned(),
            status: 400,
            body: error.to_string(),
        })?;
        let answer = self.send(request).await?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Calls a service that speaks in forms.
    pub(crate) async fn query(
        &self,
        service: &str,
        action: &str,
        version: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Element, Refused> {
        let mut pairs = vec![("Action", action), ("Version", version)];
        pairs.extend(parameters);
        let mut request = Request::to(&self.scope, service, action, form(pairs).into());
        request.headers.insert(
            http::header::CONTENT_TYPE,
            const { http::HeaderValue::from_static("application/x-www-form-urlencoded") },
        );
        let answer = self.send(request).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Element::parse(&text).ok_or_else(|| Refused {
            operation: action.to_owned(),
            status: answer.status.as_u16(),
            body: text,
        })
    }

    /// Asks the gateway's rules about a connection to the cluster: waits as they say, and returns whether it may go on.
    pub(crate) async fn passes(&self, operation: &str) -> bool {
        let Some(state) = self.state.upgrade() else { return false };
        let name = format!("kubernetes:{operation}");
        let mut verdict = state.rules.judge(&name, &self.scope.access_key, &self.scope.region, false);
        drop(state);
        if !verdict.delay.is_zero() {
            tokio::time::sleep(verdict.delay).await;
        }
        match verdict.act {
            None => true,
            Some(Act::HoldBefore | Act::HoldAfter) => {
                if let Some(hold) = verdict.hold.take() {
                    hold.wait().await;
                }
                true
            }
            Some(_) => false,
        }
    }
}
