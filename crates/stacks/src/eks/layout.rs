//! Which addresses a region has, and what each block of them is for.

use std::net::Ipv4Addr;

/// The regions that have a network of their own by default, each at its place for good: 10.0.0.0/16 is the first, 10.1
/// the second. New ones are added at the end, so that no network ever moves.
const REGIONS: [&str; 26] = [
    "us-east-2",
    "us-west-2",
    "eu-west-2",
    "us-east-1",
    "us-west-1",
    "ca-central-1",
    "ca-west-1",
    "sa-east-1",
    "eu-west-1",
    "eu-west-3",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "ap-south-1",
    "ap-south-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "me-central-1",
    "il-central-1",
];

/// The network of `region` where the file names none.
pub(super) fn default_cidr(region: &str) -> Option<String> {
    let place = REGIONS.iter().position(|known| *known == region)?;
    Some(format!("10.{place}.0.0/16"))
}

/// What a subnet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Load balancers and NAT.
    Public,
    /// Databases and the interfaces of the control plane.
    Private,
    /// Nodes for Coder itself, or for its proxy.
    CoderServer,
    /// Nodes for provisioners.
    CoderProvisioner,
    /// Nodes for workspaces.
    CoderWorkspaces,
    /// The system nodes.
    System,
}

impl Purpose {
    /// As names and tags have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Purpose::Public => "public",
            Purpose::Private => "private",
            Purpose::CoderServer => "coder-server",
            Purpose::CoderProvisioner => "coder-provisioner",
            Purpose::CoderWorkspaces => "coder-ws-all",
            Purpose::System => "system",
        }
    }

    /// The tag that says which cluster nodes for this purpose belong to.
    pub(super) fn tag(self) -> String {
        format!("subnet.coder.io/{}/owned-by", self.name())
    }
}

/// One subnet: what it is for, where it starts in the /16, its prefix, and its zone, counted from 0.
pub(super) struct Block {
    pub purpose: Purpose,
    start: u8,
    prefix: u8,
    pub zone: usize,
}

const fn block(purpose: Purpose, start: u8, prefix: u8, zone: usize) -> Block {
    Block { purpose, start, prefix, zone }
}

/// Where Coder, its databases and LiteLLM are. The first three are as many zones as RDS, ElastiCache and EKS need.
pub(super) const CONTROL_PLANE: [Block; 14] = [
    block(Purpose::Public, 10, 24, 0),
    block(Purpose::Public, 11, 24, 1),
    block(Purpose::Public, 12, 24, 2),
    block(Purpose::Private, 20, 24, 0),
    block(Purpose::Private, 21, 24, 1),
    block(Purpose::Private, 23, 24, 2),
    block(Purpose::CoderWorkspaces, 16, 22, 0),
    block(Purpose::CoderWorkspaces, 24, 22, 1),
    block(Purpose::CoderWorkspaces, 28, 22, 2),
    block(Purpose::CoderServer, 32, 22, 0),
    block(Purpose::CoderServer, 48, 22, 1),
    block(Purpose::CoderProvisioner, 36, 22, 1),
    block(Purpose::System, 40, 22, 0),
    block(Purpose::System, 44, 22, 1),
];

/// Where a proxy and workspaces are.
pub(super) const PROXY: [Block; 8] = [
    block(Purpose::Public, 10, 24, 0),
    block(Purpose::Public, 11, 24, 1),
    block(Purpose::System, 20, 24, 0),
    block(Purpose::System, 21, 24, 1),
    block(Purpose::CoderProvisioner, 22, 24, 0),
    block(Purpose::CoderServer, 23, 24, 1),
    block(Purpose::CoderWorkspaces, 16, 22, 1),
    block(Purpose::CoderWorkspaces, 24, 22, 0),
];

impl Block {
    /// Its addresses in the network `cidr`, which is a /16.
    pub(super) fn cidr(&self, cidr: &str) -> Option<String> {
        let (first, _) = slash_16(cidr)?;
        let start = Ipv4Addr::from(u32::from(first) + (u32::from(self.start) << 8));
        Some(format!("{start}/{}", self.prefix))
    }
}

/// The first and the last address of a /16 that RFC 1918 keeps for private networks.
pub(super) fn slash_16(cidr: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let first: Ipv4Addr = cidr.strip_suffix("/16")?.parse().ok()?;
    let [_, _, 0, 0] = first.octets() else { return None };
    first.is_private().then(|| (first, Ipv4Addr::from(u32::from(first) | 0xffff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(block: &Block) -> (u32, u32) {
        let first = u32::from(block.start) << 8;
        (first, first + (1 << (32 - block.prefix)) - 1)
    }

    #[test]
    fn no_block_reaches_into_another() {
        for layout in [&CONTROL_PLANE[..], &PROXY[..]] {
            for (i, one) in layout.iter().enumerate() {
                let (first, last) = range(one);
                assert!(last <= 0xffff && first.trailing_zeros() >= 32 - u32::from(one.prefix));
                for other in &layout[i + 1..] {
                    let (from, to) = range(other);
                    assert!(last < from || to < first, "{:?} {:?}", one.purpose, other.purpose);
                }
            }
        }
    }

    #[test]
    fn every_region_has_a_network_of_its_own() {
        assert_eq!(default_cidr("us-east-2").as_deref(), Some("10.0.0.0/16"));
        assert_eq!(default_cidr("eu-west-2").as_deref(), Some("10.2.0.0/16"));
        assert_eq!(default_cidr("mars-1"), None);
        assert_eq!(CONTROL_PLANE[6].cidr("10.7.0.0/16").as_deref(), Some("10.7.16.0/22"));
    }

    #[test]
    fn a_network_is_private_and_a_slash_16() {
        for wrong in ["10.0.0.0/8", "10.0.1.0/16", "11.0.0.0/16", "10.0.0.0", "x/16"] {
            assert!(slash_16(wrong).is_none(), "{wrong}");
        }
    }
}
