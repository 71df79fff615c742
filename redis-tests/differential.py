"""The runner: every case, step by step, on the server under test and on the server that tells the truth.

Redis 8.2 is the truth; a case tagged `!valkey` is about something only Valkey has and is compared with Valkey.
The two servers of a case advance together, line by line: a line is sent to both before either reply is read, so
that sleeps are shared and clocks agree. Each case runs over RESP2 and again over RESP3, on fresh connections.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
import time
from pathlib import Path

import command_table
import peers
import random_commands
import servers
from compare import Differences, check_mask, same
from resp import CLOSED, SILENT, Connection, Malformed, Reply, encode
from script import BadScript, Case, Step, load

ROOT = Path(__file__).resolve().parent
QUIET_S = 0.04  # how long the truth must be silent before a raw exchange counts as over
RANDOM_SEED, RANDOM_COUNT = 20261123, 3000
RANDOM_FAMILIES = {"random", "table", "encodings", "waiting"}


class Side:
    """One server during one case: its connections and what `let` kept."""

    def __init__(self, server: servers.Server, protocol: int):
        self.server, self.protocol = server, protocol
        self.connections: dict[int, Connection] = {}
        self.variables: dict[str, bytes] = {}

    def connection(self, number: int) -> Connection:
        if number not in self.connections:
            connection = self.server.connect()
            if self.protocol == 3:
                hello = connection.call("HELLO", "3")
                if hello.kind != "%":
                    raise Malformed(f"HELLO 3 answered {hello.show()}")
            self.connections[number] = connection
        return self.connections[number]

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()


class Failure(Exception):
    """A step whose replies differ, with the story to print."""

    def __init__(self, step: Step, command: str, expected: str, got: str):
        super().__init__(step.source)
        self.step, self.command, self.expected, self.got = step, command, expected, got

    def story(self, case: Case, protocol: int, truth: str, tested: str) -> str:
        lines = [f"\nFAILED {case.script}.script:{self.step.line} over RESP{protocol}: {case.title or 'untitled'}",
                 f"  script   {self.step.source}"]
        if self.command != self.step.source:
            lines.append(f"  sent     {self.command}")
        expected, got = excerpts(self.expected, self.got)
        lines += [f"  expected {expected}   ({truth})", f"  got      {got}   ({tested})"]
        return "\n".join(lines)


def excerpts(expected: str, got: str, before: int = 120, after: int = 240) -> tuple[str, str]:
    """Both texts around the place where they part, when they are too long to read whole."""
    if max(len(expected), len(got)) <= before + after:
        return expected, got
    same_length = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
    start = max(same_length - before, 0)
    cut = lambda text: ("…" if start else "") + text[start : same_length + after] + ("…" if len(text) > same_length + after else "")
    return cut(expected), cut(got)


class Runner:
    """Runs cases on a pair of servers. `truth` gives the expected replies, `tested` is judged."""

    def __init__(self, differences: Differences, every_step: bool = False):
        self.differences = differences
        self.every_step = every_step
        self.passed = 0
        self.failed = 0
        self.seen: set[str] = set()

    def run(self, case: Case, protocol: int, truth: servers.Server, tested: servers.Server) -> None:
        """One case over one protocol; a failure is printed, never raised."""
        sides = [Side(truth, protocol), Side(tested, protocol)]
        try:
            self._prepare(case, sides)
            agreed = True
            for step in case.steps:
                try:
                    self._step(case, step, sides)
                except Failure as failure:
                    agreed = False
                    print(failure.story(case, protocol, truth.name, tested.name))
                    if not self.every_step:
                        break
            self.passed += agreed
            self.failed += not agreed
        except (Malformed, OSError) as error:
            self.failed += 1
            print(f"\nFAILED {case.script}.script:{case.line} over RESP{protocol}: {case.title}\n  {error}")
        finally:
            for side in sides:
                side.close()
            for server in (truth, tested):
                if not _answers(server):
                    print(f"\nFAILED {case.script}.script:{case.line}: {server.name} died or hung\n{server.log_tail()}")
                    self.failed += 1
                    server.restart()
                _restore(server)

    def _prepare(self, case: Case, sides: list[Side]) -> None:
        touched = {
            token.data.decode().lower()
            for step in case.steps
            if step.command_name() == "CONFIG" and len(step.tokens) > 2 and step.tokens[1].data.upper() == b"SET"
            for token in step.tokens[2::2]
        }
        for side in sides:
            control = _control(side.server)
            control.call("FLUSHALL")
            side.server.touched = [(name, control.call("CONFIG", "GET", name)) for name in sorted(touched)]

    def _step(self, case: Case, step: Step, sides: list[Side]) -> None:
        if step.verb == "sleep":
            time.sleep(step.count / 1000)
        elif step.verb == "close":
            for side in sides:
                side.connection(step.connection).close()
                del side.connections[step.connection]
        elif step.verb == "raw":
            self._raw(case, step, sides)
        elif step.verb in ("read", "closed"):
            wait_s = 1.0 if step.verb == "read" else 2.0
            for _ in range(step.count):
                replies = [side.connection(step.connection).message(wait_s) for side in sides]
                self._judge(case, step, step.source, replies)
        elif step.verb == "scan":
            self._judge(case, step, step.source, [_scan(side, step) for side in sides])
        else:
            self._command(case, step, sides)

    def _command(self, case: Case, step: Step, sides: list[Side]) -> None:
        self.seen.add(step.command_name())
        if len(step.tokens) > 1:
            self.seen.add(step.command_name() + "|" + step.tokens[1].data.decode("latin-1").upper())
        for index in range(1, step.count + 1):
            for side in sides:
                arguments = step.arguments(side.variables, index)
                side.connection(step.connection).send(encode(arguments))
        if step.verb == "send":
            return
        for index in range(1, step.count + 1):
            replies = [side.connection(step.connection).reply() for side in sides]
            shown = step.source if step.count == 1 else f"{step.source}   (round {index})"
            self._judge(case, step, shown, replies)
            if step.verb == "let":
                for side, reply in zip(sides, replies):
                    side.variables[step.name] = _picked(step, reply)

    def _raw(self, case: Case, step: Step, sides: list[Side]) -> None:
        """Bytes as they are. The truth decides how many replies there are and whether the connection closes."""
        for side in sides:
            side.connection(step.connection).send(b"".join(step.arguments(side.variables)))
        truth, tested = (side.connection(step.connection) for side in sides)
        while True:
            expected = truth.message(QUIET_S)
            if expected == SILENT:
                got = tested.message(0.002)
                self._judge(case, step, step.source, [expected, got])
                return
            self._judge(case, step, step.source, [expected, tested.message(2.0)])
            if expected == CLOSED:
                return

    def _judge(self, case: Case, step: Step, shown: str, replies: list[Reply]) -> None:
        expected, got = replies
        if same(expected, got, step.masks):
            return
        command = " ".join(t.data.decode("latin-1") for t in step.tokens)
        if self.differences.permitted(self.between(case), case.script, command, got):
            return
        raise Failure(step, shown, expected.show(), got.show())

    def between(self, case: Case) -> str:
        return "valkey-lockstep" if case.valkey_only else "redis-lockstep"


class OracleRunner(Runner):
    """Redis against Valkey: every difference must be listed, so that nobody takes one server's habit for the rule."""

    def between(self, case: Case) -> str:
        return "redis-valkey"

    def run(self, case: Case, protocol: int, truth: servers.Server, tested: servers.Server) -> None:
        """A case tagged !valkey must differ from Redis: a tag that is not needed hides differences."""
        if not case.valkey_only:
            return super().run(case, protocol, truth, tested)
        passed, failed = self.passed, self.failed
        with contextlib.redirect_stdout(io.StringIO()):
            super().run(case, protocol, truth, tested)
        self.passed, self.failed = passed + (self.failed > failed), failed + (self.passed > passed)
        if self.failed > failed:
            print(f"\nFAILED {case.script}.script:{case.line}: tagged !valkey, and yet Redis answers the same")


