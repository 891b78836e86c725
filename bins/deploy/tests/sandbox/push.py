# Pushes an image for two processors, in an index, by the API of registries; prints its digest.
import hashlib, json, urllib.parse, urllib.request

registry, name, tag, more = sys.argv[1:]
ecr = boto3.client("ecr", region_name="us-east-1")
try:
    ecr.create_repository(repositoryName=name)
except ecr.exceptions.RepositoryAlreadyExistsException:
    pass


def call(method, url, body=b"", kind="application/octet-stream"):
    headers = {"Authorization": "Basic QVdTOmE=", "Content-Type": kind}
    request = urllib.request.Request(urllib.parse.urljoin(registry, url), body, headers, method=method)
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)


def blob(body, kind):
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    place = call("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    call("PUT", place + ("&" if "?" in place else "?") + "digest=" + digest, body)
    return {"mediaType": kind, "digest": digest, "size": len(body)}


def manifest(document, reference):
    body = json.dumps(document).encode()
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    call("PUT", f"/v2/{name}/manifests/{reference or digest}", body, document["mediaType"])
    return {"mediaType": document["mediaType"], "digest": digest, "size": len(body)}


OCI = "application/vnd.oci.image."
manifests = []
for processor in ["amd64", "arm64"]:
    platform = {"os": "linux", "architecture": processor}
    config = blob(json.dumps({**platform, "config": {}, "more": more}).encode(), OCI + "config.v1+json")
    layers = [blob((name + processor).encode() * 10000, OCI + "layer.v1.tar+gzip")]
    image = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config, "layers": layers}
    manifests.append({**manifest(image, None), "platform": platform})
index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": manifests}
print(manifest(index, tag)["digest"])
