"""`docs-publish` beside `aws s3 sync`, on the same emulator: seconds, calls and peak memory.

    cargo build --release --bin deploy --bin docs-publish
    python3 -m venv .venv && .venv/bin/pip install awscli
    PATH=.venv/bin:$PATH python3 benches/sites.py [FILES] [MEGABYTES]

10,000 files and 1,024 MB unless others are asked for: nine of ten files are small, and the rest share what is left. Uses the
sandbox that `deploy sandbox up` keeps, which holds all objects in memory, several times. `aws s3 sync` writes to a bucket of its own.
"""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
DEPLOY = os.environ.get("DEPLOY", str(BUILT / "deploy"))
PUBLISH = os.environ.get("DOCS_PUBLISH", str(BUILT / "docs-publish"))
FILES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
BYTES = (int(sys.argv[2]) if len(sys.argv) > 2 else 1_024) * 1_000_000
SMALL = 4_000


def write(folder):
    """The same folder each time, but for what is random in it, which cannot be compressed or taken for another file."""
    dice = random.Random(7)
    large = max(1, FILES // 10)
    size = max(SMALL, (BYTES - (FILES - large) * SMALL) // large)
    (folder / "index.html").write_text("<!doctype html><title>home</title>")
    for n in range(FILES - large):
        page = folder / f"section-{n % 97}" / f"page-{n}" / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(f"<!doctype html><title>{n}</title>".encode() + dice.randbytes(SMALL).hex().encode()[:SMALL])
    (folder / "_next/static").mkdir(parents=True, exist_ok=True)
    for n in range(large):
        (folder / "_next/static" / f"{dice.randbytes(8).hex()}.bin").write_bytes(dice.randbytes(size))


class Sandbox:
    def __init__(self):
        subprocess.run([DEPLOY, "sandbox", "up"], check=True, stdout=subprocess.DEVNULL)
        status = subprocess.run([DEPLOY, "sandbox", "status"], check=True, capture_output=True, text=True).stdout
        self.endpoint = re.search(r"http://[0-9.:]+", status)[0]
        example = ["--sandbox", "-f", str(ROOT / "examples/docs.toml")]
        subprocess.run([DEPLOY, "apply", *example, "--yes"], check=True, stdout=subprocess.DEVNULL)
        outputs = subprocess.run([DEPLOY, "outputs", *example, "--json"], check=True, capture_output=True, text=True)
        self.distribution = json.loads(outputs.stdout)["result"]["outputs"]["docs_distribution"]
        known = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
                 "AWS_ACCESS_KEY_ID": "AKCW123456789012SBOX", "AWS_SECRET_ACCESS_KEY": "sandbox",
                 "NO_PROXY": "127.0.0.1,localhost"}
        self.env = {**os.environ, **known}

    def calls(self, method="GET"):
        request = urllib.request.Request(f"{self.endpoint}/_causeway/calls", method=method)
        with urllib.request.urlopen(request) as page:
            return json.load(page)

    def run(self, what, *command):
        """Runs a command and tells its seconds, its calls and its peak memory."""
        self.calls("DELETE")
        begun = time.monotonic()
        child = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        took = time.monotonic() - begun
        if status:
            sys.exit(f"{command[0]} ended with {status}")
        calls = self.calls()["calls"]
        print(f"| {what} | {took:.1f} s | {len(calls):,} | {used.ru_maxrss // 1024} MB |", flush=True)


def main():
    box = Sandbox()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="site-"))
    try:
        write(folder)
        publish = [PUBLISH, "publish", str(folder), "--distribution", box.distribution, "--no-verify", "--quiet"]
        subprocess.run(["aws", "s3", "mb", "s3://synced"], env=box.env, check=True, stdout=subprocess.DEVNULL)
        sync = ["aws", "s3", "sync", "--delete", "--only-show-errors", str(folder), "s3://synced"]
        print("| | wall | calls | peak memory |\n| --- | --- | --- | --- |")
        box.run("`aws s3 sync`, everything", *sync)
        box.run("`docs-publish publish`, everything", *publish)
        box.run("`aws s3 sync`, nothing", *sync)
        box.run("`docs-publish publish`, nothing", *publish)
        page = folder / "section-0/page-0/index.html"
        page.write_bytes(page.read_bytes()[::-1])
        box.run("`aws s3 sync`, one page", *sync)
        box.run("`docs-publish publish`, one page", *publish)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
