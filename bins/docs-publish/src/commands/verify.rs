//! `docs-publish verify`: whether the edge serves what was published.

use super::Session;
use crate::{document, failure::Failure, screen::Screen};
use causeway_docs_publish::verify::{self, Edge, Verified};
use causeway_ending::Code;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The site, like `https://docs.example.com`; `site` of the configuration if left out.
    url: Option<String>,
    /// Ask for so many files; all of them without a number.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1000000")]
    sample: Option<usize>,
}

pub(crate) async fn run(session: &Session<'_>, flags: &Flags) -> Result<Code, Failure> {
    let url = flags.url.as_ref().or(session.global.site.as_ref()).or(session.config.publish.site.as_ref());
    let url = match url {
        Some(url) => url.clone(),
        None => format!("https://{}", session.place().await?.domain),
    };
    let edge = Edge::new(&url, session.global.edge_url.as_deref())?;
    let manifest = edge.manifest().await?;
    let mut depth = session.config.depth();
    depth.sample = flags.sample.unwrap_or(depth.sample);
    // A monitor is told at once, and not after the edge had time.
    depth.patience = std::time::Duration::ZERO;
    let verified = verify::verify(&edge, &manifest, &[], &depth, &|event| session.screen.watch(event)).await;
    session.screen.end();
    let verified = verified?;
    tell(session.screen, &verified);
    if !(session.screen.quiet && verified.wrong.is_empty()) {
        let right = verified.asked.saturating_sub(verified.wrong.len());
        session
            .screen
            .say(&format!("{}: {right} of {} answers are right", manifest.release.id, verified.asked));
    }
    let code = code_of(&verified);
    session.screen.document(&document::done("verify", code, document::Verified::from(&verified)));
    Ok(code)
}

/// Tells what is wrong.
pub(super) fn tell(screen: &Screen, verified: &Verified) {
    for wrong in &verified.wrong {
        screen.warn("wrong", &format!("{} {}", wrong.url, wrong.why));
    }
}

pub(super) fn code_of(verified: &Verified) -> Code {
    if verified.wrong.is_empty() { Code::Done } else { Code::Partial }
}
