#!/usr/bin/env python3
"""Lockstep beside Redis and Valkey, in one run: A B C A B C ..., medians, ratios.

    make bench                                   everything, then BENCHMARKS.md is written
    benches/compare.py --rows 1,2 --rounds 5     some rows, printed only
    benches/compare.py --quick                   small numbers, to see that it works

The first figure is server CPU (user and system, from the process's own accounting) per million operations: it
holds on a noisy machine. A ratio is ours over the better peer's; below 1 is better for costs and latency, above 1
for rates.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from servers import REPOSITORY, Failed, Kind, Pair, Server, peers

TOOL = REPOSITORY / "target/release/lockstep"


@dataclass
class Figure:
    """One measured quantity of one row: medians by server, the goal for the ratio."""

    row: str
    what: str
    unit: str
    goal: float
    higher_is_better: bool = False
    values: dict[str, float] = field(default_factory=dict)
    peer: str = ""

    def ratio(self, ours: str) -> float:
        others = {name: value for name, value in self.values.items() if name != ours}
        pick = max if self.higher_is_better else min
        self.peer = pick(others, key=others.get)
        return self.values[ours] / others[self.peer] if others[self.peer] else float("nan")

    def met(self, ratio: float) -> bool:
        return ratio >= self.goal if self.higher_is_better else ratio <= self.goal


class Run:
    """The options of a run and what it has found."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.ours = Kind("Lockstep", Path(options.ours_binary), ours=True)
        self.figures: list[Figure] = []
        self.notes: list[str] = []

    def kinds(self) -> list[Kind]:
        both = peers(1)
        if self.options.io_threads > 1:
            both += peers(self.options.io_threads)
        return [self.ours, *both]

    def load(self, port: int, workload: str, n: int, *more: str) -> dict:
        command = [str(TOOL), "bench", "--port", str(port), "--workload", workload, "--json", "-n", str(n), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        if result["errors"]:
            raise Failed(f"{workload} on port {port} got errors, such as {next(iter(result['errors']))[:120]}")
        return result

    def compare(self, row: str, what: str, servers: dict, workload, n: int, more=(), goal=1.0, goal_rate=None) -> None:
        """Loads each server in turn, several rounds, and keeps the medians."""
        cost, rate, p50, p99 = ({name: [] for name in servers} for _ in range(4))
        for _ in range(self.options.rounds):
            for name, server in servers.items():
                name_of = workload(name) if callable(workload) else workload
                before = server.cpu_seconds()
                result = self.load(server.port, name_of, n, *more)
                cost[name].append((server.cpu_seconds() - before) / n * 1e6)
                rate[name].append(result["ops_per_second"])
                p50[name].append(result["p50_us"])
                p99[name].append(result["p99_us"])
        medians = lambda values: {name: statistics.median(v) for name, v in values.items()}  # noqa: E731
        self.add(Figure(row, f"{what}: server CPU", "s/M", goal, values=medians(cost)))
        self.add(Figure(row, f"{what}: rate", "ops/s", goal_rate or 1.0, True, medians(rate)))
        self.add(Figure(row, f"{what}: p50", "µs", 1.0, values=medians(p50)))
        self.add(Figure(row, f"{what}: p99", "µs", 1.0, values=medians(p99)))

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        ratio = figure.ratio(self.ours.name)
        values = "  ".join(f"{name} {number(value)}" for name, value in figure.values.items())
        mark = "met" if figure.met(ratio) else "MISSED"
        print(f"row {figure.row:>2}  {figure.what:<44} {values} {figure.unit}   ratio {ratio:.2f} (goal {figure.goal}: {mark})",
              flush=True)

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(text, flush=True)

    # --- rows ---

    def rows_1_2(self, row: str, pipeline: int, n: int, goal: float) -> None:
        servers = started(self.kinds())
        try:
            for workload in ("get", "set", "incr", "hset"):
                if workload == "get":
                    for server in servers.values():
                        self.load(server.port, "set", 100_000, "--sequential", "--keys", "100000", "-P", "16")
                self.compare(row, workload.upper(), servers, workload, n, ["-P", str(pipeline)], goal)
        finally:
            stop(servers)

    def row_1(self) -> None:
        self.rows_1_2("1", 1, self.options.scale(200_000), 0.90)

    def row_2(self) -> None:
        self.rows_1_2("2", 16, self.options.scale(2_000_000), 0.75)

    def row_3(self) -> None:
        keys = self.options.scale(10_000_000)
        servers = started(self.kinds())
        try:
            for server in servers.values():
                self.load(server.port, "set", keys, "--sequential", "--keys", str(keys), "-P", "64")
            self.compare("3", f"GET of {keys} keys, pipeline 16", servers, "get", self.options.scale(2_000_000),
                         ["-P", "16", "--keys", str(keys)], 0.75)
        finally:
            stop(servers)

    def row_4(self) -> None:
        pairs = started_pairs(self.kinds())
        pick = lambda name: "set" if name == self.ours.name else "set-wait"  # noqa: E731
        try:
            self.compare("4", "synchronous SET, 50 connections", pairs, pick, self.options.scale(200_000), (), 0.75, 1.3)
        finally:
            stop(pairs)

    def row_5(self) -> None:
        pairs = {"Lockstep": Pair(self.ours), "Lockstep async": Pair(self.ours, synchronous=False)}
        try:
            rates = {name: [] for name in pairs}
            for _ in range(self.options.rounds):
                for name, pair in pairs.items():
                    rates[name].append(self.load(pair.port, "set", self.options.scale(200_000))["ops_per_second"])
            medians = {name: statistics.median(v) for name, v in rates.items()}
            self.add(Figure("5", "SET, synchronous beside asynchronous", "ops/s", 0.8, True, medians))
        finally:
            stop(pairs)

    def row_6(self) -> None:
        pairs = started_pairs(self.kinds())
        pick = lambda name: "set" if name == self.ours.name else "set-wait"  # noqa: E731
        try:
            p50 = {name: [] for name in pairs}
            for _ in range(self.options.rounds):
                for name, pair in pairs.items():
                    p50[name].append(self.load(pair.port, pick(name), self.options.scale(20_000), "-c", "1")["p50_us"])
            medians = {name: statistics.median(v) for name, v in p50.items()}
            self.add(Figure("6", "synchronous SET, one connection: p50", "µs", 0.8, values=medians))
        finally:
            stop(pairs)
        for one_way_us in (500, 2000, 20_000):
            pair = Pair(self.ours, one_way_us=one_way_us)
            try:
                n = max(20, min(self.options.scale(2000), 4_000_000 // one_way_us))
                median = statistics.median(
                    self.load(pair.port, "set", n, "-c", "1")["p50_us"] for _ in range(self.options.rounds))
                round_trip = 2 * one_way_us
                self.add(Figure("6", f"one connection, {round_trip / 1000} ms round trip: p50", "µs", 1.05,
                                values={"Lockstep": median, "round trip": round_trip}))
                many = self.load(pair.port, "set", self.options.scale(100_000), "-c", "200", "-P", "4")
                self.note(f"row  6  with that delay, 200 connections of pipeline 4: {many['ops_per_second']:.0f} ops/s")
            finally:
                pair.stop()

    def row_7(self) -> None:
        options = ["--appendonly", "yes", "--appendfsync", "always"]
        servers = started(self.kinds(), *options)
        try:
            self.compare("7", "SET, appendfsync always, 50 connections", servers, "set", self.options.scale(100_000),
                         (), 1.0, 1.5)
        finally:
            stop(servers)

    def row_8(self) -> None:
        keys = self.options.scale(1_000_000)
        kinds = [("set", "string, 17 B key, 64 B value"), ("set-ex", "same with TTL"),
                 ("set-int", "integer string, 10 B key"), ("subscriber", "hash of 6 subscriber fields")]
        for workload, what in kinds:
            counted, resident = {}, {}
            for kind in self.kinds():
                server = Server(kind)
                try:
                    used, rss = int(server.info("memory")["used_memory"]), server.rss_bytes()
                    self.load(server.port, workload, keys, "--sequential", "--keys", str(keys), "-P", "64")
                    time.sleep(1)
                    counted[kind.name] = (int(server.info("memory")["used_memory"]) - used) / keys
                    resident[kind.name] = (server.rss_bytes() - rss) / keys
                finally:
                    server.stop()
            self.add(Figure("8", f"{what}: counted", "B/key", 0.85, values=counted))
            self.add(Figure("8", f"{what}: RSS", "B/key", 0.85, values=resident))


def started(kinds: list[Kind], *options: str) -> dict[str, Server]:
    servers: dict[str, Server] = {}
    try:
        for kind in kinds:
            servers[kind.name] = Server(kind, *options)
    except BaseException:
        stop(servers)
        raise
    return servers


def started_pairs(kinds: list[Kind]) -> dict[str, Pair]:
    pairs: dict[str, Pair] = {}
    try:
        for kind in kinds:
            pairs[kind.name] = Pair(kind)
    except BaseException:
        stop(pairs)
        raise
    return pairs


def stop(servers: dict) -> None:
    for server in servers.values():
        server.stop()


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def report(run: Run, command: str) -> str:
    """The text of BENCHMARKS.md."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    lines = [
        "# Benchmarks", "",
        f"Made on {date.today()} by `{command}`, on {os.cpu_count()} cores ({cpu}), load generator on the same machine. "
        f"Medians of {run.options.rounds} interleaved rounds. A ratio is ours over the better peer's. Server CPU "
        "per million operations is the figure that holds on a noisy machine; rates and latencies include the generator's "
        "share of the two cores.", "",
        "| row | what | " + " | ".join(["ours", "better peer", "ratio", "goal", ""]) + " |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in run.figures:
        ratio = figure.ratio(run.ours.name)
        sign = "≥" if figure.higher_is_better else "≤"
        lines.append(
            f"| {figure.row} | {figure.what} | {number(figure.values[run.ours.name])} {figure.unit} | "
            f"{number(figure.values[figure.peer])} ({figure.peer}) | {ratio:.2f} | {sign} {figure.goal} | "
            f"{'met' if figure.met(ratio) else '**missed**'} |")
    if run.notes:
        lines += ["", "## Notes of the run", ""] + [f"- {note}" for note in run.notes]
    explanation = REPOSITORY / "benches/explained.md"
    if explanation.exists():
        lines += ["", explanation.read_text().strip()]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1,2,4,5,6,7,8", help="which rows of the goals (3 takes minutes and 5 GB)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the operations, two rounds")
    parser.add_argument("--io-threads", type=int, default=1, help="peers also with so many I/O threads")
    parser.add_argument("--ours-binary", default=str(REPOSITORY / "target/release/lockstep-server"))
    parser.add_argument("--write", action="store_true", help="write BENCHMARKS.md though not all rows were run")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 2
    options.scale = lambda n: n // 10 if options.quick else n
    run = Run(options)
    failed = []
    for row in options.rows.split(","):
        try:
            getattr(run, f"row_{row}")()
        except (Failed, subprocess.TimeoutExpired, OSError) as error:
            failed.append(row)
            run.note(f"row {row:>2}  NOT MEASURED: {error}")
    whole = options.rows == parser.get_default("rows") and not options.quick
    if whole or options.write:
        (REPOSITORY / "BENCHMARKS.md").write_text(report(run, "benches/compare.py " + " ".join(sys.argv[1:])))
        print("written: BENCHMARKS.md")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
