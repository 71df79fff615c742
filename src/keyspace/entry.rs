//! One key with its value, in one allocation.
//!
//! ```text
//! ┌──────┬─────────┬─────────┬───────┬──────────────┬──────────────┬─────┬───────────────┐
//! │ kind │ key len │  clock  │ epoch │ expiry       │ key len      │ key │ payload       │
//! │ 1    │ 1       │ 3       │ 1     │ 0, 6 or 8    │ 0 or 4 (long)│     │               │
//! └──────┴─────────┴─────────┴───────┴──────────────┴──────────────┴─────┴───────────────┘
//! payload:  integer 8 bytes │ inline: length (3), bytes │ pointer 8 bytes
//! ```
//!
//! The kind byte holds the [`Kind`] in its low four bits, then flags: an expiry of 6 bytes
//! (milliseconds; enough for seven thousand years), an expiry of 8 bytes, a long key. The
//! clock is the 24 bits that LRU or LFU keep. Numbers are little-endian and unaligned.
//!
//! What must stay true: the allocation is `size_class(total)` bytes, so that capacity is
//! derived and not stored; a pointer payload owns its object.

#[cfg(test)]
mod tests;

use crate::allocator::size_class;
use crate::time::UnixMs;
use crate::values::hash::{HashRef, HashTable, to_table};
use crate::values::list::List;
use crate::values::set::SetTable;
use crate::values::sorted_set::SortedSet;
use crate::values::stream::Stream;
use crate::values::table::Item;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

/// How the value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A string, inline, as it was set.
    Str = 0,
    /// A string that is a canonical integer.
    Int = 1,
    /// A string, inline, that has been edited in place: Redis calls it `raw` at any length.
    StrEdited = 2,
    /// A large string behind a counted pointer, so that a reply can share it.
    StrShared = 3,
    /// A small hash, inline.
    HashPacked = 4,
    /// A small hash with field expiry, inline.
    HashPackedEx = 5,
    /// A hash table.
    HashTable = 6,
    /// A small list, inline.
    ListPacked = 7,
    /// A list of packed nodes.
    List = 8,
    /// A small set of integers, inline.
    SetInts = 9,
    /// A small set, inline.
    SetPacked = 10,
    /// A set as a table.
    SetTable = 11,
    /// A small sorted set, inline.
    SortedSetPacked = 12,
    /// A sorted set as an ordered structure and a table.
    SortedSet = 13,
    /// A stream.
    Stream = 14,
}

impl Kind {
    fn of(byte: u8) -> Kind {
        match byte & KIND_MASK {
            0 => Kind::Str,
            1 => Kind::Int,
            2 => Kind::StrEdited,
            3 => Kind::StrShared,
            4 => Kind::HashPacked,
            5 => Kind::HashPackedEx,
            6 => Kind::HashTable,
            7 => Kind::ListPacked,
            8 => Kind::List,
            9 => Kind::SetInts,
            10 => Kind::SetPacked,
            11 => Kind::SetTable,
            12 => Kind::SortedSetPacked,
            13 => Kind::SortedSet,
            _ => Kind::Stream,
        }
    }

    /// The name of the type, as `TYPE` gives it.
    pub fn type_name(self) -> &'static str {
        match self {
            Kind::Str | Kind::Int | Kind::StrEdited | Kind::StrShared => "string",
            Kind::HashPacked | Kind::HashPackedEx | Kind::HashTable => "hash",
            Kind::ListPacked | Kind::List => "list",
            Kind::SetInts | Kind::SetPacked | Kind::SetTable => "set",
            Kind::SortedSetPacked | Kind::SortedSet => "zset",
            Kind::Stream => "stream",
        }
    }

    fn is_inline(self) -> bool {
        matches!(
            self,
            Kind::Str
                | Kind::StrEdited
                | Kind::HashPacked
                | Kind::HashPackedEx
                | Kind::ListPacked
                | Kind::SetInts
                | Kind::SetPacked
                | Kind::SortedSetPacked
        )
    }
}

/// A value in an allocation of its own, behind a pointer in its entry.
///
/// # Safety
/// No two types have the same `KIND`: it is by the kind that a pointer is read back.
pub unsafe trait Object: Send + 'static {
    /// The kind of the entries that hold it.
    const KIND: Kind;
}

