//! The name of the operation that a request asks for, and whether it changes anything.

use http::{HeaderMap, Method, Uri};

use super::route::Protocol;

/// Verbs that only look. Everything else counts as a change.
const READS: &[&str] = &[
    "AssumeRole",
    "BatchCheck",
    "BatchGet",
    "Describe",
    "Filter",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Query",
    "Scan",
    "Search",
    "Simulate",
];

/// Whether an operation changes something, by its verb.
pub(crate) fn mutates(operation: &str) -> bool {
    !READS.iter().any(|verb| operation.starts_with(verb))
}

/// An operation and the protocol in which the client speaks: `monitoring`, for one, is spoken in three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) wire: Wire,
}

/// How an error has to look so that the client understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Service(Protocol),
    /// Smithy RPC v2 with CBOR bodies.
    Cbor,
}

/// Finds the operation. A REST request that fits no pattern is named by its method and path, so that nothing is lost.
pub(crate) fn operation(
    service: &str,
    protocol: Protocol,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Operation {
    let named = |name: &str, wire| Operation { name: name.to_owned(), wire };
    if let Some(target) = headers.get("x-amz-target").and_then(|value| value.to_str().ok()) {
        let name = target.rsplit('.').next().unwrap_or(target);
        return named(name, Wire::Service(Protocol::Json));
    }
    if let Some((_, name)) =
        uri.path().strip_prefix("/service/").and_then(|path| path.split_once("/operation/"))
    {
        return named(name, Wire::Cbor);
    }
    let wire = Wire::Service(protocol);
    match protocol {
        Protocol::Query | Protocol::Ec2 | Protocol::Json => {
            match form_value(body, "Action").or_else(|| form_value(uri.query()?.as_bytes(), "Action")) {
                // A service that is usually spoken in JSON was addressed in the older protocol.
                Some(name) if protocol == Protocol::Json => named(&name, Wire::Service(Protocol::Query)),
                Some(name) => named(&name, wire),
                None => named("Unknown", wire),
            }
        }
        Protocol::RestJson | Protocol::RestXml if service == "s3" => named(&s3(method, uri), wire),
        Protocol::RestJson | Protocol::RestXml => {
            let path = match service {
                "route53" | "cloudfront" => {
                    uri.path().trim_start_matches('/').split_once('/').map_or("", |x| x.1)
                }
                _ => uri.path(),
            };
            match rest(service, method, path) {
                Some(name) => named(name, wire),
                None => named(&format!("{method} {}", uri.path()), wire),
            }
        }
    }
}

/// One value of an URL-encoded form.
pub(crate) fn form_value(form: &[u8], name: &str) -> Option<String> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let (key, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        (decode(key) == name).then(|| decode(value))
    })
}

