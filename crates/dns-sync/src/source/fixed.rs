//! Records that stand in the configuration.

use super::{Answer, Found, Source, SourceError};
use crate::config::RecordConfig;
use futures::future::BoxFuture;

/// `[[records]]`.
pub struct Fixed(Vec<RecordConfig>);

impl Fixed {
    /// These.
    pub fn new(records: Vec<RecordConfig>) -> Self {
        Fixed(records)
    }
}

impl Source for Fixed {
    fn label(&self) -> &str {
        "records"
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|record| record.name.clone()).collect()
    }

    fn read(&self) -> BoxFuture<'_, Result<Answer, SourceError>> {
        let found = self.0.iter().map(|record| Found {
            name: record.name.clone(),
            class: record.class.into(),
            values: record.values.clone(),
            ttl: record.ttl,
            proxied: record.proxied,
            by: "the configuration".into(),
        });
        let answer = Answer { found: found.collect(), waiting: vec![] };
        Box::pin(std::future::ready(Ok(answer)))
    }
}
