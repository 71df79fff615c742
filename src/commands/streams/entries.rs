//! Entries by their identities: `XLEN`, `XRANGE`, `XREVRANGE`, `XDEL`, `XDELEX`.

use super::options::IdBlock;
use super::{effects, ids, reply as replies};
use crate::config::NotifyClass;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::number;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::stream::{Refs, Removed, Stream, StreamId};

/// `XLEN key`
pub(super) fn xlen(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(ctx.stream(args.at(1))?.map_or(0, Stream::len) as i64);
    Ok(())
}

/// `XRANGE key start end [COUNT count]`
pub(super) fn xrange(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    range(ctx, args, reply, false)
}

/// `XREVRANGE key end start [COUNT count]`
pub(super) fn xrevrange(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    range(ctx, args, reply, true)
}

fn range(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    backwards: bool,
) -> Result<(), WireError> {
    let (first, last) = if backwards { (3, 2) } else { (2, 3) };
    let start = ids::start(args.at(first))?;
    let end = ids::end(args.at(last))?;
    let mut count = None;
    let mut at = 4;
    while at < args.len() {
        let (true, Some(text)) = (args.is(at, "count"), args.get(at + 1)) else {
            return Err(errors::SYNTAX);
        };
        let given = number::parse_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
        count = Some(usize::try_from(given).unwrap_or(0));
        at += 2;
    }
    let Some(stream) = ctx.stream(args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    match count {
        Some(0) => reply.null_array(),
        count => {
            let most = count.unwrap_or(usize::MAX);
            if backwards {
                replies::entries(reply, stream.range_back(start, end).take(most));
            } else {
                replies::entries(reply, stream.range(start, end).take(most));
            }
        }
    }
    Ok(())
}

/// `XDEL key id [id ...]`
pub(super) fn xdel(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let Some(found) = ctx.find(key) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    let stream = ctx.stream_of(found)?;
    let texts = args.from(2).map(|text| ids::parse(text, 0));
    let mut ids = texts.collect::<Result<Vec<_>, _>>()?;
    ids.retain(|id| stream.contains(*id));
    let mut removed = 0;
    if !ids.is_empty()
        && let Some(stream) = ctx.object::<Stream>(found)
    {
        removed = ids.iter().filter(|id| delete(stream, **id)).count();
    }
    reply.int(removed as i64);
    if removed == 0 {
        return Ok(Effect::None);
    }
    ctx.notify(NotifyClass::STREAM, "xdel", key);
    Ok(Effect::AsReceived)
}

/// `XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]`
pub(super) fn xdelex(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let found = ctx.find(key);
    found.map(|found| ctx.stream_of(found)).transpose()?;
    let block = IdBlock::read(args, 2)?;
    let Some(found) = found else {
        reply.array(block.count);
        (0..block.count).for_each(|_| reply.int(NOT_THERE));
        return Ok(Effect::None);
    };
    let ids = block.ids(args)?;
    let Some(stream) = ctx.object_quietly::<Stream>(found) else {
        return Err(errors::WRONG_TYPE);
    };
    let mut removed = Removed::default();
    reply.array(ids.len());
    for id in ids {
        if block.refs == Refs::Acknowledged && !stream.is_acknowledged(id) {
            reply.int(STILL_PENDING);
            continue;
        }
        if block.refs == Refs::Delete {
            stream.drop_references(id, &mut removed);
        }
        let was_there = delete(stream, id);
        if was_there {
            removed.ids.push(id);
        }
        reply.int(if was_there { DELETED } else { NOT_THERE });
    }
    if !removed.ids.is_empty() {
        ctx.touch(ctx.db(), key);
        ctx.notify(NotifyClass::STREAM, "xdel", key);
    }
    Ok(effects::removal(ctx, key, removed))
}

/// Deletes an entry by name; whether it was there.
pub(super) fn delete(stream: &mut Stream, id: StreamId) -> bool {
    let removed = stream.remove(id);
    if removed {
        stream.max_deleted_id = stream.max_deleted_id.max(id);
    }
    removed
}

/// What XDELEX and XACKDEL say of an identity.
pub(super) const DELETED: i64 = 1;
pub(super) const NOT_THERE: i64 = -1;
pub(super) const STILL_PENDING: i64 = 2;
