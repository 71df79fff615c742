//! The packed sequence: small collections as one run of bytes, edited in place.
//!
//! Elements follow each other with nothing between; each says by its first byte what it is.
//! The forms are those of Redis's listpack, without the back-lengths (nothing here walks
//! backwards), the header and the terminator:
//!
//! ```text
//!   0vvvvvvv                                    integer 0 ..= 127
//!   10llllll  bytes                             string of up to 63 bytes
//!   110vvvvv vvvvvvvv                           integer of 13 bits, signed, high bits first
//!   1110llll llllllll  bytes                    string of up to 4095 bytes, high bits first
//!   11110000 length:u32 LE  bytes               longer string
//!   11110001 | 0010 | 0011 | 0100  value LE     integer of 16, 24, 32, 64 bits
//! ```
//!
//! What must stay true: every element is in its shortest form, and a string that is a
//! canonical integer is stored as one. So a text has exactly one encoding, and looking for
//! it is comparing encoded bytes ([`Encoded::is_at`]), with no decoding on the way.
//!
//! Reading never panics: bytes that are no element read as the end of the sequence.
//! [`is_well_formed`] checks data from outside before it is trusted.

use crate::number;
use smallvec::SmallVec;
use std::ops::Range;

const STR_6: u8 = 0b1000_0000;
const INT_13: u8 = 0b1100_0000;
const STR_12: u8 = 0b1110_0000;
const STR_32: u8 = 0b1111_0000;
const INT_16: u8 = 0b1111_0001;
const INT_24: u8 = 0b1111_0010;
const INT_32: u8 = 0b1111_0011;
const INT_64: u8 = 0b1111_0100;

/// Bytes that can be edited in place: an entry's inline value, or a `Vec` in tests.
pub trait SpliceBuf {
    /// All of the bytes.
    fn bytes(&self) -> &[u8];

    /// Replaces the bytes at `at` by `with`, moving what follows. The range is inside
    /// [`Self::bytes`].
    fn splice(&mut self, at: Range<usize>, with: &[u8]);

    /// Replaces as many bytes as `with` has: nothing moves.
    fn overwrite(&mut self, at: usize, with: &[u8]) {
        self.splice(at..at + with.len(), with);
    }
}

impl SpliceBuf for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn splice(&mut self, at: Range<usize>, with: &[u8]) {
        if at.len() == with.len() {
            self[at].copy_from_slice(with);
        } else if at.start == self.len() {
            self.extend_from_slice(with);
        } else {
            Vec::splice(self, at, with.iter().copied());
        }
    }
}

/// One element, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// A string that is a canonical integer.
    Int(i64),
    /// Any other string. A value outside a packed sequence may be an integer's text too.
    Str(&'a [u8]),
}

impl<'a> Element<'a> {
    /// Whether the element's text is `text`.
    pub fn is(self, text: &[u8]) -> bool {
        match self {
            Self::Int(value) => number::parse_i64(text) == Some(value),
            Self::Str(bytes) => bytes == text,
        }
    }

    /// Appends the text.
    pub fn write_to(self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => number::write_i64(value, out),
            Self::Str(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// Length of the text in bytes.
    pub fn text_len(self) -> usize {
        match self {
            Self::Int(value) => itoa::Buffer::new().format(value).len(),
            Self::Str(bytes) => bytes.len(),
        }
    }

    /// The text, written to `digits` if the element is an integer.
    pub fn text<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Int(value) => digits.format(value).as_bytes(),
            Self::Str(bytes) => bytes,
        }
    }

    /// The text in bytes of its own.
    pub fn to_vec(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text_len());
        self.write_to(&mut out);
        out
    }

    /// The integer that the text is, if it is one.
    pub fn as_int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Str(bytes) => number::parse_i64(bytes),
        }
    }
}

/// A text in its packed form, not yet copied: a head, and for strings the text itself.
pub struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    body: &'a [u8],
    /// The first eight bytes of both, and which bits of them there are: one comparison
    /// tells most elements apart.
    first: u64,
    mask: u64,
}

impl<'a> Encoded<'a> {
    /// The packed form of a text of at most `u32::MAX` bytes.
    #[inline]
    pub fn new(text: &'a [u8]) -> Self {
        // Most names do not begin like a number.
        if let Some(b'0'..=b'9' | b'-') = text.first()
            && let Some(value) = number::parse_i64(text)
        {
            return Self::int(value);
        }
        let length = text.len();
        debug_assert!(u32::try_from(length).is_ok());
        let mut head = [0; 9];
        let head_len = if length < 64 {
            head[0] = STR_6 | length as u8;
            1
        } else if length < 4096 {
            head[0] = STR_12 | (length >> 8) as u8;
            head[1] = length as u8;
            2
        } else {
            head[0] = STR_32;
            head[1..5].copy_from_slice(&(length as u32).to_le_bytes());
            5
        };
        Self::from_parts(head, head_len, text)
    }

