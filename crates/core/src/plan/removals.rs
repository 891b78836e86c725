//! What is recorded and not wanted any more.

use super::{Action, PlanError, Planner, Step, owner::passed_on};
use crate::{
    diff::Diff,
    journal::{Phase, Record},
    observe::kind_of,
    resource::Owner,
    secret::Sealed,
    undo,
    value::Address,
};
use std::collections::{BTreeMap, BTreeSet};

impl Planner<'_> {
    /// Removals of what is recorded and not wanted, each after what depends on it.
    pub(super) fn removals(&mut self) -> Result<(), PlanError> {
        let mut removed: Vec<(&Address, &Record, bool)> = vec![];
        for (address, record) in self.state.incarnations() {
            let back = self.back.get(address);
            if back == Some(&record.instance) || self.waiting.holds(address) {
                continue;
            }
            let leftover = back.is_some() || !self.is_current(address, &record.instance);
            if leftover || !self.stack.nodes().contains_key(address) {
                removed.push((address, record, leftover));
            }
        }
        let edges: BTreeMap<(&Address, &str), BTreeSet<(&Address, &str)>> = removed
            .iter()
            .map(|(a, r, _)| {
                let dependents = removed.iter().filter(|(_, d, _)| d.request.after.contains(*a));
                ((*a, r.instance.as_str()), dependents.map(|(b, d, _)| (*b, d.instance.as_str())).collect())
            })
            .collect();
        let order = crate::schedule::order(&edges).unwrap_or_else(|_| edges.keys().copied().collect());
        for (address, instance) in order {
            let Some((_, record, leftover)) =
                removed.iter().find(|(a, r, _)| *a == address && r.instance == instance).copied()
            else {
                continue;
            };
            let kind = kind_of(self.registry, address, &record.request.kind)?;
            let live = if self.is_current(address, instance) {
                self.observed.live.get(address)
            } else {
                self.observed.leftovers.get(&(address.clone(), instance.to_owned()))
            };
            // Under a fixed name there may be the next incarnation by now, or somebody else's thing.
            let live = live.filter(|l| match &l.owner {
                Owner::Tagged { instance: theirs, .. } => theirs == instance,
                Owner::Parent => !passed_on(kind.as_ref(), self.state, address, record),
                Owner::Nobody | Owner::Anybody => true,
            });
            let unsure = record.phase == Phase::Creating && kind.recovery().identity().is_empty();
            let along = live.map(|live| kind.takes_along(&live.spec)).filter(|along| !along.is_empty());
            let along = along.map(|along| format!("takes along {}", along.join(", ")));
            let (action, why) = match live {
                Some(_) if kind.retain() => (Action::Forget, Some("stays where it is".to_owned())),
                Some(_) if self.back.contains_key(address) => {
                    (Action::Delete, Some("was to replace what stays".to_owned()))
                }
                Some(_) if leftover => (Action::Delete, Some("was replaced".to_owned())),
                Some(_) => (Action::Delete, along),
                None if unsure => {
                    let why = "may have been created when the last run ended: looked for once more";
                    (Action::Delete, Some(why.to_owned()))
                }
                None => (Action::Forget, Some("is not there any more".to_owned())),
            };
            let data = live.map_or(kind.data(), |live| kind.holds_data(&live.spec));
            self.plan.steps.push(Step {
                address: address.clone(),
                kind: record.request.kind.clone(),
                place: record.request.place.label(),
                action,
                instance: Some(instance.to_owned()),
                wanted: Sealed::default(),
                diff: Diff::default(),
                why,
                data,
                holds: kind.holds().map(str::to_owned),
                protect: record.request.protect,
                leftover,
                undo: undo::of(kind.as_ref(), action, &Diff::default(), data),
            });
        }
        Ok(())
    }
}
