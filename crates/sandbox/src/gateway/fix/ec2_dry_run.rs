//! Moto carries out what asks for a dry run. AWS answers that it would have.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_dry_run",
    service: "ec2",
    operations: &[],
    why: "moto ignores DryRun and acts; AWS answers 412 DryRunOperation",
};

pub(super) fn run<'a>(_state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        if request.param("DryRun").as_deref() == Some("true") {
            let message = "Request would have succeeded, but DryRun flag is set.";
            return request.refuse(412, "DryRunOperation", message);
        }
        next.run(request).await
    })
}
