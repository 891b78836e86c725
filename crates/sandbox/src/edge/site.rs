//! A distribution with all that it refers to, read from fakecloud.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gateway::{Element, Scope, State};

/// What the edge knows of a distribution.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) scope: Scope,
    pub(super) id: String,
    pub(super) arn: String,
    /// `<label>.cloudfront.net`
    pub(super) domain: String,
    pub(super) enabled: bool,
    pub(super) aliases: Vec<String>,
    /// What `/` stands for.
    pub(super) root: String,
    pub(super) origins: BTreeMap<String, Origin>,
    pub(super) errors: Vec<ErrorRule>,
    behaviors: Vec<(String, Arc<Behavior>)>,
    default: Arc<Behavior>,
}

/// An origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    pub(super) domain: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    /// Whether requests to it are signed for the distribution.
    pub(super) signed: bool,
    pub(super) http_port: Option<u16>,
    pub(super) https_only: bool,
}

/// What viewers get for an error.
#[derive(Clone, Debug)]
pub(super) struct ErrorRule {
    pub(super) code: u16,
    /// The path of the page, and its status.
    pub(super) page: Option<(String, u16)>,
    /// How long the error is kept at least, in seconds.
    pub(super) lasts: u64,
}

/// What holds for some paths.
#[derive(Debug)]
pub(super) struct Behavior {
    pub(super) origin: String,
    /// `allow-all`, `redirect-to-https` or `https-only`.
    pub(super) protocol: String,
    pub(super) compress: bool,
    pub(super) cache: CachePolicy,
    pub(super) headers: Option<HeadersPolicy>,
    pub(super) on_request: Option<Function>,
    pub(super) on_response: Option<Function>,
}

/// A function as it was published.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) name: String,
    /// `None`: it was never published.
    pub(super) source: Option<String>,
    /// The ARN of its key value store.
    pub(super) store: Option<String>,
}

/// Which of many count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Names {
    #[default]
    None,
    All,
    Only(Vec<String>),
    Except(Vec<String>),
}

impl Names {
    pub(super) fn has(&self, name: &str) -> bool {
        let among = |names: &[String]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
        match self {
            Names::None => false,
            Names::All => true,
            Names::Only(names) => among(names),
            Names::Except(names) => !among(names),
        }
    }

    fn of(behavior: &str, list: Option<&Element>) -> Names {
        let names =
            || list.map(|list| list.all("Name").iter().map(|name| name.text()).collect()).unwrap_or_default();
        match behavior {
            "all" | "allViewer" => Names::All,
            "whitelist" => Names::Only(names()),
            "allExcept" => Names::Except(names()),
            _ => Names::None,
        }
    }
}

/// What is kept, for how many seconds, and what tells answers apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CachePolicy {
    pub(super) min: u64,
    pub(super) default: u64,
    pub(super) max: u64,
    pub(super) gzip: bool,
    pub(super) brotli: bool,
    pub(super) headers: Names,
    pub(super) cookies: Names,
    pub(super) query: Names,
}

/// Headers of responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadersPolicy {
    /// Name, value, and whether the origin's own is replaced.
    pub(super) set: Vec<(String, String, bool)>,
    pub(super) remove: Vec<String>,
}

fn text(element: &Element, path: &str) -> String {
    element.get(path).unwrap_or_default()
}

fn number(element: &Element, path: &str) -> Option<u64> {
    element.get(path)?.parse().ok()
}

fn is_true(element: &Element, path: &str) -> bool {
    element.get(path).is_some_and(|value| value == "true")
}

