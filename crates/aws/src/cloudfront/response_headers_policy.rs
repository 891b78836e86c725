//! <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateResponseHeadersPolicy.html>

use super::{STALE, built, items, quantity};
use crate::{Aws, Call, shown::shown};
use aws_sdk_cloudfront::types as sdk;
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Name, Owner, Recovery, Resource, Set, Status, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// Headers that every response gets. It carries no tags; its name says whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResponseHeadersPolicy {
    /// Unique in the account.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub comment: Option<String>,
    /// How long browsers ask by HTTPS only. `None`: they are not told.
    #[serde(default)]
    pub strict_transport_security: Option<StrictTransportSecurity>,
    /// Whether browsers may guess no other type than the one that is said. `None`: they may.
    #[serde(default)]
    pub no_sniff: Option<bool>,
    /// `DENY` or `SAMEORIGIN`: who may show pages in a frame. `None`: everybody.
    #[serde(default)]
    pub frame_options: Option<Header>,
    /// Like `strict-origin-when-cross-origin`: what other sites learn of where somebody comes from.
    #[serde(default)]
    pub referrer_policy: Option<Header>,
    /// What pages may load, and from where. `None`: anything.
    #[serde(default)]
    pub content_security_policy: Option<Header>,
    /// Headers of any other name.
    #[serde(default)]
    pub custom: Set<Header>,
}

/// One header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name. Empty for those that have a field of their own.
    #[serde(default)]
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether it takes the place of the same header of the origin.
    pub overrides: bool,
}

impl Header {
    /// A value that the origin may say otherwise.
    pub fn unless_said(value: &str) -> Self {
        Header { name: String::new(), value: value.to_owned(), overrides: false }
    }
}

/// `Strict-Transport-Security`; takes the place of what the origin says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrictTransportSecurity {
    /// Seconds. 0 ends it.
    pub max_age: i32,
    /// Whether it is about all names below, too.
    pub include_subdomains: bool,
    /// Whether browsers may come with it built in.
    pub preload: bool,
}

outputs! {
    /// What a response headers policy tells others.
    pub struct ResponseHeadersPolicyOutputs => ResponseHeadersPolicyRefs {
        /// A UUID.
        pub id: String,
    }
}

impl ResponseHeadersPolicy {
    /// What no site misses: HTTPS for a year, no guessing of types, frames on the site itself only, and other sites
    /// learn no paths. Origins may say otherwise of the last two.
    pub fn security(name: impl Into<Name>) -> Self {
        ResponseHeadersPolicy {
            name: name.into(),
            comment: None,
            strict_transport_security: Some(StrictTransportSecurity {
                max_age: 31_536_000,
                include_subdomains: false,
                preload: false,
            }),
            no_sniff: Some(true),
            frame_options: Some(Header::unless_said("SAMEORIGIN")),
            referrer_policy: Some(Header::unless_said("strict-origin-when-cross-origin")),
            content_security_policy: None,
            custom: Set::default(),
        }
    }
}

impl Resource for ResponseHeadersPolicy {
    const KIND: &'static str = "aws.cloudfront.response_headers_policy";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("name");
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = ResponseHeadersPolicyOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        let all = cx.client.cloudfront.headers_policies.get(()).await?.unwrap_or_default();
        let mut all = all.into_iter().filter_map(|one| Some((one.id, one.response_headers_policy_config?)));
        let Some((id, config)) = all.find(|(_, config)| config.name == name) else { return Ok(None) };
        let mut spec = self.live(config);
        spec.name = self.name.live(cx.instance, &name);
        let outputs = ResponseHeadersPolicyOutputs { id };
        Ok(Some(Live { spec, outputs, status: Status::Ready, owner: Owner::Parent }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let config = self.config(&cx.name(&self.name), None)?;
        let create = cx.client.cloudfront.create_response_headers_policy();
        let create = create.response_headers_policy_config(config).send().await;
        create.call("cloudfront:CreateResponseHeadersPolicy")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.id.as_str();
        let Some((etag, there)) = self.look(cx, id).await? else { return Ok(()) };
        let config = self.config(&cx.name(&self.name), Some((there, diff)))?;
        let update = cx.client.cloudfront.update_response_headers_policy().id(id).if_match(etag);
        let update = update.response_headers_policy_config(config).send().await;
        update.call_later("cloudfront:UpdateResponseHeadersPolicy", &STALE)?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.id.as_str();
        let Some((etag, _)) = self.look(cx, id).await? else { return Ok(()) };
        let delete = cx.client.cloudfront.delete_response_headers_policy().id(id).if_match(etag).send().await;
        let later = ["ResponseHeadersPolicyInUse", STALE[0], STALE[1]];
        delete.call_later("cloudfront:DeleteResponseHeadersPolicy", &later).found()?;
        Ok(())
    }
}

impl ResponseHeadersPolicy {
    async fn look(
        &self,
        cx: &Cx<'_, Self>,
        id: &str,
    ) -> Result<Option<(String, sdk::ResponseHeadersPolicyConfig)>, Error> {
        let get = cx.client.cloudfront.get_response_headers_policy().id(id).send().await;
        let found = get.call("cloudfront:GetResponseHeadersPolicy").found()?;
        Ok(found.and_then(|f| Some((f.e_tag?, f.response_headers_policy?.response_headers_policy_config?))))
    }

