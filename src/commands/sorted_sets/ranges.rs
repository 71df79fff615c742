//! What goes by rank, score or text: asking, counting, storing, removing.

use super::bounds::{By, Range};
use super::edit::{SortedSetEdit, limits, with_payload};
use super::{head, one};
use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{Effect, Expiry, ReadContext, WriteContext};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::packed::Element;
use crate::values::sorted_set::{NOTHING, OwnedSortedSet, SortedSetRef};

/// What a command asks for.
#[derive(Clone, Copy)]
struct Query<'a> {
    range: Range<'a>,
    reverse: bool,
    with_scores: bool,
    /// How many to skip, and how many to take; a negative number takes all.
    limit: Option<(i64, i64)>,
}

impl<'a> Query<'a> {
    /// Reads what follows the key: two limits and options.
    fn parse(
        args: Args<'a>,
        first: usize,
        by: Option<By>,
        reverse: bool,
        stores: bool,
    ) -> Result<Self, WireError> {
        let (mut kind, mut reverse) = (by, reverse);
        let (mut with_scores, mut limit) = (false, None);
        let free = by.is_none();
        let mut rest = Arguments::new(args, first + 2);
        while rest.more() {
            if !stores && rest.word("withscores") {
                with_scores = true;
            } else if rest.left() > 2 && rest.word("limit") {
                let skip = rest.integer();
                let take = rest.integer();
                limit = Some((skip, take));
            } else if free && !reverse && rest.word("rev") {
                reverse = true;
            } else if free && kind.is_none() && rest.word("byscore") {
                kind = Some(By::Score);
            } else if free && kind.is_none() && rest.word("bylex") {
                kind = Some(By::Lex);
            } else {
                return Err(errors::SYNTAX);
            }
        }
        rest.finish()?;
        let kind = kind.unwrap_or(By::Rank);
        if limit.is_some() && kind == By::Rank {
            return Err(WireError::fixed(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && kind == By::Lex {
            return Err(WireError::fixed(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (low, high) = (args.at(first), args.at(first + 1));
        let range = if reverse && kind != By::Rank {
            Range::parse(kind, high, low)?
        } else {
            Range::parse(kind, low, high)?
        };
        Ok(Query {
            range,
            reverse,
            with_scores,
            limit,
        })
    }

    /// The members asked for.
    fn select<'s>(&self, set: SortedSetRef<'s>) -> Vec<(Element<'s>, f64)> {
        let (first, count) = self.range.ranks(set, self.reverse);
        let (skip, take) = self.limit.unwrap_or((0, -1));
        let Ok(skip) = usize::try_from(skip) else {
            return Vec::new();
        };
        let left = count.saturating_sub(skip);
        let take = usize::try_from(take).map_or(left, |take| take.min(left));
        if self.reverse {
            set.down_from((first + count).saturating_sub(skip))
                .take(take)
                .collect()
        } else {
            set.from(first + skip).take(take).collect()
        }
    }
}

fn reply_range(
    ctx: &ReadContext<'_>,
    key: &[u8],
    query: &Query<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let Some(set) = ctx.sorted_set(key)? else {
        reply.array(0);
        return Ok(());
    };
    let members = query.select(set);
    head(reply, members.len(), query.with_scores);
    for (member, score) in members {
        one(reply, member, score, query.with_scores);
    }
    Ok(())
}

/// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(super) fn zrange(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let query = Query::parse(args, 2, None, false, false)?;
    reply_range(ctx, args.at(1), &query, reply)
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub(super) fn zrevrange(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let query = Query::parse(args, 2, Some(By::Rank), true, false)?;
    reply_range(ctx, args.at(1), &query, reply)
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrangebyscore(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let query = Query::parse(args, 2, Some(By::Score), false, false)?;
    reply_range(ctx, args.at(1), &query, reply)
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrevrangebyscore(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let query = Query::parse(args, 2, Some(By::Score), true, false)?;
    reply_range(ctx, args.at(1), &query, reply)
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub(super) fn zrangebylex(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let query = Query::parse(args, 2, Some(By::Lex), false, false)?;
    reply_range(ctx, args.at(1), &query, reply)
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub(super) fn zrevrangebylex(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let query = Query::parse(args, 2, Some(By::Lex), true, false)?;
    reply_range(ctx, args.at(1), &query, reply)
}

/// `ZRANGESTORE dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]`
pub(super) fn zrangestore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let query = Query::parse(args, 3, None, false, true)?;
    let set = ctx.sorted_set(args.at(2))?.unwrap_or(NOTHING);
    let mut members: Vec<(Vec<u8>, f64)> = query
        .select(set)
        .into_iter()
        .map(|(member, score)| (member.to_vec(), score))
        .collect();
    if query.reverse {
        members.reverse();
    }
    store(ctx, args.at(1), &members, "zrangestore", reply)
}

/// Stores members that are in order, writes how many there are, and gives the effect.
pub(in crate::commands) fn store(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    members: &[(Vec<u8>, f64)],
    event: &'static str,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    reply.int(members.len() as i64);
    if members.is_empty() {
        if !ctx.delete(key) {
            return Ok(Effect::None);
        }
        ctx.notify(NotifyClass::GENERIC, "del", key);
        return Ok(Effect::AsReceived);
    }
    let set = OwnedSortedSet::of_ordered(members, limits(ctx.settings()));
    with_payload(set, |payload| ctx.put(key, payload, Expiry::Clear));
    ctx.notify(NotifyClass::ZSET, event, key);
    Ok(Effect::AsReceived)
}

fn count(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    by: By,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let range = Range::parse(by, args.at(2), args.at(3))?;
    let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
    reply.int(range.ranks(set, false).1 as i64);
    Ok(())
}

/// `ZCOUNT key min max`
pub(super) fn zcount(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    count(ctx, args, By::Score, reply)
}

/// `ZLEXCOUNT key min max`
pub(super) fn zlexcount(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    count(ctx, args, By::Lex, reply)
}

fn remove(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    by: By,
    event: &'static str,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let range = Range::parse(by, args.at(2), args.at(3))?;
    let Some(found) = ctx.find_to_write(key) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    let (first, count) = range.ranks(ctx.sorted_set_of(found)?, false);
    reply.int(count as i64);
    if count == 0 {
        return Ok(Effect::None);
    }
    let mut edit = SortedSetEdit::of(ctx, key, found)?;
    edit.remove_range(first, count);
    let left = edit.close();
    ctx.notify(NotifyClass::ZSET, event, key);
    if !left {
        ctx.notify(NotifyClass::GENERIC, "del", key);
    }
    Ok(Effect::AsReceived)
}

/// `ZREMRANGEBYRANK key start stop`
pub(super) fn zremrangebyrank(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    remove(ctx, args, By::Rank, "zremrangebyrank", reply)
}

/// `ZREMRANGEBYSCORE key min max`
pub(super) fn zremrangebyscore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    remove(ctx, args, By::Score, "zremrangebyscore", reply)
}

/// `ZREMRANGEBYLEX key min max`
pub(super) fn zremrangebylex(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    remove(ctx, args, By::Lex, "zremrangebylex", reply)
}
