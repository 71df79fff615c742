//! Reading a stream.

use super::codes;
use super::error::{Problem, RdbError, Result};
use super::source::Source;
use super::stream_node;
use super::value::{StreamConsumer, StreamGroup, StreamId, StreamPending, StreamValue};
use std::io::Read;

/// Reads a stream of type `kind`: of Redis 5, 7.0 or 7.2 and later.
pub fn read<R: Read>(source: &mut Source<R>, kind: u8) -> Result<StreamValue> {
    let mut stream = StreamValue::default();
    let nodes = source.length()?;
    let mut last = None;
    let mut found = 0;
    for _ in 0..nodes {
        let offset = source.offset();
        let key = source.string()?;
        let pack = source.string()?;
        let checked = match <[u8; 16]>::try_from(&*key) {
            Ok(key) => stream_node::check(id_of(key), &pack, &mut last)
                .map(|entries| (id_of(key), entries)),
            Err(_) => Err("a stream node's key is no identity"),
        };
        match checked {
            Ok((id, entries)) => {
                found += entries;
                stream.nodes.push((id, pack));
            }
            Err(fault) => {
                let what = Problem::Malformed(fault);
                return Err(RdbError { offset, what });
            }
        }
    }
    stream.len = source.length()?;
    stream.last_id = read_id(source)?;
    if stream.len != found {
        return source.malformed("a stream's length is wrong");
    }
    if last.is_some_and(|last| last > stream.last_id) {
        return source.malformed("a stream's last identity is not its last");
    }
    if kind == codes::STREAM {
        stream.entries_added = stream.len;
        stream.is_old = true;
    } else {
        // The first identity, which the nodes say as well.
        read_id(source)?;
        stream.max_deleted_id = read_id(source)?;
        stream.entries_added = source.length()?;
    }
    let groups = source.length()?;
    for _ in 0..groups {
        let group = read_group(source, kind)?;
        if stream.groups.iter().any(|other| other.name == group.name) {
            return Err(source.error(Problem::Duplicate("a consumer group")));
        }
        stream.groups.push(group);
    }
    Ok(stream)
}

fn read_group<R: Read>(source: &mut Source<R>, kind: u8) -> Result<StreamGroup> {
    let mut group = StreamGroup {
        name: source.string()?,
        last_id: read_id(source)?,
        ..StreamGroup::default()
    };
    if kind != codes::STREAM {
        group.entries_read = Some(source.length()?).filter(|read| *read <= i64::MAX as u64);
    }
    let pending = source.length()?;
    for _ in 0..pending {
        let pending = StreamPending {
            id: id_of(source.array()?),
            delivered_at: source.time_ms()?,
            deliveries: source.length()?,
            consumer: NOBODY,
        };
        if group
            .pending
            .last()
            .is_some_and(|last| last.id >= pending.id)
        {
            return source.malformed("a group's pending entries do not ascend");
        }
        group.pending.push(pending);
    }
    let consumers = source.length()?;
    for _ in 0..consumers {
        read_consumer(source, kind, &mut group)?;
    }
    if group.pending.iter().any(|one| one.consumer == NOBODY) {
        return source.malformed("an entry is pending for nobody");
    }
    Ok(group)
}

fn read_consumer<R: Read>(source: &mut Source<R>, kind: u8, group: &mut StreamGroup) -> Result<()> {
    let name = source.string()?;
    let seen_at = source.time_ms()?;
    let active_at = match kind {
        codes::STREAM_3 => source.time_ms()?,
        _ => seen_at,
    };
    if group.consumers.iter().any(|other| other.name == name) {
        return Err(source.error(Problem::Duplicate("a consumer")));
    }
    let index = group.consumers.len();
    group.consumers.push(StreamConsumer {
        name,
        seen_at,
        active_at,
    });
    let count = source.length()?;
    for _ in 0..count {
        let id = id_of(source.array()?);
        let at = group.pending.binary_search_by_key(&id, |one| one.id);
        match at.ok().and_then(|at| group.pending.get_mut(at)) {
            Some(one) if one.consumer == NOBODY => one.consumer = index,
            _ => return source.malformed("an entry is pending for a consumer, not for its group"),
        }
    }
    Ok(())
}

fn read_id<R: Read>(source: &mut Source<R>) -> Result<StreamId> {
    Ok((source.length()?, source.length()?))
}

/// Two big-endian numbers, so that bytes sort as identities do.
fn id_of(bytes: [u8; 16]) -> StreamId {
    let both = u128::from_be_bytes(bytes);
    ((both >> 64) as u64, both as u64)
}

const NOBODY: usize = usize::MAX;
