//! Databases and the whole keyspace.

use super::libraries::Functions;
use super::shard::Shard;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The number of a database (`SELECT`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DbIndex(pub u32);

/// The first bits of a key's hash choose the shard.
pub const SHARD_BITS: u32 = 6;
/// Shards of a database.
pub const SHARDS: usize = 1 << SHARD_BITS;

/// The shard of a key with this hash.
#[inline]
pub fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARD_BITS)) as usize
}

/// One cache line a lock, so that workers do not disturb each other.
#[repr(align(128))]
pub(super) struct ShardLock(pub(super) Mutex<Shard>);

/// One database.
pub struct Database {
    pub(super) shards: Box<[ShardLock]>,
}

impl Database {
    fn new(epoch: u8, db: DbIndex, notes_changes: &Arc<AtomicBool>) -> Self {
        Database {
            shards: (0..SHARDS)
                .map(|_| Shard::new(epoch, db, Arc::clone(notes_changes)))
                .map(|shard| ShardLock(Mutex::new(shard)))
                .collect(),
        }
    }

    /// The lock of one shard.
    #[inline]
    pub fn shard(&self, index: usize) -> &Mutex<Shard> {
        &self.shards[index].0
    }
}

/// All databases. They are made when first used.
pub struct Keyspace {
    databases: Box<[OnceLock<Database>]>,
    /// The snapshot epoch of new databases.
    epoch: std::sync::atomic::AtomicU8,
    /// Whether shards note which keys change.
    notes_changes: Arc<AtomicBool>,
    /// Libraries of functions.
    pub functions: Functions,
    /// Keys that expired, for `INFO stats`.
    pub expired_keys: AtomicU64,
    /// Hash fields that expired, for `INFO stats`.
    pub expired_fields: AtomicU64,
}

impl Keyspace {
    /// A keyspace of `databases` empty databases.
    pub fn new(databases: u32) -> Self {
        Keyspace {
            databases: (0..databases.max(1)).map(|_| OnceLock::new()).collect(),
            epoch: std::sync::atomic::AtomicU8::new(0),
            notes_changes: Arc::default(),
            functions: Functions::default(),
            expired_keys: AtomicU64::new(0),
            expired_fields: AtomicU64::new(0),
        }
    }

    /// How many databases there are.
    pub fn databases(&self) -> u32 {
        self.databases.len() as u32
    }

    /// The database, made now if it has never been used. The index must be in range.
    #[inline]
    pub fn database(&self, db: DbIndex) -> &Database {
        self.databases[db.0 as usize].get_or_init(|| {
            let epoch = self.epoch.load(Ordering::SeqCst);
            Database::new(epoch, db, &self.notes_changes)
        })
    }

    /// The databases that have been used, with their numbers.
    pub fn used(&self) -> impl Iterator<Item = (DbIndex, &Database)> {
        self.databases
            .iter()
            .enumerate()
            .filter_map(|(i, db)| db.get().map(|db| (DbIndex(i as u32), db)))
    }

    /// Makes every database, so that "all shards" is a fixed set (snapshots need that).
    pub fn make_all(&self) {
        for i in 0..self.databases() {
            self.database(DbIndex(i));
        }
    }

    /// Makes shards note which keys change, for [`Shard::take_changed`], or not.
    pub fn note_changes(&self, on: bool) {
        self.notes_changes.store(on, Ordering::SeqCst);
    }

    /// Sets the epoch of databases yet to be made; see [`Shard::begin_snapshot`].
    pub fn set_epoch(&self, epoch: u8) {
        self.epoch.store(epoch, Ordering::SeqCst);
    }

    /// The current snapshot epoch.
    pub fn epoch(&self) -> u8 {
        self.epoch.load(Ordering::SeqCst)
    }
}
