//! Where the entries of a snapshot arrive, from the walker and from writers.
//!
//! The lock here is taken under a shard's lock and nothing is taken under it.

use super::text::Text;
use crate::keyspace::{DbIndex, EntryRef};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Sink {
    text: Mutex<Text>,
    unwanted: AtomicBool,
    keys: AtomicU64,
}

impl Sink {
    /// Takes an entry as it was at the snapshot's instant.
    pub fn take_entry(&self, db: DbIndex, entry: EntryRef<'_>) {
        self.keys.fetch_add(1, Ordering::Relaxed);
        if !self.unwanted.load(Ordering::Relaxed) {
            self.text.lock().entry(db, entry);
        }
    }

    /// Selects the database in which the stream goes on.
    pub fn select(&self, db: DbIndex) {
        self.text.lock().select(db);
    }

    /// What has gathered, if it is at least so many bytes.
    pub fn gathered(&self, least: usize) -> Vec<Bytes> {
        let mut text = self.text.lock();
        if text.len() >= least.max(1) {
            text.take()
        } else {
            Vec::new()
        }
    }

    /// From here on nothing is kept.
    pub fn give_up(&self) {
        self.unwanted.store(true, Ordering::Relaxed);
        *self.text.lock() = Text::default();
    }

    /// Whether nobody wants the snapshot any more.
    pub fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::Relaxed)
    }

    /// Entries that have arrived.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }
}
