//! The table of prices.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Prices, and where they are from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// When the newest of them was looked up.
    date: String,
    /// Where they are from.
    sources: Vec<String>,
    /// Of a month.
    hours: f64,
    regions: BTreeMap<String, Region>,
    volumes: BTreeMap<String, f64>,
    known: BTreeMap<String, f64>,
    guessed: BTreeMap<String, f64>,
}

/// How much more a region costs than us-east-1, where the table is from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Region {
    factor: f64,
    guessed: bool,
}

impl Table {
    /// The one that comes with the program.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> Self {
        serde_json::from_str(include_str!("prices.json")).expect("a test reads it")
    }

    /// When the newest price was looked up.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// Where the prices are from.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// The price of `key` in us-east-1, and whether it is guessed.
    pub(crate) fn price(&self, key: &str) -> Option<(f64, bool)> {
        let known = self.known.get(key).map(|price| (*price, false));
        known.or_else(|| self.guessed.get(key).map(|price| (*price, true)))
    }

    /// How many of `what` there may be in a month.
    pub(crate) fn volume(&self, what: &str) -> f64 {
        self.volumes.get(what).copied().unwrap_or_default()
    }

    pub(crate) fn hours(&self) -> f64 {
        self.hours
    }

    /// How much more `region` costs, and whether that is guessed. As us-east-1, and guessed, where it is not in the table.
    pub(crate) fn region(&self, region: &str) -> (f64, bool) {
        self.regions.get(region).map_or((1.0, true), |region| (region.factor, region.guessed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_and_says_where_it_is_from() {
        let table = Table::built_in();
        assert!(!table.sources().is_empty() && table.date().len() == 10);
        assert!(table.known.values().chain(table.guessed.values()).all(|price| *price > 0.0));
        let both: Vec<_> = table.known.keys().filter(|key| table.guessed.contains_key(*key)).collect();
        assert!(both.is_empty(), "known and guessed: {both:?}");
        assert_eq!(table.region("us-west-2"), (1.0, false));
        assert_eq!(table.region("mars-north-1"), (1.0, true));
    }
}
