//! Resources that become ready only after a while, although the emulators make them ready at once.
//!
//! When a create passes, its resource is noted; for as long as its time runs, every answer of that service that shows it
//! as ready shows it as pending instead. Nothing is delayed.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::fix::Request;
use super::lock;
use super::refusal::Answer;
use super::xml::Element;

/// How long resources pend after they were created or changed. Zero: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// NAT gateways: `pending`.
    pub nat_gateway: Duration,
    /// Load balancers: `provisioning`.
    pub load_balancer: Duration,
    /// RDS instances and replication groups of ElastiCache: `creating`. A real database that starts more slowly pends longer.
    pub database: Duration,
    /// RDS instances and replication groups after a change: `modifying`.
    pub database_change: Duration,
    /// EKS clusters: `CREATING`.
    pub cluster: Duration,
    /// EKS clusters, node groups and add-ons after a change: `UPDATING`.
    pub cluster_change: Duration,
    /// EKS node groups: `CREATING`.
    pub node_group: Duration,
    /// EKS add-ons: `CREATING`.
    pub addon: Duration,
    /// Invalidations of CloudFront: `InProgress`.
    pub invalidation: Duration,
    /// Until the edge sees a change in a key value store of CloudFront. Nothing shows that it has not yet.
    pub key_value_store: Duration,
    /// Distributions of CloudFront after they were made or changed: `InProgress`. Until then the edge knows no new one.
    pub distribution: Duration,
}

impl Pending {
    /// Everything is ready as soon as the emulator says so.
    pub fn off() -> Pending {
        Pending::all(Duration::ZERO)
    }

    /// The same time for everything.
    pub fn all(time: Duration) -> Pending {
        Pending {
            nat_gateway: time,
            load_balancer: time,
            database: time,
            database_change: time,
            cluster: time,
            cluster_change: time,
            node_group: time,
            addon: time,
            invalidation: time,
            key_value_store: time,
            distribution: time,
        }
    }
}

impl Default for Pending {
    /// Long enough that a client that does not wait is caught, short enough for a test. Distributions are ready at once: what is not
    /// about them would wait for the edge.
    fn default() -> Pending {
        Pending {
            database: Duration::from_secs(2),
            key_value_store: Duration::from_millis(300),
            distribution: Duration::ZERO,
            ..Pending::all(Duration::from_millis(1200))
        }
    }
}

/// One way to pend: which operation starts it, where the id and the status stand, and the two words.
struct Kind {
    service: &'static str,
    operations: &'static [&'static str],
    id: &'static str,
    status: &'static str,
    ready: &'static str,
    pending: &'static str,
    time: fn(&Pending) -> Duration,
}

#[rustfmt::skip]
const KINDS: &[Kind] = &[
    Kind { service: "ec2", operations: &["CreateNatGateway"], id: "natGatewayId", status: "state", ready: "available", pending: "pending", time: |p| p.nat_gateway },
    Kind { service: "elasticloadbalancing", operations: &["CreateLoadBalancer"], id: "LoadBalancerArn", status: "State/Code", ready: "active", pending: "provisioning", time: |p| p.load_balancer },
    Kind { service: "rds", operations: &["CreateDBInstance"], id: "DBInstanceIdentifier", status: "DBInstanceStatus", ready: "available", pending: "creating", time: |p| p.database },
    Kind { service: "rds", operations: &["ModifyDBInstance"], id: "DBInstanceIdentifier", status: "DBInstanceStatus", ready: "available", pending: "modifying", time: |p| p.database_change },
    Kind { service: "elasticache", operations: &["CreateReplicationGroup"], id: "ReplicationGroupId", status: "Status", ready: "available", pending: "creating", time: |p| p.database },
    Kind { service: "elasticache", operations: &["ModifyReplicationGroup", "ModifyReplicationGroupShardConfiguration", "IncreaseReplicaCount", "DecreaseReplicaCount"], id: "ReplicationGroupId", status: "Status", ready: "available", pending: "modifying", time: |p| p.database_change },
    Kind { service: "eks", operations: &["CreateCluster"], id: "name", status: "status", ready: "ACTIVE", pending: "CREATING", time: |p| p.cluster },
    Kind { service: "eks", operations: &["CreateNodegroup"], id: "nodegroupName", status: "status", ready: "ACTIVE", pending: "CREATING", time: |p| p.node_group },
    Kind { service: "cloudfront", operations: &["CreateInvalidation"], id: "Id", status: "Status", ready: "Completed", pending: "InProgress", time: |p| p.invalidation },
    Kind { service: "cloudfront", operations: &["CreateDistribution", "UpdateDistribution"], id: "Id", status: "Status", ready: "Deployed", pending: "InProgress", time: |p| p.distribution },
    Kind { service: "eks", operations: &["CreateAddon"], id: "addonName", status: "status", ready: "ACTIVE", pending: "CREATING", time: |p| p.addon },
];

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    account: String,
    region: String,
    /// Index in [`KINDS`].
    kind: usize,
    id: String,
}

