//! What others have for a client, written behind its replies.

use super::client::Client;
use super::output::Output;
use crate::commit::{AckLevel, Shows, Wait};
use crate::protocol::{OutBuf, Reply};
use crate::pubsub::Mail;
use crate::server::Server;
use bytes::Bytes;

/// Moves a client's mail to its output. It goes between two replies, and whether the client
/// wants replies (`CLIENT REPLY`) does not matter.
pub(super) fn take(client: &Client, output: &mut Output, server: &Server) {
    let level = client.sync_level.unwrap_or(server.sync_level());
    let mut wanted = None;
    for mail in client.info.mailbox.take() {
        let start = output.out.buf.len();
        let stamp = match mail {
            Mail::Message { body, stamp } => {
                output.out.buf.push(mark(client));
                splice(&mut output.out, body);
                stamp
            }
            Mail::Raw(bytes) => {
                splice(&mut output.out, bytes);
                None
            }
            Mail::Invalid { keys, redirected } => {
                invalid(client, &mut output.out, keys.as_deref(), redirected);
                None
            }
            Mail::RedirectionBroken(id) => {
                redirection_broken(client, &mut output.out, id);
                None
            }
        };
        let Some(stamp) = stamp.filter(|_| level != AckLevel::Async) else {
            continue;
        };
        let marks = &server.watermarks;
        if stamp.offset > marks.committed(level) || stamp.term != marks.term() {
            let wait = Wait {
                term: stamp.term,
                level,
                offset: stamp.offset,
                shows: Shows::Message,
            };
            let end = output.out.buf.len();
            output.held.hold(start, end, wait, client.resp3);
            wanted = wanted.max(Some(stamp.offset));
        }
    }
    if let Some(offset) = wanted {
        server.watermarks.want(level, offset);
    }
}

/// The first byte of a message.
fn mark(client: &Client) -> u8 {
    if client.resp3 { b'>' } else { b'*' }
}

/// Adds encoded bytes; many of them are not copied.
fn splice(out: &mut OutBuf, bytes: Bytes) {
    if bytes.len() < SHARED_FROM {
        out.buf.extend_from_slice(&bytes);
        return;
    }
    // A shared value never lies at the end of the buffer: its line break follows as a copy.
    let end = bytes.len() - 2;
    let tail = bytes.slice(end..);
    out.shared.push_back((out.buf.len(), bytes.slice(..end)));
    out.buf.extend_from_slice(&tail);
}

/// Keys that changed; `None` for all. A client of RESP2 understands that only as a message,
/// and only if another client asked for it.
fn invalid(client: &Client, out: &mut OutBuf, keys: Option<&[u8]>, redirected: bool) {
    let subscribed = client.subscriptions.is_some();
    let understands = client.resp3 || redirected && subscribed;
    if !understands {
        return;
    }
    let mut reply = Reply::new(out, client.resp3);
    if client.resp3 {
        reply.push(2);
        reply.bulk(b"invalidate");
    } else {
        reply.push(3);
        reply.bulk(b"message");
        reply.bulk(INVALIDATE);
    }
    match keys {
        Some(keys) => reply.raw(keys),
        None => reply.null(),
    }
}

/// The client that should have been told of changed keys is gone.
fn redirection_broken(client: &Client, out: &mut OutBuf, id: u64) {
    if client.resp3 {
        let mut reply = Reply::new(out, true);
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.int(id as i64);
    }
}

/// The channel that RESP2 clients of client-side caching listen to.
const INVALIDATE: &[u8] = b"__redis__:invalidate";
/// From how many bytes on a message is sent from where it lies.
const SHARED_FROM: usize = 16 * 1024;
