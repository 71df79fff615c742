//! Locks, handler, effect: the core of every data command.

use super::blocking::{self, BlockSpec};
use super::context::{Garbage, Met, MetExpired, Origin, ReadContext, Settings, WriteContext};
use super::dispatch::Gates;
use super::effect::{Effect, EffectBuf};
use super::events::{self, KeyEvent};
use super::hash_cache::HashCache;
use super::notify::Flushed;
use crate::commands;
use crate::commands::handler::{Handler, ReadFn, Scope, WriteFn};
use crate::commands::key_positions;
use crate::commands::spec::CommandSpec;
use crate::keyspace::{DbIndex, Keyspace, Locked, shard_of};
use crate::protocol::{Args, Reply, WireError};
use crate::pubsub::{Broadcast, Outbox};
use crate::server::Server;
use crate::time::UnixMs;
use std::cell::{Cell, RefCell};

/// Buffers that a worker reuses from command to command.
#[derive(Default)]
pub struct Scratch {
    pub(super) effects: EffectBuf,
    pub(super) hashes: HashCache,
    pub(super) expired: RefCell<MetExpired>,
    pub(super) garbage: Vec<Garbage>,
    /// Keyspace events of the command.
    pub(super) events: RefCell<Vec<KeyEvent>>,
    /// Whether the command has emptied a database.
    pub(super) flushed: Flushed,
    /// Whether all databases were emptied, of which the dump file must hear.
    pub(super) emptied: bool,
    pub(super) places: Vec<(DbIndex, usize)>,
    /// What the command waits for.
    pub(super) blocks: Option<Box<BlockSpec>>,
    /// Keys that are ready and could not be served under the locks that were held.
    pub(super) deferred: Vec<(DbIndex, Box<[u8]>)>,
    /// The client whose commands run; 0 for none.
    pub(super) client: u64,
    /// Who has got mail.
    pub(super) outbox: Outbox,
    /// Changed keys that are yet to be broadcast to those who cache keys.
    pub(super) broadcast: Broadcast,
}

impl Scratch {
    /// Says whose commands run from now on; 0 for nobody's.
    pub fn serve(&mut self, client: u64) {
        self.client = client;
    }

    /// Sends what the commands of a batch had for other clients. No shard may be locked by
    /// this thread.
    #[inline]
    pub fn send_mail(&mut self, server: &Server) {
        if !self.broadcast.is_empty() {
            server
                .tracking
                .broadcast(server, &mut self.broadcast, &mut self.outbox);
        }
        self.outbox.flush(server);
    }

    /// Takes over what another's commands had for other clients.
    pub(super) fn take_mail_of(&mut self, other: &mut Scratch) {
        self.outbox.append(&mut other.outbox);
        self.broadcast.append(&mut other.broadcast);
    }

    /// Tells the hash of a request's only key, if the connection has computed it already.
    #[inline]
    pub fn expect_key(&mut self, args: Args<'_>, hash: Option<u64>) {
        self.hashes.expect(args, hash);
    }
}

/// What a data command has to know about its surroundings.
pub(super) struct Frame<'a> {
    pub server: &'static Server,
    pub settings: &'a Settings,
    pub db: DbIndex,
    pub now: UnixMs,
    pub origin: Origin,
    pub touches: bool,
    /// Read from the gates when the shards are locked: see [`may_expire`].
    pub may_expire: bool,
    /// Whether the command may wait for a key: not inside transactions and scripts.
    pub may_block: bool,
}

/// Whether this node deletes expired keys by itself: it decides the order of writes, and a
/// write would be accepted now. Asked while shards are locked: a change of role sets its gate
/// first and then takes every lock once, so nobody who asks later misses it.
#[inline]
pub(super) fn may_expire(server: &Server) -> bool {
    server.gates.load() & HIDDEN_ONLY == 0
}

