//! What `--json` prints: one document for a run, whatever became of it.
//!
//! Within one version fields are only added.

pub use causeway_core::guard::Refusal;

use crate::Code;
use causeway_settings::{Mistake, Mistakes};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value as Json, json};

/// The version of all documents.
const VERSION: u32 = 1;

/// The document of one run: a result, or an error.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Document_{T}")]
pub struct Document<T> {
    /// The version of this format.
    version: u32,
    /// The command, like `plan` or `sandbox up`.
    command: String,
    /// The exit code of the program.
    exit_code: u8,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<T>,
    /// Why nothing came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

/// The JSON Schema of what a program prints: `commands` tells what each of its commands does.
pub fn schema(commands: impl FnOnce(&mut SchemaGenerator) -> Json) -> Json {
    // As it is written: what may be left out is not required.
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let commands = commands(&mut generator);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "commands": commands,
        "$defs": generator.take_definitions(true),
    })
}

/// The document of a command that did its work.
pub fn done<T>(command: &str, code: Code, result: T) -> Document<T> {
    ended(command, code as u8, result)
}

/// The document of a command that ended with an exit code of its own.
pub fn ended<T>(command: &str, exit_code: u8, result: T) -> Document<T> {
    let command = command.to_owned();
    Document { version: VERSION, command, exit_code, result: Some(result), error: None }
}

/// The document of a command that ended early.
pub fn failed(command: &str, code: Code, error: Error) -> Document<()> {
    let command = command.to_owned();
    Document { version: VERSION, command, exit_code: code as u8, result: None, error: Some(error) }
}

/// Why a command ended early.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Error {
    /// In a sentence.
    pub message: String,
    /// What to do.
    pub hints: Vec<String>,
    /// What is wrong with the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<Place>,
    /// What speaks against the plan, or against what is to be published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
}

/// A mistake in the configuration.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Place {
    /// The file.
    file: String,
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    /// What is wrong.
    message: String,
    /// What to do.
    help: Option<String>,
}

impl Place {
    /// Where each of `all` is.
    pub fn all(all: &Mistakes) -> Vec<Self> {
        let place = |mistake: &Mistake| {
            let (line, column) = all.position(mistake);
            let (message, help) = (mistake.message.clone(), mistake.help.clone());
            Place { file: all.file().to_owned(), line, column, message, help }
        };
        all.all().iter().map(place).collect()
    }
}
