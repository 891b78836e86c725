//! Distributions, and what they use, through their lives in the sandbox.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "cloudfront", feature = "s3", feature = "acm"))]

use crate::in_sandbox::{REGION, client, registry};
use aws_sdk_cloudfront::{primitives::Blob, types as sdk};
use causeway_aws::{
    Aws, AwsStack,
    cloudfront::{
        Behavior, CachePolicy, Distribution, ErrorResponse, Function, Header, KeyValueStore, Logging, Origin,
        OriginAccessControl, PathBehavior, ResponseHeadersPolicy, StrictTransportSecurity,
    },
    id::Arn,
    policy::{PolicyDocument, Principal, Statement},
    s3::{Bucket, BucketPolicy},
};
use causeway_core::{
    Engine, Set, Stack, Tags, Value,
    engine::Run,
    plan::{Action, PlanOptions},
    store::MemoryStore,
    testing::Lifecycle,
    text,
};
use causeway_sandbox::gateway::{Act, Rule};
use std::{collections::BTreeMap, sync::Arc};

/// What a change of [`site`] is about.
struct Site {
    bucket: String,
    code: &'static str,
    policy: CachePolicy,
    headers: ResponseHeadersPolicy,
    store_comment: Option<String>,
    control_description: Option<String>,
    distribution: fn(&mut Distribution),
}

fn site(bucket: &str) -> Site {
    Site {
        bucket: bucket.to_owned(),
        code: "function handler(event) { return event.request; }",
        policy: CachePolicy::files("site-files"),
        headers: ResponseHeadersPolicy::security("site-headers"),
        store_comment: None,
        control_description: None,
        distribution: |_| {},
    }
}

impl Site {
    fn stack(&self) -> Stack {
        let mut stack = Stack::new("site");
        stack.region(REGION, |stack| self.build(stack));
        stack
    }

    fn build(&self, stack: &mut Stack) {
        let bucket = Bucket { force_delete: Some(true), ..Bucket::private(self.bucket.as_str(), 30) };
        let bucket = stack.add("bucket", bucket);
        let control = OriginAccessControl {
            description: self.control_description.clone(),
            ..OriginAccessControl::s3("site")
        };
        let control = stack.add("access", control);
        let store = KeyValueStore { comment: self.store_comment.clone(), ..KeyValueStore::new("site") };
        let store = stack.add("store", store);
        let router = Function {
            key_value_stores: Set(vec![store.arn.clone()]),
            ..Function::new("site-router", self.code)
        };
        let router = stack.add("router", router);
        let answers = "function handler(event) { return event.response; }";
        let answers = stack.add("headers", Function::new("site-headers", answers));
        let policy = stack.add("files", self.policy.clone());
        let headers = stack.add("security", self.headers.clone());
        let functions = [("viewer-request", router.arn.clone()), ("viewer-response", answers.arn.clone())];
        let mut wanted = Distribution {
            comment: "A site".into(),
            aliases: Set::default(),
            certificate: None,
            origins: Set::from_iter([Origin::private_bucket(
                "bucket",
                bucket.domain.clone(),
                control.id.clone(),
            )]),
            default_behavior: Behavior::files("bucket", policy.id.clone(), headers.id.clone())
                .functions(functions),
            behaviors: None,
            error_responses: [403, 404]
                .map(|code| ErrorResponse::page(code, "/_errors/404.html", 404))
                .into_iter()
                .collect(),
            default_root_object: None,
            http_version: Some("http2and3".into()),
            ipv6: Some(true),
            price_class: Some("PriceClass_100".into()),
            logging: None,
            web_acl: None,
            enabled: true,
            tags: Tags::from([("team", "docs")]),
        };
        (self.distribution)(&mut wanted);
        let distribution = stack.add("distribution", wanted);
        let policy =
            BucketPolicy { bucket: bucket.name.clone(), policy: readable(&bucket.arn, &distribution.arn) };
        stack.add("readers", policy);
    }
}

/// Lets one distribution read a bucket, and see what is not there.
fn readable(bucket: &Value<Arn>, distribution: &Value<Arn>) -> PolicyDocument {
    let of = |statement: Statement| {
        let edge = Principal::service("cloudfront.amazonaws.com");
        statement.to([edge]).when("StringEquals", "aws:SourceArn", [distribution.cast::<String>()])
    };
    PolicyDocument::new([
        of(Statement::allow(["s3:GetObject"], [text!(bucket.clone(), "/*")])),
        of(Statement::allow(["s3:ListBucket"], [bucket.cast::<String>()])),
    ])
}

