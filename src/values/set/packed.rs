//! The encoding for few and short members: packed elements, the oldest first.
//!
//! ```text
//! count:u16 LE │ member │ member │ …
//! ```

use super::{Encoding, Limits, MAX_INLINE, NeedsConversion};
use crate::values::packed::{EditBuf, Element, Encoded, SpliceBuf, read, skip};
use std::ops::Range;

/// A set without members.
pub const EMPTY: [u8; HEADER] = [0; HEADER];

const HEADER: usize = 2;

/// How many members there are.
#[inline]
pub(super) fn count(bytes: &[u8]) -> usize {
    match bytes {
        [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}

/// The packed form of a member.
#[inline]
pub(super) fn encoded(member: Element<'_>) -> Encoded<'_> {
    match member {
        Element::Int(value) => Encoded::int(value),
        Element::Str(text) => Encoded::new(text),
    }
}

/// Where the member lies.
#[inline]
pub(super) fn find(bytes: &[u8], member: Element<'_>) -> Option<Range<usize>> {
    find_encoded(bytes, HEADER, &encoded(member))
}

/// Where the element lies, among those from `at` on.
#[inline]
pub(super) fn find_encoded(
    bytes: &[u8],
    mut at: usize,
    wanted: &Encoded<'_>,
) -> Option<Range<usize>> {
    while at < bytes.len() {
        if wanted.is_at(bytes, at) {
            return Some(at..at + wanted.size());
        }
        at = skip(bytes, at)?;
    }
    None
}

/// See [`super::SetMut::add`].
pub(super) fn add(
    buf: &mut dyn SpliceBuf,
    member: Element<'_>,
    limits: Limits,
) -> Result<bool, NeedsConversion> {
    let new = encoded(member);
    let (bytes, members) = (buf.bytes(), count(buf.bytes()));
    if find_encoded(bytes, HEADER, &new).is_some() {
        return Ok(false);
    }
    if members >= limits.max_entries.min(usize::from(u16::MAX))
        || member.text_len() > limits.max_value
        || bytes.len() + new.size() > MAX_INLINE
    {
        return Err(NeedsConversion(Encoding::Table));
    }
    let mut edit = EditBuf::new();
    new.write_to(&mut edit);
    let end = bytes.len();
    buf.splice(end..end, &edit);
    buf.overwrite(0, &(members as u16 + 1).to_le_bytes());
    Ok(true)
}

/// See [`super::SetMut::remove`].
pub(super) fn remove(buf: &mut dyn SpliceBuf, member: Element<'_>) -> bool {
    let Some(range) = find(buf.bytes(), member) else {
        return false;
    };
    let left = count(buf.bytes()).saturating_sub(1) as u16;
    buf.splice(range, &[]);
    buf.overwrite(0, &left.to_le_bytes());
    true
}

/// Members by age.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: HEADER }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let (element, next) = read(self.bytes, self.at)?;
        self.at = next;
        Some(element)
    }
}
