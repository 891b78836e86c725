//! One file a command.

pub(crate) mod apply;
pub(crate) mod export;
mod init;
pub(crate) mod moving;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod undo;
pub(crate) mod verify;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};
use causeway_core::{Address, render};
use causeway_dns::Name;
use causeway_dns_sync::{
    File, Options, Prepared, Sync,
    wanted::{Because, address_of},
};
use causeway_ending::{Code, screen::Screen};
use std::path::Path;

pub(crate) async fn run(cli: &Cli, screen: &Screen) -> Result<Code, Failure> {
    let file = &cli.global.file;
    match &cli.command {
        Command::Plan(flags) => plan::run(file, flags, screen).await,
        Command::Apply(flags) => apply::run(file, flags, screen, "apply").await,
        Command::Adopt(flags) => apply::run(file, flags, screen, "adopt").await,
        Command::Run(flags) => run::run(file, flags, screen).await,
        Command::Verify(flags) => verify::run(file, flags, screen).await,
        Command::Undo(flags) => undo::run(file, flags, screen).await,
        Command::Move(flags) => moving::run(file, flags, screen).await,
        Command::Export(flags) => export::run(file, flags, screen).await,
        Command::Init => init::run(file, screen),
        Command::Schema(flags) => schema::run(flags, screen),
    }
}

/// What `file` configures.
async fn open(file: &Path) -> Result<Sync, Failure> {
    let file = File::read(file)?;
    let secrets = file.secrets(&|name| std::env::var(name).ok())?;
    Ok(Sync::new(&file, &secrets).await?)
}

/// Flags of whatever plans.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// Permit that this name loses its last record; may be repeated.
    #[arg(long, value_name = "NAME")]
    permit: Vec<String>,
    /// Only names like this, `*` for anything; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

impl Selection {
    fn options(&self, adopt: bool) -> Result<Options, Failure> {
        let address = |text: &String| -> Result<Address, Failure> {
            // The address of a record that is no address stands in the refusal.
            if let Some((name, class)) = causeway_dns_sync::wanted::at_address(text) {
                return Ok(address_of(&name, class));
            }
            let name = Name::parse(text).map_err(|e| Failure::new(Code::Usage, e.to_string()))?;
            Ok(address_of(&name, causeway_dns::Class::Address))
        };
        let permits = self.permit.iter().map(address).collect::<Result<_, _>>()?;
        // Of a wildcard, the very record is meant.
        let only = self.only.iter().map(|text| match Name::parse(text) {
            Ok(name) => address_of(&name, causeway_dns::Class::Address).0,
            Err(_) => text.to_lowercase(),
        });
        Ok(Options { adopt, permits, only: only.collect() })
    }
}

/// Who works, for the journal and for others that wait.
fn actor() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "dns-sync".into());
    let host = std::env::var("HOSTNAME")
        .or_else(|_| std::fs::read_to_string("/etc/hostname").map(|name| name.trim().to_owned()));
    format!("{user}@{}, process {}", host.unwrap_or_else(|_| "unknown".into()), std::process::id())
}

/// Tells what is left as it is: what waits and what is in the way on standard error.
fn tell_left(prepared: &Prepared, screen: &Screen) {
    for said in &prepared.said {
        if let Some(error) = &said.error {
            screen.warn(
                "source",
                &format!("{} did not answer: {error}; its names stay as they are", said.source),
            );
        }
    }
    for left in &prepared.left {
        match left.because {
            // Told with the source.
            Because::SourceAway => {}
            _ if left.because.is_fine() && screen.quiet => {}
            _ if left.because.is_fine() => {
                screen.warn("note", &format!("`{}` is passed over: {}", left.name, left.why));
            }
            _ => screen.warn("left", &format!("`{}` stays as it is: {}", left.name, left.why)),
        }
    }
    for away in render::away(&prepared.planned.plan.away).lines() {
        screen.warn("away", away);
    }
}

/// The exit code for what is left, where all else went well.
fn code_of(prepared_misses: bool, prepared_leaves: bool) -> Code {
    match (prepared_misses, prepared_leaves) {
        (true, _) => Code::Unavailable,
        (false, true) => Code::Partial,
        (false, false) => Code::Done,
    }
}
