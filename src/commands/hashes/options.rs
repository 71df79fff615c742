//! Reads and writes of fields with options: `HGETDEL`, `HGETEX`, `HSETEX`.

use super::edit::HashEdit;
use super::expire::{expiry_effect, fields_effect, is_past, persist_effect};
use super::fields::{Clock, fields};
use super::read::bulk_or_null;
use super::texts;
use crate::config::NotifyClass;
use crate::execute::{Effect, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::UnixMs;
use crate::values::hash::Ttl;

/// `HGETDEL key FIELDS numfields field [field ...]`
pub(super) fn hgetdel(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let mut edit = HashEdit::open_or_new(ctx, key)?;
    let names = fields(args, 2, texts::BAD_COUNT)?;
    let mut deleted = Vec::with_capacity(names.len());
    reply.array(names.len());
    for name in names.iter() {
        edit.reap(name);
        bulk_or_null(reply, edit.get().get(name, edit.now()));
        if edit.delete(name) {
            deleted.push(name);
        }
    }
    edit.close_with(if deleted.is_empty() { &[] } else { &["hdel"] });
    Ok(fields_effect(ctx, &[b"HDEL", key], &deleted))
}

/// `HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS numfields field [field ...]`
pub(super) fn hgetex(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let mut edit = HashEdit::open_or_new(ctx, key)?;
    let (mut at, mut persist, mut fields_at) = (None, false, 2);
    if let Some(clock) = Clock::named(args, 2) {
        at = Some(clock.read(args.at(3), edit.ctx.now(), "hgetex")?);
        fields_at = 4;
    } else if args.is(2, "persist") {
        persist = true;
        fields_at = 3;
    }
    if args.len() < fields_at + 2 {
        return Err(errors::wrong_arity("hgetex"));
    }
    let names = fields(args, fields_at, texts::BAD_COUNT)?;
    if at.is_some() || persist {
        edit.expect_expiries();
    }
    let past = at.is_some_and(|at| is_past(edit.ctx, at));
    let mut changed = Vec::with_capacity(names.len());
    reply.array(names.len());
    for name in names.iter() {
        edit.reap(name);
        let now = edit.now();
        let field = edit.get().find(name).filter(|field| field.is_live(now));
        bulk_or_null(reply, field.map(|field| field.value));
        let Some(current) = field.map(|field| field.expires_at) else {
            continue;
        };
        if past {
            edit.delete(name);
        } else if at.is_some() || persist && current.is_some() {
            edit.set_expiry(name, at);
        } else {
            continue;
        }
        changed.push(name);
    }
    edit.close_with(match (changed.is_empty(), past, at.is_some()) {
        (true, ..) => &[],
        (false, true, _) => &["hdel"],
        (false, false, true) => &["hexpire"],
        (false, false, false) => &["hpersist"],
    });
    Ok(match at {
        Some(at) => expiry_effect(ctx, key, at, past, &changed),
        None => persist_effect(ctx, key, &changed),
    })
}

/// `HSETEX key [NX | XX] [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS numfields field
/// value [field value ...]`
pub(super) fn hsetex(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let options = SetOptions::parse(args, ctx.now())?;
    let (key, pairs) = (args.at(1), options.pairs);
    let mut edit = HashEdit::open_or_new(ctx, key)?;
    let exists = !edit.get().is_empty();
    if options.key_exists.is_some_and(|wanted| wanted != exists)
        || !options.condition.holds(&mut edit, pairs)
    {
        edit.close();
        reply.int(0);
        return Ok(Effect::None);
    }
    reply.int(1);
    if matches!(options.expiry, Expiry::At(_)) {
        edit.expect_expiries();
    }
    if let Expiry::At(at) = options.expiry
        && is_past(edit.ctx, at)
    {
        // Nobody could ever see the values: what was there goes.
        let names = pairs.iter().step_by(2);
        let deleted: Vec<_> = names.filter(|name| edit.delete(name)).collect();
        // To those who listen they were there for a moment.
        if !exists {
            edit.ctx.notify(NotifyClass::NEW, "new", key);
        }
        edit.close_with(&["hset", "hdel"]);
        if !exists {
            ctx.notify(NotifyClass::GENERIC, "del", key);
        }
        return Ok(fields_effect(ctx, &[b"HDEL", key], &deleted));
    }
    let ttl = match options.expiry {
        Expiry::Keep => Ttl::Keep,
        Expiry::Clear | Expiry::At(_) => Ttl::Drop,
    };
    edit.expect(pairs.len() / 2);
    for i in (0..pairs.len()).step_by(2) {
        edit.set(pairs.at(i), pairs.at(i + 1), ttl);
        if let Expiry::At(at) = options.expiry {
            edit.set_expiry(pairs.at(i), Some(at));
        }
    }
    let kept: Vec<_> = match options.expiry {
        Expiry::Keep => pairs
            .iter()
            .step_by(2)
            .filter_map(|name| expiry_of(&edit, name))
            .collect(),
        Expiry::Clear | Expiry::At(_) => Vec::new(),
    };
    edit.close_with(match options.expiry {
        Expiry::At(_) => &["hset", "hexpire"],
        Expiry::Keep | Expiry::Clear => &["hset"],
    });
    Ok(options.effect(ctx, key, &kept))
}

/// A field that expires, and when.
fn expiry_of<'a>(edit: &HashEdit<'_, '_, '_>, name: &'a [u8]) -> Option<(&'a [u8], UnixMs)> {
    let field = edit.get().find(name)?;
    field.expires_at.map(|at| (name, at))
}

