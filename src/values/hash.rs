//! Hashes: fields and values, each field with an expiry of its own if it was given one.
//!
//! A hash has one of three encodings, under Redis's names:
//!
//! | encoding | name | where it lives |
//! |---|---|---|
//! | [`Encoding::Packed`] | `listpack` | packed bytes in the key's entry |
//! | [`Encoding::PackedEx`] | `listpackex` | the same with an expiry beside each field |
//! | [`Encoding::Table`] | `hashtable` | a [`HashTable`] on the heap |
//!
//! [`HashRef`] reads all three, [`HashMut`] changes them. A change that the encoding cannot
//! hold answers [`NeedsConversion`]; the owner of the hash then converts with
//! [`to_packed_ex`] or [`to_table`] and asks again. Encodings only go from left to right.
//!
//! Expired fields stay until somebody deletes them ([`HashMut::pop_expired`],
//! [`HashMut::delete`]), because a deletion has to reach the log. Until then what takes a
//! `now` hides them, while `len`, `find`, `iter` and every change still see them: on an
//! expired field `HSET` answers 0 and `HDEL` 1, as in Redis.

mod field;
mod frozen;
mod packed;
mod random;
mod table;
#[cfg(test)]
mod tests;

pub use packed::{EMPTY, is_well_formed, to_packed_ex};
pub use table::{HashTable, to_table};

use super::packed::{Element, SpliceBuf};
use crate::time::UnixMs;

/// How a hash is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Packed pairs.
    Packed,
    /// Packed triples: field, value, expiry.
    PackedEx,
    /// A heap table.
    Table,
}

impl Encoding {
    /// The name `OBJECT ENCODING` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Packed => "listpack",
            Self::PackedEx => "listpackex",
            Self::Table => "hashtable",
        }
    }
}

/// Up to which size a hash is packed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fields (`hash-max-listpack-entries`). The packed layout itself ends at 65,535.
    pub max_entries: usize,
    /// Bytes of a field or value (`hash-max-listpack-value`).
    pub max_value: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 512,
            max_value: 64,
        }
    }
}

/// The change was not made: it needs this encoding first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsConversion(pub Encoding);

/// What a change of the value does to the expiry the field had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// The field no longer expires.
    Drop,
    /// The expiry stays, even one that has passed.
    Keep,
}

/// One field of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Element<'a>,
    /// Its value.
    pub value: Element<'a>,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMs>,
}

impl Field<'_> {
    /// Whether the field is still to be seen at `now`.
    #[inline]
    pub fn is_live(&self, now: UnixMs) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

/// A hash to read.
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// Packed pairs.
    Packed(&'a [u8]),
    /// Packed triples.
    PackedEx(&'a [u8]),
    /// A heap table.
    Table(&'a HashTable),
}

impl<'a> HashRef<'a> {
    /// The encoding.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Packed(_) => Encoding::Packed,
            Self::PackedEx(_) => Encoding::PackedEx,
            Self::Table(_) => Encoding::Table,
        }
    }

    /// How many fields there are, expired ones among them, as `HLEN` counts.
    pub fn len(self) -> usize {
        match self {
            Self::Packed(bytes) | Self::PackedEx(bytes) => packed::count(bytes),
            Self::Table(table) => table.len(),
        }
    }

    /// Whether there is no field. The owner deletes a hash that became empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The field of this name, even if it has expired.
    #[inline]
    pub fn find(self, name: &[u8]) -> Option<Field<'a>> {
        match self {
            Self::Packed(bytes) => packed::get::<false>(bytes, name),
            Self::PackedEx(bytes) => packed::get::<true>(bytes, name),
            Self::Table(table) => table.get(name),
        }
    }

    /// The value of a field that is live at `now`.
    #[inline]
    pub fn get(self, name: &[u8], now: UnixMs) -> Option<Element<'a>> {
        let field = self.find(name)?;
        field.is_live(now).then_some(field.value)
    }

    /// Whether a field of this name is live at `now`.
    pub fn contains(self, name: &[u8], now: UnixMs) -> bool {
        self.get(name, now).is_some()
    }

    /// Length of the value in bytes; 0 for a field that is not live at `now`.
    pub fn strlen(self, name: &[u8], now: UnixMs) -> usize {
        self.get(name, now).map_or(0, Element::text_len)
    }

    /// All fields, expired ones among them. Packed hashes keep Redis's order: by insertion,
    /// but fields with an expiry come first, the earliest in front.
    pub fn iter(self) -> impl Iterator<Item = Field<'a>> {
        match self {
            Self::Packed(bytes) => Either::Left(packed::Fields::new(bytes, false)),
            Self::PackedEx(bytes) => Either::Left(packed::Fields::new(bytes, true)),
            Self::Table(table) => Either::Right(table.iter()),
        }
    }

    /// The fields that are live at `now`.
    pub fn live(self, now: UnixMs) -> impl Iterator<Item = Field<'a>> {
        self.iter().filter(move |field| field.is_live(now))
    }

    /// How many fields are live at `now`. Costs a step for each expired one.
    pub fn live_len(self, now: UnixMs) -> usize {
        let expired = match self {
            Self::Packed(_) => 0,
            Self::PackedEx(bytes) => packed::Fields::new(bytes, true)
                .take_while(|field| !field.is_live(now))
                .count(),
            Self::Table(table) => table.expired_len(now),
        };
        self.len() - expired
    }

    /// Visits about `count` fields from `cursor` on, expired ones among them, and returns
    /// the cursor to go on with, 0 at the end. A packed hash is visited at once.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(Field<'a>)) -> u64 {
        if let Self::Table(table) = self {
            return table.scan(cursor, count, visit);
        }
        self.iter().for_each(&mut visit);
        0
    }

    /// When the first field expires, if one does.
    pub fn min_expiry(self) -> Option<UnixMs> {
        match self {
            Self::Packed(_) => None,
            Self::PackedEx(bytes) => packed::Fields::new(bytes, true).next()?.expires_at,
            Self::Table(table) => table.min_expiry(),
        }
    }

    /// Bytes in memory, the entry that holds the hash aside.
    pub fn mem_bytes(self) -> usize {
        match self {
            Self::Packed(bytes) | Self::PackedEx(bytes) => bytes.len(),
            Self::Table(table) => table.mem_bytes(),
        }
    }
}

