//! Commands about one connection, and `CLIENT`.
//!
//! `session` holds the small ones, `auth` logging in and the choice of the protocol,
//! `client` what a connection says of itself, `filter` which connections are meant, `list` how
//! they are shown, `kill` how they are ended, `pause` how they are made to wait, `tracking` client-side caching.

mod auth;
mod client;
mod filter;
mod kill;
mod list;
mod pause;
mod session;
mod tracking;

use crate::commands::handler::Handler;
use crate::commands::spec::{CommandSpec, Deprecated, Flags, Group};
use auth::{auth, hello};
use client::{
    capa as client_capa, getname as client_getname, help as client_help, id as client_id,
    import_source as client_import_source, no_evict as client_no_evict,
    no_touch as client_no_touch, reply as client_reply, setinfo as client_setinfo,
    setname as client_setname, sync as client_sync,
};
use kill::kill as client_kill;
use list::{info as client_info, list as client_list};
use pause::{pause as client_pause, unblock as client_unblock, unpause as client_unpause};
use session::{echo, ping, quit, reset, select};
use tracking::{
    caching as client_caching, getredir as client_getredir, tracking as client_tracking,
    trackinginfo as client_trackinginfo,
};

const CONNECTION: CommandSpec = CommandSpec {
    group: Group::Connection,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "auth",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("noscript loading stale fast no_auth allow_busy"),
        syntax: "[username{@6.0.0}] password",
        summary: "Logs the connection in.",
        complexity: "O(N), N being the number of passwords of the user",
        history: &[("6.0.0", "A user name may come first.")],
        handler: Handler::Session(auth),
        ..CONNECTION
    },
    CommandSpec {
        name: "hello",
        since: "6.0.0",
        arity: -1,
        flags: Flags::of("noscript loading stale fast no_auth allow_busy"),
        syntax: "[protover [AUTH username password] [SETNAME clientname]]{arguments}",
        summary: "Agrees on the protocol version, and may log in and name the connection.",
        complexity: "O(1)",
        history: &[("6.2.0", "`protover` may be left out.")],
        handler: Handler::Session(hello),
        ..CONNECTION
    },
    CommandSpec {
        name: "select",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("loading stale fast"),
        syntax: "index",
        summary: "Changes the database of the connection.",
        complexity: "O(1)",
        handler: Handler::Session(select),
        ..CONNECTION
    },
    CommandSpec {
        name: "ping",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("fast"),
        syntax: "[message]",
        summary: "Answers PONG, or what it was given.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: Handler::Session(ping),
        ..CONNECTION
    },
    CommandSpec {
        name: "echo",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("loading stale fast"),
        syntax: "message",
        summary: "Answers what it was given.",
        complexity: "O(1)",
        handler: Handler::Session(echo),
        ..CONNECTION
    },
    CommandSpec {
        name: "quit",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("noscript loading stale fast no_auth allow_busy"),
        summary: "Closes the connection.",
        complexity: "O(1)",
        deprecated: Some(Deprecated {
            since: "7.2.0",
            replaced_by: "closing the connection",
        }),
        handler: Handler::Session(quit),
        ..CONNECTION
    },
    CommandSpec {
        name: "reset",
        since: "6.2.0",
        arity: 1,
        flags: Flags::of("noscript loading stale fast no_auth allow_busy"),
        summary: "Puts the connection into the state of a new one.",
        complexity: "O(1)",
        handler: Handler::Session(reset),
        ..CONNECTION
    },
    CommandSpec {
        name: "client",
        since: "2.4.0",
        arity: -2,
        summary: "Groups the commands about connections.",
        complexity: "By subcommand",
        handler: Handler::Container,
        subcommands: &[
            CommandSpec {
                name: "id",
                since: "5.0.0",
                arity: 2,
                flags: Flags::of("noscript loading stale"),
                summary: "Tells the number of the connection.",
                complexity: "O(1)",
                handler: Handler::Session(client_id),
                ..CONNECTION
            },
            CommandSpec {
                name: "getname",
                since: "2.6.9",
                arity: 2,
                flags: Flags::of("noscript loading stale"),
                summary: "Tells the name of the connection.",
                complexity: "O(1)",
                handler: Handler::Session(client_getname),
                ..CONNECTION
            },
            CommandSpec {
                name: "setname",
                since: "2.6.9",
                arity: 3,
                flags: Flags::of("noscript loading stale"),
                syntax: "connection-name",
                summary: "Names the connection.",
                complexity: "O(1)",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                handler: Handler::Session(client_setname),
                ..CONNECTION
            },
            CommandSpec {
                name: "info",
                since: "6.2.0",
                arity: 2,
                flags: Flags::of("noscript loading stale"),
                summary: "Describes the connection.",
                complexity: "O(1)",
                tips: &["nondeterministic_output"],
                handler: Handler::Session(client_info),
                ..CONNECTION
            },
            CommandSpec {
                name: "list",
                since: "2.4.0",
                arity: -2,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>{client-type @5.0.0}] \
                         [ID client-id{@6.2.0} [client-id ...]]",
                summary: "Describes the open connections.",
                complexity: "O(N), N being the number of connections",
                history: &[
                    ("2.8.12", "`id` field."),
                    ("5.0.0", "`TYPE` filter."),
                    ("6.0.0", "`user` field."),
                    (
                        "6.2.0",
                        "`argv-mem`, `tot-mem`, `laddr`, `redir` fields; `ID` filter.",
                    ),
                    ("7.0.0", "`resp`, `multi-mem`, `rbs`, `rbp` fields."),
                    ("7.0.3", "`ssub` field."),
                    ("7.2.0", "`lib-name`, `lib-ver` fields."),
                    ("7.4.0", "`watch` field."),
                    ("8.0.0", "`io-thread` field."),
                ],
                tips: &["nondeterministic_output"],
                handler: Handler::Session(client_list),
                ..CONNECTION
            },
            CommandSpec {
                name: "kill",
                since: "2.4.0",
                arity: -3,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "<ip:port{old-format ~2.8.12} | <[ID client-id{@2.8.12}] | [TYPE \
                         <NORMAL | MASTER{@3.2.0} | SLAVE | REPLICA{@5.0.0} | \
                         PUBSUB>{client-type @2.8.12}] | [USER username] | [ADDR \
                         ip:port{addr}] | [LADDR ip:port{laddr @6.2.0}] | [SKIPME <YES | \
                         NO>] | [MAXAGE maxage{@7.4.0}]> ...{new-format}>{filter}",
                summary: "Closes connections chosen by address, id or other properties.",
                complexity: "O(N), N being the number of connections",
                history: &[
                    ("2.8.12", "Filters."),
                    ("2.8.12", "`ID` filter."),
                    ("3.2.0", "`TYPE master`."),
                    ("5.0.0", "`TYPE replica`, which `slave` still means too."),
                    ("6.2.0", "`LADDR` filter."),
                    ("7.4.0", "`MAXAGE` filter."),
                ],
                handler: Handler::Session(client_kill),
                ..CONNECTION
            },
            CommandSpec {
                name: "setinfo",
                since: "7.2.0",
                arity: 4,
                flags: Flags::of("noscript loading stale"),
                syntax: "<LIB-NAME libname | LIB-VER libver>{attr}",
                summary: "Records the name or the version of the client library.",
                complexity: "O(1)",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                handler: Handler::Session(client_setinfo),
                ..CONNECTION
            },
            CommandSpec {
                name: "reply",
                since: "3.2.0",
                arity: 3,
                flags: Flags::of("noscript loading stale"),
                syntax: "<ON | OFF | SKIP>{action}",
                summary: "Turns the replies of the connection off, on, or off for one command.",
                complexity: "O(1)",
                handler: Handler::Session(client_reply),
                ..CONNECTION
            },
            CommandSpec {
                name: "no-evict",
                since: "7.0.0",
                arity: 3,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "<ON | OFF>{enabled}",
                summary: "Protects the connection from being closed to save memory.",
                complexity: "O(1)",
                handler: Handler::Session(client_no_evict),
                ..CONNECTION
            },
            CommandSpec {
                name: "no-touch",
                since: "7.2.0",
                arity: 3,
                flags: Flags::of("noscript loading stale"),
                syntax: "<ON | OFF>{enabled}",
                summary: "Keeps the commands of the connection from marking keys as used.",
                complexity: "O(1)",
                handler: Handler::Session(client_no_touch),
                ..CONNECTION
            },
            CommandSpec {
                name: "pause",
                since: "3.0.0",
                arity: -3,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "timeout{:integer} [WRITE | ALL]{mode @6.2.0}",
                summary: "Makes clients wait for a while.",
                complexity: "O(1)",
                history: &[("6.2.0", "`WRITE` mode.")],
                handler: Handler::Session(client_pause),
                ..CONNECTION
            },
            CommandSpec {
                name: "unpause",
                since: "6.2.0",
                arity: 2,
                flags: Flags::of("admin noscript loading stale"),
                summary: "Ends a pause before its time.",
                complexity: "O(N), N being the number of clients that wait",
                handler: Handler::Session(client_unpause),
                ..CONNECTION
            },
            CommandSpec {
                name: "unblock",
                since: "5.0.0",
                arity: -3,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "client-id [TIMEOUT | ERROR]{unblock-type}",
                summary: "Ends the waiting of a client blocked by a command.",
                complexity: "O(log N), N being the number of connections",
                handler: Handler::Session(client_unblock),
                ..CONNECTION
            },
            CommandSpec {
                name: "tracking",
                since: "6.0.0",
                arity: -3,
                flags: Flags::of("noscript loading stale"),
                syntax: "<ON | OFF>{status} [REDIRECT client-id] [PREFIX prefix [PREFIX \
                         prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
                summary: "Turns notices about changed keys on or off.",
                complexity: "O(1), some options cost more",
                handler: Handler::Session(client_tracking),
                ..CONNECTION
            },
            CommandSpec {
                name: "trackinginfo",
                since: "6.2.0",
                arity: 2,
                flags: Flags::of("noscript loading stale"),
                summary: "Describes the tracking of the connection.",
                complexity: "O(1)",
                handler: Handler::Session(client_trackinginfo),
                ..CONNECTION
            },
            CommandSpec {
                name: "capa",
                since: "8.0.0",
                arity: -3,
                flags: Flags::of("noscript loading stale allow_busy"),
                syntax: "capability [capability ...]",
                summary: "Says what the connection's client is able to handle.",
                complexity: "O(1)",
                handler: Handler::Session(client_capa),
                ..CONNECTION
            },
            CommandSpec {
                name: "import-source",
                since: "8.1.0",
                arity: 3,
                flags: Flags::of("noscript loading stale"),
                syntax: "<ON | OFF>{enabled}",
                summary: "Marks the connection as one through which data is imported.",
                complexity: "O(1)",
                handler: Handler::Session(client_import_source),
                ..CONNECTION
            },
            CommandSpec {
                name: "caching",
                since: "6.0.0",
                arity: 3,
                flags: Flags::of("noscript loading stale"),
                syntax: "<YES | NO>{mode}",
                summary: "Decides whether the keys of the next command are tracked.",
                complexity: "O(1)",
                handler: Handler::Session(client_caching),
                ..CONNECTION
            },
            CommandSpec {
                name: "getredir",
                since: "6.0.0",
                arity: 2,
                flags: Flags::of("noscript loading stale"),
                summary: "Tells which client receives the tracking notices of this one.",
                complexity: "O(1)",
                handler: Handler::Session(client_getredir),
                ..CONNECTION
            },
            CommandSpec {
                name: "sync",
                since: "0.1.0",
                arity: -2,
                flags: Flags::of("noscript loading stale"),
                syntax: "[ASYNC | RECEIVED | APPLIED | FSYNCED | DEFAULT]{level}",
                summary: "Sets or tells how safe a write of this connection is before it is answered.",
                complexity: "O(1)",
                handler: Handler::Session(client_sync),
                ..CONNECTION
            },
            CommandSpec {
                name: "help",
                since: "5.0.0",
                arity: 2,
                flags: Flags::of("loading stale"),
                summary: "Lists the subcommands.",
                complexity: "O(1)",
                handler: Handler::Session(client_help),
                ..CONNECTION
            },
        ],
        ..CONNECTION
    },
];
