//! A set outside the keyspace that converts itself: what a new set or the result of an
//! operation is built in.

use super::{Encoding, Limits, NeedsConversion, SetMut, SetRef, SetTable, convert, ints, packed};
use crate::values::packed::Element;

/// A set of any encoding.
#[derive(Debug, Clone)]
pub enum OwnedSet {
    /// Sorted integers.
    Ints(Vec<u8>),
    /// Packed elements.
    Packed(Vec<u8>),
    /// A heap table.
    Table(Box<SetTable>),
}

impl OwnedSet {
    /// A set without members.
    pub fn empty(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Ints => Self::Ints(ints::EMPTY.to_vec()),
            Encoding::Packed => Self::Packed(packed::EMPTY.to_vec()),
            Encoding::Table => Self::Table(Box::default()),
        }
    }

    /// The set to read.
    #[inline]
    pub fn as_ref(&self) -> SetRef<'_> {
        match self {
            Self::Ints(bytes) => SetRef::Ints(bytes),
            Self::Packed(bytes) => SetRef::Packed(bytes),
            Self::Table(table) => SetRef::Table(table),
        }
    }

    /// The set to change.
    #[inline]
    pub fn as_mut(&mut self) -> SetMut<'_> {
        match self {
            Self::Ints(bytes) => SetMut::Ints(bytes),
            Self::Packed(bytes) => SetMut::Packed(bytes),
            Self::Table(table) => SetMut::Table(table),
        }
    }

    /// Adds a member, after a conversion if it needs one; answers whether it is new.
    pub fn add(&mut self, member: Element<'_>, limits: Limits) -> bool {
        loop {
            match self.as_mut().add(member, limits) {
                Ok(new) => return new,
                Err(NeedsConversion(to)) => *self = convert(self.as_ref(), to),
            }
        }
    }

    /// Removes a member; answers whether it was there.
    pub fn remove(&mut self, member: Element<'_>) -> bool {
        self.as_mut().remove(member)
    }

    /// Becomes a set of integers, if it is a packed one that holds nothing else and the
    /// limits allow as many.
    pub fn prefer_ints(&mut self, limits: Limits) {
        let packed = self.as_ref();
        if let SetRef::Packed(_) = packed
            && packed.len() <= limits.max_ints
            && packed
                .iter()
                .all(|member| matches!(member, Element::Int(_)))
        {
            *self = convert(packed, Encoding::Ints);
        }
    }
}
