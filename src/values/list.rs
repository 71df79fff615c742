//! Lists: a small one is packed in the key's entry, a larger one is a row of packed nodes.
//!
//! | encoding | name | where it lives |
//! |---|---|---|
//! | [`ListRef::Packed`] | `listpack` | packed elements behind their number, in the key's entry |
//! | [`ListRef::Quick`] | `quicklist` | a [`List`] on the heap |
//!
//! What must stay true: the bounds at which a list changes its encoding are Redis's, which
//! count bytes as its own listpack has them ([`ListRef::listpack_bytes`]); how large the
//! nodes of a [`List`] are is our own affair.

mod nodes;
pub mod packed;
#[cfg(test)]
mod tests;

pub use nodes::List;

use super::packed::Element;

/// A list, wherever it is stored.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// Packed, in the key's entry.
    Packed(&'a [u8]),
    /// Packed nodes.
    Quick(&'a List),
}

impl<'a> ListRef<'a> {
    /// How many elements there are.
    pub fn len(self) -> usize {
        match self {
            ListRef::Packed(bytes) => packed::count(bytes),
            ListRef::Quick(list) => list.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, counted from the front.
    pub fn get(self, index: usize) -> Option<Element<'a>> {
        self.range(index).next()
    }

    /// The elements from `start` on.
    pub fn range(self, start: usize) -> impl Iterator<Item = Element<'a>> {
        match self {
            ListRef::Packed(bytes) => Either::Left(packed::from(bytes, start)),
            ListRef::Quick(list) => Either::Right(list.from(start)),
        }
    }

    /// All elements, from the front.
    pub fn iter(self) -> impl Iterator<Item = Element<'a>> {
        self.range(0)
    }

    /// All elements, from the back.
    pub fn backwards(self) -> impl Iterator<Item = Element<'a>> {
        match self {
            ListRef::Packed(bytes) => {
                let all: Vec<_> = packed::from(bytes, 0).collect();
                Either::Left(all.into_iter().rev())
            }
            ListRef::Quick(list) => Either::Right(list.backwards()),
        }
    }

    /// The size of the same list as one listpack of Redis, in bytes.
    pub fn listpack_bytes(self) -> usize {
        match self {
            ListRef::Packed(bytes) => {
                LISTPACK_FRAME + packed::listpack_bytes(bytes, packed::HEADER)
            }
            ListRef::Quick(list) => LISTPACK_FRAME + list.listpack_bytes(),
        }
    }

    /// At most so many bytes, and at least so many: cheap bounds of
    /// [`ListRef::listpack_bytes`].
    pub fn listpack_bounds(self) -> (usize, usize) {
        let (bytes, count) = match self {
            ListRef::Packed(bytes) => (bytes.len(), packed::count(bytes)),
            ListRef::Quick(list) => (list.packed_bytes(), list.len()),
        };
        (bytes + count, bytes + 5 * count + LISTPACK_FRAME)
    }

    /// Bytes in memory, the entry that holds the list aside.
    pub fn mem_bytes(self) -> usize {
        match self {
            ListRef::Packed(bytes) => bytes.len(),
            ListRef::Quick(list) => list.mem_bytes(),
        }
    }
}

/// Up to which size a list is packed: `list-max-listpack-size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a listpack.
    pub bytes: usize,
    /// Elements.
    pub elements: usize,
}

impl Limits {
    /// What the option means: so many elements, or from -1 to -5 a size from 4 to 64 KB.
    pub fn of(option: i32) -> Limits {
        const SIZES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
        match usize::try_from(option) {
            Ok(elements) => Limits {
                bytes: 8192,
                elements: elements.max(1),
            },
            Err(_) => Limits {
                bytes: SIZES[(option.unsigned_abs() as usize).min(SIZES.len()) - 1],
                elements: usize::MAX,
            },
        }
    }

    /// Whether a list may be packed that has `list`'s elements and `more`, of `bytes` bytes.
    pub fn hold(self, list: ListRef<'_>, more: usize, bytes: usize) -> bool {
        let count = list.len() + more;
        if count > self.elements.min(packed::MOST) {
            return false;
        }
        let (least, most) = list.listpack_bounds();
        most + bytes <= self.bytes
            || least + bytes <= self.bytes && list.listpack_bytes() + bytes <= self.bytes
    }

    /// Half of it: what a list must shrink to before it is packed again. Where elements are
    /// counted, only their number is halved.
    pub fn half(self) -> Limits {
        match self.elements {
            usize::MAX => Limits {
                bytes: self.bytes / 2,
                ..self
            },
            elements => Limits {
                elements: elements / 2,
                ..self
            },
        }
    }
}

/// Head and end of a listpack of Redis.
const LISTPACK_FRAME: usize = 7;

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
