//! `deploy destroy`: deletes everything that the stack made.

use super::{Run, apply, plan};
use crate::{
    cli,
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::Stack;

pub(crate) async fn run(run: &Run<'_>, flags: &cli::Destroy) -> Result<Code, Failure> {
    apply::may_ask(run)?;
    let file = session::configuration(run.global)?;
    // Deleting needs no program: the journal knows what there is, and in which order it goes.
    let empty = Stack::new(&file.config.stack.name);
    let work = async |session: &Session| {
        let recorded = plan::known(&empty, &session.engine.state().await?);
        let how = apply::How {
            options: plan::part(run, &flags.part, &recorded, "the journal")?,
            detail: false,
            permits: &flags.permits,
            saved: None,
            signer: None,
            // Nothing is wanted, so there is nothing that could be missing.
            preflight: false,
            html: flags.html.as_deref(),
        };
        apply::carry_out(run, session, &empty, &how).await
    };
    Session::within(run.global, file, run.screen, work).await
}
