//! The AWS load balancer controller: a network load balancer for each Service of its class, an application load balancer for
//! each Ingress or group of Ingresses, with its tags, in the AWS emulator. Listeners are made, with target groups for Services;
//! rules, targets and security groups are not.
//! <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/>

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Behaviour, Stage, is_due};
use crate::gateway::BoxError;
use crate::kubernetes::nodes::seed;
use crate::kubernetes::world::{INGRESS_CLASSES, INGRESSES, SERVICES, each, path, texts};

const VERSION: &str = "2015-12-01";

/// What an object asks for.
struct Wanted {
    name: String,
    /// `NAMESPACE/NAME` of the object, or the name of its group.
    stack: String,
    /// What the tag with the part of the stack begins with.
    prefix: &'static str,
    network: bool,
    internal: bool,
    subnets: Vec<String>,
    groups: Vec<String>,
    tags: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
    listeners: Vec<Listener>,
}

struct Listener {
    protocol: &'static str,
    port: u64,
    certificate: Option<String>,
}

/// The two kinds of objects.
struct Kind {
    path: &'static str,
    kind: &'static str,
    finalizer: &'static str,
    /// Before each annotation.
    prefix: &'static str,
    tags: &'static str,
    /// The annotation with attributes of load balancers.
    attributes: &'static str,
}

const SERVICE: Kind = Kind {
    path: SERVICES,
    kind: "Service",
    finalizer: "service.k8s.aws/resources",
    prefix: "service.beta.kubernetes.io/aws-load-balancer-",
    tags: "service.k8s.aws",
    attributes: "attributes",
};

const INGRESS: Kind = Kind {
    path: INGRESSES,
    kind: "Ingress",
    finalizer: "ingress.k8s.aws/resources",
    prefix: "alb.ingress.kubernetes.io/",
    tags: "ingress.k8s.aws",
    attributes: "load-balancer-attributes",
};

/// What was last done, so that AWS is asked about changes only.
#[derive(Default)]
pub(super) struct LoadBalancers {
    /// The version of each object that is as it should be, by UID.
    done: BTreeMap<String, String>,
    /// When one was last tried that failed.
    failed: BTreeMap<String, Instant>,
}

/// What failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(2);

impl LoadBalancers {
    pub(super) async fn pass(&mut self, stage: &Stage, behaviour: Behaviour) -> Result<(), BoxError> {
        if !stage.world.runs("aws-load-balancer-controller") {
            return Ok(());
        }
        let services = stage.world.all(SERVICES);
        let ingresses = stage.world.all(INGRESSES);
        let services = services.iter().filter(|service| is_service(service)).map(|it| (&SERVICE, it));
        let ingresses =
            ingresses.iter().filter(|ingress| is_ingress(stage, ingress)).map(|it| (&INGRESS, it));
        for (kind, object) in services.chain(ingresses) {
            let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
            let (uid, version) = (text("uid"), text("resourceVersion"));
            let waits = self.failed.get(&uid).is_some_and(|at| at.elapsed() < AGAIN);
            if !is_due(object, behaviour) || waits || self.done.get(&uid) == Some(&version) {
                continue;
            }
            let gone = !object["metadata"]["deletionTimestamp"].is_null();
            let done = match behaviour {
                Behaviour::Fails => Err("the sandbox was told to fail".into()),
                _ if gone => remove(stage, kind, object).await,
                _ => keep(stage, kind, object).await,
            };
            match done {
                Ok(()) => drop(self.done.insert(uid, version)),
                Err(error) => {
                    self.failed.insert(uid, Instant::now());
                    let (reason, act) = match error.is::<Unclear>() {
                        true => ("FailedBuildModel", "build"),
                        false => ("FailedDeployModel", "deploy"),
                    };
                    let message = format!("Failed {act} model due to {error}");
                    stage.event(kind.kind, object, reason, &message).await?;
                }
            }
        }
        Ok(())
    }
}

/// What is to be made cannot be said, so that nothing is tried.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unclear(String);

