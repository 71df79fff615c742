//! Who listens to what.

use super::mailbox::{Mail, Outbox, Stamp};
use crate::glob;
use crate::net::ClientInfo;
use crate::protocol::{encode_bulk, encode_header};
use crate::server::Server;
use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A kind of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To a channel by its name.
    Channel,
    /// To all channels that match a pattern.
    Pattern,
    /// To a shard channel.
    Shard,
}

/// The clients that listen to one channel or pattern.
type Listeners = HashMap<u64, Arc<ClientInfo>>;
type Topics = HashMap<Box<[u8]>, Listeners>;

/// All subscriptions of the server.
#[derive(Default)]
pub struct PubSub {
    topics: Mutex<[Topics; 3]>,
    /// How many channels, patterns and shard channels anybody listens to.
    counts: [AtomicUsize; 3],
}

/// How many channels, patterns and shard channels there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Channels.
    pub channels: usize,
    /// Patterns.
    pub patterns: usize,
    /// Shard channels.
    pub shard_channels: usize,
}

/// The right to publish: whoever holds it is the only one.
pub struct Publishing<'a>(MutexGuard<'a, [Topics; 3]>);

impl PubSub {
    /// Adds a subscription of a client that had it not.
    pub fn subscribe(&self, kind: Kind, topic: &[u8], client: &Arc<ClientInfo>) {
        let mut topics = self.topics.lock();
        let topics = &mut topics[kind as usize];
        let listeners = topics.entry_ref(topic).or_default();
        listeners.insert(client.id, Arc::clone(client));
        self.counts[kind as usize].store(topics.len(), Ordering::SeqCst);
    }

    /// Takes a subscription away. When this returns, all messages that the client will ever
    /// get for it are in its mailbox.
    pub fn unsubscribe(&self, kind: Kind, topic: &[u8], client: u64) {
        let mut topics = self.topics.lock();
        let topics = &mut topics[kind as usize];
        if let Some(listeners) = topics.get_mut(topic) {
            listeners.remove(&client);
            if listeners.is_empty() {
                topics.remove(topic);
            }
        }
        self.counts[kind as usize].store(topics.len(), Ordering::SeqCst);
    }

    /// How much anybody listens to.
    pub fn totals(&self) -> Totals {
        let count = |kind| self.counts[kind as usize].load(Ordering::SeqCst);
        Totals {
            channels: count(Kind::Channel),
            patterns: count(Kind::Pattern),
            shard_channels: count(Kind::Shard),
        }
    }

    /// The channels of a kind that match a pattern.
    pub fn channels(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let topics = self.topics.lock();
        let names = topics[kind as usize].keys();
        let matching = names.filter(|name| pattern.is_none_or(|p| glob::matches(p, name, false)));
        matching.cloned().collect()
    }

    /// How many clients listen to a channel.
    pub fn listeners(&self, kind: Kind, channel: &[u8]) -> usize {
        let topics = self.topics.lock();
        topics[kind as usize].get(channel).map_or(0, HashMap::len)
    }

    /// Whether nobody listens to anything.
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.counts
            .iter()
            .all(|count| count.load(Ordering::SeqCst) == 0)
    }

    /// Waits for those who publish, and keeps others from it.
    pub fn publishing(&self) -> Publishing<'_> {
        Publishing(self.topics.lock())
    }

    /// Publishes one message on a channel; gives how many got it.
    pub fn publish(&self, server: &Server, message: Message<'_>, outbox: &mut Outbox) -> usize {
        if self.is_silent() {
            return 0;
        }
        self.publishing().publish(server, message, outbox)
    }
}

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Whether on a shard channel.
    pub shard: bool,
    /// The channel.
    pub channel: &'a [u8],
    /// The text.
    pub text: &'a [u8],
    /// The write that it tells of.
    pub stamp: Option<Stamp>,
}

impl Publishing<'_> {
    /// Publishes one message; gives how many got it.
    pub fn publish(&self, server: &Server, message: Message<'_>, outbox: &mut Outbox) -> usize {
        let Message {
            channel,
            text,
            stamp,
            ..
        } = message;
        let mut deliver = |listeners: &Listeners, parts: &[&[u8]]| {
            let body = encode(parts);
            for client in listeners.values() {
                let body = body.clone();
                outbox.post(server, client, Mail::Message { body, stamp });
            }
            listeners.len()
        };
        let topics = &self.0;
        if message.shard {
            let listeners = topics[Kind::Shard as usize].get(channel);
            return listeners.map_or(0, |all| deliver(all, &[b"smessage", channel, text]));
        }
        let listeners = topics[Kind::Channel as usize].get(channel);
        let mut receivers = listeners.map_or(0, |all| deliver(all, &[b"message", channel, text]));
        for (pattern, listeners) in &topics[Kind::Pattern as usize] {
            if glob::matches(pattern, channel, false) {
                receivers += deliver(listeners, &[b"pmessage", pattern, channel, text]);
            }
        }
        receivers
    }
}

/// A message from the byte on that follows the mark of an array or a push.
fn encode(parts: &[&[u8]]) -> Bytes {
    let len = parts.iter().map(|part| part.len() + 16).sum();
    let mut out = Vec::with_capacity(len);
    encode_header(&mut out, b'*', parts.len());
    for part in parts {
        encode_bulk(&mut out, part);
    }
    Bytes::from(out).slice(1..)
}
