//! What happens at the ends of lists: pushing, popping, moving from one to another.

use super::edit::{End, ListEdit};
use crate::commands::many_pop::ManyPop;
use crate::config::NotifyClass;
use crate::execute::{Effect, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};

/// `LPUSH key element [element ...]`
pub(super) fn lpush(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    push(ctx, args, End::Left, true, reply)
}

/// `RPUSH key element [element ...]`
pub(super) fn rpush(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    push(ctx, args, End::Right, true, reply)
}

/// `LPUSHX key element [element ...]`
pub(super) fn lpushx(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    push(ctx, args, End::Left, false, reply)
}

/// `RPUSHX key element [element ...]`
pub(super) fn rpushx(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    push(ctx, args, End::Right, false, reply)
}

fn push(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    end: End,
    creates: bool,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    if !creates && ctx.find(key).is_none() {
        reply.int(0);
        return Ok(Effect::None);
    }
    let mut edit = ListEdit::open_or_new(ctx, key)?;
    edit.expect(args.len() - 2, args.from(2).map(<[u8]>::len).sum());
    for text in args.from(2) {
        edit.push(end, text);
    }
    reply.int(edit.len() as i64);
    edit.close_grown();
    ctx.notify(NotifyClass::LIST, end.pushed(), key);
    Ok(Effect::AsReceived)
}

/// `LPOP key [count]`
pub(super) fn lpop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    pop(ctx, args, End::Left, "lpop", reply)
}

/// `RPOP key [count]`
pub(super) fn rpop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    pop(ctx, args, End::Right, "rpop", reply)
}

fn pop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    end: End,
    name: &str,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    if args.len() > 3 {
        return Err(errors::wrong_arity(name));
    }
    let count = match args.get(2) {
        None => None,
        Some(text) => {
            let count = parse_i64(text).and_then(|n| usize::try_from(n).ok());
            Some(count.ok_or(errors::MUST_BE_POSITIVE)?)
        }
    };
    let Some(found) = ctx.find_to_write(key) else {
        match count {
            Some(_) => reply.null_array(),
            None => reply.null(),
        }
        return Ok(Effect::None);
    };
    let Some(count) = count else {
        let mut edit = ListEdit::of(ctx, key, found)?;
        let text = edit.pop(end).unwrap_or_default();
        let left = edit.close();
        reply.bulk(&text);
        tell_popped(ctx, key, end, left);
        return Ok(Effect::AsReceived);
    };
    ctx.list_of(found)?;
    if count == 0 {
        reply.array(0);
        return Ok(Effect::None);
    }
    let left = take(ctx, key, found, end, count, reply)?;
    tell_popped(ctx, key, end, left);
    Ok(Effect::AsReceived)
}

/// Takes up to `count` elements from an end and writes them as an array; whether a list is
/// left.
fn take(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    found: crate::execute::Found,
    end: End,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<bool, WireError> {
    let mut edit = ListEdit::of(ctx, key, found)?;
    let len = edit.len();
    let count = count.min(len);
    reply.array(count);
    let list = edit.get();
    match end {
        End::Left => {
            for element in list.iter().take(count) {
                super::bulk(reply, element);
            }
            edit.remove(0, count);
        }
        End::Right => {
            let tail: Vec<_> = list.range(len - count).collect();
            for element in tail.into_iter().rev() {
                super::bulk(reply, element);
            }
            edit.remove(len - count, count);
        }
    }
    Ok(edit.close())
}

/// Tells that elements were popped, and that the key is gone if none is left.
pub(in crate::commands) fn tell_popped(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    end: End,
    left: bool,
) {
    ctx.notify(NotifyClass::LIST, end.popped(), key);
    if !left {
        ctx.notify(NotifyClass::GENERIC, "del", key);
    }
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`
pub(super) fn lmove(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let from = End::named(args.at(3)).ok_or(errors::SYNTAX)?;
    let to = End::named(args.at(4)).ok_or(errors::SYNTAX)?;
    move_between(ctx, args.at(1), args.at(2), from, to, reply)
}

/// `RPOPLPUSH source destination`
pub(super) fn rpoplpush(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    move_between(ctx, args.at(1), args.at(2), End::Right, End::Left, reply)
}

fn move_between(
    ctx: &mut WriteContext<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    match move_element(ctx, source, destination, from, to)? {
        Some(text) => {
            reply.bulk(&text);
            Ok(Effect::AsReceived)
        }
        None => {
            reply.null();
            Ok(Effect::None)
        }
    }
}

/// Moves one element; `None` if the source is not there.
///
/// # Errors
/// `WRONGTYPE` if one of the two is no list.
pub(in crate::commands) fn move_element(
    ctx: &mut WriteContext<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
) -> Result<Option<Vec<u8>>, WireError> {
    let Some(found) = ctx.find_to_write(source) else {
        return Ok(None);
    };
    ctx.list_of(found)?;
    if source != destination
        && let Some(target) = ctx.find(destination)
    {
        ctx.list_of(target)?;
    }
    // Looking for the destination may have deleted it, which moves what was found.
    let Some(found) = ctx.find(source) else {
        return Ok(None);
    };
    let mut edit = ListEdit::of(ctx, source, found)?;
    let text = edit.pop(from).unwrap_or_default();
    if source == destination {
        edit.expect(1, text.len());
        edit.push(to, &text);
        edit.close();
        ctx.notify(NotifyClass::LIST, to.pushed(), destination);
        ctx.notify(NotifyClass::LIST, from.popped(), source);
        return Ok(Some(text));
    }
    let left = edit.close();
    let mut edit = ListEdit::open_or_new(ctx, destination)?;
    edit.expect(1, text.len());
    edit.push(to, &text);
    edit.close_grown();
    ctx.notify(NotifyClass::LIST, to.pushed(), destination);
    tell_popped(ctx, source, from, left);
    Ok(Some(text))
}

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]`
pub(super) fn lmpop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let given = ManyPop::parse(args, 1, End::named)?;
    let keys = args.skip(2).first(given.keys);
    if pop_first(ctx, keys, &given, reply)? {
        return Ok(Effect::Rewritten);
    }
    reply.null_array();
    Ok(Effect::None)
}

/// Pops from the first of the keys that holds a list, and writes the effect; `false` if none
/// does.
///
/// # Errors
/// `WRONGTYPE` if a key before it holds another type.
pub(in crate::commands) fn pop_first(
    ctx: &mut WriteContext<'_>,
    keys: Args<'_>,
    given: &ManyPop<End>,
    reply: &mut Reply<'_>,
) -> Result<bool, WireError> {
    for key in keys.iter() {
        let Some(found) = ctx.find_to_write(key) else {
            continue;
        };
        let count = given.count.min(ctx.list_of(found)?.len());
        reply.array(2);
        reply.bulk(key);
        let left = take(ctx, key, found, given.from, count, reply)?;
        tell_popped(ctx, key, given.from, left);
        let name: &[u8] = match given.from {
            End::Left => b"LPOP",
            End::Right => b"RPOP",
        };
        ctx.effect(3).arg(name).arg(key).int(count as i64);
        return Ok(true);
    }
    Ok(false)
}
