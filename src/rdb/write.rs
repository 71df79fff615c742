//! Writing RDB data: lengths, strings and objects.
//!
//! Types are chosen so that as many readers as possible can load them. Collections that are
//! packed here are written as listpacks, which are the same but for the sizes behind their
//! elements; others element by element. Only a hash with field expiry needs a type that is
//! Redis's alone or Valkey's alone.

use super::codes;
use super::lzf;
use super::packs::backwards;
use super::source;
use super::stream_write::{kind_of_stream, put_stream};
use crate::keyspace::ValueRef;
use crate::time::UnixMs;
use crate::values::hash::{Field, HashRef};
use crate::values::list::ListRef;
use crate::values::packed::{self, Element, Encoded};
use crate::values::set::{self, SetRef};
use crate::values::sorted_set::SortedSetRef;
use std::ops::Range;

/// For whom RDB data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The version of the format that the reader knows.
    pub version: u32,
    /// Whether strings are compressed.
    pub compress: bool,
}

impl Target {
    fn knows_listpacks(self) -> bool {
        self.version >= FIRST_WITH_LISTPACKS
    }
}

/// The type and the form in which a value is written.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    kind: u8,
    value: ValueRef<'a>,
    target: Target,
}

impl<'a> Object<'a> {
    /// Chooses how to write the value.
    pub fn new(value: ValueRef<'a>, target: Target) -> Self {
        let kind = match value {
            ValueRef::Int(_) | ValueRef::Str { .. } | ValueRef::Shared(_) => codes::STRING,
            ValueRef::HashPacked(_) if target.knows_listpacks() => codes::HASH_LISTPACK,
            ValueRef::HashPacked(_) => codes::HASH,
            ValueRef::HashPackedEx(bytes) => kind_of_hash(HashRef::PackedEx(bytes), target),
            ValueRef::HashTable(table) => kind_of_hash(HashRef::Table(table), target),
            ValueRef::ListPacked(_) | ValueRef::List(_) if target.knows_listpacks() => {
                codes::LIST_QUICKLIST_2
            }
            ValueRef::ListPacked(_) | ValueRef::List(_) => codes::LIST,
            ValueRef::SetInts(_) => codes::SET_INTSET,
            ValueRef::SetPacked(_) if target.version >= FIRST_WITH_SET_LISTPACKS => {
                codes::SET_LISTPACK
            }
            ValueRef::SetPacked(_) | ValueRef::SetTable(_) => codes::SET,
            ValueRef::SortedSetPacked(_) if target.knows_listpacks() => codes::ZSET_LISTPACK,
            ValueRef::SortedSetPacked(_) | ValueRef::SortedSet(_) => codes::ZSET_2,
            ValueRef::Stream(_) => kind_of_stream(target),
        };
        Object {
            kind,
            value,
            target,
        }
    }

    /// The same, with its strings as they are; for what is one string alone, which
    /// [`put_compressed`] compresses afterwards.
    pub fn uncompressed(self) -> Option<Self> {
        let one = matches!(
            self.kind,
            codes::STRING
                | codes::HASH_LISTPACK
                | codes::SET_INTSET
                | codes::SET_LISTPACK
                | codes::ZSET_LISTPACK
        );
        let target = Target {
            compress: false,
            ..self.target
        };
        one.then_some(Object { target, ..self })
    }

    /// The byte that announces it.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The lowest version of the format that has the type.
    pub fn version(&self) -> u32 {
        match self.kind {
            codes::HASH_22 => codes::FIRST_VALKEY,
            codes::HASH_METADATA | codes::HASH_LISTPACK_EX => 12,
            _ => self.target.version.min(COMMON_VERSION),
        }
    }

    /// Appends how many elements come, and says how to append them; for hash tables and large
    /// sorted sets.
    pub fn begin(&self, out: &mut Vec<u8>) -> Elements {
        let (len, earliest) = match self.value {
            ValueRef::HashTable(table) => (table.len(), table.min_expiry()),
            ValueRef::SortedSet(set) => (set.len(), None),
            _ => (0, None),
        };
        self.elements(out, len, earliest)
    }

