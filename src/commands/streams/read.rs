//! `XREAD` and `XREADGROUP`.

use super::claim::Claims;
use super::{ids, reply as replies, texts};
use crate::execute::{BlockSpec, Effect, Found, WriteContext};
use crate::keyspace::Wanted;
use crate::number;
use crate::protocol::{Args, OutBuf, OwnedArgs, Reply, WireError, errors};
use crate::time::{Duration, UnixMs};
use crate::values::stream::{ConsumerIndex, Pending, Stream, StreamId};

/// The arguments of a read.
struct Request<'a> {
    args: Args<'a>,
    count: usize,
    block: Option<Block>,
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// Where the keys begin, and how many there are.
    first: usize,
    streams: usize,
}

impl<'a> Request<'a> {
    fn read(args: Args<'a>, in_group: bool, now: UnixMs) -> Result<Self, WireError> {
        let mut this = Request {
            args,
            block: None,
            count: usize::MAX,
            group: None,
            no_ack: false,
            first: 0,
            streams: 0,
        };
        let mut at = 1;
        while at < args.len() && this.first == 0 {
            let left = args.len() - 1 - at;
            if args.is(at, "block") && left >= 1 {
                at += 1;
                this.block = Some(Block::read(args.at(at), now)?);
            } else if args.is(at, "count") && left >= 1 {
                at += 1;
                let count = number::parse_i64(args.at(at)).ok_or(errors::NOT_AN_INTEGER)?;
                this.count = match usize::try_from(count) {
                    Ok(0) | Err(_) => usize::MAX,
                    Ok(count) => count,
                };
            } else if args.is(at, "streams") && left >= 1 {
                this.first = at + 1;
                this.streams = left / 2;
                if left % 2 == 1 {
                    return Err(match in_group {
                        true => texts::UNBALANCED_READ_GROUP,
                        false => texts::UNBALANCED_READ,
                    });
                }
            } else if args.is(at, "group") && left >= 2 {
                if !in_group {
                    return Err(texts::GROUP_IN_XREAD);
                }
                this.group = Some((args.at(at + 1), args.at(at + 2)));
                at += 2;
            } else if args.is(at, "noack") {
                if !in_group {
                    return Err(texts::NOACK_IN_XREAD);
                }
                this.no_ack = true;
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        if this.first == 0 {
            return Err(errors::SYNTAX);
        }
        if in_group && this.group.is_none() {
            return Err(texts::MISSING_GROUP);
        }
        Ok(this)
    }

    fn key(&self, index: usize) -> &'a [u8] {
        self.args.at(self.first + index)
    }

    fn id(&self, index: usize) -> &'a [u8] {
        self.args.at(self.first + self.streams + index)
    }

