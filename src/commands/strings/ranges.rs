//! Parts of a string: reading them, changing them, adding to the end.
//!
//! A string edited here counts as edited in place (`raw` to `OBJECT ENCODING`). It stays in
//! its entry while it is short, and moves behind a counted pointer when it outgrows that.

use crate::config::NotifyClass;
use crate::execute::{
    Effect, Expiry, Found, INLINE_STRING, Origin, ReadContext, WriteContext, string_payload,
};
use crate::keyspace::{Kind, Payload};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::SpliceBuf;
use std::sync::Arc;

/// `STRLEN key`
pub(super) fn strlen(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let value = ctx.string(args.at(1))?;
    reply.int(value.map_or(0, |value| value.len()) as i64);
    Ok(())
}

/// `GETRANGE key start end`, and `SUBSTR`
pub(super) fn getrange(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let start = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let end = parse_i64(args.at(3)).ok_or(errors::NOT_AN_INTEGER)?;
    let mut digits = itoa::Buffer::new();
    let value = ctx.string(args.at(1))?;
    let value = value.as_ref().map_or(&b""[..], |v| v.bytes(&mut digits));
    reply.bulk(slice(value, start, end));
    Ok(())
}

/// Bytes `start` to `end`, both counted from the end if negative, both included.
fn slice(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let len = value.len() as i64;
    let from_front = |i: i64| if i < 0 { (len + i).max(0) } else { i };
    let (start, end) = (from_front(start), from_front(end).min(len - 1));
    if start > end {
        return b"";
    }
    &value[start as usize..=end as usize]
}

/// `APPEND key value`
pub(super) fn append(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, value) = (args.at(1), args.at(2));
    let Some(found) = ctx.find(key) else {
        ctx.insert(ctx.db(), key, None, string_payload(value));
        ctx.notify(NotifyClass::STRING, "append", key);
        reply.int(value.len() as i64);
        return Ok(Effect::AsReceived);
    };
    let len = ctx.string_of(found)?.len();
    check_length(ctx, len as u64, value.len())?;
    write_at(ctx, found, len, value);
    ctx.notify(NotifyClass::STRING, "append", key);
    reply.int((len + value.len()) as i64);
    Ok(Effect::AsReceived)
}

/// `SETRANGE key offset value`
pub(super) fn setrange(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, value) = (args.at(1), args.at(3));
    let offset = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let offset = u64::try_from(offset).map_err(|_| errors::OFFSET_OUT_OF_RANGE)?;
    let found = ctx.find(key);
    let len = match found {
        Some(found) => ctx.string_of(found)?.len(),
        None => 0,
    };
    if value.is_empty() {
        reply.int(len as i64);
        return Ok(Effect::None);
    }
    check_length(ctx, offset, value.len())?;
    let offset = usize::try_from(offset).map_err(|_| errors::STRING_TOO_LONG)?;
    match found {
        Some(found) => write_at(ctx, found, offset, value),
        None => {
            let mut bytes = vec![0; offset + value.len()];
            bytes[offset..].copy_from_slice(value);
            ctx.insert(ctx.db(), key, None, edited_payload(&mut bytes));
        }
    }
    ctx.notify(NotifyClass::STRING, "setrange", key);
    reply.int(len.max(offset + value.len()) as i64);
    Ok(Effect::AsReceived)
}

/// Refuses what would pass `proto-max-bulk-len`. The log is not judged: its origin did that.
fn check_length(ctx: &WriteContext<'_>, len: u64, more: usize) -> Result<(), WireError> {
    let total = len.saturating_add(more as u64);
    if total > ctx.settings().max_bulk && ctx.origin() == Origin::Client {
        return Err(errors::STRING_TOO_LONG);
    }
    Ok(())
}

/// Overwrites the string of a key that was found from `offset` on; a gap is filled with
/// zero bytes.
pub(in crate::commands) fn write_at(
    ctx: &mut WriteContext<'_>,
    found: Found,
    offset: usize,
    value: &[u8],
) {
    ctx.mark_used(found);
    let end = offset + value.len();
    if let Some(large) = ctx.shared_string(found) {
        if large.len() * 2 < end {
            *large = grown(large, end);
        } else if large.len() < end {
            large.resize(end, 0);
        }
        large[offset..end].copy_from_slice(value);
        return;
    }
    let kind = ctx.entry(found).kind();
    let is_inline = matches!(kind, Kind::Str | Kind::StrEdited);
    if is_inline && end <= INLINE_STRING {
        let mut bytes = ctx.inline(found);
        let len = bytes.bytes().len();
        if len < offset {
            bytes.splice(len..len, &ZEROS[..offset - len]);
        }
        bytes.splice(offset..end.min(len.max(offset)), value);
        ctx.set_kind(found, Kind::StrEdited);
        return;
    }
    let mut digits = itoa::Buffer::new();
    let mut bytes = match ctx.string_of(found) {
        Ok(old) => grown(old.bytes(&mut digits), end),
        Err(_) => return debug_assert!(false, "the caller has seen a string"),
    };
    bytes[offset..end].copy_from_slice(value);
    ctx.replace(found, edited_payload(&mut bytes), Expiry::Keep);
}

/// A copy of at least `end` bytes. Zero bytes that nobody wrote yet cost no time: a bit set far
/// beyond the end of a string need not touch half a gigabyte.
fn grown(old: &[u8], end: usize) -> Vec<u8> {
    let mut bytes = vec![0; end.max(old.len())];
    bytes[..old.len()].copy_from_slice(old);
    bytes
}

/// A string that was not given whole, never stored as an integer. Takes `bytes` if they are
/// many.
pub(in crate::commands) fn edited_payload(bytes: &mut Vec<u8>) -> Payload<'_> {
    if bytes.len() <= INLINE_STRING {
        Payload::Inline(Kind::StrEdited, bytes)
    } else {
        Payload::Shared(Arc::new(std::mem::take(bytes)))
    }
}

static ZEROS: [u8; INLINE_STRING] = [0; INLINE_STRING];
