#!/usr/bin/env python3
"""Redis before version 7: its RDB files, its append-only file in one piece, and replication both ways.

    redis-tests/run-exchange --binary target/release/lockstep-server
    redis-tests/exchange/older.py --binary ... --older /path/to/redis-server    another old server too
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import peers  # noqa: E402
import servers  # noqa: E402
import values  # noqa: E402
from resp import Connection  # noqa: E402

# The newest RDB version that all of them from 5.0 on read.
RDB_VERSION = "9"
UNKNOWN = ("unknown command", "syntax error", "wrong number of arguments", "Unknown XGROUP", "unknown subcommand")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--older", action="append", default=[], type=Path)
    options = parser.parse_args()
    ours = Path(options.binary).resolve()
    found = peers.binaries()
    if "redis62" not in found and not options.older:
        print("SKIPPED: there is no Redis 6.2 for this Python, see redis-tests/install")
    passed = failed = 0
    for older in [*filter(None, [found.get("redis62")]), *options.older]:
        version = version_of(older)
        for what, exchange in EXCHANGES.items():
            if "replica" in what and version < (5,):
                # It logs scripts and not what they did, and reads no RDB file of ours.
                continue
            try:
                exchange(older, ours)
                passed += 1
            except (AssertionError, values.Refused, servers.NotStarted, subprocess.SubprocessError) as fault:
                failed += 1
                print(f"FAILED {what}, Redis {'.'.join(map(str, version))}\n  {fault}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def version_of(binary: Path) -> tuple[int, ...]:
    text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in text.split("v=")[1].split()[0].split("."))


# --- servers ---

def start(binary: Path, folder_of: servers.Server | None, *options: str) -> servers.Server:
    """A server, with options that every version knows; on a copy of another's folder if that is given."""
    folder = Path(tempfile.mkdtemp(prefix="lockstep-older-"))
    if folder_of is not None:
        shutil.copytree(folder_of.folder, folder, dirs_exist_ok=True)
        (folder / "log").unlink(missing_ok=True)
    server = servers.Server("older", "127.0.0.1", servers.free_port(), None, folder)
    server.command = [str(binary), "--port", str(server.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *options]
    try:
        servers._launch(server)
        wait("loading", lambda: "loading:0" in info(server, "persistence"))
    except (servers.NotStarted, AssertionError):
        server.stop()
        raise
    return server


def info(server: servers.Server, section: str) -> str:
    return values.call(server.connect(20), "INFO", section).text.decode()


def wait(what: str, condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"timeout: {what}"
        time.sleep(0.02)


# --- data ---

def fill(link: Connection, prefix: str) -> None:
    """Everything that the server can make, under keys that begin with the prefix; both must be able to make it."""
    for calls in values.families().values():
        for call in calls:
            if call[0] == "XREADGROUP" and call[-1] == "0":
                # Counted by the node that is asked alone, in Redis.
                continue
            if "ENTRIESREAD" in call:
                call = call[:call.index("ENTRIESREAD")]
            at = 2 if call[0] == "XGROUP" else call.index("STREAMS") + 1 if "STREAMS" in call else 1
            words = [word if isinstance(word, bytes) else str(word) for word in (*call[:at], f"{prefix}{call[at]}", *call[at + 1:])]
            reply = link.call(*words)
            if reply.kind == "-" and not any(text in reply.text.decode() for text in UNKNOWN):
                raise values.Refused(f"{words[:2]}: {reply.text!r}")
    values.call(link, "SET", f"{prefix}volatile", "v")
    values.call(link, "PEXPIREAT", f"{prefix}volatile", values.FAR)
    values.call(link, "EVAL", "for i = 1, 10 do redis.call('RPUSH', KEYS[1], i * ARGV[1]) end return 1", 1, f"{prefix}by-script", 3)


def read(link: Connection, key: bytes) -> object:
    """The value, with what every version tells of it."""
    kind = values.call(link, "TYPE", key).text
    lasts = int(values.call(link, "PTTL", key).text) > 0
    if kind == b"hash":
        flat = values._plain(values.call(link, "HGETALL", key))
        return kind, lasts, dict(zip(flat[::2], flat[1::2]))
    if kind == b"stream":
        return kind, lasts, stream(link, key)
    if kind == b"zset":
        # As numbers: minus zero is another text in old files.
        flat = values._plain(values.call(link, "ZRANGE", key, 0, -1, "WITHSCORES"))
        return kind, lasts, {member: float(score) for member, score in zip(flat[::2], flat[1::2])}
    return kind, lasts, values.READERS[kind](link, key)


def stream(link: Connection, key: bytes) -> object:
    about = values._plain(values.call(link, "XINFO", "STREAM", key))
    known = dict(zip(about[::2], about[1::2]))
    groups = []
    for flat in values._plain(values.call(link, "XINFO", "GROUPS", key)):
        group = dict(zip(flat[::2], flat[1::2]))
        pending = values._plain(values.call(link, "XPENDING", key, group[b"name"], "-", "+", 100_000))
        # An old server keeps no consumer that has nothing.
        groups.append((group[b"name"], group[b"last-delivered-id"], [(p[0], p[1], p[3]) for p in pending]))
    return known[b"length"], known[b"last-generated-id"], values._plain(values.call(link, "XRANGE", key, "-", "+")), groups


def equal(here: servers.Server, there: servers.Server, least: int = 40) -> None:
    one, other = here.connect(30), there.connect(30)
    keys = values.keys(one)
    assert len(keys) >= least, f"only {len(keys)} keys"
    assert keys == values.keys(other), f"keys differ: {set(keys) ^ set(values.keys(other))}"
    for key in keys:
        expected, got = read(one, key), read(other, key)
        if expected != got:
            expected, got = repr(expected), repr(got)
            at = max(0, next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), 0) - 60)
            raise AssertionError(f"{key.decode()}\n  expected …{expected[at:at + 300]}\n  got      …{got[at:at + 300]}")


