//! Scripts and functions: the family's table of contents.

mod eval;
mod fcall;
mod function;
mod script;

use super::handler::{Handler, Scope};
use super::spec::{Acl, CommandSpec, Flags, Group, KeySpec};
use crate::protocol::Args;
use crate::scripting::{ScriptFlags, Shebang, parse_sha};
use crate::server::Server;

const SCRIPTING: CommandSpec = CommandSpec {
    group: Group::Scripting,
    ..CommandSpec::DEFAULT
};

/// The keys of a script: a count, and that many after it.
const fn script_keys(flags: &'static str) -> KeySpec {
    KeySpec::counted(2, flags)
}

/// The flags of a call of one of these commands, whose arity is right: what a script or function
/// says of itself takes the place of what is supposed of all.
pub fn flags_of_call(server: &Server, spec: &CommandSpec, args: Args<'_>) -> Flags {
    let scripts = &server.scripts;
    let shebang = match spec.name {
        "fcall" | "fcall_ro" => server.keyspace.functions.find(args.at(1)).map(|found| {
            let (library, index) = found;
            let flags = library.functions.get(index).map_or(0, |info| info.flags);
            let flags = ScriptFlags::from_bits_truncate(flags);
            Shebang {
                declared: true,
                flags,
            }
        }),
        "eval" | "eval_ro" => Shebang::of_script(args.at(1)).ok(),
        _ => parse_sha(args.at(1)).and_then(|sha| Some(scripts.get(&sha)?.shebang)),
    };
    match shebang {
        Some(Shebang {
            declared: true,
            flags,
        }) => {
            let supposed = Flags::STALE | Flags::DENYOOM | Flags::WRITE | Flags::MAY_REPLICATE;
            let writes = !flags.contains(ScriptFlags::NO_WRITES);
            let mut all = spec.flags.difference(supposed);
            all.set(Flags::WRITE, writes);
            all.set(
                Flags::DENYOOM,
                writes && !flags.contains(ScriptFlags::ALLOW_OOM),
            );
            all.set(Flags::STALE, flags.contains(ScriptFlags::ALLOW_STALE));
            all
        }
        _ => spec.flags,
    }
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
    CommandSpec {
        name: "fcall",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("noscript stale skip_monitor no_mandatory_keys may_replicate script"),
        keys: &[script_keys("RW access update").note(
            "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
        )],
        syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a function of a library.",
        complexity: "That of the function",
        handler: Handler::Session(fcall::fcall),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "fcall_ro",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("readonly noscript stale skip_monitor no_mandatory_keys script"),
        acl: Acl::only("scripting"),
        keys: &[script_keys("RO access").note(
            "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
        )],
        syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a function that does not write.",
        complexity: "That of the function",
        handler: Handler::Session(fcall::fcall_ro),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "function",
        since: "7.0.0",
        arity: -2,
        acl: Acl::only(""),
        summary: "Groups the commands about libraries of functions.",
        complexity: "By subcommand",
        handler: Handler::Container,
        subcommands: FUNCTION,
        ..SCRIPTING
    },
];

const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const FUNCTION: &[CommandSpec] = &[
    CommandSpec {
        name: "load",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("write denyoom noscript"),
        syntax: "[REPLACE] function-code",
        summary: "Makes a library from its text.",
        complexity: "O(N), N being the length of the text",
        tips: EVERYWHERE,
        handler: Handler::Write(function::load),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "delete",
        since: "7.0.0",
        arity: 3,
        flags: Flags::of("write noscript"),
        syntax: "library-name",
        summary: "Deletes a library with its functions.",
        complexity: "O(N), N being the number of functions",
        tips: EVERYWHERE,
        handler: Handler::Write(function::delete),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "flush",
        since: "7.0.0",
        arity: -2,
        flags: Flags::of("write noscript"),
        syntax: "[ASYNC | SYNC]{flush-type}",
        summary: "Deletes all libraries.",
        complexity: "O(N), N being the number of functions",
        tips: EVERYWHERE,
        handler: Handler::Write(function::flush),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "restore",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("write denyoom noscript"),
        syntax: "serialized-value [FLUSH | APPEND | REPLACE]{policy}",
        summary: "Makes libraries from what FUNCTION DUMP has given.",
        complexity: "O(N), N being the length of the payload",
        tips: EVERYWHERE,
        handler: Handler::Write(function::restore),
        scope: Scope::Keyspace,
        ..SCRIPTING
    },
    CommandSpec {
        name: "dump",
        since: "7.0.0",
        arity: 2,
        flags: Flags::of("noscript"),
        summary: "Serialises all libraries.",
        complexity: "O(N), N being the number of functions",
        handler: Handler::Read(function::dump),
        scope: Scope::Database,
        ..SCRIPTING
    },
    CommandSpec {
        name: "list",
        since: "7.0.0",
        arity: -2,
        flags: Flags::of("noscript"),
        syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        summary: "Tells of all libraries and their functions.",
        complexity: "O(N), N being the number of functions",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(function::list),
        scope: Scope::Database,
        ..SCRIPTING
    },
    CommandSpec {
        name: "stats",
        since: "7.0.0",
        arity: 2,
        flags: Flags::of("noscript allow_busy"),
        summary: "Tells of the function that runs, and how many there are.",
        complexity: "O(1)",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        handler: Handler::Session(function::stats),
        ..SCRIPTING
    },
    CommandSpec {
        name: "kill",
        since: "7.0.0",
        arity: 2,
        flags: Flags::of("noscript allow_busy"),
        summary: "Ends the function that runs.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        handler: Handler::Session(function::kill),
        ..SCRIPTING
    },
    CommandSpec {
        name: "help",
        since: "7.0.0",
        arity: 2,
        flags: Flags::of("loading stale"),
        summary: "Lists the subcommands.",
        complexity: "O(1)",
        handler: Handler::Session(function::help),
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
        name: "show",
        // Valkey's.
        since: "8.0.0",
        arity: 3,
        flags: Flags::of("noscript stale"),
        syntax: "sha1",
        summary: "Shows the text of a cached script.",
        complexity: "O(N), N being the length of the script",
        handler: Handler::Session(script::show),
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
