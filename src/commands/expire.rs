//! When keys expire: `EXPIRE`, `TTL` and their relatives.
//!
//! What must stay true: only absolute times in milliseconds enter the log, without the
//! condition under which they were set.

use super::handler::Handler;
use super::spec::{CommandSpec, Flags, Group, KeySpec};
use crate::config::NotifyClass;
use crate::execute::{Effect, Origin, ReadContext, WriteContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::UnixMs;

const GENERIC: CommandSpec = CommandSpec {
    group: Group::Generic,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "expire",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key seconds [NX | XX | GT | LT]{condition @7.0.0}",
        summary: "Gives a key a time to live in seconds.",
        complexity: "O(1)",
        history: &[("7.0.0", "`NX`, `XX`, `GT`, `LT`.")],
        handler: Handler::Write(expire),
        ..GENERIC
    },
    CommandSpec {
        name: "pexpire",
        since: "2.6.0",
        arity: -3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key milliseconds [NX | XX | GT | LT]{condition @7.0.0}",
        summary: "Gives a key a time to live in milliseconds.",
        complexity: "O(1)",
        history: &[("7.0.0", "`NX`, `XX`, `GT`, `LT`.")],
        handler: Handler::Write(pexpire),
        ..GENERIC
    },
    CommandSpec {
        name: "expireat",
        since: "1.2.0",
        arity: -3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key unix-time-seconds [NX | XX | GT | LT]{condition @7.0.0}",
        summary: "Lets a key expire at a Unix time in seconds.",
        complexity: "O(1)",
        history: &[("7.0.0", "`NX`, `XX`, `GT`, `LT`.")],
        handler: Handler::Write(expireat),
        ..GENERIC
    },
    CommandSpec {
        name: "pexpireat",
        since: "2.6.0",
        arity: -3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT]{condition @7.0.0}",
        summary: "Lets a key expire at a Unix time in milliseconds.",
        complexity: "O(1)",
        history: &[("7.0.0", "`NX`, `XX`, `GT`, `LT`.")],
        handler: Handler::Write(pexpireat),
        ..GENERIC
    },
    CommandSpec {
        name: "ttl",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Tells how many seconds a key has left.",
        complexity: "O(1)",
        history: &[("2.8.0", "-2 for a missing key.")],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(ttl),
        ..GENERIC
    },
    CommandSpec {
        name: "pttl",
        since: "2.6.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Tells how many milliseconds a key has left.",
        complexity: "O(1)",
        history: &[("2.8.0", "-2 for a missing key.")],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(pttl),
        ..GENERIC
    },
    CommandSpec {
        name: "expiretime",
        since: "7.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Tells the Unix time in seconds at which a key expires.",
        complexity: "O(1)",
        handler: Handler::Read(expiretime),
        ..GENERIC
    },
    CommandSpec {
        name: "pexpiretime",
        since: "7.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Tells the Unix time in milliseconds at which a key expires.",
        complexity: "O(1)",
        handler: Handler::Read(pexpiretime),
        ..GENERIC
    },
    CommandSpec {
        name: "persist",
        since: "2.2.0",
        arity: 2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key",
        summary: "Takes the expiry away from a key.",
        complexity: "O(1)",
        handler: Handler::Write(persist),
        ..GENERIC
    },
];

/// The four commands differ in how the time is given.
struct Given {
    command: &'static str,
    /// Milliseconds in the unit of the argument.
    unit_ms: i64,
    /// Whether the time counts from now.
    relative: bool,
}

fn expire(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let given = Given {
        command: "expire",
        unit_ms: 1000,
        relative: true,
    };
    set_expiry(ctx, args, &given, reply)
}

fn pexpire(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let given = Given {
        command: "pexpire",
        unit_ms: 1,
        relative: true,
    };
    set_expiry(ctx, args, &given, reply)
}

fn expireat(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let given = Given {
        command: "expireat",
        unit_ms: 1000,
        relative: false,
    };
    set_expiry(ctx, args, &given, reply)
}

fn pexpireat(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let given = Given {
        command: "pexpireat",
        unit_ms: 1,
        relative: false,
    };
    set_expiry(ctx, args, &given, reply)
}

