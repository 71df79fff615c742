#!/usr/bin/env python3
"""A campaign send, checked against an independent tally, with the primary killed half-way.

Workers send mails to subscribers, and record opens, clicks, unsubscribes, sessions and rate limits through redis-py.
Each worker writes down what it was told: an acknowledged operation must be found at the end, exactly once; one whose
connection broke, or that was answered UNCERTAIN, is unknown and may be found once or not at all. Half-way the primary
is killed with SIGKILL, a replica takes over, and the workers go on there.

    redis-tests/clients/campaign.py --binary target/release/lockstep-server [--seconds 6] [--workers 12]
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter

import redis
from checks import Checks
from group import Group

SUBSCRIBERS = 400
CAMPAIGN = "spring"
SEGMENTS = ["news", "shop", "trial"]


class Tally:
    """What one worker was told: done for certain, and possibly done, by counter."""

    def __init__(self):
        self.done: Counter = Counter()
        self.unknown: Counter = Counter()
        self.sessions: dict[str, str] = {}
        self.maybe_sessions: dict[str, set[str]] = {}
        self.unsubscribed: set[int] = set()
        self.maybe_unsubscribed: set[int] = set()
        self.refused = 0


class Worker(threading.Thread):
    """Does random pieces of a campaign's work until told to stop."""

    def __init__(self, number: int, group: Group, stop: threading.Event):
        super().__init__(daemon=True)
        self.number, self.group, self.stop = number, group, stop
        self.tally, self.random = Tally(), random.Random(number)
        self.connection: redis.Redis | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.one_piece()
        except BaseException as failure:  # noqa: BLE001 (reported at the end)
            self.failure = failure

    def client(self) -> redis.Redis:
        if self.connection is None:
            # No retries of the library's: a retried increment would be counted twice, and we want to know.
            self.connection = self.group.primary.client(single_connection_client=True, socket_timeout=15,
                                                        retry=None, retry_on_error=[])
        return self.connection

    def attempt(self, action, done, maybe) -> None:
        """Runs `action`; then exactly one of: it is done, it may be done, it was refused."""
        try:
            action(self.client())
        except redis.exceptions.ResponseError as error:
            text = str(error)
            if text.startswith("UNCERTAIN"):
                maybe()
            elif text.startswith(("NOREPLICAS", "READONLY", "LOADING")) or "NOREPLICAS" in text:
                self.tally.refused += 1
                self.forget()
            else:
                raise
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            maybe()
            self.forget()
        else:
            done()

    def forget(self) -> None:
        """The connection is of no use any more: the next attempt makes one to the current primary."""
        if self.connection is not None:
            try:
                self.connection.close()
            except (redis.ConnectionError, OSError):
                pass
        self.connection = None
        time.sleep(0.02)

    def count(self, names: list[str], action) -> None:
        def add(to: Counter) -> None:
            to.update(names)

        self.attempt(action, lambda: add(self.tally.done), lambda: add(self.tally.unknown))

    def one_piece(self) -> None:
        subscriber = self.random.randrange(SUBSCRIBERS)
        kind = self.random.choices(["send", "open", "click", "session", "limit", "unsubscribe"], [5, 4, 3, 3, 2, 1])[0]
        getattr(self, kind)(subscriber)

    def send(self, subscriber: int) -> None:
        """The subscriber's hash and the campaign's counter change together."""
        def action(client: redis.Redis) -> None:
            with client.pipeline(transaction=True) as pipe:
                pipe.hincrby(f"subscriber:{subscriber}", "sent", 1)
                pipe.hset(f"subscriber:{subscriber}", mapping={"segment": SEGMENTS[subscriber % 3], "last": CAMPAIGN})
                pipe.incr(f"campaign:{CAMPAIGN}:sent")
                pipe.execute()

        self.count([f"sent:{subscriber}", "sent"], action)

    def open(self, subscriber: int) -> None:
        self.count([f"opens:{subscriber}"], lambda c: c.hincrby(f"subscriber:{subscriber}", "opens", 1))

    def click(self, subscriber: int) -> None:
        link = subscriber % 5
        self.count([f"clicks:{link}"], lambda c: c.incr(f"campaign:{CAMPAIGN}:clicks:{link}"))

    def limit(self, subscriber: int) -> None:
        """A rate limiter: the counter and its expiry in one transaction."""
        key = f"limit:{self.number}:{subscriber % 20}"

        def action(client: redis.Redis) -> None:
            with client.pipeline(transaction=True) as pipe:
                pipe.incr(key)
                pipe.expire(key, 3600)
                pipe.execute()

        self.count([key], action)

    def session(self, subscriber: int) -> None:
        """Sessions belong to one worker each, so that the last one set is known."""
        key = f"session:{self.number}:{subscriber % 50}"
        value = f"{self.number}-{self.random.random()}"

        def done() -> None:
            self.tally.sessions[key] = value
            self.tally.maybe_sessions.pop(key, None)

        self.attempt(lambda c: c.set(key, value, ex=3600), done,
                     lambda: self.tally.maybe_sessions.setdefault(key, set()).add(value))
        if key in self.tally.sessions and key not in self.tally.maybe_sessions:
            expected = self.tally.sessions[key]

            def touch(client: redis.Redis) -> None:
                found = client.getex(key, ex=3600)
                assert found == expected, f"{key} is {found}, acknowledged {expected}"

            self.attempt(touch, lambda: None, lambda: None)

    def unsubscribe(self, subscriber: int) -> None:
        self.attempt(lambda c: c.hset(f"subscriber:{subscriber}", "unsubscribed", "1"),
                     lambda: self.tally.unsubscribed.add(subscriber),
                     lambda: self.tally.maybe_unsubscribed.add(subscriber))


