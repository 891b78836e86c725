//! `dns-sync export`: what is in the zones, as the configuration would say it.

use super::open;
use crate::{document, failure::Failure};
use causeway_ending::{Code, screen::Screen};
use std::{fmt::Write, path::Path};

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// All records, whosever they are; only ours otherwise.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(file: &Path, flags: &Flags, screen: &Screen) -> Result<Code, Failure> {
    let records = open(file).await?.export(flags.all).await?;
    let mut text = String::new();
    for record in &records {
        // Writing to a string does not fail.
        if let Some(owner) = &record.owner {
            let _ = writeln!(text, "# {owner}");
        }
        let quoted = |value: &String| serde_json::Value::from(value.as_str()).to_string();
        let values: Vec<String> = record.values.iter().map(quoted).collect();
        let _ = writeln!(text, "[[records]]\nname = {}", quoted(&record.name));
        if record.class != "address" {
            let _ = writeln!(text, "class = \"{}\"", record.class);
        }
        let _ = writeln!(text, "values = [{}]", values.join(", "));
        if let Some(ttl) = record.ttl {
            let _ = writeln!(text, "ttl = {ttl}");
        }
        if record.proxied == Some(true) {
            let _ = writeln!(text, "proxied = true");
        }
        text.push('\n');
    }
    screen.say(&text);
    screen.document(&document::done("export", Code::Done, document::Records { records }));
    Ok(Code::Done)
}
