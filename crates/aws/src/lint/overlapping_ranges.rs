//! `overlapping-ranges`: networks of one stack that share addresses, and so can never be peered or reach one another
//! through a transit gateway: <https://docs.aws.amazon.com/vpc/latest/peering/invalid-peering-configurations.html>.

use crate::ec2::{Cidr, Vpc};
use causeway_core::{guard::Rules, lint::Breach, wanted::Wanted};

pub(super) fn judge(wanted: &[Wanted], _: &Rules) -> Vec<Breach> {
    let networks: Vec<(&Wanted, Cidr)> =
        wanted.iter().filter_map(|w| Some((w, w.spec::<Vpc>()?.cidr_block))).collect();
    let mut out = vec![];
    for (i, (one, range)) in networks.iter().enumerate() {
        // Each is told once, against the first that is in its way.
        let others = networks.iter().enumerate().filter(|(j, _)| *j != i);
        let shared = |(_, (_, other)): &(usize, &(&Wanted, _))| range.overlaps(other);
        if let Some((_, (other, theirs))) = others.clone().find(shared) {
            let why = format!(
                "is {range}, and {theirs} of `{}` in {} has the same addresses",
                other.address,
                other.place.label()
            );
            out.push(Breach::of(one, "cidr_block", why, "give each network its own"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::{Region, ec2::Vpc, lint::testing::found_in};
    use causeway_core::{Stack, Tags, guard::Rules};

    fn shared(ranges: [&str; 2]) -> Vec<String> {
        let mut stack = Stack::new("test");
        for (region, range) in ["us-east-2", "eu-west-2"].iter().zip(ranges) {
            let cidr_block = range.into();
            let vpc = Vpc {
                cidr_block,
                enable_dns_support: None,
                enable_dns_hostnames: None,
                tags: Tags::default(),
            };
            stack.at(&Region::new(*region), |stack| drop(stack.add(region, vpc)));
        }
        found_in("overlapping-ranges", &stack, &Rules::default()).into_iter().map(|(a, ..)| a).collect()
    }

    #[test]
    fn networks_do_not_share_addresses() {
        assert!(shared(["10.0.0.0/16", "10.1.0.0/16"]).is_empty());
        assert_eq!(shared(["10.0.0.0/16", "10.0.0.0/16"]), ["eu-west-2", "us-east-2"]);
        assert_eq!(shared(["10.0.0.0/8", "10.7.0.0/16"]).len(), 2);
        assert!(shared(["10.0.0.0/17", "10.0.128.0/17"]).is_empty());
    }
}
