//! Strings and counters: the family's table of contents.
//!
//! `set` holds what stores or fetches one whole value, `many` what does so for several keys,
//! `ranges` what looks at or changes a part, `counters` what adds, `lcs` the comparison.
//!
//! What must stay true: the effect of every write here is deterministic. A relative expiry
//! becomes `PXAT`, a condition that held is left out, a float becomes its result.

mod counters;
mod lcs;
mod many;
mod ranges;
mod set;

pub(in crate::commands) use ranges::{edited_payload, write_at};

use super::handler::Handler;
use super::key_positions;
use super::spec::{CommandSpec, Deprecated, Flags, Group, KeySpec};

const STRING: CommandSpec = CommandSpec {
    group: Group::String,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "get",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Reads the string at a key.",
        complexity: "O(1)",
        handler: Handler::Read(set::get),
        ..STRING
    },
    CommandSpec {
        name: "set",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "RW access update variable_flags")
            .note("Read as well because of `GET`.")],
        key_flags: Some(key_positions::set_key_flags),
        syntax: "key value [NX | XX | IFEQ comparison-value]{condition @2.6.12} \
                 [GET{@6.2.0}] [EX seconds{@2.6.12} | PX milliseconds{@2.6.12} | EXAT \
                 unix-time-seconds{@6.2.0} | PXAT unix-time-milliseconds{@6.2.0} | \
                 KEEPTTL{@6.0.0}]{expiration}",
        summary: "Stores a string at a key, whatever was there before.",
        complexity: "O(1)",
        history: &[
            ("2.6.12", "`EX`, `PX`, `NX`, `XX`."),
            ("6.0.0", "`KEEPTTL`."),
            ("6.2.0", "`GET`, `EXAT`, `PXAT`."),
            ("7.0.0", "`NX` together with `GET`."),
        ],
        handler: Handler::Write(set::set),
        ..STRING
    },
    CommandSpec {
        name: "getex",
        since: "6.2.0",
        arity: -2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access update").note("Written because the expiry may change.")],
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
                 unix-time-milliseconds | PERSIST]{expiration}",
        summary: "Reads a string and sets or removes its expiry.",
        complexity: "O(1)",
        handler: Handler::Write(set::getex),
        ..STRING
    },
    CommandSpec {
        name: "getdel",
        since: "6.2.0",
        arity: 2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access delete")],
        syntax: "key",
        summary: "Reads a string and removes its key.",
        complexity: "O(1)",
        handler: Handler::Write(set::getdel),
        ..STRING
    },
    CommandSpec {
        name: "getset",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key value",
        summary: "Stores a string and returns the one it replaces.",
        complexity: "O(1)",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`SET` with `GET`",
        }),
        handler: Handler::Write(set::getset),
        ..STRING
    },
    CommandSpec {
        name: "getrange",
        since: "2.4.0",
        arity: 4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key start end",
        summary: "Reads part of a string.",
        complexity: "O(N), N being the number of bytes returned",
        handler: Handler::Read(ranges::getrange),
        ..STRING
    },
    CommandSpec {
        name: "substr",
        since: "1.0.0",
        arity: 4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key start end",
        summary: "Reads part of a string.",
        complexity: "O(N), N being the number of bytes returned",
        deprecated: Some(Deprecated {
            since: "2.0.0",
            replaced_by: "`GETRANGE`",
        }),
        handler: Handler::Read(ranges::getrange),
        ..STRING
    },
    CommandSpec {
        name: "strlen",
        since: "2.2.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key",
        summary: "Gives the length of a string in bytes.",
        complexity: "O(1)",
        handler: Handler::Read(ranges::strlen),
        ..STRING
    },
    CommandSpec {
        name: "append",
        since: "2.0.0",
        arity: 3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key value",
        summary: "Adds to the end of a string, creating it if missing.",
        complexity: "O(1) amortised",
        handler: Handler::Write(ranges::append),
        ..STRING
    },
    CommandSpec {
        name: "setrange",
        since: "2.2.0",
        arity: 4,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key offset value",
        summary: "Overwrites a string from an offset on, filling a gap with zero bytes.",
        complexity: "O(N), N being the bytes written; O(1) amortised for short ones",
        handler: Handler::Write(ranges::setrange),
        ..STRING
    },
    CommandSpec {
        name: "setnx",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "OW insert")],
        syntax: "key value",
        summary: "Stores a string unless the key exists.",
        complexity: "O(1)",
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with `NX`",
        }),
        handler: Handler::Write(set::setnx),
        ..STRING
    },
    CommandSpec {
        name: "setex",
        since: "2.0.0",
        arity: 4,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "OW update")],
        syntax: "key seconds value",
        summary: "Stores a string with an expiry in seconds.",
        complexity: "O(1)",
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with `EX`",
        }),
        handler: Handler::Write(set::setex),
        ..STRING
    },
    CommandSpec {
        name: "psetex",
        since: "2.6.0",
        arity: 4,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "OW update")],
        syntax: "key milliseconds value",
        summary: "Stores a string with an expiry in milliseconds.",
        complexity: "O(1)",
        deprecated: Some(Deprecated {
            since: "2.6.12",
            replaced_by: "`SET` with `PX`",
        }),
        handler: Handler::Write(set::psetex),
        ..STRING
    },
    CommandSpec {
        name: "mget",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::from(1, "RO access")],
        syntax: "key [key ...]",
        summary: "Reads the strings at several keys at once.",
        complexity: "O(1) for each key",
        tips: &["request_policy:multi_shard"],
        handler: Handler::Read(many::mget),
        ..STRING
    },
    CommandSpec {
        name: "mset",
        since: "1.0.1",
        arity: -3,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::range(1, -1, 2, "OW update")],
        syntax: "key value [key value ...]{data}",
        summary: "Stores several strings at once.",
        complexity: "O(1) for each key",
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        handler: Handler::Write(many::mset),
        ..STRING
    },
    CommandSpec {
        name: "msetnx",
        since: "1.0.1",
        arity: -3,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::range(1, -1, 2, "OW insert")],
        syntax: "key value [key value ...]{data}",
        summary: "Stores several strings at once, or none if one of the keys exists.",
        complexity: "O(1) for each key",
        handler: Handler::Write(many::msetnx),
        ..STRING
    },
    CommandSpec {
        name: "msetex",
        since: "9.1.0",
        arity: -4,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::counted_pairs(1, "OW update")],
        syntax: "numkeys key value [key value ...]{data} [NX | XX]{condition} [EX \
                 seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
                 unix-time-milliseconds | KEEPTTL]{expiration}",
        summary: "Stores several strings at once, under one condition and with one expiry.",
        complexity: "O(1) for each key",
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        handler: Handler::Write(many::msetex),
        ..STRING
    },
    CommandSpec {
        name: "incr",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key",
        summary: "Adds one to the integer at a key; a missing key counts as 0.",
        complexity: "O(1)",
        handler: Handler::Write(counters::incr),
        ..STRING
    },
    CommandSpec {
        name: "incrby",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key increment",
        summary: "Adds to the integer at a key; a missing key counts as 0.",
        complexity: "O(1)",
        handler: Handler::Write(counters::incrby),
        ..STRING
    },
    CommandSpec {
        name: "decr",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key",
        summary: "Takes one from the integer at a key; a missing key counts as 0.",
        complexity: "O(1)",
        handler: Handler::Write(counters::decr),
        ..STRING
    },
    CommandSpec {
        name: "decrby",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key decrement",
        summary: "Takes from the integer at a key; a missing key counts as 0.",
        complexity: "O(1)",
        handler: Handler::Write(counters::decrby),
        ..STRING
    },
    CommandSpec {
        name: "incrbyfloat",
        since: "2.6.0",
        arity: 3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key increment{:double}",
        summary: "Adds to the floating point number at a key; a missing key counts as 0.",
        complexity: "O(1)",
        handler: Handler::Write(counters::incrbyfloat),
        ..STRING
    },
    CommandSpec {
        name: "lcs",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::range(1, 1, 1, "RO access")],
        syntax: "key1 key2{#0} [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
        summary: "Finds the longest common subsequence of two strings.",
        complexity: "O(N*M), N and M being the lengths of the two strings",
        handler: Handler::Read(lcs::lcs),
        ..STRING
    },
    CommandSpec {
        name: "delifeq",
        since: "9.0.0",
        arity: 3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RM delete")],
        syntax: "key value",
        summary: "Removes a key if it holds the given string.",
        complexity: "O(1)",
        handler: Handler::Write(set::delifeq),
        ..STRING
    },
];
