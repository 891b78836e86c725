//! `dns-sync`: flags in, report out. What it does is done by the libraries.

mod cli;
mod commands;
mod document;
mod failure;
mod metrics;

use causeway_ending::screen::{self, Screen};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    causeway_ending::keep_memory();
    causeway_ending::guarded(run)
}

fn run() -> ExitCode {
    // Two TLS providers may be linked in, and rustls then refuses to choose. An error means that one is installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::refuse(&error),
    };
    if cli.global.verbose {
        screen::log("info,causeway_dns=debug,causeway_dns_sync=debug");
    }
    let screen = Screen { json: cli.global.json, quiet: cli.global.quiet };
    match causeway_ending::block_on(commands::run(&cli, &screen)) {
        Ok(Ok(code)) => code.into(),
        Ok(Err(failure)) => failure.tell(&screen, cli.command.name()),
        Err(error) => failure::Failure::bug(&error).tell(&screen, cli.command.name()),
    }
}
