//! Installs what the sandbox runs, without `deploy` and the AWS SDK: `.ci/run` does it while they are compiled.

#![allow(clippy::print_stdout, reason = "a program for people")]

use causeway_sandbox::{cache::Cache, install};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(cache) = Cache::find() else {
        println!("there is no folder to install into: set CAUSEWAY_CACHE");
        return ExitCode::FAILURE;
    };
    let told = install::install(&cache, &mut |progress| {
        if progress.line.is_none() {
            println!("{} of {}: {}", progress.number, progress.of, progress.step);
        }
    });
    match told {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
