//! Renames: a resource that stands elsewhere in the stack than when it was made, and stays what it is.
//!
//! A [`Moved`] is a statement about the past, so it may stay in the stack for as long as some journal still needs it:
//! where nothing is recorded at the old place it says nothing. A plan starts from the journal with all of them applied,
//! and an apply writes them as one entry, before anything else is begun. The cloud keeps what it has; only the
//! ownership tag that holds the address is changed, as any other tag.

use crate::{
    journal::State,
    plan::Conflict,
    stack::{Node, Stack},
    value::Address,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What was at one address is now at another. `network/*` to `net/*` moves everything that is under `network`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Where it was.
    pub from: String,
    /// Where it is now.
    pub to: String,
}

/// Why a [`Moved`] makes no sense, whatever the journal says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MovedError {
    /// A star that does not stand for a whole subtree, or on one side only.
    #[error("`{from}` cannot move to `{to}`: write two addresses, or `/*` at the end of both")]
    Pattern {
        /// As it was written.
        from: String,
        /// As it was written.
        to: String,
    },
    /// One address is to move to two.
    #[error("`{from}` is said to have moved to `{one}` and to `{other}`; keep one of them")]
    Twice {
        /// From where.
        from: String,
        /// To where.
        one: String,
        /// And to where.
        other: String,
    },
    /// Following the statements leads back.
    #[error("the moves go round: {}; keep the last one only", around.join(" -> "))]
    Circle {
        /// Once around.
        around: Vec<String>,
    },
    /// The old address is in use.
    #[error(
        "`{from}` is said to have moved to `{to}`, and is wanted itself; give the new one another address"
    )]
    StillWanted {
        /// The address.
        from: Address,
        /// Where it would be now.
        to: Address,
    },
}

impl MovedError {
    /// The `from` of the statement that it is about.
    pub fn statement(&self) -> &str {
        match self {
            MovedError::Pattern { from, .. } | MovedError::Twice { from, .. } => from,
            MovedError::Circle { around } => around.first().map_or("", String::as_str),
            MovedError::StillWanted { from, .. } => &from.0,
        }
    }
}

impl Moved {
    /// From one address, or everything under it, to another.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Moved { from: from.into(), to: to.into() }
    }

    /// Where `address` is now, if this is about it.
    pub fn of(&self, address: &Address) -> Option<Address> {
        match (subtree(&self.from), subtree(&self.to)) {
            (Some(from), Some(to)) => {
                let rest = address.0.strip_prefix(from).filter(|rest| !rest.is_empty())?;
                Some(Address(format!("{to}{rest}")))
            }
            _ => (self.from == address.0).then(|| Address(self.to.clone())),
        }
    }

    fn is_sound(&self) -> bool {
        let plain = |text: &str| !text.is_empty() && !text.contains('*') && !text.starts_with('/');
        match (subtree(&self.from), subtree(&self.to)) {
            (Some(from), Some(to)) => plain(from) && plain(to),
            (None, None) => plain(&self.from) && plain(&self.to),
            _ => false,
        }
    }
}

/// `network/` of `network/*`.
fn subtree(pattern: &str) -> Option<&str> {
    pattern.strip_suffix('*').filter(|head| head.ends_with('/'))
}

/// Where `address` is now after all of `moves`, of which the most exact counts first.
///
/// # Errors
/// The way around, where following them leads back or never ends.
pub(crate) fn follow(moves: &BTreeSet<Moved>, address: &Address) -> Result<Address, Vec<String>> {
    let mut at = address.clone();
    let mut used: Vec<&Moved> = vec![];
    let mut around = vec![at.0.clone()];
    loop {
        let fitting = moves.iter().filter_map(|m| Some((m, m.of(&at)?)));
        let Some((statement, to)) = fitting.max_by_key(|(m, _)| (subtree(&m.from).is_none(), m.from.len()))
        else {
            return Ok(at);
        };
        around.push(to.0.clone());
        if used.contains(&statement) {
            return Err(around);
        }
        used.push(statement);
        at = to;
    }
}

/// All that makes no sense in `moves` for a stack with `nodes`.
pub(crate) fn check(moves: &BTreeSet<Moved>, nodes: &BTreeMap<Address, Node>) -> Vec<MovedError> {
    let mut out: Vec<MovedError> = vec![];
    for moved in moves.iter().filter(|m| !m.is_sound()) {
        out.push(MovedError::Pattern { from: moved.from.clone(), to: moved.to.clone() });
    }
    for (one, other) in moves.iter().zip(moves.iter().skip(1)).filter(|(a, b)| a.from == b.from) {
        let (from, one, other) = (one.from.clone(), one.to.clone(), other.to.clone());
        out.push(MovedError::Twice { from, one, other });
    }
    if !out.is_empty() {
        return out;
    }
    for moved in moves {
        // Any name will do under a pattern, as long as it is one.
        let start = subtree(&moved.from).map_or_else(|| moved.from.clone(), |head| format!("{head}.."));
        if let Err(around) = follow(moves, &Address(start)) {
            out.push(MovedError::Circle { around });
        }
    }
    if !out.is_empty() {
        // One circle is found from each of its parts.
        out.truncate(1);
        return out;
    }
    for address in nodes.keys() {
        match follow(moves, address) {
            Ok(to) if to != *address => out.push(MovedError::StillWanted { from: address.clone(), to }),
            _ => {}
        }
    }
    out
}

