//! What one client has subscribed to; owned by its connection.

use super::registry::Kind;
use hashbrown::HashSet;

/// A client's subscriptions.
#[derive(Default, Debug)]
pub struct Subscriptions {
    topics: [HashSet<Box<[u8]>>; 3],
    /// The sum of their lengths.
    bytes: usize,
}

impl Subscriptions {
    /// Adds one; whether it is new.
    pub fn insert(&mut self, kind: Kind, topic: &[u8]) -> bool {
        let topics = &mut self.topics[kind as usize];
        let new = !topics.contains(topic) && topics.insert(topic.into());
        if new {
            self.bytes += topic.len();
        }
        new
    }

    /// Takes one away; whether it was there.
    pub fn remove(&mut self, kind: Kind, topic: &[u8]) -> bool {
        let was_there = self.topics[kind as usize].remove(topic);
        if was_there {
            self.bytes -= topic.len();
        }
        was_there
    }

    /// All of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.topics[kind as usize].iter().map(|topic| &**topic)
    }

    /// How many of a kind there are.
    pub fn len(&self, kind: Kind) -> usize {
        self.topics[kind as usize].len()
    }

    /// Bytes that they take.
    pub fn mem_bytes(&self) -> usize {
        let count: usize = self.topics.iter().map(HashSet::len).sum();
        self.bytes + count * size_of::<Box<[u8]>>()
    }

    /// The number that an acknowledgement tells: shard channels count on their own.
    pub fn counted_with(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.len(Kind::Shard),
            Kind::Channel | Kind::Pattern => self.len(Kind::Channel) + self.len(Kind::Pattern),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.topics.iter().all(|topics| topics.is_empty())
    }
}
