//! <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionConfig.html>

use super::{STALE, built, items, not_now, quantity, sdk_tags};
use crate::{
    Aws, Call,
    id::{Arn, HostedZoneId},
    shown::shown,
};
use aws_sdk_cloudfront::types as sdk;
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Owner, Recovery, Resource, Set, Status, Tags, Timing, Value,
    diff::Diff,
    error::Found,
    outputs,
    undo::{Mark, UndoRule},
};
use serde::{Deserialize, Serialize};

/// A distribution: names at the edge, and where what is asked there comes from.
///
/// It is found by its comment, and by its aliases: a name is on one distribution only. Of those that stacks made, the one
/// that has the same tag `Name` is found by its comment as well: after a lost journal nothing else tells it. What a spec does not say, like
/// allowed methods, trusted signers or restrictions, stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distribution {
    /// What people see in lists. One that carries no tags of a stack is taken for this one if it says the same.
    pub comment: String,
    /// The names that it answers to beside its own, which the certificate has to have.
    #[serde(default)]
    pub aliases: Set<String>,
    /// The certificate of the aliases. `None`: CloudFront's own, which has no aliases.
    #[serde(default)]
    pub certificate: Option<ViewerCertificate>,
    /// Where things come from.
    pub origins: Set<Origin>,
    /// What is done with requests.
    pub default_behavior: Behavior,
    /// The same for some paths; the first that fits counts. `None`: none.
    #[serde(default)]
    pub behaviors: Option<Vec<PathBehavior>>,
    /// What visitors get in place of an error. `None`: what the origin says.
    #[serde(default)]
    pub error_responses: Set<ErrorResponse>,
    /// What `/` stands for. `None`: nothing.
    #[serde(default)]
    pub default_root_object: Option<String>,
    /// `http1.1`, `http2`, `http3` or `http2and3`. `None`: `http2`.
    #[serde(default)]
    pub http_version: Option<String>,
    /// Whether it has IPv6 addresses. `None`: it has not.
    #[serde(default)]
    pub ipv6: Option<bool>,
    /// Which edges serve it: `PriceClass_100`, `PriceClass_200` or `PriceClass_All`. `None`: all.
    #[serde(default)]
    pub price_class: Option<String>,
    /// Where requests are logged. `None`: nowhere.
    #[serde(default)]
    pub logging: Option<Logging>,
    /// The ARN of the web ACL, of the scope CLOUDFRONT, in front of it. `None`: none.
    #[serde(default)]
    pub web_acl: Option<Value<Arn>>,
    /// Whether it answers at all.
    pub enabled: bool,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

/// The certificate that browsers see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewerCertificate {
    /// An issued certificate in `us-east-1`.
    pub acm_arn: Value<Arn>,
    /// The oldest protocol and ciphers, like `TLSv1.2_2021`.
    pub minimum_protocol: String,
}

/// Where things come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Unique in the distribution.
    pub id: String,
    /// Its host: the domain of a bucket, or any other.
    pub domain_name: Value<String>,
    /// The id of what signs requests to a bucket. `None`: nothing does.
    #[serde(default)]
    pub access_control: Option<Value<String>>,
    /// `http-only`, `https-only` or `match-viewer`, for what is no bucket; websites of buckets speak HTTP only.
    #[serde(default)]
    pub protocol: Option<String>,
}

/// What is done with requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Behavior {
    /// The id of the origin.
    pub origin: String,
    /// `redirect-to-https`, `https-only` or `allow-all`.
    pub viewer_protocol: String,
    /// Whether answers are compressed.
    pub compress: bool,
    /// The id of the cache policy.
    pub cache_policy: Value<String>,
    /// The id of the response headers policy; empty: none.
    pub headers_policy: Value<String>,
    /// The functions that run.
    #[serde(default)]
    pub functions: Set<FunctionAssociation>,
}

/// What is done with requests for some paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathBehavior {
    /// Like `/images/*`.
    pub path: String,
    /// What is done.
    pub behavior: Behavior,
}

