"""The values of row 8 beyond strings and hashes: what each kind is filled with, and by which unit its bytes are counted."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Words = list[str]


@dataclass(frozen=True)
class Values:
    """Many values of one kind and size."""

    what: str
    keys: int
    elements: int
    # The element numbered by the second, of the key numbered by the first, as words of the command.
    command: str
    words: Callable[[int, int], Words]
    # Elements of one command; a stream takes one.
    step: int = 100
    # Counted by the element; otherwise by the key.
    by_element: bool = True

    @property
    def units(self) -> int:
        return self.keys * (self.elements if self.by_element else 1)

    def commands(self) -> Iterator[Words]:
        for key in range(self.keys):
            for first in range(0, self.elements, self.step):
                numbers = range(first, min(first + self.step, self.elements))
                words = [word for number in numbers for word in self.words(key, number)]
                yield [self.command, f"{self.command.lower()}:{key:08d}", *words]


def values(scale: Callable[[int], int]) -> list[Values]:
    """What row 8 measures; `scale` makes the number of keys smaller for a smoke test."""
    def member(_: int, number: int) -> Words:
        return [f"member:{number:07d}"]

    def scored(key: int, number: int) -> Words:
        return [str((number * 7919 + key) % 1_000_003), *member(key, number)]

    def entry(key: int, number: int) -> Words:
        return [f"{1_700_000_000_000 + number * 37}-0", "subscriber", str(key * 7 + number), "event", "opened"]

    small, large = scale(20_000), max(1, scale(20))
    return [
        Values("list of 10 × 10 B, a list", scale(300_000), 10, "RPUSH",
               lambda _, number: [f"item{number:06d}"], by_element=False),
        Values("list of 100,000 × 10 B, an element", large, 100_000, "RPUSH", lambda _, number: [f"item{number:06d}"]),
        Values("list of 100,000 × 64 B, an element", large, 100_000, "RPUSH", lambda _, number: [f"{number:064d}"]),
        Values("set of 16 integers, a set", scale(300_000), 16, "SADD",
               lambda key, number: [str(key * 3 + number * 1009)], by_element=False),
        Values("set of 100, a member", small, 100, "SADD", member),
        Values("set of 100,000, a member", large, 100_000, "SADD", member),
        Values("sorted set of 128, a member", small, 128, "ZADD", scored, step=128),
        Values("sorted set of 100,000, a member", large, 100_000, "ZADD", scored),
        Values("hash of 100,000, a field", large, 100_000, "HSET",
               lambda _, number: [f"field:{number:07d}", f"value:{number:07d}"]),
        Values("stream of 100, an entry", small // 4, 100, "XADD", entry, step=1),
        Values("stream of 100,000, an entry", max(1, large // 4), 100_000, "XADD", entry, step=1),
        Values("stream of 100,000 × 32 B, an entry", max(1, large // 4), 100_000, "XADD",
               lambda key, number: [*entry(key, number)[:2], f"{number:032d}"], step=1),
    ]


def fill(port: int, values: Values) -> None:
    """Writes the values, as long pipelines. An error reply fails."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        replies = link.makefile("rb")
        batch, waiting = bytearray(), 0
        for words in values.commands():
            batch += b"*%d\r\n" % len(words)
            for word in words:
                batch += b"$%d\r\n%s\r\n" % (len(word), word.encode())
            waiting += 1
            if len(batch) > 1 << 16:
                link.sendall(batch)
                _read(replies, waiting)
                batch, waiting = bytearray(), 0
        link.sendall(batch)
        _read(replies, waiting)


def _read(replies, count: int) -> None:
    for _ in range(count):
        line = replies.readline()
        if line.startswith(b"$"):
            replies.readline()
        elif not line.startswith(b":"):
            raise OSError(f"unexpected reply {line!r}")
