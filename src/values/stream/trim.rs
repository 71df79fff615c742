//! Trimming: removing the oldest entries.

use super::Stream;
use super::id::StreamId;

/// What becomes of pending references to a deleted entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refs {
    /// They stay (`KEEPREF`).
    #[default]
    Keep,
    /// They go, too (`DELREF`).
    Delete,
    /// Only entries that every group has acknowledged are deleted (`ACKED`).
    Acknowledged,
}

/// Down to where a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// So many entries.
    MaxLen(u64),
    /// The entries from this one on.
    MinId(StreamId),
}

/// What was removed of a stream, and of its groups.
#[derive(Debug, Default)]
pub struct Removed {
    /// Entries.
    pub ids: Vec<StreamId>,
    /// Pending references, with the names of their groups.
    pub references: Vec<(Box<[u8]>, StreamId)>,
}

/// Entries of one node, and where they lie in it.
type Places = Vec<(StreamId, std::ops::Range<usize>)>;

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    /// Down to where.
    pub threshold: Threshold,
    /// Whether only whole nodes are removed, and at most so many entries; 0 for any number.
    pub approximate: Option<u64>,
    /// What becomes of references.
    pub refs: Refs,
}

impl Trim {
    fn keeps_all(&self, len: u64) -> bool {
        matches!(self.threshold, Threshold::MaxLen(max) if len <= max)
    }
}

impl Stream {
    /// Whether it is certain, without looking at entries, that trimming removes none.
    pub fn trims_nothing(&self, trim: Trim) -> bool {
        self.len == 0
            || trim.keeps_all(self.len)
            || matches!(trim.threshold, Threshold::MinId(min) if self.first_id() >= min)
            || trim.approximate.is_some() && !self.trims_a_node(trim)
    }

    fn trims_a_node(&self, trim: Trim) -> bool {
        let mut nodes = self.nodes.values();
        let node = nodes.next().filter(|_| trim.refs == Refs::Keep);
        node.is_some_and(|node| {
            let live = u64::from(node.live);
            let fits = trim
                .approximate
                .is_none_or(|most| most == 0 || live <= most);
            fits && match trim.threshold {
                Threshold::MaxLen(max) => self.len - live >= max,
                Threshold::MinId(min) => node.last < min,
            }
        })
    }

    /// Removes the oldest entries; how many.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        self.trim_noting(trim, &mut Removed::default())
    }

    /// The same. What is removed is noted unless references are kept: then it is simply the
    /// oldest entries.
    pub fn trim_noting(&mut self, trim: Trim, removed: &mut Removed) -> u64 {
        let before = self.len;
        if trim.refs == Refs::Keep {
            self.trim_nodes(trim);
        }
        if trim.approximate.is_none() {
            self.trim_entries(trim, removed);
        }
        before - self.len
    }

    /// Removes whole nodes from the beginning.
    fn trim_nodes(&mut self, trim: Trim) {
        let limit = trim.approximate.unwrap_or(0);
        let mut removed = 0;
        while let Some((base, node)) = self.nodes.first_key_value() {
            let (base, live) = (*base, u64::from(node.live));
            let whole = match trim.threshold {
                Threshold::MaxLen(max) => self.len > max && self.len - live >= max,
                Threshold::MinId(min) => node.last < min,
            };
            if !whole || limit > 0 && removed + live > limit {
                return;
            }
            removed += live;
            self.len -= live;
            self.remove_node(base);
        }
    }

    /// Removes single entries from the beginning.
    fn trim_entries(&mut self, trim: Trim, removed: &mut Removed) {
        let mut from = StreamId::MIN;
        while !trim.keeps_all(self.len) {
            // One node at a time: what is found in it is then removed from its end on.
            let Some((base, found)) = self.next_to_trim(from, trim) else {
                return;
            };
            let Some(next) = base.next() else { return };
            from = next;
            if trim.refs != Refs::Keep {
                removed.ids.extend(found.iter().map(|(id, _)| *id));
            }
            for (id, range) in found.into_iter().rev() {
                if trim.refs == Refs::Delete {
                    self.drop_references(id, removed);
                }
                self.remove_from_node(base, range);
            }
        }
    }

    /// The first node from `from` on, and what is to be removed of it. `None` when the end of
    /// what may be removed is reached.
    fn next_to_trim(&self, from: StreamId, trim: Trim) -> Option<(StreamId, Places)> {
        let (base, node) = self.nodes.range(from..).next()?;
        let mut found = Vec::new();
        if matches!(trim.threshold, Threshold::MinId(min) if *base >= min) {
            return None;
        }
        for (entry, range) in node.entries(*base) {
            let go = match trim.threshold {
                Threshold::MaxLen(max) => self.len - found.len() as u64 > max,
                Threshold::MinId(min) => entry.id < min,
            };
            if !go {
                break;
            }
            if trim.refs != Refs::Acknowledged || self.is_acknowledged(entry.id) {
                found.push((entry.id, range));
            }
        }
        Some((*base, found))
    }
}
