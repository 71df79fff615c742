//! Streams: the family's table of contents.
//!
//! `add` makes entries and trims, `entries` finds and deletes them, `read` follows streams,
//! `groups` makes groups, `pending` and `claim` look after what they have delivered, and
//! `info` tells about it all. `ids` reads identities, `options` what several commands take;
//! `effects` says in old commands what newer ones have done.
//!
//! What must stay true: an effect holds no choice of the server (identities and times are
//! resolved, approximate trimming is exact), Redis 7.0 understands it, and it holds all of a group's state but when its
//! consumers were heard of.

mod add;
mod claim;
mod consumers;
mod effects;
mod entries;
mod groups;
mod ids;
mod info;
mod options;
mod pending;
mod read;
mod reply;
mod texts;

use super::handler::Handler;
use super::spec::{CommandSpec, Flags, Group, KeySpec};

const STREAM: CommandSpec = CommandSpec {
    group: Group::Stream,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "xadd",
        since: "5.0.0",
        arity: -5,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW update").note("Trimming may remove entries.")],
        syntax: "key [NOMKSTREAM{@6.2.0}] [KEEPREF | DELREF | ACKED]{condition} [<MAXLEN | MINID{@6.2.0}>{strategy} [= {equal} | ~ {approximately}]{operator} threshold [LIMIT count{@6.2.0}]]{trim} <*{auto-id} | id>{id-selector} field value [field value ...]{data}",
        summary: "Adds an entry to a stream, creating it if missing.",
        complexity: "O(1), and O(N) for trimming N entries",
        history: &[
            ("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT`."),
            ("7.0.0", "`<ms>-*` as an identity."),
            ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED`."),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(add::xadd),
        ..STREAM
    },
    CommandSpec {
        name: "xtrim",
        since: "5.0.0",
        arity: -4,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key <<MAXLEN | MINID{@6.2.0}>{strategy} [= {equal} | ~ {approximately}]{operator} threshold [LIMIT count{@6.2.0}] [KEEPREF | DELREF | ACKED]{condition}>{trim}",
        summary: "Removes the oldest entries of a stream.",
        complexity: "O(N), N being the entries removed",
        history: &[
            ("6.2.0", "`MINID` and `LIMIT`."),
            ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED`."),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(add::xtrim),
        ..STREAM
    },
    CommandSpec {
        name: "xsetid",
        since: "5.0.0",
        arity: -3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key last-id [ENTRIESADDED entries-added{@7.0.0}] [MAXDELETEDID max-deleted-id{@7.0.0}]",
        summary: "Sets the identities and the counter that a stream remembers.",
        complexity: "O(1)",
        history: &[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID`.")],
        handler: Handler::Write(add::xsetid),
        ..STREAM
    },
    CommandSpec {
        name: "xlen",
        since: "5.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key",
        summary: "Counts the entries of a stream.",
        complexity: "O(1)",
        handler: Handler::Read(entries::xlen),
        ..STREAM
    },
    CommandSpec {
        name: "xrange",
        since: "5.0.0",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key start{:string} end{:string} [COUNT count]",
        summary: "Lists the entries between two identities.",
        complexity: "O(log N + M), M being the entries returned",
        history: &[("6.2.0", "Exclusive ends.")],
        handler: Handler::Read(entries::xrange),
        ..STREAM
    },
    CommandSpec {
        name: "xrevrange",
        since: "5.0.0",
        arity: -4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key end{:string} start{:string} [COUNT count]",
        summary: "Lists the entries between two identities, the last one first.",
        complexity: "O(log N + M), M being the entries returned",
        history: &[("6.2.0", "Exclusive ends.")],
        handler: Handler::Read(entries::xrevrange),
        ..STREAM
    },
    CommandSpec {
        name: "xdel",
        since: "5.0.0",
        arity: -3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key id [id ...]",
        summary: "Deletes entries of a stream.",
        complexity: "O(1) for each entry",
        handler: Handler::Write(entries::xdel),
        ..STREAM
    },
    CommandSpec {
        name: "xdelex",
        since: "8.2.0",
        arity: -5,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key [KEEPREF | DELREF | ACKED]{condition} IDS <numids id [id ...]>{ids}",
        summary: "Deletes entries of a stream with regard to who has them pending.",
        complexity: "O(1) for each entry",
        handler: Handler::Write(entries::xdelex),
        ..STREAM
    },
    CommandSpec {
        name: "xread",
        since: "5.0.0",
        arity: -4,
        flags: Flags::of("readonly blocking"),
        keys: &[KeySpec::after("STREAMS", 1, -1, 2, "RO access")],
        syntax: "[COUNT count] [BLOCK milliseconds] STREAMS <key [key ...] id [id ...]>{streams}",
        summary: "Reads what has come to several streams, or waits for it.",
        complexity: "O(log N + M) for each stream, M being the entries returned",
        handler: Handler::Write(read::xread),
        ..STREAM
    },
    CommandSpec {
        name: "xreadgroup",
        since: "5.0.0",
        arity: -7,
        flags: Flags::of("write blocking"),
        keys: &[KeySpec::after("STREAMS", 4, -1, 2, "RO access")],
        syntax: "GROUP <group consumer>{group-block} [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS <key [key ...] id [id ...]>{streams}",
        summary: "Reads what nobody else in the group has got, or what was delivered before.",
        complexity: "O(log N + M) for each stream, M being the entries returned",
        handler: Handler::Write(read::xreadgroup),
        ..STREAM
    },
    CommandSpec {
        name: "xack",
        since: "5.0.0",
        arity: -4,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key group id [id ...]",
        summary: "Acknowledges entries that a group was given.",
        complexity: "O(log N) for each entry, N being the pending ones",
        handler: Handler::Write(pending::xack),
        ..STREAM
    },
    CommandSpec {
        name: "xackdel",
        since: "8.2.0",
        arity: -6,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update delete")],
        syntax: "key group [KEEPREF | DELREF | ACKED]{condition} IDS <numids id [id ...]>{ids}",
        summary: "Acknowledges entries that a group was given, and deletes them.",
        complexity: "O(log N) for each entry, N being the pending ones",
        handler: Handler::Write(pending::xackdel),
        ..STREAM
    },
    CommandSpec {
        name: "xpending",
        since: "5.0.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key group [[IDLE min-idle-time{:integer @6.2.0}] start{:string} end{:string} count [consumer]]{filters}",
        summary: "Shows what a group was given and has not acknowledged.",
        complexity: "O(log N + M), M being the entries looked at",
        history: &[("6.2.0", "`IDLE` and exclusive ends.")],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(pending::xpending),
        ..STREAM
    },
    CommandSpec {
        name: "xclaim",
        since: "5.0.0",
        arity: -6,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        summary: "Gives pending entries to another consumer.",
        complexity: "O(log N) for each entry, N being the pending ones",
        tips: &["nondeterministic_output"],
        handler: Handler::Write(claim::xclaim),
        ..STREAM
    },
    CommandSpec {
        name: "xautoclaim",
        since: "6.2.0",
        arity: -6,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key group consumer min-idle-time start{:string} [COUNT count] [JUSTID]",
        summary: "Gives entries that were pending for long to another consumer.",
        complexity: "O(1) if COUNT is small",
        history: &[("7.0.0", "The reply tells which entries were deleted.")],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(claim::xautoclaim),
        ..STREAM
    },
    CommandSpec {
        name: "xgroup",
        since: "5.0.0",
        arity: -2,
        summary: "Groups the commands that make and remove consumer groups.",
        complexity: "By subcommand",
        subcommands: XGROUP,
        handler: Handler::Container,
        ..STREAM
    },
    CommandSpec {
        name: "xinfo",
        since: "5.0.0",
        arity: -2,
        summary: "Groups the commands that tell about streams.",
        complexity: "By subcommand",
        subcommands: XINFO,
        handler: Handler::Container,
        ..STREAM
    },
];

const XGROUP: &[CommandSpec] = &[
    CommandSpec {
        name: "create",
        since: "5.0.0",
        arity: -5,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(2, "RW insert")],
        syntax: "key group <id | ${new-id}>{id-selector} [MKSTREAM] [ENTRIESREAD entries-read{entriesread :integer}]",
        summary: "Makes a consumer group.",
        complexity: "O(1)",
        history: &[("7.0.0", "`ENTRIESREAD`.")],
        handler: Handler::Write(groups::create),
        ..STREAM
    },
    CommandSpec {
        name: "setid",
        since: "5.0.0",
        arity: -5,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(2, "RW update")],
        syntax: "key group <id | ${new-id}>{id-selector} [ENTRIESREAD entries-read{entriesread :integer}]",
        summary: "Sets what a consumer group was given last.",
        complexity: "O(1)",
        history: &[("7.0.0", "`ENTRIESREAD`.")],
        handler: Handler::Write(groups::setid),
        ..STREAM
    },
    CommandSpec {
        name: "destroy",
        since: "5.0.0",
        arity: 4,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(2, "RW delete")],
        syntax: "key group",
        summary: "Removes a consumer group.",
        complexity: "O(N), N being the pending entries",
        handler: Handler::Write(groups::destroy),
        ..STREAM
    },
    CommandSpec {
        name: "createconsumer",
        since: "6.2.0",
        arity: 5,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(2, "RW insert")],
        syntax: "key group consumer",
        summary: "Makes a consumer in a group.",
        complexity: "O(1)",
        handler: Handler::Write(groups::create_consumer),
        ..STREAM
    },
    CommandSpec {
        name: "delconsumer",
        since: "5.0.0",
        arity: 5,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(2, "RW delete")],
        syntax: "key group consumer",
        summary: "Removes a consumer with all that it has pending.",
        complexity: "O(N), N being what it has pending",
        handler: Handler::Write(groups::delete_consumer),
        ..STREAM
    },
    CommandSpec {
        name: "help",
        since: "5.0.0",
        arity: 2,
        flags: Flags::of("loading stale"),
        summary: "Lists the subcommands.",
        complexity: "O(1)",
        handler: Handler::Session(groups::help),
        ..STREAM
    },
];

const XINFO: &[CommandSpec] = &[
    CommandSpec {
        name: "stream",
        since: "5.0.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(2, "RO access")],
        syntax: "key [FULL [COUNT count]]{full-block}",
        summary: "Tells about a stream.",
        complexity: "O(1), or O(N) for N entries shown",
        history: &[
            ("6.0.0", "`FULL`."),
            (
                "7.0.0",
                "`max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`.",
            ),
            (
                "7.2.0",
                "`active-time`; `seen-time` means the last attempt.",
            ),
        ],
        handler: Handler::Read(info::stream),
        ..STREAM
    },
    CommandSpec {
        name: "groups",
        since: "5.0.0",
        arity: 3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(2, "RO access")],
        syntax: "key",
        summary: "Tells about the consumer groups of a stream.",
        complexity: "O(1) for each group",
        history: &[("7.0.0", "`entries-read` and `lag`.")],
        handler: Handler::Read(info::groups),
        ..STREAM
    },
    CommandSpec {
        name: "consumers",
        since: "5.0.0",
        arity: 4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(2, "RO access")],
        syntax: "key group",
        summary: "Tells about the consumers of a group.",
        complexity: "O(1) for each consumer",
        history: &[("7.2.0", "`inactive`; `idle` means the last attempt.")],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(info::consumers),
        ..STREAM
    },
    CommandSpec {
        name: "help",
        since: "5.0.0",
        arity: 2,
        flags: Flags::of("loading stale"),
        summary: "Lists the subcommands.",
        complexity: "O(1)",
        handler: Handler::Session(info::help),
        ..STREAM
    },
];
