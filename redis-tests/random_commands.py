"""Random command sequences, the same on Lockstep and on Redis, replies compared after every command.

The keys are few and collide, so that strings meet hashes, transactions meet watched keys, and every command meets
missing keys, wrong types and odd arguments. A sequence depends on its seed alone; when replies differ the sequence
is cut down to the few commands that are needed, and those are printed together with the seed.

    redis-tests/run --only random --seed 7 --random 20000 --binary …
"""

from __future__ import annotations

import random
import re
import time

import command_table
import random_encodings
import random_waiting
from compare import Differences, same
from resp import SILENT, Malformed, Reply, encode, escape

# Words in capitals that are listed in PLACEHOLDERS are drawn anew each time; [x] is optional, (x|y) a choice,
# <x> is repeated one to three times. GT and LT only compare absolute times: two relative ones may or may not fall
# into the same millisecond. The second column is how often, the third the masks for the reply.
GRAMMAR: list[tuple[str, int, list[str]]] = [
    ("SET KEY VALUE [(NX|XX)] [GET] [(EX SECONDS|PX MILLIS|EXAT 4000000000|KEEPTTL)]", 10, []),
    ("SET KEY INT", 6, []),
    ("GET KEY", 8, []),
    ("GETSET KEY VALUE", 2, []),
    ("GETDEL KEY", 2, []),
    ("GETEX KEY [(EX SECONDS|PX MILLIS|PERSIST|EXAT PASTFUTURE)]", 3, []),
    ("SETNX KEY VALUE", 2, []),
    ("SETEX KEY SECONDS VALUE", 2, []),
    ("PSETEX KEY MILLIS VALUE", 2, []),
    ("MSET <KEY VALUE>", 3, []),
    ("MSETNX <KEY VALUE>", 2, []),
    ("MGET <KEY>", 3, []),
    ("APPEND KEY VALUE", 4, []),
    ("STRLEN KEY", 3, []),
    ("SETRANGE KEY SMALL VALUE", 3, []),
    ("GETRANGE KEY INDEX INDEX", 3, []),
    ("SUBSTR KEY INDEX INDEX", 1, []),
    ("INCR KEY", 4, []),
    ("DECR KEY", 2, []),
    ("INCRBY KEY INT", 3, []),
    ("DECRBY KEY INT", 3, []),
    ("INCRBYFLOAT KEY FLOAT", 4, []),
    ("LCS KEY KEY [(LEN|IDX [MINMATCHLEN SMALL] [WITHMATCHLEN])]", 3, []),
    ("HSET KEY <FIELD VALUE>", 12, []),
    ("HSETNX KEY FIELD VALUE", 3, []),
    ("HMSET KEY <FIELD VALUE>", 2, []),
    ("HGET KEY FIELD", 5, []),
    ("HMGET KEY <FIELD>", 3, []),
    ("HGETALL KEY", 4, ["pairs"]),
    ("HKEYS KEY", 2, ["unordered"]),
    ("HVALS KEY", 2, ["unordered"]),
    ("HLEN KEY", 3, []),
    ("HDEL KEY <FIELD>", 5, []),
    ("HEXISTS KEY FIELD", 3, []),
    ("HSTRLEN KEY FIELD", 2, []),
    ("HINCRBY KEY FIELD INT", 4, []),
    ("HINCRBYFLOAT KEY FIELD FLOAT", 3, []),
    ("HRANDFIELD KEY", 1, ["any"]),
    ("HRANDFIELD KEY BIG", 1, ["unordered"]),
    ("HRANDFIELD KEY BIG WITHVALUES", 1, ["pairs"]),
    ("HEXPIRE KEY SECONDS [(NX|XX)] FIELDS 1 FIELD", 4, []),
    ("HPEXPIRE KEY MILLIS [(NX|XX)] FIELDS 2 FIELD FIELD", 3, []),
    ("HEXPIREAT KEY PASTFUTURE [(NX|XX|GT|LT)] FIELDS 2 FIELD FIELD", 3, []),
    ("HPERSIST KEY FIELDS 2 FIELD FIELD", 3, []),
    ("HTTL KEY FIELDS 2 FIELD FIELD", 3, ["near:2"]),
    ("HPTTL KEY FIELDS 1 FIELD", 2, ["near:2000"]),
    ("HEXPIRETIME KEY FIELDS 2 FIELD FIELD", 2, ["near:2"]),
    ("HGETDEL KEY FIELDS 2 FIELD FIELD", 3, []),
    ("HGETEX KEY [(EX SECONDS|PX MILLIS|EXAT PASTFUTURE|PERSIST)] FIELDS 2 FIELD FIELD", 3, []),
    ("HSETEX KEY [(FNX|FXX)] [(EX SECONDS|PX MILLIS|KEEPTTL)] FIELDS 2 FIELD VALUE FIELD VALUE", 4, []),
    # sets
    ("SADD KEY <MEMBER>", 12, []),
    ("SADD KEY <MEMBER> <MEMBER> <MEMBER>", 3, []),
    ("SREM KEY <MEMBER>", 5, []),
    ("SISMEMBER KEY MEMBER", 3, []),
    ("SMISMEMBER KEY <MEMBER>", 2, []),
    ("SCARD KEY", 3, []),
    ("SMEMBERS KEY", 4, ["unordered"]),
    ("SPOP KEY BIG", 1, ["unordered"]),
    ("SRANDMEMBER KEY BIG", 1, ["unordered"]),
    ("SRANDMEMBER KEY INDEX", 1, ["shape"]),
    ("SMOVE KEY KEY MEMBER", 4, []),
    ("SINTER <KEY>", 3, ["unordered"]),
    ("SUNION <KEY>", 2, ["unordered"]),
    ("SDIFF <KEY>", 3, ["unordered"]),
    ("SINTERCARD 2 KEY KEY [LIMIT SMALL]", 2, []),
    ("SINTERSTORE KEY <KEY>", 3, []),
    ("SUNIONSTORE KEY <KEY>", 3, []),
    ("SDIFFSTORE KEY <KEY>", 3, []),
    ("SSCAN KEY 0 [MATCH PATTERN] [COUNT BIG]", 2, ["unordered"]),
    # streams
    ("XADD KEY XID <FIELD VALUE>", 14, []),
    ("XADD KEY [NOMKSTREAM] [(KEEPREF|DELREF|ACKED)] (MAXLEN|MAXLEN =|MAXLEN ~) SMALL XID FIELD VALUE", 4, []),
    ("XADD KEY MINID XID XID FIELD VALUE", 2, []),
    ("XLEN KEY", 2, []),
    ("XRANGE KEY XBOUND XBOUND [COUNT SMALL]", 4, []),
    ("XREVRANGE KEY XBOUND XBOUND [COUNT SMALL]", 4, []),
    ("XDEL KEY <XID>", 4, []),
    ("XDELEX KEY [(KEEPREF|DELREF|ACKED)] IDS 2 XID XID", 3, []),
    ("XTRIM KEY (MAXLEN|MAXLEN =|MAXLEN ~) SMALL [(KEEPREF|DELREF|ACKED)]", 2, []),
    ("XTRIM KEY MINID XID [(KEEPREF|DELREF|ACKED)]", 2, []),
    ("XSETID KEY XID [ENTRIESADDED SMALL] [MAXDELETEDID XID]", 1, []),
    ("XREAD [COUNT SMALL] STREAMS KEY XFROM", 3, []),
    ("XREAD [COUNT SMALL] STREAMS KEY KEY XFROM XFROM", 2, []),
    ("XGROUP CREATE KEY GROUP XFROM [MKSTREAM] [ENTRIESREAD SMALL]", 6, []),
    ("XGROUP SETID KEY GROUP XFROM [ENTRIESREAD SMALL]", 2, []),
    ("XGROUP DESTROY KEY GROUP", 1, []),
    ("XGROUP CREATECONSUMER KEY GROUP CONSUMER", 1, []),
    ("XGROUP DELCONSUMER KEY GROUP CONSUMER", 1, []),
    ("XREADGROUP group GROUP CONSUMER [COUNT SMALL] [NOACK] STREAMS KEY >", 10, []),
    ("XREADGROUP group GROUP CONSUMER [COUNT SMALL] STREAMS KEY XID", 3, []),
    ("XREADGROUP group GROUP CONSUMER STREAMS KEY KEY > >", 2, []),
    ("XACK KEY GROUP <XID>", 4, []),
    ("XACKDEL KEY GROUP [(KEEPREF|DELREF|ACKED)] IDS 2 XID XID", 3, []),
    ("XPENDING KEY GROUP", 3, []),
    ("XPENDING KEY GROUP XBOUND XBOUND SMALL [CONSUMER]", 3, ["near:100000"]),
    ("XCLAIM KEY GROUP CONSUMER 0 <XID> [RETRYCOUNT SMALL] [FORCE] [JUSTID] [LASTID XID]", 4, []),
    ("XAUTOCLAIM KEY GROUP CONSUMER 0 XBOUND [COUNT SMALL] [JUSTID]", 4, []),
    ("XINFO STREAM KEY", 3, []),
    ("XINFO STREAM KEY FULL", 2, ["near:100000"]),
    ("XINFO GROUPS KEY", 4, []),
    ("XINFO CONSUMERS KEY GROUP", 2, ["near:100000"]),
    # bitmaps
    ("SETBIT KEY BITAT (0|1)", 5, []),
    ("GETBIT KEY BITAT", 3, []),
    ("BITCOUNT KEY [INDEX INDEX [(BYTE|BIT)]]", 3, []),
    ("BITPOS KEY (0|1) [INDEX [INDEX [(BYTE|BIT)]]]", 4, []),
    ("BITOP (AND|OR|XOR|DIFF|DIFF1|ANDOR|ONE) KEY KEY <KEY>", 3, []),
    ("BITOP NOT KEY KEY", 1, []),
    ("BITFIELD KEY [OVERFLOW (WRAP|SAT|FAIL)] <(SET|INCRBY) INTTYPE BITAT INT>", 4, []),
    ("BITFIELD KEY GET INTTYPE BITAT INCRBY INTTYPE #SMALL INT GET INTTYPE BITAT", 2, []),
    ("BITFIELD_RO KEY <GET INTTYPE BITAT>", 1, []),
    # hyperloglog
    ("PFADD KEY [<VALUE>]", 4, []),
    ("PFADD KEY <MEMBER> <VALUE> <FIELD>", 3, []),
    ("PFCOUNT KEY", 3, []),
    ("PFCOUNT <KEY>", 2, []),
    ("PFMERGE KEY [<KEY>]", 2, []),
    ("PFDEBUG (ENCODING|DECODE|TODENSE) KEY", 1, []),
    # lists
    ("LPUSH KEY <VALUE>", 8, []),
    ("RPUSH KEY <VALUE>", 8, []),
    ("LPUSHX KEY <VALUE>", 2, []),
    ("RPUSHX KEY <VALUE>", 2, []),
    ("LPOP KEY [SMALL]", 4, []),
    ("RPOP KEY [SMALL]", 4, []),
    ("LLEN KEY", 3, []),
    ("LINDEX KEY INDEX", 4, []),
    ("LSET KEY INDEX VALUE", 3, []),
    ("LRANGE KEY INDEX INDEX", 4, []),
    ("LRANGE KEY 0 -1", 4, []),
    ("LTRIM KEY INDEX INDEX", 2, []),
    ("LREM KEY INDEX VALUE", 3, []),
    ("LINSERT KEY (BEFORE|AFTER) VALUE VALUE", 3, []),
    ("LPOS KEY VALUE [RANK INDEX] [COUNT SMALL] [MAXLEN SMALL]", 3, []),
    ("LMOVE KEY KEY (LEFT|RIGHT) (LEFT|RIGHT)", 4, []),
    ("RPOPLPUSH KEY KEY", 3, []),
    ("LMPOP 2 KEY KEY (LEFT|RIGHT) [COUNT SMALL]", 3, []),
    # sorted sets
    ("ZADD KEY [(NX|XX)] [(GT|LT)] [CH] INT MEMBER", 8, []),
    ("ZADD KEY INT MEMBER INT MEMBER INT MEMBER", 8, []),
    ("ZADD KEY [(NX|XX)] INCR INT MEMBER", 3, []),
    ("ZINCRBY KEY INT MEMBER", 4, []),
    ("ZREM KEY MEMBER MEMBER", 3, []),
    ("ZSCORE KEY MEMBER", 3, []),
    ("ZMSCORE KEY MEMBER MEMBER", 2, []),
    ("ZCARD KEY", 2, []),
    ("ZRANK KEY MEMBER [WITHSCORE]", 3, []),
    ("ZREVRANK KEY MEMBER [WITHSCORE]", 2, []),
    ("ZCOUNT KEY INT INT", 2, []),
    ("ZRANGE KEY INDEX INDEX [REV] [WITHSCORES]", 4, []),
    ("ZRANGE KEY -inf (INT BYSCORE [LIMIT SMALL SMALL] [WITHSCORES]", 3, []),
    ("ZRANGE KEY 0 -1 WITHSCORES", 4, []),
    ("ZRANGESTORE KEY KEY INDEX INDEX [REV]", 2, []),
    ("ZREMRANGEBYRANK KEY INDEX INDEX", 2, []),
    ("ZREMRANGEBYSCORE KEY INT INT", 2, []),
    ("ZPOPMIN KEY [SMALL]", 3, []),
    ("ZPOPMAX KEY [SMALL]", 3, []),
    ("ZMPOP 2 KEY KEY (MIN|MAX) [COUNT SMALL]", 2, []),
    ("ZUNIONSTORE KEY 2 KEY KEY [WEIGHTS SMALL SMALL] [AGGREGATE (SUM|MIN|MAX)]", 3, []),
    ("ZINTERSTORE KEY 2 KEY KEY [WEIGHTS SMALL SMALL] [AGGREGATE (SUM|MIN|MAX)]", 3, []),
    ("ZDIFFSTORE KEY 2 KEY KEY", 2, []),
    ("ZUNION 2 KEY KEY WITHSCORES", 2, []),
    ("ZINTER 2 KEY KEY WITHSCORES", 2, []),
    ("ZDIFF 2 KEY KEY WITHSCORES", 2, []),
    ("ZINTERCARD 2 KEY KEY [LIMIT SMALL]", 2, []),
    # geo and SORT
    ("GEOADD KEY [(NX|XX)] [CH] SMALL SMALL MEMBER", 3, []),
    ("GEODIST KEY MEMBER MEMBER", 1, []),
    ("GEOPOS KEY MEMBER", 1, []),
    ("SORT KEY ALPHA [LIMIT SMALL SMALL] [(ASC|DESC)]", 2, []),
    ("SORT KEY [DESC] ALPHA STORE KEY", 2, []),
    ("DEL <KEY>", 3, []),
    ("UNLINK <KEY>", 2, []),
    ("EXISTS <KEY>", 3, []),
    ("TOUCH <KEY>", 1, []),
    ("TYPE KEY", 4, []),
    ("EXPIRE KEY SECONDS [(NX|XX)]", 4, []),
    ("PEXPIRE KEY MILLIS [(NX|XX)]", 3, []),
    ("EXPIREAT KEY PASTFUTURE [(NX|XX|GT|LT)]", 3, []),
    ("TTL KEY", 3, ["near:2"]),
    ("PTTL KEY", 2, ["near:2000"]),
    ("EXPIRETIME KEY", 2, ["near:2"]),
    ("PERSIST KEY", 3, []),
    ("RENAME KEY KEY", 3, []),
    ("RENAMENX KEY KEY", 3, []),
    ("COPY KEY KEY [DB DATABASE] [REPLACE]", 4, []),
    ("MOVE KEY DATABASE", 2, []),
    ("SELECT DATABASE", 2, []),
    ("SWAPDB DATABASE DATABASE", 1, []),
    ("DBSIZE", 2, []),
    ("KEYS *", 2, ["unordered"]),
    ("KEYS PATTERN", 2, ["unordered"]),
    ("RANDOMKEY", 1, ["any"]),
    # SORT makes a skiplist of a small sorted set in Redis, which nobody needs.
    ("OBJECT ENCODING KEY", 5, ["small"]),
    ("OBJECT REFCOUNT KEY", 1, ["any"]),
    ("FLUSHDB", 1, []),
    ("MULTI", 4, []),
    ("EXEC", 6, []),
    ("DISCARD", 2, []),
    ("WATCH <KEY>", 3, []),
    ("UNWATCH", 1, []),
    ("PING [VALUE]", 1, []),
    ("ECHO VALUE", 1, []),
    ("NOSUCH KEY", 1, []),
]

