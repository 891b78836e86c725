//! `dns-sync init`: a configuration to start from.

use crate::failure::Failure;
use causeway_dns_sync::config;
use causeway_ending::{Code, screen::Screen};
use std::{fs::OpenOptions, io::Write, path::Path};

pub(crate) fn run(file: &Path, screen: &Screen) -> Result<Code, Failure> {
    let write = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(file)?
            .write_all(config::init_template().as_bytes())
    };
    write().map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::new(Code::Refused, format!("{} is there already; nothing was changed", file.display()))
        }
        _ => Failure::new(Code::Usage, format!("cannot write {}: {e}", file.display())),
    })?;
    screen.say(&format!("{} is written; edit it, and then: dns-sync plan", file.display()));
    Ok(Code::Done)
}
