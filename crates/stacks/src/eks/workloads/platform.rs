//! What a cluster needs before Coder runs in it.

use super::{Here, Wanted, config::Pool, system_nodes};
use crate::eks::layout::Purpose;
use causeway_core::{Address, Stack, Value};
use causeway_k8s::{
    kept::Keeper,
    platform::{
        alerts,
        cert_manager::{self, Solver},
        karpenter::{self, Class, System},
        load_balancer_controller, storage,
    },
};
use std::collections::BTreeMap;

/// What applications wait for.
pub(super) struct Platform {
    /// Certificates.
    pub issuers: Vec<Address>,
    /// Services and Ingresses.
    pub load_balancers: Vec<Address>,
    /// Pods on nodes of their own.
    pub nodes: Vec<Address>,
    /// Volumes.
    pub volumes: Vec<Address>,
}

pub(super) fn platform(stack: &mut Stack, wanted: &Wanted<'_>) -> Platform {
    stack.scope("platform", |stack| {
        // What is left when the cluster is gone is told apart by it.
        let owned = (format!("kubernetes.io/cluster/{}", wanted.site.cluster), "owned".to_owned());
        let volumes = storage::Settings { tags: [owned].into(), ..storage::Settings::default() };
        let volumes = stack.scope("storage", |stack| storage::add(stack, &volumes));
        let issuers = cert_manager::add(stack, &certificates(wanted));
        let load_balancers = load_balancer_controller::add(stack, &load_balancers(wanted), &issuers);
        let nodes = karpenter::add(stack, &nodes(wanted));
        if let Some(config) = &wanted.coder.alerts {
            let organizations = wanted.coder.organizations.iter();
            let spaces: Vec<String> = organizations.map(|(name, one)| one.namespace(name)).collect();
            let settings = alerts::Settings {
                namespace: config.namespace.clone(),
                labels: config.labels.clone(),
                workspaces: spaces.join("|"),
            };
            stack.scope("alerts", |stack| alerts::add(stack, &settings));
        }
        Platform { issuers, load_balancers, nodes, volumes }
    })
}

fn certificates(wanted: &Wanted<'_>) -> cert_manager::Settings {
    let Wanted { config, coder, site, given, .. } = wanted;
    let role = wanted.role("cert-manager").unwrap_or_default();
    let zones = config.route53_zones.iter().map(|zone| Solver::Route53 {
        zones: vec![],
        region: site.region.clone(),
        role_arn: role.clone(),
        hosted_zone_id: Some(Value::from(zone.as_str())),
    });
    let token = coder.certificates.cloudflare_token.as_ref();
    let cloudflare = token.map(|_| Solver::Cloudflare { zones: vec![] });
    cert_manager::Settings {
        images: given.images.clone(),
        nodes: system_nodes(),
        email: coder.certificates.email.clone(),
        solvers: cloudflare.into_iter().chain(zones).collect(),
        cloudflare_token: token.map_or(Keeper::Others(None), |token| {
            wanted.keeper("eks.coder.certificates.cloudflare_token", token)
        }),
    }
}

fn load_balancers(wanted: &Wanted<'_>) -> load_balancer_controller::Settings {
    let Wanted { site, built, given, .. } = wanted;
    load_balancer_controller::Settings {
        images: given.images.clone(),
        nodes: system_nodes(),
        cluster: site.cluster.clone(),
        region: site.region.clone(),
        vpc_id: built.network.vpc_id.cast(),
        role_arn: wanted.role("load-balancer-controller").unwrap_or_default(),
        security_group_tags: BTreeMap::from([("Name".into(), format!("{}-node", site.cluster))]),
    }
}

fn nodes(wanted: &Wanted<'_>) -> karpenter::Settings {
    let Wanted { coder, site, built, given, .. } = wanted;
    let nodes = &coder.nodes;
    let server = match wanted.here {
        Here::ControlPlane(_) => "coder-server",
        Here::Proxy(_) => "coder-proxy",
    };
    let pools = [
        (server, &nodes.server, System::Al2023, Purpose::CoderServer, "1m"),
        ("coder-provisioner", &nodes.provisioner, System::Al2023, Purpose::CoderProvisioner, "1m"),
        ("coder-ws", &nodes.workspaces, System::Bottlerocket, Purpose::CoderWorkspaces, "30m"),
    ];
    let class = |&(name, pool, system, purpose, _): &(&str, &Pool, System, Purpose, &str)| Class {
        name: name.to_owned(),
        system,
        version: match system {
            System::Al2023 => nodes.al2023.clone(),
            System::Bottlerocket => nodes.bottlerocket.clone(),
        },
        disk: format!("{}Gi", pool.disk),
        subnets: BTreeMap::from([(purpose.tag(), site.cluster.clone())]),
        security_groups: BTreeMap::from([("karpenter.sh/discovery".into(), site.cluster.clone())]),
        tags: BTreeMap::from([("Name".into(), format!("{}-{name}", site.cluster))]),
    };
    karpenter::Settings {
        images: given.images.clone(),
        nodes: system_nodes(),
        cluster: site.cluster.clone(),
        role_arn: wanted.role("karpenter").unwrap_or_default(),
        queue: built.karpenter.queue_name.clone(),
        node_role: built.karpenter.node_role_name.clone(),
        classes: pools.iter().map(class).collect(),
        pools: pools
            .iter()
            .map(|&(name, pool, _, _, empty_for)| karpenter::Pool {
                name: name.to_owned(),
                class: name.to_owned(),
                instance_types: pool.instance_types.clone(),
                spot: pool.spot,
                cpu_limit: pool.cpus,
                memory_limit: pool.memory,
                consolidate_after: empty_for.to_owned(),
                // What runs on a node would be moved.
                expire_after: "Never".into(),
            })
            .collect(),
    }
}
