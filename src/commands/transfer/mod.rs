//! Values on their way to and from other servers: the family's table of contents.

mod dump;
mod migrate;

use super::handler::Handler;
use super::spec::{Acl, CommandSpec, Flags, Group, KeySpec};

const GENERIC: CommandSpec = CommandSpec {
    group: Group::Generic,
    ..CommandSpec::DEFAULT
};

const RESTORE: CommandSpec = CommandSpec {
    name: "restore",
    since: "2.6.0",
    arity: -4,
    flags: Flags::of("write denyoom"),
    acl: Acl::and("dangerous"),
    keys: &[KeySpec::at(1, "OW update")],
    syntax: "key ttl{:integer} serialized-value{:string} [REPLACE{@3.0.0}] [ABSTTL{@5.0.0}] \
             [IDLETIME seconds{:integer @5.0.0}] [FREQ frequency{:integer @5.0.0}]",
    summary: "Makes a key from what DUMP gave.",
    complexity: "O(N), N being the number of elements; O(N*log(N)) for sorted sets",
    history: &[
        ("3.0.0", "`REPLACE`."),
        ("5.0.0", "`ABSTTL`."),
        ("5.0.0", "`IDLETIME` and `FREQ`."),
    ],
    handler: Handler::Write(dump::restore),
    ..GENERIC
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "dump",
        since: "2.6.0",
        arity: 2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Gives a value in the form that RESTORE takes.",
        complexity: "O(N), N being the number of elements and their size",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(dump::dump),
        ..GENERIC
    },
    RESTORE,
    CommandSpec {
        name: "migrate",
        since: "2.6.0",
        arity: -6,
        flags: Flags::of("write"),
        acl: Acl::and("dangerous"),
        keys: &[
            KeySpec::at(3, "RW access delete"),
            KeySpec::after("KEYS", -2, -1, 0, "RW access delete incomplete"),
        ],
        syntax: "host{:string} port{:integer} <key{#0} | \"\"{empty-string}>{key-selector} destination-db{:integer} \
                 timeout{:integer} [COPY{@3.0.0}] [REPLACE{@3.0.0}] [AUTH password{auth @4.0.7} | \
                 <AUTH2 username password>{+auth2 @6.0.0}]{authentication} \
                 [KEYS key{keys #1 @3.0.6} [key ...]]",
        summary: "Moves keys to another server.",
        complexity: "O(N), N being the number of elements, and as much traffic",
        history: &[
            ("3.0.0", "`COPY` and `REPLACE`."),
            ("3.0.6", "`KEYS`."),
            ("4.0.7", "`AUTH`."),
            ("6.0.0", "`AUTH2`."),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Session(migrate::migrate),
        ..GENERIC
    },
    CommandSpec {
        name: "restore-asking",
        since: "3.0.0",
        flags: Flags::of("write denyoom asking"),
        acl: Acl::and("keyspace dangerous"),
        group: Group::Server,
        summary: "Makes a key of a slot that is being imported, from what DUMP gave.",
        syscmd: true,
        ..RESTORE
    },
];
