//! One shard: a part of a database's keys under one lock, and all that belongs to them.
//!
//! Every change of an entry goes through the methods here, because each must do three
//! things: hand the entry to a running snapshot before its first change, tell those who watch
//! the key or wait for it, and keep the expiry hints true.

mod pieces;

pub use pieces::{Given, Step};

use super::SHARD_BITS;
use super::database::DbIndex;
use super::entry::{Entry, EntryPtr, EntryRef, Kind, Object, Payload, Pieces, ValueRef};
use super::expiry::Hints;
use super::waiters::{Waiter, Waiters};
use crate::time::UnixMs;
use crate::values::SpliceBuf;
use crate::values::hash::HashRef;
use crate::values::table::{Item, Slot, Table};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Raised when a key that a client watches is touched.
pub type WatchFlag = Arc<AtomicBool>;

/// Takes an entry as it was when the snapshot began; or, if its value is large, gives a ticket
/// with which it is taken in pieces.
pub type PreImage = Arc<dyn Fn(DbIndex, EntryRef<'_>, HandedBy) -> Option<Ticket> + Send + Sync>;

/// Names a value that a snapshot takes in pieces; never the same twice.
pub type Ticket = u64;

/// Who hands an entry to a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedBy {
    /// The snapshot's own thread, by [`Shard::walk`].
    Walker,
    /// Whoever is about to change the entry.
    Writer,
}

/// A part of a database's keys.
pub struct Shard {
    table: Keys,
    /// Offset in the write log of the newest write to this shard.
    pub last_write: u64,
    volatile: usize,
    hints: Hints,
    db: DbIndex,
    epoch: u8,
    snapshot: Option<Walk>,
    /// Values that a snapshot takes in pieces, and where they are.
    frozen: Vec<pieces::Frozen>,
    watched: HashMap<Box<[u8]>, Vec<WatchFlag>>,
    waiters: Waiters,
    /// Whether anybody must hear of a change: a key is watched, or waited for.
    followed: bool,
    /// Whether keys that change are noted: those of all shards are, or none.
    notes_changes: Arc<AtomicBool>,
    /// Keys that changed since they were last taken.
    changed: RefCell<Vec<(u64, Box<[u8]>)>>,
}

type Keys = Table<Entry, SHARD_BITS>;

/// A snapshot's progress in this shard.
struct Walk {
    sink: PreImage,
    /// The number that the database of the shard's own keys had.
    db: DbIndex,
    cursor: u64,
    /// The keys of a database that was flushed or swapped away while the snapshot ran: they
    /// are walked here, with the number the database had.
    aside: Vec<(DbIndex, Keys, u64)>,
    /// Whether the shard's own table is done.
    own_done: bool,
}

impl Shard {
    pub(super) fn new(epoch: u8, db: DbIndex, notes_changes: Arc<AtomicBool>) -> Self {
        Shard {
            table: Table::new(),
            last_write: 0,
            volatile: 0,
            hints: Hints::default(),
            db,
            epoch,
            snapshot: None,
            frozen: Vec::new(),
            watched: HashMap::new(),
            waiters: Waiters::default(),
            followed: false,
            notes_changes,
            changed: RefCell::default(),
        }
    }