fn is_service(service: &Value) -> bool {
    let spec = &service["spec"];
    let held = texts(&service["metadata"]["finalizers"]).any(|one| one == SERVICE.finalizer);
    let old = annotation(&SERVICE, service, "type");
    let asks = spec["type"] == "LoadBalancer"
        && (spec["loadBalancerClass"] == "service.k8s.aws/nlb"
            || spec["loadBalancerClass"].is_null() && matches!(old, Some("external" | "nlb-ip")));
    held || asks
}

fn is_ingress(stage: &Stage, ingress: &Value) -> bool {
    let old = &ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"];
    let class = ingress["spec"]["ingressClassName"]
        .as_str()
        .map(|name| stage.world.get(INGRESS_CLASSES, &format!("/{name}")));
    let named = class.flatten().is_some_and(|class| class["spec"]["controller"] == "ingress.k8s.aws/alb");
    named || old == "alb"
}

fn annotation<'a>(kind: &Kind, object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][format!("{}{name}", kind.prefix)].as_str()
}

/// `a=1,b=2` and the like.
fn pairs(text: Option<&str>) -> Vec<(String, String)> {
    let parts = text.unwrap_or_default().split(',').filter_map(|part| part.trim().split_once('='));
    parts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The `NAMESPACE/NAME` of an object, or the name of its group.
fn stack(kind: &Kind, object: &Value) -> String {
    annotation(kind, object, "group.name").map_or_else(
        || {
            let meta = &object["metadata"];
            format!(
                "{}/{}",
                meta["namespace"].as_str().unwrap_or_default(),
                meta["name"].as_str().unwrap_or_default()
            )
        },
        str::to_owned,
    )
}

/// As the controller names what nobody has named, of one object or of a group: at most 32 characters.
fn default_name(cluster: &str, stack: &str) -> String {
    let most = if stack.contains('/') { 8 } else { 17 };
    let short =
        |part: &str| -> String { part.chars().filter(char::is_ascii_alphanumeric).take(most).collect() };
    let parts: Vec<String> = stack.split('/').map(short).collect();
    let hash = format!("{:010x}", seed(&format!("{cluster}/{stack}")));
    format!("k8s-{}-{}", parts.join("-"), &hash[..10])
}

impl Wanted {
    fn of(stage: &Stage, kind: &Kind, object: &Value) -> Wanted {
        let told = |name: &str| annotation(kind, object, name);
        let network = kind.kind == "Service";
        let stack = stack(kind, object);
        let mut tags = vec![
            ("elbv2.k8s.aws/cluster".to_owned(), stage.aws.cluster().to_owned()),
            (format!("{}/stack", kind.tags), stack.clone()),
        ];
        tags.extend(pairs(told(if network { "additional-resource-tags" } else { "tags" })));
        let name = told(if network { "name" } else { "load-balancer-name" });
        let attributes = told(kind.attributes);
        Wanted {
            name: name.map_or_else(|| default_name(stage.aws.cluster(), &stack), str::to_owned),
            stack,
            prefix: kind.tags,
            network,
            internal: told("scheme") != Some("internet-facing"),
            subnets: list(told("subnets")),
            groups: list(told("security-groups")),
            tags,
            attributes: pairs(attributes),
            listeners: if network { ports(object) } else { listen_ports(object) },
        }
    }
}

impl Wanted {
    /// The tags of one part of the stack.
    fn tags(&self, part: &str) -> Vec<(String, String)> {
        let part = (format!("{}/resource", self.prefix), part.to_owned());
        self.tags.iter().cloned().chain([part]).collect()
    }
}

fn ports(service: &Value) -> Vec<Listener> {
    let certificate = list(annotation(&SERVICE, service, "ssl-cert")).into_iter().next();
    let secure = list(annotation(&SERVICE, service, "ssl-ports"));
    let port = |port: &Value| {
        let number = port["port"].as_u64()?;
        let named = |one: &String| *one == number.to_string() || port["name"] == **one || one == "*";
        let certificate = certificate.clone().filter(|_| secure.is_empty() || secure.iter().any(named));
        let protocol = match &certificate {
            Some(_) => "TLS",
            None if port["protocol"] == "UDP" => "UDP",
            None => "TCP",
        };
        Some(Listener { protocol, port: number, certificate })
    };
    each(&service["spec"]["ports"]).filter_map(port).collect()
}

fn listen_ports(ingress: &Value) -> Vec<Listener> {
    let certificate = list(annotation(&INGRESS, ingress, "certificate-arn")).into_iter().next();
    let told = annotation(&INGRESS, ingress, "listen-ports").and_then(|text| serde_json::from_str(text).ok());
    let told: Vec<BTreeMap<String, u64>> = told.unwrap_or_else(|| match certificate {
        Some(_) => vec![BTreeMap::from([("HTTPS".to_owned(), 443)])],
        None => vec![BTreeMap::from([("HTTP".to_owned(), 80)])],
    });
    let listener = |(protocol, port): (String, u64)| match protocol.as_str() {
        "HTTPS" => Listener { protocol: "HTTPS", port, certificate: certificate.clone() },
        _ => Listener { protocol: "HTTP", port, certificate: None },
    };
    told.into_iter().flatten().map(listener).collect()
}

/// The parameters of a call: pairs, with the numbers of lists.
#[derive(Default)]
struct Form(Vec<(String, String)>);

impl Form {
    fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Form {
        self.0.push((name.into(), value.into()));
        self
    }

    fn members(mut self, name: &str, values: &[String]) -> Form {
        for (number, value) in (1..).zip(values) {
            self = self.with(format!("{name}.member.{number}"), value);
        }
        self
    }

    fn pairs(mut self, name: &str, pairs: &[(String, String)]) -> Form {
        for (number, (key, value)) in (1..).zip(pairs) {
            self = self
                .with(format!("{name}.member.{number}.Key"), key)
                .with(format!("{name}.member.{number}.Value"), value);
        }
        self
    }

    async fn send(self, stage: &Stage, action: &str) -> Result<crate::gateway::Element, BoxError> {
        let pairs: Vec<(&str, &str)> =
            self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(stage.aws.query("elasticloadbalancing", action, VERSION, &pairs).await?)
    }
}

/// The ARN and the name in DNS of a load balancer, if it is there.
async fn find(stage: &Stage, name: &str) -> Option<(String, String)> {
    let found =
        Form::default().with("Names.member.1", name).send(stage, "DescribeLoadBalancers").await.ok()?;
    Some((found.all("LoadBalancerArn").first()?.text(), found.all("DNSName").first()?.text()))
}

async fn keep(stage: &Stage, kind: &Kind, object: &Value) -> Result<(), BoxError> {
    let shown = !object["status"]["loadBalancer"]["ingress"][0]["hostname"].is_null();
    let wanted = Wanted::of(stage, kind, object);
    let there = find(stage, &wanted.name).await;
    let held = texts(&object["metadata"]["finalizers"]).any(|one| one == kind.finalizer);
    if !held {
        let mut finalizers: Vec<&str> = texts(&object["metadata"]["finalizers"]).collect();
        finalizers.push(kind.finalizer);
        let change = json!({ "metadata": { "finalizers": finalizers } });
        stage.client.merge(&path(kind.path, object), &change).await?;
    }
    let (arn, address) = match there {
        Some(there) => there,
        None => make(stage, &wanted).await?,
    };
    attributes(stage, &arn, &wanted).await?;
    if !shown {
        let status = json!({ "loadBalancer": { "ingress": [{ "hostname": address }] } });
        stage.status(kind.path, object, status).await?;
    }
    Ok(())
}

/// Makes a load balancer with its listeners.
async fn make(stage: &Stage, wanted: &Wanted) -> Result<(String, String), BoxError> {
    let described = stage.aws.eks("DescribeCluster", "").await?;
    let vpc = described["cluster"]["resourcesVpcConfig"]["vpcId"].as_str().unwrap_or_default().to_owned();
    let subnets = match wanted.subnets.as_slice() {
        [] => discover(stage, &vpc, wanted.internal).await?,
        given => known(stage, given).await?,
    };
    let made = Form::default()
        .with("Name", &wanted.name)
        .with("Type", if wanted.network { "network" } else { "application" })
        .with("Scheme", if wanted.internal { "internal" } else { "internet-facing" })
        .members("Subnets", &subnets)
        .members("SecurityGroups", &wanted.groups)
        .pairs("Tags", &wanted.tags("LoadBalancer"))
        .send(stage, "CreateLoadBalancer")
        .await?;
    let text = |name: &str| made.all(name).first().map(|element| element.text()).unwrap_or_default();
    let (arn, address) = (text("LoadBalancerArn"), text("DNSName"));
    for listener in &wanted.listeners {
        let port = listener.port.to_string();
        let mut form = Form::default()
            .with("LoadBalancerArn", &arn)
            .with("Protocol", listener.protocol)
            .with("Port", &port)
            .pairs("Tags", &wanted.tags(&port));
        if let Some(certificate) = &listener.certificate {
            form = form.with("Certificates.member.1.CertificateArn", certificate);
        }
        form = if wanted.network {
            let name = default_name(&format!("{}/{port}", wanted.name), &wanted.stack);
            let group = Form::default()
                .with("Name", name)
                .with("Protocol", if listener.protocol == "UDP" { "UDP" } else { "TCP" })
                .with("Port", &port)
                .with("VpcId", &vpc)
                .with("TargetType", "ip")
                .pairs("Tags", &wanted.tags(&format!("{}:{port}", wanted.stack)))
                .send(stage, "CreateTargetGroup")
                .await?;
            let group = group.all("TargetGroupArn").first().map(|element| element.text()).unwrap_or_default();
            form.with("DefaultActions.member.1.Type", "forward")
                .with("DefaultActions.member.1.TargetGroupArn", group)
        } else {
            form.with("DefaultActions.member.1.Type", "fixed-response")
                .with("DefaultActions.member.1.FixedResponseConfig.StatusCode", "404")
                .with("DefaultActions.member.1.FixedResponseConfig.ContentType", "text/plain")
        };
        form.send(stage, "CreateListener").await?;
    }
    Ok((arn, address))
}

/// The subnets that an annotation names.
async fn known(stage: &Stage, ids: &[String]) -> Result<Vec<String>, BoxError> {
    let numbered: Vec<_> = (1..).zip(ids).map(|(number, id)| (format!("SubnetId.{number}"), id)).collect();
    let asked: Vec<(&str, &str)> = numbered.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
    let found = stage.aws.query("ec2", "DescribeSubnets", "2016-11-15", &asked).await;
    found.map_err(|refused| Unclear(refused.to_string()))?;
    Ok(ids.to_vec())
}

/// The subnets that are tagged for load balancers.
async fn discover(stage: &Stage, vpc: &str, internal: bool) -> Result<Vec<String>, BoxError> {
    let role = if internal { "internal-elb" } else { "elb" };
    let tag = format!("tag:kubernetes.io/role/{role}");
    let filter = [
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", vpc),
        ("Filter.2.Name", tag.as_str()),
        ("Filter.2.Value.1", "1"),
        ("Filter.2.Value.2", ""),
    ];
    let found = stage.aws.query("ec2", "DescribeSubnets", "2016-11-15", &filter).await?;
    let found: Vec<String> = found.all("subnetId").into_iter().map(|element| element.text()).collect();
    if found.is_empty() {
        let why = format!(
            "unable to resolve at least one subnet (0 match VPC and tags: [kubernetes.io/role/{role}])"
        );
        return Err(Unclear(why).into());
    }
    Ok(found)
}

/// Sets what the object says of the load balancer's attributes.
async fn attributes(stage: &Stage, arn: &str, wanted: &Wanted) -> Result<(), BoxError> {
    if wanted.attributes.is_empty() {
        return Ok(());
    }
    let there =
        Form::default().with("LoadBalancerArn", arn).send(stage, "DescribeLoadBalancerAttributes").await?;
    let there: BTreeMap<String, String> = there
        .all("member")
        .into_iter()
        .filter_map(|member| Some((member.get("Key")?, member.get("Value")?)))
        .collect();
    if wanted.attributes.iter().all(|(name, value)| there.get(name) == Some(value)) {
        return Ok(());
    }
    let form = Form::default().with("LoadBalancerArn", arn).pairs("Attributes", &wanted.attributes);
    form.send(stage, "ModifyLoadBalancerAttributes").await?;
    Ok(())
}

fn protection(on: bool) -> (String, String) {
    ("deletion_protection.enabled".to_owned(), on.to_string())
}

/// Deletes the load balancer of an object that goes, unless others of its group stay, and lets the object go. One that its
/// annotation protects stays as it is.
async fn remove(stage: &Stage, kind: &Kind, object: &Value) -> Result<(), BoxError> {
    let rest: Vec<&str> =
        texts(&object["metadata"]["finalizers"]).filter(|one| *one != kind.finalizer).collect();
    if rest.len() == texts(&object["metadata"]["finalizers"]).count() {
        return Ok(());
    }
    if pairs(annotation(kind, object, kind.attributes)).contains(&protection(true)) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let kind = kind.kind.to_lowercase();
        let why = format!("deletion_protection is enabled, cannot delete the {kind}: {name}");
        return Err(Unclear(why).into());
    }
    let mine = stack(kind, object);
    let stays =
        |other: &Value| other["metadata"]["deletionTimestamp"].is_null() && stack(kind, other) == mine;
    let shared = kind.kind == "Ingress" && stage.world.all(kind.path).iter().any(|other| stays(other));
    let wanted = Wanted::of(stage, kind, object);
    if let (false, Some((arn, _))) = (shared, find(stage, &wanted.name).await) {
        let found = Form::default().with("LoadBalancerArn", &arn).send(stage, "DescribeTargetGroups").await;
        let groups = match found {
            Ok(found) => found.all("TargetGroupArn").iter().map(|group| group.text()).collect(),
            // So moto says that there are none.
            Err(error) if error.to_string().contains("TargetGroupNotFound") => vec![],
            Err(error) => return Err(error),
        };
        let off = Form::default().with("LoadBalancerArn", &arn).pairs("Attributes", &[protection(false)]);
        off.send(stage, "ModifyLoadBalancerAttributes").await?;
        Form::default().with("LoadBalancerArn", &arn).send(stage, "DeleteLoadBalancer").await?;
        for group in groups {
            Form::default().with("TargetGroupArn", group).send(stage, "DeleteTargetGroup").await?;
        }
    }
    stage.client.merge(&path(kind.path, object), &json!({ "metadata": { "finalizers": rest } })).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_say_whose_they_are() {
        let name = default_name("coder", "coder-system/coder-provisioner");
        assert!(name.starts_with("k8s-codersys-coderpro-") && name.len() <= 32, "{name}");
        assert_ne!(name, default_name("other", "coder-system/coder-provisioner"));
        assert!(default_name("coder", "everything-of-ours").starts_with("k8s-everythingofours-"));
    }

    #[test]
    fn annotations_say_what_is_listened_on() {
        let service = json!({
            "metadata": { "annotations": {
                "service.beta.kubernetes.io/aws-load-balancer-ssl-cert": "arn:c",
                "service.beta.kubernetes.io/aws-load-balancer-ssl-ports": "https",
            } },
            "spec": { "ports": [{ "name": "http", "port": 80 }, { "name": "https", "port": 443 }] },
        });
        let told: Vec<_> = ports(&service).into_iter().map(|one| (one.protocol, one.port)).collect();
        assert_eq!(told, [("TCP", 80), ("TLS", 443)]);
        let ingress = json!({ "metadata": { "annotations": {
            "alb.ingress.kubernetes.io/listen-ports": "[{\"HTTP\": 80}, {\"HTTPS\": 443}]",
        } } });
        let told: Vec<_> = listen_ports(&ingress).into_iter().map(|one| (one.protocol, one.port)).collect();
        assert_eq!(told, [("HTTP", 80), ("HTTPS", 443)]);
    }
}
