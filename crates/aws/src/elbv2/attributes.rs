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

/// Attributes from the cloud. One that it does not show has its default: otherwise it would look like something that
/// cannot be read back, and would never be written.
pub(crate) fn live(
    pairs: impl IntoIterator<Item = (Option<String>, Option<String>)>,
    defaults: &[(&str, &str)],
) -> Attributes {
    let defaults = defaults.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let shown = pairs.into_iter().filter_map(|(k, v)| Some((k?, v.unwrap_or_default())));
    defaults.chain(shown).map(|(k, v)| (k, Value::Known(v))).collect()
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
    fn an_attribute_that_is_not_shown_has_its_default() {
        let shown = [(Some("a".to_owned()), Some("2".to_owned())), (Some("c".to_owned()), None)];
        assert_eq!(live(shown, &[("a", "1"), ("b", "1")]), map([("a", "2"), ("b", "1"), ("c", "")]));
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
