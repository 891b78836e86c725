"""Calls and seconds of a plan that finds nothing to do, cold start and size of `deploy`.

    cargo build --release --bin deploy
    python3 benches/ecs.py

Uses the sandbox that `deploy sandbox up` keeps, in which it deploys examples/ecs.toml first.
"""

import collections
import json
import os
import pathlib
import re
import statistics
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
DEPLOY = str(BUILT / "deploy")
EXAMPLE = ["--sandbox", "-f", str(ROOT / "examples/ecs.toml")]


def run(*args):
    begun = time.monotonic()
    subprocess.run([DEPLOY, *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def ask(url, method="GET", body=None):
    request = urllib.request.Request(url, data=body and json.dumps(body).encode(), method=method)
    with urllib.request.urlopen(request) as page:
        return json.load(page)


def median(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def main():
    print(f"size of deploy            {os.path.getsize(DEPLOY) / 1e6:.1f} MB")
    run("--help")
    print(f"deploy --help             {median([run('--help') for _ in range(20)])} s")
    run("sandbox", "up")
    status = subprocess.run([DEPLOY, "sandbox", "status"], check=True, capture_output=True, text=True).stdout
    endpoint = re.search(r"http://[0-9.:]+", status)[0]
    print(f"first apply               {run('apply', *EXAMPLE, '--yes'):.1f} s")
    for latency in (0, 50):
        if latency:
            ask(f"{endpoint}/_causeway/rules", "POST", {"operation": "*", "act": {"latency": {"fixed": latency}}})
        took = []
        for _ in range(5):
            ask(f"{endpoint}/_causeway/calls", "DELETE")
            took.append(run("plan", *EXAMPLE))
        calls = ask(f"{endpoint}/_causeway/calls")["calls"]
        print(f"clean plan, {latency:>2} ms a call  {median(took)} s, {len(calls)} calls")
    ask(f"{endpoint}/_causeway/rules", "DELETE")
    for service, number in collections.Counter(c["service"] for c in calls).most_common():
        print(f"    {number:>3} {service}")


main()
