"""Clients that wait, served in the same order: random blocking commands of several connections, and random pushes by one.

Each step is sent to both servers. Then it is compared whom the step served and with what; a client that Redis serves must
be served by the tested server, and nobody else. A sequence depends on its seed alone.
"""

from __future__ import annotations

import random
import select
import time

from resp import SILENT, Reply, encode, escape

CLIENTS = 6
PATIENCE_S = 3.0

WAITS = """BLPOP L 0; BLPOP L L 0; BRPOP L L L 0; BLMOVE L L LEFT RIGHT 0; BLMOVE L L RIGHT LEFT 0; BRPOPLPUSH L L 0;
BLMPOP 0 2 L L LEFT COUNT N; BLMPOP 0 1 L RIGHT; BZPOPMIN Z 0; BZPOPMAX Z Z 0; BZMPOP 0 2 Z Z MIN COUNT N; BZMPOP 0 1 Z MAX;
XREAD BLOCK 0 STREAMS X $; XREAD COUNT 1 BLOCK 0 STREAMS X X $ $; XREADGROUP GROUP g C BLOCK 0 STREAMS X >;
XREADGROUP GROUP g C COUNT 1 BLOCK 0 STREAMS X X > >"""
# Without SWAPDB, which in Redis serves keys in the order of a hash table. No key becomes another type: a list that SORT stores over a string wakes nobody in Redis, who then waits beside it.
PUSHES = """RPUSH L V; LPUSH L V V; RPUSH L V V V; RPUSH L V V V V V; ZADD Z N V; ZADD Z N V N V N V; XADD X * f V; XADD X * f V;
LMOVE L L LEFT RIGHT; RENAME L L; RENAME Z Z; COPY L L REPLACE; COPY Z Z REPLACE; DEL L; DEL Z X; SORT S ALPHA STORE L;
ZUNIONSTORE Z 2 Z Z; ZRANGESTORE Z Z 0 -1; XGROUP CREATE X g $ MKSTREAM; XGROUP DESTROY X g; GEOADD Z 1 1 V; SADD S V; ZINCRBY Z 1 V;
LINSERT L BEFORE V V; RPUSHX L V; MOVE L 1; FLUSHDB; EXPIRE L -1; RENAMENX X X; RPUSH L V"""
KINDS = [[line.strip() for line in text.split(";")] for text in (WAITS, PUSHES)]


