//! The platform of one cluster, as the EKS target would ask for it.

use causeway_core::{Secret, Stack};
use causeway_k8s::{
    images::Images,
    kept::Keeper,
    platform::{
        alerts, cert_manager,
        karpenter::{self, Class, Pool, System},
        load_balancer_controller, storage,
    },
    workload::Nodes,
};
use std::collections::BTreeMap;

fn tags(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(crate) fn cert_manager(nodes: &Nodes) -> cert_manager::Settings {
    cert_manager::Settings {
        images: Images::default(),
        nodes: nodes.clone(),
        email: "ops@example.com".into(),
        solvers: vec![
            cert_manager::Solver::Cloudflare { zones: vec!["coder.example.com".into()] },
            cert_manager::Solver::Route53 {
                zones: vec!["aws.example.com".into()],
                region: "us-east-2".into(),
                role_arn: "arn:aws:iam::000000000000:role/cert-manager".into(),
                hosted_zone_id: Some("Z0000000000000000000".into()),
            },
        ],
        cloudflare_token: Keeper::Us(Secret::new("the token of Cloudflare")),
    }
}

pub(crate) fn load_balancer_controller(nodes: &Nodes) -> load_balancer_controller::Settings {
    load_balancer_controller::Settings {
        images: Images::default(),
        nodes: nodes.clone(),
        cluster: "coder".into(),
        region: "us-east-2".into(),
        vpc_id: "vpc-00000000000000000".into(),
        role_arn: "arn:aws:iam::000000000000:role/load-balancer-controller".into(),
        security_group_tags: tags(&[("Name", "coder-node")]),
    }
}

pub(crate) fn karpenter(nodes: &Nodes) -> karpenter::Settings {
    let class = |name: &str, system, version: &str, disk: &str| Class {
        name: name.into(),
        system,
        version: version.into(),
        disk: disk.into(),
        subnets: tags(&[("nodes", "1")]),
        security_groups: tags(&[("karpenter.sh/discovery", "coder")]),
        tags: tags(&[("Name", name)]),
    };
    let pool = |name: &str, class: &str, types: &[&str], cpu_limit, after: &str| Pool {
        name: name.into(),
        class: class.into(),
        instance_types: types.iter().map(|&one| one.to_owned()).collect(),
        spot: name != "coder-server",
        cpu_limit,
        memory_limit: cpu_limit * 4,
        consolidate_after: after.into(),
        expire_after: "Never".into(),
    };
    karpenter::Settings {
        images: Images::default(),
        nodes: nodes.clone(),
        cluster: "coder".into(),
        role_arn: "arn:aws:iam::000000000000:role/karpenter".into(),
        queue: "coder-karpenter".into(),
        node_role: "coder-karpenter-node".into(),
        classes: vec![
            class("server", System::Al2023, "v20250829", "100Gi"),
            class("workspaces", System::Bottlerocket, "v1.57.0", "1400Gi"),
        ],
        pools: vec![
            pool("coder-server", "server", &["m5a.xlarge", "m6a.xlarge"], 32, "1m"),
            pool("coder-ws", "workspaces", &["c6a.32xlarge", "c5a.24xlarge"], 512, "30m"),
        ],
    }
}

pub(crate) fn alerts() -> alerts::Settings {
    alerts::Settings {
        namespace: "cert-manager".into(),
        labels: tags(&[("release", "prometheus")]),
        workspaces: "coder-ws.*".into(),
    }
}

/// All of it, without alerts.
pub(crate) fn platform(stack: &mut Stack, nodes: &Nodes) {
    stack.scope("storage", |stack| storage::add(stack, &storage::Settings::default()));
    let trusted = cert_manager::add(stack, &cert_manager(nodes));
    load_balancer_controller::add(stack, &load_balancer_controller(nodes), &trusted);
    karpenter::add(stack, &karpenter(nodes));
}
