//! Names of load balancers and target groups, which end at 32 characters.

use causeway_core::{Error, Name};

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html>
const LONGEST: usize = 32;

/// The name of the incarnation `instance`: a generated one gives up the end of its prefix before it gets too long.
/// `None` for a generated name without an incarnation.
///
/// # Errors
/// A fixed name that is too long.
pub(crate) fn of(name: &Name, instance: &str) -> Result<Option<String>, Error> {
    let whole = name.of(instance);
    match name {
        Name::Fixed(_) if whole.chars().count() > LONGEST => {
            Err(Error::Invalid(format!("the name `{whole}` is longer than {LONGEST} characters")))
        }
        Name::Fixed(_) => Ok(Some(whole)),
        Name::Generated { .. } if instance.is_empty() => Ok(None),
        Name::Generated { .. } if whole.chars().count() <= LONGEST => Ok(Some(whole)),
        Name::Generated { prefix } => {
            let room = LONGEST.saturating_sub(1 + instance.chars().count());
            let prefix: String = prefix.chars().take(room).collect();
            Ok(Some(format!("{}-{instance}", prefix.trim_end_matches('-'))))
        }
    }
}

/// `actual` in the words of `name`.
pub(crate) fn live(name: &Name, instance: &str, actual: &str) -> Name {
    match of(name, instance) {
        Ok(Some(meant)) if meant == actual => name.clone(),
        _ => Name::Fixed(actual.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_and_stay_unique() {
        let instance = "abcdefghij23";
        let name = Name::generated("coder-production-internal");
        let short = of(&name, instance).unwrap().unwrap();
        assert_eq!(short, "coder-production-in-abcdefghij23");
        assert_eq!(short.len(), 32);
        assert_eq!(live(&name, instance, &short), name);
        assert_eq!(live(&name, "ffff", &short), Name::Fixed(short));
        assert_eq!(of(&Name::generated("web"), "abc").unwrap().unwrap(), "web-abc");
    }

    #[test]
    fn a_generated_name_is_nothing_without_an_incarnation() {
        assert_eq!(of(&Name::generated("web"), "").unwrap(), None);
    }

    #[test]
    fn a_fixed_name_is_never_cut() {
        assert!(of(&Name::from("x".repeat(33)), "abc").is_err());
        assert_eq!(of(&Name::from("x".repeat(32)), "abc").unwrap(), Some("x".repeat(32)));
    }
}
