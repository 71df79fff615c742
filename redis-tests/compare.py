"""When two replies count as the same, and the one file that lists every permitted difference.

Replies are compared exactly: type byte, bytes, order. A script line may relax that with masks, because the value
is random, a time, or an order nobody promises; each mask says how and is listed in `MASKS`. A mask is about the
nature of a reply. A difference between two *servers* is something else: it needs an entry with a reason in
`differences.toml`, and an entry that no longer matches anything fails a full run.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from resp import Reply

MASKS = {
    "any": "only the type of the reply counts",
    "near": "~near or ~near:N: integers may differ by N (default 1), everything else exactly",
    "unordered": "elements of every array, set and map in any order",
    "pairs": "a flat array of pairs (RESP2's map) in any order of pairs; maps too",
    "shape": "types and lengths of everything, no values",
    "types": "the set of element types, no lengths",
    "digits": "every run of digits in text counts as one digit",
    "fields": "for `a=1 b=2` or `a:1` text: the same field names in the same order",
    "has": "~has:a,b: the text has at least these fields, on both sides",
    "values": "~values:a,b: of these keys of a map only the type of the value counts",
    "without": "~without:a,b: these keys of a map, at any depth, are left out",
    "code": "errors: only the first word",
}


class Difference(Exception):
    """Two replies that differ; never raised across servers that have an entry in differences.toml."""


def check_mask(mask: str) -> None:
    """Raises ValueError for a mask nobody knows."""
    if mask.partition(":")[0] not in MASKS:
        raise ValueError(f"unknown mask ~{mask}")


def same(expected: Reply, got: Reply, masks: list[str]) -> bool:
    """Whether `got` is what `expected` says, as far as the masks ask."""
    tolerance = None
    for mask in masks:
        name, _, argument = mask.partition(":")
        if name == "near":
            tolerance = int(argument or 1)
        elif name == "has":
            wanted = set(argument.split(","))
            return expected.kind == got.kind and wanted <= set(_fields(got)) and wanted <= set(_fields(expected))
        else:
            expected, got = _mask(name, argument, expected), _mask(name, argument, got)
    return expected == got if tolerance is None else _near(expected, got, tolerance)


def _near(expected: Reply, got: Reply, tolerance: int) -> bool:
    if expected.kind != got.kind or (expected.items is None) != (got.items is None):
        return False
    if expected.items is not None:
        pairs = zip(expected.items, got.items)
        return len(expected.items) == len(got.items) and all(_near(e, g, tolerance) for e, g in pairs)
    if expected.text is not None and got.text is not None:
        numbers = [re.fullmatch(rb"-?\d+", r.text) for r in (expected, got)]
        if all(numbers):
            a, b = int(expected.text), int(got.text)
            # -1 and -2 are answers of their own, not times.
            return a == b if min(a, b) < 0 else abs(a - b) <= tolerance
    return expected == got


def _mask(name: str, argument: str, reply: Reply) -> Reply:
    if name == "any":
        return Reply(reply.kind, None if reply.is_null else b"")
    if name == "code":
        return Reply(reply.kind, reply.text.split(b" ")[0]) if reply.kind in "-!" and reply.text else reply
    if name == "fields":
        return Reply(reply.kind, b",".join(f.encode() for f in _fields(reply)))
    if name == "digits":
        return _each(reply, lambda r: Reply(r.kind, r.text and re.sub(rb"\d+", b"0", r.text)))
    if name == "small":
        return Reply(reply.kind, b"skiplist") if reply.text == b"listpack" else reply
    if name == "shape":
        return _each(reply, lambda r: r if r.is_null else Reply(r.kind, b""))
    if name == "types":
        kinds = sorted({item.kind for item in reply.items or ()})
        return Reply(reply.kind, None, tuple(Reply(kind, b"") for kind in kinds))
    if name == "unordered":
        return _sorted(reply)
    if name == "pairs":
        return _sorted_pairs(reply)
    keys = {key.encode() for key in argument.split(",")}
    if name == "values":
        return _map_values(reply, keys)
    if name == "without":
        return _without(reply, keys)
    raise ValueError(f"unknown mask ~{name}")


def _each(reply: Reply, change) -> Reply:
    if reply.items is None:
        return change(reply)
    return Reply(reply.kind, None, tuple(_each(item, change) for item in reply.items))


def _key(reply: Reply):
    return (reply.kind, reply.text or b"", tuple(_key(item) for item in reply.items or ()))


def _sorted(reply: Reply) -> Reply:
    if reply.items is None:
        return reply
    if reply.kind in "%|":
        return _sorted_pairs(reply)
    return Reply(reply.kind, None, tuple(sorted((_sorted(item) for item in reply.items), key=_key)))


def _sorted_pairs(reply: Reply) -> Reply:
    if reply.items and reply.kind == "*" and all(item.items is not None for item in reply.items):
        return _sorted(reply)  # RESP3 sends some lists of pairs as an array of arrays
    if reply.items is None or len(reply.items) % 2:
        return reply
    items = [_sorted(item) for item in reply.items]
    pairs = sorted(zip(items[::2], items[1::2]), key=lambda pair: (_key(pair[0]), _key(pair[1])))
    return Reply(reply.kind, None, tuple(item for pair in pairs for item in pair))


def _is_map(reply: Reply) -> bool:
    """RESP3's maps, and RESP2's flat arrays that look like one."""
    if not reply.items or len(reply.items) % 2:
        return False
    return reply.kind in "%|" or (reply.kind == "*" and all(key.items is None for key in reply.items[::2]))


def _map_values(reply: Reply, keys: set[bytes]) -> Reply:
    if not _is_map(reply):
        return reply
    items = []
    for key, value in zip(reply.items[::2], reply.items[1::2]):
        items += [key, Reply(value.kind, b"") if key.text in keys else value]
    return Reply(reply.kind, None, tuple(items))


def _without(reply: Reply, keys: set[bytes]) -> Reply:
    if reply.items is None:
        return reply
    items = [_without(item, keys) for item in reply.items]
    if _is_map(reply):
        items = [part for k, v in zip(items[::2], items[1::2]) if k.text not in keys for part in (k, v)]
    return Reply(reply.kind, None, tuple(items))


def _fields(reply: Reply) -> list[str]:
    """The field names of INFO's and CLIENT INFO's text, in order."""
    text = (reply.text or b"").decode("latin-1")
    text = text[4:] if reply.kind == "=" else text
    names = []
    for line in text.splitlines():
        if line.startswith("#"):
            names.append(line)
        elif re.match(r"[^\s:=]+:", line):
            names.append(line.split(":", 1)[0])
        else:
            names += [word.split("=", 1)[0] for word in line.split() if "=" in word]
    return names


@dataclass
class Entry:
    """One `[[difference]]`: between whom, where, and why it is right."""

    between: str
    script: str
    command: str
    reply: str
    reason: str
    used: int = 0


class Differences:
    """The permitted differences between servers, from differences.toml."""

    def __init__(self, path: Path):
        with open(path, "rb") as file:
            document = tomllib.load(file)
        self.entries = [
            Entry(e["between"], e.get("script", "*"), e.get("command", "*"), e.get("reply", "*"), e["reason"])
            for e in document.get("difference", [])
        ]
        self.unscripted = {name: reason for name, reason in document.get("unscripted", {}).items()}
        self.missing = {name: reason for name, reason in document.get("missing", {}).items()}
        for entry in self.entries:
            if entry.between not in ("redis-valkey", "redis-lockstep", "valkey-lockstep"):
                raise ValueError(f"{path}: between = {entry.between!r}")
            if not entry.reason.strip():
                raise ValueError(f"{path}: a difference without a reason: {entry}")

    def permitted(self, between: str, script: str, command: str, got: Reply) -> Entry | None:
        """The entry under which `got` may differ here. All matching entries count as used."""
        hit = None
        for entry in self.entries:
            if (entry.between == between and fnmatch.fnmatchcase(script, entry.script)
                    and _matches(entry.command, command) and _matches(entry.reply, got.show())):
                entry.used += 1
                hit = entry
        return hit


def _matches(glob: str, text: str) -> bool:
    """Only `*` is special: commands and replies are full of brackets and question marks."""
    return re.fullmatch(".*".join(re.escape(part) for part in glob.split("*")), text, re.S) is not None
