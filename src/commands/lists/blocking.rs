//! Commands that take from a list, or wait for one.
//!
//! Each is tried like its relative in `ends`; when there is nothing, the executor files the
//! client and tries again when a key has become a list.

use super::edit::{End, ListEdit};
use super::ends::{move_element, pop_first, tell_popped};
use crate::commands::many_pop::ManyPop;
use crate::commands::timeouts;
use crate::execute::{BlockSpec, Effect, NullReply, WriteContext};
use crate::keyspace::Wanted;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::Duration;

/// `BLPOP key [key ...] timeout`
pub(super) fn blpop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    pop(ctx, args, End::Left, reply)
}

/// `BRPOP key [key ...] timeout`
pub(super) fn brpop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    pop(ctx, args, End::Right, reply)
}

fn pop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    end: End,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let last = args.len() - 1;
    let timeout = timeouts::seconds(args.at(last))?;
    let keys = args.first(last).skip(1);
    for key in keys.iter() {
        let Some(found) = ctx.find_to_write(key) else {
            continue;
        };
        let mut edit = ListEdit::of(ctx, key, found)?;
        let text = edit.pop(end).unwrap_or_default();
        let left = edit.close();
        reply.array(2);
        reply.bulk(key);
        reply.bulk(&text);
        tell_popped(ctx, key, end, left);
        let name: &[u8] = match end {
            End::Left => b"LPOP",
            End::Right => b"RPOP",
        };
        ctx.effect(2).arg(name).arg(key);
        return Ok(Effect::Rewritten);
    }
    let block = BlockSpec::new(args, keys.iter(), Wanted::List, timeout);
    Ok(ctx.block(block, reply))
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`
pub(super) fn blmove(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let from = End::named(args.at(3)).ok_or(errors::SYNTAX)?;
    let to = End::named(args.at(4)).ok_or(errors::SYNTAX)?;
    let timeout = timeouts::seconds(args.at(5))?;
    move_or_wait(ctx, args, from, to, timeout, reply)
}

/// `BRPOPLPUSH source destination timeout`
pub(super) fn brpoplpush(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let timeout = timeouts::seconds(args.at(3))?;
    move_or_wait(ctx, args, End::Right, End::Left, timeout, reply)
}

fn move_or_wait(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    from: End,
    to: End,
    timeout: Option<Duration>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (source, destination) = (args.at(1), args.at(2));
    let Some(text) = move_element(ctx, source, destination, from, to)? else {
        let block = BlockSpec {
            null: NullReply::Bulk,
            ..BlockSpec::new(args, [source], Wanted::List, timeout)
        };
        return Ok(ctx.block(block, reply));
    };
    reply.bulk(&text);
    let effect = ctx.effect(if args.len() == 4 { 3 } else { 5 });
    if args.len() == 4 {
        effect.arg(b"RPOPLPUSH").arg(source).arg(destination);
    } else {
        let effect = effect.arg(b"LMOVE").arg(source).arg(destination);
        effect.arg(args.at(3)).arg(args.at(4));
    }
    Ok(Effect::Rewritten)
}

/// `BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]`
pub(super) fn blmpop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    // Redis looks at the timeout last.
    let given = ManyPop::parse(args, 2, End::named)?;
    let timeout = timeouts::seconds(args.at(1))?;
    let keys = args.skip(3).first(given.keys);
    if pop_first(ctx, keys, &given, reply)? {
        return Ok(Effect::Rewritten);
    }
    let block = BlockSpec::new(args, keys.iter(), Wanted::List, timeout);
    Ok(ctx.block(block, reply))
}
