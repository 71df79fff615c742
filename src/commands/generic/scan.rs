//! Walking a database: `SCAN`, `KEYS`, `RANDOMKEY`.
//!
//! A cursor of `SCAN` is a prefix of hash space over the whole database:
//!
//! ```text
//!   bit 52 … 47  46 … 0
//!   shard        position in the shard's table, its 47 highest bits
//! ```
//!
//! What must stay true: everything before the cursor has been returned once, everything
//! from it on has not. Keys never change their place in hash space, so a key that exists
//! from the first call to the last is returned exactly once, whatever else comes and goes.

use crate::commands::arguments::Arguments;
use crate::execute::ReadContext;
use crate::glob;
use crate::keyspace::{DbIndex, EntryRef, Locked, SHARD_BITS, SHARDS};
use crate::number::parse_cursor;
use crate::protocol::{Args, Reply, WireError, errors};

/// Bits of a cursor that lie within a shard. A table's cursor has 53 bits; no table is so
/// large that the lowest of them count.
const WITHIN_BITS: u32 = 53 - SHARD_BITS;

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let cursor = parse_cursor(args.at(1)).ok_or(errors::INVALID_CURSOR)?;
    let options = Options::parse(args)?;
    let mut keys = Vec::new();
    let next = walk(ctx.locked(), ctx.db(), cursor, options.count, |entry| {
        if !options.selects(entry) {
            return;
        }
        if ctx.is_expired(entry) {
            ctx.met_expired(entry.key());
        } else {
            keys.push(entry.key());
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(keys.len());
    keys.iter().for_each(|key| reply.bulk(key));
    Ok(())
}

struct Options<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, WireError> {
        let mut this = Options {
            count: 10,
            pattern: None,
            kind: None,
        };
        let mut options = Arguments::new(args, 2);
        while options.more() {
            if options.word("count") {
                match options.integer() {
                    n @ 1.. => this.count = n as usize,
                    _ => options.fail(errors::SYNTAX),
                }
            } else if options.word("match") {
                this.pattern = Some(options.value()).filter(|pattern| *pattern != b"*");
            } else if options.word("type") {
                this.kind = Some(options.value());
            } else if options.word("novalues") {
                options.fail(errors::NOVALUES_IN_SCAN);
            } else {
                options.fail(errors::SYNTAX);
            }
        }
        options.finish().map(|()| this)
    }

    fn selects(&self, entry: EntryRef<'_>) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, entry.key(), false))
            && self.kind.is_none_or(|kind| {
                let name = entry.kind().type_name();
                kind.eq_ignore_ascii_case(name.as_bytes())
            })
    }
}

/// Visits entries of a database, all of whose shards are locked, from `cursor` on until at
/// least `count` were visited. Gives the cursor to go on with, 0 at the end.
fn walk<'a>(
    locked: &'a Locked<'_>,
    db: DbIndex,
    cursor: u64,
    count: usize,
    mut visit: impl FnMut(EntryRef<'a>),
) -> u64 {
    let mut shard = cursor >> WITHIN_BITS;
    let mut within = (cursor & ((1 << WITHIN_BITS) - 1)) << SHARD_BITS;
    let mut visited = 0;
    while shard < SHARDS as u64 && visited < count {
        within = locked
            .shard(db, shard as usize)
            .scan(within, count - visited, |entry| {
                visited += 1;
                visit(entry);
            });
        debug_assert_eq!(within & ((1 << SHARD_BITS) - 1), 0);
        if within != 0 {
            break;
        }
        shard += 1;
    }
    if shard < SHARDS as u64 {
        shard << WITHIN_BITS | within >> SHARD_BITS
    } else {
        0
    }
}

/// `KEYS pattern`
pub(super) fn keys(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let pattern = args.at(1);
    let found: Vec<_> = entries(ctx)
        .filter(|entry| !ctx.is_expired(*entry))
        .map(|entry| entry.key())
        .filter(|key| pattern == b"*" || glob::matches(pattern, key, false))
        .collect();
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(key));
    Ok(())
}

