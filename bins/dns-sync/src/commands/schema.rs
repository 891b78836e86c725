//! `dns-sync schema`: what the configuration and the documents look like.

use crate::{document, failure::Failure, screen::Screen};
use causeway_dns_sync::config;
use causeway_ending::Code;
use schemars::SchemaGenerator;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Of what.
    #[arg(value_enum, default_value = "config")]
    of: Of,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    /// `dns-sync.toml`.
    Config,
    /// The documents of `--json`, by command.
    Output,
}

pub(crate) fn run(flags: &Flags, screen: &Screen) -> Result<Code, Failure> {
    let schema = match flags.of {
        Of::Config => config::schema(),
        Of::Output => {
            let mut generator = SchemaGenerator::default();
            let commands = json!({
                "plan": generator.subschema_for::<document::Document<document::Planned>>(),
                "apply": generator.subschema_for::<document::Document<document::Applied>>(),
                "adopt": generator.subschema_for::<document::Document<document::Applied>>(),
                "a run of run": generator.subschema_for::<document::Document<document::Applied>>(),
                "verify": generator.subschema_for::<document::Document<document::Verified>>(),
                "undo": generator.subschema_for::<document::Document<document::Applied>>(),
                "undo --list": generator.subschema_for::<document::Document<document::Runs>>(),
                "move": generator.subschema_for::<document::Document<document::Moved>>(),
                "export": generator.subschema_for::<document::Document<document::Records>>(),
            });
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "commands": commands,
                    "$defs": generator.take_definitions(true) })
        }
    };
    screen.raw(&format!("{schema:#}\n"));
    Ok(Code::Done)
}
