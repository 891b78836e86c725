//! `docs-publish releases`: the releases that are kept.

use super::Session;
use crate::{document, failure::Failure};
use causeway_docs_publish::releases;
use causeway_ending::Code;
use indicatif::HumanBytes;

pub(crate) async fn run(session: &Session<'_>) -> Result<Code, Failure> {
    let place = session.place().await?;
    let kept = releases::releases(&place).await?;
    for one in &kept {
        let what = match (one.files, one.bytes) {
            (Some(files), Some(bytes)) => format!("{files} files, {}", HumanBytes(bytes)),
            _ => "never finished".to_owned(),
        };
        let mark = match (one.live, one.previous) {
            (true, _) => "  live",
            (false, true) => "  live before",
            _ => "",
        };
        let encodings: String = one.encodings.iter().map(|encoding| format!(", {encoding}")).collect();
        session.screen.say(&format!("{}  {what}{encodings}{mark}", one.id));
    }
    if kept.is_empty() {
        session.screen.say("nothing is published yet");
    }
    let releases = kept.into_iter().map(Into::into).collect();
    session.screen.document(&document::done("releases", Code::Done, document::Releases { releases }));
    Ok(Code::Done)
}
