//! The clients of one region, and the place that they are made for.

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use causeway_core::{
    Stack,
    place::{Client, Place},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// A region: the place that AWS resources live in. Global services (IAM, Route 53, CloudFront) are reached through
/// whichever region their node stands in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Like `us-east-2`.
    pub region: String,
}

impl Region {
    /// The region with this name.
    pub fn new(region: impl Into<String>) -> Self {
        Region { region: region.into() }
    }
}
impl Place for Region {
    const PROVIDER: &'static str = "aws";
}

/// Adds to stacks in the words of AWS.
pub trait AwsStack {
    /// Adds with `build` in `region`.
    fn region<T>(&mut self, region: &str, build: impl FnOnce(&mut Stack) -> T) -> T;
}
impl AwsStack for Stack {
    fn region<T>(&mut self, region: &str, build: impl FnOnce(&mut Stack) -> T) -> T {
        self.at(&Region::new(region), build)
    }
}

/// The clients of one region. Cheap to clone.
#[derive(Clone)]
pub struct Aws(Arc<Services>);

impl std::ops::Deref for Aws {
    type Target = Services;
    fn deref(&self) -> &Services {
        &self.0
    }
}
impl Client for Aws {
    type Place = Region;
}

/// One client for every service that was compiled in.
pub struct Services {
    /// The region that the clients speak to.
    pub region: String,
    /// Certificate Manager.
    #[cfg(feature = "acm")]
    pub acm: crate::acm::Acm,
    /// CloudWatch.
    #[cfg(feature = "cloudwatch")]
    pub cloudwatch: crate::cloudwatch::CloudWatch,
    /// EC2, which holds VPCs too.
    #[cfg(feature = "ec2")]
    pub ec2: crate::ec2::Ec2,
    /// The container registry.
    #[cfg(feature = "ecr")]
    pub ecr: crate::ecr::Ecr,
    /// The container service.
    #[cfg(feature = "ecs")]
    pub ecs: crate::ecs::Ecs,
    /// Load balancers.
    #[cfg(feature = "elbv2")]
    pub elbv2: crate::elbv2::Elbv2,
    /// Identities.
    #[cfg(feature = "iam")]
    pub iam: crate::iam::Iam,
    /// Keys.
    #[cfg(feature = "kms")]
    pub kms: crate::kms::Kms,
    /// CloudWatch Logs.
    #[cfg(feature = "logs")]
    pub logs: crate::logs::Logs,
    /// Databases.
    #[cfg(feature = "rds")]
    pub rds: crate::rds::Rds,
    /// DNS.
    #[cfg(feature = "route53")]
    pub route53: crate::route53::Route53,
    /// Buckets.
    #[cfg(feature = "s3")]
    pub s3: crate::s3::S3,
    /// Secrets.
    #[cfg(feature = "secretsmanager")]
    pub secretsmanager: crate::secretsmanager::SecretsManager,
    /// Topics.
    #[cfg(feature = "sns")]
    pub sns: crate::sns::Sns,
    /// Web application firewall.
    #[cfg(feature = "wafv2")]
    pub wafv2: crate::wafv2::Wafv2,
}

impl Aws {
    /// The clients of `region`, on one connection pool.
    pub fn new(config: &SdkConfig, region: &Region) -> Self {
        let config = config.to_builder().region(aws_config::Region::new(region.region.clone())).build();
        let _ = &config;
        Aws(Arc::new(Services {
            region: region.region.clone(),
            #[cfg(feature = "acm")]
            acm: crate::acm::Acm::new(&config),
            #[cfg(feature = "cloudwatch")]
            cloudwatch: crate::cloudwatch::CloudWatch::new(&config),
            #[cfg(feature = "ec2")]
            ec2: crate::ec2::Ec2::new(&config),
            #[cfg(feature = "ecr")]
            ecr: crate::ecr::Ecr::new(&config),
            #[cfg(feature = "ecs")]
            ecs: crate::ecs::Ecs::new(&config),
            #[cfg(feature = "elbv2")]
            elbv2: crate::elbv2::Elbv2::new(&config),
            #[cfg(feature = "iam")]
            iam: crate::iam::Iam::new(&config),
            #[cfg(feature = "kms")]
            kms: crate::kms::Kms::new(&config),
            #[cfg(feature = "logs")]
            logs: crate::logs::Logs::new(&config),
            #[cfg(feature = "rds")]
            rds: crate::rds::Rds::new(&config),
            #[cfg(feature = "route53")]
            route53: crate::route53::Route53::new(&config),
            #[cfg(feature = "s3")]
            s3: crate::s3::S3::new(&config),
            #[cfg(feature = "secretsmanager")]
            secretsmanager: crate::secretsmanager::SecretsManager::new(&config),
            #[cfg(feature = "sns")]
            sns: crate::sns::Sns::new(&config),
            #[cfg(feature = "wafv2")]
            wafv2: crate::wafv2::Wafv2::new(&config),
        }))
    }
}

/// The SDK configuration that all clients start from: the usual credential chain, and time limits that the SDK
/// leaves open.
///
/// Its retries are [`once`].
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(once())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(60))
                .build(),
        )
        .load()
        .await
}

/// One attempt a call, at a rate that AWS puts up with.
///
/// Retries are the engine's: it knows which calls may be repeated and looks before it repeats a create. The SDK
/// would repeat a create blindly after a 500, and a `CreateVpc` has no token to make that safe. What is left of the
/// SDK's adaptive mode is its rate limiter: one for each service and region, shared by everything in the process. It is
/// idle until the first throttle, then halves the rate and feels its way up again.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>
pub fn once() -> RetryConfig {
    RetryConfig::adaptive().with_max_attempts(1)
}