QUEUED = Reply("+", b"QUEUED")

WORDS = ["", "a", "ab", "hello world", "0", "10", "-7", "3.0", "1e3", "ohmytext", "mynewtext", "\x00\xff\r\n", " 5", "x" * 44, "y" * 45,
         "z" * 70, "9223372036854775807", "-9223372036854775808", "9223372036854775808", "nan", "inf"]
ODD = ["", "-1", "0", "abc", "9223372036854775807", "-9223372036854775808", "1.5", "NX", "XX", "GET", "KEEPTTL", "FIELDS", "key:1",
       "*", "1e400", "18446744073709551616", "+1", "007"]


def draw(rng: random.Random, word: str) -> str:
    """A value for a placeholder; any other word stands for itself."""
    if word == "KEY":
        return f"key:{rng.randrange(7)}"
    if word == "FIELD":
        return f"f{rng.randrange(6)}"
    if word == "BITAT":
        return str(rng.choice([rng.randrange(0, 90), rng.randrange(0, 600)]))
    if word == "INTTYPE":
        return rng.choice("iu") + str(rng.choice([1, 2, 7, 8, 16, 31, 32, 33, 63, rng.randrange(1, 65)]))
    if word == "#SMALL":
        return "#" + str(rng.randrange(0, 12))
    if word == "XID":
        return rng.choice([f"{rng.randrange(1, 60)}-{rng.randrange(0, 3)}", str(rng.randrange(1, 80)), f"{rng.randrange(20, 80)}-*"])
    if word == "XBOUND":
        return rng.choice(["-", "+", "-", "+", f"{rng.randrange(1, 60)}", f"({rng.randrange(1, 60)}-1"])
    if word == "XFROM":
        return rng.choice(["0", "$", f"{rng.randrange(1, 60)}"])
    if word == "GROUP":
        return f"g{rng.randrange(2)}"
    if word == "CONSUMER":
        return f"c{rng.randrange(3)}"
    if word == "MEMBER":
        return rng.choice(WORDS) if rng.random() < 0.3 else rng.choice(["a", "b", "c", "d", str(rng.randrange(-3, 12)), "70000", "5000000000"])
    if word == "VALUE":
        return rng.choice(WORDS) if rng.random() < 0.7 else str(rng.randrange(-1000, 1000))
    if word == "INT":
        return rng.choice(["1", "-1", "100", "9223372036854775807", "-9223372036854775808", str(rng.randrange(-10**6, 10**6))])
    if word == "FLOAT":
        return rng.choice(["0.1", "-0.1", "1.5", "3", "1e10", "5.0e3", "0.00001", "1e-17", str(rng.randrange(-1000, 1000) / 8)])
    if word == "SECONDS":
        return rng.choice(["100", "1000", "5000", "100000", "0", "-1"] if rng.random() < 0.3 else ["100", "1000", "5000"])
    if word == "MILLIS":
        return rng.choice(["100000", "1000000", "5000000"])
    if word == "PASTFUTURE":
        return rng.choice(["1", "4000000000", "4000000001", "5000000000"])
    if word == "SMALL":
        return str(rng.randrange(0, 12))
    if word == "BIG":
        return "100"
    if word == "INDEX":
        return str(rng.randrange(-12, 12))
    if word == "DATABASE":
        return str(rng.randrange(0, 3))
    if word == "PATTERN":
        return rng.choice(["key:[0-3]", "key:?", "*:1", "key:[^2]", "k*\\:4", "[", "key:[3-1]"])
    return word


