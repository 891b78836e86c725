//! What goes wrong, call by call.

use super::{Refusal, SimCloud, Verb, World, refusal};
use crate::error::Class;
use std::time::Duration;

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refused for its rate, without effect.
    Throttled,
    /// A server error before the effect.
    LostBefore,
    /// A server error after the effect.
    LostAfter,
    /// Cannot be done yet.
    NotNow,
    /// Refused for good.
    Refused,
    /// Accepted, and nothing comes of it.
    Ignored,
    /// A create is accepted, and what it made never comes right; it keeps its name.
    Stillborn,
    /// The credentials may not do it.
    Denied,
    /// A create is accepted, and what it made is not ready before every timeout has passed.
    Stuck,
}

/// Longer than any simulated kind waits.
pub(super) const STUCK: Duration = Duration::from_secs(3000);

/// Which calls a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Every one.
    Always,
    /// The first so many.
    First(u64),
    /// Only this one, counted from 1.
    Nth(u64),
    /// This share, in percent, chosen by the seed.
    Percent(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    kind: Option<&'static str>,
    verb: Verb,
    when: When,
    fault: Fault,
    seen: u64,
}

impl World {
    pub(super) fn fault(&mut self, kind: &str, verb: Verb) -> Option<Fault> {
        let mut hit = None;
        for i in 0..self.rules.len() {
            let rule = &mut self.rules[i];
            if rule.verb != verb || rule.kind.is_some_and(|k| k != kind) {
                continue;
            }
            rule.seen += 1;
            let (when, seen, fault) = (rule.when, rule.seen, rule.fault.clone());
            let hits = match when {
                When::Always => true,
                When::First(n) => seen <= n,
                When::Nth(n) => seen == n,
                When::Percent(p) => self.random() % 100 < p,
            };
            if hits && hit.is_none() {
                hit = Some(fault);
            }
        }
        hit
    }
}

impl SimCloud {
    /// Calls of `kind` (any kind if none) and `verb` go wrong.
    pub fn fault(&self, kind: Option<&'static str>, verb: Verb, when: When, fault: Fault) {
        self.with(|w| w.rules.push(Rule { kind, verb, when, fault, seen: 0 }));
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.with(|w| w.rules.clear());
    }

    /// Cuts `region` off: calls to it have no effect, and what is under way is not answered.
    pub fn cut(&self, region: &str) {
        self.with(|w| w.cut.insert(region.to_owned()));
    }

    /// `region` can be reached again.
    pub fn reconnect(&self, region: &str) {
        self.with(|w| w.cut.remove(region));
    }

    /// Whether a call to this region is lost now.
    pub(super) fn reached(&self) -> Result<(), Refusal> {
        match self.with(|w| w.cut.contains(&self.region)) {
            true => Err(refusal("Unreachable", Class::Transient, format!("no way to {}", self.region))),
            false => Ok(()),
        }
    }
}