/// Decodes one part of an URL-encoded form, where `+` is a space.
pub(crate) fn decode(part: &[u8]) -> String {
    let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_encoding::percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// S3 names its operations by method, depth of the path and sub-resource.
fn s3(method: &Method, uri: &Uri) -> String {
    let mut parts = uri.path().trim_start_matches('/').splitn(2, '/').filter(|part| !part.is_empty());
    let (bucket, key) = (parts.next().is_some(), parts.next().is_some());
    let query = uri.query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let verb = match method.as_str() {
        "PUT" => "Put",
        "DELETE" => "Delete",
        "POST" => "Post",
        "HEAD" => "Head",
        _ => "Get",
    };
    if !bucket {
        return "ListBuckets".to_owned();
    }
    if key {
        return match method.as_str() {
            "POST" if has("uploads") => "CreateMultipartUpload".to_owned(),
            "POST" if has("uploadId") => "CompleteMultipartUpload".to_owned(),
            "PUT" if has("uploadId") => "UploadPart".to_owned(),
            // As the newer SDKs say it in the URL; what older ones say in a header counts as a PutObject.
            "PUT" if query.split('&').any(|pair| pair == "x-id=CopyObject") => "CopyObject".to_owned(),
            "DELETE" if has("uploadId") => "AbortMultipartUpload".to_owned(),
            "GET" if has("uploadId") => "ListParts".to_owned(),
            _ if has("tagging") => format!("{verb}ObjectTagging"),
            _ if has("acl") => format!("{verb}ObjectAcl"),
            _ => format!("{verb}Object"),
        };
    }
    const SUB: &[(&str, &str)] = &[
        ("accelerate", "BucketAccelerateConfiguration"),
        ("acl", "BucketAcl"),
        ("cors", "BucketCors"),
        ("encryption", "BucketEncryption"),
        ("lifecycle", "BucketLifecycleConfiguration"),
        ("location", "BucketLocation"),
        ("logging", "BucketLogging"),
        ("notification", "BucketNotificationConfiguration"),
        ("object-lock", "ObjectLockConfiguration"),
        ("ownershipControls", "BucketOwnershipControls"),
        ("policy", "BucketPolicy"),
        ("policyStatus", "BucketPolicyStatus"),
        ("publicAccessBlock", "PublicAccessBlock"),
        ("replication", "BucketReplication"),
        ("requestPayment", "BucketRequestPayment"),
        ("tagging", "BucketTagging"),
        ("versioning", "BucketVersioning"),
        ("website", "BucketWebsite"),
    ];
    if let Some((_, noun)) = SUB.iter().find(|(name, _)| has(name)) {
        return format!("{verb}{noun}");
    }
    match method.as_str() {
        "PUT" => "CreateBucket",
        "DELETE" => "DeleteBucket",
        "HEAD" => "HeadBucket",
        "POST" if has("delete") => "DeleteObjects",
        "POST" => "PostObject",
        _ if has("versions") => "ListObjectVersions",
        _ if has("uploads") => "ListMultipartUploads",
        _ if has("list-type") => "ListObjectsV2",
        _ => "ListObjects",
    }
    .to_owned()
}

/// Patterns of the REST services: `*` is one segment, `**` the rest of the path. More special ones stand first.
const REST: &[(&str, &str, &str, &str)] = &[
    ("eks", "POST", "clusters", "CreateCluster"),
    ("eks", "GET", "clusters", "ListClusters"),
    ("eks", "GET", "clusters/*", "DescribeCluster"),
    ("eks", "DELETE", "clusters/*", "DeleteCluster"),
    ("eks", "POST", "clusters/*/update-config", "UpdateClusterConfig"),
    ("eks", "POST", "clusters/*/updates", "UpdateClusterVersion"),
    ("eks", "GET", "clusters/*/updates", "ListUpdates"),
    ("eks", "GET", "clusters/*/updates/*", "DescribeUpdate"),
    ("eks", "POST", "clusters/*/node-groups", "CreateNodegroup"),
    ("eks", "GET", "clusters/*/node-groups", "ListNodegroups"),
    ("eks", "GET", "clusters/*/node-groups/*", "DescribeNodegroup"),
    ("eks", "DELETE", "clusters/*/node-groups/*", "DeleteNodegroup"),
    ("eks", "POST", "clusters/*/node-groups/*/update-config", "UpdateNodegroupConfig"),
    ("eks", "POST", "clusters/*/node-groups/*/update-version", "UpdateNodegroupVersion"),
    ("eks", "POST", "clusters/*/addons", "CreateAddon"),
    ("eks", "GET", "clusters/*/addons", "ListAddons"),
    ("eks", "GET", "clusters/*/addons/*", "DescribeAddon"),
    ("eks", "DELETE", "clusters/*/addons/*", "DeleteAddon"),
    ("eks", "POST", "clusters/*/addons/*/update", "UpdateAddon"),
    ("eks", "GET", "addons/supported-versions", "DescribeAddonVersions"),
    ("eks", "GET", "addons/configuration-schemas", "DescribeAddonConfiguration"),
    ("eks", "GET", "cluster-versions", "DescribeClusterVersions"),
    ("eks", "POST", "clusters/*/access-entries", "CreateAccessEntry"),
    ("eks", "GET", "clusters/*/access-entries", "ListAccessEntries"),
    ("eks", "GET", "clusters/*/access-entries/*", "DescribeAccessEntry"),
    ("eks", "POST", "clusters/*/access-entries/*", "UpdateAccessEntry"),
    ("eks", "DELETE", "clusters/*/access-entries/*", "DeleteAccessEntry"),
    ("eks", "POST", "clusters/*/access-entries/*/access-policies", "AssociateAccessPolicy"),
    ("eks", "GET", "clusters/*/access-entries/*/access-policies", "ListAssociatedAccessPolicies"),
    ("eks", "DELETE", "clusters/*/access-entries/*/access-policies/*", "DisassociateAccessPolicy"),
    ("eks", "GET", "access-policies", "ListAccessPolicies"),
    ("eks", "POST", "clusters/*/pod-identity-associations", "CreatePodIdentityAssociation"),
    ("eks", "GET", "clusters/*/pod-identity-associations", "ListPodIdentityAssociations"),
    ("eks", "GET", "clusters/*/pod-identity-associations/*", "DescribePodIdentityAssociation"),
    ("eks", "POST", "clusters/*/pod-identity-associations/*", "UpdatePodIdentityAssociation"),
    ("eks", "DELETE", "clusters/*/pod-identity-associations/*", "DeletePodIdentityAssociation"),
    ("eks", "POST", "clusters/*/fargate-profiles", "CreateFargateProfile"),
    ("eks", "GET", "clusters/*/fargate-profiles", "ListFargateProfiles"),
    ("eks", "GET", "clusters/*/fargate-profiles/*", "DescribeFargateProfile"),
    ("eks", "DELETE", "clusters/*/fargate-profiles/*", "DeleteFargateProfile"),
    ("eks", "POST", "clusters/*/identity-provider-configs/associate", "AssociateIdentityProviderConfig"),
    ("eks", "POST", "clusters/*/identity-provider-configs/describe", "DescribeIdentityProviderConfig"),
    (
        "eks",
        "POST",
        "clusters/*/identity-provider-configs/disassociate",
        "DisassociateIdentityProviderConfig",
    ),
    ("eks", "POST", "clusters/*/encryption-config/associate", "AssociateEncryptionConfig"),
    // A search, although it is sent as a POST.
    ("eks", "POST", "clusters/*/insights", "ListInsights"),
    ("eks", "GET", "clusters/*/insights/*", "DescribeInsight"),
    ("eks", "GET", "tags/*", "ListTagsForResource"),
    ("eks", "POST", "tags/*", "TagResource"),
    ("eks", "DELETE", "tags/*", "UntagResource"),
    ("route53", "POST", "hostedzone", "CreateHostedZone"),
    ("route53", "GET", "hostedzone", "ListHostedZones"),
    ("route53", "GET", "hostedzonesbyname", "ListHostedZonesByName"),
    ("route53", "GET", "hostedzonecount", "GetHostedZoneCount"),
    ("route53", "GET", "hostedzone/*", "GetHostedZone"),
    ("route53", "POST", "hostedzone/*", "UpdateHostedZoneComment"),
    ("route53", "DELETE", "hostedzone/*", "DeleteHostedZone"),
    ("route53", "POST", "hostedzone/*/rrset", "ChangeResourceRecordSets"),
    ("route53", "GET", "hostedzone/*/rrset", "ListResourceRecordSets"),
    ("route53", "POST", "hostedzone/*/associatevpc", "AssociateVPCWithHostedZone"),
    ("route53", "POST", "hostedzone/*/disassociatevpc", "DisassociateVPCFromHostedZone"),
    ("route53", "GET", "hostedzone/*/dnssec", "GetDNSSEC"),
    ("route53", "GET", "change/*", "GetChange"),
    ("route53", "POST", "healthcheck", "CreateHealthCheck"),
    ("route53", "GET", "healthcheck", "ListHealthChecks"),
    ("route53", "GET", "healthcheck/*", "GetHealthCheck"),
    ("route53", "POST", "healthcheck/*", "UpdateHealthCheck"),
    ("route53", "DELETE", "healthcheck/*", "DeleteHealthCheck"),
    ("route53", "GET", "tags/*/*", "ListTagsForResource"),
    ("route53", "POST", "tags/*/*", "ChangeTagsForResource"),
    ("route53", "POST", "tags/*", "ListTagsForResources"),
    ("cloudfront", "POST", "distribution", "CreateDistribution"),
    ("cloudfront", "GET", "distribution", "ListDistributions"),
    ("cloudfront", "GET", "distribution/*", "GetDistribution"),
    ("cloudfront", "DELETE", "distribution/*", "DeleteDistribution"),
    ("cloudfront", "GET", "distribution/*/config", "GetDistributionConfig"),
    ("cloudfront", "PUT", "distribution/*/config", "UpdateDistribution"),
    ("cloudfront", "POST", "distribution/*/invalidation", "CreateInvalidation"),
    ("cloudfront", "GET", "distribution/*/invalidation", "ListInvalidations"),
    ("cloudfront", "GET", "distribution/*/invalidation/*", "GetInvalidation"),
    ("cloudfront", "POST", "origin-access-control", "CreateOriginAccessControl"),
    ("cloudfront", "GET", "origin-access-control", "ListOriginAccessControls"),
    ("cloudfront", "GET", "origin-access-control/*", "GetOriginAccessControl"),
    ("cloudfront", "DELETE", "origin-access-control/*", "DeleteOriginAccessControl"),
    ("cloudfront", "GET", "origin-access-control/*/config", "GetOriginAccessControlConfig"),
    ("cloudfront", "PUT", "origin-access-control/*/config", "UpdateOriginAccessControl"),
    ("cloudfront", "POST", "function", "CreateFunction"),
    ("cloudfront", "GET", "function", "ListFunctions"),
    ("cloudfront", "GET", "function/*", "GetFunction"),
    ("cloudfront", "PUT", "function/*", "UpdateFunction"),
    ("cloudfront", "DELETE", "function/*", "DeleteFunction"),
    ("cloudfront", "GET", "function/*/describe", "DescribeFunction"),
    ("cloudfront", "POST", "function/*/publish", "PublishFunction"),
    ("cloudfront", "POST", "function/*/test", "TestFunction"),
    ("cloudfront", "POST", "key-value-store", "CreateKeyValueStore"),
    ("cloudfront", "GET", "key-value-store", "ListKeyValueStores"),
    ("cloudfront", "GET", "key-value-store/*", "DescribeKeyValueStore"),
    ("cloudfront", "PUT", "key-value-store/*", "UpdateKeyValueStore"),
    ("cloudfront", "DELETE", "key-value-store/*", "DeleteKeyValueStore"),
    ("cloudfront-keyvaluestore", "GET", "key-value-stores/*", "DescribeKeyValueStore"),
    ("cloudfront-keyvaluestore", "GET", "key-value-stores/*/keys", "ListKeys"),
    ("cloudfront-keyvaluestore", "POST", "key-value-stores/*/keys", "UpdateKeys"),
    ("cloudfront-keyvaluestore", "GET", "key-value-stores/*/keys/*", "GetKey"),
    ("cloudfront-keyvaluestore", "PUT", "key-value-stores/*/keys/*", "PutKey"),
    ("cloudfront-keyvaluestore", "DELETE", "key-value-stores/*/keys/*", "DeleteKey"),
    ("cloudfront", "POST", "response-headers-policy", "CreateResponseHeadersPolicy"),
    ("cloudfront", "GET", "response-headers-policy", "ListResponseHeadersPolicies"),
    ("cloudfront", "GET", "response-headers-policy/*", "GetResponseHeadersPolicy"),
    ("cloudfront", "GET", "response-headers-policy/*/config", "GetResponseHeadersPolicyConfig"),
    ("cloudfront", "PUT", "response-headers-policy/*", "UpdateResponseHeadersPolicy"),
    ("cloudfront", "DELETE", "response-headers-policy/*", "DeleteResponseHeadersPolicy"),
    ("cloudfront", "POST", "cache-policy", "CreateCachePolicy"),
    ("cloudfront", "GET", "cache-policy", "ListCachePolicies"),
    ("cloudfront", "GET", "cache-policy/*", "GetCachePolicy"),
    ("cloudfront", "GET", "cache-policy/*/config", "GetCachePolicyConfig"),
    ("cloudfront", "PUT", "cache-policy/*", "UpdateCachePolicy"),
    ("cloudfront", "DELETE", "cache-policy/*", "DeleteCachePolicy"),
    ("cloudfront", "GET", "tagging", "ListTagsForResource"),
    ("cloudfront", "POST", "tagging", "TagResource"),
    ("bedrock", "GET", "foundation-models", "ListFoundationModels"),
    ("bedrock", "GET", "foundation-models/*", "GetFoundationModel"),
    ("bedrock", "GET", "inference-profiles", "ListInferenceProfiles"),
    ("bedrock", "GET", "inference-profiles/*", "GetInferenceProfile"),
    ("bedrock", "GET", "foundation-model-availability/*", "GetFoundationModelAvailability"),
    ("bedrock", "GET", "list-foundation-model-agreement-offers/*", "ListFoundationModelAgreementOffers"),
    ("bedrock", "POST", "create-foundation-model-agreement", "CreateFoundationModelAgreement"),
    ("bedrock", "GET", "use-case-for-model-access", "GetUseCaseForModelAccess"),
    ("bedrock", "GET", "logging/modelinvocations", "GetModelInvocationLoggingConfiguration"),
    ("bedrock", "PUT", "logging/modelinvocations", "PutModelInvocationLoggingConfiguration"),
    ("bedrock", "POST", "model/*/converse", "Converse"),
    ("bedrock", "POST", "model/*/invoke", "InvokeModel"),
];

fn rest(service: &str, method: &Method, path: &str) -> Option<&'static str> {
    let path: Vec<&str> = path.trim_matches('/').split('/').collect();
    REST.iter()
        .find(|(of, verb, pattern, _)| {
            let pattern = pattern.split('/');
            *of == service
                && *verb == method.as_str()
                && pattern.clone().count() == path.len()
                && pattern.zip(&path).all(|(want, have)| want == "*" || want == *have)
        })
        .map(|(.., name)| *name)
}

