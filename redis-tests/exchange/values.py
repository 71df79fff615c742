"""Values of every type, encoding and size, and how they are read back through commands alone.

`make(connection)` fills a server with those of the types that it has; `read(connection, key)` gives a value that
is equal on two servers if and only if they hold the same.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from resp import Connection, Reply  # noqa: E402

FAR = 4102444800000  # the year 2100, in milliseconds


class Refused(Exception):
    """A server answered a command of this room with an error."""


def call(connection: Connection, *args) -> Reply:
    reply = connection.call(*[a if isinstance(a, bytes) else str(a) for a in args])
    if reply.kind in ("-", "closed", "silent"):
        raise Refused(f"{args[0]} {args[1] if len(args) > 1 else ''}: {reply.show()[:200]}")
    return reply


def strings(rng: random.Random) -> list[tuple]:
    texts = {
        "empty": b"", "int8": b"-7", "int16": b"30000", "int32": b"-2147483648", "int64": b"9223372036854775807",
        "not-int": b"007", "float": b"3.14", "text": b"hello world", "repeated": b"abc" * 500, "zeros": bytes(5000),
        "random": rng.randbytes(300), "binary": bytes(range(256)) * 80, "large": rng.randbytes(1 << 20),
        "compressible": b"line of text\r\n" * 100_000, "44": b"x" * 44, "45": b"x" * 45, "63": b"y" * 63, "16384": b"z" * 16384,
    }
    return [("SET", f"string:{name}", text) for name, text in texts.items()]


def hashes(rng: random.Random) -> list[tuple]:
    calls: list[tuple] = []

    def fill(key: str, count: int, size: int) -> None:
        for start in range(0, count, 100):
            pairs = [w for i in range(start, min(count, start + 100)) for w in (f"field:{i}", rng.randbytes(size) if i % 3 else i * i)]
            calls.append(("HSET", key, *pairs))

    for count, size in ((1, 1), (10, 20), (512, 10), (513, 10), (3, 65), (5000, 30), (2, 100_000)):
        fill(f"hash:{count}x{size}", count, size)
    calls.append(("HSET", "hash:edges", "", "", "-1", "4096", "12345678901234567890", "-9223372036854775808", "0", "8388608"))
    return calls


def volatile_hashes() -> list[tuple]:
    calls: list[tuple] = []
    for count in (1, 10, 2000):
        key = f"hash-ttl:{count}"
        for start in range(0, count, 100):
            calls.append(("HSET", key, *[w for i in range(start, min(count, start + 100)) for w in (f"f{i}", f"value {i}")]))
        for i in range(0, count, 3):
            calls.append(("HPEXPIREAT", key, FAR + i % 7 * 1000, "FIELDS", 1, f"f{i}"))
    calls += [("HSET", "hash-ttl:gone", "a", "1", "b", "2"), ("HPEXPIREAT", "hash-ttl:gone", FAR, "FIELDS", 1, "a"),
              ("HPERSIST", "hash-ttl:gone", "FIELDS", 1, "a")]
    return calls


def lists(rng: random.Random) -> list[tuple]:
    calls: list[tuple] = [("RPUSH", "list:one", "x"), ("RPUSH", "list:edges", "", 0, 127, 128, -1, -4096, 32767, 32768, 8388607, 2**31, -(2**63), "01", "x" * 4096),
                          ("RPUSH", "list:big", rng.randbytes(100_000), "small", rng.randbytes(9000), b"q" * 70_000)]
    for count in (128, 129, 20_000):
        for start in range(0, count, 500):
            calls.append(("RPUSH", f"list:{count}", *[rng.randbytes(12) if i % 2 else i for i in range(start, min(count, start + 500))]))
    return calls


def sets(rng: random.Random) -> list[tuple]:
    calls: list[tuple] = [("SADD", "set:int16", 1, 2, -3), ("SADD", "set:int32", 100_000, -5), ("SADD", "set:int64", 2**40, -(2**63), 2**63 - 1),
                          ("SADD", "set:mixed", "a", 5, "b"), ("SADD", "set:long", "m" * 65, "n"), ("SADD", "set:empty-member", "")]
    for count in (512, 513, 5000):
        for start in range(0, count, 500):
            calls.append(("SADD", f"set:ints:{count}", *[i * 7 for i in range(start, min(count, start + 500))]))
            calls.append(("SADD", f"set:texts:{count}", *[b"%d:" % i + rng.randbytes(4) for i in range(start, min(count, start + 500))]))
    calls.append(("SADD", "set:texts:128", *[f"member {i}" for i in range(128)]))
    calls.append(("SADD", "set:texts:129", *[f"member {i}" for i in range(129)]))
    return calls


def sorted_sets(rng: random.Random) -> list[tuple]:
    calls: list[tuple] = [("ZADD", "zset:edges", "inf", "a", "-inf", "b", 0, "c", "-0.0", "d", "1e308", "e", "5e-324", "f", "0.1", "g", 3, "7", "-1.5", ""),
                          ("ZADD", "zset:long", 1, "m" * 65, 2, "n"), ("ZADD", "zset:one", "12345678901234567", "x")]
    for count in (128, 129, 5000):
        for start in range(0, count, 500):
            calls.append(("ZADD", f"zset:{count}", *[w for i in range(start, min(count, start + 500)) for w in (rng.choice([i, i / 7, -i, 1e10 * i]), f"member:{i}")]))
    return calls


def streams(rng: random.Random) -> list[tuple]:
    calls: list[tuple] = [("XADD", "stream:one", "1-1", "field", "value"), ("XADD", "stream:empty", "5-5", "a", "b"), ("XDEL", "stream:empty", "5-5"),
                          ("XGROUP", "CREATE", "stream:only-group", "g", "$", "MKSTREAM"), ("XADD", "stream:big", "18446744073709551615-18446744073709551615", "a", b"v" * 100_000)]
    for i in range(1000):
        fields = ("temperature", i, "place", rng.randbytes(5)) if i % 10 else ("other", f"text {i}")
        calls.append(("XADD", "stream:1000", f"{1000 + i // 3}-{i}", *fields))
    calls += [("XDEL", "stream:1000", f"{1000 + i // 3}-{i}") for i in range(0, 1000, 7)]
    calls += [("XADD", "stream:trimmed", f"{i + 1}-0", "n", i) for i in range(500)]
    calls += [("XTRIM", "stream:trimmed", "MAXLEN", 100), ("XGROUP", "CREATE", "stream:trimmed", "late", "450-0")]
    calls += [("XGROUP", "CREATE", "stream:1000", "readers", "0"), ("XGROUP", "CREATE", "stream:1000", "idle", "$", "ENTRIESREAD", 17),
              ("XGROUP", "CREATECONSUMER", "stream:1000", "readers", "nobody"),
              ("XREADGROUP", "GROUP", "readers", "alice", "COUNT", 30, "STREAMS", "stream:1000", ">"),
              ("XREADGROUP", "GROUP", "readers", "bob", "COUNT", 5, "STREAMS", "stream:1000", ">"),
              ("XACK", "stream:1000", "readers", "1000-1", "1000-2"), ("XREADGROUP", "GROUP", "readers", "alice", "COUNT", 3, "STREAMS", "stream:1000", "0")]
    return calls


def families(seed: int = 1) -> dict[str, list[tuple]]:
    rng = random.Random(seed)
    return {"string": strings(rng), "hash": hashes(rng), "hash-ttl": volatile_hashes(), "list": lists(rng), "set": sets(rng),
            "zset": sorted_sets(rng), "stream": streams(rng)}


def make(connection: Connection) -> list[str]:
    """Fills the server; returns the families that it has."""
    made = []
    for family, calls in families().items():
        try:
            call(connection, *calls[0])
            if family == "hash-ttl":
                call(connection, "HPEXPIREAT", calls[0][1], FAR, "FIELDS", 1, "f0")
        except Refused as refused:
            if "unknown command" not in str(refused):
                raise
            connection.call("DEL", calls[0][1])
            continue
        made.append(family)
        if family == "stream":
            # The first call of a stream cannot be repeated.
            calls = calls[1:]
        for one in calls:
            call(connection, *one)
    call(connection, "SET", "volatile", "v", "PXAT", FAR)
    return made


def keys(connection: Connection) -> list[bytes]:
    return sorted(item.text for item in call(connection, "KEYS", "*").items)


def read(connection: Connection, key: bytes) -> object:
    """The value at `key` and its expiry."""
    kind = call(connection, "TYPE", key).text
    return kind, call(connection, "PEXPIRETIME", key).text, READERS[kind](connection, key)


def _plain(reply: Reply) -> object:
    return reply.text if reply.items is None else tuple(_plain(item) for item in reply.items)


def _hash(connection: Connection, key: bytes) -> object:
    flat = _plain(call(connection, "HGETALL", key))
    fields = dict(zip(flat[::2], flat[1::2]))
    names = sorted(fields)
    if not names:
        return {}
    # A server without field expiry answers with an error, and has none.
    times = connection.call("HPEXPIRETIME", key, "FIELDS", str(len(names)), *names)
    expiries = [-1] * len(names) if times.kind == "-" else [int(t.text) for t in times.items]
    return {name: (fields[name], at) for name, at in zip(names, expiries)}


def _zset(connection: Connection, key: bytes) -> object:
    flat = _plain(call(connection, "ZRANGE", key, 0, -1, "WITHSCORES"))
    return [(member, repr(float(score))) for member, score in zip(flat[::2], flat[1::2])]


def _stream(connection: Connection, key: bytes) -> object:
    info = _plain(call(connection, "XINFO", "STREAM", key))
    known = dict(zip(info[::2], info[1::2]))
    kept = {name: known.get(name) for name in (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added")}
    groups = []
    for group in _plain(call(connection, "XINFO", "GROUPS", key)):
        about = dict(zip(group[::2], group[1::2]))
        consumers = [dict(zip(c[::2], c[1::2])) for c in _plain(call(connection, "XINFO", "CONSUMERS", key, about[b"name"]))]
        pending = _plain(call(connection, "XPENDING", key, about[b"name"], "-", "+", 100_000))
        groups.append((about[b"name"], about[b"last-delivered-id"], about.get(b"entries-read"),
                       sorted((c[b"name"], c[b"pending"]) for c in consumers), [(p[0], p[1], p[3]) for p in pending]))
    return kept, _plain(call(connection, "XRANGE", key, "-", "+")), groups


READERS = {
    b"string": lambda c, k: call(c, "GET", k).text,
    b"hash": _hash,
    b"list": lambda c, k: _plain(call(c, "LRANGE", k, 0, -1)),
    b"set": lambda c, k: sorted(_plain(call(c, "SMEMBERS", k))),
    b"zset": _zset,
    b"stream": _stream,
}
