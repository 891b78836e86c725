//! Where a site is: all of it is found from its distribution.

use crate::{
    bucket::Bucket,
    error::{Call, Error},
    progress::{Event, Watch},
    store::Store,
};
use aws_config::{Region, SdkConfig};
use aws_sdk_cloudfront::types::{
    Distribution, DistributionConfig, EventType, FunctionAssociations, FunctionStage, Origin,
};
use std::time::Duration;
use tokio::time::Instant;

/// The status of a distribution of which not every edge knows the latest.
const DEPLOYING: &str = "InProgress";

/// Between two looks at a distribution.
const PAUSE: Duration = Duration::from_secs(5);

/// The first: the sandbox is quick.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// CloudFront is global, and has its API here.
const GLOBAL: &str = "us-east-1";

/// How a distribution is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By its id.
    Distribution(String),
    /// By one of its names, as a URL or alone.
    Site(String),
}

/// A site: its distribution, bucket and store.
#[derive(Clone, Debug)]
pub struct Place {
    /// The id of the distribution.
    pub distribution: String,
    /// Its name at CloudFront.
    pub domain: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// The bucket.
    pub bucket: String,
    /// The ARN of the key value store.
    pub store: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether edges are still being told of a change of it.
    pub deploying: bool,
    /// Whether visitors still get what they got before there were releases, and only previews lead to one.
    pub staged: bool,
    pub(crate) cloudfront: aws_sdk_cloudfront::Client,
    pub(crate) objects: Bucket,
    pub(crate) keys: Store,
}

impl Place {
    /// Finds the site that is meant.
    ///
    /// # Errors
    /// [`Error`]: there is none, or it is not set up for releases.
    pub async fn find(config: &SdkConfig, target: &Target) -> Result<Place, Error> {
        let cloudfront = cloudfront(config);
        let distribution = find(&cloudfront, target).await?;
        let id = distribution.id.clone();
        let not_prepared = |why: &str| Error::NotPrepared { distribution: id.clone(), why: why.to_owned() };
        let settings =
            distribution.distribution_config.as_ref().ok_or_else(|| not_prepared("has no configuration"))?;
        let origin =
            origin(settings).ok_or_else(|| not_prepared("has no origin for its default behaviour"))?;
        if origin.origin_path().is_some_and(|path| !path.is_empty()) {
            return Err(not_prepared("has an origin path; releases have their own"));
        }
        let Some((bucket, region)) = bucket_of(origin.domain_name()) else {
            let website = origin.domain_name().contains(".s3-website");
            return Err(not_prepared(if website {
                "reads its pages from a website endpoint; `deploy apply` with `[docs]` makes the bucket private"
            } else {
                "has no bucket of S3 behind its default behaviour"
            }));
        };
        let function = function(settings).ok_or_else(|| {
            not_prepared("has no function for viewer requests, which would lead to a release")
        })?;
        let described = cloudfront.describe_function().name(function).stage(FunctionStage::Live).send().await;
        let described = described.call(|| format!("look at the function {function}"))?;
        let summary = described.function_summary;
        let stores = summary.as_ref().and_then(|s| s.function_config.as_ref());
        let stores = stores.and_then(|c| c.key_value_store_associations.as_ref());
        let store = stores.and_then(|s| s.items().first()).map(|s| s.key_value_store_arn().to_owned());
        let store = store.ok_or_else(|| not_prepared("has a function that has no key value store"))?;
        Ok(Place {
            distribution: id.clone(),
            domain: distribution.domain_name.clone(),
            aliases: settings.aliases.as_ref().map(|a| a.items().to_vec()).unwrap_or_default(),
            bucket: bucket.to_owned(),
            store: store.clone(),
            enabled: settings.enabled,
            deploying: distribution.status == DEPLOYING,
            staged: releases(settings).is_some_and(|led| led.staged),
            objects: Bucket::new(config, bucket, region, owner(&distribution)),
            keys: Store::new(config, &store),
            cloudfront,
        })
    }

