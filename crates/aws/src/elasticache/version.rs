//! Versions of the engines, and the parameter groups that come with them.

/// The version in the words of the spec: one that is as precise as it was wanted, or a later minor one (automatic
/// upgrades), is the wanted one.
pub(super) fn shown(wanted: &str, live: &str) -> String {
    let parts = |text: &str| text.split('.').map(|part| part.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>();
    let (want, have) = (parts(wanted), parts(live));
    let met = want.first() == have.first() && have >= want || live.starts_with(&format!("{wanted}."));
    if met { wanted.to_owned() } else { live.to_owned() }
}

/// The group of parameters that ElastiCache brings for a version:
/// <https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/ParameterGroups.Engine.html>.
pub(super) fn default_parameters(engine: &str, version: &str, cluster: bool) -> String {
    let major = version.split('.').next().unwrap_or_default();
    let family = match (engine, major) {
        ("redis", "6") => "6.x".to_owned(),
        ("redis", "2" | "3" | "4" | "5") => version.split('.').take(2).collect::<Vec<_>>().join("."),
        _ => major.to_owned(),
    };
    let cluster = if cluster { ".cluster.on" } else { "" };
    format!("default.{engine}{family}{cluster}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_minor_version_is_met_and_an_earlier_one_is_not() {
        for (wanted, live, says) in [
            ("8.0", "8.0.1", "8.0"),
            ("8.0", "8.1.0", "8.0"),
            ("8", "8.2", "8"),
            ("8.1", "8.0.1", "8.0.1"),
            ("8.0", "7.2.6", "7.2.6"),
            ("7.1", "7.1.0", "7.1"),
        ] {
            assert_eq!(shown(wanted, live), says, "{wanted} {live}");
        }
    }

    #[test]
    fn parameters_come_by_family() {
        assert_eq!(default_parameters("valkey", "8.0", true), "default.valkey8.cluster.on");
        assert_eq!(default_parameters("valkey", "8", false), "default.valkey8");
        assert_eq!(default_parameters("redis", "7.1", false), "default.redis7");
        assert_eq!(default_parameters("redis", "6.2", true), "default.redis6.x.cluster.on");
        assert_eq!(default_parameters("redis", "5.0.6", false), "default.redis5.0");
    }
}
