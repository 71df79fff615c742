//! Values seen in place, by type.

use super::context::{ReadContext, WriteContext};
use crate::keyspace::{EntryRef, Functions, ValueRef};
use crate::protocol::{Reply, WireError, errors};
use crate::values::hash::HashRef;
use crate::values::list::ListRef;
use crate::values::set::SetRef;
use crate::values::sorted_set::SortedSetRef;
use crate::values::stream::Stream;
use bytes::Bytes;
use std::sync::Arc;

/// What a flush has left to be freed.
pub struct FlushedKeys {
    /// The keys and their values.
    pub content: Box<dyn Send>,
    /// How many keys.
    pub keys: u64,
}

/// A string value seen in place.
#[derive(Clone, Copy)]
pub enum StringRef<'a> {
    /// An integer.
    Int(i64),
    /// Bytes in the entry.
    Bytes(&'a [u8]),
    /// A large value that a reply can share.
    Shared(&'a Arc<Vec<u8>>),
}

impl<'a> StringRef<'a> {
    /// The length in bytes.
    pub fn len(&self) -> usize {
        match self {
            StringRef::Int(n) => itoa::Buffer::new().format(*n).len(),
            StringRef::Bytes(bytes) => bytes.len(),
            StringRef::Shared(value) => value.len(),
        }
    }

    /// Whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes; an integer is written to `digits`.
    pub fn bytes<'b>(&self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            StringRef::Int(n) => digits.format(*n).as_bytes(),
            StringRef::Bytes(bytes) => bytes,
            StringRef::Shared(value) => value,
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.bytes(&mut itoa::Buffer::new()).to_vec()
    }

    /// Writes the value as a bulk string.
    #[inline]
    pub fn reply(&self, reply: &mut Reply<'_>) {
        match self {
            StringRef::Int(n) => reply.int_bulk(*n),
            StringRef::Bytes(bytes) => reply.bulk(bytes),
            StringRef::Shared(value) if value.len() >= SHARE_FROM => {
                reply.bulk_shared(Bytes::from_owner(SharedBytes(Arc::clone(value))));
            }
            StringRef::Shared(value) => reply.bulk(value),
        }
    }
}

struct SharedBytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A string of an entry, or the error for another type.
pub(super) fn as_string(value: ValueRef<'_>) -> Result<StringRef<'_>, WireError> {
    match value {
        ValueRef::Int(n) => Ok(StringRef::Int(n)),
        ValueRef::Str { bytes, .. } => Ok(StringRef::Bytes(bytes)),
        ValueRef::Shared(value) => Ok(StringRef::Shared(value)),
        _ => Err(errors::WRONG_TYPE),
    }
}

/// A hash of an entry, or the error for another type.
pub(super) fn as_hash(value: ValueRef<'_>) -> Result<HashRef<'_>, WireError> {
    match value {
        ValueRef::HashPacked(bytes) => Ok(HashRef::Packed(bytes)),
        ValueRef::HashPackedEx(bytes) => Ok(HashRef::PackedEx(bytes)),
        ValueRef::HashTable(table) => Ok(HashRef::Table(table)),
        _ => Err(errors::WRONG_TYPE),
    }
}

/// A list of an entry, or the error for another type.
pub(super) fn as_list(value: ValueRef<'_>) -> Result<ListRef<'_>, WireError> {
    match value {
        ValueRef::ListPacked(bytes) => Ok(ListRef::Packed(bytes)),
        ValueRef::List(list) => Ok(ListRef::Quick(list)),
        _ => Err(errors::WRONG_TYPE),
    }
}

/// A set of an entry, or the error for another type.
pub(super) fn as_set(value: ValueRef<'_>) -> Result<SetRef<'_>, WireError> {
    match value {
        ValueRef::SetInts(bytes) => Ok(SetRef::Ints(bytes)),
        ValueRef::SetPacked(bytes) => Ok(SetRef::Packed(bytes)),
        ValueRef::SetTable(set) => Ok(SetRef::Table(set)),
        _ => Err(errors::WRONG_TYPE),
    }
}

/// A sorted set of an entry, or the error for another type.
pub(super) fn as_sorted_set(value: ValueRef<'_>) -> Result<SortedSetRef<'_>, WireError> {
    match value {
        ValueRef::SortedSetPacked(bytes) => Ok(SortedSetRef::Packed(bytes)),
        ValueRef::SortedSet(set) => Ok(SortedSetRef::Full(set)),
        _ => Err(errors::WRONG_TYPE),
    }
}

/// A stream of an entry, or the error for another type.
pub(super) fn as_stream(value: ValueRef<'_>) -> Result<&Stream, WireError> {
    match value {
        ValueRef::Stream(stream) => Ok(stream),
        _ => Err(errors::WRONG_TYPE),
    }
}

/// From this length on a reply sends a large string from where it lies.
const SHARE_FROM: usize = 16 * 1024;

impl<'a> ReadContext<'a> {
    /// The entry at `key`, counted as a hit or a miss and without any other trace (`OBJECT`).
    pub fn peek_counted(&self, key: &[u8]) -> Option<EntryRef<'a>> {
        let entry = self.peek(key);
        let (hits, misses) = self.hits.get();
        self.hits.set(match entry {
            Some(_) => (hits + 1, misses),
            None => (hits, misses + 1),
        });
        entry
    }

    /// The libraries of functions.
    pub fn functions(&self) -> &'a Functions {
        self.functions
    }
}

impl<'a> WriteContext<'a> {
    /// The libraries of functions; to be changed only if the command locks everything.
    pub fn functions(&self) -> &'a Functions {
        self.functions
    }
}
