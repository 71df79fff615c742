#!/usr/bin/env python3
"""An append-only folder whose server was killed at a random moment, under load and while it rewrote the file: every
server that can read it must come to the same data from a copy of it, with everything that was acknowledged. Some folders
lose their last bytes too, as when the machine dies.

    redis-tests/run-exchange --binary target/release/lockstep-server
    redis-tests/exchange/killed.py --binary target/release/lockstep-server --rounds 20 --seed 5
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import peers  # noqa: E402
import servers  # noqa: E402
import values  # noqa: E402
from files import VERSION_FOR, take_over  # noqa: E402

# A rewrite is always under way. What is killed has fsynced what it has acknowledged.
OPTIONS = ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "5", "--auto-aof-rewrite-min-size", "1kb"]
TAKEN = ["--appendonly", "yes", "--aof-load-truncated", "yes", "--auto-aof-rewrite-percentage", "0"]
WRITERS = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=2, help="how often each server is killed")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    binaries = {"lockstep": Path(options.binary).resolve()}
    found = peers.binaries()
    binaries |= {name: found[name] for name in ("redis", "valkey") if name in found}
    rng, passed, failed = random.Random(options.seed), 0, 0
    for number in range(options.rounds):
        for source in binaries:
            faults = round_of(binaries, source, rng)
            passed += not faults
            failed += bool(faults)
            for fault in faults:
                print(f"FAILED {source} killed, round {number}, --seed {options.seed}\n  {fault}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def round_of(binaries: dict, source: str, rng: random.Random) -> list[str]:
    """One server is killed, all start on what it has left; what went wrong."""
    options = [*OPTIONS, "--rdb-write-version", VERSION_FOR["redis"]] if source == "lockstep" else OPTIONS
    here = servers.start(source, binaries[source], options)
    taken: list[servers.Server] = []
    try:
        done = load_and_kill(here, rng)
        # Then the last is missing, and what was acknowledged says nothing.
        torn = rng.random() < 0.4 and cut_end(here.folder, rng)
        data = {}
        # Redis and Valkey do not read each other's.
        for name in binaries if source == "lockstep" else (source, "lockstep"):
            server = take_over(binaries[name], name, here.folder, TAKEN)
            taken.append(server)
            link = server.connect(30)
            data[name] = {key: values.read(link, key) for key in values.keys(link)}
            server.stop()
        faults = []
        for writer, count in enumerate(done):
            there = int(data[source].get(f"count:{writer}".encode(), (None, None, b"0"))[2])
            # The command whose reply was lost may have been executed.
            if not torn and not count <= there <= count + 1:
                faults.append(f"writer {writer} was told of {count} writes, and {there} are there")
        for name, got in data.items():
            for key in sorted(got.keys() | data[source].keys()):
                if got.get(key) != data[source].get(key):
                    faults.append(f"{name}: {key!r}\n  expected {data[source].get(key)!r:.300}\n  got      {got.get(key)!r:.300}")
        return faults
    except (values.Refused, servers.NotStarted) as refused:
        return [str(refused)]
    finally:
        for server in (here, *taken):
            server.stop()


def cut_end(folder: Path, rng: random.Random) -> bool:
    """Takes some bytes off the end of the last increment that the manifest names."""
    folder = folder / "appendonlydir"
    manifest = (folder / "appendonly.aof.manifest").read_text()
    named = [path for path in folder.glob("*.incr.aof") if f" {path.name} " in manifest]
    last = max(named, key=lambda path: int(path.name.split(".")[-3]))
    with open(last, "r+b") as file:
        file.truncate(max(0, last.stat().st_size - rng.randrange(1, 60)))
    return True


def load_and_kill(server: servers.Server, rng: random.Random) -> list[int]:
    """Kills a server while it writes; how many writes each writer was told of."""
    done = [0] * WRITERS
    seeds = [rng.random() for _ in done]
    threads = [threading.Thread(target=write, args=(server, writer, random.Random(seed), done)) for writer, seed in enumerate(seeds)]
    for thread in threads:
        thread.start()
    time.sleep(rng.uniform(0.2, 0.8))
    server.process.kill()
    server.process.wait()
    for thread in threads:
        thread.join()
    return done


def write(server: servers.Server, writer: int, rng: random.Random, done: list[int]) -> None:
    try:
        link = server.connect(10)
        while True:
            # The counter says whether the whole transaction is there.
            for words in (("MULTI",), ("INCR", f"count:{writer}"), *some(writer, rng), ("EXEC",)):
                reply = link.call(*map(str, words))
                if reply.kind in ("-", "closed", "silent"):
                    return
            done[writer] += 1
    except OSError:
        return


def some(writer: int, rng: random.Random) -> list[tuple]:
    """Writes of every type, some of which take away."""
    n, name = rng.randrange(300), rng.randrange(4)
    choices = [
        ("SET", f"s:{writer}:{n}", "x" * rng.choice((1, 40, 3000)), "PX", 10_000_000_000),
        ("APPEND", f"s:{writer}:{n}", n), ("DEL", f"s:{writer}:{n}"), ("HSET", f"h:{writer}:{name}", n, "v" * rng.randrange(90)),
        ("HDEL", f"h:{writer}:{name}", n), ("RPUSH", f"l:{writer}:{name}", *range(n % 7 + 1)), ("LTRIM", f"l:{writer}:{name}", 3, 60),
        ("SADD", f"set:{writer}:{name}", n, f"m{n}"), ("SPOP", f"set:{writer}:{name}"), ("ZADD", f"z:{writer}:{name}", n / 7, f"m{n}"),
        ("ZPOPMIN", f"z:{writer}:{name}"), ("XADD", f"x:{writer}", "MAXLEN", "~", 200, "*", "f", n), ("INCRBYFLOAT", f"f:{writer}", n / 3),
        ("PFADD", f"p:{writer}", n), ("SETBIT", f"b:{writer}", n * 10, n % 2),
    ]
    return rng.sample(choices, rng.randint(1, 4))


if __name__ == "__main__":
    sys.exit(main())