    fn elements(&self, out: &mut Vec<u8>, len: usize, earliest: Option<UnixMs>) -> Elements {
        let earliest = earliest.unwrap_or(0);
        if self.kind == codes::HASH_METADATA {
            out.extend_from_slice(&earliest.to_le_bytes());
        }
        put_length(out, len as u64);
        Elements {
            kind: self.kind,
            earliest,
            compress: self.target.compress,
        }
    }

    /// Appends the object, its type aside. Of a list, set or stream on the heap `relieve` is
    /// called now and then with what there is, and may take it.
    pub fn write_in_parts(&self, out: &mut Vec<u8>, relieve: Relieve<'_>) {
        let compress = self.target.compress;
        match self.value {
            ValueRef::List(list) => {
                let list = ListRef::Quick(list);
                match self.kind {
                    codes::LIST => put_length(out, list.len() as u64),
                    _ => put_length(out, u64::from(count_nodes(list))),
                }
                self.list_nodes(out, list, relieve);
            }
            ValueRef::SetTable(table) => {
                put_members(out, SetRef::Table(table), compress, relieve);
            }
            ValueRef::Stream(stream) => {
                put_stream(out, stream, self.kind, self.target, relieve);
            }
            _ => self.write(out),
        }
    }

    /// Appends the object, its type aside.
    pub fn write(&self, out: &mut Vec<u8>) {
        let compress = self.target.compress;
        let whole = &mut |_: &mut Vec<u8>| ();
        match self.value {
            ValueRef::Int(n) => put_string(out, itoa::Buffer::new().format(n).as_bytes(), compress),
            ValueRef::Str { bytes, .. } => put_string(out, bytes, compress),
            ValueRef::Shared(value) => put_string(out, value, compress),
            ValueRef::HashPacked(bytes) if self.kind == codes::HASH_LISTPACK => {
                let elements = packed::elements(bytes, PACKED_HEADER);
                put_listpack(out, bytes, elements, compress);
            }
            ValueRef::HashPackedEx(bytes) if self.kind == codes::HASH_LISTPACK_EX => {
                let earliest = HashRef::PackedEx(bytes).min_expiry().unwrap_or(0);
                out.extend_from_slice(&earliest.to_le_bytes());
                let elements = packed::elements(bytes, PACKED_HEADER);
                put_listpack(out, bytes, elements, compress);
            }
            ValueRef::HashPacked(bytes) => self.hash(out, HashRef::Packed(bytes)),
            ValueRef::HashPackedEx(bytes) => self.hash(out, HashRef::PackedEx(bytes)),
            ValueRef::HashTable(table) => self.hash(out, HashRef::Table(table)),
            ValueRef::ListPacked(bytes) => self.list(out, ListRef::Packed(bytes)),
            ValueRef::List(list) => self.list(out, ListRef::Quick(list)),
            ValueRef::SetInts(bytes) => {
                let (width, integers) = set::parts_of_ints(bytes);
                let mut intset = (width as u32).to_le_bytes().to_vec();
                intset.extend_from_slice(&((integers.len() / width) as u32).to_le_bytes());
                intset.extend_from_slice(integers);
                put_string(out, &intset, compress);
            }
            ValueRef::SetPacked(bytes) if self.kind == codes::SET_LISTPACK => {
                let elements = packed::elements(bytes, PACKED_HEADER);
                put_listpack(out, bytes, elements, compress);
            }
            ValueRef::SetPacked(bytes) => {
                put_members(out, SetRef::Packed(bytes), compress, whole);
            }
            ValueRef::SetTable(table) => put_members(out, SetRef::Table(table), compress, whole),
            ValueRef::SortedSetPacked(bytes) => self.sorted_set(out, SortedSetRef::Packed(bytes)),
            ValueRef::SortedSet(set) => self.sorted_set(out, SortedSetRef::Full(set)),
            ValueRef::Stream(stream) => put_stream(out, stream, self.kind, self.target, whole),
        }
    }

