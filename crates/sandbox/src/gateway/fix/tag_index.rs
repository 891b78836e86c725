//! Moto's index of tags knows some of its services, and no list of ARNs; fakecloud's knows none.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use http::Method;
use serde_json::{Value, json};

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "tag_index",
    service: "tagging",
    operations: &["GetResources"],
    why: "moto leaves out what fakecloud has, and most kinds of its own; where ARNs are given, here the service of each is \
          asked. AWS's index hears of changes later than the services, this one at once",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let input = request.json();
        let Some(arns) = input["ResourceARNList"].as_array() else { return next.run(request).await };
        if ["TagFilters", "ResourceTypeFilters", "PaginationToken", "ResourcesPerPage", "TagsPerPage"]
            .iter()
            .any(|other| !input[other].is_null())
        {
            let message = "ResourceARNList cannot be combined with filters or pages.";
            return request.refuse(400, "InvalidParameterException", message);
        }
        if arns.is_empty() || arns.len() > 100 {
            return request.refuse(400, "InvalidParameterException", "ResourceARNList takes 1 to 100 ARNs.");
        }
        let found = arns.iter().filter_map(Value::as_str).map(async |arn| {
            let tags = tags(state, &request.scope, arn).await.filter(|tags| !tags.is_empty())?;
            let tags: Vec<_> =
                tags.into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
            Some(json!({"ResourceARN": arn, "Tags": tags}))
        });
        let found: Vec<Value> = join_all(found).await.into_iter().flatten().collect();
        let answer = json!({"PaginationToken": "", "ResourceTagMappingList": found});
        Answer::new(http::StatusCode::OK, "application/x-amz-json-1.1", answer.to_string())
    })
}

/// The tags of what is at `arn`, as its service tells them. `None` where there is nothing, or the index does not know
/// such things.
async fn tags(state: &Arc<State>, scope: &Scope, arn: &str) -> Option<Vec<(String, String)>> {
    let json = async |service: &str, operation: &str, input: Value| {
        let found = state.json(scope, service, operation, &input).await.ok()?;
        found.get("tags").or_else(|| found.get("Tags")).map(pairs)
    };
    let query = async |service: &str, operation: &str, parameter: &str| {
        let found = state.query(scope, service, operation, &[(parameter, arn)]).await.ok()?;
        let tags = found.all("Key").into_iter().zip(found.all("Value"));
        Some(tags.map(|(key, value)| (key.text(), value.text())).collect())
    };
    let name = arn.splitn(6, ':').nth(5)?;
    match arn.split(':').nth(2)? {
        "acm" => json("acm", "ListTagsForCertificate", json!({"CertificateArn": arn})).await,
        // What is in no region counts to one.
        "cloudfront" if scope.region == "us-east-1" => {
            let mut list = Request::to(scope, "cloudfront", "ListTagsForResource", Bytes::new());
            list.method = Method::GET;
            list.uri = format!("/2020-05-31/tagging?Resource={arn}").parse().ok()?;
            let answer = state.send(&list).await;
            let found = Element::parse(std::str::from_utf8(&answer.body).ok()?)?;
            let tags = found.all("Key").into_iter().zip(found.all("Value"));
            Some(tags.map(|(key, value)| (key.text(), value.text())).collect())
        }
        "cloudwatch" => query("monitoring", "ListTagsForResource", "ResourceARN").await,
        "ecr" => json("ecr", "ListTagsForResource", json!({"resourceArn": arn})).await,
        "elasticloadbalancing" => {
            query("elasticloadbalancing", "DescribeTags", "ResourceArns.member.1").await
        }
        "elasticache" => state.fixes.caches.tags(&scope.access_key, &scope.region, arn),
        "events" => json("events", "ListTagsForResource", json!({"ResourceARN": arn})).await,
        // IAM has such tags in one place only.
        "iam" if scope.region != "us-east-1" => None,
        "iam" if name.starts_with("policy/") => query("iam", "ListPolicyTags", "PolicyArn").await,
        "iam" => {
            let name = name.strip_prefix("instance-profile/")?.rsplit('/').next()?;
            let named = [("InstanceProfileName", name)];
            let found = state.query(scope, "iam", "GetInstanceProfile", &named).await.ok()?;
            // Those of its role stand further down.
            let profile = *found.all("InstanceProfile").first()?;
            let tags = profile.child("Tags")?.elements();
            Some(tags.filter_map(|tag| Some((tag.get("Key")?, tag.get("Value")?))).collect())
        }
        "kms" => json("kms", "ListResourceTags", json!({"KeyId": arn})).await,
        "logs" => json("logs", "ListTagsForResource", json!({"resourceArn": arn})).await,
        "rds" => query("rds", "ListTagsForResource", "ResourceName").await,
        "sqs" => {
            let found = state.json(scope, "sqs", "GetQueueUrl", &json!({"QueueName": name})).await.ok()?;
            json("sqs", "ListQueueTags", json!({"QueueUrl": found["QueueUrl"]})).await
        }
        "ssm" => {
            let name = name.strip_prefix("parameter/")?;
            // Without folders, a name has no slash of its own.
            let id = if name.contains('/') { format!("/{name}") } else { name.to_owned() };
            let input = json!({"ResourceType": "Parameter", "ResourceId": id});
            let found = state.json(scope, "ssm", "ListTagsForResource", &input).await.ok()?;
            Some(pairs(&found["TagList"]))
        }
        "sns" => query("sns", "ListTagsForResource", "ResourceArn").await,
        _ => None,
    }
}

/// Tags of an answer in JSON, whose services write them in three ways.
fn pairs(tags: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match tags {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        Value::Array(all) => all
            .iter()
            .filter_map(|tag| {
                let key = ["Key", "key", "TagKey"].iter().find_map(|name| tag.get(name))?;
                let value = ["Value", "value", "TagValue"].iter().find_map(|name| tag.get(name));
                Some((text(key), value.map(text).unwrap_or_default()))
            })
            .collect(),
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_however_a_service_writes_them() {
        let wanted = vec![("a".to_owned(), "1".to_owned())];
        assert_eq!(pairs(&json!({"a": "1"})), wanted);
        assert_eq!(pairs(&json!([{"Key": "a", "Value": "1"}])), wanted);
        assert_eq!(pairs(&json!([{"TagKey": "a", "TagValue": "1"}])), wanted);
        assert_eq!(pairs(&json!([{"key": "a"}])), [("a".to_owned(), String::new())]);
    }
}
