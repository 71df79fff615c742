"""The rows of the goals that are about files and copies: snapshots, full resynchronisations, restarts."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

from figures import Figure
from servers import Failed, Kind, Server, wait_for


class FileRows:
    """Rows 9 to 11; a part of `Run`. Each server is measured once, alone, as each takes gigabytes."""

    def each(self, what: str, measure: Callable[[Kind], dict[str, float]]) -> dict[str, dict[str, float]]:
        """What was measured of each kind, by the quantity and the kind's name."""
        found: dict[str, dict[str, float]] = {}
        for kind in self.kinds():
            try:
                for quantity, value in measure(kind).items():
                    found.setdefault(quantity, {})[kind.name] = value
            except (Failed, subprocess.SubprocessError, OSError) as error:
                self.failure(f"{what} on {kind.name}", error)
        return found

    def background(self, port: int, workload: str, keys: int, rate: int, seconds: float, size: int) -> subprocess.Popen:
        command = [str(self.tool), "bench", "--port", str(port), "--workload", workload, "--json", "--rate", str(rate),
                   "--seconds", str(seconds), "--keys", str(keys), "--value-size", str(size), "-c", "20"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def fill(self, server: Server, keys: int, size: int) -> None:
        self.load(server.port, "set", keys, "--sequential", "--keys", str(keys), "--value-size", str(size), "-P", "32",
                  "-c", "8")

    # --- a snapshot under writes ---

    def row_9(self) -> None:
        keys = self.scale(2_000_000)
        found = self.each("a snapshot", lambda kind: self.snapshot(kind, keys, 1000))
        what = f"{keys * 1000 / 1e9:g} GB, 10,000 requests a second, 30% of them writes"
        self.add(Figure(f"{what}: slowest request, no snapshot", "ms", found.get("before", {})))
        self.add(Figure(f"{what}: slowest request during BGSAVE", "ms", found.get("stall", {})))
        self.add(Figure(f"{what}: duration of BGSAVE", "s", found.get("seconds", {})))
        self.add(Figure(f"{what}: peak memory over idle (RSS and what a child copied)", "×", found.get("memory", {})))
        for kind, goal, quantity in ((next(iter(self.kinds())).name, 5.0, "stall"), (next(iter(self.kinds())).name, 1.05, "memory")):
            if kind in found.get(quantity, {}):
                value = found[quantity][kind]
                self.note(f"goal for {quantity}: ours ≤ {goal:g}, measured {value:.3g}: {'met' if value <= goal else 'MISSED'}")

    def snapshot(self, kind: Kind, keys: int, size: int) -> dict[str, float]:
        server = Server(kind)
        try:
            self.fill(server, keys, size)
            time.sleep(2)
            idle = server.rss_bytes()
            before, _, _ = self.under_load(server, keys, size, None)
            stall, peak, seconds = self.under_load(server, keys, size, "BGSAVE")
            copied = int(server.info("persistence").get("rdb_last_cow_size", 0)) if not kind.ours else 0
            return {"before": before, "stall": stall, "seconds": seconds, "memory": (peak + copied) / idle}
        finally:
            server.stop()

    def under_load(self, server: Server, keys: int, size: int, command: str | None) -> tuple[float, float, float]:
        """The slowest request in ms, the peak of the RSS, and how long the command took, in seconds."""
        loads = [self.background(server.port, workload, keys, rate, 8 if command is None else 25, size)
                 for workload, rate in (("get", 7000), ("set", 3000))]
        time.sleep(1)
        peak, begun = server.rss_bytes(), time.monotonic()
        seconds = 0.0
        if command is not None:
            server.command(command)
            busy = lambda: server.info("persistence")["rdb_bgsave_in_progress"] != "0"  # noqa: E731
            while busy():
                peak = max(peak, server.rss_bytes())
                time.sleep(0.1)
            seconds = time.monotonic() - begun
        slowest = max(json.loads(load.communicate(timeout=120)[0])["max_us"] for load in loads)
        if command is not None and server.info("persistence")["rdb_last_bgsave_status"] != "ok":
            raise Failed("BGSAVE failed")
        return slowest / 1000, max(peak, server.rss_bytes()), seconds

    # --- a new replica ---

    def row_10(self) -> None:
        keys = self.scale(5_000_000)
        found = self.each("a full resynchronisation", lambda kind: self.full_resync(kind, keys))
        what = f"full resynchronisation of {keys:,} keys under 5,000 writes a second"
        self.add(Figure(f"{what}: until the link is up", "s", found.get("seconds", {}), 0.6))
        self.add(Figure(f"{what}: CPU of the primary", "s", found.get("cpu", {}), 0.7))

    def full_resync(self, kind: Kind, keys: int) -> dict[str, float]:
        options = [] if kind.ours else ["--repl-diskless-sync-delay", "0"]
        primary = Server(kind, *options)
        parts = [primary]
        try:
            self.fill(primary, keys, 64)
            load = self.background(primary.port, "set", keys, 5000, 120, 64)
            time.sleep(1)
            cpu, begun = primary.cpu_seconds(children=True), time.monotonic()
            replica = Server(kind)
            parts.append(replica)
            replica.command("REPLICAOF", "127.0.0.1", str(primary.port))
            wait_for("the replica to follow", lambda: replica.info("replication")["master_link_status"] == "up", 110)
            seconds = time.monotonic() - begun
            spent = primary.cpu_seconds(children=True) - cpu
            load.kill()
            load.wait()
            return {"seconds": seconds, "cpu": spent}
        finally:
            for part in parts:
                part.stop()

    # --- a restart ---

    def row_11(self) -> None:
        keys = self.scale(5_000_000)
        for what, options, save in (("RDB", ["--appendonly", "no"], "SAVE"), ("AOF of commands", ["--appendonly", "yes"], None)):
            found = self.each(f"a restart from an {what}", lambda kind, o=options, s=save: self.restart(kind, keys, o, s))
            self.add(Figure(f"restart from an {what} of {keys:,} keys", "keys/s", found.get("rate", {}), 1.5, higher_is_better=True))

    def restart(self, kind: Kind, keys: int, options: list[str], save: str | None) -> dict[str, float]:
        server = Server(kind, *options, "--auto-aof-rewrite-percentage", "0")
        try:
            self.fill(server, keys, 64)
            if save:
                server.command(save)
            time.sleep(1.5)
            seconds = server.restart()
            there = int(server.command("DBSIZE"))
            if there != keys:
                raise Failed(f"{there} of {keys} keys after the restart")
            return {"rate": keys / seconds}
        finally:
            server.stop()
