//! Puts the keys of a file into the tables, on a thread of its own.
//!
//! Reading a file is arithmetic on bytes that lie in a row; inserting is waiting for memory
//! that lies anywhere. So one thread reads, another inserts what it is handed in batches,
//! sorted by shard, and asks for the memory of later keys while it works on earlier ones.
//!
//! What must stay true: a key that is there twice is found, and refused with its offset.

use crate::keyspace::{DbIndex, Entry, Keyspace, Locked, shard_of};
use crate::time::UnixMs;
use std::sync::mpsc::{Receiver, SyncSender};

/// A key that was read.
struct Read {
    db: DbIndex,
    hash: u64,
    /// Where in the file it begins.
    offset: u64,
    entry: Entry,
}

/// Keys on their way to the tables.
pub struct Batch(Vec<Read>);

/// Collects keys into batches.
pub struct Collector {
    batch: Vec<Read>,
    send: SyncSender<Batch>,
}

impl Collector {
    /// Hands what it collects to `send`.
    pub fn new(send: SyncSender<Batch>) -> Self {
        Collector {
            batch: Vec::with_capacity(BATCH),
            send,
        }
    }

    /// Takes a key; whether there is still somebody who inserts.
    pub fn put(&mut self, db: DbIndex, entry: Entry, offset: u64) -> bool {
        let hash = crate::hash::hash(entry.view().key());
        self.batch.push(Read {
            db,
            hash,
            offset,
            entry,
        });
        self.batch.len() < BATCH || self.flush()
    }

    /// Hands on what has been collected; whether there is still somebody who inserts.
    pub fn flush(&mut self) -> bool {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.send.send(Batch(batch)).is_ok()
    }
}

/// Inserts all that comes.
///
/// # Errors
/// The offset of a key that is there already.
pub fn insert_all(keyspace: &Keyspace, receive: Receiver<Batch>, now: UnixMs) -> Result<(), u64> {
    for Batch(mut batch) in receive {
        batch.sort_unstable_by_key(|read| (read.db.0, shard_of(read.hash)));
        let mut rest = batch.into_iter().peekable();
        while let Some(first) = rest.peek() {
            let (db, index) = (first.db, shard_of(first.hash));
            let belongs = |read: &Read| read.db == db && shard_of(read.hash) == index;
            let mut group = Vec::new();
            while let Some(read) = rest.next_if(belongs) {
                group.push(read);
            }
            insert_into(keyspace, db, index, group, now)?;
        }
    }
    Ok(())
}

fn insert_into(
    keyspace: &Keyspace,
    db: DbIndex,
    index: usize,
    group: Vec<Read>,
    now: UnixMs,
) -> Result<(), u64> {
    let mut locked = Locked::one(keyspace, db, index);
    let shard = locked.shard_mut(db, index);
    let hashes: Vec<u64> = group.iter().map(|read| read.hash).collect();
    hashes
        .iter()
        .take(AHEAD)
        .for_each(|hash| shard.prefetch(*hash));
    for (i, read) in group.into_iter().enumerate() {
        if let Some(later) = hashes.get(i + AHEAD) {
            shard.prefetch(*later);
        }
        if shard.find(read.hash, read.entry.view().key()).is_some() {
            return Err(read.offset);
        }
        shard.insert_entry(read.hash, read.entry, now);
    }
    Ok(())
}

/// Keys of a batch.
const BATCH: usize = 4096;
/// How many batches wait at most; what is read is in memory twice until it is inserted.
pub const WAITING: usize = 4;
/// How far ahead memory is asked for.
const AHEAD: usize = 8;
