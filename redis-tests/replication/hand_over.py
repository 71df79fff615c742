#!/usr/bin/env python3
"""`FAILOVER` between Lockstep and the real servers: the role goes over and comes back while a client writes.

    redis-tests/replication/hand_over.py --binary target/release/lockstep-server [--peer valkey]
"""

from __future__ import annotations

import sys

import links
from lead_peer import skipped
from links import Broken, Writer, call, info, until


def main() -> int:
    binaries = links.binaries()
    peers = [name for name in binaries if name != "lockstep"]
    return links.run([(f"FAILOVER to {name} and back under load", lambda n=name: there_and_back(binaries, n))
                      for name in peers])


def there_and_back(binaries: dict, name: str) -> None:
    ours = links.start("lockstep", binaries["lockstep"])
    theirs = links.start(name, binaries[name])
    try:
        links.fill(ours, skipped(name))
        links.follow(theirs, ours)
        with Writer(ours) as writer:
            for old, new in [(ours, theirs), (theirs, ours)]:
                before = writer.acknowledged
                until("some writes are done", lambda: writer.acknowledged > before + 200)
                copies = full_copies(ours, theirs)
                call(old.connect(10), "FAILOVER", "TO", new.host, new.port, "TIMEOUT", 15000)
                until(f"{new.name} is the primary", lambda: is_handed(old, new))
                writer.target = new
                if full_copies(ours, theirs) != copies:
                    raise Broken("the old primary needed a full copy")
            before = writer.acknowledged
            until("writes go on", lambda: writer.acknowledged > before + 200)
        links.tally(ours, writer)
        links.same(ours, theirs)
    finally:
        theirs.stop()
        ours.stop()


def is_handed(old, new) -> bool:
    was, now = info(old.connect(10), "replication"), info(new.connect(10), "replication")
    done = was["master_failover_state"] == "no-failover" and was.get("master_link_status") == "up"
    return done and was["role"] == "slave" and now["role"] == "master"


def full_copies(*nodes) -> int:
    return sum(int(info(node.connect(10), "stats")["sync_full"]) for node in nodes)


if __name__ == "__main__":
    sys.exit(main())
