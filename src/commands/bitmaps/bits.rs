//! Single bits, counting them, finding them.

use super::{as_edited, offset, texts};
use crate::commands::strings::{edited_payload, write_at};
use crate::config::NotifyClass;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::bitmap;
use std::ops::Range;

/// `SETBIT key offset value`
pub(super) fn setbit(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let offset = offset(args.at(2), ctx.settings(), ctx.origin())?;
    let set = match parse_i64(args.at(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(texts::BAD_BIT),
    };
    let (at, bit) = ((offset / 8) as usize, 0x80u8 >> (offset % 8));
    let Some(found) = ctx.find(key) else {
        let mut bytes = vec![0; at + 1];
        bytes[at] = if set { bit } else { 0 };
        ctx.insert(ctx.db(), key, None, edited_payload(&mut bytes));
        ctx.notify(NotifyClass::STRING, "setbit", key);
        reply.int(0);
        return Ok(Effect::AsReceived);
    };
    let mut digits = itoa::Buffer::new();
    let value = ctx.string_of(found)?;
    let old = value.bytes(&mut digits).get(at).copied();
    let was_set = old.is_some_and(|byte| byte & bit != 0);
    reply.int(i64::from(was_set));
    let new = match set {
        true => old.unwrap_or(0) | bit,
        false => old.unwrap_or(0) & !bit,
    };
    if old == Some(new) {
        as_edited(ctx, found);
        return Ok(Effect::None);
    }
    write_at(ctx, found, at, &[new]);
    ctx.notify(NotifyClass::STRING, "setbit", key);
    Ok(Effect::AsReceived)
}

/// `GETBIT key offset`
pub(super) fn getbit(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let offset = offset(args.at(2), ctx.settings(), crate::execute::Origin::Client)?;
    let mut digits = itoa::Buffer::new();
    let value = ctx.string(args.at(1))?;
    let byte = value.and_then(|value| {
        let bytes = value.bytes(&mut digits);
        bytes.get((offset / 8) as usize).copied()
    });
    let set = byte.is_some_and(|byte| byte & 0x80 >> (offset % 8) != 0);
    reply.int(i64::from(set));
    Ok(())
}

/// `BITCOUNT key [start [end [BYTE | BIT]]]`
pub(super) fn bitcount(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let given = match args.len() {
        2 => None,
        6.. => return Err(errors::SYNTAX),
        _ => {
            let start = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
            let end = args.get(3).map_or(Some(-1), parse_i64);
            let end = end.ok_or(errors::NOT_AN_INTEGER)?;
            Some((start, end, unit(args, 4)?))
        }
    };
    let mut digits = itoa::Buffer::new();
    let Some(value) = ctx.string(args.at(1))? else {
        reply.int(0);
        return Ok(());
    };
    let bytes = value.bytes(&mut digits);
    let bits = match given {
        None => 0..bytes.len() as u64 * 8,
        Some((start, end, _)) if start < 0 && end < 0 && start > end => 0..0,
        Some((start, end, unit)) => unit.range(bytes.len(), start, end),
    };
    reply.int(bitmap::count(bytes, bits) as i64);
    Ok(())
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`
pub(super) fn bitpos(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let set = match parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)? {
        0 => false,
        1 => true,
        _ => return Err(texts::BIT_IS_1_OR_0),
    };
    if args.len() > 6 {
        return Err(errors::SYNTAX);
    }
    let mut start = 0;
    let (mut end, mut in_unit) = (None, Unit::Byte);
    if let Some(text) = args.get(3) {
        start = parse_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
    }
    if args.len() > 4 {
        in_unit = unit(args, 5)?;
        end = Some(parse_i64(args.at(4)).ok_or(errors::NOT_AN_INTEGER)?);
    }
    let mut digits = itoa::Buffer::new();
    let Some(value) = ctx.string(args.at(1))? else {
        // As if there were clear bits without end.
        reply.int(if set { -1 } else { 0 });
        return Ok(());
    };
    let bytes = value.bytes(&mut digits);
    let bits = in_unit.range(bytes.len(), start, end.unwrap_or(-1));
    let nothing_to_see = bits.is_empty();
    let found = bitmap::position(bytes, set, bits);
    reply.int(match found {
        Some(at) => at as i64,
        // Without an end the string goes on in clear bits.
        None if !set && end.is_none() && !nothing_to_see => bytes.len() as i64 * 8,
        None => -1,
    });
    Ok(())
}

/// What a range is counted in.
#[derive(Clone, Copy)]
enum Unit {
    Byte,
    Bit,
}

/// The unit at `index`, where the arguments must end; bytes if there is none.
fn unit(args: Args<'_>, index: usize) -> Result<Unit, WireError> {
    match args.len().checked_sub(index) {
        None | Some(0) => Ok(Unit::Byte),
        Some(1) if args.is(index, "bit") => Ok(Unit::Bit),
        Some(1) if args.is(index, "byte") => Ok(Unit::Byte),
        Some(_) => Err(errors::SYNTAX),
    }
}

impl Unit {
    /// The bits from `start` to `end`, both included and counted from the end if negative, of
    /// a string of `len` bytes.
    fn range(self, len: usize, start: i64, end: i64) -> Range<u64> {
        let scale = match self {
            Unit::Byte => 1,
            Unit::Bit => 8,
        };
        let units = len as i64 * scale;
        let from_front = |i: i64| if i < 0 { (units + i).max(0) } else { i };
        let start = from_front(start);
        let end = from_front(end).min(units - 1);
        if start > end {
            return 0..0;
        }
        let width = 8 / scale as u64;
        start as u64 * width..(end as u64 + 1) * width
    }
}
