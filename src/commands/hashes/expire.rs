//! When fields expire: `HEXPIRE`, `HTTL` and their relatives, and active expiry.
//!
//! What must stay true: only absolute times in milliseconds enter the log, without the
//! condition, and only for the fields that met it. To these commands a field that has
//! expired and still lies there exists, as in Redis, until it is asked for.

use super::edit::HashEdit;
use super::fields::{Clock, fields};
use super::texts;
use crate::execute::{Effect, Origin, ReadContext, WriteContext};
use crate::protocol::{Args, Reply, WireError};
use crate::time::UnixMs;

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub(super) fn hexpire(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    set_expiry(ctx, args, Clock::EX, "hexpire", reply)
}

/// `HPEXPIRE key milliseconds [condition] FIELDS numfields field [field ...]`
pub(super) fn hpexpire(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    set_expiry(ctx, args, Clock::PX, "hpexpire", reply)
}

/// `HEXPIREAT key unix-time-seconds [condition] FIELDS numfields field [field ...]`
pub(super) fn hexpireat(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    set_expiry(ctx, args, Clock::EXAT, "hexpireat", reply)
}

/// `HPEXPIREAT key unix-time-milliseconds [condition] FIELDS numfields field [field ...]`
pub(super) fn hpexpireat(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    set_expiry(ctx, args, Clock::PXAT, "hpexpireat", reply)
}

fn set_expiry(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    clock: Clock,
    command: &str,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let mut edit = HashEdit::open_or_new(ctx, args.at(1))?;
    let at = clock.read(args.at(2), edit.ctx.now(), command)?;
    let condition = Condition::named(args, 3);
    let fields_at = if condition == Condition::Always { 3 } else { 4 };
    let names = fields(args, fields_at, texts::BAD_COUNT_EXPIRING)?;
    edit.expect_expiries();
    let past = is_past(edit.ctx, at);
    let mut changed = Vec::with_capacity(names.len());
    reply.array(names.len());
    for name in names.iter() {
        let current = edit.get().find(name).map(|field| field.expires_at);
        reply.int(match current {
            None => -2,
            Some(current) if !condition.holds(current, at) => 0,
            Some(_) => {
                changed.push(name);
                expire_field(&mut edit, name, at, past)
            }
        });
    }
    edit.close_with(match (changed.is_empty(), past) {
        (true, _) => &[],
        (false, true) => &["hdel"],
        (false, false) => &["hexpire"],
    });
    Ok(expiry_effect(ctx, args.at(1), at, past, &changed))
}

/// Sets a field's expiry, or removes the field if that is in the past. Gives the reply.
fn expire_field(edit: &mut HashEdit<'_, '_, '_>, name: &[u8], at: UnixMs, past: bool) -> i64 {
    if past {
        edit.delete(name);
        return 2;
    }
    edit.set_expiry(name, Some(at));
    1
}

/// Whether an expiry has passed already. What comes from the log is not judged by the clock
/// here: the deletion is in the log as well.
pub(super) fn is_past(ctx: &WriteContext<'_>, at: UnixMs) -> bool {
    at <= ctx.now() && ctx.origin() == Origin::Client
}

/// The effect of an expiry given to `names`, or of their removal if it was in the past.
pub(super) fn expiry_effect(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    at: UnixMs,
    past: bool,
    names: &[&[u8]],
) -> Effect {
    if past {
        return fields_effect(ctx, &[b"HDEL", key], names);
    }
    if names.is_empty() {
        return Effect::None;
    }
    let effect = ctx.effect(5 + names.len()).fields_expire();
    effect
        .arg(b"HPEXPIREAT")
        .arg(key)
        .int(at)
        .arg(b"FIELDS")
        .int(names.len() as i64);
    names.iter().for_each(|name| {
        effect.arg(name);
    });
    Effect::Rewritten
}

/// The effect of a command that consists of `head` and `names`; none without names.
pub(super) fn fields_effect(ctx: &mut WriteContext<'_>, head: &[&[u8]], names: &[&[u8]]) -> Effect {
    if names.is_empty() {
        return Effect::None;
    }
    let effect = ctx.effect(head.len() + names.len());
    for word in head.iter().chain(names) {
        effect.arg(word);
    }
    Effect::Rewritten
}

/// When an expiry is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// `NX`: if there is none.
    Absent,
    /// `XX`: if there is one.
    Present,
    /// `GT`: if it gets later; none is the latest of all.
    Later,
    /// `LT`: if it gets earlier.
    Earlier,
}