    /// The packed form of an integer.
    pub fn int(value: i64) -> Self {
        let mut head = [0; 9];
        let le = value.to_le_bytes();
        let (tag, width) = match value {
            0..=127 => (value as u8, 0),
            -4096..=4095 => {
                head[0] = INT_13 | (value >> 8) as u8 & 0x1f;
                head[1] = value as u8;
                return Self::from_parts(head, 2, &[]);
            }
            -0x8000..=0x7fff => (INT_16, 2),
            -0x80_0000..=0x7f_ffff => (INT_24, 3),
            -0x8000_0000..=0x7fff_ffff => (INT_32, 4),
            _ => (INT_64, 8),
        };
        head[0] = tag;
        head[1..=width].copy_from_slice(&le[..width]);
        Self::from_parts(head, width as u8 + 1, &[])
    }

    #[inline]
    fn from_parts(head: [u8; 9], head_len: u8, body: &'a [u8]) -> Self {
        let head_bits = 8 * u32::from(head_len.min(8));
        let taken = body.len().min(8) as u32;
        let head_part = head
            .first_chunk()
            .map_or(0, |chunk| u64::from_le_bytes(*chunk));
        let body_part = first_eight(body).checked_shl(head_bits).unwrap_or(0);
        let bits = (head_bits + 8 * taken).min(64);
        Self {
            head,
            head_len,
            body,
            first: head_part | body_part,
            mask: u64::MAX >> (64 - bits),
        }
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        usize::from(self.head_len) + self.body.len()
    }

    /// Whether the element that starts at `at` is this one.
    #[inline]
    pub fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let Some(rest) = bytes.get(at..) else {
            return false;
        };
        if let Some(chunk) = rest.first_chunk::<8>() {
            if (u64::from_le_bytes(*chunk) ^ self.first) & self.mask != 0 {
                return false;
            }
            if self.size() <= 8 {
                return true;
            }
        }
        rest.strip_prefix(&self.head[..usize::from(self.head_len)])
            .is_some_and(|rest| rest.starts_with(self.body))
    }

    /// Appends the packed form.
    #[inline]
    pub fn write_to(&self, out: &mut EditBuf) {
        out.extend_from_slice(&self.head[..usize::from(self.head_len)]);
        out.extend_from_slice(self.body);
    }
}

