//! The packed sequences of RDB data: listpacks, and the ziplists, zipmaps and intsets of older
//! versions. Each is checked whole while it is read.
//!
//! ```text
//! listpack  size:u32 │ count:u16 │ element, its size backwards │ … │ FF
//! ziplist   size:u32 │ tail:u32 │ count:u16 │ size of the one before, element │ … │ FF
//! zipmap    count:u8 │ length, field, length, slack:u8, value, slack │ … │ FF
//! intset    width:u32 │ count:u32 │ integers
//! ```
//! All numbers are little-endian.

use crate::values::packed::{self, Element};

/// What is wrong with a packed sequence.
pub type Fault = &'static str;

/// Hands out the elements of a listpack.
pub fn each_of_listpack<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(Element<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut pack = Listpack::new(bytes)?;
    while let Some(element) = pack.next()? {
        each(element)?;
    }
    Ok(())
}

/// A listpack read element by element.
#[derive(Clone)]
pub struct Listpack<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Elements that are to come, if the header says how many there are.
    left: Option<usize>,
}

impl<'a> Listpack<'a> {
    /// A listpack whose header is right.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        let header = bytes.first_chunk::<6>().ok_or("a listpack is too short")?;
        let [a, b, c, d, low, high] = *header;
        let size = u32::from_le_bytes([a, b, c, d]) as usize;
        let (Some(0xff), true) = (bytes.last(), bytes.len() >= 7 && size == bytes.len()) else {
            return Err("a listpack's size is wrong");
        };
        let count = usize::from(u16::from_le_bytes([low, high]));
        Ok(Listpack {
            bytes: &bytes[..bytes.len() - 1],
            at: 6,
            left: (count < 0xffff).then_some(count),
        })
    }

    /// The next element; `None` after the last.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Element<'a>>, Fault> {
        if self.at == self.bytes.len() {
            return match self.left {
                None | Some(0) => Ok(None),
                Some(_) => Err("a listpack has fewer elements than it says"),
            };
        }
        let (element, end) =
            packed::read(self.bytes, self.at).ok_or("an element of a listpack is damaged")?;
        let (back, len) = backwards(end - self.at);
        if self.bytes.get(end..end + len) != Some(&back[..len]) {
            return Err("an element of a listpack does not say its size");
        }
        self.at = end + len;
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(1)
                .ok_or("a listpack has more elements than it says")?;
        }
        Ok(Some(element))
    }

    /// The next element, which must be there and an integer.
    pub fn integer(&mut self) -> Result<i64, Fault> {
        match self.next()? {
            Some(Element::Int(n)) => Ok(n),
            _ => Err("a listpack lacks an integer"),
        }
    }
}

/// An element's size as it stands behind it, read from its end: seven bits a byte, the
/// highest first, all but the first marked.
pub fn backwards(size: usize) -> ([u8; 5], usize) {
    let len = match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    let mut bytes = [0; 5];
    for (i, byte) in bytes[..len].iter_mut().enumerate() {
        let low = (size >> (7 * (len - 1 - i))) as u8 & 0x7f;
        *byte = if i == 0 { low } else { low | 0x80 };
    }
    (bytes, len)
}

/// Hands out the elements of a ziplist.
pub fn each_of_ziplist<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(Element<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    const DAMAGED: Fault = "an entry of a ziplist is damaged";
    let header = bytes.first_chunk::<10>().ok_or("a ziplist is too short")?;
    let size = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let (Some(0xff), true) = (bytes.last(), bytes.len() >= 11 && size == bytes.len()) else {
        return Err("a ziplist's size is wrong");
    };
    let count = usize::from(u16::from_le_bytes([header[8], header[9]]));
    let body = &bytes[..bytes.len() - 1];
    let (mut at, mut seen, mut before) = (10, 0usize, 0usize);
    while at < body.len() {
        let start = at;
        let (claimed, len) = match body[at] {
            254 => {
                let claimed = body.get(at + 1..).and_then(|b| b.first_chunk::<4>());
                (u32::from_le_bytes(*claimed.ok_or(DAMAGED)?) as usize, 5)
            }
            small => (usize::from(small), 1),
        };
        if claimed != before {
            return Err("an entry of a ziplist does not fit the one before it");
        }
        at += len;
        let (element, next) = ziplist_entry(body, at).ok_or(DAMAGED)?;
        each(element)?;
        at = next;
        before = at - start;
        seen += 1;
    }
    if count < 0xffff && count != seen {
        return Err("a ziplist's count is wrong");
    }
    Ok(())
}