    /// Writes what `serve` writes for each stream; it answers whether there was anything. A
    /// stream's key and what was read of it are a pair. If nothing was read at all, nothing is
    /// written.
    fn reply(
        &self,
        reply: &mut Reply<'_>,
        mut serve: impl FnMut(usize, &mut Reply<'_>) -> Result<bool, WireError>,
    ) -> Result<bool, WireError> {
        let mut out = OutBuf::default();
        let mut body = Reply::new(&mut out, reply.resp3());
        let mut served = 0;
        for index in 0..self.streams {
            let before = body.position();
            if !reply.resp3() {
                body.array(2);
            }
            body.bulk(self.key(index));
            match serve(index, &mut body)? {
                true => served += 1,
                false => body.rewind(before),
            }
        }
        if served == 0 {
            return Ok(false);
        }
        match reply.resp3() {
            true => reply.map(served),
            false => reply.array(served),
        }
        reply.raw(&out.flatten());
        Ok(true)
    }

    /// Ends a read that has found nothing: it waits if it was told to, with these identities
    /// in place of what stands for them.
    fn nothing(
        &self,
        ctx: &mut WriteContext<'_>,
        ids: Option<&[StreamId]>,
        reply: &mut Reply<'_>,
    ) -> Effect {
        let Some(block) = self.block else {
            reply.null_array();
            return Effect::None;
        };
        let keys = (0..self.streams).map(|index| self.key(index));
        let mut spec = BlockSpec::new(self.args, keys, Wanted::Stream, block.0);
        // A group that is gone is an error at once.
        spec.minds_loss = self.group.is_some();
        if let Some(ids) = ids {
            let before = self.args.iter().take(self.first + self.streams);
            let words = before.map(<[u8]>::to_vec);
            let ids = ids.iter().map(|id| id.text().to_vec());
            spec.args = OwnedArgs::of(words.chain(ids));
        }
        ctx.block(spec, reply)
    }
}

/// How long a read waits; `None` for ever.
#[derive(Clone, Copy)]
struct Block(Option<Duration>);

impl Block {
    fn read(text: &[u8], now: UnixMs) -> Result<Self, WireError> {
        let ms = number::parse_i64(text).ok_or(texts::TIMEOUT_NOT_AN_INTEGER)?;
        let given = u64::try_from(ms).map_err(|_| texts::TIMEOUT_NEGATIVE)?;
        now.checked_add(ms).ok_or(texts::TIMEOUT_OUT_OF_RANGE)?;
        Ok(Block((given > 0).then(|| Duration::from_millis(given))))
    }
}

/// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`
pub(super) fn xread(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let request = Request::read(args, false, ctx.now())?;
    let mut from = Vec::with_capacity(request.streams);
    for index in 0..request.streams {
        let stream = ctx.stream(request.key(index))?;
        from.push(start_of(stream, request.id(index))?);
    }
    // Redis looks each stream up once more, and notes a miss twice.
    let served = request.reply(reply, |index, body| {
        let (Some(found), Some(&after)) = (ctx.find_used(request.key(index)), from.get(index))
        else {
            return Ok(false);
        };
        let stream = ctx.stream_of(found)?;
        if after >= stream.last_id {
            return Ok(false);
        }
        let Some(start) = after.next() else {
            return Ok(false);
        };
        let mut entries = stream
            .range(start, StreamId::MAX)
            .take(request.count)
            .peekable();
        let any = entries.peek().is_some();
        replies::entries(body, entries);
        Ok(any)
    })?;
    Ok(match served {
        true => Effect::None,
        false => request.nothing(ctx, Some(&from), reply),
    })
}

/// The identity after which a read begins.
fn start_of(stream: Option<&Stream>, text: &[u8]) -> Result<StreamId, WireError> {
    match text {
        b"$" => Ok(stream.map_or(StreamId::MIN, |stream| stream.last_id)),
        b"+" => Ok(stream.map_or(StreamId::MIN, |stream| {
            let last = stream.last().and_then(|last| last.id.previous());
            last.unwrap_or(stream.last_id)
        })),
        b">" => Err(texts::NEW_NEEDS_GROUP),
        text => ids::parse(text, 0),
    }
}

/// What a group's consumer asks for.
#[derive(Clone, Copy)]
enum From {
    /// `>`: what nobody in the group has got.
    New,
    /// What it has got after this and not acknowledged.
    History(StreamId),
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key
/// [key ...] id [id ...]`
pub(super) fn xreadgroup(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let request = Request::read(args, true, ctx.now())?;
    let Some((group, name)) = request.group else {
        return Err(texts::MISSING_GROUP);
    };
    let mut from = Vec::with_capacity(request.streams);
    for index in 0..request.streams {
        let key = request.key(index);
        let missing = || texts::no_key_or_group(key, group, " in XREADGROUP with GROUP option");
        let found = ctx.find_used(key).ok_or_else(missing)?;
        ctx.stream_of(found)?.group(group).ok_or_else(missing)?;
        from.push(match request.id(index) {
            b"$" => return Err(texts::DOLLAR_IN_GROUP),
            b"+" => return Err(texts::PLUS_IN_GROUP),
            b">" => From::New,
            text => From::History(ids::parse(text, 0)?),
        });
    }
    let mut changed = false;
    let served = request.reply(reply, |index, body| {
        let mut reading = Reading {
            ctx: &mut *ctx,
            key: request.key(index),
            group,
            name,
            created: false,
        };
        let Some((found, consumer)) = reading.consumer()? else {
            return Ok(false);
        };
        let served = match from[index] {
            From::New => reading.new_entries(found, consumer, &request, body)?,
            // After the last identity there is nothing to ask for.
            From::History(StreamId::MAX) => {
                reading.say_created();
                false
            }
            From::History(after) => {
                changed |= reading.history(found, consumer, after, request.count, body)?;
                true
            }
        };
        changed |= reading.created || served && matches!(from[index], From::New);
        Ok(served)
    })?;
    if !served {
        let effect = request.nothing(ctx, None, reply);
        if effect == Effect::Block {
            // A consumer that was made is in the effect nevertheless.
            return Ok(effect);
        }
    }
    Ok(match changed {
        true => Effect::Rewritten,
        false => Effect::None,
    })
}

/// A consumer reading one stream.
struct Reading<'c, 'a, 'k> {
    ctx: &'c mut WriteContext<'a>,
    key: &'k [u8],
    group: &'k [u8],
    name: &'k [u8],
    /// Whether the consumer is new, and no effect has said so.
    created: bool,
}

impl Reading<'_, '_, '_> {
    /// The consumer, made if it is not there.
    fn consumer(&mut self) -> Result<Option<(Found, ConsumerIndex)>, WireError> {
        let Some(found) = self.ctx.find(self.key) else {
            return Ok(None);
        };
        let place = super::consumers::seen(self.ctx, found, self.key, self.group, self.name)?;
        Ok(place.map(|place| {
            self.created = place.created;
            (found, place.consumer)
        }))
    }