    /// A list element by element, or as listpacks and large elements.
    fn list(&self, out: &mut Vec<u8>, list: ListRef<'_>) {
        let whole = &mut |_: &mut Vec<u8>| ();
        if self.kind == codes::LIST {
            put_length(out, list.len() as u64);
            self.list_nodes(out, list, whole);
            return;
        }
        // How many nodes there are is known at their end; four bytes hold any number.
        let count_at = out.len() + 1;
        out.extend_from_slice(&[0x80, 0, 0, 0, 0]);
        let count = self.list_nodes(out, list, whole);
        out[count_at..count_at + 4].copy_from_slice(&count.to_be_bytes());
        if count < FEW_NODES {
            // Most lists are small, and so is the length of a small number.
            out.splice(count_at - 1..count_at + 4, [count as u8]);
        }
    }

    /// What comes behind the number of elements or nodes of a list; how many nodes that was.
    fn list_nodes(&self, out: &mut Vec<u8>, list: ListRef<'_>, relieve: Relieve<'_>) -> u32 {
        let compress = self.target.compress;
        if self.kind == codes::LIST {
            for element in list.iter() {
                put_element(out, element, compress);
                relieve_if_long(out, relieve);
            }
            return 0;
        }
        let mut nodes = ListNodes::new(compress);
        for element in list.iter() {
            nodes.add(out, element);
            relieve_if_long(out, relieve);
        }
        nodes.end_pack(out);
        nodes.count
    }

    /// A sorted set as a listpack of members and scores, or member by member.
    fn sorted_set(&self, out: &mut Vec<u8>, set: SortedSetRef<'_>) {
        let compress = self.target.compress;
        if self.kind == codes::ZSET_LISTPACK {
            let mut pack = ListpackBuf::with_capacity(set.len() * 16);
            for (member, score) in set.iter() {
                pack.push(member);
                // A whole number becomes an integer, as every text that is one.
                let text = crate::number::format_double(score);
                pack.push(Element::Str(text.as_bytes()));
            }
            put_string(out, &pack.finish(), compress);
            return;
        }
        let elements = self.elements(out, set.len(), None);
        set.iter()
            .for_each(|(member, score)| elements.scored(out, member, score));
    }

    /// A hash field by field.
    fn hash(&self, out: &mut Vec<u8>, hash: HashRef<'_>) {
        let elements = self.elements(out, hash.len(), hash.min_expiry());
        hash.iter().for_each(|field| elements.field(out, field));
    }
}

/// How the elements of a hash or sorted set are written that are not packed.
#[derive(Clone, Copy, Debug)]
pub struct Elements {
    kind: u8,
    /// When the first field of the hash expires.
    earliest: UnixMs,
    compress: bool,
}

impl Elements {
    /// Appends a field.
    pub fn field(&self, out: &mut Vec<u8>, field: Field<'_>) {
        if self.kind == codes::HASH_METADATA {
            let since = field.expires_at.map_or(0, |at| at - self.earliest + 1);
            put_length(out, since as u64);
        }
        put_element(out, field.name, self.compress);
        put_element(out, field.value, self.compress);
        if self.kind == codes::HASH_22 {
            let at = field.expires_at.unwrap_or(-1);
            out.extend_from_slice(&at.to_le_bytes());
        }
    }

    /// Appends a member with its score.
    pub fn scored(&self, out: &mut Vec<u8>, member: Element<'_>, score: f64) {
        put_element(out, member, self.compress);
        out.extend_from_slice(&score.to_le_bytes());
    }
}

/// The nodes of a list in the making.
struct ListNodes {
    compress: bool,
    count: u32,
    pack: ListpackBuf,
}

impl ListNodes {
    fn new(compress: bool) -> Self {
        ListNodes {
            compress,
            count: 0,
            pack: ListpackBuf::with_capacity(0),
        }
    }

