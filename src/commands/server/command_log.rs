//! `SLOWLOG` and `COMMANDLOG`: the last commands that were slow or large. They are kept in
//! `observe/`.

use crate::commands::handler::Handler;
use crate::commands::spec::{CommandSpec, Flags};
use crate::execute::SessionContext;
use crate::number::parse_i64;
use crate::observe::LogKind;
use crate::protocol::{Args, Reply, WireError};

const ENTRIES: CommandSpec = CommandSpec {
    since: "2.2.12",
    flags: Flags::of("admin loading stale"),
    ..super::SERVER
};

const GET: CommandSpec = CommandSpec {
    name: "get",
    complexity: "O(N), N being the number of entries returned",
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    ..ENTRIES
};

const LEN: CommandSpec = CommandSpec {
    name: "len",
    complexity: "O(1)",
    tips: &[
        "request_policy:all_nodes",
        "response_policy:agg_sum",
        "nondeterministic_output",
    ],
    ..ENTRIES
};

const RESET: CommandSpec = CommandSpec {
    name: "reset",
    complexity: "O(N), N being the number of entries",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    ..ENTRIES
};

const HELP: CommandSpec = CommandSpec {
    name: "help",
    arity: 2,
    flags: Flags::of("loading stale"),
    summary: "Lists the subcommands.",
    complexity: "O(1)",
    ..super::SERVER
};

/// `SLOWLOG` and its subcommands.
pub(super) const SLOWLOG: CommandSpec = CommandSpec {
    name: "slowlog",
    since: "2.2.12",
    arity: -2,
    summary: "Groups the commands about slow commands.",
    complexity: "By subcommand",
    handler: Handler::Container,
    subcommands: &[
        CommandSpec {
            arity: -2,
            syntax: "[count]",
            summary: "Lists the last of the slow commands.",
            history: &[("4.0.0", "Client address and name.")],
            handler: Handler::Session(slowlog_get),
            ..GET
        },
        CommandSpec {
            arity: 2,
            summary: "Counts the entries of the slow log.",
            handler: Handler::Session(slowlog_len),
            ..LEN
        },
        CommandSpec {
            arity: 2,
            summary: "Empties the slow log.",
            handler: Handler::Session(slowlog_reset),
            ..RESET
        },
        CommandSpec {
            since: "6.2.0",
            handler: Handler::Session(slowlog_help),
            ..HELP
        },
    ],
    ..super::SERVER
};

/// `COMMANDLOG` and its subcommands, which are Valkey's.
pub(super) const COMMANDLOG: CommandSpec = CommandSpec {
    name: "commandlog",
    since: "8.1.0",
    arity: -2,
    summary: "Groups the commands about slow and large commands.",
    complexity: "By subcommand",
    handler: Handler::Container,
    subcommands: &[
        CommandSpec {
            since: "8.1.0",
            arity: 4,
            syntax: "count <SLOW | LARGE-REQUEST | LARGE-REPLY>{type}",
            summary: "Lists the last of the slow or large commands.",
            handler: Handler::Session(commandlog_get),
            ..GET
        },
        CommandSpec {
            since: "8.1.0",
            arity: 3,
            syntax: "<SLOW | LARGE-REQUEST | LARGE-REPLY>{type}",
            summary: "Counts the entries of a command log.",
            handler: Handler::Session(commandlog_len),
            ..LEN
        },
        CommandSpec {
            since: "8.1.0",
            arity: 3,
            syntax: "<SLOW | LARGE-REQUEST | LARGE-REPLY>{type}",
            summary: "Empties a command log.",
            handler: Handler::Session(commandlog_reset),
            ..RESET
        },
        CommandSpec {
            since: "8.1.0",
            handler: Handler::Session(commandlog_help),
            ..HELP
        },
    ],
    ..super::SERVER
};

fn slowlog_get(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 3 {
        return Err(WireError::quoting(
            "ERR unknown subcommand or wrong number of arguments for '",
            args.at(1),
            "'. Try SLOWLOG HELP.",
        ));
    }
    let most = args.get(2).map_or(Ok(10), count)?;
    show(context, LogKind::Slow, most, reply);
    Ok(())
}

fn slowlog_len(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(context.server.command_logs.of(LogKind::Slow).len() as i64);
    Ok(())
}

fn slowlog_reset(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    context.server.command_logs.of(LogKind::Slow).clear();
    reply.ok();
    Ok(())
}

fn commandlog_get(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let most = count(args.at(2))?;
    show(context, kind(args.at(3))?, most, reply);
    Ok(())
}

fn commandlog_len(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let kind = kind(args.at(2))?;
    reply.int(context.server.command_logs.of(kind).len() as i64);
    Ok(())
}

fn commandlog_reset(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let kind = kind(args.at(2))?;
    context.server.command_logs.of(kind).clear();
    reply.ok();
    Ok(())
}

fn show(context: &SessionContext<'_>, kind: LogKind, most: usize, reply: &mut Reply<'_>) {
    let entries = context.server.command_logs.of(kind).newest(most);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.at);
        reply.int(entry.measure as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk_str(&entry.addr);
        reply.bulk(&entry.name);
    }
}

/// How many entries are asked for; -1 for all.
fn count(text: &[u8]) -> Result<usize, WireError> {
    match parse_i64(text) {
        Some(-1) => Ok(usize::MAX),
        count => count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(WireError::fixed(
                "ERR count should be greater than or equal to -1",
            )),
    }
}

fn kind(name: &[u8]) -> Result<LogKind, WireError> {
    LogKind::by_name(name).ok_or(WireError::fixed(
        "ERR type should be one of the following: slow, large-request, large-reply",
    ))
}

fn slowlog_help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    Show the newest slow commands (10; -1 for all): number, Unix time, microseconds,",
            "    arguments, client address, client name.",
            "LEN",
            "    Count them.",
            "RESET",
            "    Forget them.",
        ],
    );
    Ok(())
}

fn commandlog_help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "COMMANDLOG",
        &[
            "GET <count> <type>",
            "    Show the newest entries of a log (-1 for all): number, Unix time, microseconds",
            "    or bytes, arguments, client address, client name. The type is slow,",
            "    large-request or large-reply.",
            "LEN <type>",
            "    Count the entries of a log.",
            "RESET <type>",
            "    Empty a log.",
        ],
    );
    Ok(())
}
