//! What speaks against resources before they are made: one file a lint.
//!
//! [`register`](crate::register) registers them with the kinds. Their names are for good: they stand in people's files.

#[cfg(feature = "rds")]
mod backups_off;
mod broad_permissions;
#[cfg(feature = "ec2")]
mod open_port;
#[cfg(feature = "eks")]
mod out_of_support;
#[cfg(feature = "ec2")]
mod overlapping_ranges;
#[cfg(feature = "eks")]
mod public_cluster_endpoint;
mod unencrypted_storage;
mod unpinned_version;
mod wildcard_principal;

use crate::policy::{PolicyDocument, Statement};
use causeway_core::{Value, lint::Lint, wanted::Wanted};
use serde::Deserialize;
use serde_json::Value as Json;

/// All lints of the kinds that were compiled in, by name.
pub const LINTS: &[Lint] = &[
    #[cfg(feature = "rds")]
    Lint { name: "backups-off", judge: backups_off::judge },
    Lint { name: "broad-permissions", judge: broad_permissions::judge },
    #[cfg(feature = "ec2")]
    Lint { name: "open-port", judge: open_port::judge },
    #[cfg(feature = "eks")]
    Lint { name: "out-of-support", judge: out_of_support::judge },
    #[cfg(feature = "ec2")]
    Lint { name: "overlapping-ranges", judge: overlapping_ranges::judge },
    #[cfg(feature = "eks")]
    Lint { name: "public-cluster-endpoint", judge: public_cluster_endpoint::judge },
    Lint { name: "unencrypted-storage", judge: unencrypted_storage::judge },
    Lint { name: "unpinned-version", judge: unpinned_version::judge },
    Lint { name: "wildcard-principal", judge: wildcard_principal::judge },
];

/// A policy in a wanted resource, whatever its kind.
pub(crate) struct Attached<'a> {
    pub(crate) wanted: &'a Wanted,
    /// The field that it stands in, with dots between the keys.
    field: String,
    pub(crate) document: PolicyDocument,
}

/// Every policy in `wanted`: a document is known by its shape, so that no kind is forgotten.
pub(crate) fn policies(wanted: &[Wanted]) -> Vec<Attached<'_>> {
    let mut out = vec![];
    for one in wanted {
        find(one, one.json(), String::new(), &mut out);
    }
    out
}

fn find<'a>(wanted: &'a Wanted, json: &Json, field: String, out: &mut Vec<Attached<'a>>) {
    let Json::Object(fields) = json else { return };
    if fields.contains_key("version") && fields.get("statements").is_some_and(Json::is_array) {
        if let Ok(document) = PolicyDocument::deserialize(json) {
            out.push(Attached { wanted, field, document });
        }
        return;
    }
    for (key, value) in fields {
        find(wanted, value, if field.is_empty() { key.clone() } else { format!("{field}.{key}") }, out);
    }
}

/// What a statement is called in words: by its name, or its place in the document.
fn called(statement: &Statement, place: usize) -> String {
    statement
        .sid
        .as_ref()
        .map_or_else(|| format!("statement {}", place + 1), |sid| format!("statement `{sid}`"))
}

/// The end of a text, as far as it is known: all of it, or what follows the last reference.
pub(crate) fn tail(value: &Value<String>) -> Option<String> {
    match value {
        Value::Known(text) => Some(text.clone()),
        Value::Text(parts) => {
            let known = parts.iter().rposition(|part| !part.is_string()).map_or(0, |last| last + 1);
            Some(parts[known..].iter().filter_map(Json::as_str).collect())
        }
        Value::Ref(_) => None,
    }
}

/// Stacks for the tests of the lints.
#[cfg(test)]
mod testing {
    use crate::Region;
    use causeway_core::{
        Stack,
        guard::Rules,
        lint::{Breach, Lint},
        wanted::unplanned,
    };

    /// What `name` finds in what `build` adds, in us-east-2: address, field, and what is wrong.
    pub(super) fn found(name: &str, build: impl FnOnce(&mut Stack)) -> Vec<(String, String, String)> {
        let mut stack = Stack::new("test");
        stack.at(&Region::new("us-east-2"), build);
        found_in(name, &stack, &Rules::default())
    }

    pub(super) fn found_in(name: &str, stack: &Stack, rules: &Rules) -> Vec<(String, String, String)> {
        stack.check().unwrap();
        let lint: &Lint = super::LINTS.iter().find(|lint| lint.name == name).unwrap();
        let told = |b: Breach| (b.address.0, b.field, b.why);
        (lint.judge)(&unplanned(stack), rules).into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_in_kebab_case() {
        let names: Vec<&str> = LINTS.iter().map(|lint| lint.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(names.iter().all(|n| n.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }
}