    fn add(&mut self, out: &mut Vec<u8>, element: Element<'_>) {
        let len = element.text_len();
        if self.pack.len() + len > NODE_BYTES {
            self.end_pack(out);
        }
        if len > NODE_BYTES {
            put_length(out, PLAIN_NODE);
            put_element(out, element, self.compress);
            self.count += 1;
        } else {
            self.pack.push(element);
        }
    }

    fn end_pack(&mut self, out: &mut Vec<u8>) {
        if self.pack.is_empty() {
            return;
        }
        let next = ListpackBuf::with_capacity(self.pack.len());
        let pack = std::mem::replace(&mut self.pack, next).finish();
        put_length(out, PACKED_NODE);
        put_string(out, &pack, self.compress);
        self.count += 1;
    }
}

/// How many nodes a list will have, where that must be said first.
fn count_nodes(list: ListRef<'_>) -> u32 {
    let (mut nodes, mut out) = (ListNodes::new(false), Vec::new());
    for element in list.iter() {
        nodes.add(&mut out, element);
        out.clear();
    }
    nodes.end_pack(&mut out);
    nodes.count
}

/// A set member by member.
fn put_members(out: &mut Vec<u8>, set: SetRef<'_>, compress: bool, relieve: Relieve<'_>) {
    put_length(out, set.len() as u64);
    for member in set.iter() {
        put_element(out, member, compress);
        relieve_if_long(out, relieve);
    }
}

/// Takes what has been written so far, so that it need not all lie in memory.
pub type Relieve<'r> = &'r mut dyn FnMut(&mut Vec<u8>);

/// Calls `relieve` when there is enough to be worth it.
#[inline]
pub(super) fn relieve_if_long(out: &mut Vec<u8>, relieve: Relieve<'_>) {
    if out.len() >= PART {
        relieve(out);
    }
}

/// How a hash that may have field expiry is written.
fn kind_of_hash(hash: HashRef<'_>, target: Target) -> u8 {
    match hash {
        _ if hash.min_expiry().is_none() => codes::HASH,
        _ if target.version >= codes::FIRST_VALKEY => codes::HASH_22,
        HashRef::PackedEx(_) => codes::HASH_LISTPACK_EX,
        _ => codes::HASH_METADATA,
    }
}

