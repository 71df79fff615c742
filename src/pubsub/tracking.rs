//! Client-side caching: which client has read which key, and who is told when it changes.
//!
//! In the default mode a key that a client reads is remembered here, under the lock of the
//! key's shard, and forgotten when the client is told of a change: so no change between the
//! read and the notice is missed. In broadcast mode clients name prefixes, and nothing is
//! remembered. Keys of all databases share one space, as in Redis.
//!
//! A notice does not wait for the commitment of its write: it shows no value, and who asks
//! for the key again gets a held reply.

use super::mailbox::{Mail, Outbox};
use crate::execute::Gates;
use crate::keyspace::{SHARDS, shard_of};
use crate::net::{Client, ClientInfo, Followed};
use crate::protocol::{encode_bulk, encode_header};
use crate::server::Server;
use bitflags::bitflags;
use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

bitflags! {
    /// How a client is told of changed keys.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TrackingFlags: u32 {
        /// It is told at all.
        const ON = 1;
        /// Of all keys with its prefixes.
        const BCAST = 1 << 1;
        /// Only of what it reads right after `CLIENT CACHING YES`.
        const OPTIN = 1 << 2;
        /// Not of what it reads right after `CLIENT CACHING NO`.
        const OPTOUT = 1 << 3;
        /// Not of its own writes.
        const NOLOOP = 1 << 4;
        /// The client that should be told in its place is gone.
        const BROKEN_REDIRECT = 1 << 5;
    }
}

impl TrackingFlags {
    /// The flags of a client.
    pub fn of(client: &ClientInfo) -> Self {
        Self::from_bits_retain(client.tracking.load(Ordering::Relaxed))
    }
}

/// The part of a client's tracking that only its connection needs.
#[derive(Default)]
pub struct Tracking {
    /// The prefixes of broadcast mode.
    pub prefixes: Vec<Box<[u8]>>,
    /// `CLIENT CACHING` was said for the next command.
    pub caching: bool,
}

/// Keys changed by a batch, with who changed them last; 0 for nobody.
pub type Broadcast = BTreeMap<Box<[u8]>, u64>;

/// A client's number; most keys are cached by few.
type Readers = SmallVec<[u64; 2]>;

type ByKey = HashMap<Box<[u8]>, Readers>;

type Clients = HashMap<u64, Arc<ClientInfo>>;

/// Which clients have read which keys. [`Gates::TRACKING`] says whether any client tracks.
#[derive(Default)]
pub struct TrackingTable {
    keys: Shards,
    /// How many keys are remembered.
    total_keys: AtomicUsize,
    /// The same, once for each client that read it.
    total_items: AtomicUsize,
    /// `tracking-table-max-keys`; 0 for no bound.
    max_keys: AtomicUsize,
    /// Clients by the prefixes of broadcast mode.
    prefixes: Mutex<BTreeMap<Box<[u8]>, Clients>>,
    total_prefixes: AtomicUsize,
    clients: Mutex<Trackers>,
}

/// How many clients there are for whom keys may be remembered.
#[derive(Default)]
struct Trackers {
    /// Those who track.
    on: usize,
    /// Those and others who have tracked: they may turn it on again, and then hear of what they
    /// read before.
    known: usize,
}

struct Shards(Box<[Mutex<ByKey>]>);