/// The resources of a gateway that pend now.
pub(crate) struct Pendings {
    times: Mutex<Pending>,
    /// By account, where it has times of its own.
    own: Mutex<HashMap<String, Pending>>,
    until: Mutex<HashMap<Key, Instant>>,
}

impl Pendings {
    pub(crate) fn new(times: Pending) -> Pendings {
        Pendings { times: Mutex::new(times), own: Mutex::default(), until: Mutex::new(HashMap::new()) }
    }

    /// How long resources of the account of an access key pend now.
    pub(crate) fn times(&self, access_key: &str) -> Pending {
        let own = lock(&self.own).get(crate::account::of(access_key)).copied();
        own.unwrap_or_else(|| *lock(&self.times))
    }

    pub(crate) fn set(&self, times: Pending) {
        *lock(&self.times) = times;
    }

    pub(crate) fn set_of(&self, access_key: &str, times: Pending) {
        lock(&self.own).insert(crate::account::of(access_key).to_owned(), times);
    }

    /// Notes what `request` has created, and shows in `answer` what pends.
    pub(crate) fn show(&self, request: &Request, mut answer: Answer) -> Answer {
        if !answer.status.is_success() {
            return answer;
        }
        let now = Instant::now();
        let times = self.times(&request.scope.access_key);
        let mut until = lock(&self.until);
        until.retain(|_, end| *end > now);
        for (index, kind) in KINDS.iter().enumerate() {
            if kind.service != request.scope.service {
                continue;
            }
            let key = |id: String| Key {
                account: crate::account::of(&request.scope.access_key).to_owned(),
                region: request.scope.region.clone(),
                kind: index,
                id,
            };
            let time = (kind.time)(&times);
            let starts = kind.operations.contains(&request.operation.name.as_str());
            // Where nothing pends any more, nor does what pended before.
            if time.is_zero() || !starts && !until.keys().any(|key| key.kind == index) {
                continue;
            }
            let shown = visit(&answer.body, kind, &mut |id| {
                let key = key(id.to_owned());
                if starts {
                    until.insert(key, now + time);
                    return true;
                }
                until.contains_key(&key)
            });
            if let Some(body) = shown {
                answer.body = body;
            }
        }
        answer
    }
}

/// Asks `pends` for every ready resource of a kind in a body; gives the changed body, if any answer was yes.
fn visit(body: &[u8], kind: &Kind, pends: &mut dyn FnMut(&str) -> bool) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    let mut changed = false;
    if text.trim_start().starts_with('<') {
        let mut root = Element::parse(text)?;
        root.walk_mut(&mut |element| {
            if let (Some(id), Some(status)) = (element.get(kind.id), element.get(kind.status))
                && (status == kind.ready || status == kind.pending)
                && pends(&id)
            {
                element.set(kind.status, kind.pending);
                changed = true;
            }
        });
        return changed.then(|| root.document().into());
    }
    let mut value: Value = serde_json::from_str(text).ok()?;
    walk(&mut value, &mut |object| {
        let field = |name| object.get(name).and_then(Value::as_str);
        let (Some(id), Some(status)) = (field(kind.id), field(kind.status)) else { return };
        // A node group of the same name may exist in several clusters.
        let id = format!("{}/{id}", field("clusterName").unwrap_or_default());
        if status == kind.ready || status == kind.pending {
            let shows = pends(&id);
            changed |= shows;
            if shows {
                object.insert(kind.status.to_owned(), kind.pending.into());
            }
        }
    });
    changed.then(|| value.to_string().into())
}

