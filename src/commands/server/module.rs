//! `MODULE`: there are none, and none can be loaded, because a module is code for the inside of
//! another server. Tools that ask what is loaded get their answer all the same.

use crate::commands::handler::Handler;
use crate::commands::spec::{CommandSpec, Flags};
use crate::execute::SessionContext;
use crate::protocol::{Args, Reply, WireError};

/// `MODULE` and its subcommands.
pub(super) const COMMAND: CommandSpec = CommandSpec {
    name: "module",
    since: "4.0.0",
    arity: -2,
    summary: "Groups the commands about modules.",
    complexity: "By subcommand",
    handler: Handler::Container,
    subcommands: &[
        CommandSpec {
            name: "list",
            arity: 2,
            flags: Flags::of("admin noscript"),
            summary: "Lists the loaded modules: there are none.",
            tips: &["nondeterministic_output_order"],
            handler: Handler::Session(list),
            ..ABOUT_ONE
        },
        CommandSpec {
            name: "load",
            arity: -3,
            syntax: "path [arg [arg ...]]",
            summary: "Fails: there are no modules.",
            handler: Handler::Session(load),
            ..ABOUT_ONE
        },
        CommandSpec {
            name: "loadex",
            since: "7.0.0",
            arity: -3,
            syntax: "path [CONFIG name value [CONFIG name value ...]]{configs} [ARGS args [args ...]]",
            summary: "Fails: there are no modules.",
            handler: Handler::Session(load),
            ..ABOUT_ONE
        },
        CommandSpec {
            name: "unload",
            arity: 3,
            syntax: "name{:string}",
            summary: "Fails: there are no modules.",
            handler: Handler::Session(unload),
            ..ABOUT_ONE
        },
        CommandSpec {
            name: "help",
            since: "5.0.0",
            arity: 2,
            flags: Flags::of("loading stale"),
            summary: "Lists the subcommands.",
            handler: Handler::Session(help),
            ..ABOUT_ONE
        },
    ],
    ..super::SERVER
};

const ABOUT_ONE: CommandSpec = CommandSpec {
    since: "4.0.0",
    flags: Flags::of("admin noscript no_async_loading"),
    complexity: "O(1)",
    ..super::SERVER
};

fn list(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.array(0);
    Ok(())
}

fn load(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    _reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    Err(WireError::fixed(
        "ERR Error loading the extension. Lockstep cannot load modules: they are code for another server.",
    ))
}

fn unload(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    _reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    Err(WireError::fixed(
        "ERR Error unloading module: no such module with that name",
    ))
}

fn help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "MODULE",
        &[
            "LIST",
            "    List the loaded modules: there are none.",
            "LOAD <path> [<arg> ...]",
            "    Fail: there are no modules.",
            "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
            "    Fail: there are no modules.",
            "UNLOAD <name>",
            "    Fail: there are no modules.",
        ],
    );
    Ok(())
}
