//! What the targets share.
#![allow(dead_code, reason = "every target uses another part of it")]

use std::{error::Error, hash::Hasher};

/// Stands where a secret would. Any part of it that is long enough to be told from chance tells on its own.
pub(crate) const CANARY: &str = "c4n4ry-c4n4ry-c4n4ry-c4n4ry";

/// Whether `text` shows a secret.
pub(crate) fn leaks(text: &str) -> bool {
    text.contains("c4n4ry")
}

/// All that an error says to people and to logs. Panics where that is nothing.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut out = format!("{error:?} {error}");
    assert!(!error.to_string().trim().is_empty(), "an error says something");
    let mut source = error.source();
    while let Some(error) = source {
        out.push_str(&format!(": {error}"));
        source = error.source();
    }
    out
}

/// A number below `end` that only `data` decides, another one for each `salt`: what a target chooses, it chooses by it.
pub(crate) fn choose(data: &[u8], salt: u8, end: usize) -> usize {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(data);
    hasher.write_u8(salt);
    usize::try_from(hasher.finish() % (end.max(1) as u64)).unwrap_or_default()
}
