//! Hashes: the family's table of contents.
//!
//! `read` holds what only looks, `write` what sets, counts and removes, `expire` the expiry
//! of fields, `options` the commands that do several of these at once. Every change goes
//! through `edit`, `fields` reads the arguments they share.
//!
//! What must stay true: a field that has expired is deleted by an effect of its own
//! (`HDEL`), by whoever asks for it or by active expiry; until then it lies there, hidden.
//! Replayed from the log, where nothing has expired before the log says so, every effect
//! here gives the same hash.

mod edit;
mod expire;
mod fields;
mod options;
mod read;
mod texts;
mod write;

pub use expire::{expire_one, reap_field};

use super::handler::Handler;
use super::spec::{CommandSpec, Deprecated, Flags, Group, KeySpec};

const HASH: CommandSpec = CommandSpec {
    group: Group::Hash,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hget",
        since: "2.0.0",
        arity: 3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key field",
        summary: "Reads a field of a hash.",
        complexity: "O(1)",
        handler: Handler::Read(read::hget),
        ..HASH
    },
    CommandSpec {
        name: "hset",
        since: "2.0.0",
        arity: -4,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key field value [field value ...]{data}",
        summary: "Sets fields of a hash, creating it if missing.",
        complexity: "O(1) for each field given",
        history: &[("4.0.0", "Several fields.")],
        handler: Handler::Write(write::hset),
        ..HASH
    },
    CommandSpec {
        name: "hmget",
        since: "2.0.0",
        arity: -3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key field [field ...]",
        summary: "Reads several fields of a hash.",
        complexity: "O(1) for each field asked for",
        handler: Handler::Read(read::hmget),
        ..HASH
    },
    CommandSpec {
        name: "hmset",
        since: "2.0.0",
        arity: -4,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key field value [field value ...]{data}",
        summary: "Sets fields of a hash, creating it if missing.",
        complexity: "O(1) for each field given",
        deprecated: Some(Deprecated {
            since: "4.0.0",
            replaced_by: "`HSET` with several fields",
        }),
        handler: Handler::Write(write::hmset),
        ..HASH
    },
    CommandSpec {
        name: "hgetall",
        since: "2.0.0",
        arity: 2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Reads all fields of a hash and their values.",
        complexity: "O(N), N being the number of fields in the hash",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(read::hgetall),
        ..HASH
    },
    CommandSpec {
        name: "hkeys",
        since: "2.0.0",
        arity: 2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Lists the fields of a hash.",
        complexity: "O(N), N being the number of fields in the hash",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(read::hkeys),
        ..HASH
    },
    CommandSpec {
        name: "hvals",
        since: "2.0.0",
        arity: 2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Lists the values of a hash.",
        complexity: "O(N), N being the number of fields in the hash",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(read::hvals),
        ..HASH
    },
    CommandSpec {
        name: "hlen",
        since: "2.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key",
        summary: "Counts the fields of a hash.",
        complexity: "O(1)",
        handler: Handler::Read(read::hlen),
        ..HASH
    },
    CommandSpec {
        name: "hexists",
        since: "2.0.0",
        arity: 3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key field",
        summary: "Tells whether a hash has a field.",
        complexity: "O(1)",
        handler: Handler::Read(read::hexists),
        ..HASH
    },
    CommandSpec {
        name: "hstrlen",
        since: "3.2.0",
        arity: 3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key field",
        summary: "Gives the length of the value of a field in bytes.",
        complexity: "O(1)",
        handler: Handler::Read(read::hstrlen),
        ..HASH
    },
    CommandSpec {
        name: "hdel",
        since: "2.0.0",
        arity: -3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key field [field ...]",
        summary: "Removes fields from a hash, and the hash with its last field.",
        complexity: "O(1) for each field given",
        history: &[("2.4.0", "Several fields.")],
        handler: Handler::Write(write::hdel),
        ..HASH
    },
    CommandSpec {
        name: "hsetnx",
        since: "2.0.0",
        arity: 4,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key field value",
        summary: "Sets a field of a hash unless the field exists.",
        complexity: "O(1)",
        handler: Handler::Write(write::hsetnx),
        ..HASH
    },
    CommandSpec {
        name: "hincrby",
        since: "2.0.0",
        arity: 4,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key field increment",
        summary: "Adds to the integer in a field; a missing field counts as 0.",
        complexity: "O(1)",
        handler: Handler::Write(write::hincrby),
        ..HASH
    },
    CommandSpec {
        name: "hincrbyfloat",
        since: "2.6.0",
        arity: 4,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key field increment{:double}",
        summary: "Adds to the floating point number in a field; a missing field counts as 0.",
        complexity: "O(1)",
        handler: Handler::Write(write::hincrbyfloat),
        ..HASH
    },
    CommandSpec {
        name: "hrandfield",
        since: "6.2.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key [count [WITHVALUES]]{options}",
        summary: "Picks fields of a hash at random.",
        complexity: "O(N), N being the number of fields returned",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(read::hrandfield),
        ..HASH
    },
    CommandSpec {
        name: "hscan",
        since: "2.8.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        summary: "Walks through the fields of a hash, a few at each call.",
        complexity: "O(1) a call, O(N) for the whole walk, N being the number of fields",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(read::hscan),
        ..HASH
    },
    CommandSpec {
        name: "hgetdel",
        since: "8.0.0",
        arity: -5,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access delete")],
        syntax: "key <FIELDS numfields field [field ...]>",
        summary: "Reads fields of a hash and removes them.",
        complexity: "O(1) for each field given",
        handler: Handler::Write(options::hgetdel),
        ..HASH
    },
    CommandSpec {
        name: "hgetex",
        since: "8.0.0",
        arity: -5,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access update").note("Written because the expiry may change.")],
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
                 unix-time-milliseconds | PERSIST]{expiration} <FIELDS numfields field \
                 [field ...]>",
        summary: "Reads fields of a hash and sets or removes their expiry.",
        complexity: "O(1) for each field given",
        handler: Handler::Write(options::hgetex),
        ..HASH
    },
    CommandSpec {
        name: "hsetex",
        since: "8.0.0",
        arity: -6,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key [NX | XX]{key-condition} [FNX | FXX]{fields-condition} [EX \
                 seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | \
                 KEEPTTL]{expiration} <FIELDS numfields field value [field value \
                 ...]{data}>",
        summary: "Sets fields of a hash together with their expiry.",
        complexity: "O(1) for each field given",
        handler: Handler::Write(options::hsetex),
        ..HASH
    },
    CommandSpec {
        name: "hexpire",
        since: "7.4.0",
        arity: -6,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key seconds [NX | XX | GT | LT]{condition} <FIELDS numfields field \
                 [field ...]>",
        summary: "Gives fields a time to live in seconds.",
        complexity: "O(1) for each field given",
        handler: Handler::Write(expire::hexpire),
        ..HASH
    },
    CommandSpec {
        name: "hpexpire",
        since: "7.4.0",
        arity: -6,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key milliseconds [NX | XX | GT | LT]{condition} <FIELDS numfields field \
                 [field ...]>",
        summary: "Gives fields a time to live in milliseconds.",
        complexity: "O(1) for each field given",
        handler: Handler::Write(expire::hpexpire),
        ..HASH
    },
    CommandSpec {
        name: "hexpireat",
        since: "7.4.0",
        arity: -6,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key unix-time-seconds [NX | XX | GT | LT]{condition} <FIELDS numfields \
                 field [field ...]>",
        summary: "Lets fields expire at a Unix time in seconds.",
        complexity: "O(1) for each field given",
        handler: Handler::Write(expire::hexpireat),
        ..HASH
    },
    CommandSpec {
        name: "hpexpireat",
        since: "7.4.0",
        arity: -6,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT]{condition} <FIELDS \
                 numfields field [field ...]>",
        summary: "Lets fields expire at a Unix time in milliseconds.",
        complexity: "O(1) for each field given",
        handler: Handler::Write(expire::hpexpireat),
        ..HASH
    },
    CommandSpec {
        name: "httl",
        since: "7.4.0",
        arity: -5,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key <FIELDS numfields field [field ...]>",
        summary: "Tells how many seconds fields have left.",
        complexity: "O(1) for each field given",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(expire::httl),
        ..HASH
    },
    CommandSpec {
        name: "hpttl",
        since: "7.4.0",
        arity: -5,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key <FIELDS numfields field [field ...]>",
        summary: "Tells how many milliseconds fields have left.",
        complexity: "O(1) for each field given",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(expire::hpttl),
        ..HASH
    },
    CommandSpec {
        name: "hexpiretime",
        since: "7.4.0",
        arity: -5,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key <FIELDS numfields field [field ...]>",
        summary: "Tells the Unix time in seconds at which fields expire.",
        complexity: "O(1) for each field given",
        handler: Handler::Read(expire::hexpiretime),
        ..HASH
    },
    CommandSpec {
        name: "hpexpiretime",
        since: "7.4.0",
        arity: -5,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key <FIELDS numfields field [field ...]>",
        summary: "Tells the Unix time in milliseconds at which fields expire.",
        complexity: "O(1) for each field given",
        handler: Handler::Read(expire::hpexpiretime),
        ..HASH
    },
    CommandSpec {
        name: "hpersist",
        since: "7.4.0",
        arity: -5,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key <FIELDS numfields field [field ...]>",
        summary: "Takes the expiry away from fields.",
        complexity: "O(1) for each field given",
        handler: Handler::Write(expire::hpersist),
        ..HASH
    },
];
