//! Orders: what comes after what, and what to start first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The keys of `edges`, each after everything that it waits for; ties in the order of the keys.
///
/// # Errors
/// A cycle, once around.
pub fn order<K: Ord + Clone>(edges: &BTreeMap<K, BTreeSet<K>>) -> Result<Vec<K>, Vec<K>> {
    let mut waits: BTreeMap<&K, usize> =
        edges.iter().map(|(k, deps)| (k, deps.iter().filter(|d| edges.contains_key(d)).count())).collect();
    let mut dependents: BTreeMap<&K, Vec<&K>> = BTreeMap::new();
    for (k, deps) in edges {
        deps.iter().for_each(|d| dependents.entry(d).or_default().push(k));
    }
    let mut ready: VecDeque<&K> = waits.iter().filter(|(_, n)| **n == 0).map(|(k, _)| *k).collect();
    let mut out = Vec::with_capacity(edges.len());
    while let Some(k) = ready.pop_front() {
        out.push(k.clone());
        for d in dependents.get(k).into_iter().flatten() {
            if let Some(n) = waits.get_mut(*d) {
                *n -= 1;
                if *n == 0 {
                    ready.push_back(d);
                }
            }
        }
    }
    if out.len() == edges.len() { Ok(out) } else { Err(cycle(edges, &out)) }
}

/// Walks along waiting keys until one comes again.
fn cycle<K: Ord + Clone>(edges: &BTreeMap<K, BTreeSet<K>>, done: &[K]) -> Vec<K> {
    let done: BTreeSet<&K> = done.iter().collect();
    let stuck = |k: &K| edges.contains_key(k) && !done.contains(k);
    let mut path: Vec<K> = edges.keys().filter(|k| stuck(k)).take(1).cloned().collect();
    while let Some(last) = path.last() {
        let Some(next) = edges[last].iter().find(|d| stuck(d)) else { break };
        if let Some(start) = path.iter().position(|k| k == next) {
            let mut around = path.split_off(start);
            around.push(next.clone());
            return around;
        }
        path.push(next.clone());
    }
    path
}

/// The longest way from each key to the end of the work, its own `weight` included.
///
/// `edges` must have no cycle; what is in one keeps only its own weight.
pub fn remaining<K: Ord + Clone>(
    edges: &BTreeMap<K, BTreeSet<K>>,
    weight: impl Fn(&K) -> u64,
) -> BTreeMap<K, u64> {
    let mut out: BTreeMap<K, u64> = edges.keys().map(|k| (k.clone(), weight(k))).collect();
    for k in order(edges).unwrap_or_default().iter().rev() {
        let from_here = out[k];
        for dep in edges[k].iter().filter(|d| edges.contains_key(d)) {
            let through = weight(dep) + from_here;
            if let Some(best) = out.get_mut(dep) {
                *best = through.max(*best);
            }
        }
    }
    out
}

/// How long the work takes with `at_once` at a time, longest remaining way first: what `apply` does, on paper.
pub fn makespan<K: Ord + Clone>(
    edges: &BTreeMap<K, BTreeSet<K>>,
    at_once: usize,
    weight: impl Fn(&K) -> u64,
) -> u64 {
    let priority = remaining(edges, &weight);
    let mut dependents: BTreeMap<&K, Vec<&K>> = BTreeMap::new();
    let mut waits: BTreeMap<&K, usize> = BTreeMap::new();
    for (k, deps) in edges {
        let deps = deps.iter().filter(|d| edges.contains_key(d));
        waits.insert(k, deps.clone().count());
        deps.for_each(|d| dependents.entry(d).or_default().push(k));
    }
    let mut ready: BTreeSet<(u64, &K)> =
        waits.iter().filter(|(_, n)| **n == 0).map(|(k, _)| (priority[*k], *k)).collect();
    let mut running: BTreeSet<(u64, &K)> = BTreeSet::new();
    let mut now = 0;
    loop {
        while running.len() < at_once.max(1)
            && let Some((_, k)) = ready.pop_last()
        {
            running.insert((now + weight(k), k));
        }
        let Some((end, k)) = running.pop_first() else { return now };
        now = end;
        for d in dependents.get(k).into_iter().flatten() {
            if let Some(n) = waits.get_mut(*d) {
                *n -= 1;
                if *n == 0 {
                    ready.insert((priority[*d], d));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(list: &[(&'static str, &[&'static str])]) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        list.iter().map(|(k, deps)| (*k, deps.iter().copied().collect())).collect()
    }

    #[test]
    fn everything_comes_after_what_it_waits_for() {
        let graph = edges(&[("a", &["c"]), ("b", &["a"]), ("c", &[]), ("d", &[])]);
        assert_eq!(order(&graph), Ok(vec!["c", "d", "a", "b"]));
    }

    #[test]
    fn a_cycle_is_told_once_around() {
        let graph = edges(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["a"])]);
        assert_eq!(order(&graph), Err(vec!["b", "c", "b"]));
    }

    #[test]
    fn the_longest_way_counts() {
        let graph = edges(&[("slow", &[]), ("quick", &[]), ("end", &["quick", "slow"])]);
        let weights = remaining(&graph, |k| if *k == "slow" { 60 } else { 1 });
        assert_eq!(weights["slow"], 61);
        assert_eq!(weights["quick"], 2);
    }

    #[test]
    fn the_makespan_counts_what_runs_beside() {
        let graph = edges(&[("slow", &[]), ("a", &[]), ("b", &["a"]), ("end", &["b", "slow"])]);
        let weight = |k: &&str| if *k == "slow" { 60 } else { 10 };
        assert_eq!(makespan(&graph, 2, weight), 70);
        assert_eq!(makespan(&graph, 1, weight), 90);
    }
}
