//! What is pending: `XACK`, `XACKDEL`, `XPENDING`.

use super::entries::{DELETED, NOT_THERE, STILL_PENDING, delete};
use super::options::IdBlock;
use super::{effects, ids, reply as replies, texts};
use crate::config::NotifyClass;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::number;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::stream::{Group, Pending, Refs, Removed, Stream, StreamId};

/// `XACK key group id [id ...]`
pub(super) fn xack(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, name) = (args.at(1), args.at(2));
    let found = ctx.find_used(key);
    let group = match found {
        Some(found) => ctx.stream_of(found)?.group(name),
        None => None,
    };
    let (Some(found), Some(group)) = (found, group) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    let texts = args.from(3).map(|text| ids::parse(text, 0));
    let mut ids = texts.collect::<Result<Vec<_>, _>>()?;
    ids.retain(|id| group.pending().contains(*id));
    let mut acknowledged = 0;
    if !ids.is_empty()
        && let Some(group) = ctx
            .object_quietly::<Stream>(found)
            .and_then(|s| s.group_mut(name))
    {
        acknowledged = ids.iter().filter(|id| group.acknowledge(**id)).count();
    }
    reply.int(acknowledged as i64);
    Ok(match acknowledged {
        0 => Effect::None,
        _ => Effect::AsReceived,
    })
}

/// `XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]`
pub(super) fn xackdel(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, name) = (args.at(1), args.at(2));
    let found = ctx.find_used(key);
    let group = match found {
        Some(found) => ctx.stream_of(found)?.group(name),
        None => None,
    };
    let block = IdBlock::read(args, 3)?;
    let (Some(found), Some(_)) = (found, group) else {
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
        let group = stream.group_mut(name);
        if !group.is_some_and(|group| group.acknowledge(id)) {
            reply.int(NOT_THERE);
            continue;
        }
        removed.references.push((name.into(), id));
        if block.refs == Refs::Acknowledged && !stream.is_acknowledged(id) {
            reply.int(STILL_PENDING);
            continue;
        }
        if block.refs == Refs::Delete {
            stream.drop_references(id, &mut removed);
        }
        if delete(stream, id) {
            removed.ids.push(id);
        }
        reply.int(DELETED);
    }
    if !removed.ids.is_empty() {
        ctx.touch(ctx.db(), key);
        ctx.notify(NotifyClass::STREAM, "xdel", key);
    }
    Ok(effects::removal(ctx, key, removed))
}

/// The filter of XPENDING.
struct Filter<'a> {
    min_idle: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn read(args: Args<'a>) -> Result<Option<Self>, WireError> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(errors::SYNTAX);
        }
        let (mut at, mut min_idle) = (3, 0);
        if args.is(3, "idle") {
            min_idle = number::parse_i64(args.at(4)).ok_or(errors::NOT_AN_INTEGER)?;
            if args.len() < 8 {
                return Err(errors::SYNTAX);
            }
            at = 5;
        }
        let count = number::parse_i64(args.at(at + 2)).ok_or(errors::NOT_AN_INTEGER)?;
        Ok(Some(Filter {
            min_idle,
            start: ids::start(args.at(at))?,
            end: ids::end(args.at(at + 1))?,
            count: usize::try_from(count).unwrap_or(0),
            consumer: args.get(at + 3),
        }))
    }
}

/// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`
pub(super) fn xpending(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let filter = Filter::read(args)?;
    let (key, name) = (args.at(1), args.at(2));
    let group = ctx.stream(key)?.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| texts::no_key_or_group(key, name, ""))?;
    match filter {
        None => summary(group, reply),
        Some(filter) => list(group, &filter, ctx.now(), reply),
    }
    Ok(())
}

fn summary(group: &Group, reply: &mut Reply<'_>) {
    let pending = group.pending();
    reply.array(4);
    reply.int(pending.len() as i64);
    let (Some(first), Some(last)) = (pending.first(), pending.last()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    replies::id(reply, first);
    replies::id(reply, last);
    let busy = || group.consumers().filter(|one| !one.pending().is_empty());
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.int_bulk(consumer.pending().len() as i64);
    }
}

fn list(group: &Group, filter: &Filter<'_>, now: i64, reply: &mut Reply<'_>) {
    let idle = |pending: &Pending| now.saturating_sub(pending.delivered_at);
    let passes = |pending: &Pending| filter.min_idle <= 0 || idle(pending) >= filter.min_idle;
    let inside = |id: &StreamId| *id <= filter.end;
    let mut found: Vec<(StreamId, Pending)> = Vec::new();
    match filter.consumer {
        None => {
            let all = group.pending().from(filter.start);
            let all = all.map(|(id, pending)| (id, *pending));
            let all = all.take_while(|(id, _)| inside(id));
            found.extend(all.filter(|(_, one)| passes(one)).take(filter.count));
        }
        Some(name) => {
            let place = group.find_consumer(name);
            let own = place.and_then(|place| group.consumer(place));
            let ids = own
                .into_iter()
                .flat_map(|own| own.pending().from(filter.start));
            let ids = ids.map(|(id, ())| id).take_while(inside);
            let all = ids.filter_map(|id| Some((id, *group.pending().get(id)?)));
            found.extend(all.filter(|(_, one)| passes(one)).take(filter.count));
        }
    }
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        replies::id(reply, id);
        reply.bulk(group.consumer_name(&pending));
        reply.int(idle(&pending).max(0));
        reply.int(pending.deliveries as i64);
    }
}
