//! What command handlers see of the keyspace.
//!
//! A [`ReadContext`] cannot change anything; a [`WriteContext`] changes keys through methods
//! that keep expiry, snapshots and watchers right. Both hide what has logically expired. On
//! a node that may write, meeting an expired key also deletes it, and that deletion is part
//! of the effect.

use super::blocking::BlockSpec;
use super::effect::EffectBuf;
use super::events::KeyEvent;
use super::hash_cache::HashCache;
use super::view::{StringRef, as_hash, as_list, as_set, as_sorted_set, as_stream, as_string};
use crate::config::NotifyClass;
use crate::hash::hash;
use crate::keyspace::{
    DbIndex, Entry, EntryRef, Functions, Inline, Kind, Locked, Object, Payload, ValueRef,
    WatchFlag, shard_of,
};
use crate::protocol::WireError;
use crate::rdb::Target;
use crate::time::UnixMs;
use crate::values::hash::HashRef;
use crate::values::list::ListRef;
use crate::values::set::SetRef;
use crate::values::sorted_set::SortedSetRef;
use crate::values::stream::Stream;
use crate::values::table::Slot;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// What handlers need to know of the configuration and the node; a copy per batch.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `proto-max-bulk-len` in bytes.
    pub max_bulk: u64,
    /// `hash-max-listpack-entries`.
    pub hash_max_entries: usize,
    /// `hash-max-listpack-value` in bytes.
    pub hash_max_value: usize,
    /// `list-max-listpack-size`: elements, or by -1 to -5 the size class.
    pub list_max_listpack_size: i32,
    /// `set-max-intset-entries`.
    pub set_max_intset_entries: usize,
    /// `set-max-listpack-entries`.
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value` in bytes.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value` in bytes.
    pub zset_max_listpack_value: usize,
    /// `stream-node-max-bytes`; 0 for no limit.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`; 0 for no limit.
    pub stream_node_max_entries: usize,
    /// `hll-sparse-max-bytes`.
    pub hll_sparse_max_bytes: usize,
    /// `notify-keyspace-events`: which events somebody may want to hear of.
    pub notify: NotifyClass,
    /// How `DUMP` writes values.
    pub rdb: Target,
    /// Whether the clock bits hold LFU counters and not access times.
    pub lfu: bool,
    /// `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time` in minutes.
    pub lfu_decay_minutes: u32,
    /// The number of databases.
    pub databases: u32,
    /// How long a command may take, in microseconds, before anybody wants to know: the lower
    /// of the slow log's and the latency monitor's thresholds.
    pub slow_from_us: Option<u64>,
    /// `latency-tracking`.
    pub tracks_latency: bool,
    /// Bytes of a request, from which on it is noted.
    pub large_request_from: usize,
    /// The same for a reply.
    pub large_reply_from: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_bulk: 512 << 20,
            hash_max_entries: 512,
            hash_max_value: 64,
            list_max_listpack_size: -2,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            hll_sparse_max_bytes: 3000,
            notify: NotifyClass::empty(),
            rdb: Target {
                version: 11,
                compress: true,
            },
            lfu: false,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
            databases: 16,
            slow_from_us: None,
            tracks_latency: true,
            large_request_from: usize::MAX,
            large_reply_from: usize::MAX,
        }
    }
}

/// Who runs the command, as far as handlers may care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this server.
    Client,
    /// The stream of the primary, or the append-only file: the effect is a fact already, and
    /// expired keys are as alive as the stream says.
    Log,
}

/// Expired keys that a read has met.
pub(super) type MetExpired = Vec<(DbIndex, Box<[u8]>, Met)>;

/// What of a key had expired when a read met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// The key.
    Key,
    /// A field of the hash.
    Field(Box<[u8]>),
    /// Fields of the hash.
    Fields,
}

/// What a read command sees.
pub struct ReadContext<'a> {
    pub(super) locked: &'a Locked<'static>,
    pub(super) functions: &'a Functions,
    pub(super) db: DbIndex,
    pub(super) now: UnixMs,
    pub(super) settings: &'a Settings,
    pub(super) hashes: &'a HashCache,
    /// Whether expired keys are deleted (on a writable primary) or only hidden.
    pub(super) may_expire: bool,
    /// Whether an access leaves a trace (`CLIENT NO-TOUCH`).
    pub(super) touches: bool,
    /// Expired keys that were met; the executor deletes them.
    pub(super) met_expired: &'a RefCell<MetExpired>,
    /// Keyspace events that somebody may want to hear of.
    pub(super) events: &'a RefCell<Vec<KeyEvent>>,
    pub(super) hits: Cell<(u64, u64)>,
}

