//! What is left out of a plan: what was not asked for, and what cannot be done now.

use super::{Action, Conflict, Planner, Step};
use crate::value::Address;
use std::collections::BTreeSet;

impl Planner<'_> {
    /// Leaves out what was not asked for, and says what is missing then.
    pub(super) fn limit(&mut self) {
        self.wait();
        let (options, stack, state) = (self.options, self.stack, self.state);
        let place = |a: &Address| {
            let recorded =
                || state.incarnations().find(|(b, _)| *b == a).map(|(_, r)| r.request.place.label());
            stack.nodes().get(a).map(|n| n.place.label()).or_else(recorded).unwrap_or_default()
        };
        let wants = |a: &Address| options.wants(a, &place(a));
        self.plan.away = self.waiting.told(self.observed, stack, wants);
        let waiting = &self.waiting;
        self.plan.notes.retain(|c| !waiting.holds(&c.address));
        self.plan.conflicts.retain(|c| wants(&c.address) && !waiting.holds(&c.address));
        self.plan.claims.retain(|c| wants(&c.address) && !waiting.holds(&c.address));
        let steps = std::mem::take(&mut self.plan.steps);
        let (kept, left): (Vec<Step>, Vec<Step>) =
            steps.into_iter().partition(|s| options.wants(&s.address, &s.place));
        for step in &kept {
            let missing: Vec<String> = left.iter().filter_map(|l| self.missing(step, l)).collect();
            self.plan
                .conflicts
                .extend(missing.into_iter().map(|why| Conflict { address: step.address.clone(), why }));
        }
        let visible = |s: &&Step| !matches!(s.action, Action::Record | Action::Forget);
        self.plan.left_out = left.iter().filter(visible).map(|s| s.address.clone()).collect();
        self.plan.steps = kept;
    }

    /// Takes out what cannot be done while a place is away: nothing is removed from under what waits there, and nothing
    /// is done that needs what stays for that.
    fn wait(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut held: Vec<Step> = vec![];
        loop {
            let (mut kept, mut stays) = (vec![], vec![]);
            for step in std::mem::take(&mut self.plan.steps) {
                let causes = self.needed_by(&step, &held);
                if causes.is_empty() { kept.push(step) } else { stays.push((step, causes)) }
            }
            self.plan.steps = kept;
            if stays.is_empty() {
                return;
            }
            for (step, causes) in stays {
                self.waiting.join(&step.address, &causes);
                held.push(step);
            }
        }
    }

    /// What waits and keeps `step` from being done.
    fn needed_by(&self, step: &Step, held: &[Step]) -> BTreeSet<Address> {
        let removes = step.instance.is_some() && step.action.removes();
        let above = self.state.incarnations().filter(|(a, r)| {
            removes && self.waiting.holds(a) && **a != step.address && r.request.after.contains(&step.address)
        });
        let missing = held.iter().filter(|l| l.address == step.address || self.missing(step, l).is_some());
        above.map(|(a, _)| a).chain(missing.map(|l| &l.address)).cloned().collect()
    }

    /// Why `step` cannot be done without `left`.
    fn missing(&self, step: &Step, left: &Step) -> Option<String> {
        let (address, leaves) = (&left.address, step.action == Action::Delete || step.leftover);
        let node = self.stack.nodes().get(&step.address).filter(|_| !leaves);
        if node.is_some_and(|n| n.after.contains(address)) && !left.leftover {
            let what = match left.action {
                Action::Create | Action::Adopt | Action::Wait => "is not there yet",
                Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "is to be replaced",
                // What is there already can be changed later.
                _ => return None,
            };
            return Some(format!("needs `{address}`, which was left out and {what}; choose both or neither"));
        }
        let gone = step.instance.as_ref().filter(|_| step.action.removes())?;
        let stays = left.instance.as_ref()?;
        let find =
            |a: &Address, i: &String| self.state.incarnations().find(|(b, r)| *b == a && r.instance == *i);
        let (_, dependent) = find(address, stays)?;
        find(&step.address, gone)?;
        let stays = !matches!(left.action, Action::Record | Action::Forget);
        (stays && dependent.request.after.contains(&step.address)).then(|| {
            format!("is needed by `{address}`, which was left out and is still there; choose both or neither")
        })
    }
}
