//! Commands about the files: BGREWRITEAOF, SAVE, BGSAVE, LASTSAVE.

use super::handler::Handler;
use super::spec::{Acl, CommandSpec, Flags, Group};
use crate::dump_file::Cancelled;
use crate::execute::{After, BlockOn, SessionContext};
use crate::protocol::{Args, Reply, WireError, errors};

const SERVER: CommandSpec = CommandSpec {
    group: Group::Server,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "bgrewriteaof",
        since: "1.0.0",
        arity: 1,
        flags: Flags::of("admin no_async_loading noscript"),
        acl: Acl::and("admin slow dangerous"),
        summary: "Makes the append-only file anew from memory, in the background.",
        complexity: "O(1)",
        handler: Handler::Session(bgrewriteaof),
        ..SERVER
    },
    CommandSpec {
        name: "save",
        since: "1.0.0",
        arity: 1,
        flags: Flags::of("admin noscript no_async_loading no_multi"),
        summary: "Writes the data to the RDB file and answers when that is done.",
        complexity: "O(N), N being the number of keys in all databases",
        handler: Handler::Session(save),
        ..SERVER
    },
    CommandSpec {
        name: "bgsave",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("admin noscript no_async_loading"),
        syntax: "[SCHEDULE{@3.2.2}]",
        summary: "Writes the data to the RDB file in the background.",
        complexity: "O(1)",
        history: &[("3.2.2", "`SCHEDULE`.")],
        handler: Handler::Session(bgsave),
        ..SERVER
    },
    CommandSpec {
        name: "lastsave",
        since: "1.0.0",
        arity: 1,
        flags: Flags::of("loading stale fast"),
        acl: Acl::and("admin dangerous"),
        summary: "Tells when the RDB file was last written, in Unix seconds.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        handler: Handler::Session(lastsave),
        ..SERVER
    },
];

fn bgrewriteaof(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if context.in_transaction() {
        // The snapshot of it waits for the locks that EXEC holds.
        context.server.aof.start_rewrite(context.server);
        reply.simple("Background append only file rewriting scheduled");
        return Ok(());
    }
    if !context.server.aof.start_rewrite(context.server) {
        return Err(WireError::fixed(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    reply.simple("Background append only file rewriting started");
    Ok(())
}

/// The snapshot is the same as that of `BGSAVE`: only this client waits for it.
fn save(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    _reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let started = context.server.dump_file.start(context.server);
    let run = started.ok_or(IN_PROGRESS)?;
    context.after = After::Block(BlockOn::Save { run });
    Ok(())
}

/// `BGSAVE [SCHEDULE | CANCEL]`, the latter as in Valkey.
fn bgsave(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (server, file) = (context.server, &context.server.dump_file);
    let schedule = args.len() == 2 && args.is(1, "schedule");
    if args.len() == 2 && args.is(1, "cancel") {
        reply.simple(match file.cancel() {
            Cancelled::Running => "Background saving cancelled",
            Cancelled::Scheduled => "Scheduled background saving cancelled",
            Cancelled::Nothing => return Err(NOTHING_TO_CANCEL),
        });
        return Ok(());
    }
    if args.len() > 1 && !schedule {
        return Err(errors::SYNTAX);
    }
    if file.status().running_for.is_some() {
        return Err(IN_PROGRESS);
    }
    let rewriting = server.aof.status().rewriting_since.is_some();
    if rewriting || context.in_transaction() {
        if !schedule && !context.in_transaction() {
            return Err(REWRITING);
        }
        file.schedule();
        reply.simple("Background saving scheduled");
        return Ok(());
    }
    file.start(server).ok_or(IN_PROGRESS)?;
    reply.simple("Background saving started");
    Ok(())
}

fn lastsave(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(context.server.dump_file.last_save(context.server));
    Ok(())
}

const IN_PROGRESS: WireError = WireError::fixed("ERR Background save already in progress");
const REWRITING: WireError = WireError::fixed(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in \
     order to schedule a BGSAVE whenever possible.",
);
const NOTHING_TO_CANCEL: WireError =
    WireError::fixed("ERR Background saving is currently not in progress or scheduled");
