#!/usr/bin/env python3
"""Stock Sentinels fail Lockstep over, and clients that follow Sentinel lose nothing that was acknowledged.

Three Sentinels (Debian's Redis 7.0, Redis 8.2 and Valkey 9.1) watch a primary and two replicas. Workers write through
redis-py's Sentinel client and note what they were told. The role is handed over once on request. Then the primary is
killed with SIGKILL, twice: a replica takes over, the other one is reconfigured, and so is the old primary when it comes
back. Configuration files keep the roles. At the
end every acknowledged write is there once, in order, and none that was refused.

    redis-tests/run-sentinel --binary target/release/lockstep-server
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

import redis
from nodes import Group, wait_for
from redis.backoff import NoBackoff
from redis.retry import Retry

WORKERS = 8
# Refused: certainly not executed.
REFUSALS = ("READONLY", "NOREPLICAS", "LOADING", "MASTERDOWN", "NOMASTERLINK")

# Errors of the library's: nobody listened, or a READONLY that it has turned into an error of the connection.
NOT_SENT = ("Connection refused", "The previous master is now a slave")


class Worker(threading.Thread):
    """Appends numbers to a list of its own, each together with an increment, through Sentinel's client."""

    def __init__(self, number: int, group: Group, stop: threading.Event):
        super().__init__(daemon=True)
        self.number, self.stop = number, stop
        self.log, self.count = f"log:{number}", f"count:{number}"
        self.done: list[int] = []
        self.unknown: set[int] = set()
        self.refused = 0
        self.failure: BaseException | None = None
        # No retries of the library's: a retried increment would be counted twice.
        self.client = group.sentinel_client().master_for(group.NAME, socket_timeout=10, retry=Retry(NoBackoff(), 0))

    def run(self) -> None:
        try:
            n = 0
            while not self.stop.is_set():
                n += 1
                self.one(n)
        except BaseException as failure:  # noqa: BLE001 (reported at the end)
            self.failure = failure

    def one(self, n: int) -> None:
        try:
            with self.client.pipeline(transaction=True) as pipe:
                pipe.rpush(self.log, n)
                pipe.incr(self.count)
                length, count = pipe.execute()
        except redis.sentinel.MasterNotFoundError:
            self.refused += 1
        except redis.exceptions.ResponseError as error:
            if str(error).startswith("UNCERTAIN"):
                self.unknown.add(n)
            elif any(word in str(error) for word in REFUSALS):
                self.refused += 1
            else:
                raise
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            if any(words in str(error) for words in NOT_SENT):
                self.refused += 1
            else:
                self.unknown.add(n)
        else:
            self.done.append(n)
            if length != count:
                raise AssertionError(f"{self.log} has {length}, {self.count} is {count}")
            return
        self.client.connection_pool.disconnect()
        time.sleep(0.05)


class Checks:
    """Counts what holds and tells what does not."""

    def __init__(self):
        self.passed = self.failed = 0

    def that(self, what: str, holds: bool) -> None:
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}")


def check_tally(checks: Checks, workers: list[Worker], client: redis.Redis) -> None:
    for worker in workers:
        name = worker.log
        checks.that(f"worker {worker.number} ran to the end: {worker.failure!r}", worker.failure is None)
        found = [int(n) for n in client.lrange(name, 0, -1)]
        present = set(found)
        lost = [n for n in worker.done if n not in present]
        checks.that(f"{name}: acknowledged and missing: {lost[:5]}, {len(lost)} in all", not lost)
        extra = present - set(worker.done) - worker.unknown
        checks.that(f"{name}: refused and there: {sorted(extra)[:5]}", not extra)
        checks.that(f"{name}: each once, in order", found == sorted(present))
        checks.that(f"{name}: transactions are whole", int(client.get(worker.count) or 0) == len(found))
    done, unknown = sum(len(w.done) for w in workers), sum(len(w.unknown) for w in workers)
    refused = sum(w.refused for w in workers)
    print(f"{done} transactions acknowledged, {unknown} unknown, {refused} refused while there was no primary")


def wait_for_work(workers: list[Worker]) -> None:
    before = [len(worker.done) for worker in workers]
    wait_for("every worker to go on", lambda: all(
        w.failure or len(w.done) > n + 20 for w, n in zip(workers, before)))


def run(group: Group, checks: Checks, workers: list[Worker]) -> None:
    first, second, never = group.nodes
    group.wait_until_watched()
    for worker in workers:
        worker.start()
    wait_for_work(workers)

    checks.that("who is in sync may be promoted", (second.info()["slave_priority"], second.info()["replica_in_sync"])
                == (100, "yes"))

    # Valkey's Sentinel can ask the primary for a FAILOVER.
    group.sentinels[-1].client().execute_command("SENTINEL", "FAILOVER", group.NAME, "COORDINATED")
    group.wait_for_primary(second)
    wait_for("the others to follow", lambda: first.follows(second) and never.follows(second))
    wait_for_work(workers)
    group.wait_in_sync(second, 2)
    group.wait_until_watched()

    second.kill()
    group.wait_for_primary(first)
    wait_for_work(workers)
    wait_for("the other replica to follow", lambda: never.follows(first))
    wait_for("the roles to be written", lambda: never.configured_primary() == first.port)
    checks.that("the promoted node's file names no primary", first.configured_primary() is None)

    # It comes back as its file says, and nobody may write to it.
    second.start()
    wait_for("the old primary to follow", lambda: second.follows(first))
    wait_for("its file to name the new one", lambda: second.configured_primary() == first.port)
    group.wait_in_sync(first, 2)
    wait_for_work(workers)

    # Only the second may take over: the other's priority is 0.
    group.wait_until_watched()
    first.kill()
    group.wait_for_primary(second)
    wait_for("the other replica to follow", lambda: never.follows(second))
    wait_for_work(workers)
    never.restart()
    wait_for("the restarted replica to follow as its file says", lambda: never.follows(second))
    wait_for_work(workers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    options = parser.parse_args()
    checks, stop, begun = Checks(), threading.Event(), time.monotonic()
    group = Group(options.binary)
    try:
        workers = [Worker(number, group, stop) for number in range(WORKERS)]
        run(group, checks, workers)
        stop.set()
        for worker in workers:
            worker.join(60)
        _, second, never = group.nodes
        group.wait_in_sync(second, 1)
        check_tally(checks, workers, second.client())
        wait_for("the replica to have everything", lambda: second.offset() == never.offset())
        checks.that("the replica holds the same data", second.digest() == never.digest())
    finally:
        stop.set()
        group.remove(keep=checks.failed > 0 or sys.exc_info()[0] is not None)
    print(f"{time.monotonic() - begun:.0f} s")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
