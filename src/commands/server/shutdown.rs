//! SHUTDOWN.

use crate::config::ShutdownFlags;
use crate::execute::{After, BlockOn, SessionContext};
use crate::protocol::{Args, Reply, WireError, errors};

/// Stops the server. The client gets no reply but the end of the connection, as in Redis,
/// unless stopping is called off.
///
/// Stopping is always orderly: what the append-only file holds back is written and fsynced.
/// `NOW` does not wait for replicas, `FORCE` goes even if the data cannot be saved, `ABORT`
/// calls off what another client has begun.
pub(super) fn shutdown(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (mut flags, mut abort) = (ShutdownFlags::empty(), false);
    for at in 1..args.len() {
        if args.is(at, "save") {
            flags |= ShutdownFlags::SAVE;
        } else if args.is(at, "nosave") {
            flags |= ShutdownFlags::NOSAVE;
        } else if args.is(at, "now") {
            flags |= ShutdownFlags::NOW;
        } else if args.is(at, "force") {
            flags |= ShutdownFlags::FORCE;
        } else if args.is(at, "abort") {
            abort = true;
        } else {
            return Err(errors::SYNTAX);
        }
    }
    let both = flags.contains(ShutdownFlags::SAVE | ShutdownFlags::NOSAVE);
    if both || abort && !flags.is_empty() {
        return Err(errors::SYNTAX);
    }
    let server = context.server;
    if abort {
        if !server.stopping.call_off() {
            return Err(WireError::fixed("ERR No shutdown in progress."));
        }
        reply.ok();
        return Ok(());
    }
    tracing::warn!(client = %context.client.info.addr, "SHUTDOWN requested");
    let seq = server.stopping.ask("SHUTDOWN", flags);
    context.after = After::Block(BlockOn::Shutdown { seq });
    Ok(())
}