/// The first eight bytes, or all there are, as a number in little-endian order.
#[inline]
fn first_eight(bytes: &[u8]) -> u64 {
    let half = |chunk: &[u8; 4]| u64::from(u32::from_le_bytes(*chunk));
    if let Some(chunk) = bytes.first_chunk::<8>() {
        u64::from_le_bytes(*chunk)
    } else if let (Some(low), Some(high)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // The halves overlap in equal bytes.
        half(low) | half(high) << (8 * (bytes.len() - 4))
    } else {
        bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

/// Where the bytes of one edit are put together; small edits stay on the stack.
pub type EditBuf = SmallVec<[u8; 160]>;

/// The element that starts at `at`, and where the next one does. `None` at the end, and for
/// bytes that are no element.
#[inline]
pub fn read(bytes: &[u8], at: usize) -> Option<(Element<'_>, usize)> {
    let rest = bytes.get(at..)?;
    let (head, length) = shape(rest)?;
    let text = rest.get(head..head + length)?;
    let next = at + head + length;
    let first = rest[0];
    let value = match first {
        0..STR_6 => i64::from(first),
        STR_6..INT_13 => return Some((Element::Str(text), next)),
        INT_13..STR_12 => {
            // Five and eight bits, sign-extended from bit 12.
            let raw = u16::from(first & 0x1f) << 8 | u16::from(text[0]);
            i64::from((raw << 3) as i16 >> 3)
        }
        STR_12..=STR_32 => return Some((Element::Str(text), next)),
        _ => {
            let negative = text[length - 1] >> 7 == 1;
            let mut le = if negative { [0xff; 8] } else { [0; 8] };
            le[..length].copy_from_slice(text);
            i64::from_le_bytes(le)
        }
    };
    Some((Element::Int(value), next))
}

/// Where the element after the one at `at` starts: [`read`] without decoding.
#[inline]
pub fn skip(bytes: &[u8], at: usize) -> Option<usize> {
    // Small integers and short strings, which is nearly all there is.
    if let Some(&first) = bytes.get(at)
        && first < INT_13
    {
        let body = if first < STR_6 { 0 } else { first & 0x3f };
        let next = at + 1 + usize::from(body);
        return (next <= bytes.len()).then_some(next);
    }
    let (head, length) = shape(bytes.get(at..)?)?;
    let next = at + head + length;
    (next <= bytes.len()).then_some(next)
}

/// Sizes of head and body of the element `rest` starts with; the body may be missing.
#[inline]
fn shape(rest: &[u8]) -> Option<(usize, usize)> {
    let first = *rest.first()?;
    Some(match first {
        0..STR_6 => (1, 0),
        STR_6..INT_13 => (1, usize::from(first & 0x3f)),
        INT_13..STR_12 => (1, 1),
        STR_12..STR_32 => (
            2,
            usize::from(first & 0x0f) << 8 | usize::from(*rest.get(1)?),
        ),
        STR_32 => {
            let length: [u8; 4] = rest.get(1..5)?.try_into().ok()?;
            (5, u32::from_le_bytes(length) as usize)
        }
        INT_16 => (1, 2),
        INT_24 => (1, 3),
        INT_32 => (1, 4),
        INT_64 => (1, 8),
        _ => return None,
    })
}

/// The elements from `at` on, each with the range of its bytes.
pub fn elements(bytes: &[u8], at: usize) -> impl Iterator<Item = (Element<'_>, Range<usize>)> {
    let mut at = at;
    std::iter::from_fn(move || {
        let (element, next) = read(bytes, at)?;
        let range = at..next;
        at = next;
        Some((element, range))
    })
}

/// Whether the bytes from `at` on are exactly `count` elements, each in its only form.
pub fn is_well_formed(bytes: &[u8], at: usize, count: usize) -> bool {
    let mut end = at;
    let mut seen = 0;
    for (element, range) in elements(bytes, at) {
        let canonical = match element {
            Element::Int(value) => Encoded::int(value).size() == range.len(),
            Element::Str(text) => Encoded::new(text).is_at(bytes, range.start),
        };
        if !canonical {
            return false;
        }
        end = range.end;
        seen += 1;
    }
    seen == count && end == bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(texts: &[Vec<u8>]) -> Vec<u8> {
        let mut out = EditBuf::new();
        texts
            .iter()
            .for_each(|text| Encoded::new(text).write_to(&mut out));
        out.to_vec()
    }

    fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let text = prop_oneof![
            "-?[0-9]{1,20}".prop_map(String::into_bytes),
            any::<i64>().prop_map(|v| v.to_string().into_bytes()),
            (any::<i64>(), 0..63u32)
                .prop_map(|(v, s): (i64, u32)| (v >> s).to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..70),
            (4090usize..4100).prop_map(|n| vec![b'x'; n]),
        ];
        prop::collection::vec(text, 0..12)
    }

    #[test]
    fn the_edges_of_every_form() {
        let edges: [(i64, usize); 14] = [
            (0, 1),
            (127, 1),
            (128, 2),
            (-1, 2),
            (4095, 2),
            (-4096, 2),
            (4096, 3),
            (-32768, 3),
            (32768, 4),
            (-8_388_608, 4),
            (8_388_608, 5),
            (i64::from(i32::MIN), 5),
            (i64::from(i32::MAX) + 1, 9),
            (i64::MIN, 9),
        ];
        for (value, size) in edges {
            let bytes = pack(&[value.to_string().into_bytes()]);
            assert_eq!(bytes.len(), size, "{value}");
            assert_eq!(read(&bytes, 0), Some((Element::Int(value), size)));
        }
        for (length, head) in [(0, 1), (63, 1), (64, 2), (4095, 2), (4096, 5)] {
            let text = vec![b'x'; length];
            let bytes = pack(std::slice::from_ref(&text));
            assert_eq!(bytes.len(), head + length);
            assert_eq!(read(&bytes, 0), Some((Element::Str(&text), head + length)));
        }
    }

    proptest! {
        #[test]
        fn texts_come_back(texts in texts()) {
            let bytes = pack(&texts);
            prop_assert!(is_well_formed(&bytes, 0, texts.len()));
            let mut at = 0;
            for ((element, range), text) in elements(&bytes, 0).zip(&texts) {
                prop_assert_eq!(&element.to_vec(), text);
                prop_assert_eq!(element.text_len(), text.len());
                prop_assert!(element.is(text));
                prop_assert!(Encoded::new(text).is_at(&bytes, at));
                prop_assert_eq!(skip(&bytes, at), Some(range.end));
                at = range.end;
            }
            prop_assert_eq!(at, bytes.len());
        }

        #[test]
        fn only_the_same_text_is_found(a in texts(), b in texts()) {
            let bytes = pack(&a);
            for needle in &b {
                for (element, range) in elements(&bytes, 0) {
                    let same = element.to_vec() == *needle;
                    prop_assert_eq!(Encoded::new(needle).is_at(&bytes, range.start), same);
                    prop_assert_eq!(element.is(needle), same);
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..80) {
            let count = elements(&bytes, at).count();
            let _ = is_well_formed(&bytes, at, count);
            let _ = skip(&bytes, at);
            let _ = Encoded::new(b"x").is_at(&bytes, at);
        }
    }
}
