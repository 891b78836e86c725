//! Rows 63 to 75: who may do what.

use crate::{ACCOUNT, EXAMPLE, OHIO, PROXIES, REGIONS, find, list, one, region, tags, text, texts};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

fn roles() -> &'static serde_json::Map<String, Json> {
    EXAMPLE.listing["iam"]["roles"].as_object().unwrap()
}

fn role(region: &str, name: &str) -> &'static Json {
    let name = format!("ai-coder-{region}-{name}");
    roles().get(&name).unwrap_or_else(|| panic!("no role {name}"))
}

/// The one inline policy of a role, by the sids of its statements.
fn document(region: &str, name: &str) -> BTreeMap<&'static str, &'static Json> {
    let inline = role(region, name)["inline"].as_object().unwrap();
    let [document] = inline.values().collect::<Vec<_>>()[..] else { panic!("{name} has {inline:?}") };
    list(&document["Statement"]).iter().map(|statement| (text(&statement["Sid"]), statement)).collect()
}

fn actions(statement: &Json) -> BTreeSet<&str> {
    texts(&statement["Action"])
}

fn resources(statement: &Json) -> BTreeSet<&str> {
    texts(&statement["Resource"])
}

/// The keys of the conditions of a statement.
fn conditions(statement: &Json) -> BTreeSet<&str> {
    let all = statement.get("Condition").and_then(Json::as_object).into_iter().flatten();
    all.flat_map(|(_, keys)| keys.as_object().unwrap().keys().map(String::as_str)).collect()
}

/// The service accounts that a role trusts, each after its namespace.
fn accounts(region: &str, name: &str) -> BTreeSet<String> {
    let trust = &role(region, name)["AssumeRolePolicyDocument"]["Statement"];
    let subject = |statement: &Json| {
        let all = statement["Condition"]["StringEquals"].as_object().unwrap();
        let (_, subjects) = all.iter().find(|(key, _)| key.ends_with(":sub")).unwrap();
        text(one(subjects)).strip_prefix("system:serviceaccount:").unwrap().to_owned()
    };
    list(trust).iter().map(subject).collect()
}

fn set<const N: usize>(of: [&str; N]) -> BTreeSet<String> {
    of.map(str::to_owned).into()
}

