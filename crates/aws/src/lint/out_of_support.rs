//! `out-of-support`: a Kubernetes version whose standard support has ended. It costs six times as much, and AWS moves it
//! on in the end.

use crate::eks::{
    Cluster, NextVersion,
    support::{Calendar, Support},
};
use causeway_core::{guard::Rules, lint::Breach, wanted::Wanted};

pub(super) fn judge(wanted: &[Wanted], rules: &Rules) -> Vec<Breach> {
    let (calendar, day) = (Calendar::built_in(), rules.now.strftime("%Y-%m-%d").to_string());
    let goals: Vec<(&Wanted, NextVersion)> =
        wanted.iter().filter_map(|w| Some((w, w.spec::<NextVersion>()?))).collect();
    let old = |w: &Wanted| {
        let cluster = w.spec::<Cluster>()?;
        // What counts is where an upgrade ends: on its way it passes through what support has left behind.
        let goal =
            goals.iter().find(|(goal, next)| goal.place == w.place && next.cluster_name == cluster.name);
        let version = match goal {
            Some((_, next)) => next.wanted.as_str(),
            None => cluster.version.get().ok()?,
        };
        let Support::Ended(end) = calendar.support(version, &day) else { return None };
        let on = end.map_or_else(String::new, |end| format!(" on {end}"));
        let why = format!(
            "is {version}, whose standard support ended{on} ({}, read on {})",
            calendar.source, calendar.read
        );
        let newer = match calendar.supported(&day).as_slice() {
            [] => "take a newer version".to_owned(),
            versions => format!("take {}", versions.join(" or ")),
        };
        Some(Breach::of(w, "version", why, newer))
    };
    wanted.iter().filter_map(old).collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        Region,
        eks::{Cluster, NextVersion},
        id::Arn,
        lint::testing::found_in,
    };
    use causeway_core::{Set, Stack, Value, guard::Rules};

    fn told(version: impl Into<Value<String>>, goal: Option<&str>) -> Vec<String> {
        let mut stack = Stack::new("test");
        let cluster = Cluster::new("c", version, Arn::from("arn:r").into(), Set::default());
        stack.at(&Region::new("us-east-2"), |stack| {
            if let Some(wanted) = goal {
                stack.add("next", NextVersion { cluster_name: "c".into(), wanted: wanted.into() });
            }
            stack.add("cluster", cluster);
        });
        let rules = Rules { now: "2026-11-22T00:00:00Z".parse().unwrap(), ..Rules::default() };
        found_in("out-of-support", &stack, &rules).into_iter().map(|(.., why)| why).collect()
    }

    #[test]
    fn a_cluster_ends_in_a_version_that_is_supported() {
        assert!(told("1.34".to_owned(), None).is_empty());
        assert!(
            told("1.33".to_owned(), None)[0]
                .starts_with("is 1.33, whose standard support ended on 2026-07-29")
        );
        assert_eq!(told("1.32".to_owned(), Some("1.35")), [""; 0], "on its way");
        assert_eq!(told("1.35".to_owned(), Some("1.31")).len(), 1);
    }
}