def produce(rng: random.Random, template: str) -> list[str]:
    """One command from a template."""
    while match := re.search(r"\(([^()\[\]<>]*)\)|\[([^()\[\]<>]*)\]|<([^()\[\]<>]*)>", template):
        choice, optional, repeated = match.groups()
        if choice is not None:
            text = rng.choice(choice.split("|"))
        elif optional is not None:
            text = optional if rng.random() < 0.5 else ""
        else:
            text = " ".join([repeated] * rng.choice([1, 1, 2, 3]))
        template = template[: match.start()] + text + template[match.end() :]
    return [draw(rng, word) for word in template.split()]


def commands(seed: int, count: int) -> list[tuple[list[bytes], list[str]]]:
    """The whole sequence with its masks. Depends on the arguments alone."""
    rng = random.Random(seed)
    weights = [weight for _, weight, _ in GRAMMAR]
    sequence = []
    for _ in range(count):
        template, _, masks = rng.choices(GRAMMAR, weights)[0]
        words = produce(rng, template)
        # What another SPOP removes would be chance, and the servers would hold different things from then on; a
        # BITCOUNT without its end is Valkey's.
        if rng.random() < 0.06 and len(words) > 1 and words[0] not in ("SPOP", "BITCOUNT"):
            place = rng.randrange(1, len(words))
            fate = rng.random()
            # HSETEX takes NX and XX, as in Valkey.
            # What XADD makes of * depends on the clock.
            odd = rng.choice([o for o in ODD if words[0] != "HSETEX" or o not in ("NX", "XX")] if words[0] != "XADD" else [o for o in ODD if o != "*"])
            if fate < 0.4:
                words[place] = odd
            elif fate < 0.7:
                del words[place]
            else:
                words.insert(place, odd)
        if words[0] in ("HRANDFIELD", "SRANDMEMBER"):
            masks = ["any"] if len(words) == 2 else masks if words[2:3] == ["100"] else ["shape"]
        sequence.append(([word.encode("latin-1") for word in words], masks))
    return sequence


