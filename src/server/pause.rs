//! What holds clients back: `CLIENT PAUSE`, and the server's own reasons to let no write in.

use super::state::Server;
use crate::execute::Gates;
use crate::time::{Duration, Instant};
use parking_lot::Mutex;

/// The pauses that are on. Writes go on when none is left.
#[derive(Default)]
pub struct Pause(Mutex<State>);

/// Why this server holds writes back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is about to stop.
    Shutdown,
    /// It is about to hand its role over to a replica.
    HandOver,
    /// It has given its role away, and the replica has not said that it has taken it.
    HandedOver,
    /// It has taken the role over and waits for its first replicas.
    TakeOver,
}

#[derive(Default)]
struct State {
    /// The end of `CLIENT PAUSE`.
    until: Option<Instant>,
    /// Whether that concerns all commands.
    all: bool,
    /// Grows with every change, so that a timer of an older pause ends nothing.
    generation: u64,
    holds: Vec<Hold>,
    /// The role was given away and the new primary does not answer: writes that come now are
    /// refused, since nobody knows for how long they would wait.
    overdue: bool,
}

impl Pause {
    /// Begins a pause, or makes the one that is on longer and stricter; never shorter.
    pub fn begin(&'static self, server: &'static Server, timeout: Duration, all: bool) {
        let mut state = self.0.lock();
        let until = Instant::now() + timeout;
        let until = state.until.map_or(until, |old| old.max(until));
        state.until = Some(until);
        state.all |= all;
        state.generation += 1;
        let generation = state.generation;
        state.publish(server);
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

    /// Ends what clients have asked for, and lets the waiting go on if nothing else stops them.
    pub fn end(&self, server: &Server) {
        let mut state = self.0.lock();
        state.until = None;
        state.all = false;
        state.generation += 1;
        state.publish(server);
        drop(state);
        server.wake_ack_waiters();
    }

    /// What `INFO` shows: why clients are held back, which, and for how long yet.
    pub fn shown(&self) -> (&'static str, &'static str, Duration) {
        let state = self.0.lock();
        let why = match state.holds.first() {
            Some(Hold::Shutdown) => "shutdown_in_progress",
            Some(_) => "failover_in_progress",
            None if state.until.is_some() => "client_pause",
            None => return ("none", "none", Duration::ZERO),
        };
        let left = state.until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let asked_all = state.until.is_some() && state.all;
        (why, if asked_all { "all" } else { "write" }, left)
    }

    /// Holds writes back until [`Pause::release`] is called for the same reason.
    pub fn hold(&self, server: &Server, why: Hold) {
        let mut state = self.0.lock();
        if !state.holds.contains(&why) {
            state.holds.push(why);
        }
        state.overdue = false;
        state.publish(server);
    }

    /// Says that whoever took the role over does not answer: who comes now is told that this
    /// node is a replica, as in Redis. Who waits already goes on waiting.
    pub fn is_overdue(&self, server: &Server) {
        let mut state = self.0.lock();
        state.overdue = true;
        state.publish(server);
    }

    /// Ends a [`Pause::hold`], and lets writes go on if nothing else stops them.
    pub fn release(&self, server: &Server, why: Hold) {
        let mut state = self.0.lock();
        state.holds.retain(|held| *held != why);
        state.publish(server);
        drop(state);
        server.wake_ack_waiters();
    }
}

impl State {
    fn publish(&self, server: &Server) {
        let asked = self.until.is_some();
        server.gates.set(Gates::PAUSED, asked && self.all);
        let moves = |hold: &Hold| match hold {
            Hold::HandedOver => !self.overdue,
            Hold::TakeOver => true,
            Hold::Shutdown | Hold::HandOver => false,
        };
        let role_moves = self.holds.iter().any(moves);
        // Never on without the pause, also for who looks in between.
        if !role_moves {
            server.gates.set(Gates::ROLE_MOVES, false);
        }
        let writes = asked || !self.holds.is_empty();
        server.gates.set(Gates::PAUSED_WRITES, writes);
        if role_moves {
            server.gates.set(Gates::ROLE_MOVES, true);
        }
    }
}
