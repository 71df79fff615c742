//! Bitmaps: the family's table of contents.
//!
//! A bitmap is a string; `bits` holds what concerns single bits, `fields` integers inside a
//! string, `operations` whole strings. What is written counts as edited in place.
//!
//! What must stay true: every command here is its own effect, and has none if no bit changes
//! and the string does not grow.

mod bits;
mod fields;
mod operations;
mod texts;

use super::handler::Handler;
use super::spec::{CommandSpec, Flags, Group, KeySpec};
use crate::execute::{Expiry, Found, Origin, Settings, WriteContext};
use crate::keyspace::{Kind, Payload, ValueRef};
use crate::number::parse_i64;
use crate::protocol::WireError;

const BITMAP: CommandSpec = CommandSpec {
    group: Group::Bitmap,
    ..CommandSpec::DEFAULT
};

/// An offset in bits.
fn offset(text: &[u8], settings: &Settings, origin: Origin) -> Result<u64, WireError> {
    let offset = parse_i64(text).ok_or(texts::BAD_OFFSET)?;
    checked_offset(offset, settings, origin)
}

/// Refuses an offset beyond the longest string. The log is not judged: its origin did that.
fn checked_offset(offset: i64, settings: &Settings, origin: Origin) -> Result<u64, WireError> {
    u64::try_from(offset)
        .ok()
        .filter(|offset| origin == Origin::Log || offset / 8 < settings.max_bulk)
        .ok_or(texts::BAD_OFFSET)
}

/// Makes a string of bytes of an integer, and of any string one that was edited in place, as
/// Redis does even if no bit changes.
fn as_edited(ctx: &mut WriteContext<'_>, found: Found) {
    let mut digits = itoa::Buffer::new();
    match ctx.entry(found).value() {
        ValueRef::Int(n) => {
            let payload = Payload::Inline(Kind::StrEdited, digits.format(n).as_bytes());
            ctx.replace(found, payload, Expiry::Keep);
        }
        ValueRef::Str { .. } => ctx.set_kind(found, Kind::StrEdited),
        _ => {}
    }
}

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "setbit",
        since: "2.2.0",
        arity: 4,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "RW access update")],
        syntax: "key offset value{:integer}",
        summary: "Sets or clears a bit of a string and returns its old value.",
        complexity: "O(1)",
        handler: Handler::Write(bits::setbit),
        ..BITMAP
    },
    CommandSpec {
        name: "getbit",
        since: "2.2.0",
        arity: 3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key offset",
        summary: "Reads a bit of a string.",
        complexity: "O(1)",
        handler: Handler::Read(bits::getbit),
        ..BITMAP
    },
    CommandSpec {
        name: "bitcount",
        since: "2.6.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key [start end [BYTE | BIT]{unit @7.0.0}]{range}",
        summary: "Counts the bits that are set in a string.",
        complexity: "O(N), N being the bytes looked at",
        history: &[("7.0.0", "`BYTE` and `BIT`.")],
        handler: Handler::Read(bits::bitcount),
        ..BITMAP
    },
    CommandSpec {
        name: "bitpos",
        since: "2.8.7",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key bit [start [end [BYTE | BIT]{unit @7.0.0}]{end-unit-block}]{range}",
        summary: "Finds the first bit of a string that is set, or clear.",
        complexity: "O(N), N being the bytes looked at",
        history: &[("7.0.0", "`BYTE` and `BIT`.")],
        handler: Handler::Read(bits::bitpos),
        ..BITMAP
    },
    CommandSpec {
        name: "bitop",
        since: "2.6.0",
        arity: -4,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(2, "OW update"), KeySpec::from(3, "RO access")],
        syntax: "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE>{operation} destkey key [key ...]",
        summary: "Combines strings bit by bit and stores the result.",
        complexity: "O(N), N being the bytes of all the strings",
        history: &[("8.2.0", "`DIFF`, `DIFF1`, `ANDOR`, `ONE`.")],
        handler: Handler::Write(operations::bitop),
        ..BITMAP
    },
    CommandSpec {
        name: "bitfield",
        since: "3.2.0",
        arity: -2,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "RW access update variable_flags")
            .note("Only read if nothing is set or counted.")],
        syntax: "key [<<GET encoding offset>{+get-block} | <[OVERFLOW <WRAP | SAT | FAIL>{overflow-block}] <<SET encoding offset value{:integer}>{+set-block} | <INCRBY encoding offset increment>{+incrby-block}>{write-operation}>{write}> ...{operation}]",
        summary: "Reads, sets and adds to integers of any width inside a string.",
        complexity: "O(1) for each step",
        key_flags: Some(fields::key_flags),
        handler: Handler::Write(fields::bitfield),
        ..BITMAP
    },
    CommandSpec {
        name: "bitfield_ro",
        since: "6.0.0",
        arity: -2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key [GET encoding offset [GET encoding offset ...]{+get-block}]",
        summary: "Reads integers of any width inside a string.",
        complexity: "O(1) for each step",
        handler: Handler::Read(fields::bitfield_ro),
        ..BITMAP
    },
];
