//! One set: adding, removing, asking for members, walking over them.

use super::bulk;
use super::edit::SetEdit;
use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::glob;
use crate::number::parse_cursor;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::packed::Element;
use crate::values::set::{NOTHING, SetRef, member};

/// `SADD key member [member ...]`
pub(super) fn sadd(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, given) = (args.at(1), args.len() - 2);
    let mut edit = SetEdit::open_or_new(ctx, key, member(args.at(2)), given)?;
    let mut added = 0;
    for text in args.from(2) {
        added += i64::from(edit.add(member(text)));
    }
    edit.close();
    reply.int(added);
    if added == 0 {
        return Ok(Effect::None);
    }
    ctx.notify(NotifyClass::SET, "sadd", key);
    Ok(Effect::AsReceived)
}

/// `SREM key member [member ...]`
pub(super) fn srem(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let Some(found) = ctx.find(key) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    let mut edit = SetEdit::of(ctx, key, found)?;
    let mut removed = 0;
    for text in args.from(2) {
        removed += i64::from(edit.remove(member(text)));
    }
    let left = edit.close();
    reply.int(removed);
    if removed == 0 {
        return Ok(Effect::None);
    }
    ctx.notify(NotifyClass::SET, "srem", key);
    if !left {
        ctx.notify(NotifyClass::GENERIC, "del", key);
    }
    Ok(Effect::AsReceived)
}

/// `SMOVE source destination member`
pub(super) fn smove(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (source, destination) = (args.at(1), args.at(2));
    let moved = member(args.at(3));
    // Looking a key up may delete it, and what was found before does not hold then.
    let there = ctx.find(destination);
    let Some(found) = ctx.find(source) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    let is_there = ctx.set_of(found)?.contains(moved);
    if there.is_some()
        && let Some(there) = ctx.find(destination)
    {
        ctx.set_of(there)?;
    }
    if !is_there || source == destination {
        reply.int(i64::from(is_there));
        return Ok(Effect::None);
    }
    let mut edit = SetEdit::of(ctx, source, found)?;
    edit.remove(moved);
    let left = edit.close();
    ctx.notify(NotifyClass::SET, "srem", source);
    if !left {
        ctx.notify(NotifyClass::GENERIC, "del", source);
    }
    let mut edit = SetEdit::open_or_new(ctx, destination, moved, 1)?;
    let added = edit.add(moved);
    edit.close();
    if added {
        ctx.notify(NotifyClass::SET, "sadd", destination);
    }
    reply.int(1);
    Ok(Effect::AsReceived)
}

/// `SISMEMBER key member`
pub(super) fn sismember(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let set = ctx.set(args.at(1))?;
    let is_member = set.is_some_and(|set| set.contains(member(args.at(2))));
    reply.int(i64::from(is_member));
    Ok(())
}

/// `SMISMEMBER key member [member ...]`
pub(super) fn smismember(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let set = ctx.set(args.at(1))?.unwrap_or(NOTHING);
    reply.array(args.len() - 2);
    for text in args.from(2) {
        reply.int(i64::from(set.contains(member(text))));
    }
    Ok(())
}

/// `SCARD key`
pub(super) fn scard(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(ctx.set(args.at(1))?.map_or(0, SetRef::len) as i64);
    Ok(())
}

/// `SMEMBERS key`
pub(super) fn smembers(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let set = ctx.set(args.at(1))?.unwrap_or(NOTHING);
    reply.set(set.len());
    set.iter().for_each(|member| bulk(reply, member));
    Ok(())
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn sscan(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let cursor = parse_cursor(args.at(2)).ok_or(errors::INVALID_CURSOR)?;
    let Some(set) = ctx.set(args.at(1))? else {
        // Redis does not look at the options of a missing key.
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = Scan::parse(args)?;
    let mut members = Vec::new();
    let next = set.scan(cursor, options.count, |member| {
        if options.selects(member) {
            members.push(member);
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(members.len());
    members.into_iter().for_each(|member| bulk(reply, member));
    Ok(())
}

struct Scan<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
}

impl<'a> Scan<'a> {
    fn parse(args: Args<'a>) -> Result<Self, WireError> {
        let mut this = Scan {
            count: 10,
            pattern: None,
        };
        let mut options = Arguments::new(args, 3);
        while options.more() {
            if options.word("count") {
                match options.integer() {
                    n @ 1.. => this.count = n as usize,
                    _ => options.fail(errors::SYNTAX),
                }
            } else if options.word("match") {
                this.pattern = Some(options.value()).filter(|pattern| *pattern != b"*");
            } else if options.word("novalues") {
                options.fail(errors::NOVALUES_IN_SCAN);
            } else {
                options.fail(errors::SYNTAX);
            }
        }
        options.finish().map(|()| this)
    }

    fn selects(&self, member: Element<'_>) -> bool {
        let mut digits = itoa::Buffer::new();
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, member.text(&mut digits), false))
    }
}
