//! Moto does not know most filters of VPC endpoints, and shows deleted ones for ever.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::forward::form;
use crate::gateway::refusal::Answer;
use crate::gateway::xml::{Element, Node};

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_vpc_endpoints",
    service: "ec2",
    operations: &["DescribeVpcEndpoints"],
    why: "moto does not know the filters vpc-endpoint-id, vpc-id and service-name, and shows deleted endpoints for ever",
};

/// The filter, and where its value stands in an answer.
const FILTERS: [(&str, &str); 3] =
    [("vpc-endpoint-id", "vpcEndpointId"), ("vpc-id", "vpcId"), ("service-name", "serviceName")];

/// Where the value stands, and which values pass.
type Wanted = Vec<(&'static str, Vec<String>)>;

pub(super) fn run<'a>(_state: &'a Arc<State>, mut request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let (wanted, rest) = split(request.form());
        let pairs = rest.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        request.body = form(pairs).into();
        let mut answer = next.run(request).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status.is_success()
            && let Some(mut root) = Element::parse(&text)
        {
            if let Some(set) = root.child_mut("vpcEndpointSet") {
                set.children.retain(|node| matches!(node, Node::Element(item) if passes(item, &wanted)));
            }
            answer.body = root.document().into();
        }
        answer
    })
}

/// The filters that moto does not know, and the form without them.
fn split(form: Vec<(String, String)>) -> (Wanted, Vec<(String, String)>) {
    let mut wanted: Wanted = vec![];
    let mut taken = vec![];
    for (key, value) in &form {
        let Some(number) = key.strip_prefix("Filter.").and_then(|rest| rest.strip_suffix(".Name")) else {
            continue;
        };
        if let Some((_, at)) = FILTERS.iter().find(|(name, _)| name == value) {
            let prefix = format!("Filter.{number}.");
            let values = form.iter().filter(|(key, _)| key.starts_with(&format!("{prefix}Value.")));
            wanted.push((at, values.map(|(_, value)| value.clone()).collect()));
            taken.push(prefix);
        }
    }
    let rest = form.into_iter().filter(|(key, _)| !taken.iter().any(|prefix| key.starts_with(prefix)));
    (wanted, rest.collect())
}

fn passes(item: &Element, wanted: &Wanted) -> bool {
    item.get("state").as_deref() != Some("deleted")
        && wanted.iter().all(|(at, values)| item.get(at).is_some_and(|value| values.contains(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_moto_lacks_are_taken_out() {
        let request = Request::test(
            "ec2",
            "DescribeVpcEndpoints",
            "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.2.Name=tag%3Ax&Filter.2.Value.1=y",
        );
        let (wanted, rest) = split(request.form());
        assert_eq!(wanted, [("vpcId", vec!["vpc-1".to_owned()])]);
        assert_eq!(rest.len(), 2);
        let item =
            |vpc: &str, state: &str| Element::new("item").with_text("vpcId", vpc).with_text("state", state);
        assert!(passes(&item("vpc-1", "available"), &wanted));
        assert!(!passes(&item("vpc-2", "available"), &wanted));
        assert!(!passes(&item("vpc-1", "deleted"), &wanted));
    }
}
