//! `XCLAIM` and `XAUTOCLAIM`: taking over what others have pending.
//!
//! What must stay true: the effect names each entry with its time and its count, and nothing
//! that depends on a clock or on how long something has been pending.

use super::consumers::{put_created, seen};
use super::{ids, reply as replies, texts};
use crate::commands::arguments::Arguments;
use crate::execute::{Effect, Found, Origin, WriteContext};
use crate::number;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::stream::{ConsumerIndex, Pending, Stream, StreamId};
use std::collections::BTreeMap;

/// Deliveries as they go into the log: entries that agree in everything else share a command.
#[derive(Default)]
pub(super) struct Claims {
    by_delivery: BTreeMap<(i64, u64), Vec<StreamId>>,
    /// Entries that are gone and no longer pending.
    acknowledged: Vec<StreamId>,
}

impl Claims {
    /// Notes a delivery.
    pub fn add(&mut self, id: StreamId, at: i64, deliveries: u64) {
        let ids = self.by_delivery.entry((at, deliveries)).or_default();
        ids.push(id);
    }

    /// Notes an entry that is gone.
    fn acknowledge(&mut self, id: StreamId) {
        self.acknowledged.push(id);
    }

    fn is_empty(&self) -> bool {
        self.by_delivery.is_empty() && self.acknowledged.is_empty()
    }

    /// Writes the commands.
    pub fn put_effects(
        &self,
        ctx: &mut WriteContext<'_>,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        last_id: StreamId,
    ) {
        if !self.acknowledged.is_empty() {
            let effect = ctx.effect(3 + self.acknowledged.len());
            effect.arg(b"XACK").arg(key).arg(group);
            for id in &self.acknowledged {
                effect.arg(&id.text());
            }
        }
        for ((at, deliveries), ids) in &self.by_delivery {
            let effect = ctx.effect(13 + ids.len()).arg(b"XCLAIM");
            effect.arg(key).arg(group).arg(consumer).arg(b"0");
            for id in ids {
                effect.arg(&id.text());
            }
            effect.arg(b"TIME").int(*at);
            effect.arg(b"RETRYCOUNT").int(*deliveries as i64);
            effect.arg(b"FORCE").arg(b"JUSTID");
            effect.arg(b"LASTID").arg(&last_id.text());
        }
    }
}

/// The options of XCLAIM.
struct Options {
    min_idle: i64,
    ids: Vec<StreamId>,
    delivered_at: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: Option<StreamId>,
}

impl Options {
    fn read(args: Args<'_>, min_idle: i64, now: i64) -> Result<Self, WireError> {
        let given: Vec<_> = args
            .from(5)
            .map_while(|text| ids::parse(text, 0).ok())
            .collect();
        let mut this = Options {
            min_idle,
            ids: given,
            delivered_at: None,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: None,
        };
        let mut options = Arguments::new(args, 5 + this.ids.len());
        while options.more() {
            let at = options.position();
            let more = options.left() > 1;
            if options.word("force") {
                this.force = true;
            } else if options.word("justid") {
                this.just_id = true;
            } else if more && options.word("idle") {
                let idle = option_number(options.value(), "IDLE option")?;
                this.delivered_at = Some(now.saturating_sub(idle));
            } else if more && options.word("time") {
                this.delivered_at = Some(option_number(options.value(), "TIME option")?);
            } else if more && options.word("retrycount") {
                let count = option_number(options.value(), "RETRYCOUNT option")?;
                this.deliveries = u64::try_from(count).ok();
            } else if more && options.word("lastid") {
                this.last_id = Some(ids::parse(options.value(), 0)?);
            } else {
                return Err(texts::unknown_claim_option(args.at(at)));
            }
        }
        options.finish().map(|()| this)
    }
}

fn option_number(text: &[u8], what: &str) -> Result<i64, WireError> {
    number::parse_i64(text).ok_or_else(|| texts::invalid_number(what, "XCLAIM"))
}

fn min_idle(text: &[u8], command: &str) -> Result<i64, WireError> {
    let given = number::parse_i64(text);
    let given = given.ok_or_else(|| texts::invalid_number("min-idle-time", command))?;
    Ok(given.max(0))
}

