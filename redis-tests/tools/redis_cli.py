#!/usr/bin/env python3
"""What redis-cli's own tools print of Lockstep is what they print of Redis 8.2.3 with the same data.

    redis-tests/run-tools --binary target/release/lockstep-server

Each tool runs on both; what depends on time, addresses and the allocator is masked before the outputs are compared.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import peers  # noqa: E402
import servers  # noqa: E402

PIPED = 100_000
LIBRARY = "#!lua name=tools\nredis.register_function('answer', function(keys, args) return 42 end)"
SCRIPT = "return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}"


class Cli:
    """redis-cli on one server."""

    def __init__(self, program: Path, server: servers.Server):
        self.program, self.server = program, server

    def __call__(self, *arguments: str, given: bytes | None = None) -> str:
        """What it prints; its exit code, where that is not 0, comes last."""
        done = subprocess.run(self.command(*arguments), input=given, capture_output=True, timeout=60,
                              stdin=None if given is not None else subprocess.DEVNULL)
        ending = "" if done.returncode == 0 else f"\nexit code {done.returncode}"
        return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace") + ending

    def command(self, *arguments: str) -> list[str]:
        return [str(self.program), "-p", str(self.server.port), *arguments]

    def watch(self, *arguments: str, until: str, act: Callable[[], None] | None = None, begun: str = "") -> str:
        """What a tool that does not end by itself prints until a line holds `until`; `act` is called at a line that holds `begun`."""
        # A pipe would get its lines only by the block.
        process = subprocess.Popen(["stdbuf", "-oL", *self.command(*arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, text=True)
        try:
            lines = []
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                line = process.stdout.readline()
                if not line:
                    break
                lines.append(line)
                if act is not None and begun in line:
                    act()
                    act = None
                if until in line:
                    return "".join(lines)
            return "".join(lines) + f"\n(no line with {until!r} came)"
        finally:
            process.kill()
            process.wait()


def fill(cli: Cli) -> None:
    """Some of everything, by mass insertion."""
    commands = [["SET", f"string:{n}", "x" * (n * 7 % 90)] for n in range(300)]
    commands += [["SET", "string:long", "y" * 5000], ["SET", "number", "12"], ["SET", "volatile", "v", "PX", "9000000"]]
    commands += [["RPUSH", "list:long", *(str(n) for n in range(500))], ["RPUSH", "list:short", "a", "b"]]
    commands += [["SADD", "set:ints", *(str(n) for n in range(40))], ["SADD", "set:words", *(f"w{n}" for n in range(200))]]
    commands += [["HSET", f"hash:{n}", "name", f"subscriber {n}", "opens", str(n)] for n in range(20)]
    commands += [["HSET", "hash:wide", *(word for n in range(600) for word in (f"field {n}", "v"))]]
    commands += [["ZADD", "zset", *(word for n in range(150) for word in (str(n / 2), f"member {n}"))]]
    commands += [["XADD", "stream", f"{n}-1", "event", f"open {n}"] for n in range(1, 50)]
    commands += [["FUNCTION", "LOAD", LIBRARY]]
    said = cli("--pipe", given=b"".join(request(command) for command in commands))
    if f"errors: 0, replies: {len(commands)}" not in said:
        raise servers.NotStarted(f"--pipe on {cli.server.name}: {said}")


def request(words: list[str]) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def pipe(cli: Cli) -> str:
    many = b"".join(request(["INCRBY", "piped", str(n % 7)]) for n in range(PIPED))
    wrong = request(["LPUSH", "piped", "x"]) + request(["NOSUCHCOMMAND"]) + request(["GET", "piped"])
    said = cli("--pipe", given=many + wrong)
    return said + cli("GET", "piped")


def keys(cli: Cli, kind: str) -> str:
    """`--bigkeys` and the like: which keys are found on the way depends on the order of SCAN, so only the summary counts."""
    said = cli(kind)
    at = said.find("-------- summary")
    return said if at < 0 else said[at:]


def without_bytes(said: str) -> str:
    return re.sub(r"\d+(\.\d+)? bytes|\(?avg (len|size) \d+\.\d+\)?|size of \d+", "# bytes", said)


def memory_keys(cli: Cli) -> str:
    """The sizes are the servers' own, and with them which key is the biggest of similar ones."""
    said = keys(cli, "--memkeys")
    return "\n".join(line for line in without_bytes(said).splitlines() if not line.startswith(("Biggest", "Sampled", "Total")))


def hot_keys(cli: Cli) -> str:
    cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    for _ in range(3):
        cli("--pipe", given=request(["GET", "string:1"]) * 3000)
    said = keys(cli, "--hotkeys")
    cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    hottest = re.findall(r'hot key found with counter: \d+\s+keyname: "?([^"\n]+)', said)
    return f"hottest: {hottest[:1]}"


def refused_hot_keys(cli: Cli) -> str:
    return "\n".join(line for line in cli("--hotkeys").splitlines() if "LFU" in line or "exit code" in line)


def scan(cli: Cli) -> str:
    parts = []
    for options in ([], ["--pattern", "hash:1*"], ["--type", "zset"], ["--count", "3", "--pattern", "string:2?"]):
        parts.append("\n".join(sorted(cli("--scan", *options).split("\n"))))
    return "\n".join(parts)


