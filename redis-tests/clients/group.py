"""A primary and its synchronous replicas as processes, for workloads that kill one of them.

Applications connect to `group.address`: one port that is always the primary's, as a virtual address or a balancer gives
them. It answers only while the primary has an in-sync replica, so that no application meets a primary that must refuse
its writes.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import threading
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


class Address:
    """Passes connections on to the port in `target`, and closes them when that server does or when the target changes."""

    def __init__(self, target: int):
        self.target: int | None = target
        self.open: set[socket.socket] = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            target = self.target
            try:
                server = socket.create_connection(("127.0.0.1", target)) if target else None
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            self.open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    def copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            self.hang_up(end)

    def hang_up(self, end: socket.socket) -> None:
        self.open.discard(end)
        try:
            # The other thread may be reading from it: that read ends, and it closes its own.
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def point_at(self, target: int | None) -> None:
        self.target = target
        for end in list(self.open):
            self.hang_up(end)

    def close(self) -> None:
        self.listener.close()
        self.point_at(None)


# For applications, to which a write of unknown outcome is a failure: a machine busy with other things for a second is
# no reason to give up a replica.
PATIENT = ("--sync-timeout", "15000")


class Group:
    """A primary and replicas, all in sync. `min-insync-replicas` is 1: a write that no replica has is refused."""

    def __init__(self, binary: str, replicas: int = 2, options: tuple[str, ...] = ()):
        self.options = ["--min-insync-replicas", "1", "--appendonly", "yes", *options]
        self.primary = Node(binary, self.options)
        self.replicas = [Node(binary, [*self.options, "--replicaof", f"127.0.0.1 {self.primary.port}"])
                         for _ in range(replicas)]
        self.wait_in_sync(replicas)
        self.address = Address(self.primary.port)

    def wait_in_sync(self, count: int) -> None:
        wait_for("replicas to be in sync", lambda: self.primary.info()["insync_replicas"] == count)

    def fail_over(self) -> None:
        """Kills the primary, promotes the replica that has most, and points the other at it."""
        self.address.point_at(None)
        self.primary.kill()
        self.replicas.sort(key=lambda node: -node.info()["master_repl_offset"])
        successor = self.replicas.pop(0)
        successor.client().execute_command("REPLICAOF", "NO", "ONE")
        for node in self.replicas:
            node.client().execute_command("REPLICAOF", "127.0.0.1", successor.port)
        dead, self.primary = self.primary, successor
        dead.start([*self.options, "--replicaof", f"127.0.0.1 {successor.port}"])
        self.replicas.append(dead)
        wait_for("a replica to follow", lambda: self.primary.info()["insync_replicas"] >= 1)
        self.address.point_at(successor.port)

    def client(self, **options) -> redis.Redis:
        """A client of the primary, whichever it is."""
        return redis.Redis(port=self.address.port, decode_responses=True, **options)

    def environment(self) -> dict[str, str]:
        """Tells a program beside it where it is."""
        return {"LOCKSTEP_PORT": str(self.address.port)}

    def digests(self) -> set[str]:
        """One digest for each node once all are in sync; a set of one when their data is equal."""
        self.wait_in_sync(2)
        return digests([self.primary, *self.replicas])

    def remove(self) -> None:
        self.address.close()
        for node in [self.primary, *self.replicas]:
            node.remove()


def digests(nodes: list) -> set[str]:
    """One digest for each node; a set of one when their data is equal.

    A key may expire between two nodes' answers, so the nodes are asked again for a while; what differs, stays different.
    """
    deadline = time.monotonic() + 10
    while True:
        wait_for("the nodes to agree on the offset", lambda: len({n.info()["master_repl_offset"] for n in nodes}) == 1)
        found = {node.client().execute_command("DEBUG", "DIGEST", "FULL") for node in nodes}
        if len(found) == 1 or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def wait_for(what: str, condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.02)
