//! What stands in for controllers that do not run.

use causeway_sandbox::kubernetes::{Behaviour, Controller};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Cluster, deployment, names, sandbox};

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// Defines a kind whose fields may be anything.
async fn define(cluster: &Cluster, group: &str, plural: &str, kind: &str, scope: &str) {
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "scope": scope,
            "names": { "plural": plural, "kind": kind, "singular": kind.to_lowercase() },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    });
    cluster.make_object("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", object).await;
    let path = format!("/apis/{group}/v1/{plural}");
    cluster.until("a kind", &path, |list| list["items"].is_array().then_some(())).await;
}

fn ready(object: &Value) -> Option<()> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True").then_some(())
}

async fn controller(cluster: &Cluster, namespace: &str, image: &str) {
    let name = image.rsplit('/').next().unwrap().split(':').next().unwrap();
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    cluster.make_object(&path, deployment(name, image, 1)).await;
    let path = format!("{path}/{name}");
    cluster.until(name, &path, |it| (it["status"]["readyReplicas"] == 1).then_some(())).await;
}

#[tokio::test]
async fn a_webhook_answers_once_its_pod_is_ready_and_its_authority_is_injected() {
    let cluster = Cluster::make("000000000505", "AmazonEKSClusterAdminPolicy");
    let namespace =
        |name: &str| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    cluster.make_object("/api/v1/namespaces", namespace("cert-manager")).await;
    for (plural, kind, scope) in
        [("certificates", "Certificate", "Namespaced"), ("clusterissuers", "ClusterIssuer", "Cluster")]
    {
        define(&cluster, "cert-manager.io", plural, kind, scope).await;
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "hook" },
        "spec": { "selector": { "app": "cert-manager-webhook" }, "ports": [{ "port": 443, "targetPort": 10250 }] },
    });
    cluster.make_object("/api/v1/namespaces/cert-manager/services", service).await;
    let hook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "hook", "annotations": { "cert-manager.io/inject-ca-from-secret": "cert-manager/hook-ca" } },
        "webhooks": [{
            "name": "hook.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "clientConfig": { "service": { "name": "hook", "namespace": "cert-manager", "path": "/validate" } },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"] }],
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "default" } },
        }],
    });
    cluster.make_object(ADMISSION, hook).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let guarded = async |name: &str| {
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
        let (status, answer) = cluster.ask(Method::POST, path, Some(object)).await;
        (status, answer["message"].as_str().unwrap_or_default().to_owned())
    };
    // The API server hears of a webhook a moment after us.
    let mut early = guarded("early").await;
    for attempt in 0..50 {
        if early.0 != 201 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        early = guarded(&format!("early-{attempt}")).await;
    }
    let (status, said) = early;
    assert!(status == 500 && said.contains("no endpoints available for service \"hook\""), "{status} {said}");
    cluster.aws("nodes", &["system", "1"]);
    for image in ["controller", "cainjector", "webhook"] {
        controller(&cluster, "cert-manager", &format!("quay.io/jetstack/cert-manager-{image}:v1")).await;
    }
    let injected = |it: &Value| it["webhooks"][0]["clientConfig"]["caBundle"].as_str().map(|_| ());
    cluster.until("the authority", &format!("{ADMISSION}/hook"), injected).await;
    let start = std::time::Instant::now();
    // And of endpoints and of the authority.
    while guarded("guarded").await.0 != 201 {
        assert!(start.elapsed().as_secs() < 20, "{:?}", guarded("guarded").await);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let plane = sandbox().cluster(cluster.account, cluster.region, cluster.name).unwrap();
    plane.set(Controller::Webhooks, Behaviour::Fails);
    let (status, said) = guarded("refused").await;
    assert!(status == 403 && said.contains("told to refuse"), "{status} {said}");
    plane.set(Controller::Webhooks, Behaviour::Down);
    let (status, said) = guarded("unreachable").await;
    assert!(status == 500 && said.contains("failed calling webhook"), "{status} {said}");
    plane.set(Controller::Webhooks, Behaviour::Works);

    // A certificate waits for its issuer.
    let certificate = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": { "name": "web" },
        "spec": { "secretName": "web-tls", "dnsNames": ["coder.example.com"], "issuerRef": { "kind": "ClusterIssuer", "name": "le" } },
    });
    let path = "/apis/cert-manager.io/v1/namespaces/default/certificates";
    cluster.make_object(path, certificate).await;
    let path = format!("{path}/web");
    let waits = |it: &Value| (it["status"]["conditions"][0]["reason"] == "DoesNotExist").then_some(());
    cluster.until("a certificate that waits", &path, waits).await;
    let issuer = json!({ "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": { "name": "le" }, "spec": {} });
    cluster.make_object("/apis/cert-manager.io/v1/clusterissuers", issuer).await;
    cluster.until("a certificate", &path, ready).await;
    let secret = cluster.get("/api/v1/namespaces/default/secrets/web-tls").await;
    assert_eq!(secret["type"], "kubernetes.io/tls");
}