/// A hash to change.
pub enum HashMut<'a> {
    /// Packed pairs.
    Packed(&'a mut dyn SpliceBuf),
    /// Packed triples.
    PackedEx(&'a mut dyn SpliceBuf),
    /// A heap table.
    Table(&'a mut HashTable),
}

impl HashMut<'_> {
    /// The hash to read.
    pub fn as_ref(&self) -> HashRef<'_> {
        match self {
            Self::Packed(buf) => HashRef::Packed(buf.bytes()),
            Self::PackedEx(buf) => HashRef::PackedEx(buf.bytes()),
            Self::Table(table) => HashRef::Table(table),
        }
    }

    /// Sets a field's value and answers whether the field is new. An expired field that
    /// still lies there is not.
    #[inline]
    pub fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        ttl: Ttl,
        limits: Limits,
    ) -> Result<bool, NeedsConversion> {
        match self {
            Self::Packed(buf) => packed::set::<false>(*buf, name, value, ttl, limits),
            Self::PackedEx(buf) => packed::set::<true>(*buf, name, value, ttl, limits),
            Self::Table(table) => Ok(table.set(name, value, ttl)),
        }
    }

    /// Sets the field if none of this name is live at `now`; answers whether it did.
    pub fn set_if_absent(
        &mut self,
        name: &[u8],
        value: &[u8],
        now: UnixMs,
        limits: Limits,
    ) -> Result<bool, NeedsConversion> {
        if self.as_ref().contains(name, now) {
            return Ok(false);
        }
        self.set(name, value, Ttl::Drop, limits).map(|_| true)
    }

    /// Removes the field, expired or not; answers whether it was there.
    pub fn delete(&mut self, name: &[u8]) -> bool {
        match self {
            Self::Packed(buf) => packed::delete::<false>(*buf, name),
            Self::PackedEx(buf) => packed::delete::<true>(*buf, name),
            Self::Table(table) => table.delete(name),
        }
    }

    /// Sets or, with `None`, takes away the field's expiry. Answers whether the field is
    /// there, expired or not.
    pub fn set_expiry(&mut self, name: &[u8], at: Option<UnixMs>) -> Result<bool, NeedsConversion> {
        match self {
            Self::Packed(buf) => match packed::get::<false>(buf.bytes(), name) {
                Some(_) if at.is_some() => Err(NeedsConversion(Encoding::PackedEx)),
                found => Ok(found.is_some()),
            },
            Self::PackedEx(buf) => Ok(packed::set_expiry(*buf, name, at)),
            Self::Table(table) => Ok(table.set_expiry(name, at)),
        }
    }

    /// Removes up to `max` fields that have expired at `now`, the earliest first, and hands
    /// out their names. Answers how many.
    pub fn pop_expired(
        &mut self,
        now: UnixMs,
        max: usize,
        each: &mut dyn FnMut(Element<'_>),
    ) -> usize {
        match self {
            Self::Packed(_) => 0,
            Self::PackedEx(buf) => packed::pop_expired(*buf, now, max, each),
            Self::Table(table) => table.pop_expired(now, max, each),
        }
    }
}

/// One of two iterators.
enum Either<L, R> {
    Left(L),
    Right(R),
}

impl<T, L: Iterator<Item = T>, R: Iterator<Item = T>> Iterator for Either<L, R> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Left(left) => left.next(),
            Self::Right(right) => right.next(),
        }
    }
}
