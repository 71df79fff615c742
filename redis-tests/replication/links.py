"""Replication links between servers of this run: making them, breaking them, writing meanwhile, and comparing."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path

ROOM = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOM))
sys.path.insert(0, str(ROOM / "exchange"))
import peers  # noqa: E402
import servers  # noqa: E402
import values  # noqa: E402
from values import call  # noqa: E402

# The fields of INFO that a wait can be about change within this time, or the run fails.
PATIENCE_S = 20.0
# Which servers know the expiry of a hash's fields, and how each is told to use its second channel for copies, which
# Lockstep declines.
KNOW_FIELD_EXPIRY = {"redis", "valkey", "lockstep"}
SECOND_CHANNEL = {"redis": ["--repl-rdb-channel", "yes"], "valkey": ["--dual-channel-replication-enabled", "yes"], "redis7": []}
# Replies of writes that a server may give while roles change.
TRANSIENT = (b"READONLY", b"LOADING", b"MASTERDOWN", b"UNBLOCKED", b"NOREPLICAS")


class Broken(Exception):
    """What was to happen did not."""


def binaries() -> dict[str, Path]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--peer", action="append", help="only with this one: redis, valkey, redis7")
    args = parser.parse_args()
    found = peers.binaries()
    wanted = args.peer or ["redis7", "redis", "valkey"]
    return {"lockstep": Path(args.binary).resolve()} | {name: found[name] for name in wanted if name in found}


def start(name: str, binary: Path, *options: str) -> servers.Server:
    # The delay is for further replicas, of which there are none here.
    return servers.start(name, binary, ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", *options])


def info(connection, section: str) -> dict[str, str]:
    lines = call(connection, "INFO", section).text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def until(what: str, condition) -> None:
    """Waits for a condition; a server that closes the connection meanwhile is asked again."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise Broken(f"in {PATIENCE_S:.0f} s it did not come about that {what}")


def follow(replica: servers.Server, primary: servers.Server) -> None:
    call(replica.connect(10), "REPLICAOF", primary.host, primary.port)
    until(f"{replica.name} follows {primary.name}", lambda: is_linked(replica))


def is_linked(replica: servers.Server) -> bool:
    return info(replica.connect(10), "replication").get("master_link_status") == "up"


def offset(server: servers.Server) -> int:
    about = info(server.connect(10), "replication")
    return int(about["slave_repl_offset"] if about["role"] == "slave" else about["master_repl_offset"])


def caught_up(replica: servers.Server, primary: servers.Server) -> None:
    """Once nobody writes: the replica has all that the primary has."""
    until(f"{replica.name} has caught up with {primary.name}", lambda: is_linked(replica) and offset(replica) >= offset(primary))


def contents(server: servers.Server) -> dict:
    connection = server.connect(30)
    libraries = call(connection, "FUNCTION", "LIST", "WITHCODE").items
    found: dict = {("functions", b""): (b"", sorted(library.show() for library in libraries))}
    for db in (0, 3):
        call(connection, "SELECT", db)
        for key in values.keys(connection):
            found[db, key] = values.read(connection, key)
    return found


def same(one: servers.Server, other: servers.Server, entries_read: bool = True) -> None:
    """Raises `Broken` unless the two hold the same, the counters of groups aside if so wanted."""
    caught_up(other, one)
    mine, theirs = contents(one), contents(other)
    if not entries_read or "redis7" in (one.name, other.name):
        mine, theirs = ({key: _without_entries_read(value) for key, value in held.items()} for held in (mine, theirs))
    for key in sorted(mine.keys() | theirs.keys(), key=str):
        if mine.get(key) != theirs.get(key):
            raise Broken(f"{key}\n  {one.name} has {mine.get(key)!r:.300}\n  {other.name} has {theirs.get(key)!r:.300}")


def _without_entries_read(value: tuple) -> tuple:
    """Redis 7.0 does not tell its replicas of a group's counter: they forget it when the group reads on."""
    if value[0] != b"stream":
        return value
    about, entries, groups = value[2]
    return value[0], value[1], (about, entries, [group[:2] + group[3:] for group in groups])


def fill(server: servers.Server, skip: set[str] = frozenset()) -> None:
    """Values of every type that the server has, the families of `skip` aside."""
    connection = server.connect(30)
    values.make(connection)
    for key in values.keys(connection):
        if key.split(b":")[0].decode() in skip:
            call(connection, "DEL", key)
    call(connection, "FUNCTION", "LOAD", "#!lua name=copied\nredis.register_function('answer', function() return 42 end)")
    call(connection, "SELECT", 3)
    call(connection, "SET", "in", "three")