/// `RANDOMKEY`
pub(super) fn randomkey(
    ctx: &ReadContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match random_key(ctx) {
        Some(key) => reply.bulk(key),
        None => reply.null(),
    }
    Ok(())
}

fn random_key<'a>(ctx: &ReadContext<'a>) -> Option<&'a [u8]> {
    // Where nearly all keys have expired, draws may go on missing those that live.
    for _ in 0..100 {
        let entry = draw(ctx)?;
        if !ctx.is_expired(entry) {
            return Some(entry.key());
        }
        ctx.met_expired(entry.key());
    }
    let live = entries(ctx).find(|entry| !ctx.is_expired(*entry));
    live.map(|entry| entry.key())
}

/// An entry drawn evenly, expired ones among them.
fn draw<'a>(ctx: &ReadContext<'a>) -> Option<EntryRef<'a>> {
    let shards = (0..SHARDS).map(|shard| ctx.locked().shard(ctx.db(), shard));
    let total: usize = shards.clone().map(|shard| shard.len()).sum();
    let mut left = (crate::random::next_u64() as usize).checked_rem(total)?;
    for shard in shards {
        if left < shard.len() {
            return shard.random();
        }
        left -= shard.len();
    }
    None
}

/// All entries of the client's database.
fn entries<'a>(ctx: &ReadContext<'a>) -> impl Iterator<Item = EntryRef<'a>> {
    let (locked, db) = (ctx.locked(), ctx.db());
    (0..SHARDS).flat_map(move |shard| locked.shard(db, shard).entries())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash;
    use crate::keyspace::{Keyspace, Payload, shard_of};
    use std::collections::HashMap;

    const DB: DbIndex = DbIndex(0);

    fn add(locked: &mut Locked<'_>, key: &str) {
        let hash = hash(key.as_bytes());
        let shard = locked.shard_mut(DB, shard_of(hash));
        if shard.find(hash, key.as_bytes()).is_none() {
            shard.insert(hash, key.as_bytes(), None, 0, Payload::Int(1));
        }
    }

    fn remove(locked: &mut Locked<'_>, key: &str) {
        let hash = hash(key.as_bytes());
        let shard = locked.shard_mut(DB, shard_of(hash));
        if let Some(slot) = shard.find(hash, key.as_bytes()) {
            shard.remove(slot);
        }
    }

    #[test]
    fn keys_that_stay_are_returned_exactly_once() {
        for (stay, others, count) in [(0, 50, 1), (200, 30_000, 7), (5000, 60_000, 100)] {
            let keyspace = Keyspace::new(1);
            let mut locked = Locked::database(&keyspace, DB);
            (0..stay).for_each(|i| add(&mut locked, &format!("stays:{i}")));
            let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
            let (mut cursor, mut calls) = (0, 0);
            loop {
                cursor = walk(&locked, DB, cursor, count, |entry| {
                    *seen.entry(entry.key().to_vec()).or_default() += 1;
                });
                assert!(cursor < 1 << 53);
                if cursor == 0 {
                    break;
                }
                // Others come in waves and go again, so that tables grow and shrink.
                for i in 0..others / 50 {
                    let key = format!("other:{}", (calls * 7919 + i) % others);
                    match calls / 10 % 2 {
                        0 => add(&mut locked, &key),
                        _ => remove(&mut locked, &key),
                    }
                }
                calls += 1;
            }
            for i in 0..stay {
                let key = format!("stays:{i}").into_bytes();
                assert_eq!(seen.get(&key), Some(&1), "stays:{i} of {stay}");
            }
        }
    }

    #[test]
    fn a_cursor_from_nowhere_ends_somewhere() {
        let keyspace = Keyspace::new(1);
        let mut locked = Locked::database(&keyspace, DB);
        (0..1000).for_each(|i| add(&mut locked, &format!("key:{i}")));
        for start in [1, 12_345, (1 << 53) - 1, 1 << 53, u64::MAX] {
            let mut cursor = start;
            for _ in 0..2000 {
                cursor = walk(&locked, DB, cursor, 10, |_| {});
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(cursor, 0, "from {start}");
        }
    }
}
