"""The rows of the goals that are about growth: many keys inserted, many connections opened."""

from __future__ import annotations

import json
import resource
import socket
import time

from figures import OURS, Figure
from servers import Failed, Kind, Server

class GrowthRows:
    """Rows 12 and 14; a part of `Run`. Each server is measured once, alone."""

    # --- many keys ---

    def row_12(self) -> None:
        keys = self.scale(20_000_000)
        found = self.each("inserting", lambda kind: self.inserting(kind, keys))
        what = f"while {keys:,} keys are inserted as fast as they go, GET at 1,000 a second"
        self.add(Figure(f"{what}: slowest", "ms", found.get("slowest", {})))
        self.add(Figure(f"{what}: p99", "ms", found.get("p99", {})))
        slowest = found.get("slowest", {}).get(OURS)
        if slowest is not None:
            self.note(f"goal for the slowest: ours ≤ 2 ms, measured {slowest:.3g}: {'met' if slowest <= 2 else 'MISSED'}")

    def inserting(self, kind: Kind, keys: int) -> dict[str, float]:
        server = Server(kind)
        try:
            # Long enough for most of the keys on any of the servers, and not much longer.
            probe = self.background(server.port, "get", keys, 1000, keys / 1_000_000, 64)
            self.load(server.port, "set", keys, "--sequential", "--keys", str(keys), "-P", "16", "-c", "4")
            result = json.loads(probe.communicate(timeout=600)[0])
            there = int(server.command("DBSIZE"))
            if there != keys:
                raise Failed(f"{there} keys after inserting {keys}")
            return {"slowest": result["max_us"] / 1000, "p99": result["p99_us"] / 1000}
        finally:
            server.stop()

    # --- many connections ---

    def row_14(self) -> None:
        connections = self.scale(10_000)
        found = self.each("idle connections", lambda kind: {"bytes": self.idle(kind, connections)})
        self.add(Figure(f"{connections:,} idle connections: RSS, a connection", "B", found.get("bytes", {}), 0.5))

    def idle(self, kind: Kind, connections: int) -> float:
        """Bytes of a connection that has sent one command and got its reply, after a while."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        server = Server(kind, "--maxclients", str(connections + 100))
        links: list[socket.socket] = []
        try:
            server.command("SET", "key", "value")
            before = server.rss_bytes()
            for _ in range(connections):
                link = socket.create_connection(("127.0.0.1", server.port), timeout=10)
                links.append(link)
                link.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
                if link.recv(64) != b"$5\r\nvalue\r\n":
                    raise Failed("a connection got no reply")
            # The peers shrink what they keep for a client some seconds after its last request.
            time.sleep(10)
            return (server.rss_bytes() - before) / connections
        finally:
            for link in links:
                link.close()
            server.stop()