/// Exact subjects of the cluster of the same region, where there were only wildcards. Names are ours to the letter, so
/// that annotations can be written before the roles are made; those of a NAT instance have their own endings.
#[test]
fn row_063_service_account_roles() {
    let mut seen = 0;
    for (name, role) in roles() {
        for statement in list(&role["AssumeRolePolicyDocument"]["Statement"]) {
            let Some(provider) = statement["Principal"].get("Federated") else { continue };
            let here =
                REGIONS.into_iter().find(|region| name.starts_with(&format!("ai-coder-{region}-"))).unwrap();
            let issuer = text(&one(&region(here)["clusters"])["identity"]["oidc"]["issuer"]);
            let issuer = issuer.strip_prefix("https://").unwrap();
            assert_eq!(*provider, json!([format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}")]));
            assert_eq!(statement["Action"], json!(["sts:AssumeRoleWithWebIdentity"]));
            let condition = &statement["Condition"];
            assert_eq!(condition.as_object().unwrap().keys().collect::<Vec<_>>(), ["StringEquals"], "{name}");
            assert_eq!(condition["StringEquals"][format!("{issuer}:aud")], json!(["sts.amazonaws.com"]));
            let subject = text(one(&condition["StringEquals"][format!("{issuer}:sub")]));
            assert!(!subject.contains('*') && subject.split(':').count() == 4, "{name}: {subject}");
            seen += 1;
        }
        let machine = name.contains("-nat-1-");
        assert_eq!(machine, name.rsplit('-').next().unwrap().len() == 12, "{name}");
    }
    assert!(seen > 3 * 8, "{seen}");
    assert_eq!(accounts(OHIO, "coder"), set(["coder:coder"]));
    let provisioners = set(["coder-ws:coder", "coder-ws-experiment:coder", "coder-ws-demo:coder"]);
    assert_eq!(accounts(PROXIES[0], "provisioner"), provisioners);
}

#[test]
fn row_064_instance_profiles() {
    let profiles = list(&EXAMPLE.listing["iam"]["profiles"]);
    let mut with: BTreeSet<&str> = BTreeSet::new();
    for profile in profiles {
        let role = text(&one(&profile["Roles"])["RoleName"]);
        let trust = one(&roles()[role]["AssumeRolePolicyDocument"]["Statement"]);
        assert_eq!(trust["Principal"], json!({ "Service": ["ec2.amazonaws.com"] }), "{role}");
        with.insert(role);
    }
    // A node group makes the profile of its nodes itself.
    for (name, role) in roles() {
        let ec2 = list(&role["AssumeRolePolicyDocument"]["Statement"])
            .iter()
            .any(|s| s["Principal"]["Service"].to_string().contains("ec2.amazonaws.com"));
        assert_eq!(with.contains(name.as_str()), ec2 && !name.ends_with("-system-node"), "{name}");
    }
    assert_eq!(profiles.len(), 9);
}

/// Four where there were three: only TXT records can be written, in the zones that the file names.
#[test]
fn row_065_cert_manager() {
    for region in REGIONS {
        let all = document(region, "cert-manager");
        assert_eq!(actions(all["WaitForChanges"]), ["route53:GetChange"].into());
        assert_eq!(resources(all["WaitForChanges"]), ["arn:aws:route53:::change/*"].into());
        assert_eq!(actions(all["ListRecords"]), ["route53:ListResourceRecordSets"].into());
        assert_eq!(actions(all["AnswerChallenges"]), ["route53:ChangeResourceRecordSets"].into());
        let txt = json!({ "ForAllValues:StringEquals": { "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"] } });
        assert_eq!(all["AnswerChallenges"]["Condition"], txt);
        for sid in ["ListRecords", "AnswerChallenges"] {
            assert_eq!(resources(all[sid]), ["arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ"].into());
        }
        assert_eq!(actions(all["FindZones"]), ["route53:ListHostedZonesByName"].into());
        assert_eq!(all.len(), 4);
        assert_eq!(accounts(region, "cert-manager"), set(["cert-manager:cert-manager-acme-dns01-route53"]));
    }
}

/// The same sixteen. What asked whether a tag is there asks whether it is the cluster's, and security groups of others
/// are out of reach. One managed policy of two is left: the other only repeats the statements.
#[test]
fn row_066_load_balancer_controller() {
    const REQUEST: &str = "aws:RequestTag/elbv2.k8s.aws/cluster";
    const RESOURCE: &str = "aws:ResourceTag/elbv2.k8s.aws/cluster";
    let wanted: [(&str, usize, &[&str]); 16] = [
        ("MakeTheServiceRole", 1, &["iam:AWSServiceName"]),
        ("Look", 29, &[]),
        ("UseCertificatesAndFirewalls", 17, &[]),
        ("LetBalancersIn", 2, &["aws:ResourceTag/kubernetes.io/cluster/ai-coder"]),
        ("MakeGroups", 1, &[]),
        ("TagNewGroups", 1, &[REQUEST, "ec2:CreateAction"]),
        ("TagGroups", 2, &[REQUEST, RESOURCE]),
        ("ChangeGroups", 3, &[RESOURCE]),
        ("MakeBalancers", 2, &[REQUEST]),
        ("MakeListeners", 4, &[RESOURCE]),
        ("TagBalancers", 2, &[REQUEST, RESOURCE]),
        ("TagListeners", 2, &[]),
        ("ChangeBalancers", 11, &[RESOURCE]),
        ("TagNewBalancers", 1, &[REQUEST, "elasticloadbalancing:CreateAction"]),
        ("MoveTargets", 2, &[]),
        ("ChangeListeners", 6, &[]),
    ];
    for region in REGIONS {
        let all = document(region, "load-balancer-controller");
        assert_eq!(all.len(), wanted.len());
        for (sid, count, keys) in wanted {
            assert_eq!(actions(all[sid]).len(), count, "{sid}");
            assert_eq!(conditions(all[sid]), keys.iter().copied().collect(), "{sid}");
            let everywhere = resources(all[sid]).contains("*");
            assert_eq!(everywhere, ["Look", "UseCertificatesAndFirewalls"].contains(&sid), "{sid}");
        }
        assert_eq!(
            role(region, "load-balancer-controller")["managed"],
            json!(["ElasticLoadBalancingReadOnly"])
        );
        assert_eq!(
            accounts(region, "load-balancer-controller"),
            set(["kube-system:aws-load-balancer-controller"])
        );
    }
}

/// By pod identity, which the add-on of EKS uses.
#[test]
fn row_067_ebs() {
    for name in REGIONS {
        let role = role(name, "ebs-csi");
        assert_eq!(role["managed"], json!(["AmazonEBSCSIDriverPolicy"]));
        let trust = one(&role["AssumeRolePolicyDocument"]["Statement"]);
        assert_eq!(trust["Principal"], json!({ "Service": ["pods.eks.amazonaws.com"] }));
        let cluster = one(&region(name)["clusters"]);
        assert_eq!(
            trust["Condition"]["StringEquals"],
            json!({
                "aws:RequestTag/eks-cluster-arn": [cluster["arn"]],
                "aws:RequestTag/kubernetes-namespace": ["kube-system"],
                "aws:RequestTag/kubernetes-service-account": ["ebs-csi-controller-sa"],
            })
        );
        let identity = one(&cluster["identities"]);
        assert_eq!(
            (&identity["namespace"], &identity["serviceAccount"]),
            (&json!("kube-system"), &json!("ebs-csi-controller-sa"))
        );
    }
}

/// The rights of Karpenter 1, where those of 0.37 were.
#[test]
fn row_068_karpenter_controller() {
    const OWN: &str = "aws:RequestTag/kubernetes.io/cluster/ai-coder";
    const CLUSTER: &str = "aws:RequestTag/eks:eks-cluster-name";
    const POOL: &str = "aws:RequestTag/karpenter.sh/nodepool";
    for name in REGIONS {
        let all = document(name, "karpenter");
        assert_eq!(accounts(name, "karpenter"), set(["karpenter:karpenter"]));
        let node = text(&role(name, "karpenter-node")["Arn"]);
        let pass = all["HandOverTheRole"];
        assert_eq!((actions(pass), resources(pass)), (["iam:PassRole"].into(), [node].into()));
        assert_eq!(
            pass["Condition"],
            json!({ "StringEquals": { "iam:PassedToService": ["ec2.amazonaws.com"] } })
        );
        let passes = all.values().filter(|s| actions(s).contains("iam:PassRole")).count();
        assert_eq!(passes, 1);
        let tagged = all["LaunchTagged"];
        assert_eq!(
            actions(tagged),
            ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"].into()
        );
        assert_eq!((resources(tagged).len(), conditions(tagged)), (6, [OWN, CLUSTER, POOL].into()));
        assert_eq!(conditions(all["TagWhatIsMade"]), [OWN, CLUSTER, POOL, "ec2:CreateAction"].into());
        let keys = texts(&all["TagNodes"]["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"]);
        assert_eq!(keys, ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"].into());
        let ours =
            ["aws:ResourceTag/kubernetes.io/cluster/ai-coder", "aws:ResourceTag/karpenter.sh/nodepool"];
        for sid in ["LaunchFromTemplates", "Remove"] {
            assert_eq!(conditions(all[sid]), ours.into(), "{sid}");
        }
        assert!(
            resources(all["LaunchFrom"])
                .contains(format!("arn:aws:ec2:{name}:*:capacity-reservation/*").as_str())
        );
        assert_eq!(conditions(all["Look"]), ["aws:RequestedRegion"].into());
        let queue = one(&region(name)["queues"]);
        assert_eq!(resources(all["HearOfInterruptions"]), [text(&queue["QueueArn"])].into());
        for sid in ["MakeProfiles", "TagProfiles", "ChangeProfiles", "ReadProfiles"] {
            assert_eq!(
                resources(all[sid]),
                [format!("arn:aws:iam::{ACCOUNT}:instance-profile/*").as_str()].into()
            );
        }
        assert_eq!(resources(all["FindTheCluster"]), [text(&one(&region(name)["clusters"])["arn"])].into());
        assert_eq!(
            resources(all["FindImages"]),
            [format!("arn:aws:ssm:{name}::parameter/aws/service/*").as_str()].into()
        );
        for sid in ["ReadPrices", "ListProfiles"] {
            assert_eq!(resources(all[sid]), ["*"].into());
        }
    }
}

/// One rule where there were four, which lets the same events pass: each kind of event has one source.
#[test]
fn one_rule_tells_karpenter_of_every_interruption() {
    for name in REGIONS {
        let rule = one(&region(name)["rules"]);
        let pattern: Json = serde_json::from_str(text(&rule["EventPattern"])).unwrap();
        assert_eq!(texts(&pattern["source"]), ["aws.ec2", "aws.health"].into());
        let kinds = [
            "AWS Health Event",
            "EC2 Instance Rebalance Recommendation",
            "EC2 Instance State-change Notification",
            "EC2 Spot Instance Interruption Warning",
        ];
        assert_eq!(texts(&pattern["detail-type"]), kinds.into());
        let target = one(&rule["Targets"]);
        assert_eq!(target["Id"], "KarpenterInterruptionQueueTarget");
        assert_eq!(target["Arn"], one(&region(name)["queues"])["QueueArn"]);
        assert_eq!(tags(rule)["ClusterName"], "ai-coder");
    }
}

#[test]
fn row_069_karpenter_node_role() {
    for name in REGIONS {
        let role = role(name, "karpenter-node");
        let managed = [
            "AmazonEC2ContainerRegistryReadOnly",
            "AmazonEKSWorkerNodePolicy",
            "AmazonEKS_CNI_Policy",
            "AmazonSSMManagedInstanceCore",
        ];
        assert_eq!((&role["managed"], &role["inline"]), (&json!(managed), &json!({})));
    }
}

/// Twelve of eleven: launching is apart, since images are not ours. No right is on the whole account any more, but for
/// logging in to the registry, and the one role that machines get is the only one that is handed over.
#[test]
fn row_070_provisioner() {
    let wanted = [
        ("EC2InstanceLaunch", 1),
        ("EC2InstanceLifecycle", 5),
        ("EC2ManageHostLifecycle", 3),
        ("EBSVolumeLifecycle", 4),
        ("SecurityGroupLifecycle", 6),
        ("TagLifecycle", 2),
        ("NetworkInterfaceLifecycle", 5),
        ("ECRAuth", 1),
        ("ECRDownloadImages", 3),
        ("ECRUploadImages", 4),
        ("IAMReadOnly", 3),
        ("IAMPassRole", 1),
    ];
    let who = REGIONS.into_iter().map(|region| (region, "provisioner")).chain([(OHIO, "coder")]);
    for (region, name) in who {
        let all = document(region, name);
        assert_eq!(all.len(), wanted.len());
        for (sid, count) in wanted {
            assert_eq!(actions(all[sid]).len(), count, "{sid}");
            assert_eq!(resources(all[sid]).contains("*"), sid == "ECRAuth", "{sid}");
            for resource in resources(all[sid]).into_iter().filter(|r| r.starts_with("arn:aws:ec2:")) {
                assert!(resource.starts_with(&format!("arn:aws:ec2:{region}:")), "{resource}");
            }
        }
        let machine = text(&role(region, "workspace-machine")["Arn"]);
        assert_eq!(resources(all["IAMPassRole"]), [machine].into());
        assert_eq!(conditions(all["IAMPassRole"]), ["iam:PassedToService"].into());
        assert_eq!(role(region, name)["managed"], json!(["AmazonEC2ReadOnlyAccess"]));
        let repositories = list(&crate::region(OHIO)["repositories"]).iter();
        let repositories: BTreeSet<_> = repositories.map(|r| text(&r["repositoryArn"])).collect();
        for sid in ["ECRDownloadImages", "ECRUploadImages"] {
            assert_eq!(resources(all[sid]), repositories);
        }
    }
}

/// The models that the file names, where it was every model.
fn may_use_models(all: &BTreeMap<&str, &Json>) {
    let use_them = all["InvokeModels"];
    assert_eq!(actions(use_them), ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"].into());
    assert_eq!(
        resources(use_them),
        [
            "arn:aws:bedrock:*::foundation-model/anthropic.*",
            format!("arn:aws:bedrock:*:{ACCOUNT}:inference-profile/*anthropic.*").as_str(),
        ]
        .into()
    );
    assert_eq!(actions(all["ListInferenceProfiles"]), ["bedrock:ListInferenceProfiles"].into());
    assert_eq!(all.len(), 2);
}

/// Machines have no rights of ECS any more, which nothing used.
#[test]
fn row_071_workspaces() {
    for name in REGIONS {
        may_use_models(&document(name, "workspace"));
        may_use_models(&document(name, "workspace-machine"));
        let wanted = set([
            "coder-ws:coder-ws",
            "coder-ws-experiment:coder-ws-experiment",
            "coder-ws-demo:coder-ws-demo",
        ]);
        assert_eq!(accounts(name, "workspace"), wanted);
        let machine = role(name, "workspace-machine");
        assert_eq!(machine["managed"], json!(["AmazonSSMManagedInstanceCore"]));
        let profile = format!("ai-coder-{name}-workspace-machine");
        let profile = find(&EXAMPLE.listing["iam"]["profiles"], "InstanceProfileName", &profile);
        assert_eq!(one(&profile["Roles"])["RoleName"], machine["RoleName"]);
    }
}

#[test]
fn row_072_litellm() {
    may_use_models(&document(OHIO, "litellm"));
    assert_eq!(accounts(OHIO, "litellm"), set(["litellm:litellm"]));
    assert_eq!(role(OHIO, "litellm")["managed"], json!([]));
    assert!(PROXIES.iter().all(|region| !roles().contains_key(&format!("ai-coder-{region}-litellm"))));
}

/// The secret is made by the stack, so no job makes one.
#[test]
fn row_073_key_jobs() {
    let secret = find(&region(OHIO)["secrets"], "Name", "ai-coder/litellm/workspace-key");
    let secret = text(&secret["ARN"]);
    let key = text(&region(OHIO)["keys"]["alias/causeway/ai-coder"]["Arn"]);
    let jobs = REGIONS.into_iter().map(|region| (region, "key-reader", "ReadKey")).chain([(
        OHIO,
        "key-maker",
        "RotateKey",
    )]);
    for (region, name, sid) in jobs {
        let all = document(region, name);
        assert_eq!(
            (all.len(), resources(all[sid]), resources(all["Decrypt"])),
            (2, [secret].into(), [key].into())
        );
        let through =
            json!({ "StringEquals": { "kms:ViaService": ["secretsmanager.us-east-2.amazonaws.com"] } });
        assert_eq!(all["Decrypt"]["Condition"], through);
        assert_eq!(role(region, name)["managed"], json!([]));
        let may = actions(all[sid]);
        assert!(may.contains("secretsmanager:GetSecretValue"));
        assert_eq!(may.contains("secretsmanager:PutSecretValue"), name == "key-maker");
        assert!(!may.iter().any(|action| action.contains("Delete") || action.contains('*')), "{may:?}");
    }
    assert_eq!(accounts(OHIO, "key-maker"), set(["litellm:rotate-key"]));
    let readers = set(["coder-ws:rotate-key", "coder-ws-experiment:rotate-key", "coder-ws-demo:rotate-key"]);
    assert_eq!(accounts(PROXIES[1], "key-reader"), readers);
}

#[test]
fn row_074_mirror() {
    let all = document(OHIO, "mirror");
    assert_eq!((all.len(), actions(all["LogIn"])), (3, ["ecr:GetAuthorizationToken"].into()));
    let repositories: BTreeSet<_> =
        list(&region(OHIO)["repositories"]).iter().map(|r| text(&r["repositoryArn"])).collect();
    assert_eq!(repositories.len(), 6);
    for sid in ["Pull", "Push"] {
        assert_eq!(resources(all[sid]), repositories);
    }
    let both: BTreeSet<_> = actions(all["Pull"]).union(&actions(all["Push"])).copied().collect();
    for action in [
        "BatchCheckLayerAvailability",
        "BatchGetImage",
        "CompleteLayerUpload",
        "DescribeRepositories",
        "GetDownloadUrlForLayer",
        "InitiateLayerUpload",
        "PutImage",
        "UploadLayerPart",
    ] {
        assert!(both.contains(format!("ecr:{action}").as_str()), "{action}");
    }
    assert!(!both.iter().any(|action| action.contains("Delete")), "{both:?}");
}

/// What a lint would find is not there: a subject of any name, all of STS, and handing over any role.
#[test]
fn row_075_no_wildcards() {
    let documents = roles().values().flat_map(|role| role["inline"].as_object().unwrap().values());
    let documents = documents.chain(EXAMPLE.listing["iam"]["policies"].as_object().unwrap().values());
    let mut seen = 0;
    for statement in documents.flat_map(|document| list(&document["Statement"])) {
        let (actions, resources) = (actions(statement), resources(statement));
        assert!(
            !actions.iter().any(|a| *a == "*" || a.ends_with(":*") || a.starts_with("sts:")),
            "{statement}"
        );
        if actions.contains("iam:PassRole") {
            assert!(resources.iter().all(|r| !r.contains('*')), "{statement}");
            assert!(conditions(statement).contains("iam:PassedToService"), "{statement}");
            seen += 1;
        }
    }
    // Karpenter and provisioners in each region, and Coder.
    assert_eq!(seen, 7);
    for role in roles().values() {
        let trust = role["AssumeRolePolicyDocument"].to_string();
        assert!(!trust.contains('*') && !trust.contains("StringLike"), "{trust}");
    }
}
