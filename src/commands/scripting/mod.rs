//! Scripts: the family's table of contents.

mod eval;
mod script;

use super::handler::{Handler, Scope};
use super::spec::{Acl, CommandSpec, Flags, Group, KeySpec};

const SCRIPTING: CommandSpec = CommandSpec {
    group: Group::Scripting,
    ..CommandSpec::DEFAULT
};

/// The keys of a script: a count, and that many after it.
const fn script_keys(flags: &'static str) -> KeySpec {
    KeySpec::counted(2, flags)
}

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "eval",
        since: "2.6.0",
        arity: -3,
        flags: Flags::of("noscript stale skip_monitor no_mandatory_keys may_replicate script"),
        keys: &[script_keys("RW access update").note(
            "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
        )],
        syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a Lua script.",
        complexity: "That of the script",
        handler: Handler::Session(eval::eval),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "eval_ro",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("readonly noscript stale skip_monitor no_mandatory_keys script"),
        acl: Acl::only("scripting"),
        keys: &[script_keys("RO access").note(
            "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
        )],
        syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a Lua script that does not write.",
        complexity: "That of the script",
        handler: Handler::Session(eval::eval_ro),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "evalsha",
        since: "2.6.0",
        arity: -3,
        flags: Flags::of("noscript stale skip_monitor no_mandatory_keys may_replicate script"),
        keys: &[script_keys("RW access update")],
        syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a cached Lua script by its SHA-1.",
        complexity: "That of the script",
        handler: Handler::Session(eval::evalsha),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "evalsha_ro",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("readonly noscript stale skip_monitor no_mandatory_keys script"),
        acl: Acl::only("scripting"),
        keys: &[script_keys("RO access")],
        syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a cached Lua script that does not write.",
        complexity: "That of the script",
        handler: Handler::Session(eval::evalsha_ro),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "script",
        since: "2.6.0",
        arity: -2,
        acl: Acl::only(""),
        summary: "Groups the commands about cached scripts.",
        complexity: "By subcommand",
        handler: Handler::Container,
        subcommands: SCRIPT,
        ..SCRIPTING
    },
];

const SCRIPT: &[CommandSpec] = &[
    CommandSpec {
        name: "load",
        since: "2.6.0",
        arity: 3,
        flags: Flags::of("noscript stale"),
        syntax: "script",
        summary: "Caches a script without running it.",
        complexity: "O(N), N being the length of the script",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        handler: Handler::Session(script::load),
        ..SCRIPTING
    },
    CommandSpec {
        name: "exists",
        since: "2.6.0",
        arity: -3,
        flags: Flags::of("noscript"),
        syntax: "sha1 [sha1 ...]",
        summary: "Tells which scripts are cached.",
        complexity: "O(1) for each SHA-1",
        tips: &[
            "request_policy:all_shards",
            "response_policy:agg_logical_and",
        ],
        handler: Handler::Session(script::exists),
        ..SCRIPTING
    },
    CommandSpec {
        name: "flush",
        since: "2.6.0",
        arity: -2,
        flags: Flags::of("noscript"),
        syntax: "[ASYNC | SYNC]{flush-type @6.2.0}",
        summary: "Forgets all cached scripts.",
        complexity: "O(N), N being the number of scripts",
        history: &[(
            "6.2.0",
            "Added the `ASYNC` and `SYNC` flushing mode modifiers.",
        )],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        handler: Handler::Session(script::flush),
        ..SCRIPTING
    },
    CommandSpec {
        name: "kill",
        since: "2.6.0",
        arity: 2,
        flags: Flags::of("noscript allow_busy"),
        summary: "Ends the script that runs.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        handler: Handler::Session(script::kill),
        ..SCRIPTING
    },
    CommandSpec {
        name: "debug",
        since: "3.2.0",
        arity: 3,
        flags: Flags::of("noscript"),
        syntax: "<YES | SYNC | NO>{mode}",
        summary: "Sets the debugger for the connection's scripts; there is none here.",
        complexity: "O(1)",
        handler: Handler::Session(script::debug),
        ..SCRIPTING
    },
    CommandSpec {
        name: "help",
        since: "5.0.0",
        arity: 2,
        flags: Flags::of("loading stale"),
        summary: "Lists the subcommands.",
        complexity: "O(1)",
        handler: Handler::Session(script::help),
        ..SCRIPTING
    },
];
