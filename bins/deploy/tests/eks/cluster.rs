//! Rows 36 to 51: the clusters.

use crate::{
    ACCOUNT, EXAMPLE, MANAGED, OHIO, REGIONS, VARIANT, find, list, mistakes, ohio, one, region, rules, set,
    tags, text, texts, world::World,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

fn cluster(name: &str) -> &'static Json {
    one(&region(name)["clusters"])
}

fn role(name: &str) -> &'static Json {
    &EXAMPLE.listing["iam"]["roles"][name]
}

/// The groups that a role or a cluster names.
fn group_names(region: &Json, ids: &Json) -> BTreeSet<String> {
    list(ids)
        .iter()
        .map(|id| text(&find(&region["groups"], "GroupId", text(id))["GroupName"]).to_owned())
        .collect()
}

/// Reached from where the file says, and rights come from the API alone.
#[test]
fn row_036_cluster() {
    for name in REGIONS {
        let cluster = cluster(name);
        assert_eq!((&cluster["name"], &cluster["version"]), (&json!("ai-coder"), &json!("1.35")));
        let config = &cluster["resourcesVpcConfig"];
        assert_eq!(
            (&config["endpointPublicAccess"], &config["endpointPrivateAccess"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(config["publicAccessCidrs"], json!(["203.0.113.0/24"]));
        let logging = one(&cluster["logging"]["clusterLogging"]);
        assert_eq!(logging["enabled"], true);
        assert_eq!(texts(&logging["types"]), ["api", "audit", "authenticator"].into());
        assert_eq!(cluster["accessConfig"]["authenticationMode"], "API");
        let subnets: BTreeSet<_> = list(&config["subnetIds"]).iter().map(text).collect();
        let zones: BTreeSet<_> = subnets
            .iter()
            .map(|id| text(&find(&region(name)["subnets"], "SubnetId", id)["AvailabilityZone"]))
            .collect();
        assert!(zones.len() >= 2, "{zones:?}");
    }
    let config = &one(&ohio(&VARIANT.before)["clusters"])["resourcesVpcConfig"];
    assert_eq!(texts(&config["publicAccessCidrs"]), ["203.0.113.0/24", "198.51.100.7/32"].into());
    let told = mistakes("[eks.logs]\ntypes = [\"audits\"]");
    assert!(told.contains("there are no logs of `audits`"), "{told}");
}

/// Secrets are encrypted with a key of the stack, which turns. There was none.
#[test]
fn row_037_encryption() {
    for name in REGIONS {
        let encryption = one(&cluster(name)["encryptionConfig"]);
        assert_eq!(encryption["resources"], json!(["secrets"]));
        let key = &region(name)["keys"]["alias/causeway/ai-coder"];
        assert_eq!(encryption["provider"]["keyArn"], key["Arn"]);
        assert_eq!((&key["Rotated"], &key["KeyState"]), (&json!(true), &json!("Enabled")));
    }
}

#[test]
fn row_038_log_group() {
    for name in REGIONS {
        let group = find(&region(name)["logs"], "logGroupName", "/aws/eks/ai-coder/cluster");
        assert_eq!(group["retentionInDays"], 90);
    }
    let group = find(&ohio(&VARIANT.before)["logs"], "logGroupName", "/aws/eks/options/cluster");
    assert_eq!(group["retentionInDays"], 30);
}

#[test]
fn row_039_cluster_role() {
    for name in REGIONS {
        let role = role(&format!("ai-coder-{name}-cluster"));
        assert_eq!(cluster(name)["roleArn"], role["Arn"]);
        let trust = one(&role["AssumeRolePolicyDocument"]["Statement"]);
        assert_eq!(texts(&trust["Action"]), ["sts:AssumeRole", "sts:TagSession"].into());
        assert_eq!(trust["Principal"], json!({ "Service": ["eks.amazonaws.com"] }));
        assert_eq!(role["managed"], json!(["AmazonEKSClusterPolicy", "AmazonEKSVPCResourceController"]));
        assert_eq!(role["inline"], json!({}));
    }
}

#[test]
fn row_040_cluster_group() {
    for name in REGIONS {
        let region = region(name);
        assert_eq!(rules(region, "ai-coder-cluster", "IpPermissions"), set(["tcp 443 ai-coder-node"]));
        assert_eq!(rules(region, "ai-coder-cluster", "IpPermissionsEgress"), set(["-1 ai-coder-node"]));
        let ids = &cluster(name)["resourcesVpcConfig"]["securityGroupIds"];
        assert_eq!(group_names(region, ids), set(["ai-coder-cluster"]));
        let group = find(&region["groups"], "GroupName", "ai-coder-cluster");
        assert_eq!(group["Tags"]["Name"], "ai-coder-cluster");
    }
}

#[test]
fn row_041_node_group_rules() {
    let wanted = set([
        "tcp 443 ai-coder-cluster",
        "tcp 4443 ai-coder-cluster",
        "tcp 6443 ai-coder-cluster",
        "tcp 8443 ai-coder-cluster",
        "tcp 9443 ai-coder-cluster",
        "tcp 10250 ai-coder-cluster",
        "tcp 53 ai-coder-node",
        "udp 53 ai-coder-node",
        "tcp 1025-65535 ai-coder-node",
    ]);
    for name in REGIONS {
        assert_eq!(rules(region(name), "ai-coder-node", "IpPermissions"), wanted);
        assert_eq!(rules(region(name), "ai-coder-node", "IpPermissionsEgress"), set(["-1 0.0.0.0/0"]));
        let tags = tags(find(&region(name)["groups"], "GroupName", "ai-coder-node"));
        assert_eq!(tags["Name"], "ai-coder-node");
        assert_eq!(tags["kubernetes.io/cluster/ai-coder"], "owned");
        assert_eq!(tags["karpenter.sh/discovery"], "ai-coder");
    }
}

/// The group that EKS makes gets the stack's tags and keeps its own.
#[test]
fn row_042_primary_group_tags() {
    for name in REGIONS {
        let id = text(&cluster(name)["resourcesVpcConfig"]["clusterSecurityGroupId"]);
        let group = find(&region(name)["groups"], "GroupId", id);
        let tags = tags(group);
        assert_eq!(tags["Environment"], "prod");
        assert_eq!(tags["Name"], text(&group["GroupName"]));
        assert_eq!(tags["kubernetes.io/cluster/ai-coder"], "owned");
    }
}

/// Without a thumbprint: IAM trusts the issuers of EKS by the authority that signed their certificates.
#[test]
fn row_043_oidc_provider() {
    let providers = &EXAMPLE.listing["iam"]["providers"];
    assert_eq!(list(providers).len(), 3);
    for name in REGIONS {
        let issuer = text(&cluster(name)["identity"]["oidc"]["issuer"]).strip_prefix("https://").unwrap();
        assert!(issuer.contains(name));
        let provider = find(providers, "Url", issuer);
        assert_eq!(provider["ClientIDList"], json!(["sts.amazonaws.com"]));
        assert_eq!(provider["ThumbprintList"], json!([]));
    }
}

/// Every entry is one of the plan's, also that of whoever deploys: none is made by EKS for having made the cluster. Where
/// admins are named, they are all there are; and whoever deploys can be left out.
#[test]
fn row_044_access_entries() {
    let admin = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";
    for name in REGIONS {
        let entries = &cluster(name)["entries"];
        assert_eq!(list(entries).len(), 2);
        let nodes = text(&role(&format!("ai-coder-{name}-karpenter-node"))["Arn"]);
        let nodes = find(entries, "principalArn", nodes);
        assert_eq!(nodes["type"], "EC2_LINUX");
        assert!(list(&nodes["policies"]).is_empty() && list(&nodes["kubernetesGroups"]).is_empty());
        let deployer = find(entries, "principalArn", &format!("arn:aws:iam::{ACCOUNT}:user/moto"));
        assert_eq!(deployer["type"], "STANDARD");
        let policy = one(&deployer["policies"]);
        assert_eq!(
            (&policy["policyArn"], &policy["accessScope"]["type"]),
            (&json!(admin), &json!("cluster"))
        );
    }
    assert_eq!(one(&one(&ohio(&MANAGED)["clusters"])["entries"])["type"], "EC2_LINUX");
    let entries = &one(&ohio(&VARIANT.before)["clusters"])["entries"];
    assert_eq!(list(entries).len(), 3);
    for (who, policy) in [("platform", "AmazonEKSClusterAdminPolicy"), ("support", "AmazonEKSViewPolicy")] {
        let entry = find(entries, "principalArn", &format!("arn:aws:iam::000000007102:role/{who}"));
        assert_eq!(entry["type"], "STANDARD");
        let policy_is = one(&entry["policies"]);
        assert_eq!(policy_is["policyArn"], format!("arn:aws:eks::aws:cluster-access-policy/{policy}"));
        assert_eq!(policy_is["accessScope"]["type"], "cluster");
    }
}

/// Two nodes to start with, where there were none until somebody set the number by hand.
#[test]
fn row_045_system_node_group() {
    for name in REGIONS {
        let group = one(&cluster(name)["nodegroups"]);
        assert!(text(&group["nodegroupName"]).starts_with("system-"));
        assert_eq!(group["scalingConfig"], json!({ "minSize": 2, "maxSize": 10, "desiredSize": 2 }));
        assert_eq!(group["instanceTypes"], json!(["t3.xlarge"]));
        assert_eq!(group["capacityType"], "ON_DEMAND");
        assert_eq!(group["labels"], json!({ "node.amazonaws.io/managed-by": "asg" }));
        assert_eq!(group["updateConfig"]["maxUnavailablePercentage"], 33);
        for id in list(&group["subnets"]) {
            let subnet = find(&region(name)["subnets"], "SubnetId", text(id));
            assert!(tags(subnet)["Name"].starts_with("ai-coder-system-"));
        }
        assert_eq!(list(&group["subnets"]).len(), 2);
    }
    assert_eq!(
        one(&one(&ohio(&VARIANT.before)["clusters"])["nodegroups"])["scalingConfig"]["desiredSize"],
        3
    );
    let told = mistakes("[eks.system_nodes]\nmin = 0\ndesired = 0");
    assert!(told.contains("without a system node nothing starts"), "{told}");
}

/// One hop and not two: pods have roles of their own and do not get that of the node.
#[test]
fn row_046_node_launch_template() {
    for name in REGIONS {
        let group = one(&cluster(name)["nodegroups"]);
        let template = find(&region(name)["templates"], "LaunchTemplateName", "ai-coder-system");
        assert_eq!(group["launchTemplate"]["id"], template["LaunchTemplateId"]);
        let data = &template["Data"];
        assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
        assert_eq!(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1);
        assert_eq!(data["Monitoring"]["Enabled"], true);
        assert_eq!(one(&data["BlockDeviceMappings"])["Ebs"]["Encrypted"], true);
        assert_eq!(group_names(region(name), &data["SecurityGroupIds"]), set(["ai-coder-node"]));
        for of in ["instance", "volume", "network-interface"] {
            let tags = &find(&data["TagSpecifications"], "ResourceType", of)["Tags"];
            assert_eq!(find(tags, "Key", "Name")["Value"], "ai-coder-system");
        }
    }
}

const NODE: [&str; 4] = [
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonSSMManagedInstanceCore",
];

#[test]
fn row_047_node_role() {
    for name in REGIONS {
        let role = role(&format!("ai-coder-{name}-system-node"));
        assert_eq!(one(&cluster(name)["nodegroups"])["nodeRole"], role["Arn"]);
        assert_eq!(role["managed"], json!(NODE));
        assert_eq!(role["inline"], json!({}));
        let trust = one(&role["AssumeRolePolicyDocument"]["Statement"]);
        assert_eq!(
            (&trust["Action"], &trust["Principal"]["Service"]),
            (&json!(["sts:AssumeRole"]), &json!(["ec2.amazonaws.com"]))
        );
    }
}

/// What nodes need is there before them; what runs on them comes after. Three more than before come from EKS.
#[test]
fn row_048_addons() {
    for name in REGIONS {
        let cluster = cluster(name);
        let nodes = text(&one(&cluster["nodegroups"])["createdAt"]);
        let first = ["vpc-cni", "kube-proxy", "eks-pod-identity-agent"];
        let then = ["coredns", "aws-ebs-csi-driver", "metrics-server"];
        assert_eq!(list(&cluster["addons"]).len(), 6);
        for addon in first.iter().chain(&then) {
            let there = find(&cluster["addons"], "addonName", addon);
            assert_eq!(there["status"], "ACTIVE", "{addon}");
            assert!(list(&there["health"]["issues"]).is_empty());
            assert!(text(&there["addonVersion"]).contains("-eksbuild."));
            assert_eq!(first.contains(addon), text(&there["createdAt"]) < nodes, "{addon} {name}");
        }
    }
    let told = mistakes("[eks.addons]\ncoredns = \"latest\"");
    assert!(told.contains("`latest` is not a version of an add-on"), "{told}");
    let pinned = find(&one(&ohio(&VARIANT.after)["clusters"])["addons"], "addonName", "coredns");
    assert_eq!(pinned["addonVersion"], "v1.12.3-eksbuild.1");
}

#[test]
fn row_049_upgrade() {
    for (listing, version) in [(&VARIANT.before, "1.33"), (&VARIANT.after, "1.34")] {
        let cluster = one(&ohio(listing)["clusters"]);
        assert_eq!(cluster["version"], version);
        assert_eq!(one(&cluster["nodegroups"])["version"], version);
    }
    let at = |name: &str| VARIANT.change.iter().position(|(call, ..)| call == name);
    let control_plane = at("eks:UpdateClusterVersion").unwrap();
    let addons = at("eks:UpdateAddon").unwrap();
    let nodes = at("eks:UpdateNodegroupVersion").unwrap();
    assert!(control_plane < addons && addons < nodes, "{control_plane} {addons} {nodes}");
}

/// A token is what STS is asked with by the control plane, which learns who we are; another one comes in time.
#[test]
fn row_050_token() {
    let world = World::with(7112, crate::AI_CODER);
    let credentials = aws_credential_types::Credentials::new(world.key(), world.secret(), None, None, "test");
    let now = SystemTime::now();
    let make = |now| causeway_aws::eks::token(&credentials, OHIO, "ai-coder", now).unwrap();
    let token = make(now);
    let lasts = token.expires.duration_since(now).unwrap();
    assert!(lasts < Duration::from_secs(15 * 60) && lasts > Duration::from_secs(5 * 60));
    let later = make(token.expires);
    assert!(
        later.expires > token.expires && later.secret.expose().unwrap() != token.secret.expose().unwrap()
    );
    let encoded = token.secret.expose().unwrap().strip_prefix("k8s-aws-v1.").unwrap().to_owned();
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
    let told = world.boto3(&format!("url, secret = {url:?}, {:?}\n{SIGNATURE}", world.secret()));
    assert_eq!(told.trim(), "k8s as signed");
}

/// What STS does with it: it makes the signature again from the secret that it knows.
const SIGNATURE: &str = r#"
import hashlib, hmac, urllib.parse
parts = urllib.parse.urlsplit(url)
given = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))
signature = given.pop("X-Amz-Signature")
assert given["Action"] == "GetCallerIdentity" and given["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id", given
_, day, region, service, _ = given["X-Amz-Credential"].split("/")
assert (parts.hostname, region, service) == ("sts.us-east-2.amazonaws.com", "us-east-2", "sts")
quote = lambda text: urllib.parse.quote(text, safe="-_.~")
query = "&".join(f"{quote(key)}={quote(value)}" for key, value in sorted(given.items()))
nothing = hashlib.sha256(b"").hexdigest()
canonical = f"GET\n/\n{query}\nhost:{parts.hostname}\nx-k8s-aws-id:ai-coder\n\nhost;x-k8s-aws-id\n{nothing}"
scope = f"{day}/{region}/{service}/aws4_request"
hashed = hashlib.sha256(canonical.encode()).hexdigest()
text = f"AWS4-HMAC-SHA256\n{given['X-Amz-Date']}\n{scope}\n{hashed}"
key = ("AWS4" + secret).encode()
for part in scope.split("/"):
    key = hmac.new(key, part.encode(), hashlib.sha256).digest()
print("k8s as signed" if hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == signature else "not as signed")
"#;

/// The discovery tag is where Karpenter is to look: the nodes' group and their subnets. It was on the groups of the
/// control plane too.
#[test]
fn row_051_tags() {
    for name in REGIONS {
        let region = region(name);
        for kind in ["subnets", "groups", "gateways", "endpoints", "templates"] {
            for thing in list(&region[kind]) {
                assert_eq!(tags(thing).get("Environment").copied(), Some("prod"), "{kind}: {thing}");
            }
        }
        let cluster = cluster(name);
        assert_eq!(cluster["tags"]["Environment"], "prod");
        assert_eq!(one(&cluster["nodegroups"])["tags"]["Environment"], "prod");
        let found: BTreeSet<_> = list(&region["groups"])
            .iter()
            .filter(|group| tags(group).contains_key("karpenter.sh/discovery"))
            .map(|group| text(&group["GroupName"]))
            .collect();
        assert_eq!(found, ["ai-coder-node"].into());
    }
}
