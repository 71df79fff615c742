//! Commands about the server as a whole.
//!
//! `info` and its sections, `config`, `debug` with `digest`, `memory`, `shutdown`, `slow`
//! (SLOWLOG and LATENCY), and the small ones in `odds`. `process` reads what the operating system knows of this process.

mod config;
mod debug;
mod digest;
mod info;
mod memory;
mod odds;
mod process;
mod shutdown;
mod slow;

use crate::commands::handler::{Handler, Scope};
use crate::commands::spec::{Acl, CommandSpec, Flags, Group, KeySpec};
use config::{
    get as config_get, help as config_help, resetstat as config_resetstat,
    rewrite as config_rewrite, set as config_set,
};
use debug::debug;
use info::info;
use memory::{help as memory_help, stats as memory_stats, usage as memory_usage};
use odds::{lastsave, lolwut, time};
use shutdown::shutdown;
use slow::{
    latency_help, latency_history, latency_latest, latency_reset, slowlog_get, slowlog_help,
    slowlog_len, slowlog_reset,
};

const SERVER: CommandSpec = CommandSpec {
    group: Group::Server,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "info",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("loading stale"),
        acl: Acl::and("dangerous"),
        syntax: "[section [section ...]]",
        summary: "Reports on the server, section by section.",
        complexity: "O(1)",
        history: &[("7.0.0", "Several sections.")],
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        handler: Handler::Session(info),
        scope: Scope::Keyspace,
        ..SERVER
    },
    CommandSpec {
        name: "config",
        since: "2.0.0",
        arity: -2,
        summary: "Groups the commands about the configuration.",
        complexity: "By subcommand",
        handler: Handler::Container,
        subcommands: &[
            CommandSpec {
                name: "get",
                since: "2.0.0",
                arity: -3,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "parameter [parameter ...]",
                summary: "Reads the options that match the patterns.",
                complexity: "O(N), N being the number of patterns",
                history: &[("7.0.0", "Several patterns.")],
                handler: Handler::Session(config_get),
                ..SERVER
            },
            CommandSpec {
                name: "set",
                since: "2.0.0",
                arity: -4,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "parameter value [parameter value ...]{data}",
                summary: "Changes options while the server runs.",
                complexity: "O(N), N being the number of options given",
                history: &[("7.0.0", "Several options.")],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                handler: Handler::Session(config_set),
                ..SERVER
            },
            CommandSpec {
                name: "rewrite",
                since: "2.8.0",
                arity: 2,
                flags: Flags::of("admin noscript loading stale"),
                summary: "Writes the options as they are now to the configuration file.",
                complexity: "O(1)",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                handler: Handler::Session(config_rewrite),
                ..SERVER
            },
            CommandSpec {
                name: "resetstat",
                since: "2.0.0",
                arity: 2,
                flags: Flags::of("admin noscript loading stale"),
                summary: "Sets the counters of INFO back to 0.",
                complexity: "O(1)",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                handler: Handler::Session(config_resetstat),
                ..SERVER
            },
            CommandSpec {
                name: "help",
                since: "5.0.0",
                arity: 2,
                flags: Flags::of("loading stale"),
                summary: "Lists the subcommands.",
                complexity: "O(1)",
                handler: Handler::Session(config_help),
                ..SERVER
            },
        ],
        ..SERVER
    },
    CommandSpec {
        name: "time",
        since: "2.6.0",
        arity: 1,
        flags: Flags::of("loading stale fast"),
        summary: "Tells the server's time.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        handler: Handler::Session(time),
        ..SERVER
    },
    CommandSpec {
        name: "debug",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("admin noscript loading stale protected"),
        summary: "Groups the commands for testing and debugging.",
        complexity: "By subcommand",
        syscmd: true,
        handler: Handler::Session(debug),
        scope: Scope::Keyspace,
        ..SERVER
    },
    CommandSpec {
        name: "shutdown",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("admin noscript loading stale no_multi allow_busy"),
        syntax: "[NOSAVE | SAVE]{save-selector} [NOW{@7.0.0}] [FORCE{@7.0.0}] \
                 [ABORT{@7.0.0}]",
        summary: "Stops the server.",
        complexity: "O(N) when saving, N being the number of keys; else O(1)",
        history: &[("7.0.0", "`NOW`, `FORCE`, `ABORT`.")],
        handler: Handler::Session(shutdown),
        ..SERVER
    },
    CommandSpec {
        name: "lolwut",
        since: "5.0.0",
        arity: -1,
        flags: Flags::of("readonly fast"),
        syntax: "[VERSION version]",
        summary: "Shows the version, with a picture.",
        handler: Handler::Session(lolwut),
        ..SERVER
    },
    CommandSpec {
        name: "lastsave",
        since: "1.0.0",
        arity: 1,
        flags: Flags::of("loading stale fast"),
        acl: Acl::and("admin dangerous"),
        summary: "Tells the Unix time of the last successful save.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        handler: Handler::Session(lastsave),
        ..SERVER
    },
    CommandSpec {
        name: "memory",
        since: "4.0.0",
        arity: -2,
        summary: "Groups the commands about memory.",
        complexity: "By subcommand",
        handler: Handler::Container,
        subcommands: &[
            CommandSpec {
                name: "usage",
                since: "4.0.0",
                arity: -3,
                flags: Flags::of("readonly"),
                keys: &[KeySpec::at(2, "RO")],
                syntax: "key [SAMPLES count]",
                summary: "Tells how many bytes a key and its value occupy.",
                complexity: "O(1)",
                handler: Handler::Read(memory_usage),
                ..SERVER
            },
            CommandSpec {
                name: "stats",
                since: "4.0.0",
                arity: 2,
                summary: "Tells where the server's memory goes.",
                complexity: "O(1)",
                tips: &[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ],
                handler: Handler::Session(memory_stats),
                scope: Scope::Keyspace,
                ..SERVER
            },
            CommandSpec {
                name: "help",
                since: "4.0.0",
                arity: 2,
                flags: Flags::of("loading stale"),
                summary: "Lists the subcommands.",
                complexity: "O(1)",
                handler: Handler::Session(memory_help),
                ..SERVER
            },
        ],
        ..SERVER
    },
    CommandSpec {
        name: "slowlog",
        since: "2.2.12",
        arity: -2,
        summary: "Groups the commands about slow commands.",
        complexity: "By subcommand",
        handler: Handler::Container,
        subcommands: &[
            CommandSpec {
                name: "get",
                since: "2.2.12",
                arity: -2,
                flags: Flags::of("admin loading stale"),
                syntax: "[count]",
                summary: "Lists the slowest of the last commands.",
                complexity: "O(N), N being the number of entries returned",
                history: &[("4.0.0", "Client address and name.")],
                tips: &["request_policy:all_nodes", "nondeterministic_output"],
                handler: Handler::Session(slowlog_get),
                ..SERVER
            },
            CommandSpec {
                name: "len",
                since: "2.2.12",
                arity: 2,
                flags: Flags::of("admin loading stale"),
                summary: "Counts the entries of the slow log.",
                complexity: "O(1)",
                tips: &[
                    "request_policy:all_nodes",
                    "response_policy:agg_sum",
                    "nondeterministic_output",
                ],
                handler: Handler::Session(slowlog_len),
                ..SERVER
            },
            CommandSpec {
                name: "reset",
                since: "2.2.12",
                arity: 2,
                flags: Flags::of("admin loading stale"),
                summary: "Empties the slow log.",
                complexity: "O(N), N being the number of entries",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                handler: Handler::Session(slowlog_reset),
                ..SERVER
            },
            CommandSpec {
                name: "help",
                since: "6.2.0",
                arity: 2,
                flags: Flags::of("loading stale"),
                summary: "Lists the subcommands.",
                complexity: "O(1)",
                handler: Handler::Session(slowlog_help),
                ..SERVER
            },
        ],
        ..SERVER
    },
    CommandSpec {
        name: "latency",
        since: "2.8.13",
        arity: -2,
        summary: "Groups the commands about spikes of latency.",
        complexity: "By subcommand",
        handler: Handler::Container,
        subcommands: &[
            CommandSpec {
                name: "history",
                since: "2.8.13",
                arity: 3,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "event",
                summary: "Lists the spikes of an event.",
                complexity: "O(1)",
                tips: &[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ],
                handler: Handler::Session(latency_history),
                ..SERVER
            },
            CommandSpec {
                name: "latest",
                since: "2.8.13",
                arity: 2,
                flags: Flags::of("admin noscript loading stale"),
                summary: "Lists the last spike of each event.",
                complexity: "O(1)",
                tips: &[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ],
                handler: Handler::Session(latency_latest),
                ..SERVER
            },
            CommandSpec {
                name: "reset",
                since: "2.8.13",
                arity: -2,
                flags: Flags::of("admin noscript loading stale"),
                syntax: "[event [event ...]]",
                summary: "Forgets the spikes of events.",
                complexity: "O(1)",
                tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
                handler: Handler::Session(latency_reset),
                ..SERVER
            },
            CommandSpec {
                name: "help",
                since: "2.8.13",
                arity: 2,
                flags: Flags::of("loading stale"),
                summary: "Lists the subcommands.",
                complexity: "O(1)",
                handler: Handler::Session(latency_help),
                ..SERVER
            },
        ],
        ..SERVER
    },
];
