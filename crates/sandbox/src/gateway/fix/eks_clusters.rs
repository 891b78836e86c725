//! EKS (fakecloud) and the network (moto) do not know each other. A cluster gets the VPC of its subnets, and its security
//! group in moto, with the rules and tags that EKS gives it; what must be there first is looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use http::Method;
use serde_json::Value;

use super::{FixInfo, Next, Request, exchange};
use crate::gateway::operation::decode;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::Element;
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "eks_clusters",
    service: "eks",
    operations: &[
        "CreateCluster",
        "DescribeCluster",
        "DeleteCluster",
        "CreateNodegroup",
        "CreateAccessEntry",
    ],
    why: "fakecloud takes unknown subnets, groups and roles, keeps the cluster's security group in an EC2 of its own, and deletes a protected cluster",
};

/// The VPC and the security group of a cluster, by account, region and name.
#[derive(Default)]
pub(crate) struct Networks(Mutex<BTreeMap<[String; 3], [String; 2]>>);

/// Account, region and cluster.
pub(super) fn key(scope: &Scope, cluster: &str) -> [String; 3] {
    [crate::account::of(&scope.access_key).to_owned(), scope.region.clone(), cluster.to_owned()]
}

/// The segment of the path behind `before`, decoded: `CLUSTER` of `/clusters/CLUSTER/addons`.
pub(super) fn behind(request: &Request, before: &str) -> String {
    let mut parts = request.uri.path().split('/').skip_while(|part| *part != before);
    parts.nth(1).map(|part| decode(part.as_bytes())).unwrap_or_default()
}

/// What EKS says at `path`, as a caller would see it.
pub(super) async fn look(state: &Arc<State>, scope: &Scope, operation: &str, path: &str) -> Option<Value> {
    let mut request = Request::to(scope, "eks", operation, bytes::Bytes::new());
    request.method = Method::GET;
    request.uri = path.parse().ok()?;
    let answer = exchange(state, request).await;
    if answer.status.is_success() { serde_json::from_slice(&answer.body).ok() } else { None }
}

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let input = request.json();
        let operation = request.operation.name.clone();
        let refused = match operation.as_str() {
            "CreateCluster" => missing(state, &request, &input).await,
            "CreateNodegroup" => no_role(state, &request, input["nodeRole"].as_str()).await,
            "CreateAccessEntry" => no_principal(state, &request, input["principalArn"].as_str()).await,
            "DeleteCluster" => protected(state, &request).await,
            _ => None,
        };
        if let Some(refused) = refused {
            return refused;
        }
        let mut answer = next.run(request).await;
        let Ok(mut output) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        let Some(name) = output["cluster"]["name"].as_str().map(str::to_owned) else { return answer };
        let key = key(&scope, &name);
        if operation == "CreateCluster"
            && let Some(network) = network(state, &scope, &name, &input).await
        {
            lock(&state.fixes.networks.0).insert(key.clone(), network);
        }
        let known = lock(&state.fixes.networks.0).get(&key).cloned();
        let Some([vpc, group]) = known else { return answer };
        output["cluster"]["resourcesVpcConfig"]["vpcId"] = vpc.into();
        output["cluster"]["resourcesVpcConfig"]["clusterSecurityGroupId"] = group.clone().into();
        answer.body = output.to_string().into();
        if operation == "DeleteCluster" {
            lock(&state.fixes.networks.0).remove(&key);
            // EKS too leaves a group that something else still uses.
            if let Err(refused) =
                state.query(&scope, "ec2", "DeleteSecurityGroup", &[("GroupId", &group)]).await
            {
                tracing::warn!(status = %refused.status, group, "the cluster's security group stays");
            }
        }
        answer
    })
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The things with these ids in EC2.
async fn described(
    state: &State,
    scope: &Scope,
    action: &str,
    parameter: &str,
    ids: &[String],
) -> Result<Element, Answer> {
    let own: Vec<(String, &str)> =
        ids.iter().enumerate().map(|(n, id)| (format!("{parameter}.{}", n + 1), id.as_str())).collect();
    let own: Vec<(&str, &str)> = own.iter().map(|(name, id)| (name.as_str(), *id)).collect();
    state.query(scope, "ec2", action, &own).await
}

