//! A large list: a row of nodes, each with packed elements.
//!
//! A clone shares the nodes, and whoever changes one copies it first: a snapshot takes a list
//! of any length in a moment.
//!
//! What must stay true: no node is empty; a node of more than one element holds at most
//! [`NODE_BYTES`]; `len` is the sum of the nodes' counts.

use super::packed::{Elements, listpack_bytes, place};
use crate::allocator::size_class;
use crate::values::packed::{EditBuf, Element, Encoded};
use std::collections::VecDeque;
use std::sync::Arc;

/// A list of packed nodes.
#[derive(Clone, Debug, Default)]
pub struct List {
    nodes: VecDeque<Arc<Node>>,
    len: usize,
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    bytes: Vec<u8>,
    count: u32,
}

impl Node {
    fn of(encoded: &[u8]) -> Arc<Node> {
        let mut node = Node::default();
        node.insert(0, encoded);
        Arc::new(node)
    }

    fn has_room(&self, more: usize) -> bool {
        self.bytes.len() + more <= NODE_BYTES
    }

    /// Puts an encoded element at a place among the bytes.
    fn insert(&mut self, at: usize, encoded: &[u8]) {
        let len = self.bytes.len() + encoded.len();
        if len > self.bytes.capacity() {
            // In the allocator's own steps, and neither twice as much nor more than a node
            // may hold: the slack of the last node counts for nothing, that of all others
            // would.
            let step = (len / 4).clamp(16, 256);
            let capacity = size_class((len + step).min(NODE_BYTES).max(len));
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        if at == self.bytes.len() {
            self.bytes.extend_from_slice(encoded);
        } else {
            self.bytes.splice(at..at, encoded.iter().copied());
        }
        self.count += 1;
    }

    /// Removes `n` elements from the one at `index` on; how many bytes they took.
    fn cut(&mut self, index: usize, n: usize) -> usize {
        let from = place(&self.bytes, 0, index);
        let to = place(&self.bytes, from, n);
        self.bytes.drain(from..to);
        self.count -= n as u32;
        self.give_back();
        to - from
    }

    /// Removes the elements at `places`, which count from `first` on; how many bytes they
    /// took.
    fn cut_all(&mut self, first: usize, places: &[usize]) -> usize {
        let before = self.bytes.len();
        let (mut read, mut write, mut index) = (0, 0, first);
        for place_gone in places {
            let from = place(&self.bytes, read, place_gone - index);
            self.bytes.copy_within(read..from, write);
            write += from - read;
            read = place(&self.bytes, from, 1);
            index = place_gone + 1;
        }
        self.bytes.copy_within(read.., write);
        self.bytes.truncate(write + before - read);
        self.count -= places.len() as u32;
        self.give_back();
        before - self.bytes.len()
    }

    fn append(&mut self, behind: &Node) {
        self.bytes.reserve_exact(behind.bytes.len());
        self.bytes.extend_from_slice(&behind.bytes);
        self.count += behind.count;
    }

    fn give_back(&mut self) {
        if self.bytes.capacity() > 2 * self.bytes.len() + 64 {
            self.bytes.shrink_to_fit();
        }
    }

    fn elements(&self, index: usize) -> Elements<'_> {
        Elements {
            bytes: &self.bytes,
            at: place(&self.bytes, 0, index),
        }
    }

    /// The elements from `index` on as a node of their own.
    fn split(&mut self, index: usize) -> Node {
        let at = place(&self.bytes, 0, index);
        let bytes = self.bytes.split_off(at);
        let count = self.count - index as u32;
        self.count = index as u32;
        self.bytes.shrink_to_fit();
        Node { bytes, count }
    }
}

impl List {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the packed elements.
    pub(super) fn packed_bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes in memory.
    pub fn mem_bytes(&self) -> usize {
        let nodes = self
            .nodes
            .iter()
            .map(|node| size_class(node.bytes.capacity()));
        size_of::<Self>()
            + self.nodes.capacity() * size_of::<Arc<Node>>()
            + self.nodes.len() * size_class(SHARED + size_of::<Node>())
            + nodes.sum::<usize>()
    }

    pub(super) fn listpack_bytes(&self) -> usize {
        let nodes = self.nodes.iter();
        nodes.map(|node| listpack_bytes(&node.bytes, 0)).sum()
    }

