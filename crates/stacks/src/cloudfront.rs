//! A static site at the edge: a private bucket, a distribution that alone may read it, the functions that lead visitors
//! to a release, the store that says which one is live, and its name.
//!
//! What is in the bucket and in the store is [`causeway_site`]'s, and no part of the stack: `docs-publish` writes it.

mod config;
mod legal;
mod names;

use crate::{config::StackConfig, dns::Zone};
use causeway_aws::{
    AwsStack,
    cloudfront::{
        Behavior, CachePolicy, Distribution, ErrorResponse, Function, Header, KeyValueStore, Logging, Origin,
        OriginAccessControl, PathBehavior, REGION, ResponseHeadersPolicy, StrictTransportSecurity,
        ViewerCertificate,
    },
    id::{Arn, HostedZoneId},
    policy::{PolicyDocument, Principal, Statement},
    s3::{Bucket, BucketPolicy},
};
use causeway_core::{Name, Set, Stack, Tags, Value, text};
use causeway_site::layout;
pub use config::*;

/// The address of the distribution.
pub const DISTRIBUTION: &str = "docs/distribution";
/// The address of the bucket.
pub const BUCKET: &str = "docs/bucket";

/// The origins, by their ids in the distribution.
const PRIVATE: &str = "private";
const WEBSITE: &str = "website";

/// The addresses of a named part of the stack, as patterns: `docs` is all of it.
pub fn group(name: &str) -> Option<&'static [&'static str]> {
    (name == "docs").then_some(&["docs/*"])
}

/// Builds the stack. `zone` is the hosted zone of its names, where another part of the stack has it already.
pub fn docs(stack: &mut Stack, common: &StackConfig, config: &Docs, zone: Option<Value<HostedZoneId>>) {
    for (key, value) in &common.tags {
        stack.tag(key, value);
    }
    let prefix = format!("{}-docs", common.name);
    let bucket = stack.region(&common.region, |stack| {
        let name = config.bucket.as_deref().map_or_else(|| Name::generated(prefix.as_str()), Name::from);
        let days = i32::try_from(config.keep_days).unwrap_or(i32::MAX);
        let bucket = Bucket { force_delete: Some(config.force_delete), ..Bucket::private(name, days) };
        stack.scope("docs", |stack| stack.add("bucket", bucket).clone())
    });
    let distribution = stack.region(REGION, |stack| {
        stack.scope("docs", |stack| {
            let hosted =
                zone.or_else(|| config.dns.hosted_zone(stack, "docs_name_servers")).map(Zone::Route53);
            let zone = hosted.or_else(|| config.dns_account().map(Zone::Elsewhere));
            let certificate = names::certificate(stack, config, zone.as_ref());
            let control = stack.add("access", OriginAccessControl::s3(prefix.as_str()));
            let origin = Origin::private_bucket(PRIVATE, bucket.domain.clone(), control.id.clone());
            let edge = edge(stack, &prefix, config);
            let mut wanted = distribution(config, origin, &edge, certificate);
            wanted.tags = Tags::from([("Name", prefix.as_str())]);
            let made = stack.add("distribution", wanted);
            names::records(stack, config, zone.as_ref(), &made);
            stack.output("docs_key_value_store", &edge.store);
            stack.output("docs_distribution", &made.id);
            stack.output("docs_distribution_name", &made.domain_name);
            let url = config.url().map_or_else(|| text!("https://", made.domain_name.clone()), Value::Known);
            stack.output("docs_url", url);
            made.clone()
        })
    });
    stack.output("docs_bucket", &bucket.name);
    stack.region(&common.region, |stack| {
        let policy = readable(&bucket.arn, &distribution.arn);
        let policy = BucketPolicy { bucket: bucket.name.clone(), policy };
        stack.scope("docs", |stack| stack.add("readers", policy));
    });
}

/// What a distribution runs and looks up.
struct Edge {
    store: Value<Arn>,
    router: Value<Arn>,
    headers: Value<Arn>,
    cache: Value<String>,
    security: Value<String>,
}

