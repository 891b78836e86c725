//! `dns-sync schema`: what the configuration and the documents look like.

use crate::{document, failure::Failure};
use causeway_dns_sync::config;
use causeway_ending::{Code, screen::Screen};
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
        Of::Output => document::schema(|generator| {
            json!({
                "plan": generator.subschema_for::<document::Document<document::Planned>>(),
                "apply": generator.subschema_for::<document::Document<document::Applied>>(),
                "adopt": generator.subschema_for::<document::Document<document::Applied>>(),
                "a run of run": generator.subschema_for::<document::Document<document::Applied>>(),
                "verify": generator.subschema_for::<document::Document<document::Verified>>(),
                "undo": generator.subschema_for::<document::Document<document::Applied>>(),
                "undo --list": generator.subschema_for::<document::Document<document::Runs>>(),
                "move": generator.subschema_for::<document::Document<document::Moved>>(),
                "export": generator.subschema_for::<document::Document<document::Records>>(),
            })
        }),
    };
    screen.raw(&format!("{schema:#}\n"));
    Ok(Code::Done)
}
