//! The packed list, over bytes that somebody else owns: `count:u16 LE │ element │ element …`.
//!
//! The functions that take elements only, without the count, serve the nodes of a
//! [`super::List`] too.

use crate::values::packed::{EditBuf, Element, Encoded, SpliceBuf, read, skip};

/// A packed list without elements.
pub const EMPTY: [u8; HEADER] = [0; HEADER];
/// The most elements of a packed list.
pub const MOST: usize = u16::MAX as usize;
pub(super) const HEADER: usize = 2;

/// How many elements there are.
#[inline]
pub fn count(bytes: &[u8]) -> usize {
    match bytes {
        [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}

/// The elements from `start` on.
pub(super) fn from(bytes: &[u8], start: usize) -> Elements<'_> {
    Elements {
        bytes,
        at: place(bytes, HEADER, start),
    }
}

/// Elements in a row.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let (element, next) = read(self.bytes, self.at)?;
        self.at = next;
        Some(element)
    }
}

/// Where the element `index` after the one at `at` begins; the end if there are fewer.
#[inline]
pub(super) fn place(bytes: &[u8], at: usize, index: usize) -> usize {
    let mut at = at;
    for _ in 0..index {
        match skip(bytes, at) {
            Some(next) => at = next,
            None => return bytes.len(),
        }
    }
    at
}

/// Inserts a text as the element `index`.
pub fn insert(buf: &mut dyn SpliceBuf, index: usize, text: &[u8]) {
    let mut edit = EditBuf::new();
    Encoded::new(text).write_to(&mut edit);
    let bytes = buf.bytes();
    let all = count(bytes);
    let at = if index >= all {
        bytes.len()
    } else {
        place(bytes, HEADER, index)
    };
    buf.splice(at..at, &edit);
    buf.overwrite(0, &((all + 1) as u16).to_le_bytes());
}

/// Gives the element `index` another text.
pub fn replace(buf: &mut dyn SpliceBuf, index: usize, text: &[u8]) {
    let mut edit = EditBuf::new();
    Encoded::new(text).write_to(&mut edit);
    let bytes = buf.bytes();
    let at = place(bytes, HEADER, index);
    let end = place(bytes, at, 1);
    buf.splice(at..end, &edit);
}

/// Removes `n` elements from `index` on.
pub fn remove(buf: &mut dyn SpliceBuf, index: usize, n: usize) {
    let bytes = buf.bytes();
    let all = count(bytes);
    let n = n.min(all.saturating_sub(index));
    let at = place(bytes, HEADER, index);
    let end = if index + n == all {
        bytes.len()
    } else {
        place(bytes, at, n)
    };
    buf.splice(at..end, &[]);
    buf.overwrite(0, &((all - n) as u16).to_le_bytes());
}

/// Removes the elements at `places`, which ascend, in one walk.
pub fn remove_all(buf: &mut dyn SpliceBuf, places: &[usize]) {
    let bytes = buf.bytes();
    let all = count(bytes);
    let mut kept = EditBuf::new();
    let (mut at, mut index) = (HEADER, 0);
    for gone in places {
        let from = place(bytes, at, gone - index);
        kept.extend_from_slice(&bytes[at..from]);
        at = place(bytes, from, 1);
        index = gone + 1;
    }
    kept.extend_from_slice(&bytes[at..]);
    let end = bytes.len();
    buf.splice(HEADER..end, &kept);
    buf.overwrite(0, &((all - places.len()) as u16).to_le_bytes());
}

/// The bytes that the elements from `at` on take in a listpack of Redis: each is followed by
/// its own length.
pub(super) fn listpack_bytes(bytes: &[u8], at: usize) -> usize {
    let (mut at, mut sum) = (at, 0);
    while let Some(next) = skip(bytes, at) {
        let size = next - at;
        sum += size
            + match size {
                0..=127 => 1,
                128..=16_383 => 2,
                16_384..=2_097_151 => 3,
                2_097_152..=268_435_455 => 4,
                _ => 5,
            };
        at = next;
    }
    sum
}
