//! What is wanted against what is there, field by field. Pure, and the same for every kind.

use crate::{
    secret::Sealed,
    value::{is_unknown, members},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// How one field differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It has another value, or none yet.
    Set {
        /// What is there.
        from: Json,
        /// What is wanted.
        to: Json,
    },
    /// It was set by the last apply and is wanted no more.
    Removed {
        /// What is there.
        from: Json,
    },
    /// What is wanted is known only after another resource has been applied.
    Unknown {
        /// What is there.
        from: Json,
        /// What is wanted, with the references that say where it comes from.
        to: Json,
    },
}

/// One field that differs: its path, with dots, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FieldChange {
    /// The path in the spec, like `tags.team` or `rules.0.port`.
    pub path: String,
    /// How it differs.
    pub change: Change,
}

/// All fields that differ, in the order of their paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Diff {
    /// The fields.
    pub changes: Vec<FieldChange>,
}

impl Diff {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether `field` or anything inside it changes.
    pub fn touches(&self, field: &str) -> bool {
        self.changes.iter().any(|c| within(&c.path, field))
    }

    /// The paths that are in this diff and neither in `planned` nor inside or around a path of it.
    pub fn beyond<'a>(&'a self, planned: &Diff) -> Vec<&'a str> {
        self.changes
            .iter()
            .map(|c| c.path.as_str())
            .filter(|p| !planned.changes.iter().any(|q| within(p, &q.path) || within(&q.path, p)))
            .collect()
    }
}

/// Whether `path` is `field` or inside it.
fn within(path: &str, field: &str) -> bool {
    path == field || path.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'))
}

/// Compares what is wanted with what is there.
///
/// Unset means unmanaged, unless the last apply set it: then it is to be removed. Objects compare by our keys, lists
/// of objects item by item, a [`Set`](crate::Set) ignores order. A field that the cloud never shows back, which is null
/// in `live`, compares with what was applied; a key of a map that is missing there does not.
pub fn diff(wanted: &Sealed, live: &Sealed, applied: &Sealed) -> Diff {
    diff_sent(wanted, live, applied, applied)
}

/// As [`diff`], where `sent` instead of `applied` is the witness of what the cloud never shows back: the spec that
/// this very run has just sent.
pub fn diff_sent(wanted: &Sealed, live: &Sealed, applied: &Sealed, sent: &Sealed) -> Diff {
    let mut out = Diff::default();
    walk("", wanted.as_json(), live.as_json(), [applied.as_json(), sent.as_json()], &mut out);
    out
}

/// Whether `live` is just what the last apply left. Neither may hold a secret.
pub fn is_unchanged(applied: &Json, live: &Json) -> bool {
    let mut out = Diff::default();
    walk("", applied, live, [applied, applied], &mut out);
    out.is_empty()
}

fn walk(path: &str, want: &Json, have: &Json, [applied, sent]: [&Json; 2], out: &mut Diff) {
    let mut push = |change| out.changes.push(FieldChange { path: path.to_owned(), change });
    match (want, have) {
        (Json::Null, _) => {
            if !applied.is_null() && !have.is_null() {
                push(Change::Removed { from: have.clone() });
            }
        }
        (w, h) if is_whole(w) => {
            if write_only(h) && w == sent {
                // The cloud never shows it back, so the last apply is the only witness.
            } else if is_unknown(w) {
                push(Change::Unknown { from: h.clone(), to: w.clone() });
            } else if w != h {
                push(Change::Set { from: h.clone(), to: w.clone() });
            }
        }
        (Json::Object(w), Json::Object(h)) => {
            let none = Json::Null;
            let keys: BTreeSet<&String> =
                w.keys().chain(applied.as_object().into_iter().flat_map(|a| a.keys())).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let want = w.get(key).unwrap_or(&none);
                // A field that the cloud never shows is there and null. A key that is missing was taken away.
                let sent = if h.contains_key(key) { sent.get(key) } else { None };
                let witness = [applied.get(key), sent].map(|j| j.unwrap_or(&none));
                walk(&path, want, h.get(key).unwrap_or(&none), witness, out);
            }
        }
        (Json::Array(w), Json::Array(h))
            if w.len() == h.len() && !w.is_empty() && w.iter().chain(h).all(Json::is_object) =>
        {
            for (i, (w, h)) in w.iter().zip(h).enumerate() {
                let witness = [applied, sent].map(|j| j.get(i).unwrap_or(&Json::Null));
                walk(&format!("{path}.{i}"), w, h, witness, out);
            }
        }
        (w, h) => {
            if write_only(h) && w == sent {
                // As above.
            } else if is_unknown(w) {
                push(Change::Unknown { from: h.clone(), to: w.clone() });
            } else if w != h && !(is_nothing(w) && h.is_null()) {
                push(Change::Set { from: h.clone(), to: w.clone() });
            }
        }
    }
}

/// Everything that `one` or `other` sets; where both do, what `one` says.
pub(crate) fn either(one: &Json, other: &Json) -> Json {
    match (one, other) {
        (Json::Null, other) => other.clone(),
        (Json::Object(a), Json::Object(b)) if !is_whole(one) && !is_whole(other) => {
            let mut all = b.clone();
            for (key, value) in a {
                let merged = b.get(key).map_or_else(|| value.clone(), |other| either(value, other));
                all.insert(key.clone(), merged);
            }
            Json::Object(all)
        }
        (one, _) => one.clone(),
    }
}

