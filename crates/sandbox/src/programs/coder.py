"""What runs instead of an image: a server that answers like Coder where a deployment looks.

    coder.py STATE      STATE/config.json: image, names of its environment, ports {inside: outside},
                   listeners {inside: file descriptor}

The name, the tag or the label `causeway.behaviour` of the image decides how it behaves: `crash` exits with 1 after a second, `slow` listens only after
20 s, `unhealthy` answers /healthz with 500. With a database address it connects to it first, and gives up like Coder.

A command is printed and not run, as there is no image to run it in: it ends with 0, or with N after `exit N`; `sleep N` lasts N seconds.
"""

import http.server
import json
import os
import re
import signal
import socket
import sys
import time
import urllib.parse
from datetime import datetime, timezone

SLOW = 20
DATABASE_TRIES = 5

with open(os.path.join(sys.argv[1], "config.json")) as file:
    CONFIG = json.load(file)
NAME = CONFIG["image"].rpartition("/")[2]
LABELS = CONFIG["image_labels"]
# An image that is deployed by its digest says what it is in its labels.
BEHAVIOUR = (CONFIG["image"].partition("/")[2] or CONFIG["image"]) + " " + LABELS.get("causeway.behaviour", "")
TAGGED = (re.search(r":v?(\d[^@]*)", NAME) or [None, "0.0.0-devel"])[1]
VERSION = LABELS.get("org.opencontainers.image.version", TAGGED).removeprefix("v")


def log(level, source, message, **fields):
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    extra = "".join(f"  {name}={json.dumps(value)}" for name, value in fields.items())
    print(f"{now} [{level}]  {source}: {message}{extra}", flush=True)


def setting(suffix):
    """The variable may have any prefix, as forks rename CODER_."""
    for name in sorted(os.environ, key=lambda name: (not name.startswith("CODER_"), name)):
        if name.endswith("_" + suffix):
            return os.environ[name]
    return None


def give_up(message):
    print(f"Encountered an error running \"coder server\", see \"coder server --help\" for more information\nerror: {message}",
          file=sys.stderr, flush=True)
    sys.exit(1)


def connect(address):
    """Asks the server whether it speaks PostgreSQL; a password is not tried."""
    try:
        parsed = urllib.parse.urlsplit(address)
        host, port = parsed.hostname, parsed.port or 5432
    except ValueError:
        host = None
    if not host or parsed.scheme not in ("postgres", "postgresql"):
        give_up("connect to postgres: parse address: it must look like postgres://user:password@host:port/database")
    for attempt in range(1, DATABASE_TRIES + 1):
        try:
            with socket.create_connection((host, port), timeout=5) as server:
                server.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest: every PostgreSQL answers with S or N.
                if server.recv(1) in (b"S", b"N"):
                    log("info", "coderd", "connected to postgres", host=host, port=port)
                    return
                error = "unexpected answer to SSLRequest"
        except OSError as failure:
            error = f"dial tcp {host}:{port}: {failure.strerror or failure}"
        log("warn", "coderd", "connect to postgres: failed, retrying", attempt=attempt, error=error)
        time.sleep(1)
    give_up(f"connect to postgres; tries {DATABASE_TRIES}; last error: {error}")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path == "/healthz":
            failed = "unhealthy" in BEHAVIOUR
            self.answer(500 if failed else 200, "text/plain; charset=utf-8", "unhealthy" if failed else "OK")
        elif path == "/api/v2/buildinfo":
            self.answer(200, "application/json; charset=utf-8", json.dumps({
                "external_url": f"https://github.com/coder/coder/releases/tag/v{VERSION}",
                "version": f"v{VERSION}",
                "dashboard_url": setting("ACCESS_URL") or "",
                "telemetry": False,
                "workspace_proxy": False,
            }))
        elif path == "/":
            self.answer(200, "text/html; charset=utf-8", "<!doctype html><title>Coder</title><h1>Coder</h1>\n")
        else:
            self.answer(404, "application/json; charset=utf-8", json.dumps({"message": "Route not found."}))

    do_HEAD = do_GET

    def answer(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Coder-Build-Version", f"v{VERSION}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, form, *values):
        pass  # Coder logs requests only at debug level.


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    # The socket is bound already: by the stand-in for docker when the port is published.
    def __init__(self, listener):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.server_activate()

    def handle_error(self, request, address):
        pass  # A client that hangs up is no news.


def listener():
    """The socket for the address that the server was told to listen on; nobody reaches it unless its port is published."""
    address = setting("HTTP_ADDRESS") or f"0.0.0.0:{next(iter(CONFIG['ports']), '3000')}"
    host, _, port = address.rpartition(":")
    log("info", "coderd", f"Started HTTP listener at http://{address}")
    published = CONFIG["listeners"].get(port)
    # Inside a container the loopback of the container is meant.
    if published is not None and host not in ("127.0.0.1", "localhost", "[::1]"):
        return socket.socket(fileno=published)
    log("warn", "coderd", "this address is not published by the task", address=address)
    private = socket.socket()
    private.bind(("127.0.0.1", 0))
    return private


def main():
    def terminate(*_):
        log("info", "coderd", "Interrupt caught, gracefully exiting. Use ctrl+\\ to force quit")
        os._exit(0)

    signal.signal(signal.SIGTERM, terminate)
    print(f"Coder v{VERSION} - Your Self-Hosted Remote Development Platform", flush=True)
    log("info", "coderd", "environment", names=CONFIG["environment"])
    if "crash" in BEHAVIOUR:
        time.sleep(1)
        log("erro", "coderd", "panic: this image crashes on purpose")
        give_up("this image crashes on purpose")
    command = CONFIG["command"]
    if command:
        print(f"command: {' '.join(command)}", flush=True)
        if command[0] == "sleep":
            time.sleep(float(command[1]))
        sys.exit(int(command[1]) if command[0] == "exit" else 0)
    database = setting("PG_CONNECTION_URL")
    if database is None:
        log("info", "coderd", "Using built-in PostgreSQL")
    else:
        connect(database)
    if "slow" in BEHAVIOUR:
        log("info", "coderd", f"starting slowly, for {SLOW} seconds")
        time.sleep(SLOW)
    server = Server(listener())
    access = setting("ACCESS_URL")
    if access:
        log("info", "coderd", f"View the Web UI: {access}")
    server.serve_forever()


main()