fn edge(stack: &mut Stack, prefix: &str, config: &Docs) -> Edge {
    let store = KeyValueStore {
        comment: Some("Which release visitors get; docs-publish writes it".into()),
        ..KeyValueStore::new(prefix)
    };
    let store = stack.add("store", store).arn.clone();
    let router = Function {
        comment: Some("Leads visitors to a release".into()),
        key_value_stores: Set(vec![store.clone()]),
        ..Function::new(format!("{prefix}-router"), causeway_site::ROUTER)
    };
    let router = stack.add("router", router).arn.clone();
    let headers = Function {
        comment: Some("Gives responses the headers of their release".into()),
        ..Function::new(format!("{prefix}-headers"), causeway_site::HEADERS)
    };
    let headers = stack.add("headers", headers).arn.clone();
    let cache = stack.add("cache", CachePolicy::files(prefix)).id.clone();
    let security = stack.add("security", security(prefix, &config.headers)).id.clone();
    Edge { store, router, headers, cache, security }
}

fn security(prefix: &str, config: &Headers) -> ResponseHeadersPolicy {
    let said = |value: &str| (value != NONE).then(|| Header::unless_said(value));
    ResponseHeadersPolicy {
        strict_transport_security: (config.hsts_days > 0).then(|| StrictTransportSecurity {
            max_age: i32::from(config.hsts_days) * 24 * 3600,
            include_subdomains: false,
            preload: false,
        }),
        frame_options: said(&config.frame_options),
        referrer_policy: said(&config.referrer_policy),
        content_security_policy: config.content_security_policy.as_deref().map(Header::unless_said),
        ..ResponseHeadersPolicy::security(prefix)
    }
}

fn distribution(
    config: &Docs,
    private: Origin,
    edge: &Edge,
    certificate: Option<Value<Arn>>,
) -> Distribution {
    let functions = [("viewer-request", edge.router.clone()), ("viewer-response", edge.headers.clone())];
    let files = |origin| Behavior::files(origin, edge.cache.clone(), edge.security.clone());
    let of_releases = files(PRIVATE).functions(functions);
    let error_page = format!("/{}", layout::ERROR_PAGE);
    let errors = [403, 404].map(|code| ErrorResponse::page(code, &error_page, 404));
    let website = config.website.as_deref().map(|host| Origin::website(WEBSITE, host));
    let mut wanted = Distribution {
        comment: config.comment.clone(),
        aliases: config.names().into_iter().collect(),
        certificate: certificate
            .map(|acm_arn| ViewerCertificate { acm_arn, minimum_protocol: "TLSv1.2_2021".into() }),
        origins: [Some(private), website].into_iter().flatten().map(Value::Known).collect(),
        default_behavior: of_releases.clone(),
        behaviors: None,
        error_responses: errors.into_iter().map(Value::Known).collect(),
        default_root_object: None,
        http_version: Some("http2and3".into()),
        ipv6: Some(true),
        price_class: Some(config.price_class.as_str().into()),
        logging: config.logs.as_ref().map(|logs| Logging {
            bucket: format!("{}.s3.amazonaws.com", logs.bucket),
            prefix: logs.prefix.clone(),
        }),
        web_acl: config.waf.as_ref().map(|waf| Arn::from(waf.web_acl_arn.as_str()).into()),
        enabled: true,
        tags: Tags::default(),
    };
    if config.origin == Some(Serves::Website) {
        // Visitors get the website as before. Releases can be published and looked at beside it: whoever publishes finds
        // the bucket and the store in the distribution.
        wanted.default_behavior = files(WEBSITE);
        let path = "/_preview/*".to_owned();
        wanted.behaviors = Some(vec![PathBehavior { path, behavior: of_releases }]);
        // The website has an error page of its own.
        wanted.error_responses = Set::default();
        wanted.default_root_object = None;
    }
    wanted
}

/// Lets one distribution read a bucket. What is not there is only told as such to those who may list.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html>
fn readable(bucket: &Value<Arn>, distribution: &Value<Arn>) -> PolicyDocument {
    let of = |sid: &str, statement: Statement| {
        let edge = Principal::service("cloudfront.amazonaws.com");
        let statement = statement.to([edge]);
        let statement = statement.when("StringEquals", "aws:SourceArn", [distribution.cast::<String>()]);
        Statement { sid: Some(sid.into()), ..statement }
    };
    PolicyDocument::new([
        of("ReadByDistribution", Statement::allow(["s3:GetObject"], [text!(bucket.clone(), "/*")])),
        of("ListByDistribution", Statement::allow(["s3:ListBucket"], [bucket.cast::<String>()])),
    ])
}