/// A function, and when it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionAssociation {
    /// `viewer-request` or `viewer-response`.
    pub event: String,
    /// The function.
    pub function: Value<Arn>,
}

/// What visitors get in place of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// The code that the origin answers.
    pub code: i32,
    /// The path of the page, with a slash at its start.
    pub page: String,
    /// The code that visitors get.
    pub response_code: i32,
    /// Seconds that the error is kept.
    pub caching_min_ttl: i64,
}

/// Where requests are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The domain of a bucket that has access lists, like `logs.s3.amazonaws.com`.
    pub bucket: String,
    /// What the names of the files begin with.
    pub prefix: String,
}

outputs! {
    /// What a distribution tells others.
    pub struct DistributionOutputs => DistributionRefs {
        /// `E..`
        pub id: String,
        /// `arn:aws:cloudfront::..:distribution/<id>`
        pub arn: Arn,
        /// `d...cloudfront.net`
        pub domain_name: String,
        /// The zone of that name, which alias records give.
        pub hosted_zone_id: HostedZoneId,
    }
}

const HTTP: &str = "http2";
/// The key of the tag that people see as a name.
const NAME: &str = "Name";
const ALL_EDGES: &str = "PriceClass_All";

impl Resource for Distribution {
    const KIND: &'static str = "aws.cloudfront.distribution";
    // Its caller reference is the token of the incarnation, so that a create that is sent again makes no second one; and
    // it is found by its comment and its aliases, so that one that is there already is seen.
    const RECOVERY: Recovery = Recovery::Name(&["comment"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("id");
    const UNDO: &'static [UndoRule] = &[UndoRule::remove(
        Mark::Compensable,
        "another one can be made, with another id and another name under cloudfront.net, in some minutes",
    )];
    const TIMING: Timing = Timing::seconds(240, 10, 3600);
    type Client = Aws;
    type Outputs = DistributionOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let cloudfront = &cx.client.cloudfront;
        let id = match &cx.recorded {
            Some(outputs) => outputs.id.clone(),
            None => match self.find(cx).await? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        let arn = cx.recorded.as_ref().map(|outputs| &outputs.arn);
        let (found, confirmed) = tokio::join!(
            cloudfront.get_distribution().id(&id).send(),
            cx.client.tag_index.confirms(cx, arn, &self.tags)
        );
        let found = found.call("cloudfront:GetDistribution").found()?.and_then(|found| found.distribution);
        let Some(found) = found else { return Ok(None) };
        let tags = match confirmed {
            Some(tags) => tags,
            None => match cloudfront.tags_of(&found.arn).await? {
                Some(tags) => tags,
                // Gone between the two calls.
                None => return Ok(None),
            },
        };
        self.live(cx, found, tags).map(Some)
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let config = self.config(None, cx)?;
        let with_tags = sdk::DistributionConfigWithTags::builder()
            .distribution_config(config)
            .tags(sdk_tags(self.tags.iter())?)
            .build();
        let create = cx.client.cloudfront.create_distribution_with_tags();
        let create = create.distribution_config_with_tags(with_tags).send().await;
        // Made by a create whose answer was lost: the next look finds it.
        create.call_later("cloudfront:CreateDistribution", &["DistributionAlreadyExists"])?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let (cloudfront, out) = (&cx.client.cloudfront, &live.outputs);
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let tag = cloudfront.tag_resource().resource(out.arn.as_str());
            let tag = tag.tags(sdk_tags(steps.set.into_iter())?).send().await;
            tag.call("cloudfront:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.into_iter().map(str::to_owned).collect();
            let keys = sdk::TagKeys::builder().set_items(Some(keys)).build();
            let untag = cloudfront.untag_resource().resource(out.arn.as_str()).tag_keys(keys).send().await;
            untag.call("cloudfront:UntagResource")?;
        }
        if diff.changes.iter().any(|change| !change.path.starts_with("tags")) {
            let Some((there, etag)) = look(cx, &out.id).await? else { return Ok(()) };
            let config = there.distribution_config.map(|config| (config, diff));
            let update = cloudfront.update_distribution().id(&out.id).if_match(etag);
            let update = update.distribution_config(self.config(config, cx)?).send().await;
            update.call_later("cloudfront:UpdateDistribution", &STALE)?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        const CALL: &str = "cloudfront:DeleteDistribution";
        let (cloudfront, id) = (&cx.client.cloudfront, live.outputs.id.as_str());
        let Some((there, etag)) = look(cx, id).await? else { return Ok(()) };
        if let Some(mut config) = there.distribution_config.filter(|config| config.enabled) {
            config.enabled = false;
            let update = cloudfront.update_distribution().id(id).if_match(etag);
            let update = update.distribution_config(config).send().await;
            update.call_later("cloudfront:UpdateDistribution", &STALE)?;
            return Err(not_now(CALL, "it is being switched off at all edges"));
        }
        if there.status != DEPLOYED {
            return Err(not_now(CALL, "it is being switched off at all edges"));
        }
        let delete = cloudfront.delete_distribution().id(id).if_match(etag).send().await;
        delete.call_later(CALL, &["DistributionNotDisabled", STALE[0], STALE[1]]).found()?;
        Ok(())
    }
}

/// The status of what has reached all edges.
const DEPLOYED: &str = "Deployed";

/// What is there, with its version.
async fn look(cx: &Cx<'_, Distribution>, id: &str) -> Result<Option<(sdk::Distribution, String)>, Error> {
    let found = cx.client.cloudfront.get_distribution().id(id).send().await;
    let found = found.call("cloudfront:GetDistribution").found()?;
    Ok(found.and_then(|found| Some((found.distribution?, found.e_tag?))))
}

impl Distribution {
    /// Looks for the distribution of this incarnation, and for one of others that has one of the aliases, or that says the
    /// same and is nobody's.
    async fn find(&self, cx: &Cx<'_, Self>) -> Result<Option<String>, Error> {
        let aliases = self.aliases.get()?;
        let named = |one: &sdk::DistributionSummary| {
            let theirs = one.aliases.as_ref().and_then(|a| a.items.as_deref()).unwrap_or_default();
            theirs.iter().any(|name| aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name)))
        };
        let all = cx.client.cloudfront.distributions.get(()).await?.unwrap_or_default();
        let alike = all.into_iter().filter(|one| one.comment == self.comment || named(one));
        let (mut by_name, mut by_comment) = (None, None);
        for one in alike {
            // Another one that was deleted meanwhile is not ours.
            let Some(tags) = cx.client.cloudfront.tags_of(&one.arn).await? else { continue };
            match tags.owner() {
                Owner::Tagged { instance, .. } if !cx.instance.is_empty() && instance == cx.instance => {
                    return Ok(Some(one.id));
                }
                _ if named(&one) => by_name = Some(one.id),
                // Many stacks may say the same of theirs; this one's has its name, too.
                Owner::Tagged { address, .. } if address == cx.address.0 && self.is_called_as(&tags) => {
                    by_comment = Some(one.id);
                }
                Owner::Tagged { .. } => {}
                _ => by_comment = by_comment.or(Some(one.id)),
            }
        }
        Ok(by_name.or(by_comment))
    }

    /// Whether `tags` have the name that is wanted.
    fn is_called_as(&self, tags: &Tags) -> bool {
        let name = self.tags.0.get(NAME);
        name.is_some() && name == tags.0.get(NAME)
    }

    fn live(&self, cx: &Cx<'_, Self>, found: sdk::Distribution, tags: Tags) -> Result<Live<Self>, Error> {
        let Some(config) = found.distribution_config else {
            return Err(Error::Invalid(format!("CloudFront tells nothing of the distribution {}", found.id)));
        };
        let status = match found.status.as_str() {
            DEPLOYED => Status::Ready,
            _ => Status::Pending("for it to reach all edges".into()),
        };
        let behaviors = config.cache_behaviors.and_then(|all| all.items).unwrap_or_default();
        let errors = config.custom_error_responses.and_then(|all| all.items).unwrap_or_default();
        let certificate = config.viewer_certificate.and_then(|certificate| {
            Some(ViewerCertificate {
                acm_arn: Arn(certificate.acm_certificate_arn?).into(),
                minimum_protocol: certificate
                    .minimum_protocol_version
                    .map(|version| version.as_str().to_owned())
                    .unwrap_or_default(),
            })
        });
        let none = ViewerCertificate { acm_arn: Arn::default().into(), minimum_protocol: String::new() };
        let logging = config.logging.filter(|logging| logging.enabled);
        let logging = logging.map(|logging| Logging { bucket: logging.bucket, prefix: logging.prefix });
        let web_acl = config.web_acl_id.unwrap_or_default();
        let spec = Distribution {
            comment: config.comment,
            aliases: config.aliases.and_then(|all| all.items).unwrap_or_default().into_iter().collect(),
            certificate: shown(self.certificate.as_ref(), certificate, none),
            origins: config
                .origins
                .map(|all| all.items)
                .unwrap_or_default()
                .into_iter()
                .map(|origin| Value::Known(Origin::live(origin)))
                .collect(),
            default_behavior: config.default_cache_behavior.map(Behavior::of_default).unwrap_or_default(),
            behaviors: shown(
                self.behaviors.as_ref(),
                Some(behaviors.into_iter().map(PathBehavior::live).collect()),
                vec![],
            ),
            error_responses: errors.into_iter().map(ErrorResponse::live).collect(),
            default_root_object: shown(
                self.default_root_object.as_ref(),
                config.default_root_object,
                String::new(),
            ),
            http_version: shown(
                self.http_version.as_ref(),
                config.http_version.map(|version| version.as_str().to_lowercase()),
                HTTP.to_owned(),
            ),
            ipv6: shown(self.ipv6.as_ref(), config.is_ipv6_enabled, false),
            price_class: shown(
                self.price_class.as_ref(),
                config.price_class.map(|class| class.as_str().to_owned()),
                ALL_EDGES.to_owned(),
            ),
            logging: shown(self.logging.as_ref(), logging, Logging::default()),
            web_acl: shown(self.web_acl.as_ref(), Some(Arn(web_acl).into()), Arn::default().into()),
            enabled: config.enabled,
            tags: tags.clone(),
        };
        let china = cx.client.region.starts_with("cn-");
        Ok(Live {
            spec,
            outputs: DistributionOutputs {
                id: found.id,
                arn: found.arn.into(),
                domain_name: found.domain_name,
                // <https://docs.aws.amazon.com/Route53/latest/APIReference/API_AliasTarget.html>
                hosted_zone_id: if china { "Z3RFFRIM2A3IF5" } else { "Z2FDTNDATAQYW2" }.into(),
            },
            status,
            owner: tags.owner(),
        })
    }

    /// In the words of the SDK. What nobody here manages stays as it is `there`.
    fn config(
        &self,
        there: Option<(sdk::DistributionConfig, &Diff)>,
        cx: &Cx<'_, Self>,
    ) -> Result<sdk::DistributionConfig, Error> {
        let (mut config, diff) = match there {
            Some((config, diff)) => (config, Some(diff)),
            None => (self.blank(cx)?, None),
        };
        let managed = |field: &str, wanted: bool| wanted || diff.is_some_and(|diff| diff.touches(field));
        config.comment.clone_from(&self.comment);
        config.enabled = self.enabled;
        let aliases = self.aliases.get()?;
        let aliases = sdk::Aliases::builder().quantity(quantity(&aliases)).set_items(items(aliases));
        config.aliases = Some(aliases.build().map_err(built)?);
        let before = config.origins.take().map(|all| all.items).unwrap_or_default();
        let origin = |origin: Origin| {
            let there = before.iter().find(|there| there.id == origin.id).cloned();
            origin.sdk(there)
        };
        let origins: Vec<_> = self.origins.get()?.into_iter().map(origin).collect::<Result<_, _>>()?;
        let origins = sdk::Origins::builder().quantity(quantity(&origins)).set_items(Some(origins));
        config.origins = Some(origins.build().map_err(built)?);
        config.default_cache_behavior =
            Some(self.default_behavior.default_sdk(config.default_cache_behavior.take())?);
        if managed("behaviors", self.behaviors.is_some()) {
            let before = config.cache_behaviors.take().and_then(|all| all.items).unwrap_or_default();
            let behavior = |one: &PathBehavior| {
                one.sdk(before.iter().find(|there| there.path_pattern == one.path).cloned())
            };
            let all = self.behaviors.iter().flatten().map(behavior).collect::<Result<Vec<_>, _>>()?;
            let all = sdk::CacheBehaviors::builder().quantity(quantity(&all)).set_items(items(all));
            config.cache_behaviors = Some(all.build().map_err(built)?);
        }
        let mut errors = self.error_responses.get()?;
        errors.sort_by_key(|one| one.code);
        let errors = errors.into_iter().map(ErrorResponse::sdk).collect::<Result<Vec<_>, _>>()?;
        let errors =
            sdk::CustomErrorResponses::builder().quantity(quantity(&errors)).set_items(items(errors));
        config.custom_error_responses = Some(errors.build().map_err(built)?);
        if managed("certificate", self.certificate.is_some()) {
            config.viewer_certificate = Some(match &self.certificate {
                Some(wanted) => sdk::ViewerCertificate::builder()
                    .acm_certificate_arn(wanted.acm_arn.get()?.as_str())
                    .ssl_support_method(sdk::SslSupportMethod::SniOnly)
                    .minimum_protocol_version(wanted.minimum_protocol.as_str().into())
                    .build(),
                None => sdk::ViewerCertificate::builder().cloud_front_default_certificate(true).build(),
            });
        }
        if managed("default_root_object", self.default_root_object.is_some()) {
            config.default_root_object = Some(self.default_root_object.clone().unwrap_or_default());
        }
        if managed("http_version", self.http_version.is_some()) {
            config.http_version = Some(self.http_version.as_deref().unwrap_or(HTTP).into());
        }
        if managed("ipv6", self.ipv6.is_some()) {
            config.is_ipv6_enabled = Some(self.ipv6.unwrap_or(false));
        }
        if managed("price_class", self.price_class.is_some()) {
            config.price_class = Some(self.price_class.as_deref().unwrap_or(ALL_EDGES).into());
        }
        if managed("logging", self.logging.is_some()) {
            let wanted = self.logging.clone();
            config.logging = Some(
                sdk::LoggingConfig::builder()
                    .enabled(wanted.is_some())
                    .include_cookies(false)
                    .bucket(wanted.as_ref().map(|logging| logging.bucket.clone()).unwrap_or_default())
                    .prefix(wanted.map(|logging| logging.prefix).unwrap_or_default())
                    .build(),
            );
        }
        if managed("web_acl", self.web_acl.is_some()) {
            let wanted = self.web_acl.as_ref().map(Value::get).transpose()?;
            config.web_acl_id = Some(wanted.map(|arn| arn.0.clone()).unwrap_or_default());
        }
        Ok(config)
    }

    /// What there is before anything was said.
    fn blank(&self, cx: &Cx<'_, Self>) -> Result<sdk::DistributionConfig, Error> {
        sdk::DistributionConfig::builder()
            .caller_reference(cx.token())
            .comment(&self.comment)
            .enabled(self.enabled)
            .build()
            .map_err(built)
    }
}

