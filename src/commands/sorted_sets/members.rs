//! Single members: adding, scoring, removing, ranking, drawing, walking.

use super::edit::SortedSetEdit;
use super::{NOT_A_NUMBER, bulk, head, one};
use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::glob;
use crate::number::{parse_cursor, parse_f64, parse_i64};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::packed::Element;
use crate::values::sorted_set::{NOTHING, SortedSetRef};
use std::collections::BTreeSet;

/// The options of `ZADD`.
#[derive(Clone, Copy, Default)]
pub(in crate::commands) struct Options {
    /// Only members that are not there.
    pub only_new: bool,
    /// Only members that are there.
    pub only_there: bool,
    greater: bool,
    less: bool,
    /// Changed members count, too.
    pub changed: bool,
    increment: bool,
}

impl Options {
    /// Reads the options; where the pairs begin.
    fn parse(args: Args<'_>) -> (Options, usize) {
        let mut options = Options::default();
        let mut rest = Arguments::new(args, 2);
        while rest.more() {
            if rest.word("nx") {
                options.only_new = true;
            } else if rest.word("xx") {
                options.only_there = true;
            } else if rest.word("gt") {
                options.greater = true;
            } else if rest.word("lt") {
                options.less = true;
            } else if rest.word("ch") {
                options.changed = true;
            } else if rest.word("incr") {
                options.increment = true;
            } else {
                break;
            }
        }
        (options, rest.position())
    }

