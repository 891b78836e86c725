//! Reads a TOML file into typed settings, and shows every mistake at its place in the file.
//!
//! Three looks, each only when the one before it was clean: the syntax; the shape (unknown keys, wrong types, missing
//! keys, all of them at once, checked against the very JSON Schema that editors use); and what cannot work, which the
//! settings know themselves.

mod mistake;
mod place;
mod problem;
mod secret;
mod shape;

pub use mistake::{Mistake, Mistakes};
pub use problem::Problem;
pub use secret::{Missing, SecretSource};
pub use shape::nearest;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// Reads `text`; `name` stands for the file in messages, and `empty` says what to do about one that says nothing.
/// `problems` are what cannot work.
///
/// # Errors
/// All [`Mistakes`] that one look finds.
pub fn parse<T: DeserializeOwned>(
    name: &str,
    text: &str,
    schema: &Json,
    empty: &str,
    problems: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<T, Mistakes> {
    let unreadable = |m: Mistake| Mistakes::new(name, &place::masked_but(text, m.start()), vec![m]);
    let table = place::parse(text).map_err(unreadable)?;
    let shown = place::masked(text, &table);
    let mistakes = |found| Mistakes::new(name, &shown, found);
    if table.get_ref().is_empty() {
        let nothing = Mistake::new("the file says nothing", "in this file", 0..0);
        return Err(mistakes(vec![nothing.help(empty)]));
    }
    let misshapen = shape::check(&table, schema);
    if !misshapen.is_empty() {
        return Err(mistakes(misshapen));
    }
    let settings: T = toml::from_str(text).map_err(|e| mistakes(vec![Mistake::refused(&e)]))?;
    let problems = problems(&settings);
    if problems.is_empty() { Ok(settings) } else { Err(mistakes(place::locate(&table, problems))) }
}

/// `problems` at their places in `text`, which was read before.
pub fn located(name: &str, text: &str, problems: Vec<Problem>) -> Mistakes {
    match place::parse(text) {
        Ok(table) => Mistakes::new(name, &place::masked(text, &table), place::locate(&table, problems)),
        Err(unreadable) => {
            Mistakes::new(name, &place::masked_but(text, unreadable.start()), vec![unreadable])
        }
    }
}

/// The text of the file at `path`.
///
/// # Errors
/// When it cannot be read, or is not text.
pub fn text(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        Error::NotText { path: path.to_owned(), line }
    })
}

/// The folder of the file at `path`: relative paths in it start there.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Why a file gave no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is not text.
    #[error("{} is not UTF-8 text: the first byte that is none is in line {line}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// It has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}
