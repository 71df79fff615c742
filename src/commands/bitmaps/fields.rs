//! Integers of any width inside a string.

use super::{as_edited, offset, texts};
use crate::commands::spec::KeyFlags;
use crate::commands::strings::{edited_payload, write_at};
use crate::config::NotifyClass;
use crate::execute::{Effect, Found, Origin, ReadContext, Settings, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::bitmap::{Field, Overflow, Wanted};

/// `BITFIELD key [GET … | [OVERFLOW …] SET … | INCRBY … ...]`
pub(super) fn bitfield(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let steps = parse(args, ctx.settings(), ctx.origin())?;
    let end = steps.iter().filter(|step| step.change.is_some());
    let Some(end) = end.map(|step| step.field.end_byte()).max() else {
        // Read where it lies: it may be large.
        let mut digits = itoa::Buffer::new();
        let value = ctx.string(key)?;
        let bytes = value.as_ref().map_or(&b""[..], |v| v.bytes(&mut digits));
        read(&steps, bytes, reply);
        return Ok(Effect::None);
    };
    let (found, grown) = with_room(ctx, key, end)?;
    reply.array(steps.len());
    let mut wrote = false;
    for step in &steps {
        let mut digits = itoa::Buffer::new();
        // The string was seen when room was made.
        let value = ctx.string_of(found)?;
        let bytes = value.bytes(&mut digits);
        let old = step.field.get(bytes);
        let Some((wanted, overflow)) = step.change(old) else {
            reply.int(old);
            continue;
        };
        let Some(new) = step.field.fit(wanted, overflow) else {
            reply.null();
            continue;
        };
        let range = step.field.byte_range();
        let mut part = [0; 9];
        let part = &mut part[..range.len()];
        part.copy_from_slice(bytes.get(range.clone()).unwrap_or_default());
        step.field.put(part, new);
        // To write what was there is no change, as long as the string did not grow for it.
        if grown || new != old {
            write_at(ctx, found, range.start, part);
            wrote = true;
        }
        reply.int(match wanted {
            Wanted::Value(_) => old,
            Wanted::Sum(..) => new,
        });
    }
    if wrote {
        ctx.notify(NotifyClass::STRING, "setbit", key);
    } else if !grown {
        return Ok(Effect::None);
    }
    Ok(Effect::AsReceived)
}

/// `BITFIELD_RO key [GET encoding offset [GET encoding offset ...]]`
pub(super) fn bitfield_ro(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let steps = parse(args, ctx.settings(), Origin::Client)?;
    if steps.iter().any(|step| step.change.is_some()) {
        return Err(texts::ONLY_GET);
    }
    let mut digits = itoa::Buffer::new();
    let value = ctx.string(args.at(1))?;
    let bytes = value.as_ref().map_or(&b""[..], |v| v.bytes(&mut digits));
    read(&steps, bytes, reply);
    Ok(())
}

/// What a BITFIELD does to its key: without a change it only reads. What is no step counts as
/// a change.
pub(super) fn key_flags(args: Args<'_>) -> KeyFlags {
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        if args.is(at, "get") && left >= 2 {
            at += 3;
        } else if args.is(at, "overflow") && left >= 1 {
            at += 2;
        } else {
            return KeyFlags::of("RW access update");
        }
    }
    KeyFlags::of("RO access")
}

fn read(steps: &[Step], bytes: &[u8], reply: &mut Reply<'_>) {
    reply.array(steps.len());
    for step in steps {
        reply.int(step.field.get(bytes));
    }
}

/// The string at `key`, of at least `end` bytes, and whether it had to be made or to grow. As
/// in Redis it grows even if nothing is written in the end.
fn with_room(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    end: usize,
) -> Result<(Found, bool), WireError> {
    let Some(found) = ctx.find(key) else {
        let db = ctx.db();
        ctx.insert(db, key, None, edited_payload(&mut vec![0; end]));
        let found = ctx.find(key).ok_or(errors::NO_SUCH_KEY)?;
        return Ok((found, true));
    };
    let mut digits = itoa::Buffer::new();
    let value = ctx.string_of(found)?;
    let bytes = value.bytes(&mut digits);
    if bytes.len() < end {
        write_at(ctx, found, end - 1, &[0]);
        return Ok((found, true));
    }
    as_edited(ctx, found);
    Ok((found, false))
}

/// One step of a BITFIELD.
struct Step {
    field: Field,
    change: Option<Change>,
}

struct Change {
    overflow: Overflow,
    operand: i64,
    is_increment: bool,
}

impl Step {
    fn change(&self, old: i64) -> Option<(Wanted, Overflow)> {
        let change = self.change.as_ref()?;
        let wanted = match change.is_increment {
            true => Wanted::Sum(old, change.operand),
            false => Wanted::Value(change.operand),
        };
        Some((wanted, change.overflow))
    }
}

fn parse(args: Args<'_>, settings: &Settings, origin: Origin) -> Result<Vec<Step>, WireError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        let (is_increment, is_set) = (args.is(at, "incrby"), args.is(at, "set"));
        if args.is(at, "overflow") && left >= 1 {
            overflow = parse_overflow(args, at + 1)?;
            at += 2;
            continue;
        }
        let is_get = args.is(at, "get") && left >= 2;
        let is_change = (is_increment || is_set) && left >= 3;
        if !is_get && !is_change {
            return Err(errors::SYNTAX);
        }
        let field = parse_field(args.at(at + 1), args.at(at + 2), settings, origin)?;
        let change = match is_get {
            true => None,
            false => Some(Change {
                overflow,
                operand: parse_i64(args.at(at + 3)).ok_or(errors::NOT_AN_INTEGER)?,
                is_increment,
            }),
        };
        steps.push(Step { field, change });
        at += if is_get { 3 } else { 4 };
    }
    Ok(steps)
}

fn parse_overflow(args: Args<'_>, at: usize) -> Result<Overflow, WireError> {
    let all = [
        ("wrap", Overflow::Wrap),
        ("sat", Overflow::Saturate),
        ("fail", Overflow::Fail),
    ];
    let given = all.into_iter().find(|(word, _)| args.is(at, word));
    given
        .map(|(_, overflow)| overflow)
        .ok_or(texts::BAD_OVERFLOW)
}

/// A type such as `i16` or `u8`, and an offset in bits, or after `#` in fields.
fn parse_field(
    kind: &[u8],
    position: &[u8],
    settings: &Settings,
    origin: Origin,
) -> Result<Field, WireError> {
    let (signed, digits) = match kind.split_first() {
        Some((b'i', digits)) => (true, digits),
        Some((b'u', digits)) => (false, digits),
        _ => return Err(texts::BAD_TYPE),
    };
    let most = if signed { 64 } else { 63 };
    let bits = parse_i64(digits).filter(|bits| (1..=most).contains(bits));
    let bits = bits.ok_or(texts::BAD_TYPE)? as u32;
    let offset = match position.strip_prefix(b"#") {
        None => offset(position, settings, origin)?,
        Some(number) => {
            let number = parse_i64(number).ok_or(texts::BAD_OFFSET)?;
            let scaled = number.checked_mul(i64::from(bits));
            super::checked_offset(scaled.ok_or(texts::BAD_OFFSET)?, settings, origin)?
        }
    };
    Ok(Field {
        signed,
        bits,
        offset,
    })
}
