//! From what the configuration says of a zone to who is asked about it.

use crate::config::{PlanName, ProviderName, ZoneConfig};
use causeway_core::Secret;
use causeway_dns::{
    Name,
    error::ProviderError,
    provider::{
        Provider,
        cloudflare::{self, Cloudflare, Plan},
        rfc2136::{self, Rfc2136},
    },
};
use std::{path::Path, sync::Arc};

/// Who keeps the zone `name`. `state` is where the journal is, and calls are counted.
///
/// # Errors
/// When the configuration is none that the provider can work with, or no client can be made.
pub(crate) async fn provider(
    name: &str,
    zone: &ZoneConfig,
    secret: Option<&Secret>,
    state: Option<&Path>,
) -> Result<Arc<dyn Provider>, ProviderError> {
    let secret = secret.and_then(|secret| secret.expose().ok()).unwrap_or_default();
    Ok(match zone.provider {
        ProviderName::Cloudflare => Arc::new(Cloudflare::new(cloudflare::Account {
            endpoint: zone.api.clone().unwrap_or_else(|| cloudflare::ENDPOINT.to_owned()),
            token: secret.into(),
            plan: match zone.plan.unwrap_or_default() {
                PlanName::Free => Plan::Free,
                PlanName::Paid => Plan::Paid,
                PlanName::Enterprise => Plan::Enterprise,
            },
            calls: state.map(|folder| folder.join("calls.json")),
        })?),
        ProviderName::Rfc2136 => Arc::new(Rfc2136::new(rfc2136::Account {
            server: zone.server_address().unwrap_or_default(),
            key: zone.key.as_ref().map(|key| rfc2136::Key {
                name: key.name.clone(),
                algorithm: key.algorithm.into(),
                secret: secret.into(),
            }),
            zones: Name::parse(name).into_iter().collect(),
        })?),
        #[cfg(feature = "route53")]
        ProviderName::Route53 => Arc::new(route53(zone.profile.as_deref()).await),
        #[cfg(not(feature = "route53"))]
        ProviderName::Route53 => {
            let words = "this program was built without Route 53".to_owned();
            return Err(ProviderError::Refused { call: "route53", words });
        }
    })
}

/// Credentials as the AWS CLI finds them. Route 53 is the same in all regions of a partition, so that only its region tells
/// where it is.
#[cfg(feature = "route53")]
async fn route53(profile: Option<&str>) -> causeway_dns::provider::route53::Route53 {
    use aws_config::{BehaviorVersion, Region, meta::region::RegionProviderChain};
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    let mut region = aws_config::default_provider::region::Builder::default();
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
        region = region.profile_name(profile);
    }
    let region = RegionProviderChain::first_try(region.build()).or_else(Region::from_static("us-east-1"));
    causeway_dns::provider::route53::Route53::new(&loader.region(region).load().await)
}
