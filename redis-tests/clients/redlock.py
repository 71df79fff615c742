#!/usr/bin/env python3
"""Redlock, by pottery: a lock on three groups that know nothing of each other, one of which dies.

    redis-tests/clients/redlock.py --binary target/release/lockstep-server
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import warnings

import redis
from checks import Checks
from group import Node
from pottery import RedisCounter, RedisDict, Redlock, ReleaseUnlockedLock
from redis.backoff import NoBackoff
from redis.retry import Retry


def locks(checks: Checks, masters: set[redis.Redis], when: str) -> None:
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(3):
            with Redlock(key="campaign", masters=masters, auto_release_time=10):
                inside += 1
                most = max(most, inside)
                time.sleep(0.005)
                inside -= 1
                done += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checks.equal(f"{when}: it admits one at a time, and all in the end", [most, done], [1, 12])
    held = Redlock(key=f"held {when}", masters=masters, auto_release_time=10)
    checks.that(f"{when}: it is had", held.acquire())
    checks.that(f"{when}: and not twice", not Redlock(key=f"held {when}", masters=masters).acquire(blocking=False))
    checks.that(f"{when}: it lasts {held.locked()} s", 0 < held.locked() <= 10)
    held.extend()
    held.release()
    checks.equal(f"{when}: it is given back", held.locked(), 0)
    try:
        held.release()
        checks.that(f"{when}: once only", False)
    except ReleaseUnlockedLock:
        checks.that(f"{when}: once only", True)
    short = Redlock(key=f"short {when}", masters=masters, auto_release_time=0.3)
    checks.that(f"{when}: a short one is had", short.acquire())
    checks.soon(f"{when}: and lapses", lambda: Redlock(key=f"short {when}", masters=masters).acquire(blocking=False), 10)


def main() -> int:
    # That reading a whole dict takes as long as it is big.
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    options = parser.parse_args()
    nodes = [Node(options.binary, []) for _ in range(3)]
    checks = Checks()
    try:
        # A dead server must cost less time than the lock lasts: redis-py would ask it again for ten seconds.
        masters = {redis.Redis(port=node.port, socket_timeout=2, retry=Retry(NoBackoff(), 0)) for node in nodes}
        locks(checks, masters, "with three")
        nodes[0].kill()
        locks(checks, masters, "with two")
        client = redis.Redis(port=nodes[1].port)
        table = RedisDict({"a": 1, "b": [2]}, redis=client, key="table")
        table["c"] = {"d": None}
        checks.equal("a dict that lives in the server", dict(table), {"a": 1, "b": [2], "c": {"d": None}})
        counter = RedisCounter("abracadabra", redis=client, key="letters")
        checks.equal("a counter too", counter.most_common(1), [("a", 5)])
    finally:
        for node in nodes:
            node.remove()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
