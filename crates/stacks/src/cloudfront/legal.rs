//! What cannot work, as far as it can be seen without asking AWS.

use super::config::{Docs, NONE, Serves};
use crate::{
    config::{Problem, StackConfig},
    legal,
};
use std::collections::BTreeSet;

pub(super) fn problems(config: &Docs, common: &StackConfig) -> Vec<Problem> {
    let mut out = vec![];
    names(config, &mut out);
    if let Some(bucket) = &config.bucket {
        out.extend(legal::bucket("docs.bucket", bucket));
        // The certificate of S3 covers one level below its own name, and CloudFront asks by HTTPS.
        if bucket.contains('.') {
            let message = format!("`{bucket}` has a dot, and cannot be reached by HTTPS");
            out.push(Problem::at("docs.bucket", message, "use hyphens"));
        }
    }
    if config.keep_days == 0 || config.keep_days > 36_500 {
        let message = format!("{} days are not between 1 and 36500", config.keep_days);
        out.push(Problem::at("docs.keep_days", message, "30 days are long enough to see a mistake"));
    }
    if config.comment.is_empty() || config.comment.chars().count() > 128 {
        let help = "people know the distribution by it, like `Coder documentation site`";
        out.push(Problem::at("docs.comment", "a comment has 1 to 128 characters", help));
    }
    headers(config, &mut out);
    if let Some(logs) = &config.logs {
        out.extend(legal::bucket("docs.logs.bucket", &logs.bucket));
        if logs.prefix.starts_with('/') {
            let message = format!("`{}` starts with a slash", logs.prefix);
            out.push(Problem::at("docs.logs.prefix", message, "leave the slash out: `docs/`"));
        }
    }
    arns(config, &mut out);
    website(config, &mut out);
    if common.region.starts_with("cn-") || common.region.starts_with("us-gov-") {
        let message =
            format!("[docs] is for regions of AWS as most know it, and {} is not one", common.region);
        out.push(Problem::at("docs", message, "put it into a file of its own, with another region"));
    }
    out
}

fn names(config: &Docs, out: &mut Vec<Problem>) {
    let dns = &config.dns;
    let zone = dns.zone.as_deref().map(|zone| zone.trim_end_matches('.'));
    let mut seen = BTreeSet::new();
    let domain = config.domain.iter().map(|name| ("docs.domain", None, name));
    let aliases = config.aliases.iter().enumerate().map(|(i, name)| ("docs.aliases", Some(i), name));
    for (at, i, name) in domain.chain(aliases) {
        let mut problem = |message: String, help: &str| {
            let problem = Problem::at(at, message, help);
            out.push(match i {
                Some(i) => problem.key(&i.to_string()),
                None => problem,
            });
        };
        let bare = name.strip_prefix("*.").unwrap_or(name);
        if !legal::is_name(bare) {
            problem(
                format!("`{name}` is not a name"),
                "without https:// and in lower case, like `docs.example.com`",
            );
        } else if !seen.insert(name) {
            problem(format!("`{name}` is there twice"), "once is enough");
        } else if let Some(zone) = zone.filter(|zone| bare != *zone && !bare.ends_with(&format!(".{zone}"))) {
            let help = "name the zone that holds it, or leave `zone` out, give `certificate_arn` and keep DNS elsewhere";
            problem(format!("`{name}` is not in the zone `{zone}`"), help);
        }
    }
    let missing = |at: &str, message: &str, help: &str| Problem::at(at, message, help);
    match &config.domain {
        None if !config.aliases.is_empty() => {
            out.push(missing("docs.aliases", "there are more names, and no `domain`", "make the first one the domain"));
        }
        None if dns.zone.is_some() || dns.certificate_arn.is_some() => {
            out.push(missing("docs.dns", "there is no `domain` that this is about", "name it, or remove [docs.dns]"));
        }
        Some(_) if zone.is_none() && dns.certificate_arn.is_none() => out.push(missing(
            "docs.dns",
            "there is neither a `zone` nor a `certificate_arn`",
            "name the zone that holds the domain, in Route 53, or at Cloudflare with `provider = \"cloudflare\"`. Where \
             DNS is kept elsewhere: request the certificate in us-east-1 yourself, give its `certificate_arn`, and let \
             `dns-sync` keep the CNAME that leads to the output `docs_distribution_name`",
        )),
        _ => {}
    }
    out.extend(dns.problems("docs.dns"));
}

