//! Commands about the server as a whole.
//!
//! `info` and its sections, `config`, `debug` with `digest`, `memory`, `latency`,
//! `command_log`, `module`, `shutdown`, and the small ones in `odds`. `process` reads what the operating
//! system knows of this process.

mod acl;
mod command_log;
mod config;
mod debug;
mod digest;
mod info;
mod latency;
mod memory;
mod module;
mod odds;
mod process;
mod shutdown;

use crate::commands::handler::{Handler, Scope};
use crate::commands::spec::{Acl, CommandSpec, Flags, Group};
use config::{
    get as config_get, help as config_help, resetstat as config_resetstat,
    rewrite as config_rewrite, set as config_set,
};
use debug::debug;
use info::info;
use odds::{lolwut, time};
use shutdown::shutdown;

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
    memory::COMMAND,
    module::COMMAND,
    acl::COMMAND,
    command_log::SLOWLOG,
    command_log::COMMANDLOG,
    latency::COMMAND,
];
