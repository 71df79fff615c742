//! A node of a stream: entries that follow each other, in one listpack.
//!
//! ```text
//! entries │ deleted │ fields │ field … │ 0            the master entry
//! flags │ ms │ seq │ value … │ elements               fields as in the master entry
//! flags │ ms │ seq │ fields │ field value … │ elements
//! ```
//! Milliseconds and sequence number are differences to the node's own identity. Of the flags,
//! 1 marks a deleted entry and 2 one with the master's fields.

use super::packs::{Fault, Listpack};
use super::value::StreamId;
use crate::values::packed::Element;

/// Checks a node whose entries must come after `last`, which becomes the last of them; gives
/// how many there are.
pub(super) fn check(
    base: StreamId,
    pack: &[u8],
    last: &mut Option<StreamId>,
) -> Result<u64, Fault> {
    let mut entries = 0;
    let mut previous = *last;
    if previous.is_some_and(|previous| previous >= base) {
        return Err("a stream's nodes do not ascend");
    }
    walk(base, pack, |id, _, deleted| {
        if previous.is_some_and(|previous| previous >= id) {
            return Err("a stream's entries do not ascend");
        }
        previous = Some(id);
        entries += u64::from(!deleted);
        Ok(())
    })?;
    *last = previous;
    Ok(entries)
}

/// Hands out the entries of a node that has been checked: identity, and fields and values in
/// turn.
///
/// # Errors
/// When the node is damaged.
pub fn each_entry<'a>(
    base: StreamId,
    pack: &'a [u8],
    mut each: impl FnMut(StreamId, &[Element<'a>]),
) -> Result<(), Fault> {
    walk(base, pack, |id, fields, deleted| {
        if !deleted {
            each(id, fields);
        }
        Ok(())
    })
}

fn walk<'a>(
    base: StreamId,
    pack: &'a [u8],
    mut each: impl FnMut(StreamId, &[Element<'a>], bool) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut elements = Listpack::new(pack)?;
    let (live, deleted) = (elements.integer()?, elements.integer()?);
    let mut names = Vec::new();
    for _ in 0..elements.integer()? {
        names.push(element(&mut elements)?);
    }
    if elements.integer()? != 0 {
        return Err("a stream node's master entry does not end");
    }
    let (mut seen_live, mut seen_deleted) = (0, 0);
    let mut pairs = Vec::new();
    while let Some(flags) = elements.next()? {
        let Element::Int(flags @ 0..=3) = flags else {
            return Err("a stream entry has unknown flags");
        };
        // Of identities far apart the difference does not fit, and wraps.
        let ms = base.0.wrapping_add_signed(elements.integer()?);
        let seq = base.1.wrapping_add_signed(elements.integer()?);
        pairs.clear();
        let own_count = if flags & SAME_FIELDS != 0 {
            for name in &names {
                pairs.push(*name);
                pairs.push(element(&mut elements)?);
            }
            3 + names.len() as i64
        } else {
            let count = elements.integer()?;
            for _ in 0..count {
                pairs.push(element(&mut elements)?);
                pairs.push(element(&mut elements)?);
            }
            4i64.saturating_add(count.saturating_mul(2))
        };
        if elements.integer()? != own_count {
            return Err("a stream entry's size is wrong");
        }
        let is_deleted = flags & DELETED != 0;
        if is_deleted {
            seen_deleted += 1;
        } else {
            seen_live += 1;
        }
        each((ms, seq), &pairs, is_deleted)?;
    }
    if (seen_live, seen_deleted) != (live, deleted) {
        return Err("a stream node's count is wrong");
    }
    Ok(())
}

fn element<'a>(elements: &mut Listpack<'a>) -> Result<Element<'a>, Fault> {
    elements.next()?.ok_or("a stream node ends too early")
}

/// The entry was deleted.
const DELETED: i64 = 1;
/// The entry's fields are those of the master entry.
const SAME_FIELDS: i64 = 2;
