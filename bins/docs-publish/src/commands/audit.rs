//! `docs-publish audit`: a distribution against good practice.

use super::Session;
use crate::{document, failure::Failure};
use causeway_docs_publish::audit::{self, State};
use causeway_ending::Code;

pub(crate) async fn run(session: &Session<'_>) -> Result<Code, Failure> {
    let (config, target) = session.target().await?;
    let audited = audit::audit(&config, &target).await?;
    for point in &audited.points {
        if !(session.screen.quiet && point.state == State::Good) {
            session.screen.say(&format!("{:>15}  {}: {}", point.state.to_string(), point.what, point.found));
            if let Some(mend) = point.mend {
                session.screen.say(&format!("{:>15}  {mend}", ""));
            }
        }
    }
    let wrong = audited.points.iter().any(|point| point.state == State::Wrong);
    let code = if wrong { Code::Partial } else { Code::Done };
    let points = audited.points.iter().map(Into::into).collect();
    let document = document::Audited { distribution: audited.distribution, points };
    session.screen.document(&document::done("audit", code, document));
    Ok(code)
}