/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-response-headers-policies.html>
fn headers(config: &Docs, out: &mut Vec<Problem>) {
    const REFERRER: [&str; 8] = [
        "no-referrer",
        "no-referrer-when-downgrade",
        "origin",
        "origin-when-cross-origin",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
        "unsafe-url",
    ];
    let headers = &config.headers;
    let mut one_of = |key: &str, value: &str, all: &[&str]| {
        if value != NONE && !all.contains(&value) {
            let help = format!("one of {}, {NONE}", all.join(", "));
            let message = format!("`{value}` is none of the values of this header");
            out.push(Problem::at(&format!("docs.headers.{key}"), message, help));
        }
    };
    one_of("frame_options", &headers.frame_options, &["DENY", "SAMEORIGIN"]);
    one_of("referrer_policy", &headers.referrer_policy, &REFERRER);
    if headers.content_security_policy.as_deref().is_some_and(|policy| policy.trim().is_empty()) {
        let help = "leave it out, or write one like `default-src 'self'`";
        out.push(Problem::at("docs.headers.content_security_policy", "the policy is empty", help));
    }
}

fn arns(config: &Docs, out: &mut Vec<Problem>) {
    let edge = Some((causeway_aws::cloudfront::REGION, "CloudFront takes those in"));
    let certificate = legal::Arn {
        service: "acm",
        region: edge,
        resource: "certificate/",
        example: "`arn:aws:acm:us-east-1:123456789012:certificate/..`: CloudFront takes those of us-east-1 only",
    };
    let acl = legal::Arn {
        service: "wafv2",
        region: edge,
        resource: "global/webacl/",
        example: "`arn:aws:wafv2:us-east-1:123456789012:global/webacl/NAME/ID`, of the scope CLOUDFRONT",
    };
    let named = [
        ("docs.dns.certificate_arn", config.dns.certificate_arn.as_ref(), certificate),
        ("docs.waf.web_acl_arn", config.waf.as_ref().map(|waf| &waf.web_acl_arn), acl),
    ];
    for (path, arn, kind) in named {
        if let Some(message) = arn.and_then(|arn| kind.refuses(arn)) {
            out.push(Problem::at(path, message, format!("it looks like {}", kind.example)));
        }
    }
}

