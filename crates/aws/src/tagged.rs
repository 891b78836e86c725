//! What carries the tags of a stack, in the services that have kinds without names, or with names that we generate: only
//! their tags tell what is ours once the journal is lost.

use crate::{Aws, Region};
use aws_config::SdkConfig;
use causeway_core::{Address, Error, Tags, rebuild::Tagged};

/// All that carries the tags of `stack` in EC2, EKS, Auto Scaling, Systems Manager, KMS, ACM, RDS, ELBv2 and S3 of `regions`,
/// and in Route 53 and CloudFront. Services that were not compiled in are left out.
///
/// # Errors
/// When something cannot be listed.
pub async fn tagged(config: &SdkConfig, regions: &[String], stack: &str) -> Result<Vec<Tagged>, Error> {
    let mut found = vec![];
    for (n, region) in regions.iter().enumerate() {
        let aws = Aws::new(config, &Region::new(region));
        let mut all: Vec<(String, Tags)> = vec![];
        #[cfg(feature = "ec2")]
        all.extend(aws.ec2.tagged(stack).await?);
        #[cfg(feature = "eks")]
        all.extend(aws.eks.tagged().await?);
        #[cfg(feature = "autoscaling")]
        all.extend(aws.autoscaling.tagged(stack).await?);
        #[cfg(feature = "ssm")]
        all.extend(aws.ssm.tagged(stack).await?);
        #[cfg(feature = "kms")]
        all.extend(aws.kms.tagged().await?);
        #[cfg(feature = "acm")]
        all.extend(aws.acm.tagged().await?);
        #[cfg(feature = "rds")]
        all.extend(aws.rds.tagged().await?);
        #[cfg(feature = "elbv2")]
        all.extend(aws.elbv2.tagged().await?);
        #[cfg(feature = "s3")]
        all.extend(aws.s3.tagged(region).await?);
        // There is only one of it.
        #[cfg(feature = "route53")]
        if n == 0 {
            all.extend(aws.route53.tagged().await?);
        }
        #[cfg(feature = "cloudfront")]
        if n == 0 {
            all.extend(aws.cloudfront.tagged().await?);
        }
        let _ = (&aws, n, &mut all);
        found.extend(all.into_iter().filter_map(|(id, tags)| ours(id, &tags, stack)));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn ours(id: String, tags: &Tags, stack: &str) -> Option<Tagged> {
    let tag = |key| tags.0.get(key);
    let address = Address(tag(Tags::ADDRESS)?.clone());
    let instance = tag(Tags::INSTANCE)?.clone();
    (tag(Tags::STACK)? == stack).then_some(Tagged { id, address, instance })
}
