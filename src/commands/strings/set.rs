//! One whole value: `SET` in all its forms, and what fetches and changes at once.

use crate::commands::arguments::{Arguments, GivenExpiry, Unit};
use crate::config::NotifyClass;
use crate::execute::{Effect, Expiry, Found, Origin, ReadContext, WriteContext, string_payload};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::UnixMs;

/// `GET key`
pub(super) fn get(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match ctx.string(args.at(1))? {
        Some(value) => value.reply(reply),
        None => reply.null(),
    }
    Ok(())
}

/// `SET key value [condition] [GET] [expiration]`
pub(super) fn set(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, value) = (args.at(1), args.at(2));
    if args.len() == 3 {
        ctx.set_string(key, value, Expiry::Clear);
        ctx.notify(NotifyClass::STRING, "set", key);
        reply.ok();
        return Ok(Effect::AsReceived);
    }
    let options = SetOptions::parse(args)?;
    let expiry = options.expiry(ctx.now(), "set")?;
    let found = if options.get {
        ctx.find_used(key)
    } else {
        ctx.find(key)
    };
    if options.get {
        reply_old(ctx, found, reply)?;
    }
    if !options.condition.holds(ctx, found)? {
        if !options.get {
            reply.null();
        }
        return Ok(Effect::None);
    }
    if !options.get {
        reply.ok();
    }
    Ok(store(ctx, key, found, value, expiry))
}

/// `SETNX key value`
pub(super) fn setnx(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    if ctx.find(key).is_some() {
        reply.int(0);
        return Ok(Effect::None);
    }
    reply.int(1);
    Ok(store(ctx, key, None, args.at(2), Expiry::Clear))
}

/// `SETEX key seconds value`
pub(super) fn setex(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    set_expiring(ctx, args, Unit::Seconds, "setex", reply)
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    set_expiring(ctx, args, Unit::Milliseconds, "psetex", reply)
}

fn set_expiring(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    unit: Unit,
    command: &str,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let given = GivenExpiry {
        unit,
        relative: true,
        text: args.at(2),
    };
    let expiry = Expiry::At(given.at(ctx.now(), command)?);
    let found = ctx.find(args.at(1));
    reply.ok();
    Ok(store(ctx, args.at(1), found, args.at(3), expiry))
}

/// `GETSET key value`
pub(super) fn getset(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let found = ctx.find_used(args.at(1));
    reply_old(ctx, found, reply)?;
    Ok(store(ctx, args.at(1), found, args.at(2), Expiry::Clear))
}

/// `GETDEL key`
pub(super) fn getdel(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let found = ctx.find_used(args.at(1));
    reply_old(ctx, found, reply)?;
    let Some(found) = found else {
        return Ok(Effect::None);
    };
    ctx.remove(found);
    Ok(del_effect(ctx, args.at(1)))
}

/// `DELIFEQ key value`
pub(super) fn delifeq(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let found = ctx.find(args.at(1));
    match found {
        Some(found) if equals(ctx, found, args.at(2))? => {
            ctx.remove(found);
            reply.int(1);
            Ok(del_effect(ctx, args.at(1)))
        }
        _ => {
            reply.int(0);
            Ok(Effect::None)
        }
    }
}

/// `GETEX key [EX … | PX … | EXAT … | PXAT … | PERSIST]`
pub(super) fn getex(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let (mut given, mut persist) = (None, false);
    let mut options = Arguments::new(args, 2);
    while options.more() {
        if given.is_none() && options.word("persist") {
            persist = true;
        } else if let Some(expiry) = options.expiry() {
            refuse_second(&mut options, persist, given, expiry);
            given = Some(expiry);
        } else {
            options.fail(errors::SYNTAX);
        }
    }
    options.finish()?;
    let found = ctx.find_used(key);
    reply_old(ctx, found, reply)?;
    let Some(found) = found else {
        return Ok(Effect::None);
    };
    if let Some(given) = given {
        let at = given.at(ctx.now(), "getex")?;
        if is_past(ctx, at) {
            ctx.remove(found);
            return Ok(del_effect(ctx, key));
        }
        ctx.set_expiry(found, Some(at));
        ctx.notify(NotifyClass::GENERIC, "expire", key);
        ctx.effect(3).arg(b"PEXPIREAT").arg(key).int(at);
        return Ok(Effect::Rewritten);
    }
    if persist && ctx.entry(found).expiry().is_some() {
        ctx.set_expiry(found, None);
        ctx.notify(NotifyClass::GENERIC, "persist", key);
        ctx.effect(2).arg(b"PERSIST").arg(key);
        return Ok(Effect::Rewritten);
    }
    Ok(Effect::None)
}

/// When a value is stored.
#[derive(Clone, Copy)]
pub(super) enum Condition<'a> {
    /// Always.
    Always,
    /// `NX`: if the key does not exist.
    Absent,
    /// `XX`: if it does.
    Present,
    /// `IFEQ`: if it holds this string.
    Equal(&'a [u8]),
}

impl Condition<'_> {
    fn holds(self, ctx: &WriteContext<'_>, found: Option<Found>) -> Result<bool, WireError> {
        match (self, found) {
            (Condition::Always, _) => Ok(true),
            (Condition::Absent, found) => Ok(found.is_none()),
            (Condition::Present, found) => Ok(found.is_some()),
            (Condition::Equal(_), None) => Ok(false),
            (Condition::Equal(value), Some(found)) => equals(ctx, found, value),
        }
    }
}

