//! Counting, removing and describing keys.

use crate::config::NotifyClass;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::protocol::{Args, Reply, WireError};

/// `DEL key [key ...]`, and `UNLINK`: what is costly to free is freed elsewhere in any case.
pub(super) fn del(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let mut deleted = 0;
    for key in args.from(1) {
        if ctx.delete(key) {
            ctx.notify(NotifyClass::GENERIC, "del", key);
            deleted += 1;
        }
    }
    reply.int(deleted);
    Ok(match deleted {
        0 => Effect::None,
        _ => Effect::AsReceived,
    })
}

/// `EXISTS key [key ...]`
pub(super) fn exists(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let count = args.from(1).filter(|key| ctx.look(key).is_some()).count();
    reply.int(count as i64);
    Ok(())
}

/// `TOUCH key [key ...]`
pub(super) fn touch(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let touched = args.from(1).filter(|key| ctx.get_touched(key).is_some());
    reply.int(touched.count() as i64);
    Ok(())
}

/// `TYPE key`
pub(super) fn type_of(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let entry = ctx.look(args.at(1));
    reply.simple(entry.map_or("none", |entry| entry.kind().type_name()));
    Ok(())
}
