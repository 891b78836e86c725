//! A live distribution and its bucket against good practice, and what mends them.

use crate::{
    bucket::{Bucket, Guards},
    error::{Call, Error},
    place::{self, Target},
};
use aws_config::SdkConfig;
use aws_sdk_cloudfront::{
    Client,
    types::{
        DistributionConfig, EventType, FunctionStage, HttpVersion, MinimumProtocolVersion, Origin,
        ViewerProtocolPolicy,
    },
};
use causeway_site::layout;
use std::fmt;

const APPLY: &str = "`deploy apply` with `[docs]` in causeway.toml sets it";
const MOVE: &str = "`[docs]` with `origin = \"website\"` and the distribution under [adopt]; publish; then \
                    `origin = \"private\"`";
const DOMAIN: &str = "`domain` in [docs] gives it a certificate of its own, with TLS 1.2 of 2021";
const FUNCTIONS: &str = "`deploy apply` with `[docs]`, of this version of Causeway";

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// There is something to gain.
    Better,
    /// Somebody should do something.
    Wrong,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Good => "good",
            State::Better => "could be better",
            State::Wrong => "wrong",
        })
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What.
    pub what: &'static str,
    /// How it is.
    pub state: State,
    /// What is there.
    pub found: String,
    /// What mends it, where it is not good.
    pub mend: Option<&'static str>,
}

/// All that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The id of the distribution.
    pub distribution: String,
    /// In their order.
    pub points: Vec<Point>,
}

impl Point {
    fn new(what: &'static str, bad: Option<State>, found: impl Into<String>, mend: &'static str) -> Point {
        let mend = bad.is_some().then_some(mend);
        Point { what, state: bad.unwrap_or(State::Good), found: found.into(), mend }
    }

    fn wrong_unless(good: bool, what: &'static str, found: impl Into<String>, mend: &'static str) -> Point {
        Point::new(what, (!good).then_some(State::Wrong), found, mend)
    }
}

/// Looks at a distribution, its functions and its bucket. Changes nothing.
///
/// # Errors
/// There is no such distribution, or a call failed.
pub async fn audit(config: &SdkConfig, target: &Target) -> Result<Audited, Error> {
    let cloudfront = place::cloudfront(config);
    let distribution = place::find(&cloudfront, target).await?;
    let mut points = vec![];
    let owner = place::owner(&distribution);
    if let Some(settings) = &distribution.distribution_config {
        points.extend(at_the_edge(settings));
        points.extend(functions(&cloudfront, settings).await?);
        let bucket = origin(settings).and_then(|origin| place::bucket_of(origin.domain_name()));
        if let Some((bucket, region)) = bucket {
            points.extend(of_bucket(&Bucket::new(config, bucket, region, owner).guards().await?));
        }
    }
    Ok(Audited { distribution: distribution.id, points })
}

/// The origin of what visitors get.
fn origin(settings: &DistributionConfig) -> Option<&Origin> {
    place::origin_named(settings, settings.default_cache_behavior.as_ref()?.target_origin_id())
}

/// The name of the function for an event of what visitors get.
fn function<'a>(settings: &'a DistributionConfig, event: &EventType) -> Option<&'a str> {
    place::function_at(settings.default_cache_behavior.as_ref()?.function_associations.as_ref()?, event)
}

fn at_the_edge(settings: &DistributionConfig) -> Vec<Point> {
    let origin = origin(settings);
    let domain = origin.map(Origin::domain_name).unwrap_or_default();
    let private = place::bucket_of(domain).is_some();
    let control = origin.and_then(Origin::origin_access_control_id).is_some_and(|id| !id.is_empty());
    let mut points = vec![
        Point::wrong_unless(
            settings.enabled,
            "switched on",
            if settings.enabled { "yes" } else { "no" },
            APPLY,
        ),
        Point::wrong_unless(private, "origin", if domain.is_empty() { "none" } else { domain }, MOVE),
        Point::wrong_unless(control, "origin access control", if control { "signs" } else { "none" }, APPLY),
    ];
    if let Some(behavior) = &settings.default_cache_behavior {
        let protocol = behavior.viewer_protocol_policy();
        let https = *protocol != ViewerProtocolPolicy::AllowAll;
        points.push(Point::wrong_unless(https, "HTTPS only", protocol.as_str(), APPLY));
        let compress = behavior.compress() == Some(true);
        let bad = (!compress).then_some(State::Better);
        points.push(Point::new("compression", bad, if compress { "on" } else { "off" }, APPLY));
        let policy = behavior.response_headers_policy_id().filter(|id| !id.is_empty());
        let mend = "`[docs.headers]` in causeway.toml says which; `deploy apply` sets them";
        points.push(Point::wrong_unless(
            policy.is_some(),
            "security headers",
            policy.unwrap_or("none"),
            mend,
        ));
    }
    points.push(tls(settings));
    let version = settings.http_version().map_or("http1.1", HttpVersion::as_str);
    let bad = (version != HttpVersion::Http2and3.as_str()).then_some(State::Better);
    points.push(Point::new("HTTP version", bad, version, APPLY));
    points.push(error_page(settings));
    let logging = settings.logging.as_ref().is_some_and(|logging| !logging.bucket().is_empty());
    let bad = (!logging).then_some(State::Better);
    let mend = "`[docs.logs]` in causeway.toml says where";
    points.push(Point::new("logs", bad, if logging { "on" } else { "off" }, mend));
    points
}

