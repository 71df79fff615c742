//! Strings that count.

use crate::config::NotifyClass;
use crate::execute::{Effect, Expiry, StringRef, WriteContext};
use crate::keyspace::{Kind, Payload};
use crate::number::{LongDouble, parse_i64};
use crate::protocol::{Args, Reply, WireError, errors};

/// `INCR key`
pub(super) fn incr(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    add(ctx, args.at(1), 1, reply)
}

/// `DECR key`
pub(super) fn decr(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    add(ctx, args.at(1), -1, reply)
}

/// `INCRBY key increment`
pub(super) fn incrby(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let by = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    add(ctx, args.at(1), by, reply)
}

/// `DECRBY key decrement`
pub(super) fn decrby(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let by = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let by = by.checked_neg().ok_or(errors::DECREMENT_OVERFLOW)?;
    add(ctx, args.at(1), by, reply)
}

#[inline]
fn add(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    by: i64,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let Some(found) = ctx.find(key) else {
        ctx.insert(ctx.db(), key, None, Payload::Int(by));
        ctx.notify(NotifyClass::STRING, "incrby", key);
        reply.int(by);
        return Ok(Effect::AsReceived);
    };
    let (old, in_place) = match ctx.string_of(found)? {
        StringRef::Int(n) => (n, true),
        StringRef::Bytes(text) => (parse_i64(text).ok_or(errors::NOT_AN_INTEGER)?, false),
        StringRef::Shared(_) => return Err(errors::NOT_AN_INTEGER),
    };
    let new = old.checked_add(by).ok_or(errors::OVERFLOW)?;
    if in_place {
        ctx.mark_used(found);
        ctx.set_int(found, new);
    } else {
        ctx.replace(found, Payload::Int(new), Expiry::Keep);
    }
    ctx.notify(NotifyClass::STRING, "incrby", key);
    reply.int(new);
    Ok(Effect::AsReceived)
}

/// `INCRBYFLOAT key increment`
pub(super) fn incrbyfloat(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let found = ctx.find(key);
    let old = match found.map(|found| ctx.string_of(found)).transpose()? {
        None => LongDouble::from(0),
        Some(StringRef::Int(n)) => LongDouble::from(n),
        Some(StringRef::Bytes(text)) => LongDouble::parse(text).ok_or(errors::NOT_A_FLOAT)?,
        Some(StringRef::Shared(_)) => return Err(errors::NOT_A_FLOAT),
    };
    let by = LongDouble::parse(args.at(2)).ok_or(errors::NOT_A_FLOAT)?;
    let new = old + by;
    if !new.is_finite() {
        return Err(errors::NAN_OR_INFINITY);
    }
    let mut text = Vec::with_capacity(32);
    new.write_to(&mut text);
    // Stored as text even when whole, as Redis does.
    let payload = Payload::Inline(Kind::Str, &text);
    match found {
        Some(found) => ctx.replace(found, payload, Expiry::Keep),
        None => ctx.insert(ctx.db(), key, None, payload),
    }
    ctx.notify(NotifyClass::STRING, "incrbyfloat", key);
    reply.bulk(&text);
    // The result and not the sum: no node computes floats again.
    let effect = ctx.effect(4).arg(b"SET").arg(key);
    effect.arg(&text).arg(b"KEEPTTL");
    Ok(Effect::Rewritten)
}
