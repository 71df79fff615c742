#!/usr/bin/env python3
"""Lockstep as a replica of the real servers: full copies of either kind, the stream, a link that breaks.

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
            cases.append((f"a copy of {name}, {kind}, then its stream", lambda n=name, d=diskless: copy_and_stream(binaries, n, d)))
        if name in KNOW_FIELD_EXPIRY:
            cases.append((f"what {name} writes of its streams", lambda n=name: streams(binaries, n)))
        # By hand with one, by FAILOVER with the others.
        by_failover = name != "redis7"
        how = "by FAILOVER" if by_failover else "by hand"
        cases.append((f"migration from {name} under load, {how}", lambda n=name, f=by_failover: migrate_in(binaries, n, f)))
    return links.run(cases)


def copy_and_stream(binaries: dict, name: str, diskless: str) -> None:
    primary = links.start(name, binaries[name], "--repl-diskless-sync", diskless, *(SECOND_CHANNEL[name] if diskless == "yes" else []))
    replica = links.start("lockstep", binaries["lockstep"])
    try:
        links.fill(primary)
        with Writer(primary, name in KNOW_FIELD_EXPIRY) as writer:
            links.follow(replica, primary)
            full = int(info(primary.connect(10), "stats")["sync_full"])
            until("some writes are done", lambda: writer.acknowledged > 500)
            # The link breaks: what was missed comes from the backlog.
            partial = int(info(primary.connect(10), "stats")["sync_partial_ok"])
            call(primary.connect(10), "CLIENT", "KILL", "TYPE", "replica")
            until("the replica is back", lambda: int(info(primary.connect(10), "stats")["sync_partial_ok"]) > partial)
            until("more writes are done", lambda: writer.acknowledged > 1000)
        links.same(primary, replica)
        if int(info(primary.connect(10), "stats")["sync_full"]) != full:
            raise Broken("there was another full copy")
        acknowledged(primary)
    finally:
        replica.stop()
        primary.stop()


def streams(binaries: dict, name: str) -> None:
    """Approximate trimming with a limit, and claims of entries that are gone: each was refused, or kept what is gone."""
    primary = links.start(name, binaries[name], "--appendonly", "yes", "--stream-node-max-entries", "5")
    replica = links.start("lockstep", binaries["lockstep"], "--stream-node-max-entries", "5")
    try:
        links.follow(replica, primary)
        connection = primary.connect(10)
        for trim in ("XTRIM x MAXLEN ~ 10 LIMIT 50", "XTRIM x MINID ~ 30-0 LIMIT 50", "XADD x MAXLEN ~ 10 LIMIT 50 1000-1 f v", "XADD x MINID ~ 30 LIMIT 50 1000-2 f v"):
            for entry in range(1, 60):
                connection.call("XADD", "x", f"{entry}-0", "f", "v")
            call(connection, *trim.split())
            links.same(primary, replica)
            call(connection, "DEL", "x")
        for entry in range(1, 6):
            call(connection, "XADD", "y", f"{entry}-0", "f", "v")
        call(connection, "XGROUP", "CREATE", "y", "g", "0")
        call(connection, "XREADGROUP", "GROUP", "g", "c", "COUNT", "3", "STREAMS", "y", ">")
        call(connection, "XDEL", "y", "1-0", "2-0")
        call(connection, "XCLAIM", "y", "g", "d", "0", "1-0", "JUSTID")
        call(connection, "XAUTOCLAIM", "y", "g", "d", "0", "0")
        links.caught_up(replica, primary)
        pending = [call(server.connect(10), "XPENDING", "y", "g").show() for server in (primary, replica)]
        if pending[0] != pending[1]:
            raise Broken(f"{name} has pending {pending[0]}, lockstep {pending[1]}")
    finally:
        replica.stop()
        primary.stop()


def acknowledged(primary) -> None:
    """`WAIT` on the primary: the replica answers when it is asked."""
    connection = primary.connect(10)
    call(connection, "SET", "waited", "for")
    if call(connection, "WAIT", 1, 2000).text != b"1":
        raise Broken("no acknowledgement")


def migrate_in(binaries: dict, name: str, by_failover: bool) -> None:
    """From a real server to Lockstep while clients write: none of their writes is lost or done twice."""
    old = links.start(name, binaries[name])
    new = links.start("lockstep", binaries["lockstep"])
    try:
        links.fill(old)
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
