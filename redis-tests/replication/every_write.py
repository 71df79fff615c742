#!/usr/bin/env python3
"""Every write command of the table on a Lockstep primary, with one replica of each real server: all hold the same at the
end, and none of them has met a command that it does not know.

    redis-tests/run-replication --binary target/release/lockstep-server
"""

from __future__ import annotations

import random
import re
import sys

import links
from command_table import Table, entry, Calls, GROUPS
from links import Broken, call, info, until

# What a server says when it does not understand its primary.
MISUNDERSTOOD = re.compile(r"unknown command|sending an error to its (?:master|primary)|CRITICAL", re.I)
# What has no form that Redis 7.0 knows: see "no stream for redis7 that it does not understand".
FIELD_EXPIRY = {"hexpire", "hpexpire", "hexpireat", "hpexpireat", "hpersist", "hgetex", "hsetex"}
# MIGRATE needs another server, RESTORE what DUMP gave; these leave little to look at.
ELSEWHERE = {"migrate", "restore", "restore-asking", "flushall", "flushdb", "swapdb", "pfdebug"}
# Forms that are newer than their commands, and a stream in which an entry is pending between others that are not.
PLAINLY = """
SET n a|SET n b IFEQ a|SET n c PX 10000000|DELIFEQ n c|MSETEX 2 n a m b EX 100000|SET b1 abc|SET b2 azcd
BITOP DIFF b3 b1 b2|BITOP DIFF1 b4 b1 b2|BITOP ANDOR b5 b1 b2|BITOP ONE b6 b1 b2 b3|BITOP DIFF b1 b1 b2|BITOP ONE b2 x y
XADD s 1-1 f v|XADD s 2-1 f v|XADD s 3-1 f v|XADD s 4-1 f v|XADD s 5-1 f v|XADD s 6-1 f v|XGROUP CREATE s g 0
XGROUP CREATE s h 0|XREADGROUP GROUP g c COUNT 5 STREAMS s >|XREADGROUP GROUP h c COUNT 6 STREAMS s >
XACK s g 2-1 4-1|XACK s h 2-1 3-1|XADD s ACKED MAXLEN 2 7-1 f v|XTRIM s MAXLEN 2 ACKED|XDELEX s DELREF IDS 1 3-1
XACKDEL s g ACKED IDS 1 1-1|XACKDEL s h DELREF IDS 1 1-1|XADD s DELREF MAXLEN = 3 * f v|XTRIM s MAXLEN 2 DELREF
XADD s KEEPREF MAXLEN ~ 100 * f v|HSET h a 1 b 2 c 3|HGETDEL h FIELDS 1 a|HINCRBYFLOAT h b 0.5|SADD t 1 2 3 4|SPOP t 2
RPUSH l 1 2 3 4|LMPOP 1 l LEFT COUNT 2|BLMPOP 1 1 l RIGHT|ZADD z 1 a 2 b 3 c|ZMPOP 1 z MAX|BZMPOP 1 1 z MIN|GETEX m PERSIST
GEOADD geo 13.36 38.11 p 15.08 37.5 q|GEOSEARCHSTORE near geo FROMMEMBER p BYRADIUS 200 km|SINTERSTORE t2 t t
"""
CALLS = 1500


def main() -> int:
    binaries = links.binaries()
    cases = [("every write command, understood by all", lambda: every_write(binaries))]
    if "redis7" in binaries:
        cases.append(("no stream for redis7 that it does not understand", lambda: withheld(binaries)))
    return links.run(cases)


