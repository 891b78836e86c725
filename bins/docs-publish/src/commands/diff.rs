//! `docs-publish diff`: what `publish` would change.

use super::{Chosen, Session};
use crate::{document, failure::Failure};
use causeway_docs_publish::{releases, wanted::Content};
use causeway_ending::Code;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The folder; `folder` of the configuration if left out.
    folder: Option<PathBuf>,
    #[command(flatten)]
    chosen: Chosen,
    /// End with 2 where there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(crate) async fn run(session: &Session<'_>, flags: &Flags) -> Result<Code, Failure> {
    let tree = session.tree(session.folder(flags.folder.as_deref())?).await?;
    let wanted = session.content(&tree, &flags.chosen)?;
    let place = session.place().await?;
    let live = releases::live(&place).await?;
    let before = live.as_ref().map(Content::published);
    let old = before.as_ref().map(|before| &before.files);
    let (mut added, mut changed, mut headers) = (vec![], vec![], vec![]);
    for (path, file) in &wanted.files {
        match old.and_then(|old| old.get(path)) {
            None => added.push(path.clone()),
            Some(was) if was.sha256 != file.sha256 => changed.push(path.clone()),
            Some(was) if was != file => headers.push(path.clone()),
            Some(_) => {}
        }
    }
    let gone = |path: &&String| !wanted.files.contains_key(*path);
    let removed: Vec<String> = old.into_iter().flat_map(|old| old.keys()).filter(gone).cloned().collect();
    let rules = before.as_ref().is_some_and(|before| {
        before.redirects != wanted.redirects
            || before.rules != wanted.rules
            || before.style != wanted.style
            || before.immutable != wanted.immutable
    });
    let compressed = before.as_ref().is_some_and(|before| before.encodings != wanted.encodings);
    let same = before.as_ref() == Some(&wanted);
    let screen = session.screen;
    for (mark, paths) in [("+", &added), ("~", &changed), ("h", &headers), ("-", &removed)] {
        for path in paths {
            screen.say(&format!("{mark} {path}"));
        }
    }
    if rules {
        screen.say("redirects, or how pages are spelled");
    }
    if compressed {
        let all: Vec<&str> = wanted.encodings.iter().map(|encoding| encoding.name()).collect();
        screen.say(&format!(
            "what is compressed: {}",
            if all.is_empty() { "nothing".into() } else { all.join(", ") }
        ));
    }
    if same && !screen.quiet {
        screen.say("nothing to do");
    }
    let code = if flags.detailed_exitcode && !same { Code::Changes } else { Code::Done };
    let live = live.map(|live| live.release.id.to_string());
    let differences = document::Differences { live, added, changed, headers, removed, rules, compressed };
    screen.document(&document::done("diff", code, differences));
    Ok(code)
}