impl Condition {
    fn named(args: Args<'_>, i: usize) -> Self {
        let names = [
            ("nx", Self::Absent),
            ("xx", Self::Present),
            ("gt", Self::Later),
            ("lt", Self::Earlier),
        ];
        let named = names.into_iter().find(|(name, _)| args.is(i, name));
        named.map_or(Self::Always, |(_, condition)| condition)
    }

    fn holds(self, current: Option<UnixMs>, new: UnixMs) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => current.is_none(),
            Self::Present => current.is_some(),
            Self::Later => current.is_some_and(|current| new > current),
            Self::Earlier => current.is_none_or(|current| new < current),
        }
    }
}

/// `HPERSIST key FIELDS numfields field [field ...]`
pub(super) fn hpersist(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let mut edit = HashEdit::open_or_new(ctx, key)?;
    let names = fields(args, 2, texts::BAD_COUNT)?;
    let mut changed = Vec::with_capacity(names.len());
    reply.array(names.len());
    for name in names.iter() {
        let now = edit.now();
        let field = edit.get().find(name).filter(|field| field.is_live(now));
        reply.int(match field.map(|field| field.expires_at) {
            None => -2,
            Some(None) => -1,
            Some(Some(_)) => {
                edit.set_expiry(name, None);
                changed.push(name);
                1
            }
        });
    }
    edit.close_with(if changed.is_empty() {
        &[]
    } else {
        &["hpersist"]
    });
    Ok(persist_effect(ctx, key, &changed))
}

/// The effect of taking the expiry away from `names`.
pub(super) fn persist_effect(ctx: &mut WriteContext<'_>, key: &[u8], names: &[&[u8]]) -> Effect {
    let mut count = itoa::Buffer::new();
    let count = count.format(names.len()).as_bytes();
    let effect = fields_effect(ctx, &[b"HPERSIST", key, b"FIELDS", count], names);
    if effect == Effect::Rewritten {
        ctx.effects_tell_of_field_expiry();
    }
    effect
}

/// `HTTL key FIELDS numfields field [field ...]`
pub(super) fn httl(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let now = ctx.now();
    reply_expiries(ctx, args, reply, |at| to_seconds(at - now))
}

/// `HPTTL key FIELDS numfields field [field ...]`
pub(super) fn hpttl(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let now = ctx.now();
    reply_expiries(ctx, args, reply, |at| at - now)
}

/// `HEXPIRETIME key FIELDS numfields field [field ...]`
pub(super) fn hexpiretime(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply_expiries(ctx, args, reply, to_seconds)
}

/// `HPEXPIRETIME key FIELDS numfields field [field ...]`
pub(super) fn hpexpiretime(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply_expiries(ctx, args, reply, |at| at)
}

/// -2 for no field, -1 for no expiry, else what `show` makes of the expiry.
fn reply_expiries(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    show: impl Fn(UnixMs) -> i64,
) -> Result<(), WireError> {
    let hash = ctx.hash(args.at(1))?;
    let names = fields(args, 2, texts::BAD_COUNT)?;
    reply.array(names.len());
    for name in names.iter() {
        let field = hash.and_then(|hash| hash.find(name));
        let live = field.filter(|field| field.is_live(ctx.now()));
        reply.int(live.map_or(-2, |field| field.expires_at.map_or(-1, &show)));
    }
    Ok(())
}

/// Milliseconds to seconds, begun ones counted. Field expiries end far below the range.
fn to_seconds(ms: i64) -> i64 {
    (ms + 999) / 1000
}

/// Deletes a field that a read has found to be expired; the deletion is part of the effect.
pub fn reap_field(ctx: &mut WriteContext<'_>, key: &[u8], field: &[u8]) {
    if let Ok(mut edit) = HashEdit::open_or_new(ctx, key) {
        edit.reap(field);
        edit.close();
    }
}

/// Deletes `key` if it has expired, or what has expired of its fields, a bounded number at a
/// time. For active expiry.
pub fn expire_one(ctx: &mut WriteContext<'_>, key: &[u8]) {
    // A key of another type has nothing more to expire.
    if let Ok(mut edit) = HashEdit::open_or_new(ctx, key) {
        edit.reap_all(FIELDS_AT_A_TIME);
        edit.close();
    }
}

/// How many fields of a hash active expiry deletes under one lock.
const FIELDS_AT_A_TIME: usize = 256;
