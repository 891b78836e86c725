//! `docs-publish check`: what speaks against publishing a folder.

use super::{Session, allowed};
use crate::{config::StyleName, document, failure::Failure};
use causeway_docs_publish::{Error, check, wanted::Content};
use causeway_ending::Code;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The folder; `folder` of the configuration if left out.
    folder: Option<PathBuf>,
    /// How pages are spelled. Seen from the files if left out.
    #[arg(long, value_enum)]
    style: Option<StyleName>,
    /// Let this rule pass; may be repeated.
    #[arg(long, value_name = "RULE", value_parser = allowed)]
    allow: Vec<String>,
}

pub(crate) async fn run(session: &Session<'_>, flags: &Flags) -> Result<Code, Failure> {
    let tree = session.tree(session.folder(flags.folder.as_deref())?).await?;
    let mut choices = session.config.choices();
    choices.style = flags.style.map(StyleName::style).or(choices.style);
    let content = Content::of(&tree, &choices).map_err(Error::from)?;
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
