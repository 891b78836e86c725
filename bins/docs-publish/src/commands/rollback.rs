//! `docs-publish rollback`: an earlier release becomes what visitors get.

use super::{Session, verify};
use crate::{document, failure::Failure};
use causeway_docs_publish::{ReleaseId, releases};
use causeway_ending::Code;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The release; what visitors got before if left out.
    release: Option<String>,
    /// Do not ask the edge afterwards.
    #[arg(long)]
    no_verify: bool,
    /// For how many seconds an invalidation, or a distribution that is being deployed, is waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    patience: u64,
}

pub(crate) async fn run(session: &Session<'_>, flags: &Flags) -> Result<Code, Failure> {
    let to = flags.release.as_ref().map(|text| text.parse::<ReleaseId>()).transpose();
    let to = to.map_err(|error| {
        Failure::new(Code::Usage, error.to_string()).hint("`docs-publish releases` shows what there is")
    })?;
    let place = session.place().await?;
    let patience = Duration::from_secs(flags.patience);
    let done = releases::rollback(&place, to.as_ref(), patience, &|event| session.screen.watch(event)).await;
    session.screen.end();
    let done = done?;
    let url = place.url();
    if let Some(id) = &done.release {
        let what = if done.switched { "now" } else { "already" };
        session.screen.say(&format!("{url} is {id} {what}"));
    }
    let mut document = document::Release::of(&done, url);
    let mut code = Code::Done;
    if done.switched && !place.staged && !flags.no_verify {
        let verified = session.verify(&place, &done, patience).await?;
        code = verify::code_of(&verified);
        document.verified = Some((&verified).into());
    }
    session.screen.document(&document::done("rollback", code, document));
    Ok(code)
}
