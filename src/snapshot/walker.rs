//! Beginning a snapshot, and the thread that walks the shards.

use super::pace::{self, Breaths, Pace};
use super::pieces::Taken;
use super::sink::{Form, Sink};
use crate::execute::Gates;
use crate::keyspace::{Database, DbIndex, Given, Keyspace, Locked, PreImage, SHARDS, Ticket};
use crate::server::Server;
use crate::time::Duration;
use bytes::Bytes;
use parking_lot::MutexGuard;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

/// The text of a snapshot, in order. It is whole when the channel ends without an error.
pub type Chunks = mpsc::Receiver<Result<Bytes, String>>;

/// The instant of a snapshot, seen while all shards are locked.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    /// The log's end: the snapshot holds everything before it and nothing after it.
    pub offset: u64,
    /// The database that the stream has selected there; `None` when it will say so next.
    pub selected: Option<DbIndex>,
}

/// The server's snapshots: one at a time, and what `INFO` tells of it.
pub struct Snapshots {
    turn: Semaphore,
    running: AtomicBool,
    keys_done: AtomicU64,
    keys_total: AtomicU64,
}

impl Default for Snapshots {
    fn default() -> Self {
        Snapshots {
            turn: Semaphore::new(1),
            running: AtomicBool::new(false),
            keys_done: AtomicU64::new(0),
            keys_total: AtomicU64::new(0),
        }
    }
}