def dumps(cli: Cli) -> str:
    """`--rdb` and `--functions-rdb`: the file is whole, and a Redis that starts with it has the same data."""
    found = []
    for option in ("--rdb", "--functions-rdb"):
        path = cli.server.folder / f"taken{option}.rdb"
        said = cli(option, str(path))
        found.append(re.sub(r"\d+|/\S+", "#", said.splitlines()[-1]))
        checked = subprocess.run(["redis-check-rdb", str(path)], capture_output=True, text=True)
        if cli.server.name == "lockstep" and checked.returncode != 0:
            # Debian's tool is too old for the files of Redis 8.2.
            found.append(checked.stdout + checked.stderr)
        there = servers.start("redis", peers.binaries()["redis"], ["--dbfilename", "other.rdb"])
        try:
            there.process.terminate()
            there.process.wait(20)
            (there.folder / "other.rdb").write_bytes(path.read_bytes())
            there.restart()
            taken = Cli(cli.program, there)
            found.append(taken("DBSIZE") + taken("DEBUG", "DIGEST") + taken("FCALL_RO", "answer", "0") + taken("FCALL", "answer", "0"))
        finally:
            there.stop()
    return "\n".join(found)


def latency(cli: Cli) -> str:
    parts = [cli.watch("--raw", "--latency-history", "-i", "0.3", until="seconds range"), cli("-i", "0.2", "--latency")]
    # How many lines come depends on the time.
    return "\n".join(sorted(set(re.sub(r"[\d.]+", "#", "\n".join(parts)).splitlines())))


def stat(cli: Cli) -> str:
    said = cli.watch("--stat", "-i", "0.05", until="(+1)")
    lines = [line for line in said.splitlines() if line[:1].isdigit()]
    # The sizes and counts are the moment's; the keys are not.
    return "\n".join(f"{line.split()[0]} keys, {len(line.split())} columns" for line in lines[1:2])


def formats(cli: Cli) -> str:
    parts = [cli(*options, *words) for options in (["--csv"], ["--json"], ["--json", "-2"], ["--raw"], ["--no-raw"], ["--no-raw", "-3"])
             for words in (["LRANGE", "list:long", "0", "3"], ["HGETALL", "hash:3"], ["ZRANGE", "zset", "0", "2", "WITHSCORES"],
                           ["GET", "nothing"], ["EXISTS", "number"], ["XRANGE", "nothing", "-", "+"], ["LPOP", "number"])]
    parts.append(cli("-x", "SET", "from-input", given=b"line\n") + cli("GET", "from-input"))
    parts.append(cli("-X", "tag", "SET", "from-input", "tag", "EX", "100", given=b"tagged") + cli("GET", "from-input"))
    parts.append(cli("-r", "3", "-i", "0.01", "INCR", "repeated"))
    parts.append(cli(given=b"SELECT 1\nSET a 1\nDBSIZE\nMULTI\nINCR a\nEXEC\nFLUSHDB\n"))
    return "\n".join(parts)


def scripts(cli: Cli) -> str:
    path = cli.server.folder / "script.lua"
    path.write_text(SCRIPT)
    said = cli("--eval", str(path), "number", ",", "argument")
    path.write_text("return redis.call('GET')")
    return said + re.sub(r"[0-9a-f]{40}", "#", cli("--eval", str(path)))


def watching(cli: Cli) -> str:
    """MONITOR, SUBSCRIBE and the stream of a replica show what another connection does."""
    def act() -> None:
        cli("SET", "seen", "by all")
        cli("PUBLISH", "news", "the end")

    monitor = cli.watch("MONITOR", until="the end", act=act, begun="OK")
    news = cli.watch("SUBSCRIBE", "news", until="the end", act=act, begun="1")
    said = cli.watch("--replica", until="by all", act=act, begun="SYNC done")
    stream = "\n".join(line for line in said.splitlines() if '"seen"' in line)
    if not stream:
        raise servers.NotStarted(f"--replica of {cli.server.name} shows nothing:\n{said}\n{cli.server.log_tail()}")
    return re.sub(r"[\d.]{4,}(:\d+)?", "#", monitor + news) + stream


TOOLS = {"--pipe": pipe, "--bigkeys": lambda cli: keys(cli, "--bigkeys"), "--memkeys": memory_keys, "--hotkeys": hot_keys,
         "--hotkeys without LFU": refused_hot_keys, "--scan": scan, "--rdb": dumps, "--latency": latency, "--stat": stat,
         "formats": formats, "--eval": scripts, "MONITOR, SUBSCRIBE, --replica": watching}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only", help="the tool of this name")
    parser.add_argument("--show", action="store_true", help="print what is compared")
    arguments = parser.parse_args()
    found = peers.binaries()
    kinds = {"lockstep": Path(arguments.binary).resolve(), "redis": found["redis"]}
    running = []
    passed, failed = 0, 0
    try:
        for name, binary in kinds.items():
            server = servers.start(name, binary, ["--repl-diskless-sync-delay", "0"])
            running.append(server)
            fill(Cli(found["redis-cli"], server))
        for tool, run in TOOLS.items():
            if arguments.only not in (None, tool):
                continue
            ours, theirs = (mask(run(Cli(found["redis-cli"], server)), server) for server in running)
            if arguments.show:
                print(f"--- {tool}\n{ours}")
            if ours == theirs and ours.strip():
                passed += 1
            else:
                failed += 1
                print(f"FAILED {tool}\n--- lockstep\n{ours:.3000}\n--- redis\n{theirs:.3000}")
    finally:
        for server in running:
            server.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def mask(said: str, server: servers.Server) -> str:
    return said.replace(str(server.port), "PORT").replace(str(server.folder), "FOLDER")


if __name__ == "__main__":
    sys.exit(main())