impl<'a> ReadContext<'a> {
    /// The time of the batch.
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// The client's database.
    pub fn db(&self) -> DbIndex {
        self.db
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        self.settings
    }

    /// The entry at `key`, counted as a hit or a miss and noted as used.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<EntryRef<'a>> {
        self.get_marking(key, self.touches)
    }

    /// The entry at `key`, noted as used even for a client that leaves no trace (`TOUCH`).
    pub fn get_touched(&self, key: &[u8]) -> Option<EntryRef<'a>> {
        self.get_marking(key, true)
    }

    #[inline]
    fn get_marking(&self, key: &[u8], touches: bool) -> Option<EntryRef<'a>> {
        let found = self.find(key);
        let (hits, misses) = self.hits.get();
        match found {
            Some((shard, slot)) => {
                self.hits.set((hits + 1, misses));
                let shard = self.locked.shard(self.db, shard);
                let entry = shard.entry(slot);
                if touches {
                    let clock = super::clock::accessed(entry.clock(), self.now, self.settings);
                    if clock != entry.clock() {
                        shard.set_clock(slot, clock);
                    }
                }
                Some(entry)
            }
            None => {
                self.hits.set((hits, misses + 1));
                self.notify_miss(key);
                None
            }
        }
    }

    /// The entry at `key` without any trace (`OBJECT`).
    pub fn peek(&self, key: &[u8]) -> Option<EntryRef<'a>> {
        self.find(key)
            .map(|(shard, slot)| self.locked.shard(self.db, shard).entry(slot))
    }

    /// The entry at `key`, counted as a hit or a miss but not noted as used (`EXISTS`,
    /// `TTL`, `TYPE`).
    pub fn look(&self, key: &[u8]) -> Option<EntryRef<'a>> {
        let entry = self.peek(key);
        let (hits, misses) = self.hits.get();
        self.hits.set(match entry {
            Some(_) => (hits + 1, misses),
            None => (hits, misses + 1),
        });
        if entry.is_none() {
            self.notify_miss(key);
        }
        entry
    }

    /// The string at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    #[inline]
    pub fn string(&self, key: &[u8]) -> Result<Option<StringRef<'a>>, WireError> {
        self.get(key)
            .map(|entry| as_string(entry.value()))
            .transpose()
    }

    /// The hash at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> Result<Option<HashRef<'a>>, WireError> {
        self.get(key)
            .map(|entry| as_hash(entry.value()))
            .transpose()
    }

    /// The list at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn list(&self, key: &[u8]) -> Result<Option<ListRef<'a>>, WireError> {
        self.get(key)
            .map(|entry| as_list(entry.value()))
            .transpose()
    }

    /// The set at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn set(&self, key: &[u8]) -> Result<Option<SetRef<'a>>, WireError> {
        self.get(key).map(|entry| as_set(entry.value())).transpose()
    }

    /// The sorted set at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn sorted_set(&self, key: &[u8]) -> Result<Option<SortedSetRef<'a>>, WireError> {
        self.get(key)
            .map(|entry| as_sorted_set(entry.value()))
            .transpose()
    }

    /// The stream at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn stream(&self, key: &[u8]) -> Result<Option<&'a Stream>, WireError> {
        self.get(key)
            .map(|entry| as_stream(entry.value()))
            .transpose()
    }

    /// Says that keys follow which are no arguments: keys are told apart by where they lie,
    /// and one that is made up may lie where another has lain.
    pub fn made_up_key(&self) {
        self.hashes.clear();
    }

    /// Whether expired keys and fields are deleted here, or only hidden.
    pub fn may_expire(&self) -> bool {
        self.may_expire
    }

    /// All locked shards with their databases; for commands that look at whole databases.
    pub fn locked(&self) -> &'a Locked<'static> {
        self.locked
    }

    /// Whether the entry has logically expired.
    pub fn is_expired(&self, entry: EntryRef<'_>) -> bool {
        entry.expiry().is_some_and(|at| at <= self.now)
    }

    /// Notes an expired key that a scan met, so that it is deleted.
    pub fn met_expired(&self, key: &[u8]) {
        if self.may_expire {
            let met = (self.db, key.into(), Met::Key);
            let mut all = self.met_expired.borrow_mut();
            if !all.contains(&met) {
                all.push(met);
                self.notify_expired(key);
            }
        }
    }

    /// Says that a field of a hash was asked for and not found: if it has expired, it is
    /// deleted.
    #[inline]
    pub fn missed_field(&self, key: &[u8], hash: HashRef<'_>, field: &[u8]) {
        let due = hash.min_expiry().is_some_and(|at| at <= self.now);
        if due && self.may_expire && hash.find(field).is_some_and(|f| !f.is_live(self.now)) {
            let met = (self.db, key.into(), Met::Field(field.into()));
            self.met_expired.borrow_mut().push(met);
        }
    }

    /// Says that all fields of a hash were looked at: those that have expired are deleted.
    pub fn looked_at_fields(&self, key: &[u8], hash: HashRef<'_>) {
        if self.may_expire && hash.min_expiry().is_some_and(|at| at <= self.now) {
            let met = (self.db, key.into(), Met::Fields);
            self.met_expired.borrow_mut().push(met);
        }
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Option<(usize, Slot)> {
        let hash = self.hashes.hash(key);
        let index = shard_of(hash);
        let shard = self.locked.shard(self.db, index);
        let slot = shard.find(hash, key)?;
        if let Some(at) = shard.entry(slot).expiry()
            && at <= self.now
        {
            self.met_expired(key);
            return None;
        }
        Some((index, slot))
    }
}

