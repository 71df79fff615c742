//! `DUMP` and `RESTORE`: values as payloads that Redis and Valkey exchange.

use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{
    Effect, Origin, ReadContext, WriteContext, created, with_frequency, with_idle,
};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::rdb::{self, PayloadError};
use crate::time::UnixMs;

/// `DUMP key`
pub(super) fn dump(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match ctx.get(args.at(1)) {
        Some(entry) => reply.bulk(&rdb::write_payload(entry.value(), ctx.settings().rdb)),
        None => reply.null(),
    }
    Ok(())
}

/// What the options of `RESTORE` say.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn read(args: Args<'_>) -> Result<Options, WireError> {
        let mut options = Options::default();
        let mut words = Arguments::new(args, 4);
        while words.more() {
            let last = words.left() == 1;
            if words.word("replace") {
                options.replace = true;
            } else if words.word("absttl") {
                options.absolute = true;
            } else if !last && options.frequency.is_none() && words.word("idletime") {
                let seconds = words.integer();
                options.idle_seconds = u64::try_from(seconds).ok();
                if seconds < 0 {
                    words.fail(INVALID_IDLE);
                }
            } else if !last && options.idle_seconds.is_none() && words.word("freq") {
                let count = words.integer();
                options.frequency = u8::try_from(count).ok();
                if options.frequency.is_none() {
                    words.fail(INVALID_FREQUENCY);
                }
            } else {
                words.fail(errors::SYNTAX);
            }
        }
        words.finish()?;
        Ok(options)
    }
}

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub(super) fn restore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, payload) = (args.at(1), args.at(3));
    let options = Options::read(args)?;
    if !options.replace && ctx.find(key).is_some() {
        return Err(BUSY_KEY);
    }
    let expires_at = expiry(args.at(2), options.absolute, ctx.now())?;
    let value = rdb::read_payload(payload).map_err(|error| match error {
        PayloadError::Envelope => BAD_ENVELOPE,
        PayloadError::Content(error) => {
            tracing::debug!(%error, "RESTORE");
            BAD_DATA
        }
    })?;
    let mut entry = rdb::entry_of(key, expires_at, value, ctx.settings()).map_err(|_| BAD_DATA)?;
    reply.ok();
    let old = ctx.find(key).map(|found| ctx.entry(found).kind());
    let replaced = ctx.delete(key);
    if ctx.origin() == Origin::Client && expires_at.is_some_and(|at| at <= ctx.now()) {
        return Ok(restored_too_late(ctx, key, replaced));
    }
    let (now, settings) = (ctx.now(), ctx.settings());
    entry.set_clock(match (options.idle_seconds, options.frequency) {
        (Some(seconds), _) => with_idle(seconds, now, settings),
        (None, Some(count)) => with_frequency(count, now, settings),
        (None, None) => created(now, settings),
    });
    let new = entry.view().kind();
    // Redis before 7.2 refuses what newer servers dump.
    let mut said = None;
    if !rdb::is_old_enough(payload) {
        said = rdb::write_old_payload(entry.view().value());
        if said.is_none() {
            ctx.effects_tell_of_field_expiry();
        }
    }
    ctx.insert_entry(ctx.db(), entry);
    ctx.notify(NotifyClass::GENERIC, "restore", key);
    if let Some(old) = old {
        ctx.notify_replaced(ctx.db(), key, old.type_name(), new.type_name());
    }
    let expires_as_said = expires_at.is_none() || options.absolute;
    if expires_as_said && rdb::is_old_enough(payload) {
        return Ok(Effect::AsReceived);
    }
    let said = said.as_deref().unwrap_or(payload);
    put_effect(ctx, args, said, expires_at.unwrap_or(0), &options);
    Ok(Effect::Rewritten)
}

/// What was restored has expired already: only the key that it replaces goes.
fn restored_too_late(ctx: &mut WriteContext<'_>, key: &[u8], replaced: bool) -> Effect {
    if !replaced {
        return Effect::None;
    }
    ctx.effect(2).arg(b"DEL").arg(key);
    ctx.notify(NotifyClass::GENERIC, "del", key);
    Effect::Rewritten
}

/// The command with an absolute time, so that it means the same later and elsewhere.
fn put_effect(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    payload: &[u8],
    at: UnixMs,
    options: &Options,
) {
    let has_clock = options.idle_seconds.is_some() || options.frequency.is_some();
    let argc = 5 + usize::from(options.replace) + if has_clock { 2 } else { 0 };
    let effect = ctx.effect(argc);
    effect.arg(b"RESTORE").arg(args.at(1)).int(at);
    effect.arg(payload).arg(b"ABSTTL");
    if options.replace {
        effect.arg(b"REPLACE");
    }
    if let Some(seconds) = options.idle_seconds {
        effect.arg(b"IDLETIME").int(seconds as i64);
    }
    if let Some(count) = options.frequency {
        effect.arg(b"FREQ").int(i64::from(count));
    }
}

/// When the key expires; 0 says never. A relative time beyond all times wraps, as in Redis,
/// and has expired.
fn expiry(text: &[u8], absolute: bool, now: UnixMs) -> Result<Option<UnixMs>, WireError> {
    let ttl = crate::number::parse_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
    match ttl {
        ..0 => Err(INVALID_TTL),
        0 => Ok(None),
        at if absolute => Ok(Some(at)),
        ttl => Ok(Some(now.wrapping_add(ttl).max(1))),
    }
}

const BUSY_KEY: WireError = WireError::fixed("BUSYKEY Target key name already exists.");
const INVALID_TTL: WireError = WireError::fixed("ERR Invalid TTL value, must be >= 0");
const INVALID_IDLE: WireError = WireError::fixed("ERR Invalid IDLETIME value, must be >= 0");
const INVALID_FREQUENCY: WireError =
    WireError::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");
const BAD_ENVELOPE: WireError = WireError::fixed("ERR DUMP payload version or checksum are wrong");
const BAD_DATA: WireError = WireError::fixed("ERR Bad data format");