impl Site {
    /// Reads a distribution. `None` if there is none of that id, or no answer.
    pub(super) async fn read(state: &State, scope: &Scope, id: &str) -> Option<Site> {
        let document = read(state, scope, &format!("/distribution/{id}")).await?;
        let config = document.child("DistributionConfig")?;
        let mut behaviors = Vec::new();
        for element in config.child("CacheBehaviors").map(|all| all.all("CacheBehavior")).unwrap_or_default()
        {
            behaviors
                .push((text(element, "PathPattern"), Arc::new(Behavior::read(state, scope, element).await)));
        }
        let default = Behavior::read(state, scope, config.child("DefaultCacheBehavior")?).await;
        let origins = config.child("Origins").map(|all| all.all("Origin")).unwrap_or_default();
        let errors = config.child("CustomErrorResponses").map(|all| all.all("CustomErrorResponse"));
        let aliases = config.child("Aliases").map(|all| all.all("CNAME")).unwrap_or_default();
        Some(Site {
            scope: scope.clone(),
            id: id.to_owned(),
            arn: text(&document, "ARN"),
            domain: text(&document, "DomainName"),
            enabled: is_true(config, "Enabled"),
            aliases: aliases.iter().map(|alias| alias.text()).collect(),
            root: text(config, "DefaultRootObject"),
            origins: origins.iter().map(|origin| (text(origin, "Id"), Origin::of(origin))).collect(),
            errors: errors.unwrap_or_default().iter().filter_map(|rule| ErrorRule::of(rule)).collect(),
            behaviors,
            default: Arc::new(default),
        })
    }

    /// Whether requests to `host` are for it. A browser reaches it as `<id>.localhost`, and an alias as `<alias>.localhost`,
    /// which name this machine.
    pub(super) fn is_at(&self, host: &str) -> bool {
        let label = self.domain.split('.').next().unwrap_or_default();
        let named = |host: &str| self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(host));
        match host.strip_suffix(".localhost") {
            Some(name) => {
                name.eq_ignore_ascii_case(label) || name.eq_ignore_ascii_case(&self.id) || named(name)
            }
            None => {
                let id = host.strip_suffix(".cloudfront.net");
                host.eq_ignore_ascii_case(&self.domain)
                    || id.is_some_and(|id| id.eq_ignore_ascii_case(&self.id))
                    || named(host)
            }
        }
    }

    /// What holds for a path: the first pattern that fits it.
    pub(super) fn behavior(&self, path: &str) -> Arc<Behavior> {
        let found = self.behaviors.iter().find(|(pattern, _)| fits(pattern, path));
        found.map_or_else(|| self.default.clone(), |(_, behavior)| behavior.clone())
    }
}

async fn read(state: &State, scope: &Scope, path: &str) -> Option<Element> {
    let answer = state.cloudfront(scope, path).await.ok()?;
    Element::parse(std::str::from_utf8(&answer.body).ok()?)
}

impl Origin {
    fn of(origin: &Element) -> Origin {
        let headers = origin.all("OriginCustomHeader");
        let custom = origin.child("CustomOriginConfig");
        Origin {
            domain: text(origin, "DomainName"),
            path: text(origin, "OriginPath").trim_end_matches('/').to_owned(),
            headers: headers.iter().map(|one| (text(one, "HeaderName"), text(one, "HeaderValue"))).collect(),
            signed: !text(origin, "OriginAccessControlId").is_empty(),
            http_port: custom.and_then(|custom| text(custom, "HTTPPort").parse().ok()),
            https_only: custom.is_some_and(|custom| text(custom, "OriginProtocolPolicy") == "https-only"),
        }
    }
}

impl ErrorRule {
    fn of(rule: &Element) -> Option<ErrorRule> {
        let code = text(rule, "ErrorCode").parse().ok()?;
        let page = Some(text(rule, "ResponsePagePath")).filter(|page| !page.is_empty());
        let status = text(rule, "ResponseCode").parse().unwrap_or(code);
        let lasts = number(rule, "ErrorCachingMinTTL").unwrap_or(super::ERROR_LASTS);
        Some(ErrorRule { code, page: page.map(|page| (page, status)), lasts })
    }
}