#[tokio::test]
async fn a_pod_without_its_secret_does_not_start_until_it_is_there() {
    let cluster = Cluster::make("000000000506", "AmazonEKSClusterAdminPolicy");
    cluster.aws("nodes", &["system", "1"]);
    let mut object = deployment("web", "a/web", 1);
    let secret =
        json!([{ "name": "URL", "valueFrom": { "secretKeyRef": { "name": "database", "key": "url" } } }]);
    object["spec"]["template"]["spec"]["containers"][0]["env"] = secret;
    cluster.make_object("/apis/apps/v1/namespaces/default/deployments", object).await;
    let pods = "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb";
    let waits = |list: &Value| {
        let waiting = &list["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"];
        (waiting["reason"] == "CreateContainerConfigError")
            .then(|| waiting["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(cluster.until("a pod that waits", pods, waits).await, "secret \"database\" not found");
    // As if it had started while it was looked at.
    let path =
        format!("/api/v1/namespaces/default/pods/{}/status", names(&cluster.get(pods).await).remove(0));
    let mut pod = cluster.get(&path).await;
    pod["status"]["phase"] = json!("Running");
    assert_eq!(cluster.ask(Method::PUT, &path, Some(pod)).await.0, 200);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "database" }, "stringData": { "url": "x" } });
    cluster.make_object("/api/v1/namespaces/default/secrets", secret).await;
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    cluster.until("a ready pod", path, |it| (it["status"]["readyReplicas"] == 1).then_some(())).await;
    let pod = names(&cluster.get(pods).await).remove(0);
    let url = format!("{}/api/v1/namespaces/default/pods/{pod}/log", cluster.endpoint);
    let log = cluster.http.get(url).bearer_auth(&cluster.token).send().await.unwrap().text().await.unwrap();
    assert_eq!(log, "the sandbox plays a/web\n");
    volumes_are_made_and_go(&cluster).await;
}

/// A claim that waits for its pod gets a volume in the zone of the pod's node, as soon as somebody makes volumes.
async fn volumes_are_made_and_go(cluster: &Cluster) {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": "gp3" },
        "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer",
    });
    cluster.make_object("/apis/storage.k8s.io/v1/storageclasses", class).await;
    let mut object = deployment("data", "a/data", 1);
    object["kind"] = "StatefulSet".into();
    object["spec"]["serviceName"] = "data".into();
    object["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": { "name": "data" },
        "spec": { "storageClassName": "gp3", "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "5Gi" } } },
    }]);
    cluster.make_object("/apis/apps/v1/namespaces/default/statefulsets", object).await;
    let claim = "/api/v1/namespaces/default/persistentvolumeclaims/data-data-0";
    let asked = |it: &Value| {
        it["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].as_str().map(str::to_owned)
    };
    let node = cluster.until("a claim with a node", claim, asked).await;
    assert_eq!(cluster.get(claim).await["status"]["phase"], "Pending");
    cluster.aws("addon", &["aws-ebs-csi-driver"]);
    let path = "/apis/apps/v1/namespaces/default/statefulsets/data";
    cluster.until("a ready pod", path, |it| (it["status"]["readyReplicas"] == 1).then_some(())).await;
    let volumes = cluster.get("/api/v1/persistentvolumes").await;
    let zone = &volumes["items"][0]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"]
        [0]["values"][0];
    let node = cluster.get(&format!("/api/v1/nodes/{node}")).await;
    assert_eq!(*zone, node["metadata"]["labels"]["topology.kubernetes.io/zone"]);
    for gone in [path, claim] {
        assert!(cluster.ask(Method::DELETE, gone, None).await.0 < 300);
    }
    let none = |list: &Value| list["items"].as_array().is_some_and(Vec::is_empty).then_some(());
    cluster.until("no volume", "/api/v1/persistentvolumes", none).await;
}

