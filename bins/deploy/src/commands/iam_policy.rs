//! `deploy iam-policy`: what whoever applies has to be allowed, as a policy.

use super::{Run, plan, preflight};
use crate::{
    cli, document,
    failure::{Code, Failure},
    session::Session,
};
use causeway_aws::preflight::policy;
use causeway_core::engine::Planned;

/// What a managed policy may hold, without white space:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>.
const LONGEST: usize = 6144;

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: cli::Scope,
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    let work = async |session: &Session, planned: Planned| Ok(preflight::of(session, &planned).actions());
    let (actions, undeclared) = plan::planned(run, &flags.scope, work).await?;
    let text = policy(&actions).text().map_err(|e| Failure::bug(&e))?;
    if text.len() > LONGEST {
        run.screen.note(&format!(
            "it has {} characters, and a managed policy may have {LONGEST}: split it, or make it an inline policy of a role",
            text.len()
        ));
    }
    for kind in undeclared {
        run.screen.note(&format!("what {kind} needs is not written down, and is missing"));
    }
    let policy: serde_json::Value = serde_json::from_str(&text).map_err(|e| Failure::bug(&e))?;
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, document::IamPolicy { policy }));
    } else {
        run.screen.raw(&format!("{policy:#}\n"));
    }
    Ok(Code::Done)
}