impl Origin {
    /// A private bucket that only signed requests reach.
    pub fn private_bucket(
        id: &str,
        domain_name: impl Into<Value<String>>,
        access_control: impl Into<Value<String>>,
    ) -> Self {
        Origin {
            id: id.to_owned(),
            domain_name: domain_name.into(),
            access_control: Some(access_control.into()),
            protocol: None,
        }
    }

    /// The website of a bucket, which is public and speaks HTTP only.
    pub fn website(id: &str, host: &str) -> Self {
        Origin {
            id: id.to_owned(),
            domain_name: host.to_owned().into(),
            access_control: None,
            protocol: Some("http-only".into()),
        }
    }

    fn live(origin: sdk::Origin) -> Self {
        let control = origin.origin_access_control_id.filter(|id| !id.is_empty());
        Origin {
            id: origin.id,
            domain_name: origin.domain_name.into(),
            access_control: control.map(Value::Known),
            protocol: origin.custom_origin_config.map(|c| c.origin_protocol_policy.as_str().to_owned()),
        }
    }

    fn sdk(self, there: Option<sdk::Origin>) -> Result<sdk::Origin, Error> {
        let domain = self.domain_name.get()?.clone();
        let mut origin = match there {
            Some(there) => there,
            None => sdk::Origin::builder().id(&self.id).domain_name(&domain).build().map_err(built)?,
        };
        origin.domain_name = domain;
        let control = self.access_control.as_ref().map(Value::get).transpose()?;
        origin.origin_access_control_id = Some(control.cloned().unwrap_or_default());
        match self.protocol {
            Some(protocol) => {
                origin.s3_origin_config = None;
                let mut custom = match origin.custom_origin_config.take() {
                    Some(custom) => custom,
                    None => {
                        let tls =
                            sdk::OriginSslProtocols::builder().quantity(1).items(sdk::SslProtocol::TlSv12);
                        sdk::CustomOriginConfig::builder()
                            .http_port(80)
                            .https_port(443)
                            .origin_protocol_policy(protocol.as_str().into())
                            .origin_ssl_protocols(tls.build().map_err(built)?)
                            .build()
                            .map_err(built)?
                    }
                };
                custom.origin_protocol_policy = protocol.as_str().into();
                origin.custom_origin_config = Some(custom);
            }
            None => {
                origin.custom_origin_config = None;
                let none = sdk::S3OriginConfig::builder().origin_access_identity("").build();
                origin.s3_origin_config = Some(none);
            }
        }
        Ok(origin)
    }
}

