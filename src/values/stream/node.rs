//! A node: entries that follow each other, in one run of bytes.
//!
//! ```text
//! fields: varint │ field …                          the fields of the node's first entry
//! head │ [seq: varint] │ value …                    an entry with exactly these fields
//! head │ [seq: varint] │ fields: varint │ field value …    any other entry
//!
//! head:  c mmmmm q s    s: the node's fields; q: a sequence number follows, otherwise it is 0;
//!                       m: the low bits of the milliseconds since the node's own identity;
//!                       c: the other bits follow as a varint
//! ```
//! Fields and values are elements of `packed`. In the node's first millisecond the sequence
//! number counts from the node's own, in others from zero.
//!
//! What must stay true: entries ascend; a node has at least one; its identity, by which the
//! stream keeps it, is not above its first entry's.
//!
//! Deleted entries leave no bytes, but they count: nodes begin where those of Redis would, so
//! that approximate trimming removes the same entries. For the same reason a node knows how
//! many bytes Redis would have used.

use super::id::StreamId;
use crate::values::packed::{self, EditBuf, Element, Encoded};

/// Up to which size entries share a node; 0 for no limit.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Bytes (`stream-node-max-bytes`).
    pub max_bytes: usize,
    /// Entries (`stream-node-max-entries`).
    pub max_entries: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        NodeLimits {
            max_bytes: 4096,
            max_entries: 100,
        }
    }
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    bytes: Vec<u8>,
    /// The last entry it was given, even if that was deleted.
    pub last: StreamId,
    /// Entries.
    pub live: u32,
    /// Entries that were deleted.
    pub deleted: u32,
    /// Bytes of Redis's node, its two counters aside.
    listpack: usize,
}

/// An entry, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Which.
    pub id: StreamId,
    /// How many fields it has.
    pub fields: usize,
    /// The fields, if they stand apart from the values.
    names: Option<&'a [u8]>,
    /// Values, or fields and values in turn; more may follow.
    body: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Fields and values.
    pub fn pairs(self) -> impl Iterator<Item = (Element<'a>, Element<'a>)> {
        let (mut name_at, mut at) = (0, 0);
        (0..self.fields).map_while(move |_| {
            let name = match self.names {
                Some(names) => {
                    let (name, next) = packed::read(names, name_at)?;
                    name_at = next;
                    name
                }
                None => {
                    let (name, next) = packed::read(self.body, at)?;
                    at = next;
                    name
                }
            };
            let (value, next) = packed::read(self.body, at)?;
            at = next;
            Some((name, value))
        })
    }
}

impl Node {
    /// A node for entries that have the same fields as its first.
    pub fn new(id: StreamId, pairs: &[&[u8]]) -> Self {
        let mut head = EditBuf::new();
        put_varint(&mut head, pairs.len() as u64 / 2);
        // The head and the terminator of a listpack, the number of fields, the end mark.
        let mut listpack = 7 + int_size(pairs.len() as i64 / 2) + int_size(0);
        for name in pairs.iter().step_by(2) {
            let name = Encoded::new(name);
            listpack += listpack_size(&name);
            name.write_to(&mut head);
        }
        Node {
            bytes: head.to_vec(),
            last: id,
            live: 0,
            deleted: 0,
            listpack,
        }
    }

    /// Whether an entry of so many bytes of text still belongs here.
    pub fn takes(&self, text_bytes: usize, limits: NodeLimits) -> bool {
        let max_bytes = match limits.max_bytes {
            0 => MAX_NODE_BYTES,
            max => max.min(MAX_NODE_BYTES),
        };
        let counters = int_size(self.live.into()) + int_size(self.deleted.into());
        let entries = self.live as usize + self.deleted as usize;
        self.listpack + counters + text_bytes < max_bytes
            && (limits.max_entries == 0 || entries < limits.max_entries)
            && self.bytes.len() + text_bytes < MAX_NODE_BYTES
    }

