//! Where things stand in the file.

use crate::Mistake;
use causeway_stacks::config::{Problem, SecretSource};
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
/// show it.
pub(crate) fn masked(text: &str, table: &Spanned<DeTable<'_>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (_, target) in table.get_ref() {
        let secrets = target.get_ref().as_table().and_then(|t| t.get("secrets"));
        for (_, value) in secrets.and_then(|s| s.get_ref().as_table()).into_iter().flatten() {
            let named =
                value.get_ref().as_str().is_some_and(|s| SecretSource::try_from(s.to_owned()).is_ok());
            if !named && let Some(written) = bytes.get_mut(value.span()) {
                written.iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b'*');
            }
        }
    }
    // Stars are put for whole values, so what is left is still text.
    String::from_utf8(bytes).unwrap_or_default()
}