class Writer:
    """Writes of many kinds from a thread of its own; knows exactly which were acknowledged."""

    def __init__(self, server: servers.Server, field_expiry: bool = False):
        self.target = server
        self.field_expiry = field_expiry
        self.acknowledged = 0
        self.unknown = 0
        self.refusals: list[bytes] = []
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Writer":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        self.ends.set()
        self.thread.join()

    def _run(self) -> None:
        at, connection = None, None
        round_ = 0
        self.target.connect(10).call("XGROUP", "CREATE", "w:stream:read", "g", "0", "MKSTREAM")
        while not self.ends.is_set():
            if at is not self.target:
                at = self.target
                connection = at.connect(10)
            round_ += 1
            for args in self._others(round_):
                connection.call(*[str(a) for a in args])
            reply = connection.call("INCR", "tally")
            if reply.kind == ":":
                self.acknowledged += 1
            elif reply.kind == "-":
                # Told so: it was not done.
                self.refusals.append(reply.text)
                time.sleep(0.005)
            else:
                self.unknown += 1
                at = None

    def _expiring(self, slot: int, n: int) -> list[tuple]:
        """Fields that expire, some of them while it writes."""
        if not self.field_expiry:
            return []
        key = f"w:fields:{slot}"
        return [("HSET", key, n, n, "kept", n), ("HPEXPIRE", key, 1 if n % 2 else 10_000_000, "FIELDS", 1, n),
                ("HPERSIST", key, "FIELDS", 1, n), ("HPEXPIRE", key, 20, "FIELDS", 1, n)]

    def _others(self, n: int) -> list[tuple]:
        slot = n % 50
        pick = n % 9
        if pick == 0:
            return [("MULTI",), ("HINCRBY", f"w:hash:{slot}", n, 1), ("RPUSH", f"w:list:{slot}", n), ("EXEC",)]
        if pick == 1:
            return [("ZADD", f"w:zset:{slot}", n / 7, n), ("HINCRBYFLOAT", f"w:hash:{slot}", "float", n / 7), *self._expiring(slot, n)]
        if pick == 2:
            return [("XADD", f"w:stream:{slot}", "MAXLEN", "~", 100, "*", "n", n), ("XADD", "w:stream:read", "*", "n", n),
                    ("XREADGROUP", "GROUP", "g", f"c{n % 3}", "COUNT", 2, "STREAMS", "w:stream:read", ">"),
                    ("XAUTOCLAIM", "w:stream:read", "g", "other", 0, "0", "COUNT", 1)]
        if pick == 3:
            return [("SADD", f"w:set:{slot}", n, n + 1), ("SPOP", f"w:set:{slot}")]
        if pick == 4 and n % 90 == 4:
            code = f"#!lua name=streamed\nredis.register_function('f{n}', function() return {n} end)"
            return [("FUNCTION", "LOAD", "REPLACE", code)]
        if pick == 4:
            return [("SET", f"w:string:{slot}", n, "EX", 100_000), ("APPEND", f"w:string:{slot}", "x")]
        if pick == 5:
            return [("EVAL", "redis.call('INCRBYFLOAT', KEYS[1], ARGV[1]) redis.call('LPUSH', KEYS[2], ARGV[1])", 2, f"w:float:{slot}", f"w:list:{slot}", n / 3)]
        if pick == 6:
            return [("LMOVE", f"w:list:{slot}", f"w:list:{slot + 1}", "LEFT", "RIGHT")]
        if pick == 7:
            return [("SELECT", 3), ("SET", f"w:three:{slot}", n), ("SELECT", 0), ("DEL", f"w:string:{slot + 3}")]
        return [("PFADD", f"w:hll:{slot}", n), ("SETRANGE", f"w:range:{slot}", slot, n), ("BLMPOP", 0.001, 1, f"w:list:{slot + 2}", "LEFT")]


def switch(old: servers.Server, new: servers.Server, writer: Writer, by_failover: bool) -> None:
    """The replica `new` becomes the primary, and the writer goes there; nothing is written twice or lost."""
    control = old.connect(10)
    if by_failover:
        call(control, "FAILOVER", "TO", new.host, new.port)
        until(f"{new.name} is the primary", lambda: info(new.connect(10), "replication")["role"] == "master")
        writer.target = new
        return
    call(control, "CLIENT", "PAUSE", 10_000, "WRITE")
    caught_up(new, old)
    call(new.connect(10), "REPLICAOF", "NO", "ONE")
    writer.target = new
    # The write that waits is refused rather than done late: the old primary turns into a replica first.
    call(control, "REPLICAOF", new.host, new.port)
    call(control, "CLIENT", "UNPAUSE")


def tally(server: servers.Server, writer: Writer) -> None:
    found = int(call(server.connect(10), "GET", "tally").text)
    if writer.unknown or found != writer.acknowledged:
        raise Broken(f"{writer.acknowledged} acknowledged, {writer.unknown} unknown, {found} done")
    if odd := [text for text in writer.refusals if not text.startswith(TRANSIENT)]:
        raise Broken(f"an unexpected refusal: {odd[0]!r}")


def run(cases) -> int:
    """Runs (title, function) pairs; prints what failed and the count."""
    passed, failed = 0, 0
    for title, case in cases:
        begun = time.monotonic()
        try:
            case()
            passed += 1
            print(f"ok {title} ({time.monotonic() - begun:.1f} s)", flush=True)
        except (Broken, values.Refused, servers.NotStarted) as fault:
            failed += 1
            print(f"FAILED {title}\n  {fault}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