class ShowRunner(Runner):
    """Two Redis side by side, printing what they answer: for reading, and to see that a script is deterministic."""

    def run(self, case: Case, protocol: int, truth: servers.Server, tested: servers.Server) -> None:
        print(f"\n# {case.title}   [{case.script}:{case.line}, RESP{protocol}, {truth.name}]")
        super().run(case, protocol, truth, tested)

    def _judge(self, case: Case, step: Step, shown: str, replies: list[Reply]) -> None:
        if replies[0] != SILENT and (step.count == 1 or shown.endswith(("(round 1)", f"(round {step.count})"))):
            print(f"{shown:<50} {replies[0].show()[:600]}")
        super()._judge(case, step, shown, replies)


def _picked(step: Step, reply: Reply) -> bytes:
    text = reply.text or (reply.items[0].text if reply.items else None) or b""
    if not step.pattern:
        return text
    found = re.search(step.pattern.encode(), text)
    return (found.group(1) if found.groups() else found.group(0)) if found else b""


def _scan(side: Side, step: Step) -> Reply:
    """A whole SCAN or HSCAN: the first argument `0` is the cursor. Gives what was seen, without duplicates, sorted.

    `scan:disturbed` makes the table grow and shrink between pages, by keys whose names begin with `noise:`.
    """
    arguments = step.arguments(side.variables)
    place = arguments.index(b"0")
    pairs = arguments[0].upper() == b"HSCAN" and b"NOVALUES" not in [a.upper() for a in arguments]
    connection = side.connection(step.connection)
    seen: set[tuple[bytes, ...]] = set()
    for page in range(100_000):
        if step.pattern == "disturbed":
            _disturb(side, page)
        connection.send(encode(arguments))
        reply = connection.reply()
        if reply.items is None or len(reply.items) != 2 or reply.items[1].items is None:
            return reply
        elements = [item.text for item in reply.items[1].items]
        seen.update(zip(elements[::2], elements[1::2]) if pairs else ((e,) for e in elements))
        arguments[place] = reply.items[0].text
        if reply.items[0].text == b"0":
            rows = [Reply("*", None, tuple(Reply("$", part) for part in row)) for row in sorted(seen)]
            return Reply(reply.kind, None, tuple(rows))
    return SILENT


