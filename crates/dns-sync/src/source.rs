//! Where it is known which name leads where. One file a source.

#[cfg(feature = "aws")]
pub mod balancers;
pub mod fixed;
pub mod kubernetes;
pub mod outputs;
#[cfg(feature = "aws")]
pub mod services;

use causeway_core::error::chain;
use causeway_dns::Class;
use futures::future::{BoxFuture, join_all};
use std::{sync::Arc, time::Duration};

/// How long a source may take. What takes longer is as good as away.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says which names lead where.
pub trait Source: Send + Sync {
    /// What stands in the marks of its records: `clusters/ohio`.
    fn label(&self) -> &str;

    /// The names that it is known to speak of, whether it answers or not.
    fn names(&self) -> Vec<String>;

    /// What it says now.
    ///
    /// # Errors
    /// When it cannot be asked, or what it says makes no sense.
    fn read(&self) -> BoxFuture<'_, Result<Answer, SourceError>>;
}

/// Why a source did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{act} failed")]
pub struct SourceError {
    /// What was tried.
    pub act: String,
    /// Why it did not work.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl SourceError {
    /// While trying to `act`.
    pub fn new(act: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        SourceError { act: act.into(), source: source.into() }
    }
}

/// What a source says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Names that lead somewhere.
    pub found: Vec<Found>,
    /// Names that it knows, and not where they lead: nothing of them is changed.
    pub waiting: Vec<Waiting>,
}

/// A name that leads somewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The name, as it was written.
    pub name: String,
    /// What it is about.
    pub class: Class,
    /// What it says.
    pub values: Vec<String>,
    /// For how many seconds resolvers may keep it, if the source says so.
    pub ttl: Option<u32>,
    /// Whether Cloudflare stands in front, if the source says so.
    pub proxied: Option<bool>,
    /// What said so, for people: `Service coder/coder`.
    pub by: String,
}

/// A name that is known, and not where it leads.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The name, as it was written.
    pub name: String,
    /// What it waits for.
    pub why: String,
}

/// What one source said, or why it said nothing.
#[derive(Clone, Debug)]
pub struct Read {
    /// [`Source::label`].
    pub label: String,
    /// [`Source::names`].
    pub names: Vec<String>,
    /// What it said; else why not.
    pub answer: Result<Answer, String>,
}

/// Asks all of `sources`, at the same time.
pub async fn read_all(sources: &[Arc<dyn Source>]) -> Vec<Read> {
    let one = async |source: &Arc<dyn Source>| {
        let answer = match tokio::time::timeout(PATIENCE, source.read()).await {
            Ok(answer) => answer.map_err(|e| chain(&e)),
            Err(_) => Err(format!("it did not answer within {} s", PATIENCE.as_secs())),
        };
        Read { label: source.label().to_owned(), names: source.names(), answer }
    };
    join_all(sources.iter().map(one)).await
}
