//! The encoding for integers only: their numbers, sorted, all of one width.
//!
//! ```text
//! width:u8 (2, 4 or 8) │ integer LE │ integer LE │ …   ascending
//! ```
//!
//! The width is the smallest in which every integer fits that was ever added; it does not
//! go back.

use super::{Encoding, Limits, MAX_INLINE, NeedsConversion};
use crate::values::packed::{Element, SpliceBuf};

/// A set without members.
pub const EMPTY: [u8; HEADER] = [2];

const HEADER: usize = 1;

#[inline]
fn width(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(4) => 4,
        Some(8) => 8,
        _ => 2,
    }
}

/// How many members there are.
#[inline]
pub(super) fn count(bytes: &[u8]) -> usize {
    bytes.len().saturating_sub(HEADER) / width(bytes)
}

/// The width of the integers, and the integers, little-endian and ascending.
pub fn parts(bytes: &[u8]) -> (usize, &[u8]) {
    (width(bytes), bytes.get(HEADER..).unwrap_or_default())
}

/// The width that a value needs.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

/// The integer at `index`; 0 past the end.
#[inline]
pub(super) fn get(bytes: &[u8], index: usize) -> i64 {
    let width = width(bytes);
    let rest = bytes.get(HEADER + index * width..).unwrap_or_default();
    match width {
        2 => rest
            .first_chunk()
            .map_or(0, |b| i64::from(i16::from_le_bytes(*b))),
        4 => rest
            .first_chunk()
            .map_or(0, |b| i64::from(i32::from_le_bytes(*b))),
        _ => rest.first_chunk().map_or(0, |b| i64::from_le_bytes(*b)),
    }
}

/// Where the value is, or where it belongs.
#[inline]
pub(super) fn find(bytes: &[u8], value: i64) -> Result<usize, usize> {
    let (mut low, mut high) = (0, count(bytes));
    // Ids are often added in ascending order.
    if high == 0 || get(bytes, high - 1) < value {
        return Err(high);
    }
    while low < high {
        let middle = (low + high) / 2;
        match get(bytes, middle).cmp(&value) {
            std::cmp::Ordering::Equal => return Ok(middle),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

/// See [`super::SetMut::add`].
pub(super) fn add(
    buf: &mut dyn SpliceBuf,
    member: Element<'_>,
    limits: Limits,
) -> Result<bool, NeedsConversion> {
    let value = match member {
        Element::Int(value) => value,
        Element::Str(text) => return Err(NeedsConversion(without(buf.bytes(), text, limits))),
    };
    let Err(index) = find(buf.bytes(), value) else {
        return Ok(false);
    };
    let members = count(buf.bytes());
    let needed = width_of(value).max(width(buf.bytes()));
    if members >= limits.max_ints || (members + 1) * needed > MAX_INLINE {
        return Err(NeedsConversion(Encoding::Table));
    }
    if needed > width(buf.bytes()) {
        widen(buf, needed);
    }
    let at = HEADER + index * needed;
    buf.splice(at..at, &value.to_le_bytes()[..needed]);
    Ok(true)
}

/// The encoding that can hold these integers and a text.
fn without(bytes: &[u8], text: &[u8], limits: Limits) -> Encoding {
    let members = count(bytes);
    // The longest number is at one of the ends.
    let longest = match members {
        0 => 0,
        _ => [0, members - 1]
            .map(|index| Element::Int(get(bytes, index)).text_len())
            .into_iter()
            .fold(0, usize::max),
    };
    let fits = members < limits.max_entries.min(usize::from(u16::MAX))
        && text.len() <= limits.max_value
        && longest <= limits.max_value
        && members * 9 + text.len() < MAX_INLINE;
    if fits {
        Encoding::Packed
    } else {
        Encoding::Table
    }
}

fn widen(buf: &mut dyn SpliceBuf, to: usize) {
    let bytes = buf.bytes();
    let mut wide = Vec::with_capacity(HEADER + count(bytes) * to);
    wide.push(to as u8);
    for value in Iter::new(bytes) {
        wide.extend_from_slice(&value.to_le_bytes()[..to]);
    }
    let len = bytes.len();
    buf.splice(0..len, &wide);
}

/// See [`super::SetMut::remove`].
pub(super) fn remove(buf: &mut dyn SpliceBuf, value: i64) -> bool {
    let Ok(index) = find(buf.bytes(), value) else {
        return false;
    };
    let width = width(buf.bytes());
    let at = HEADER + index * width;
    buf.splice(at..at + width, &[]);
    true
}

/// Integers in ascending order.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    index: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, index: 0 }
    }
}

impl Iterator for Iter<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        (self.index < count(self.bytes)).then(|| {
            self.index += 1;
            get(self.bytes, self.index - 1)
        })
    }
}
