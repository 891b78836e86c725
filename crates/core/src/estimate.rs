//! How long a plan takes: the run is played on paper, with as many steps at once as `apply` runs, some hundred times
//! with other durations each time.
//!
//! A duration is drawn from what the journal has seen of such steps; before it has seen any, from what the kind says.
//! Durations are taken to be independent of each other, so a day on which all of the cloud is slow is not foreseen.

use crate::{
    apply::{Key, Part, edges},
    engine::Planned,
    journal::{Act, State},
    plan::{Action, Plan, Step},
    registry::Registry,
    schedule::{Schedule, Slot},
    value::Address,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Standard deviations above the middle below which 9 of 10 values lie.
const P90: f64 = 1.2816;
/// The same for 19 of 20.
const P95: f64 = 1.6449;

/// The spread of durations that nobody has seen yet: 9 of 10 take less than 1.8 times the usual.
const UNSEEN: f64 = 0.4586;

/// Steps that may be played in all: hundreds of runs of a usual plan, and tens of a huge one.
const PLAYED: usize = 100_000;

/// How long a plan takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Estimate {
    /// So many steps run at a time at most.
    pub at_once: usize,
    /// Half of such runs are done by then, in milliseconds.
    pub p50_ms: u64,
    /// Nine of ten are done by then.
    pub p90_ms: u64,
    /// How long it would take if any number of steps could run at a time.
    pub unlimited_ms: u64,
    /// When each step runs if all take their usual time, in that order. A replacement is in here twice.
    pub steps: Vec<Expected>,
    /// What it would gain if a step of the critical path took no time, the most first.
    pub gains: Vec<Gain>,
}

/// When a step is expected to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Expected {
    /// Which resource.
    pub address: Address,
    /// What is done; a replacement is a create and a delete.
    pub action: Action,
    /// From the start of the run.
    pub start_ms: u64,
    /// Half of such steps take less.
    pub p50_ms: u64,
    /// Nine of ten take less.
    pub p90_ms: u64,
    /// How many such steps the journal has seen; none: the kind's usual time was taken.
    pub seen: usize,
    /// Whether it is on the critical path: the run ends later if this does.
    pub critical: bool,
}

/// What a quicker step would gain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Gain {
    /// Which resource.
    pub address: Address,
    /// How much earlier the run would end if it took no time.
    pub gain_ms: u64,
}

impl Estimate {
    /// Of `planned`, with `at_once` steps at a time.
    pub fn of(planned: &Planned, registry: &Registry, at_once: usize) -> Self {
        let (plan, state) = (&planned.plan, &planned.state);
        let schedule = Schedule::new(&edges(plan, planned.stack(), state, registry));
        let times = times(plan, state, registry);
        let spread = |key: &Key| times.get(key).copied().unwrap_or_default();
        let (p50, p90) = total(&schedule, at_once, spread);
        let usual: Vec<u64> = schedule.keys().iter().map(|k| spread(k).p50_ms()).collect();
        let priority = schedule.priorities(&usual);
        let end = |takes: &[u64], at_once| end(&schedule.play(at_once, &priority, takes));
        let slots = schedule.play(at_once, &priority, &usual);
        let critical = critical(&schedule, &slots);
        let whole = end(&usual, at_once);
        let mut longest: Vec<usize> = critical.iter().copied().collect();
        longest.sort_by_key(|i| std::cmp::Reverse(usual[*i]));
        let mut gains: Vec<Gain> = vec![];
        for i in longest.into_iter().take(3) {
            let mut takes = usual.clone();
            takes[i] = 0;
            let gain_ms = whole.saturating_sub(end(&takes, at_once));
            gains.push(Gain { address: schedule.keys()[i].0.clone(), gain_ms });
        }
        // What gains next to nothing is not worth anybody's time.
        gains.retain(|g| g.gain_ms * 20 >= whole && g.gain_ms > 0);
        gains.sort_by_key(|g| std::cmp::Reverse(g.gain_ms));
        let by_address = plan.by_address();
        let mut steps: Vec<(usize, Expected)> = vec![];
        for (i, key) in schedule.keys().iter().enumerate() {
            let spread = spread(key);
            let expected = Expected {
                address: key.0.clone(),
                action: part_of(plan, key, by_address.get(&key.0).map(|s| s.action)),
                start_ms: slots[i].start,
                p50_ms: usual[i],
                p90_ms: spread.p90_ms(),
                seen: spread.seen,
                critical: critical.contains(&i),
            };
            steps.push((i, expected));
        }
        steps.sort_by_key(|(i, s)| (s.start_ms, *i));
        let steps = steps.into_iter().map(|(_, s)| s).collect();
        let unlimited_ms = end(&usual, usize::MAX);
        let (p50_ms, p90_ms) = (milliseconds(p50), milliseconds(p90));
        Estimate { at_once, p50_ms, p90_ms, unlimited_ms, steps, gains }
    }

