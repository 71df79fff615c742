#!/usr/bin/env python3
"""Keys are migrated to the real servers while clients change them: what was acknowledged is in one place or the other.

    redis-tests/run-exchange --binary target/release/lockstep-server
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import peers  # noqa: E402
import servers  # noqa: E402
import values  # noqa: E402

ROUNDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    binary = Path(parser.parse_args().binary).resolve()
    found = peers.binaries()
    running = {"lockstep": servers.start("lockstep", binary), "other": servers.start("other", binary)}
    for name in ("redis", "valkey"):
        running[name] = servers.start(name, found[name])
    passed, failed = 0, 0
    try:
        for target in ("other", "redis", "valkey"):
            for check in (every_value, counters, deletions, itself):
                fault = check(running["lockstep"], running[target])
                passed, failed = passed + (fault is None), failed + (fault is not None)
                if fault is not None:
                    print(f"FAILED {check.__name__} -> {target}\n  {fault}")
    finally:
        for server in running.values():
            server.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def clean(*all_servers: servers.Server) -> None:
    for server in all_servers:
        values.call(server.connect(), "FLUSHALL")


def every_value(source: servers.Server, target: servers.Server) -> str | None:
    """Each value, one by one and then all at once back."""
    clean(source, target)
    one, two = source.connect(30), target.connect(30)
    values.call(one, "CONFIG", "SET", "rdb-write-version", "80" if target.name == "valkey" else "11")
    values.make(one)
    expected = {key: values.read(one, key) for key in values.keys(one)}
    for key in expected:
        values.call(one, "MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
    if values.keys(one):
        return f"left behind: {values.keys(one)}"
    got = {key: values.read(two, key) for key in values.keys(two)}
    # What expires is moved with the time that is left to it, so that clocks need not agree.
    wrong = [key for key in expected if key not in got or not same(expected[key], got[key])]
    return f"different: {wrong}" if wrong or len(got) != len(expected) else None


def same(expected: tuple, got: tuple) -> bool:
    (kind, expiry, value), (got_kind, got_expiry, got_value) = expected, got
    near = expiry == got_expiry or abs(int(expiry) - int(got_expiry)) < 1000
    return kind == got_kind and near and value == got_value


def counters(source: servers.Server, target: servers.Server) -> str | None:
    """A counter is incremented all the time while it is moved; the increments of both servers are all that were acknowledged."""
    clean(source, target)
    mover, two = source.connect(30), target.connect(30)
    for number in range(ROUNDS):
        key = f"counter:{number}"
        acknowledged, stop = [0], threading.Event()
        values.call(mover, "SET", key, 0)

        def increment() -> None:
            own = source.connect(30)
            while not stop.is_set():
                if own.call("INCR", key).kind == ":":
                    acknowledged[0] += 1

        writer = threading.Thread(target=increment)
        writer.start()
        moved = 0
        for _ in range(5):
            # What is over there already is added to what comes, so each time it has to be another key.
            reply = mover.call("MIGRATE", "127.0.0.1", str(target.port), key, "0", "5000", "REPLACE")
            if reply.text == b"OK":
                moved += int(values.call(two, "GET", key).text or 0)
            elif not reply.text.startswith((b"TRYAGAIN", b"NOKEY")):
                stop.set()
                writer.join()
                return reply.show()
            values.call(two, "DEL", key)
        stop.set()
        writer.join()
        here = int(values.call(mover, "GET", key).text or 0)
        if here + moved != acknowledged[0]:
            return f"{key}: {acknowledged[0]} acknowledged, {here} here and {moved} over there"
    return None


def deletions(source: servers.Server, target: servers.Server) -> str | None:
    """A key that is deleted while it is moved is gone afterwards, or was moved before."""
    clean(source, target)
    mover, deleter, two = source.connect(30), source.connect(30), target.connect(30)
    for number in range(ROUNDS):
        key = f"deleted:{number}"
        values.call(mover, "SET", key, "v" * 100_000)
        done: list = []
        thread = threading.Thread(target=lambda: done.append(deleter.call("DEL", key)))
        thread.start()
        reply = mover.call("MIGRATE", "127.0.0.1", str(target.port), key, "0", "5000")
        thread.join()
        there = int(values.call(two, "EXISTS", key).text)
        deleted = int(done[0].text)
        if reply.text not in (b"OK", b"NOKEY") or deleted + there != 1 or int(values.call(mover, "EXISTS", key).text):
            return f"{key}: {reply.show()}, deleted {deleted}, over there {there}"
    return None


def itself(source: servers.Server, _target: servers.Server) -> str | None:
    """A server that is told to move a key to itself keeps it."""
    clean(source)
    one = source.connect(30)
    values.call(one, "SET", "k", "v")
    reply = one.call("MIGRATE", "127.0.0.1", str(source.port), "k", "0", "1000", "REPLACE")
    kept = values.call(one, "GET", "k").text
    return None if kept == b"v" and reply.kind == "-" else f"{reply.show()}, {kept!r}"


if __name__ == "__main__":
    sys.exit(main())
