//! Sorted sets: members in the order of their scores, and of their bytes where scores are
//! equal.
//!
//! | encoding | name | where it lives |
//! |---|---|---|
//! | [`SortedSetRef::Packed`] | `listpack` | packed pairs in order, in the key's entry |
//! | [`SortedSetRef::Full`] | `skiplist` | a [`SortedSet`]: a table of members and a counted tree |
//!
//! [`SortedSetRef`] reads both. A set outside the keyspace is an [`OwnedSortedSet`], which
//! converts itself when it passes its [`Limits`]; it never converts back.

mod frozen;
mod full;
mod member;
pub mod packed;
#[cfg(test)]
mod tests;
mod tree;

pub use full::SortedSet;

use super::packed::Element;
use std::cmp::Ordering;

/// Up to which size a sorted set is packed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Members (`zset-max-listpack-entries`).
    pub max_entries: usize,
    /// Bytes of a member (`zset-max-listpack-value`).
    pub max_value: usize,
}

impl Limits {
    /// Whether a packed set of so many members may get one of `len` bytes.
    pub fn hold(self, members: usize, len: usize) -> bool {
        members <= self.max_entries.min(packed::MOST) && len <= self.max_value.min(MAX_MEMBER)
    }
}

/// No member of this size is packed, whatever the configuration says.
const MAX_MEMBER: usize = 1 << 20;

/// A sorted set, wherever it is stored.
#[derive(Clone, Copy, Debug)]
pub enum SortedSetRef<'a> {
    /// Packed, in the key's entry.
    Packed(&'a [u8]),
    /// On the heap.
    Full(&'a SortedSet),
}

/// A sorted set without members.
pub const NOTHING: SortedSetRef<'static> = SortedSetRef::Packed(&packed::EMPTY);

impl<'a> SortedSetRef<'a> {
    /// How many members there are.
    pub fn len(self) -> usize {
        match self {
            Self::Packed(bytes) => packed::count(bytes),
            Self::Full(set) => set.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A member's score.
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Packed(bytes) => packed::find(bytes, member).map(|(_, score)| score),
            Self::Full(set) => set.score(member),
        }
    }

    /// How many members come before this one, and its score.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            Self::Packed(bytes) => packed::find(bytes, member),
            Self::Full(set) => set.rank(member),
        }
    }

    /// How many members, from the first on, are `before` some bound.
    pub fn count_before(self, before: impl Fn(f64, Element<'_>) -> bool) -> usize {
        match self {
            Self::Packed(bytes) => packed::entries(bytes)
                .take_while(|(member, score)| before(*score, *member))
                .count(),
            Self::Full(set) => set.count_before(|score, text| before(score, Element::Str(text))),
        }
    }

    /// The members from rank `start` on, in order.
    pub fn from(self, start: usize) -> impl Iterator<Item = (Element<'a>, f64)> {
        match self {
            Self::Packed(bytes) => Either::Left(packed::entries(bytes).skip(start)),
            Self::Full(set) => Either::Right(set.from(start)),
        }
    }

    /// All members in order.
    pub fn iter(self) -> impl Iterator<Item = (Element<'a>, f64)> {
        self.from(0)
    }

    /// The members before rank `end`, from the highest down.
    pub fn down_from(self, end: usize) -> impl Iterator<Item = (Element<'a>, f64)> {
        match self {
            Self::Packed(bytes) => {
                let all: Vec<_> = packed::entries(bytes).take(end).collect();
                Either::Left(all.into_iter().rev())
            }
            Self::Full(set) => Either::Right(set.down_from(end)),
        }
    }

    /// Visits about `count` members from `cursor` on, and returns the cursor to go on with, 0
    /// at the end. A packed set is visited at once.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'a>, f64)) -> u64 {
        match self {
            Self::Packed(bytes) => {
                packed::entries(bytes).for_each(|(member, score)| visit(member, score));
                0
            }
            Self::Full(set) => set.scan(cursor, count, visit),
        }
    }

    /// Bytes in memory, the entry that holds the set aside.
    pub fn mem_bytes(self) -> usize {
        match self {
            Self::Packed(bytes) => bytes.len(),
            Self::Full(set) => set.mem_bytes(),
        }
    }
}

/// The order of a sorted set.
pub fn order(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    // Scores are never NaN; 0 and -0 are the same.
    let scores = a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal);
    scores.then_with(|| a.1.cmp(b.1))
}

/// A sorted set outside the keyspace.
#[derive(Debug)]
pub enum OwnedSortedSet {
    /// Packed pairs.
    Packed(Vec<u8>),
    /// On the heap.
    Full(Box<SortedSet>),
}

impl OwnedSortedSet {
    /// An empty set that is to get `expected` members, of `len` bytes at most.
    pub fn for_members(expected: usize, len: usize, limits: Limits) -> Self {
        if limits.hold(expected, len) {
            OwnedSortedSet::Packed(packed::EMPTY.to_vec())
        } else {
            OwnedSortedSet::Full(Box::default())
        }
    }

    /// The set to read.
    pub fn as_ref(&self) -> SortedSetRef<'_> {
        match self {
            Self::Packed(bytes) => SortedSetRef::Packed(bytes),
            Self::Full(set) => SortedSetRef::Full(set),
        }
    }

    /// Adds a member that is not there.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: Limits) {
        if let Self::Packed(bytes) = self {
            if limits.hold(packed::count(bytes) + 1, member.len()) {
                return packed::insert(bytes, member, score);
            }
            *self = Self::Full(Box::new(to_full(self.as_ref())));
        }
        if let Self::Full(set) = self {
            set.insert(member, score);
        }
    }

    /// Gives a member that is there another score.
    pub fn set_score(&mut self, member: &[u8], score: f64) {
        match self {
            Self::Packed(bytes) => packed::set_score(bytes, member, score),
            Self::Full(set) => set.set_score(member, score),
        }
    }

    /// Removes a member that is there.
    pub fn remove(&mut self, member: &[u8]) {
        match self {
            Self::Packed(bytes) => packed::remove(bytes, member),
            Self::Full(set) => set.remove(member),
        }
    }

    /// A set of these members, which are in order and each there once.
    pub fn of_ordered(members: &[(Vec<u8>, f64)], limits: Limits) -> Self {
        let longest = members.iter().map(|(member, _)| member.len()).max();
        let mut set = Self::for_members(members.len(), longest.unwrap_or(0), limits);
        for (member, score) in members {
            match &mut set {
                Self::Packed(bytes) => packed::push(bytes, member, *score),
                Self::Full(set) => set.insert(member, *score),
            }
        }
        set
    }
}

/// The same members on the heap.
pub fn to_full(set: SortedSetRef<'_>) -> SortedSet {
    let mut full = SortedSet::default();
    for (member, score) in set.iter() {
        full.insert(member.text(&mut itoa::Buffer::new()), score);
    }
    full
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