def check(group: Group, workers: list[Worker]) -> Checks:
    checks, client = Checks(), group.primary.client()
    done, unknown = Counter(), Counter()
    for worker in workers:
        checks.that(f"worker {worker.number} ran to the end: {worker.failure!r}", worker.failure is None)
        done.update(worker.tally.done)
        unknown.update(worker.tally.unknown)

    def count(what: str, name: str, found) -> None:
        found = int(found or 0)
        low, high = done[name], done[name] + unknown[name]
        checks.that(f"{what}: {found}, acknowledged {low}, at most {high}", low <= found <= high)

    count("mails sent", "sent", client.get(f"campaign:{CAMPAIGN}:sent"))
    total = 0
    for subscriber in range(SUBSCRIBERS):
        fields = client.hgetall(f"subscriber:{subscriber}")
        total += int(fields.get("sent", 0))
        count(f"sent to {subscriber}", f"sent:{subscriber}", fields.get("sent"))
        count(f"opens of {subscriber}", f"opens:{subscriber}", fields.get("opens"))
        if any(subscriber in worker.tally.unsubscribed for worker in workers):
            checks.that(f"{subscriber} stays unsubscribed", fields.get("unsubscribed") == "1")
        elif not any(subscriber in worker.tally.maybe_unsubscribed for worker in workers):
            checks.that(f"{subscriber} never unsubscribed", "unsubscribed" not in fields)
    checks.that("the campaign's counter is the sum of its subscribers' (transactions are whole)",
                total == int(client.get(f"campaign:{CAMPAIGN}:sent") or 0))
    for link in range(5):
        count(f"clicks on link {link}", f"clicks:{link}", client.get(f"campaign:{CAMPAIGN}:clicks:{link}"))
    for worker in workers:
        for name in {n for n in [*worker.tally.done, *worker.tally.unknown] if n.startswith("limit:")}:
            count(name, name, client.get(name))
            checks.that(f"{name} expires", client.get(name) is None or 0 < client.ttl(name) <= 3600)
        for key, value in worker.tally.sessions.items():
            allowed = {value} | worker.tally.maybe_sessions.get(key, set())
            checks.that(f"{key} is a session that was set", client.get(key) in allowed)
    checks.that("all nodes hold the same data", len(group.digests()) == 1)
    operations, lost = sum(done.values()), sum(unknown.values())
    refused = sum(worker.tally.refused for worker in workers)
    print(f"{operations} counted operations acknowledged, {lost} unknown, {refused} refused while there was no primary")
    checks.that("there was work before and after the failover", operations > 200)
    return checks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--workers", type=int, default=12)
    options = parser.parse_args()
    group = Group(options.binary)
    try:
        stop = threading.Event()
        workers = [Worker(number, group, stop) for number in range(options.workers)]
        for worker in workers:
            worker.start()
        time.sleep(options.seconds / 2)
        group.fail_over()
        time.sleep(options.seconds / 2)
        stop.set()
        for worker in workers:
            worker.join(60)
        group.wait_in_sync(2)
        checks = check(group, workers)
    finally:
        group.remove()
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
