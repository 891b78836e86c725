//! AWS resources: one folder a service, one file a resource, AWS's own names.
//!
//! A resource lives in a [`Region`]; `stack.at(&Region::new("us-east-2"), |stack| ..)` or, shorter,
//! [`AwsStack::region`]. Every service is a cargo feature of its own name.

pub mod arn;
mod call;
mod client;
mod global;
pub mod id;
pub mod inventory;
pub mod lint;
mod pace;
pub mod policy;
mod shown;
#[cfg(any(feature = "autoscaling", feature = "ec2"))]
mod spreading;
#[cfg(feature = "tag-index")]
mod tag_index;
mod tagged;
pub mod terraform;

pub use call::Call;
pub use client::{Aws, AwsStack, Region, retries, sdk_config};
#[cfg(feature = "tag-index")]
pub use tag_index::TagIndex;
pub use tagged::tagged;

#[cfg(feature = "acm")]
pub mod acm;
#[cfg(feature = "autoscaling")]
pub mod autoscaling;
#[cfg(feature = "cloudfront")]
pub mod cloudfront;
#[cfg(feature = "cloudwatch")]
pub mod cloudwatch;
#[cfg(feature = "ec2")]
pub mod ec2;
#[cfg(feature = "ecr")]
pub mod ecr;
#[cfg(feature = "ecs")]
pub mod ecs;
#[cfg(feature = "eks")]
pub mod eks;
#[cfg(feature = "elasticache")]
pub mod elasticache;
#[cfg(feature = "elbv2")]
pub mod elbv2;
#[cfg(feature = "events")]
pub mod events;
#[cfg(feature = "iam")]
pub mod iam;
#[cfg(feature = "kms")]
pub mod kms;
#[cfg(feature = "logs")]
pub mod logs;
#[cfg(feature = "preflight")]
pub mod preflight;
#[cfg(feature = "rds")]
pub mod rds;
#[cfg(feature = "route53")]
pub mod route53;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "secretsmanager")]
pub mod secretsmanager;
#[cfg(feature = "sns")]
pub mod sns;
#[cfg(feature = "sqs")]
pub mod sqs;
#[cfg(feature = "ssm")]
pub mod ssm;
pub mod sts;
#[cfg(feature = "wafv2")]
pub mod wafv2;

use causeway_core::Registry;

/// Registers every AWS kind that was compiled in, and the [lints](lint) of them. `config` is the SDK configuration without a region; each
/// [`Region`] of a stack gets its own clients from it.
pub fn register(registry: &mut Registry, config: aws_config::SdkConfig) {
    add(registry, config, None);
}

/// As [`register`], where `caller` is whose credentials `config` has: nobody asks AWS for it again.
pub fn register_as(registry: &mut Registry, config: aws_config::SdkConfig, caller: sts::Caller) {
    add(registry, config, Some(caller));
}

fn add(registry: &mut Registry, config: aws_config::SdkConfig, caller: Option<sts::Caller>) {
    registry.add_lints(lint::LINTS);
    let globals = global::Globals::new(caller);
    let kinds = registry.provider(move |region: Region| {
        let aws = Aws::with(&config, &region, globals.of(&config, &region.region));
        async move { Ok(aws) }
    });
    let kinds = sts::register(kinds);
    #[cfg(feature = "acm")]
    let kinds = acm::register(kinds);
    #[cfg(feature = "autoscaling")]
    let kinds = autoscaling::register(kinds);
    #[cfg(feature = "cloudfront")]
    let kinds = cloudfront::register(kinds);
    #[cfg(feature = "cloudwatch")]
    let kinds = cloudwatch::register(kinds);
    #[cfg(feature = "ec2")]
    let kinds = ec2::register(kinds);
    #[cfg(feature = "ecr")]
    let kinds = ecr::register(kinds);
    #[cfg(feature = "ecs")]
    let kinds = ecs::register(kinds);
    #[cfg(feature = "elasticache")]
    let kinds = elasticache::register(kinds);
    #[cfg(feature = "eks")]
    let kinds = eks::register(kinds);
    #[cfg(feature = "elbv2")]
    let kinds = elbv2::register(kinds);
    #[cfg(feature = "events")]
    let kinds = events::register(kinds);
    #[cfg(feature = "iam")]
    let kinds = iam::register(kinds);
    #[cfg(feature = "kms")]
    let kinds = kms::register(kinds);
    #[cfg(feature = "logs")]
    let kinds = logs::register(kinds);
    #[cfg(feature = "rds")]
    let kinds = rds::register(kinds);
    #[cfg(feature = "route53")]
    let kinds = route53::register(kinds);
    #[cfg(feature = "s3")]
    let kinds = s3::register(kinds);
    #[cfg(feature = "secretsmanager")]
    let kinds = secretsmanager::register(kinds);
    #[cfg(feature = "sns")]
    let kinds = sns::register(kinds);
    #[cfg(feature = "sqs")]
    let kinds = sqs::register(kinds);
    #[cfg(feature = "ssm")]
    let kinds = ssm::register(kinds);
    #[cfg(feature = "wafv2")]
    let kinds = wafv2::register(kinds);
    drop(kinds);
}
