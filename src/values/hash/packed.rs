//! The two packed encodings of a hash, over bytes that somebody else owns.
//!
//! ```text
//! listpack:    count:u16 LE │ field value │ field value │ …
//! listpackex:  count:u16 LE │ field value expiry │ field value expiry │ …
//! ```
//!
//! Fields, values and expiries are elements of [`crate::values::packed`]. An expiry is an
//! integer in Unix milliseconds, 0 for none. What must stay true: triples with an expiry
//! come first, in ascending order, so that the first tells when something expires next and
//! expired fields are a prefix. Redis keeps the same order, down to a field that is given
//! an expiry others have already: it goes in front of them. `HGETALL` shows it.

use super::{Encoding, Field, Limits, NeedsConversion, Ttl};
use crate::time::UnixMs;
use crate::values::packed::{self, EditBuf, Element, Encoded, SpliceBuf, read, skip};
use std::ops::Range;

/// A packed hash without fields, of either encoding.
pub const EMPTY: [u8; HEADER] = [0; HEADER];

const HEADER: usize = 2;
/// No field or value of this size is packed, whatever the configuration says.
const MAX_ELEMENT: usize = 1 << 20;

/// How many fields there are.
#[inline]
pub(super) fn count(bytes: &[u8]) -> usize {
    match bytes {
        [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}

/// Whether the bytes are a packed hash that can be trusted; for data from outside.
pub fn is_well_formed(bytes: &[u8], encoding: Encoding) -> bool {
    let with_expiry = match encoding {
        Encoding::Packed => false,
        Encoding::PackedEx => true,
        Encoding::Table => return false,
    };
    let elements = count(bytes) * if with_expiry { 3 } else { 2 };
    if bytes.len() < HEADER || !packed::is_well_formed(bytes, HEADER, elements) {
        return false;
    }
    let expiries = packed::elements(bytes, HEADER).skip(2).step_by(3);
    !with_expiry
        || expiries
            .map(|(element, _)| match element {
                Element::Int(0) => UnixMs::MAX,
                Element::Int(at) => at,
                Element::Str(_) => -1,
            })
            .is_sorted_by(|a, b| *a > 0 && a <= b)
}

/// The fields of a packed hash in their order.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    with_expiry: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], with_expiry: bool) -> Self {
        Self {
            bytes,
            at: HEADER,
            with_expiry,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let (name, at) = read(self.bytes, self.at)?;
        let (value, at) = read(self.bytes, at)?;
        let (expires_at, at) = if self.with_expiry {
            read_expiry(self.bytes, at)?
        } else {
            (None, at)
        };
        self.at = at;
        Some(Field {
            name,
            value,
            expires_at,
        })
    }
}

/// The field of this name.
#[inline]
pub(super) fn get<'a, const EX: bool>(bytes: &'a [u8], name: &[u8]) -> Option<Field<'a>> {
    let start = find::<EX>(bytes, &Encoded::new(name))?;
    Fields {
        bytes,
        at: start,
        with_expiry: EX,
    }
    .next()
}

/// See [`super::HashMut::set`].
pub(super) fn set<const EX: bool>(
    buf: &mut dyn SpliceBuf,
    name: &[u8],
    value: &[u8],
    ttl: Ttl,
    limits: Limits,
) -> Result<bool, NeedsConversion> {
    let longest = limits.max_value.min(MAX_ELEMENT);
    if name.len() > longest || value.len() > longest {
        return Err(NeedsConversion(Encoding::Table));
    }
    let bytes = buf.bytes();
    let fields = count(bytes);
    let encoded_name = Encoded::new(name);
    let found = find::<EX>(bytes, &encoded_name);
    let after = fields + usize::from(found.is_none());
    if after > limits.max_entries.min(usize::from(u16::MAX)) {
        return Err(NeedsConversion(Encoding::Table));
    }
    let place = found.and_then(|start| Place::at::<EX>(bytes, start));
    let mut edit = EditBuf::new();
    match place {
        Some(place) if place.expires_at.is_none() || ttl == Ttl::Keep => {
            Encoded::new(value).write_to(&mut edit);
            buf.splice(place.value, &edit);
            return Ok(false);
        }
        // Without an expiry its place is at the end.
        Some(place) => buf.splice(place.whole, &[]),
        None => buf.overwrite(0, &(after as u16).to_le_bytes()),
    }
    encoded_name.write_to(&mut edit);
    Encoded::new(value).write_to(&mut edit);
    if EX {
        Encoded::int(0).write_to(&mut edit);
    }
    let end = buf.bytes().len();
    buf.splice(end..end, &edit);
    Ok(after > fields)
}