/// What `one` and `other` agree on; nothing where they do not.
pub(crate) fn both(one: &Json, other: &Json) -> Json {
    match (one, other) {
        (one, other) if one == other => one.clone(),
        (Json::Object(a), Json::Object(b)) if !is_whole(one) && !is_whole(other) => {
            a.iter().filter_map(|(key, value)| Some((key.clone(), both(value, b.get(key)?)))).collect()
        }
        _ => Json::Null,
    }
}

/// The value at `path`, as the paths of a [`Diff`] are written. Keys may hold dots themselves.
pub fn at<'j>(json: &'j Json, path: &str) -> Option<&'j Json> {
    if path.is_empty() {
        return Some(json);
    }
    let behind = |key: &str| match path.strip_prefix(key)? {
        "" => Some(""),
        rest => rest.strip_prefix('.'),
    };
    match json {
        Json::Object(m) => m.iter().find_map(|(key, value)| at(value, behind(key)?)),
        Json::Array(a) => a.iter().enumerate().find_map(|(i, value)| at(value, behind(&i.to_string())?)),
        _ => None,
    }
}

/// Not to be looked into: a reference, a set, a secret, a generated name.
pub(crate) fn is_whole(json: &Json) -> bool {
    members(json).is_some()
        || json.as_object().is_some_and(|m| m.len() == 1 && m.keys().all(|k| k.starts_with('$')))
}

fn write_only(live: &Json) -> bool {
    live.is_null()
}

/// An empty object or list is what many APIs answer nothing for.
fn is_nothing(json: &Json) -> bool {
    match json {
        Json::Object(m) => m.values().all(is_nothing) && members(json).is_none_or(Vec::is_empty),
        Json::Array(a) => a.is_empty(),
        Json::Null => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{SealKey, Secret};
    use serde_json::json;

    fn sealed(json: &Json) -> Sealed {
        Sealed::of(json, &SealKey::fixed("k"))
    }
    fn paths(want: Json, live: Json, applied: Json) -> Vec<String> {
        diff(&sealed(&want), &sealed(&live), &sealed(&applied)).changes.into_iter().map(|c| c.path).collect()
    }
    const NONE: Json = Json::Null;

    #[test]
    fn unset_is_unmanaged_unless_the_last_apply_set_it() {
        assert!(paths(json!({ "a": null }), json!({ "a": 1, "b": 2 }), NONE).is_empty());
        assert_eq!(paths(json!({ "a": null }), json!({ "a": 1 }), json!({ "a": 1 })), ["a"]);
        assert_eq!(
            paths(json!({ "tags": {} }), json!({ "tags": { "x": "1" } }), json!({ "tags": { "x": "1" } })),
            ["tags.x"]
        );
    }

    #[test]
    fn lists_of_objects_compare_by_our_keys() {
        let want = json!({ "containers": [{ "name": "a", "image": "i:1" }] });
        let live = json!({ "containers": [{ "name": "a", "image": "i:1", "stopTimeout": 30 }] });
        assert!(paths(want.clone(), live, NONE).is_empty());
        let live = json!({ "containers": [{ "name": "a", "image": "i:0" }] });
        assert_eq!(paths(want, live, NONE), ["containers.0.image"]);
    }

    #[test]
    fn sets_ignore_order_and_lists_do_not() {
        let set = |items: &[&str]| {
            serde_json::to_value(items.iter().copied().collect::<crate::Set<String>>()).unwrap()
        };
        assert!(paths(json!({ "s": set(&["a", "b"]) }), json!({ "s": set(&["b", "a"]) }), NONE).is_empty());
        assert_eq!(paths(json!({ "s": ["a", "b"] }), json!({ "s": ["b", "a"] }), NONE), ["s"]);
    }

    #[test]
    fn write_only_fields_compare_with_the_last_apply() {
        let want = |p: &str| json!({ "password": Secret::new(p) });
        assert!(paths(want("one"), json!({ "password": null }), want("one")).is_empty());
        assert_eq!(paths(want("two"), json!({ "password": null }), want("one")), ["password"]);
    }

    #[test]
    fn a_tag_that_somebody_removed_is_seen() {
        let want = json!({ "tags": { "team": "platform" } });
        assert_eq!(paths(want.clone(), json!({ "tags": {} }), want), ["tags.team"]);
    }

    #[test]
    fn unknown_values_say_where_they_come_from() {
        let want = json!({ "vpc_id": { "$ref": "network/vpc#vpc_id" } });
        let d = diff(&sealed(&want), &sealed(&json!({ "vpc_id": "vpc-1" })), &sealed(&NONE));
        assert!(
            matches!(&d.changes[0].change, Change::Unknown { to, .. } if to["$ref"] == "network/vpc#vpc_id")
        );
    }

    #[test]
    fn a_path_leads_through_keys_with_dots() {
        let spec = json!({ "labels": { "app.io/name": "x", "app": { "b": 1 } }, "rules": [{ "port": 80 }] });
        assert_eq!(at(&spec, "labels.app.io/name"), Some(&json!("x")));
        assert_eq!(at(&spec, "labels.app.b"), Some(&json!(1)));
        assert_eq!(at(&spec, "rules.0.port"), Some(&json!(80)));
        assert_eq!(at(&spec, "rules.1.port"), None);
        assert_eq!(at(&spec, "label"), None);
    }

    #[test]
    fn a_diff_beyond_the_plan_is_seen() {
        let one = diff(&sealed(&json!({ "a": 1 })), &sealed(&json!({ "a": 2 })), &sealed(&NONE));
        let two =
            diff(&sealed(&json!({ "a": 1, "b": 1 })), &sealed(&json!({ "a": 2, "b": 2 })), &sealed(&NONE));
        assert_eq!(two.beyond(&one), ["b"]);
        assert!(one.beyond(&two).is_empty());
    }
}