fn tls(settings: &DistributionConfig) -> Point {
    use MinimumProtocolVersion::{TlSv122021, TlSv122025, TlSv132025};
    let certificate = settings.viewer_certificate.as_ref();
    if certificate.is_none_or(|one| one.cloud_front_default_certificate() == Some(true)) {
        let found = "CloudFront's own certificate, from TLS 1.0 on";
        return Point::new("TLS", Some(State::Better), found, DOMAIN);
    }
    let least = certificate.and_then(|one| one.minimum_protocol_version());
    let strong = matches!(least, Some(TlSv122021 | TlSv122025 | TlSv132025));
    Point::wrong_unless(strong, "TLS", least.map_or("any", MinimumProtocolVersion::as_str), APPLY)
}

fn error_page(settings: &DistributionConfig) -> Point {
    let page = format!("/{}", layout::ERROR_PAGE);
    let responses = settings.custom_error_responses.as_ref().map(|all| all.items()).unwrap_or_default();
    let right = |code: i32| {
        let one = responses.iter().find(|one| one.error_code() == code);
        one.is_some_and(|one| one.response_page_path() == Some(&page) && one.response_code() == Some("404"))
    };
    let codes = [403, 404].into_iter().filter(|code| !right(*code));
    let missing: Vec<String> = codes.map(|code| code.to_string()).collect();
    let found = if missing.is_empty() { page } else { format!("none for {}", missing.join(" and ")) };
    Point::wrong_unless(missing.is_empty(), "error page", found, APPLY)
}

/// Whether the functions are there, and say what those of this version say.
async fn functions(client: &Client, settings: &DistributionConfig) -> Result<Vec<Point>, Error> {
    let wanted = [
        ("function for requests", EventType::ViewerRequest, causeway_site::ROUTER),
        ("function for responses", EventType::ViewerResponse, causeway_site::HEADERS),
    ];
    let mut points = vec![];
    for (what, event, code) in wanted {
        let Some(name) = function(settings, &event) else {
            points.push(Point::wrong_unless(false, what, "none", FUNCTIONS));
            continue;
        };
        let live = client.get_function().name(name).stage(FunctionStage::Live).send().await;
        let live = live.call(|| format!("read the function {name}"))?.function_code;
        let current = live.is_some_and(|live| live.as_ref() == code.as_bytes());
        let found = if current { format!("{name}, current") } else { format!("{name}, with other code") };
        points.push(Point::wrong_unless(current, what, found, FUNCTIONS));
    }
    Ok(points)
}

fn of_bucket(guards: &Guards) -> Vec<Point> {
    let said = |good: bool, yes: &'static str, no: &'static str| if good { yes } else { no };
    let versions = (!guards.versions).then_some(State::Better);
    let kept = "`keep_days` in [docs]; `deploy apply`";
    vec![
        Point::wrong_unless(
            guards.blocked,
            "public access",
            said(guards.blocked, "blocked", "not blocked"),
            APPLY,
        ),
        Point::wrong_unless(
            !guards.public,
            "bucket policy",
            said(!guards.public, "for few", "for everybody"),
            APPLY,
        ),
        Point::wrong_unless(!guards.website, "website endpoint", said(!guards.website, "off", "on"), MOVE),
        Point::new("versions", versions, said(guards.versions, "kept", "not kept"), kept),
    ]
}