    /// The steps that the end of the run waits for, one after the other.
    pub fn critical_path(&self) -> impl Iterator<Item = &Expected> {
        self.steps.iter().filter(|s| s.critical)
    }

    /// Half of such runs are done by then.
    pub fn p50(&self) -> Duration {
        Duration::from_millis(self.p50_ms)
    }

    /// Nine of ten such runs are done by then.
    pub fn p90(&self) -> Duration {
        Duration::from_millis(self.p90_ms)
    }
}

/// What is done in a part of a step.
fn part_of(plan: &Plan, (address, part): &Key, step: Option<Action>) -> Action {
    match (part, step) {
        (Part::Remove(_), Some(Action::Forget)) => Action::Forget,
        (Part::Remove(instance), _) => {
            let forgets = |s: &Step| {
                s.address == *address && s.instance.as_ref() == Some(instance) && s.action == Action::Forget
            };
            if plan.steps.iter().any(forgets) { Action::Forget } else { Action::Delete }
        }
        (Part::Make, Some(action)) if action.replaces() => Action::Create,
        (Part::Make, action) => action.unwrap_or(Action::Keep),
    }
}

/// When half, and when nine of ten, of many runs are done.
pub(crate) fn total(
    schedule: &Schedule<Key>,
    at_once: usize,
    spread: impl Fn(&Key) -> Spread,
) -> (Duration, Duration) {
    let spreads: Vec<Spread> = schedule.keys().iter().map(spread).collect();
    if spreads.is_empty() {
        return (Duration::ZERO, Duration::ZERO);
    }
    let usual: Vec<u64> = spreads.iter().map(Spread::p50_ms).collect();
    // As `apply` does: the order comes from what is usual, whatever the steps then take.
    let priority = schedule.priorities(&usual);
    let runs = (PLAYED / spreads.len()).clamp(10, 400);
    let mut normal = Normal(1);
    let mut ends: Vec<u64> = (0..runs)
        .map(|_| {
            let takes: Vec<u64> = spreads.iter().map(|s| s.at(normal.next())).collect();
            end(&schedule.play(at_once, &priority, &takes))
        })
        .collect();
    ends.sort_unstable();
    let below =
        |percent: usize| Duration::from_millis(ends[(ends.len() * percent / 100).min(ends.len() - 1)]);
    (below(50), below(90))
}

fn end(slots: &[Slot]) -> u64 {
    slots.iter().map(|s| s.end).max().unwrap_or_default()
}

/// From the step that ends last backwards: what each waited for, be it what it needs or only a free slot.
fn critical(schedule: &Schedule<Key>, slots: &[Slot]) -> BTreeSet<usize> {
    let mut out = BTreeSet::new();
    let mut next = (0..slots.len()).max_by_key(|i| slots[*i].end);
    while let Some(i) = next {
        out.insert(i);
        let start = slots[i].start;
        let needed = schedule.after(i).iter().copied();
        // What takes no time holds nothing up, and could lead around in circles.
        let held = |j: &usize| slots[*j].end == start && slots[*j].start < start;
        next = needed.clone().find(held).or_else(|| {
            let freed = (0..slots.len()).find(held);
            freed.filter(|_| start > 0)
        });
    }
    out
}

/// How long each part of `plan` takes.
pub(crate) fn times(plan: &Plan, state: &State, registry: &Registry) -> BTreeMap<Key, Spread> {
    let mut out = BTreeMap::new();
    for step in &plan.steps {
        let removes = step.action.removes() || step.action == Action::Forget;
        if let (true, Some(instance)) = (removes, &step.instance) {
            let key = (step.address.clone(), Part::Remove(instance.clone()));
            out.insert(key, spread(step, Some(Act::Delete), state, registry));
        }
        let act = match step.action {
            Action::Create | Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => Some(Act::Create),
            Action::Update => Some(Act::Update),
            Action::Adopt => Some(Act::Adopt),
            Action::Wait | Action::Record | Action::Keep => None,
            Action::Delete | Action::Forget => continue,
        };
        out.insert((step.address.clone(), Part::Make), spread(step, act, state, registry));
    }
    out
}

fn spread(step: &Step, act: Option<Act>, state: &State, registry: &Registry) -> Spread {
    // Nothing of these reaches the cloud.
    if matches!(step.action, Action::Record | Action::Forget) {
        return Spread::default();
    }
    let kind = registry.get(&step.kind);
    let usual = kind.map(|k| k.timing().typical).unwrap_or_default();
    let (usual, seen) = match act {
        None => (usual, vec![]),
        Some(act) => {
            let longer = kind.filter(|_| act != Act::Delete).map(|k| k.takes_longer(step.wanted.as_json()));
            let usual = if act == Act::Create { usual } else { usual / 2 } + longer.unwrap_or_default();
            (usual, state.durations.of(&step.kind, act, &step.place))
        }
    };
    Spread::new(usual, &seen)
}

