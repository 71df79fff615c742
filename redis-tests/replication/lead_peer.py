#!/usr/bin/env python3
"""The real servers as replicas of Lockstep: full copies of either kind, the stream, acknowledgements, a link that breaks.

    redis-tests/run-replication --binary target/release/lockstep-server
"""

from __future__ import annotations

import sys

import links
from links import KNOW_FIELD_EXPIRY, SECOND_CHANNEL, Broken, Writer, call, info, until


def main() -> int:
    binaries = links.binaries()
    cases = []
    for name in binaries:
        if name == "lockstep":
            continue
        for diskless in ("yes", "no"):
            kind = "diskless" if diskless == "yes" else "from disk"
            cases.append((f"a copy for {name}, {kind}, then the stream", lambda n=name, d=diskless: copy_and_stream(binaries, n, d)))
        cases.append((f"{name} in the in-sync set", lambda n=name: in_sync(binaries, n)))
        # By hand with one, by FAILOVER with the others.
        by_failover = name != "valkey"
        how = "by FAILOVER" if by_failover else "by hand"
        cases.append((f"migration to {name} under load, {how}", lambda n=name, f=by_failover: migrate_out(binaries, n, f)))
    if "redis7" in binaries:
        cases.append(("no copy for redis7 that it cannot load", lambda: refused(binaries)))
    return links.run(cases)


def skipped(name: str) -> set[str]:
    return set() if name in KNOW_FIELD_EXPIRY else {"hash-ttl"}


def copy_and_stream(binaries: dict, name: str, diskless: str) -> None:
    primary = links.start("lockstep", binaries["lockstep"], "--repl-diskless-sync", diskless)
    load = "swapdb" if diskless == "yes" else "disabled"
    channel = SECOND_CHANNEL[name] if diskless == "yes" else []
    replica = links.start(name, binaries[name], "--repl-diskless-load", load, *channel)
    try:
        links.fill(primary, skipped(name))
        with Writer(primary, name in KNOW_FIELD_EXPIRY) as writer:
            links.follow(replica, primary)
            until("some writes are done", lambda: writer.acknowledged > 500)
            call(replica.connect(10), "CLIENT", "KILL", "TYPE", "master")
            until("the replica is back", lambda: info(primary.connect(10), "stats")["sync_partial_ok"] == "1")
            until("more writes are done", lambda: writer.acknowledged > 1000)
        links.same(primary, replica)
        if info(primary.connect(10), "stats")["sync_full"] != "1":
            raise Broken("there was another full copy")
    finally:
        replica.stop()
        primary.stop()


def refused(binaries: dict) -> None:
    """A server that does not know the expiry of fields gets no copy that it would stumble over, and is told why."""
    primary = links.start("lockstep", binaries["lockstep"])
    replica = links.start("redis7", binaries["redis7"])
    try:
        connection = primary.connect(10)
        call(connection, "HSET", "h", "f", "v")
        call(connection, "HPEXPIRE", "h", 10_000_000, "FIELDS", 1, "f")
        call(replica.connect(10), "REPLICAOF", primary.host, primary.port)
        until("the primary says why", lambda: "replica-rdb-version" in primary.log_tail(100))
        call(replica.connect(10), "PING")
        call(connection, "HPERSIST", "h", "FIELDS", 1, "f")
        links.same(primary, replica)
    finally:
        replica.stop()
        primary.stop()


def in_sync(binaries: dict, name: str) -> None:
    """Writes wait for the acknowledgement that the primary asks for, and for the replica's file where it tells of it."""
    tells_of_file = name != "redis7"
    primary = links.start("lockstep", binaries["lockstep"], "--sync-timeout", "10000", "--sync-on-timeout", "wait",
                          "--sync-ack", "fsynced" if tells_of_file else "applied")
    replica = links.start(name, binaries[name], "--appendonly", "yes", "--appendfsync", "always")
    try:
        links.follow(replica, primary)
        connection = primary.connect(30)
        until("it is in sync", lambda: info(primary.connect(10), "replication")["insync_replicas"] == "1")
        for n in range(200):
            call(connection, "SET", "n", n)
            # What was acknowledged is on the replica.
            if n % 20 == 0 and call(replica.connect(10), "GET", "n").text != b"%d" % n:
                raise Broken(f"write {n} was acknowledged and is not on the replica")
        if call(connection, "WAIT", 1, 5000).text != b"1":
            raise Broken("WAIT does not count the replica")
        if tells_of_file and _numbers(call(connection, "WAITAOF", 0, 1, 5000)) != [0, 1]:
            raise Broken("WAITAOF does not count the replica")
    finally:
        replica.stop()
        primary.stop()


def _numbers(reply) -> list[int]:
    return [int(item.text) for item in reply.items]


def migrate_out(binaries: dict, name: str, by_failover: bool) -> None:
    """From Lockstep to a real server while clients write: none of their writes is lost or done twice."""
    old = links.start("lockstep", binaries["lockstep"])
    new = links.start(name, binaries[name])
    try:
        links.fill(old, skipped(name))
        with Writer(old) as writer:
            links.follow(new, old)
            until("some writes are done", lambda: writer.acknowledged > 300)
            links.switch(old, new, writer, by_failover)
            before = writer.acknowledged
            until("writes go on", lambda: writer.acknowledged > before + 300)
        links.tally(new, writer)
        # The old primary goes on as a replica, without another copy.
        links.same(new, old)
        if info(new.connect(10), "stats")["sync_full"] != "0":
            raise Broken("the old primary needed a full copy")
    finally:
        new.stop()
        old.stop()


if __name__ == "__main__":
    sys.exit(main())
