//! `--html`: a plan, and what came of it, as a page to keep or to show.

use super::Run;
use crate::{document::Cloud, failure::Failure};
use causeway_core::{engine::Planned, estimate::Estimate, graph::Graph, guard::Refusal, plan::Plan};
use causeway_report::Page;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A page about one plan.
pub(crate) struct Sheet {
    path: PathBuf,
    place: String,
    plan: Plan,
    estimate: Estimate,
    refusals: Vec<Refusal>,
    graph: Graph,
}

impl Sheet {
    /// About `planned`, to be written to `path`.
    pub(crate) fn new(
        path: &Path,
        planned: &Planned,
        estimate: &Estimate,
        refusals: &[Refusal],
        cloud: &Cloud,
    ) -> Self {
        let account =
            if cloud.sandbox { "A sandbox".to_owned() } else { format!("AWS account {}", cloud.account) };
        Sheet {
            path: path.to_owned(),
            place: format!("{account}, {}", cloud.region),
            graph: Graph::of(planned.stack(), Some(&planned.plan)).with_critical_path(estimate),
            plan: planned.plan.clone(),
            estimate: estimate.clone(),
            refusals: refusals.to_vec(),
        }
    }

    /// Writes the page, over the one that is there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, run: &Run<'_>, came: Option<causeway_report::Run<'_>>) -> Result<(), Failure> {
        let file = self.path.display();
        let page = Page {
            place: &self.place,
            made_by: concat!("deploy ", env!("CARGO_PKG_VERSION")),
            at: jiff::Timestamp::now(),
            plan: &self.plan,
            estimate: &self.estimate,
            refusals: &self.refusals,
            graph: &self.graph,
            run: came,
        };
        fs::write(&self.path, page.html())
            .map_err(|error| Failure::usage(format!("cannot write the page to {file}: {error}")))?;
        run.screen.note(&format!("The page is in {file}."));
        Ok(())
    }
}

/// A page's file. By its name, so that a slip does not write over the configuration.
pub(crate) fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let named =
        path.extension().is_some_and(|e| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm"));
    if named { Ok(path) } else { Err("expected a file that is named *.html".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_are_written_over() {
        assert!(file("out/plan.html").is_ok() && file("PLAN.HTM").is_ok());
        assert!(file("causeway.toml").is_err() && file("html").is_err());
    }
}