#[cfg(test)]
mod tests {
    use super::super::route::route;
    use super::*;

    fn named(service: &str, method: &str, uri: &str, target: Option<&str>, body: &str) -> String {
        let mut headers = HeaderMap::new();
        if let Some(target) = target {
            headers.insert("x-amz-target", target.parse().unwrap());
        }
        let protocol = route(service).unwrap().1;
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        operation(service, protocol, &method, &uri.parse().unwrap(), &headers, body.as_bytes()).name
    }

    #[test]
    fn operations_are_named_in_every_protocol() {
        let cases = [
            (
                "ec2",
                "POST",
                "/",
                None,
                "Version=2016-11-15&Action=CreateVpc&CidrBlock=10.0.0.0%2F16",
                "CreateVpc",
            ),
            ("iam", "GET", "/?Action=GetRole&RoleName=a", None, "", "GetRole"),
            ("ecs", "POST", "/", Some("AmazonEC2ContainerServiceV20141113.RunTask"), "{}", "RunTask"),
            (
                "monitoring",
                "POST",
                "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm",
                None,
                "",
                "PutMetricAlarm",
            ),
            ("sqs", "POST", "/", None, "Action=SendMessage", "SendMessage"),
            ("s3", "PUT", "/b", None, "", "CreateBucket"),
            ("s3", "PUT", "/b/k/l?x-id=PutObject", None, "", "PutObject"),
            ("s3", "PUT", "/b/k?x-id=CopyObject", None, "", "CopyObject"),
            ("s3", "GET", "/b?list-type=2&prefix=a", None, "", "ListObjectsV2"),
            ("s3", "PUT", "/b?policy", None, "", "PutBucketPolicy"),
            ("s3", "GET", "/", None, "", "ListBuckets"),
            ("s3", "HEAD", "/b/", None, "", "HeadBucket"),
            ("s3", "POST", "/b/k?uploads", None, "", "CreateMultipartUpload"),
            ("route53", "POST", "/2013-04-01/hostedzone/Z1/rrset/", None, "", "ChangeResourceRecordSets"),
            ("route53", "GET", "/2013-04-01/hostedzone/Z1/rrset?name=a", None, "", "ListResourceRecordSets"),
            ("cloudfront", "PUT", "/2020-05-31/distribution/E1/config", None, "", "UpdateDistribution"),
            (
                "cloudfront-keyvaluestore",
                "PUT",
                "/key-value-stores/arn%3Aaws%3Acloudfront%3A%3A1%3Akey-value-store%2Fb/keys/a%2Fb",
                None,
                "",
                "PutKey",
            ),
            ("eks", "POST", "/clusters/a/insights", None, "", "ListInsights"),
            (
                "eks",
                "DELETE",
                "/clusters/a/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fb",
                None,
                "",
                "DeleteAccessEntry",
            ),
            ("eks", "PATCH", "/what/is/this", None, "", "PATCH /what/is/this"),
        ];
        for (service, method, uri, target, body, want) in cases {
            assert_eq!(named(service, method, uri, target, body), want, "{service} {method} {uri}");
        }
    }

    #[test]
    fn only_looking_verbs_do_not_change_anything() {
        for read in [
            "DescribeVpcs",
            "GetRole",
            "ListTasks",
            "HeadObject",
            "AssumeRoleWithWebIdentity",
            "BatchGetImage",
            "BatchCheckLayerAvailability",
            "LookupEvents",
            "SimulatePrincipalPolicy",
            "GetAuthorizationToken",
        ] {
            assert!(!mutates(read), "{read}");
        }
        for change in [
            "CreateVpc",
            "BatchDeleteImage",
            "PutObject",
            "UpdateService",
            "TagResource",
            "POST /x",
            "Unknown",
        ] {
            assert!(mutates(change), "{change}");
        }
    }

    #[test]
    fn forms_are_decoded() {
        assert_eq!(form_value(b"A=1&Name=a+b%2Fc", "Name").unwrap(), "a b/c");
        assert_eq!(form_value(b"A=1&Name", "Name").unwrap(), "");
        assert_eq!(form_value(b"AName=1", "Name"), None);
    }
}
