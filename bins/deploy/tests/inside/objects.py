"""What API servers have, as the administrators of their kubeconfigs see it: `list` prints every object, `clear` takes what is
ours away and waits until it is gone, the definitions of custom resources excepted; `suspend` suspends all jobs; `dry`
prints how many dry runs there were; `guard` is a webhook that lets no pod of Coder in and no key of provisioners, until its
input ends; `operator FILE` brings what the Prometheus operator brings. Nothing of ours is in it."""

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import sys
import tempfile
import threading
import time
import urllib.request

OURS = ("app.kubernetes.io/managed-by", "causeway")
# What goes first: what others would be asked about or held by.
FIRST = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "Ingress", "Service")
LIMIT = 180


def connection(kubeconfig):
    config = json.load(open(kubeconfig))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    decoded = lambda name, of: base64.b64decode(of[name])
    context = ssl.create_default_context(cadata=decoded("certificate-authority-data", cluster).decode())
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(decoded("client-certificate-data", user) + b"\n" + decoded("client-key-data", user))
        pair.flush()
        context.load_cert_chain(pair.name)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))

    def call(path, method="GET", body=None, read=json.load):
        sent = urllib.request.Request(cluster["server"] + path, method=method, data=body and json.dumps(body).encode())
        sent.add_header("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json")
        with opener.open(sent, timeout=60) as answer:
            return read(answer)

    return call


def kinds(call):
    groups = [("v1", "/api/v1")]
    for group in call("/apis")["groups"]:
        version = group["preferredVersion"]["groupVersion"]
        groups.append((version, f"/apis/{version}"))
    for version, path in groups:
        try:
            found = call(path)["resources"]
        except urllib.error.HTTPError:
            continue  # An API service whose pods do not answer.
        yield from ((version, path, kind) for kind in found if "/" not in kind["name"] and "list" in kind["verbs"])


def objects(call):
    for version, path, kind in kinds(call):
        try:
            found = call(f"{path}/{kind['name']}")["items"]
        except urllib.error.HTTPError:
            continue
        for one in found:
            space = one["metadata"].get("namespace")
            at = f"namespaces/{space}/" if space else ""
            yield f"{path}/{at}{kind['name']}/{one['metadata']['name']}", {**one, "apiVersion": version, "kind": kind["kind"]}


def delete(call, path):
    try:
        call(path, "DELETE", {"propagationPolicy": "Background", "gracePeriodSeconds": 0})
    except urllib.error.HTTPError as error:
        if error.code not in (404, 409):
            raise


def is_ours(one):
    key, value = OURS
    return one["metadata"].get("labels", {}).get(key) == value and one["kind"] != "CustomResourceDefinition"


def clear(call):
    begun = time.monotonic()
    there = [(path, one) for path, one in objects(call) if is_ours(one)]
    spaces = {one["metadata"]["name"] for _, one in there if one["kind"] == "Namespace"}
    programs = {(one["metadata"].get("namespace"), one["metadata"]["name"]) for _, one in there if one["kind"] == "Deployment"}
    rank = lambda pair: FIRST.index(pair[1]["kind"]) if pair[1]["kind"] in FIRST else len(FIRST) + (pair[1]["kind"] == "Namespace")
    there.sort(key=rank)
    held = [path for path, one in there if one["kind"] in ("Ingress", "Service")]
    for path, one in there:
        if rank((path, one)) >= len(FIRST):
            break
        delete(call, path)
    # Their load balancers go with them, as long as there is a controller.
    while any(is_there(call, path) for path in held):
        wait(begun)
    for path, one in there:
        delete(call, path)
    while True:
        left = 0
        for path, one in objects(call):
            space, name, kind = one["metadata"].get("namespace"), one["metadata"]["name"], one["kind"]
            made = kind in ("Pod", "ReplicaSet") and any(name.startswith(f"{of}-") and space == at for at, of in programs)
            node = kind == "Node" and "karpenter.sh/nodepool" in one["metadata"].get("labels", {})
            secret = kind == "Secret" and space == "kube-system" and name.startswith("aws-load-balancer")
            if made or node or secret:
                delete(call, path)
            left += made or node or secret or space in spaces or is_ours(one)
        if not left:
            return
        wait(begun)


def is_there(call, path):
    try:
        return bool(call(path))
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False


def wait(begun):
    if time.monotonic() - begun > LIMIT:
        sys.exit("it does not go away")
    time.sleep(0.3)


def suspend(call):
    for path, one in objects(call):
        if one["kind"] == "CronJob":
            call(path, "PATCH", {"spec": {"suspend": True}})


ADMISSION = "/apis/admissionregistration.k8s.io/v1/"


GUARD = "guard.causeway.example"
SPACES = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["coder", "coder-ws"]}]}


def refused(asked):
    """What the guard says of an object; nothing where it takes it."""
    kind, name = asked["kind"]["kind"], asked.get("name") or ""
    if kind == "Pod" and asked["namespace"] == "coder":
        return "no pod of Coder, says the guard"
    return "nobody brings a key, says the guard" if kind == "Secret" and name == "provisioner-key" else None


class Guard(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        why = refused(review["request"])
        response = {"uid": review["request"]["uid"], "allowed": why is None}
        if why:
            response["status"] = {"code": 403, "message": why}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def certified():
    """A context for 127.0.0.1, and the certificate that shows it, which nobody else has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, GUARD)])
    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, begin + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(made + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context, made


def guard(call):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guard)
    context, certificate = certified()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": GUARD},
        "webhooks": [
            {
                "name": GUARD,
                "clientConfig": {
                    "url": f"https://127.0.0.1:{server.server_port}/",
                    "caBundle": base64.b64encode(certificate).decode(),
                },
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods", "secrets"]}],
                "namespaceSelector": SPACES,
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    path = ADMISSION + "validatingwebhookconfigurations"
    call(path, "POST", configuration)
    settle(call, True)
    print("on guard", flush=True)
    sys.stdin.read()
    delete(call, f"{path}/{GUARD}")
    settle(call, False)


def settle(call, guarded):
    """The API server hears of a webhook, and of its end, a moment later."""
    begun = time.monotonic()
    while is_refused(call) != guarded:
        wait(begun)


def is_refused(call):
    secret = {"metadata": {"name": "provisioner-key"}}
    try:
        call("/api/v1/namespaces/coder-ws/secrets?dryRun=All", "POST", secret)
    except urllib.error.HTTPError as error:
        return GUARD in error.read().decode()
    return False


def operator(call):
    """The definition of the operator's rules, as upstream publishes it, and the namespace that it looks in."""
    import yaml

    call("/api/v1/namespaces", "POST", {"metadata": {"name": "monitoring"}})
    definition = yaml.safe_load(open(sys.argv[2]))
    call("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "POST", definition)


def dry(call):
    """As the API server counts its requests."""
    lines = call("/metrics", read=lambda answer: answer.read().decode()).splitlines()
    counted = [line for line in lines if line.startswith("apiserver_request_total{") and 'dry_run="All"' in line]
    print(sum(int(line.rsplit(" ", 1)[1]) for line in counted))


OTHERS = {"guard": guard, "operator": operator, "dry": dry, "suspend": suspend}
if sys.argv[1] in OTHERS:
    for path in sys.argv[3 if sys.argv[1] == "operator" else 2 :]:
        OTHERS[sys.argv[1]](connection(path))
elif sys.argv[1] == "clear":
    for path in sys.argv[2:]:
        clear(connection(path))
else:
    json.dump([[one for _, one in objects(connection(path))] for path in sys.argv[2:]], sys.stdout)
