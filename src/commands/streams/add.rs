//! `XADD`, `XTRIM` and `XSETID`.

use super::effects::Trimmed;
use super::ids::{self, Seq};
use super::options::{TrimOptions, node_limits};
use super::texts;
use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{Effect, Origin, WriteContext};
use crate::keyspace::Payload;
use crate::number;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::UnixMs;
use crate::values::stream::{NodeLimits, Removed, Stream, StreamId, Trim};
use smallvec::SmallVec;

/// `XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [MAXLEN | MINID [= | ~] threshold
/// [LIMIT count]] * | id field value [field value ...]`
pub(super) fn xadd(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let options = TrimOptions::read(args, true, ctx.settings(), ctx.origin())?;
    let pairs: SmallVec<[&[u8]; 16]> = args.from(options.id_at + 1).collect();
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(errors::wrong_arity("xadd"));
    }
    let key = args.at(1);
    let given = args.at(options.id_at);
    let wanted = match given {
        b"*" => Wanted::Anything,
        text => Wanted::read(text)?,
    };
    let addition = Addition {
        wanted,
        pairs: &pairs,
        now: ctx.now(),
        limits: node_limits(ctx.settings()),
        trim: options.trim,
    };
    let (id, trimmed) = match ctx.find(key) {
        Some(found) => {
            let id = addition.id_in(ctx.stream_of(found)?)?;
            let Some(stream) = ctx.object::<Stream>(found) else {
                return Err(errors::WRONG_TYPE);
            };
            (id, addition.make(stream, id))
        }
        None if options.no_make => {
            reply.null();
            return Ok(Effect::None);
        }
        None => {
            let mut stream = Box::new(Stream::new());
            let id = addition.id_in(&stream)?;
            let trimmed = addition.make(&mut stream, id);
            ctx.insert(ctx.db(), key, None, Payload::Stream(stream));
            (id, trimmed)
        }
    };
    reply.bulk(&id.text());
    ctx.notify(NotifyClass::STREAM, "xadd", key);
    if trimmed.count > 0 {
        ctx.notify(NotifyClass::STREAM, "xtrim", key);
    }
    let approximate = options.trim.is_some_and(|trim| trim.approximate.is_some());
    let as_given = !approximate && !options.says_refs;
    if matches!(wanted, Wanted::Exactly(_)) && as_given {
        return Ok(Effect::AsReceived);
    }
    let options_as_given = match as_given {
        false => 2..2,
        true => 2..options.id_at,
    };
    // What remained after approximate trimming is an exact number for everybody else.
    let exact = approximate && trimmed.count > 0 && !options.says_refs;
    let argc = 3 + options_as_given.len() + pairs.len() + if exact { 3 } else { 0 };
    let effect = ctx.effect(argc).arg(b"XADD").arg(key);
    for at in options_as_given {
        effect.arg(args.at(at));
    }
    if exact {
        effect.arg(b"MAXLEN").arg(b"=").int(trimmed.left as i64);
    }
    effect.arg(&id.text());
    for text in &pairs {
        effect.arg(text);
    }
    if options.says_refs {
        trimmed.put(ctx, key);
    }
    Ok(Effect::Rewritten)
}

/// The identity that an entry is to have.
#[derive(Clone, Copy)]
enum Wanted {
    /// `*`
    Anything,
    /// `5-*`
    At(u64),
    Exactly(StreamId),
}

impl Wanted {
    fn read(text: &[u8]) -> Result<Self, WireError> {
        match ids::parts(text).ok_or(texts::INVALID_ID)? {
            (ms, Seq::Auto) => Ok(Wanted::At(ms)),
            (0, Seq::Given(None | Some(0))) => Err(texts::ID_ZERO),
            (ms, Seq::Given(seq)) => Ok(Wanted::Exactly(StreamId::new(ms, seq.unwrap_or(0)))),
        }
    }
}

struct Addition<'a> {
    wanted: Wanted,
    pairs: &'a [&'a [u8]],
    now: UnixMs,
    limits: NodeLimits,
    trim: Option<Trim>,
}

