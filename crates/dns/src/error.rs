//! What went wrong at a provider, and what that means for the engine.

use causeway_core::{Class, Error};
use std::{fmt, sync::Arc, time::Duration};

/// The first characters of an answer that nobody expected. Enough to recognise it by.
const EXCERPT: usize = 120;

/// Why a provider did not do what it was asked. `call` is the call in the provider's own words.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not take what was sent. Nothing was changed.
    #[error("{words}")]
    Refused {
        /// The call.
        call: &'static str,
        /// The provider's code and words.
        words: String,
    },
    /// What is there is not what was listed: somebody else changed it meanwhile. Nothing was changed.
    #[error("what is there has changed since it was listed: {words}; plan again")]
    Conflict {
        /// The call.
        call: &'static str,
        /// The provider's code and words.
        words: String,
    },
    /// The credentials may not do it, or are none.
    #[error("{words}; {remedy}")]
    Denied {
        /// The call.
        call: &'static str,
        /// The provider's code and words.
        words: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Too many calls.
    #[error("{}", throttled(.words, *.after))]
    Throttled {
        /// The call.
        call: &'static str,
        /// The provider's code and words.
        words: String,
        /// When it may be asked again, if it said so.
        after: Option<Duration>,
    },
    /// An answer that is not in the provider's words: a page of a proxy, or half of an answer.
    #[error("HTTP {status} with something that is no answer of {provider} ({why}): {excerpt}")]
    NoAnswer {
        /// The call.
        call: &'static str,
        /// What people call the provider.
        provider: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it is instead.
        why: String,
        /// How it begins.
        excerpt: String,
        /// Whether the next answer may be one: what stands in between and answers with 2xx or 4xx stays.
        passes: bool,
    },
    /// The provider has a problem of its own.
    #[error("{words}")]
    Server {
        /// The call.
        call: &'static str,
        /// The provider's code and words.
        words: String,
    },
    /// It was not reached, or did not answer in time.
    #[error("no answer")]
    Unreached {
        /// The call.
        call: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn throttled(words: &str, after: Option<Duration>) -> String {
    match after {
        Some(after) => format!("too many calls: {words}; it takes the next one in {} s", after.as_secs()),
        None => format!("too many calls: {words}; it does not say when it takes the next one"),
    }
}

impl ProviderError {
    /// The call in the provider's own words.
    pub fn call(&self) -> &'static str {
        match self {
            ProviderError::Refused { call, .. }
            | ProviderError::Conflict { call, .. }
            | ProviderError::Denied { call, .. }
            | ProviderError::Throttled { call, .. }
            | ProviderError::NoAnswer { call, .. }
            | ProviderError::Server { call, .. }
            | ProviderError::Unreached { call, .. } => call,
        }
    }

    /// Whether the provider has looked at the request and did nothing because of what is in it: without the bad part, the
    /// rest would have been done.
    pub fn is_refusal(&self) -> bool {
        matches!(self, ProviderError::Refused { .. } | ProviderError::Conflict { .. })
    }

    /// Whether what was listed can still be believed.
    pub fn leaves_doubt(&self) -> bool {
        // Some refuse what is stale and what is wrong with one code.
        !matches!(self, ProviderError::Denied { .. })
    }

    /// What it means for the engine.
    pub fn class(&self) -> Class {
        match self {
            // The engine plans from what was there; a step that finds something else must not go on.
            ProviderError::Refused { .. } | ProviderError::Conflict { .. } => Class::Final,
            ProviderError::Denied { .. } => Class::Denied,
            ProviderError::Throttled { .. } => Class::Throttled,
            ProviderError::NoAnswer { passes: false, .. } => Class::Final,
            ProviderError::NoAnswer { .. }
            | ProviderError::Server { .. }
            | ProviderError::Unreached { .. } => Class::Transient,
        }
    }

    /// For the engine.
    pub fn into_error(self) -> Error {
        Shared(Arc::new(self)).into_error()
    }
}

/// How an answer begins, on one line and without what a terminal would act on.
pub fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = plain.chars().take(EXCERPT).collect();
    if short.len() < plain.len() {
        short.push_str("..");
    }
    if short.is_empty() { "nothing at all".to_owned() } else { short }
}

/// One failure that many wait for.
#[derive(Clone, Debug)]
pub(crate) struct Shared(pub(crate) Arc<ProviderError>);

impl Shared {
    pub(crate) fn into_error(self) -> Error {
        Error::Call { call: self.0.call(), class: self.0.class(), source: Box::new(self) }
    }
}
impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_shown_by_how_it_begins() {
        assert_eq!(excerpt(b"<html>\n<body>\x1b[31m502"), "<html> <body> [31m502");
        assert_eq!(excerpt(b""), "nothing at all");
        assert!(excerpt(&[b'x'; 500]).ends_with(".."));
    }
}
