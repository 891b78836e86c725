//! The clients of one region, and the place that they are made for.

use crate::global::Global;
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    orchestrator::HttpResponse as Response,
    retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority},
};
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
    /// Who deploys.
    pub sts: crate::sts::Sts,
    /// Certificate Manager.
    #[cfg(feature = "acm")]
    pub acm: crate::acm::Acm,
    /// Groups of machines.
    #[cfg(feature = "autoscaling")]
    pub autoscaling: crate::autoscaling::AutoScaling,
    /// The edge.
    #[cfg(feature = "cloudfront")]
    pub cloudfront: crate::cloudfront::CloudFront,
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
    /// Caches.
    #[cfg(feature = "elasticache")]
    pub elasticache: crate::elasticache::ElastiCache,
    /// Kubernetes clusters.
    #[cfg(feature = "eks")]
    pub eks: crate::eks::Eks,
    /// Load balancers of the generation before, which we look for and never make.
    #[cfg(feature = "eks")]
    pub elb: aws_sdk_elasticloadbalancing::Client,
    /// Load balancers.
    #[cfg(feature = "elbv2")]
    pub elbv2: crate::elbv2::Elbv2,
    /// EventBridge.
    #[cfg(feature = "events")]
    pub events: crate::events::Events,
    /// Identities.
    #[cfg(feature = "iam")]
    pub iam: crate::iam::Iam,
    /// Keys.
    #[cfg(feature = "kms")]
    pub kms: crate::kms::Kms,
    /// CloudWatch Logs.
    #[cfg(feature = "logs")]
    pub logs: crate::logs::Logs,
    /// Quotas of all services.
    #[cfg(feature = "preflight")]
    pub(crate) quotas: aws_sdk_servicequotas::Client,
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
    /// Queues.
    #[cfg(feature = "sqs")]
    pub sqs: crate::sqs::Sqs,
    /// Parameters.
    #[cfg(feature = "ssm")]
    pub ssm: crate::ssm::Ssm,
    /// The index of all tags.
    #[cfg(feature = "tag-index")]
    pub tag_index: crate::TagIndex,
    /// Web application firewall.
    #[cfg(feature = "wafv2")]
    pub wafv2: crate::wafv2::Wafv2,
}

impl Aws {
    /// The clients of `region`, on one connection pool.
    pub fn new(config: &SdkConfig, region: &Region) -> Self {
        Aws::with(config, region, Global::new(config, &region.region, None))
    }

    pub(crate) fn with(config: &SdkConfig, region: &Region, global: Global) -> Self {
        let config = config
            .to_builder()
            .region(aws_config::Region::new(region.region.clone()))
            .http_client(crate::pace::http_client(config))
            .build();
        let _ = (&config, &global);
        Aws(Arc::new(Services {
            region: region.region.clone(),
            sts: crate::sts::Sts::new(&config, global.caller.clone()),
            #[cfg(feature = "acm")]
            acm: crate::acm::Acm::new(&config),
            #[cfg(feature = "autoscaling")]
            autoscaling: crate::autoscaling::AutoScaling::new(&config),
            #[cfg(feature = "cloudfront")]
            cloudfront: crate::cloudfront::CloudFront::new(&config),
            #[cfg(feature = "cloudwatch")]
            cloudwatch: crate::cloudwatch::CloudWatch::new(&config),
            #[cfg(feature = "ec2")]
            ec2: crate::ec2::Ec2::new(&config),
            #[cfg(feature = "ecr")]
            ecr: crate::ecr::Ecr::new(&config),
            #[cfg(feature = "ecs")]
            ecs: crate::ecs::Ecs::new(&config),
            #[cfg(feature = "elasticache")]
            elasticache: crate::elasticache::ElastiCache::new(&config),
            #[cfg(feature = "eks")]
            eks: crate::eks::Eks::new(&config),
            #[cfg(feature = "eks")]
            elb: crate::client::client!(aws_sdk_elasticloadbalancing, &config),
            #[cfg(feature = "elbv2")]
            elbv2: crate::elbv2::Elbv2::new(&config),
            #[cfg(feature = "events")]
            events: crate::events::Events::new(&config),
            #[cfg(feature = "iam")]
            iam: crate::iam::Iam::new(&config, global),
            #[cfg(feature = "kms")]
            kms: crate::kms::Kms::new(&config),
            #[cfg(feature = "logs")]
            logs: crate::logs::Logs::new(&config),
            #[cfg(feature = "preflight")]
            quotas: aws_sdk_servicequotas::Client::new(&config),
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
            #[cfg(feature = "sqs")]
            sqs: crate::sqs::Sqs::new(&config),
            #[cfg(feature = "ssm")]
            ssm: crate::ssm::Ssm::new(&config),
            #[cfg(feature = "tag-index")]
            tag_index: crate::TagIndex::new(&config),
            #[cfg(feature = "wafv2")]
            wafv2: crate::wafv2::Wafv2::new(&config),
        }))
    }
}

/// The SDK configuration that all clients start from: the usual credential chain, and time limits that the SDK
/// leaves open.
///
/// Its retries are [`retries`].
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(retries())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(60))
                .build(),
        )
        .load()
        .await
}

/// Repeats what AWS refused for its rate, and nothing else.
///
/// Other repeats are the engine's: it knows which calls may be repeated and looks before it repeats a create. The SDK
/// would repeat a create blindly after a 500, and a `CreateVpc` has no token to make that safe. A throttled call had no
/// effect, whatever it was. How many repeats are on their way is bounded for each service and region, by a quota that
/// everything in the process shares. <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>
///
/// The clients of [`Aws`] forbid all other repeats, whatever their configuration says.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(8)
}

/// Forbids to repeat anything but a throttled call.
#[derive(Debug)]
pub(crate) struct ThrottlesOnly;

impl ClassifyRetry for ThrottlesOnly {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(answer) if is_throttle(answer) => RetryAction::throttling_error(),
            _ => RetryAction::RetryForbidden,
        }
    }

    fn name(&self) -> &'static str {
        "throttled calls only"
    }

    fn priority(&self) -> RetryClassifierPriority {
        // A 503 alone says less than the code that comes with it.
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

pub(crate) fn is_throttle(answer: &Response) -> bool {
    let status = answer.status().as_u16();
    let kind = answer.headers().get("x-amzn-errortype").map(str::as_bytes);
    let body = answer.body().bytes();
    // The code stands in a header, in JSON or in XML, by the protocol of the service.
    let named = [kind, body].into_iter().flatten().any(|text| {
        text.split(|b| !b.is_ascii_alphanumeric())
            .filter_map(|word| std::str::from_utf8(word).ok())
            .any(crate::call::throttled)
    });
    status == 429 || named && matches!(status, 400..=499 | 503)
}

/// A client of the service `$sdk` that repeats throttled calls only, and takes turns at an API that throttles.
macro_rules! client {
    ($sdk:ident, $config:expr) => {
        $sdk::Client::from_conf(
            $sdk::config::Builder::from($config)
                .retry_classifier($crate::client::ThrottlesOnly)
                .interceptor($crate::pace::Pace::default())
                .build(),
        )
    };
}
#[allow(unused_imports, reason = "without a service there is no client")]
pub(crate) use client;