/// The options that `SET` and `MSETEX` share.
pub(super) struct SetOptions<'a> {
    pub(super) condition: Condition<'a>,
    /// `GET`.
    get: bool,
    /// `KEEPTTL`.
    keep: bool,
    given: Option<GivenExpiry<'a>>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: Args<'a>) -> Result<Self, WireError> {
        Self::parse_from(args, 3, true)
    }

    /// The options from index `first` on; `IFEQ` and `GET` only where there is `one` value.
    ///
    /// # Errors
    /// A syntax error for what is unknown, incomplete or contradictory.
    pub(super) fn parse_from(args: Args<'a>, first: usize, one: bool) -> Result<Self, WireError> {
        let mut this = SetOptions {
            condition: Condition::Always,
            get: false,
            keep: false,
            given: None,
        };
        let mut options = Arguments::new(args, first);
        while options.more() {
            let condition = this.condition;
            if matches!(condition, Condition::Always | Condition::Absent) && options.word("nx") {
                this.condition = Condition::Absent;
            } else if matches!(condition, Condition::Always | Condition::Present)
                && options.word("xx")
            {
                this.condition = Condition::Present;
            } else if one && matches!(condition, Condition::Always) && options.word("ifeq") {
                this.condition = Condition::Equal(options.value());
            } else if one && options.word("get") {
                this.get = true;
            } else if this.given.is_none() && options.word("keepttl") {
                this.keep = true;
            } else if let Some(expiry) = options.expiry() {
                refuse_second(&mut options, this.keep, this.given, expiry);
                this.given = Some(expiry);
            } else {
                options.fail(errors::SYNTAX);
            }
        }
        options.finish().map(|()| this)
    }

    /// What becomes of the expiry.
    ///
    /// # Errors
    /// For a number that is no expiry.
    pub(super) fn expiry(&self, now: UnixMs, command: &str) -> Result<Expiry, WireError> {
        match self.given {
            Some(given) => given.at(now, command).map(Expiry::At),
            None if self.keep => Ok(Expiry::Keep),
            None => Ok(Expiry::Clear),
        }
    }
}

/// One way to give an expiry excludes the others. The same way twice is let through, as in
/// Redis, and the later number counts.
fn refuse_second(
    options: &mut Arguments<'_>,
    other: bool,
    first: Option<GivenExpiry<'_>>,
    second: GivenExpiry<'_>,
) {
    let same = |f: GivenExpiry<'_>| f.unit == second.unit && f.relative == second.relative;
    if other || first.is_some_and(|first| !same(first)) {
        options.fail(errors::SYNTAX);
    }
}

/// Writes the string of a key that was found, or null.
fn reply_old(
    ctx: &WriteContext<'_>,
    found: Option<Found>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match found {
        Some(found) => ctx.string_of(found)?.reply(reply),
        None => reply.null(),
    }
    Ok(())
}

fn equals(ctx: &WriteContext<'_>, found: Found, value: &[u8]) -> Result<bool, WireError> {
    let mut digits = itoa::Buffer::new();
    Ok(ctx.string_of(found)?.bytes(&mut digits) == value)
}

/// Whether an expiry has passed already. What comes from the log is not judged by the clock
/// here: its deletion is in the log as well.
fn is_past(ctx: &WriteContext<'_>, at: UnixMs) -> bool {
    at <= ctx.now() && ctx.origin() == Origin::Client
}

/// Stores `value` at `key`, which was looked up, and builds the effect.
pub(super) fn store(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    found: Option<Found>,
    value: &[u8],
    expiry: Expiry,
) -> Effect {
    let at = match expiry {
        Expiry::At(at) => Some(at),
        Expiry::Keep | Expiry::Clear => None,
    };
    if at.is_some_and(|at| is_past(ctx, at)) {
        // Nobody could ever see it: what was there goes, and that is the effect.
        // To those who listen it was there for a moment.
        match found {
            Some(found) => {
                ctx.notify_overwritten(found, key, &string_payload(value));
                ctx.remove(found);
                ctx.effect(2).arg(b"DEL").arg(key);
            }
            None => ctx.notify(NotifyClass::NEW, "new", key),
        }
        ctx.notify(NotifyClass::STRING, "set", key);
        ctx.notify(NotifyClass::GENERIC, "expire", key);
        ctx.notify(NotifyClass::EXPIRED, "expired", key);
        return match found {
            Some(_) => Effect::Rewritten,
            None => Effect::None,
        };
    }
    let payload = string_payload(value);
    match found {
        Some(found) => {
            ctx.notify_overwritten(found, key, &payload);
            ctx.replace(found, payload, expiry);
        }
        None => ctx.insert(ctx.db(), key, at, payload),
    }
    ctx.notify(NotifyClass::STRING, "set", key);
    if at.is_some() {
        ctx.notify(NotifyClass::GENERIC, "expire", key);
    }
    let extra = match expiry {
        Expiry::Clear => 0,
        Expiry::Keep => 1,
        Expiry::At(_) => 2,
    };
    let effect = ctx.effect(3 + extra).arg(b"SET").arg(key).arg(value);
    match expiry {
        Expiry::Clear => {}
        Expiry::Keep => {
            effect.arg(b"KEEPTTL");
        }
        Expiry::At(at) => {
            effect.arg(b"PXAT").int(at);
        }
    }
    Effect::Rewritten
}

fn del_effect(ctx: &mut WriteContext<'_>, key: &[u8]) -> Effect {
    ctx.effect(2).arg(b"DEL").arg(key);
    ctx.notify(NotifyClass::GENERIC, "del", key);
    Effect::Rewritten
}