def every_write(binaries: dict) -> None:
    primary = links.start("lockstep", binaries["lockstep"])
    replicas = {name: links.start(name, binaries[name]) for name in binaries if name != "lockstep"}
    try:
        for replica in replicas.values():
            links.follow(replica, primary)
        connection = primary.connect(10)
        called = plainly(connection)
        for name, replica in replicas.items():
            understood(name, replica, primary)
        called |= at_random(connection, primary, FIELD_EXPIRY)
        # Payloads of another version than all can read.
        payload = call(connection, "DUMP", "t").text
        call(connection, "RESTORE", "t:again", 0, payload)
        for name, replica in replicas.items():
            understood(name, replica, primary)
        if "redis7" in replicas:
            call(replicas.pop("redis7").connect(10), "REPLICAOF", "NO", "ONE")
        for words in ("HSETEX e EX 100000 FIELDS 2 a 1 b 2", "HSETEX e KEEPTTL FIELDS 2 a 3 c 4", "HINCRBYFLOAT e a 0.5",
                      "HGETEX e PERSIST FIELDS 1 b", "HPEXPIRE e 5000000 FIELDS 1 c"):
            call(connection, *words.split())
        called |= at_random(connection, primary, set())
        for name, replica in replicas.items():
            understood(name, replica, primary)
        if missed := writes(primary) - called - ELSEWHERE:
            raise Broken(f"never called: {', '.join(sorted(missed))}")
    finally:
        for server in (*replicas.values(), primary):
            server.stop()


def plainly(connection) -> set[str]:
    called = set()
    for words in PLAINLY.replace("\n", "|").split("|"):
        if words:
            call(connection, *words.split())
            called.add(words.split()[0].lower())
    return called


def writes(server) -> set[str]:
    table = Table(server.connect(10))
    return {name for name, doc in table.docs.items() if name in table.info and b"write" in table.flags(name)
            and entry(doc, "group").text.decode() in GROUPS and entry(doc, "subcommands") is None}


def at_random(connection, primary, but: set[str]) -> set[str]:
    """Calls made up from the table, the families of `but` aside; most succeed."""
    table = Table(primary.connect(10))
    names = sorted(writes(primary) - but - ELSEWHERE)
    rng = random.Random(len(names))
    calls = Calls(rng)
    for n in range(CALLS):
        name = names[n % len(names)]
        doc = table.docs[name]
        arguments = entry(doc, "arguments")
        words = calls.make(entry(doc, "group").text.decode(), arguments.items if arguments else ())
        connection.call(*name.split("|"), *[word.encode("latin-1") for word in words])
    return set(names)


def understood(name: str, replica, primary) -> None:
    # Redis bounds the ENTRIESREAD that it is given by the entries there were, Valkey does not.
    links.same(primary, replica, entries_read=name != "valkey")
    if found := [line for line in replica.log_tail(2000).splitlines() if MISUNDERSTOOD.search(line)]:
        raise Broken(f"{name} says: {found[0]}")


def withheld(binaries: dict) -> None:
    """A replica that has no commands for what is in the stream does not get it, and is told why."""
    primary = links.start("lockstep", binaries["lockstep"])
    replica = links.start("redis7", binaries["redis7"])
    try:
        links.follow(replica, primary)
        connection = primary.connect(10)
        call(connection, "HSET", "h", "f", "v")
        links.same(primary, replica)
        call(connection, "HPEXPIRE", "h", 10_000_000, "FIELDS", 1, "f")
        call(connection, "SET", "later", "v")
        until("the primary says why", lambda: "fields of hashes that expire" in primary.log_tail(100))
        until("no copy is sent either", lambda: not links.is_linked(replica))
        if call(replica.connect(10), "EXISTS", "later").text != b"0":
            raise Broken("the stream went on")
        # Without such fields it can have a copy, and follows again.
        call(connection, "HPERSIST", "h", "FIELDS", 1, "f")
        until("it follows again", lambda: links.is_linked(replica))
        links.same(primary, replica)
        if MISUNDERSTOOD.search(replica.log_tail(2000)):
            raise Broken("the replica met what it does not know")
        # In the stock servers' eyes the message about the in-sync set is a PING.
        if info(primary.connect(10), "replication")["connected_slaves"] != "1":
            raise Broken("the link does not last")
    finally:
        replica.stop()
        primary.stop()


if __name__ == "__main__":
    sys.exit(main())
