//! An object as the cluster has it, in the words of what was applied: our fields only.
//!
//! The API server keeps who set which field (`metadata.managedFields`). What we set and still own is as we set it, however
//! the server writes it (`1000m` becomes `1`); what somebody else took over is shown as it is now; what others added is
//! left out. <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use crate::vault::is_stored;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Fields and what stands in them, as `fieldsV1` has it.
#[derive(Clone, Copy)]
pub(crate) enum Owned<'a> {
    /// None of it.
    Nothing,
    /// Whatever is in there: it is set as a whole.
    Whole,
    /// These fields.
    Fields(&'a Map<String, Json>),
}

impl<'a> Owned<'a> {
    /// What `manager` applied.
    pub(crate) fn by(object: &'a Json, manager: &str) -> Owned<'a> {
        let entries = object.pointer("/metadata/managedFields").and_then(Json::as_array);
        let applied = entries.into_iter().flatten().find(|entry| {
            entry["manager"] == manager && entry["operation"] == "Apply" && entry.get("subresource").is_none()
        });
        match applied.and_then(|entry| entry.get("fieldsV1")).and_then(Json::as_object) {
            Some(fields) => Owned::Fields(fields),
            None => Owned::Nothing,
        }
    }

    fn child(found: Option<&'a Json>) -> Owned<'a> {
        match found.and_then(Json::as_object) {
            None => Owned::Nothing,
            Some(fields) if fields.keys().all(|key| key == ".") => Owned::Whole,
            Some(fields) => Owned::Fields(fields),
        }
    }

    /// A field of an object.
    pub(crate) fn field(self, name: &str) -> Owned<'a> {
        match self {
            Owned::Fields(fields) => Owned::child(fields.get(&format!("f:{name}"))),
            whole_or_nothing => whole_or_nothing,
        }
    }

    fn any(self) -> bool {
        !matches!(self, Owned::Nothing)
    }

    /// Items of a list that are told apart by these fields, and what is owned of each.
    fn items(self) -> Vec<(BTreeMap<String, Json>, Owned<'a>)> {
        let Owned::Fields(fields) = self else { return vec![] };
        let item = |(key, owned): (&String, &'a Json)| {
            let key = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
            Some((key, Owned::child(Some(owned))))
        };
        fields.iter().filter_map(item).collect()
    }

    fn has_value(self, value: &Json) -> bool {
        match self {
            Owned::Fields(fields) => fields.contains_key(&format!("v:{value}")),
            Owned::Whole => true,
            Owned::Nothing => false,
        }
    }
}

/// What is at the place of `want`, in its words: null where there is nothing.
///
/// `trusted`: what we own is as `want` says, because it is what was applied last.
pub(crate) fn shown(want: &Json, live: Option<&Json>, owned: Owned<'_>, trusted: bool) -> Json {
    let Some(live) = live else { return Json::Null };
    match (want, live) {
        (Json::Object(w), _) if is_stored(w) && owned.any() && trusted => want.clone(),
        (Json::Object(w), _) if is_opaque(w) => match owned.any() && trusted {
            true => Json::Null,
            // What somebody put there may be as secret.
            false => Json::String("(set by somebody else)".into()),
        },
        (Json::Object(w), Json::Object(l)) => {
            let one = |(key, want): (&String, &Json)| {
                let have = shown(want, l.get(key), owned.field(key), trusted);
                (key.clone(), have)
            };
            Json::Object(w.iter().map(one).collect())
        }
        (Json::Array(w), Json::Array(l)) => list(w, l, owned, trusted),
        _ if owned.any() && trusted => want.clone(),
        _ if same(want, live) => want.clone(),
        _ => live.clone(),
    }
}

/// A secret, or a value that is not known yet.
fn is_opaque(object: &Map<String, Json>) -> bool {
    object.len() == 1 && object.keys().all(|key| key.starts_with('$'))
}

fn list(want: &[Json], live: &[Json], owned: Owned<'_>, trusted: bool) -> Json {
    let items = owned.items();
    if !items.is_empty() {
        return Json::Array(want.iter().filter_map(|want| keyed(want, live, &items, trusted)).collect());
    }
    match owned {
        Owned::Whole if trusted => Json::Array(want.to_vec()),
        // A set: everybody adds what he wants.
        Owned::Fields(_) if trusted => {
            Json::Array(want.iter().filter(|want| owned.has_value(want)).cloned().collect())
        }
        _ if want.len() == live.len() => {
            let pairs = want.iter().zip(live);
            Json::Array(pairs.map(|(want, live)| shown(want, Some(live), owned, trusted)).collect())
        }
        _ => Json::Array(live.to_vec()),
    }
}

/// The item of `live` that is told apart as `want` is.
fn keyed(
    want: &Json,
    live: &[Json],
    items: &[(BTreeMap<String, Json>, Owned<'_>)],
    trusted: bool,
) -> Option<Json> {
    // What `want` leaves out of the key, the server filled in.
    let of = |key: &BTreeMap<String, Json>, item: &Json, strict: bool| {
        key.iter().all(|(field, value)| match item.get(field) {
            Some(has) => has == value,
            None => !strict,
        })
    };
    let (key, owned) = items.iter().find(|(key, _)| of(key, want, false))?;
    let live = live.iter().find(|item| of(key, item, true))?;
    Some(shown(want, Some(live), *owned, trusted))
}

/// Whether two values mean the same: quantities may be written in several ways.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
fn same(a: &Json, b: &Json) -> bool {
    a == b || quantity(a).is_some_and(|a| quantity(b) == Some(a))
}

/// In thousandths.
fn quantity(value: &Json) -> Option<i128> {
    let text = match value {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        _ => return None,
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let thousand = |power: u32| 1_000i128.checked_pow(power);
    let binary = |power: u32| 1_024i128.checked_pow(power)?.checked_mul(1_000);
    let scale = match suffix {
        "m" => 1,
        "" => 1_000,
        "k" => thousand(2)?,
        "M" => thousand(3)?,
        "G" => thousand(4)?,
        "T" => thousand(5)?,
        "Ki" => binary(1)?,
        "Mi" => binary(2)?,
        "Gi" => binary(3)?,
        "Ti" => binary(4)?,
        _ => return None,
    };
    let places = u32::try_from(part.len()).ok().filter(|places| *places <= 9)?;
    let number: i128 = format!("{whole}{part}").parse().ok()?;
    Some(number.checked_mul(scale)? / 10i128.pow(places))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live() -> Json {
        json!({
            "metadata": {"managedFields": [
                {"manager": "causeway", "operation": "Apply", "fieldsV1": {"f:spec": {
                    "f:paused": {},
                    "f:args": {},
                    "f:finalizers": {".": {}, "v:\"ours\"": {}},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:name": {}}},
                    "f:resources": {"f:cpu": {}},
                }}},
                {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            ]},
            "spec": {
                "paused": false, "replicas": 5, "args": ["a"], "resources": {"cpu": "1"},
                "finalizers": ["theirs", "ours"],
                "ports": [{"containerPort": 81, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP", "name": "web"}],
            },
        })
    }

    #[test]
    fn what_we_own_is_as_we_set_it_and_what_others_took_is_as_it_is() {
        let want = json!({
            "paused": false, "replicas": 2, "args": ["a"], "resources": {"cpu": "1000m"}, "finalizers": ["ours"],
            "ports": [{"containerPort": 80, "name": "web"}],
        });
        let live = live();
        let owned = Owned::by(&live, "causeway").field("spec");
        let mut expected = want.clone();
        expected["replicas"] = json!(5);
        assert_eq!(shown(&want, live.get("spec"), owned, true), expected);
    }

    #[test]
    fn without_trust_only_equal_values_are_taken_for_ours() {
        let want = json!({"paused": true, "resources": {"cpu": "1000m"}});
        let live = live();
        let owned = Owned::by(&live, "causeway").field("spec");
        assert_eq!(
            shown(&want, live.get("spec"), owned, false),
            json!({"paused": false, "resources": {"cpu": "1000m"}})
        );
    }

    #[test]
    fn an_item_that_somebody_took_away_is_missing() {
        let mut live = live();
        live["spec"]["ports"] = json!([{"containerPort": 81, "protocol": "TCP"}]);
        let want = json!({"ports": [{"containerPort": 80}]});
        let owned = Owned::by(&live, "causeway").field("spec");
        assert_eq!(shown(&want, live.get("spec"), owned, true), json!({"ports": []}));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let want = json!({"token": {"$sealed": "digest"}});
        let live = json!({"token": "aGVsbG8="});
        assert_eq!(shown(&want, Some(&live), Owned::Whole, true), json!({"token": null}));
        assert!(!shown(&want, Some(&live), Owned::Nothing, true).to_string().contains("aGVsbG8="));
    }

    #[test]
    fn quantities_are_compared_by_what_they_mean() {
        for (a, b) in
            [("1000m", "1"), ("0.5", "500m"), ("1Gi", "1024Mi"), ("1.5Gi", "1536Mi"), ("2k", "2000")]
        {
            assert!(same(&json!(a), &json!(b)), "{a} {b}");
        }
        assert!(same(&json!(1), &json!("1")));
        for (a, b) in [("1", "2"), ("1G", "1Gi"), ("web", "1"), ("", "0m")] {
            assert!(!same(&json!(a), &json!(b)), "{a} {b}");
        }
    }
}
