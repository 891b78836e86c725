//! Until when AWS supports a Kubernetes version as a matter of course: a table that comes with the program, so that it is
//! known without a call. What [`ClusterVersion`](super::ClusterVersion) tells is newer, and takes one.

use super::upgrade::Minor;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The table, and where it is from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calendar {
    /// The page that has the dates.
    pub(crate) source: String,
    /// When it was read.
    pub(crate) read: String,
    /// The day on which standard support ends, UTC, by version.
    end_of_standard_support: BTreeMap<String, String>,
}

/// What the table says of a version on a day.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// It is in standard support, or newer than the table.
    Standard,
    /// Standard support ended, on that day if the table has it.
    Ended(Option<String>),
    /// It is no version.
    Unknown,
}

impl Calendar {
    /// The one that comes with the program.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub(crate) fn built_in() -> Self {
        serde_json::from_str(include_str!("support.json")).expect("a test reads it")
    }

    /// Whether `version` is in standard support on `day`, like `2026-11-22`. The day of the end is after it.
    pub(crate) fn support(&self, version: &str, day: &str) -> Support {
        let Some(minor) = Minor::parse(version) else { return Support::Unknown };
        let known = |(text, end): (&String, &String)| Some((Minor::parse(text)?, end.clone()));
        let ends: BTreeMap<Minor, String> = self.end_of_standard_support.iter().filter_map(known).collect();
        match ends.get(&minor) {
            Some(end) if end.as_str() <= day => Support::Ended(Some(end.clone())),
            None if ends.keys().next().is_some_and(|oldest| minor < *oldest) => Support::Ended(None),
            _ => Support::Standard,
        }
    }

    /// The versions that are in standard support on `day`, newest first.
    pub(crate) fn supported(&self, day: &str) -> Vec<&str> {
        let ends = self.end_of_standard_support.iter().filter(|(_, end)| end.as_str() > day);
        let mut versions: Vec<&str> = ends.map(|(version, _)| version.as_str()).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(Minor::parse(version)));
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_the_end_is_the_first_without_support() {
        let calendar = Calendar::built_in();
        let support = |version, day| calendar.support(version, day);
        assert_eq!(support("1.34", "2026-12-01"), Support::Standard);
        assert_eq!(support("1.34", "2026-12-02"), Support::Ended(Some("2026-12-02".into())));
        assert_eq!(support("1.9", "2026-12-02"), Support::Ended(None));
        assert_eq!(support("1.99", "2030-01-01"), Support::Standard, "newer than the table");
        assert_eq!(support("latest", "2026-12-02"), Support::Unknown);
        assert_eq!(calendar.supported("2026-12-01"), ["1.35", "1.34"]);
    }

    #[test]
    fn days_are_written_so_that_they_can_be_compared() {
        let calendar = Calendar::built_in();
        let day = |text: &str| {
            text.len() == 10 && text.bytes().enumerate().all(|(i, b)| (i == 4 || i == 7) == (b == b'-'))
        };
        assert!(calendar.end_of_standard_support.values().chain([&calendar.read]).all(|text| day(text)));
        assert!(calendar.source.starts_with("https://docs.aws.amazon.com/"));
    }
}