impl Default for Behavior {
    fn default() -> Self {
        Behavior {
            origin: String::new(),
            viewer_protocol: String::new(),
            compress: false,
            cache_policy: String::new().into(),
            headers_policy: String::new().into(),
            functions: Set::default(),
        }
    }
}

/// What both kinds of behavior have under the same names.
macro_rules! behavior {
    ($read:ident, $write:ident, $sdk:ty) => {
        impl Behavior {
            fn $read(there: $sdk) -> Self {
                let functions = there.function_associations.and_then(|all| all.items).unwrap_or_default();
                Behavior {
                    origin: there.target_origin_id,
                    viewer_protocol: there.viewer_protocol_policy.as_str().to_owned(),
                    compress: there.compress.unwrap_or(false),
                    cache_policy: there.cache_policy_id.unwrap_or_default().into(),
                    headers_policy: there.response_headers_policy_id.unwrap_or_default().into(),
                    functions: functions
                        .into_iter()
                        .map(|one| {
                            Value::Known(FunctionAssociation {
                                event: one.event_type.as_str().to_owned(),
                                function: Arn(one.function_arn).into(),
                            })
                        })
                        .collect(),
                }
            }

            #[expect(deprecated, reason = "what was set up before there were cache policies has them")]
            fn $write(&self, mut there: $sdk) -> Result<$sdk, Error> {
                there.target_origin_id.clone_from(&self.origin);
                there.viewer_protocol_policy = self.viewer_protocol.as_str().into();
                there.compress = Some(self.compress);
                // A cache policy stands for all of these.
                (there.forwarded_values, there.min_ttl, there.default_ttl, there.max_ttl) =
                    (None, None, None, None);
                there.cache_policy_id = Some(self.cache_policy.get()?.clone());
                there.response_headers_policy_id =
                    Some(self.headers_policy.get()?.clone()).filter(|id| !id.is_empty());
                let one = |one: FunctionAssociation| {
                    sdk::FunctionAssociation::builder()
                        .event_type(one.event.as_str().into())
                        .function_arn(one.function.get()?.as_str())
                        .build()
                        .map_err(built)
                };
                let all = self.functions.get()?.into_iter().map(one).collect::<Result<Vec<_>, Error>>()?;
                let all = sdk::FunctionAssociations::builder().quantity(quantity(&all)).set_items(items(all));
                there.function_associations = Some(all.build().map_err(built)?);
                Ok(there)
            }
        }
    };
}
behavior!(of_default, to_default, sdk::DefaultCacheBehavior);
behavior!(of_path, to_path, sdk::CacheBehavior);

