//! What several sets make together. Plain sets take part with a score of 1 for each member.

use super::ranges::store;
use super::{head, one};
use crate::commands::arguments::Arguments;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::keyspace::{EntryRef, ValueRef};
use crate::number::{parse_f64, parse_i64};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::values::packed::Element;
use crate::values::set::{SetRef, member};
use crate::values::sorted_set::{NOTHING, SortedSetRef, order};
use hashbrown::HashMap;

/// One of the sets.
#[derive(Clone, Copy)]
enum Source<'a> {
    Sorted(SortedSetRef<'a>),
    Plain(SetRef<'a>),
}

impl<'a> Source<'a> {
    fn of(entry: Option<EntryRef<'a>>) -> Result<Source<'a>, WireError> {
        Ok(match entry.map(|entry| entry.value()) {
            None => Source::Sorted(NOTHING),
            Some(ValueRef::SortedSetPacked(bytes)) => Source::Sorted(SortedSetRef::Packed(bytes)),
            Some(ValueRef::SortedSet(set)) => Source::Sorted(SortedSetRef::Full(set)),
            Some(ValueRef::SetInts(bytes)) => Source::Plain(SetRef::Ints(bytes)),
            Some(ValueRef::SetPacked(bytes)) => Source::Plain(SetRef::Packed(bytes)),
            Some(ValueRef::SetTable(table)) => Source::Plain(SetRef::Table(table)),
            Some(_) => return Err(errors::WRONG_TYPE),
        })
    }

    fn len(self) -> usize {
        match self {
            Source::Sorted(set) => set.len(),
            Source::Plain(set) => set.len(),
        }
    }

    fn score(self, text: &[u8]) -> Option<f64> {
        match self {
            Source::Sorted(set) => set.score(text),
            Source::Plain(set) => set.contains(member(text)).then_some(1.0),
        }
    }

    fn each(self, mut visit: impl FnMut(Element<'_>, f64) -> bool) {
        match self {
            Source::Sorted(set) => {
                for (member, score) in set.iter() {
                    if !visit(member, score) {
                        return;
                    }
                }
            }
            Source::Plain(set) => {
                for member in set.iter() {
                    if !visit(member, 1.0) {
                        return;
                    }
                }
            }
        }
    }
}

/// How scores of one member become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            // Two opposite infinities are nothing.
            Aggregate::Sum => not_nan(a + b),
            Aggregate::Min => a.min(b),
            Aggregate::Max => a.max(b),
        }
    }
}

fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// A request: its keys and options.
struct Plan<'a> {
    keys: Args<'a>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl<'a> Plan<'a> {
    /// Reads the keys, whose number is argument `at`. Redis looks at what they hold before
    /// it looks at the options: [`Plan::options`] comes after that.
    fn parse(args: Args<'a>, at: usize, name: &str) -> Result<Plan<'a>, WireError> {
        let count = parse_i64(args.at(at)).ok_or(errors::NOT_AN_INTEGER)?;
        if count < 1 {
            return Err(WireError::new(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        if count > (args.len() - at - 1) as i64 {
            return Err(errors::SYNTAX);
        }
        let count = count as usize;
        Ok(Plan {
            keys: args.skip(at + 1).first(count),
            weights: vec![1.0; count],
            aggregate: Aggregate::Sum,
            with_scores: false,
        })
    }

    /// Reads what follows the keys.
    fn options(
        &mut self,
        args: Args<'a>,
        at: usize,
        operation: Operation,
        stores: bool,
    ) -> Result<(), WireError> {
        let count = self.keys.len();
        let plan = self;
        let mut rest = Arguments::new(args, at + 1 + count);
        while rest.more() {
            let scored = operation != Operation::Diff;
            if scored && rest.left() > count && rest.word("weights") {
                for weight in &mut plan.weights {
                    let given = parse_f64(rest.value());
                    *weight = given.ok_or(WireError::fixed("ERR weight value is not a float"))?;
                }
            } else if scored && rest.left() > 1 && rest.word("aggregate") {
                plan.aggregate = if rest.word("sum") {
                    Aggregate::Sum
                } else if rest.word("min") {
                    Aggregate::Min
                } else if rest.word("max") {
                    Aggregate::Max
                } else {
                    return Err(errors::SYNTAX);
                };
            } else if !stores && rest.word("withscores") {
                plan.with_scores = true;
            } else {
                return Err(errors::SYNTAX);
            }
        }
        rest.finish()
    }

    /// The result in order.
    fn run(&self, operation: Operation, sources: &[Source<'_>]) -> Vec<(Vec<u8>, f64)> {
        let mut members = match operation {
            Operation::Union => self.union(sources),
            Operation::Inter => self.inter(sources),
            Operation::Diff => difference(sources),
        };
        members.sort_by(|a, b| order((a.1, &a.0), (b.1, &b.0)));
        members
    }

    fn union(&self, sources: &[Source<'_>]) -> Vec<(Vec<u8>, f64)> {
        let mut scores: HashMap<Vec<u8>, f64> = HashMap::new();
        for (source, weight) in sources.iter().zip(&self.weights) {
            source.each(|member, score| {
                let score = not_nan(score * weight);
                scores
                    .entry(member.to_vec())
                    .and_modify(|old| *old = self.aggregate.join(*old, score))
                    .or_insert(score);
                true
            });
        }
        scores.into_iter().collect()
    }

    fn inter(&self, sources: &[Source<'_>]) -> Vec<(Vec<u8>, f64)> {
        let mut by_size: Vec<_> = sources.iter().zip(&self.weights).collect();
        by_size.sort_by_key(|(source, _)| source.len());
        let Some(((smallest, weight), others)) = by_size.split_first() else {
            return Vec::new();
        };
        let mut members = Vec::new();
        smallest.each(|member, score| {
            let text = member.to_vec();
            let mut sum = not_nan(score * **weight);
            for (other, weight) in others {
                match other.score(&text) {
                    // An infinity that weighs nothing makes the whole sum nothing here, as
                    // in Redis: only ZUNION takes it for 0 by itself.
                    Some(score) => sum = self.aggregate.join(sum, score * **weight),
                    None => return true,
                }
            }
            members.push((text, sum));
            true
        });
        members
    }
}

fn difference(sources: &[Source<'_>]) -> Vec<(Vec<u8>, f64)> {
    let Some((first, others)) = sources.split_first() else {
        return Vec::new();
    };
    let mut members = Vec::new();
    first.each(|member, score| {
        let text = member.to_vec();
        if others.iter().all(|other| other.score(&text).is_none()) {
            members.push((text, score));
        }
        true
    });
    members
}

fn read<'a>(ctx: &ReadContext<'a>, keys: Args<'_>) -> Result<Vec<Source<'a>>, WireError> {
    keys.iter().map(|key| Source::of(ctx.get(key))).collect()
}

fn show(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    operation: Operation,
    name: &str,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let mut plan = Plan::parse(args, 1, name)?;
    let sources = read(ctx, plan.keys)?;
    plan.options(args, 1, operation, false)?;
    let members = plan.run(operation, &sources);
    head(reply, members.len(), plan.with_scores);
    for (member, score) in &members {
        one(reply, Element::Str(member), *score, plan.with_scores);
    }
    Ok(())
}

/// `ZUNION numkeys key [key ...] [WEIGHTS …] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(super) fn zunion(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    show(ctx, args, Operation::Union, "zunion", reply)
}

/// `ZINTER numkeys key [key ...] [WEIGHTS …] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(super) fn zinter(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    show(ctx, args, Operation::Inter, "zinter", reply)
}

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`
pub(super) fn zdiff(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    show(ctx, args, Operation::Diff, "zdiff", reply)
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(super) fn zintercard(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let count = parse_i64(args.at(1)).ok_or(errors::NOT_AN_INTEGER)?;
    if count < 1 {
        return Err(WireError::fixed(
            "ERR at least 1 input key is needed for 'zintercard' command",
        ));
    }
    if count > args.len() as i64 - 2 {
        return Err(errors::SYNTAX);
    }
    let count = count as usize;
    let mut sources = read(ctx, args.skip(2).first(count))?;
    let mut limit = 0;
    let mut rest = Arguments::new(args, 2 + count);
    while rest.more() {
        if rest.word("limit") && rest.left() > 0 {
            let given = parse_i64(rest.value()).filter(|n| *n >= 0);
            limit = given.ok_or(WireError::fixed("ERR LIMIT can't be negative"))?;
        } else {
            return Err(errors::SYNTAX);
        }
    }
    rest.finish()?;
    sources.sort_by_key(|source| source.len());
    let mut found = 0;
    if let Some((smallest, others)) = sources.split_first() {
        smallest.each(|member, _| {
            let text = member.to_vec();
            if others.iter().all(|other| other.score(&text).is_some()) {
                found += 1;
            }
            limit == 0 || found < limit
        });
    }
    reply.int(found);
    Ok(())
}

fn store_result(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    operation: Operation,
    name: &'static str,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let mut plan = Plan::parse(args, 2, name)?;
    // The first look deletes what has expired, which may move what others have found.
    for key in plan.keys.iter() {
        // What comes behind a wrong type is not looked for.
        Source::of(ctx.get(key))?;
    }
    let found: Vec<_> = plan.keys.iter().map(|key| ctx.find(key)).collect();
    let sources: Result<Vec<_>, _> = found
        .into_iter()
        .map(|found| Source::of(found.map(|found| ctx.entry(found))))
        .collect();
    let sources = sources?;
    plan.options(args, 2, operation, true)?;
    let members = plan.run(operation, &sources);
    store(ctx, args.at(1), &members, name, reply)
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS …] [AGGREGATE SUM|MIN|MAX]`
pub(super) fn zunionstore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    store_result(ctx, args, Operation::Union, "zunionstore", reply)
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS …] [AGGREGATE SUM|MIN|MAX]`
pub(super) fn zinterstore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    store_result(ctx, args, Operation::Inter, "zinterstore", reply)
}

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub(super) fn zdiffstore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    store_result(ctx, args, Operation::Diff, "zdiffstore", reply)
}
