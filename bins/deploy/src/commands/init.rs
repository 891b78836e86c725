//! `deploy init`: a commented configuration to start from, and with `--bootstrap` what it needs before the first apply.

use super::{Run, bootstrap};
use crate::{
    document,
    failure::{Code, Failure},
};
use clap::Args;
use std::{fs::OpenOptions, io::Write};

#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Make the bucket that `[state]` of the configuration names, unless it is there
    #[arg(long)]
    bootstrap: bool,
    /// A static site on CloudFront in place of Coder
    #[arg(long, conflicts_with = "bootstrap")]
    docs: bool,
}

pub(crate) async fn run(run: &Run<'_>, flags: &Flags) -> Result<Code, Failure> {
    if flags.bootstrap {
        return bootstrap::run(run).await;
    }
    let path = &run.global.file;
    let name = path.display();
    // Never over a file that is there, not even one that appears at this moment.
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    let template = match flags.docs {
        true => causeway_config::init_docs_template(),
        false => causeway_config::init_template(),
    };
    let written = written.and_then(|mut file| file.write_all(template.as_bytes()));
    if let Err(error) = written {
        let failure = Failure::usage(format!("cannot write {name}: {error}"));
        return Err(match error.kind() {
            std::io::ErrorKind::AlreadyExists => failure.hint("`-f FILE` writes another one"),
            _ => failure.hint("`-f FILE` writes it elsewhere; the folder has to be there"),
        });
    }
    let open = if flags.docs { "the name and its zone" } else { "the access URL, the zone and the version" };
    run.screen.say(&format!("{name} is written. Fill in {open}, and then:"));
    run.screen.say("    deploy validate           checks the file");
    run.screen.say("    deploy --sandbox apply    rehearses all of it on this machine");
    run.screen.say("    deploy plan               shows what would be done in AWS");
    if run.screen.json() {
        run.screen.document(&document::done(
            run.name,
            Code::Done,
            document::Init { file: name.to_string(), journal: None },
        ));
    }
    Ok(Code::Done)
}
