"""The command table: compared as a whole with the real servers', and a source of random calls for every family.

`compare` holds what `COMMAND` and `COMMAND DOCS` say of each command against Redis, or against Valkey for what only it
has; our prose is our own. It also names the commands that a real server has and the tested one lacks, unless
`[missing]` in differences.toml gives the reason.

`sequence` makes up calls from the argument trees of `COMMAND DOCS`, so that a family is tested at random from the
moment it is in the table. What a reply promises follows from the command's tips: `nondeterministic_output_order` is
compared without order, `nondeterministic_output` by type alone.
"""

from __future__ import annotations

import fnmatch
import random

from resp import Connection, Reply

PROSE = {b"summary", b"complexity", b"history", b"notes", b"replaced_by"}
SETS = {b"flags", b"doc_flags"}
GROUPS = {"bitmap", "generic", "geo", "hash", "hyperloglog", "list", "set", "sorted-set", "stream", "string"}
# What cannot be compared when called at random: waits for other nodes, chooses by chance and changes data (SPOP), or
# shows how a server tests itself.
NOT_AT_RANDOM = {"wait", "waitaof", "migrate", "restore-asking", "spop", "pfdebug", "pfselftest",
                 "object|help", "xinfo|help", "xgroup|help"}
MASKS = {"ttl": ["near:2"], "pttl": ["near:2000"], "expiretime": ["near:2"], "pexpiretime": ["near:2000"],
         "httl": ["near:2"], "hpttl": ["near:2000"], "hexpiretime": ["near:2"], "hpexpiretime": ["near:2000"],
         "xinfo|stream": ["without:seen-time,active-time,idle,inactive", "near:100"],
         "xinfo|consumers": ["without:seen-time,active-time,idle,inactive"],
         "hgetall": ["pairs"], "xadd": [], "xtrim": [], "sort": [], "sort_ro": [], "zadd": []}
WRITES_AT_RANDOM = 0.7
KEYS_AT_RANDOM = 0.05  # how often it is asked where the keys of a call are


class Table:
    """What a server says of its commands, subcommands among them under their full names."""

    def __init__(self, connection: Connection):
        connection.call("HELLO", "3")
        self.info: dict[str, Reply] = {}
        self.docs: dict[str, Reply] = {}
        for command in connection.call("COMMAND").items:
            self._add_info(command)
        self._add_docs(connection.call("COMMAND", "DOCS"))

    def _add_info(self, command: Reply) -> None:
        self.info[command.items[0].text.decode()] = command
        for sub in command.items[9].items or ():
            self._add_info(sub)

    def _add_docs(self, docs: Reply) -> None:
        for name, doc in zip(docs.items[::2], docs.items[1::2]):
            self.docs[name.text.decode()] = doc
            subcommands = entry(doc, "subcommands")
            if subcommands:
                self._add_docs(subcommands)

    def tips(self, name: str) -> set[bytes]:
        return {tip.text for tip in self.info[name].items[7].items}

    def flags(self, name: str) -> set[bytes]:
        return {flag.text for flag in self.info[name].items[2].items}


def entry(map_reply: Reply, key: str) -> Reply | None:
    """The value of a key of a map."""
    items = map_reply.items or ()
    return next((v for k, v in zip(items[::2], items[1::2]) if k.text == key.encode()), None)


def plain(reply: Reply):
    """A reply as a value to compare: maps and flags without order, prose left out."""
    if reply.items is None:
        return reply.kind, reply.text
    if reply.kind == "%":
        pairs = zip(reply.items[::2], reply.items[1::2])
        return {k.text: _unordered(v) if k.text in SETS else plain(v) for k, v in pairs if k.text not in PROSE}
    if reply.kind == "~":
        return _unordered(reply)
    return [plain(item) for item in reply.items]


def _unordered(reply: Reply):
    return sorted(repr(plain(item)) for item in reply.items or ())


def compare(truths: list, tested, differences) -> list[str]:
    """The stories of all differences; `truths` are Redis and Valkey, the first that has a command is right about it."""
    tables = [Table(server.connect()) for server in truths]
    ours = Table(tested.connect())
    stories = []
    for name in sorted(set().union(*(table.info for table in tables))):
        truth, server = next((t, s) for t, s in zip(tables, truths) if name in t.info)
        if name not in ours.info:
            if not any(fnmatch.fnmatchcase(name.lower(), glob) for glob in differences.missing):
                stories.append(f"\nFAILED {server.name} has the command {name}, {tested.name} has not")
            continue
        between = f"{server.name}-{tested.name}"
        info = [[plain(item) for item in table.info[name].items[:9]] for table in (truth, ours)]
        # Without subcommands some servers write an array and some a set.
        docs = [plain(Reply("%", None, without_subcommands(table.docs[name]))) for table in (truth, ours)]
        for what, (expected, got) in (("COMMAND INFO", info), ("COMMAND DOCS", docs)):
            if expected != got:
                seen = ours.info[name] if what == "COMMAND INFO" else ours.docs[name]
                if differences.permitted(between, "table", f"{what} {name}", seen) is None:
                    stories.append(f"\nFAILED {what} {name}\n  " + "\n  ".join(parts(expected, got)))
    return stories


