//! ElastiCache, told in memory. Moto knows no change of a subnet group and no end of anything, keeps half of what a group
//! is made with, and has no nodes; fakecloud does not know moto's subnets. Nobody answers at the endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::StatusCode;

use super::elasticache_group::Group;
use super::{FixInfo, Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::xml::Element;
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "elasticache",
    service: "elasticache",
    operations: &[
        "CreateCacheSubnetGroup",
        "DescribeCacheSubnetGroups",
        "ModifyCacheSubnetGroup",
        "DeleteCacheSubnetGroup",
        "CreateReplicationGroup",
        "DescribeReplicationGroups",
        "DescribeCacheClusters",
        "ModifyReplicationGroup",
        "ModifyReplicationGroupShardConfiguration",
        "IncreaseReplicaCount",
        "DecreaseReplicaCount",
        "DeleteReplicationGroup",
        "DescribeSnapshots",
        "ListTagsForResource",
        "AddTagsToResource",
        "RemoveTagsFromResource",
    ],
    why: "moto cannot change or delete subnet groups, never ends a replication group, and drops most of what one is made with",
};

/// How long a group is seen going.
const GOING: Duration = Duration::from_millis(800);

/// What an account has in a region.
#[derive(Default)]
struct Region {
    subnets: BTreeMap<String, SubnetGroup>,
    groups: BTreeMap<String, Group>,
    snapshots: BTreeSet<String>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
}

struct SubnetGroup {
    description: String,
    /// Subnets and their zones.
    subnets: Vec<(String, String)>,
    vpc: String,
}

/// Everything, by account and region.
#[derive(Default)]
pub(crate) struct Caches(Mutex<BTreeMap<(String, String), Region>>);

impl Caches {
    /// The tags of what is at `arn`.
    pub(super) fn tags(&self, access_key: &str, region: &str, arn: &str) -> Option<Vec<(String, String)>> {
        let account = crate::account::of(access_key).to_owned();
        let all = lock(&self.0);
        Some(all.get(&(account, region.to_owned()))?.tags.get(arn)?.clone().into_iter().collect())
    }
}

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, _next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let subnets = match subnets(state, &request).await {
            Ok(subnets) => subnets,
            Err(refused) => return refused,
        };
        let account = crate::account::of(&request.scope.access_key).to_owned();
        let mut all = lock(&state.fixes.caches.0);
        let region = all.entry((account.clone(), request.scope.region.clone())).or_default();
        region.groups.retain(|_, group| group.going.is_none_or(|since| since.elapsed() < GOING));
        let call = Call { request: &request, account: &account, subnets };
        let operation = request.operation.name.as_str();
        let outcome = match operation {
            "CreateCacheSubnetGroup" | "ModifyCacheSubnetGroup" => call.put_subnets(region),
            "DescribeCacheSubnetGroups" => call.show_subnets(region),
            "DeleteCacheSubnetGroup" => call.delete_subnets(region),
            "CreateReplicationGroup" => call.create(region),
            "DescribeReplicationGroups" => call.show_groups(region),
            "DescribeCacheClusters" => Ok(Some(call.show_nodes(region))),
            "DeleteReplicationGroup" => call.delete(region),
            "DescribeSnapshots" => Ok(Some(call.show_snapshots(region))),
            "ListTagsForResource" | "AddTagsToResource" | "RemoveTagsFromResource" => {
                Ok(Some(call.tags(region)))
            }
            _ => call.modify(region),
        };
        match outcome {
            Ok(result) => {
                let mut answer = Element::new(&format!("{operation}Response"));
                if let Some(mut result) = result {
                    result.name = format!("{operation}Result");
                    answer = answer.with(result);
                }
                let id = Element::text_of("RequestId", "00000000-0000-4000-8000-000000000000");
                let answer = answer.with(Element::new("ResponseMetadata").with(id));
                Answer::new(StatusCode::OK, "text/xml", answer.document())
            }
            Err(Refusal(status, code, message)) => request.refuse(status, code, &message),
        }
    })
}

/// The subnets that a call names, their zones and their VPC, as moto's EC2 has them.
async fn subnets(state: &State, request: &Request) -> Result<Vec<[String; 3]>, Answer> {
    let ids = request.params("SubnetIds.");
    let mut found = vec![];
    for id in &ids {
        let root = state.query(&request.scope, "ec2", "DescribeSubnets", &[("SubnetId.1", id)]).await;
        let root = root.map_err(|_| {
            request.refuse(400, "InvalidSubnet", &format!("The requested subnet [{id}] does not exist."))
        })?;
        let text = |name: &str| root.all(name).first().map(|e| e.text()).unwrap_or_default();
        found.push([id.clone(), text("availabilityZone"), text("vpcId")]);
    }
    if found.iter().any(|[.., vpc]| *vpc != found[0][2]) {
        return Err(request.refuse(400, "InvalidSubnet", "The subnets are in different VPCs."));
    }
    Ok(found)
}

