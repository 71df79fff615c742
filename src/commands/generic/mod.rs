//! Commands about keys of any type: the family's table of contents.
//!
//! `keys` holds what counts, removes and describes keys, `scan` what walks a database,
//! `rename` what gives a value another place, `object` what looks at its representation.

mod keys;
mod object;
mod rename;
mod scan;

pub(crate) use object::encoding_name;

use super::handler::{Handler, Scope};
use super::spec::{Acl, CommandSpec, Flags, Group, KeySpec};

const GENERIC: CommandSpec = CommandSpec {
    group: Group::Generic,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "del",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("write"),
        keys: &[KeySpec::from(1, "RM delete")],
        syntax: "key [key ...]",
        summary: "Removes keys.",
        complexity: "O(N), N being the number of keys and of the elements they hold",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: Handler::Write(keys::del),
        ..GENERIC
    },
    CommandSpec {
        name: "unlink",
        since: "4.0.0",
        arity: -2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::from(1, "RM delete")],
        syntax: "key [key ...]",
        summary: "Removes keys and frees what they held in the background.",
        complexity: "O(N), N being the number of keys; freeing happens on another thread",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: Handler::Write(keys::del),
        ..GENERIC
    },
    CommandSpec {
        name: "exists",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::from(1, "RO")],
        syntax: "key [key ...]",
        summary: "Counts how many of the given keys exist.",
        complexity: "O(N), N being the number of keys",
        history: &[("3.0.3", "Several keys.")],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: Handler::Read(keys::exists),
        ..GENERIC
    },
    CommandSpec {
        name: "touch",
        since: "3.2.1",
        arity: -2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::from(1, "RO")],
        syntax: "key [key ...]",
        summary: "Marks keys as just used and counts those that exist.",
        complexity: "O(N), N being the number of keys",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: Handler::Read(keys::touch),
        ..GENERIC
    },
    CommandSpec {
        name: "type",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key",
        summary: "Tells the type of the value at a key.",
        complexity: "O(1)",
        handler: Handler::Read(keys::type_of),
        ..GENERIC
    },
    CommandSpec {
        name: "keys",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("readonly"),
        acl: Acl::and("dangerous"),
        syntax: "pattern",
        summary: "Lists the keys that match a pattern.",
        complexity: "O(N), N being the number of keys in the database",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        handler: Handler::Read(scan::keys),
        scope: Scope::Database,
        ..GENERIC
    },
    CommandSpec {
        name: "scan",
        since: "2.8.0",
        arity: -2,
        flags: Flags::of("readonly"),
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type{@6.0.0}]",
        summary: "Walks through the keys of the database, a few at each call.",
        complexity: "O(1) a call, O(N) for the whole walk, N being the number of keys",
        history: &[("6.0.0", "`TYPE` option.")],
        tips: &[
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special",
        ],
        handler: Handler::Read(scan::scan),
        scope: Scope::Database,
        ..GENERIC
    },
    CommandSpec {
        name: "randomkey",
        since: "1.0.0",
        arity: 1,
        flags: Flags::of("readonly"),
        summary: "Picks a key at random.",
        complexity: "O(1)",
        tips: &[
            "request_policy:all_shards",
            "response_policy:special",
            "nondeterministic_output",
        ],
        handler: Handler::Read(scan::randomkey),
        scope: Scope::Database,
        ..GENERIC
    },
    CommandSpec {
        name: "rename",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("write"),
        keys: &[
            KeySpec::at(1, "RW access delete"),
            KeySpec::at(2, "OW update"),
        ],
        syntax: "key newkey",
        summary: "Gives a key another name, replacing what has it.",
        complexity: "O(1)",
        handler: Handler::Write(rename::rename),
        ..GENERIC
    },
    CommandSpec {
        name: "renamenx",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("write fast"),
        keys: &[
            KeySpec::at(1, "RW access delete"),
            KeySpec::at(2, "OW insert"),
        ],
        syntax: "key newkey",
        summary: "Gives a key another name unless that is taken.",
        complexity: "O(1)",
        history: &[("3.2.0", "Equal names are no longer an error.")],
        handler: Handler::Write(rename::renamenx),
        ..GENERIC
    },
    CommandSpec {
        name: "copy",
        since: "6.2.0",
        arity: -3,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "RO access"), KeySpec::at(2, "OW update")],
        syntax: "source destination [DB destination-db] [REPLACE]",
        summary: "Copies a value to another key.",
        complexity: "O(N) for collections, N being the number of elements; O(1) for strings",
        handler: Handler::Write(rename::copy),
        scope: Scope::KeysAnywhere,
        ..GENERIC
    },
    CommandSpec {
        name: "move",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key db",
        summary: "Moves a key to another database.",
        complexity: "O(1)",
        handler: Handler::Write(rename::move_key),
        scope: Scope::KeysAnywhere,
        ..GENERIC
    },
    CommandSpec {
        name: "object",
        since: "2.2.3",
        arity: -2,
        summary: "Groups the commands that look at how a value is stored.",
        complexity: "By subcommand",
        handler: Handler::Container,
        subcommands: &[
            CommandSpec {
                name: "encoding",
                since: "2.2.3",
                arity: 3,
                flags: Flags::of("readonly"),
                keys: &[KeySpec::at(2, "RO")],
                syntax: "key",
                summary: "Names the representation of a value in memory.",
                complexity: "O(1)",
                tips: &["nondeterministic_output"],
                handler: Handler::Read(object::encoding),
                ..GENERIC
            },
            CommandSpec {
                name: "freq",
                since: "4.0.0",
                arity: 3,
                flags: Flags::of("readonly"),
                keys: &[KeySpec::at(2, "RO")],
                syntax: "key",
                summary: "Gives the logarithmic counter of how often a key is used.",
                complexity: "O(1)",
                tips: &["nondeterministic_output"],
                handler: Handler::Read(object::freq),
                ..GENERIC
            },
            CommandSpec {
                name: "idletime",
                since: "2.2.3",
                arity: 3,
                flags: Flags::of("readonly"),
                keys: &[KeySpec::at(2, "RO")],
                syntax: "key",
                summary: "Gives the seconds since a key was last used.",
                complexity: "O(1)",
                tips: &["nondeterministic_output"],
                handler: Handler::Read(object::idletime),
                ..GENERIC
            },
            CommandSpec {
                name: "refcount",
                since: "2.2.3",
                arity: 3,
                flags: Flags::of("readonly"),
                keys: &[KeySpec::at(2, "RO")],
                syntax: "key",
                summary: "Gives the reference count of a value.",
                complexity: "O(1)",
                tips: &["nondeterministic_output"],
                handler: Handler::Read(object::refcount),
                ..GENERIC
            },
            CommandSpec {
                name: "help",
                since: "6.2.0",
                arity: 2,
                flags: Flags::of("loading stale"),
                summary: "Lists the subcommands.",
                complexity: "O(1)",
                handler: Handler::Session(object::help),
                ..GENERIC
            },
        ],
        ..GENERIC
    },
];
