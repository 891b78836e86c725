//! What controllers inside a cluster made, and nobody removed with it: load balancers, machines, disks, and so on.
//!
//! They are found by the tags that say which cluster they are of:
//! <https://kubernetes-sigs.github.io/aws-load-balancer-controller/>, <https://karpenter.sh/docs/concepts/nodeclasses/>,
//! <https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md>.

mod look;
mod sweep;

use crate::{Aws, Call, id::VpcId};
use aws_sdk_ec2::types::Tag;
use causeway_core::{
    Class, Cx, Error, Live, Owner, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// Removes, when it is deleted, what controllers inside the cluster of this name made in its network: in order, and
/// until nothing is left. Whatever carries tags of our own, or of another cluster, stays.
///
/// It is to stand between the two: made after the network and before the cluster, so that it is deleted once the cluster
/// is gone, which makes no more of them then, and before the network, which they hold. That there is one is a tag on the
/// network. What there is to be removed is only looked for when it is to go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leftovers {
    /// The cluster, which may be gone.
    pub cluster_name: String,
    /// Its network.
    pub vpc_id: Value<VpcId>,
    /// What was found. Nobody asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Leftover>,
}

/// One thing that is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leftover {
    /// What it is.
    pub what: What,
    /// Its id, its ARN or its name: what it is removed by.
    pub id: String,
    /// What people know it by.
    pub label: String,
    /// Whether something else holds it that goes by itself.
    pub busy: bool,
}

/// What is left, in the order in which it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A load balancer, of a Service or an Ingress.
    LoadBalancer,
    /// A load balancer of the generation before, which Kubernetes makes for a Service by itself.
    ClassicLoadBalancer,
    /// A machine that no node group keeps.
    Machine,
    /// A launch template of such machines.
    LaunchTemplate,
    /// A log group that an agent made.
    LogGroup,
    /// A target group.
    TargetGroup,
    /// A volume of EBS: data.
    Disk,
    /// A network interface of the pods of a machine that is gone.
    Interface,
    /// An instance profile of Karpenter, which holds the role of its nodes.
    InstanceProfile,
    /// A security group.
    SecurityGroup,
}

impl What {
    /// What has the same number goes at once, and nothing before all of a smaller one is gone: load balancers and
    /// machines hold the rest.
    fn wave(self) -> u8 {
        match self {
            What::LoadBalancer
            | What::ClassicLoadBalancer
            | What::Machine
            | What::LaunchTemplate
            | What::LogGroup => 0,
            What::TargetGroup | What::Disk | What::Interface | What::InstanceProfile => 1,
            What::SecurityGroup => 2,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            What::LoadBalancer => "load balancer",
            What::ClassicLoadBalancer => "classic load balancer",
            What::Machine => "machine",
            What::LaunchTemplate => "launch template",
            What::LogGroup => "log group",
            What::TargetGroup => "target group",
            What::Disk => "volume",
            What::Interface => "network interface",
            What::InstanceProfile => "instance profile",
            What::SecurityGroup => "security group",
        }
    }
}

impl Leftover {
    fn told(&self) -> String {
        format!("{} {}", self.what.noun(), self.label)
    }
}

outputs! {
    /// It tells others nothing.
    pub struct LeftoversOutputs => LeftoversRefs {}
}

/// The tag of the network that says that it is to be swept; the name of the cluster follows.
const MARK: &str = "causeway:leftovers/";
const OWNED: &str = "owned";
/// The tags whose value is the name of the cluster: of the load balancer controller, EKS, Karpenter and the drivers.
const NAMES: [&str; 6] = [
    "elbv2.k8s.aws/cluster",
    "aws:eks:cluster-name",
    "eks:eks-cluster-name",
    "karpenter.k8s.aws/cluster",
    "cluster.k8s.amazonaws.com/name",
    "KubernetesCluster",
];
/// What waiting lines say is going on.
const SWEEP: &str = "removing what is left of the cluster";

impl Leftovers {
    /// What is left of the cluster of this name in this network.
    pub fn of(cluster_name: impl Into<String>, vpc_id: Value<VpcId>) -> Self {
        Leftovers { cluster_name: cluster_name.into(), vpc_id, found: vec![] }
    }

    fn mark(&self) -> Tag {
        Tag::builder().key(format!("{MARK}{}", self.cluster_name)).value(OWNED).build()
    }

