//! Orders: what comes after what, and what to start first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
};

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

/// Work whose order is known, to be played through many times. Everything is numbered as in [`keys`](Self::keys).
#[derive(Clone, Debug)]
pub struct Schedule<K> {
    keys: Vec<K>,
    /// What each waits for.
    after: Vec<Vec<usize>>,
    /// What waits for each.
    before: Vec<Vec<usize>>,
    order: Vec<usize>,
}

/// When something runs, from the start of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// When it begins.
    pub start: u64,
    /// When it is done.
    pub end: u64,
}

impl<K: Ord + Clone> Schedule<K> {
    /// The work of `edges`. What is in a cycle is never begun.
    pub fn new(edges: &BTreeMap<K, BTreeSet<K>>) -> Self {
        let keys: Vec<K> = edges.keys().cloned().collect();
        let number = |k: &K| keys.binary_search(k).ok();
        let after: Vec<Vec<usize>> =
            edges.values().map(|deps| deps.iter().filter_map(number).collect()).collect();
        let mut before = vec![vec![]; keys.len()];
        for (i, deps) in after.iter().enumerate() {
            deps.iter().for_each(|d| before[*d].push(i));
        }
        let order = order(edges).unwrap_or_default().iter().filter_map(number).collect();
        Schedule { keys, after, before, order }
    }

    /// What there is to do.
    pub fn keys(&self) -> &[K] {
        &self.keys
    }

    /// The numbers of what `i` waits for.
    pub fn after(&self, i: usize) -> &[usize] {
        &self.after[i]
    }

    /// The longest way from each to the end of the work, its own weight included.
    pub fn priorities(&self, weights: &[u64]) -> Vec<u64> {
        let mut out = weights.to_vec();
        for i in self.order.iter().rev() {
            let rest = self.before[*i].iter().map(|d| out[*d]).max().unwrap_or_default();
            out[*i] = weights[*i] + rest;
        }
        out
    }

    /// When each runs with `at_once` at a time, the highest of `priority` first, if each takes what `takes` says.
    pub fn play(&self, at_once: usize, priority: &[u64], takes: &[u64]) -> Vec<Slot> {
        let mut slots = vec![Slot::default(); self.keys.len()];
        let mut ready = self.ready(priority);
        let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut now = 0;
        loop {
            while running.len() < at_once.max(1)
                && let Some(i) = ready.begin()
            {
                slots[i] = Slot { start: now, end: now + takes[i] };
                running.push(Reverse((now + takes[i], i)));
            }
            let Some(Reverse((end, i))) = running.pop() else { return slots };
            now = end;
            ready.over(i);
        }
    }

    /// The work as it can be begun, the highest of `priority` first; ties in the order of the keys.
    pub fn ready<P: AsRef<[u64]>>(&self, priority: P) -> Ready<'_, K, P> {
        let waits: Vec<usize> = self.after.iter().map(Vec::len).collect();
        let mut ready = Ready { schedule: self, priority, queue: BinaryHeap::new(), waits };
        (0..ready.waits.len())
            .filter(|i| ready.waits[*i] == 0)
            .for_each(|i| ready.queue.push((ready.priority.as_ref()[i], Reverse(i))));
        ready
    }
}

/// What can be begun, as the work goes on.
pub struct Ready<'s, K, P> {
    schedule: &'s Schedule<K>,
    priority: P,
    queue: BinaryHeap<(u64, Reverse<usize>)>,
    /// For how many others each still waits.
    waits: Vec<usize>,
}

impl<K, P: AsRef<[u64]>> Ready<'_, K, P> {
    /// The number of what is to be begun now. None: nothing can be, until something is over.
    pub fn begin(&mut self) -> Option<usize> {
        self.queue.pop().map(|(_, Reverse(i))| i)
    }

    /// `i` is over, so what waited for it alone can be begun.
    pub fn over(&mut self, i: usize) {
        for d in &self.schedule.before[i] {
            self.waits[*d] -= 1;
            if self.waits[*d] == 0 {
                self.queue.push((self.priority.as_ref()[*d], Reverse(*d)));
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
        let schedule = Schedule::new(&graph);
        let weights: Vec<u64> = schedule.keys().iter().map(|k| if *k == "slow" { 60 } else { 1 }).collect();
        let ways: BTreeMap<_, _> =
            schedule.keys().iter().copied().zip(schedule.priorities(&weights)).collect();
        assert_eq!(ways["slow"], 61);
        assert_eq!(ways["quick"], 2);
    }

    #[test]
    fn the_makespan_counts_what_runs_beside() {
        let graph = edges(&[("slow", &[]), ("a", &[]), ("b", &["a"]), ("end", &["b", "slow"])]);
        let schedule = Schedule::new(&graph);
        let weights: Vec<u64> = schedule.keys().iter().map(|k| if *k == "slow" { 60 } else { 10 }).collect();
        let priority = schedule.priorities(&weights);
        let makespan = |at_once| schedule.play(at_once, &priority, &weights).iter().map(|s| s.end).max();
        assert_eq!(makespan(2), Some(70));
        assert_eq!(makespan(1), Some(90));
    }

    #[test]
    fn what_runs_longer_than_thought_keeps_its_place() {
        let graph = edges(&[("a", &[]), ("b", &[]), ("c", &["a"])]);
        let schedule = Schedule::new(&graph);
        let priority = schedule.priorities(&[10, 15, 10]);
        assert_eq!(priority, [20, 15, 10]);
        // One at a time: `a` first, because `c` waits for it, though `b` turns out to take longest.
        let played = schedule.play(1, &priority, &[10, 50, 10]);
        assert_eq!(
            played.iter().map(|s| (s.start, s.end)).collect::<Vec<_>>(),
            [(0, 10), (10, 60), (60, 70)]
        );
    }
}
