//! `deploy graph`: what waits for what, drawn or for other programs to draw.

use super::Run;
use crate::{
    cli::{self, GraphFormat},
    document,
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::{graph::Graph, plan::PlanOptions};

pub(crate) async fn run(run: &Run<'_>, flags: &cli::Graph) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let graph = if flags.plan {
        let stack = file.stack(&file.given(&session::environment)?)?;
        let session = Session::open(run.global, file, run.screen).await?;
        let planned = session.engine.plan(&stack, &PlanOptions::default()).await?;
        let estimate = session.engine.estimate(&planned);
        session.close().await;
        Graph::of(&stack, Some(&planned.plan)).with_critical_path(&estimate)
    } else {
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
