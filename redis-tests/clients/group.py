"""A primary and its synchronous replicas as processes, for workloads that kill one of them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """One server process with a folder of its own."""

    def __init__(self, binary: str, options: list[str]):
        self.port = free_port()
        self.dir = Path(tempfile.mkdtemp(prefix="lockstep-node-"))
        self.binary = binary
        self.start(options)

    def start(self, options: list[str]) -> None:
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.dir),
                   "--save", "", "--enable-debug-command", "yes", *options]
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(f"node {self.port} to answer", self.answers)

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"node {self.port} ended: {(self.dir / 'log').read_text(errors='replace')[-2000:]}")
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False

    def client(self, **options) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True, **options)

    def info(self) -> dict:
        return self.client().info("replication")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Group:
    """A primary and replicas, all in sync. `min-insync-replicas` is 1: a write that no replica has is refused."""

    def __init__(self, binary: str, replicas: int = 2):
        self.options = ["--min-insync-replicas", "1", "--appendonly", "yes"]
        self.primary = Node(binary, self.options)
        self.replicas = [Node(binary, [*self.options, "--replicaof", f"127.0.0.1 {self.primary.port}"])
                         for _ in range(replicas)]
        self.wait_in_sync(replicas)

    def wait_in_sync(self, count: int) -> None:
        wait_for("replicas to be in sync", lambda: self.primary.info()["insync_replicas"] == count)

    def fail_over(self) -> None:
        """Kills the primary, promotes the replica that has most, and points the other at it."""
        self.primary.kill()
        self.replicas.sort(key=lambda node: -node.info()["master_repl_offset"])
        successor = self.replicas.pop(0)
        successor.client().execute_command("REPLICAOF", "NO", "ONE")
        for node in self.replicas:
            node.client().execute_command("REPLICAOF", "127.0.0.1", successor.port)
        dead, self.primary = self.primary, successor
        dead.start([*self.options, "--replicaof", f"127.0.0.1 {successor.port}"])
        self.replicas.append(dead)

    def digests(self) -> set[str]:
        """One digest for each node once all have the same offset; a set of one when their data is equal."""
        nodes = [self.primary, *self.replicas]
        wait_for("the nodes to agree on the offset", lambda: len({n.info()["master_repl_offset"] for n in nodes}) == 1)
        return {node.client().execute_command("DEBUG", "DIGEST") for node in nodes}

    def remove(self) -> None:
        for node in [self.primary, *self.replicas]:
            node.remove()


def wait_for(what: str, condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.02)
