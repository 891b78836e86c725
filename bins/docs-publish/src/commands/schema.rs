//! `docs-publish schema`: what the configuration and the documents look like.

use crate::{config, document, failure::Failure, screen::Screen};
use causeway_ending::Code;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Of what.
    #[arg(value_enum, default_value = "config")]
    of: Of,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    /// `docs-publish.toml`.
    Config,
    /// The documents of `--json`, by command.
    Output,
}

pub(crate) fn run(flags: &Flags, screen: &Screen) -> Result<Code, Failure> {
    let schema = match flags.of {
        Of::Config => config::schema().clone(),
        Of::Output => document::schema(|generator| {
            json!({
                "publish": generator.subschema_for::<document::Document<document::Release>>(),
                "preview": generator.subschema_for::<document::Document<document::Release>>(),
                "rollback": generator.subschema_for::<document::Document<document::Release>>(),
                "diff": generator.subschema_for::<document::Document<document::Differences>>(),
                "audit": generator.subschema_for::<document::Document<document::Audited>>(),
                "check": generator.subschema_for::<document::Document<document::Checked>>(),
                "verify": generator.subschema_for::<document::Document<document::Verified>>(),
                "releases": generator.subschema_for::<document::Document<document::Releases>>(),
                "gc": generator.subschema_for::<document::Document<document::Removed>>(),
            })
        }),
    };
    screen.raw(&format!("{schema:#}\n"));
    Ok(Code::Done)
}
