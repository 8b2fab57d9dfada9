"""Two hosts on one machine: network namespaces with a wire between them, each a node of one Ray cluster.

What a host does not share is hidden by a mount namespace. Needs root; `why_not` says what is missing.
"""

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

RAY = Path(sys.executable).with_name("ray")
PORT = 6379
# Of a wire; the last byte is the host's. `ray start` refuses an address at which any process of the machine seems to
# serve, namespaces or not: each test has its own.
NETWORK = f"10.{100 + os.getpid() // 250 % 150}.{os.getpid() % 250}"


def why_not():
    """Return why there can be no hosts here, or None."""
    if os.geteuid() != 0:
        return "NOT RUN: network namespaces need root"
    if not RAY.exists():
        return "NOT RUN: Ray is not installed"
    if shutil.which("ip") is None or subprocess.run(["unshare", "-nmu", "true"], check=False).returncode:
        return "NOT RUN: no network namespaces here"
    return None


class Host:
    """One of both."""

    def __init__(self, name, address, environment):
        self.name, self.address, self.environment = name, address, environment
        self._rooms = []
        call("ip", "netns", "add", name)

    def command(self, *words, hidden=None):
        """Return a command line that runs ``words`` here, with an own host name and, if asked, a folder of its own."""
        hide = f"mount -t tmpfs none {hidden}; " if hidden else ""
        inside = f'hostname {self.name}; {hide}exec "$@"'
        return ["ip", "netns", "exec", self.name, "unshare", "-um", "bash", "-c", inside, "-", *map(str, words)]

    def start(self, *words, **options):
        """Start a command here."""
        return subprocess.Popen(self.command(*words, **options), env=self.environment, text=True)

    def pids(self):
        """Return all processes here."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True)
        return [int(pid) for pid in found.stdout.split()]

    def end(self):
        """Kill whatever runs here, and take the host away."""
        for pid in self.pids():
            subprocess.run(["kill", "-9", str(pid)], check=False, stderr=subprocess.DEVNULL)
        call("ip", "netns", "del", self.name)


class Pair:
    """East, with the head of the cluster, and west; one CPU each."""

    def __init__(self, folder, hidden=None):
        """Lay the wire and start the cluster; ``hidden`` is a folder of which west sees only the name."""
        mark = uuid.uuid4().hex[:6]
        temporary = Path(f"/tmp/eggym-{mark}")  # short: the names of sockets are bounded
        self._temporary, token = temporary, uuid.uuid4().hex * 2
        environment = {**os.environ, "RAY_TMPDIR": str(temporary), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        environment["RAY_ADDRESS"] = f"{NETWORK}.1:{PORT}"
        self.east, self.west = (
            Host(f"{name}-{mark}", f"{NETWORK}.{place}", environment) for place, name in ((1, "east"), (2, "west"))
        )
        self.folder = folder
        self._wire(mark)
        head = ("--head", "--port", PORT, "--include-dashboard", "false")
        for host, words, hide in (
            (self.east, head, None),
            (self.west, ("--address", environment["RAY_ADDRESS"]), hidden),
        ):
            started = host.start(
                RAY, "start", *words, "--node-ip-address", host.address, "--num-cpus", 1, hidden=hide
            ).wait(120)
            assert started == 0, f"ray did not start on {host.name}"

    def _wire(self, mark):
        call("ip", "link", "add", f"e{mark}", "netns", self.east.name, "type", "veth",
             "peer", "name", f"w{mark}", "netns", self.west.name)  # fmt: skip
        self._ends = {self.east.name: f"e{mark}", self.west.name: f"w{mark}"}
        for host in (self.east, self.west):
            call("ip", "-n", host.name, "addr", "add", f"{host.address}/24", "dev", self._ends[host.name])
            call("ip", "-n", host.name, "link", "set", "lo", "up")
            self.connect(host, True)

    def connect(self, host, on):
        """Plug a host in, or pull its plug."""
        call("ip", "-n", host.name, "link", "set", self._ends[host.name], "up" if on else "down")

    def end(self):
        """Leave nothing behind."""
        for host in (self.east, self.west):
            host.end()
        shutil.rmtree(self._temporary, ignore_errors=True)


def call(*words):
    """Run a command that must succeed."""
    subprocess.run(list(map(str, words)), check=True)
