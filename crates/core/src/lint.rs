//! Lints: what speaks against the wanted resources themselves, whichever stack wants them.
//!
//! Whoever registers kinds registers their lints beside them, so every program that knows a kind has them. A lint is pure:
//! it sees what is wanted as far as that is known, and never judges what is not known yet. Only what a plan makes or
//! changes is refused; what stands is nobody's news. [`Rules::allow`] lets a lint's findings be.

use crate::{
    guard::{Refusal, Rules},
    registry::Registry,
    value::Address,
    wanted::Wanted,
};
use std::collections::BTreeSet;

/// One lint.
#[derive(Clone, Copy, Debug)]
pub struct Lint {
    /// What it is allowed by, and shown with: `kebab-case`.
    pub name: &'static str,
    /// What it finds in the wanted resources. It may find something in what is not touched too: that is left out.
    pub judge: fn(&[Wanted], &Rules) -> Vec<Breach>,
}

/// Something that a lint found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which resource.
    pub address: Address,
    /// Which field of it.
    pub field: String,
    /// What is wrong with it, after the name of the field: `opens port 22 to the whole internet`.
    pub why: String,
    /// What to do about it, as a command: `narrow the range`.
    pub remedy: String,
}

impl Breach {
    /// Of `field` of `wanted`.
    pub fn of(
        wanted: &Wanted,
        field: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Breach {
            address: wanted.address.clone(),
            field: field.into(),
            why: why.into(),
            remedy: remedy.into(),
        }
    }
}

/// What the lints of `registry` refuse of `wanted`, in the order of the addresses.
pub fn lint(registry: &Registry, wanted: &[Wanted], rules: &Rules) -> Vec<Refusal> {
    let touched: BTreeSet<&Address> = wanted.iter().filter(|w| w.is_touched()).map(|w| &w.address).collect();
    let mut out = vec![];
    for lint in registry.lints().filter(|lint| !rules.allow.contains(lint.name)) {
        let found = (lint.judge)(wanted, rules);
        out.extend(found.into_iter().filter(|b| touched.contains(&b.address)).map(|b| refusal(lint, b)));
    }
    out.sort_by(|a, b| a.address.cmp(&b.address));
    out
}

fn refusal(lint: &Lint, breach: Breach) -> Refusal {
    let Breach { address, field, why, remedy } = breach;
    let name = lint.name;
    let why = format!("`{field}` {why}; {remedy}, or let it be: allow = [\"{name}\"] in [guard]");
    Refusal { address: Some(address), rule: name.to_owned(), field: Some(field), why }
}
