//! Commands that set, count with and remove fields.

use super::edit::HashEdit;
use super::expire::expiry_effect;
use super::texts;
use crate::execute::{Effect, WriteContext};
use crate::number::{LongDouble, MAX_INT_LEN, parse_i64};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::hash::Ttl;
use crate::values::packed::Element;

/// `HSET key field value [field value ...]`
pub(super) fn hset(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    reply.int(set_pairs(ctx, args, "hset")?);
    Ok(Effect::AsReceived)
}

/// `HMSET key field value [field value ...]`
pub(super) fn hmset(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    set_pairs(ctx, args, "hmset")?;
    reply.ok();
    Ok(Effect::AsReceived)
}

/// Sets the pairs from argument 2 on; how many fields are new.
#[inline]
fn set_pairs(ctx: &mut WriteContext<'_>, args: Args<'_>, command: &str) -> Result<i64, WireError> {
    if args.len() % 2 == 1 {
        return Err(errors::wrong_arity(command));
    }
    let mut edit = HashEdit::open_or_new(ctx, args.at(1))?;
    edit.expect(args.len() / 2 - 1);
    let mut created = 0;
    for i in (2..args.len()).step_by(2) {
        created += i64::from(edit.set(args.at(i), args.at(i + 1), Ttl::Drop));
    }
    edit.close_with(&["hset"]);
    Ok(created)
}

/// `HSETNX key field value`
pub(super) fn hsetnx(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (name, value) = (args.at(2), args.at(3));
    let mut edit = HashEdit::open_or_new(ctx, args.at(1))?;
    edit.reap(name);
    if edit.get().contains(name, edit.now()) {
        reply.int(0);
        return Ok(Effect::None);
    }
    edit.set(name, value, Ttl::Drop);
    edit.close_with(&["hset"]);
    reply.int(1);
    Ok(Effect::AsReceived)
}

/// `HDEL key field [field ...]`
pub(super) fn hdel(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let mut edit = HashEdit::open_or_new(ctx, args.at(1))?;
    let mut deleted = 0;
    for name in args.from(2) {
        deleted += i64::from(edit.delete(name));
    }
    edit.close_with(if deleted > 0 { &["hdel"] } else { &[] });
    reply.int(deleted);
    Ok(match deleted {
        0 => Effect::None,
        _ => Effect::AsReceived,
    })
}

/// `HINCRBY key field increment`
pub(super) fn hincrby(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let by = parse_i64(args.at(3)).ok_or(errors::NOT_AN_INTEGER)?;
    let name = args.at(2);
    let mut edit = HashEdit::open_or_new(ctx, args.at(1))?;
    edit.reap(name);
    let (old, ttl) = match edit.get().get(name, edit.now()) {
        None => (0, Ttl::Drop),
        Some(value) => (value.as_int().ok_or(texts::NOT_AN_INTEGER)?, Ttl::Keep),
    };
    let new = old.checked_add(by).ok_or(errors::OVERFLOW)?;
    edit.set(name, itoa::Buffer::new().format(new).as_bytes(), ttl);
    edit.close_with(&["hincrby"]);
    reply.int(new);
    Ok(Effect::AsReceived)
}

/// `HINCRBYFLOAT key field increment`
pub(super) fn hincrbyfloat(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, name) = (args.at(1), args.at(2));
    let by = LongDouble::parse(args.at(3)).ok_or(errors::NOT_A_FLOAT)?;
    if !by.is_finite() {
        return Err(texts::INCREMENT_NOT_FINITE);
    }
    let mut edit = HashEdit::open_or_new(ctx, key)?;
    edit.reap(name);
    let (old, ttl) = match edit.get().get(name, edit.now()) {
        None => (LongDouble::from(0), Ttl::Drop),
        Some(Element::Int(n)) => (LongDouble::from(n), Ttl::Keep),
        Some(Element::Str(text)) => {
            let old = LongDouble::parse(text).ok_or(texts::NOT_A_FLOAT)?;
            (old, Ttl::Keep)
        }
    };
    let new = old + by;
    if !new.is_finite() {
        return Err(errors::NAN_OR_INFINITY);
    }
    let mut text = Vec::with_capacity(2 * MAX_INT_LEN);
    new.write_to(&mut text);
    edit.set(name, &text, ttl);
    let expires_at = edit.get().find(name).and_then(|field| field.expires_at);
    edit.close_with(&["hincrbyfloat"]);
    reply.bulk(&text);
    // The sum and not the addend, so that other arithmetic cannot come to another end.
    ctx.effect(4).arg(b"HSET").arg(key).arg(name).arg(&text);
    if let Some(at) = expires_at {
        // Not HSETEX, which Redis before 8.0 does not know.
        expiry_effect(ctx, key, at, false, &[name]);
    }
    Ok(Effect::Rewritten)
}
