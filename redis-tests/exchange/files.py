#!/usr/bin/env python3
"""What one server has saved another loads at its start: RDB files and append-only folders, in every direction.

    redis-tests/run-exchange --binary target/release/lockstep-server
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import peers  # noqa: E402
import servers  # noqa: E402
import values  # noqa: E402

# For whom Lockstep writes when the reader is not known yet, and when it is.
VERSION_FOR = {"lockstep": "11", "redis": "11", "valkey": "11", "redis7": "10"}
# Hashes with field expiry: every server reads its own form, and Lockstep all.
READS_FIELD_EXPIRY_OF = {"redis": {"redis", "lockstep"}, "valkey": {"valkey"}, "redis7": set(), "lockstep": {"redis", "valkey", "lockstep"}}

AOF = ["--appendonly", "yes", "--appendfsync", "always"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    binaries = {"lockstep": Path(parser.parse_args().binary).resolve()}
    found = peers.binaries()
    binaries |= {name: found[name] for name in ("redis", "valkey", "redis7") if name in found}
    passed, failed = 0, 0
    for kind in ("rdb", "aof", "aof-commands"):
        for source in binaries:
            for target in binaries:
                if "lockstep" not in (source, target):
                    continue
                fault = exchange(binaries, source, target, kind)
                if fault is None:
                    passed += 1
                else:
                    failed += 1
                    print(f"FAILED {kind} {source} -> {target}\n  {fault}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def exchange(binaries: dict, source: str, target: str, kind: str) -> str | None:
    """One folder from `source` to `target`; what went wrong, if anything did."""
    options = {"rdb": [], "aof": AOF, "aof-commands": [*AOF, "--aof-use-rdb-preamble", "no"]}[kind]
    written = dict(values.families())
    wants_all = source in READS_FIELD_EXPIRY_OF[target]
    here = servers.start(source, binaries[source], options)
    there = None
    try:
        one = here.connect(30)
        if source == "lockstep":
            values.call(one, "CONFIG", "SET", "rdb-write-version", VERSION_FOR[target])
        made = set(values.make(one))
        can = set(probe(binaries[target], target))
        for key in values.keys(one):
            family = key.split(b":")[0].decode()
            if family in written and (family not in can or family == "hash-ttl" and not wants_all):
                values.call(one, "DEL", key)
        if not made & can:
            return "no type in common"
        if kind == "rdb":
            values.call(one, "SAVE")
        else:
            rewrite(one)
            # Something behind the base.
            values.call(one, "SET", "after", "the rewrite")
            values.call(one, "HSET", "hash:10x20", "after", "the rewrite")
        expected = {key: values.read(one, key) for key in values.keys(one)}
        here.process.terminate() if kind == "rdb" else here.process.kill()
        here.process.wait(20)
        there = take_over(binaries[target], target, here.folder, options)
        got = {key: values.read(there.connect(30), key) for key in values.keys(there.connect(30))}
        for key in sorted(expected.keys() | got.keys()):
            if expected.get(key) != got.get(key):
                return f"{key.decode()}\n  expected {expected.get(key)!r:.300}\n  got      {got.get(key)!r:.300}"
        return None
    except (values.Refused, servers.NotStarted) as refused:
        return str(refused)
    finally:
        here.stop()
        if there is not None:
            there.stop()


_probed: dict[str, list[str]] = {}


def probe(binary: Path, name: str) -> list[str]:
    """The families of values that a server has."""
    if name not in _probed:
        server = servers.start(name, binary)
        try:
            _probed[name] = values.make(server.connect(30))
        finally:
            server.stop()
    return _probed[name]


def rewrite(connection) -> None:
    values.call(connection, "BGREWRITEAOF")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        info = values.call(connection, "INFO", "persistence").text
        if b"aof_rewrite_in_progress:0" in info and b"aof_rewrite_scheduled:0" in info:
            return
        time.sleep(0.02)
    raise values.Refused("the rewrite does not end")


def take_over(binary: Path, name: str, folder: Path, options: list[str]) -> servers.Server:
    """A server that starts on a copy of the folder."""
    server = servers.Server(name, "127.0.0.1", servers.free_port(), None, Path(str(folder) + "-taken"))
    shutil.copytree(folder, server.folder)
    (server.folder / "log").unlink(missing_ok=True)
    server.command = [str(binary), "--port", str(server.port), "--bind", "127.0.0.1", "--dir", str(server.folder), "--save", "",
                      "--appendonly", "no", "--enable-debug-command", "yes", *options]
    servers._launch(server)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and b"loading:1" in values.call(server.connect(20), "INFO", "persistence").text:
        time.sleep(0.02)
    return server


if __name__ == "__main__":
    sys.exit(main())
