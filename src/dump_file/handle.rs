//! What the rest of the server sees of the snapshot on disk.

use super::save;
use crate::execute::Gates;
use crate::keyspace::Locked;
use crate::server::Server;
use crate::time::{self, Duration, Instant};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The state of saving; one for a server.
#[derive(Default)]
pub struct DumpFile {
    state: Mutex<State>,
    cancelled: AtomicBool,
    /// Held while a file is put in its place, so that one that was given up is not the last.
    placing: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Saves begun; the number of a save that runs.
    begun: u64,
    running_since: Option<Instant>,
    scheduled: bool,
    /// How the save of this number ended.
    last_outcome: Option<(u64, bool)>,
    tried_at: Option<Instant>,
    status: DumpStatus,
}

/// Numbers for `INFO persistence`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DumpStatus {
    /// How long the running save has been running.
    pub running_for: Option<Duration>,
    /// When the last good save ended, in Unix seconds; 0 for none since the start.
    pub last_save: i64,
    /// Whether the last save failed.
    pub last_failed: bool,
    /// How long the last save took.
    pub last_took: Option<Duration>,
    /// Good saves.
    pub saves: u64,
    /// Changes that the last good save holds, of those the server counts.
    pub saved_changes: u64,
    /// Keys of the file that was loaded.
    pub loaded_keys: u64,
    /// Keys of it that had expired.
    pub loaded_expired: u64,
}

impl DumpFile {
    /// Numbers for `INFO`.
    pub fn status(&self) -> DumpStatus {
        let state = self.state.lock();
        DumpStatus {
            running_for: state.running_since.map(|since| since.elapsed()),
            ..state.status
        }
    }

    /// When the last good save ended, in Unix seconds, or the server was started.
    pub fn last_save(&self, server: &Server) -> i64 {
        last_save(&self.state.lock(), server)
    }

    /// Starts a save on a thread of its own and gives its number; `None` if one runs.
    pub fn start(&self, server: &'static Server) -> Option<u64> {
        let run = {
            let mut state = self.state.lock();
            if state.running_since.is_some() {
                return None;
            }
            state.scheduled = false;
            state.begun += 1;
            state.running_since = Some(Instant::now());
            state.tried_at = state.running_since;
            state.begun
        };
        self.cancelled.store(false, Ordering::Relaxed);
        let spawned = std::thread::Builder::new()
            .name("bgsave".into())
            .spawn(move || {
                let file = &server.dump_file;
                let result = save::save(server, &file.cancelled, &file.placing);
                server.dump_file.ended(server, run, result);
            });
        if let Err(error) = spawned {
            self.ended(server, run, Err(format!("no thread: {error}").into()));
        }
        Some(run)
    }

    /// Has a save started as soon as nothing is in its way.
    pub fn schedule(&self) {
        self.state.lock().scheduled = true;
    }

    /// Ends the save that runs or was scheduled (`BGSAVE CANCEL`).
    pub fn cancel(&self) -> Cancelled {
        let mut state = self.state.lock();
        if state.running_since.is_some() {
            self.cancelled.store(true, Ordering::Relaxed);
            return Cancelled::Running;
        }
        match std::mem::take(&mut state.scheduled) {
            true => Cancelled::Scheduled,
            false => Cancelled::Nothing,
        }
    }

    /// How the save of this number ended; `None` while it runs.
    pub fn outcome(&self, run: u64) -> Option<bool> {
        let state = self.state.lock();
        match state.last_outcome {
            Some((last, good)) if last == run => Some(good),
            // A later one has ended too; of this one nobody knows more.
            Some((last, _)) if last > run => Some(false),
            _ => None,
        }
    }

    /// Whether a save is due by the save points, or was scheduled; starts it.
    pub fn if_due(&self, server: &'static Server) {
        if server.gates.has(Gates::LOADING) {
            return;
        }
        let (due, changes) = {
            let state = self.state.lock();
            if state.running_since.is_some() {
                return;
            }
            let resting = state.status.last_failed
                && state
                    .tried_at
                    .is_some_and(|at| at.elapsed() < PAUSE_AFTER_FAILURE);
            let changes = server.stats.changes.load(Ordering::Relaxed);
            let unsaved = changes.saturating_sub(state.status.saved_changes);
            let last = last_save(&state, server);
            let since = u64::try_from(time::unix_seconds() - last).unwrap_or(0);
            let config = server.config.current();
            let point = config
                .save
                .iter()
                .any(|point| unsaved >= point.changes.max(1) && since >= point.seconds);
            let scheduled = state.scheduled && server.aof.status().rewriting_since.is_none();
            (scheduled || point && !resting, unsaved)
        };
        if due {
            tracing::info!(changes, "saving");
            self.start(server);
        }
    }

    /// All databases were emptied, and are locked: where there are save points the file says so
    /// before the client hears of it, as in Redis. Otherwise what it held would come back with
    /// the next start. A save that runs holds what is gone.
    pub fn after_flush(&self, server: &Server, locked: &Locked<'_>) {
        if server.config.current().save.is_empty() || server.gates.has(Gates::LOADING) {
            return;
        }
        let placing = self.placing.lock();
        self.cancelled.store(true, Ordering::Relaxed);
        let saved = save::save_locked(server, locked);
        drop(placing);
        match saved {
            Ok(()) => {
                let mut state = self.state.lock();
                let status = &mut state.status;
                status.last_failed = false;
                status.last_save = time::unix_seconds();
                status.saves += 1;
                status.saved_changes = server.stats.changes.load(Ordering::Relaxed);
            }
            Err(error) => tracing::error!(%error, "saving after all keys were deleted"),
        }
    }

    /// Takes note of what was loaded: nothing has changed since.
    pub fn loaded(&self, keys: u64, expired: u64) {
        let mut state = self.state.lock();
        state.status.loaded_keys = keys;
        state.status.loaded_expired = expired;
    }

    /// Whether writes are to be refused because saving fails.
    pub fn watch(&self, server: &Server) {
        let config = server.config.current();
        let refuse = config.stop_writes_on_bgsave_error
            && !config.save.is_empty()
            && self.state.lock().status.last_failed;
        if refuse != server.gates.has(Gates::SAVE_ERROR) {
            server.gates.set(Gates::SAVE_ERROR, refuse);
        }
    }

    fn ended(&self, server: &'static Server, run: u64, result: Result<u64, save::SaveError>) {
        {
            let mut state = self.state.lock();
            let took = state.running_since.take().map(|since| since.elapsed());
            state.last_outcome = Some((run, result.is_ok()));
            let status = &mut state.status;
            status.last_took = took;
            match &result {
                Ok(changes) => {
                    status.last_failed = false;
                    status.last_save = time::unix_seconds();
                    status.saves += 1;
                    status.saved_changes = *changes;
                }
                // Asked for: no failure, but nothing was saved.
                Err(save::SaveError::Cancelled) => {}
                Err(save::SaveError::Failed(_)) => status.last_failed = true,
            }
        }
        match result {
            Ok(_) => tracing::info!("saved"),
            Err(save::SaveError::Cancelled) => tracing::info!("saving was cancelled"),
            Err(save::SaveError::Failed(error)) => tracing::error!(%error, "saving failed"),
        }
        self.watch(server);
        server.wake_ack_waiters();
    }
}

fn last_save(state: &State, server: &Server) -> i64 {
    match state.status.last_save {
        0 => server.started_at,
        at => at,
    }
}

/// What `BGSAVE CANCEL` has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// A save that was running.
    Running,
    /// One that had yet to begin.
    Scheduled,
    /// There was none.
    Nothing,
}

/// After a failure, save points wait for so long.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
