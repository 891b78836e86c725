//! The roles of service accounts: which there are in a region, and what each may do.

use super::{
    cluster::Cluster,
    config::Eks,
    iam::{self, Site},
    karpenter::Karpenter,
    workloads::set_account,
};
use causeway_aws::{
    iam::{InstanceProfile, Role, trust},
    id::Arn,
    policy::PolicyDocument,
    secretsmanager::{Secret, SecretValue},
};
use causeway_core::{Set, Stack, Value};
use std::collections::BTreeMap;

/// The namespaces that pods with rights of their own are in.
pub(super) mod namespaces {
    pub(crate) const CERT_MANAGER: &str = "cert-manager";
    pub(crate) const SYSTEM: &str = "kube-system";
    pub(crate) const KARPENTER: &str = "karpenter";
    pub(crate) const CODER: &str = "coder";
    pub(crate) const LITELLM: &str = "litellm";
    /// One for each organization, with provisioners and workspaces, where the file names none.
    pub(crate) const WORKSPACES: [&str; 3] = ["coder-ws", "coder-ws-experiment", "coder-ws-demo"];
}

/// What the roles of a region are made for.
pub(super) struct Wanted<'a> {
    pub config: &'a Eks,
    pub site: &'a Site,
    pub cluster: &'a Cluster,
    pub karpenter: &'a Karpenter,
    pub repositories: &'a [Value<Arn>],
    /// The secret with the key of LiteLLM that workspaces use.
    pub llm_key: Option<&'a iam::KeySecret>,
    /// Whether Coder itself is here, and not a proxy.
    pub control_plane: bool,
}

/// The roles of service accounts, by what they are for.
pub(super) type Roles = BTreeMap<String, Value<Arn>>;

pub(super) fn roles(stack: &mut Stack, wanted: &Wanted<'_>) -> Roles {
    use namespaces::*;
    let Wanted { config, site, .. } = *wanted;
    let texts = |arns: &[Value<Arn>]| -> Vec<Value<String>> { arns.iter().map(Value::cast).collect() };
    let repositories = texts(wanted.repositories);
    let spaces = spaces(config);
    let mut made = Roles::new();
    stack.scope("roles", |stack| {
        let boundary = config.permissions_boundary.as_deref();
        let mut add = |stack: &mut Stack, name: &str, accounts: &[(&str, &str)], may: May| {
            let trusted = accounts
                .iter()
                .map(|(space, name)| trust::service_account(&wanted.cluster.oidc, space, name));
            let mut role = Role {
                managed_policy_arns: may.managed,
                permissions_boundary: boundary.map(|arn| Arn::from(arn).into()),
                ..Role::trusting(format!("{}-{}-{name}", site.cluster, site.region), trusted)
            };
            role.inline_policies.extend(may.inline.map(|document| (name.to_owned(), document)));
            let role = stack.add(name, role);
            stack.output(format!("{}_{}_role", site.region, name).replace('-', "_"), &role.arn);
            made.insert(name.to_owned(), role.arn.clone());
        };
        let cert_manager = iam::cert_manager(site, &config.route53_zones);
        add(
            stack,
            "cert-manager",
            &[(CERT_MANAGER, "cert-manager-acme-dns01-route53")],
            May::inline(cert_manager),
        );
        let controller = May {
            managed: Set(vec![site.managed("ElasticLoadBalancingReadOnly")]),
            ..May::inline(iam::load_balancer_controller(site))
        };
        add(stack, "load-balancer-controller", &[(SYSTEM, "aws-load-balancer-controller")], controller);
        let scoped = iam::Karpenter {
            queue: wanted.karpenter.queue.cast(),
            node_role: wanted.karpenter.node_role.cast(),
        };
        add(stack, "karpenter", &[(KARPENTER, "karpenter")], May::inline(iam::karpenter(site, &scoped)));
        // What a machine that a template makes acts as.
        let mut machine = Role {
            managed_policy_arns: Set(vec![site.managed("AmazonSSMManagedInstanceCore")]),
            permissions_boundary: boundary.map(|arn| Arn::from(arn).into()),
            ..Role::assumed_by(
                format!("{}-{}-workspace-machine", site.cluster, site.region),
                "ec2.amazonaws.com",
            )
        };
        let models = config.litellm.as_ref().map(|litellm| iam::bedrock(site, &litellm.bedrock_models));
        machine.inline_policies.extend(models.clone().map(|document| ("bedrock".to_owned(), document)));
        let machine = stack.add("workspace-machine", machine);
        let profile = InstanceProfile {
            name: format!("{}-{}-workspace-machine", site.cluster, site.region).into(),
            path: None,
            role: machine.name.clone(),
            tags: Default::default(),
        };
        stack.add("workspace-profile", profile);
        let provisioner = May {
            managed: Set(vec![site.managed("AmazonEC2ReadOnlyAccess")]),
            ..May::inline(iam::provisioner(site, &repositories, &[machine.arn.cast()]))
        };
        let accounts = |account: fn(&str) -> &str| -> Vec<(&str, &str)> {
            spaces.iter().map(|space| (space.as_str(), account(space))).collect()
        };
        let named: Vec<(String, String)> = sets(config);
        let mut all = accounts(|_| "coder");
        all.extend(named.iter().map(|(space, account)| (space.as_str(), account.as_str())));
        add(stack, "provisioner", &all, provisioner);
        if let Some(models) = &models {
            add(stack, "workspace", &accounts(|space| space), May::inline(models.clone()));
        }
        if let Some(key) = wanted.llm_key {
            add(stack, "key-reader", &accounts(|_| "rotate-key"), May::inline(key.reader()));
        }
        if !wanted.control_plane {
            return;
        }
        let server = May {
            managed: Set(vec![site.managed("AmazonEC2ReadOnlyAccess")]),
            ..May::inline(iam::provisioner(site, &repositories, &[machine.arn.cast()]))
        };
        add(stack, "coder", &[(CODER, "coder")], server);
        add(stack, "mirror", &[(CODER, "fetch-and-store")], May::inline(iam::mirror(&repositories)));
        if let (Some(models), Some(key)) = (models, wanted.llm_key) {
            add(stack, "litellm", &[(LITELLM, "litellm")], May::inline(models));
            add(stack, "key-maker", &[(LITELLM, "rotate-key")], May::inline(key.maker()));
        }
    });
    made
}

