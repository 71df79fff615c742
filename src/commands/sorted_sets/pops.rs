//! Taking members from the ends.

use super::bulk;
use super::edit::SortedSetEdit;
use crate::commands::many_pop::ManyPop;
use crate::config::NotifyClass;
use crate::execute::{Effect, Found, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};

/// Which end of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Which {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

impl Which {
    /// The end that a word names.
    pub(in crate::commands) fn named(word: &[u8]) -> Option<Which> {
        if word.eq_ignore_ascii_case(b"min") {
            Some(Which::Min)
        } else if word.eq_ignore_ascii_case(b"max") {
            Some(Which::Max)
        } else {
            None
        }
    }

    /// The command that pops from here, which is the event too.
    pub(in crate::commands) fn name(self) -> &'static str {
        match self {
            Which::Min => "zpopmin",
            Which::Max => "zpopmax",
        }
    }
}

/// Takes up to `count` members and tells of it.
///
/// # Errors
/// `WRONGTYPE` for another type.
pub(in crate::commands) fn take(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    found: Found,
    which: Which,
    count: usize,
) -> Result<Vec<(Vec<u8>, f64)>, WireError> {
    let mut edit = SortedSetEdit::of(ctx, key, found)?;
    let set = edit.get();
    let len = set.len();
    let count = count.min(len);
    let taken = match which {
        Which::Min => set
            .iter()
            .take(count)
            .map(|(m, s)| (m.to_vec(), s))
            .collect(),
        Which::Max => set
            .down_from(len)
            .take(count)
            .map(|(m, s)| (m.to_vec(), s))
            .collect(),
    };
    let first = match which {
        Which::Min => 0,
        Which::Max => len - count,
    };
    edit.remove_range(first, count);
    let left = edit.close();
    if count > 0 {
        ctx.notify(NotifyClass::ZSET, which.name(), key);
        if !left {
            ctx.notify(NotifyClass::GENERIC, "del", key);
        }
    }
    Ok(taken)
}

/// `ZPOPMIN key [count]`
pub(super) fn zpopmin(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    pop(ctx, args, Which::Min, reply)
}

/// `ZPOPMAX key [count]`
pub(super) fn zpopmax(
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
    let key = args.at(1);
    if args.len() > 3 {
        return Err(errors::SYNTAX);
    }
    let count = match args.get(2) {
        None => None,
        Some(text) => {
            let count = parse_i64(text).and_then(|n| usize::try_from(n).ok());
            Some(count.ok_or(errors::MUST_BE_POSITIVE)?)
        }
    };
    let Some(found) = ctx.find_to_write(key) else {
        reply.array(0);
        return Ok(Effect::None);
    };
    ctx.sorted_set_of(found)?;
    let taken = match count {
        Some(0) => Vec::new(),
        _ => take(ctx, key, found, which, count.unwrap_or(1))?,
    };
    // With a count RESP3 has pairs; without one, one flat pair.
    let nested = reply.resp3() && count.is_some();
    reply.array(if nested { taken.len() } else { 2 * taken.len() });
    for (member, score) in &taken {
        if nested {
            reply.array(2);
        }
        reply.bulk(member);
        reply.double(*score);
    }
    Ok(if taken.is_empty() {
        Effect::None
    } else {
        Effect::AsReceived
    })
}

/// `ZMPOP numkeys key [key ...] MIN|MAX [COUNT count]`
pub(super) fn zmpop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let given = ManyPop::parse(args, 1, Which::named)?;
    let keys = args.skip(2).first(given.keys);
    if pop_first(ctx, keys, &given, reply)? {
        return Ok(Effect::Rewritten);
    }
    reply.null_array();
    Ok(Effect::None)
}

/// Pops from the first of the keys that holds a sorted set, and writes the effect; `false` if
/// none does.
///
/// # Errors
/// `WRONGTYPE` if a key before it holds another type.
pub(in crate::commands) fn pop_first(
    ctx: &mut WriteContext<'_>,
    keys: Args<'_>,
    given: &ManyPop<Which>,
    reply: &mut Reply<'_>,
) -> Result<bool, WireError> {
    for key in keys.iter() {
        let Some(found) = ctx.find_to_write(key) else {
            continue;
        };
        ctx.sorted_set_of(found)?;
        let taken = take(ctx, key, found, given.from, given.count)?;
        reply.array(2);
        reply.bulk(key);
        reply.array(taken.len());
        for (member, score) in &taken {
            reply.array(2);
            bulk(reply, crate::values::packed::Element::Str(member));
            reply.double(*score);
        }
        let name = given.from.name().to_ascii_uppercase();
        let effect = ctx.effect(3).arg(name.as_bytes()).arg(key);
        effect.int(taken.len() as i64);
        return Ok(true);
    }
    Ok(false)
}