    /// Delivers entries that the group has not seen; whether there were any.
    fn new_entries(
        &mut self,
        found: Found,
        consumer: ConsumerIndex,
        request: &Request<'_>,
        body: &mut Reply<'_>,
    ) -> Result<bool, WireError> {
        let stream = self.ctx.stream_of(found)?;
        let last = stream.group(self.group).map(|group| group.last_id);
        let mut ids = Vec::new();
        if let Some(start) = last.and_then(StreamId::next)
            && start <= stream.last_id
        {
            let entries = stream.range(start, StreamId::MAX).take(request.count);
            let entries: Vec<_> = entries.collect();
            ids.extend(entries.iter().map(|entry| entry.id));
            body.array(entries.len());
            entries
                .into_iter()
                .for_each(|entry| replies::entry(body, entry));
        }
        if ids.is_empty() {
            self.say_created();
            return Ok(false);
        }
        let now = self.ctx.now();
        let Some(stream) = self.ctx.object_quietly::<Stream>(found) else {
            return Ok(false);
        };
        for id in &ids {
            stream.note_read(self.group, *id);
        }
        let (mut last_id, mut read) = (StreamId::MIN, None);
        if let Some(group) = stream.group_mut(self.group) {
            (last_id, read) = (group.last_id, group.entries_read);
            let pending = Pending {
                delivered_at: now,
                deliveries: 1,
                consumer,
            };
            if !request.no_ack {
                if let Some(consumer) = group.consumer_mut(consumer) {
                    consumer.active_at = Some(now);
                }
                ids.iter().for_each(|id| group.deliver(*id, pending));
            }
        }
        if request.no_ack {
            self.say_created();
        } else {
            let mut claims = Claims::default();
            ids.iter().for_each(|id| claims.add(*id, now, 1));
            claims.put_effects(self.ctx, self.key, self.group, self.name, last_id);
        }
        let effect = self.ctx.effect(7).arg(b"XGROUP").arg(b"SETID");
        effect.arg(self.key).arg(self.group).arg(&last_id.text());
        effect
            .arg(b"ENTRIESREAD")
            .int(read.map_or(-1, |read| read as i64));
        Ok(true)
    }

    /// Delivers again what the consumer has pending; whether anything was there.
    fn history(
        &mut self,
        found: Found,
        consumer: ConsumerIndex,
        after: StreamId,
        count: usize,
        body: &mut Reply<'_>,
    ) -> Result<bool, WireError> {
        let stream = self.ctx.stream_of(found)?;
        let group = stream.group(self.group);
        let own = group.and_then(|group| group.consumer(consumer));
        let ids: Vec<StreamId> = match (own, after.next()) {
            (Some(own), Some(start)) => own
                .pending()
                .from(start)
                .map(|(id, ())| id)
                .take(count)
                .collect(),
            _ => Vec::new(),
        };
        body.array(ids.len());
        let mut delivered = Vec::with_capacity(ids.len());
        for id in ids {
            match stream.get(id) {
                Some(entry) => {
                    replies::entry(body, entry);
                    delivered.push(id);
                }
                None => replies::deleted(body, id),
            }
        }
        self.deliver_again(found, consumer, &delivered);
        self.say_created();
        Ok(!delivered.is_empty())
    }

    fn deliver_again(&mut self, found: Found, consumer: ConsumerIndex, ids: &[StreamId]) {
        if ids.is_empty() {
            return;
        }
        let now = self.ctx.now();
        let Some(stream) = self.ctx.object_quietly::<Stream>(found) else {
            return;
        };
        let mut claims = Claims::default();
        let mut last_id = StreamId::MIN;
        if let Some(group) = stream.group_mut(self.group) {
            last_id = group.last_id;
            for id in ids {
                let before = group.pending().get(*id);
                let deliveries = before.map_or(0, |pending| pending.deliveries) + 1;
                let pending = Pending {
                    delivered_at: now,
                    deliveries,
                    consumer,
                };
                group.deliver(*id, pending);
                claims.add(*id, now, deliveries);
            }
        }
        claims.put_effects(self.ctx, self.key, self.group, self.name, last_id);
    }

    /// Puts the making of the consumer into the effect, where nothing else implies it.
    fn say_created(&mut self) {
        if self.created {
            super::consumers::put_created(self.ctx, self.key, self.group, self.name);
        }
    }
}