impl Behavior {
    async fn read(state: &State, scope: &Scope, element: &Element) -> Behavior {
        let mut behavior = Behavior {
            origin: text(element, "TargetOriginId"),
            protocol: text(element, "ViewerProtocolPolicy"),
            compress: is_true(element, "Compress"),
            cache: CachePolicy::within(element),
            headers: None,
            on_request: None,
            on_response: None,
        };
        let policy = text(element, "CachePolicyId");
        if !policy.is_empty()
            && let Some(found) = read(state, scope, &format!("/cache-policy/{policy}")).await
            && let Some(config) = found.child("CachePolicyConfig")
        {
            behavior.cache = CachePolicy::of(config);
        }
        let policy = text(element, "ResponseHeadersPolicyId");
        if !policy.is_empty()
            && let Some(found) = read(state, scope, &format!("/response-headers-policy/{policy}")).await
            && let Some(config) = found.child("ResponseHeadersPolicyConfig")
        {
            behavior.headers = Some(HeadersPolicy::of(config));
        }
        for association in element.all("FunctionAssociation") {
            let arn = text(association, "FunctionARN");
            let function = Function::read(state, scope, arn.rsplit('/').next().unwrap_or_default()).await;
            match text(association, "EventType").as_str() {
                "viewer-request" => behavior.on_request = Some(function),
                _ => behavior.on_response = Some(function),
            }
        }
        behavior
    }
}

impl Function {
    async fn read(state: &State, scope: &Scope, name: &str) -> Function {
        let mut function = Function { name: name.to_owned(), source: None, store: None };
        if let Some(summary) = state.fixes.published.of(scope, name)
            && let Ok(code) = state.cloudfront(scope, &format!("/function/{name}?Stage=LIVE")).await
        {
            function.source = Some(String::from_utf8_lossy(&code.body).into_owned());
            function.store = summary.all("KeyValueStoreARN").first().map(|arn| arn.text());
        }
        function
    }
}

impl CachePolicy {
    fn of(config: &Element) -> CachePolicy {
        let empty = Element::new("ParametersInCacheKeyAndForwardedToOrigin");
        let key = config.child("ParametersInCacheKeyAndForwardedToOrigin").unwrap_or(&empty);
        let names = |of: &str, behavior: &str, list: &str| {
            let of = key.child(of);
            let kind = of.map(|of| text(of, behavior)).unwrap_or_default();
            Names::of(&kind, of.and_then(|of| of.child(list)))
        };
        CachePolicy {
            min: number(config, "MinTTL").unwrap_or_default(),
            default: number(config, "DefaultTTL").unwrap_or(86_400),
            max: number(config, "MaxTTL").unwrap_or(31_536_000),
            gzip: is_true(key, "EnableAcceptEncodingGzip"),
            brotli: is_true(key, "EnableAcceptEncodingBrotli"),
            headers: names("HeadersConfig", "HeaderBehavior", "Headers"),
            cookies: names("CookiesConfig", "CookieBehavior", "Cookies"),
            query: names("QueryStringsConfig", "QueryStringBehavior", "QueryStrings"),
        }
    }

    /// What stands in a behavior itself, as distributions had it before there were policies.
    fn within(behavior: &Element) -> CachePolicy {
        let empty = Element::new("ForwardedValues");
        let values = behavior.child("ForwardedValues").unwrap_or(&empty);
        let headers: Vec<String> = values
            .child("Headers")
            .map(|all| all.all("Name").iter().map(|name| name.text()).collect())
            .unwrap_or_default();
        CachePolicy {
            min: number(behavior, "MinTTL").unwrap_or_default(),
            default: number(behavior, "DefaultTTL").unwrap_or(86_400),
            max: number(behavior, "MaxTTL").unwrap_or(31_536_000),
            gzip: true,
            brotli: false,
            headers: if headers.iter().any(|name| name == "*") { Names::All } else { Names::Only(headers) },
            cookies: Names::of(
                &text(values, "Cookies/Forward"),
                values.child("Cookies").and_then(|cookies| cookies.child("WhitelistedNames")),
            ),
            query: if is_true(values, "QueryString") { Names::All } else { Names::None },
        }
    }
}