#[tokio::test]
async fn a_service_gets_its_load_balancer_and_lets_it_go() {
    let cluster = Cluster::make("000000000507", "AmazonEKSClusterAdminPolicy");
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "annotations": {
            "service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing",
            "service.beta.kubernetes.io/aws-load-balancer-attributes": "deletion_protection.enabled=true",
            "service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags": "team=coder",
        } },
        "spec": { "type": "LoadBalancer", "loadBalancerClass": "service.k8s.aws/nlb", "ports": [{ "port": 443 }] },
    });
    let services = "/api/v1/namespaces/default/services";
    cluster.make_object(services, service).await;
    cluster.aws("nodes", &["system", "1"]);
    // Nothing happens without the controller, nor without subnets that are tagged for it.
    assert_eq!(cluster.aws("balancers", &[]), json!([]));
    controller(&cluster, "kube-system", "public.ecr.aws/eks/aws-load-balancer-controller:v2").await;
    let events = "/api/v1/namespaces/default/events?fieldSelector=reason%3DFailedBuildModel";
    let told = |list: &Value| list["items"][0]["message"].as_str().map(str::to_owned);
    let said = cluster.until("an event", events, told).await;
    assert!(said.contains("unable to resolve at least one subnet"), "{said}");
    cluster.aws("tag", &["kubernetes.io/role/elb"]);
    let path = format!("{services}/web");
    let shown =
        |it: &Value| it["status"]["loadBalancer"]["ingress"][0]["hostname"].as_str().map(str::to_owned);
    let address = cluster.until("an address", &path, shown).await;
    let made = cluster.aws("balancers", &[]);
    assert_eq!(made[0]["address"], address);
    assert_eq!(made[0]["type"], "network");
    assert_eq!(made[0]["ports"], json!([443]));
    let tags = &made[0]["tags"];
    assert_eq!(tags["elbv2.k8s.aws/cluster"], cluster.name);
    assert_eq!(tags["service.k8s.aws/stack"], "default/web");
    assert_eq!(tags["team"], "coder");
    mounted_certificates_are_shown(&cluster).await;
    // It is protected, so it stays, and with it the Service.
    assert_eq!(cluster.ask(Method::DELETE, &path, None).await.0, 200);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let mut service = cluster.get(&path).await;
    assert!(!service["metadata"]["deletionTimestamp"].is_null());
    let annotations = &mut service["metadata"]["annotations"];
    annotations["service.beta.kubernetes.io/aws-load-balancer-attributes"] =
        "deletion_protection.enabled=false".into();
    assert_eq!(cluster.ask(Method::PUT, &path, Some(service)).await.0, 200);
    let gone = |it: &Value| (it["code"] == 404).then_some(());
    cluster.until("a Service that is gone", &path, gone).await;
    assert_eq!(cluster.aws("balancers", &[]), json!([]));
}

