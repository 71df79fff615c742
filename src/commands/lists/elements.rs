//! The elements of one list, by index or by value.

use super::edit::ListEdit;
use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};

/// `LLEN key`
pub(super) fn llen(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let len = ctx.list(args.at(1))?.map_or(0, |list| list.len());
    reply.int(len as i64);
    Ok(())
}

/// The place of an index that may count from the end; `None` outside the list.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 {
        index.checked_add(len as i64)?
    } else {
        index
    };
    usize::try_from(index).ok().filter(|at| *at < len)
}

/// The elements from `start` to `stop`, both of which may count from the end: the first, and
/// how many.
fn span(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let from_end = |n: i64| if n < 0 { n.saturating_add(len) } else { n };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
    if start > stop || start >= len {
        return (0, 0);
    }
    (start as usize, (stop - start + 1) as usize)
}

fn two_integers(args: Args<'_>) -> Result<(i64, i64), WireError> {
    let start = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let stop = parse_i64(args.at(3)).ok_or(errors::NOT_AN_INTEGER)?;
    Ok((start, stop))
}

/// `LINDEX key index`
pub(super) fn lindex(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let Some(list) = ctx.list(args.at(1))? else {
        reply.null();
        return Ok(());
    };
    let index = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    match place(index, list.len()).and_then(|at| list.get(at)) {
        Some(element) => super::bulk(reply, element),
        None => reply.null(),
    }
    Ok(())
}

