"""Runs one command and ends it, with everything that it started, when the parent goes away.

    supervise.py [--user UID:GID] [--signal QUIT] [--grace SECONDS] -- COMMAND [ARGUMENT...]

Standard input is a pipe that the parent holds and never writes to. Its end, however the parent came to it (also by
SIGKILL), is the order to stop: the command gets the signal, then, after the grace, all its descendants get SIGKILL.
On Linux daemons that the command leaves behind are adopted (child subreaper), so they are found and ended too.
"""

import argparse
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None, use_errno=True) if LINUX else None


def parents():
    """Every process and its parent."""
    found = {}
    if LINUX:
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", "rb") as stat:
                        fields = stat.read().rpartition(b")")[2].split()
                except OSError:
                    continue
                if fields[0] != b"Z":
                    found[int(entry)] = int(fields[1])
        return found
    listing = subprocess.run(["ps", "-Ao", "pid=,ppid="], capture_output=True, text=True).stdout
    for line in listing.splitlines():
        pid, parent = line.split()
        found[int(pid)] = int(parent)
    return found


def descendants():
    table = parents()
    found, level = [], {os.getpid()}
    while level:
        level = {pid for pid, parent in table.items() if parent in level}
        found.extend(level)
    return found


def reap(child):
    """Collects what has ended; returns the child's exit code once it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)


def kill_all(child):
    for _ in range(100):
        rest = descendants()
        for pid in rest:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        reap(child)
        if not rest:
            return
        time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--user")
    parser.add_argument("--signal", default="TERM")
    parser.add_argument("--grace", type=float, default=3.0)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    stop = signal.Signals["SIG" + options.signal]

    # Only the pipe decides; the terminal's signals are for the parent.
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    terminated = []
    signal.signal(signal.SIGTERM, lambda *_: terminated.append(True))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    if LINUX:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    me = os.getpid()

    def prepare():
        for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(name, signal.SIG_DFL)
        os.setpgid(0, 0)
        if options.user:
            uid, gid = (int(part) for part in options.user.split(":"))
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        if LINUX:
            # After the change of user, which clears it.
            LIBC.prctl(PR_SET_PDEATHSIG, int(stop if options.user else signal.SIGKILL), 0, 0, 0)
            if os.getppid() != me:
                os._exit(1)

    os.environ["CAUSEWAY_SUPERVISOR"] = str(me)
    try:
        # Kept until the end: one that goes collects its process if that has ended already, and nobody would hear of it.
        process = subprocess.Popen(options.command, stdin=subprocess.DEVNULL, preexec_fn=prepare)
    except OSError as error:
        print(f"supervise: start {options.command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)

    child = process.pid
    code = None
    stopping = None
    while code is None:
        wait = None if stopping is None else max(0.0, stopping - time.monotonic())
        watched = [waker] if stopping else [waker, sys.stdin.fileno()]
        ready, _, _ = select.select(watched, [], [], wait)
        if waker in ready:
            os.read(waker, 4096)
        code = reap(child)
        if code is not None:
            break
        end = sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096)
        if stopping is None and (end or terminated):
            stopping = time.monotonic() + options.grace
            try:
                os.kill(child, stop)
            except (ProcessLookupError, PermissionError):
                pass
        elif stopping is not None and time.monotonic() >= stopping:
            break
    kill_all(child)
    sys.exit(code if code is not None and code >= 0 else 128 - (code or -9))


main()
