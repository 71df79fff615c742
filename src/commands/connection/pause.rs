//! `CLIENT PAUSE`, `UNPAUSE` and `UNBLOCK`.

use crate::commands::timeouts;
use crate::execute::SessionContext;
use crate::keyspace::Cause;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::Duration;
use std::sync::atomic::Ordering;

pub(super) fn pause(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 4 {
        return Err(wrong_form(args));
    }
    let all = match args.get(3) {
        None => true,
        Some(_) if args.is(3, "all") => true,
        Some(_) if args.is(3, "write") => false,
        Some(_) => {
            return Err(WireError::fixed(
                "ERR CLIENT PAUSE mode must be WRITE or ALL",
            ));
        }
    };
    // A pause of centuries is one without end; a larger number would not fit a deadline.
    let timeout = timeouts::milliseconds(args.at(2))?.unwrap_or_default();
    let timeout = timeout.min(Duration::from_millis(LONGEST_MS));
    context.server.pause.begin(context.server, timeout, all);
    reply.ok();
    Ok(())
}

pub(super) fn unpause(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    context.server.pause.end(context.server);
    reply.ok();
    Ok(())
}

pub(super) fn unblock(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 4 {
        return Err(wrong_form(args));
    }
    let (how, cause) = match args.get(3) {
        None => (1, Cause::TimedOut),
        Some(_) if args.is(3, "timeout") => (1, Cause::TimedOut),
        Some(_) if args.is(3, "error") => (2, Cause::Unblocked),
        Some(_) => {
            return Err(WireError::fixed(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
    };
    let id = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let client = u64::try_from(id).ok();
    let client = client.and_then(|id| context.server.clients.get(id));
    let waiter = client.as_ref().and_then(|c| c.waiter.lock().clone());
    if let Some(waiter) = waiter {
        // One that has been served gets its reply.
        reply.int(i64::from(waiter.call_off(cause)));
        return Ok(());
    }
    let blocked = client.filter(|client| client.blocked.load(Ordering::Relaxed));
    if let Some(client) = &blocked {
        client.unblock.store(how, Ordering::SeqCst);
        client.wake();
    }
    reply.int(i64::from(blocked.is_some()));
    Ok(())
}

fn wrong_form(args: Args<'_>) -> WireError {
    WireError::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        args.at(1),
        "'. Try CLIENT HELP.",
    )
}

/// A hundred years.
const LONGEST_MS: u64 = 100 * 365 * 86_400_000;
