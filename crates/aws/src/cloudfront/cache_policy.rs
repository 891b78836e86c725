//! <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateCachePolicy.html>

use super::{STALE, built, items, quantity};
use crate::{Aws, Call, shown::shown};
use aws_sdk_cloudfront::types as sdk;
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Name, Owner, Recovery, Resource, Set, Status, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// What a cache keeps an answer under, and for how long. It carries no tags; its name says whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CachePolicy {
    /// Unique in the account.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub comment: Option<String>,
    /// Seconds that everything is kept, whatever its origin says.
    pub min_ttl: i64,
    /// Seconds that is kept what its origin says nothing about.
    pub default_ttl: i64,
    /// Seconds that anything is kept at most.
    pub max_ttl: i64,
    /// Whether answers may be compressed with gzip, each kept beside the plain one.
    pub gzip: bool,
    /// The same with brotli.
    pub brotli: bool,
    /// Headers of the viewer that answers depend on.
    #[serde(default)]
    pub headers: Set<String>,
    /// Cookies that they depend on; `*` for all.
    #[serde(default)]
    pub cookies: Set<String>,
    /// Parameters of the query that they depend on; `*` for all.
    #[serde(default)]
    pub query_strings: Set<String>,
}

outputs! {
    /// What a cache policy tells others.
    pub struct CachePolicyOutputs => CachePolicyRefs {
        /// A UUID.
        pub id: String,
    }
}

impl CachePolicy {
    /// For files: kept under their path alone, compressed, as long as they say, and for a day where they do not.
    pub fn files(name: impl Into<Name>) -> Self {
        CachePolicy {
            name: name.into(),
            comment: None,
            min_ttl: 0,
            default_ttl: 86_400,
            max_ttl: 31_536_000,
            gzip: true,
            brotli: true,
            headers: Set::default(),
            cookies: Set::default(),
            query_strings: Set::default(),
        }
    }
}

