//! Commands that take from a sorted set, or wait for one.
//!
//! Each is tried like its relative in `pops`; when there is nothing, the executor files the
//! client and tries again when a key has become a sorted set.

use super::pops::{Which, pop_first, take};
use crate::commands::many_pop::ManyPop;
use crate::commands::timeouts;
use crate::execute::{BlockSpec, Effect, WriteContext};
use crate::keyspace::Wanted;
use crate::protocol::{Args, Reply, WireError};

/// `BZPOPMIN key [key ...] timeout`
pub(super) fn bzpopmin(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    pop(ctx, args, Which::Min, reply)
}

/// `BZPOPMAX key [key ...] timeout`
pub(super) fn bzpopmax(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    pop(ctx, args, Which::Max, reply)
}

fn pop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    which: Which,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let last = args.len() - 1;
    let timeout = timeouts::seconds(args.at(last))?;
    let keys = args.first(last).skip(1);
    for key in keys.iter() {
        let Some(found) = ctx.find_to_write(key) else {
            continue;
        };
        let taken = take(ctx, key, found, which, 1)?;
        reply.array(1 + 2 * taken.len());
        reply.bulk(key);
        for (member, score) in &taken {
            reply.bulk(member);
            reply.double(*score);
        }
        let name = which.name().to_ascii_uppercase();
        ctx.effect(2).arg(name.as_bytes()).arg(key);
        return Ok(Effect::Rewritten);
    }
    let block = BlockSpec::new(args, keys.iter(), Wanted::SortedSet, timeout);
    Ok(ctx.block(block, reply))
}

/// `BZMPOP timeout numkeys key [key ...] MIN|MAX [COUNT count]`
pub(super) fn bzmpop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    // Redis looks at the timeout last.
    let given = ManyPop::parse(args, 2, Which::named)?;
    let timeout = timeouts::seconds(args.at(1))?;
    let keys = args.skip(3).first(given.keys);
    if pop_first(ctx, keys, &given, reply)? {
        return Ok(Effect::Rewritten);
    }
    let block = BlockSpec::new(args, keys.iter(), Wanted::SortedSet, timeout);
    Ok(ctx.block(block, reply))
}
