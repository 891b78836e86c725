//! `docs-publish check`: what speaks against publishing a folder.

use super::{Chosen, Session, allowed};
use crate::{document, failure::Failure};
use causeway_docs_publish::check;
use causeway_ending::Code;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The folder; `folder` of the configuration if left out.
    folder: Option<PathBuf>,
    #[command(flatten)]
    chosen: Chosen,
    /// Let this rule pass; may be repeated.
    #[arg(long, value_name = "RULE", value_parser = allowed)]
    allow: Vec<String>,
}

pub(crate) async fn run(session: &Session<'_>, flags: &Flags) -> Result<Code, Failure> {
    let tree = session.tree(session.folder(flags.folder.as_deref())?).await?;
    let content = session.content(&tree, &flags.chosen)?;
    let found = check::look(&tree, &content, &session.config.rules(&flags.allow))?;
    session.screen.findings(&found);
    let refused = found.iter().filter(|finding| finding.refuses).count();
    if !(session.screen.quiet && found.is_empty()) {
        session.screen.say(&format!(
            "{} files, {} found, {refused} of it refused",
            content.files.len(),
            found.len()
        ));
    }
    let code = if refused > 0 { Code::Refused } else { Code::Done };
    let findings = found.iter().map(Into::into).collect();
    session.screen.document(&document::done("check", code, document::Checked { findings }));
    Ok(code)
}