impl HeadersPolicy {
    fn of(config: &Element) -> HeadersPolicy {
        let mut set = Vec::new();
        if let Some(security) = config.child("SecurityHeadersConfig") {
            for part in security.elements() {
                let (name, value) = match part.name.as_str() {
                    "StrictTransportSecurity" => {
                        let mut value = format!("max-age={}", text(part, "AccessControlMaxAgeSec"));
                        for (field, word) in
                            [("IncludeSubdomains", "includeSubDomains"), ("Preload", "preload")]
                        {
                            if is_true(part, field) {
                                value.push_str("; ");
                                value.push_str(word);
                            }
                        }
                        ("strict-transport-security", value)
                    }
                    "ContentSecurityPolicy" => {
                        ("content-security-policy", text(part, "ContentSecurityPolicy"))
                    }
                    "ContentTypeOptions" => ("x-content-type-options", "nosniff".to_owned()),
                    "FrameOptions" => ("x-frame-options", text(part, "FrameOption")),
                    "ReferrerPolicy" => ("referrer-policy", text(part, "ReferrerPolicy")),
                    "XSSProtection" => {
                        let value = match (is_true(part, "Protection"), is_true(part, "ModeBlock")) {
                            (false, _) => "0",
                            (true, false) => "1",
                            (true, true) => "1; mode=block",
                        };
                        ("x-xss-protection", value.to_owned())
                    }
                    _ => continue,
                };
                set.push((name.to_owned(), value, is_true(part, "Override")));
            }
        }
        for header in config.all("ResponseHeadersPolicyCustomHeader") {
            set.push((text(header, "Header"), text(header, "Value"), is_true(header, "Override")));
        }
        let remove = config.all("ResponseHeadersPolicyRemoveHeader");
        HeadersPolicy { set, remove: remove.iter().map(|header| text(header, "Header")).collect() }
    }
}

/// Whether a path pattern fits: `*` for any characters, `?` for one.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html#DownloadDistValuesPathPattern>
fn fits(pattern: &str, path: &str) -> bool {
    fn at(pattern: &[u8], path: &[u8]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((b'*', rest)) => (0..=path.len()).any(|n| at(rest, &path[n..])),
            Some((b'?', rest)) => !path.is_empty() && at(rest, &path[1..]),
            Some((byte, rest)) => path.first() == Some(byte) && at(rest, &path[1..]),
        }
    }
    at(pattern.trim_start_matches('/').as_bytes(), path.trim_start_matches('/').as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_the_guide_says() {
        assert!(fits("*.jpg", "/a/b.jpg") && fits("images/*", "/images/a/b") && fits("/a??.gif", "/abc.gif"));
        assert!(fits("*", "/") && fits("a/*/c", "/a/b/x/c"));
        assert!(!fits("*.jpg", "/a.JPG") && !fits("images/*", "/image/a") && !fits("a", "/ab"));
    }

    #[test]
    fn a_headers_policy_is_read() {
        let policy = Element::parse(
            "<C><SecurityHeadersConfig>\
             <StrictTransportSecurity><Override>true</Override><AccessControlMaxAgeSec>60</AccessControlMaxAgeSec>\
             <IncludeSubdomains>true</IncludeSubdomains></StrictTransportSecurity>\
             <FrameOptions><Override>false</Override><FrameOption>DENY</FrameOption></FrameOptions>\
             <ContentTypeOptions><Override>true</Override></ContentTypeOptions></SecurityHeadersConfig>\
             <CustomHeadersConfig><Items><ResponseHeadersPolicyCustomHeader><Header>X-A</Header><Value>b</Value>\
             <Override>true</Override></ResponseHeadersPolicyCustomHeader></Items></CustomHeadersConfig>\
             <RemoveHeadersConfig><Items><ResponseHeadersPolicyRemoveHeader><Header>Server</Header>\
             </ResponseHeadersPolicyRemoveHeader></Items></RemoveHeadersConfig></C>",
        );
        let policy = HeadersPolicy::of(&policy.unwrap());
        let set = [
            ("strict-transport-security", "max-age=60; includeSubDomains", true),
            ("x-frame-options", "DENY", false),
            ("x-content-type-options", "nosniff", true),
            ("X-A", "b", true),
        ];
        assert_eq!(policy.set, set.map(|(name, value, over)| (name.to_owned(), value.to_owned(), over)));
        assert_eq!(policy.remove, ["Server"]);
    }
}