/// Whether this node may take keys away because memory is full: what keeps it from deleting
/// expired keys keeps it from that too, but a replica may be told to look after its memory
/// itself. Its log does not hear of that.
pub(super) fn may_evict(server: &Server) -> bool {
    match server.gates.load() & HIDDEN_ONLY {
        0 => true,
        Gates::REPLICA => !server.config.current().replica_ignore_maxmemory,
        _ => false,
    }
}

/// Conditions under which this node does not delete on its own.
const HIDDEN_ONLY: u32 = Gates::REPLICA
    | Gates::NO_REPLICAS
    | Gates::TOO_FEW_REPLICAS
    | Gates::LOADING
    | Gates::PAUSED
    | Gates::PAUSED_WRITES
    | Gates::FILE_ERROR;

/// What a data command leaves for its reply.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// The newest write that the reply depends on; 0 for none.
    pub offset: u64,
    /// Whether the command itself wrote.
    pub wrote: bool,
    /// Whether the error that it ended with was counted when a command of its own ended so.
    pub error_is_counted: bool,
}

/// Locks what a command needs; `None` if a script holds it for too long.
#[inline]
pub(super) fn lock(
    server: &'static Server,
    spec: &CommandSpec,
    args: Args<'_>,
    db: DbIndex,
    scratch: &mut Scratch,
) -> Option<Locked<'static>> {
    let keyspace = &server.keyspace;
    let give_up = || server.scripts.is_slow();
    scratch.hashes.clear();
    let locked = if spec.scope == Scope::Keys
        && let Some(key) = key_positions::only_key(spec, args)
    {
        let shard = shard_of(scratch.hashes.hash_only_key(key));
        Locked::one_unless(keyspace, db, shard, give_up)
    } else {
        scratch.places.clear();
        places(keyspace, spec, args, db, &mut scratch.places);
        Locked::several_unless(keyspace, &mut scratch.places, give_up)
    }?;
    if locked.any_waiters() && matches!(spec.handler, Handler::Write(_)) {
        return blocking::close_over(server, spec, args, db, locked);
    }
    Some(locked)
}

/// The shards that a command needs.
pub(super) fn places(
    keyspace: &Keyspace,
    spec: &CommandSpec,
    args: Args<'_>,
    db: DbIndex,
    places: &mut Vec<(DbIndex, usize)>,
) {
    let all = 0..crate::keyspace::SHARDS;
    match spec.scope {
        Scope::Keys => {
            // Arguments in which no key can be found are the handler's to refuse; it will
            // not touch any key.
            key_positions::for_each_key(spec, args, |key| {
                places.push((db, shard_of(crate::hash::hash(key))));
            });
        }
        Scope::KeysAnywhere => {
            key_positions::for_each_key(spec, args, |key| {
                let shard = shard_of(crate::hash::hash(key));
                let dbs = 0..keyspace.databases();
                places.extend(dbs.map(|db| (DbIndex(db), shard)));
            });
        }
        Scope::Database => places.extend(all.map(|s| (db, s))),
        Scope::Keyspace => {
            keyspace.make_all();
            for db in 0..keyspace.databases() {
                places.extend(all.clone().map(|s| (DbIndex(db), s)));
            }
        }
    }
}

/// Locks the shards of some keys; `places` is empty, before and afterwards.
pub(super) fn lock_keys(
    keyspace: &'static Keyspace,
    db: DbIndex,
    keys: Args<'_>,
    places: &mut Vec<(DbIndex, usize)>,
) -> Locked<'static> {
    let shard = |key: &[u8]| shard_of(crate::hash::hash(key));
    if keys.len() == 1 {
        return Locked::one(keyspace, db, shard(keys.at(0)));
    }
    places.extend(keys.iter().map(|key| (db, shard(key))));
    let locked = Locked::several(keyspace, places);
    places.clear();
    locked
}