impl Snapshots {
    /// Whether a snapshot is being made.
    pub fn in_progress(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Keys that are done, and keys there were at the snapshot's instant.
    pub fn progress(&self) -> (u64, u64) {
        (
            self.keys_done.load(Ordering::Relaxed),
            self.keys_total.load(Ordering::Relaxed),
        )
    }
}

/// Begins a snapshot when it is its turn; `at_instant` runs while all shards are locked, before any later write.
pub async fn begin_with<T>(
    server: &'static Server,
    purpose: &str,
    form: Form,
    pace: Pace,
    at_instant: impl FnOnce(Instant) -> T,
) -> (T, Chunks) {
    loop {
        // Closed never, so that this is always a permit.
        let turn = server.snapshots.turn.acquire().await.ok();
        // Half a copy from the primary is no state that ever was.
        if !server.gates.has(Gates::LOADING) && !server.scripts.is_running() {
            return start(server, (purpose, pace), form, at_instant, turn);
        }
        drop(turn);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn start<T>(
    server: &'static Server,
    (purpose, pace): (&str, Pace),
    form: Form,
    at_instant: impl FnOnce(Instant) -> T,
    turn: Option<SemaphorePermit<'static>>,
) -> (T, Chunks) {
    let sink = Arc::new(Sink::new(form));
    let (result, instant) = {
        // A replica applies a command before it appends it; data and log agree in between.
        let _stream = server.replication.stream_lock();
        let mut locked = Locked::everything(&server.keyspace);
        server.log.start_recording();
        let instant = Instant {
            offset: server.log.end(),
            selected: server.log.selected(),
        };
        let libraries = server.keyspace.functions.get();
        let replid = || server.replication.known_as(instant.offset);
        sink.begin(replid, instant, &libraries);
        let keys = stamp(&server.keyspace, &mut locked, &sink);
        let stats = &server.snapshots;
        stats.keys_total.store(keys, Ordering::Relaxed);
        stats.keys_done.store(0, Ordering::Relaxed);
        (at_instant(instant), instant)
    };
    server.snapshots.running.store(true, Ordering::Relaxed);
    tracing::info!(purpose, offset = instant.offset, "snapshot begins");
    let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let (on_failure, unwanted) = (sender.clone(), Arc::clone(&sink));
    let spawned = std::thread::Builder::new()
        .name("snapshot".into())
        .spawn(move || {
            run(server, &sink, &sender, instant.selected, pace);
            server.snapshots.running.store(false, Ordering::Relaxed);
            drop(turn);
        });
    if let Err(error) = spawned {
        // The epoch is left behind in part; the next snapshot of the same number would miss
        // entries, so this one is finished here, unwanted.
        abandon(&server.keyspace, &unwanted);
        server.snapshots.running.store(false, Ordering::Relaxed);
        let _ = on_failure.try_send(Err(format!("no thread for the snapshot: {error}")));
    }
    (result, chunks)
}

/// Gives every shard the new epoch; says how many keys there are.
pub(super) fn stamp(keyspace: &Keyspace, locked: &mut Locked<'_>, sink: &Arc<Sink>) -> u64 {
    let epoch = keyspace.epoch().wrapping_add(1);
    let target = Arc::clone(sink);
    let pre_image: PreImage = Arc::new(move |db, entry, by| target.take_entry(db, entry, by));
    let mut keys = 0;
    for (_, shard) in locked.shards_mut() {
        keys += shard.len() as u64;
        shard.begin_snapshot(epoch, Arc::clone(&pre_image));
    }
    keyspace.set_epoch(epoch);
    keys
}

type Sender = mpsc::Sender<Result<Bytes, String>>;

fn run(
    server: &'static Server,
    sink: &Sink,
    sender: &Sender,
    selected: Option<DbIndex>,
    pace: Pace,
) {
    let mut breaths = Breaths::begin(pace, &server.stats.commands);
    let walked = catch_unwind(AssertUnwindSafe(|| {
        walk(&server.keyspace, sink, sender, &mut breaths, |keys| {
            let before = server.snapshots.keys_done.swap(keys, Ordering::Relaxed);
            let delay = || server.config.current().rdb_key_save_delay;
            pace::dawdle(delay, keys.saturating_sub(before), || !sender.is_closed());
        });
        send(sink, sender, 0, &mut breaths);
        if sink.is_unwanted() {
            return;
        }
        // Whoever has gone misses nothing.
        let end = sink.end(selected);
        if !end.is_empty() {
            let _ = sender.blocking_send(Ok(end));
        }
    }));
    if walked.is_err() {
        // An end without an error would pass for a whole snapshot.
        let _ = sender.blocking_send(Err("the snapshot's thread has failed".into()));
    }
}

/// Walks everything and sends it.
pub(super) fn walk(
    keyspace: &Keyspace,
    sink: &Sink,
    sender: &Sender,
    breaths: &mut Breaths<'_>,
    progress: impl Fn(u64),
) {
    // The head comes before all.
    send(sink, sender, 1, breaths);
    // Once more while anything is left: `SWAPDB` and `RENAME` carry keys to where the walker has
    // been.
    loop {
        for (db, database) in keyspace.used() {
            for index in 0..SHARDS {
                while walk_slice(database, index) {
                    take_frozen(keyspace, (db, index), sink, sender, breaths);
                    send(sink, sender, SEND_FROM, breaths);
                    breaths.pause();
                    progress(sink.keys());
                    if sender.is_closed() && !sink.is_unwanted() {
                        sink.give_up();
                    }
                }
                take_frozen(keyspace, (db, index), sink, sender, breaths);
            }
        }
        if !sink.has_frozen() && !is_walked(keyspace) {
            return;
        }
    }
}

/// Whether a shard has still to be walked.
fn is_walked(keyspace: &Keyspace) -> bool {
    let mut databases = keyspace.used();
    databases.any(|(_, database)| (0..SHARDS).any(|index| database.shard(index).lock().is_walked()))
}

/// Walks a slice of a shard; whether there is more. A writer that waits gets the lock next: left
/// to chance, the walker would have it again before the writer has woken up.
fn walk_slice(database: &Database, index: usize) -> bool {
    let mut shard = database.shard(index).lock();
    let step = shard.walk(SLICE);
    MutexGuard::unlock_fair(shard);
    step.more
}

/// Takes the values of a shard that are frozen, each wholly, wherever it is carried meanwhile.
fn take_frozen(
    keyspace: &Keyspace,
    mut place: (DbIndex, usize),
    sink: &Sink,
    sender: &Sender,
    breaths: &mut Breaths<'_>,
) {
    let home = place;
    let next = || keyspace.database(home.0).shard(home.1).lock().next_frozen();
    while let Some(ticket) = next() {
        let Some(mut taken) = sink.begin_pieces(ticket) else {
            debug_assert!(
                false,
                "a frozen value is one that the sink has a ticket for"
            );
            return;
        };
        place = home;
        let mut more = true;
        while more {
            match take_piece(keyspace, place, ticket, sink, &mut taken) {
                Given::Piece => {}
                Given::Last(garbage) => {
                    drop(garbage);
                    taken.end();
                    more = false;
                }
                Given::Elsewhere => match find_frozen(keyspace, ticket) {
                    Some(found) => place = found,
                    None => more = lost(sink),
                },
                Given::Lost => more = lost(sink),
            }
            if taken.len() >= SEND_FROM || !more {
                for bytes in taken.written() {
                    sink.sent(bytes, &mut |bytes| send_bytes(sink, sender, bytes));
                }
            }
            breaths.pause();
        }
    }
}

/// A fault of ours: better no snapshot than one that lacks something. There are no more pieces.
fn lost(sink: &Sink) -> bool {
    debug_assert!(false, "a frozen value is where its shard says");
    sink.fail("a value was lost while the snapshot took it");
    false
}

fn take_piece(
    keyspace: &Keyspace,
    (db, index): (DbIndex, usize),
    ticket: Ticket,
    sink: &Sink,
    taken: &mut Taken,
) -> Given {
    let mut shard = keyspace.database(db).shard(index).lock();
    let given = shard.piece(ticket, |mut value| match sink.is_unwanted() {
        true => {
            value.thaw();
            false
        }
        false => taken.take(value),
    });
    MutexGuard::unlock_fair(shard);
    given
}

/// Where a frozen value is. Nothing can be carried about while this looks.
fn find_frozen(keyspace: &Keyspace, ticket: Ticket) -> Option<(DbIndex, usize)> {
    let locked = Locked::everything(keyspace);
    let mut all = locked.places().zip(locked.shards());
    let found = all.find(|(_, (_, shard))| shard.has_frozen(ticket));
    found.map(|(place, _)| place)
}

/// Walks everything for nobody.
fn abandon(keyspace: &Keyspace, sink: &Sink) {
    sink.give_up();
    let (sender, _) = mpsc::channel(1);
    let served = AtomicU64::new(0);
    let mut breaths = Breaths::begin(Pace::Abreast, &served);
    walk(keyspace, sink, &sender, &mut breaths, |_| {});
}

/// Sends what has gathered, if it is so much; waits while the channel is full.
pub(super) fn send(sink: &Sink, sender: &Sender, least: usize, breaths: &mut Breaths<'_>) {
    if let Some(fault) = sink.fault() {
        // Whoever has gone misses nothing.
        let _ = sender.blocking_send(Err(fault));
        sink.give_up();
    }
    for piece in sink.gathered(least) {
        if sink.is_unwanted() {
            return;
        }
        sink.each_bytes(piece, &mut |bytes| {
            send_bytes(sink, sender, bytes);
            breaths.pause();
        });
    }
}

fn send_bytes(sink: &Sink, sender: &Sender, bytes: Bytes) {
    if !sink.is_unwanted() && sender.blocking_send(Ok(bytes)).is_err() {
        sink.give_up();
    }
}

/// Entries visited under one lock.
const SLICE: usize = 16;
/// Bytes that are worth a message.
const SEND_FROM: usize = 64 * 1024;
/// Messages on their way.
const CHUNKS_IN_FLIGHT: usize = 16;
