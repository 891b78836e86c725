//! What a failed statement means for the engine: decided by SQLSTATE, never by the words.
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use causeway_core::{Class, Error};
use std::{fmt, io};
use tokio_postgres::error::DbError;

/// Names the statement in the error and classifies it.
pub(crate) trait Call<T> {
    /// `call` as people would say it: `CREATE ROLE`.
    fn call(self, call: &'static str) -> Result<T, Error>;
}

impl<T> Call<T> for Result<T, tokio_postgres::Error> {
    fn call(self, call: &'static str) -> Result<T, Error> {
        self.map_err(|error| {
            let class = match error.as_db_error() {
                Some(said) => class(said.code().code()),
                None if is_untrusted(&error) => Class::Final,
                // The connection broke, and nobody knows when.
                None => Class::Transient,
            };
            Error::Call { call, class, source: Box::new(Answer::of(error)) }
        })
    }
}

/// Whether TLS failed for what the server showed: it will show the same again.
fn is_untrusted(error: &tokio_postgres::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .is_some_and(|e| e.is::<rustls::Error>())
        {
            return true;
        }
        next = cause.source();
    }
    false
}

fn class(state: &str) -> Class {
    match state {
        // Sessions are connected to the database, too many are, or the server starts or ends.
        "55006" | "53300" | "57P03" => Class::NotNow,
        "57P01" | "57P02" | "57P05" => Class::Transient,
        "42501" => Class::Denied,
        _ if state.starts_with("28") => Class::Denied,
        _ if state.starts_with("08") => Class::Transient,
        _ => Class::Final,
    }
}

/// The server's own words: what, why and what to do. A statement is never shown.
#[derive(Debug)]
struct Answer(String);

impl Answer {
    fn of(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => Answer(words(said)),
            None => Answer(causeway_core::error::chain(&error)),
        }
    }
}

fn words(said: &DbError) -> String {
    let mut text = format!("{}: {}", said.code().code(), said.message());
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Answer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_mean_what_the_manual_says() {
        assert_eq!(class("55006"), Class::NotNow);
        assert_eq!(class("28P01"), Class::Denied);
        assert_eq!(class("08006"), Class::Transient);
        assert_eq!(class("2BP01"), Class::Final);
    }
}
