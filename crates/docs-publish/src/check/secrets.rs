//! Secrets that got into a build: files that are known to hold them, and what looks like one.

use super::{Finding, unreadable};
use crate::{error::Error, scan::Tree, wanted::Content};
use regex::bytes::Regex;
use std::{fs::File, io::Read, sync::LazyLock};

/// Bytes that are looked at together.
const PIECE: usize = 1024 * 1024;

/// How much of a piece is looked at again with the next, as a secret may lie across.
const OVERLAP: usize = 4096;

/// What secrets look like, and what they are called. Of a private key more than its first line has to be there: documentation
/// shows that one.
const KINDS: [(&str, &str); 7] = [
    ("a private key", r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:\\n|\s){1,4}[A-Za-z0-9+/=]{40}"),
    ("an access key of AWS", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("a token of GitHub", r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})"),
    ("a token of GitLab", r"\bglpat-[A-Za-z0-9_-]{20}"),
    ("a token of Slack", r"\bxox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{20}"),
    ("a secret key of Stripe", r"\b[rs]k_live_[A-Za-z0-9]{20}"),
    ("a key of a model's provider", r"\bsk-(?:ant|proj)-[A-Za-z0-9_-]{30}"),
];

static LOOKS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let compiled = |(what, look): (&'static str, &str)| Regex::new(look).ok().map(|look| (what, look));
    KINDS.into_iter().filter_map(compiled).collect()
});

pub(super) fn look(tree: &Tree, content: &Content) -> Result<Vec<Finding>, Error> {
    let mut found = vec![];
    for (path, file) in &content.files {
        if is_known(path) {
            let message = "this file holds secrets; take it out of the folder, or allow `secret`";
            found.push(Finding::refuses("secret", path, message));
        } else if is_text(&file.content_type) {
            let local = tree.local(path);
            let opened = File::open(&local).map_err(unreadable(&local))?;
            if let Some((what, line)) = first(opened).map_err(unreadable(&local))? {
                let message = format!(
                    "line {line} has what looks like {what}; take it out of the build and make it void, or allow `secret`"
                );
                found.push(Finding::refuses("secret", path, message));
            }
        }
    }
    Ok(found)
}

/// Whether a file is called as such are that hold secrets.
fn is_known(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    let ending = last.rsplit_once('.').map_or("", |(_, ending)| ending);
    let in_folder =
        |folder: &str| path.starts_with(&format!("{folder}/")) || path.contains(&format!("/{folder}/"));
    let example = ["example", "sample", "template"].contains(&ending);
    (last == ".env" || last.starts_with(".env.") && !example)
        || [".npmrc", ".netrc", ".pypirc", "id_rsa", "id_ed25519", "id_ecdsa", ".htpasswd"].contains(&last)
        || ["p12", "pfx", "jks", "kdbx"].contains(&ending)
        || [".git", ".aws", ".ssh", ".terraform"].into_iter().any(in_folder)
}

fn is_text(content_type: &str) -> bool {
    let kinds = ["text/", "application/json", "application/xml", "application/octet-stream", "image/svg"];
    kinds.iter().any(|kind| content_type.starts_with(kind))
}

/// The first that is found: what it looks like, and its line.
fn first(mut file: impl Read) -> std::io::Result<Option<(&'static str, usize)>> {
    let (mut piece, mut kept, mut lines) = (vec![0; PIECE], 0, 1);
    loop {
        let mut filled = kept;
        while filled < piece.len() {
            match file.read(&mut piece[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        let text = &piece[..filled];
        let at = LOOKS.iter().find_map(|(what, look)| {
            let real = look.find_iter(text).find(|hit| !hit.as_bytes().ends_with(b"EXAMPLE"));
            real.map(|hit| (*what, hit.start()))
        });
        let newlines = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'\n').count();
        if let Some((what, at)) = at {
            return Ok(Some((what, lines + newlines(&text[..at]))));
        }
        if filled < piece.len() {
            return Ok(None);
        }
        lines += newlines(&piece[..filled - OVERLAP]);
        piece.copy_within(filled - OVERLAP.., 0);
        kept = OVERLAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together here, so that nobody who looks for secrets finds one in this file.
    fn key(last: &str) -> String {
        format!("AK{}ABCDEFGH2{last}", "IA")
    }

    #[test]
    fn secrets_are_found_with_their_line() {
        let real = key("3456QRS");
        assert_eq!(LOOKS.len(), KINDS.len(), "every look is an expression");
        let said = first(format!("a\nb {real}\n").as_bytes()).unwrap();
        assert_eq!(said, Some(("an access key of AWS", 2)));
        for (text, what) in [
            (format!("-----BEGIN RSA PRIVATE {}-----\n{}", "KEY", "a".repeat(64)), "a private key"),
            (format!("\"-----BEGIN PRIVATE {}-----\\n{}", "KEY", "a".repeat(64)), "a private key"),
            (format!("gh{}_{}", "p", "a".repeat(36)), "a token of GitHub"),
            (format!("sk-{}-api03-{}", "ant", "a".repeat(40)), "a key of a model's provider"),
        ] {
            assert_eq!(first(text.as_bytes()).unwrap().map(|(what, _)| what), Some(what), "{text}");
        }
        for fine in [key("EXAMPLE"), format!("-----BEGIN PRIVATE {}-----\n...", "KEY"), "sk-ant-...".into()] {
            assert_eq!(first(fine.as_bytes()).unwrap(), None, "{fine}");
        }
    }

    #[test]
    fn secrets_across_pieces_are_found() {
        for before in [PIECE - 25, PIECE - 10, PIECE - OVERLAP - 10, 2 * PIECE - OVERLAP - 10] {
            let text = format!("{} {}", "\n".repeat(before), key("3456QRS"));
            assert_eq!(first(text.as_bytes()).unwrap(), Some(("an access key of AWS", before + 1)));
        }
    }

    #[test]
    fn files_are_known_by_their_names() {
        for path in [".env", "a/.env.production", ".git/config", "a/.git/HEAD", "keys/id_rsa", "a.p12"] {
            assert!(is_known(path), "{path}");
        }
        for path in ["env.html", ".env.example", "git/index.html", "a.key.html", ".well-known/x"] {
            assert!(!is_known(path), "{path}");
        }
    }
}
