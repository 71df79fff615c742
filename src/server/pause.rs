//! `CLIENT PAUSE`: until when clients wait, and which.

use super::state::Server;
use crate::execute::Gates;
use crate::time::{Duration, Instant};
use parking_lot::Mutex;

/// The pause that is on, if one is.
#[derive(Default)]
pub struct Pause(Mutex<State>);

#[derive(Default)]
struct State {
    until: Option<Instant>,
    /// Grows with every change, so that a timer of an older pause ends nothing.
    generation: u64,
}

impl Pause {
    /// Begins a pause, or makes the one that is on longer and stricter; never shorter.
    pub fn begin(&'static self, server: &'static Server, timeout: Duration, all: bool) {
        let mut state = self.0.lock();
        let until = Instant::now() + timeout;
        let until = state.until.map_or(until, |old| old.max(until));
        state.until = Some(until);
        state.generation += 1;
        let generation = state.generation;
        let gate = if all {
            Gates::PAUSED | Gates::PAUSED_WRITES
        } else {
            Gates::PAUSED_WRITES
        };
        server.gates.set(gate, true);
        drop(state);
        let Some(worker) = server.workers().first() else {
            // Nobody can be waiting before there are workers.
            self.end(server);
            return;
        };
        worker.run(Box::new(move |_| {
            tokio::task::spawn_local(async move {
                tokio::time::sleep_until(until.into()).await;
                if self.0.lock().generation == generation {
                    self.end(server);
                }
            });
        }));
    }

    /// Lets writes go on that another stop has held back, unless a pause is on.
    pub fn resume(&self, server: &Server) {
        let state = self.0.lock();
        if state.until.is_none() {
            server.gates.set(Gates::PAUSED_WRITES, false);
        }
        drop(state);
        server.wake_ack_waiters();
    }

    /// Ends the pause, if one is on, and lets the waiting go on.
    pub fn end(&self, server: &Server) {
        let mut state = self.0.lock();
        state.until = None;
        state.generation += 1;
        server
            .gates
            .set(Gates::PAUSED | Gates::PAUSED_WRITES, false);
        drop(state);
        server.wake_ack_waiters();
    }
}
