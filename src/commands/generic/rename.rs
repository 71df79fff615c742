//! Giving a value another key or another database, or both to a copy of it.

use crate::commands::arguments::{Arguments, db_index};
use crate::config::NotifyClass;
use crate::execute::{Effect, WriteContext};
use crate::keyspace::{DbIndex, Kind};
use crate::protocol::{Args, Reply, WireError, errors};

/// `RENAME key newkey`
pub(super) fn rename(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (from, to) = (args.at(1), args.at(2));
    ctx.find(from).ok_or(errors::NO_SUCH_KEY)?;
    reply.ok();
    if from == to {
        return Ok(Effect::None);
    }
    let old = ctx.find(to).map(|found| ctx.entry(found).kind());
    ctx.delete(to);
    put_under(ctx, from, to);
    notify_replaced(ctx, ctx.db(), to, old);
    Ok(Effect::AsReceived)
}

/// `RENAMENX key newkey`
pub(super) fn renamenx(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (from, to) = (args.at(1), args.at(2));
    ctx.find(from).ok_or(errors::NO_SUCH_KEY)?;
    if from == to || ctx.find(to).is_some() {
        reply.int(0);
        return Ok(Effect::None);
    }
    put_under(ctx, from, to);
    reply.int(1);
    Ok(Effect::AsReceived)
}

/// Moves the value of `from` to `to`, which must be free.
fn put_under(ctx: &mut WriteContext<'_>, from: &[u8], to: &[u8]) {
    // Found anew, because what was found does not survive changes to other keys.
    if let Some(found) = ctx.find(from) {
        let entry = ctx.take(found).renamed(to);
        ctx.insert_entry(ctx.db(), entry);
        ctx.notify(NotifyClass::GENERIC, "rename_from", from);
        ctx.notify(NotifyClass::GENERIC, "rename_to", to);
    }
}

/// Notes that a key which is there now has taken the place of one of another kind, if there
/// was one.
fn notify_replaced(ctx: &mut WriteContext<'_>, db: DbIndex, key: &[u8], old: Option<Kind>) {
    let new = ctx.find_in(db, key).map(|found| ctx.entry(found).kind());
    if let (Some(old), Some(new)) = (old, new) {
        ctx.notify_replaced(db, key, old.type_name(), new.type_name());
    }
}

/// `MOVE key db`
pub(super) fn move_key(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let key = args.at(1);
    let target = db_index(args.at(2), ctx.settings().databases)?;
    if target == ctx.db() {
        return Err(errors::SAME_OBJECT);
    }
    if ctx.find(key).is_none() || ctx.find_in(target, key).is_some() {
        reply.int(0);
        return Ok(Effect::None);
    }
    if let Some(found) = ctx.find(key) {
        let entry = ctx.take(found);
        ctx.insert_entry(target, entry);
        ctx.notify(NotifyClass::GENERIC, "move_from", key);
        ctx.notify_in(target, NotifyClass::GENERIC, "move_to", key);
    }
    reply.int(1);
    Ok(Effect::AsReceived)
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub(super) fn copy(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (from, to) = (args.at(1), args.at(2));
    let (mut target, mut replace) = (ctx.db(), false);
    let mut options = Arguments::new(args, 3);
    while options.more() {
        if options.word("replace") {
            replace = true;
        } else if options.left() > 1 && options.word("db") {
            match db_index(options.value(), ctx.settings().databases) {
                Ok(db) => target = db,
                Err(error) => options.fail(error),
            }
        } else {
            options.fail(errors::SYNTAX);
        }
    }
    options.finish()?;
    if target == ctx.db() && from == to {
        return Err(errors::SAME_OBJECT);
    }
    let copied = copy_to(ctx, from, target, to, replace);
    reply.int(i64::from(copied));
    Ok(match copied {
        true => Effect::AsReceived,
        false => Effect::None,
    })
}

fn copy_to(
    ctx: &mut WriteContext<'_>,
    from: &[u8],
    target: DbIndex,
    to: &[u8],
    replace: bool,
) -> bool {
    if ctx.find_used(from).is_none() {
        return false;
    }
    let mut old = None;
    if let Some(occupied) = ctx.find_in(target, to) {
        if !replace {
            return false;
        }
        old = Some(ctx.entry(occupied).kind());
        ctx.remove(occupied);
    }
    let Some(found) = ctx.find(from) else {
        return false;
    };
    let entry = ctx.entry(found).copied(to);
    ctx.insert_entry(target, entry);
    ctx.notify_in(target, NotifyClass::GENERIC, "copy_to", to);
    notify_replaced(ctx, target, to, old);
    true
}