def parts(expected, got) -> list[str]:
    """What differs of two values, one line a part."""
    if isinstance(expected, dict):
        keys = sorted(expected.keys() | got.keys())
        return [f"{k.decode()}: {expected.get(k)} and not {got.get(k)}" for k in keys if expected.get(k) != got.get(k)]
    return [f"field {i}: {e} and not {g}" for i, (e, g) in enumerate(zip(expected, got)) if e != g]


def without_subcommands(doc: Reply) -> tuple[Reply, ...]:
    pairs = zip(doc.items[::2], doc.items[1::2])
    return tuple(part for k, v in pairs if k.text != b"subcommands" for part in (k, v))


# ---- calls at random -------------------------------------------------------------------------------------

NUMBERS = ["0", "1", "2", "10", "-1", "100", "9223372036854775807"]
VALUES = {
    "field": ["f0", "f1", "f2", "f3", "f4"],
    "member": ["m0", "m1", "m2", "m3", "m4", "m5"],
    "element": ["e0", "e1", "e2", "e3", "1", "-7", "10", ""],
    "pivot": ["e0", "e1", "1"],
    "db": ["0", "1"],
    "destination-db": ["0", "1"],
    "cursor": ["0"],
    "count": ["1", "2", "10", "1000"],
    "limit": ["0", "1", "2", "100"],
    "seconds": ["1000", "100000", "0", "-1"],
    "milliseconds": ["1000000", "100000000", "0", "-1"],
    "ttl": ["1000000"],
    "unix-time-seconds": ["4102444800", "1"],
    "unix-time-milliseconds": ["4102444800000", "1"],
    "index": ["0", "1", "-1", "3", "-100"],
    "rank": ["1", "-1", "2", "0"],
    "offset": ["0", "1", "7", "100", "-1", "9223372036854775807"],
    "bit": ["0", "1"],
    "encoding": ["u8", "i5", "i64", "u63", "u64"],
    "score": ["0", "1", "1.5", "-2", "3e3", "inf", "-inf"],
    "longitude": ["13.361389", "-180", "0.5", "181"],
    "latitude": ["38.115556", "0.25", "-85", "91"],
    "radius": ["1", "200", "20000", "-1"],
    "width": ["1", "200", "20000", "-1"],
    "height": ["1", "200", "20000", "-1"],
    "id": ["1-1", "2-1", "2-2", "3", "0", "7-7", ">"],
    "lastid": ["1-1", "9-9"],
    "last-id": ["9-9", "100-0"],
    "max-deleted-id": ["1-1", "3-0"],
    "threshold": ["0", "1", "3", "2-0"],
    "min-idle-time": ["0"],
    "group": ["g0", "g1"],
    "consumer": ["c0", "c1"],
    "type": ["string", "hash", "list", "set", "zset", "stream"],
    "by-pattern": ["w_*", "w_*->f1"],
    "get-pattern": ["#", "w_*", "w_*->f1"],
    # What Redis 7.0 dumps of a string, a list and a set.
    "serialized-value": ['\x00À\n\n\x00n\x9fWE\x0e®c»',
                         '\x12\x01\x02\r\r\x00\x00\x00\x02\x00\x81a\x02\x81b\x02ÿ\n\x00hë\n\x89\x13A»±',
                         '\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x02\x00\n\x00oy8±4ë .'],
}
BY_TYPE = {
    "integer": {"start": ["0", "1", "-1", "3", "-2", "100"], "value": ["0", "1"], "timeout": ["1"], "": NUMBERS},
    "double": {"min": ["-inf", "+inf", "0", "(1", "1.5", "3"], "timeout": ["0.01"], "": ["0", "1.5", "-2.25", "3e3", "0.1"]},
    "string": {"min": ["-", "+", "[m1", "(m3", "0", "(1", "[", "5"], "start": ["-", "+", "1-1", "(1-1", "2", "0", "1", "-1", "[m1"],
               "": ["", "0", "1", "12", "abc", "a longer string of text", "3.0", "x" * 70]},
    "pattern": {"": ["*", "k*", "?1", "[ab]*", "none"]},
}
SAME_AS = {"max": "min", "stop": "start", "end": "start", "member1": "member", "member2": "member"}
# What `~` trims depends on how a server packs its nodes; `*` is the time.
SETTLED = {b"~": "=", b"*": "8-8"}
ODD = ["", "bogus", "-1", "0", "1.5", "nan", " 1", "01", "9223372036854775808", "a\r\nb\0c\xff"]