/// A key found by a [`WriteContext`]; it holds until the next change to another key.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    db: DbIndex,
    shard: usize,
    hash: u64,
    slot: Slot,
}

/// What becomes of the expiry when a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It stays as it is.
    Keep,
    /// It goes.
    Clear,
    /// It is set to this time.
    At(UnixMs),
}

/// What a write command sees.
pub struct WriteContext<'a> {
    pub(super) locked: &'a mut Locked<'static>,
    pub(super) functions: &'a Functions,
    pub(super) db: DbIndex,
    pub(super) now: UnixMs,
    pub(super) settings: &'a Settings,
    pub(super) hashes: &'a HashCache,
    pub(super) effects: &'a mut EffectBuf,
    pub(super) origin: Origin,
    /// Whether expired keys are deleted (on a writable primary) or only hidden.
    pub(super) may_expire: bool,
    pub(super) touches: bool,
    pub(super) hits: (u64, u64),
    pub(super) expired: u64,
    pub(super) expired_fields: u64,
    /// Values to be freed by another thread.
    pub(super) garbage: &'a mut Vec<Garbage>,
    /// Keyspace events that somebody may want to hear of.
    pub(super) events: &'a mut Vec<KeyEvent>,
    /// Whether the command may wait for a key.
    pub(super) may_block: bool,
    /// What it waits for.
    pub(super) blocks: &'a mut Option<Box<BlockSpec>>,
    /// Set when a database is emptied.
    pub(super) flushed: &'a mut super::notify::Flushed,
}

/// Something large that is freed outside the locks, on a thread of its own.
pub type Garbage = Box<dyn Send>;

impl<'a> WriteContext<'a> {
    /// The time of the batch.
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// The client's database.
    pub fn db(&self) -> DbIndex {
        self.db
    }

    /// The settings.
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// Says that keys follow which are no arguments: keys are told apart by where they lie,
    /// and one that is made up may lie where another has lain.
    pub fn made_up_key(&self) {
        self.hashes.clear();
    }

    /// Whether expired keys and fields are deleted here, or only hidden.
    pub fn may_expire(&self) -> bool {
        self.may_expire
    }

