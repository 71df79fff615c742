//! Sets of strings.
//!
//! A set has one of three encodings, under Redis's names:
//!
//! | encoding | name | where it lives |
//! |---|---|---|
//! | [`Encoding::Ints`] | `intset` | sorted integers in the key's entry |
//! | [`Encoding::Packed`] | `listpack` | packed elements in the key's entry |
//! | [`Encoding::Table`] | `hashtable` | a [`SetTable`] on the heap |
//!
//! [`SetRef`] reads all three, [`SetMut`] changes them. A change that the encoding cannot
//! hold answers [`NeedsConversion`]; the owner of the set then converts with [`convert`] and
//! asks again. An [`OwnedSet`] does that by itself.
//!
//! Members are [`Element`]s, and each text is one element only: an integer in its canonical
//! form is [`Element::Int`], anything else [`Element::Str`]. [`member`] makes them so, and
//! the encodings give them back so.

mod ints;
mod owned;
mod packed;
mod random;
mod table;
#[cfg(test)]
mod tests;

pub use ints::parts as parts_of_ints;
pub use owned::OwnedSet;
pub use table::SetTable;

use super::packed::{Element, SpliceBuf};
use crate::number;

/// How a set is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Sorted integers.
    Ints,
    /// Packed elements.
    Packed,
    /// A heap table.
    Table,
}

/// Up to which size a set is stored in its entry.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Integers (`set-max-intset-entries`).
    pub max_ints: usize,
    /// Packed members (`set-max-listpack-entries`). The layout itself ends at 65,535.
    pub max_entries: usize,
    /// Bytes of a packed member (`set-max-listpack-value`).
    pub max_value: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_ints: 512,
            max_entries: 128,
            max_value: 64,
        }
    }
}

/// The change was not made: it needs this encoding first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsConversion(pub Encoding);

/// The member that a text is.
#[inline]
pub fn member(text: &[u8]) -> Element<'_> {
    match text.first() {
        Some(b'0'..=b'9' | b'-') => match number::parse_i64(text) {
            Some(value) => Element::Int(value),
            None => Element::Str(text),
        },
        _ => Element::Str(text),
    }
}

/// The encoding in which a set begins that is to get `first` and, about, `expected` members.
pub fn encoding_for(first: Element<'_>, expected: usize, limits: Limits) -> Encoding {
    match first {
        Element::Int(_) if expected <= limits.max_ints => Encoding::Ints,
        _ if expected <= limits.max_entries => Encoding::Packed,
        _ => Encoding::Table,
    }
}

/// A set without members, of an encoding that lives in the entry.
pub const NOTHING: SetRef<'static> = SetRef::Packed(&packed::EMPTY);

/// A set to read.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Sorted integers.
    Ints(&'a [u8]),
    /// Packed elements.
    Packed(&'a [u8]),
    /// A heap table.
    Table(&'a SetTable),
}

impl<'a> SetRef<'a> {
    /// The encoding.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Ints(_) => Encoding::Ints,
            Self::Packed(_) => Encoding::Packed,
            Self::Table(_) => Encoding::Table,
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Ints(bytes) => ints::count(bytes),
            Self::Packed(bytes) => packed::count(bytes),
            Self::Table(table) => table.len(),
        }
    }

    /// Whether there is no member. The owner deletes a set that became empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether this is a member.
    #[inline]
    pub fn contains(self, member: Element<'_>) -> bool {
        match (self, member) {
            (Self::Ints(bytes), Element::Int(value)) => ints::find(bytes, value).is_ok(),
            (Self::Ints(_), Element::Str(_)) => false,
            (Self::Packed(bytes), member) => packed::find(bytes, member).is_some(),
            (Self::Table(table), member) => table.contains(member),
        }
    }

    /// All members: integers ascending, packed ones by age, those of a table in no order.
    pub fn iter(self) -> Members<'a> {
        match self {
            Self::Ints(bytes) => Members::Ints(ints::Iter::new(bytes)),
            Self::Packed(bytes) => Members::Packed(packed::Iter::new(bytes)),
            Self::Table(table) => Members::Table(table.iter()),
        }
    }

    /// Visits about `count` members from `cursor` on and returns the cursor to go on with, 0
    /// at the end. What lives in the entry is visited at once.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'a>)) -> u64 {
        if let Self::Table(table) = self {
            return table.scan(cursor, count, visit);
        }
        self.iter().for_each(&mut visit);
        0
    }

    /// Bytes in memory, the entry that holds the set aside.
    pub fn mem_bytes(self) -> usize {
        match self {
            Self::Ints(bytes) | Self::Packed(bytes) => bytes.len(),
            Self::Table(table) => table.mem_bytes(),
        }
    }
}

/// The members of a set; see [`SetRef::iter`].
#[derive(Clone)]
pub enum Members<'a> {
    /// Of sorted integers.
    Ints(ints::Iter<'a>),
    /// Of packed elements.
    Packed(packed::Iter<'a>),
    /// Of a table.
    Table(table::Iter<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Self::Ints(members) => members.next().map(Element::Int),
            Self::Packed(members) => members.next(),
            Self::Table(members) => members.next(),
        }
    }
}

/// A set to change.
pub enum SetMut<'a> {
    /// Sorted integers.
    Ints(&'a mut dyn SpliceBuf),
    /// Packed elements.
    Packed(&'a mut dyn SpliceBuf),
    /// A heap table.
    Table(&'a mut SetTable),
}

impl SetMut<'_> {
    /// Adds a member; answers whether it is new.
    #[inline]
    pub fn add(&mut self, member: Element<'_>, limits: Limits) -> Result<bool, NeedsConversion> {
        match self {
            Self::Ints(buf) => ints::add(*buf, member, limits),
            Self::Packed(buf) => packed::add(*buf, member, limits),
            Self::Table(table) => Ok(table.add(member)),
        }
    }

    /// Removes a member; answers whether it was there.
    pub fn remove(&mut self, member: Element<'_>) -> bool {
        match (self, member) {
            (Self::Ints(buf), Element::Int(value)) => ints::remove(*buf, value),
            (Self::Ints(_), Element::Str(_)) => false,
            (Self::Packed(buf), member) => packed::remove(*buf, member),
            (Self::Table(table), member) => table.remove(member),
        }
    }
}

/// The same members in another encoding, which must be able to hold them.
pub fn convert(from: SetRef<'_>, to: Encoding) -> OwnedSet {
    let mut out = OwnedSet::empty(to);
    for member in from.iter() {
        out.add(member, Limits::NONE);
    }
    out
}

impl Limits {
    /// As if nothing were configured: only what a layout can hold counts.
    const NONE: Limits = Limits {
        max_ints: usize::MAX,
        max_entries: usize::MAX,
        max_value: usize::MAX,
    };
}

/// A set in its entry does not grow beyond this, in bytes, whatever the configuration
/// allows: every change moves what follows.
const MAX_INLINE: usize = 1 << 20;
