//! Walking over the entries between two identities.

use super::id::StreamId;
use super::node::{Entries, Entry, Node};
use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

/// The nodes that may hold entries between two identities.
fn nodes_between(
    nodes: &BTreeMap<StreamId, Arc<Node>>,
    start: StreamId,
    end: StreamId,
) -> btree_map::Range<'_, StreamId, Arc<Node>> {
    let floor = nodes.range(..=start).next_back();
    let from = floor.map_or(start, |(base, _)| *base);
    // A map refuses ranges that end before they start.
    nodes.range(from..=end.max(from))
}

/// Entries between two identities, first to last.
pub struct Range<'a> {
    nodes: btree_map::Range<'a, StreamId, Arc<Node>>,
    node: Option<Entries<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Range<'a> {
    pub(super) fn new(
        nodes: &'a BTreeMap<StreamId, Arc<Node>>,
        start: StreamId,
        end: StreamId,
    ) -> Self {
        Range {
            nodes: nodes_between(nodes, start, end),
            node: None,
            start,
            end,
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(node) = &mut self.node {
                for (entry, _) in node.by_ref() {
                    if entry.id > self.end {
                        return None;
                    }
                    if entry.id >= self.start {
                        return Some(entry);
                    }
                }
            }
            let (base, node) = self.nodes.next()?;
            self.node = Some(node.entries(*base));
        }
    }
}

/// Entries between two identities, last to first. A node can be read forwards only, so that
/// all of it is read when it is reached.
pub struct Backwards<'a> {
    nodes: btree_map::Range<'a, StreamId, Arc<Node>>,
    node: Vec<Entry<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Backwards<'a> {
    pub(super) fn new(
        nodes: &'a BTreeMap<StreamId, Arc<Node>>,
        start: StreamId,
        end: StreamId,
    ) -> Self {
        Backwards {
            nodes: nodes_between(nodes, start, end),
            node: Vec::new(),
            start,
            end,
        }
    }
}

impl<'a> Iterator for Backwards<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (start, end) = (self.start, self.end);
        loop {
            if let Some(entry) = self.node.pop() {
                return Some(entry);
            }
            let (base, node) = self.nodes.next_back()?;
            let entries = node.entries(*base).map(|(entry, _)| entry);
            self.node
                .extend(entries.filter(|entry| entry.id >= start && entry.id <= end));
        }
    }
}
