//! Whole databases: counting, emptying and exchanging them.

use super::handler::{Handler, Scope};
use super::spec::{Acl, CommandSpec, Flags, Group};
use crate::execute::{Effect, Flushed, FlushedKeys, ReadContext, WriteContext};
use crate::keyspace::DbIndex;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};

const SERVER: CommandSpec = CommandSpec {
    group: Group::Server,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "dbsize",
        since: "1.0.0",
        arity: 1,
        flags: Flags::of("readonly fast"),
        acl: Acl::and("keyspace"),
        summary: "Counts the keys of the database.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        handler: Handler::Read(dbsize),
        scope: Scope::Database,
        ..SERVER
    },
    CommandSpec {
        name: "flushall",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("write"),
        acl: Acl::and("dangerous keyspace"),
        syntax: "[ASYNC{@4.0.0} | SYNC{@6.2.0}]{flush-type}",
        summary: "Removes all keys of all databases.",
        complexity: "O(N), N being the number of keys in all databases",
        history: &[("4.0.0", "`ASYNC`."), ("6.2.0", "`SYNC`.")],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: Handler::Write(flushall),
        scope: Scope::Keyspace,
        ..SERVER
    },
    CommandSpec {
        name: "flushdb",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("write"),
        acl: Acl::and("dangerous keyspace"),
        syntax: "[ASYNC{@4.0.0} | SYNC{@6.2.0}]{flush-type}",
        summary: "Removes all keys of the database.",
        complexity: "O(N), N being the number of keys in the database",
        history: &[("4.0.0", "`ASYNC`."), ("6.2.0", "`SYNC`.")],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: Handler::Write(flushdb),
        scope: Scope::Database,
        ..SERVER
    },
    CommandSpec {
        name: "swapdb",
        since: "4.0.0",
        arity: 3,
        flags: Flags::of("write fast"),
        acl: Acl::and("dangerous keyspace"),
        syntax: "index1 index2",
        summary: "Exchanges two databases.",
        complexity: "O(N), N being the number of clients that watch or wait on keys of either",
        handler: Handler::Write(swapdb),
        scope: Scope::Keyspace,
        ..SERVER
    },
];

fn dbsize(ctx: &ReadContext<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let shards = ctx.locked().shards().filter(|(db, _)| *db == ctx.db());
    reply.int(shards.map(|(_, shard)| shard.len()).sum::<usize>() as i64);
    Ok(())
}

fn flushdb(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let db = ctx.db();
    flush(ctx, args, reply, Flushed::Database, |at| at == db)
}

fn flushall(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    flush(ctx, args, reply, Flushed::All, |_| true)
}

/// Empties the databases that are `chosen`. The keys are freed by another thread whether
/// `SYNC` was said or not: nobody can tell, and nobody waits. An empty database is flushed
/// in the log as well, as Redis does: it may not be empty elsewhere.
fn flush(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    what: Flushed,
    chosen: impl Fn(DbIndex) -> bool,
) -> Result<Effect, WireError> {
    let known = args.len() == 1 || args.is(1, "async") || args.is(1, "sync");
    if args.len() > 2 || !known {
        return Err(errors::SYNTAX);
    }
    let shards = ctx.locked().shards_mut();
    let full = shards.filter(|(db, shard)| chosen(*db) && !shard.is_empty());
    let mut keys = 0;
    let freed: Vec<_> = full
        .map(|(_, shard)| {
            keys += shard.len() as u64;
            shard.flush()
        })
        .collect();
    if !freed.is_empty() {
        let content = Box::new(freed);
        ctx.free_later(FlushedKeys { content, keys });
    }
    ctx.note_flush(what);
    reply.ok();
    Ok(Effect::AsReceived)
}

fn swapdb(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    // A number of 32 bits is an index at least; whether it exists is told apart.
    let number = |i, error| {
        let number = parse_i64(args.at(i)).filter(|n| i32::try_from(*n).is_ok());
        number.ok_or(error)
    };
    let first = number(1, errors::INVALID_FIRST_DB)?;
    let second = number(2, errors::INVALID_SECOND_DB)?;
    let index = |n: i64| {
        let index = u32::try_from(n).ok().map(DbIndex);
        let index = index.filter(|db| db.0 < ctx.settings().databases);
        index.ok_or(errors::DB_OUT_OF_RANGE)
    };
    let (first, second) = (index(first)?, index(second)?);
    ctx.locked().swap(first, second);
    reply.ok();
    Ok(Effect::AsReceived)
}