impl Behavior {
    /// HTTPS only, compressed, and only files: nothing is asked for but to read.
    pub fn files(
        origin: &str,
        cache_policy: impl Into<Value<String>>,
        headers_policy: impl Into<Value<String>>,
    ) -> Self {
        Behavior {
            origin: origin.to_owned(),
            viewer_protocol: "redirect-to-https".into(),
            compress: true,
            cache_policy: cache_policy.into(),
            headers_policy: headers_policy.into(),
            functions: Set::default(),
        }
    }

    /// With functions: the events that they run at, and what runs.
    pub fn functions<F: Into<Value<Arn>>>(
        mut self,
        all: impl IntoIterator<Item = (&'static str, F)>,
    ) -> Self {
        let one = |(event, function): (&str, F)| {
            Value::Known(FunctionAssociation { event: event.to_owned(), function: function.into() })
        };
        self.functions = Set(all.into_iter().map(one).collect());
        self
    }

    fn default_sdk(
        &self,
        there: Option<sdk::DefaultCacheBehavior>,
    ) -> Result<sdk::DefaultCacheBehavior, Error> {
        let blank = || {
            sdk::DefaultCacheBehavior::builder()
                .target_origin_id(&self.origin)
                .viewer_protocol_policy(self.viewer_protocol.as_str().into())
                .build()
                .map_err(built)
        };
        self.to_default(there.map_or_else(blank, Ok)?)
    }
}

impl PathBehavior {
    fn live(there: sdk::CacheBehavior) -> Self {
        PathBehavior { path: there.path_pattern.clone(), behavior: Behavior::of_path(there) }
    }

