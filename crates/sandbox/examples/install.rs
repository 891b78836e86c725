//! Installs what the sandbox runs, without `deploy` and the AWS SDK: `.ci/run` does it while they are compiled.

#![allow(clippy::print_stdout, reason = "a program for people")]

use causeway_sandbox::cache::Cache;
use causeway_sandbox::install::{self, Progress};
use causeway_sandbox::kubernetes::{self, Version};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(cache) = Cache::find() else {
        println!("there is no folder to install into: set CAUSEWAY_CACHE");
        return ExitCode::FAILURE;
    };
    match install(&cache) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn install(cache: &Cache) -> Result<(), install::Error> {
    let mut tell = |progress: Progress<'_>| {
        if progress.line.is_none() {
            println!("{} of {}: {}", progress.number, progress.of, progress.step);
        }
    };
    install::install(cache, &mut tell)?;
    kubernetes::install(cache, Version::Newest, &mut tell)?;
    kubernetes::install(cache, Version::Oldest, &mut tell)?;
    kubernetes::definitions(cache)?;
    Ok(())
}