def _disturb(side: Side, page: int) -> None:
    """Add 100 keys before each page, and take them all away before every eighth."""
    names = [f"noise:{i}" for i in range(page // 8 * 800, page * 100 + 100)]
    words = ["DEL", *names] if page % 8 == 7 else ["MSET", *(word for name in names[-100:] for word in (name, ""))]
    _control(side.server).call(*words)


def _control(server: servers.Server) -> Connection:
    """A connection of the run's own, for FLUSHALL and for putting configuration back."""
    control = server.control
    if control is None or control.gone:
        control = server.control = server.connect(10.0)
    return control


def _answers(server: servers.Server) -> bool:
    """Whether the server still talks to us; a control connection that a case got closed is made anew."""
    if not server.alive():
        return False
    try:
        return any(_control(server).call("PING").text == b"PONG" for _ in range(2))
    except OSError:
        return False


def _restore(server: servers.Server) -> None:
    control = _control(server)
    for name, reply in server.touched:
        if reply.items and len(reply.items) == 2:
            control.call("CONFIG", "SET", name, reply.items[1].text)
    server.touched = []
    control.call("CLIENT", "UNPAUSE")


def uncovered(runner: Runner, tested: servers.Server, differences: Differences) -> list[str]:
    """Commands the tested server has and no script calls."""
    reply = _control(tested).call("COMMAND", "LIST")
    names = [item.text.decode().upper() for item in reply.items or ()]
    excused = {name.upper() for name in differences.unscripted}
    return sorted(n for n in names if n not in runner.seen and n not in excused and n.split("|")[0] not in excused)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--binary", help="lockstep-server to start")
    what.add_argument("--server", metavar="HOST:PORT", help="a running server to test; it is flushed")
    what.add_argument("--show", action="store_true", help="print Redis's replies to the scripts; with --only and --resp")
    what.add_argument("--oracle-only", action="store_true", help="compare Redis with Valkey")
    parser.add_argument("--only", action="append", default=[], metavar="FAMILY[/NAME]", help="may be given several times")
    parser.add_argument("--resp", type=int, choices=(2, 3), help="only this protocol")
    parser.add_argument("--seed", type=int, default=RANDOM_SEED, help="of the random sequence")
    parser.add_argument("--random", type=int, default=RANDOM_COUNT, metavar="COUNT", help="random commands to run, 0 for none")
    parser.add_argument("--option", action="append", default=[], help="further option for --binary, as in --option=--workers --option=2")
    parser.add_argument("--fail-fast", action="store_true", help="stop after the first case that fails")
    parser.add_argument("--every-step", action="store_true", help="go on in a case after a difference, to see them all")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    started = time.monotonic()
    running: list[servers.Server] = []
    try:
        cases = load_cases(options.only)
        differences = Differences(ROOT / "differences.toml")
        found = peers.install()
        redis = servers.start("redis", found["redis"])
        running.append(redis)
        valkey = servers.start("valkey", found["valkey"])
        running.append(valkey)
        if options.oracle_only:
            tested = valkey
        elif options.show:
            options.random = 0
            tested = servers.start("redis", found["redis"])
            running.append(tested)
        elif options.binary:
            tested = servers.start("lockstep", Path(options.binary).absolute(), options.option)
            running.append(tested)
        else:
            host, _, port = options.server.rpartition(":")
            tested = servers.Server("lockstep", host or "127.0.0.1", int(port))
        return run_all(options, cases, differences, running, tested, started)
    except (peers.Missing, servers.NotStarted, BadScript, ValueError, OSError) as error:
        print(f"redis-tests: {error}\n0 passed, 1 failed")
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        for server in running:
            server.stop()


def load_cases(only: list[str]) -> list[Case]:
    """All cases of the chosen scripts, checked before any server starts."""
    root = ROOT / "scripts"
    cases = [case for path in sorted(root.rglob("*.script")) for case in load(path, root)]
    for case in cases:
        for step in case.steps:
            for mask in step.masks:
                try:
                    check_mask(mask)
                except ValueError as error:
                    raise BadScript(f"{case.script}.script:{step.line}: {error}") from None
    if only:
        cases = [c for c in cases if any(c.script == o or c.script.startswith(o.rstrip("/") + "/") for o in only)]
        if not cases and not RANDOM_FAMILIES & set(only):
            raise BadScript(f"no script matches {' '.join(only)}")
    return cases


def run_all(options, cases, differences, running, tested, started) -> int:
    redis, valkey = running[:2]
    kind = OracleRunner if options.oracle_only else ShowRunner if options.show else Runner
    runner = kind(differences, options.every_step)
    for case in cases:
        for protocol in case.protocols():
            if options.resp in (None, protocol) and not (options.show and case.valkey_only):
                truth = valkey if case.valkey_only and not options.oracle_only else redis
                runner.run(case, protocol, truth, tested)
        if runner.failed and options.fail_fast:
            break
    whole = not options.only and options.resp is None and not options.show
    if whole and not options.oracle_only:
        for name in uncovered(runner, tested, differences):
            runner.failed += 1
            print(f"\nFAILED no script calls {name}: write one, or give the reason in differences.toml [unscripted]")
    if not options.oracle_only and not options.show and (whole or "table" in options.only):
        stories = command_table.compare([redis, valkey], tested, differences)
        print(*stories, sep="\n", end="\n" if stories else "")
        runner.passed += not stories
        runner.failed += len(stories)
    families = [family for family in sorted(RANDOM_FAMILIES) if whole or family in options.only]
    if options.random and families:
        if options.oracle_only:  # a second Redis: the sequence must not depend on what may vary between two of the same
            tested = servers.start("redis", peers.binaries()["redis"])
            running.append(tested)
        for family in families:
            for protocol in (2, 3):
                story = random_commands.run(redis, tested, options.seed, options.random, protocol, differences, family)
                runner.passed += story is None
                if story is not None:
                    runner.failed += 1
                    print(story)
    if whole:
        judged = {"redis-valkey"} if options.oracle_only else {"redis-lockstep", "valkey-lockstep"}
        for entry in differences.entries:
            if entry.between in judged and not entry.used:
                runner.failed += 1
                print(f"\nFAILED differences.toml: nothing differs any more at script={entry.script!r} command={entry.command!r}")
    print(f"\n{len(cases)} cases in {time.monotonic() - started:.1f} s")
    print(f"{runner.passed} passed, {runner.failed} failed")
    return 1 if runner.failed else 0
