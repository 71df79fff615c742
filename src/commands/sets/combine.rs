//! Several sets: intersection, union, difference.

use super::edit::{limits, with_payload};
use super::{bulk, texts};
use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{Effect, Expiry, ReadContext, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::packed::Element;
use crate::values::set::{Encoding, Limits, OwnedSet, SetRef};

/// `SINTER key [key ...]`
pub(super) fn sinter(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let sets = read_all(ctx, args.from(1))?;
    let mut members = Vec::new();
    intersect(&sets, &mut |member| {
        members.push(member);
        true
    });
    reply.set(members.len());
    members.into_iter().for_each(|member| bulk(reply, member));
    Ok(())
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(super) fn sintercard(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let keys = parse_i64(args.at(1)).filter(|n| *n > 0);
    let keys = keys.ok_or(texts::NUMKEYS_NOT_POSITIVE)? as u64;
    if keys > args.len() as u64 - 2 {
        return Err(texts::TOO_FEW_KEYS);
    }
    let keys = keys as usize;
    let mut limit = 0;
    let mut options = Arguments::new(args, 2 + keys);
    while options.more() {
        if options.word("limit") && options.left() > 0 {
            let given = parse_i64(options.value()).filter(|n| *n >= 0);
            limit = given.ok_or(texts::NEGATIVE_LIMIT)?;
        } else {
            options.fail(errors::SYNTAX);
        }
    }
    options.finish()?;
    let sets = read_all(ctx, args.from(2).take(keys))?;
    let mut count = 0;
    intersect(&sets, &mut |_| {
        count += 1;
        limit == 0 || count < limit
    });
    reply.int(count);
    Ok(())
}

/// `SUNION key [key ...]`
pub(super) fn sunion(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let sets = read_all(ctx, args.from(1))?;
    write(reply, &union(&sets, limits(ctx.settings())));
    Ok(())
}

/// `SDIFF key [key ...]`
pub(super) fn sdiff(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let sets = read_all(ctx, args.from(1))?;
    write(reply, &difference(&sets, limits(ctx.settings())));
    Ok(())
}

/// `SINTERSTORE destination key [key ...]`
pub(super) fn sinterstore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    store(ctx, args, reply, "sinterstore", intersection)
}

/// `SUNIONSTORE destination key [key ...]`
pub(super) fn sunionstore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    store(ctx, args, reply, "sunionstore", union)
}

/// `SDIFFSTORE destination key [key ...]`
pub(super) fn sdiffstore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    store(ctx, args, reply, "sdiffstore", difference)
}

/// The sets at the keys; `None` for a missing one.
fn read_all<'a>(
    ctx: &ReadContext<'a>,
    keys: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Option<SetRef<'a>>>, WireError> {
    keys.map(|key| ctx.set(key)).collect()
}

/// Stores what `combine` makes of the sets from argument 2 on.
fn store(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    event: &'static str,
    combine: fn(&[Option<SetRef<'_>>], Limits) -> OwnedSet,
) -> Result<Effect, WireError> {
    let destination = args.at(1);
    // The first look at a key deletes it if it has expired, and what was found before does
    // not hold then; after it nothing moves any more.
    for key in args.from(2) {
        ctx.find(key);
    }
    // What comes behind a wrong type is not looked for.
    let mut found = Vec::with_capacity(args.len());
    for key in args.from(2) {
        let source = ctx.find_used(key);
        source.map(|source| ctx.set_of(source)).transpose()?;
        found.push(source);
    }
    let sets: Vec<_> = found
        .into_iter()
        .map(|found| found.map(|found| ctx.set_of(found)).transpose())
        .collect::<Result<_, _>>()?;
    let result = combine(&sets, limits(ctx.settings()));
    let len = result.as_ref().len();
    reply.int(len as i64);
    if len > 0 {
        with_payload(result, |payload| {
            ctx.put(destination, payload, Expiry::Clear);
        });
        ctx.notify(NotifyClass::SET, event, destination);
        return Ok(Effect::AsReceived);
    }
    if !ctx.delete(destination) {
        return Ok(Effect::None);
    }
    ctx.notify(NotifyClass::GENERIC, "del", destination);
    Ok(Effect::AsReceived)
}

/// Visits the members that are in all of the sets, until `visit` answers that it has enough.
/// Costs a step for each member of the smallest set and each set.
fn intersect<'a>(sets: &[Option<SetRef<'a>>], visit: &mut dyn FnMut(Element<'a>) -> bool) {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<_>>>() else {
        return;
    };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else {
        return;
    };
    for member in smallest.iter() {
        if others.iter().all(|set| set.contains(member)) && !visit(member) {
            return;
        }
    }
}

/// The intersection, in the encoding that Redis gives it.
fn intersection(sets: &[Option<SetRef<'_>>], limits: Limits) -> OwnedSet {
    let smallest = sets.iter().flatten().min_by_key(|set| set.len());
    let was_packed = smallest.is_some_and(|set| set.encoding() == Encoding::Packed);
    let mut result = OwnedSet::empty(match was_packed {
        true => Encoding::Packed,
        false => Encoding::Ints,
    });
    intersect(sets, &mut |member| {
        result.add(member, limits);
        true
    });
    if was_packed {
        result.prefer_ints(limits);
    }
    result
}

/// The union, in the encoding that Redis gives it.
fn union(sets: &[Option<SetRef<'_>>], limits: Limits) -> OwnedSet {
    let mut result = OwnedSet::empty(Encoding::Ints);
    for member in sets.iter().flatten().flat_map(|set| set.iter()) {
        result.add(member, limits);
    }
    result
}

/// The first set without what is in the others. Either each member of the first is looked
/// for in the others, or each member of the others in a copy of the first: whichever is
/// less work, with Redis's bonus for the former; the encoding of the result tells the two
/// apart.
fn difference(sets: &[Option<SetRef<'_>>], limits: Limits) -> OwnedSet {
    let mut result = OwnedSet::empty(Encoding::Ints);
    let Some((Some(first), others)) = sets.split_first() else {
        return result;
    };
    let there = others.iter().flatten();
    let looking_in_others = first.len() * (1 + there.clone().count()) / 2;
    let looking_for_others = first.len() + there.clone().map(|set| set.len()).sum::<usize>();
    if looking_in_others <= looking_for_others {
        for member in first.iter() {
            if !there.clone().any(|set| set.contains(member)) {
                result.add(member, limits);
            }
        }
        return result;
    }
    for member in first.iter() {
        result.add(member, limits);
    }
    for member in there.flat_map(|set| set.iter()) {
        result.remove(member);
        if result.as_ref().is_empty() {
            break;
        }
    }
    result
}

fn write(reply: &mut Reply<'_>, set: &OwnedSet) {
    let set = set.as_ref();
    reply.set(set.len());
    set.iter().for_each(|member| bulk(reply, member));
}
