//! Rows 77 to 97 of the list of what ran before: the platform. Those that need a cluster that answers (76, 79, 80, 89, 98) are
//! in `crates/k8s/tests/cluster`.

use crate::{
    ACCOUNT, REGIONS, SEEN,
    look::{
        annotation, at, bounded, container, granted, holds, list, may_go, names, of, pod, ports, probe,
        spread_over, texts, variables,
    },
    text,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// What runs before Karpenter makes nodes stands on the nodes of the node group.
const SYSTEM: &str = "node.amazonaws.io/managed-by";

fn role_of(region: &str, account: &str) -> String {
    annotation(at(region, "ServiceAccount", account), "eks.amazonaws.com/role-arn").to_owned()
}

fn on_system_nodes(workload: &Json) {
    assert_eq!(pod(workload)["nodeSelector"], json!({SYSTEM: "asg"}), "{}", workload["metadata"]["name"]);
}

#[test]
fn row_077_cert_manager() {
    for region in REGIONS {
        let controller = at(region, "Deployment", "cert-manager/cert-manager");
        let webhook = at(region, "Deployment", "cert-manager/cert-manager-webhook");
        let injector = at(region, "Deployment", "cert-manager/cert-manager-cainjector");
        // Two webhooks and no more than one of the others, of which one works at a time.
        assert_eq!(
            [controller, webhook, injector].map(|one| one["spec"]["replicas"].as_i64().unwrap()),
            [1, 2, 1]
        );
        let args = texts(&container(controller)["args"]);
        for arg in [
            "--v=2",
            "--cluster-resource-namespace=$(POD_NAMESPACE)",
            "--leader-election-namespace=kube-system",
            "--max-concurrent-challenges=60",
        ] {
            assert!(args.contains(arg), "{arg}: {args:?}");
        }
        assert!(args.iter().any(|arg| {
            arg.starts_with("--acme-http01-solver-image=quay.io/jetstack/cert-manager-acmesolver")
        }));
        assert_eq!(variables(container(controller))["POD_NAMESPACE"], "metadata.namespace");
        let args = texts(&container(webhook)["args"]);
        for arg in [
            "--secure-port=10250",
            "--dynamic-serving-ca-secret-name=cert-manager-webhook-ca",
            "--dynamic-serving-ca-secret-namespace=$(POD_NAMESPACE)",
            "--dynamic-serving-dns-names=cert-manager-webhook",
            "--dynamic-serving-dns-names=cert-manager-webhook.$(POD_NAMESPACE)",
            "--dynamic-serving-dns-names=cert-manager-webhook.$(POD_NAMESPACE).svc",
        ] {
            assert!(args.contains(arg), "{arg}: {args:?}");
        }
        assert!(texts(&container(injector)["args"]).contains("--leader-election-namespace=kube-system"));
        let named = |all: &[(&'static str, i64)]| all.iter().copied().collect::<BTreeMap<&str, i64>>();
        let metrics = ("http-metrics", 9402);
        for (workload, wanted) in [
            (controller, named(&[metrics, ("http-healthz", 9403)])),
            (webhook, named(&[metrics, ("https", 10250), ("healthcheck", 6080)])),
            (injector, named(&[metrics])),
        ] {
            assert_eq!(ports(&container(workload)["ports"], "containerPort"), wanted);
            bounded(workload, 1000);
            on_system_nodes(workload);
        }
        assert_eq!(probe(container(controller), "livenessProbe"), "http-healthz /livez");
        assert_eq!(container(controller)["livenessProbe"]["failureThreshold"], 8);
        assert_eq!(probe(container(webhook), "livenessProbe"), "healthcheck /livez");
        assert_eq!(container(webhook)["livenessProbe"]["initialDelaySeconds"], 60);
        assert_eq!(probe(container(webhook), "readinessProbe"), "healthcheck /healthz");
        assert_eq!(container(injector)["livenessProbe"]["tcpSocket"]["port"], "http-metrics");
        for (service, wanted) in [
            ("cert-manager", named(&[metrics])),
            ("cert-manager-webhook", named(&[metrics, ("https", 443)])),
            ("cert-manager-cainjector", named(&[metrics])),
        ] {
            let service = at(region, "Service", &format!("cert-manager/{service}"));
            assert_eq!(ports(&service["spec"]["ports"], "port"), wanted);
        }
    }
}

/// What a webhook is asked about: groups, versions, operations and resources of its one rule.
fn asked(hook: &Json) -> [BTreeSet<&str>; 3] {
    let [rule] = list(&hook["rules"]) else { panic!("{hook:#}") };
    ["apiGroups", "operations", "resources"].map(|field| texts(&rule[field]))
}

#[test]
fn row_078_cert_manager_webhooks() {
    for region in REGIONS {
        for (kind, path, groups, operations, resources) in [
            (
                "MutatingWebhookConfiguration",
                "/mutate",
                &["cert-manager.io"][..],
                &["CREATE"][..],
                "certificaterequests",
            ),
            (
                "ValidatingWebhookConfiguration",
                "/validate",
                &["cert-manager.io", "acme.cert-manager.io"],
                &["CREATE", "UPDATE"],
                "*/*",
            ),
        ] {
            let configuration = at(region, kind, "cert-manager-webhook");
            let [hook] = list(&configuration["webhooks"]) else { panic!("{configuration:#}") };
            let all = |all: &[&'static str]| all.iter().copied().collect::<BTreeSet<_>>();
            assert_eq!(hook["name"], "webhook.cert-manager.io");
            assert_eq!(asked(hook), [all(groups), all(operations), all(&[resources])]);
            assert_eq!((&hook["failurePolicy"], &hook["timeoutSeconds"]), (&json!("Fail"), &json!(30)));
            let at = &hook["clientConfig"];
            assert_eq!(
                (text(at, "/service/namespace"), text(at, "/service/name")),
                ("cert-manager", "cert-manager-webhook")
            );
            assert_eq!(text(at, "/service/path"), path);
            assert!(!text(at, "/caBundle").is_empty(), "{region} {kind}: nobody trusts it");
            let unless = &hook["namespaceSelector"]["matchExpressions"];
            if kind.starts_with("Validating") {
                let wanted = json!([{"key": "cert-manager.io/disable-validation", "operator": "NotIn", "values": ["true"]}]);
                assert_eq!(*unless, wanted);
            }
        }
    }
}

/// The token of Cloudflare is there where zones are kept there; here they are in Route 53, and cert-manager takes on a role.
/// With a token: `crates/k8s/tests/golden/cert-manager.snap`.
#[test]
fn row_081_cert_manager_route53() {
    const NAME: &str = "cert-manager/cert-manager-acme-dns01-route53";
    for region in REGIONS {
        at(region, "ServiceAccount", NAME);
        let issuer = at(region, "ClusterIssuer", "letsencrypt");
        let route53 = &issuer["spec"]["acme"]["solvers"][0]["dns01"]["route53"];
        assert_eq!(
            text(route53, "/role"),
            format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{region}-cert-manager")
        );
        assert_eq!(text(route53, "/auth/kubernetes/serviceAccountRef/name"), NAME.split_once('/').unwrap().1);
        let role = at(region, "Role", &format!("{NAME}-tokenrequest"));
        let [rule] = list(&role["rules"]) else { panic!("{role:#}") };
        assert_eq!(texts(&rule["resources"]), BTreeSet::from(["serviceaccounts/token"]));
        assert_eq!(texts(&rule["verbs"]), BTreeSet::from(["create"]));
        assert_eq!(texts(&rule["resourceNames"]), BTreeSet::from(["cert-manager-acme-dns01-route53"]));
        let binding = at(region, "RoleBinding", &format!("{NAME}-tokenrequest"));
        assert_eq!(text(binding, "/subjects/0/name"), "cert-manager");
        assert!(!names(region, "Secret").contains("cert-manager/cloudflare-token"));
    }
}

/// The issuers that were never made before, and could not have been: the module lost `dns01` and the token.
#[test]
fn row_082_cluster_issuer() {
    for region in REGIONS {
        assert_eq!(
            names(region, "ClusterIssuer"),
            ["letsencrypt", "letsencrypt-staging"].map(str::to_owned).into()
        );
        for (name, server) in [
            ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
            ("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
        ] {
            let issuer = at(region, "ClusterIssuer", name);
            assert!(holds(issuer, "Ready"), "{region} {name}");
            let acme = &issuer["spec"]["acme"];
            assert_eq!((text(acme, "/server"), text(acme, "/email")), (server, "platform@example.com"));
            assert_eq!(text(acme, "/privateKeySecretRef/name"), format!("{name}-account"));
            let [solver] = list(&acme["solvers"]) else { panic!("{acme:#}") };
            assert_eq!(text(solver, "/dns01/route53/hostedZoneID"), "Z0123456789ABCDEFGHIJ");
            assert_eq!(text(solver, "/dns01/route53/region"), region);
        }
    }
}

#[test]
fn row_083_certificate() {
    let hosts = ["ai.example.com", "oregon.ai.example.com", "london.ai.example.com"];
    for (region, host) in REGIONS.into_iter().zip(hosts) {
        let namespace = if region == REGIONS[0] { "coder" } else { "coder-proxy" };
        let certificate = at(region, "Certificate", &format!("{namespace}/coder-tls"));
        assert!(holds(certificate, "Ready"), "{region}");
        let spec = &certificate["spec"];
        assert_eq!(text(spec, "/commonName"), host);
        assert_eq!(spec["dnsNames"], json!([host, format!("*.{host}")]));
        assert_eq!(
            spec["issuerRef"],
            json!({"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt"})
        );
        assert_eq!((text(spec, "/duration"), text(spec, "/renewBefore")), ("2160h", "720h"));
        assert_eq!(spec["privateKey"]["size"], 4096);
        let secret = at(region, "Secret", &format!("{namespace}/{}", text(spec, "/secretName")));
        assert_eq!(secret["type"], "kubernetes.io/tls");
        for key in ["tls.crt", "tls.key"] {
            assert!(!text(secret, &format!("/data/{key}")).is_empty(), "{region}: no {key}");
        }
    }
}

/// An add-on of EKS here, which makes all of this and keeps it up to date: its version and its role are what is ours.
#[test]
fn row_084_ebs_csi() {
    for region in REGIONS {
        let aws = &SEEN.aws[region];
        assert_eq!(aws["addons"]["aws-ebs-csi-driver"]["status"], "ACTIVE");
        assert!(text(&aws["addons"], "/aws-ebs-csi-driver/addonVersion").starts_with('v'));
        let role = text(aws, "/identities/kube-system~1ebs-csi-controller-sa/role");
        assert!(role.contains(&format!("ai-coder-{region}-")), "{region}: {role:?}");
        let policies = texts(&aws["identities"]["kube-system/ebs-csi-controller-sa"]["policies"]);
        assert!(policies.contains("AmazonEBSCSIDriverPolicy"), "{region}: {policies:?}");
        // Who has made a volume can be found.
        assert_eq!(text(at(region, "StorageClass", "gp3"), "/provisioner"), "ebs.csi.aws.com");
    }
}

#[test]
fn row_085_storage_class() {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    for region in REGIONS {
        let class = at(region, "StorageClass", "gp3");
        let cluster = "kubernetes.io/cluster/ai-coder=owned";
        assert_eq!(
            class["parameters"],
            json!({"type": "gp3", "encrypted": "true", "tagSpecification_1": cluster})
        );
        assert_eq!(class["volumeBindingMode"], "WaitForFirstConsumer");
        assert_eq!(
            (&class["reclaimPolicy"], &class["allowVolumeExpansion"]),
            (&json!("Delete"), &json!(true))
        );
        let defaults = of(region, "StorageClass").filter(|class| annotation(class, DEFAULT) == "true");
        assert_eq!(
            defaults.map(|class| text(class, "/metadata/name")).collect::<Vec<_>>(),
            ["gp3"],
            "{region}"
        );
    }
}

#[test]
fn row_086_load_balancer_definitions() {
    for region in REGIONS {
        for (name, scope) in [
            ("ingressclassparams.elbv2.k8s.aws", "Cluster"),
            ("targetgroupbindings.elbv2.k8s.aws", "Namespaced"),
        ] {
            let definition = at(region, "CustomResourceDefinition", name);
            assert!(holds(definition, "Established"), "{region} {name}");
            assert_eq!(definition["spec"]["scope"], scope);
            let version = list(&definition["spec"]["versions"]).iter().find(|one| one["name"] == "v1beta1");
            assert_eq!(version.unwrap()["served"], true);
        }
    }
}

#[test]
fn row_087_load_balancer_controller() {
    const NAME: &str = "aws-load-balancer-controller";
    for region in REGIONS {
        let deployment = at(region, "Deployment", &format!("kube-system/{NAME}"));
        let (pod, container) = (pod(deployment), container(deployment));
        assert_eq!(
            (&deployment["spec"]["replicas"], &deployment["status"]["readyReplicas"]),
            (&json!(2), &json!(2))
        );
        let args = texts(&container["args"]);
        for arg in [
            "--cluster-name=ai-coder",
            "--ingress-class=alb",
            "--service-target-eni-security-group-tags=Name=ai-coder-node",
            &format!("--aws-region={region}"),
            &format!("--aws-vpc-id={}", text(&SEEN.aws[region], "/vpc")),
        ] {
            assert!(args.contains(arg), "{arg}: {args:?}");
        }
        let wanted = BTreeMap::from([("webhook-server", 9443), ("metrics-server", 8080), ("health", 61779)]);
        assert_eq!(ports(&container["ports"], "containerPort"), wanted);
        assert_eq!(probe(container, "livenessProbe"), "health /healthz");
        assert_eq!(probe(container, "readinessProbe"), "health /readyz");
        assert_eq!(pod["priorityClassName"], "system-cluster-critical");
        assert_eq!(pod["terminationGracePeriodSeconds"], 10);
        assert_eq!(pod["securityContext"]["fsGroup"], 65534);
        bounded(deployment, 65534);
        on_system_nodes(deployment);
        let apart = &pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
        assert_eq!(apart["topologyKey"], "kubernetes.io/hostname");
        assert_eq!(may_go(region, deployment), 1);
        assert_eq!(
            role_of(region, &format!("kube-system/{NAME}")),
            format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{region}-load-balancer-controller")
        );
        let account = format!("kube-system/{NAME}");
        let may = granted(region, "ClusterRole", &format!("{NAME}-role"), &account);
        for right in [
            "elbv2.k8s.aws targetgroupbindings create",
            "elbv2.k8s.aws ingressclassparams list",
            "networking.k8s.io ingresses patch",
            "networking.k8s.io ingresses/status update",
            " services/status patch",
            " events create",
            " nodes watch",
            "discovery.k8s.io endpointslices list",
            "gateway.networking.k8s.io gateways watch",
        ] {
            assert!(may.contains(right), "{right}");
        }
        assert!(!may.iter().any(|right| right.contains(" secrets ")), "{may:?}");
        let leads = granted(region, "Role", &format!("kube-system/{NAME}-leader-election-role"), &account);
        assert_eq!(
            leads,
            [" configmaps create", "coordination.k8s.io leases create"].map(str::to_owned).into()
        );
    }
}

/// `mservice` is the one that is not `Fail` any more: row 89. Who signs is in a Secret that cert-manager keeps.
#[test]
fn row_088_load_balancer_webhooks() {
    for (place, region) in REGIONS.into_iter().enumerate() {
        let hooks = |kind: &str| {
            let all = list(&at(region, kind, "aws-load-balancer-webhook")["webhooks"]);
            all.iter()
                .map(|hook| {
                    (text(hook, "/name").trim_end_matches(".elbv2.k8s.aws"), text(hook, "/failurePolicy"))
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            hooks("MutatingWebhookConfiguration"),
            [("mpod", "Ignore"), ("mservice", "Ignore"), ("mtargetgroupbinding", "Fail")]
        );
        assert_eq!(
            hooks("ValidatingWebhookConfiguration"),
            [("vingressclassparams", "Fail"), ("vtargetgroupbinding", "Fail"), ("vingress", "Fail")]
        );
        let service = at(region, "Service", "kube-system/aws-load-balancer-webhook-service");
        assert_eq!(service["spec"]["ports"][0]["port"], 443);
        assert_eq!(service["spec"]["ports"][0]["targetPort"], "webhook-server");
        let secret = at(region, "Secret", "kube-system/aws-load-balancer-tls");
        let authority = text(secret, "/data/ca.crt");
        assert!(!authority.is_empty());
        let after = SEEN.again[place]
            .iter()
            .find(|one| one["kind"] == "Secret" && one["metadata"]["name"] == "aws-load-balancer-tls");
        assert_eq!(text(after.unwrap(), "/data/ca.crt"), authority, "it is not kept");
        for objects in [&SEEN.objects[place], &SEEN.again[place]] {
            let told = objects.iter().filter(|one| one["metadata"]["name"] == "aws-load-balancer-webhook");
            let bundles: BTreeSet<&str> = told
                .flat_map(|one| list(&one["webhooks"]))
                .map(|hook| text(hook, "/clientConfig/caBundle"))
                .collect();
            assert_eq!(bundles, BTreeSet::from([authority]), "{region}");
        }
    }
}

#[test]
fn row_090_ingress_class() {
    for (place, region) in REGIONS.into_iter().enumerate() {
        assert_eq!(names(region, "IngressClass"), ["alb"].map(str::to_owned).into());
        let class = at(region, "IngressClass", "alb");
        assert_eq!(class["spec"]["controller"], "ingress.k8s.aws/alb");
        let parameters = &class["spec"]["parameters"];
        assert_eq!(
            ["apiGroup", "kind", "name"].map(|field| parameters[field].as_str().unwrap()),
            ["elbv2.k8s.aws", "IngressClassParams", "alb"]
        );
        at(region, "IngressClassParams", "alb");
        // One owner, and applied twice it is the same object at the same version.
        for kind in ["IngressClass", "IngressClassParams"] {
            let one = at(region, kind, "alb");
            let managers = list(&one["metadata"]["managedFields"]).iter().map(|by| text(by, "/manager"));
            assert_eq!(managers.collect::<Vec<_>>(), ["causeway"], "{kind}");
            let after = SEEN.again[place].iter().find(|two| two["metadata"]["uid"] == one["metadata"]["uid"]);
            assert_eq!(
                after.unwrap()["metadata"]["resourceVersion"],
                one["metadata"]["resourceVersion"],
                "{kind}"
            );
        }
    }
}

/// One rule for all four kinds of events instead of four: each kind has one source, so the same events pass.
#[test]
fn row_091_karpenter_queue() {
    for region in REGIONS {
        let aws = &SEEN.aws[region];
        let queue = &aws["queues"]["ai-coder-karpenter"];
        assert_eq!(text(queue, "/MessageRetentionPeriod"), "300");
        assert_eq!(text(queue, "/SqsManagedSseEnabled"), "true");
        let policy: Json = serde_json::from_str(text(queue, "/Policy")).unwrap();
        let statements = list(&policy["Statement"]);
        let allows = statements.iter().find(|one| one["Effect"] == "Allow").unwrap();
        assert_eq!(
            texts(&allows["Principal"]["Service"]),
            BTreeSet::from(["events.amazonaws.com", "sqs.amazonaws.com"])
        );
        let denies = statements.iter().find(|one| one["Effect"] == "Deny").unwrap().to_string();
        assert!(denies.contains("aws:SecureTransport") && denies.contains("sqs:*"), "{denies}");
        let [rule] = list(&aws["rules"]) else { panic!("{}", aws["rules"]) };
        let pattern: Json = serde_json::from_str(text(rule, "/EventPattern")).unwrap();
        let events = BTreeSet::from([
            "AWS Health Event",
            "EC2 Spot Instance Interruption Warning",
            "EC2 Instance Rebalance Recommendation",
            "EC2 Instance State-change Notification",
        ]);
        assert_eq!(texts(&pattern["detail-type"]), events);
        assert_eq!(texts(&pattern["source"]), BTreeSet::from(["aws.ec2", "aws.health"]));
        let [target] = list(&rule["targets"]) else { panic!("{rule}") };
        assert_eq!(text(target, "/Id"), "KarpenterInterruptionQueueTarget");
        assert_eq!(text(target, "/Arn"), text(queue, "/QueueArn"));
        let karpenter = at(region, "Deployment", "karpenter/karpenter");
        assert_eq!(variables(container(karpenter))["INTERRUPTION_QUEUE"], "ai-coder-karpenter");
    }
}

/// It is spread over zones where it can be, and never refused for want of a second zone.
#[test]
fn row_092_karpenter() {
    for region in REGIONS {
        let definitions = names(region, "CustomResourceDefinition");
        for name in [
            "nodepools.karpenter.sh",
            "nodeclaims.karpenter.sh",
            "nodeoverlays.karpenter.sh",
            "ec2nodeclasses.karpenter.k8s.aws",
        ] {
            assert!(definitions.contains(name), "{name}");
        }
        let deployment = at(region, "Deployment", "karpenter/karpenter");
        let (pod, container) = (pod(deployment), container(deployment));
        assert_eq!(
            (&deployment["spec"]["replicas"], &deployment["status"]["readyReplicas"]),
            (&json!(2), &json!(2))
        );
        assert_eq!(
            ports(&container["ports"], "containerPort"),
            BTreeMap::from([("http-metrics", 8080), ("http", 8081)])
        );
        assert_eq!(probe(container, "livenessProbe"), "http /healthz");
        assert_eq!(probe(container, "readinessProbe"), "http /readyz");
        bounded(deployment, 65532);
        on_system_nodes(deployment);
        let variables = variables(container);
        assert_eq!(variables["CLUSTER_NAME"], "ai-coder");
        assert!(variables["FEATURE_GATES"].contains("SpotToSpotConsolidation=true"));
        let terms = &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        let never = json!([{"key": "karpenter.sh/nodepool", "operator": "DoesNotExist"}]);
        assert_eq!(terms["nodeSelectorTerms"][0]["matchExpressions"], never);
        let apart = &pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
        assert_eq!(apart["topologyKey"], "kubernetes.io/hostname");
        assert!(spread_over(deployment).contains("topology.kubernetes.io/zone"));
        assert!(list(&pod["tolerations"]).iter().any(|one| one["key"] == "CriticalAddonsOnly"));
        assert_eq!(may_go(region, deployment), 1);
        let service = at(region, "Service", "karpenter/karpenter");
        assert_eq!(ports(&service["spec"]["ports"], "port"), BTreeMap::from([("http-metrics", 8080)]));
        assert_eq!(
            role_of(region, "karpenter/karpenter"),
            format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{region}-karpenter")
        );
        let account = "karpenter/karpenter";
        let may = granted(region, "ClusterRole", "karpenter-core", account);
        for right in [
            "karpenter.sh nodeclaims create",
            "karpenter.sh nodepools/status patch",
            " pods/eviction create",
            " nodes delete",
            "policy poddisruptionbudgets watch",
        ] {
            assert!(may.contains(right), "{right}");
        }
        assert!(
            granted(region, "ClusterRole", "karpenter", account)
                .contains("karpenter.k8s.aws ec2nodeclasses/status patch")
        );
        assert!(
            granted(region, "Role", "karpenter/karpenter-lead", account)
                .contains("coordination.k8s.io leases create")
        );
        granted(region, "Role", "kube-system/karpenter-dns", account);
        let label = "rbac.authorization.k8s.io/aggregate-to-admin";
        assert_eq!(at(region, "ClusterRole", "karpenter-admin")["metadata"]["labels"][label], "true");
        assert!(
            !of(region, "MutatingWebhookConfiguration").any(|one| one.to_string().contains("karpenter.sh"))
        );
    }
}

/// What the pools of a region are for.
fn purposes(region: &str) -> [&'static str; 3] {
    [if region == REGIONS[0] { "coder-server" } else { "coder-proxy" }, "coder-provisioner", "coder-ws"]
}

/// The large disk is the one that pods write to, all are encrypted, and a node's system is one that somebody chose.
#[test]
fn row_093_node_class() {
    for region in REGIONS {
        assert_eq!(names(region, "EC2NodeClass"), purposes(region).map(str::to_owned).into());
        for purpose in purposes(region) {
            let class = at(region, "EC2NodeClass", purpose);
            assert!(holds(class, "Ready"), "{region} {purpose}");
            let spec = &class["spec"];
            let disks: Vec<(&str, &str)> = list(&spec["blockDeviceMappings"])
                .iter()
                .map(|disk| (text(disk, "/deviceName"), text(disk, "/ebs/volumeSize")))
                .collect();
            let (alias, wanted): (&str, &[(&str, &str)]) = match purpose {
                "coder-ws" => ("bottlerocket@v1.", &[("/dev/xvda", "20Gi"), ("/dev/xvdb", "1400Gi")]),
                "coder-provisioner" => ("al2023@v20", &[("/dev/xvda", "200Gi")]),
                _ => ("al2023@v20", &[("/dev/xvda", "100Gi")]),
            };
            assert_eq!(disks, wanted, "{region} {purpose}");
            for disk in list(&spec["blockDeviceMappings"]) {
                let ebs = &disk["ebs"];
                assert_eq!((&ebs["encrypted"], &ebs["deleteOnTermination"]), (&json!(true), &json!(true)));
                assert_eq!(ebs["volumeType"], "gp3");
            }
            let [ami] = list(&spec["amiSelectorTerms"]) else { panic!("{spec:#}") };
            assert!(text(ami, "/alias").starts_with(alias), "{ami}");
            assert_eq!(text(spec, "/role"), format!("ai-coder-{region}-karpenter-node"));
            // What the terms choose is there, as the controller found it, and it is one security group, as Karpenter wants it.
            assert!(!list(&class["status"]["subnets"]).is_empty(), "{region} {purpose}: {}", class["status"]);
            let by = json!([{"tags": {"karpenter.sh/discovery": "ai-coder"}}]);
            assert_eq!(spec["securityGroupSelectorTerms"], by);
            assert_eq!(list(&SEEN.aws[region]["groups"]).len(), 1, "{}", SEEN.aws[region]["groups"]);
            assert_eq!(spec["metadataOptions"]["httpTokens"], "required");
        }
    }
}

/// They were written down and never made before, with a key that Karpenter does not know and a type that EC2 does not have.
#[test]
fn row_094_node_pool() {
    for region in REGIONS {
        assert_eq!(names(region, "NodePool"), purposes(region).map(str::to_owned).into());
        for purpose in purposes(region) {
            let pool = at(region, "NodePool", purpose);
            assert!(holds(pool, "Ready"), "{region} {purpose}");
            let (spec, template) = (&pool["spec"], &pool["spec"]["template"]);
            let requirements: BTreeMap<&str, BTreeSet<&str>> = list(&template["spec"]["requirements"])
                .iter()
                .map(|one| (text(one, "/key"), texts(&one["values"])))
                .collect();
            assert_eq!(requirements["kubernetes.io/arch"], BTreeSet::from(["amd64"]));
            assert_eq!(requirements["kubernetes.io/os"], BTreeSet::from(["linux"]));
            let (types, capacity, empty_for) = match purpose {
                "coder-ws" => (["c6a.32xlarge", "c5a.24xlarge"], &["spot", "on-demand"][..], "30m"),
                "coder-provisioner" => (["m5a.4xlarge", "m6a.4xlarge"], &["spot", "on-demand"][..], "1m"),
                _ => (["m5a.xlarge", "m6a.xlarge"], &["on-demand"][..], "1m"),
            };
            assert_eq!(
                requirements["karpenter.sh/capacity-type"],
                capacity.iter().copied().collect(),
                "{purpose}"
            );
            assert_eq!(requirements["node.kubernetes.io/instance-type"], BTreeSet::from(types), "{purpose}");
            let known = texts(&SEEN.aws[region]["types"]);
            for kind in types {
                assert!(known.contains(kind), "EC2 has no {kind} in {region}");
            }
            for resource in ["cpu", "memory"] {
                assert!(!spec["limits"][resource].is_null(), "{purpose}: no limit of {resource}");
            }
            let labels = json!({"node.coder.io/managed-by": "karpenter", "node.coder.io/used-for": purpose});
            assert_eq!(template["metadata"]["labels"], labels);
            assert_eq!(
                template["spec"]["taints"],
                json!([{"key": "dedicated", "value": purpose, "effect": "NoSchedule"}])
            );
            assert_eq!(text(template, "/spec/nodeClassRef/name"), purpose);
            assert_eq!(text(template, "/spec/expireAfter"), "Never");
            let disruption = &spec["disruption"];
            assert_eq!(
                (text(disruption, "/consolidationPolicy"), text(disruption, "/consolidateAfter")),
                ("WhenEmpty", empty_for)
            );
        }
    }
}

/// As the scheduler of Kubernetes itself has it: every pod stands on a node of the pool that is kept for it.
#[test]
fn row_095_pods_fit_their_nodes() {
    for region in REGIONS {
        let mut stand = BTreeSet::new();
        for pod in of(region, "Pod") {
            let name =
                format!("{region} {}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
            assert!(holds(pod, "Ready"), "{name}: {}", pod["status"]);
            let node = at(region, "Node", text(pod, "/spec/nodeName"));
            let labels = &node["metadata"]["labels"];
            for (key, value) in pod["spec"]["nodeSelector"].as_object().into_iter().flatten() {
                assert_eq!(labels[key], *value, "{name}: {key}");
            }
            for taint in list(&node["spec"]["taints"]) {
                let tolerates = |one: &Json| {
                    (one["key"].is_null() || one["key"] == taint["key"])
                        && (one["operator"] == "Exists" || one["value"] == taint["value"])
                };
                assert!(list(&pod["spec"]["tolerations"]).iter().any(tolerates), "{name}: {taint}");
            }
            let namespace = text(pod, "/metadata/namespace");
            stand.insert((namespace, text(labels, "/karpenter.sh~1nodepool")));
        }
        let [server, provisioner, _] = purposes(region);
        for space in ["coder-ws", "coder-ws-experiment", "coder-ws-demo"] {
            assert!(stand.contains(&(space, provisioner)), "{region} {space}: {stand:?}");
        }
        let namespace = if region == REGIONS[0] { "coder" } else { "coder-proxy" };
        assert!(stand.contains(&(namespace, server)), "{region}: {stand:?}");
        assert!(
            stand.contains(&("karpenter", "")),
            "Karpenter stands on a node of its own making: {stand:?}"
        );
    }
}

/// An add-on of EKS here, which verifies what it is asked by and what it asks.
#[test]
fn row_096_metrics_server() {
    for region in REGIONS {
        let addon = &SEEN.aws[region]["addons"]["metrics-server"];
        assert_eq!(addon["status"], "ACTIVE", "{region}");
        assert!(text(addon, "/addonVersion").starts_with('v'), "{addon}");
    }
}

#[test]
fn row_097_namespaces() {
    let everywhere = ["cert-manager", "coder-ws", "coder-ws-demo", "coder-ws-experiment", "karpenter"];
    for region in REGIONS {
        let here: &[&str] = if region == REGIONS[0] { &["coder", "litellm"] } else { &["coder-proxy"] };
        let wanted: BTreeSet<&str> = everywhere.iter().chain(here).copied().collect();
        let ours = of(region, "Namespace").filter(|one| crate::address(one).is_some());
        assert_eq!(ours.map(|one| text(one, "/metadata/name")).collect::<BTreeSet<_>>(), wanted, "{region}");
        for name in wanted {
            let labels = &at(region, "Namespace", name)["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/managed-by"], "causeway");
            assert_eq!(labels["causeway-deploy.github.io/stack"], "ai-coder");
            let level = if name.starts_with("coder-ws") { "baseline" } else { "restricted" };
            for what in ["enforce", "audit", "warn"] {
                assert_eq!(labels[format!("pod-security.kubernetes.io/{what}")], level, "{region} {name}");
            }
        }
    }
}