class Calls:
    """Makes up calls from argument trees; everything depends on the generator alone."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.words: list[str] = []
        self.count_at: int | None = None
        self.keys = 0

    def make(self, group: str, arguments: tuple[Reply, ...]) -> list[str]:
        self.words, self.count_at, self.keys, self.group = [], None, 0, group
        self._sequence(arguments)
        return self.words

    def _sequence(self, arguments) -> None:
        for argument in arguments:
            flags = {flag.text for flag in (entry(argument, "flags") or Reply("~", None, ())).items}
            if b"optional" in flags and self.rng.random() < 0.5:
                continue
            name = entry(argument, "name").text.decode()
            times = self.rng.choice([1, 1, 2, 3]) if b"multiple" in flags else 1
            if name in ("id", "weight") and b"multiple" in flags and self.keys:
                times = self.keys
            if entry(argument, "type").text == b"key":
                self.keys = times
            if b"multiple" in flags and self.count_at is not None:
                self.words[self.count_at], self.count_at = str(times), None
            for repetition in range(times):
                self._one(argument, name, repetition == 0 or b"multiple_token" in flags)

    def _one(self, argument: Reply, name: str, with_token: bool) -> None:
        token, kind = entry(argument, "token"), entry(argument, "type").text.decode()
        if token is not None and with_token:
            self.words.append(SETTLED.get(token.text, token.text.decode()))
        if kind == "block":
            self._sequence(entry(argument, "arguments").items)
        elif kind == "oneof":
            chosen = self.rng.choice(entry(argument, "arguments").items)
            self._one(chosen, entry(chosen, "name").text.decode(), True)
        elif kind != "pure-token":
            if name in ("numkeys", "numfields", "numids"):
                self.count_at = len(self.words)
            self.words.append(self._value(name, kind, token))

    def _value(self, name: str, kind: str, token: Reply | None) -> str:
        if kind == "key":
            own = f"{self.group}:" if self.rng.random() < 0.9 else ""
            return f"{own}k{self.rng.randrange(4)}"
        if token is not None and token.text == b"BLOCK":
            return "1"
        name = SAME_AS.get(name, name)
        if name in VALUES and not (name == "offset" and kind == "string"):
            return self.rng.choice(VALUES[name])
        of_type = BY_TYPE.get(kind, BY_TYPE["string"])
        return self.rng.choice(of_type.get(name, of_type[""]))


def sequence(tables: list[Table], seed: int, count: int) -> list[tuple[list[bytes], list[str]]]:
    """Calls of the commands that all the tables have, with the masks of their replies; by the first table's trees."""
    rng = random.Random(seed)
    table = tables[0]
    names = [
        name for name, doc in sorted(table.docs.items())
        if entry(doc, "group").text.decode() in GROUPS and entry(doc, "subcommands") is None
        and name not in NOT_AT_RANDOM and all(name in other.info for other in tables)
    ]
    writes = [name for name in names if b"write" in table.flags(name)]
    reads = [name for name in names if name not in writes]
    calls, made = Calls(rng), []
    chosen = [rng.choice(writes if rng.random() < WRITES_AT_RANDOM else reads) for _ in range(count)]
    for at_random, name, words in [(True, name, _call(table, calls, name)) for name in chosen] + _uncovered(table, calls, names):
        # A BITCOUNT without its end is Valkey's.
        if at_random and rng.random() < 0.05 and len(words) > 1 and name != "bitcount":
            at = rng.randrange(1, len(words))
            fate = rng.random()
            # As a timeout, 0 is for ever.
            odd = rng.choice([word for word in ODD if word != "0" or b"blocking" not in table.flags(name)])
            if fate < 0.4:
                words[at] = odd
            elif fate < 0.7:
                del words[at]
            else:
                words.insert(at, odd)
        masks = masks_of(table, name)
        if rng.random() < KEYS_AT_RANDOM:
            words, masks = ["COMMAND", rng.choice(["GETKEYS", "GETKEYSANDFLAGS"]), *words], []
        made.append(([word.encode("latin-1") for word in words], masks))
    return made


def _call(table: Table, calls: Calls, name: str) -> list[str]:
    doc = table.docs[name]
    arguments = entry(doc, "arguments")
    return name.split("|") + calls.make(entry(doc, "group").text.decode(), arguments.items if arguments else ())


def _uncovered(table: Table, calls: Calls, names: list[str]) -> list[tuple[bool, str, list[str]]]:
    """A call with each token of each command, so that none is left to chance; what no call has is an error."""
    made = []
    for name in names:
        arguments = entry(table.docs[name], "arguments")
        left = _tokens(arguments.items if arguments else ()) - {SETTLED[b"*"], "*"}
        for _ in range(1000):
            if not left:
                break
            words = _call(table, calls, name)
            if left & set(words):
                left -= set(words)
                made.append((False, name, words))
        if left:
            raise AssertionError(f"no call of {name} has {' '.join(sorted(left))}")
    return made


def _tokens(arguments) -> set[str]:
    """The tokens of an argument tree, as they are sent."""
    found = set()
    for argument in arguments:
        token = entry(argument, "token")
        if token is not None:
            found.add(SETTLED.get(token.text, token.text.decode()))
        found |= _tokens((entry(argument, "arguments") or Reply("*", None, ())).items)
    return found


def masks_of(table: Table, name: str) -> list[str]:
    if name in MASKS:
        return MASKS[name]
    tips = table.tips(name)
    if b"nondeterministic_output" in tips:
        return ["any"]
    return ["unordered"] if b"nondeterministic_output_order" in tips else []
