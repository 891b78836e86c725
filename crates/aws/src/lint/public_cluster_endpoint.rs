//! `public-cluster-endpoint`: the API of a cluster that the whole internet reaches.

use crate::eks::Cluster;
use causeway_core::{guard::Rules, lint::Breach, wanted::Wanted};

pub(super) fn judge(wanted: &[Wanted], _: &Rules) -> Vec<Breach> {
    let open = |w: &Wanted| {
        let cluster = w.spec::<Cluster>()?;
        let ranges = &cluster.public_access_cidrs.0;
        let everybody =
            ranges.iter().find_map(|range| range.get().ok().filter(|range| range.ends_with("/0")))?;
        let why = format!("has {everybody}: the whole internet could reach the API of the cluster");
        Some(Breach::of(w, "public_access_cidrs", why, "name the ranges that it is used from"))
    };
    wanted.iter().filter_map(open).collect()
}

#[cfg(test)]
mod tests {
    use crate::{eks::Cluster, id::Arn, lint::testing::found};
    use causeway_core::Set;

    #[test]
    fn the_api_is_not_for_everybody() {
        let ranges = |ranges: &[&str]| {
            let cluster = Cluster {
                public_access_cidrs: ranges.iter().copied().collect(),
                ..Cluster::new("c", "1.35".to_owned(), Arn::from("arn:r").into(), Set::default())
            };
            found("public-cluster-endpoint", |stack| drop(stack.add("cluster", cluster))).len()
        };
        assert_eq!(ranges(&[]), 0);
        assert_eq!(ranges(&["203.0.113.0/24"]), 0);
        assert_eq!(ranges(&["203.0.113.0/24", "0.0.0.0/0"]), 1);
    }
}