/// Status, code, message.
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str, pub(super) String);

struct Call<'a> {
    request: &'a Request,
    account: &'a str,
    subnets: Vec<[String; 3]>,
}

impl Call<'_> {
    fn text(&self, name: &str) -> String {
        self.request.param(name).unwrap_or_default()
    }

    /// ElastiCache keeps its names in lower case.
    fn name(&self, name: &str) -> String {
        self.text(name).to_lowercase()
    }

    fn arn(&self, of: &str, name: &str) -> String {
        format!("arn:aws:elasticache:{}:{}:{of}:{name}", self.request.scope.region, self.account)
    }

    /// `Tags.Tag.1.Key`, `Tags.Tag.1.Value`, and so on.
    fn given_tags(&self) -> BTreeMap<String, String> {
        let form: BTreeMap<String, String> = self.request.form().into_iter().collect();
        let keys = form.iter().filter(|(name, _)| name.starts_with("Tags.") && name.ends_with(".Key"));
        let value = |name: &str| form.get(&name.replace(".Key", ".Value")).cloned().unwrap_or_default();
        keys.map(|(name, key)| (key.clone(), value(name))).collect()
    }

    fn put_subnets(self, region: &mut Region) -> Result<Option<Element>, Refusal> {
        let name = self.name("CacheSubnetGroupName");
        let makes = self.request.operation.name == "CreateCacheSubnetGroup";
        let there = region.subnets.remove(&name);
        let group = match (there, makes) {
            (Some(group), true) => {
                region.subnets.insert(name.clone(), group);
                let message = format!("Cache subnet group {name} already exists.");
                return Err(Refusal(400, "CacheSubnetGroupAlreadyExists", message));
            }
            (None, false) => return Err(no_subnets(&name)),
            (there, _) => {
                let given = self.request.param("CacheSubnetGroupDescription");
                let was = there.as_ref().map(|group| group.description.clone());
                let vpc = self.subnets.first().map(|[.., vpc]| vpc.clone());
                let subnets = self.subnets.iter().map(|[id, zone, _]| (id.clone(), zone.clone())).collect();
                let (old, old_vpc) = there.map(|group| (group.subnets, group.vpc)).unwrap_or_default();
                SubnetGroup {
                    description: given.or(was).unwrap_or_default(),
                    subnets: if self.subnets.is_empty() { old } else { subnets },
                    vpc: vpc.unwrap_or(old_vpc),
                }
            }
        };
        let arn = self.arn("subnetgroup", &name);
        if makes {
            region.tags.insert(arn.clone(), self.given_tags());
        }
        let shown = group.show(&name, &arn);
        region.subnets.insert(name, group);
        Ok(Some(Element::new("").with(shown)))
    }

    fn show_subnets(&self, region: &Region) -> Result<Option<Element>, Refusal> {
        let wanted = self.name("CacheSubnetGroupName");
        if !wanted.is_empty() && !region.subnets.contains_key(&wanted) {
            return Err(no_subnets(&wanted));
        }
        let mut list = Element::new("CacheSubnetGroups");
        for (name, group) in region.subnets.iter().filter(|(name, _)| wanted.is_empty() || **name == wanted) {
            list = list.with(group.show(name, &self.arn("subnetgroup", name)));
        }
        Ok(Some(Element::new("").with(list)))
    }

    fn delete_subnets(&self, region: &mut Region) -> Result<Option<Element>, Refusal> {
        let name = self.name("CacheSubnetGroupName");
        if region.groups.values().any(|group| group.text("CacheSubnetGroupName").to_lowercase() == name) {
            let message = format!("Cache subnet group {name} is currently in use by a cache cluster.");
            return Err(Refusal(400, "CacheSubnetGroupInUse", message));
        }
        region.subnets.remove(&name).ok_or_else(|| no_subnets(&name))?;
        region.tags.remove(&self.arn("subnetgroup", &name));
        Ok(None)
    }

    fn create(&self, region: &mut Region) -> Result<Option<Element>, Refusal> {
        let id = self.name("ReplicationGroupId");
        if region.groups.contains_key(&id) {
            let message = format!("Replication group {id} already exists.");
            return Err(Refusal(400, "ReplicationGroupAlreadyExists", message));
        }
        let subnets = self.name("CacheSubnetGroupName");
        if !subnets.is_empty() && !region.subnets.contains_key(&subnets) {
            return Err(no_subnets(&subnets));
        }
        let group = Group::new(self.request.form())?;
        let arn = self.arn("replicationgroup", &id);
        region.tags.insert(arn.clone(), self.given_tags());
        let shown = group.show(&id, &arn, &self.request.scope.region);
        region.groups.insert(id, group);
        Ok(Some(Element::new("").with(shown)))
    }

    fn show_groups(&self, region: &Region) -> Result<Option<Element>, Refusal> {
        let wanted = self.name("ReplicationGroupId");
        if !wanted.is_empty() && !region.groups.contains_key(&wanted) {
            return Err(no_group(&wanted));
        }
        let mut list = Element::new("ReplicationGroups");
        for (id, group) in region.groups.iter().filter(|(id, _)| wanted.is_empty() || **id == wanted) {
            list = list.with(group.show(id, &self.arn("replicationgroup", id), &self.request.scope.region));
        }
        Ok(Some(Element::new("").with(list)))
    }

    fn show_nodes(&self, region: &Region) -> Element {
        let wanted = self.name("CacheClusterId");
        let mut list = Element::new("CacheClusters");
        for (id, group) in &region.groups {
            for node in group.nodes(id).filter(|node| wanted.is_empty() || *node == wanted) {
                list = list.with(group.show_node(id, &node));
            }
        }
        Element::new("").with(list)
    }

    fn modify(&self, region: &mut Region) -> Result<Option<Element>, Refusal> {
        let id = self.name("ReplicationGroupId");
        let arn = self.arn("replicationgroup", &id);
        let group = region.groups.get_mut(&id).ok_or_else(|| no_group(&id))?;
        if group.going.is_some() {
            return Err(going(&id));
        }
        group.modify(&self.request.operation.name, self.request.form())?;
        Ok(Some(Element::new("").with(group.show(&id, &arn, &self.request.scope.region))))
    }

    fn delete(&self, region: &mut Region) -> Result<Option<Element>, Refusal> {
        let id = self.name("ReplicationGroupId");
        let arn = self.arn("replicationgroup", &id);
        let group = region.groups.get_mut(&id).ok_or_else(|| no_group(&id))?;
        if group.going.is_some() {
            return Err(going(&id));
        }
        if let Some(last) = self.request.param("FinalSnapshotIdentifier")
            && !region.snapshots.insert(last.clone())
        {
            let message = format!("Snapshot {last} already exists.");
            return Err(Refusal(400, "SnapshotAlreadyExistsFault", message));
        }
        group.going = Some(Instant::now());
        region.tags.remove(&arn);
        Ok(Some(Element::new("").with(group.show(&id, &arn, &self.request.scope.region))))
    }

    fn show_snapshots(&self, region: &Region) -> Element {
        let wanted = self.text("SnapshotName");
        let mut list = Element::new("Snapshots");
        for name in region.snapshots.iter().filter(|name| wanted.is_empty() || **name == wanted) {
            let snapshot = Element::new("Snapshot").with_text("SnapshotName", name);
            list = list.with(
                snapshot.with_text("SnapshotStatus", "available").with_text("SnapshotSource", "manual"),
            );
        }
        Element::new("").with(list)
    }

    fn tags(&self, region: &mut Region) -> Element {
        let tags = region.tags.entry(self.text("ResourceName")).or_default();
        tags.extend(self.given_tags());
        for key in self.request.params("TagKeys.") {
            tags.remove(&key);
        }
        let mut list = Element::new("TagList");
        for (key, value) in tags {
            list = list.with(Element::new("Tag").with_text("Key", key).with_text("Value", value));
        }
        Element::new("").with(list)
    }
}

impl SubnetGroup {
    fn show(&self, name: &str, arn: &str) -> Element {
        let mut subnets = Element::new("Subnets");
        for (id, zone) in &self.subnets {
            let mut subnet = Element::new("Subnet").with_text("SubnetIdentifier", id);
            subnet.set("SubnetAvailabilityZone/Name", zone);
            subnets = subnets.with(subnet);
        }
        Element::new("CacheSubnetGroup")
            .with_text("CacheSubnetGroupName", name)
            .with_text("CacheSubnetGroupDescription", &self.description)
            .with_text("VpcId", &self.vpc)
            .with(subnets)
            .with_text("ARN", arn)
    }
}

fn no_subnets(name: &str) -> Refusal {
    Refusal(400, "CacheSubnetGroupNotFoundFault", format!("Cache Subnet Group {name} does not exist."))
}

fn no_group(id: &str) -> Refusal {
    Refusal(404, "ReplicationGroupNotFoundFault", format!("Replication group {id} not found."))
}

fn going(id: &str) -> Refusal {
    let message =
        format!("Replication group {id} has status deleting which is not valid for this operation.");
    Refusal(400, "InvalidReplicationGroupState", message)
}
