"""Lockstep nodes with configuration files, and the Sentinels that watch over them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import peers  # noqa: E402
import redis  # noqa: E402
from redis.sentinel import Sentinel  # noqa: E402

# Long enough for a busy machine: a primary that lives must not be taken for dead.
DOWN_AFTER_MS = 3000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server started with a configuration file in a folder of its own."""

    def __init__(self, binary: str, name: str, lines: list[str], more: list[str]):
        self.port = free_port()
        self.dir = Path(tempfile.mkdtemp(prefix=f"lockstep-{name}-"))
        self.file = self.dir / "server.conf"
        self.file.write_text("\n".join([f"port {self.port}", "bind 127.0.0.1", f"dir {self.dir}", *lines, ""]))
        self.command = [binary, str(self.file), *more]
        self.start()

    def start(self) -> None:
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(f"{self.command} to answer", self.answers)

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"{self.command} ended: {(self.dir / 'log').read_text(errors='replace')[-2000:]}")
        try:
            return bool(self.client().ping())
        except redis.exceptions.RedisError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=10)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.start()

    def remove(self, keep: bool) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()
        if keep:
            print(f"kept for a look: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


class Node(Process):
    """A Lockstep server."""

    def info(self) -> dict:
        return self.client().info("replication")

    def offset(self) -> int:
        return self.info()["master_repl_offset"]

    def digest(self) -> str:
        return self.client().execute_command("DEBUG", "DIGEST", "FULL")

    def follows(self, primary: Node) -> bool:
        try:
            info = self.info()
        except redis.exceptions.RedisError:
            return False
        return (info["role"], info.get("master_port"), info.get("master_link_status")) == ("slave", primary.port, "up")

    def configured_primary(self) -> int | None:
        """The port in the `replicaof` line of the file."""
        lines = [line.split() for line in self.file.read_text().splitlines()]
        ports = [int(words[2]) for words in lines if words[:1] == ["replicaof"]]
        return ports[0] if ports else None


class Group:
    """A primary, a replica, a replica that may never be promoted, and three Sentinels of different make."""

    NAME = "mymaster"

    def __init__(self, binary: str, policy: str = "demote", down_after_ms: int = DOWN_AFTER_MS, more: tuple[str, ...] = ()):
        self.nodes: list[Node] = []
        self.sentinels: list[Process] = []
        options = ["min-insync-replicas 1", f"sync-on-timeout {policy}", "appendonly yes", 'save ""',
                   "enable-debug-command yes", *more]
        primary = Node(binary, "node", options, [])
        self.nodes.append(primary)
        following = f"replicaof 127.0.0.1 {primary.port}"
        self.nodes.append(Node(binary, "node", [*options, following], []))
        self.nodes.append(Node(binary, "node", [*options, following, "replica-priority 0"], []))
        self.wait_in_sync(primary, 2)
        found = peers.binaries()
        for kind in ["redis7", "redis", "valkey"]:
            watch = [f"sentinel monitor {self.NAME} 127.0.0.1 {primary.port} 2",
                     f"sentinel down-after-milliseconds {self.NAME} {down_after_ms}",
                     f"sentinel failover-timeout {self.NAME} 3000"]
            # Debian's is not on every machine.
            binary = str(found.get(kind, found["redis"]))
            self.sentinels.append(Process(binary, kind, watch, ["--sentinel"]))

    def sentinel_client(self) -> Sentinel:
        return Sentinel([("127.0.0.1", sentinel.port) for sentinel in self.sentinels], socket_timeout=5)

    def wait_in_sync(self, primary: Node, count: int) -> None:
        wait_for("replicas to be in sync", lambda: primary.info()["insync_replicas"] == count)

    def wait_until_watched(self) -> None:
        """Every Sentinel knows the other two and sees two replicas that it can use."""
        def sees_all(sentinel: Process) -> bool:
            client = sentinel.client()
            others = client.execute_command("SENTINEL", "SENTINELS", self.NAME)
            replicas = client.execute_command("SENTINEL", "REPLICAS", self.NAME)
            usable = [r for r in replicas if r["flags"] == "slave" and r["master-link-status"] == "ok"]
            return len(others) == 2 and len(usable) == len(replicas) == 2

        wait_for("the Sentinels to know the group", lambda: all(map(sees_all, self.sentinels)))

    def wait_for_primary(self, node: Node) -> None:
        """Every Sentinel names it, and it is one."""
        def names_it(sentinel: Process) -> bool:
            address = sentinel.client().execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
            return int(address[1]) == node.port

        wait_for(f"{node.port} to be the primary", lambda: all(map(names_it, self.sentinels)))
        wait_for("it to know that", lambda: node.info()["role"] == "master")

    def remove(self, keep: bool = False) -> None:
        for process in [*self.sentinels, *self.nodes]:
            process.remove(keep)


def wait_for(what: str, condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.05)
