//! SHUTDOWN.

use crate::execute::{After, SessionContext};
use crate::protocol::{Args, Reply, WireError, errors};

/// Stops the server. The client gets no reply but the end of the connection, as in Redis.
///
/// Stopping is always orderly: what the append-only file holds back is written and fsynced.
/// `NOW` and `FORCE` ask to skip waits and to ignore failures; there are none to skip.
pub(super) fn shutdown(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    _reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (mut save, mut nosave, mut hurry, mut abort) = (false, false, false, false);
    for at in 1..args.len() {
        let flag = if args.is(at, "save") {
            &mut save
        } else if args.is(at, "nosave") {
            &mut nosave
        } else if args.is(at, "now") || args.is(at, "force") {
            &mut hurry
        } else if args.is(at, "abort") {
            &mut abort
        } else {
            return Err(errors::SYNTAX);
        };
        *flag = true;
    }
    if save && nosave || abort && (save || nosave || hurry) {
        return Err(errors::SYNTAX);
    }
    if abort {
        // Stopping begins at once, so that there is never one to call off.
        return Err(WireError::fixed("ERR No shutdown in progress."));
    }
    let wish = if save || nosave { Some(save) } else { None };
    context.server.dump_file.set_at_shutdown(wish);
    tracing::warn!(client = %context.client.info.addr, "SHUTDOWN requested");
    context.server.stop("SHUTDOWN");
    context.after = After::Close;
    Ok(())
}