    fn sdk(&self, there: Option<sdk::CacheBehavior>) -> Result<sdk::CacheBehavior, Error> {
        let blank = || {
            sdk::CacheBehavior::builder()
                .path_pattern(&self.path)
                .target_origin_id(&self.behavior.origin)
                .viewer_protocol_policy(self.behavior.viewer_protocol.as_str().into())
                .build()
                .map_err(built)
        };
        self.behavior.to_path(there.map_or_else(blank, Ok)?)
    }
}

impl ErrorResponse {
    /// `page` with `response_code` in place of `code`, kept for ten seconds.
    pub fn page(code: i32, page: &str, response_code: i32) -> Self {
        ErrorResponse { code, page: page.to_owned(), response_code, caching_min_ttl: 10 }
    }

    fn live(there: sdk::CustomErrorResponse) -> Value<Self> {
        let code = there.response_code.and_then(|code| code.parse().ok());
        Value::Known(ErrorResponse {
            code: there.error_code,
            page: there.response_page_path.unwrap_or_default(),
            response_code: code.unwrap_or(there.error_code),
            caching_min_ttl: there.error_caching_min_ttl.unwrap_or(10),
        })
    }

    fn sdk(self) -> Result<sdk::CustomErrorResponse, Error> {
        sdk::CustomErrorResponse::builder()
            .error_code(self.code)
            .response_page_path(self.page)
            .response_code(self.response_code.to_string())
            .error_caching_min_ttl(self.caching_min_ttl)
            .build()
            .map_err(built)
    }
}
