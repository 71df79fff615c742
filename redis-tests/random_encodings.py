"""Random commands under thresholds so small that every value changes its encoding again and again.

After each command the encodings of all keys are compared. A sequence is made of rounds: everything is flushed, the
thresholds are drawn anew, and then a few values of one or two types grow and shrink, are copied, stored, dumped and
reloaded from a file.
"""

from __future__ import annotations

import random

from resp import Reply

THRESHOLDS = {
    "list-max-listpack-size": ["-1", "-2", "4", "8", "1", "3", "-2"],
    "set-max-intset-entries": ["2", "4", "8", "512"],
    "set-max-listpack-entries": ["2", "4", "6"],
    "set-max-listpack-value": ["3", "8"],
    "hash-max-listpack-entries": ["2", "4"],
    "hash-max-listpack-value": ["3", "8"],
    "zset-max-listpack-entries": ["0", "2", "4"],
    "zset-max-listpack-value": ["3", "8"],
}
KEYS = ["k:0", "k:1", "k:2"]
ROUND = 60  # commands under the same thresholds

SETS = """SADD K M; SADD K M M M; SADD K J J; SADD K J J J J; SREM K M M; SREM K J J; SMOVE K K M; SINTERSTORE K K K;
SUNIONSTORE K K K; SDIFFSTORE K K K; SUNIONSTORE K K; COPY K K REPLACE; DEBUG RELOAD; DEL K; SPOP K 100; SORT K ALPHA STORE K"""
HASHES = """HSET K M E; HSET K M M M M; HSET K M M M M M M; HDEL K M; HDEL K M M; HSETNX K M M; HINCRBY K M 1;
HINCRBYFLOAT K M 1.5; HEXPIRE K 1000 FIELDS 1 M; HPERSIST K FIELDS 2 M M; HGETDEL K FIELDS 2 M M;
HSETEX K EX 1000 FIELDS 2 M M M M; HGETEX K EX 1000 FIELDS 1 M; HGETEX K PERSIST FIELDS 1 M; HMSET K M E; HEXPIRE K 0 FIELDS 1 M;
COPY K K REPLACE; DEBUG RELOAD; DEL K; HSETEX K KEEPTTL FIELDS 1 M M"""
SORTED = """ZADD K S M; ZADD K S M S M S M; ZADD K INCR S M; ZINCRBY K S M; ZREM K M M; ZPOPMIN K N; ZPOPMAX K; ZMPOP 2 K K MIN COUNT N;
ZREMRANGEBYRANK K I I; ZREMRANGEBYSCORE K 0 S; ZRANGESTORE K K I I; ZUNIONSTORE K 2 K K; ZINTERSTORE K 2 K K; ZDIFFSTORE K 2 K K;
ZUNIONSTORE K 1 K; COPY K K REPLACE; DEBUG RELOAD; DEL K; SADD K M M; GEOADD K 1 1 M; ZRANGESTORE K K 0 S BYSCORE;
GEOSEARCHSTORE K K FROMLONLAT 1 1 BYRADIUS 1 KM; SUNIONSTORE K K"""
STRINGS = """SET K E; SET K J; APPEND K M; APPEND K J; INCR K; INCRBYFLOAT K 1.5; SETRANGE K N M; GETSET K J; SETBIT K N 1; COPY K K REPLACE;
DEBUG RELOAD; DEL K; PFADD K M; BITOP OR K K K; GETDEL K; MSET K J K E; SETEX K 1000 E; GETEX K PERSIST; RENAME K K; DECRBY K 3"""
GRAMMARS = [[line.strip() for line in text.split(";")] for text in (SETS, HASHES, SORTED, STRINGS)]


def commands(seed: int, count: int) -> list[tuple[list[bytes], list[str]]]:
    """The whole sequence with its masks. Depends on the arguments alone."""
    rng = random.Random(seed)
    made: list[list[str]] = []
    while len(made) < count:
        made.append(["FLUSHALL"])
        made += [["CONFIG", "SET", name, rng.choice(values)] for name, values in THRESHOLDS.items()]
        grammar = rng.choice(GRAMMARS)
        lengths = rng.choice([[1, 3, 4, 8, 9, 40], [1, 3, 4], [1, 500, 1500, 3000], [2, 700, 4000, 9000], [1, 44, 45, 70]])
        for _ in range(ROUND):
            made.append([_draw(rng, word, lengths) for word in rng.choice(grammar).split()])
    return [([word.encode() for word in words], ["any"] if words[0] == "SPOP" else []) for words in made]


def _draw(rng: random.Random, word: str, lengths: list[int]) -> str:
    if word == "K":
        return rng.choice(KEYS)
    if word == "E":
        return rng.choice("abc") * rng.choice(lengths)
    if word == "M":
        return rng.choice(["a", "b", "c", "dd", "ee", "abc", "abcd", "abcdefgh", "abcdefghi", "7", "-12"])
    if word == "J":
        return rng.choice([str(rng.randrange(-3, 12)), "70000", "5000000000"])
    if word == "I":
        return str(rng.randrange(-12, 12))
    if word in ("N", "S"):
        return str(rng.randrange(0, 9))
    return word


class Eye:
    """Sees how the keys of a server are encoded; on leaving, the thresholds are as they were found."""

    def __init__(self, server):
        self.connection = server.connect()
        self.found = {name: self.connection.call("CONFIG", "GET", name).items[1].text for name in THRESHOLDS}

    def seen(self) -> Reply:
        seen = [self.connection.call("OBJECT", "ENCODING", key) for key in KEYS]
        # A hash of which no field expires any more is saved as any other hash, so that servers that know no expiry of
        # fields can read it; in a file of Redis it stays what it was.
        return Reply("*", None, tuple(Reply("$", b"listpack") if name.text == b"listpackex" else name for name in seen))

    def close(self) -> None:
        for name, value in self.found.items():
            self.connection.call("CONFIG", "SET", name, value)
        self.connection.close()