/// The namespaces of workspaces.
fn spaces(config: &Eks) -> Vec<String> {
    match &config.coder {
        Some(coder) => coder.organizations.iter().map(|(name, one)| one.namespace(name)).collect(),
        None => namespaces::WORKSPACES.map(str::to_owned).into(),
    }
}

/// Provisioners with tags of their own: their namespaces and who they are there.
fn sets(config: &Eks) -> Vec<(String, String)> {
    let organizations = config.coder.iter().flat_map(|coder| &coder.organizations);
    let each = organizations
        .flat_map(|(name, one)| one.sets.keys().map(move |set| (one.namespace(name), set_account(set))));
    each.collect()
}

/// What a role may do.
#[derive(Default)]
struct May {
    managed: Set<Arn>,
    inline: Option<PolicyDocument>,
}

impl May {
    fn inline(document: PolicyDocument) -> Self {
        May { inline: Some(document), ..May::default() }
    }
}

/// What the secret with the key of LiteLLM that workspaces use is called, in the stack's own region.
pub fn llm_key_name(stack: &str) -> String {
    format!("{stack}/litellm/workspace-key")
}

/// The secret that holds the key of LiteLLM that workspaces use. The job that rotates it writes it.
pub(super) fn llm_key(stack: &mut Stack, site: &Site, kms_key: &Value<Arn>) -> iam::KeySecret {
    let secret = Secret {
        description: Some("The key that workspaces use LiteLLM with".into()),
        kms_key_id: Some(kms_key.clone()),
        ..Secret::new(llm_key_name(&site.cluster), SecretValue::generated())
    };
    let secret = stack.add("llm-key", secret).arn.cast();
    iam::KeySecret { secret, kms_key: kms_key.cast(), region: site.region.clone() }
}
