//! Whether a step can be taken back, and what remains if it is.

use crate::{diff::Diff, plan::Action, registry::AnyKind};
use serde::{Deserialize, Serialize};

/// Whether a step can be taken back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Another apply brings back what was there before.
    Reversible,
    /// Something like it can be brought back, but not the same: it has another id, or something of it remains.
    Compensable,
    /// Nothing brings back what was there before.
    Irreversible,
}

/// Whether one step can be taken back, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Undo {
    /// Whether.
    pub mark: Mark,
    /// How it is taken back, or what is lost.
    pub why: String,
}

/// An act of a kind that is not taken back as such acts usually are. See [`Resource::UNDO`](crate::Resource::UNDO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndoRule {
    /// Which act.
    pub of: Of,
    /// What can be done about it.
    pub mark: Mark,
    /// Why it is so, as a sentence without its stop.
    pub why: &'static str,
}

impl UndoRule {
    /// About making it.
    pub const fn create(mark: Mark, why: &'static str) -> Self {
        UndoRule { of: Of::Create, mark, why }
    }

    /// About changing `field` in place.
    pub const fn change(field: &'static str, mark: Mark, why: &'static str) -> Self {
        UndoRule { of: Of::Change(field), mark, why }
    }

    /// About removing or replacing it.
    pub const fn remove(mark: Mark, why: &'static str) -> Self {
        UndoRule { of: Of::Remove, mark, why }
    }
}

/// The acts that an [`UndoRule`] may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// It is made.
    Create,
    /// This field is changed in place.
    Change(&'static str),
    /// It is removed, or replaced.
    Remove,
}

/// Whether `action` on a thing of `kind`, which may hold `data`, can be taken back; none where the cloud is not touched.
pub(crate) fn of(kind: &dyn AnyKind, action: Action, diff: &Diff, data: bool) -> Option<Undo> {
    let usual = usual(kind, action, data)?;
    let about = |rule: &&UndoRule| match rule.of {
        Of::Create => action == Action::Create,
        Of::Change(field) => matches!(action, Action::Update | Action::Adopt) && diff.touches(field),
        Of::Remove => action.removes(),
    };
    let said = kind.undo().iter().filter(about).max_by_key(|rule| rule.mark);
    Some(match said {
        // A rule of the kind has the better reason.
        Some(rule) if rule.mark >= usual.mark => Undo { mark: rule.mark, why: rule.why.to_owned() },
        _ => usual,
    })
}

fn usual(kind: &dyn AnyKind, action: Action, data: bool) -> Option<Undo> {
    let (mark, why) = match action {
        Action::Keep | Action::Wait | Action::Forget | Action::Record => return None,
        Action::Create if kind.retain() => (Mark::Compensable, "it stays when it is not wanted any more"),
        Action::Create => (Mark::Reversible, "deleting it takes it back"),
        Action::Update => (Mark::Reversible, "the values that it has now can be set again"),
        Action::Adopt => {
            (Mark::Compensable, "the values that it has now can be set again, but from now on it is ours")
        }
        Action::Delete | Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst if data => {
            (Mark::Irreversible, "its data goes with it")
        }
        Action::Delete | Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => {
            (Mark::Compensable, "another one can be made, with another id")
        }
    };
    Some(Undo { mark, why: why.to_owned() })
}

/// The mark in a word.
pub fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Reversible => "reversible",
        Mark::Compensable => "compensable",
        Mark::Irreversible => "irreversible",
    }
}
