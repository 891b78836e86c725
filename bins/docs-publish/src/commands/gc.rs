//! `docs-publish gc`: old releases go.

use super::Session;
use crate::{document, failure::Failure};
use causeway_docs_publish::gc;
use causeway_ending::Code;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Keep so many of the newest releases.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Keep all that are younger than so many days.
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// The most objects that may be removed.
    #[arg(long, value_name = "N")]
    most: Option<u32>,
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(session: &Session<'_>, flags: &Flags) -> Result<Code, Failure> {
    let mut keep = session.config.keep();
    keep.releases = flags.keep.map_or(keep.releases, |n| n as usize);
    keep.days = flags.days.unwrap_or(keep.days);
    keep.most = flags.most.map_or(keep.most, |n| n as usize);
    let place = session.place().await?;
    let done = gc::collect(&place, &keep, flags.dry_run).await?;
    let would = if flags.dry_run { "would be " } else { "" };
    if !(session.screen.quiet && done.releases.is_empty() && done.shared == 0) {
        for id in &done.releases {
            session.screen.say(&format!("- {id}"));
        }
        session.screen.say(&format!(
            "{} release(s) with {} objects, {} immutable file(s) and {} key(s) {would}removed; {} stay",
            done.releases.len(),
            done.objects,
            done.shared,
            done.keys,
            done.kept
        ));
    }
    session.screen.document(&document::done("gc", Code::Done, document::Removed::from(done)));
    Ok(Code::Done)
}
