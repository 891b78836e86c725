//! Load balancers that are protected: nobody deletes them by mistake, and so nobody does with their object.
//!
//! The controller keeps an object that goes as long as its annotation says so, and lifts the protection of the load balancer itself
//! once that says otherwise. <https://github.com/kubernetes-sigs/aws-load-balancer-controller/pull/2172>

use serde_json::{Value as Json, json};

const PROTECTION: &str = "deletion_protection.enabled";

fn attributes<'o>(object: &'o Json, annotation: &str) -> impl Iterator<Item = &'o str> {
    let text = object["metadata"]["annotations"][annotation].as_str();
    text.unwrap_or_default().split(',').map(str::trim)
}

fn name(attribute: &str) -> (&str, &str) {
    let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
    (name.trim(), value.trim())
}

/// Whether the attributes in `annotation` protect the load balancer of `object`.
pub(crate) fn is_protected(object: &Json, annotation: &str) -> bool {
    attributes(object, annotation).any(|one| name(one) == (PROTECTION, "true"))
}

/// What has to be merged into `object` so that its load balancer may go with it.
pub(crate) fn unprotected(object: &Json, annotation: &str) -> Json {
    let off = format!("{PROTECTION}=false");
    let all = attributes(object, annotation).map(|one| if name(one).0 == PROTECTION { &off } else { one });
    json!({"metadata": {"annotations": {annotation: all.collect::<Vec<_>>().join(",")}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_is_protected_by_one_of_its_attributes() {
        let with = |text: &str| json!({"metadata": {"annotations": {"a/b": text}}});
        for text in ["deletion_protection.enabled=true", "x.y=1, deletion_protection.enabled = true"] {
            assert!(is_protected(&with(text), "a/b"), "{text}");
            assert!(!is_protected(&with(text), "a/c"), "{text}");
        }
        for text in ["deletion_protection.enabled=false", "", "other.deletion_protection.enabled=true"] {
            assert!(!is_protected(&with(text), "a/b"), "{text}");
        }
        let off = unprotected(&with("x.y=1,deletion_protection.enabled=true"), "a/b");
        assert_eq!(off, with("x.y=1,deletion_protection.enabled=false"));
    }
}