    fn owned(&self) -> String {
        format!("kubernetes.io/cluster/{}", self.cluster_name)
    }

    /// Whether what carries these tags was made for this cluster, and not by us.
    fn is_of(&self, tags: &Tags) -> bool {
        let is = |key: &str, value: &str| tags.0.get(key).is_some_and(|there| there == value);
        let ours = tags.0.contains_key(Tags::STACK);
        // What is `shared` is used by several, and made by none of them.
        let owned = is(&self.owned(), OWNED);
        !ours && (owned || NAMES.iter().any(|key| is(key, &self.cluster_name)))
    }
}

impl Resource for Leftovers {
    const KIND: &'static str = "aws.eks.leftovers";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["cluster_name", "vpc_id"]);
    const REPLACE: &'static [&'static str] = &["cluster_name", "vpc_id"];
    const DATA: bool = true;
    // Load balancers and machines take minutes to let go of their interfaces.
    const TIMING: Timing = Timing::seconds(5, 2, 1800);
    type Client = Aws;
    type Outputs = LeftoversOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let tags = cx.client.ec2.tags.get(self.vpc_id.get()?.as_str().to_owned()).await?;
        let mark = format!("{MARK}{}", self.cluster_name);
        let marked = tags.is_some_and(|tags| tags.contains_key(&mark));
        Ok(marked.then(|| Live {
            spec: Leftovers { found: vec![], ..self.clone() },
            outputs: LeftoversOutputs {},
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn read_along(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(mut live) = self.read(cx).await? else { return Ok(None) };
        live.spec.found = look::all(self, cx.client).await?;
        Ok(Some(live))
    }

    fn takes_along(&self) -> Vec<String> {
        self.found
            .iter()
            .filter(|thing| !thing.busy || thing.what == What::Disk)
            .map(Leftover::told)
            .collect()
    }

    fn holds_data(&self) -> bool {
        self.found.iter().any(|thing| thing.what == What::Disk)
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let call = cx.client.ec2.create_tags().resources(self.vpc_id.get()?.as_str()).tags(self.mark());
        call.send().await.call("ec2:CreateTags").map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        self.create(cx).await
    }

    /// One wave at a time, and the mark when there is none left.
    async fn delete(&self, cx: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        let there = look::all(self, cx.client).await?;
        let Some(wave) = there.iter().map(|thing| thing.what.wave()).min() else {
            let call = cx.client.ec2.delete_tags().resources(self.vpc_id.get()?.as_str()).tags(self.mark());
            return call.send().await.call("ec2:DeleteTags").found().map(drop);
        };
        let mut refused = None;
        for thing in there.iter().filter(|thing| thing.what.wave() == wave && !thing.busy) {
            if let Err(error) = sweep::remove(self, cx.client, thing).await {
                refused.get_or_insert(error);
            }
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let told: Vec<String> =
            there.iter().filter(|thing| thing.what.wave() == wave).map(Leftover::told).collect();
        let source = format!("waiting for {} to be gone", told.join(", ")).into();
        Err(Error::Call { call: SWEEP, class: Class::NotNow, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_of_one_cluster_and_not_ours() {
        let leftovers = Leftovers::of("coder", VpcId::from("vpc-1").into());
        let of = |tags: &[(&str, &str)]| {
            leftovers.is_of(&Tags(tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()))
        };
        assert!(of(&[("elbv2.k8s.aws/cluster", "coder")]));
        assert!(of(&[("kubernetes.io/cluster/coder", "owned")]));
        assert!(of(&[("ebs.csi.aws.com/cluster", "true"), ("KubernetesCluster", "coder")]));
        assert!(!of(&[("ebs.csi.aws.com/cluster", "true")]));
        assert!(!of(&[("kubernetes.io/cluster/coder", "shared")]));
        assert!(!of(&[("kubernetes.io/cluster/coder-2", "owned")]));
        assert!(!of(&[("elbv2.k8s.aws/cluster", "coder"), (Tags::STACK, "other")]));
    }

    #[test]
    fn what_holds_others_goes_first() {
        assert!(What::LoadBalancer.wave() < What::TargetGroup.wave());
        assert!(What::Machine.wave() < What::Disk.wave());
        assert!(What::Interface.wave() < What::SecurityGroup.wave());
    }
}
