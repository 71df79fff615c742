//! One request: executed, and its reply held for what it depends on.

use super::client::{Client, ReplyMode};
use super::output::Output;
use crate::commit::{AckLevel, Shows, Wait};
use crate::execute::{After, Batch, Done, Request, dispatch};
use crate::protocol::Reply;

/// Executes one request; gives what its reply waits for, and what the connection does next.
#[inline]
pub(super) fn run_one(
    batch: &mut Batch<'_>,
    client: &mut Client,
    output: &mut Output,
    request: Request<'_>,
    level: AckLevel,
) -> (Option<(AckLevel, u64)>, After) {
    let start = output.out.buf.len();
    let resp3 = client.resp3;
    let mut reply = Reply::new(&mut output.out, resp3);
    let marks = &batch.server.watermarks;
    let term = marks.term();
    let (done, after): (Done, After) = dispatch(batch, client, request, &mut reply);
    if client.reply_mode != ReplyMode::On && silence(client, output, start) {
        return (None, after);
    }
    // After a change of role, "nothing to wait for" says nothing about this reply.
    if done.offset > 0
        && (done.offset > marks.committed(level)
            || term != marks.term() && level != AckLevel::Async)
    {
        let wait = Wait {
            term,
            level,
            offset: done.offset,
            shows: Shows::of(done.wrote),
        };
        let end = output.out.buf.len();
        output.held.hold(start, end, wait, resp3);
        return (Some((level, done.offset)), after);
    }
    (None, after)
}

/// Takes a reply back that the client does not want; whether it was.
#[cold]
fn silence(client: &mut Client, output: &mut Output, start: usize) -> bool {
    match client.reply_mode {
        ReplyMode::On => return false,
        ReplyMode::Off => {}
        ReplyMode::SkipNext => client.reply_mode = ReplyMode::Skip,
        ReplyMode::Skip => client.reply_mode = ReplyMode::On,
    }
    output.out.truncate(start);
    true
}
