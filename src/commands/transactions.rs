//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: the commands about transactions. What a transaction
//! is lives in `execute/transaction.rs`.

use crate::commands::handler::Handler;
use crate::commands::spec::{CommandSpec, Flags, Group, KeySpec};
use crate::execute::{self, SessionContext};
use crate::protocol::{Args, Reply, WireError};

const TRANSACTIONS: CommandSpec = CommandSpec {
    group: Group::Transactions,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "multi",
        since: "1.2.0",
        arity: 1,
        flags: Flags::of("noscript loading stale fast allow_busy"),
        summary: "Begins a transaction: the commands that follow are queued.",
        complexity: "O(1)",
        handler: Handler::Session(multi),
        ..TRANSACTIONS
    },
    CommandSpec {
        name: "exec",
        since: "1.2.0",
        arity: 1,
        flags: Flags::of("noscript loading stale skip_slowlog"),
        summary: "Runs the queued commands with nothing in between.",
        complexity: "By the queued commands",
        handler: Handler::Session(exec),
        ..TRANSACTIONS
    },
    CommandSpec {
        name: "discard",
        since: "2.0.0",
        arity: 1,
        flags: Flags::of("noscript loading stale fast allow_busy"),
        summary: "Drops the queued commands.",
        complexity: "O(N), N being the number of queued commands",
        handler: Handler::Session(discard),
        ..TRANSACTIONS
    },
    CommandSpec {
        name: "watch",
        since: "2.2.0",
        arity: -2,
        flags: Flags::of("noscript loading stale fast allow_busy"),
        keys: &[KeySpec::from(1, "RO")],
        syntax: "key [key ...]",
        summary: "Makes the next EXEC depend on keys staying as they are.",
        complexity: "O(1) a key",
        handler: Handler::Session(watch),
        ..TRANSACTIONS
    },
    CommandSpec {
        name: "unwatch",
        since: "2.2.0",
        arity: 1,
        flags: Flags::of("noscript loading stale fast allow_busy"),
        summary: "Forgets all watched keys.",
        complexity: "O(1)",
        handler: Handler::Session(unwatch),
        ..TRANSACTIONS
    },
];

fn multi(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let transaction = &mut context.client.transaction;
    if transaction.is_open() {
        return Err(WireError::fixed("ERR MULTI calls can not be nested"));
    }
    transaction.open();
    reply.ok();
    Ok(())
}

fn exec(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    execute::exec(context, reply)
}

fn discard(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if !context.client.transaction.is_open() {
        return Err(WireError::fixed("ERR DISCARD without MULTI"));
    }
    context.client.end_transaction(context.server);
    reply.ok();
    Ok(())
}

/// Never queued: inside MULTI it is refused at once.
fn watch(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if context.client.transaction.is_open() {
        return Err(WireError::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    let (db, now) = (context.client.db, context.now);
    for key in args.from(1) {
        let mut locked = context.lock_key(db, key);
        let transaction = &mut context.client.transaction;
        transaction.watch(&mut locked, db, key, now);
    }
    reply.ok();
    Ok(())
}

fn unwatch(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    // Inside EXEC nothing is watched any more.
    context.client.transaction.unwatch(context.server);
    reply.ok();
    Ok(())
}
