//! Streams: entries in the order of their identities, and the groups that consume them.
//!
//! Entries live in packed nodes (`node`) under an ordered map, so that adding, finding and
//! walking cost O(log n + m). Each consumer group keeps what was delivered and not
//! acknowledged (`group`); the entries themselves know nothing of groups.
//!
//! What must stay true: nodes are not empty and do not overlap; `len` is the number of
//! entries; no entry is above `last_id`; an identity that a consumer has pending is pending
//! for its group, and the other way round.

mod by_id;
mod group;
mod id;
mod lag;
mod node;
mod range;
#[cfg(test)]
mod tests;
mod trim;

pub use by_id::ById;
pub use group::{Consumer, ConsumerIndex, Group, Pending};
pub use id::{IdText, StreamId};
pub use node::{Entry, NodeLimits};
pub use range::{Backwards, Range};
pub use trim::{Refs, Removed, Threshold, Trim};

use crate::allocator::size_class;
use node::Node;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A stream. A clone shares nodes and runs of pending entries, and whoever changes one copies
/// it first: a snapshot takes a stream of any length in a moment.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// By an identity that is not above the first entry's.
    nodes: BTreeMap<StreamId, Arc<Node>>,
    len: u64,
    /// Bytes allocated by the nodes.
    node_bytes: usize,
    /// The highest identity ever given.
    pub last_id: StreamId,
    /// The highest identity ever deleted by name.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
}

impl Stream {
    /// A stream without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no entry. Unlike other collections, an empty stream exists.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in memory.
    pub fn mem_bytes(&self) -> usize {
        let groups = self.groups.iter();
        let groups = groups.map(|(name, group)| name.len() + group.mem_bytes());
        size_of::<Self>()
            + self.node_bytes
            + map_bytes::<StreamId, Arc<Node>>(self.nodes.len())
            + self.nodes.len() * size_class(SHARED + size_of::<Node>())
            + map_bytes::<Box<[u8]>, Group>(self.groups.len())
            + groups.sum::<usize>()
    }

    /// Whether freeing it takes long.
    pub fn is_costly(&self) -> bool {
        let pending = self.groups.values().map(|group| group.pending().len());
        self.nodes.len() + pending.sum::<usize>() > 64
    }

    /// The nodes, as Redis counts them.
    pub fn node_ids(&self) -> impl ExactSizeIterator<Item = StreamId> + '_ {
        self.nodes.keys().copied()
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        let (base, node) = self.nodes.first_key_value()?;
        node.entries(*base).next().map(|(entry, _)| entry)
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        let (base, node) = self.nodes.last_key_value()?;
        node.entries(*base).last().map(|(entry, _)| entry)
    }

    /// The identity of the first entry, 0-0 if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first().map_or(StreamId::MIN, |entry| entry.id)
    }

    /// Adds an entry of fields and values in turn. `id` is above all that were ever given.
    pub fn append(&mut self, id: StreamId, pairs: &[&[u8]], limits: NodeLimits) {
        let text_bytes = pairs.iter().map(|text| text.len()).sum();
        self.append_to_node(id, pairs, |last| last.takes(text_bytes, limits));
        self.last_id = id;
        self.entries_added += 1;
    }

    /// Adds an entry that was there before, in a node of its own or in the last one; the
    /// counters are somebody else's to set.
    pub fn restore(&mut self, id: StreamId, pairs: &[&[u8]], begins_node: bool) {
        self.append_to_node(id, pairs, |_| !begins_node);
        self.last_id = self.last_id.max(id);
    }

    fn append_to_node(&mut self, id: StreamId, pairs: &[&[u8]], takes: impl Fn(&Node) -> bool) {
        debug_assert!(self.nodes.values().next_back().is_none_or(|n| n.last < id));
        self.len += 1;
        if let Some(mut last) = self.nodes.last_entry() {
            let base = *last.key();
            let node = Arc::make_mut(last.get_mut());
            let before = node.mem_bytes();
            let fits = takes(node);
            if fits {
                node.append(base, id, pairs);
            } else {
                node.close();
            }
            self.node_bytes += node.mem_bytes();
            self.node_bytes -= before;
            if fits {
                return;
            }
        }
        let mut node = Node::new(id, pairs);
        node.append(id, id, pairs);
        self.node_bytes += node.mem_bytes();
        self.nodes.insert(id, Arc::new(node));
    }

    /// Whether there is such an entry.
    pub fn contains(&self, id: StreamId) -> bool {
        self.find(id).is_some()
    }

    /// The entry with this identity.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.find(id).map(|(_, entry, _)| entry)
    }

    /// Deletes an entry; whether it was there. The groups keep what they have pending.
    pub fn remove(&mut self, id: StreamId) -> bool {
        let Some((base, _, range)) = self.find(id) else {
            return false;
        };
        self.remove_from_node(base, range);
        true
    }

    /// The entry with its node and where it lies there.
    fn find(&self, id: StreamId) -> Option<(StreamId, Entry<'_>, std::ops::Range<usize>)> {
        let (base, node) = self.nodes.range(..=id).next_back()?;
        if id > node.last {
            return None;
        }
        let mut entries = node.entries(*base);
        let (entry, range) = entries.find(|(entry, _)| entry.id >= id)?;
        (entry.id == id).then_some((*base, entry, range))
    }

    fn remove_from_node(&mut self, base: StreamId, range: std::ops::Range<usize>) {
        let Some(node) = self.nodes.get_mut(&base) else {
            return;
        };
        self.len -= 1;
        if node.live == 1 {
            self.remove_node(base);
        } else {
            Arc::make_mut(node).remove(range);
        }
    }

    /// Takes a node out, whose entries have been counted off.
    fn remove_node(&mut self, base: StreamId) {
        if let Some(node) = self.nodes.remove(&base) {
            self.node_bytes -= node.mem_bytes();
        }
    }

    /// The entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::new(&self.nodes, start, end)
    }

    /// The same from the last to the first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> Backwards<'_> {
        Backwards::new(&self.nodes, start, end)
    }

    /// All entries.
    pub fn iter(&self) -> Range<'_> {
        self.range(StreamId::MIN, StreamId::MAX)
    }

    /// The consumer groups by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// A consumer group.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// A consumer group, to change.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.groups.get_mut(name)
    }

    /// Adds a consumer group; whether the name was free.
    pub fn add_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        let group = Group::new(last_id, entries_read);
        self.groups.insert(name.into(), group);
        true
    }

    /// Removes a consumer group.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Group> {
        self.groups.remove(name)
    }

    /// Whether every group has read the entry and nobody has it pending.
    pub fn is_acknowledged(&self, id: StreamId) -> bool {
        let mut groups = self.groups.values();
        groups.all(|group| group.last_id >= id && !group.pending().contains(id))
    }

    /// Makes all groups forget that the entry is pending, and notes which had it.
    pub fn drop_references(&mut self, id: StreamId, removed: &mut Removed) {
        for (name, group) in &mut self.groups {
            if group.acknowledge(id) {
                removed.references.push((name.clone(), id));
            }
        }
    }
}

/// What counting who shares it costs a node or a run, in bytes.
const SHARED: usize = 16;

/// Bytes of a `BTreeMap` of so many items, about.
fn map_bytes<K, V>(len: usize) -> usize {
    // Nodes of eleven, filled by two thirds, and their heads.
    len * (size_of::<K>() + size_of::<V>() + 2) * 3 / 2
}
