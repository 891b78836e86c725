//! `deploy update`: moves what `causeway.lock` pins.

use super::Run;
use crate::{
    document,
    failure::{Code, Failure},
    internet, session,
};
use causeway_core::error::chain;
use causeway_k8s::lock::{self, FILE, Lock, Move, NotFound, Wanted};
use std::collections::BTreeSet;

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Programs or images, like `cert-manager` or `coder` [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Move to this version, where people choose it: of coder, logstream or litellm
    #[arg(long, value_name = "TAG")]
    version: Option<String>,
    /// Change nothing; exit with 2 if anything would move
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let wanted = Wanted::new(&flags.names, flags.version.as_deref())?;
    let lock = Lock::beside(file.folder())?;
    if file.config.eks.as_ref().is_none_or(|eks| eks.coder.is_none()) {
        run.screen.note(&format!(
            "{FILE} is for what [eks.coder] runs in clusters, and this configuration has none"
        ));
    }
    let client = internet::client()?;
    let bundles = internet::bundles(&client, &lock);
    let updated = lock::update(&lock, &wanted, &internet::registries(&client)?, &bundles).await;
    if !updated.failed.is_empty() {
        return Err(not_found(&updated.failed));
    }
    let moves = !updated.moves.is_empty();
    let write = moves && !flags.check;
    if write {
        updated.lock.write(file.folder())?;
    }
    let path = file.folder().join(FILE);
    let path = path.strip_prefix(".").unwrap_or(&path).display().to_string();
    if moves {
        let lines: Vec<String> = updated.moves.iter().map(line).collect();
        run.screen.say(&lines.join("\n"));
    }
    for (name, platforms) in &updated.narrow {
        let platforms: Vec<&str> = platforms.iter().map(String::as_str).collect();
        run.screen.note(&format!("`{name}` runs only on {}", platforms.join(", ")));
    }
    run.screen.say(&match (moves, write) {
        (true, true) => format!("{path} is written; keep it with the configuration."),
        (true, false) => format!("{path} is as it was; without --check these would move."),
        (false, _) => format!("{path} has what registries have: nothing moves."),
    });
    let code = if moves && flags.check { Code::Changes } else { Code::Done };
    if run.screen.json() {
        let result = document::Update { lock: path, written: write, moves: updated.moves };
        run.screen.document(&document::done(run.name, code, result));
    }
    Ok(code)
}

/// `~ coder  v2.28.3 -> v2.29.0, sha256:0123456789ab.. -> sha256:cdef01234567..`
fn line(one: &Move) -> String {
    let Move { name, from, to } = one;
    let short = |digest: &Option<String>| {
        digest.as_ref().map(|digest| format!("{}..", digest.get(..19).unwrap_or(digest)))
    };
    let version = match from.version == to.version {
        true => to.version.clone(),
        false => format!("{} -> {}", from.version, to.version),
    };
    let new = short(&to.digest).unwrap_or_default();
    match short(&from.digest) {
        None => format!("+ {name}  {version}, {new}"),
        Some(old) if from.version == to.version && from.at == to.at => {
            format!("~ {name}  {version}, {old} -> {new}: the tag was moved")
        }
        Some(old) => format!("~ {name}  {version}, {old} -> {new}"),
    }
}

fn not_found(failed: &[NotFound]) -> Failure {
    let lines: String = failed.iter().map(|error| format!("\n  {}", chain(error))).collect();
    let failure = Failure::new(
        Code::Unavailable,
        format!("nothing is written, as registries did not say what this is now:{lines}"),
    );
    let remedies: BTreeSet<&str> = failed.iter().map(NotFound::remedy).collect();
    remedies.into_iter().fold(failure, Failure::hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_k8s::lock::Pinned;

    #[test]
    fn what_moves_is_told_in_a_line() {
        let pinned = |version: &str, digest: Option<char>| Pinned {
            version: version.into(),
            at: "ghcr.io/coder/coder".into(),
            digest: digest.map(|c| format!("sha256:{}", c.to_string().repeat(64))),
        };
        let said = |from, to| line(&Move { name: "coder".into(), from, to });
        assert_eq!(said(pinned("v1", None), pinned("v1", Some('a'))), "+ coder  v1, sha256:aaaaaaaaaaaa..");
        assert_eq!(
            said(pinned("v1", Some('a')), pinned("v2", Some('b'))),
            "~ coder  v1 -> v2, sha256:aaaaaaaaaaaa.. -> sha256:bbbbbbbbbbbb.."
        );
        let moved = said(pinned("v1", Some('a')), pinned("v1", Some('b')));
        assert!(moved.ends_with("the tag was moved"), "{moved}");
    }
}