/// The entry whose encoding stands at `at`, and where the next begins.
fn ziplist_entry(bytes: &[u8], at: usize) -> Option<(Element<'_>, usize)> {
    let rest = bytes.get(at..)?;
    let first = *rest.first()?;
    let (head, len): (usize, usize) = match first {
        0..0x40 => (1, usize::from(first)),
        0x40..0x80 => (
            2,
            usize::from(first & 0x3f) << 8 | usize::from(*rest.get(1)?),
        ),
        0x80 => {
            let len = rest.get(1..)?.first_chunk::<4>()?;
            (5, u32::from_be_bytes(*len) as usize)
        }
        0xc0 | 0xd0 | 0xe0 | 0xf0 | 0xfe => {
            let width = match first {
                0xc0 => 2,
                0xd0 => 4,
                0xe0 => 8,
                0xf0 => 3,
                _ => 1,
            };
            let text = rest.get(1..1 + width)?;
            return Some((Element::Int(signed(text)), at + 1 + width));
        }
        0xf1..=0xfd => return Some((Element::Int(i64::from(first & 0x0f) - 1), at + 1)),
        _ => return None,
    };
    let text = rest.get(head..head.checked_add(len)?)?;
    Some((Element::Str(text), at + head + len))
}

/// A signed little-endian integer of up to eight bytes.
fn signed(text: &[u8]) -> i64 {
    let negative = text.last().is_some_and(|last| last >> 7 == 1);
    let mut bytes = if negative { [0xff; 8] } else { [0; 8] };
    bytes[..text.len()].copy_from_slice(text);
    i64::from_le_bytes(bytes)
}

/// Hands out the integers of an intset, which must ascend.
pub fn each_of_intset(
    bytes: &[u8],
    mut each: impl FnMut(i64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let header = bytes.first_chunk::<8>().ok_or("an intset is too short")?;
    let [a, b, c, d, e, f, g, h] = *header;
    let width = u32::from_le_bytes([a, b, c, d]) as usize;
    let count = u32::from_le_bytes([e, f, g, h]) as usize;
    let body = &bytes[8..];
    if !matches!(width, 2 | 4 | 8) || count.checked_mul(width) != Some(body.len()) {
        return Err("an intset's size is wrong");
    }
    let mut before = None;
    for text in body.chunks_exact(width) {
        let value = signed(text);
        if before.is_some_and(|before| before >= value) {
            return Err("an intset does not ascend");
        }
        before = Some(value);
        each(value)?;
    }
    Ok(())
}

/// Hands out the fields and values of a zipmap in turn.
pub fn each_of_zipmap<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(&'a [u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    const DAMAGED: Fault = "a zipmap is damaged";
    let (Some(count), Some(0xff)) = (bytes.first(), bytes.last()) else {
        return Err(DAMAGED);
    };
    let body = &bytes[..bytes.len() - 1];
    let (mut at, mut pairs) = (1, 0usize);
    let length = |at: usize| match *body.get(at)? {
        254 => {
            let len = body.get(at + 1..)?.first_chunk::<4>()?;
            Some((u32::from_le_bytes(*len) as usize, at + 5))
        }
        255 => None,
        small => Some((usize::from(small), at + 1)),
    };
    let text = |at: usize, len: usize| body.get(at..at.checked_add(len)?);
    while at < body.len() {
        let (len, start) = length(at).ok_or(DAMAGED)?;
        each(text(start, len).ok_or(DAMAGED)?)?;
        let (value_len, start) = length(start + len).ok_or(DAMAGED)?;
        let slack = usize::from(*body.get(start).ok_or(DAMAGED)?);
        each(text(start + 1, value_len).ok_or(DAMAGED)?)?;
        at = start + 1 + value_len + slack;
        pairs += 1;
    }
    if at != body.len() || *count < 254 && usize::from(*count) != pairs {
        return Err(DAMAGED);
    }
    Ok(())
}