    /// Waits until every edge knows the distribution as it is. `false` if they still do not after `limit`.
    ///
    /// # Errors
    /// A call failed.
    pub async fn deployed(&self, limit: Duration, watch: Watch<'_>) -> Result<bool, Error> {
        let until = Instant::now() + limit;
        let target = Target::Distribution(self.distribution.clone());
        let mut pause = FIRST_PAUSE;
        watch(Event::Deploying);
        while find(&self.cloudfront, &target).await?.status == DEPLOYING {
            if Instant::now() + pause >= until {
                return Ok(false);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
        Ok(true)
    }

    /// The address of the site for people.
    pub fn url(&self) -> String {
        format!("https://{}", self.aliases.iter().find(|a| !a.contains('*')).unwrap_or(&self.domain))
    }
}

pub(crate) fn cloudfront(config: &SdkConfig) -> aws_sdk_cloudfront::Client {
    let config = aws_sdk_cloudfront::config::Builder::from(config).region(Region::new(GLOBAL)).build();
    aws_sdk_cloudfront::Client::from_conf(config)
}

/// The distribution that is meant.
pub(crate) async fn find(
    cloudfront: &aws_sdk_cloudfront::Client,
    target: &Target,
) -> Result<Distribution, Error> {
    let id = match target {
        Target::Distribution(id) => id.clone(),
        Target::Site(site) => named(cloudfront, host(site)).await?,
    };
    match cloudfront.get_distribution().id(&id).send().await {
        Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_distribution()) => {
            Err(Error::NoDistribution(id))
        }
        answer => {
            let found = answer.call(|| format!("look at the distribution {id}"))?;
            found.distribution.ok_or(Error::NoDistribution(id))
        }
    }
}

/// The id of the distribution that answers for `host`.
async fn named(cloudfront: &aws_sdk_cloudfront::Client, host: &str) -> Result<String, Error> {
    let mut pages = cloudfront.list_distributions().into_paginator().send();
    let mut ids = vec![];
    while let Some(page) = pages.next().await {
        let page = page.call(|| "list the distributions".to_owned())?;
        for one in page.distribution_list.iter().flat_map(|list| list.items()) {
            let aliases = one.aliases.as_ref().map(|a| a.items()).unwrap_or_default();
            if one.domain_name == host || aliases.iter().any(|alias| alias.eq_ignore_ascii_case(host)) {
                ids.push(one.id.clone());
            }
        }
    }
    match ids.len() {
        1 => Ok(ids.remove(0)),
        0 => Err(Error::NoDistribution(format!("for {host}"))),
        _ => Err(Error::Several { site: host.to_owned(), ids }),
    }
}

/// The host of a URL, or of what is one without its scheme.
fn host(site: &str) -> &str {
    let rest = site.split_once("://").map_or(site, |(_, rest)| rest);
    rest.split(['/', ':', '?', '#']).next().unwrap_or(rest)
}

/// Where previews are, in a distribution whose visitors get something else.
const PREVIEWS: &str = "/_preview/*";

/// How a distribution leads to releases.
struct Led<'a> {
    origin: &'a str,
    functions: Option<&'a FunctionAssociations>,
    staged: bool,
}

/// The default behaviour leads there; or, on the way from a website, that of previews alone.
fn releases(settings: &DistributionConfig) -> Option<Led<'_>> {
    let default = settings.default_cache_behavior.as_ref()?;
    let (origin, functions) = (default.target_origin_id(), default.function_associations.as_ref());
    let led = Led { origin, functions, staged: false };
    let others = settings.cache_behaviors.as_ref().map(|all| all.items()).unwrap_or_default();
    let previews = others.iter().find(|one| one.path_pattern() == PREVIEWS);
    let staged = previews.map(|one| {
        let functions = one.function_associations.as_ref();
        Led { origin: one.target_origin_id(), functions, staged: true }
    });
    match staged {
        Some(staged) if led.router().is_none() && staged.router().is_some() => Some(staged),
        _ => Some(led),
    }
}

impl<'a> Led<'a> {
    /// The name of the function for viewer requests.
    fn router(&self) -> Option<&'a str> {
        function_at(self.functions?, &EventType::ViewerRequest)
    }
}

/// The origin that releases come from.
fn origin(settings: &DistributionConfig) -> Option<&Origin> {
    origin_named(settings, releases(settings)?.origin)
}

/// The origin that behaviours name by `id`.
pub(crate) fn origin_named<'a>(settings: &'a DistributionConfig, id: &str) -> Option<&'a Origin> {
    settings.origins.as_ref()?.items().iter().find(|origin| origin.id() == id)
}

/// The name of the function for an event.
pub(crate) fn function_at<'a>(functions: &'a FunctionAssociations, event: &EventType) -> Option<&'a str> {
    let one = functions.items().iter().find(|one| one.event_type() == event)?;
    one.function_arn().rsplit('/').next()
}

/// The account that a distribution is in, and its bucket has to be: the fifth part of an ARN.
pub(crate) fn owner(distribution: &Distribution) -> Option<String> {
    distribution.arn.split(':').nth(4).filter(|owner| !owner.is_empty()).map(str::to_owned)
}

/// The name of the function that leads to a release.
fn function(settings: &DistributionConfig) -> Option<&str> {
    releases(settings)?.router()
}

/// The bucket, and its region where the name says it.
pub(crate) fn bucket_of(domain: &str) -> Option<(&str, Option<&str>)> {
    let domain = domain.strip_suffix(".amazonaws.com")?;
    if let Some(bucket) = domain.strip_suffix(".s3") {
        return Some((bucket, None));
    }
    let (bucket, region) = domain.rsplit_once(".s3.").or_else(|| domain.rsplit_once(".s3-"))?;
    if region.starts_with("website") { None } else { Some((bucket, Some(region))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_name_their_bucket() {
        for (domain, expected) in [
            ("docs.s3.eu-west-1.amazonaws.com", Some(("docs", Some("eu-west-1")))),
            ("docs.example.com.s3.amazonaws.com", Some(("docs.example.com", None))),
            ("docs.s3-eu-west-1.amazonaws.com", Some(("docs", Some("eu-west-1")))),
            ("docs.s3-website-us-east-1.amazonaws.com", None),
            ("docs.s3-website.eu-central-1.amazonaws.com", None),
            ("www.example.com", None),
        ] {
            assert_eq!(bucket_of(domain), expected, "{domain}");
        }
    }

    #[test]
    fn a_site_is_its_host() {
        for site in ["docs.example.com", "https://docs.example.com", "https://docs.example.com:443/a?b"] {
            assert_eq!(host(site), "docs.example.com");
        }
    }
}
