//! Values as RDB data has them, before they become values of the keyspace.

/// Many strings in one allocation, so that a large collection costs little more than its text
/// while it is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all of them.
    pub fn text_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The string at `index`, empty beyond the last.
    pub fn get(&self, index: usize) -> &[u8] {
        let end = |index: usize| self.ends.get(index).copied();
        let start = index.checked_sub(1).and_then(end).unwrap_or(0);
        let end = end(index).unwrap_or(start);
        &self.bytes[start..end]
    }

    /// All of them in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Adds one.
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    /// Adds what `write` appends.
    pub fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        write(&mut self.bytes)?;
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    String(Vec<u8>),
    /// A list, head first.
    List(Strings),
    /// A set, and whether it was packed though all its members may be integers; a member may
    /// still occur twice.
    Set(Strings, bool),
    /// Members with their scores; a member may still occur twice.
    SortedSet(Strings, Vec<f64>),
    /// Fields and values in turn, and when each field expires (0 for never; empty if none
    /// does). A field may still occur twice.
    Hash(Strings, Vec<i64>),
    /// A stream.
    Stream(Box<StreamValue>),
}

impl Value {
    /// Whether it is a collection without elements, which no key can hold.
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Value::String(_) | Value::Stream(_) => false,
            Value::List(all) | Value::Set(all, _) => all.is_empty(),
            Value::SortedSet(members, _) => members.is_empty(),
            Value::Hash(fields, _) => fields.is_empty(),
        }
    }
}

/// The identity of a stream's entry: milliseconds and sequence number.
pub type StreamId = (u64, u64);

/// A stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamValue {
    /// The first identity and the listpack of each node, checked to be well formed and in
    /// order; see [`super::each_entry`].
    pub nodes: Vec<(StreamId, Vec<u8>)>,
    /// How many entries there are.
    pub len: u64,
    /// The last identity ever given.
    pub last_id: StreamId,
    /// The greatest identity ever deleted.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
    /// Whether it is of Redis 5 or 6, which do not know how much groups have read.
    pub is_old: bool,
    /// The consumer groups.
    pub groups: Vec<StreamGroup>,
}

/// A consumer group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamGroup {
    /// Its name.
    pub name: Vec<u8>,
    /// The last identity delivered.
    pub last_id: StreamId,
    /// Entries read, `None` where nobody can know.
    pub entries_read: Option<u64>,
    /// What was delivered and not acknowledged, ascending.
    pub pending: Vec<StreamPending>,
    /// The consumers.
    pub consumers: Vec<StreamConsumer>,
}

/// An entry delivered to a consumer and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPending {
    /// Which entry.
    pub id: StreamId,
    /// When it was delivered last, in Unix milliseconds.
    pub delivered_at: i64,
    /// How often.
    pub deliveries: u64,
    /// The index of its consumer.
    pub consumer: usize,
}

/// A consumer of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamConsumer {
    /// Its name.
    pub name: Vec<u8>,
    /// When it was heard of last, in Unix milliseconds.
    pub seen_at: i64,
    /// When it was given something last; -1 for never.
    pub active_at: i64,
}
