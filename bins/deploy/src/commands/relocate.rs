//! `deploy state move`: the journal goes on in a bucket, or in a folder.

use super::Run;
use crate::{
    document::{self, Moved},
    failure::{Code, Failure},
    journal::{Bucket, Place},
    session::{self, Near},
};
use causeway_core::store::relocate;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Where to: the bucket that `[state]` names, or the folder beside the configuration or of --state
    #[arg(long, value_enum)]
    to: To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// The bucket
    S3,
    /// The folder
    Folder,
}

pub(crate) async fn run(run: &Run<'_>, flags: &Flags) -> Result<Code, Failure> {
    let file = session::settled(run.global).await?;
    let near = Near::of(run.global, &file)?;
    let Some(s3) = &file.config.state.s3 else {
        let failure = Failure::usage("the configuration names no bucket to move the journal to or from");
        return Err(failure.hint("write `[state]` and `s3 = { bucket = \"NAME\" }` into it"));
    };
    let bucket = near.store(&Place::Bucket(Bucket::of(s3, &file))).await?;
    let folder = run.global.state.clone().unwrap_or_else(|| near.beside.clone());
    let folder = near.store(&Place::Folder(folder)).await?;
    let (from, to) = match flags.to {
        To::S3 => (folder, bucket),
        To::Folder => (bucket, folder),
    };
    let moved = relocate(from.as_ref(), to.as_ref(), &session::actor(), Timestamp::now()).await;
    from.settle().await;
    to.settle().await;
    let entries = moved?;
    let (from, to) = (from.place(), to.place());
    run.screen.say(&format!("The journal, {entries} entries, goes on in {to}."));
    run.screen.say(&format!("What is in {from} stays as a copy, from which no run goes on."));
    if flags.to == To::Folder {
        run.screen.say("Now take `s3` out of `[state]` of the configuration.");
    }
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, Moved { from, to, entries }));
    }
    Ok(Code::Done)
}
