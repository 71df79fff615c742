//! `XGROUP`: making, moving and removing groups and consumers.

use super::{ids, texts};
use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{Effect, Found, SessionContext, WriteContext};
use crate::keyspace::Payload;
use crate::number;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::stream::{Stream, StreamId};

/// What follows the identity.
#[derive(Default)]
struct Options {
    make: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn read(args: Args<'_>, may_make: bool) -> Result<Self, WireError> {
        let mut this = Options::default();
        let mut options = Arguments::new(args, 5);
        while options.more() {
            if may_make && options.word("mkstream") {
                this.make = true;
            } else if options.left() > 1 && options.word("entriesread") {
                let given = number::parse_i64(options.value()).ok_or(errors::NOT_AN_INTEGER)?;
                if given < -1 {
                    return Err(texts::ENTRIES_READ_RANGE);
                }
                this.entries_read = u64::try_from(given).ok();
            } else {
                return Err(texts::unknown_options("XGROUP", args.at(1)));
            }
        }
        options.finish().map(|()| this)
    }
}

/// The stream of a key that must be there.
fn find(ctx: &mut WriteContext<'_>, key: &[u8]) -> Result<Found, WireError> {
    let found = ctx.find(key).ok_or(texts::GROUP_NEEDS_KEY)?;
    ctx.stream_of(found)?;
    Ok(found)
}

/// The stream of a key that must have the group.
fn find_group(ctx: &mut WriteContext<'_>, key: &[u8], group: &[u8]) -> Result<Found, WireError> {
    let found = find(ctx, key)?;
    let there = ctx.stream_of(found)?.group(group);
    there.ok_or_else(|| texts::no_group(group, key))?;
    Ok(found)
}

/// `$` is the last identity given.
fn position(stream: Option<&Stream>, text: &[u8]) -> Result<StreamId, WireError> {
    match text {
        b"$" => Ok(stream.map_or(StreamId::MIN, |stream| stream.last_id)),
        text => ids::parse(text, 0),
    }
}

/// `XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]`
pub(super) fn create(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, name) = (args.at(2), args.at(3));
    let options = Options::read(args, true)?;
    match ctx.find(key) {
        Some(found) => {
            let stream = ctx.stream_of(found)?;
            let last = position(Some(stream), args.at(4))?;
            if stream.group(name).is_some() {
                return Err(texts::BUSY_GROUP);
            }
            if let Some(stream) = ctx.object_quietly::<Stream>(found) {
                let read = options.entries_read.map(|n| n.min(stream.entries_added));
                stream.add_group(name, last, read);
            }
        }
        None if options.make => {
            let last = position(None, args.at(4))?;
            let mut stream = Box::new(Stream::new());
            stream.add_group(name, last, options.entries_read.map(|_| 0));
            ctx.insert(ctx.db(), key, None, Payload::Stream(stream));
        }
        None => return Err(texts::GROUP_NEEDS_KEY),
    }
    ctx.notify(NotifyClass::STREAM, "xgroup-create", key);
    reply.ok();
    Ok(Effect::AsReceived)
}

/// `XGROUP SETID key group id | $ [ENTRIESREAD entries-read]`
pub(super) fn setid(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, name) = (args.at(2), args.at(3));
    let options = Options::read(args, false)?;
    let found = find_group(ctx, key, name)?;
    let last = match args.at(4) {
        b"-" => StreamId::MIN,
        b"+" => StreamId::MAX,
        text => position(Some(ctx.stream_of(found)?), text)?,
    };
    if let Some(stream) = ctx.object_quietly::<Stream>(found) {
        let added = stream.entries_added;
        if let Some(group) = stream.group_mut(name) {
            group.last_id = last;
            group.entries_read = options.entries_read.map(|n| n.min(added));
        }
    }
    ctx.notify(NotifyClass::STREAM, "xgroup-setid", key);
    reply.ok();
    Ok(Effect::AsReceived)
}

/// `XGROUP DESTROY key group`
pub(super) fn destroy(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, name) = (args.at(2), args.at(3));
    let found = find(ctx, key)?;
    let group = match ctx.stream_of(found)?.group(name) {
        Some(_) => ctx.object_quietly::<Stream>(found),
        None => None,
    };
    let Some(group) = group.and_then(|stream| stream.remove_group(name)) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    if group.pending().len() > COSTLY {
        ctx.free_later(group);
    }
    ctx.notify(NotifyClass::STREAM, "xgroup-destroy", key);
    reply.int(1);
    Ok(Effect::AsReceived)
}

/// `XGROUP CREATECONSUMER key group consumer`
pub(super) fn create_consumer(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, name, consumer) = (args.at(2), args.at(3), args.at(4));
    let found = find_group(ctx, key, name)?;
    let group = ctx.stream_of(found)?.group(name);
    if group.is_some_and(|group| group.find_consumer(consumer).is_some()) {
        reply.int(0);
        return Ok(Effect::None);
    }
    super::consumers::seen(ctx, found, key, name, consumer)?;
    reply.int(1);
    Ok(Effect::AsReceived)
}

/// `XGROUP DELCONSUMER key group consumer`
pub(super) fn delete_consumer(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, name, consumer) = (args.at(2), args.at(3), args.at(4));
    let found = find_group(ctx, key, name)?;
    let group = ctx.stream_of(found)?.group(name);
    if group.is_none_or(|group| group.find_consumer(consumer).is_none()) {
        reply.int(0);
        return Ok(Effect::None);
    }
    let stream = ctx.object_quietly::<Stream>(found);
    let group = stream.and_then(|stream| stream.group_mut(name));
    let pending = group.and_then(|group| group.remove_consumer(consumer));
    ctx.notify(NotifyClass::STREAM, "xgroup-delconsumer", key);
    reply.int(pending.unwrap_or(0) as i64);
    Ok(Effect::AsReceived)
}

/// `XGROUP HELP`
pub(super) fn help(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help("XGROUP", HELP);
    Ok(())
}

/// From so many pending entries on a group is freed on another thread.
const COSTLY: usize = 64;

const HELP: &[&str] = &[
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
];
