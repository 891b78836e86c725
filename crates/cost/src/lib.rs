//! What a plan costs each month: before it, and after. By a table of prices that is data, see `prices.json`.
//!
//! On-demand prices in US dollars, without taxes, free tiers, discounts and traffic out of AWS. What rests on a price or a
//! volume that nobody checked is told apart.

mod kinds;
mod table;

pub use table::Table;

use causeway_core::{
    Address,
    journal::State,
    plan::{Action, Plan},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// What a plan costs each month, in US dollars.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// What is recorded costs this.
    pub before: f64,
    /// What is there after the plan costs this.
    pub after: f64,
    /// How much of `after` rests on what nobody checked.
    pub guessed: f64,
    /// What that is.
    pub guesses: BTreeSet<String>,
    /// The most expensive resources after the plan, and what they cost: five at most.
    pub most: Vec<(Address, f64)>,
    /// Resources after the plan that cost something and are in no table.
    pub unpriced: Vec<Address>,
    /// From when the prices are.
    pub date: String,
}

/// One resource, as it is or will be.
#[derive(Clone)]
pub(crate) struct Thing {
    pub(crate) kind: String,
    pub(crate) region: String,
    pub(crate) spec: Json,
    /// What the cloud told of it; null before it is there.
    pub(crate) outputs: Json,
}

/// What one resource costs each month.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Price {
    /// All of it.
    pub(crate) monthly: f64,
    /// How much of that is guessed, and what.
    pub(crate) guessed: f64,
    pub(crate) guesses: BTreeSet<String>,
    /// It costs something, and nobody knows what.
    pub(crate) unknown: bool,
}

/// What `plan` does to the bill of what `state` records.
pub fn of(plan: &Plan, state: &State, table: &Table) -> Cost {
    let recorded = state.records.iter().map(|(address, record)| {
        let request = &record.request;
        let thing = Thing {
            kind: request.kind.clone(),
            region: request.place.label(),
            spec: request.spec.as_json().clone(),
            outputs: record.outputs.clone().unwrap_or_default(),
        };
        (address.clone(), thing)
    });
    let before: BTreeMap<Address, Thing> = recorded.collect();
    let mut after = before.clone();
    for step in plan.steps.iter().filter(|step| !step.leftover) {
        match step.action {
            Action::Delete | Action::Forget => drop(after.remove(&step.address)),
            _ => {
                let outputs =
                    before.get(&step.address).map(|thing| thing.outputs.clone()).unwrap_or_default();
                let thing = Thing {
                    kind: step.kind.clone(),
                    region: step.place.clone(),
                    spec: step.wanted.as_json().clone(),
                    outputs,
                };
                after.insert(step.address.clone(), thing);
            }
        }
    }
    let mut cost = Cost { date: table.date().to_owned(), ..Cost::default() };
    cost.before = before
        .keys()
        .map(|address| kinds::price(address, &before, table).monthly)
        .fold(0.0, |sum, monthly| sum + monthly);
    for address in after.keys() {
        let price = kinds::price(address, &after, table);
        if price.unknown {
            cost.unpriced.push(address.clone());
        }
        if price.monthly > 0.0 {
            cost.most.push((address.clone(), price.monthly));
        }
        cost.after += price.monthly;
        cost.guessed += price.guessed;
        cost.guesses.extend(price.guesses);
    }
    cost.most.sort_by(|a, b| b.1.total_cmp(&a.1));
    cost.most.truncate(5);
    cost
}

impl Cost {
    /// For people; nothing where nothing costs anything.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if self.before == 0.0 && self.after == 0.0 && self.unpriced.is_empty() {
            return out;
        }
        let (before, after) = (dollars(self.before), dollars(self.after));
        let _ = match before == after {
            true => {
                writeln!(out, "Costs about {after} a month, as before (on demand, prices of {}).", self.date)
            }
            false => writeln!(
                out,
                "Costs about {after} a month, and {before} before (on demand, prices of {}).",
                self.date
            ),
        };
        if self.guessed > 0.0 {
            let guesses: Vec<&str> = self.guesses.iter().map(String::as_str).collect();
            let _ = writeln!(out, "Of that guessed: {} ({}).", dollars(self.guessed), guesses.join(", "));
        }
        if !self.most.is_empty() {
            let most: Vec<String> = self
                .most
                .iter()
                .take(3)
                .map(|(address, monthly)| format!("{address} {}", dollars(*monthly)))
                .collect();
            let _ = writeln!(out, "Most of it: {}.", most.join(", "));
        }
        if !self.unpriced.is_empty() {
            let unpriced: Vec<&str> = self.unpriced.iter().map(|address| address.0.as_str()).collect();
            let _ = writeln!(out, "Without a price: {}.", unpriced.join(", "));
        }
        out
    }
}

/// Cents matter below ten dollars.
fn dollars(amount: f64) -> String {
    if amount == 0.0 {
        "$0".to_owned()
    } else if amount < 10.0 {
        format!("${amount:.2}")
    } else {
        format!("${amount:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_has_a_line_of_its_own() {
        let cost = Cost {
            before: 0.4,
            after: 212.0,
            guessed: 7.5,
            guesses: ["traffic through NAT gateways".to_owned()].into(),
            most: vec![(Address::from("database/instance"), 170.2)],
            unpriced: vec![],
            date: "2026-06-17".into(),
        };
        assert_eq!(
            cost.text(),
            "Costs about $212 a month, and $0.40 before (on demand, prices of 2026-06-17).\n\
             Of that guessed: $7.50 (traffic through NAT gateways).\n\
             Most of it: database/instance $170.\n"
        );
        assert_eq!(Cost::default().text(), "");
    }
}
