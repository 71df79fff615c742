//! Making a stream of the keyspace from one that was read.

use super::packs::Fault;
use super::stream_node::each_entry;
use super::value::{StreamGroup, StreamValue, Strings};
use crate::values::stream::{ConsumerIndex, Pending, Stream, StreamId};

/// The stream; its nodes stay as they were.
pub(super) fn stream_of(value: &StreamValue) -> Result<Stream, Fault> {
    let mut stream = Stream::new();
    for (base, pack) in &value.nodes {
        let mut begins_node = true;
        each_entry(*base, pack, |(ms, seq), elements| {
            let mut texts = Strings::default();
            for element in elements {
                texts.push(element.text(&mut itoa::Buffer::new()));
            }
            let pairs: Vec<&[u8]> = texts.iter().collect();
            stream.restore(StreamId::new(ms, seq), &pairs, begins_node);
            begins_node = false;
        })?;
    }
    let id = |(ms, seq)| StreamId::new(ms, seq);
    stream.last_id = id(value.last_id);
    stream.max_deleted_id = id(value.max_deleted_id);
    stream.entries_added = value.entries_added;
    for group in &value.groups {
        // Redis 5 and 6 do not say how many entries a group has read.
        let read = match group.entries_read {
            None if value.is_old => stream.entries_until(id(group.last_id)),
            read => read,
        };
        stream.add_group(&group.name, id(group.last_id), read);
        add_consumers(&mut stream, group)?;
    }
    Ok(stream)
}

fn add_consumers(stream: &mut Stream, from: &StreamGroup) -> Result<(), Fault> {
    let group = stream
        .group_mut(&from.name)
        .ok_or("a consumer group occurs twice")?;
    let mut places: Vec<ConsumerIndex> = Vec::with_capacity(from.consumers.len());
    for consumer in &from.consumers {
        let place = group.add_consumer(&consumer.name, consumer.seen_at);
        if let Some(added) = group.consumer_mut(place) {
            added.active_at = Some(consumer.active_at).filter(|at| *at >= 0);
        }
        places.push(place);
    }
    for pending in &from.pending {
        let place = places.get(pending.consumer);
        let delivered = Pending {
            delivered_at: pending.delivered_at,
            deliveries: pending.deliveries,
            consumer: *place.ok_or("an entry is pending for nobody")?,
        };
        group.deliver(StreamId::new(pending.id.0, pending.id.1), delivered);
    }
    Ok(())
}
