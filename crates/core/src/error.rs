//! What a provider answers when something did not work, and what that means for the engine.

use crate::value::Unresolved;

/// What a failed call means. The engine decides by this alone whether to repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nobody knows whether it had an effect: a server error, a lost connection, a time-out. Looked at, then repeated.
    Transient,
    /// Refused for its rate, without effect. Repeated later.
    Throttled,
    /// Cannot be done yet: still in use, still changing, or what it needs has not spread. Repeated until the kind's
    /// timeout.
    NotNow,
    /// There is no such thing.
    NotFound,
    /// The credentials may not do it.
    Denied,
    /// Will not work however often it is tried.
    Final,
}

/// Why a provider could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value was used before it was known.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// An API call failed.
    #[error("{call} failed")]
    Call {
        /// The call as the service names it, like `ec2:CreateVpc`.
        call: &'static str,
        /// What the failure means.
        class: Class,
        /// The service's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A spec or its outputs do not decode as their kind.
    #[error("{what} of {kind} does not decode")]
    Decode {
        /// `spec` or `outputs`.
        what: &'static str,
        /// The kind that was asked to decode it.
        kind: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A secret was needed where only its digest is kept.
    #[error(transparent)]
    Sealed(#[from] crate::secret::SealedSecret),
    /// The place that the resource lives in cannot be reached.
    #[error("cannot connect to {place}")]
    Connect {
        /// The place as it is written in the journal.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Wrong in itself, found before or without a call; says what and what to do.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// What the failure means for the engine.
    pub fn class(&self) -> Class {
        match self {
            Error::Call { class, .. } => *class,
            Error::Connect { .. } => Class::Transient,
            _ => Class::Final,
        }
    }

    /// The error and its causes on one line, each once.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// `error` and its causes on one line, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Turns "there is no such thing" into `None`.
pub trait Found<T> {
    /// `Ok(None)` where the error's class is [`Class::NotFound`].
    ///
    /// # Errors
    /// Every other error.
    fn found(self) -> Result<Option<T>, Error>;
}
impl<T> Found<T> for Result<T, Error> {
    fn found(self) -> Result<Option<T>, Error> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(e) if e.class() == Class::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}