/// Runs a read on locked shards.
#[inline]
pub(super) fn read(
    frame: &Frame<'_>,
    handler: ReadFn,
    args: Args<'_>,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let result = {
        let context = ReadContext {
            locked: &*locked,
            functions: &frame.server.keyspace.functions,
            db: frame.db,
            now: frame.now,
            settings: frame.settings,
            hashes: &scratch.hashes,
            may_expire: frame.may_expire,
            touches: frame.touches,
            met_expired: &scratch.expired,
            events: &scratch.events,
            hits: Cell::new((0, 0)),
        };
        let result = handler(&context, args, reply);
        let (hits, misses) = context.hits.get();
        frame.server.stats.count_lookups(hits, misses);
        result
    };
    if !scratch.expired.get_mut().is_empty() {
        delete_expired(frame, locked, scratch);
    }
    result
}

/// Runs a write on locked shards; its effect is added to `scratch.effects`, or is the
/// request itself.
#[inline]
pub(super) fn write(
    frame: &Frame<'_>,
    handler: WriteFn,
    args: Args<'_>,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let mut context = write_context(frame, locked, scratch);
    let result = handler(&mut context, args, reply);
    let (hits, expired) = (context.hits, context.expired);
    let expired_fields = context.expired_fields;
    frame.server.stats.count_lookups(hits.0, hits.1);
    if expired > 0 {
        frame.server.stats.count_expired(expired);
    }
    if expired_fields > 0 {
        frame.server.stats.count_expired_fields(expired_fields);
    }
    result
}

/// The view that a write handler gets.
pub(super) fn write_context<'a>(
    frame: &Frame<'a>,
    locked: &'a mut Locked<'static>,
    scratch: &'a mut Scratch,
) -> WriteContext<'a> {
    WriteContext {
        locked,
        functions: &frame.server.keyspace.functions,
        db: frame.db,
        now: frame.now,
        settings: frame.settings,
        hashes: &scratch.hashes,
        effects: &mut scratch.effects,
        origin: frame.origin,
        may_expire: frame.may_expire,
        touches: frame.touches,
        hits: (0, 0),
        expired: 0,
        expired_fields: 0,
        garbage: &mut scratch.garbage,
        events: scratch.events.get_mut(),
        may_block: frame.may_block,
        blocks: &mut scratch.blocks,
        flushed: &mut scratch.flushed,
    }
}

/// Deletes the expired keys and fields that a read has met; the deletions are effects.
fn delete_expired(frame: &Frame<'_>, locked: &mut Locked<'static>, scratch: &mut Scratch) {
    for (db, key, what) in std::mem::take(scratch.expired.get_mut()) {
        if what != Met::Key {
            scratch.hashes.clear();
            let mut context = write_context(frame, locked, scratch);
            context.db = db;
            match what {
                Met::Field(field) => commands::reap_field(&mut context, &key, &field),
                _ => commands::expire_one(&mut context, &key),
            }
            let fields = context.expired_fields;
            frame.server.stats.count_expired_fields(fields);
            scratch.hashes.clear();
            continue;
        }
        let hash = crate::hash::hash(&key);
        let shard = locked.shard_mut(db, shard_of(hash));
        let Some(slot) = shard.find(hash, &key) else {
            continue;
        };
        if shard.entry(slot).expiry().is_some_and(|at| at <= frame.now) {
            if let Some(entry) = shard.remove(slot) {
                scratch.garbage.push(Box::new(entry));
            }
            scratch.effects.command(db, 2).arg(b"DEL").arg(&key);
            frame.server.stats.count_expired(1);
        }
    }
}

/// Appends the effects gathered in `scratch` to the log and stamps the locked shards. Gives
/// the offset, or 0 when there was nothing.
pub(super) fn commit(
    frame: &Frame<'_>,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
) -> u64 {
    let Some(offset) = scratch.effects.append_to(&frame.server.log) else {
        tell(frame, locked, scratch, 0);
        return 0;
    };
    for (_, shard) in locked.shards_mut() {
        shard.last_write = offset;
    }
    frame.server.stats.count_changes(1);
    tell(frame, locked, scratch, offset);
    offset
}