/// `LRANGE key start stop`
pub(super) fn lrange(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (start, stop) = two_integers(args)?;
    let Some(list) = ctx.list(args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let (from, count) = span(start, stop, list.len());
    reply.array(count);
    for element in list.range(from).take(count) {
        super::bulk(reply, element);
    }
    Ok(())
}

/// `LSET key index element`
pub(super) fn lset(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let found = ctx.find_to_write(key).ok_or(errors::NO_SUCH_KEY)?;
    let len = ctx.list_of(found)?.len();
    let index = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let at = place(index, len).ok_or(WireError::fixed("ERR index out of range"))?;
    let mut edit = ListEdit::of(ctx, key, found)?;
    edit.expect(1, args.at(3).len());
    edit.replace(at, args.at(3));
    if len > 1 {
        // A large element had Redis break the list up, and it stays so.
        edit.close_grown();
    } else {
        edit.close();
    }
    reply.ok();
    ctx.notify(NotifyClass::LIST, "lset", key);
    Ok(Effect::AsReceived)
}

/// `LINSERT key BEFORE|AFTER pivot element`
pub(super) fn linsert(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let after = if args.is(2, "after") {
        1
    } else if args.is(2, "before") {
        0
    } else {
        return Err(errors::SYNTAX);
    };
    let Some(found) = ctx.find_to_write(key) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    let list = ctx.list_of(found)?;
    let Some(at) = list.iter().position(|element| element.is(args.at(3))) else {
        reply.int(-1);
        return Ok(Effect::None);
    };
    let mut edit = ListEdit::of(ctx, key, found)?;
    edit.expect(1, args.at(4).len());
    edit.insert(at + after, args.at(4));
    reply.int(edit.len() as i64);
    edit.close_grown();
    ctx.notify(NotifyClass::LIST, "linsert", key);
    Ok(Effect::AsReceived)
}

/// `LTRIM key start stop`
pub(super) fn ltrim(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let (start, stop) = two_integers(args)?;
    let Some(found) = ctx.find_to_write(key) else {
        reply.ok();
        return Ok(Effect::None);
    };
    let len = ctx.list_of(found)?.len();
    let (from, count) = span(start, stop, len);
    reply.ok();
    let mut edit = ListEdit::of(ctx, key, found)?;
    edit.remove(from + count, len);
    edit.remove(0, from);
    let left = edit.close();
    ctx.notify(NotifyClass::LIST, "ltrim", key);
    if !left {
        ctx.notify(NotifyClass::GENERIC, "del", key);
    }
    if count == len {
        // Redis tells those who watch even then.
        let db = ctx.db();
        ctx.touch(db, key);
        return Ok(Effect::None);
    }
    Ok(Effect::AsReceived)
}

/// `LREM key count element`
pub(super) fn lrem(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, text) = (args.at(1), args.at(3));
    let count = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    // There is no positive number to count it with from the end.
    if count == i64::MIN {
        return Err(texts::OUT_OF_RANGE);
    }
    let Some(found) = ctx.find_to_write(key) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    let list = ctx.list_of(found)?;
    let most = match count {
        0 => usize::MAX,
        n => usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX),
    };
    // No further than to the last that goes.
    let mut places: Vec<usize>;
    if count < 0 {
        let equal = list.backwards().enumerate().filter(|(_, e)| e.is(text));
        let last = list.len() - 1;
        places = equal.take(most).map(|(i, _)| last - i).collect();
        places.reverse();
    } else {
        let equal = list.iter().enumerate().filter(|(_, e)| e.is(text));
        places = equal.take(most).map(|(i, _)| i).collect();
    }
    reply.int(places.len() as i64);
    if places.is_empty() {
        return Ok(Effect::None);
    }
    let mut edit = ListEdit::of(ctx, key, found)?;
    edit.remove_all(&places);
    let left = edit.close();
    ctx.notify(NotifyClass::LIST, "lrem", key);
    if !left {
        ctx.notify(NotifyClass::GENERIC, "del", key);
    }
    Ok(Effect::AsReceived)
}

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`
pub(super) fn lpos(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (mut rank, mut count, mut most) = (1i64, None, 0);
    let mut rest = Arguments::new(args, 3);
    while rest.more() {
        if rest.left() < 2 {
            return Err(errors::SYNTAX);
        }
        if rest.word("rank") {
            rank = parse_i64(rest.value()).ok_or(errors::NOT_AN_INTEGER)?;
            if rank == 0 {
                return Err(texts::RANK_IS_ZERO);
            }
            if rank == i64::MIN {
                return Err(texts::OUT_OF_RANGE);
            }
        } else if rest.word("count") {
            let given = parse_i64(rest.value()).filter(|n| *n >= 0);
            count = Some(given.ok_or(texts::NEGATIVE_COUNT)?);
        } else if rest.word("maxlen") {
            let given = parse_i64(rest.value()).filter(|n| *n >= 0);
            most = given.ok_or(texts::NEGATIVE_MAXLEN)?;
        } else {
            return Err(errors::SYNTAX);
        }
    }
    rest.finish()?;
    let Some(list) = ctx.list(args.at(1))? else {
        match count {
            Some(_) => reply.array(0),
            None => reply.null(),
        }
        return Ok(());
    };
    let text = args.at(2);
    let looked_at = if most == 0 { usize::MAX } else { most as usize };
    let wanted = match count {
        None => 1,
        Some(0) => usize::MAX,
        Some(n) => n as usize,
    };
    let skipped = (rank.unsigned_abs() - 1) as usize;
    let found: Vec<usize> = if rank > 0 {
        let elements = list.iter().enumerate().take(looked_at);
        let equal = elements.filter(|(_, e)| e.is(text)).map(|(i, _)| i);
        equal.skip(skipped).take(wanted).collect()
    } else {
        let last = list.len().saturating_sub(1);
        let elements = list.backwards().enumerate().take(looked_at);
        let equal = elements.filter(|(_, e)| e.is(text)).map(|(i, _)| last - i);
        equal.skip(skipped).take(wanted).collect()
    };
    match (count, found.first()) {
        (None, Some(at)) => reply.int(*at as i64),
        (None, None) => reply.null(),
        (Some(_), _) => {
            reply.array(found.len());
            found.iter().for_each(|at| reply.int(*at as i64));
        }
    }
    Ok(())
}

mod texts {
    use crate::protocol::WireError;

    pub const RANK_IS_ZERO: WireError = WireError::fixed(
        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
    );
    pub const OUT_OF_RANGE: WireError = WireError::fixed(
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    pub const NEGATIVE_COUNT: WireError = WireError::fixed("ERR COUNT can't be negative");
    pub const NEGATIVE_MAXLEN: WireError = WireError::fixed("ERR MAXLEN can't be negative");
}
