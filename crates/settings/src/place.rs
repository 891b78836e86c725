//! Where things stand in the file.

use crate::{Mistake, Problem, SecretSource};
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

/// The file as a tree that knows its places.
pub(crate) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Mistake> {
    DeTable::parse(text).map_err(|e| Mistake::refused(&e))
}

/// The problems, each at the deepest key of its path that is written down.
pub(crate) fn locate(table: &Spanned<DeTable<'_>>, problems: Vec<Problem>) -> Vec<Mistake> {
    let at = |problem: Problem| {
        let (span, found) = find(table.get_ref(), &problem.path);
        let label = if found == problem.path.len() {
            "here".to_owned()
        } else {
            format!("`{}` would stand here", problem.path[found..].join("."))
        };
        let label = if span.is_empty() { "in this file".to_owned() } else { label };
        Mistake::new(problem.message, label, span).help(problem.help)
    };
    problems.into_iter().map(at).collect()
}

/// The place of the deepest part of `path` that is there, and how many keys of it that are. What stands in a list of
/// tables goes by its number, from 0.
fn find(mut table: &DeTable<'_>, path: &[String]) -> (Range<usize>, usize) {
    let mut span = 0..0;
    let mut list: Option<&DeArray<'_>> = None;
    for (depth, name) in path.iter().enumerate() {
        if let Some(items) = list.take() {
            let Some(item) = name.parse().ok().and_then(|i: usize| items.get(i)) else {
                return (span, depth);
            };
            span = item.span();
            match item.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => return (span, depth + 1),
            }
            continue;
        }
        let Some((key, value)) = table.iter().find(|(k, _)| k.get_ref() == name) else {
            return (span, depth);
        };
        span = entry(key.span(), value);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Array(items) => list = Some(items),
            _ => return (span, depth + 1),
        }
    }
    (span, path.len())
}

/// `key = value` where that is short, else the key.
fn entry(key: Range<usize>, value: &Spanned<DeValue<'_>>) -> Range<usize> {
    match value.get_ref() {
        DeValue::Table(_) | DeValue::Array(_) => key,
        _ if value.span().start >= key.end => key.start..value.span().end,
        _ => key,
    }
}

/// The text with stars for every secret that was written down instead of named, so that showing the file does not
/// show it. A table that is called nearly so is taken for one of secrets.
pub(crate) fn masked(text: &str, table: &Spanned<DeTable<'_>>) -> String {
    let mut hidden = vec![];
    table.get_ref().iter().for_each(|(key, value)| written(key.get_ref(), value, false, &mut hidden));
    starred(text, hidden)
}

/// The places of what is written down under a key that says that it is secret.
fn written(key: &str, value: &Spanned<DeValue<'_>>, secret: bool, out: &mut Vec<Range<usize>>) {
    let secret = secret || is_secret(key);
    match value.get_ref() {
        DeValue::Table(table) => table.iter().for_each(|(k, v)| written(k.get_ref(), v, secret, out)),
        DeValue::Array(items) => items.iter().for_each(|v| written(key, v, secret, out)),
        DeValue::String(text) if SecretSource::try_from(text.to_string()).is_ok() => {}
        _ if secret => out.push(value.span()),
        _ => {}
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    // Above what `services` comes to.
    ["secret", "token", "password"].iter().any(|word| key.contains(word))
        || strsim::jaro_winkler(&key, "secrets") > 0.9
}

/// The text of a file that cannot be read from `stop` on. What its texts are nobody knows, so that only those of that line
/// are shown, and not even they where secrets stand.
pub(crate) fn masked_but(text: &str, stop: usize) -> String {
    let (mut hidden, mut secret, mut start) = (vec![], false, 0);
    for line in text.split_inclusive('\n') {
        let whole = start..start + line.len();
        start = whole.end;
        let said = line.split('#').next().unwrap_or_default().trim();
        if said.starts_with('[') && said.ends_with(']') && !said.contains('=') {
            secret = is_secret(said.rsplit('.').next().unwrap_or_default().trim_end_matches(']'));
            continue;
        }
        let value = line.find('=').map_or(0, |equals| equals + 1);
        let plain = line[value..].trim();
        let plain = ["true", "false"].contains(&plain) || plain.bytes().all(|b| b.is_ascii_digit());
        if secret || is_secret(&line[..value]) || !(plain || whole.contains(&stop)) {
            hidden.push(whole.start + value..whole.end);
        }
    }
    starred(text, hidden)
}

/// Stars for all that stands at `hidden`, but for blanks.
fn starred(text: &str, hidden: Vec<Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for place in hidden {
        let written = bytes.get_mut(place).into_iter().flatten();
        written.filter(|b| !b.is_ascii_whitespace()).for_each(|b| *b = b'*');
    }
    // Stars are put for whole values, so what is left is still text.
    String::from_utf8(bytes).unwrap_or_default()
}
