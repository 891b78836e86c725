//! What stands in another thing as a resource of its own, like a rule in a security group. A kind that shows what else
//! stands there must not count what the stack wants, whoever made it: it would be removed, and then made again.

use crate::{
    error::Error,
    observe::{ObserveError, Observed, ReadError},
    registry::{AnyKind, AnyLive, Registry},
    stack::Stack,
    value::{Address, references},
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The outputs of the wanted parts that are there, by what they stand in.
pub(crate) type Parts = BTreeMap<Address, Vec<Json>>;

/// The parts that `stack` wants and that were found.
pub(crate) fn found(stack: &Stack, observed: &Observed, registry: &Registry) -> Parts {
    let mut out = Parts::new();
    for (address, node) in stack.nodes() {
        let (Some(kind), Some(live)) = (registry.get(node.kind), observed.live.get(address)) else {
            continue;
        };
        let mut above = BTreeSet::new();
        for field in kind.recovery().identity() {
            node.spec.get(field).into_iter().for_each(|value| references(value, &mut above));
        }
        for holder in above {
            let of = stack.nodes().get(&holder).and_then(|n| registry.get(n.kind)).and_then(|k| k.parts());
            if of == Some(node.kind) {
                out.entry(holder).or_default().push(live.outputs.clone());
            }
        }
    }
    out
}

/// Takes `parts` out of what was observed as somebody else's.
///
/// # Errors
/// What was observed does not decode.
pub(crate) fn leave_out(
    parts: &Parts,
    stack: &Stack,
    observed: &mut Observed,
    registry: &Registry,
) -> Result<(), ObserveError> {
    for address in parts.keys() {
        let kind = stack.nodes().get(address).and_then(|n| registry.get(n.kind));
        if let (Some(kind), Some(live)) = (kind, observed.live.get_mut(address)) {
            of(parts, address, kind.as_ref(), live).map_err(|source| {
                let kind = kind.kind().to_owned();
                ObserveError::Read(vec![ReadError { address: address.clone(), kind, source }])
            })?;
        }
    }
    Ok(())
}

/// As [`leave_out`], for one.
///
/// # Errors
/// What was read does not decode.
pub(crate) fn of(
    parts: &Parts,
    address: &Address,
    kind: &dyn AnyKind,
    live: &mut AnyLive,
) -> Result<(), Error> {
    match parts.get(address) {
        Some(parts) if kind.parts().is_some() => kind.leave_out(live, parts),
        _ => Ok(()),
    }
}
