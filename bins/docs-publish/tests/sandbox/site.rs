//! A distribution that is set up for releases.

use aws_sdk_cloudfront::{
    Client,
    primitives::Blob,
    types::{
        CachePolicyConfig, CachePolicyCookieBehavior, CachePolicyCookiesConfig, CachePolicyHeaderBehavior,
        CachePolicyHeadersConfig, CachePolicyQueryStringBehavior, CachePolicyQueryStringsConfig,
        CustomErrorResponse, CustomErrorResponses, DefaultCacheBehavior, DistributionConfig, EventType,
        FunctionAssociation, FunctionAssociations, FunctionConfig, FunctionRuntime, KeyValueStoreAssociation,
        KeyValueStoreAssociations, Origin, OriginAccessControlConfig, OriginAccessControlOriginTypes,
        OriginAccessControlSigningBehaviors, OriginAccessControlSigningProtocols, Origins,
        ParametersInCacheKeyAndForwardedToOrigin, S3OriginConfig, ViewerProtocolPolicy,
    },
};

#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) distribution: String,
    pub(crate) domain: String,
    pub(crate) bucket: String,
}

/// What differs from a site as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacks {
    Nothing,
    Functions,
    Store,
    /// Its origin is the website endpoint of the bucket.
    Privacy,
    /// Its origin is no bucket.
    Bucket,
}

pub(crate) async fn make(config: &aws_config::SdkConfig, name: &str, lacks: Lacks) -> Site {
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(config).force_path_style(true).build(),
    );
    s3.create_bucket().bucket(name).send().await.unwrap();
    let cloudfront = Client::new(config);
    let store = cloudfront.create_key_value_store().name(name).send().await.unwrap();
    let store = store.key_value_store.unwrap().arn;
    let (code, associated) = match lacks {
        Lacks::Store => (causeway_site::HEADERS, None),
        _ => (causeway_site::ROUTER, Some(store.as_str())),
    };
    let router = function(&cloudfront, &format!("{name}-router"), code, associated).await;
    let headers = function(&cloudfront, &format!("{name}-headers"), causeway_site::HEADERS, None).await;
    let associated = |event: EventType, arn: &str| {
        FunctionAssociation::builder().event_type(event).function_arn(arn).build().unwrap()
    };
    let mut associations = FunctionAssociations::builder().quantity(0);
    if lacks != Lacks::Functions {
        associations = associations
            .quantity(2)
            .items(associated(EventType::ViewerRequest, &router))
            .items(associated(EventType::ViewerResponse, &headers));
    }
    let domain = match lacks {
        Lacks::Privacy => format!("{name}.s3-website-us-east-1.amazonaws.com"),
        Lacks::Bucket => "www.example.com".to_owned(),
        _ => format!("{name}.s3.us-east-1.amazonaws.com"),
    };
    let behavior = DefaultCacheBehavior::builder()
        .target_origin_id("bucket")
        .viewer_protocol_policy(ViewerProtocolPolicy::RedirectToHttps)
        .cache_policy_id(cache_policy(&cloudfront, name).await)
        .compress(true)
        .function_associations(associations.build().unwrap());
    let origin = Origin::builder()
        .id("bucket")
        .domain_name(domain)
        .origin_access_control_id(control(&cloudfront, name).await)
        .s3_origin_config(S3OriginConfig::builder().origin_access_identity("").build());
    let error = |code: i32| {
        let response = CustomErrorResponse::builder().error_code(code).response_code("404");
        let path = format!("/{}", causeway_site::layout::ERROR_PAGE);
        response.response_page_path(path).error_caching_min_ttl(0).build().unwrap()
    };
    let config = DistributionConfig::builder()
        .caller_reference(name)
        .comment(name)
        .enabled(true)
        .origins(Origins::builder().quantity(1).items(origin.build().unwrap()).build().unwrap())
        .default_cache_behavior(behavior.build().unwrap())
        .custom_error_responses(
            CustomErrorResponses::builder().quantity(2).items(error(403)).items(error(404)).build().unwrap(),
        );
    let made =
        cloudfront.create_distribution().distribution_config(config.build().unwrap()).send().await.unwrap();
    let made = made.distribution.unwrap();
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"cloudfront.amazonaws.com"}},
            "Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::{name}","arn:aws:s3:::{name}/*"],
            "Condition":{{"StringEquals":{{"AWS:SourceArn":"{}"}}}}}}]}}"#,
        made.arn
    );
    s3.put_bucket_policy().bucket(name).policy(policy).send().await.unwrap();
    Site { distribution: made.id, domain: made.domain_name, bucket: name.to_owned() }
}

async fn function(client: &Client, name: &str, code: &str, store: Option<&str>) -> String {
    let mut config = FunctionConfig::builder().comment("").runtime(FunctionRuntime::CloudfrontJs20);
    if let Some(store) = store {
        let one = KeyValueStoreAssociation::builder().key_value_store_arn(store).build().unwrap();
        let all = KeyValueStoreAssociations::builder().quantity(1).items(one).build().unwrap();
        config = config.key_value_store_associations(all);
    }
    let made = client.create_function().name(name).function_config(config.build().unwrap());
    let made = made.function_code(Blob::new(code)).send().await.unwrap();
    client.publish_function().name(name).if_match(made.e_tag.unwrap()).send().await.unwrap();
    made.function_summary.unwrap().function_metadata.unwrap().function_arn
}

async fn control(client: &Client, name: &str) -> String {
    let config = OriginAccessControlConfig::builder()
        .name(name)
        .signing_protocol(OriginAccessControlSigningProtocols::Sigv4)
        .signing_behavior(OriginAccessControlSigningBehaviors::Always)
        .origin_access_control_origin_type(OriginAccessControlOriginTypes::S3);
    let call = client.create_origin_access_control().origin_access_control_config(config.build().unwrap());
    call.send().await.unwrap().origin_access_control.unwrap().id
}

async fn cache_policy(client: &Client, name: &str) -> String {
    let headers = CachePolicyHeadersConfig::builder().header_behavior(CachePolicyHeaderBehavior::None);
    let cookies = CachePolicyCookiesConfig::builder().cookie_behavior(CachePolicyCookieBehavior::None);
    let query =
        CachePolicyQueryStringsConfig::builder().query_string_behavior(CachePolicyQueryStringBehavior::None);
    let key = ParametersInCacheKeyAndForwardedToOrigin::builder()
        .enable_accept_encoding_gzip(true)
        .enable_accept_encoding_brotli(true)
        .headers_config(headers.build().unwrap())
        .cookies_config(cookies.build().unwrap())
        .query_strings_config(query.build().unwrap());
    let config = CachePolicyConfig::builder()
        .name(name)
        .min_ttl(0)
        .default_ttl(86_400)
        .max_ttl(31_536_000)
        .parameters_in_cache_key_and_forwarded_to_origin(key.build().unwrap());
    let call = client.create_cache_policy().cache_policy_config(config.build().unwrap());
    call.send().await.unwrap().cache_policy.unwrap().id
}
