//! Several keys at once.

use super::set::{Condition, SetOptions, store};
use crate::config::NotifyClass;
use crate::execute::{Effect, Expiry, ReadContext, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};

/// `MGET key [key ...]`
pub(super) fn mget(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.array(args.len() - 1);
    for key in args.from(1) {
        match ctx.string(key) {
            Ok(Some(value)) => value.reply(reply),
            // Another type counts as no string.
            Ok(None) | Err(_) => reply.null(),
        }
    }
    Ok(())
}

/// `MSET key value [key value ...]`
pub(super) fn mset(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    check_pairs(args, "mset")?;
    set_pairs(ctx, args);
    reply.ok();
    Ok(Effect::AsReceived)
}

/// `MSETNX key value [key value ...]`
pub(super) fn msetnx(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    check_pairs(args, "msetnx")?;
    if args.from(1).step_by(2).any(|key| ctx.find(key).is_some()) {
        reply.int(0);
        return Ok(Effect::None);
    }
    set_pairs(ctx, args);
    reply.int(1);
    Ok(Effect::AsReceived)
}

/// `MSETEX numkeys key value [key value ...] [NX | XX] [expiration]`
pub(super) fn msetex(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let count = parse_i64(args.at(1))
        .filter(|n| (1..=i64::from(i32::MAX)).contains(n))
        .ok_or(errors::INVALID_NUMKEYS)?;
    // A count of at most 2^31 cannot overflow here.
    let end = 2 + 2 * count as usize;
    if end > args.len() {
        return Err(errors::SYNTAX);
    }
    let options = SetOptions::parse_from(args, end, false)?;
    let expiry = options.expiry(ctx.now(), "msetex")?;
    let mut keys = (2..end).step_by(2).map(|i| args.at(i));
    let met = match options.condition {
        Condition::Absent => keys.all(|key| ctx.find(key).is_none()),
        Condition::Present => keys.all(|key| ctx.find(key).is_some()),
        Condition::Always | Condition::Equal(_) => true,
    };
    if !met {
        reply.int(0);
        return Ok(Effect::None);
    }
    reply.int(1);
    let mut effect = Effect::None;
    for i in (2..end).step_by(2) {
        let found = ctx.find(args.at(i));
        // One SET a key: every server that reads the log knows that.
        if store(ctx, args.at(i), found, args.at(i + 1), expiry) != Effect::None {
            effect = Effect::Rewritten;
        }
    }
    Ok(effect)
}

fn check_pairs(args: Args<'_>, command: &str) -> Result<(), WireError> {
    if args.len().is_multiple_of(2) {
        return Err(errors::wrong_arity(command));
    }
    Ok(())
}

fn set_pairs(ctx: &mut WriteContext<'_>, args: Args<'_>) {
    for i in (1..args.len()).step_by(2) {
        ctx.set_string(args.at(i), args.at(i + 1), Expiry::Clear);
        ctx.notify(NotifyClass::STRING, "set", args.at(i));
    }
}
