#!/usr/bin/env python3
"""Append-only folders as SIGKILL leaves them, while rewrites run and files are rotated: whoever else loads such a folder holds what its
writer holds after a restart. Some folders lose their last bytes too, as when the machine dies.

    redis-tests/run-exchange --binary target/release/lockstep-server
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import files  # noqa: E402
import peers  # noqa: E402
import servers  # noqa: E402
import values  # noqa: E402

# Rewrites begin all the time.
OPTIONS = ["--appendonly", "yes", "--appendfsync", "everysec", "--aof-load-truncated", "yes",
           "--auto-aof-rewrite-percentage", "10", "--auto-aof-rewrite-min-size", "64kb"]
OURS = ["--rdb-write-version", "11"]
# Who writes, and who else loads it.
ROUNDS = [("lockstep", ["redis", "valkey"]), ("lockstep", ["valkey", "redis"]), ("lockstep", ["redis", "valkey"]),
          ("redis", ["lockstep"]), ("valkey", ["lockstep"]), ("redis", ["lockstep"]), ("valkey", ["lockstep"])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    found = peers.binaries()
    binaries = {"lockstep": Path(arguments.binary).resolve(), "redis": found["redis"], "valkey": found["valkey"]}
    print(f"seed {arguments.seed}")
    rng = random.Random(arguments.seed)
    failed = 0
    for number, (source, others) in enumerate(ROUNDS * arguments.repeat):
        preamble = ["--aof-use-rdb-preamble", "no" if number % 2 else "yes"]
        fault = round_of(binaries, source, others, preamble, rng)
        if fault is not None:
            failed += 1
            print(f"FAILED {source} -> {', '.join(others)}, {' '.join(preamble)}\n  {fault}")
    print(f"{len(ROUNDS) * arguments.repeat - failed} passed, {failed} failed")
    return 1 if failed else 0


def round_of(binaries: dict, source: str, others: list[str], preamble: list[str], rng: random.Random) -> str | None:
    """Kills `source` under load; compares what it and the others make of its folder."""
    def options(name: str) -> list[str]:
        return [*OPTIONS, *preamble, *(OURS if name == "lockstep" else [])]

    here = servers.start(source, binaries[source], options(source))
    there = None
    try:
        seeds = [rng.randrange(1 << 32) for _ in range(2)]
        writers = [threading.Thread(target=write, args=(here.port, n, seed)) for n, seed in enumerate(seeds)]
        for writer in writers:
            writer.start()
        time.sleep(rng.uniform(0.2, 0.7))
        here.process.kill()
        here.process.wait(20)
        for writer in writers:
            writer.join()
        if rng.random() < 0.5:
            cut_end(here.folder, rng)
        expected = None
        for name in [source, *others]:
            there = files.take_over(binaries[name], name, here.folder, options(name))
            connection = there.connect(30)
            got = {key: values.read(connection, key) for key in values.keys(connection)}
            there.stop()
            if expected is None:
                expected = got
                if len(got) < 50:
                    return f"only {len(got)} keys were written"
            for key in sorted(expected.keys() | got.keys()):
                if expected.get(key) != got.get(key):
                    return f"{name}: {key!r}\n  expected {expected.get(key)!r:.300}\n  got      {got.get(key)!r:.300}"
        return None
    except (values.Refused, servers.NotStarted, OSError) as refused:
        return str(refused)
    finally:
        here.stop()
        if there is not None:
            there.stop()


def cut_end(folder: Path, rng: random.Random) -> None:
    """The last increment loses some bytes of its end."""
    def number(path: Path) -> int:
        return int(path.name.split(".")[-3])

    manifest = (folder / "appendonlydir" / "appendonly.aof.manifest").read_text()
    named = [path for path in (folder / "appendonlydir").glob("*.incr.aof") if f" {path.name} " in manifest]
    last = max(named, key=number)
    size = last.stat().st_size
    with open(last, "r+b") as file:
        file.truncate(max(0, size - rng.randrange(1, 60)))


def encode(*words) -> bytes:
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def write(port: int, writer: int, seed: int) -> None:
    """Pipelines of writes of every kind, until the server is gone."""
    rng = random.Random(seed)
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            while True:
                batch = b"".join(one_write(rng, writer) for _ in range(40))
                connection.sendall(batch + encode("ECHO", "end of the batch"))
                got = b""
                while not got.endswith(b"end of the batch\r\n"):
                    more = connection.recv(1 << 16)
                    if not more:
                        return
                    got = (got + more)[-100:]
    except OSError:
        return


def one_write(rng: random.Random, writer: int) -> bytes:
    n = rng.randrange(40)
    value = rng.randbytes(rng.choice((1, 8, 30, 200)))
    kind = rng.randrange(12)
    if kind == 0:
        inner = b"".join(one_write(rng, writer) for _ in range(3))
        # A transaction within one would be refused.
        return inner if b"MULTI" in inner else encode("MULTI") + inner + encode("EXEC")
    return encode(*[
        ("SET", f"string:{n}", value), ("INCR", f"count:{writer}"), ("SET", f"string:{n}", value, "PX", rng.randrange(10**8, 10**9)),
        ("HSET", f"hash:{n}", f"field:{rng.randrange(300)}", value), ("RPUSH", f"list:{n}", value, n), ("LPOP", f"list:{n}"),
        ("SADD", f"set:{n}", rng.randrange(1000), value[:8]), ("ZADD", f"zset:{n}", rng.random(), f"m{rng.randrange(300)}"),
        ("XADD", f"stream:{n}", "MAXLEN", "100", f"{time.time_ns() // 1000}-*", "f", value), ("SPOP", f"set:{n}"),
        ("DEL", rng.choice(("string", "hash", "list", "set", "zset", "stream")) + f":{n}"),
    ][kind - 1])


if __name__ == "__main__":
    sys.exit(main())