    /// Adds an entry after all others.
    pub fn append(&mut self, base: StreamId, id: StreamId, pairs: &[&[u8]]) {
        let same = self.has_fields(pairs);
        let mut out = EditBuf::new();
        let ms = id.ms - base.ms;
        let seq = if ms == 0 { id.seq - base.seq } else { id.seq };
        let high = ms >> 5;
        out.push(
            flag(same, SAME)
                | flag(seq != 0, HAS_SEQ)
                | flag(high != 0, MORE)
                | (((ms & 0x1f) as u8) << 2),
        );
        if high != 0 {
            put_varint(&mut out, high);
        }
        if seq != 0 {
            put_varint(&mut out, seq);
        }
        let count = pairs.len() / 2;
        let seq_diff = (id.seq as i64).wrapping_sub(base.seq as i64);
        let mut listpack = int_size(0) + int_size(ms as i64) + int_size(seq_diff);
        let mut elements = 3 + count;
        if !same {
            put_varint(&mut out, count as u64);
            listpack += int_size(count as i64);
            elements += 1 + count;
        }
        listpack += int_size(elements as i64);
        for (at, text) in pairs.iter().enumerate() {
            if same && at % 2 == 0 {
                continue;
            }
            let element = Encoded::new(text);
            listpack += listpack_size(&element);
            element.write_to(&mut out);
        }
        self.bytes.extend_from_slice(&out);
        self.listpack += listpack;
        self.last = id;
        self.live += 1;
    }

    /// Gives back room that later entries would have taken.
    pub fn close(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Bytes allocated for the entries.
    pub fn mem_bytes(&self) -> usize {
        crate::allocator::size_class(self.bytes.capacity())
    }

    /// The entries, with the range of their bytes.
    pub fn entries(&self, base: StreamId) -> Entries<'_> {
        let (count, names_at) = varint(&self.bytes, 0).unwrap_or((0, self.bytes.len()));
        let at = skip_elements(&self.bytes, names_at, count).unwrap_or(self.bytes.len());
        Entries {
            node: self,
            base,
            fields: count as usize,
            names: &self.bytes[names_at..at],
            at,
        }
    }

    /// Deletes the entry whose bytes are these.
    pub fn remove(&mut self, range: std::ops::Range<usize>) {
        self.bytes.drain(range);
        self.live -= 1;
        self.deleted += 1;
    }

    fn has_fields(&self, pairs: &[&[u8]]) -> bool {
        let Some((count, mut at)) = varint(&self.bytes, 0) else {
            return false;
        };
        count == pairs.len() as u64 / 2
            && pairs.iter().step_by(2).all(|name| {
                let name = Encoded::new(name);
                let same = name.is_at(&self.bytes, at);
                at += name.size();
                same
            })
    }
}

/// The entries of a node.
pub(super) struct Entries<'a> {
    node: &'a Node,
    base: StreamId,
    fields: usize,
    names: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Entry<'a>, std::ops::Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes: &'a [u8] = &self.node.bytes;
        let start = self.at;
        let head = *bytes.get(start)?;
        let mut at = start + 1;
        let mut take = |wanted: bool| {
            if !wanted {
                return Some(0);
            }
            let (value, next) = varint(bytes, at)?;
            at = next;
            Some(value)
        };
        let high = take(head & MORE != 0)?;
        let seq = take(head & HAS_SEQ != 0)?;
        let own_fields = take(head & SAME == 0)?;
        let ms = high << 5 | u64::from(head >> 2 & 0x1f);
        let seq_base = if ms == 0 { self.base.seq } else { 0 };
        let id = StreamId::new(self.base.ms.wrapping_add(ms), seq_base.wrapping_add(seq));
        let same = head & SAME != 0;
        let elements = if same {
            self.fields as u64
        } else {
            own_fields * 2
        };
        let end = skip_elements(bytes, at, elements)?;
        self.at = end;
        let entry = Entry {
            id,
            fields: if same {
                self.fields
            } else {
                own_fields as usize
            },
            names: same.then_some(self.names),
            body: &bytes[at..],
        };
        Some((entry, start..end))
    }
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

fn skip_elements(bytes: &[u8], mut at: usize, count: u64) -> Option<usize> {
    for _ in 0..count {
        at = packed::skip(bytes, at)?;
    }
    Some(at)
}

/// Seven bits a byte, low ones first.
fn put_varint(out: &mut EditBuf, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}

/// Bytes that an integer takes in a listpack.
fn int_size(value: i64) -> usize {
    listpack_size(&Encoded::int(value))
}

/// Bytes that an element takes in a listpack: behind the same bytes stands their number.
fn listpack_size(element: &Encoded<'_>) -> usize {
    let size = element.size();
    size + match size {
        0..0x80 => 1,
        0x80..0x3fff => 2,
        0x3fff..0x1f_ffff => 3,
        0x1f_ffff..0xfff_ffff => 4,
        _ => 5,
    }
}

/// The entry has the fields of the node.
const SAME: u8 = 1;
const HAS_SEQ: u8 = 2;
const MORE: u8 = 0x80;
/// No node grows beyond this, whatever is configured.
pub(super) const MAX_NODE_BYTES: usize = 1 << 30;
