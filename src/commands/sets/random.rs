//! Members drawn at random. The effect of a draw that removes is its outcome.

use super::edit::{SetEdit, limits, with_payload};
use super::{bulk, texts};
use crate::config::NotifyClass;
use crate::execute::{Effect, Expiry, Found, ReadContext, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::random::next_u64;
use crate::values::set::{Encoding, OwnedSet, SetRef, member};

/// `SPOP key [count]`
pub(super) fn spop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    match args.len() {
        2 => spop_one(ctx, args.at(1), reply),
        3 => spop_count(ctx, args, reply),
        _ => Err(errors::SYNTAX),
    }
}

fn spop_one(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let Some(found) = ctx.find(key) else {
        reply.null();
        return Ok(Effect::None);
    };
    let Some(drawn) = ctx.set_of(found)?.random(&mut next_u64) else {
        reply.null();
        return Ok(Effect::None);
    };
    let drawn = drawn.to_vec();
    reply.bulk(&drawn);
    let mut edit = SetEdit::of(ctx, key, found)?;
    edit.remove(member(&drawn));
    let left = edit.close();
    notify(ctx, key, left);
    ctx.effect(3).arg(b"SREM").arg(key).arg(&drawn);
    Ok(Effect::Rewritten)
}

fn spop_count(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let count = parse_i64(args.at(2)).and_then(|n| usize::try_from(n).ok());
    let count = count.ok_or(errors::MUST_BE_POSITIVE)?;
    let Some(found) = ctx.find(key) else {
        reply.set(0);
        return Ok(Effect::None);
    };
    let set = ctx.set_of(found)?;
    if count == 0 {
        reply.set(0);
        return Ok(Effect::None);
    }
    if count >= set.len() {
        reply.set(set.len());
        set.iter().for_each(|member| bulk(reply, member));
        ctx.remove(found);
        notify(ctx, key, false);
        ctx.effect(2).arg(b"DEL").arg(key);
        return Ok(Effect::Rewritten);
    }
    reply.set(count);
    let drawn = if (set.len() - count).saturating_mul(FEW_LEFT) > count {
        remove_drawn(ctx, key, found, count)?
    } else {
        keep_few(ctx, found, count)?
    };
    drawn.iter().for_each(|member| reply.bulk(member));
    notify(ctx, key, true);
    for piece in drawn.chunks(PIECE) {
        let effect = ctx.effect(2 + piece.len()).arg(b"SREM").arg(key);
        for member in piece {
            effect.arg(member);
        }
    }
    Ok(Effect::Rewritten)
}

/// Takes `count` members out of many.
fn remove_drawn(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    found: Found,
    count: usize,
) -> Result<Vec<Vec<u8>>, WireError> {
    let drawn = ctx.set_of(found)?.random_distinct(count, &mut next_u64);
    let drawn: Vec<Vec<u8>> = drawn.into_iter().map(|member| member.to_vec()).collect();
    let mut edit = SetEdit::of(ctx, key, found)?;
    for text in &drawn {
        edit.remove(member(text));
    }
    edit.close();
    Ok(drawn)
}

/// Takes so many members out that few are left: those move to a new set. Like Redis's, it is
/// packed again if they allow it.
fn keep_few(
    ctx: &mut WriteContext<'_>,
    found: Found,
    count: usize,
) -> Result<Vec<Vec<u8>>, WireError> {
    let limits = limits(ctx.settings());
    let set = ctx.set_of(found)?;
    let mut kept = OwnedSet::empty(match set.encoding() {
        Encoding::Ints => Encoding::Ints,
        Encoding::Packed | Encoding::Table => Encoding::Packed,
    });
    for member in set.random_distinct(set.len() - count, &mut next_u64) {
        kept.add(member, limits);
    }
    let drawn = set
        .iter()
        .filter(|member| !kept.as_ref().contains(*member))
        .map(|member| member.to_vec())
        .collect();
    with_payload(kept, |payload| ctx.replace(found, payload, Expiry::Keep));
    Ok(drawn)
}

fn notify(ctx: &mut WriteContext<'_>, key: &[u8], left: bool) {
    ctx.notify(NotifyClass::SET, "spop", key);
    if !left {
        ctx.notify(NotifyClass::GENERIC, "del", key);
    }
}

/// `SRANDMEMBER key [count]`
pub(super) fn srandmember(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 3 {
        return Err(errors::SYNTAX);
    }
    let Some(count) = args.get(2) else {
        let set = ctx.set(args.at(1))?;
        match set.and_then(|set| set.random(&mut next_u64)) {
            Some(member) => bulk(reply, member),
            None => reply.null(),
        }
        return Ok(());
    };
    let count = parse_i64(count).ok_or(errors::NOT_AN_INTEGER)?;
    if count == i64::MIN {
        return Err(texts::COUNT_RANGE);
    }
    let Some(set) = ctx.set(args.at(1))?.filter(|set| !set.is_empty()) else {
        reply.array(0);
        return Ok(());
    };
    if count >= 0 {
        let drawn = set.random_distinct(count as usize, &mut next_u64);
        reply.array(drawn.len());
        drawn.into_iter().for_each(|member| bulk(reply, member));
        return Ok(());
    }
    draw_repeatedly(set, count.unsigned_abs(), reply)
}

fn draw_repeatedly(set: SetRef<'_>, count: u64, reply: &mut Reply<'_>) -> Result<(), WireError> {
    if count > MAX_REPEATED {
        return Err(errors::OUT_OF_RANGE);
    }
    reply.array(count as usize);
    set.random_repeated(count as usize, &mut next_u64, |member| bulk(reply, member));
    Ok(())
}

/// If this many times what is left is not more than what goes, what is left moves.
const FEW_LEFT: usize = 5;
/// Members in one SREM of an effect.
const PIECE: usize = 1024;
/// More draws than this from one set are refused: each takes room in the reply, and the
/// shard is locked meanwhile. Redis tries, and runs out of memory.
const MAX_REPEATED: u64 = 1 << 24;