class Ear:
    """Hears the keyspace events of a server."""

    CLASSES = "AKEmnoc"

    def __init__(self, server):
        self.connection = server.connect()
        self.connection.call("HELLO", "3")
        self.connection.call("CONFIG", "SET", "notify-keyspace-events", self.CLASSES)
        self.connection.call("PSUBSCRIBE", "__key*__:*")
        self.heard()

    def heard(self) -> Reply:
        """What was published since the last call. When a key expires is a matter of chance."""
        self.connection.call("PING")
        pushes, self.connection.pushes = self.connection.pushes, []
        events = [push for push in pushes if push.items and push.items[-1].text and not EXPIRED.search(
            push.items[-1].text if b"keyspace" in (push.items[-2].text or b"") else push.items[-2].text or b"")]
        return Reply("*", None, tuple(events))

    def close(self) -> None:
        self.connection.call("CONFIG", "SET", "notify-keyspace-events", "")
        self.connection.close()


EXPIRED = re.compile(rb"(^|:)h?expired$")


def play(sequence, truth, tested, protocol: int, differences: Differences, family: str = "random"):
    """Run from an empty state; (index, expected, got) of the first differing reply, or None.

    Over RESP3 the keyspace events of each command are compared as well, in the family `encodings` how all keys are encoded.
    """
    pair = [truth.connect(), tested.connect()]
    ears = [Ear(truth), Ear(tested)] if protocol == 3 else []
    eyes = [random_encodings.Eye(truth), random_encodings.Eye(tested)] if family == "encodings" else []
    queued: list[list[str]] = []  # the masks of what waits for EXEC
    try:
        for connection in pair:
            connection.call("FLUSHALL")
            connection.call("HELLO", str(protocol))
        for index, (words, masks) in enumerate(sequence):
            data = encode(words)
            for connection in pair:
                connection.send(data)
            expected, got = (connection.reply() for connection in pair)
            if SILENT in (expected, got):
                # It blocks for longer than anybody waits: what follows needs connections that answer.
                for connection in pair:
                    connection.close()
                pair = [truth.connect(), tested.connect()]
                for connection in pair:
                    connection.call("HELLO", str(protocol))
                queued = []
            if words[0] == b"EXEC":
                agree, queued = _same_each(expected, got, queued), []
            else:
                agree = same(expected, got, masks)
            if expected == QUEUED:
                queued.append(masks)
            elif words[0] == b"DISCARD":
                queued = []
            if agree and ears and SILENT not in (expected, got):
                expected, got = (ear.heard() for ear in ears)
                agree = expected == got
            if agree and eyes:
                expected, got = (eye.seen() for eye in eyes)
                agree = expected == got
            if not agree:
                shown = " ".join(word.decode("latin-1") for word in words)
                if differences.permitted(f"{truth.name}-{tested.name}", "random", shown, got) is None:
                    return index, expected, got
        return None
    finally:
        for connection in [*pair, *ears, *eyes]:
            connection.close()


