//! `XINFO`: what a stream, its groups and their consumers are like.

use super::{reply as replies, texts};
use crate::commands::arguments::Arguments;
use crate::execute::{ReadContext, SessionContext};
use crate::number;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::stream::{Consumer, Entry, Group, Stream, StreamId};

/// `XINFO STREAM key [FULL [COUNT count]]`
pub(super) fn stream(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let stream = ctx.stream(args.at(2))?.ok_or(errors::NO_SUCH_KEY)?;
    let unknown = || texts::unknown_options("XINFO", args.at(1));
    let mut options = Arguments::new(args, 3);
    if !options.more() {
        reply.map(10);
        head(stream, reply);
        summary(stream, reply);
        return Ok(());
    }
    if !options.word("full") {
        return Err(unknown());
    }
    let mut count = 10;
    if options.more() {
        if options.left() != 2 || !options.word("count") {
            return Err(unknown());
        }
        let given = number::parse_i64(options.value()).ok_or(errors::NOT_AN_INTEGER)?;
        count = usize::try_from(given).unwrap_or(10);
    }
    let most = if count == 0 { usize::MAX } else { count };
    reply.map(9);
    head(stream, reply);
    full(stream, most, reply);
    Ok(())
}

/// What both forms begin with: seven pairs.
fn head(stream: &Stream, reply: &mut Reply<'_>) {
    reply.bulk(b"length");
    reply.int(stream.len() as i64);
    reply.bulk(b"radix-tree-keys");
    reply.int(stream.node_ids().len() as i64);
    reply.bulk(b"radix-tree-nodes");
    reply.int(radix_nodes(stream) as i64);
    let ids = [
        (&b"last-generated-id"[..], stream.last_id),
        (b"max-deleted-entry-id", stream.max_deleted_id),
    ];
    for (name, id) in ids {
        reply.bulk(name);
        replies::id(reply, id);
    }
    reply.bulk(b"entries-added");
    reply.int(stream.entries_added as i64);
    reply.bulk(b"recorded-first-entry-id");
    replies::id(reply, stream.first_id());
}

fn summary(stream: &Stream, reply: &mut Reply<'_>) {
    reply.bulk(b"groups");
    reply.int(stream.groups().len() as i64);
    let ends = [
        (&b"first-entry"[..], stream.first()),
        (b"last-entry", stream.last()),
    ];
    for (name, entry) in ends {
        reply.bulk(name);
        match entry {
            Some(entry) => replies::entry(reply, entry),
            None => reply.null(),
        }
    }
}

fn full(stream: &Stream, most: usize, reply: &mut Reply<'_>) {
    reply.bulk(b"entries");
    let entries: Vec<Entry<'_>> = stream.iter().take(most).collect();
    replies::entries(reply, entries.into_iter());
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        position(stream, group, reply);
        reply.bulk(b"pel-count");
        reply.int(group.pending().len() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending().len().min(most));
        for (id, pending) in group.pending().iter().take(most) {
            reply.array(4);
            replies::id(reply, id);
            reply.bulk(group.consumer_name(pending));
            reply.int(pending.delivered_at);
            reply.int(pending.deliveries as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumer_count());
        for consumer in group.consumers() {
            full_consumer(group, consumer, most, reply);
        }
    }
}

fn full_consumer(group: &Group, consumer: &Consumer, most: usize, reply: &mut Reply<'_>) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    reply.bulk(b"seen-time");
    reply.int(consumer.seen_at.get());
    reply.bulk(b"active-time");
    reply.int(consumer.active_at.unwrap_or(-1));
    reply.bulk(b"pel-count");
    reply.int(consumer.pending().len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending().len().min(most));
    for (id, ()) in consumer.pending().iter().take(most) {
        let pending = group.pending().get(id);
        reply.array(3);
        replies::id(reply, id);
        reply.int(pending.map_or(0, |pending| pending.delivered_at));
        reply.int(pending.map_or(0, |pending| pending.deliveries as i64));
    }
}

/// Where a group stands: three pairs.
fn position(stream: &Stream, group: &Group, reply: &mut Reply<'_>) {
    reply.bulk(b"last-delivered-id");
    replies::id(reply, group.last_id);
    let numbers = [
        (
            &b"entries-read"[..],
            group.entries_read.map(|read| read as i64),
        ),
        (b"lag", stream.lag(group)),
    ];
    for (name, number) in numbers {
        reply.bulk(name);
        match number {
            Some(n) => reply.int(n),
            None => reply.null(),
        }
    }
}

/// `XINFO GROUPS key`
pub(super) fn groups(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let stream = ctx.stream(args.at(2))?.ok_or(errors::NO_SUCH_KEY)?;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.int(group.consumer_count() as i64);
        reply.bulk(b"pending");
        reply.int(group.pending().len() as i64);
        position(stream, group, reply);
    }
    Ok(())
}

/// `XINFO CONSUMERS key group`
pub(super) fn consumers(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (key, name) = (args.at(2), args.at(3));
    let stream = ctx.stream(key)?.ok_or(errors::NO_SUCH_KEY)?;
    let group = stream
        .group(name)
        .ok_or_else(|| texts::no_group(name, key))?;
    let since = |at: i64| ctx.now().saturating_sub(at).max(0);
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        reply.bulk(b"pending");
        reply.int(consumer.pending().len() as i64);
        reply.bulk(b"idle");
        reply.int(since(consumer.seen_at.get()));
        reply.bulk(b"inactive");
        reply.int(consumer.active_at.map_or(-1, since));
    }
    Ok(())
}

/// `XINFO HELP`
pub(super) fn help(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help("XINFO", HELP);
    Ok(())
}

/// How many nodes Redis's radix tree has for these keys: one for each key's end, one for each
/// place where keys part, and one for each run of bytes between those.
fn radix_nodes(stream: &Stream) -> usize {
    let mut nodes = 0;
    // Depths of the places where the path to the last key parts, deepest last.
    let mut parts: Vec<usize> = Vec::new();
    let mut last: Option<[u8; 16]> = None;
    let run = |from: usize, to: usize| usize::from(to > from);
    for key in stream.node_ids().map(StreamId::to_bytes) {
        if let Some(last) = last {
            let common = last.iter().zip(&key).take_while(|(a, b)| a == b).count();
            let mut below = 16;
            while let Some(depth) = parts.pop_if(|depth| *depth > common) {
                nodes += run(depth + 1, below);
                below = depth;
            }
            // The bytes after the place where the keys part are a run of their own.
            nodes += run(common + 1, below);
            if parts.last() != Some(&common) {
                parts.push(common);
                nodes += 1;
            }
        }
        nodes += 1;
        last = Some(key);
    }
    let mut below = 16;
    while let Some(depth) = parts.pop() {
        nodes += run(depth + 1, below);
        below = depth;
    }
    match last {
        Some(_) => nodes + run(0, below),
        None => 1,
    }
}

const HELP: &[&str] = &[
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
];
