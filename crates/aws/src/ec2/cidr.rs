//! Address ranges, written the one way that AWS writes them back.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An address range like `10.0.0.0/16` or `2001:db8::/56`.
///
/// AWS drops the bits behind the prefix (`10.0.7.1/16` becomes `10.0.0.0/16`) and shortens IPv6 addresses; so does
/// this, so that what is wanted equals what is read. Text that is no address range stays as it is, for AWS to refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Cidr(String);

impl Cidr {
    /// Every IPv4 address.
    pub fn anywhere() -> Self {
        Cidr("0.0.0.0/0".to_owned())
    }

    /// The text that the API takes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an address is in both. Never, where one of them is no range.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        // The shorter prefix of the two has to be the same in both.
        let prefix = |cidr: &Cidr| cidr.0.split_once('/')?.1.parse::<u8>().ok();
        let (Some(ours), Some(theirs)) = (prefix(self), prefix(other)) else { return false };
        let (wide, narrow) = if ours <= theirs { (self, other) } else { (other, self) };
        let Some((address, _)) = narrow.0.split_once('/') else { return false };
        wide.0.contains(':') == narrow.0.contains(':')
            && Cidr::from(format!("{address}/{}", ours.min(theirs))) == *wide
    }
}

impl From<String> for Cidr {
    fn from(text: String) -> Self {
        Cidr(canonical(&text).unwrap_or(text))
    }
}
impl From<&str> for Cidr {
    fn from(text: &str) -> Self {
        Cidr::from(text.to_owned())
    }
}
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn canonical(text: &str) -> Option<String> {
    let (address, prefix) = text.split_once('/')?;
    let prefix: u32 = prefix.parse().ok()?;
    let address = match address.parse().ok()? {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(prefix)?).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(prefix)?).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    };
    Some(format!("{address}/{prefix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_as_aws_writes_them() {
        assert_eq!(Cidr::from("10.0.7.1/16").as_str(), "10.0.0.0/16");
        assert_eq!(Cidr::from("1.2.3.4/32").as_str(), "1.2.3.4/32");
        assert_eq!(Cidr::from("1.2.3.4/0"), Cidr::anywhere());
        assert_eq!(Cidr::from("2001:DB8:0:0::1/56").as_str(), "2001:db8::/56");
        assert_eq!(Cidr::from("::/0").as_str(), "::/0");
    }

    #[test]
    fn ranges_overlap_where_one_is_in_the_other() {
        let overlap = |a: &str, b: &str| Cidr::from(a).overlaps(&Cidr::from(b));
        assert!(overlap("10.0.0.0/16", "10.0.0.0/16") && overlap("0.0.0.0/0", "10.0.0.0/16"));
        assert!(overlap("10.0.128.0/17", "10.0.0.0/16") && overlap("2001:db8::/32", "2001:db8:1::/48"));
        assert!(!overlap("10.0.0.0/17", "10.0.128.0/17") && !overlap("0.0.0.0/0", "::/0"));
        assert!(!overlap("10.0.0.0", "10.0.0.0/16"));
    }

    #[test]
    fn what_is_no_range_stays_for_aws_to_refuse() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "vpc"] {
            assert_eq!(Cidr::from(text).as_str(), text);
        }
    }
}