/// A webhook whose pod mounts its certificate is taken for what that says, and for nothing else.
async fn mounted_certificates_are_shown(cluster: &Cluster) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let made = rcgen::generate_simple_self_signed(["hook.default.svc".to_owned()]).unwrap();
    let (certificate, key) =
        (STANDARD.encode(made.cert.pem()), STANDARD.encode(made.signing_key.serialize_pem()));
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": { "name": "hook-tls" },
        "data": { "tls.crt": certificate, "tls.key": key },
    });
    cluster.make_object("/api/v1/namespaces/default/secrets", secret).await;
    let mut object = deployment("hook", "a/hook", 1);
    object["spec"]["template"]["spec"]["volumes"] =
        json!([{ "name": "tls", "secret": { "secretName": "hook-tls" } }]);
    cluster.make_object("/apis/apps/v1/namespaces/default/deployments", object).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "hook" },
        "spec": { "selector": { "app": "hook" }, "ports": [{ "port": 443, "targetPort": 9443 }] },
    });
    cluster.make_object("/api/v1/namespaces/default/services", service).await;
    let path = "/apis/apps/v1/namespaces/default/deployments/hook";
    cluster.until("a webhook", path, |it| (it["status"]["readyReplicas"] == 1).then_some(())).await;
    let other = rcgen::generate_simple_self_signed(["hook.default.svc".to_owned()]).unwrap();
    let hook = |name: &str, kind: &str, authority: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": { "name": name },
            "webhooks": [{
                "name": format!("{name}.example.com"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": { "service": { "name": "hook", "namespace": "default" }, "caBundle": authority },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [kind] }],
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "default" } },
            }],
        })
    };
    cluster.make_object(ADMISSION, hook("good", "configmaps", &certificate)).await;
    cluster.make_object(ADMISSION, hook("bad", "limitranges", &STANDARD.encode(other.cert.pem()))).await;
    let start = std::time::Instant::now();
    let limits = "/api/v1/namespaces/default/limitranges";
    let said = loop {
        let object = json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "generateName": "a-" }, "spec": { "limits": [] } });
        let (status, answer) = cluster.ask(Method::POST, limits, Some(object)).await;
        if status == 500 {
            break answer["message"].as_str().unwrap().to_owned();
        }
        assert!(start.elapsed().as_secs() < 20, "{status} {answer}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert!(said.contains("x509: certificate signed by unknown authority"), "{said}");
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "guarded" } });
    cluster.make_object("/api/v1/namespaces/default/configmaps", object).await;
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_gets_a_node_of_a_pool() {
    let cluster = Cluster::make("000000000508", "AmazonEKSClusterAdminPolicy");
    cluster.aws("nodes", &["system", "1"]);
    cluster.aws("tag", &["karpenter.sh/discovery"]);
    define(&cluster, "karpenter.sh", "nodepools", "NodePool", "Cluster").await;
    define(&cluster, "karpenter.k8s.aws", "ec2nodeclasses", "EC2NodeClass", "Cluster").await;
    let class = json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": { "name": "large" },
        "spec": {
            "subnetSelectorTerms": [{ "tags": { "karpenter.sh/discovery": "1" } }],
            "blockDeviceMappings": [{ "deviceName": "/dev/xvda", "ebs": { "volumeSize": "200Gi" } }],
        },
    });
    let pool = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": { "name": "workspaces" },
        "spec": { "template": {
            "metadata": { "labels": { "use": "workspaces" } },
            "spec": {
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "large" },
                "taints": [{ "key": "workspaces", "effect": "NoSchedule" }],
                "requirements": [{ "key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.large", "m5.4xlarge"] }],
            },
        } },
    });
    cluster.make_object("/apis/karpenter.sh/v1/nodepools", pool).await;
    let mut object = deployment("workspace", "a/workspace", 1);
    object["spec"]["template"]["spec"]["nodeSelector"] = json!({ "use": "workspaces" });
    object["spec"]["template"]["spec"]["tolerations"] =
        json!([{ "key": "workspaces", "operator": "Exists" }]);
    object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] =
        json!({ "cpu": "6", "ephemeral-storage": "100Gi" });
    cluster.make_object("/apis/apps/v1/namespaces/default/deployments", object).await;
    controller(&cluster, "kube-system", "public.ecr.aws/karpenter/controller:1").await;
    let path = "/apis/karpenter.sh/v1/nodepools/workspaces";
    let waits = |it: &Value| (it["status"]["conditions"][0]["reason"] == "NodeClassNotFound").then_some(());
    cluster.until("a pool that waits", path, waits).await;
    cluster.make_object("/apis/karpenter.k8s.aws/v1/ec2nodeclasses", class).await;
    cluster.until("a pool that is ready", path, ready).await;
    let workspace = "/apis/apps/v1/namespaces/default/deployments/workspace";
    cluster.until("a workspace", workspace, |it| (it["status"]["readyReplicas"] == 1).then_some(())).await;
    let nodes = cluster.get("/api/v1/nodes?labelSelector=karpenter.sh%2Fnodepool%3Dworkspaces").await;
    assert_eq!(names(&nodes).len(), 1);
    let node = &nodes["items"][0];
    assert_eq!(node["metadata"]["labels"]["node.kubernetes.io/instance-type"], "m5.4xlarge");
    assert_eq!(node["status"]["capacity"]["ephemeral-storage"], "200Gi");
    // Nodes go with their pool.
    assert_eq!(cluster.ask(Method::DELETE, path, None).await.0, 200);
    cluster.until("one node", "/api/v1/nodes", |list| (names(list).len() == 1).then_some(())).await;
}