/// What becomes of the fields' expiries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry {
    Clear,
    Keep,
    At(UnixMs),
}

/// When the fields are set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// `FNX`: if none of them exists.
    Absent,
    /// `FXX`: if all of them exist.
    Present,
}

impl Condition {
    /// A condition asks for the fields, which deletes those that have expired.
    fn holds(self, edit: &mut HashEdit<'_, '_, '_>, pairs: Args<'_>) -> bool {
        let mut names = pairs.iter().step_by(2);
        let mut lives = |name: &[u8]| {
            edit.reap(name);
            edit.get().contains(name, edit.now())
        };
        match self {
            Condition::Always => true,
            Condition::Absent => !names.any(&mut lives),
            Condition::Present => names.all(&mut lives),
        }
    }
}

struct SetOptions<'a> {
    /// Whether the key must be there (`XX`) or must not (`NX`); Valkey's.
    key_exists: Option<bool>,
    condition: Condition,
    expiry: Expiry,
    /// Fields and values in turn.
    pairs: Args<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: Args<'a>, now: UnixMs) -> Result<Self, WireError> {
        let wrong_arity = || errors::wrong_arity("hsetex");
        let (mut condition, mut expiry) = (Condition::Always, Expiry::Clear);
        let mut key_exists = None;
        let mut i = 2;
        while !args.is(i, "fields") {
            let word = args.get(i).ok_or_else(wrong_arity)?;
            let (fnx, fxx) = (args.is(i, "fnx"), args.is(i, "fxx"));
            let (clock, keep) = (Clock::named(args, i), args.is(i, "keepttl"));
            i += 1;
            if fnx || fxx {
                if condition != Condition::Always {
                    return Err(texts::FNX_FXX_CLASH);
                }
                condition = if fnx {
                    Condition::Absent
                } else {
                    Condition::Present
                };
            } else if clock.is_some() || keep {
                if expiry != Expiry::Clear {
                    return Err(texts::EXPIRY_CLASH);
                }
                expiry = Expiry::Keep;
                if let Some(clock) = clock {
                    let text = args.get(i).ok_or_else(wrong_arity)?;
                    expiry = Expiry::At(clock.read(text, now, "hsetex")?);
                    i += 1;
                }
            } else if word.eq_ignore_ascii_case(b"nx") || word.eq_ignore_ascii_case(b"xx") {
                let exists = word.eq_ignore_ascii_case(b"xx");
                if key_exists.is_some_and(|other| other != exists) {
                    return Err(errors::SYNTAX);
                }
                key_exists = Some(exists);
            } else {
                return Err(WireError::quoting("ERR unknown argument: ", word, ""));
            }
        }
        if args.len() < i + 4 {
            return Err(wrong_arity());
        }
        let count = parse_i64(args.at(i + 1)).filter(|n| (1..=i64::from(i32::MAX)).contains(n));
        let count = count.ok_or(texts::BAD_COUNT_SETTING)?;
        let pairs = args.skip(i + 2);
        if pairs.len() as i64 != 2 * count {
            return Err(wrong_arity());
        }
        Ok(SetOptions {
            key_exists,
            condition,
            expiry,
            pairs,
        })
    }

    /// The same without a condition and with absolute times, in commands that Redis before 8.0
    /// knows as well. `kept` are expiries that fields had and keep.
    fn effect(&self, ctx: &mut WriteContext<'_>, key: &[u8], kept: &[(&[u8], UnixMs)]) -> Effect {
        let pairs = self.pairs;
        let effect = ctx.effect(2 + pairs.len()).arg(b"HSET").arg(key);
        pairs.iter().for_each(|word| {
            effect.arg(word);
        });
        if let Expiry::At(at) = self.expiry {
            let names: Vec<_> = pairs.iter().step_by(2).collect();
            expiry_effect(ctx, key, at, false, &names);
        }
        for same in kept.chunk_by(|one, next| one.1 == next.1) {
            if let Some((_, at)) = same.first() {
                let names: Vec<_> = same.iter().map(|(name, _)| *name).collect();
                expiry_effect(ctx, key, *at, false, &names);
            }
        }
        Effect::Rewritten
    }
}