    fn live(&self, config: sdk::ResponseHeadersPolicyConfig) -> Self {
        let security = config.security_headers_config;
        let of = |value: &str, overrides| Header { name: String::new(), value: value.into(), overrides };
        let hsts = security.as_ref().and_then(|s| s.strict_transport_security.as_ref());
        let hsts = hsts.map(|s| StrictTransportSecurity {
            max_age: s.access_control_max_age_sec,
            include_subdomains: s.include_subdomains.unwrap_or(false),
            preload: s.preload.unwrap_or(false),
        });
        let no_sniff = security.as_ref().is_some_and(|s| s.content_type_options.is_some());
        let frame = security.as_ref().and_then(|s| s.frame_options.as_ref());
        let frame = frame.map(|f| of(f.frame_option.as_str(), f.r#override));
        let referrer = security.as_ref().and_then(|s| s.referrer_policy.as_ref());
        let referrer = referrer.map(|r| of(r.referrer_policy.as_str(), r.r#override));
        let content = security.as_ref().and_then(|s| s.content_security_policy.as_ref());
        let content = content.map(|c| of(&c.content_security_policy, c.r#override));
        let custom = config.custom_headers_config.and_then(|c| c.items).unwrap_or_default();
        let custom =
            custom.into_iter().map(|h| Header { name: h.header, value: h.value, overrides: h.r#override });
        let none = Header::default;
        ResponseHeadersPolicy {
            name: config.name.into(),
            comment: shown(self.comment.as_ref(), config.comment, String::new()),
            strict_transport_security: shown(
                self.strict_transport_security.as_ref(),
                hsts,
                StrictTransportSecurity::default(),
            ),
            no_sniff: shown(self.no_sniff.as_ref(), Some(no_sniff), false),
            frame_options: shown(self.frame_options.as_ref(), frame, none()),
            referrer_policy: shown(self.referrer_policy.as_ref(), referrer, none()),
            content_security_policy: shown(self.content_security_policy.as_ref(), content, none()),
            custom: custom.collect(),
        }
    }

    /// In the words of the SDK; what nobody here manages stays as it is `there`.
    fn config(
        &self,
        name: &str,
        there: Option<(sdk::ResponseHeadersPolicyConfig, &Diff)>,
    ) -> Result<sdk::ResponseHeadersPolicyConfig, Error> {
        let (mut config, diff) = match there {
            Some((config, diff)) => (config, Some(diff)),
            None => (sdk::ResponseHeadersPolicyConfig::builder().name(name).build().map_err(built)?, None),
        };
        let managed = |field: &str, wanted: bool| wanted || diff.is_some_and(|diff| diff.touches(field));
        if managed("comment", self.comment.is_some()) {
            config.comment = self.comment.clone();
        }
        let empty = || sdk::ResponseHeadersPolicySecurityHeadersConfig::builder().build();
        let mut security = config.security_headers_config.take().unwrap_or_else(empty);
        if managed("strict_transport_security", self.strict_transport_security.is_some()) {
            security.strict_transport_security = self
                .strict_transport_security
                .as_ref()
                .map(|wanted| {
                    sdk::ResponseHeadersPolicyStrictTransportSecurity::builder()
                        .r#override(true)
                        .access_control_max_age_sec(wanted.max_age)
                        .include_subdomains(wanted.include_subdomains)
                        .preload(wanted.preload)
                        .build()
                })
                .transpose()
                .map_err(built)?;
        }
        if managed("no_sniff", self.no_sniff.is_some()) {
            let wanted = self.no_sniff == Some(true);
            let options = || sdk::ResponseHeadersPolicyContentTypeOptions::builder().r#override(true).build();
            security.content_type_options = wanted.then(options).transpose().map_err(built)?;
        }
        if managed("frame_options", self.frame_options.is_some()) {
            let options = self.frame_options.as_ref().map(|wanted| {
                let options = sdk::ResponseHeadersPolicyFrameOptions::builder().r#override(wanted.overrides);
                options.frame_option(wanted.value.as_str().into()).build()
            });
            security.frame_options = options.transpose().map_err(built)?;
        }
        if managed("referrer_policy", self.referrer_policy.is_some()) {
            let policy = self.referrer_policy.as_ref().map(|wanted| {
                let policy = sdk::ResponseHeadersPolicyReferrerPolicy::builder().r#override(wanted.overrides);
                policy.referrer_policy(wanted.value.as_str().into()).build()
            });
            security.referrer_policy = policy.transpose().map_err(built)?;
        }
        if managed("content_security_policy", self.content_security_policy.is_some()) {
            let policy = self.content_security_policy.as_ref().map(|wanted| {
                sdk::ResponseHeadersPolicyContentSecurityPolicy::builder()
                    .r#override(wanted.overrides)
                    .content_security_policy(&wanted.value)
                    .build()
            });
            security.content_security_policy = policy.transpose().map_err(built)?;
        }
        config.security_headers_config = Some(security).filter(|security| *security != empty());
        let custom = self.custom.get()?.into_iter().map(|header| {
            sdk::ResponseHeadersPolicyCustomHeader::builder()
                .header(header.name)
                .value(header.value)
                .r#override(header.overrides)
                .build()
                .map_err(built)
        });
        let custom: Vec<_> = custom.collect::<Result<_, _>>()?;
        config.custom_headers_config = match items(custom) {
            Some(custom) => Some(
                sdk::ResponseHeadersPolicyCustomHeadersConfig::builder()
                    .quantity(quantity(&custom))
                    .set_items(Some(custom))
                    .build()
                    .map_err(built)?,
            ),
            None => None,
        };
        Ok(config)
    }
}