def _same_each(expected: Reply, got: Reply, masks: list[list[str]]) -> bool:
    """EXEC's array: each element under the masks of its own command."""
    lists = expected.items, got.items
    if None in lists or len(lists[0]) != len(masks) or len(lists[1]) != len(masks):
        return expected == got
    return expected.kind == got.kind and all(same(e, g, m) for e, g, m in zip(*lists, masks))


def shrink(sequence, truth, tested, protocol: int, differences: Differences, family: str, limit_s: float = 15.0):
    """Leave out ever smaller runs of commands as long as the last reply still differs, for a limited time."""
    size = max(len(sequence) // 2, 1)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        at = 0
        while at < len(sequence) - 1 and time.monotonic() < deadline:
            shorter = sequence[:at] + sequence[min(at + size, len(sequence) - 1) :]
            found = play(shorter, truth, tested, protocol, differences, family)
            if found is not None:
                sequence = shorter[: found[0] + 1]
            else:
                at += size
        if size == 1:
            break
        size //= 2
    return sequence


def run(truth, tested, seed: int, count: int, protocol: int, differences: Differences, family: str = "random") -> str | None:
    """The story of the first difference, or None when all replies agree.

    The family `random` follows the grammar above, `table` the command table, `encodings` random_encodings.py,
    `waiting` random_waiting.py.
    """
    if family == "waiting":
        return random_waiting.run(truth, tested, seed, count // 2, protocol)
    if family == "table":
        sequence = command_table.sequence([command_table.Table(server.connect()) for server in (truth, tested)], seed, count)
    elif family == "encodings":
        sequence = random_encodings.commands(seed, count // 5)
    else:
        sequence = commands(seed, count)
    try:
        found = play(sequence, truth, tested, protocol, differences, family)
        if found is None:
            return None
        begin = max((at for at, (words, _) in enumerate(sequence[: found[0]]) if words == [b"FLUSHALL"]), default=0)
        short = shrink(sequence[begin : found[0] + 1], truth, tested, protocol, differences, family)
        again = play(short, truth, tested, protocol, differences, family)
        index, expected, got = again or found
        short = short if again else sequence[: found[0] + 1][-20:]
    except (Malformed, OSError) as error:
        return f"\nFAILED {family} commands over RESP{protocol}, --seed {seed} --random {count}: {error}"
    lines = [f"\nFAILED {family} commands over RESP{protocol}, replay with --only {family} --seed {seed} --random {count}"]
    lines += ["  " + " ".join(f'"{escape(word)}"' for word in words) for words, _ in short]
    lines += [f"  expected {show(expected)}   ({truth.name})", f"  got      {show(got)}   ({tested.name})"]
    return "\n".join(lines)


def show(reply: Reply) -> str:
    """A reply, cut to a readable length."""
    return reply.show()[:1000]
