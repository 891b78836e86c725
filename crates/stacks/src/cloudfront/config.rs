//! `[docs]`: what people choose about a static site.

use crate::{
    config::{Problem, StackConfig},
    dns::{Dns, DnsAccount},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[docs]`: a static site on CloudFront, like the documentation of Coder. `docs-publish` puts the pages there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Docs {
    /// The name that people type, like `docs.example.com`. Without one, the site is under the distribution's own.
    pub domain: Option<String>,
    /// More names of the same site.
    pub aliases: Vec<String>,
    /// What people see in the list of distributions. One that says the same and carries no tags of a stack is taken for
    /// this one, and has to be taken over.
    pub comment: String,
    /// The name of the bucket. One is made up if left out.
    pub bucket: Option<String>,
    /// How many days what was overwritten or deleted in the bucket can be brought back.
    pub keep_days: u32,
    /// Deletes what is in the bucket when the bucket goes.
    pub force_delete: bool,
    /// Its names and their certificate.
    pub dns: Dns,
    /// Which edges serve it.
    pub price_class: PriceClass,
    /// The headers of every response. Those of a release, from its `_headers`, come before `frame_options`,
    /// `referrer_policy` and `content_security_policy`.
    pub headers: Headers,
    /// Where requests are logged. Nowhere if left out.
    pub logs: Option<Logs>,
    /// The web application firewall in front of it. None if left out.
    pub waf: Option<Waf>,
    /// What visitors get: the release that is live, from the private bucket; or the website of a bucket, on the way from
    /// one to the other. The first if left out; of a distribution that is taken over it has to be said.
    pub origin: Option<Serves>,
    /// The host of the website of a bucket that the site was served from so far, like
    /// `docs.s3-website-us-east-1.amazonaws.com`.
    pub website: Option<String>,
}

impl Default for Docs {
    fn default() -> Self {
        Docs {
            domain: None,
            aliases: vec![],
            comment: "Coder documentation site".into(),
            bucket: None,
            keep_days: 30,
            force_delete: false,
            dns: Dns::default(),
            price_class: PriceClass::All,
            headers: Headers::default(),
            logs: None,
            waf: None,
            origin: None,
            website: None,
        }
    }
}

/// Which edges serve a site: <https://aws.amazon.com/cloudfront/pricing/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PriceClass {
    /// North America, Europe and Israel, which cost least.
    #[serde(rename = "100")]
    Hundred,
    /// All but South America, Australia and New Zealand.
    #[serde(rename = "200")]
    TwoHundred,
    /// All.
    #[serde(rename = "all")]
    All,
}

impl PriceClass {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            PriceClass::Hundred => "PriceClass_100",
            PriceClass::TwoHundred => "PriceClass_200",
            PriceClass::All => "PriceClass_All",
        }
    }
}

/// In place of a value: the header is not sent.
pub(super) const NONE: &str = "none";

/// `[docs.headers]`: the headers of every response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Headers {
    /// How many days browsers ask by HTTPS only. 0: they are not told.
    pub hsts_days: u16,
    /// Who may show pages in a frame: `SAMEORIGIN`, `DENY`, or `none` for everybody.
    pub frame_options: String,
    /// What other sites learn of where somebody comes from, or `none` to leave it to browsers.
    pub referrer_policy: String,
    /// What pages may load, and from where. Anything if left out.
    pub content_security_policy: Option<String>,
}

impl Default for Headers {
    fn default() -> Self {
        Headers {
            hsts_days: 365,
            frame_options: "SAMEORIGIN".into(),
            referrer_policy: "strict-origin-when-cross-origin".into(),
            content_security_policy: None,
        }
    }
}

/// `[docs.logs]`: where requests are logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// The name of a bucket that is there, with access lists enabled: CloudFront writes with them.
    pub bucket: String,
    /// What the names of the files begin with.
    #[serde(default)]
    pub prefix: String,
}

/// `[docs.waf]`: the web application firewall in front of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waf {
    /// A web ACL of the scope CLOUDFRONT, in us-east-1.
    pub web_acl_arn: String,
}

/// What visitors get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Serves {
    /// The release that is live, from the private bucket.
    Private,
    /// The website of a bucket, as it was before.
    Website,
}

impl Docs {
    /// All names, the one that people type first.
    pub fn names(&self) -> Vec<String> {
        self.domain.iter().chain(&self.aliases).map(|name| name.to_lowercase()).collect()
    }

    /// Where it is, if it has a name.
    pub fn url(&self) -> Option<String> {
        self.names().first().map(|name| format!("https://{name}"))
    }

    /// Who keeps the zone of its names, where that is not Route 53.
    pub fn dns_account(&self) -> Option<DnsAccount<'_>> {
        self.dns.account("docs.dns", "docs")
    }

    /// What cannot work in a stack like `common`, all of it.
    pub fn problems(&self, common: &StackConfig) -> Vec<Problem> {
        super::legal::problems(self, common)
    }
}
