//! `deploy schema`: for editors, and for programs that read `--json`.

use super::Run;
use crate::{
    cli::Schema,
    document,
    failure::{Code, Failure},
};

pub(crate) fn run(run: &Run<'_>, of: Schema) -> Result<Code, Failure> {
    run.screen.document(&match of {
        Schema::Config => causeway_config::schema(),
        Schema::Output => document::schema(),
    });
    Ok(Code::Done)
}