impl Addition<'_> {
    /// The identity, if the entry can be added.
    fn id_in(&self, stream: &Stream) -> Result<StreamId, WireError> {
        let last = stream.last_id;
        if last == StreamId::MAX {
            return Err(texts::EXHAUSTED);
        }
        let id = match self.wanted {
            Wanted::Anything => {
                let now = StreamId::new(u64::try_from(self.now).unwrap_or(0), 0);
                if now.ms > last.ms {
                    Some(now)
                } else {
                    last.next()
                }
            }
            Wanted::At(ms) if ms == last.ms => {
                let seq = last.seq.checked_add(1);
                seq.map(|seq| StreamId::new(ms, seq))
            }
            Wanted::At(ms) => Some(StreamId::new(ms, 0)),
            Wanted::Exactly(id) => Some(id),
        };
        let id = id.filter(|id| *id > last).ok_or(texts::ID_TOO_SMALL)?;
        let bytes: usize = self.pairs.iter().map(|text| text.len()).sum();
        if bytes > MAX_ENTRY_BYTES {
            return Err(texts::TOO_LARGE);
        }
        Ok(id)
    }

    /// Adds the entry and trims.
    fn make(&self, stream: &mut Stream, id: StreamId) -> Trimmed {
        stream.append(id, self.pairs, self.limits);
        match self.trim {
            Some(trim) => trim_noting(stream, trim),
            None => Trimmed::default(),
        }
    }
}

fn trim_noting(stream: &mut Stream, trim: Trim) -> Trimmed {
    let mut removed = Removed::default();
    let count = stream.trim_noting(trim, &mut removed);
    Trimmed::note(stream, count, removed)
}

/// `XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]`
pub(super) fn xtrim(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let options = TrimOptions::read(args, false, ctx.settings(), ctx.origin())?;
    let key = args.at(1);
    let (Some(found), Some(trim)) = (ctx.find(key), options.trim) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    // Looking changes nothing, and nobody who watches the key hears of it.
    let mut looked_at = ctx.stream_of(found)?.trims_nothing(trim);
    let mut trimmed = Trimmed::default();
    if !looked_at && let Some(stream) = ctx.object::<Stream>(found) {
        trimmed = trim_noting(stream, trim);
        looked_at = trimmed.count == 0;
    }
    reply.int(trimmed.count as i64);
    if looked_at {
        return Ok(Effect::None);
    }
    ctx.notify(NotifyClass::STREAM, "xtrim", key);
    if trim.approximate.is_none() && !options.says_refs {
        return Ok(Effect::AsReceived);
    }
    trimmed.put(ctx, key);
    Ok(Effect::Rewritten)
}

/// `XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]`
pub(super) fn xsetid(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let from_log = ctx.origin() == Origin::Log;
    let id = ids::parse(args.at(2), 0)?;
    let (mut added, mut deleted) = (None, None);
    let mut none_deleted = 0;
    let mut options = Arguments::new(args, 3);
    while options.more() {
        let last = options.left() == 1;
        if !last && options.word("entriesadded") {
            let given = number::parse_i64(options.value()).ok_or(errors::NOT_AN_INTEGER)?;
            added = Some(u64::try_from(given).map_err(|_| texts::ADDED_NEGATIVE)?);
        } else if !last && options.word("maxdeletedid") {
            let given = ids::parse(options.value(), 0)?;
            if id < given {
                return Err(texts::LAST_BELOW_GIVEN);
            }
            deleted = Some(given);
            none_deleted += u32::from(given == StreamId::MIN);
        } else {
            options.fail(errors::SYNTAX);
        }
    }
    options.finish()?;
    let found = ctx.find(key).ok_or(errors::NO_SUCH_KEY)?;
    let stream = ctx.stream_of(found)?;
    if id < stream.max_deleted_id {
        return Err(texts::LAST_BELOW_DELETED);
    }
    if stream.last().is_some_and(|last| id < last.id) {
        return Err(texts::LAST_BELOW_TOP);
    }
    if added.is_some_and(|added| added < stream.len() as u64) {
        return Err(texts::ADDED_BELOW_LENGTH);
    }
    if let Some(stream) = ctx.object_quietly::<Stream>(found) {
        stream.last_id = id;
        stream.entries_added = added.unwrap_or(stream.entries_added);
        let deleted = deleted.filter(|id| *id != StreamId::MIN);
        stream.max_deleted_id = deleted.unwrap_or(stream.max_deleted_id);
        if from_log && none_deleted > 1 {
            // See `effects`.
            stream.max_deleted_id = StreamId::MIN;
        }
    }
    ctx.notify(NotifyClass::STREAM, "xsetid", key);
    reply.ok();
    if from_log || none_deleted == 0 {
        return Ok(Effect::AsReceived);
    }
    // A client that says 0-0 has said nothing, however often.
    let deleted = deleted.filter(|id| *id != StreamId::MIN);
    let options = usize::from(added.is_some()) + usize::from(deleted.is_some());
    let effect = ctx.effect(3 + 2 * options);
    effect.arg(b"XSETID").arg(key).arg(&id.text());
    if let Some(added) = added {
        effect.arg(b"ENTRIESADDED").int(added as i64);
    }
    if let Some(deleted) = deleted {
        effect.arg(b"MAXDELETEDID").arg(&deleted.text());
    }
    Ok(Effect::Rewritten)
}

/// No node holds more.
const MAX_ENTRY_BYTES: usize = 1 << 30;
