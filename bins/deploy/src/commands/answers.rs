//! After an apply: whether Coder itself answers, where it can be reached from here.

use super::Run;
use crate::{
    failure::{Code, Failure},
    session::Session,
};
use causeway_coder_api::{Coder, Error};
use causeway_core::error::chain;
use std::time::Duration;

/// A load balancer takes a moment to send to targets that have just become healthy.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(5);

/// Asks Coder at its access URL.
///
/// # Errors
/// It answers, and not well. That it cannot be reached from here is only told: its name may not be delegated yet, or
/// not everybody may be let in.
pub(crate) async fn check(run: &Run<'_>, session: &Session) -> Result<Code, Failure> {
    let Some(ecs) = &session.file.config.ecs else { return Ok(Code::Done) };
    // The names of a sandbox lead nowhere.
    if session.cloud.sandbox {
        return Ok(Code::Done);
    }
    let url = &ecs.access_url;
    match ask(url).await {
        Ok(version) => {
            run.screen.note(&format!("{url} answers: Coder {version}"));
            Ok(Code::Done)
        }
        Err(error @ Error::Unreachable { .. }) => {
            run.screen.note(&format!(
                "{}; its targets are healthy, so look at DNS and at who is let in",
                chain(&error)
            ));
            Ok(Code::Done)
        }
        Err(error) => {
            let hint = "`deploy status` shows what runs; the log group has Coder's own words";
            Err(Failure::new(Code::Partial, chain(&error)).hint(hint))
        }
    }
}

async fn ask(url: &str) -> Result<String, Error> {
    let coder = Coder::new(url)?;
    for _ in 1..TRIES {
        match coder.healthz().await {
            Err(Error::Status { .. }) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    coder.healthz().await?;
    Ok(coder.build_info().await?.version)
}
