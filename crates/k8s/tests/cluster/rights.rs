//! What service accounts may do, as the API server says it, verb by verb.

use causeway_k8s::k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use futures::{StreamExt, stream};
use kube::{Api, Client, api::PostParams};
use std::collections::BTreeSet;

/// Every verb that there is for objects.
pub(crate) const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A question: may it `get pods`, `update leases.coordination.k8s.io` or `create pods/exec`; of which name, and where.
#[derive(Clone, Copy, Default)]
pub(crate) struct What<'a> {
    pub verb: &'a str,
    /// `KIND[/PART][.GROUP]`
    pub resource: &'a str,
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
}

/// Whether the account `NAMESPACE:NAME` may do it.
pub(crate) async fn may(api: &Client, account: &str, what: What<'_>) -> bool {
    let (resource, group) = what.resource.split_once('.').unwrap_or((what.resource, ""));
    let (resource, part) = match resource.split_once('/') {
        Some((resource, part)) => (resource, Some(part.to_owned())),
        None => (resource, None),
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{account}")),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(what.verb.into()),
                group: Some(group.into()),
                resource: Some(resource.into()),
                subresource: part,
                namespace: what.namespace.map(str::to_owned),
                name: what.name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(api.clone());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

/// What of all that can be asked about `resources` the account may do in a namespace, as `VERB RESOURCE`.
pub(crate) async fn all_of(
    api: &Client,
    account: &str,
    resources: impl IntoIterator<Item = &str>,
    namespace: &str,
) -> BTreeSet<String> {
    let pairs = resources.into_iter().flat_map(|resource| VERBS.map(|verb| (verb, resource)));
    let asked = pairs.map(async |(verb, resource)| {
        let what = What { verb, resource, namespace: Some(namespace), ..What::default() };
        may(api, account, what).await.then(|| format!("{verb} {resource}"))
    });
    let asked: Vec<_> = asked.collect();
    stream::iter(asked).buffer_unordered(16).filter_map(|right| async { right }).collect().await
}
