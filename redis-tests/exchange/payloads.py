#!/usr/bin/env python3
"""What DUMP gives on one server is RESTOREd on another, for every value of `values.py`, in every direction.

    redis-tests/run-exchange --binary target/release/lockstep-server
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import peers  # noqa: E402
import servers  # noqa: E402
import values  # noqa: E402

# The version that Lockstep writes for a reader; Debian's Redis 7.0 does not know those of today.
VERSION_FOR = {"lockstep": "11", "redis": "11", "valkey": "11", "redis7": "10"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    binary = Path(parser.parse_args().binary).resolve()
    found = peers.binaries()
    running = {"lockstep": servers.start("lockstep", binary)}
    for name in ("redis", "valkey", "redis7"):
        if name in found:
            running[name] = servers.start(name, found[name])
    passed, failed = 0, 0
    try:
        made = {name: values.make(server.connect(20)) for name, server in running.items()}
        for source in running:
            for target in running:
                if "lockstep" in (source, target):
                    good, bad = exchange(running, source, target, set(made[source]) & set(made[target]))
                    passed, failed = passed + good, failed + bad
    finally:
        for server in running.values():
            server.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def exchange(running: dict, source: str, target: str, families: set[str]) -> tuple[int, int]:
    there, here = running[source].connect(20), running[target].connect(20)
    passed, failed = 0, 0
    for key in values.keys(there):
        family = key.split(b":")[0].decode()
        if family not in families | {"volatile"}:
            continue
        version = VERSION_FOR[target]
        if source == "lockstep":
            if family == "hash-ttl" and target == "valkey":
                version = "80"
            values.call(there, "CONFIG", "SET", "rdb-write-version", version)
        copy = b"copy:" + key
        try:
            payload = values.call(there, "DUMP", key).text
            expiry = max(0, int(values.call(there, "PEXPIRETIME", key).text))
            values.call(here, "RESTORE", copy, expiry, payload, "REPLACE", "ABSTTL")
            expected, got = values.read(there, key), values.read(here, copy)
            fault = None if expected == got else f"expected {expected!r:.300}\n  got      {got!r:.300}"
            encodings = values.call(there, "OBJECT", "ENCODING", key).text, values.call(here, "OBJECT", "ENCODING", copy).text
            if fault is None and (source, target) == ("redis", "lockstep") and encodings[0] != encodings[1]:
                fault = f"the encoding was {encodings[0]} and is {encodings[1]}"
            values.call(here, "DEL", copy)
        except values.Refused as refused:
            fault = str(refused)
        if fault is None:
            passed += 1
        else:
            failed += 1
            print(f"FAILED {source} -> {target}: {key.decode()}\n  {fault}")
    return passed, failed


if __name__ == "__main__":
    sys.exit(main())
