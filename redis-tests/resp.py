"""RESP as bytes: a decoder that keeps every reply exactly as the server sent it.

Client libraries turn replies into Python values and lose what this room wants to compare: the difference
between a null bulk string and a null array, `+OK` and `$2 OK`, `,3` and `:3`. A reply here is a `Reply`:
its type byte, its payload bytes, and its items. Anything that is not well-formed RESP raises `Malformed`,
so that a server that sends garbage fails loudly rather than hanging the run.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

LINE_TYPES = b"+-:,#(_"
BULK_TYPES = b"$!="
LIST_TYPES = b"*~>"
PAIR_TYPES = b"%|"


class Malformed(Exception):
    """The server sent bytes that are not RESP."""


class Closed(Exception):
    """The server closed the connection."""


class Silent(Exception):
    """No complete reply arrived in time."""


@dataclass(frozen=True)
class Reply:
    """One reply. `kind` is RESP's type byte; maps keep keys and values alternating in `items`, and so does an
    attribute, followed by the reply it is about."""

    kind: str
    text: bytes | None = None
    items: tuple["Reply", ...] | None = None

    @property
    def is_null(self) -> bool:
        return self.text is None and self.items is None

    def show(self) -> str:
        """How a reply is printed in a story: the type byte, then the payload with everything odd escaped."""
        if self.kind == "_":
            return "null(_)"
        if self.is_null:
            return f"null({self.kind}-1)"
        if self.items is None:
            return f"{self.kind}{escape(self.text)}"
        if self.kind == "|":
            return f"|{Reply('%', None, self.items[:-1]).show()} {self.items[-1].show()}"
        if self.kind == "%":
            pairs = zip(self.items[::2], self.items[1::2])
            return self.kind + "{" + ", ".join(f"{k.show()} => {v.show()}" for k, v in pairs) + "}"
        return self.kind + "[" + ", ".join(item.show() for item in self.items) + "]"


CLOSED = Reply("closed", b"")
SILENT = Reply("silent", b"")


def escape(data: bytes) -> str:
    """Printable ASCII as it is, everything else as the scripts write it."""
    short = {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\"}
    return "".join(short.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in data)


def encode(args: list[bytes]) -> bytes:
    """A command as clients send it: an array of bulk strings."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


class Connection:
    """One raw socket with its undecoded bytes. Pushes that arrive ahead of a reply are set aside in `pushes`."""

    def __init__(self, host: str, port: int, timeout_s: float = 5.0):
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = timeout_s
        self.buffer = bytearray()
        self.at = 0
        self.pushes: list[Reply] = []
        self.gone = False

    def close(self) -> None:
        self.socket.close()
        self.gone = True

    def send(self, data: bytes) -> None:
        """Send bytes; a peer that is already gone is noticed when the reply is read."""
        try:
            self.socket.settimeout(self.timeout_s)
            self.socket.sendall(data)
        except (ConnectionError, socket.timeout, OSError):
            self.gone = True

    def call(self, *args: bytes | str) -> Reply:
        """Send one command and read its reply."""
        self.send(encode([a.encode() if isinstance(a, str) else a for a in args]))
        return self.reply()

    def reply(self, timeout_s: float | None = None) -> Reply:
        """The next reply that is not a push; CLOSED or SILENT when there is none."""
        while True:
            reply = self.next(timeout_s)
            if reply.kind != ">":
                return reply
            self.pushes.append(reply)

    def message(self, timeout_s: float | None = None) -> Reply:
        """The next thing sent, pushes included, those set aside first."""
        return self.pushes.pop(0) if self.pushes else self.next(timeout_s)

    def next(self, timeout_s: float | None = None) -> Reply:
        start = self.at
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        try:
            reply = self._decode(deadline, 0)
        except Closed:
            self.gone = True
            return CLOSED
        except Silent:
            self.at = start
            return SILENT
        if self.at > 1 << 16:
            del self.buffer[: self.at]
            self.at = 0
        return reply

    def _fill(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Silent
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except socket.timeout:
            raise Silent from None
        except (ConnectionError, OSError):
            raise Closed from None
        if not data:
            raise Closed
        self.buffer += data

    def _line(self, deadline: float) -> bytes:
        while True:
            end = self.buffer.find(b"\r\n", self.at)
            if end >= 0:
                line = bytes(self.buffer[self.at : end])
                self.at = end + 2
                return line
            self._fill(deadline)

    def _exactly(self, count: int, deadline: float) -> bytes:
        while len(self.buffer) < self.at + count + 2:
            self._fill(deadline)
        data = bytes(self.buffer[self.at : self.at + count])
        if self.buffer[self.at + count : self.at + count + 2] != b"\r\n":
            raise Malformed(f"bulk of {count} bytes is not followed by CRLF")
        self.at += count + 2
        return data

    def _decode(self, deadline: float, depth: int) -> Reply:
        line = self._line(deadline)
        if not line or depth > 32:
            raise Malformed(f"no reply type in {line!r}")
        kind, rest = line[:1], line[1:]
        name = kind.decode("latin-1")
        if kind in LINE_TYPES:
            if kind == b":" and not rest.lstrip(b"-").isdigit():
                raise Malformed(f"integer {rest!r}")
            return Reply(name, rest)
        if kind not in BULK_TYPES + LIST_TYPES + PAIR_TYPES or not rest.lstrip(b"-").isdigit():
            raise Malformed(f"reply line {line!r}")
        count = int(rest)
        if count == -1:
            return Reply(name)
        if count < 0:
            raise Malformed(f"length {count}")
        if kind in BULK_TYPES:
            return Reply(name, self._exactly(count, deadline))
        if kind in PAIR_TYPES:
            count *= 2
        if kind == b"|":
            count += 1
        return Reply(name, None, tuple(self._decode(deadline, depth + 1) for _ in range(count)))
