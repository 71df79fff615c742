"""Reading golden command scripts. The format is documented in README.md; this is its only parser.

A file is a list of cases separated by blank lines; a case is a list of steps. Quoting is redis-cli's. What is
annotated on a line (`~mask`) is always unquoted and last, so that an argument that begins with `~` is written in
quotes.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

DIRECTIVES = {"sleep", "repeat", "raw", "send", "read", "scan", "let", "close", "closed"}
TAGS = {"!valkey", "!resp2", "!resp3"}
SUBSTITUTION = re.compile(r"\{([^{}]+)\}")


class BadScript(Exception):
    """A script line that does not parse; the text carries file and line."""


@dataclass(frozen=True)
class Token:
    """An argument before substitution. Only unquoted text is looked at for `{…}` and `$name`."""

    data: bytes
    quoted: bool


@dataclass
class Step:
    """One line: what to do on which connection, and how its reply may differ."""

    line: int
    source: str
    connection: int
    verb: str  # "command" or one of DIRECTIVES
    tokens: list[Token]
    masks: list[str]
    count: int = 1  # repeat, sleep (milliseconds), read
    name: str = ""  # let
    pattern: str = ""  # let

    def command_name(self) -> str:
        return self.tokens[0].data.decode("latin-1").upper() if self.tokens else ""

    def arguments(self, variables: dict[str, bytes], index: int = 1) -> list[bytes]:
        return [expand(token, variables, index) for token in self.tokens]


@dataclass
class Case:
    """A title and its steps, run on fresh connections after FLUSHALL."""

    script: str
    line: int
    title: str
    tags: set[str] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)

    @property
    def valkey_only(self) -> bool:
        return "!valkey" in self.tags

    def protocols(self) -> list[int]:
        return [p for p in (2, 3) if not ({"!resp2", "!resp3"} & self.tags) or f"!resp{p}" in self.tags]


def split(line: str) -> list[Token]:
    """redis-cli's quoting: "…" with \\xHH \\n \\r \\t \\b \\a, '…' with \\', words otherwise."""
    data, tokens, i = line.encode("utf-8"), [], 0
    while True:
        while i < len(data) and data[i : i + 1].isspace():
            i += 1
        if i >= len(data):
            return tokens
        word, quoted = bytearray(), False
        while i < len(data) and not data[i : i + 1].isspace():
            c = data[i : i + 1]
            if c in (b'"', b"'"):
                quoted = True
                i = _quoted(data, i + 1, c, word)
            else:
                word += c
                i += 1
        tokens.append(Token(bytes(word), quoted))


def _quoted(data: bytes, i: int, quote: bytes, word: bytearray) -> int:
    named = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
    while i < len(data):
        c = data[i : i + 1]
        if c == quote:
            return i + 1
        if c == b"\\" and i + 1 < len(data):
            nxt = data[i + 1 : i + 2]
            if quote == b'"' and nxt == b"x" and re.fullmatch(rb"[0-9a-fA-F]{2}", data[i + 2 : i + 4]):
                word.append(int(data[i + 2 : i + 4], 16))
                i += 4
                continue
            if quote == b'"':
                word += named.get(nxt, nxt)
                i += 2
                continue
            if nxt == b"'":
                word += b"'"
                i += 2
                continue
        word += c
        i += 1
    raise ValueError("unbalanced quotes")


def expand(token: Token, variables: dict[str, bytes], index: int) -> bytes:
    """`{i}` the round of a repeat, `{text*N}` repetition, `{unix+N}` and `{ms+N}` times, `$name` what `let` kept."""
    if token.quoted:
        return token.data
    text = token.data.decode("latin-1")
    if text.startswith("$") and text[1:] in variables:
        return variables[text[1:]]

    def replace(match: re.Match) -> str:
        inner = match.group(1)
        if inner == "i":
            return str(index)
        if repeated := re.fullmatch(r"(.+)\*(\d+)", inner):
            return repeated.group(1) * int(repeated.group(2))
        if moment := re.fullmatch(r"(unix|ms)([+-]\d+)", inner):
            now = time.time() * (1000 if moment.group(1) == "ms" else 1)
            return str(int(now) + int(moment.group(2)))
        return match.group(0)

    return SUBSTITUTION.sub(replace, text).encode("latin-1")


def load(path: Path, root: Path) -> list[Case]:
    """Every case of one file. Raises `BadScript`."""
    name = str(path.relative_to(root).with_suffix(""))
    cases: list[Case] = []
    case: Case | None = None
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.strip()
        if not line:
            case = None
            continue
        if case is None:
            case = Case(name, number, "")
            cases.append(case)
        if line.startswith("#"):
            _comment(line, case)
            continue
        try:
            case.steps.append(_step(number, line))
        except (ValueError, IndexError) as error:
            raise BadScript(f"{path}:{number}: {error}: {line}") from None
    return [case for case in cases if case.steps]


def _comment(line: str, case: Case) -> None:
    words = line.lstrip("# ").split()
    if not case.steps and not case.title:
        case.tags |= TAGS.intersection(words)
        case.title = " ".join(word for word in words if word not in TAGS)


def _step(number: int, line: str) -> Step:
    tokens = split(line)
    connection = 1
    if not tokens[0].quoted and re.fullmatch(rb"@\d", tokens[0].data):
        connection = int(tokens.pop(0).data[1:])
    masks = []
    while tokens and not tokens[-1].quoted and tokens[-1].data.startswith(b"~"):
        masks.insert(0, tokens.pop().data[1:].decode())
    step = Step(number, line, connection, "command", tokens, masks)
    verb = tokens[0].data.decode("latin-1")
    if verb.partition(":")[0] not in DIRECTIVES or tokens[0].quoted:
        return step
    step.verb, _, step.pattern = verb.partition(":")
    tokens.pop(0)
    if step.verb in ("repeat", "sleep"):
        step.count = int(tokens.pop(0).data)
    elif step.verb == "read" and tokens:
        step.count = int(tokens.pop(0).data)
    elif step.verb == "let":
        step.name = tokens.pop(0).data.decode()
    elif step.verb == "scan" and b"0" not in [token.data for token in tokens]:
        raise ValueError("scan needs a command with the cursor 0")
    return step
