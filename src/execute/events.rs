//! What others are told of changed keys: keyspace events, and notices of client-side caching.
//!
//! Handlers note events while they run. Events are published when the effect is in the log,
//! still under the locks of the keys, and marked with the write's offset: nobody sees one
//! before its write is committed. Notices show no value and do not wait.

use super::context::Origin;
use super::run::{Frame, Scratch};
use crate::commands::key_positions;
use crate::commands::spec::Flags;
use crate::commands::table::Command;
use crate::config::NotifyClass;
use crate::keyspace::{DbIndex, Locked};
use crate::net::Client;
use crate::protocol::Args;
use crate::pubsub::{Message, Stamp, TrackingFlags};
use crate::server::Server;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The key's database.
    pub db: DbIndex,
    /// What has happened.
    pub event: &'static str,
    /// To which key.
    pub key: Box<[u8]>,
}

impl KeyEvent {
    /// An event of a key.
    pub fn new(db: DbIndex, event: &'static str, key: &[u8]) -> Self {
        let key = key.into();
        KeyEvent { db, event, key }
    }
}

/// Publishes the events of a command that depends on the write at `offset`.
#[cold]
pub(super) fn publish(frame: &Frame<'_>, scratch: &mut Scratch, offset: u64) {
    let server = frame.server;
    let (events, outbox) = (scratch.events.get_mut(), &mut scratch.outbox);
    if server.pubsub.is_silent() {
        events.clear();
        return;
    }
    // What a primary has sent is applied here, and reads of it are not held either.
    let stamp = (frame.origin == Origin::Client && offset > 0).then(|| Stamp {
        term: server.watermarks.term(),
        offset,
    });
    let classes = frame.settings.notify;
    let publishing = server.pubsub.publishing();
    let mut send = |channel: Vec<u8>, text: &[u8]| {
        let message = Message {
            shard: false,
            channel: &channel,
            text,
            stamp,
        };
        publishing.publish(server, message, outbox);
    };
    for KeyEvent { db, event, key } in events.drain(..) {
        if classes.contains(NotifyClass::KEYSPACE) {
            let mut channel = format!("__keyspace@{}__:", db.0).into_bytes();
            channel.extend_from_slice(&key);
            send(channel, event.as_bytes());
        }
        if classes.contains(NotifyClass::KEYEVENT) {
            let channel = format!("__keyevent@{}__:{event}", db.0);
            send(channel.into_bytes(), &key);
        }
    }
}

/// Tells those who cache keys which of them have changed in the locked shards.
#[cold]
pub(super) fn invalidate(server: &Server, locked: &mut Locked<'static>, scratch: &mut Scratch) {
    let tracking = &server.tracking;
    let shards = locked.shards_mut();
    let mut changed: Vec<_> = shards.flat_map(|(_, shard)| shard.take_changed()).collect();
    changed.sort_unstable_by_key(|(order, _)| *order);
    for (_, key) in changed {
        let (broadcast, outbox) = (&mut scratch.broadcast, &mut scratch.outbox);
        tracking.changed(server, &key, scratch.client, broadcast, outbox);
    }
}

/// The client, if what it reads now is to be remembered.
pub(super) fn reader(client: &Client) -> Option<u64> {
    let tracking = client.tracking.as_ref()?;
    let flags = TrackingFlags::of(&client.info);
    let wanted = match () {
        _ if flags.contains(TrackingFlags::BCAST) => false,
        _ if flags.contains(TrackingFlags::OPTIN) => tracking.caching,
        _ if flags.contains(TrackingFlags::OPTOUT) => !tracking.caching,
        _ => true,
    };
    wanted.then_some(client.id)
}

/// Remembers what a client that tracks has read; the keys' shards are locked.
#[cold]
pub(super) fn remember(
    server: &Server,
    reader: Option<u64>,
    command: &Command,
    args: Args<'_>,
    scratch: &mut Scratch,
) {
    let Some(reader) = reader.filter(|_| command.flags.contains(Flags::READONLY)) else {
        return;
    };
    key_positions::for_each_key(command.spec, args, |key| {
        let outbox = &mut scratch.outbox;
        server.tracking.remember(server, key, reader, outbox);
    });
}