impl Resource for CachePolicy {
    const KIND: &'static str = "aws.cloudfront.cache_policy";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("name");
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = CachePolicyOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        let all = cx.client.cloudfront.cache_policies.get(()).await?.unwrap_or_default();
        let mut all = all.into_iter().filter_map(|one| Some((one.id, one.cache_policy_config?)));
        let Some((id, config)) = all.find(|(_, config)| config.name == name) else { return Ok(None) };
        let key = config.parameters_in_cache_key_and_forwarded_to_origin;
        let headers = key.as_ref().and_then(|key| key.headers_config.as_ref()?.headers.clone()?.items);
        let cookies = key.as_ref().and_then(|key| key.cookies_config.as_ref()).map(|config| {
            some_of(config.cookie_behavior.as_str(), config.cookies.as_ref().and_then(|c| c.items.clone()))
        });
        let queries = key.as_ref().and_then(|key| key.query_strings_config.as_ref()).map(|config| {
            let names = config.query_strings.as_ref().and_then(|q| q.items.clone());
            some_of(config.query_string_behavior.as_str(), names)
        });
        Ok(Some(Live {
            spec: CachePolicy {
                name: self.name.live(cx.instance, &name),
                comment: shown(self.comment.as_ref(), config.comment, String::new()),
                min_ttl: config.min_ttl,
                default_ttl: config.default_ttl.unwrap_or(86_400),
                max_ttl: config.max_ttl.unwrap_or(31_536_000),
                gzip: key.as_ref().is_some_and(|key| key.enable_accept_encoding_gzip),
                brotli: key.as_ref().and_then(|key| key.enable_accept_encoding_brotli).unwrap_or(false),
                headers: headers.unwrap_or_default().into_iter().collect(),
                cookies: cookies.unwrap_or_default().into_iter().collect(),
                query_strings: queries.unwrap_or_default().into_iter().collect(),
            },
            outputs: CachePolicyOutputs { id },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let config = self.config(&cx.name(&self.name), None)?;
        let create = cx.client.cloudfront.create_cache_policy().cache_policy_config(config).send().await;
        create.call("cloudfront:CreateCachePolicy")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.id.as_str();
        let Some(etag) = self.etag(cx, id).await? else { return Ok(()) };
        let kept = live.spec.comment.clone().filter(|_| !diff.touches("comment"));
        let config = self.config(&cx.name(&self.name), kept)?;
        let update = cx.client.cloudfront.update_cache_policy().id(id).if_match(etag);
        let update = update.cache_policy_config(config).send().await;
        update.call_later("cloudfront:UpdateCachePolicy", &STALE)?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.id.as_str();
        let Some(etag) = self.etag(cx, id).await? else { return Ok(()) };
        let delete = cx.client.cloudfront.delete_cache_policy().id(id).if_match(etag).send().await;
        delete
            .call_later("cloudfront:DeleteCachePolicy", &["CachePolicyInUse", STALE[0], STALE[1]])
            .found()?;
        Ok(())
    }
}

impl CachePolicy {
    async fn etag(&self, cx: &Cx<'_, Self>, id: &str) -> Result<Option<String>, Error> {
        let get = cx.client.cloudfront.get_cache_policy().id(id).send().await;
        Ok(get.call("cloudfront:GetCachePolicy").found()?.and_then(|found| found.e_tag))
    }

    fn config(&self, name: &str, kept: Option<String>) -> Result<sdk::CachePolicyConfig, Error> {
        let (headers, cookies, queries) =
            (self.headers.get()?, self.cookies.get()?, self.query_strings.get()?);
        let mut of_headers =
            sdk::CachePolicyHeadersConfig::builder().header_behavior(behavior(&headers).into());
        if let Some(names) = listed(headers) {
            let names = sdk::Headers::builder().quantity(quantity(&names)).set_items(Some(names));
            of_headers = of_headers.headers(names.build().map_err(built)?);
        }
        let mut of_cookies =
            sdk::CachePolicyCookiesConfig::builder().cookie_behavior(behavior(&cookies).into());
        if let Some(names) = listed(cookies) {
            let names = sdk::CookieNames::builder().quantity(quantity(&names)).set_items(Some(names));
            of_cookies = of_cookies.cookies(names.build().map_err(built)?);
        }
        let mut of_queries =
            sdk::CachePolicyQueryStringsConfig::builder().query_string_behavior(behavior(&queries).into());
        if let Some(names) = listed(queries) {
            let names = sdk::QueryStringNames::builder().quantity(quantity(&names)).set_items(Some(names));
            of_queries = of_queries.query_strings(names.build().map_err(built)?);
        }
        let key = sdk::ParametersInCacheKeyAndForwardedToOrigin::builder()
            .enable_accept_encoding_gzip(self.gzip)
            .enable_accept_encoding_brotli(self.brotli)
            .headers_config(of_headers.build().map_err(built)?)
            .cookies_config(of_cookies.build().map_err(built)?)
            .query_strings_config(of_queries.build().map_err(built)?)
            .build()
            .map_err(built)?;
        sdk::CachePolicyConfig::builder()
            .name(name)
            .set_comment(self.comment.clone().or(kept))
            .min_ttl(self.min_ttl)
            .default_ttl(self.default_ttl)
            .max_ttl(self.max_ttl)
            .parameters_in_cache_key_and_forwarded_to_origin(key)
            .build()
            .map_err(built)
    }
}

const ALL: &str = "*";

fn behavior(names: &[String]) -> &'static str {
    match names {
        [] => "none",
        [all] if all == ALL => "all",
        _ => "whitelist",
    }
}

/// The names that are written out.
fn listed(names: Vec<String>) -> Option<Vec<String>> {
    items(names).filter(|names| behavior(names) == "whitelist")
}

fn some_of(behavior: &str, names: Option<Vec<String>>) -> Vec<String> {
    match behavior {
        "none" => vec![],
        "all" => vec![ALL.to_owned()],
        _ => names.unwrap_or_default(),
    }
}