fn website(config: &Docs, out: &mut Vec<Problem>) {
    match &config.website {
        None if config.origin == Some(Serves::Website) => out.push(Problem::at(
            "docs.origin",
            "there is no `website` to serve",
            "name its host, like `website = \"docs.s3-website-us-east-1.amazonaws.com\"`; or remove `origin`",
        )),
        Some(host) if !legal::is_name(host) => out.push(Problem::at(
            "docs.website",
            format!("`{host}` is not a host"),
            "without http:// and without a path, like `docs.s3-website-us-east-1.amazonaws.com`",
        )),
        // What is private serves no website: visitors would be left without pages before anything is published.
        Some(host)
            if config.bucket.as_ref().is_some_and(|b| host.starts_with(&format!("{b}.s3-website"))) =>
        {
            out.push(Problem::at(
                "docs.bucket",
                "this is the bucket that the website is in, and visitors need it until releases are served",
                "leave `bucket` out to have a private one made beside it, and remove the old one by hand when \
                 `website` is gone from this file",
            ));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let config: Docs = toml(text);
        let common: StackConfig =
            serde_json::from_value(serde_json::json!({"name": "s", "region": "us-east-1"})).unwrap();
        problems(&config, &common)
            .into_iter()
            .map(|p| format!("{}: {}", p.path.join("."), p.message))
            .collect()
    }

    fn toml(text: &str) -> Docs {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_site_needs_no_setting_at_all() {
        assert_eq!(told("{}"), [""; 0]);
        let named = r#"{"domain": "docs.example.com", "aliases": ["help.example.com"], "dns": {"zone": "example.com"}}"#;
        assert_eq!(told(named), [""; 0]);
    }

    #[test]
    fn names_need_a_certificate_and_their_zone() {
        assert_eq!(
            told(r#"{"domain": "docs.example.com"}"#),
            ["docs.dns: there is neither a `zone` nor a `certificate_arn`"]
        );
        let wrong = r#"{"domain": "docs.example.com", "aliases": ["a.example.org", "https://x"], "dns": {"zone": "example.com"}}"#;
        assert_eq!(
            told(wrong),
            [
                "docs.aliases.0: `a.example.org` is not in the zone `example.com`",
                "docs.aliases.1: `https://x` is not a name"
            ]
        );
        assert_eq!(
            told(r#"{"aliases": ["a.example.org"]}"#),
            ["docs.aliases: there are more names, and no `domain`"]
        );
    }

    #[test]
    fn a_zone_at_cloudflare_needs_a_token_and_is_there_already() {
        let dns = |dns: &str| told(&format!(r#"{{"domain": "docs.example.com", "dns": {{{dns}}}}}"#));
        let right = r#""provider": "cloudflare", "zone": "example.com", "token": "env:T""#;
        assert_eq!(dns(right), [""; 0]);
        assert_eq!(
            dns(r#""provider": "cloudflare", "zone": "example.com""#),
            ["docs.dns: there is no token for Cloudflare"]
        );
        let sealed = dns(r#""provider": "cloudflare", "zone": "example.com", "token": "aws-secret:x""#);
        assert!(sealed[0].contains("where this program can read it"), "{sealed:?}");
        assert_eq!(
            dns(r#""provider": "cloudflare", "zone": "example.org", "token": "env:T""#),
            ["docs.domain: `docs.example.com` is not in the zone `example.org`"]
        );
        assert_eq!(
            dns(&format!(r#"{right}, "create_zone": true"#)),
            ["docs.dns.create_zone: only zones of Route 53 are made"]
        );
        let arn = "arn:aws:acm:us-east-1:123456789012:certificate/1";
        assert_eq!(
            dns(&format!(r#""provider": "cloudflare", "certificate_arn": "{arn}""#)),
            ["docs.dns.provider: there is no `zone` that it would keep"]
        );
        assert_eq!(dns(&format!(r#"{right}, "certificate_arn": "{arn}""#)), [""; 0]);
        assert_eq!(
            dns(r#""zone": "example.com", "id": "1", "token": "env:T", "ttl": 60, "api": "http://a""#),
            ["id", "token", "ttl", "api"]
                .map(|key| format!("docs.dns.{key}: a zone at Route 53 has no `{key}`"))
        );
    }

    #[test]
    fn what_cloudfront_takes_is_in_its_own_region() {
        let wrong = r#"{"domain": "d.example.com",
            "dns": {"certificate_arn": "arn:aws:acm:eu-west-2:123456789012:certificate/1"},
            "waf": {"web_acl_arn": "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/a/1"}}"#;
        let told = told(wrong);
        assert!(told[0].contains("is in eu-west-2, and CloudFront takes those in us-east-1"), "{told:?}");
        assert!(told[1].contains("does not name a `global/webacl`"), "{told:?}");
    }

    #[test]
    fn the_bucket_of_the_website_stays_as_it_is() {
        let host = "old.s3-website-us-east-1.amazonaws.com";
        assert_eq!(told(&format!(r#"{{"website": "{host}", "origin": "website"}}"#)), [""; 0]);
        let same = told(&format!(r#"{{"website": "{host}", "bucket": "old"}}"#));
        assert!(same[0].contains("visitors need it"), "{same:?}");
        assert_eq!(told(r#"{"origin": "website"}"#), ["docs.origin: there is no `website` to serve"]);
    }
}