    fn check(self, pairs: usize) -> Result<(), WireError> {
        if self.only_new && self.only_there {
            return Err(WireError::fixed(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if self.greater && self.less || (self.greater || self.less) && self.only_new {
            return Err(WireError::fixed(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increment && pairs > 1 {
            return Err(WireError::fixed(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }
}

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]`
pub(super) fn zadd(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (options, first) = Options::parse(args);
    let pairs = args.skip(first);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(errors::SYNTAX);
    }
    options.check(pairs.len() / 2)?;
    add(ctx, args.at(1), &scored(pairs)?, options, reply)
}

/// `ZINCRBY key increment member`
pub(super) fn zincrby(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let options = Options {
        increment: true,
        ..Options::default()
    };
    add(ctx, args.at(1), &scored(args.skip(2))?, options, reply)
}

/// Scores and members as they alternate.
fn scored(pairs: Args<'_>) -> Result<Vec<(f64, &[u8])>, WireError> {
    let pair = |i| Some((parse_f64(pairs.at(2 * i))?, pairs.at(2 * i + 1)));
    let pairs: Option<_> = (0..pairs.len() / 2).map(pair).collect();
    pairs.ok_or(errors::NOT_A_FLOAT)
}

/// Adds members, of which there is at least one, or changes their scores.
///
/// # Errors
/// `WRONGTYPE` for another type, or a sum that is no number.
pub(in crate::commands) fn add(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    pairs: &[(f64, &[u8])],
    options: Options,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    if options.only_there && ctx.find(key).is_none() {
        if options.increment {
            reply.null();
        } else {
            reply.int(0);
        }
        return Ok(Effect::None);
    }
    let mut edit = SortedSetEdit::open_or_new(
        ctx,
        key,
        pairs.len(),
        pairs.first().map_or(0, |(_, m)| m.len()),
    )?;
    let (mut added, mut changed, mut result) = (0, 0, None);
    for &(given, member) in pairs {
        let old = edit.get().score(member);
        let score = match old {
            Some(old) if options.increment => old + given,
            _ => given,
        };
        if score.is_nan() {
            // Only INCR makes one, and INCR has a single pair: nothing has been changed.
            return Err(NOT_A_NUMBER);
        }
        match old {
            Some(old) => {
                let unwanted = options.only_new
                    || options.greater && score <= old
                    || options.less && score >= old;
                if unwanted {
                    continue;
                }
                if score != old {
                    edit.set_score(member, score);
                    changed += 1;
                }
            }
            None if options.only_there => continue,
            None => {
                edit.insert(member, score);
                added += 1;
            }
        }
        result = Some(score);
    }
    edit.close();
    match (options.increment, result) {
        (true, Some(score)) => reply.double(score),
        (true, None) => reply.null(),
        (false, _) if options.changed => reply.int(added + changed),
        (false, _) => reply.int(added),
    }
    if added + changed == 0 {
        return Ok(Effect::None);
    }
    let event = if options.increment { "zincr" } else { "zadd" };
    ctx.notify(NotifyClass::ZSET, event, key);
    Ok(Effect::AsReceived)
}

/// `ZREM key member [member ...]`
pub(super) fn zrem(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let Some(found) = ctx.find(key) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    let mut edit = SortedSetEdit::of(ctx, key, found)?;
    let mut removed = 0;
    for member in args.from(2) {
        removed += i64::from(edit.remove(member));
    }
    let left = edit.close();
    reply.int(removed);
    if removed == 0 {
        return Ok(Effect::None);
    }
    ctx.notify(NotifyClass::ZSET, "zrem", key);
    if !left {
        ctx.notify(NotifyClass::GENERIC, "del", key);
    }
    Ok(Effect::AsReceived)
}

/// `ZCARD key`
pub(super) fn zcard(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let len = ctx.sorted_set(args.at(1))?.map_or(0, SortedSetRef::len);
    reply.int(len as i64);
    Ok(())
}

/// `ZSCORE key member`
pub(super) fn zscore(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
    match set.score(args.at(2)) {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
    Ok(())
}

/// `ZMSCORE key member [member ...]`
pub(super) fn zmscore(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
    reply.array(args.len() - 2);
    for member in args.from(2) {
        match set.score(member) {
            Some(score) => reply.double(score),
            None => reply.null(),
        }
    }
    Ok(())
}

/// `ZRANK key member [WITHSCORE]`
pub(super) fn zrank(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    rank(ctx, args, false, reply)
}

/// `ZREVRANK key member [WITHSCORE]`
pub(super) fn zrevrank(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    rank(ctx, args, true, reply)
}

fn rank(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reverse: bool,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 4 {
        let name = if reverse { "zrevrank" } else { "zrank" };
        return Err(errors::wrong_arity(name));
    }
    let with_score = args.len() == 4;
    if with_score && !args.is(3, "withscore") {
        return Err(errors::SYNTAX);
    }
    let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
    let Some((rank, score)) = set.rank(args.at(2)) else {
        if with_score {
            reply.null_array();
        } else {
            reply.null();
        }
        return Ok(());
    };
    let rank = if reverse { set.len() - 1 - rank } else { rank };
    if with_score {
        reply.array(2);
    }
    reply.int(rank as i64);
    if with_score {
        reply.double(score);
    }
    Ok(())
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(super) fn zrandmember(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let Some(count) = args.get(2) else {
        let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
        match draw(set) {
            Some((member, _)) => bulk(reply, member),
            None => reply.null(),
        }
        return Ok(());
    };
    let count = parse_i64(count).ok_or(errors::NOT_AN_INTEGER)?;
    let with_scores = args.len() == 4;
    if args.len() > 4 || with_scores && !args.is(3, "withscores") {
        return Err(errors::SYNTAX);
    }
    if count == i64::MIN {
        return Err(WireError::fixed(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let most = if with_scores { i64::MAX / 2 } else { i64::MAX };
    if !(-most..=most).contains(&count) {
        return Err(errors::OUT_OF_RANGE);
    }
    let set = ctx.sorted_set(args.at(1))?.unwrap_or(NOTHING);
    if count == 0 || set.is_empty() {
        reply.array(0);
        return Ok(());
    }
    if count < 0 {
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        head(reply, count, with_scores);
        for _ in 0..count {
            if let Some((member, score)) = draw(set) {
                one(reply, member, score, with_scores);
            }
        }
        return Ok(());
    }
    let wanted = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
    head(reply, wanted, with_scores);
    if wanted < set.len() / ASKED_ONE_BY_ONE {
        few(set, wanted, with_scores, reply);
        return Ok(());
    }
    let mut left = wanted;
    let mut unseen = set.len();
    // Each member is taken with the chance that makes all choices equally likely.
    for (member, score) in set.iter() {
        if left == 0 {
            break;
        }
        if crate::random::below(unseen as u64) < left as u64 {
            one(reply, member, score, with_scores);
            left -= 1;
        }
        unseen -= 1;
    }
    Ok(())
}

/// Draws few of many by rank, so that the others cost nothing.
fn few(set: SortedSetRef<'_>, wanted: usize, with_scores: bool, reply: &mut Reply<'_>) {
    let mut seen = BTreeSet::new();
    while seen.len() < wanted {
        let rank = crate::random::below(set.len() as u64) as usize;
        if seen.insert(rank)
            && let Some((member, score)) = set.from(rank).next()
        {
            one(reply, member, score, with_scores);
        }
    }
}

/// Less than this share of a set is drawn member by member.
const ASKED_ONE_BY_ONE: usize = 8;

fn draw(set: SortedSetRef<'_>) -> Option<(Element<'_>, f64)> {
    if set.is_empty() {
        return None;
    }
    let rank = crate::random::below(set.len() as u64) as usize;
    set.from(rank).next()
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]`; the last is Valkey's.
pub(super) fn zscan(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let cursor = parse_cursor(args.at(2)).ok_or(errors::INVALID_CURSOR)?;
    let Some(set) = ctx.sorted_set(args.at(1))? else {
        // Redis does not look at the options of a missing key.
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let (mut pattern, mut count, mut with_scores) = (None, 10, true);
    let mut rest = Arguments::new(args, 3);
    while rest.more() {
        if rest.word("match") {
            pattern = Some(rest.value());
        } else if rest.word("count") {
            count = rest.integer();
            if count < 1 {
                rest.fail(errors::SYNTAX);
            }
        } else if rest.word("noscores") {
            with_scores = false;
        } else {
            return Err(errors::SYNTAX);
        }
    }
    rest.finish()?;
    let pattern = pattern.filter(|pattern| *pattern != b"*");
    let mut members: Vec<(Element<'_>, f64)> = Vec::new();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let next = set.scan(cursor, count, |member, score| {
        let wanted = pattern.is_none_or(|pattern| {
            glob::matches(pattern, member.text(&mut itoa::Buffer::new()), false)
        });
        if wanted {
            members.push((member, score));
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(members.len() * (1 + usize::from(with_scores)));
    for (member, score) in members {
        bulk(reply, member);
        if with_scores {
            reply.bulk_str(&crate::number::format_double(score));
        }
    }
    Ok(())
}