    /// The elements from `start` on.
    pub(super) fn from(&self, start: usize) -> impl Iterator<Item = Element<'_>> {
        let (node, index) = self.find(start);
        let first = self.nodes.get(node).map(|node| node.elements(index));
        let rest = self.nodes.iter().skip(node + 1);
        first
            .into_iter()
            .flatten()
            .chain(rest.flat_map(|node| node.elements(0)))
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The elements from the back.
    pub(super) fn backwards(&self) -> impl Iterator<Item = Element<'_>> {
        self.nodes.iter().rev().flat_map(|node| {
            let all: Vec<_> = node.elements(0).collect();
            all.into_iter().rev()
        })
    }

    /// Adds an element at the back.
    pub fn push(&mut self, text: &[u8]) {
        self.insert(self.len, text);
    }

    /// Inserts an element in front of the one at `index`.
    pub fn insert(&mut self, index: usize, text: &[u8]) {
        let mut encoded = EditBuf::new();
        Encoded::new(text).write_to(&mut encoded);
        self.len += 1;
        self.bytes += encoded.len();
        let (mut node, mut index) = if index + 1 >= self.len {
            match self.nodes.back() {
                Some(last) => (self.nodes.len() - 1, last.count as usize),
                None => (0, 0),
            }
        } else {
            // Among the elements without the new one.
            self.find_in(index, self.len - 1)
        };
        let Some(target) = self.nodes.get(node) else {
            self.nodes.push_back(Node::of(&encoded));
            return;
        };
        if index == 0 && !target.has_room(encoded.len()) && node > 0 {
            // The end of the node in front is the same place.
            node -= 1;
            index = self.nodes[node].count as usize;
        }
        let target = Arc::make_mut(&mut self.nodes[node]);
        if target.has_room(encoded.len()) {
            let at = if index == target.count as usize {
                target.bytes.len()
            } else {
                place(&target.bytes, 0, index)
            };
            target.insert(at, &encoded);
            return;
        }
        if index == 0 {
            self.nodes.insert(node, Node::of(&encoded));
        } else if index == target.count as usize {
            self.nodes.insert(node + 1, Node::of(&encoded));
        } else {
            let rest = target.split(index);
            self.nodes.insert(node + 1, Arc::new(rest));
            let target = Arc::make_mut(&mut self.nodes[node]);
            if target.has_room(encoded.len()) {
                let end = target.bytes.len();
                target.insert(end, &encoded);
            } else {
                self.nodes.insert(node + 1, Node::of(&encoded));
            }
        }
    }

    /// Gives the element at `index` another text.
    pub fn replace(&mut self, index: usize, text: &[u8]) {
        self.remove(index, 1);
        self.insert(index, text);
    }

    /// Removes `n` elements from `index` on.
    pub fn remove(&mut self, index: usize, n: usize) {
        let mut left = n.min(self.len.saturating_sub(index));
        if left == 0 {
            return;
        }
        let (first, at) = self.find(index);
        self.len -= left;
        let mut whole = first;
        if let Some(node) = self.nodes.get_mut(first).filter(|_| at > 0) {
            let gone = left.min(node.count as usize - at);
            left -= gone;
            self.bytes -= Arc::make_mut(node).cut(at, gone);
            whole += 1;
        }
        let mut end = whole;
        while let Some(node) = self.nodes.get(end) {
            let count = node.count as usize;
            if left < count {
                break;
            }
            left -= count;
            self.bytes -= node.bytes.len();
            end += 1;
        }
        if end > whole {
            // At once: one by one, each would move all behind it.
            self.nodes.drain(whole..end);
        }
        if left > 0
            && let Some(node) = self.nodes.get_mut(whole)
        {
            self.bytes -= Arc::make_mut(node).cut(0, left);
        }
        self.merge(first);
        self.merge(first.saturating_sub(1));
        self.give_back();
    }

    /// Removes the elements at `places`, which ascend, in one walk.
    pub fn remove_all(&mut self, places: &[usize]) {
        let (mut start, mut next) = (0, 0);
        for node in &mut self.nodes {
            let end = start + node.count as usize;
            let mine = places[next..].partition_point(|place| *place < end);
            if mine > 0 {
                self.bytes -= Arc::make_mut(node).cut_all(start, &places[next..next + mine]);
                self.len -= mine;
                next += mine;
            }
            start = end;
        }
        if next == 0 {
            return;
        }
        let mut kept: VecDeque<Arc<Node>> = VecDeque::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes) {
            match kept.back_mut() {
                _ if node.count == 0 => {}
                Some(last) if last.bytes.len() + node.bytes.len() <= NODE_BYTES / 2 => {
                    Arc::make_mut(last).append(&node);
                }
                _ => kept.push_back(node),
            }
        }
        self.nodes = kept;
        self.give_back();
    }

    /// Gives the row's memory back when most of it is unused.
    fn give_back(&mut self) {
        if self.nodes.capacity() > 4 * self.nodes.len() + 16 {
            self.nodes.shrink_to(2 * self.nodes.len());
        }
    }

    /// Joins two neighbours that have both become small.
    fn merge(&mut self, node: usize) {
        let (Some(a), Some(b)) = (self.nodes.get(node), self.nodes.get(node + 1)) else {
            return;
        };
        if a.bytes.len() + b.bytes.len() > NODE_BYTES / 2 {
            return;
        }
        if let Some(b) = self.nodes.remove(node + 1) {
            Arc::make_mut(&mut self.nodes[node]).append(&b);
        }
    }

    /// The node of the element `index`, and the element's place in it; behind the last node
    /// if there are fewer.
    fn find(&self, index: usize) -> (usize, usize) {
        self.find_in(index, self.len)
    }

    fn find_in(&self, index: usize, len: usize) -> (usize, usize) {
        if index >= len {
            return (self.nodes.len(), 0);
        }
        if index <= len / 2 {
            let mut left = index;
            for (i, node) in self.nodes.iter().enumerate() {
                let count = node.count as usize;
                if left < count {
                    return (i, left);
                }
                left -= count;
            }
            return (self.nodes.len(), 0);
        }
        // From the back.
        let mut behind = len - index;
        for (i, node) in self.nodes.iter().enumerate().rev() {
            let count = node.count as usize;
            if behind <= count {
                return (i, count - behind);
            }
            behind -= count;
        }
        (0, 0)
    }
}

/// What counting who shares it costs a node, in bytes.
const SHARED: usize = 16;
/// A node of several elements does not grow beyond this, in bytes. Larger ones would need
/// fewer words each, smaller ones are faster to walk: nothing in them points backwards.
const NODE_BYTES: usize = 2048;
