//! Whether the addresses of new networks are free of those that are there already:
//! <https://docs.aws.amazon.com/vpc/latest/peering/invalid-peering-configurations.html>.
//!
//! Networks of the stack among each other are what the lint `overlapping-ranges` is about. Names need no check of their
//! own: planning looks each of them up.

use super::{Finding, Preflight};
use crate::{
    Call,
    ec2::{Cidr, Vpc},
};
use causeway_core::{Error, plan::Action};

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![];
    for (_, vpc, aws) in preflight.all::<Vpc>().filter(|(w, ..)| w.action == Action::Create) {
        let there = aws.ec2.describe_vpcs().into_paginator().items().send().try_collect().await;
        let mut taken = vec![];
        for one in there.call("ec2:DescribeVpcs")? {
            let id = one.vpc_id().unwrap_or_default().to_owned();
            let more = one.cidr_block_association_set().iter().filter_map(|a| a.cidr_block());
            let mut ranges: Vec<Cidr> = one.cidr_block().into_iter().chain(more).map(Cidr::from).collect();
            ranges.sort();
            ranges.dedup();
            taken.extend(ranges.into_iter().map(|range| (id.clone(), range)));
        }
        findings.push(judge(&vpc.cidr_block, &aws.region, &taken));
    }
    Ok(findings)
}

fn judge(range: &Cidr, region: &str, taken: &[(String, Cidr)]) -> Finding {
    let asked = format!("whether {range} is free in {region}");
    let shared: Vec<String> = taken
        .iter()
        .filter(|(_, theirs)| range.overlaps(theirs))
        .map(|(id, theirs)| format!("{id} has {theirs}"))
        .collect();
    if shared.is_empty() {
        return Finding::passed(asked, "no network there shares any of it");
    }
    let remedy = "both can stand, and never be peered; choose another `cidr` if they ever are to be";
    Finding::warning(asked, shared.join(", "), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::finding::Verdict;

    #[test]
    fn a_network_that_shares_addresses_is_named() {
        let taken = [
            ("vpc-1".to_owned(), Cidr::from("172.31.0.0/16")),
            ("vpc-2".to_owned(), Cidr::from("10.0.0.0/8")),
        ];
        let judge = |range| judge(&Cidr::from(range), "us-east-2", &taken);
        assert_eq!(judge("192.168.0.0/16").verdict, Verdict::Passed);
        let shared = judge("10.7.0.0/16");
        assert_eq!((shared.verdict, shared.answer.as_str()), (Verdict::Warning, "vpc-2 has 10.0.0.0/8"));
    }
}