# --- what is exchanged ---

def rdb_file(older: Path, ours: Path) -> None:
    source = start(older, None)
    target = None
    try:
        fill(source.connect(30), "")
        values.call(source.connect(30), "SAVE")
        target = start(ours, source)
        equal(source, target)
    finally:
        stop(source, target)


def append_only_file(older: Path, ours: Path) -> None:
    """In one piece: of commands, of an RDB file with commands behind it; begun, rewritten, and taken over for good."""
    for preamble in ("yes", "no"):
        options = ["--appendonly", "yes", "--appendfsync", "always"]
        more = ["--aof-use-rdb-preamble", preamble] if version_of(older) >= (4,) else []
        source = start(older, None, *options, *more)
        target = again = None
        try:
            fill(source.connect(30), "before:")
            if version_of(older) < (6,):
                # It rewrites such a stream as a command that fails.
                values.call(source.connect(30), "DEL", "before:stream:only-group")
            values.call(source.connect(30), "BGREWRITEAOF")
            wait("the rewrite", lambda: "aof_rewrite_in_progress:0" in info(source, "persistence"))
            fill(source.connect(30), "after:")
            if version_of(older) < (5,):
                return refuses_scripts(source, ours, options)
            target = start(ours, source, *options)
            equal(source, target, 80)
            values.call(target.connect(30), "SET", "after", "the move")
            target.process.kill()
            target.process.wait(20)
            again = start(ours, target, *options)
            assert values.call(again.connect(30), "GET", "after").text == b"the move"
            values.call(again.connect(30), "DEL", "after")
            equal(source, again, 80)
        finally:
            stop(source, target, again)


def refuses_scripts(source: servers.Server, ours: Path, options: list[str]) -> None:
    """It logs scripts and not what they did: the file is refused, and not loaded without them."""
    try:
        start(ours, source, *options).stop()
    except servers.NotStarted as refused:
        assert "a script instead of its effects" in str(refused), refused
    else:
        raise AssertionError("a script in the append-only file was passed over")


def from_a_primary(older: Path, ours: Path) -> None:
    primary, replica = start(older, None), start(ours, None)
    try:
        fill(primary.connect(30), "copied:")
        follow(replica, primary)
        fill(primary.connect(30), "streamed:")
        caught_up(primary, replica)
        equal(primary, replica, 80)
        # Cut off and on again: the rest of the stream is enough, if the primary speaks PSYNC2.
        values.call(replica.connect(30), "CLIENT", "KILL", "TYPE", "master")
        values.call(primary.connect(30), "INCR", "counter")
        caught_up(primary, replica)
        equal(primary, replica, 80)
        values.call(replica.connect(30), "REPLICAOF", "NO", "ONE")
        assert values.call(replica.connect(30), "INCR", "counter").text == b"2"
    finally:
        stop(primary, replica)


def to_a_replica(older: Path, ours: Path) -> None:
    primary, replica = start(ours, None, "--replica-rdb-version", RDB_VERSION), start(older, None)
    try:
        fill_for(primary, replica, "copied:")
        follow(replica, primary)
        fill_for(primary, replica, "streamed:")
        caught_up(primary, replica)
        equal(primary, replica, 80)
    finally:
        stop(primary, replica)


def fill_for(primary: servers.Server, replica: servers.Server, prefix: str) -> None:
    """What the older server has too."""
    fill(primary.connect(30), prefix)
    link = primary.connect(30)
    for key in values.keys(link):
        if key.split(b":")[1] == b"hash-ttl":
            values.call(link, "DEL", key)


def follow(replica: servers.Server, primary: servers.Server) -> None:
    # Before version 5 a replica was called something else.
    link = replica.connect(30)
    if link.call("REPLICAOF", "127.0.0.1", str(primary.port)).kind == "-":
        values.call(link, "SLAVEOF", "127.0.0.1", primary.port)
    wait("the link", lambda: "master_link_status:up" in info(replica, "replication"))


def caught_up(primary: servers.Server, replica: servers.Server) -> None:
    values.call(primary.connect(30), "SET", "last", "one")
    assert int(values.call(primary.connect(30), "WAIT", 1, 20_000).text) == 1, "the replica does not catch up"
    wait("the last write", lambda: replica.connect(30).call("GET", "last").text == b"one")
    values.call(primary.connect(30), "DEL", "last")
    wait("its deletion", lambda: replica.connect(30).call("EXISTS", "last").text == b"0")


def stop(*all_of_them: servers.Server | None) -> None:
    for server in all_of_them:
        if server is not None:
            server.stop()


EXCHANGES = {
    "an RDB file": rdb_file,
    "an append-only file": append_only_file,
    "as a replica": from_a_primary,
    "to a replica": to_a_replica,
}

if __name__ == "__main__":
    sys.exit(main())