fn walk(value: &mut Value, visit: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values_mut().for_each(|value| walk(value, visit));
        }
        Value::Array(array) => array.iter_mut().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pendings: &Pendings, service: &str, operation: &str, body: &str) -> String {
        let request = Request::test(service, operation, "");
        let answer = Answer::new(http::StatusCode::OK, "text/xml", body.to_owned());
        String::from_utf8(pendings.show(&request, answer).body.to_vec()).unwrap()
    }

    const NAT: &str =
        "<R><natGateway><natGatewayId>nat-1</natGatewayId><state>available</state></natGateway></R>";

    #[tokio::test(start_paused = true)]
    async fn a_created_resource_pends_and_then_is_ready() {
        let pendings = Pendings::new(Pending::all(Duration::from_millis(80)));
        assert!(shown(&pendings, "ec2", "CreateNatGateway", NAT).contains("<state>pending</state>"));
        assert!(shown(&pendings, "ec2", "DescribeNatGateways", NAT).contains("<state>pending</state>"));
        let other = NAT.replace("nat-1", "nat-2");
        assert_eq!(shown(&pendings, "ec2", "DescribeNatGateways", &other), other);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(shown(&pendings, "ec2", "DescribeNatGateways", NAT), NAT);
    }

    #[test]
    fn what_is_being_deleted_does_not_pend() {
        let pendings = Pendings::new(Pending::default());
        shown(&pendings, "ec2", "CreateNatGateway", NAT);
        let deleted = NAT.replace("available", "deleted");
        assert_eq!(shown(&pendings, "ec2", "DescribeNatGateways", &deleted), deleted);
    }

    #[test]
    fn zero_is_off() {
        let pendings = Pendings::new(Pending::off());
        assert_eq!(shown(&pendings, "ec2", "CreateNatGateway", NAT), NAT);
    }

    #[test]
    fn an_account_may_have_times_of_its_own_and_zero_ends_what_pends() {
        let pendings = Pendings::new(Pending::off());
        let (key, _) = crate::account::credentials("000000000042").unwrap();
        let shown_to = |key: &str, operation: &str| {
            let mut request = Request::test("ec2", operation, "");
            request.scope.access_key = key.to_owned();
            let answer = pendings.show(&request, Answer::new(http::StatusCode::OK, "text/xml", NAT));
            String::from_utf8(answer.body.to_vec()).unwrap().contains("pending")
        };
        pendings.set_of(&key, Pending::all(Duration::from_secs(3600)));
        assert!(shown_to(&key, "CreateNatGateway") && shown_to(&key, "DescribeNatGateways"));
        assert!(!shown_to("AKID", "CreateNatGateway"));
        pendings.set_of(&key, Pending::off());
        assert!(!shown_to(&key, "DescribeNatGateways"));
    }

    #[test]
    fn json_resources_pend_per_cluster() {
        let pendings = Pendings::new(Pending::default());
        let addon = |cluster: &str| {
            format!(r#"{{"addon":{{"addonName":"dns","clusterName":"{cluster}","status":"ACTIVE"}}}}"#)
        };
        assert!(shown(&pendings, "eks", "CreateAddon", &addon("a")).contains("CREATING"));
        assert!(shown(&pendings, "eks", "DescribeAddon", &addon("a")).contains("CREATING"));
        assert_eq!(shown(&pendings, "eks", "DescribeAddon", &addon("b")), addon("b"));
    }
}
