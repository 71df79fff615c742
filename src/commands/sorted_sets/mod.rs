//! Sorted sets: the family's table of contents.
//!
//! `members` holds what concerns single members, `ranges` what goes by rank, score or text,
//! `pops` what takes from the ends, `combine` what several sets make together. Changes go
//! through `edit`; `bounds` reads the limits of ranges.

mod blocking;
mod bounds;
mod combine;
pub mod edit;
pub mod members;
pub mod pops;
pub mod ranges;

use super::handler::Handler;
use super::spec::{CommandSpec, Deprecated, Flags, Group, KeySpec};
use crate::protocol::{Reply, WireError};
use crate::values::packed::Element;

const SORTED_SET: CommandSpec = CommandSpec {
    group: Group::SortedSet,
    ..CommandSpec::DEFAULT
};

const NOT_A_NUMBER: WireError = WireError::fixed("ERR resulting score is not a number (NaN)");

/// Writes a member as a bulk string.
fn bulk(reply: &mut Reply<'_>, member: Element<'_>) {
    match member {
        Element::Int(n) => reply.int_bulk(n),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}

/// Writes the head of so many members: with scores they are pairs in RESP3 and a flat array
/// in RESP2.
fn head(reply: &mut Reply<'_>, count: usize, with_scores: bool) {
    let flat = with_scores && !reply.resp3();
    reply.array(if flat { 2 * count } else { count });
}

/// Writes a member, with its score if that is wanted.
fn one(reply: &mut Reply<'_>, member: Element<'_>, score: f64, with_scores: bool) {
    if with_scores && reply.resp3() {
        reply.array(2);
    }
    bulk(reply, member);
    if with_scores {
        reply.double(score);
    }
}

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zadd",
        since: "1.2.0",
        arity: -4,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key [NX | XX]{condition @3.0.2} [GT | LT]{comparison @6.2.0} [CH{change @3.0.2}] [INCR{increment @3.0.2}] score member [score member ...]{data}",
        summary: "Adds members to a sorted set or changes their scores.",
        complexity: "O(log N) for each member given, N being the size of the set",
        history: &[
            ("2.4.0", "New options or forms."),
            ("3.0.2", "New options or forms."),
            ("6.2.0", "New options or forms."),
        ],
        handler: Handler::Write(members::zadd),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zincrby",
        since: "1.2.0",
        arity: 4,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key increment member",
        summary: "Adds to the score of a member.",
        complexity: "O(log N), N being the size of the set",
        handler: Handler::Write(members::zincrby),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrem",
        since: "1.2.0",
        arity: -3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key member [member ...]",
        summary: "Removes members from a sorted set.",
        complexity: "O(M*log N), M being the members given and N the size of the set",
        history: &[("2.4.0", "New options or forms.")],
        handler: Handler::Write(members::zrem),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zcard",
        since: "1.2.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key",
        summary: "Counts the members of a sorted set.",
        complexity: "O(1)",
        handler: Handler::Read(members::zcard),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zscore",
        since: "1.2.0",
        arity: 3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key member",
        summary: "Gives the score of a member.",
        complexity: "O(1)",
        handler: Handler::Read(members::zscore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zmscore",
        since: "6.2.0",
        arity: -3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key member [member ...]",
        summary: "Gives the scores of several members.",
        complexity: "O(1) for each member asked for",
        handler: Handler::Read(members::zmscore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrank",
        since: "2.0.0",
        arity: -3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key member [WITHSCORE]",
        summary: "Tells how many members have lower scores.",
        complexity: "O(log N), N being the size of the set",
        history: &[("7.2.0", "New options or forms.")],
        handler: Handler::Read(members::zrank),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrevrank",
        since: "2.0.0",
        arity: -3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key member [WITHSCORE]",
        summary: "Tells how many members have higher scores.",
        complexity: "O(log N), N being the size of the set",
        history: &[("7.2.0", "New options or forms.")],
        handler: Handler::Read(members::zrevrank),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zcount",
        since: "2.0.0",
        arity: 4,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key min{:double} max{:double}",
        summary: "Counts the members within a range of scores.",
        complexity: "O(log N), N being the size of the set",
        handler: Handler::Read(ranges::zcount),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zlexcount",
        since: "2.8.9",
        arity: 4,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key min max",
        summary: "Counts the members within a range of texts.",
        complexity: "O(log N), N being the size of the set",
        handler: Handler::Read(ranges::zlexcount),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrange",
        since: "1.2.0",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key start{:string} stop{:string} [BYSCORE | BYLEX]{sortby @6.2.0} [REV{@6.2.0}] [LIMIT offset count]{@6.2.0} [WITHSCORES]",
        summary: "Gives a range of members by rank, score or text.",
        complexity: "O(log N + M), N being the size of the set and M the members returned",
        history: &[("6.2.0", "New options or forms.")],
        handler: Handler::Read(ranges::zrange),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrangestore",
        since: "6.2.0",
        arity: -5,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "OW update"), KeySpec::at(2, "RO access")],
        syntax: "dst src min max [BYSCORE | BYLEX]{sortby} [REV] [LIMIT offset count]",
        summary: "Stores a range of members in another sorted set.",
        complexity: "O(log N + M), N being the size of the set and M the members returned",
        handler: Handler::Write(ranges::zrangestore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrangebyscore",
        since: "1.0.5",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key min{:double} max{:double} [WITHSCORES{@2.0.0}] [LIMIT offset count]",
        summary: "Gives the members within a range of scores.",
        complexity: "O(log N + M), N being the size of the set and M the members returned",
        history: &[("2.0.0", "New options or forms.")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `BYSCORE` argument",
        }),
        handler: Handler::Read(ranges::zrangebyscore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrevrangebyscore",
        since: "2.2.0",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key max{:double} min{:double} [WITHSCORES] [LIMIT offset count]",
        summary: "Gives the members within a range of scores, the highest first.",
        complexity: "O(log N + M), N being the size of the set and M the members returned",
        history: &[("2.1.6", "New options or forms.")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
        }),
        handler: Handler::Read(ranges::zrevrangebyscore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrangebylex",
        since: "2.8.9",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key min max [LIMIT offset count]",
        summary: "Gives the members within a range of texts.",
        complexity: "O(log N + M), N being the size of the set and M the members returned",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `BYLEX` argument",
        }),
        handler: Handler::Read(ranges::zrangebylex),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrevrangebylex",
        since: "2.8.9",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key max min [LIMIT offset count]",
        summary: "Gives the members within a range of texts, the last first.",
        complexity: "O(log N + M), N being the size of the set and M the members returned",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` and `BYLEX` arguments",
        }),
        handler: Handler::Read(ranges::zrevrangebylex),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrevrange",
        since: "1.2.0",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key start stop [WITHSCORES]",
        summary: "Gives a range of members by rank, the highest first.",
        complexity: "O(log N + M), N being the size of the set and M the members returned",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` argument",
        }),
        handler: Handler::Read(ranges::zrevrange),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zremrangebyrank",
        since: "2.0.0",
        arity: 4,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key start stop",
        summary: "Removes a range of members by rank.",
        complexity: "O(M*log N), M being the members removed and N the size of the set",
        handler: Handler::Write(ranges::zremrangebyrank),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zremrangebyscore",
        since: "1.2.0",
        arity: 4,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key min{:double} max{:double}",
        summary: "Removes the members within a range of scores.",
        complexity: "O(M*log N), M being the members removed and N the size of the set",
        handler: Handler::Write(ranges::zremrangebyscore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zremrangebylex",
        since: "2.8.9",
        arity: 4,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key min max",
        summary: "Removes the members within a range of texts.",
        complexity: "O(M*log N), M being the members removed and N the size of the set",
        handler: Handler::Write(ranges::zremrangebylex),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zpopmin",
        since: "5.0.0",
        arity: -2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access delete")],
        syntax: "key [count]",
        summary: "Takes the members with the lowest scores.",
        complexity: "O(M*log N), M being the members taken and N the size of the set",
        handler: Handler::Write(pops::zpopmin),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zpopmax",
        since: "5.0.0",
        arity: -2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access delete")],
        syntax: "key [count]",
        summary: "Takes the members with the highest scores.",
        complexity: "O(M*log N), M being the members taken and N the size of the set",
        handler: Handler::Write(pops::zpopmax),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zmpop",
        since: "7.0.0",
        arity: -4,
        flags: Flags::of("write"),
        keys: &[KeySpec::counted(1, "RW access delete")],
        syntax: "numkeys key [key ...] <MIN | MAX>{where} [COUNT count]",
        summary: "Takes members from the first sorted set that has any.",
        complexity: "O(K+M*log N), K being the keys given, M the members taken and N the size of the set",
        handler: Handler::Write(pops::zmpop),
        ..SORTED_SET
    },
    CommandSpec {
        name: "bzpopmin",
        since: "5.0.0",
        arity: -3,
        flags: Flags::of("write fast blocking"),
        keys: &[KeySpec::range(1, -2, 1, "RW access delete")],
        syntax: "key [key ...] timeout{:double}",
        summary: "Takes the member with the lowest score of the first sorted set that has any, or waits for one.",
        complexity: "O(log N), N being the size of the set",
        history: &[("6.0.0", "A timeout with a fraction.")],
        handler: Handler::Write(blocking::bzpopmin),
        ..SORTED_SET
    },
    CommandSpec {
        name: "bzpopmax",
        since: "5.0.0",
        arity: -3,
        flags: Flags::of("write fast blocking"),
        keys: &[KeySpec::range(1, -2, 1, "RW access delete")],
        syntax: "key [key ...] timeout{:double}",
        summary: "Takes the member with the highest score of the first sorted set that has any, or waits for one.",
        complexity: "O(log N), N being the size of the set",
        history: &[("6.0.0", "A timeout with a fraction.")],
        handler: Handler::Write(blocking::bzpopmax),
        ..SORTED_SET
    },
    CommandSpec {
        name: "bzmpop",
        since: "7.0.0",
        arity: -5,
        flags: Flags::of("write blocking"),
        keys: &[KeySpec::counted(2, "RW access delete")],
        syntax: "timeout{:double} numkeys key [key ...] <MIN | MAX>{where} [COUNT count]",
        summary: "Takes members from the first sorted set that has any, or waits for one.",
        complexity: "O(K+M*log N), K being the keys given, M the members taken and N the size of the set",
        handler: Handler::Write(blocking::bzmpop),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zrandmember",
        since: "6.2.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key [count [WITHSCORES]]{options}",
        summary: "Returns members drawn at random.",
        complexity: "O(N), N being the number of members drawn",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(members::zrandmember),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zunion",
        since: "6.2.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::counted(1, "RO access")],
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        summary: "Gives the members that any of several sets has.",
        complexity: "O(N + M*log M), N being the members of all sets and M those of the result",
        handler: Handler::Read(combine::zunion),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zinter",
        since: "6.2.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::counted(1, "RO access")],
        syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        summary: "Gives the members that several sets have in common.",
        complexity: "O(N*K + M*log M), N being the smallest set, K the number of sets and M the members of the result",
        handler: Handler::Read(combine::zinter),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zdiff",
        since: "6.2.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::counted(1, "RO access")],
        syntax: "numkeys key [key ...] [WITHSCORES]",
        summary: "Gives the members of the first set that no other has.",
        complexity: "O(N*K + M*log M), N being the first set, K the number of sets and M the members of the result",
        handler: Handler::Read(combine::zdiff),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zintercard",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::counted(1, "RO access")],
        syntax: "numkeys key [key ...] [LIMIT limit]",
        summary: "Counts the members that several sets have in common.",
        complexity: "O(N*K + M*log M), N being the smallest set, K the number of sets and M the members of the result",
        handler: Handler::Read(combine::zintercard),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zunionstore",
        since: "2.0.0",
        arity: -4,
        flags: Flags::of("write denyoom"),
        keys: &[
            KeySpec::at(1, "OW update"),
            KeySpec::counted(2, "RO access"),
        ],
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
        summary: "Stores the members that any of several sets has.",
        complexity: "O(N + M*log M), N being the members of all sets and M those of the result",
        handler: Handler::Write(combine::zunionstore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zinterstore",
        since: "2.0.0",
        arity: -4,
        flags: Flags::of("write denyoom"),
        keys: &[
            KeySpec::at(1, "OW update"),
            KeySpec::counted(2, "RO access"),
        ],
        syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
        summary: "Stores the members that several sets have in common.",
        complexity: "O(N*K + M*log M), N being the smallest set, K the number of sets and M the members of the result",
        handler: Handler::Write(combine::zinterstore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zdiffstore",
        since: "6.2.0",
        arity: -4,
        flags: Flags::of("write denyoom"),
        keys: &[
            KeySpec::at(1, "OW update"),
            KeySpec::counted(2, "RO access"),
        ],
        syntax: "destination numkeys key [key ...]",
        summary: "Stores the members of the first set that no other has.",
        complexity: "O(N*K + M*log M), N being the first set, K the number of sets and M the members of the result",
        handler: Handler::Write(combine::zdiffstore),
        ..SORTED_SET
    },
    CommandSpec {
        name: "zscan",
        since: "2.8.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key cursor [MATCH pattern] [COUNT count]",
        summary: "Walks over the members of a sorted set.",
        complexity: "O(1) for each call, O(N) for a whole walk, N being the number of members",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(members::zscan),
        ..SORTED_SET
    },
];