/// See [`super::HashMut::delete`].
pub(super) fn delete<const EX: bool>(buf: &mut dyn SpliceBuf, name: &[u8]) -> bool {
    let bytes = buf.bytes();
    let found = find::<EX>(bytes, &Encoded::new(name));
    let Some(place) = found.and_then(|start| Place::at::<EX>(bytes, start)) else {
        return false;
    };
    remove(buf, place.whole, 1);
    true
}

/// See [`super::HashMut::set_expiry`]; for the encoding with expiries.
pub(super) fn set_expiry(buf: &mut dyn SpliceBuf, name: &[u8], at: Option<UnixMs>) -> bool {
    debug_assert!(at.is_none_or(|at| at > 0));
    let bytes = buf.bytes();
    let found = find::<true>(bytes, &Encoded::new(name));
    let Some(place) = found.and_then(|start| Place::at::<true>(bytes, start)) else {
        return false;
    };
    if at.is_none() && place.expires_at.is_none() {
        return true;
    }
    let mut edit = EditBuf::new();
    edit.extend_from_slice(&bytes[place.whole.start..place.value.end]);
    Encoded::int(at.unwrap_or(0)).write_to(&mut edit);
    buf.splice(place.whole, &[]);
    let bytes = buf.bytes();
    let to = at.map_or(bytes.len(), |at| insertion_point(bytes, at));
    buf.splice(to..to, &edit);
    true
}

/// See [`super::HashMut::pop_expired`]; for the encoding with expiries.
pub(super) fn pop_expired(
    buf: &mut dyn SpliceBuf,
    now: UnixMs,
    max: usize,
    each: &mut dyn FnMut(Element<'_>),
) -> usize {
    let mut fields = Fields::new(buf.bytes(), true);
    let (mut end, mut popped) = (HEADER, 0);
    while popped < max
        && let Some(field) = fields.next()
        && !field.is_live(now)
    {
        each(field.name);
        end = fields.at;
        popped += 1;
    }
    if popped > 0 {
        remove(buf, HEADER..end, popped);
    }
    popped
}

/// The same fields with room for expiries, all of them without one.
pub fn to_packed_ex(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + count(bytes));
    out.extend_from_slice(bytes.get(..HEADER).unwrap_or(&EMPTY));
    let mut at = HEADER;
    while let Some(next) = skip(bytes, at).and_then(|value| skip(bytes, value)) {
        out.extend_from_slice(&bytes[at..next]);
        out.push(0);
        at = next;
    }
    out
}

/// Where a field's parts lie.
struct Place {
    whole: Range<usize>,
    value: Range<usize>,
    expires_at: Option<UnixMs>,
}

impl Place {
    /// The parts of the field that starts at `start`.
    #[inline]
    fn at<const EX: bool>(bytes: &[u8], start: usize) -> Option<Self> {
        let value = skip(bytes, start)?;
        let value = value..skip(bytes, value)?;
        let (expires_at, end) = if EX {
            read_expiry(bytes, value.end)?
        } else {
            (None, value.end)
        };
        Some(Self {
            whole: start..end,
            value,
            expires_at,
        })
    }
}

/// Where the field of this name starts.
#[inline]
fn find<const EX: bool>(bytes: &[u8], name: &Encoded<'_>) -> Option<usize> {
    let mut at = HEADER;
    while at < bytes.len() {
        if name.is_at(bytes, at) {
            return Some(at);
        }
        at = skip(bytes, skip(bytes, at)?)?;
        if EX {
            at = skip(bytes, at)?;
        }
    }
    None
}

fn read_expiry(bytes: &[u8], at: usize) -> Option<(Option<UnixMs>, usize)> {
    let (element, next) = read(bytes, at)?;
    let expires_at = match element {
        Element::Int(0) | Element::Str(_) => None,
        Element::Int(at) => Some(at),
    };
    Some((expires_at, next))
}

/// In front of the first field that does not expire before `at`.
fn insertion_point(bytes: &[u8], at: UnixMs) -> usize {
    let mut fields = Fields::new(bytes, true);
    loop {
        let here = fields.at;
        match fields.next() {
            Some(field) if field.expires_at.is_some_and(|other| other < at) => {}
            _ => return here,
        }
    }
}

/// Cuts `fields` fields out.
fn remove(buf: &mut dyn SpliceBuf, range: Range<usize>, fields: usize) {
    let left = count(buf.bytes()).saturating_sub(fields) as u16;
    buf.splice(range, &[]);
    buf.overwrite(0, &left.to_le_bytes());
}