/// The stream that was found at the key, if it has the group.
fn with_group(
    ctx: &WriteContext<'_>,
    found: Option<Found>,
    key: &[u8],
    group: &[u8],
) -> Result<Found, WireError> {
    let missing = || texts::no_key_or_group(key, group, "");
    let found = found.ok_or_else(missing)?;
    ctx.stream_of(found)?.group(group).ok_or_else(missing)?;
    Ok(found)
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds]
/// [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]`
pub(super) fn xclaim(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, group, name) = (args.at(1), args.at(2), args.at(3));
    let found = ctx.find_used(key);
    let found = with_group(ctx, found, key, group)?;
    let now = ctx.now();
    let options = Options::read(args, min_idle(args.at(4), "XCLAIM")?, now)?;
    // A time in the log is a fact, even if this node's clock is behind.
    let from_log = ctx.origin() == Origin::Log;
    let given = options
        .delivered_at
        .filter(|at| from_log || (0..=now).contains(at));
    let Some(place) = seen(ctx, found, key, group, name)? else {
        return Ok(Effect::None);
    };
    let Some(stream) = ctx.object_quietly::<Stream>(found) else {
        return Err(errors::WRONG_TYPE);
    };
    let mut claims = Claims::default();
    let (mut taken, mut moved, mut last_id) = (Vec::new(), false, StreamId::MIN);
    for id in &options.ids {
        // A rewritten file says what is pending, also of entries that are gone. A primary's
        // claim has a LASTID, and takes such an entry off the list, as it was there.
        let is_state = from_log && options.force && options.last_id.is_none();
        let exists = stream.contains(*id) || is_state;
        let Some(group) = stream.group_mut(group) else {
            continue;
        };
        let before = group.pending().get(*id).copied();
        if !exists {
            if group.acknowledge(*id) {
                claims.acknowledge(*id);
            }
            continue;
        }
        let before = match before {
            Some(before) if now.saturating_sub(before.delivered_at) < options.min_idle => continue,
            Some(before) => before.deliveries,
            None if options.force => 1,
            None => continue,
        };
        let counted = before.saturating_add(u64::from(!options.just_id));
        let pending = Pending {
            delivered_at: given.unwrap_or(now),
            deliveries: options.deliveries.unwrap_or(counted),
            consumer: place.consumer,
        };
        group.deliver(*id, pending);
        claims.add(*id, pending.delivered_at, pending.deliveries);
        taken.push(*id);
    }
    if let Some(group) = stream.group_mut(group) {
        moved = options.last_id.is_some_and(|id| id > group.last_id);
        group.last_id = group.last_id.max(options.last_id.unwrap_or_default());
        last_id = group.last_id;
        note_active(group.consumer_mut(place.consumer), now, &taken);
    }
    put_entries(ctx.stream_of(found)?, &taken, options.just_id, reply);
    if place.created && claims.by_delivery.is_empty() {
        put_created(ctx, key, group, name);
    }
    if moved && claims.by_delivery.is_empty() {
        put_position(ctx, found, key, group)?;
    }
    claims.put_effects(ctx, key, group, name, last_id);
    Ok(match place.created || moved || !claims.is_empty() {
        true => Effect::Rewritten,
        false => Effect::None,
    })
}

fn note_active(
    consumer: Option<&mut crate::values::stream::Consumer>,
    now: i64,
    taken: &[StreamId],
) {
    if let Some(consumer) = consumer
        && !taken.is_empty()
    {
        consumer.active_at = Some(now);
    }
}

/// Puts where the group stands into the effect.
fn put_position(
    ctx: &mut WriteContext<'_>,
    found: Found,
    key: &[u8],
    group: &[u8],
) -> Result<(), WireError> {
    let there = ctx.stream_of(found)?.group(group);
    let (last, read) = there.map_or((StreamId::MIN, None), |g| (g.last_id, g.entries_read));
    let effect = ctx.effect(7).arg(b"XGROUP").arg(b"SETID");
    effect.arg(key).arg(group).arg(&last.text());
    effect
        .arg(b"ENTRIESREAD")
        .int(read.map_or(-1, |read| read as i64));
    Ok(())
}