/// How long something takes: about so long, and how much that varies. Durations spread evenly on a logarithmic scale:
/// twice as long is as likely as half as long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The logarithm of the middle, in milliseconds.
    middle: f64,
    /// The standard deviation of the logarithm.
    width: f64,
    /// How many durations it was learned from.
    pub seen: usize,
}

impl Default for Spread {
    /// No time at all.
    fn default() -> Self {
        Spread { middle: f64::NEG_INFINITY, width: 0.0, seen: 0 }
    }
}

impl Spread {
    /// From durations in milliseconds; `usual` is taken while there are none.
    pub fn new(usual: Duration, seen: &[u64]) -> Self {
        let count = seen.len();
        if count == 0 {
            let middle = if usual.is_zero() { f64::NEG_INFINITY } else { logarithm(milliseconds(usual)) };
            return Spread { middle, width: UNSEEN, seen: 0 };
        }
        let n = count as f64;
        let middle = seen.iter().map(|ms| logarithm(*ms)).sum::<f64>() / n;
        let squares: f64 = seen.iter().map(|ms| (logarithm(*ms) - middle).powi(2)).sum();
        // What nobody knows yet counts like one duration more; and a middle of a few is not sure itself.
        let variance = (UNSEEN * UNSEEN + squares) / n * (1.0 + 1.0 / n);
        Spread { middle, width: variance.sqrt(), seen: count }
    }

    /// The duration that lies `deviations` above the middle, in milliseconds.
    fn at(&self, deviations: f64) -> u64 {
        (self.middle + self.width * deviations).exp().round() as u64
    }

    /// Half take less, in milliseconds.
    pub fn p50_ms(&self) -> u64 {
        self.at(0.0)
    }

    /// Nine of ten take less, in milliseconds.
    pub fn p90_ms(&self) -> u64 {
        self.at(P90)
    }

    /// Half take less.
    pub fn p50(&self) -> Duration {
        Duration::from_millis(self.p50_ms())
    }

    /// 19 of 20 take less.
    pub fn p95(&self) -> Duration {
        Duration::from_millis(self.at(P95))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn logarithm(ms: u64) -> f64 {
    (ms.max(1) as f64).ln()
}

/// Normally distributed numbers, the same every time.
struct Normal(u64);

impl Normal {
    /// Uniform in (0, 1], by SplitMix64.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// By Box and Muller.
    fn next(&mut self) -> f64 {
        let (a, b) = (self.uniform(), self.uniform());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_says_how_long_it_takes_until_the_journal_knows() {
        let unseen = Spread::new(Duration::from_secs(600), &[]);
        assert_eq!((unseen.p50_ms(), unseen.seen), (600_000, 0));
        assert!((1_079_000..1_081_000).contains(&unseen.p90_ms()), "{}", unseen.p90_ms());
        let seen = Spread::new(Duration::from_secs(600), &[300_000; 20]);
        assert_eq!((seen.p50_ms(), seen.seen), (300_000, 20));
        assert!(seen.p90_ms() < 350_000, "{}", seen.p90_ms());
        assert_eq!(Spread::new(Duration::ZERO, &[]).p90_ms(), 0);
    }

    #[test]
    fn one_duration_is_no_certainty() {
        let one = Spread::new(Duration::from_secs(60), &[10_000]);
        let many = Spread::new(Duration::from_secs(60), &[10_000; 10]);
        assert_eq!(one.p50_ms(), many.p50_ms());
        assert!(one.p90_ms() > 18_000 && many.p90_ms() < 13_000, "{} {}", one.p90_ms(), many.p90_ms());
    }

    #[test]
    fn the_middle_and_the_tenth_are_where_they_should_be() {
        let mut normal = Normal(7);
        let drawn: Vec<f64> = (0..20_000).map(|_| normal.next()).collect();
        let below = |z: f64| drawn.iter().filter(|d| **d < z).count() as f64 / drawn.len() as f64;
        assert!((below(0.0) - 0.5).abs() < 0.01 && (below(P90) - 0.9).abs() < 0.01);
        assert!((below(P95) - 0.95).abs() < 0.01);
    }

    #[test]
    fn the_critical_path_goes_through_what_is_needed_and_what_is_in_the_way() {
        let key = |a: &str| (Address::from(a), Part::Make);
        let graph = BTreeMap::from([
            (key("a"), BTreeSet::new()),
            (key("b"), BTreeSet::from([key("a")])),
            (key("c"), BTreeSet::new()),
        ]);
        let schedule = Schedule::new(&graph);
        let takes = [10, 20, 25];
        let path = |at_once| {
            let slots = schedule.play(at_once, &schedule.priorities(&takes), &takes);
            critical(&schedule, &slots).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(path(2), [0, 1]);
        assert_eq!(path(1), [0, 1, 2]);
    }
}
