"""Figures, their goals, and the text of BENCHMARKS.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from servers import REPOSITORY

# What was measured when, so that one row can be measured again and the others kept.
STORE = REPOSITORY / ".bench/rows.json"
EXPLAINED = REPOSITORY / "benches/explained.md"
OURS = "Lockstep"

TITLES = {
    "1": "GET, SET, INCR, HSET; no pipeline; 50 connections",
    "2": "The same, pipeline 16",
    "3": "GET of many keys, pipeline 16",
    "4": "SET with one synchronous replica, beside SET + WAIT 1; 50 connections; CPU of both nodes",
    "5": "The same against our own asynchronous rate",
    "6": "One connection, synchronous; without and with distance",
    "7": "appendfsync always, 50 connections",
    "8": "Bytes per key",
    "9": "A snapshot under writes",
    "10": "A full resynchronisation under writes",
    "11": "Restart",
    "12": "Many keys inserted",
    "13": "Scripts and transactions; 50 connections",
    "14": "Idle connections",
}


@dataclass
class Figure:
    """One measured quantity: the median of each server, and the goal for ours, where there is one."""

    what: str
    unit: str
    values: dict[str, float]
    goal: float | None = None
    higher_is_better: bool = False
    # What ours is divided by; the best of the peers where not said.
    against: str | None = None

    def rival(self) -> str | None:
        others = {name: value for name, value in self.values.items() if name != OURS}
        if self.against:
            return self.against if self.against in others else None
        pick = max if self.higher_is_better else min
        return pick(others, key=others.get) if others else None

    def ratio(self) -> float | None:
        rival = self.rival()
        if OURS not in self.values or rival is None or not self.values[rival]:
            return None
        return self.values[OURS] / self.values[rival]

    def verdict(self) -> str:
        ratio = self.ratio()
        if self.goal is None:
            return ""
        if ratio is None:
            return "not measured"
        return "met" if (ratio >= self.goal if self.higher_is_better else ratio <= self.goal) else "missed"

    def goal_text(self) -> str:
        return "" if self.goal is None else f"{'≥' if self.higher_is_better else '≤'} {self.goal}"

    def line(self) -> str:
        values = "  ".join(f"{name} {number(value)}" for name, value in self.values.items())
        ratio = self.ratio()
        shown = f"ratio {ratio:.2f}" if ratio is not None else ""
        goal = f"(goal {self.goal_text()}: {self.verdict().upper()})" if self.goal is not None else ""
        return f"{self.what:<46} {values} {self.unit}  {shown} {goal}".rstrip()


@dataclass
class Row:
    """What one row of the goals came to, and how it was made."""

    made: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 100 else f"{value:.3g}"


def load_rows() -> dict[str, Row]:
    if not STORE.exists():
        return {}
    stored = json.loads(STORE.read_text())
    return {name: Row(row["made"], [Figure(**figure) for figure in row["figures"]], row["notes"])
            for name, row in stored.items()}


def save_rows(rows: dict[str, Row]) -> None:
    STORE.parent.mkdir(exist_ok=True)
    STORE.write_text(json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1))


def made_by(command: str) -> str:
    """When, from which commit, with which command, how busy the machine was."""
    git = lambda *words: subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True).stdout.strip()  # noqa: E731
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no", "src") else ""
    return (f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, commit {git('rev-parse', '--short', 'HEAD')}{changed}, "
            f"`{command}`, load average before {os.getloadavg()[0]:.1f}")


def machine() -> str:
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) // 2**20 for line in Path("/proc/meminfo").read_text().splitlines()
                  if line.startswith("MemTotal"))
    return f"{os.cpu_count()} cores ({cpu}), {memory} GiB, Linux {platform.release()}"


def table(row: Row) -> list[str]:
    names = list(dict.fromkeys(name for figure in row.figures for name in figure.values))
    lines = ["| what | unit | " + " | ".join(names) + " | ratio | goal | |", "|---" * (len(names) + 5) + "|"]
    for figure in row.figures:
        ratio = figure.ratio()
        cells = [number(figure.values[name]) if name in figure.values else "–" for name in names]
        verdict = figure.verdict()
        lines.append(" | ".join([
            f"| {figure.what}", figure.unit, *cells, "" if ratio is None else f"{ratio:.2f}", figure.goal_text(),
            verdict if verdict == "met" or not verdict else f"**{verdict}**"]) + " |")
    return lines


def report(rows: dict[str, Row]) -> str:
    """The text of BENCHMARKS.md."""
    lines = [
        "# Benchmarks", "",
        f"Lockstep beside Redis and Valkey on one machine in one run: {machine()}. The load generator (`lockstep bench`) "
        "runs on the same cores, so rates and latencies measure it too; **server CPU per million operations**, from the "
        "process's own accounting, is the figure that holds on a noisy machine. Figures are medians of interleaved rounds "
        "(A B C A B C …). A ratio is ours over the better peer's, or over what the row says.", "",
        "`make bench` makes all of this again; `benches/compare.py --rows 4,6` some of it; `docs/bench.md` says more.", "",
    ]
    missed = [f"- Row {name}, {figure.what}: {figure.ratio():.2f}, goal {figure.goal_text()}"
              for name, row in rows.items() for figure in row.figures if figure.verdict() == "missed"]
    absent = [f"- Row {name}, {figure.what}: not measured (goal {figure.goal_text()})"
              for name, row in rows.items() for figure in row.figures if figure.verdict() == "not measured"]
    lines += ["## Goals missed", ""] + (missed + absent or ["None."]) + [""]
    if EXPLAINED.exists():
        lines += [EXPLAINED.read_text().strip(), ""]
    for name, row in sorted(rows.items(), key=lambda row: int(row[0])):
        lines += [f"## Row {name}: {TITLES[name]}", ""]
        lines += table(row) if row.figures else ["Not measured."]
        lines += [""] + [f"- {note}" for note in row.notes] + ([""] if row.notes else [])
        lines += [f"Made {row.made}.", ""]
    return "\n".join(lines)