/// What was taken: entries, or their identities alone.
fn put_entries(stream: &Stream, ids: &[StreamId], just_id: bool, reply: &mut Reply<'_>) {
    reply.array(ids.len());
    for id in ids {
        match stream.get(*id).filter(|_| !just_id) {
            Some(entry) => replies::entry(reply, entry),
            None => replies::id(reply, *id),
        }
    }
}

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`
pub(super) fn xautoclaim(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, group, name) = (args.at(1), args.at(2), args.at(3));
    let found = ctx.find_used(key);
    let min_idle = min_idle(args.at(4), "XAUTOCLAIM")?;
    let start = ids::start(args.at(5))?;
    let (mut count, mut just_id) = (100, false);
    let mut options = Arguments::new(args, 6);
    while options.more() {
        if options.left() > 1 && options.word("count") {
            count = match number::parse_i64(options.value()) {
                Some(n @ 1..=MAX_COUNT) => n as usize,
                _ => return Err(texts::COUNT_NOT_POSITIVE),
            };
        } else if options.word("justid") {
            just_id = true;
        } else {
            options.fail(errors::SYNTAX);
        }
    }
    options.finish()?;
    let found = with_group(ctx, found, key, group)?;
    if count > POSSIBLE_COUNT {
        return Err(texts::COUNT_TOO_HIGH);
    }
    let Some(place) = seen(ctx, found, key, group, name)? else {
        return Ok(Effect::None);
    };
    let scan = Scan {
        now: ctx.now(),
        min_idle,
        start,
        count,
        just_id,
        consumer: place.consumer,
    };
    let met = scan.look(ctx.stream_of(found)?, group);
    let mut last_id = StreamId::MIN;
    if !met.claims.is_empty()
        && let Some(stream) = ctx.object_quietly::<Stream>(found)
    {
        last_id = met.take(stream, group, &scan);
    }
    reply.array(3);
    replies::id(reply, met.next);
    put_entries(ctx.stream_of(found)?, &met.taken, just_id, reply);
    reply.array(met.claims.acknowledged.len());
    met.claims
        .acknowledged
        .iter()
        .for_each(|id| replies::id(reply, *id));
    if place.created && met.taken.is_empty() {
        put_created(ctx, key, group, name);
    }
    met.claims.put_effects(ctx, key, group, name, last_id);
    Ok(match place.created || !met.claims.is_empty() {
        true => Effect::Rewritten,
        false => Effect::None,
    })
}

/// What XAUTOCLAIM looks for.
struct Scan {
    now: i64,
    min_idle: i64,
    start: StreamId,
    count: usize,
    just_id: bool,
    consumer: ConsumerIndex,
}

/// What it has met.
struct Met {
    /// Where the next scan begins; 0-0 at the end.
    next: StreamId,
    taken: Vec<StreamId>,
    claims: Claims,
}

impl Scan {
    /// Looks at so many pending entries at most; of a deleted one only the reference goes.
    fn look(&self, stream: &Stream, group: &[u8]) -> Met {
        let mut met = Met {
            next: StreamId::MIN,
            taken: Vec::new(),
            claims: Claims::default(),
        };
        let Some(group) = stream.group(group) else {
            return met;
        };
        let mut pending = group.pending().from(self.start);
        let (mut attempts, mut count) = (self.count.saturating_mul(10), self.count);
        while attempts > 0 && count > 0 {
            attempts -= 1;
            let Some((id, before)) = pending.next() else {
                return met;
            };
            if !stream.contains(id) {
                met.claims.acknowledge(id);
                count -= 1;
                continue;
            }
            if self.min_idle > 0 && self.now.saturating_sub(before.delivered_at) < self.min_idle {
                continue;
            }
            let counted = before.deliveries.saturating_add(u64::from(!self.just_id));
            met.claims.add(id, self.now, counted);
            met.taken.push(id);
            count -= 1;
        }
        met.next = pending.next().map_or(StreamId::MIN, |(id, _)| id);
        met
    }
}

impl Met {
    /// Carries it out; gives the group's position.
    fn take(&self, stream: &mut Stream, group: &[u8], scan: &Scan) -> StreamId {
        let Some(group) = stream.group_mut(group) else {
            return StreamId::MIN;
        };
        for id in &self.claims.acknowledged {
            group.acknowledge(*id);
        }
        for ((at, deliveries), ids) in &self.claims.by_delivery {
            let pending = Pending {
                delivered_at: *at,
                deliveries: *deliveries,
                consumer: scan.consumer,
            };
            ids.iter().for_each(|id| group.deliver(*id, pending));
        }
        note_active(group.consumer_mut(scan.consumer), scan.now, &self.taken);
        group.last_id
    }
}

/// More identities than this no memory holds, in Redis's reckoning.
const MAX_COUNT: i64 = i64::MAX / 16;
/// And this is what no machine has.
const POSSIBLE_COUNT: usize = 1 << 40;
