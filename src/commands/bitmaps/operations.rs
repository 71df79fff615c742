//! Whole strings combined bit by bit.

use super::texts;
use crate::commands::strings::edited_payload;
use crate::config::NotifyClass;
use crate::execute::{Effect, Expiry, StringRef, WriteContext};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::bitmap::{Operation, combine};
use std::borrow::Cow;

/// `BITOP operation destkey key [key ...]`
pub(super) fn bitop(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let destination = args.at(2);
    let (name, operation) = OPERATIONS
        .into_iter()
        .find(|(name, _)| args.is(1, name))
        .ok_or(errors::SYNTAX)?;
    match operation {
        Operation::Not if args.len() != 4 => return Err(texts::NOT_TAKES_ONE),
        Operation::Diff | Operation::Diff1 | Operation::AndOr if args.len() < 5 => {
            return Err(texts::takes_two(name));
        }
        _ => {}
    }
    // Redis before 8.2 and Valkey do not know these: to them the result is told.
    let is_new = !matches!(
        operation,
        Operation::And | Operation::Or | Operation::Xor | Operation::Not
    );
    // The first look at a key deletes it if it has expired, and what was found before does
    // not hold then; after it nothing moves any more.
    for key in args.from(3) {
        ctx.find(key);
    }
    // What comes behind a wrong type is not looked for.
    let mut found = Vec::with_capacity(args.len());
    for key in args.from(3) {
        let source = ctx.find_used(key);
        source.map(|source| ctx.string_of(source)).transpose()?;
        found.push(source);
    }
    let mut sources: Vec<Cow<'_, [u8]>> = Vec::with_capacity(found.len());
    for found in found {
        sources.push(match found.map(|found| ctx.string_of(found)).transpose()? {
            None => Cow::Borrowed(&[]),
            Some(StringRef::Bytes(bytes)) => Cow::Borrowed(bytes),
            Some(StringRef::Shared(value)) => Cow::Borrowed(value),
            Some(int) => Cow::Owned(int.to_vec()),
        });
    }
    let mut result = combine(operation, &sources);
    drop(sources);
    reply.int(result.len() as i64);
    if !result.is_empty() {
        if is_new {
            let effect = ctx.effect(3).arg(b"SET").arg(destination);
            effect.arg(&result);
        }
        ctx.put(destination, edited_payload(&mut result), Expiry::Clear);
        ctx.notify(NotifyClass::STRING, "set", destination);
        return Ok(match is_new {
            true => Effect::Rewritten,
            false => Effect::AsReceived,
        });
    }
    if !ctx.delete(destination) {
        return Ok(Effect::None);
    }
    ctx.notify(NotifyClass::GENERIC, "del", destination);
    ctx.effect(2).arg(b"DEL").arg(destination);
    Ok(Effect::Rewritten)
}

const OPERATIONS: [(&str, Operation); 8] = [
    ("AND", Operation::And),
    ("OR", Operation::Or),
    ("XOR", Operation::Xor),
    ("NOT", Operation::Not),
    ("DIFF", Operation::Diff),
    ("DIFF1", Operation::Diff1),
    ("ANDOR", Operation::AndOr),
    ("ONE", Operation::One),
];
