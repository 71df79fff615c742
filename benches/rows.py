"""The rows of the goals: what is started, what is sent, what is read off."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import kinds
from file_rows import FileRows
from figures import OURS, Figure, Row
from growth_rows import GrowthRows
from servers import REPOSITORY, Failed, Kind, Pair, Server, peers

TOOL = REPOSITORY / "target/release/lockstep"
# Well below what any of the servers can do, so that latency is the server's and not a queue's.
FIXED_RATE = 10_000


class Run(FileRows, GrowthRows):
    """The options of a run and the row being measured."""

    tool = TOOL

    def __init__(self, options: Namespace):
        self.options = options
        self.row = Row("")

    def measure(self, name: str, row: Row) -> bool:
        """Measures one row into `row`; whatever goes wrong becomes a note of it."""
        self.row = row
        try:
            getattr(self, f"row_{name}")()
        except (Failed, subprocess.SubprocessError, OSError) as error:
            self.failure("", error)
        return not any("NOT MEASURED" in note for note in row.notes)

    # --- the parts that rows are made of ---

    def kinds(self) -> list[Kind]:
        both = peers(1) + (peers(self.options.io_threads) if self.options.io_threads > 1 else [])
        return [Kind(OURS, Path(self.options.ours_binary), ours=True), *both]

    def scale(self, n: int) -> int:
        return n // 10 if self.options.quick else n

    def note(self, text: str) -> None:
        self.row.notes.append(text)
        print(f"   {text}", flush=True)

    def failure(self, what: str, error: Exception) -> None:
        self.note(f"NOT MEASURED {what}: {' '.join(str(error).split())}")

    def add(self, figure: Figure) -> None:
        if figure.values:
            self.row.figures.append(figure)
            print(f"   {figure.line()}", flush=True)

    def started(self, start, kinds: list[Kind] | None = None) -> dict:
        """Starts one of each; a kind that does not start is noted and left out."""
        servers = {}
        for kind in kinds or self.kinds():
            try:
                servers[kind.name] = start(kind)
            except (Failed, OSError) as error:
                self.failure(kind.name, error)
            except BaseException:
                stop(servers)
                raise
        return servers

    def load(self, port: int, workload: str, n: int, *more: str) -> dict:
        """One run of the generator; error replies make it fail."""
        command = [str(TOOL), "bench", "--port", str(port), "--workload", workload, "--json",
                   *(["-n", str(n)] if n else []), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise Failed(f"{' '.join(command[1:])}: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        if result["errors"]:
            text, count = next(iter(result["errors"].items()))
            raise Failed(f"{workload} got {count} error replies such as: {text[:160]}")
        if result["nulls"] and workload == "get":
            raise Failed(f"{result['nulls']} of {result['operations']} keys were not there")
        return result

    def rounds(self, what: str, servers: dict, measure) -> dict[str, list]:
        """Measures each server in turn, round after round; a server that fails is noted and dropped."""
        found = {name: [] for name in servers}
        for _ in range(self.options.rounds):
            for name, server in servers.items():
                if name not in found:
                    continue
                try:
                    found[name].append(measure(name, server))
                except (Failed, subprocess.SubprocessError, OSError) as error:
                    del found[name]
                    self.failure(f"{what} on {name}", error)
        return found

    def compare(self, what: str, servers: dict, workload, n: int, more=(), cpu_goal=None, rate_goal=None) -> None:
        """CPU, rate and latency at saturation."""
        if self.options.seconds:
            n, more = 0, ("--seconds", str(self.options.seconds), *more)

        def measure(name, server):
            before = server.cpu_seconds()
            result = self.load(server.port, workload(name), n, *more)
            cpu = (server.cpu_seconds() - before) / result["operations"] * 1e6
            return cpu, result["ops_per_second"], result["p50_us"], result["p99_us"]

        found = self.rounds(what, servers, measure)
        of = lambda i: {name: statistics.median(r[i] for r in rounds) for name, rounds in found.items()}  # noqa: E731
        self.add(Figure(f"{what}: server CPU", "s/M", of(0), cpu_goal))
        self.add(Figure(f"{what}: rate", "ops/s", of(1), rate_goal, higher_is_better=True))
        self.add(Figure(f"{what}: p50", "µs", of(2)))
        self.add(Figure(f"{what}: p99", "µs", of(3)))

    def fixed_rate(self, what: str, servers: dict, workload) -> None:
        """Latency at a rate that all can keep."""
        seconds = "0.5" if self.options.quick else "2"
        measure = lambda name, server: self.load(  # noqa: E731
            server.port, workload(name), 0, "--rate", str(FIXED_RATE), "--seconds", seconds)
        found = self.rounds(f"{what} at a fixed rate", servers, measure)
        for share in ("p50", "p99"):
            medians = {name: statistics.median(r[f"{share}_us"] for r in rounds) for name, rounds in found.items()}
            self.add(Figure(f"{what} at {FIXED_RATE:,} a second: {share}", "µs", medians))

    # --- the rows ---

    def four_commands(self, pipeline: int, n: int, goal: float) -> None:
        servers = self.started(Server)
        try:
            for workload in ("get", "set", "incr", "hset"):
                more = ["-P", str(pipeline)]
                if workload == "get":
                    for server in servers.values():
                        self.load(server.port, "set", 100_000, "--sequential", "-P", "16")
                self.compare(workload.upper(), servers, lambda _, w=workload: w, n, more, goal)
            if pipeline == 1:
                self.fixed_rate("SET", servers, lambda _: "set")
        finally:
            stop(servers)

    def row_1(self) -> None:
        self.four_commands(1, self.scale(200_000), 0.90)

    def row_2(self) -> None:
        self.four_commands(16, self.scale(2_000_000), 0.75)

    def row_3(self) -> None:
        keys = self.scale(self.options.keys)
        servers = self.started(Server)
        try:
            for server in servers.values():
                self.load(server.port, "set", keys, "--sequential", "--keys", str(keys), "-P", "64")
            self.compare(f"GET of {keys:,} keys", servers, lambda _: "get", self.scale(2_000_000),
                         ["-P", "16", "--keys", str(keys)], 0.75)
        finally:
            stop(servers)

    def row_4(self) -> None:
        pairs = self.started(Pair)
        try:
            self.compare("synchronous SET", pairs, synchronous, self.scale(200_000), (), 0.75, 1.3)
            self.fixed_rate("synchronous SET", pairs, synchronous)
        finally:
            stop(pairs)

    def row_5(self) -> None:
        pairs = {}
        try:
            ours = self.kinds()[0]
            pairs[OURS] = Pair(ours)
            pairs["Lockstep async"] = Pair(ours, synchronous=False)
            n = self.scale(200_000)
            found = self.rounds("SET", pairs, lambda _, pair: self.load(pair.port, "set", n)["ops_per_second"])
            medians = {name: statistics.median(rates) for name, rates in found.items()}
            self.add(Figure("SET, synchronous beside asynchronous", "ops/s", medians, 0.8, higher_is_better=True))
        finally:
            stop(pairs)

    def row_6(self) -> None:
        pairs = self.started(Pair)
        try:
            self.one_connection("synchronous SET: p50", pairs, self.scale(20_000), 0.8)
        finally:
            stop(pairs)
        for one_way_us in (500, 2000, 20_000):
            pairs = self.started(lambda kind, us=one_way_us: Pair(kind, one_way_us=us))
            try:
                self.at_a_distance(pairs, one_way_us)
            finally:
                stop(pairs)

    def one_connection(self, what: str, pairs: dict, n: int, goal: float | None) -> dict[str, float]:
        one = lambda name, pair: self.load(pair.port, synchronous(name), n, "-c", "1")["p50_us"]  # noqa: E731
        medians = {name: statistics.median(found) for name, found in self.rounds(what, pairs, one).items()}
        if goal is not None:
            self.add(Figure(what, "µs", medians, goal))
        return medians

    def at_a_distance(self, pairs: dict, one_way_us: int) -> None:
        away = f"{2 * one_way_us / 1000:g} ms away"
        n = max(20, min(self.scale(1000), self.scale(2_500_000) // one_way_us))
        medians = self.one_connection(f"synchronous SET {away}", pairs, n, None)
        # What the distance itself costs, seen by the same generator: PING through the same kind of proxy.
        pair = next(iter(pairs.values()), None)
        if pair:
            medians["round trip (PING)"] = statistics.median(
                self.load(pair.proxy_port, "ping", n, "-c", "1")["p50_us"] for _ in range(self.options.rounds))
        self.add(Figure(f"synchronous SET, {away}: p50", "µs", medians, 1.05, against="round trip (PING)"))
        measure = lambda name, pair: self.load(  # noqa: E731
            pair.port, synchronous(name), 0, "-c", "200", "--seconds", "0.5" if self.options.quick else "2")
        found = self.rounds(f"200 connections {away}", pairs, measure)
        rates = {name: statistics.median(r["ops_per_second"] for r in results) for name, results in found.items()}
        self.add(Figure(f"the same, 200 connections, {away}: rate", "ops/s", rates, higher_is_better=True))

    def row_7(self) -> None:
        durable = ["--appendonly", "yes", "--appendfsync", "always"]
        servers = self.started(lambda kind: Server(kind, *durable))
        try:
            self.compare("SET", servers, lambda _: "set", self.scale(100_000), (), None, 1.5)
        finally:
            stop(servers)

    def row_8(self) -> None:
        keys = self.scale(1_000_000)
        for workload, what in (("set", "string, 17 B key, 64 B value"), ("set-ex", "same with TTL"),
                               ("set-int", "integer string, 10 B key"), ("subscriber", "hash of 6 subscriber fields")):
            load = lambda port, workload=workload: self.load(  # noqa: E731
                port, workload, keys, "--sequential", "--keys", str(keys), "-P", "64", "-c", "8")
            self.memory(what, load, keys, keys)
        for values in kinds.values(self.scale):
            fill = lambda port, values=values: kinds.fill(port, values)  # noqa: E731
            self.memory(values.what, fill, values.keys, values.units)

    def memory(self, what: str, fill: Callable[[int], object], keys: int, units: int) -> None:
        counted, resident = {}, {}
        for kind in self.kinds():
            servers = self.started(Server, [kind])
            try:
                for server in servers.values():
                    counted[kind.name], resident[kind.name] = self.bytes_taken(server, fill, keys, units)
            except (Failed, subprocess.SubprocessError, OSError) as error:
                self.failure(f"{what} on {kind.name}", error)
            finally:
                stop(servers)
        self.add(Figure(f"{what}: counted", "B", counted, 0.85))
        self.add(Figure(f"{what}: RSS", "B", resident, 0.85))

    def bytes_taken(self, server: Server, fill: Callable[[int], object], keys: int, units: int) -> tuple[float, float]:
        used = lambda: int(server.info("memory")["used_memory"])  # noqa: E731
        used_before, rss_before = used(), server.rss_bytes()
        fill(server.port)
        time.sleep(1)
        there = int(server.command("DBSIZE"))
        if there != keys:
            raise Failed(f"{there} keys after writing {keys}")
        return (used() - used_before) / units, (server.rss_bytes() - rss_before) / units


    def row_13(self) -> None:
        servers = self.started(Server)
        try:
            script = "return redis.call('SET', KEYS[1], ARGV[1])"
            digests = {server.command("SCRIPT", "LOAD", script) for server in servers.values()}
            if len(digests) != 1:
                raise Failed(f"the digest of a script is {digests}")
            call = ["--", "EVALSHA", digests.pop(), "1", "__key__", "__value__"]
            self.compare("EVALSHA of one SET", servers, lambda _: "custom", self.scale(200_000), call, 1.0)
            self.compare("EVALSHA of one SET, pipeline 16", servers, lambda _: "custom", self.scale(500_000),
                         ["-P", "16", *call], 1.0)
            self.compare("MULTI, five SET, EXEC", servers, lambda _: "multi", self.scale(100_000), (), 1.0)
        finally:
            stop(servers)


def synchronous(name: str) -> str:
    """The workload by which a server is asked for a synchronous write."""
    return "set" if name == OURS else "set-wait"


def stop(servers: dict) -> None:
    for server in servers.values():
        server.stop()
