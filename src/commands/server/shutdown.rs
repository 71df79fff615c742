//! SHUTDOWN.

use crate::config::ShutdownFlags;
use crate::execute::{After, BlockOn, Gates, SessionContext};
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
    let mut flags = ShutdownFlags::empty();
    let (mut abort, mut safe, mut failover) = (false, false, false);
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
        } else if args.is(at, "safe") {
            // Valkey's, which refuses to stop a node that a cluster needs: there is none here.
            safe = true;
        } else if args.is(at, "failover") {
            failover = true;
        } else {
            return Err(errors::SYNTAX);
        }
    }
    let both = flags.contains(ShutdownFlags::SAVE | ShutdownFlags::NOSAVE);
    if both || abort && (safe || failover || !flags.is_empty()) {
        return Err(errors::SYNTAX);
    }
    if failover {
        // Valkey's, which hands a shard of a cluster over.
        return Err(WireError::fixed(
            "ERR SHUTDOWN FAILOVER is only supported in cluster mode.",
        ));
    }
    let server = context.server;
    if abort {
        if !server.stopping.call_off() {
            return Err(WireError::fixed("ERR No shutdown in progress."));
        }
        reply.ok();
        return Ok(());
    }
    if server.gates.has(Gates::BUSY) && !flags.contains(ShutdownFlags::NOSAVE) {
        // The script would have to end first.
        return Err(server.scripts.busy_error());
    }
    tracing::warn!(client = %context.client.info.addr, "SHUTDOWN requested");
    let seq = server.stopping.ask("SHUTDOWN", flags);
    context.after = After::Block(BlockOn::Shutdown { seq });
    Ok(())
}