/// Appends a length.
pub fn put_length(out: &mut Vec<u8>, length: u64) {
    match length {
        0..0x40 => out.push(length as u8),
        0x40..0x4000 => out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

/// Appends a string: as an integer if it is a small one, compressed if that helps and is
/// wanted.
pub fn put_string(out: &mut Vec<u8>, text: &[u8], compress: bool) {
    if text.len() <= LONGEST_INT
        && let Some(n) = crate::number::parse_i64(text)
        && put_int(out, n)
    {
        return;
    }
    if compress && let Some(packed) = lzf::compress(text) {
        out.push(SPECIAL | source::LZF);
        put_length(out, packed.len() as u64);
        put_length(out, text.len() as u64);
        out.extend_from_slice(&packed);
        return;
    }
    put_length(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Appends a string that [`put_string`] has written as it is, compressed if that helps.
pub fn put_compressed(out: &mut Vec<u8>, written: &[u8]) {
    let length_bytes = match written.first() {
        Some(0..0x40) => 1,
        Some(0x40..0x80) => 2,
        Some(0x80) => 5,
        Some(0x81) => 9,
        // An integer.
        _ => return out.extend_from_slice(written),
    };
    match written.get(length_bytes..) {
        Some(text) => put_string(out, text, true),
        None => out.extend_from_slice(written),
    }
}

/// Appends an integer, if it is one of at most 32 bits.
fn put_int(out: &mut Vec<u8>, n: i64) -> bool {
    if let Ok(n) = i8::try_from(n) {
        out.push(SPECIAL | source::INT_8);
        out.extend_from_slice(&n.to_le_bytes());
    } else if let Ok(n) = i16::try_from(n) {
        out.push(SPECIAL | source::INT_16);
        out.extend_from_slice(&n.to_le_bytes());
    } else if let Ok(n) = i32::try_from(n) {
        out.push(SPECIAL | source::INT_32);
        out.extend_from_slice(&n.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// Appends an element as a string.
pub(super) fn put_element(out: &mut Vec<u8>, element: Element<'_>, compress: bool) {
    match element {
        Element::Int(n) if put_int(out, n) => {}
        _ => put_string(out, element.text(&mut itoa::Buffer::new()), compress),
    }
}

/// Appends a listpack, as a string, of the elements that lie at these ranges of `bytes`.
fn put_listpack<'a>(
    out: &mut Vec<u8>,
    bytes: &'a [u8],
    elements: impl Iterator<Item = (Element<'a>, Range<usize>)>,
    compress: bool,
) {
    let mut pack = ListpackBuf::with_capacity(bytes.len() + bytes.len() / 8);
    for (_, range) in elements {
        pack.push_encoded(&bytes[range]);
    }
    put_string(out, &pack.finish(), compress);
}

/// A listpack in the making.
pub struct ListpackBuf {
    bytes: Vec<u8>,
    count: usize,
}

impl ListpackBuf {
    /// An empty one with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buf = Vec::with_capacity(bytes + 7);
        buf.extend_from_slice(&[0; 6]);
        ListpackBuf {
            bytes: buf,
            count: 0,
        }
    }

    /// Adds an element in its packed form.
    pub fn push_encoded(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
        self.end(encoded.len());
    }

    /// Adds an element.
    pub fn push(&mut self, element: Element<'_>) {
        let form = match element {
            Element::Int(n) => Encoded::int(n),
            Element::Str(text) => Encoded::new(text),
        };
        let mut encoded = packed::EditBuf::new();
        form.write_to(&mut encoded);
        self.push_encoded(&encoded);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The finished listpack.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0xff);
        let size = (self.bytes.len() as u32).to_le_bytes();
        let count = (self.count.min(0xffff) as u16).to_le_bytes();
        self.bytes[..4].copy_from_slice(&size);
        self.bytes[4..6].copy_from_slice(&count);
        self.bytes
    }

    fn end(&mut self, size: usize) {
        let (back, len) = backwards(size);
        self.bytes.extend_from_slice(&back[..len]);
        self.count += 1;
    }
}

/// A number of nodes below this is a length of one byte.
const FEW_NODES: u32 = 0x40;
/// The version up to which Redis and Valkey read the same.
pub const COMMON_VERSION: u32 = 11;
const FIRST_WITH_LISTPACKS: u32 = 10;
const FIRST_WITH_SET_LISTPACKS: u32 = 11;
/// The forms of a list's nodes.
pub(super) const PLAIN_NODE: u64 = 1;
pub(super) const PACKED_NODE: u64 = 2;
/// Bytes that are worth taking.
const PART: usize = 64 * 1024;
/// Bytes of a node, about: as many as Redis puts in one.
const NODE_BYTES: usize = 8192;
/// Marks a special string.
const SPECIAL: u8 = 0xc0;
/// No integer of 32 bits is longer.
const LONGEST_INT: usize = 11;
/// The count in front of a packed hash or set.
const PACKED_HEADER: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is compressed later is what it would have been at once.
    #[test]
    fn strings_can_be_compressed_afterwards() {
        let lengths = [0, 1, 11, 12, 20, 21, 63, 64, 300, 16_383, 16_384, 70_000];
        let noise = |i: usize| (crate::hash::hash(&i.to_le_bytes()) & 0xff) as u8;
        let texts = lengths.into_iter().flat_map(|n| {
            [
                vec![b'x'; n],
                vec![b'7'; n],
                (0..n).map(noise).collect(),
                (0..n).map(|i| noise(i % 40)).collect(),
            ]
        });
        for text in texts.chain([b"-129".to_vec(), b"70000".to_vec()]) {
            let (mut at_once, mut plain, mut later) = (Vec::new(), Vec::new(), Vec::new());
            put_string(&mut at_once, &text, true);
            put_string(&mut plain, &text, false);
            put_compressed(&mut later, &plain);
            assert!(later == at_once, "{} bytes", text.len());
        }
    }
}