/// Appends a request that is its own effect.
#[inline]
pub(super) fn commit_raw(
    frame: &Frame<'_>,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
    raw: &[u8],
) -> u64 {
    let offset = frame.server.log.append(frame.db, raw);
    for (_, shard) in locked.shards_mut() {
        shard.last_write = offset;
    }
    frame.server.stats.count_changes(1);
    tell(frame, locked, scratch, offset);
    offset
}

/// Tells those who listen of what was done to the locked shards: while they are locked, so
/// that nobody hears of two changes of a key in the wrong order. `offset` is that of the
/// write, 0 if nothing was written.
#[inline]
pub(super) fn tell(
    frame: &Frame<'_>,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
    offset: u64,
) {
    tell_trackers(frame.server, locked, scratch);
    if std::mem::take(&mut scratch.emptied) {
        // Of a transaction also what comes after it.
        frame.server.dump_file.after_flush(frame.server, locked);
    }
    if !scratch.events.get_mut().is_empty() {
        let shown = if offset > 0 { offset } else { newest(locked) };
        events::publish(frame, scratch, shown);
    }
}

/// Tells those who cache keys of what was done to the locked shards. Inside a transaction after
/// each command, so that what is read after a change is remembered beyond it.
#[inline]
pub(super) fn tell_trackers(
    server: &'static Server,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
) {
    // A flush that nobody cared for must not be told later.
    let flushed = std::mem::take(&mut scratch.flushed);
    if server.gates.has(Gates::TRACKING) {
        if flushed > Flushed::Nothing {
            server.tracking.flushed(server, &mut scratch.outbox);
        }
        events::invalidate(server, locked, scratch);
    }
    scratch.emptied |= flushed == Flushed::All;
}

/// The newest write to any of the locked shards.
#[inline]
pub(super) fn newest(locked: &Locked<'static>) -> u64 {
    locked
        .shards()
        .map(|(_, shard)| shard.last_write)
        .max()
        .unwrap_or(0)
}

/// Serves those who wait for what was changed under these locks, and lets the locks go.
#[inline]
pub(super) fn serve_and_unlock(
    frame: &Frame<'_>,
    mut locked: Locked<'static>,
    scratch: &mut Scratch,
) {
    blocking::serve(frame, &mut locked, scratch);
    drop(locked);
    if !scratch.deferred.is_empty() {
        blocking::serve_deferred(frame.server, frame.settings, scratch);
    }
}

/// Frees what a command has left, on the thread for that.
pub(super) fn free_garbage(server: &Server, scratch: &mut Scratch) {
    for garbage in scratch.garbage.drain(..) {
        server.free_later(garbage);
    }
}

/// Deletes keys and hash fields of one shard that are due at `now`, at most about `most`.
/// Gives how many were looked at. Deletions are effects like any other write.
pub fn expire_due(
    server: &'static Server,
    settings: &Settings,
    db: DbIndex,
    shard: usize,
    now: UnixMs,
    most: usize,
    scratch: &mut Scratch,
) -> usize {
    let mut locked = Locked::one(&server.keyspace, db, shard);
    if !may_expire(server) {
        return 0;
    }
    let frame = Frame {
        server,
        settings,
        db,
        now,
        origin: Origin::Client,
        touches: false,
        may_expire: true,
        may_block: false,
    };
    let due = locked.shard_mut(db, shard).take_due(now, most);
    let looked_at = due.len();
    for key in due {
        scratch.hashes.clear();
        let mut context = write_context(&frame, &mut locked, scratch);
        crate::commands::expire_one(&mut context, &key);
        let (expired, expired_fields) = (context.expired, context.expired_fields);
        server.stats.count_expired(expired);
        server.stats.count_expired_fields(expired_fields);
        let hash = crate::hash::hash(&key);
        locked.shard_mut(db, shard).look_again(hash, &key, now);
    }
    commit(&frame, &mut locked, scratch);
    serve_and_unlock(&frame, locked, scratch);
    scratch.send_mail(server);
    free_garbage(server, scratch);
    looked_at
}