fn set_expiry(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    given: &Given,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let condition = Condition::parse(args)?;
    let number = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let base = if given.relative { ctx.now() } else { 0 };
    let at = number
        .checked_mul(given.unit_ms)
        .and_then(|ms| ms.checked_add(base))
        .ok_or_else(|| errors::invalid_expire(given.command))?;
    let Some(found) = ctx.find(key) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    if !condition.holds(ctx.entry(found).expiry(), at) {
        reply.int(0);
        return Ok(Effect::None);
    }
    reply.int(1);
    // What comes from the log is not judged by the clock: its deletion is in the log too.
    if at <= ctx.now() && ctx.origin() == Origin::Client {
        ctx.remove(found);
        ctx.notify(NotifyClass::GENERIC, "del", key);
        ctx.effect(2).arg(b"DEL").arg(key);
        return Ok(Effect::Rewritten);
    }
    ctx.mark_used(found);
    ctx.set_expiry(found, Some(at));
    ctx.notify(NotifyClass::GENERIC, "expire", key);
    ctx.effect(3).arg(b"PEXPIREAT").arg(key).int(at);
    Ok(Effect::Rewritten)
}

/// When an expiry is set.
#[derive(Clone, Copy, Default)]
struct Condition {
    /// `NX`: if there is none.
    absent: bool,
    /// `XX`: if there is one.
    present: bool,
    /// `GT`: if it gets later; none is the latest of all.
    later: bool,
    /// `LT`: if it gets earlier.
    earlier: bool,
}

impl Condition {
    fn parse(args: Args<'_>) -> Result<Self, WireError> {
        let mut this = Condition::default();
        for i in 3..args.len() {
            if args.is(i, "nx") {
                this.absent = true;
            } else if args.is(i, "xx") {
                this.present = true;
            } else if args.is(i, "gt") {
                this.later = true;
            } else if args.is(i, "lt") {
                this.earlier = true;
            } else {
                return Err(errors::unsupported_option(args.at(i)));
            }
        }
        if this.absent && (this.present || this.later || this.earlier) {
            return Err(errors::EXPIRE_NX_CLASH);
        }
        if this.later && this.earlier {
            return Err(errors::EXPIRE_GT_LT_CLASH);
        }
        Ok(this)
    }

    fn holds(self, current: Option<UnixMs>, new: UnixMs) -> bool {
        !(self.absent && current.is_some()
            || self.present && current.is_none()
            || self.later && current.is_none_or(|current| new <= current)
            || self.earlier && current.is_some_and(|current| new >= current))
    }
}

fn persist(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    match ctx.find(args.at(1)) {
        Some(found) if ctx.entry(found).expiry().is_some() => {
            ctx.mark_used(found);
            ctx.set_expiry(found, None);
            ctx.notify(NotifyClass::GENERIC, "persist", args.at(1));
            reply.int(1);
            Ok(Effect::AsReceived)
        }
        _ => {
            reply.int(0);
            Ok(Effect::None)
        }
    }
}

fn ttl(ctx: &ReadContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let now = ctx.now();
    reply_expiry(ctx, args, reply, |at| to_seconds((at - now).max(0)))
}

fn pttl(ctx: &ReadContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let now = ctx.now();
    reply_expiry(ctx, args, reply, |at| (at - now).max(0))
}

fn expiretime(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply_expiry(ctx, args, reply, to_seconds)
}

fn pexpiretime(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply_expiry(ctx, args, reply, |at| at)
}

/// -2 for no key, -1 for no expiry, else what `show` makes of the expiry.
fn reply_expiry(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    show: impl FnOnce(UnixMs) -> i64,
) -> Result<(), WireError> {
    reply.int(match ctx.look(args.at(1)) {
        None => -2,
        Some(entry) => entry.expiry().map_or(-1, show),
    });
    Ok(())
}

/// Milliseconds to the nearest second. A visible expiry is never negative, and near the end of
/// the range the sum still fits an unsigned number.
fn to_seconds(ms: i64) -> i64 {
    ((ms.max(0) as u64 + 500) / 1000) as i64
}
