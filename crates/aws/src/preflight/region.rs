//! Whether the region is there and enabled:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html>.

use super::{Finding, Preflight};
use crate::Call;
use causeway_core::Error;
use futures::future::try_join_all;

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    try_join_all(preflight.clients.iter().map(|(region, aws)| async move {
        // All of them and no filter: one that is not there is an answer then, and not an error.
        let regions =
            aws.ec2.describe_regions().all_regions(true).send().await.call("ec2:DescribeRegions")?;
        let found = regions.regions().iter().find(|r| r.region_name() == Some(region));
        Ok(judge(region, found.map(|r| r.opt_in_status().unwrap_or_default())))
    }))
    .await
}

fn judge(region: &str, status: Option<&str>) -> Finding {
    let asked = format!("whether {region} can be used");
    match status {
        None => Finding::failed(
            asked,
            "there is no such region",
            "correct `region` under [stack]; `aws ec2 describe-regions --all-regions` lists them",
        ),
        Some("not-opted-in") => Finding::failed(
            asked,
            "the account has not enabled it",
            format!(
                "`aws account enable-region --region-name {region}` enables it, which takes some minutes"
            ),
        ),
        Some(_) => Finding::passed(asked, "it is enabled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::finding::Verdict;

    #[test]
    fn a_region_has_to_be_there_and_enabled() {
        assert_eq!(judge("r", Some("opt-in-not-required")).verdict, Verdict::Passed);
        assert_eq!(judge("r", Some("opted-in")).verdict, Verdict::Passed);
        assert_eq!(judge("r", Some("not-opted-in")).verdict, Verdict::Failed);
        assert_eq!(judge("r", None).verdict, Verdict::Failed);
    }
}