    /// Who runs the command.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// All locked shards.
    pub fn locked(&mut self) -> &mut Locked<'static> {
        self.locked
    }

    /// Begins a command of the effect, in the client's database.
    pub fn effect(&mut self, argc: usize) -> &mut EffectBuf {
        self.effects.command(self.db, argc)
    }

    /// Says that the effect tells of fields of hashes that expire, for which old servers have
    /// no commands.
    pub fn effects_tell_of_field_expiry(&mut self) {
        self.effects.fields_expire();
    }

    /// Begins a command of the effect, in another database.
    pub fn effect_in(&mut self, db: DbIndex, argc: usize) -> &mut EffectBuf {
        self.effects.command(db, argc)
    }

    /// Where `key` is in the client's database. An expired key is deleted and not found.
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Option<Found> {
        self.find_in(self.db, key)
    }

    /// Where `key` is in `db`, whose shard must be locked.
    pub fn find_in(&mut self, db: DbIndex, key: &[u8]) -> Option<Found> {
        let hash = self.hashes.hash(key);
        let index = shard_of(hash);
        let shard = self.locked.shard(db, index);
        let slot = shard.find(hash, key)?;
        let found = Found {
            db,
            shard: index,
            hash,
            slot,
        };
        if let Some(at) = shard.entry(slot).expiry()
            && at <= self.now
            && self.origin == Origin::Client
        {
            if self.may_expire {
                self.remove(found);
                self.effects.command(db, 2).arg(b"DEL").arg(key);
                self.notify_in(db, NotifyClass::EXPIRED, "expired", key);
                self.expired += 1;
            }
            return None;
        }
        Some(found)
    }

    /// Like [`WriteContext::find`], counted as a hit or a miss and noted as used.
    #[inline]
    pub fn find_used(&mut self, key: &[u8]) -> Option<Found> {
        let found = self.find(key);
        match found {
            Some(found) => {
                self.hits.0 += 1;
                self.mark_used(found);
            }
            None => {
                self.hits.1 += 1;
                self.notify(NotifyClass::KEY_MISS, "keymiss", key);
            }
        }
        found
    }

    /// Like [`WriteContext::find`], noted as used. What is looked up to be changed counts
    /// neither as a hit nor as a miss.
    pub fn find_to_write(&mut self, key: &[u8]) -> Option<Found> {
        let found = self.find(key)?;
        self.mark_used(found);
        Some(found)
    }

    /// Updates the entry's LRU or LFU clock as an access does.
    pub fn mark_used(&mut self, found: Found) {
        let shard = self.locked.shard(found.db, found.shard);
        let clock = shard.entry(found.slot).clock();
        let used = super::clock::accessed(clock, self.now, self.settings);
        if self.touches && used != clock {
            shard.set_clock(found.slot, used);
        }
    }

    /// The entry that was found.
    #[inline]
    pub fn entry(&self, found: Found) -> EntryRef<'_> {
        self.locked.shard(found.db, found.shard).entry(found.slot)
    }

    /// The entry at `key`, noted as used.
    pub fn get(&mut self, key: &[u8]) -> Option<EntryRef<'_>> {
        let found = self.find_used(key)?;
        Some(self.entry(found))
    }

    /// The string at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn string(&mut self, key: &[u8]) -> Result<Option<StringRef<'_>>, WireError> {
        self.get(key)
            .map(|entry| as_string(entry.value()))
            .transpose()
    }

    /// The hash at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn hash(&mut self, key: &[u8]) -> Result<Option<HashRef<'_>>, WireError> {
        self.get(key)
            .map(|entry| as_hash(entry.value()))
            .transpose()
    }

    /// The string of a key that was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn string_of(&self, found: Found) -> Result<StringRef<'_>, WireError> {
        as_string(self.entry(found).value())
    }

    /// The hash of a key that was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn hash_of(&self, found: Found) -> Result<HashRef<'_>, WireError> {
        as_hash(self.entry(found).value())
    }

    /// The list at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn list(&mut self, key: &[u8]) -> Result<Option<ListRef<'_>>, WireError> {
        self.get(key)
            .map(|entry| as_list(entry.value()))
            .transpose()
    }

    /// The set at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn set(&mut self, key: &[u8]) -> Result<Option<SetRef<'_>>, WireError> {
        self.get(key).map(|entry| as_set(entry.value())).transpose()
    }

    /// The sorted set at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn sorted_set(&mut self, key: &[u8]) -> Result<Option<SortedSetRef<'_>>, WireError> {
        self.get(key)
            .map(|entry| as_sorted_set(entry.value()))
            .transpose()
    }

    /// The stream at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn stream(&mut self, key: &[u8]) -> Result<Option<&Stream>, WireError> {
        self.get(key)
            .map(|entry| as_stream(entry.value()))
            .transpose()
    }

    /// The list of a key that was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn list_of(&self, found: Found) -> Result<ListRef<'_>, WireError> {
        as_list(self.entry(found).value())
    }

    /// The set of a key that was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn set_of(&self, found: Found) -> Result<SetRef<'_>, WireError> {
        as_set(self.entry(found).value())
    }

    /// The sorted set of a key that was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn sorted_set_of(&self, found: Found) -> Result<SortedSetRef<'_>, WireError> {
        as_sorted_set(self.entry(found).value())
    }

    /// The stream of a key that was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub fn stream_of(&self, found: Found) -> Result<&Stream, WireError> {
        as_stream(self.entry(found).value())
    }

    /// Sets `key` to a string, whatever it held.
    pub fn set_string(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        self.put(key, string_payload(value), expiry);
    }

    /// Sets `key` to a value, whatever it held.
    pub fn put(&mut self, key: &[u8], payload: Payload<'_>, expiry: Expiry) {
        match self.find_for_overwrite(key) {
            Some(found) => {
                self.notify_overwritten(found, key, &payload);
                self.replace(found, payload, expiry);
            }
            None => {
                let at = match expiry {
                    Expiry::At(at) => Some(at),
                    Expiry::Keep | Expiry::Clear => None,
                };
                self.insert(self.db, key, at, payload);
            }
        }
    }

    /// Adds a key that is not there.
    pub fn insert(
        &mut self,
        db: DbIndex,
        key: &[u8],
        expiry: Option<UnixMs>,
        payload: Payload<'_>,
    ) {
        self.put_in(db, key, expiry, payload);
        self.notify_in(db, NotifyClass::NEW, "new", key);
    }

    fn put_in(&mut self, db: DbIndex, key: &[u8], expiry: Option<UnixMs>, payload: Payload<'_>) {
        let hash = self.hashes.hash(key);
        let (now, settings) = (self.now, self.settings);
        let mut entry = Entry::new(key, expiry, payload);
        entry.set_clock(super::clock::created(now, settings));
        self.drop_hidden(db, hash, key);
        let shard = self.locked.shard_mut(db, shard_of(hash));
        shard.insert_entry(hash, entry, now);
    }

    /// Where expired keys are only hidden, one may lie in the place of a key that was not
    /// found: it must go before another of its name comes.
    #[inline]
    fn drop_hidden(&mut self, db: DbIndex, hash: u64, key: &[u8]) {
        if self.may_expire || self.origin == Origin::Log {
            return;
        }
        let shard = self.locked.shard_mut(db, shard_of(hash));
        if let Some(slot) = shard.find(hash, key)
            && let Some(hidden) = shard.remove(slot)
        {
            self.garbage.push(Box::new(hidden));
        }
    }

    /// Puts an entry whose key is not there into a database.
    pub fn insert_entry(&mut self, db: DbIndex, entry: Entry) {
        let hash = hash(entry.view().key());
        self.drop_hidden(db, hash, entry.view().key());
        self.notify_in(db, NotifyClass::NEW, "new", entry.view().key());
        let shard = self.locked.shard_mut(db, shard_of(hash));
        shard.insert_entry(hash, entry, self.now);
    }

    /// Gives a key that was found a new value.
    pub fn replace(&mut self, found: Found, payload: Payload<'_>, expiry: Expiry) {
        let old = self.entry(found);
        if is_costly(old) {
            // The old object is large: take the entry out, so that it is freed elsewhere.
            let key: Box<[u8]> = old.key().into();
            let old_expiry = old.expiry();
            self.remove(found);
            let at = match expiry {
                Expiry::Keep => old_expiry,
                Expiry::Clear => None,
                Expiry::At(at) => Some(at),
            };
            self.put_in(found.db, &key, at, payload);
            // The key's copy is freed here: its address says nothing from now on.
            self.hashes.clear();
            return;
        }
        self.mark_used(found);
        let now = self.now;
        let shard = self.locked.shard_mut(found.db, found.shard);
        shard.set_payload(found.slot, payload);
        match expiry {
            Expiry::Keep => {}
            Expiry::Clear => shard.set_expiry(found.slot, found.hash, None, now),
            Expiry::At(at) => shard.set_expiry(found.slot, found.hash, Some(at), now),
        }
    }

    /// Stores the same value of a key that was found in another encoding. No watcher hears of
    /// it.
    pub fn recode(&mut self, found: Found, payload: Payload<'_>) {
        self.locked
            .shard_mut(found.db, found.shard)
            .recode(found.slot, payload);
    }

    /// Sets or clears the expiry of a key that was found.
    pub fn set_expiry(&mut self, found: Found, expiry: Option<UnixMs>) {
        let now = self.now;
        let shard = self.locked.shard_mut(found.db, found.shard);
        shard.set_expiry(found.slot, found.hash, expiry, now);
    }

    /// Sets the integer of a key whose entry is of kind `Int`; the cheapest write there is.
    pub fn set_int(&mut self, found: Found, n: i64) {
        debug_assert_eq!(self.entry(found).kind(), Kind::Int);
        self.locked
            .shard_mut(found.db, found.shard)
            .set_int(found.slot, n);
    }

    /// Deletes a key that was found. A costly value is freed on another thread.
    pub fn remove(&mut self, found: Found) {
        let entry = self
            .locked
            .shard_mut(found.db, found.shard)
            .remove(found.slot);
        if let Some(entry) = entry
            && is_costly(entry.view())
        {
            self.garbage.push(Box::new(entry));
        }
    }

    /// Takes a key out whole, to be put elsewhere (`RENAME`, `MOVE`).
    pub fn take(&mut self, found: Found) -> Entry {
        self.locked
            .shard_mut(found.db, found.shard)
            .take(found.slot)
    }

    /// Deletes `key`; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        match self.find(key) {
            Some(found) => {
                self.remove(found);
                true
            }
            None => false,
        }
    }

    /// Tells the watchers of a key that it changed, where no other method has.
    pub fn touch(&mut self, db: DbIndex, key: &[u8]) {
        let hash = self.hashes.hash(key);
        self.locked.shard(db, shard_of(hash)).touch(key);
    }

    /// The inline bytes of a key that was found, to edit in place.
    pub fn inline(&mut self, found: Found) -> Inline<'_> {
        self.locked
            .shard_mut(found.db, found.shard)
            .inline(found.slot)
    }

    /// Marks a key that was found as being of another inline kind.
    pub fn set_kind(&mut self, found: Found, kind: Kind) {
        self.locked
            .shard_mut(found.db, found.shard)
            .set_kind(found.slot, kind);
    }

    /// The object of a key that was found, to change; `None` for another kind.
    pub fn object<T: Object>(&mut self, found: Found) -> Option<&mut T> {
        self.locked
            .shard_mut(found.db, found.shard)
            .object(found.slot)
    }

    /// The large string of a key that was found; `None` for another kind.
    pub fn shared_string(&mut self, found: Found) -> Option<&mut Vec<u8>> {
        self.locked
            .shard_mut(found.db, found.shard)
            .shared_string(found.slot)
    }

    /// Says that a field of the hash expires at `due`, so that active expiry looks then.
    pub fn hint_expiry(&mut self, found: Found, due: UnixMs) {
        let now = self.now;
        self.locked
            .shard_mut(found.db, found.shard)
            .hint(found.hash, due, now);
    }

    /// Counts hash fields that were deleted because they had expired.
    pub fn count_expired_fields(&mut self, fields: u64) {
        self.expired_fields += fields;
    }

    /// Gives something large to the thread that frees.
    pub fn free_later(&mut self, garbage: impl Send + 'static) {
        self.garbage.push(Box::new(garbage));
    }

    /// Watches a key for a transaction.
    pub fn watch(&mut self, db: DbIndex, key: &[u8], flag: WatchFlag) {
        let hash = self.hashes.hash(key);
        self.locked.shard_mut(db, shard_of(hash)).watch(key, flag);
    }

    /// Finds a key that is about to be overwritten: an expired one needs no deletion of its
    /// own in the effect.
    fn find_for_overwrite(&mut self, key: &[u8]) -> Option<Found> {
        let hash = self.hashes.hash(key);
        let shard = shard_of(hash);
        let slot = self.locked.shard(self.db, shard).find(hash, key)?;
        Some(Found {
            db: self.db,
            shard,
            hash,
            slot,
        })
    }
}

/// How a string is best stored.
pub fn string_payload(value: &[u8]) -> Payload<'_> {
    if value.len() <= 20
        && let Some(n) = crate::number::parse_i64(value)
    {
        return Payload::Int(n);
    }
    if value.len() <= INLINE_STRING {
        Payload::Inline(Kind::Str, value)
    } else {
        Payload::Shared(Arc::new(value.to_vec()))
    }
}

/// Whether freeing the entry takes long enough to be done elsewhere.
fn is_costly(entry: EntryRef<'_>) -> bool {
    match entry.value() {
        ValueRef::HashTable(table) => table.len() > 64,
        ValueRef::List(list) => list.len() > 64,
        ValueRef::SetTable(set) => set.len() > 64,
        ValueRef::SortedSet(set) => set.len() > 64,
        ValueRef::Stream(stream) => stream.is_costly(),
        ValueRef::Shared(value) => value.len() > 1 << 20,
        _ => false,
    }
}

/// The longest string that is stored inside its entry, in bytes.
pub const INLINE_STRING: usize = 8 * 1024;