def steps(seed: int, count: int) -> list[tuple[int, list[list[bytes]]]]:
    """Who sends which commands; number 0 never waits. Several commands are a transaction or one script's calls."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        if rng.random() < 0.5:
            words = _words(rng, rng.choice(KINDS[0]))
            # Streams that were there give their group's messages.
            made.append((rng.randrange(1, CLIENTS + 1), [words]))
            continue
        calls = [_words(rng, rng.choice(KINDS[1])) for _ in range(rng.choice([1, 1, 1, 2, 4, 6]))]
        form = rng.random()
        if len(calls) == 1 or form < 0.2:
            made.append((0, calls))
        elif form < 0.6:
            made.append((0, [[b"MULTI"], *calls, [b"EXEC"]]))
        else:
            body = " ".join("redis.pcall(" + ",".join(f"'{word.decode()}'" for word in call) + ");" for call in calls)
            made.append((0, [[b"EVAL", body.encode(), b"0"]]))
    return made


def _words(rng: random.Random, template: str) -> list[bytes]:
    def draw(word: str) -> str:
        if word in ("L", "Z", "X", "S"):
            return f"{word.lower()}{rng.randrange(3)}"
        if word == "V":
            return f"v{rng.randrange(40)}"
        if word == "N":
            return str(rng.randrange(1, 6))
        return f"c{rng.randrange(2)}" if word == "C" else "1000000-*" if word == "*" else word
    return [draw(word).encode() for word in template.split()]


class Side:
    """The connections to one server."""

    def __init__(self, server, protocol: int):
        self.connections = [server.connect(PATIENCE_S) for _ in range(CLIENTS + 1)]
        self.control = server.connect(PATIENCE_S)
        self.connections[0].call("FLUSHALL")
        self.connections[0].call("SCRIPT", "FLUSH")
        for connection in self.connections:
            connection.call("HELLO", str(protocol))

    def has(self, client: int) -> bool:
        connection = self.connections[client]
        return connection.at < len(connection.buffer) or bool(select.select([connection.socket], [], [], 0)[0])

    def close(self) -> None:
        for connection in [*self.connections, self.control]:
            connection.close()


def play(made, truth, tested, protocol: int):
    """(index, client, expected, got) of the first difference, or None."""
    sides = [Side(truth, protocol), Side(tested, protocol)]
    waiting: set[int] = set()
    try:
        for index, (client, calls) in enumerate(made):
            if client in waiting:
                continue
            for words in calls:
                for side in sides:
                    side.connections[client].send(encode(words))
                waiting.add(client)
                difference = _compare(index, sides, waiting, client)
                if difference:
                    return difference
        return None
    finally:
        for side in sides:
            side.close()


def run(truth, tested, seed: int, count: int, protocol: int) -> str | None:
    """The story of the first difference, cut down to the steps that matter, or None."""
    made = steps(seed, count)
    found = play(made, truth, tested, protocol)
    if found is None:
        return None
    made = _shorter(made[: found[0] + 1], truth, tested, protocol)
    found = play(made, truth, tested, protocol) or found
    _, client, expected, got = found
    lines = [f"\nFAILED waiting clients over RESP{protocol}, replay with --only waiting --seed {seed} --random {count}"]
    lines += [f"  @{who} " + "; ".join(escape(b" ".join(words)) for words in calls) for who, calls in made[-40:]]
    lines += [f"  client @{client} expected {expected.show()[:600]}   ({truth.name})", f"  got {got.show()[:600]}   ({tested.name})"]
    return "\n".join(lines)


def _shorter(made, truth, tested, protocol: int, limit_s: float = 20.0):
    """Leaves out ever smaller runs of steps as long as the servers still differ."""
    size, deadline = max(len(made) // 2, 1), time.monotonic() + limit_s
    while time.monotonic() < deadline:
        at = 0
        while at < len(made) - 1 and time.monotonic() < deadline:
            shorter = made[:at] + made[min(at + size, len(made) - 1) :]
            found = play(shorter, truth, tested, protocol)
            if found is not None:
                made = shorter[: found[0] + 1]
            else:
                at += size
        if size == 1:
            break
        size //= 2
    return made


def _compare(index: int, sides: list[Side], waiting: set[int], sender: int):
    """Reads what Redis has sent to anybody, and expects the same of the other."""
    truth, tested = sides
    if sender != 0:
        # Redis has looked at the request when it answers another that came later.
        for side in sides:
            _settle(side, sender)
    else:
        reply = truth.connections[0].reply()
        got = tested.connections[0].reply()
        waiting.discard(0)
        if reply != got or reply == SILENT:
            return index, 0, reply, got
        _settle(truth, 0)
    served = [client for client in sorted(waiting) if truth.has(client)]
    for client in served:
        expected, got = (side.connections[client].reply() for side in sides)
        waiting.discard(client)
        if expected != got:
            return index, client, expected, got
    for client in sorted(waiting):
        if tested.has(client):
            return index, client, Reply("nothing", b""), tested.connections[client].reply()
    return None


def _settle(side: Side, sender: int) -> None:
    """Waits until the sender's request was answered, or the client waits for keys."""
    for _ in range(200):
        if sender == 0 or side.has(sender):
            break
        info = side.control.call("CLIENT", "LIST")
        name = side.connections[sender].socket.getsockname()[1]
        line = next((line for line in info.text.decode().splitlines() if f" addr=127.0.0.1:{name} " in line), "")
        if " flags=b " in line:
            break
        time.sleep(0.001)
    side.control.call("PING")
