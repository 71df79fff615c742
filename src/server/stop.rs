//! A graceful stop: no write is left that a client was told is done and a replica or the
//! file lacks.

use super::pause::Hold;
use super::state::Server;
use crate::config::ShutdownFlags;
use crate::replication::LinkState;
use crate::time::{Duration, Instant};
use parking_lot::Mutex;
use std::sync::atomic::Ordering;
use tokio::sync::{Notify, watch};

/// Somebody's wish that the server stop.
#[derive(Clone, Debug)]
pub struct StopRequest {
    /// For the log.
    pub why: String,
    /// How.
    pub flags: ShutdownFlags,
}

/// Whether the server is asked to stop, and whether that was called off.
pub struct Stopping {
    request: watch::Sender<Option<StopRequest>>,
    state: Mutex<State>,
    called_off: Notify,
}

#[derive(Default)]
struct State {
    /// Grows by one with each request.
    seq: u64,
    /// The last request that came to nothing.
    ended: u64,
    /// Until when replicas are waited for.
    deadline: Option<Instant>,
}

impl Default for Stopping {
    fn default() -> Self {
        Stopping {
            request: watch::channel(None).0,
            state: Mutex::default(),
            called_off: Notify::new(),
        }
    }
}

impl Stopping {
    /// Asks the server to stop; gives the request's number.
    pub fn ask(&self, why: &str, flags: ShutdownFlags) -> u64 {
        let mut state = self.state.lock();
        state.seq += 1;
        let why = why.to_owned();
        self.request.send_replace(Some(StopRequest { why, flags }));
        state.seq
    }

    /// Notes that a signal asked.
    pub fn note_signal(&self) {
        self.state.lock().seq += 1;
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) -> StopRequest {
        let mut asked = self.request.subscribe();
        loop {
            // The value is locked while it is looked at.
            let request = asked.borrow_and_update().clone();
            if let Some(request) = request {
                self.request.send_replace(None);
                return request;
            }
            // The sender lives as long as `self`.
            let _ = asked.changed().await;
        }
    }

    /// Calls off what is in progress; whether something was.
    pub fn call_off(&self) -> bool {
        let state = self.state.lock();
        let in_progress = state.seq > state.ended;
        if in_progress {
            self.called_off.notify_one();
        }
        in_progress
    }

    /// Whether the request of this number came to nothing.
    pub fn has_failed(&self, seq: u64) -> bool {
        self.state.lock().ended >= seq
    }

    /// For how long replicas are still waited for; `None` if the server is not about to stop.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.state.lock().deadline;
        deadline.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.deadline = None;
        state.ended = state.seq;
    }
}

/// Stops new writes, waits until the replicas have the rest (at most `shutdown-timeout`),
/// saves, and completes the append-only file. `false`: the server goes on, because stopping
/// was called off or the data could not be saved.
pub async fn gracefully(server: &'static Server, flags: ShutdownFlags) -> bool {
    server.pause.hold(server, Hold::Shutdown);
    let done = tokio::select! {
        done = prepare(server, flags) => done,
        () = server.stopping.called_off.notified() => {
            tracing::warn!("stopping was called off");
            false
        }
    };
    if done {
        server.aof.close();
        return true;
    }
    server.stopping.end();
    server.pause.release(server, Hold::Shutdown);
    false
}

/// Everything before the end that can still be called off; whether the server may end.
async fn prepare(server: &'static Server, flags: ShutdownFlags) -> bool {
    let limit = Duration::from_secs(server.config.current().shutdown_timeout_seconds);
    let begun = Instant::now();
    server.stopping.state.lock().deadline = begun.checked_add(limit);
    while !flags.contains(ShutdownFlags::NOW) && behind(server) {
        if begun.elapsed() >= limit {
            tracing::warn!("replicas lag behind at shutdown; going all the same");
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Replies that have just been released get a moment to leave.
    tokio::time::sleep(Duration::from_millis(20)).await;
    if save(server, flags).await {
        return true;
    }
    if flags.contains(ShutdownFlags::FORCE) {
        tracing::warn!("the data could not be saved; stopping all the same");
        return true;
    }
    tracing::error!("the data could not be saved; not stopping");
    false
}

/// Saves the data as it is now, if the request or the configuration asks for it; whether it
/// is as safe as was wished.
async fn save(server: &'static Server, flags: ShutdownFlags) -> bool {
    let by_default = !server.config.current().save.is_empty();
    let wanted = flags.contains(ShutdownFlags::SAVE) || by_default;
    if !wanted || flags.contains(ShutdownFlags::NOSAVE) {
        return true;
    }
    // One that runs may have begun before the last write, and is given up for the last.
    let run = loop {
        match server.dump_file.start(server) {
            Some(run) => break run,
            None => {
                server.dump_file.cancel();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    loop {
        match server.dump_file.outcome(run) {
            Some(good) => return good,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Whether an online replica lacks something.
fn behind(server: &Server) -> bool {
    if server.replication.is_replica() {
        return false;
    }
    let end = server.log.end();
    server.replication.links().iter().any(|link| {
        *link.state.lock() == LinkState::Online && link.applied.load(Ordering::SeqCst) < end
    })
}
