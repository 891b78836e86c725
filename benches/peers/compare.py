"""Makes one small network with four tools on one sandbox, twice each, and prints seconds and API calls.

    cargo build --release --bin deploy --bin network
    python3 -m venv target/peers && target/peers/bin/pip install awscli boto3 ansible
    cp -r benches/peers target/peers/node && npm --prefix target/peers/node install
    python3 benches/peers/compare.py target/peers

Every round and tool has an account of its own. The tools take turns, so that all see the same machine.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target")) / "release"
PEERS = pathlib.Path(sys.argv[1]).resolve()
ROUNDS = 3

TOOLS = {
    "causeway": [str(BUILT / "network")],
    "aws CLI script": ["sh", str(HERE / "script.sh")],
    "Ansible": [str(PEERS / "bin/ansible-playbook"), "-i", "localhost,", str(HERE / "playbook.yml")],
    "alchemy": [str(PEERS / "node/node_modules/.bin/tsx"), str(PEERS / "node/alchemy.run.ts")],
}


def calls(endpoint, key):
    with urllib.request.urlopen(f"{endpoint}/_causeway/calls") as page:
        return [c for c in json.load(page)["calls"] if c["access_key"] == key]


def main():
    deploy = str(BUILT / "deploy")
    subprocess.run([deploy, "sandbox", "up"], check=True, stdout=subprocess.DEVNULL)
    exports = subprocess.run([deploy, "sandbox", "up", "--env"], check=True, capture_output=True, text=True).stdout
    sandbox = dict(re.findall(r"export (\w+)='?([^'\n]*)'?", exports))
    endpoint = sandbox["AWS_ENDPOINT_URL"]
    found = {tool: [] for tool in TOOLS}
    account = int(time.time()) * 100
    for _ in range(ROUNDS):
        for tool, command in TOOLS.items():
            account += 1
            key = f"AKCW{account:012d}SBOX"
            row = []
            with tempfile.TemporaryDirectory() as folder:
                env = os.environ | sandbox
                env |= {"AWS_ACCESS_KEY_ID": key, "AWS_REGION": "us-east-1", "ALCHEMY_PASSWORD": "x"}
                env |= {"CI": "1", "ALCHEMY_CI_STATE_STORE_CHECK": "false"}
                env |= {"PATH": f"{PEERS / 'bin'}:{env['PATH']}", "ANSIBLE_PYTHON_INTERPRETER": str(PEERS / "bin/python")}
                for _ in ("apply", "again"):
                    before, begun = len(calls(endpoint, key)), time.monotonic()
                    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
                    took = time.monotonic() - begun
                    if run.returncode:
                        sys.exit(f"{tool} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
                    these = calls(endpoint, key)[before:]
                    row.append((took, len(these), sum(c["mutates"] for c in these)))
            found[tool].append(row)
    print("| tool | apply, s | calls | again, s | calls | of them changing |\n|---|---|---|---|---|---|")
    for tool, rows in found.items():
        cells = []
        for run in (0, 1):
            took = [row[run][0] for row in rows]
            cells += [f"{statistics.median(took):.2f} ({min(took):.2f}-{max(took):.2f})", str(rows[-1][run][1])]
        print(f"| {tool} | {' | '.join(cells)} | {rows[-1][1][2]} |")


main()