fn changed(plan: Vec<(causeway_core::Address, Action)>) -> Vec<String> {
    plan.into_iter().map(|(address, action)| format!("{action:?} {}", address.0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_lives_and_dies() {
    const ACCOUNT: &str = "000000000861";
    let aws = client(ACCOUNT).await;
    let bucket = format!("site-{}", std::process::id());
    let mut life = Lifecycle::start(registry(ACCOUNT).await, site(&bucket).stack()).await;
    let id = life.outputs("distribution").await["id"].as_str().unwrap().to_owned();
    drift(&aws, &life, &id, &bucket).await;

    let mut next = site(&bucket);
    next.code = "async function handler(event) { return event.request; }";
    next.store_comment = Some("What visitors get".into());
    next.control_description = Some("For the site".into());
    let steps = changed(life.change("code and comments", next.stack()).await);
    assert_eq!(steps, ["Update access", "Update store", "Update router"]);

    next.policy.min_ttl = 60;
    next.policy.query_strings = ["v"].into_iter().collect();
    next.policy.cookies = ["*"].into_iter().collect();
    next.headers.strict_transport_security =
        Some(StrictTransportSecurity { max_age: 60, include_subdomains: true, preload: true });
    next.headers.frame_options = None;
    next.headers.content_security_policy = Some(Header::unless_said("default-src 'self'"));
    next.headers.custom = Set::from_iter([Value::Known(Header {
        name: "x-team".into(),
        value: "docs".into(),
        overrides: true,
    })]);
    let steps = changed(life.change("policies", next.stack()).await);
    assert_eq!(steps, ["Update files", "Update security"]);

    next.distribution = |wanted| {
        wanted.price_class = None;
        wanted.default_root_object = Some("index.html".into());
        wanted.logging = Some(Logging { bucket: "logs.s3.amazonaws.com".into(), prefix: "site/".into() });
        wanted.origins.0.push(Origin::website("old", "old.s3-website-us-east-1.amazonaws.com").into());
        let mut old = wanted.default_behavior.clone();
        (old.origin, old.functions) = ("old".into(), Set::default());
        wanted.behaviors = Some(vec![PathBehavior { path: "/old/*".into(), behavior: old }]);
        wanted.error_responses = [ErrorResponse::page(404, "/404.html", 404)].into_iter().collect();
        wanted.tags = Tags::from([("team", "edge")]);
    };
    let steps = changed(life.change("all of the distribution", next.stack()).await);
    assert_eq!(steps, ["Update distribution"]);
    next.distribution = |_| {};
    assert_eq!(changed(life.change("back", next.stack()).await), ["Update distribution"]);
    assert_eq!(life.outputs("distribution").await["id"], id);
    life.end().await;
}

/// Each kind is changed by hand once.
async fn drift(aws: &Aws, life: &Lifecycle, id: &str, bucket: &str) {
    let edge = &aws.cloudfront;
    life.drift("switched off by hand", "distribution", async {
        let found = edge.get_distribution_config().id(id).send().await.unwrap();
        let mut config = found.distribution_config.unwrap();
        config.enabled = false;
        config.custom_error_responses = None;
        let update = edge.update_distribution().id(id).set_if_match(found.e_tag);
        update.distribution_config(config).send().await.unwrap();
    })
    .await;
    life.drift("its access control was taken from it", "distribution", async {
        let found = edge.get_distribution_config().id(id).send().await.unwrap();
        let mut config = found.distribution_config.unwrap();
        let origin = &mut config.origins.as_mut().unwrap().items[0];
        origin.origin_access_control_id = Some(String::new());
        config.default_cache_behavior.as_mut().unwrap().function_associations = None;
        let update = edge.update_distribution().id(id).set_if_match(found.e_tag);
        update.distribution_config(config).send().await.unwrap();
    })
    .await;
    let draft = sdk::FunctionStage::Development;
    life.drift("other code was published", "router", async {
        let found = edge.describe_function().name("site-router").stage(draft.clone()).send().await.unwrap();
        let config = found.function_summary.unwrap().function_config.unwrap();
        let update = edge.update_function().name("site-router").set_if_match(found.e_tag);
        let update = update.function_config(config).function_code(Blob::new("function handler(e) {}"));
        update.send().await.unwrap();
        let found = edge.describe_function().name("site-router").stage(draft).send().await.unwrap();
        edge.publish_function().name("site-router").set_if_match(found.e_tag).send().await.unwrap();
    })
    .await;
    life.drift("the policy lets somebody else read", "readers", async {
        let open = Statement::allow(["s3:GetObject"], [format!("arn:aws:s3:::{bucket}/*")]);
        let open =
            PolicyDocument::new([open.to([Principal::aws("000000000862".to_owned())])]).text().unwrap();
        // The bucket is mended too: the statement that wants TLS is gone.
        aws.s3.put_bucket_policy().bucket(bucket).policy(open).send().await.unwrap();
    })
    .await;
    life.drift("the access control signs nothing", "access", async {
        let all = edge.list_origin_access_controls().send().await.unwrap();
        let all = all.origin_access_control_list.unwrap().items.unwrap_or_default();
        let id = &all.iter().find(|one| one.name == "site").unwrap().id;
        let found = edge.get_origin_access_control().id(id).send().await.unwrap();
        let mut config = found.origin_access_control.unwrap().origin_access_control_config.unwrap();
        config.signing_behavior = sdk::OriginAccessControlSigningBehaviors::Never;
        let update = edge.update_origin_access_control().id(id).set_if_match(found.e_tag);
        update.origin_access_control_config(config).send().await.unwrap();
    })
    .await;
}

/// A distribution as people make it, with a comment and perhaps an alias.
async fn by_hand(aws: &Aws, comment: &str, alias: Option<&str>) -> String {
    let origin = sdk::Origin::builder().id("o").domain_name("o.example.com").custom_origin_config(
        sdk::CustomOriginConfig::builder()
            .http_port(80)
            .https_port(443)
            .origin_protocol_policy(sdk::OriginProtocolPolicy::HttpOnly)
            .build()
            .unwrap(),
    );
    let origins = sdk::Origins::builder().quantity(1).items(origin.build().unwrap()).build().unwrap();
    let behavior = sdk::DefaultCacheBehavior::builder()
        .target_origin_id("o")
        .viewer_protocol_policy(sdk::ViewerProtocolPolicy::AllowAll)
        .build()
        .unwrap();
    let aliases = sdk::Aliases::builder().quantity(i32::from(alias.is_some()));
    let config = sdk::DistributionConfig::builder()
        .caller_reference(format!("by-hand-{comment}-{}", std::process::id()))
        .comment(comment)
        .enabled(true)
        .origins(origins)
        .default_cache_behavior(behavior)
        .aliases(aliases.set_items(alias.map(|alias| vec![alias.to_owned()])).build().unwrap());
    let create = aws.cloudfront.create_distribution().distribution_config(config.build().unwrap());
    create.send().await.unwrap().distribution.unwrap().id
}

/// What there is already is seen, whether by its name or by what it says, and nothing is made beside it.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_there_already_is_never_doubled() {
    const ACCOUNT: &str = "000000000862";
    let aws = client(ACCOUNT).await;
    let engine = Engine::new(registry(ACCOUNT).await, Arc::new(MemoryStore::default()));
    let alias = format!("docs-{}.example.com", std::process::id());
    let ours = |claim: Option<&str>| {
        let mut stack = Stack::new("twice");
        let address = stack.region(REGION, |stack| {
            let policy = stack.add("files", CachePolicy::files("twice"));
            let wanted = Distribution {
                comment: "Coder documentation site".into(),
                aliases: Set::from_iter([alias.clone()]),
                certificate: None,
                origins: Set::from_iter([Value::Known(Origin::website("o", "o.example.com"))]),
                default_behavior: Behavior::files("o", policy.id.clone(), String::new()),
                behaviors: None,
                error_responses: Set::default(),
                default_root_object: None,
                http_version: None,
                ipv6: None,
                price_class: None,
                logging: None,
                web_acl: None,
                enabled: true,
                tags: Tags::default(),
            };
            stack.add("distribution", wanted).address().clone()
        });
        if let Some(id) = claim {
            stack.claim(&address, id);
        }
        stack
    };
    let conflict = async || {
        let planned = engine.plan(&ours(None), &PlanOptions::default()).await.unwrap();
        let conflicts = planned.plan.conflicts.iter().filter(|c| c.address.0 == "distribution");
        conflicts.map(|c| c.why.clone()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(conflict().await, "");
    // Somebody else's, with nothing in common.
    by_hand(&aws, "Something else", None).await;
    assert_eq!(conflict().await, "");
    let said = by_hand(&aws, "Coder documentation site", None).await;
    let why = conflict().await;
    assert!(why.contains(&format!("`\"distribution\" = \"{said}\"` under [adopt]")), "{why}");
    // A name counts more than what is said.
    let named = by_hand(&aws, "Docs of others", Some(&alias)).await;
    let why = conflict().await;
    assert!(why.contains(&named), "{why}");

    let planned = engine.plan(&ours(Some(&named)), &PlanOptions::default()).await.unwrap();
    assert!(planned.plan.conflicts.is_empty(), "{:?}", planned.plan.conflicts);
    let report = engine.apply(planned, &Run::default()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    let after = engine.plan(&ours(Some(&named)), &PlanOptions::default()).await.unwrap();
    assert_eq!(after.plan.steps.len(), 0, "{:?}", after.plan.steps);
    let all = aws.cloudfront.list_distributions().send().await.unwrap().distribution_list.unwrap();
    assert_eq!(all.items().len(), 3);
    let found = all.items().iter().find(|one| one.id == named).unwrap();
    assert_eq!(found.comment, "Docs of others", "what people called it stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_finds_nothing_to_do_takes_few_calls() {
    let account = crate::calls::Account::new("000000000863").await;
    let stack = site(&format!("calls-{}", std::process::id())).stack();
    account.apply(&stack).await;
    let (steps, calls) = account.plan(&stack).await;
    assert_eq!(steps, []);
    let edge: BTreeMap<_, _> = calls.iter().filter(|(name, _)| name.starts_with("cloudfront:")).collect();
    let expected = [
        ("cloudfront:DescribeKeyValueStore", 1),
        ("cloudfront:GetDistribution", 1),
        ("cloudfront:GetFunction", 2),
        ("cloudfront:ListCachePolicies", 1),
        ("cloudfront:ListFunctions", 1),
        ("cloudfront:ListOriginAccessControls", 1),
        ("cloudfront:ListResponseHeadersPolicies", 1),
    ];
    let told: Vec<_> = edge.into_iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(told, expected);
}

/// Every call that changes something.
const CHANGES: [&str; 21] = [
    "CreateCachePolicy",
    "CreateDistribution",
    "CreateFunction",
    "CreateKeyValueStore",
    "CreateOriginAccessControl",
    "CreateResponseHeadersPolicy",
    "DeleteCachePolicy",
    "DeleteDistribution",
    "DeleteFunction",
    "DeleteKeyValueStore",
    "DeleteOriginAccessControl",
    "DeleteResponseHeadersPolicy",
    "PublishFunction",
    "TagResource",
    "UpdateCachePolicy",
    "UpdateDistribution",
    "UpdateFunction",
    "UpdateKeyValueStore",
    "UpdateOriginAccessControl",
    "UpdateResponseHeadersPolicy",
    "GetDistribution",
];

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_leave_nothing_behind_and_nothing_twice() {
    const ACCOUNT: &str = "000000000864";
    let aws = client(ACCOUNT).await;
    let sandbox = causeway_sandbox::shared().unwrap();
    let (key, _) = sandbox.credentials(ACCOUNT).unwrap();
    let lost = CHANGES.map(|operation| {
        let rule = Rule::new(&format!("cloudfront:{operation}"), Act::CutAfter).once().access_key(&key);
        (operation, sandbox.gateway().rules().add(rule))
    });
    let mut wanted = site(&format!("lost-{}", std::process::id()));
    let mut life = Lifecycle::start(registry(ACCOUNT).await, wanted.stack()).await;
    let all = aws.cloudfront.list_distributions().send().await.unwrap().distribution_list.unwrap();
    assert_eq!(all.items().len(), 1);
    let all = aws.cloudfront.list_origin_access_controls().send().await.unwrap();
    assert_eq!(all.origin_access_control_list.unwrap().items().len(), 1);
    wanted.code = "async function handler(event) { return event.request; }";
    wanted.store_comment = Some("What visitors get".into());
    wanted.control_description = Some("For the site".into());
    wanted.policy.min_ttl = 60;
    wanted.headers.no_sniff = None;
    wanted.distribution = |wanted| {
        wanted.price_class = None;
        wanted.tags = Tags::from([("team", "edge")]);
    };
    life.change("everything", wanted.stack()).await;
    life.end().await;
    for (operation, rule) in lost {
        assert_eq!(sandbox.gateway().rules().acted(rule), 1, "{operation} was not tried");
    }
}