impl Default for Shards {
    fn default() -> Self {
        Shards((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Server {
    /// Lets a client track, or changes how it does.
    pub fn start_tracking(
        &self,
        client: &mut Client,
        flags: TrackingFlags,
        redirect: u64,
        prefixes: &[&[u8]],
    ) {
        if client.tracking.is_none() {
            let mut clients = self.tracking.clients.lock();
            clients.on += 1;
            clients.known += usize::from(!std::mem::replace(&mut client.has_tracked, true));
            self.keyspace.note_changes(true);
            self.gates.set(Gates::TRACKING, true);
        }
        let tracking = client.tracking.get_or_insert_default();
        let info = &client.info;
        info.redirect.store(redirect, Ordering::Relaxed);
        info.tracking
            .store((flags | TrackingFlags::ON).bits(), Ordering::Relaxed);
        if flags.contains(TrackingFlags::BCAST) {
            let all: &[&[u8]] = &[b""];
            let wanted = if prefixes.is_empty() { all } else { prefixes };
            let mut table = self.tracking.prefixes.lock();
            for prefix in wanted {
                let listeners = table.entry((*prefix).into()).or_default();
                if listeners.insert(client.id, Arc::clone(info)).is_none() {
                    tracking.prefixes.push((*prefix).into());
                }
            }
            self.tracking
                .total_prefixes
                .store(table.len(), Ordering::SeqCst);
            let all = tracking.prefixes.iter();
            let bytes = all.map(|prefix| size_of_val(prefix) + prefix.len()).sum();
            info.note_followed(Followed::Prefixes, bytes);
        }
    }

    /// Ends a client's tracking. Keys it has read are forgotten when they change.
    pub fn stop_tracking(&self, client: &mut Client) {
        let Some(tracking) = client.tracking.take() else {
            return;
        };
        client.info.tracking.store(0, Ordering::Relaxed);
        client.info.redirect.store(0, Ordering::Relaxed);
        client.info.note_followed(Followed::Prefixes, 0);
        let mut table = self.tracking.prefixes.lock();
        for prefix in &tracking.prefixes {
            if let Some(listeners) = table.get_mut(prefix) {
                listeners.remove(&client.id);
                if listeners.is_empty() {
                    table.remove(prefix);
                }
            }
        }
        self.tracking
            .total_prefixes
            .store(table.len(), Ordering::SeqCst);
        drop(table);
        self.tracking.clients.lock().on -= 1;
    }

    /// The client goes, or is as new, and does not track any more.
    pub fn forget_tracker(&self, client: &mut Client) {
        self.stop_tracking(client);
        if !std::mem::take(&mut client.has_tracked) {
            return;
        }
        let mut clients = self.tracking.clients.lock();
        clients.known -= 1;
        if clients.known == 0 {
            self.gates.set(Gates::TRACKING, false);
            self.keyspace.note_changes(false);
            self.tracking.forget_all();
        }
    }
}

impl TrackingTable {
    /// Sets `tracking-table-max-keys`.
    pub fn set_max_keys(&self, most: usize) {
        self.max_keys.store(most, Ordering::Relaxed);
    }

    /// Keys, keys times readers, and prefixes that are remembered.
    pub fn totals(&self) -> (usize, usize, usize) {
        (
            self.total_keys.load(Ordering::Relaxed),
            self.total_items.load(Ordering::Relaxed),
            self.total_prefixes.load(Ordering::Relaxed),
        )
    }

    /// How many clients track.
    pub fn clients(&self) -> usize {
        self.clients.lock().on
    }

    /// Remembers that a client has read a key, whose shard is locked. Where too many are
    /// remembered, another is given up.
    pub fn remember(&self, server: &Server, key: &[u8], client: u64, outbox: &mut Outbox) {
        let mut keys = self.keys.0[shard_of(crate::hash::hash(key))].lock();
        let known = keys.len();
        let readers = keys.entry_ref(key).or_default();
        if readers.contains(&client) {
            return;
        }
        readers.push(client);
        self.total_items.fetch_add(1, Ordering::Relaxed);
        if keys.len() == known {
            return;
        }
        let total = self.total_keys.fetch_add(1, Ordering::Relaxed) + 1;
        let most = self.max_keys.load(Ordering::Relaxed);
        if most == 0 || total <= most {
            return;
        }
        drop(keys);
        self.give_up(server, total - most, outbox);
    }

    /// Forgets keys, wherever they are found first, as if they had changed.
    fn give_up(&self, server: &Server, mut count: usize, outbox: &mut Outbox) {
        let first = crate::random::below(SHARDS as u64) as usize;
        for step in 0..SHARDS {
            let mut keys = self.keys.0[(first + step) % SHARDS].lock();
            while count > 0
                && let Some(key) = keys.keys().next().cloned()
            {
                let readers = keys.remove(&key).unwrap_or_default();
                self.forgotten(&readers);
                count -= 1;
                tell(server, &readers, &key, 0, outbox);
            }
            if count == 0 {
                return;
            }
        }
    }

    fn forgotten(&self, readers: &Readers) {
        self.total_keys.fetch_sub(1, Ordering::Relaxed);
        self.total_items.fetch_sub(readers.len(), Ordering::Relaxed);
    }

    /// Tells those who have read a key that it changed; its shard is locked. `writer` is the
    /// client that changed it, 0 for none.
    pub fn changed(
        &self,
        server: &Server,
        key: &[u8],
        writer: u64,
        broadcast: &mut Broadcast,
        outbox: &mut Outbox,
    ) {
        if self.total_prefixes.load(Ordering::SeqCst) > 0 {
            broadcast.insert(key.into(), writer);
        }
        if self.total_keys.load(Ordering::Relaxed) == 0 {
            return;
        }
        let readers = self.keys.0[shard_of(crate::hash::hash(key))]
            .lock()
            .remove(key);
        if let Some(readers) = readers {
            self.forgotten(&readers);
            tell(server, &readers, key, writer, outbox);
        }
    }

    /// Tells all who track that no key is what it was.
    pub fn flushed(&self, server: &Server, outbox: &mut Outbox) {
        for client in server.clients.all() {
            if TrackingFlags::of(&client).contains(TrackingFlags::ON) {
                send(server, &client, None, outbox);
            }
        }
        self.forget_all();
    }

    fn forget_all(&self) {
        for shard in &self.keys.0 {
            let keys = std::mem::take(&mut *shard.lock());
            keys.values().for_each(|readers| self.forgotten(readers));
        }
    }

    /// Tells the clients of broadcast mode what a batch has changed.
    pub fn broadcast(&self, server: &Server, changed: &mut Broadcast, outbox: &mut Outbox) {
        let prefixes = self.prefixes.lock();
        for (prefix, listeners) in prefixes.iter() {
            let with_prefix = || {
                let from = (Bound::Included(&**prefix), Bound::Unbounded);
                let from = changed.range::<[u8], _>(from);
                from.take_while(|(key, _)| key.starts_with(prefix))
            };
            if with_prefix().next().is_none() {
                continue;
            }
            let all = array(with_prefix().map(|(key, _)| &**key));
            for client in listeners.values() {
                let own = |writer: &u64| *writer == client.id;
                let noloop = TrackingFlags::of(client).contains(TrackingFlags::NOLOOP);
                if !noloop || !with_prefix().any(|(_, writer)| own(writer)) {
                    send(server, client, Some(all.clone()), outbox);
                    continue;
                }
                let others = with_prefix().filter(|(_, writer)| !own(writer));
                let others: Vec<&[u8]> = others.map(|(key, _)| &**key).collect();
                if !others.is_empty() {
                    send(server, client, Some(array(others.into_iter())), outbox);
                }
            }
        }
        changed.clear();
    }
}

/// Tells readers of a key that it changed.
fn tell(server: &Server, readers: &Readers, key: &[u8], writer: u64, outbox: &mut Outbox) {
    let keys = array(std::iter::once(key));
    for id in readers {
        let Some(client) = server.clients.get(*id) else {
            continue;
        };
        let flags = TrackingFlags::of(&client);
        let in_table = flags & (TrackingFlags::ON | TrackingFlags::BCAST) == TrackingFlags::ON;
        if in_table && !(flags.contains(TrackingFlags::NOLOOP) && *id == writer) {
            send(server, &client, Some(keys.clone()), outbox);
        }
    }
}

/// Sends a notice to a client, or to whom it wants it to go.
fn send(server: &Server, client: &Arc<ClientInfo>, keys: Option<Bytes>, outbox: &mut Outbox) {
    let redirect = client.redirect.load(Ordering::Relaxed);
    if redirect == 0 {
        let redirected = false;
        outbox.post(server, client, Mail::Invalid { keys, redirected });
        return;
    }
    let redirected = true;
    match server.clients.get(redirect) {
        Some(other) => outbox.post(server, &other, Mail::Invalid { keys, redirected }),
        None => {
            let broken = TrackingFlags::BROKEN_REDIRECT.bits();
            client.tracking.fetch_or(broken, Ordering::Relaxed);
            outbox.post(server, client, Mail::RedirectionBroken(redirect));
        }
    }
}

fn array<'k>(keys: impl Iterator<Item = &'k [u8]> + Clone) -> Bytes {
    let mut out = Vec::new();
    encode_header(&mut out, b'*', keys.clone().count());
    keys.for_each(|key| encode_bulk(&mut out, key));
    Bytes::from(out)
}