    /// How many keys there are, expired ones that nobody met included.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many keys have an expiry.
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// Where the key is.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Slot> {
        self.table.find(hash, key)
    }

    /// The entry at `slot`.
    #[inline]
    pub fn entry(&self, slot: Slot) -> EntryRef<'_> {
        // SAFETY: the slot's entry is live and borrowed with `self`.
        unsafe { EntryRef::of(self.table.get(slot)) }
    }

    /// The entry with this key.
    #[inline]
    pub fn lookup(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_>> {
        self.find(hash, key).map(|slot| self.entry(slot))
    }

    /// Starts to fetch what a lookup will read.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.table.prefetch(hash);
    }

    /// Starts to fetch the entry that a lookup will compare.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        self.table.prefetch_item(hash);
    }

    /// Visits entries from `cursor` on; see [`Table::scan`].
    pub fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(EntryRef<'a>),
    ) -> u64 {
        self.table.scan(cursor, count, |raw| {
            // SAFETY: the entry is live and the table borrowed.
            visit(unsafe { EntryRef::of(raw) });
        })
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = EntryRef<'_>> {
        // SAFETY: the entries are live and the table borrowed.
        self.table.iter().map(|raw| unsafe { EntryRef::of(raw) })
    }

    /// An entry drawn at random.
    pub fn random(&self) -> Option<EntryRef<'_>> {
        self.table
            .random(crate::random::next_u64)
            // SAFETY: the entry is live and the table borrowed.
            .map(|raw| unsafe { EntryRef::of(raw) })
    }

    /// Bytes of the table and the hints, entries aside.
    pub fn overhead_bytes(&self) -> usize {
        self.table.mem_bytes() + self.hints.mem_bytes()
    }

    // --- changes ---

    /// Adds a key that is not there.
    pub fn insert(
        &mut self,
        hash: u64,
        key: &[u8],
        expiry: Option<UnixMs>,
        now: UnixMs,
        payload: Payload<'_>,
    ) {
        let entry = Entry::new(key, expiry, payload);
        self.insert_entry(hash, entry, now);
    }

    /// Adds an entry whose key is not there.
    pub fn insert_entry(&mut self, hash: u64, entry: Entry, now: UnixMs) {
        let raw = entry.into_raw();
        EntryPtr(raw).set_epoch(self.epoch);
        // SAFETY: the entry has just been given up and is not in the table yet.
        let entry = unsafe { EntryRef::of(raw) };
        let (expiry, due) = (entry.expiry(), due(entry));
        self.touch(entry.key());
        if let Some(ticket) = entry.ticket() {
            self.frozen_at(ticket, entry.key());
        }
        if expiry.is_some() {
            self.volatile += 1;
        }
        if let Some(due) = due {
            self.hint(hash, due, now);
        }
        // SAFETY: `raw` came from `into_raw` just above.
        self.table.insert_new(hash, unsafe { Entry::from_raw(raw) });
    }

    /// Deletes a key. What is left of it is the caller's to free, unless a snapshot still has
    /// to take it.
    pub fn remove(&mut self, slot: Slot) -> Option<Entry> {
        let entry = self.take(slot);
        match entry.view().ticket() {
            Some(ticket) => {
                self.frozen_alone(ticket, entry);
                None
            }
            None => Some(entry),
        }
    }

    /// Takes a key out to put its value elsewhere, before the lock is released: a snapshot may
    /// be taking it in pieces.
    pub fn take(&mut self, slot: Slot) -> Entry {
        self.prepare(slot);
        let entry = self.table.remove(slot);
        if entry.view().expiry().is_some() {
            self.volatile -= 1;
        }
        if let Some(ticket) = entry.view().ticket() {
            self.frozen_gone(ticket);
        }
        entry
    }

    /// Stores the same value in another encoding: nothing that watchers should hear of.
    pub fn recode(&mut self, slot: Slot, payload: Payload<'_>) {
        let followed = std::mem::replace(&mut self.followed, false);
        let noted = self.changed.get_mut().len();
        self.set_payload(slot, payload);
        self.followed = followed;
        self.changed.get_mut().truncate(noted);
    }

    /// Gives the key a new value; the expiry stays.
    #[inline]
    pub fn set_payload(&mut self, slot: Slot, payload: Payload<'_>) {
        self.prepare(slot);
        if let Some(ticket) = self.entry(slot).ticket() {
            // A snapshot has still to take the old one.
            let old = EntryPtr(self.table.get(slot)).take_value(self.entry(slot).key());
            self.frozen_gone(ticket);
            self.frozen_alone(ticket, old);
        }
        self.edit_prepared(slot, |entry| entry.set_payload(payload));
    }

    /// Changes the integer of an entry of kind `Int`.
    #[inline]
    pub fn set_int(&mut self, slot: Slot, n: i64) {
        self.edit(slot, |entry| entry.set_int(n));
    }

    /// Sets or clears the key's expiry.
    pub fn set_expiry(&mut self, slot: Slot, hash: u64, expiry: Option<UnixMs>, now: UnixMs) {
        let old = self.entry(slot).expiry();
        if old.is_none() && expiry.is_none() {
            self.prepare(slot);
            return;
        }
        self.edit(slot, |entry| entry.set_expiry(expiry));
        self.volatile = self.volatile + usize::from(expiry.is_some()) - usize::from(old.is_some());
        if let Some(at) = expiry
            && old.is_none_or(|old| at < old)
        {
            self.hint(hash, at, now);
        }
    }

    /// The inline bytes of an entry, to edit in place as `kind`.
    pub fn inline(&mut self, slot: Slot) -> Inline<'_> {
        self.prepare(slot);
        Inline { shard: self, slot }
    }

    /// Marks an inline entry as being of another inline kind. Its bytes stay as they are, so
    /// that neither watchers nor a snapshot need to know.
    pub fn set_kind(&mut self, slot: Slot, kind: Kind) {
        EntryPtr(self.table.get(slot)).set_kind(kind);
    }

    /// The object at `slot`, to change; `None` for another kind.
    pub fn object<T: Object>(&mut self, slot: Slot) -> Option<&mut T> {
        self.prepare(slot);
        self.object_prepared(slot)
    }

    /// The same for a change that watchers do not count as one; those who wait for the key look.
    pub fn object_quietly<T: Object>(&mut self, slot: Slot) -> Option<&mut T> {
        self.hand_over(slot);
        if self.followed {
            self.waiters.note(self.entry(slot).key());
        }
        self.object_prepared(slot)
    }

    fn object_prepared<T: Object>(&mut self, slot: Slot) -> Option<&mut T> {
        let mut ptr = EntryPtr(self.table.get(slot));
        (self.entry(slot).kind() == T::KIND)
            // SAFETY: the kind is right and `self` is borrowed exclusively.
            .then(|| unsafe { ptr.object_mut() })
    }

    /// The large string at `slot`, to change; `None` for another kind. A reply in flight may
    /// share it, so that a change may copy.
    pub fn shared_string(&mut self, slot: Slot) -> Option<&mut Vec<u8>> {
        self.object::<Arc<Vec<u8>>>(slot).map(Arc::make_mut)
    }

    /// Files a hint for a hash whose first field expiry has come nearer.
    pub fn hint(&mut self, hash: u64, due: UnixMs, now: UnixMs) {
        self.hints.add(due, now, (hash << SHARD_BITS >> 32) as u32);
        if self.hints.len() > 4096 + 4 * self.table.len() {
            self.rebuild_hints(now);
        }
    }

    /// Sets the LRU or LFU clock of an entry.
    #[inline]
    pub fn set_clock(&self, slot: Slot, clock: u32) {
        // The clock's bytes are in no slice that anybody holds (key and payload are), and
        // the shard is locked.
        EntryPtr(self.table.get(slot)).set_clock(clock);
    }

    /// Removes all keys and gives them to the caller to free elsewhere.
    pub fn flush(&mut self) -> impl Send + use<> {
        for key in self.followed_keys() {
            if self.find(crate::hash::hash(key), key).is_some() {
                self.tell_followers(key);
            }
        }
        self.part_from_frozen();
        self.volatile = 0;
        self.hints.clear();
        let table = std::mem::take(&mut self.table);
        match &mut self.snapshot {
            Some(walk) if !walk.own_done => {
                walk.aside.push((walk.db, table, walk.cursor));
                walk.own_done = true;
                Table::new()
            }
            _ => table,
        }
    }

    /// Takes the keys of `fresh`, to which nobody else has access, in place of its own; those are
    /// given to the caller to free elsewhere.
    pub fn take_keys(&mut self, fresh: &mut Shard) -> impl Send + use<> {
        let old = self.flush();
        if fresh.epoch != self.epoch {
            // Epochs come again: an old one would hide an entry from a later snapshot.
            for raw in fresh.table.iter() {
                EntryPtr(raw).set_epoch(self.epoch);
            }
        }
        self.table = std::mem::take(&mut fresh.table);
        self.volatile = std::mem::take(&mut fresh.volatile);
        self.hints = std::mem::take(&mut fresh.hints);
        for key in self.followed_keys() {
            if self.find(crate::hash::hash(key), key).is_some() {
                self.tell_followers(key);
            }
        }
        old
    }

    /// Exchanges the keys of two shards (`SWAPDB`).
    pub(super) fn swap_contents(a: &mut Shard, b: &mut Shard) {
        Self::touch_exchanged(a, b);
        Self::touch_exchanged(b, a);
        std::mem::swap(&mut a.table, &mut b.table);
        std::mem::swap(&mut a.volatile, &mut b.volatile);
        std::mem::swap(&mut a.hints, &mut b.hints);
        // A snapshot knows the keys by their old database, and so it goes on.
        std::mem::swap(&mut a.snapshot, &mut b.snapshot);
        std::mem::swap(&mut a.frozen, &mut b.frozen);
        let newest = a.last_write.max(b.last_write);
        (a.last_write, b.last_write) = (newest, newest);
    }

    // --- watchers and waiters ---

    /// How many keys are watched.
    pub fn watched_keys(&self) -> usize {
        self.watched.len()
    }

    /// The keys that are watched or waited for; one that is both comes twice.
    fn followed_keys(&self) -> impl Iterator<Item = &[u8]> {
        let watched = self.watched.keys().map(|key| &**key);
        watched.chain(self.waiters.keys())
    }

    /// Touches the keys followed in `shard` that are there, or will be when `other`'s keys
    /// take the place of its own.
    fn touch_exchanged(shard: &Shard, other: &Shard) {
        for key in shard.followed_keys() {
            let hash = crate::hash::hash(key);
            if shard.find(hash, key).is_some() || other.find(hash, key).is_some() {
                shard.tell_followers(key);
            }
        }
    }

    /// Raises `flag` when the key is next touched.
    pub fn watch(&mut self, key: &[u8], flag: WatchFlag) {
        let flags = self.watched.entry(key.into()).or_default();
        // Flags that nobody else holds were left behind.
        flags.retain(|flag| Arc::strong_count(flag) > 1);
        flags.push(flag);
        self.followed = true;
    }

    /// Takes the flag off the key.
    pub fn unwatch(&mut self, key: &[u8], flag: &WatchFlag) {
        if let Some(flags) = self.watched.get_mut(key) {
            flags.retain(|f| !Arc::ptr_eq(f, flag));
            if flags.is_empty() {
                self.watched.remove(key);
            }
        }
        self.followed = !self.watched.is_empty() || !self.waiters.is_empty();
    }

    /// Those who wait for keys of this shard.
    #[inline]
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Whether anybody waits here. What every command asks is answered by the one flag that
    /// its change has looked at.
    #[inline]
    pub fn has_waiters(&self) -> bool {
        self.followed && !self.waiters.is_empty()
    }

    /// Whether a key has changed that somebody waits for.
    #[inline]
    pub fn has_ready(&self) -> bool {
        self.followed && self.waiters.any_ready()
    }

    /// Puts a client at the end of the key's line.
    pub fn file_waiter(&mut self, key: &[u8], waiter: Arc<Waiter>) {
        self.waiters.file(key, waiter);
        self.followed = true;
    }

    /// Takes a client out of the key's line.
    pub fn forget_waiter(&mut self, key: &[u8], waiter: &Waiter) {
        self.waiters.forget(key, waiter);
        self.followed = !self.watched.is_empty() || !self.waiters.is_empty();
    }

    /// Tells those who follow the key that it changed, and whoever tracks changes.
    #[inline]
    pub fn touch(&self, key: &[u8]) {
        if self.followed {
            self.tell_followers(key);
        }
        if self.notes_changes.load(Ordering::Relaxed) {
            self.note_change(key);
        }
    }

    #[cold]
    fn note_change(&self, key: &[u8]) {
        let mut changed = self.changed.borrow_mut();
        if changed.last().is_none_or(|(_, last)| **last != *key) {
            let order = CHANGES.fetch_add(1, Ordering::Relaxed);
            changed.push((order, key.into()));
        }
    }

    /// The keys that changed since this was last asked, each with its place in the order of
    /// changes; a flush does not count.
    pub fn take_changed(&mut self) -> Vec<(u64, Box<[u8]>)> {
        std::mem::take(self.changed.get_mut())
    }

    #[cold]
    fn tell_followers(&self, key: &[u8]) {
        for flag in self.watched.get(key).into_iter().flatten() {
            flag.store(true, Ordering::Release);
        }
        self.waiters.note(key);
    }

    // --- expiry ---

    /// Up to `most` keys that may have something expired at `now`. Each returned key has no
    /// hint any more: the caller handles it and calls [`Shard::look_again`].
    pub fn take_due(&mut self, now: UnixMs, most: usize) -> Vec<Box<[u8]>> {
        if !self.hints.any_due(now) {
            return Vec::new();
        }
        let mut keys = Vec::new();
        let mut later = Vec::new();
        for hint in self.hints.take_due(now, most) {
            self.table.visit_prefix(hint, |raw| {
                // SAFETY: the entry is live and the table borrowed.
                let entry = unsafe { EntryRef::of(raw) };
                match due(entry) {
                    Some(at) if at <= now => keys.push(entry.key().into()),
                    Some(at) => later.push((hint, at)),
                    None => {}
                }
            });
        }
        for (hint, at) in later {
            self.hints.add(at, now, hint);
        }
        keys
    }

    /// Files the hint of a key that [`Shard::take_due`] returned and that still lives.
    pub fn look_again(&mut self, hash: u64, key: &[u8], now: UnixMs) {
        if let Some(due) = self.lookup(hash, key).and_then(due) {
            self.hint(hash, due, now);
        }
    }

    fn rebuild_hints(&mut self, now: UnixMs) {
        self.hints.clear();
        let mut found = Vec::new();
        for entry in self.entries() {
            if let Some(at) = due(entry) {
                let hash = crate::hash::hash(entry.key());
                found.push((at, (hash << SHARD_BITS >> 32) as u32));
            }
        }
        for (at, hint) in found {
            self.hints.add(at, now, hint);
        }
    }

    // --- snapshots ---

    /// What must happen before an entry changes.
    #[inline]
    fn prepare(&mut self, slot: Slot) {
        self.hand_over(slot);
        self.touch(self.entry(slot).key());
    }

    /// Gives the entry to a running snapshot, if it has not got it yet.
    #[inline]
    fn hand_over(&mut self, slot: Slot) {
        let raw = self.table.get(slot);
        // SAFETY: the entry is live and `self` borrowed.
        let entry = unsafe { EntryRef::of(raw) };
        if entry.epoch() != self.epoch {
            EntryPtr(raw).set_epoch(self.epoch);
            if let Some(walk) = &self.snapshot
                && !walk.own_done
                && !Keys::is_behind(walk.cursor, crate::hash::hash(entry.key()))
                && let Some(ticket) = (walk.sink)(walk.db, entry, HandedBy::Writer)
            {
                self.freeze(slot, ticket);
            }
        }
    }

    /// The value at `slot`, if it is of a kind that snapshots take in pieces.
    fn pieces(&mut self, slot: Slot) -> Option<Pieces<'_>> {
        // SAFETY: the entry is live and `self` borrowed exclusively.
        unsafe { EntryPtr(self.table.get(slot)).pieces() }
    }

    #[inline]
    fn edit<R>(&mut self, slot: Slot, change: impl FnOnce(&mut EntryPtr) -> R) -> R {
        self.prepare(slot);
        self.edit_prepared(slot, change)
    }

    #[inline]
    fn edit_prepared<R>(&mut self, slot: Slot, change: impl FnOnce(&mut EntryPtr) -> R) -> R {
        let raw = self.table.get(slot);
        let mut ptr = EntryPtr(raw);
        let result = change(&mut ptr);
        if ptr.0 != raw {
            self.table.replace(slot, ptr.0);
        }
        result
    }
}

/// Tells which of two noted changes came first, whichever shards they were in.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// When something in the entry expires next: the key, or a field of a hash.
fn due(entry: EntryRef<'_>) -> Option<UnixMs> {
    let fields = match entry.value() {
        ValueRef::HashPackedEx(bytes) => HashRef::PackedEx(bytes).min_expiry(),
        ValueRef::HashTable(table) => HashRef::Table(table).min_expiry(),
        _ => None,
    };
    match (entry.expiry(), fields) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The inline bytes of an entry, edited where they lie.
pub struct Inline<'s> {
    shard: &'s mut Shard,
    slot: Slot,
}

impl SpliceBuf for Inline<'_> {
    fn bytes(&self) -> &[u8] {
        EntryPtr(self.shard.table.get(self.slot)).inline()
    }

    fn splice(&mut self, at: Range<usize>, with: &[u8]) {
        let raw = self.shard.table.get(self.slot);
        let mut ptr = EntryPtr(raw);
        ptr.splice(at, with);
        if ptr.0 != raw {
            self.shard.table.replace(self.slot, ptr.0);
        }
    }
}
