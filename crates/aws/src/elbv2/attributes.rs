//! The attributes of load balancers and target groups: text by key, compared only by the keys that we set.

use causeway_core::{Error, Value, diff::Diff};
use std::collections::BTreeMap;

/// Attributes by their AWS keys, like `idle_timeout.timeout_seconds`. Keys that are not in it are left alone; a key
/// that is taken out again goes back to the default of AWS.
pub type Attributes = BTreeMap<String, Value<String>>;

/// What has to be written to get from `live` to `wanted`.
///
/// # Errors
/// A value that is not known yet, or a key that was taken out and whose default we do not know.
pub(crate) fn steps(
    wanted: &Attributes,
    live: &Attributes,
    diff: &Diff,
    defaults: &[(&str, &str)],
) -> Result<Vec<(String, String)>, Error> {
    let touched = |key: &str| diff.touches(&format!("attributes.{key}"));
    let mut out = Vec::new();
    // A diff of the whole map has no path for each key.
    let all = diff.changes.iter().any(|c| c.path == "attributes");
    for (key, value) in wanted {
        if all || touched(key) {
            out.push((key.clone(), value.get()?.clone()));
        }
    }
    for key in live.keys().filter(|key| !wanted.contains_key(*key) && touched(key)) {
        let default = defaults.iter().find(|(k, _)| k == key).map(|(_, v)| (*v).to_owned());
        let default = default.ok_or_else(|| {
            Error::Invalid(format!(
                "the default of the attribute `{key}` is not known: set it instead of removing it"
            ))
        })?;
        out.push((key.clone(), default));
    }
    Ok(out)
}

/// Attributes from the cloud, as a spec shows them: [`shown`](crate::shown::shown) for each of them.
pub(crate) fn live(
    wanted: &Attributes,
    pairs: impl IntoIterator<Item = (Option<String>, Option<String>)>,
    defaults: &[(&str, &str)],
) -> Attributes {
    let defaults: BTreeMap<&str, &str> = defaults.iter().copied().collect();
    let mut there: BTreeMap<String, String> =
        pairs.into_iter().filter_map(|(k, v)| Some((k?, v.unwrap_or_default()))).collect();
    for key in wanted.keys().filter(|key| !there.contains_key(*key)).cloned().collect::<Vec<_>>() {
        // Not shown, so at its default; an unknown one is at least not what we want.
        let default = defaults.get(key.as_str()).copied().unwrap_or_default();
        there.insert(key, default.to_owned());
    }
    there
        .into_iter()
        .filter(|(key, value)| {
            wanted.contains_key(key) || defaults.get(key.as_str()).is_none_or(|default| default != value)
        })
        .map(|(key, value)| (key, Value::Known(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::diff::{Change, FieldChange};
    use serde_json::json;

    fn map<const N: usize>(pairs: [(&str, &str); N]) -> Attributes {
        pairs.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect()
    }

    #[test]
    fn defaults_are_shown_only_to_whoever_wants_something() {
        let there =
            || [("a", "2"), ("b", "1"), ("c", "")].map(|(k, v)| (Some(k.to_owned()), Some(v.to_owned())));
        let defaults = [("a", "1"), ("b", "1"), ("d", "1")];
        assert_eq!(live(&map([]), there(), &defaults), map([("a", "2"), ("c", "")]));
        let wanted = map([("b", "5"), ("d", "5"), ("e", "5")]);
        let expected = map([("a", "2"), ("b", "1"), ("c", ""), ("d", "1"), ("e", "")]);
        assert_eq!(live(&wanted, there(), &defaults), expected);
    }

    #[test]
    fn only_what_differs_is_written_and_what_was_removed_goes_back() {
        let wanted = map([("idle_timeout.timeout_seconds", "300"), ("routing.http2.enabled", "true")]);
        let live = map([
            ("idle_timeout.timeout_seconds", "60"),
            ("routing.http2.enabled", "true"),
            ("deletion_protection.enabled", "true"),
            ("waf.fail_open.enabled", "true"),
        ]);
        let diff = Diff {
            changes: vec![
                FieldChange {
                    path: "attributes.idle_timeout.timeout_seconds".into(),
                    change: Change::Set { from: json!("60"), to: json!("300") },
                },
                FieldChange {
                    path: "attributes.deletion_protection.enabled".into(),
                    change: Change::Removed { from: json!("true") },
                },
            ],
        };
        let defaults = [("deletion_protection.enabled", "false")];
        assert_eq!(
            steps(&wanted, &live, &diff, &defaults).unwrap(),
            [
                ("idle_timeout.timeout_seconds".to_owned(), "300".to_owned()),
                ("deletion_protection.enabled".to_owned(), "false".to_owned())
            ]
        );
        assert!(steps(&wanted, &live, &diff, &[]).is_err());
    }
}
