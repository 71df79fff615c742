//! Consumer groups: what was delivered to whom.

use super::by_id::ById;
use super::id::StreamId;
use super::map_bytes;
use std::cell::Cell;
use std::collections::BTreeMap;

/// A consumer's place in its group.
pub type ConsumerIndex = u32;

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last entry delivered.
    pub last_id: StreamId,
    /// How many entries it has read, as far as that is known.
    pub entries_read: Option<u64>,
    pending: ById<Pending>,
    by_name: BTreeMap<Box<[u8]>, ConsumerIndex>,
    /// Places of consumers that are gone are used again.
    consumers: Vec<Option<Consumer>>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last, in Unix milliseconds.
    pub delivered_at: i64,
    /// How often.
    pub deliveries: u64,
    /// To whom.
    pub consumer: ConsumerIndex,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// When it was heard of last. Asking is no change of the stream, so that a reader may
    /// note it.
    pub seen_at: Cell<i64>,
    /// When it was given something last.
    pub active_at: Option<i64>,
    name: Box<[u8]>,
    pending: ById<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// What it has not acknowledged.
    pub fn pending(&self) -> &ById<()> {
        &self.pending
    }
}

impl Group {
    pub(super) fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Group {
            last_id,
            entries_read,
            ..Group::default()
        }
    }

    /// What was delivered and not acknowledged.
    pub fn pending(&self) -> &ById<Pending> {
        &self.pending
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        let places = self.by_name.values();
        places.filter_map(|place| self.consumer(*place))
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.by_name.len()
    }

    /// Where the consumer of that name is.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerIndex> {
        self.by_name.get(name).copied()
    }

    /// A consumer.
    pub fn consumer(&self, place: ConsumerIndex) -> Option<&Consumer> {
        self.consumers.get(place as usize)?.as_ref()
    }

    /// A consumer, to change.
    pub fn consumer_mut(&mut self, place: ConsumerIndex) -> Option<&mut Consumer> {
        self.consumers.get_mut(place as usize)?.as_mut()
    }

    /// The name of the consumer that has an entry pending.
    pub fn consumer_name(&self, pending: &Pending) -> &[u8] {
        self.consumer(pending.consumer).map_or(b"", Consumer::name)
    }

    /// Adds a consumer whose name is free.
    pub fn add_consumer(&mut self, name: &[u8], now: i64) -> ConsumerIndex {
        let consumer = Consumer {
            name: name.into(),
            seen_at: Cell::new(now),
            active_at: None,
            pending: ById::default(),
        };
        let free = match self.by_name.len() < self.consumers.len() {
            true => self.consumers.iter().position(Option::is_none),
            false => None,
        };
        let place = free.unwrap_or_else(|| {
            self.consumers.push(None);
            self.consumers.len() - 1
        });
        self.consumers[place] = Some(consumer);
        self.by_name.insert(name.into(), place as ConsumerIndex);
        place as ConsumerIndex
    }

    /// Removes a consumer with all that it has pending; how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let place = self.by_name.remove(name)?;
        let consumer = self.consumers.get_mut(place as usize)?.take()?;
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Gives an entry to a consumer, whoever had it before.
    pub fn deliver(&mut self, id: StreamId, pending: Pending) {
        let old = self.pending.insert(id, pending);
        if let Some(old) = old {
            if old.consumer == pending.consumer {
                return;
            }
            if let Some(before) = self.consumer_mut(old.consumer) {
                before.pending.remove(id);
            }
        }
        if let Some(consumer) = self.consumer_mut(pending.consumer) {
            consumer.pending.insert(id, ());
        }
    }

    /// Acknowledges an entry; whether it was pending.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else {
            return false;
        };
        if let Some(consumer) = self.consumer_mut(pending.consumer) {
            consumer.pending.remove(id);
        }
        true
    }

    /// Bytes in memory besides its own size.
    pub fn mem_bytes(&self) -> usize {
        let consumers = self
            .consumers()
            .map(|consumer| 2 * consumer.name.len() + consumer.pending.mem_bytes());
        self.pending.mem_bytes()
            + map_bytes::<Box<[u8]>, ConsumerIndex>(self.by_name.len())
            + self.consumers.capacity() * size_of::<Option<Consumer>>()
            + consumers.sum::<usize>()
    }
}