async fn missing(state: &Arc<State>, request: &Request, input: &Value) -> Option<Answer> {
    let invalid = |message: &str| Some(request.refuse(400, "InvalidParameterException", message));
    let network = &input["resourcesVpcConfig"];
    let subnets = strings(&network["subnetIds"]);
    let Ok(found) = described(state, &request.scope, "DescribeSubnets", "SubnetId", &subnets).await else {
        return invalid(&format!("The subnet ID '{}' does not exist", subnets.join("', '")));
    };
    let each = |name: &str| -> BTreeSet<String> { found.all(name).into_iter().map(Element::text).collect() };
    if each("vpcId").len() > 1 {
        return invalid("Subnets specified must belong to the same VPC");
    }
    if each("availabilityZone").len() < 2 {
        return invalid("Subnets specified must be in at least two different AZs");
    }
    let groups = strings(&network["securityGroupIds"]);
    if !groups.is_empty()
        && described(state, &request.scope, "DescribeSecurityGroups", "GroupId", &groups).await.is_err()
    {
        return invalid(&format!("The security group '{}' does not exist", groups.join("', '")));
    }
    no_role(state, request, input["roleArn"].as_str()).await
}

async fn is_there(state: &State, scope: &Scope, arn: &str) -> bool {
    let name = arn.rsplit('/').next().unwrap_or_default();
    state.query(scope, "iam", "GetRole", &[("RoleName", name)]).await.is_ok()
}

async fn no_role(state: &State, request: &Request, arn: Option<&str>) -> Option<Answer> {
    let arn = arn.unwrap_or_default();
    if is_there(state, &request.scope, arn).await {
        return None;
    }
    let message = format!(
        "Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
    );
    Some(request.refuse(400, "InvalidParameterException", &message))
}

/// Users and the root of an account are taken as they are.
async fn no_principal(state: &State, request: &Request, arn: Option<&str>) -> Option<Answer> {
    let arn = arn.filter(|arn| arn.contains(":role/"))?;
    if is_there(state, &request.scope, arn).await {
        return None;
    }
    let message = "The specified principalArn is invalid: invalid principal.";
    Some(request.refuse(400, "InvalidParameterException", message))
}

async fn protected(state: &Arc<State>, request: &Request) -> Option<Answer> {
    let path = request.uri.path();
    let cluster = look(state, &request.scope, "DescribeCluster", path).await?;
    let cluster = &cluster["cluster"];
    // <https://docs.aws.amazon.com/eks/latest/userguide/deletion-protection.html>
    (cluster["deletionProtection"] == true && cluster["status"] != "CREATING").then(|| {
        let message = "Cluster cannot be deleted while deletion protection is enabled.";
        request.refuse(400, "InvalidRequestException", message)
    })
}

/// Makes the security group of a new cluster. `None` where the subnets are gone in between.
async fn network(state: &State, scope: &Scope, cluster: &str, input: &Value) -> Option<[String; 2]> {
    let subnets = strings(&input["resourcesVpcConfig"]["subnetIds"]);
    let found = described(state, scope, "DescribeSubnets", "SubnetId", &subnets).await.ok()?;
    let vpc = found.all("vpcId").first()?.text();
    let suffix = vpc.trim_start_matches("vpc-");
    let name = format!("eks-cluster-sg-{cluster}-{suffix}");
    let own = [
        ("GroupName", name.as_str()),
        (
            "GroupDescription",
            "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any managed workloads.",
        ),
        ("VpcId", vpc.as_str()),
    ];
    let made = state.query(scope, "ec2", "CreateSecurityGroup", &own).await.ok()?;
    let group = made.all("groupId").first()?.text();
    let owned = format!("kubernetes.io/cluster/{cluster}");
    let tags = [
        ("ResourceId.1", group.as_str()),
        ("Tag.1.Key", "Name"),
        ("Tag.1.Value", &name),
        ("Tag.2.Key", "aws:eks:cluster-name"),
        ("Tag.2.Value", cluster),
        ("Tag.3.Key", &owned),
        ("Tag.3.Value", "owned"),
    ];
    let itself = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.Groups.1.GroupId", &group),
    ];
    for (action, own) in [("CreateTags", &tags[..]), ("AuthorizeSecurityGroupIngress", &itself[..])] {
        if let Err(refused) = state.query(scope, "ec2", action, own).await {
            tracing::warn!(status = %refused.status, action, group, "moto refused it");
        }
    }
    Some([vpc, group])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_the_path() {
        let mut request = Request::test("eks", "DeleteNodegroup", "");
        request.uri = "/clusters/my%2Dcluster/node-groups/system".parse().unwrap();
        assert_eq!(behind(&request, "clusters"), "my-cluster");
        assert_eq!(behind(&request, "node-groups"), "system");
        assert_eq!(behind(&request, "addons"), "");
    }
}
