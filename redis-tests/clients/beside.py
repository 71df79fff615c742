"""Runs a program in another language beside a group, whose primary it may have killed.

    beside.py --binary target/release/lockstep-server node bullmq.js

The program finds the primary at the port in `LOCKSTEP_PORT`, or with `--sentinel` the Sentinels at those in
`LOCKSTEP_SENTINELS`. It prints `fail over` on a line of its own to have the
primary killed and replaced, and then reads a line: `done`. `FAILED what` is a check that does not hold, `ok what` one
that does; it ends with 0 if all do.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading

from checks import Checks
from group import PATIENT, Group
from watched import Watched

# A program that hangs is ended: it must not hold up everything after it.
PATIENCE = 120


def run(group: Group | Watched, program: list[str]) -> int:
    checks = Checks()
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, **group.environment()})
    overdue = threading.Timer(PATIENCE, process.kill)
    overdue.daemon = True
    overdue.start()
    for line in process.stdout:
        line = line.rstrip("\n")
        if line == "fail over":
            group.fail_over()
            # A program that has ended meanwhile is told of below.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write("done\n")
                process.stdin.flush()
        elif line.startswith("ok "):
            checks.passed += 1
        elif line.startswith("FAILED "):
            checks.that(line.removeprefix("FAILED "), False)
        else:
            print(line, flush=True)
    code = process.wait()
    overdue.cancel()
    checks.that(f"the program ended with {code}", code == 0)
    if code == 0:
        checks.that("all nodes hold the same data", len(group.digests()) == 1)
    return checks.end()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--sentinel", action="store_true", help="a group that Sentinels watch over")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    group = Watched(options.binary) if options.sentinel else Group(options.binary, options=PATIENT)
    try:
        return run(group, options.program)
    finally:
        group.remove()


if __name__ == "__main__":
    sys.exit(main())
