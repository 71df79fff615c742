#!/usr/bin/env python3
"""Lockstep beside Redis and Valkey, in one run: A B C A B C ..., medians, ratios.

    make bench                                  rows 1, 2, 4 to 8; writes BENCHMARKS.md (about 15 minutes)
    benches/compare.py --rows 1,2 --rounds 7    some rows again; BENCHMARKS.md keeps what was measured of the others
    benches/compare.py --quick                  a tenth of the operations, to see that it works; writes nothing

The first figure is server CPU (user and system, from the process's own accounting) per million operations: it
holds on a noisy machine. A ratio is ours over the better peer's; below 1 is better for costs and latency, above 1
for rates. A server that does not start or answers with errors is noted in its row; the others are measured.
"""

from __future__ import annotations

import argparse
import signal
import sys

from figures import STORE, TITLES, Row, load_rows, made_by, report, save_rows
from rows import TOOL, Run
from servers import REPOSITORY, Failed, install

USUAL_ROWS = "1,2,4,5,6,7,8"
BENCHMARKS = REPOSITORY / "BENCHMARKS.md"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=USUAL_ROWS, help=f"which rows of the goals [{USUAL_ROWS}]; 3 and 9 to 12 take minutes and 4 GB, 13 is scripts, 14 connections")
    parser.add_argument("--rounds", type=int, help="interleaved rounds [5, or 2 with --quick]")
    parser.add_argument("--seconds", type=float, help="length of each saturating run, in place of a number of operations")
    parser.add_argument("--keys", type=int, default=10_000_000, help="keys of row 3 [10000000]")
    parser.add_argument("--quick", action="store_true", help="a tenth of the operations")
    parser.add_argument("--io-threads", type=int, default=1, help="the peers also with so many I/O threads")
    parser.add_argument("--ours-binary", default=str(REPOSITORY / "target/release/lockstep-server"))
    parser.add_argument("--write", action="store_true", help="write BENCHMARKS.md though rows are missing, or with --quick")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.rows = options.rows.split(",")
    for row in options.rows:
        if row not in TITLES:
            parser.error(f"no row {row}; there are {', '.join(TITLES)}")
    return options


def write(measured: dict[str, Row], options: argparse.Namespace) -> None:
    if options.no_write or (options.quick and not options.write):
        return
    rows = load_rows() | measured
    save_rows(rows)
    missing = [row for row in USUAL_ROWS.split(",") if row not in rows]
    if missing and not options.write and BENCHMARKS.exists():
        print(f"BENCHMARKS.md is left as it is: {STORE.name} has no row {', '.join(missing)} yet (--write to write anyway)")
        return
    BENCHMARKS.write_text(report(dict(sorted(rows.items(), key=lambda row: int(row[0])))))
    print("written: BENCHMARKS.md")


def main() -> int:
    options = parse()
    # A killed run leaves no servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not TOOL.exists():
        print(f"{TOOL} is not built: cargo build --release", file=sys.stderr)
        return 1
    try:
        install()
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    run, measured, whole = Run(options), {}, True
    command = " ".join(["benches/compare.py", *sys.argv[1:]])
    for name in options.rows:
        measured[name] = Row(made_by(command))
        print(f"row {name}: {TITLES[name]}", flush=True)
        whole &= run.measure(name, measured[name])
        # At once, so that a run broken off keeps what it has.
        write(measured, options)
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