/// `state` as it is once the moves of `stack` are made, which addresses those change, and what is in their way.
pub(crate) fn applied(stack: &Stack, state: &State) -> (State, BTreeMap<Address, Address>, Vec<Conflict>) {
    let (mut moves, mut conflicts) = (BTreeMap::new(), vec![]);
    if stack.moves().is_empty() {
        return (state.clone(), moves, conflicts);
    }
    let recorded: BTreeSet<&Address> = state.records.keys().chain(state.leftovers.keys()).collect();
    for from in &recorded {
        match follow(stack.moves(), from) {
            Ok(to) if to != **from => drop(moves.insert((*from).clone(), to)),
            _ => {}
        }
    }
    let mut targets: BTreeMap<Address, Vec<Address>> = BTreeMap::new();
    for (from, to) in &moves {
        targets.entry(to.clone()).or_default().push(from.clone());
    }
    for (to, from) in targets {
        let why = if from.len() > 1 {
            let names: Vec<String> = from.iter().map(|a| format!("`{a}`")).collect();
            Some(format!(
                "{} cannot all become `{to}`; move them to different addresses",
                names.join(" and ")
            ))
        } else if recorded.contains(&to) && !moves.contains_key(&to) {
            Some(format!(
                "cannot become `{to}`, which the journal has already: take the `moved` out to have the old one deleted, \
                 or give the new one another address"
            ))
        } else if !stack.nodes().contains_key(&to) {
            Some(format!(
                "cannot become `{to}`, which is not wanted: mend the address, or take the `moved` out to have it deleted"
            ))
        } else {
            None
        };
        if let Some(why) = why {
            for address in from {
                moves.remove(&address);
                conflicts.push(Conflict { address, why: why.clone() });
            }
        }
    }
    let mut after = state.clone();
    match after.rename(&moves) {
        Ok(()) => (after, moves, conflicts),
        // One that is in the way of another was itself refused above.
        Err(why) => {
            conflicts.extend(moves.into_keys().map(|address| Conflict { address, why: why.clone() }));
            (state.clone(), BTreeMap::new(), conflicts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(all: &[(&str, &str)]) -> BTreeSet<Moved> {
        all.iter().map(|(from, to)| Moved::new(*from, *to)).collect()
    }

    fn now(all: &[(&str, &str)], address: &str) -> String {
        follow(&moves(all), &Address::from(address)).unwrap().0
    }

    #[test]
    fn chains_are_followed_and_the_most_exact_counts() {
        assert_eq!(now(&[("a", "b"), ("b", "c")], "a"), "c");
        assert_eq!(now(&[("a", "b"), ("b", "c")], "x"), "x");
        assert_eq!(now(&[("net/*", "network/*")], "net/vpc/a"), "network/vpc/a");
        assert_eq!(now(&[("net/*", "network/*")], "net"), "net");
        assert_eq!(now(&[("net/*", "network/*")], "network/vpc"), "network/vpc");
        assert_eq!(now(&[("net/*", "network/*"), ("net/a", "other")], "net/a"), "other");
        assert_eq!(now(&[("a/b/*", "a/*")], "a/b/c"), "a/c");
        assert_eq!(now(&[("net/*", "n/*"), ("n/*", "network/*")], "net/vpc"), "network/vpc");
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let wrong =
            |all: &[(&str, &str)]| check(&moves(all), &BTreeMap::new()).first().map(ToString::to_string);
        assert_eq!(wrong(&[("a", "b"), ("b", "c")]), None);
        for (from, to) in
            [("a*", "b*"), ("a/*", "b"), ("a", "b/*"), ("*", "b/*"), ("", "b"), ("a/*/c", "b"), ("/*", "b/*")]
        {
            let why = wrong(&[(from, to)]).unwrap_or_default();
            assert!(why.contains("write two addresses"), "{from} to {to}: {why}");
        }
        assert_eq!(
            wrong(&[("a", "b"), ("a", "c")]).unwrap(),
            "`a` is said to have moved to `b` and to `c`; keep one of them"
        );
        assert_eq!(
            wrong(&[("a", "b"), ("b", "a")]).unwrap(),
            "the moves go round: a -> b -> a -> b; keep the last one only"
        );
        assert!(wrong(&[("a/*", "a/b/*")]).unwrap().contains("go round"), "a subtree into itself");
        assert!(wrong(&[("a", "a")]).unwrap().contains("go round"));
        assert!(wrong(&[("a/*", "b/*"), ("b/x", "a/x")]).unwrap().contains("go round"));
    }
}
