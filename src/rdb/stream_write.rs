//! Writing a stream.

use super::codes;
use super::write::{ListpackBuf, Relieve, Target, put_length, put_string, relieve_if_long};
use crate::values::packed::Element;
use crate::values::stream::{Entry, Group, Stream, StreamId};

/// The type of streams that the reader knows.
pub(super) fn kind_of_stream(target: Target) -> u8 {
    match target.version {
        ..10 => codes::STREAM,
        10 => codes::STREAM_2,
        _ => codes::STREAM_3,
    }
}

/// Appends a stream as type `kind` has it.
pub(super) fn put_stream(
    out: &mut Vec<u8>,
    stream: &Stream,
    kind: u8,
    target: Target,
    relieve: Relieve<'_>,
) {
    let bases: Vec<StreamId> = stream.node_ids().collect();
    put_length(out, bases.len() as u64);
    for (index, base) in bases.iter().enumerate() {
        let next = bases.get(index + 1).and_then(|next| next.previous());
        put_node(out, stream, *base, next.unwrap_or(StreamId::MAX), target);
        relieve_if_long(out, relieve);
    }
    put_length(out, stream.len() as u64);
    put_id(out, stream.last_id);
    if kind != codes::STREAM {
        put_id(out, stream.first_id());
        put_id(out, stream.max_deleted_id);
        put_length(out, stream.entries_added);
    }
    put_length(out, stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        put_group(out, (name, group), kind, target, relieve);
    }
}

/// A node: its identity and a listpack; see [`super::stream_node`].
fn put_node(out: &mut Vec<u8>, stream: &Stream, base: StreamId, last: StreamId, target: Target) {
    put_string(out, &base.to_bytes(), false);
    let entries: Vec<Entry<'_>> = stream.range(base, last).collect();
    let names: Vec<Element<'_>> = entries
        .first()
        .map(|first| first.pairs().map(|(name, _)| name).collect())
        .unwrap_or_default();
    let mut pack = ListpackBuf::with_capacity(entries.len() * 16);
    let int = |n: i64| Element::Int(n);
    for element in [int(entries.len() as i64), int(0), int(names.len() as i64)] {
        pack.push(element);
    }
    names.iter().for_each(|name| pack.push(*name));
    pack.push(int(0));
    for entry in entries {
        let same = entry.fields == names.len()
            && entry
                .pairs()
                .zip(&names)
                .all(|((name, _), own)| name == *own);
        pack.push(int(if same { SAME_FIELDS } else { 0 }));
        // Of identities far apart the difference wraps, here and when it is read.
        pack.push(int(entry.id.ms.wrapping_sub(base.ms) as i64));
        pack.push(int(entry.id.seq.wrapping_sub(base.seq) as i64));
        let fields = entry.fields as i64;
        if !same {
            pack.push(int(fields));
        }
        for (name, value) in entry.pairs() {
            if !same {
                pack.push(name);
            }
            pack.push(value);
        }
        pack.push(int(if same { 3 + fields } else { 4 + 2 * fields }));
    }
    put_string(out, &pack.finish(), target.compress);
}

fn put_group(
    out: &mut Vec<u8>,
    (name, group): (&[u8], &Group),
    kind: u8,
    target: Target,
    relieve: Relieve<'_>,
) {
    put_string(out, name, target.compress);
    put_id(out, group.last_id);
    if kind != codes::STREAM {
        put_length(out, group.entries_read.unwrap_or(UNKNOWN));
    }
    put_length(out, group.pending().len() as u64);
    for (id, pending) in group.pending().iter() {
        out.extend_from_slice(&id.to_bytes());
        out.extend_from_slice(&pending.delivered_at.to_le_bytes());
        put_length(out, pending.deliveries);
        relieve_if_long(out, relieve);
    }
    put_length(out, group.consumer_count() as u64);
    for consumer in group.consumers() {
        put_string(out, consumer.name(), target.compress);
        out.extend_from_slice(&consumer.seen_at.get().to_le_bytes());
        if kind == codes::STREAM_3 {
            let active_at = consumer.active_at.unwrap_or(-1);
            out.extend_from_slice(&active_at.to_le_bytes());
        }
        put_length(out, consumer.pending().len() as u64);
        for (id, ()) in consumer.pending().iter() {
            out.extend_from_slice(&id.to_bytes());
            relieve_if_long(out, relieve);
        }
    }
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_length(out, id.ms);
    put_length(out, id.seq);
}

/// Nobody knows how many entries a group has read: -1.
const UNKNOWN: u64 = u64::MAX;
/// The entry's fields are those of the node.
const SAME_FIELDS: i64 = 2;
