"""What every application counts and prints, and what starts its group."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator

from group import PATIENT, Group


class Checks:
    """Counts what holds and tells what does not."""

    def __init__(self):
        self.passed = self.failed = 0

    def that(self, what: str, holds: bool) -> None:
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}", flush=True)

    def equal(self, what: str, found, expected) -> None:
        self.that(f"{what}: {found!r}, expected {expected!r}", found == expected)

    def soon(self, what: str, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Holds now or before long; a condition that breaks off with an error does not hold yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                holds, why = bool(condition()), ""
            except Exception as error:  # noqa: BLE001 (told when time is up)
                holds, why = False, f" ({error!r})"
            if holds or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self.that(f"{what}{why}", holds)

    def end(self) -> int:
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


@contextlib.contextmanager
def group_of_three(about: str | None) -> Iterator[tuple[Group, Checks]]:
    """A primary with two synchronous replicas of the server that the command line names."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    options = parser.parse_args()
    group = Group(options.binary, options=PATIENT)
    try:
        yield group, Checks()
    finally:
        group.remove()


def follow_failures(attempt: Callable, seconds: float = 30):
    """Calls until the primary is there again: for what may be done twice."""
    import redis

    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
