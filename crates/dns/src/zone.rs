//! Zones, and which of them a name belongs to.

use crate::name::Name;

/// A zone as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: Name,
    /// What the provider calls it: 32 hexadecimal digits on Cloudflare, `Z..` on Route 53.
    pub id: String,
}

/// The zone of `zones` that `name` belongs to: the one with the longest name. A delegated zone has its own records.
pub fn zone_of<'z>(name: &Name, zones: &'z [Zone]) -> Option<&'z Zone> {
    zones.iter().filter(|zone| name.is_in(&zone.name)).max_by_key(|zone| zone.name.as_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_zone_has_the_name() {
        let zone = |name: &str| Zone { name: Name::parse(name).unwrap(), id: name.to_owned() };
        let zones = [zone("example.com"), zone("ai.example.com"), zone("le.com")];
        let of = |name: &str| zone_of(&Name::parse(name).unwrap(), &zones).map(|z| z.id.as_str());
        assert_eq!(of("x.ai.example.com"), Some("ai.example.com"));
        assert_eq!(of("ai.example.com"), Some("ai.example.com"));
        assert_eq!(of("xai.example.com"), Some("example.com"));
        assert_eq!(of("*.ai.example.com"), Some("ai.example.com"));
        assert_eq!(of("example.org"), None);
    }
}
