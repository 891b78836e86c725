//! What is promised, looked at from outside: the calls that the cloud saw, the journal, the events.

use super::{Ended, Machine, Ran, shape::CANARY};
use causeway_core::{
    Address,
    event::Event,
    journal::{Act, Entry, Phase, State},
    plan::{Action, Step},
    testing::sim::{Call, Verb},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Whether `step` allows `call`.
fn allows(step: &Step, call: &Call) -> bool {
    let this = step.instance.as_ref() == Some(&call.instance);
    match (step.action, call.verb) {
        (_, Verb::Read) => true,
        (Action::Create, verb) => verb != Verb::Delete,
        (Action::Update, verb) => {
            // What an earlier run began to make is made to its end.
            verb == Verb::Update && this
        }
        (Action::Adopt, verb) => verb == Verb::Update,
        (Action::Delete, verb) => verb == Verb::Delete && this,
        // The old one is removed, or turns out to be good enough; the new one is made.
        (Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst, Verb::Delete) => this,
        (Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst, Verb::Create) => !this,
        (Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst, Verb::Update) => true,
        (Action::Keep | Action::Wait | Action::Forget | Action::Record, _) => false,
    }
}

impl Machine {
    /// What must hold at every moment, whatever just happened.
    pub(super) fn now(&mut self) {
        let state = match State::fold(&self.sim.store.entries()) {
            Ok(state) => state,
            Err(e) => return self.found(11, e.to_string()),
        };
        let (orphans, duplicates) = (self.sim.cloud.orphans(&state), self.sim.cloud.duplicates());
        if !orphans.is_empty() {
            self.found(1, format!("orphans: {}", orphans.join(", ")));
        }
        if !duplicates.is_empty() {
            self.found(2, format!("duplicates: {}", duplicates.join(", ")));
        }
    }

    /// What must hold after one run.
    pub(super) fn after_run(&mut self, ran: &Ran) {
        let calls = self.sim.cloud.calls()[ran.calls.clone()].to_vec();
        self.not_more_than_planned(ran, &calls);
        self.no_data_lost(ran, &calls);
        self.in_order(ran);
        self.not_after_a_stop(ran);
        self.not_too_many(ran);
    }

    fn not_more_than_planned(&mut self, ran: &Ran, calls: &[Call]) {
        for call in calls {
            let mut steps = ran.plan.steps.iter().filter(|s| s.address.0 == call.address);
            if !steps.any(|s| allows(s, call)) {
                self.found(5, format!("{call:?} is not in the plan"));
            }
        }
    }

    fn no_data_lost(&mut self, ran: &Ran, calls: &[Call]) {
        for call in calls.iter().filter(|c| c.verb == Verb::Delete) {
            let address = Address(call.address.clone());
            if call.kind == "sim.database" && !ran.rules.permits.contains(&address) {
                self.found(8, format!("{call:?} without a permit"));
            }
            let current = ran.before.records.get(&address).filter(|r| r.instance == call.instance);
            let filled = current.is_some_and(|r| r.outputs.is_some() && r.phase != Phase::Creating);
            let copied = self.sim.cloud.copies().iter().any(|copy| copy.ends_with(&call.instance));
            if call.kind == "sim.database" && call.effect && filled && !copied {
                self.found(8, format!("{call:?} without a copy of its data"));
            }
            let lifted = ran.plan.step(&address).is_some_and(|s| !s.protect);
            if current.is_some_and(|r| r.request.protect) && !lifted {
                self.found(8, format!("{call:?} of what is protected"));
            }
        }
    }

    fn in_order(&mut self, ran: &Ran) {
        let entries = self.sim.store.entries();
        let mut state = State::fold(&entries[..ran.entries.start]).unwrap_or_default();
        for stamped in &entries[ran.entries.clone()] {
            match &stamped.entry {
                Entry::Begin { address, act: Act::Create | Act::Update, request, .. } => {
                    for needed in &request.after {
                        let durable = state.records.get(needed).is_some_and(|r| r.outputs.is_some());
                        if !durable {
                            self.found(6, format!("`{address}` began before `{needed}` was durable"));
                        }
                    }
                }
                Entry::Begin { address, act: Act::Delete, instance, .. } => {
                    let goes = ran
                        .plan
                        .steps
                        .iter()
                        .any(|s| s.action == Action::Delete && s.address == *address && !s.leftover);
                    let users: Vec<String> = state
                        .incarnations()
                        .filter(|(a, r)| *a != address && r.request.after.contains(address))
                        .map(|(a, r)| format!("{a} ({})", r.instance))
                        .collect();
                    if goes && !users.is_empty() {
                        let users = users.join(", ");
                        self.found(6, format!("`{address}` ({instance}) went before {users}"));
                    }
                }
                _ => {}
            }
            if state.push(stamped).is_err() {
                return;
            }
        }
    }

    fn not_after_a_stop(&mut self, ran: &Ran) {
        let Some((at, aborted)) = ran.stopped else { return };
        for (when, event) in &ran.events {
            if matches!(event, Event::Begun { .. }) && *when > at {
                self.found(12, format!("{event:?} at {when:?}, stopped at {at:?}"));
            }
        }
        if aborted && ran.took.saturating_sub(at) > Duration::from_secs(1) {
            self.found(12, format!("it went on for {:?} after it was aborted", ran.took - at));
        }
        if !aborted && let Ended::Reported(report) = &ran.ended {
            let open = |a: &&Address| {
                let state = self.sim.state();
                let unfinished = state.records.get(*a).is_some_and(|r| r.phase != Phase::Ready);
                let failed = report.failed.iter().any(|(f, _)| f == *a);
                unfinished && !failed && !ran.before.records.contains_key(*a)
            };
            let begun = ran.plan.steps.iter().map(|s| &s.address).filter(open).cloned().collect::<Vec<_>>();
            if !begun.is_empty() {
                self.found(12, format!("{begun:?} did not come to their end"));
            }
        }
    }

    /// Never more than asked for; and where nothing goes wrong, the run takes at most what any greedy order takes:
    /// the longest path and what is left of the work, shared (Graham).
    fn not_too_many(&mut self, ran: &Ran) {
        let mut running: BTreeMap<&Address, (usize, Duration)> = BTreeMap::new();
        let (mut now, mut most, mut work) = (0usize, 0usize, Duration::ZERO);
        let mut took: BTreeMap<&Address, Duration> = BTreeMap::new();
        for (at, event) in &ran.events {
            match event {
                Event::Begun { address, .. } => {
                    now += 1;
                    running.entry(address).or_insert((0, *at)).0 += 1;
                }
                Event::Done { address, .. } | Event::Failed { address, .. } => {
                    now = now.saturating_sub(1);
                    if let Some((n, since)) = running.get_mut(address) {
                        *n = n.saturating_sub(1);
                        let spent = at.saturating_sub(*since);
                        *since = *at;
                        work += spent;
                        *took.entry(address).or_default() += spent;
                    }
                }
                _ => {}
            }
            most = most.max(now);
        }
        if most > ran.at_once {
            self.found(13, format!("{most} at once where {} are allowed", ran.at_once));
        }
        let creates = ran.plan.steps.iter().all(|s| matches!(s.action, Action::Create | Action::Wait));
        if ran.calm && creates && ran.is_complete() && ran.before.records.is_empty() {
            let critical = self.critical_path(ran, &took);
            let shared = work / u32::try_from(ran.at_once).unwrap_or(1);
            // Events are told at once; a little for the journal's own time.
            let bound = critical + shared + Duration::from_millis(50);
            if ran.took > bound {
                let why =
                    format!("it took {:?}; the longest path is {critical:?}, the work {work:?}", ran.took);
                self.found(13, why);
            }
        }
    }

    fn critical_path(&self, ran: &Ran, took: &BTreeMap<&Address, Duration>) -> Duration {
        let state = self.sim.state();
        let mut longest: BTreeMap<&Address, Duration> = BTreeMap::new();
        // The steps of a plan are in order.
        for step in &ran.plan.steps {
            let after = state.records.get(&step.address).map(|r| &r.request.after);
            let before = after.into_iter().flatten().filter_map(|a| longest.get(a)).max().copied();
            let own = took.get(&step.address).copied().unwrap_or_default();
            longest.insert(&step.address, before.unwrap_or_default() + own);
        }
        longest.values().max().copied().unwrap_or_default()
    }

    /// What must hold of everything together.
    pub(super) fn at_the_end(&mut self) {
        let entries = self.sim.store.entries();
        self.tell(serde_json::to_string(&entries).unwrap());
        self.tell(format!("{entries:?}"));
        if self.told.contains(CANARY) {
            let at = self.told.find(CANARY).unwrap_or_default();
            let around: String = self.told[at.saturating_sub(200)..].chars().take(260).collect();
            self.found(10, format!("a secret is told: {around}"));
        }
        let mut state = State::default();
        for stamped in &entries {
            let again = serde_json::to_string(stamped).ok().and_then(|t| serde_json::from_str(&t).ok());
            if again.as_ref() != Some(stamped) {
                self.found(11, format!("entry {} does not read back as it was written", stamped.seq));
            }
            if let Err(e) = state.push(stamped) {
                return self.found(11, e.to_string());
            }
            let all: Vec<&str> = state.incarnations().map(|(_, r)| r.instance.as_str()).collect();
            let distinct: BTreeSet<&str> = all.iter().copied().collect();
            if distinct.len() != all.len() {
                self.found(11, format!("after entry {} an incarnation is recorded twice", stamped.seq));
            }
        }
        // No call without its intent in the journal: a writer that was overtaken has none that counts.
        let begun: BTreeSet<(&str, &str)> = entries
            .iter()
            .filter_map(|e| match &e.entry {
                Entry::Begin { address, instance, .. } => Some((address.0.as_str(), instance.as_str())),
                _ => None,
            })
            .collect();
        let calls = self.sim.cloud.calls();
        for call in &calls {
            if !begun.contains(&(call.address.as_str(), call.instance.as_str())) {
                self.found(7, format!("{call:?} without an intent in the journal"));
            }
        }
        let mut made: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let creates = calls.iter().filter(|c| c.verb == Verb::Create && c.effect);
        creates.for_each(|c| *made.entry((&c.address, &c.instance)).or_default() += 1);
        let meddled = self.meddled;
        for ((address, instance), times) in made {
            if times > 1 + meddled {
                self.found(2, format!("`{address}` ({instance}) was made {times} times"));
            }
        }
    }
}
