"""The part of the docker command line that fakecloud 0.51 calls and that `container` does not answer itself, with local processes for
containers.

An image of the emulator's own registry must be there to be pulled. Its content is never run: every image behaves like the
Coder server in coder.py. What a container with the awslogs driver prints goes to the emulator's CloudWatch logs while it runs
(fakecloud itself would send it when the task has ended). What is kept of a container is a folder named by its id in $CAUSEWAY_CONTAINERS:

    config.json   image, environment names, ports          log      what it printed
    pid           its process                              health   starting, healthy, unhealthy; absent without a check
    exit          its exit code, once it has ended
    forwarded     there if its log goes to CloudWatch

The monitor, a fork of `run`, is the parent of the process; it writes the state, and ends with the supervisor.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

ROOT = os.environ["CAUSEWAY_CONTAINERS"]
PROGRAMS = os.environ["CAUSEWAY_PROGRAMS"]
IMAGES = os.path.join(ROOT, ".images")
# fakecloud asks for this image to route 169.254.170.2 into a task's network. There are no networks here: refusing to run it makes
# fakecloud hand the full address of the credentials to the task instead.
NAMESPACE_HELPER = "causeway/no-network-namespaces"
MANIFESTS = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    )
)
SWITCHES = {"-d", "--detach", "--init", "--privileged", "--tty", "--interactive", "--read-only"}


def fail(message, code=1):
    print(message, file=sys.stderr)
    sys.exit(code)


def write(path, text):
    """Readers see the old content or the new one, never a part."""
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w") as file:
        file.write(text)
    os.rename(beside, path)


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def folder(name):
    path = os.path.realpath(os.path.join(ROOT, name))
    if not name or "/" in name or not os.path.isdir(path):
        fail(f"Error response from daemon: No such container: {name}")
    return path


# Images


def split(reference):
    """Registry, repository, and the tag or digest."""
    registry, _, path = reference.partition("/")
    if not path or not re.search(r"[.:]|^localhost$", registry):
        registry, path = "docker.io", reference
    if "@" in path:
        path, _, version = path.partition("@")
        return registry, path.partition(":")[0], version
    path, _, version = path.partition(":")
    return registry, path, version or "latest"


def image_record(reference):
    return os.path.join(IMAGES, urllib.parse.quote(reference, safe=""))


def ask(registry, method, path):
    connection = http.client.HTTPConnection(registry, timeout=30)
    token = base64.b64encode(b"AWS:causeway").decode()
    connection.request(method, path, headers={"Authorization": f"Basic {token}", "Accept": MANIFESTS})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def pull(arguments):
    reference = [argument for argument in arguments if not argument.startswith("-")][0]
    registry, repository, version = split(reference)
    unknown = f"Error response from daemon: manifest for {reference} not found: manifest unknown: Requested image not found"
    digest, labels = None, {}
    if registry.startswith("127.0.0.1:"):
        try:
            status, headers, body = ask(registry, "GET", f"/v2/{repository}/manifests/{version}")
            if status == 200:
                digest = headers.get("Docker-Content-Digest") or "sha256:" + hashlib.sha256(body).hexdigest()
                config = json.loads(body).get("config")
                if config:
                    status, _, body = ask(registry, "GET", f"/v2/{repository}/blobs/{config['digest']}")
                    if status == 200:
                        labels = json.loads(body).get("config", {}).get("Labels") or {}
        except (OSError, ValueError) as error:
            fail(f"Error response from daemon: Get \"http://{registry}/v2/\": {error}")
        if status == 404:
            fail(unknown)
        if status in (401, 403):
            fail(f"Error response from daemon: pull access denied for {repository}, repository does not exist or may require authorization")
        if status != 200:
            fail(f"Error response from daemon: received unexpected HTTP status: {status}")
    elif "missing" in f"{repository}:{version}":
        fail(unknown)
    os.makedirs(IMAGES, exist_ok=True)
    write(image_record(reference), json.dumps({"repository": f"{registry}/{repository}", "digest": digest, "labels": labels}))
    print(reference)


def image(arguments):
    if arguments[:1] != ["inspect"]:
        fail(f"image {' '.join(arguments)}: not supported by the stand-in")
    reference = arguments[-1]
    if reference == NAMESPACE_HELPER:
        print("[]")
        return
    record = read(image_record(reference))
    if record is None:
        fail(f"Error response from daemon: No such image: {reference}")
    record = json.loads(record)
    if "-f" in arguments:
        if not record["digest"]:
            fail("template parsing error: RepoDigests is empty")
        print(f"{record['repository']}@{record['digest']}")
    else:
        print(json.dumps([{"RepoTags": [reference]}]))


def tag(arguments):
    source, target = arguments
    record = read(image_record(source))
    if record is None:
        fail(f"Error response from daemon: No such image: {source}")
    write(image_record(target), record)


# Logs


def call(server, region, target, body):
    """One call of the emulator, which runs without checking signatures."""
    service = "ecs" if target.startswith("AmazonEC2ContainerService") else "logs"
    scope = f"Credential=AKIDEXAMPLE/20200101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", "Authorization": "AWS4-HMAC-SHA256 " + scope}
    connection = http.client.HTTPConnection(server, timeout=10)
    try:
        connection.request("POST", "/", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


class Forward:
    """Sends what a container prints to its log stream."""

    def __init__(self, server, region, group, stream):
        self.server, self.region = server, region
        self.place = {"logGroupName": group, "logStreamName": stream}
        self.sent = 0

    @staticmethod
    def of(environment, labels):
        """The stream that the task definition names for this container; None without the awslogs driver."""
        metadata = urllib.parse.urlsplit(environment.get("ECS_CONTAINER_METADATA_URI_V4", ""))
        container, task = labels.get("fakecloud-ecs-container"), labels.get("fakecloud-ecs-task")
        if not metadata.netloc or not container or not task:
            return None
        connection = http.client.HTTPConnection(metadata.netloc, timeout=10)
        connection.request("GET", metadata.path)
        known = json.loads(connection.getresponse().read())
        region = known["TaskARN"].split(":")[3]
        name = f"{known['Family']}:{known['Revision']}"
        target = "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition"
        _, answer = call(metadata.netloc, region, target, {"taskDefinition": name})
        for definition in answer.get("taskDefinition", {}).get("containerDefinitions", []):
            driver = definition.get("logConfiguration") or {}
            if definition["name"] == container and driver.get("logDriver") == "awslogs":
                options = driver.get("options", {})
                region = options.get("awslogs-region", region)
                stream = "/".join(filter(None, (options.get("awslogs-stream-prefix"), container, task)))
                forward = Forward(metadata.netloc, region, options["awslogs-group"], stream)
                forward.open(options.get("awslogs-create-group") == "true")
                return forward
        return None

    def open(self, create):
        if create:
            call(self.server, self.region, "Logs_20140328.CreateLogGroup", {"logGroupName": self.place["logGroupName"]})
        status, answer = call(self.server, self.region, "Logs_20140328.CreateLogStream", self.place)
        kind = answer.get("__type", "").rpartition("#")[2]
        if status != 200 and kind != "ResourceAlreadyExistsException":
            fail(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create "
                f"Cloudwatch log stream: {kind}: {answer.get('message', '')} : exit status 1",
                125,
            )

    def send(self, path, ended):
        """Sends the whole lines since the last time, at the end also an unfinished one."""
        with open(path, "rb") as log:
            log.seek(self.sent)
            text = log.read()
        if not ended:
            text = text[: text.rfind(b"\n") + 1]
        lines = [line for line in text.decode(errors="replace").splitlines() if line]
        now = int(time.time() * 1000)
        for first in range(0, len(lines), 1000):
            events = [{"timestamp": now, "message": line} for line in lines[first : first + 1000]]
            call(self.server, self.region, "Logs_20140328.PutLogEvents", {**self.place, "logEvents": events})
        self.sent += len(text)


# Containers


def parse(arguments):
    """The flags of `run` by name, each a list of values; the image; the command."""
    flags, rest = {}, list(arguments)
    while rest and rest[0].startswith("-"):
        flag, equals, value = rest.pop(0).partition("=")
        if flag in SWITCHES:
            value = "true"
        elif not equals:
            value = rest.pop(0)
        flags.setdefault({"-e": "--env", "-p": "--publish"}.get(flag, flag), []).append(value)
    if not rest:
        fail('"docker run" requires at least 1 argument.', 125)
    return flags, rest[0], rest[1:]


def seconds(flags, name, otherwise):
    return float(flags.get(name, [str(otherwise)])[0].rstrip("s"))


def publish(specifications):
    """Takes a port of 127.0.0.1 for each published one. The sockets are bound now and listened on by the process."""
    taken = {}
    for specification in specifications:
        ports, _, protocol = specification.partition("/")
        host, _, inside = ports.rpartition(":")
        if protocol not in ("", "tcp"):
            continue
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", int(host or 0)))
        except OSError:
            fail(f"docker: Error response from daemon: Bind for 127.0.0.1:{host} failed: port is already allocated.", 125)
        taken[inside] = listener
    return taken


def run(arguments):
    flags, reference, command = parse(arguments)
    if reference == NAMESPACE_HELPER:
        fail("docker: network namespaces are not supported by the stand-in", 125)
    if read(image_record(reference)) is None:
        fail(f"docker: Error response from daemon: No such image: {reference}", 125)
    listeners = publish(flags.get("--publish", []))

    hosts = [entry.split(":", 1) for entry in flags.get("--add-host", [])]
    environment = {}
    for entry in flags.get("--env", []):
        name, _, value = entry.partition("=")
        # A task shares the network of this machine, so the names of its host are loopback.
        for host, address in hosts:
            value = value.replace(host, address)
        environment[name] = value

    labels = dict(label.partition("=")[::2] for label in flags.get("--label", []))
    forward = Forward.of(environment, labels)

    identity = secrets.token_hex(32)
    state = os.path.join(ROOT, identity)
    os.makedirs(state)
    known = json.loads(read(image_record(reference)) or "{}")
    config = {
        "image": reference,
        "image_labels": known.get("labels") or {},
        "command": command,
        "environment": sorted(environment),
        "ports": {inside: listener.getsockname()[1] for inside, listener in listeners.items()},
        "listeners": {inside: listener.fileno() for inside, listener in listeners.items()},
    }
    write(os.path.join(state, "config.json"), json.dumps(config))
    for name in flags.get("--name", []):
        try:
            os.symlink(identity, os.path.join(ROOT, name))
        except FileExistsError:
            shutil.rmtree(state)
            fail(f'docker: Error response from daemon: Conflict. The container name "/{name}" is already in use.', 125)

    if forward:
        write(os.path.join(state, "forwarded"), "")
    check = flags.get("--health-cmd", [None])[0]
    if check:
        write(os.path.join(state, "health"), "starting\n")
    started, report = os.pipe()
    if os.fork():
        os.close(report)
        os.read(started, 1)
        print(identity)
        return
    os.setsid()
    # The caller waits for the end of these.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOSTNAME": identity[:12], **environment}
    with open(os.path.join(state, "log"), "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.join(PROGRAMS, "coder.py"), state],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=state,
            start_new_session=True,
            pass_fds=[listener.fileno() for listener in listeners.values()],
        )
    write(os.path.join(state, "pid"), f"{process.pid}\n")
    os.close(report)
    for listener in listeners.values():
        listener.close()
    monitor(process, state, check, flags, environment, config["ports"], forward)


def probe(check, environment, ports, limit):
    """One health check, as the container would make it: its own address is the published port here."""
    for inside, outside in ports.items():
        check = re.sub(rf"(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]):{inside}\b", f"127.0.0.1:{outside}", check)
    found = re.search(r"https?://([^\s/'\"]+)([^\s'\"|;&)]*)", check)
    if found:
        # Most checks are curl or wget, which need not be installed here.
        connection = http.client.HTTPConnection(found.group(1), timeout=limit)
        try:
            connection.request("GET", found.group(2) or "/")
            answer = connection.getresponse()
            answer.read()
            return answer.status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
    try:
        return subprocess.run(["/bin/sh", "-c", check], env=environment, timeout=limit, capture_output=True).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False
    except PermissionError:
        return True


def monitor(process, state, check, flags, environment, ports, forward):
    supervisor = int(os.environ.get("CAUSEWAY_SUPERVISOR", os.getppid()))
    interval = seconds(flags, "--health-interval", 30)
    limit = seconds(flags, "--health-timeout", 5)
    retries = seconds(flags, "--health-retries", 3)
    grace = time.monotonic() + seconds(flags, "--health-start-period", 0)
    due, failures = time.monotonic() + interval, 0
    while True:
        try:
            code = process.wait(timeout=0.25)
            break
        except subprocess.TimeoutExpired:
            pass
        if not alive(supervisor):
            process.kill()
        forward_log(forward, state)
        if check and time.monotonic() >= due:
            due = time.monotonic() + interval
            if probe(check, environment, ports, limit):
                failures = 0
                write(os.path.join(state, "health"), "healthy\n")
            elif time.monotonic() >= grace:
                failures += 1
                if failures >= retries:
                    write(os.path.join(state, "health"), "unhealthy\n")
    forward_log(forward, state, ended=True)
    try:
        write(os.path.join(state, "exit"), f"{128 - code if code < 0 else code}\n")
    except OSError:
        pass  # Removed meanwhile.


def forward_log(forward, state, ended=False):
    if forward:
        try:
            forward.send(os.path.join(state, "log"), ended)
        except (OSError, ValueError, http.client.HTTPException):
            pass  # The emulator is busy or gone; what was not sent is sent the next time.


def wait_for_end(state, limit=None):
    end = None if limit is None else time.monotonic() + limit
    while True:
        code = read(os.path.join(state, "exit"))
        if code is not None or not os.path.isdir(state):
            return code
        if end is not None and time.monotonic() >= end:
            return None
        time.sleep(0.02)


def send(state, number):
    if read(os.path.join(state, "exit")) is None:
        try:
            os.kill(int(read(os.path.join(state, "pid"))), number)
        except (ProcessLookupError, TypeError):
            pass


def stop(arguments):
    limit, names = 10.0, []
    while arguments:
        argument = arguments.pop(0)
        if argument in ("-t", "--time", "--timeout"):
            limit = float(arguments.pop(0))
        else:
            names.append(argument)
    for name in names:
        state = folder(name)
        send(state, signal.SIGTERM)
        if wait_for_end(state, limit) is None:
            send(state, signal.SIGKILL)
            wait_for_end(state, 5)
        print(name)


def kill(arguments):
    for name in arguments:
        state = folder(name)
        send(state, signal.SIGKILL)
        wait_for_end(state, 5)
        print(name)


def remove(arguments):
    for name in arguments:
        if name.startswith("-"):
            continue
        state = folder(name)
        send(state, signal.SIGKILL)
        wait_for_end(state, 5)
        for entry in os.listdir(ROOT):
            link = os.path.join(ROOT, entry)
            if os.path.islink(link) and os.path.realpath(link) == state:
                os.unlink(link)
        shutil.rmtree(state, ignore_errors=True)
        print(name)


def wait(arguments):
    for name in arguments:
        print(wait_for_end(folder(name)) or "137")


def logs(arguments):
    state = folder(arguments[-1])
    if os.path.exists(os.path.join(state, "forwarded")):
        return  # fakecloud would send it all a second time.
    with open(os.path.join(state, "log"), "rb") as log:
        shutil.copyfileobj(log, sys.stdout.buffer)


def port(arguments):
    ports = json.loads(read(os.path.join(folder(arguments[0]), "config.json")))["ports"]
    inside = arguments[1].partition("/")[0]
    if inside not in ports:
        fail(f"Error: No public port '{arguments[1]}' published for {arguments[0]}")
    print(f"127.0.0.1:{ports[inside]}")


COMMANDS = {
    "pull": pull,
    "image": image,
    "tag": tag,
    "run": run,
    "stop": stop,
    "kill": kill,
    "rm": remove,
    "wait": wait,
    "logs": logs,
    "port": port,
}

name = sys.argv[1] if len(sys.argv) > 1 else ""
if name not in COMMANDS:
    fail(f"{name}: not supported by the stand-in for docker")
COMMANDS[name](sys.argv[2:])