// SAFETY: each type has a kind of its own, for this and the following.
unsafe impl Object for HashTable {
    const KIND: Kind = Kind::HashTable;
}
// SAFETY: as above.
unsafe impl Object for List {
    const KIND: Kind = Kind::List;
}
// SAFETY: as above.
unsafe impl Object for SetTable {
    const KIND: Kind = Kind::SetTable;
}
// SAFETY: as above.
unsafe impl Object for SortedSet {
    const KIND: Kind = Kind::SortedSet;
}
// SAFETY: as above.
unsafe impl Object for Stream {
    const KIND: Kind = Kind::Stream;
}
// SAFETY: as above.
unsafe impl Object for Arc<Vec<u8>> {
    const KIND: Kind = Kind::StrShared;
}

/// The value to put in an entry.
pub enum Payload<'a> {
    /// An integer string.
    Int(i64),
    /// Bytes stored in the entry itself; the kind says what they are.
    Inline(Kind, &'a [u8]),
    /// A large string.
    Shared(Arc<Vec<u8>>),
    /// A hash table.
    Table(Box<HashTable>),
    /// A list of packed nodes.
    List(Box<List>),
    /// A set as a table.
    Set(Box<SetTable>),
    /// A large sorted set.
    SortedSet(Box<SortedSet>),
    /// A stream.
    Stream(Box<Stream>),
}

