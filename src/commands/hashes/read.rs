//! Commands that look at hashes. They hide expired fields; those that were asked for by name,
//! and all that a random choice passes over, are deleted by the executor. Only `HLEN` counts
//! what has expired. All that is as in Redis.

use super::texts;
use crate::commands::arguments::Arguments;
use crate::execute::ReadContext;
use crate::glob;
use crate::number::{parse_cursor, parse_i64};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::random::next_u64;
use crate::values::hash::{Field, HashRef};
use crate::values::packed::Element;

/// Writes an element as a bulk string.
#[inline]
pub(super) fn bulk(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Int(n) => reply.int_bulk(n),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}

/// Writes a value, or null.
#[inline]
pub(super) fn bulk_or_null(reply: &mut Reply<'_>, value: Option<Element<'_>>) {
    match value {
        Some(value) => bulk(reply, value),
        None => reply.null(),
    }
}

/// `HGET key field`
pub(super) fn hget(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let hash = ctx.hash(args.at(1))?;
    let value = hash.and_then(|hash| hash.get(args.at(2), ctx.now()));
    bulk_or_null(reply, value);
    if value.is_none()
        && let Some(hash) = hash
    {
        ctx.missed_field(args.at(1), hash, args.at(2));
    }
    Ok(())
}

/// `HMGET key field [field ...]`
pub(super) fn hmget(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let hash = ctx.hash(args.at(1))?;
    reply.array(args.len() - 2);
    for name in args.from(2) {
        let value = hash.and_then(|hash| hash.get(name, ctx.now()));
        bulk_or_null(reply, value);
        if value.is_none()
            && let Some(hash) = hash
        {
            ctx.missed_field(args.at(1), hash, name);
        }
    }
    Ok(())
}

/// `HGETALL key`
pub(super) fn hgetall(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let hash = ctx.hash(args.at(1))?.unwrap_or(NOTHING);
    reply.map(hash.live_len(ctx.now()));
    for field in hash.live(ctx.now()) {
        bulk(reply, field.name);
        bulk(reply, field.value);
    }
    Ok(())
}

/// `HKEYS key`
pub(super) fn hkeys(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let hash = ctx.hash(args.at(1))?.unwrap_or(NOTHING);
    reply.array(hash.live_len(ctx.now()));
    hash.live(ctx.now()).for_each(|f| bulk(reply, f.name));
    Ok(())
}

/// `HVALS key`
pub(super) fn hvals(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let hash = ctx.hash(args.at(1))?.unwrap_or(NOTHING);
    reply.array(hash.live_len(ctx.now()));
    hash.live(ctx.now()).for_each(|f| bulk(reply, f.value));
    Ok(())
}

/// `HLEN key`
pub(super) fn hlen(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(ctx.hash(args.at(1))?.map_or(0, HashRef::len) as i64);
    Ok(())
}

/// `HEXISTS key field`
pub(super) fn hexists(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let hash = ctx.hash(args.at(1))?;
    let exists = hash.is_some_and(|hash| hash.contains(args.at(2), ctx.now()));
    reply.int(i64::from(exists));
    if !exists && let Some(hash) = hash {
        ctx.missed_field(args.at(1), hash, args.at(2));
    }
    Ok(())
}

/// `HSTRLEN key field`
pub(super) fn hstrlen(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let hash = ctx.hash(args.at(1))?;
    let len = hash.map_or(0, |hash| hash.strlen(args.at(2), ctx.now()));
    reply.int(len as i64);
    if len == 0
        && let Some(hash) = hash
    {
        ctx.missed_field(args.at(1), hash, args.at(2));
    }
    Ok(())
}

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(super) fn hrandfield(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let now = ctx.now();
    let Some(count) = args.get(2) else {
        let hash = ctx.hash(args.at(1))?;
        if let Some(hash) = hash {
            ctx.looked_at_fields(args.at(1), hash);
        }
        let drawn = hash.and_then(|hash| hash.random(now, &mut next_u64));
        bulk_or_null(reply, drawn.map(|field| field.name));
        return Ok(());
    };
    let count = parse_i64(count).ok_or(errors::NOT_AN_INTEGER)?;
    if count == i64::MIN {
        return Err(texts::COUNT_RANGE);
    }
    let values = args.is(3, "withvalues");
    if args.len() > 4 || args.len() == 4 && !values {
        return Err(errors::SYNTAX);
    }
    if values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(errors::OUT_OF_RANGE);
    }
    let hash = ctx.hash(args.at(1))?;
    if let Some(hash) = hash {
        ctx.looked_at_fields(args.at(1), hash);
    }
    let Some(hash) = hash.filter(|h| h.live_len(now) > 0) else {
        reply.array(0);
        return Ok(());
    };
    let mut drawn = Drawn {
        flat: !reply.resp3(),
        values,
    };
    if count >= 0 {
        let fields = hash.random_distinct(now, count as usize, &mut next_u64);
        drawn.head(reply, fields.len());
        fields.into_iter().for_each(|f| drawn.write(reply, f));
        return Ok(());
    }
    let count = count.unsigned_abs();
    if count > MAX_REPEATED {
        return Err(errors::OUT_OF_RANGE);
    }
    drawn.head(reply, count as usize);
    hash.random_repeated(now, count as usize, &mut next_u64, |field| {
        drawn.write(reply, field);
    });
    Ok(())
}

/// How drawn fields are shown: with values, RESP3 has an array for each field.
#[derive(Clone, Copy)]
struct Drawn {
    flat: bool,
    values: bool,
}

impl Drawn {
    fn head(&self, reply: &mut Reply<'_>, fields: usize) {
        let width = if self.flat && self.values { 2 } else { 1 };
        reply.array(fields * width);
    }

    fn write(&mut self, reply: &mut Reply<'_>, field: Field<'_>) {
        if self.values && !self.flat {
            reply.array(2);
        }
        bulk(reply, field.name);
        if self.values {
            bulk(reply, field.value);
        }
    }
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
pub(super) fn hscan(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let cursor = parse_cursor(args.at(2)).ok_or(errors::INVALID_CURSOR)?;
    let Some(hash) = ctx.hash(args.at(1))? else {
        // Redis does not look at the options of a missing key.
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = Scan::parse(args)?;
    let mut fields = Vec::new();
    let next = hash.scan(cursor, options.count, |field| {
        if field.is_live(ctx.now()) && options.selects(field.name) {
            fields.push(field);
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(fields.len() * if options.values { 2 } else { 1 });
    for field in fields {
        bulk(reply, field.name);
        if options.values {
            bulk(reply, field.value);
        }
    }
    Ok(())
}

struct Scan<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    values: bool,
}

impl<'a> Scan<'a> {
    fn parse(args: Args<'a>) -> Result<Self, WireError> {
        let mut this = Scan {
            count: 10,
            pattern: None,
            values: true,
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
                this.values = false;
            } else {
                options.fail(errors::SYNTAX);
            }
        }
        options.finish().map(|()| this)
    }

    fn selects(&self, name: Element<'_>) -> bool {
        let mut digits = itoa::Buffer::new();
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, name.text(&mut digits), false))
    }
}

/// What a missing key looks like.
const NOTHING: HashRef<'static> = HashRef::Packed(&crate::values::hash::EMPTY);
/// More draws than this from one hash are refused: each takes room in the reply, and the
/// shard is locked meanwhile. Redis tries, and runs out of memory.
const MAX_REPEATED: u64 = 1 << 24;
