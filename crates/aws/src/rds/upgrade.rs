//! Engine versions, and the snapshot that a major upgrade waits for. Pure.

use aws_sdk_rds::types::DbSnapshot;
use aws_smithy_types::DateTime;

/// A snapshot older than this does not hold what would be lost now.
const FRESH_SECONDS: i64 = 24 * 3600;

/// Whether `actual` is what `wanted` asks for: `16` is met by `16.4`, `16.4` is not met by `16.40`.
pub(super) fn meets(wanted: &str, actual: &str) -> bool {
    actual == wanted || actual.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

/// The version as the spec would write it: the wanted text where the actual version meets it, or where it is a later
/// minor version of the same major one, which nobody can take back.
pub(super) fn shown(engine: &str, wanted: &str, actual: &str) -> String {
    let passed = major(engine, wanted) == major(engine, actual) && numbers(actual) > numbers(wanted);
    if meets(wanted, actual) || passed { wanted.to_owned() } else { actual.to_owned() }
}

/// What it would take to get from one version to another.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In place, compatible.
    Minor,
    /// In place, with a snapshot first.
    Major,
    /// There is none.
    Down,
}

/// The way from `actual` to `wanted`.
pub(super) fn way(engine: &str, actual: &str, wanted: &str) -> Way {
    let (from, to) = (major(engine, actual), major(engine, wanted));
    match to.cmp(&from) {
        std::cmp::Ordering::Greater => Way::Major,
        std::cmp::Ordering::Less => Way::Down,
        std::cmp::Ordering::Equal => Way::Minor,
    }
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// PostgreSQL's major version is one number since 10; everywhere else it is two.
fn major(engine: &str, version: &str) -> Vec<u32> {
    let mut numbers = numbers(version);
    let one = engine.contains("postgres") && numbers.first().is_some_and(|n| *n >= 10);
    numbers.truncate(if one { 1 } else { 2 });
    numbers
}

/// What to do about the snapshot before an upgrade.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Snapshot {
    /// Take one of this name.
    Take(String),
    /// This one is on its way.
    Wait(String),
    /// This one can be used.
    Ready(String),
}

/// The name of a snapshot before an upgrade of `identifier` to `wanted`. Such names have no dots.
pub(super) fn before(identifier: &str, wanted: &str) -> String {
    format!("{identifier}-before-{}", wanted.replace('.', "-"))
}

/// Looks for the snapshot `base` through the manual snapshots of the instance. One of that name that is old or broken is
/// passed over, never deleted, and the next gets a number.
pub(super) fn snapshot(base: &str, there: &[DbSnapshot], now: DateTime) -> Snapshot {
    let mut name = base.to_owned();
    for next in 2.. {
        let Some(found) = there.iter().find(|s| s.db_snapshot_identifier() == Some(&name)) else { break };
        // A snapshot in the making has no time yet.
        let fresh = found.snapshot_create_time().is_none_or(|t| now.secs() - t.secs() < FRESH_SECONDS);
        match found.status() {
            Some("available") if fresh => return Snapshot::Ready(name),
            Some("creating" | "pending") => return Snapshot::Wait(name),
            _ => name = format!("{base}-{next}"),
        }
    }
    Snapshot::Take(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_as_precisely_as_it_is_wanted() {
        assert!(meets("16", "16.4"));
        assert!(meets("16.4", "16.4"));
        assert!(!meets("16.4", "16.40"));
        assert!(!meets("1", "16.4"));
        assert_eq!(shown("postgres", "16", "16.4"), "16");
        assert_eq!(shown("postgres", "16.4", "16.6"), "16.4");
        assert_eq!(shown("postgres", "16.6", "16.4"), "16.4");
        assert_eq!(shown("postgres", "17", "16.4"), "16.4");
        assert_eq!(shown("postgres", "16", "17.1"), "17.1");
    }

    #[test]
    fn majors_are_one_number_for_postgres_and_two_elsewhere() {
        assert_eq!(way("postgres", "16.4", "16.6"), Way::Minor);
        assert_eq!(way("postgres", "16.4", "17"), Way::Major);
        assert_eq!(way("postgres", "9.5.2", "9.6.1"), Way::Major);
        assert_eq!(way("postgres", "17.1", "16"), Way::Down);
        assert_eq!(way("mysql", "8.0.36", "8.4"), Way::Major);
    }

    fn taken(name: &str, status: &str, at: i64) -> DbSnapshot {
        DbSnapshot::builder()
            .db_snapshot_identifier(name)
            .status(status)
            .snapshot_create_time(DateTime::from_secs(at))
            .build()
    }

    #[test]
    fn an_upgrade_waits_for_a_fresh_snapshot() {
        let now = DateTime::from_secs(10_000_000);
        let at = |there: &[DbSnapshot]| snapshot(&before("db", "17.2"), there, now);
        assert_eq!(at(&[]), Snapshot::Take("db-before-17-2".into()));
        assert_eq!(at(&[taken("db-before-17-2", "creating", 0)]), Snapshot::Wait("db-before-17-2".into()));
        let ready = |name: &str| Snapshot::Ready(name.to_owned());
        assert_eq!(at(&[taken("db-before-17-2", "available", 9_990_000)]), ready("db-before-17-2"));
        let old = taken("db-before-17-2", "available", 1_000_000);
        assert_eq!(at(std::slice::from_ref(&old)), Snapshot::Take("db-before-17-2-2".into()));
        assert_eq!(at(&[old, taken("db-before-17-2-2", "available", 9_999_999)]), ready("db-before-17-2-2"));
        assert_eq!(
            at(&[taken("db-before-17-2", "failed", 9_999_999)]),
            Snapshot::Take("db-before-17-2-2".into())
        );
    }
}
