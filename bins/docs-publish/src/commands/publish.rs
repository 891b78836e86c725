//! `docs-publish publish` and `preview`: a folder becomes a release.

use super::{Chosen, Session, allowed, verify};
use crate::{document, failure::Failure};
use causeway_core::error::chain;
use causeway_docs_publish::{
    place::Place,
    publish::{self, Options, Published},
};
use causeway_ending::Code;
use indicatif::HumanBytes;
use std::{path::PathBuf, time::Duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The folder; `folder` of the configuration if left out.
    folder: Option<PathBuf>,
    /// Run this first, like "pnpm build".
    #[arg(long, value_name = "COMMAND")]
    build: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
    /// Publish although the release that visitors get now is damaged, so that one cannot go back to it.
    #[arg(long)]
    without_way_back: bool,
    /// Let this rule pass of what is looked for in the folder; may be repeated.
    #[arg(long, value_name = "RULE", value_parser = allowed)]
    allow: Vec<String>,
    /// Do not ask the edge afterwards.
    #[arg(long)]
    no_verify: bool,
    /// How many objects are made at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    jobs: Option<u32>,
    /// For how many seconds an invalidation, or a distribution that is being deployed, is waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    patience: u64,
}

pub(crate) async fn run(session: &Session<'_>, flags: &Flags, switch: bool) -> Result<Code, Failure> {
    let config = &session.config.publish;
    let folder = session.folder(flags.folder.as_deref())?;
    if let Some(command) = flags.build.as_ref().or(config.build.as_ref()) {
        build(session, command).await?;
    }
    let tree = session.tree(folder).await?;
    let content = session.content(&tree, &flags.chosen)?;
    let place = session.place().await?;
    let options = Options {
        jobs: flags.jobs.unwrap_or(config.jobs) as usize,
        switch,
        way_back: !flags.without_way_back,
        patience: Duration::from_secs(flags.patience),
        rules: session.config.rules(&flags.allow),
    };
    let done =
        publish::publish(&place, &tree, &content, &options, &|event| session.screen.watch(event)).await;
    session.screen.end();
    let done = done?;
    let url = match (&done.release, switch) {
        (Some(id), false) => format!("{}/_preview/{id}", place.url()),
        _ => place.url(),
    };
    session.screen.findings(&done.findings);
    tell(session, &place, &done, switch, &url);
    let mut document = document::Release::of(&done, url);
    let mut code = Code::Done;
    if done.switched && !place.staged && !flags.no_verify {
        let verified = session.verify(&place, &done, options.patience).await?;
        if !session.screen.quiet {
            session.screen.say(&format!("{} answers of the edge seen", verified.asked));
        }
        code = verify::code_of(&verified);
        document.verified = Some((&verified).into());
    }
    let command = if switch { "publish" } else { "preview" };
    session.screen.document(&document::done(command, code, document));
    Ok(code)
}

/// Runs the command that makes the folder.
async fn build(session: &Session<'_>, command: &str) -> Result<(), Failure> {
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command]).stdin(std::process::Stdio::null());
    if session.global.json {
        // Standard output is for the document.
        shell.stdout(std::io::stderr());
    }
    let ended = shell.status().await;
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(
            Code::Refused,
            format!("`{command}` ended with {status}; nothing was published"),
        )),
        Err(error) => Err(Failure::new(Code::Usage, format!("cannot run `{command}`: {}", chain(&error)))),
    }
}

fn tell(session: &Session<'_>, place: &Place, done: &Published, switch: bool, url: &str) {
    let screen = session.screen;
    if done.is_nothing() {
        if !screen.quiet {
            let what = if switch { "nothing to do" } else { "nothing to make" };
            screen.say(&format!("{what}: {} has all of it", place.url()));
        }
    } else {
        screen.say(&format!(
            "{} sent ({}), {} copied, {} with other headers",
            done.uploaded,
            HumanBytes(done.bytes),
            done.copied,
            done.retouched
        ));
    }
    if !done.invalidated.is_empty() {
        screen.say(&format!("{} path(s) invalidated", done.invalidated.len()));
    }
    if place.staged && switch {
        screen.say("visitors get the website as before, until `origin = \"private\"` in [docs] is applied");
    }
    let Some(id) = &done.release else { return };
    match (switch, done.switched) {
        (true, true) => screen.say(&format!("{url} is {id} now")),
        (false, _) => screen.say(&format!("{id} is at {url}")),
        _ => {}
    }
    if let Some(before) = done.before.as_ref().filter(|_| done.switched) {
        screen.say(&format!("to go back: docs-publish rollback {before}"));
    }
}
