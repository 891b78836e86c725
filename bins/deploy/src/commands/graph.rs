//! `deploy graph`: what waits for what, drawn or for other programs to draw.

use super::{Run, plan};
use crate::{
    cli::{self, GraphFormat, Scope},
    document,
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::{engine::Planned, graph::Graph};

pub(crate) async fn run(run: &Run<'_>, flags: &cli::Graph) -> Result<Code, Failure> {
    let graph = if flags.plan {
        let work = async |session: &Session, planned: Planned| {
            let estimate = session.engine.estimate(&planned);
            Ok(Graph::of(planned.stack(), Some(&planned.plan)).with_critical_path(&estimate))
        };
        plan::planned(run, &Scope::whole(), work).await?
    } else {
        let file = session::configuration(run.global)?;
        let stack = file.stack(&file.given_to_read())?;
        stack.check().map_err(|e| Failure::bug(&e))?;
        Graph::of(&stack, None)
    };
    let graph = match flags.format {
        GraphFormat::Dot => graph.dot(),
        GraphFormat::Mermaid => graph.mermaid(),
        GraphFormat::Svg => graph.svg(&|_| None),
    };
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, document::Graph { graph }));
    } else {
        run.screen.raw(&graph);
    }
    Ok(Code::Done)
}
