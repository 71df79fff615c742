//! The end of a wait for keys: the reply of whoever was served, or what stands in its place.

use super::client::Client;
use super::output::Output;
use crate::commit::{AckLevel, Shows, Wait};
use crate::execute::{KeyWait, forget_waiter};
use crate::keyspace::{Cause, Served};
use crate::protocol::{Reply, WireError, errors};
use crate::server::Server;

/// Ends the wait if it has ended, or if the time is up: the output gets the reply, unless it
/// is `silent`. Whether the connection goes on; `None` while the client waits.
pub(super) fn settle(
    server: &'static Server,
    wait: &KeyWait,
    timed_out: bool,
    silent: bool,
    client: &mut Client,
    output: &mut Output,
) -> Option<bool> {
    if timed_out {
        wait.waiter.call_off(Cause::TimedOut);
    }
    let outcome = wait.waiter.outcome()?;
    *client.info.waiter.lock() = None;
    let start = output.out.buf.len();
    let goes_on = match outcome {
        Ok(served) => {
            deliver(server, served, silent, client, output);
            return Some(true);
        }
        Err(cause) => {
            forget_waiter(server, &wait.waiter);
            let mut reply = Reply::new(&mut output.out, client.resp3);
            let error = match cause {
                Cause::TimedOut | Cause::Gone => None,
                Cause::Unblocked => Some(UNBLOCKED),
                Cause::RoleChanged => Some(errors::ROLE_CHANGED),
            };
            match error {
                Some(error) => {
                    server.stats.count_error(&error);
                    reply.error(&error);
                }
                None => reply.null_array(),
            }
            cause != Cause::RoleChanged
        }
    };
    if silent {
        output.out.truncate(start);
    }
    Some(goes_on)
}

/// Appends a served reply, held like that of a command executed here.
fn deliver(
    server: &'static Server,
    served: Served,
    silent: bool,
    client: &mut Client,
    output: &mut Output,
) {
    if served.wrote {
        client.last_write = served.offset;
    }
    if silent {
        return;
    }
    let start = output.out.buf.len();
    output.out.buf.extend_from_slice(&served.bytes);
    let level = client.sync_level.unwrap_or(server.sync_level());
    let marks = &server.watermarks;
    if served.offset > 0
        && (served.offset > marks.committed(level)
            || served.term != marks.term() && level != AckLevel::Async)
    {
        let wait = Wait {
            term: served.term,
            level,
            offset: served.offset,
            shows: Shows::of(served.wrote),
        };
        let end = output.out.buf.len();
        output.held.hold(start, end, wait, client.resp3);
        marks.want(level, served.offset);
    }
}

const UNBLOCKED: WireError = WireError::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");