/// A value seen in place.
#[derive(Clone, Copy)]
pub enum ValueRef<'a> {
    /// An integer string.
    Int(i64),
    /// A string; `edited` says that Redis would call it `raw`.
    Str {
        /// The string.
        bytes: &'a [u8],
        /// Whether it was edited in place since it was set.
        edited: bool,
    },
    /// A large string.
    Shared(&'a Arc<Vec<u8>>),
    /// A small hash.
    HashPacked(&'a [u8]),
    /// A small hash with field expiry.
    HashPackedEx(&'a [u8]),
    /// A hash table.
    HashTable(&'a HashTable),
    /// A small list.
    ListPacked(&'a [u8]),
    /// A list of packed nodes.
    List(&'a List),
    /// A small set of integers.
    SetInts(&'a [u8]),
    /// A small set.
    SetPacked(&'a [u8]),
    /// A set as a table.
    SetTable(&'a SetTable),
    /// A small sorted set.
    SortedSetPacked(&'a [u8]),
    /// A large sorted set.
    SortedSet(&'a SortedSet),
    /// A stream.
    Stream(&'a Stream),
}

/// A value that snapshots take in pieces: its items cannot be shared with a copy.
pub enum Pieces<'a> {
    /// A hash table.
    Hash(&'a mut HashTable),
    /// A large sorted set.
    SortedSet(&'a mut SortedSet),
}

impl Pieces<'_> {
    /// Begins to remember the value as it is now, for whoever has the ticket.
    pub fn freeze(&mut self, ticket: u64) {
        match self {
            Pieces::Hash(table) => table.freeze(ticket),
            Pieces::SortedSet(set) => set.freeze(ticket),
        }
    }

    /// Remembers nothing any longer.
    pub fn thaw(&mut self) {
        match self {
            Pieces::Hash(table) => table.thaw(),
            Pieces::SortedSet(set) => set.thaw(),
        }
    }
}

/// An owned entry.
pub struct Entry {
    raw: NonNull<u8>,
}

// SAFETY: the entry owns its allocation and the object in it, which are `Send`.
unsafe impl Send for Entry {}

impl Entry {
    /// Makes an entry.
    pub fn new(key: &[u8], expiry: Option<UnixMs>, payload: Payload<'_>) -> Self {
        let long = key.len() > SHORT_KEY;
        let (mut head, expiry_len) = expiry_bytes(expiry);
        if long {
            head |= LONG_KEY;
        }
        let payload_len = match &payload {
            Payload::Inline(_, bytes) => INLINE_LEN + bytes.len(),
            _ => 8,
        };
        let key_at = HEADER + expiry_len + if long { 4 } else { 0 };
        let total = key_at + key.len() + payload_len;
        let layout = layout(total);
        // SAFETY: the layout is not empty.
        let Some(raw) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        let mut entry = EntryPtr(raw);
        entry.write(
            0,
            &[head, if long { 0 } else { key.len() as u8 }, 0, 0, 0, 0],
        );
        if let Some(at) = expiry {
            entry.write(HEADER, &at.to_le_bytes()[..expiry_len]);
        }
        if long {
            entry.write(HEADER + expiry_len, &(key.len() as u32).to_le_bytes());
        }
        entry.write(key_at, key);
        entry.write_payload(key_at + key.len(), payload);
        Entry { raw }
    }

    /// The entry, to look at.
    pub fn view(&self) -> EntryRef<'_> {
        EntryRef {
            ptr: EntryPtr(self.raw),
            life: PhantomData,
        }
    }

    /// Sets the 24 bits of the LRU or LFU clock.
    pub fn set_clock(&mut self, clock: u32) {
        EntryPtr(self.raw).set_clock(clock);
    }

    /// The same value with its expiry and clock under another key.
    pub fn renamed(self, key: &[u8]) -> Entry {
        EntryPtr(self.raw).take_value(key)
    }

    /// The value, if it is of a kind that snapshots take in pieces.
    pub fn pieces(&mut self) -> Option<Pieces<'_>> {
        // SAFETY: the entry is borrowed exclusively.
        unsafe { EntryPtr(self.raw).pieces() }
    }

    /// Bytes of the allocation and of the object it owns.
    pub fn mem_bytes(&self) -> usize {
        self.view().mem_bytes()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut ptr = EntryPtr(self.raw);
        let total = ptr.total();
        ptr.drop_object();
        // SAFETY: the allocation was made with the layout of its total.
        unsafe { dealloc(self.raw.as_ptr(), layout(total)) }
    }
}

// SAFETY: the raw pointer is the allocation's own, user pointers on the supported platforms
// fit 48 bits (the table checks), and an entry's key is never written after `new`.
unsafe impl Item for Entry {
    fn into_raw(self) -> NonNull<u8> {
        let raw = self.raw;
        std::mem::forget(self);
        raw
    }
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Entry { raw }
    }
    #[inline]
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8] {
        let ptr = EntryPtr(raw);
        let range = ptr.key_range();
        // SAFETY: the contract says that the entry outlives `'a`; the range lies inside it.
        unsafe { std::slice::from_raw_parts(raw.as_ptr().add(range.start), range.len()) }
    }
}

/// An entry to look at.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    ptr: EntryPtr,
    life: PhantomData<&'a ()>,
}

impl<'a> EntryRef<'a> {
    /// A view of a live entry.
    ///
    /// # Safety
    /// `raw` must be an entry in a table that is borrowed for `'a`.
    #[inline]
    pub(super) unsafe fn of(raw: NonNull<u8>) -> Self {
        EntryRef {
            ptr: EntryPtr(raw),
            life: PhantomData,
        }
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        // SAFETY: the entry is borrowed for `'a`.
        unsafe { Entry::key(self.ptr.0) }
    }

    /// When the key expires.
    #[inline]
    pub fn expiry(&self) -> Option<UnixMs> {
        self.ptr.expiry()
    }

    /// How the value is stored.
    #[inline]
    pub fn kind(&self) -> Kind {
        Kind::of(self.ptr.byte(0))
    }

    /// The snapshot epoch in which the entry was last written or walked.
    #[inline]
    pub fn epoch(&self) -> u8 {
        self.ptr.byte(EPOCH_AT)
    }

    /// The 24 bits of the LRU or LFU clock.
    pub fn clock(&self) -> u32 {
        u32::from_le_bytes([self.ptr.byte(2), self.ptr.byte(3), self.ptr.byte(4), 0])
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> ValueRef<'a> {
        let at = self.ptr.payload_at();
        match self.kind() {
            Kind::Int => ValueRef::Int(self.ptr.int(at)),
            Kind::Str => ValueRef::Str {
                bytes: self.inline(at),
                edited: false,
            },
            Kind::StrEdited => ValueRef::Str {
                bytes: self.inline(at),
                edited: true,
            },
            Kind::HashPacked => ValueRef::HashPacked(self.inline(at)),
            Kind::HashPackedEx => ValueRef::HashPackedEx(self.inline(at)),
            Kind::ListPacked => ValueRef::ListPacked(self.inline(at)),
            Kind::SetInts => ValueRef::SetInts(self.inline(at)),
            Kind::SetPacked => ValueRef::SetPacked(self.inline(at)),
            Kind::SortedSetPacked => ValueRef::SortedSetPacked(self.inline(at)),
            Kind::HashTable => ValueRef::HashTable(self.object(at)),
            Kind::StrShared => ValueRef::Shared(self.object(at)),
            Kind::List => ValueRef::List(self.object(at)),
            Kind::SetTable => ValueRef::SetTable(self.object(at)),
            Kind::SortedSet => ValueRef::SortedSet(self.object(at)),
            Kind::Stream => ValueRef::Stream(self.object(at)),
        }
    }

    /// The ticket of the snapshot that is taking the value in pieces.
    #[inline]
    pub fn ticket(&self) -> Option<u64> {
        match self.kind() {
            Kind::HashTable | Kind::SortedSet => self.ticket_of_large(),
            _ => None,
        }
    }

    fn ticket_of_large(&self) -> Option<u64> {
        match self.value() {
            ValueRef::HashTable(table) => table.ticket(),
            ValueRef::SortedSet(set) => set.ticket(),
            _ => None,
        }
    }

    /// A copy of the value and its expiry under another key. Large strings, lists, sets and
    /// streams are shared until one of the two changes.
    pub fn copied(&self, key: &[u8]) -> Entry {
        let payload = match self.value() {
            ValueRef::Int(n) => Payload::Int(n),
            ValueRef::Str { bytes, .. }
            | ValueRef::HashPacked(bytes)
            | ValueRef::HashPackedEx(bytes)
            | ValueRef::ListPacked(bytes)
            | ValueRef::SetInts(bytes)
            | ValueRef::SetPacked(bytes)
            | ValueRef::SortedSetPacked(bytes) => Payload::Inline(self.kind(), bytes),
            ValueRef::Shared(value) => Payload::Shared(Arc::clone(value)),
            ValueRef::HashTable(table) => Payload::Table(Box::new(to_table(HashRef::Table(table)))),
            ValueRef::List(list) => Payload::List(Box::new(list.clone())),
            ValueRef::SetTable(set) => Payload::Set(Box::new(set.clone())),
            ValueRef::SortedSet(set) => Payload::SortedSet(Box::new(set.clone())),
            ValueRef::Stream(stream) => Payload::Stream(Box::new(stream.clone())),
        };
        let copy = Entry::new(key, self.expiry(), payload);
        EntryPtr(copy.raw).set_clock(self.clock());
        copy
    }

    /// Bytes of the allocation and of the object it owns.
    pub fn mem_bytes(&self) -> usize {
        let object = match self.value() {
            ValueRef::Shared(value) => 16 + size_of::<Vec<u8>>() + value.capacity(),
            ValueRef::HashTable(table) => table.mem_bytes(),
            ValueRef::List(list) => list.mem_bytes(),
            ValueRef::SetTable(set) => set.mem_bytes(),
            ValueRef::SortedSet(set) => set.mem_bytes(),
            ValueRef::Stream(stream) => stream.mem_bytes(),
            _ => 0,
        };
        size_class(self.ptr.total()) + object
    }

    /// Whether freeing it takes long enough to be done elsewhere.
    pub fn is_costly(&self) -> bool {
        match self.value() {
            ValueRef::HashTable(table) => table.len() > 64,
            ValueRef::List(list) => list.len() > 64,
            ValueRef::SetTable(set) => set.len() > 64,
            ValueRef::SortedSet(set) => set.len() > 64,
            ValueRef::Stream(stream) => stream.is_costly(),
            ValueRef::Shared(value) => value.len() > 1 << 20,
            _ => false,
        }
    }

    /// The object of the type that belongs to the entry's kind.
    #[inline]
    fn object<T: Object>(&self, at: usize) -> &'a T {
        debug_assert_eq!(self.kind(), T::KIND);
        // SAFETY: the payload of this kind is a pointer to a live `T`, which the entry owns
        // and keeps for `'a`.
        unsafe { &*self.ptr.object(at).cast() }
    }

    #[inline]
    fn inline(&self, at: usize) -> &'a [u8] {
        let range = self.ptr.inline_range(at);
        // SAFETY: the range lies in the allocation, which is borrowed for `'a`.
        unsafe { std::slice::from_raw_parts(self.ptr.0.as_ptr().add(range.start), range.len()) }
    }
}

/// The unsafe core: reads and writes at offsets of one live entry.
#[derive(Clone, Copy)]
pub(super) struct EntryPtr(pub(super) NonNull<u8>);

impl EntryPtr {
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        // SAFETY: callers pass offsets inside the entry.
        unsafe { *self.0.as_ptr().add(at) }
    }

    #[inline]
    fn read<const N: usize>(&self, at: usize) -> [u8; N] {
        // SAFETY: callers pass offsets inside the entry; byte arrays have no alignment.
        unsafe { self.0.as_ptr().add(at).cast::<[u8; N]>().read() }
    }

    #[inline]
    fn write(&mut self, at: usize, bytes: &[u8]) {
        // SAFETY: callers pass ranges inside the entry, and `bytes` lies outside it.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(at), bytes.len())
        }
    }

    #[inline]
    fn expiry_len(&self) -> usize {
        match self.byte(0) & (EXPIRY_6 | EXPIRY_8) {
            0 => 0,
            EXPIRY_6 => 6,
            _ => 8,
        }
    }

    #[inline]
    fn expiry(&self) -> Option<UnixMs> {
        match self.expiry_len() {
            0 => None,
            6 => {
                let [a, b, c, d, e, f] = self.read::<6>(HEADER);
                Some(i64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
            }
            _ => Some(i64::from_le_bytes(self.read(HEADER))),
        }
    }

    #[inline]
    fn key_range(&self) -> Range<usize> {
        let after_expiry = HEADER + self.expiry_len();
        if self.byte(0) & LONG_KEY == 0 {
            after_expiry..after_expiry + self.byte(1) as usize
        } else {
            let len = u32::from_le_bytes(self.read(after_expiry)) as usize;
            after_expiry + 4..after_expiry + 4 + len
        }
    }

    #[inline]
    fn payload_at(&self) -> usize {
        self.key_range().end
    }

    #[inline]
    fn int(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.read(at))
    }

    #[inline]
    fn object(&self, at: usize) -> *mut u8 {
        usize::from_le_bytes(self.read(at)) as *mut u8
    }

    #[inline]
    fn inline_range(&self, at: usize) -> Range<usize> {
        let [a, b, c] = self.read::<3>(at);
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        at + INLINE_LEN..at + INLINE_LEN + len
    }

    fn total(&self) -> usize {
        let at = self.payload_at();
        if Kind::of(self.byte(0)).is_inline() {
            self.inline_range(at).end
        } else {
            at + 8
        }
    }

    fn drop_object(&mut self) {
        let kind = Kind::of(self.byte(0));
        match kind {
            Kind::HashTable => self.drop_as::<HashTable>(),
            Kind::StrShared => self.drop_as::<Arc<Vec<u8>>>(),
            Kind::List => self.drop_as::<List>(),
            Kind::SetTable => self.drop_as::<SetTable>(),
            Kind::SortedSet => self.drop_as::<SortedSet>(),
            Kind::Stream => self.drop_as::<Stream>(),
            _ => {}
        }
    }

    fn drop_as<T: Object>(&mut self) {
        debug_assert_eq!(Kind::of(self.byte(0)), T::KIND);
        // SAFETY: the entry owns the object, which is of the type of its kind, and the caller
        // overwrites or frees the payload next.
        drop(unsafe { Box::<T>::from_raw(self.object(self.payload_at()).cast()) });
    }

    /// Stores the pointer to an object at `at`.
    fn write_object<T: Object>(&mut self, at: usize, object: Box<T>) -> Kind {
        let raw = Box::into_raw(object) as usize;
        self.write(at, &raw.to_le_bytes());
        T::KIND
    }

    /// Writes a payload at `at` and the kind in the header; the room must be there.
    fn write_payload(&mut self, at: usize, payload: Payload<'_>) {
        let kind = match payload {
            Payload::Int(n) => {
                self.write(at, &n.to_le_bytes());
                Kind::Int
            }
            Payload::Inline(kind, bytes) => {
                debug_assert!(kind.is_inline() && bytes.len() <= MAX_INLINE);
                self.write(at, &(bytes.len() as u32).to_le_bytes()[..INLINE_LEN]);
                self.write(at + INLINE_LEN, bytes);
                kind
            }
            Payload::Shared(value) => self.write_object(at, Box::new(value)),
            Payload::Table(table) => self.write_object(at, table),
            Payload::List(list) => self.write_object(at, list),
            Payload::Set(set) => self.write_object(at, set),
            Payload::SortedSet(set) => self.write_object(at, set),
            Payload::Stream(stream) => self.write_object(at, stream),
        };
        let head = self.byte(0) & !KIND_MASK | kind as u8;
        self.write(0, &[head]);
    }

    /// Changes the allocation from `old` to `new` bytes, keeping the first bytes.
    fn resize(&mut self, old: usize, new: usize) {
        if size_class(old) == size_class(new) {
            return;
        }
        // SAFETY: the allocation was made with `layout(old)`; the new size is not zero.
        let raw = unsafe { realloc(self.0.as_ptr(), layout(old), size_class(new)) };
        match NonNull::new(raw) {
            Some(raw) => self.0 = raw,
            None => handle_alloc_error(layout(new)),
        }
    }

    // --- Edits. Each may move the entry: the caller stores `self.0` back in the table. ---

    pub(super) fn set_payload(&mut self, payload: Payload<'_>) {
        let old = self.total();
        self.drop_object();
        let at = self.payload_at();
        let new = at
            + match &payload {
                Payload::Inline(_, bytes) => INLINE_LEN + bytes.len(),
                _ => 8,
            };
        self.resize(old, new);
        self.write_payload(at, payload);
    }

    /// Moves the value to a new entry with this key; the old one is an integer then.
    pub(super) fn take_value(&mut self, key: &[u8]) -> Entry {
        let kind = Kind::of(self.byte(0));
        let payload = if kind.is_inline() {
            Payload::Inline(kind, self.inline())
        } else {
            // Eight bytes: the integer, or the pointer to the object.
            Payload::Int(self.int(self.payload_at()))
        };
        let new = Entry::new(key, self.expiry(), payload);
        let mut ptr = EntryPtr(new.raw);
        ptr.write(2, &self.read::<3>(2));
        if !kind.is_inline() {
            // The object changes hands: an integer owns nothing.
            ptr.mark(kind);
            self.mark(Kind::Int);
        }
        new
    }

    /// The value, if it is of a kind that snapshots take in pieces.
    ///
    /// # Safety
    /// The caller must hold the entry exclusively for `'a`.
    pub(super) unsafe fn pieces<'a>(&mut self) -> Option<Pieces<'a>> {
        match Kind::of(self.byte(0)) {
            // SAFETY: the object is of the type of its kind; the entry is held exclusively.
            Kind::HashTable => Some(Pieces::Hash(unsafe { self.object_mut() })),
            // SAFETY: as above.
            Kind::SortedSet => Some(Pieces::SortedSet(unsafe { self.object_mut() })),
            _ => None,
        }
    }

    pub(super) fn set_kind(&mut self, kind: Kind) {
        debug_assert!(kind.is_inline() && Kind::of(self.byte(0)).is_inline());
        self.mark(kind);
    }

    /// Writes the kind in the header, whatever the payload is.
    fn mark(&mut self, kind: Kind) {
        let head = self.byte(0) & !KIND_MASK | kind as u8;
        self.write(0, &[head]);
    }

    pub(super) fn set_expiry(&mut self, expiry: Option<UnixMs>) {
        let (flags, new_len) = expiry_bytes(expiry);
        let old_len = self.expiry_len();
        if new_len != old_len {
            let total = self.total();
            let body = total - HEADER - old_len;
            if new_len > old_len {
                self.resize(total, HEADER + new_len + body);
            }
            // SAFETY: both ranges lie in the allocation, which is large enough for either
            // length at this point.
            unsafe {
                let base = self.0.as_ptr();
                std::ptr::copy(base.add(HEADER + old_len), base.add(HEADER + new_len), body);
            }
            if new_len < old_len {
                self.resize(total, HEADER + new_len + body);
            }
            let head = self.byte(0) & !(EXPIRY_6 | EXPIRY_8) | flags;
            self.write(0, &[head]);
        }
        if let Some(at) = expiry {
            self.write(HEADER, &at.to_le_bytes()[..new_len]);
        }
    }

    pub(super) fn set_epoch(&mut self, epoch: u8) {
        self.write(EPOCH_AT, &[epoch]);
    }

    pub(super) fn set_clock(&mut self, clock: u32) {
        self.write(2, &clock.to_le_bytes()[..3]);
    }

    /// The inline bytes.
    pub(super) fn inline<'a>(&self) -> &'a [u8] {
        debug_assert!(Kind::of(self.byte(0)).is_inline());
        let range = self.inline_range(self.payload_at());
        // SAFETY: the range lies in the allocation; callers keep the borrow short of edits.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(range.start), range.len()) }
    }

    /// Replaces `range` of the inline bytes by `with`, which lies outside the entry.
    pub(super) fn splice(&mut self, range: Range<usize>, with: &[u8]) {
        let at = self.payload_at();
        let inline = self.inline_range(at);
        let len = inline.len();
        assert!(
            range.start <= range.end && range.end <= len,
            "a range inside the value"
        );
        if range.len() == with.len() {
            // Nothing moves.
            self.write(at + INLINE_LEN + range.start, with);
            return;
        }
        let new_len = len - range.len() + with.len();
        assert!(new_len <= MAX_INLINE, "inline values are bounded");
        let base = at + INLINE_LEN;
        if new_len > len {
            self.resize(base + len, base + new_len);
        }
        // SAFETY: source and target lie in the allocation, which holds the longer length.
        unsafe {
            let value = self.0.as_ptr().add(base);
            std::ptr::copy(
                value.add(range.end),
                value.add(range.start + with.len()),
                len - range.end,
            );
        }
        self.write(base + range.start, with);
        if new_len < len {
            self.resize(base + len, base + new_len);
        }
        self.write(at, &(new_len as u32).to_le_bytes()[..INLINE_LEN]);
    }

    pub(super) fn set_int(&mut self, n: i64) {
        debug_assert_eq!(Kind::of(self.byte(0)), Kind::Int);
        let at = self.payload_at();
        self.write(at, &n.to_le_bytes());
    }

    /// The object of an entry of its kind.
    ///
    /// # Safety
    /// The kind must be `T::KIND` and the caller must hold the entry exclusively for `'a`.
    pub(super) unsafe fn object_mut<'a, T: Object>(&mut self) -> &'a mut T {
        // SAFETY: the payload is a pointer to a live `T` that the entry owns.
        unsafe { &mut *self.object(self.payload_at()).cast() }
    }
}

/// The header flag and the stored length of an expiry.
fn expiry_bytes(expiry: Option<UnixMs>) -> (u8, usize) {
    match expiry {
        None => (0, 0),
        Some(at) if (0..1 << 48).contains(&at) => (EXPIRY_6, 6),
        Some(_) => (EXPIRY_8, 8),
    }
}

fn layout(total: usize) -> Layout {
    // Sizes are bounded by key and inline limits, far below what a layout refuses.
    Layout::from_size_align(size_class(total), 1).expect("an entry's size is a valid layout")
}

/// The longest value that is stored inside its entry, in bytes.
pub const MAX_INLINE: usize = (1 << 24) - 1;

const HEADER: usize = 6;
const EPOCH_AT: usize = 5;
const INLINE_LEN: usize = 3;
const SHORT_KEY: usize = 255;
const KIND_MASK: u8 = 0x0f;
const EXPIRY_6: u8 = 0x10;
const EXPIRY_8: u8 = 0x20;
const LONG_KEY: u8 = 0x40;
