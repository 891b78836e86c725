//! Kubernetes versions, and the steps between them. Pure.

use std::fmt;

/// A Kubernetes version as EKS counts them, like `1.34`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Minor {
    major: u32,
    minor: u32,
}

impl Minor {
    /// Of `1.34`. `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Minor> {
        let (major, minor) = text.split_once('.')?;
        Some(Minor { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The one after it.
    pub(super) fn next(self) -> Minor {
        Minor { minor: self.minor + 1, ..self }
    }
}
impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How one version is reached from another.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is there already.
    There,
    /// In one step, which EKS takes.
    Step,
    /// In several, of which this version is the first.
    Steps(Minor),
    /// Not at all: EKS does not go back.
    Back,
    /// One of the two is no version.
    Unknown,
}

/// The way from the version that runs to the one that is wanted.
pub(super) fn way(from: &str, to: &str) -> Way {
    match (Minor::parse(from), Minor::parse(to)) {
        (Some(from), Some(to)) if from == to => Way::There,
        (Some(from), Some(to)) if from > to => Way::Back,
        (Some(from), Some(to)) if from.next() == to => Way::Step,
        (Some(from), Some(_)) => Way::Steps(from.next()),
        _ => Way::Unknown,
    }
}

/// The version to go to now, and those that remain after it, on the way from `cluster` to `wanted`, where `nodes` run
/// these versions. The cluster waits for its nodes before its next step.
pub(super) fn next(cluster: &str, nodes: &[String], wanted: &str) -> (String, Vec<String>) {
    let (Some(from), Some(to)) = (Minor::parse(cluster), Minor::parse(wanted)) else {
        return (wanted.to_owned(), vec![]);
    };
    if from >= to {
        return (wanted.to_owned(), vec![]);
    }
    let behind = nodes.iter().filter_map(|v| Minor::parse(v)).any(|node| node < from);
    let now = if behind { from } else { from.next() };
    let rest = std::iter::successors(Some(now.next()), |v| Some(v.next())).take_while(|v| *v <= to);
    (now.to_string(), rest.map(|v| v.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eks_goes_one_minor_version_at_a_time_and_never_back() {
        assert_eq!(way("1.33", "1.34"), Way::Step);
        assert_eq!(way("1.33", "1.33"), Way::There);
        assert_eq!(way("1.9", "1.11"), Way::Steps(Minor { major: 1, minor: 10 }));
        assert_eq!(way("1.35", "1.34"), Way::Back);
        assert_eq!(way("1.34", "latest"), Way::Unknown);
    }

    #[test]
    fn the_cluster_waits_for_its_nodes() {
        let step = |cluster: &str, nodes: &[&str], wanted: &str| {
            let nodes: Vec<String> = nodes.iter().map(|v| (*v).to_owned()).collect();
            let (now, rest) = next(cluster, &nodes, wanted);
            format!("{now} then {}", rest.join(","))
        };
        assert_eq!(step("1.33", &["1.33"], "1.35"), "1.34 then 1.35");
        assert_eq!(step("1.34", &["1.33", "1.34"], "1.35"), "1.34 then 1.35");
        assert_eq!(step("1.34", &["1.34"], "1.35"), "1.35 then ");
        assert_eq!(step("1.35", &["1.34"], "1.35"), "1.35 then ");
        assert_eq!(step("1.34", &[], "1.33"), "1.33 then ");
    }
}
