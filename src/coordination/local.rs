//! The primary as its own authority.

use super::Authority;
use crate::commit::{Action, Event, InSyncSet, LEVELS, MemberView, Now, Rules, Watermarks};
use crate::execute::Gates;
use crate::time::Instant;
use crate::write_log::WriteLog;
use parking_lot::Mutex;

/// Runs the in-sync set's state machine and carries out its actions.
pub struct LocalAuthority {
    set: Mutex<InSyncSet>,
    started: Instant,
    parts: Parts,
}

/// What the authority acts on.
pub struct Parts {
    /// Read for its end.
    pub log: &'static WriteLog,
    /// Published to.
    pub marks: &'static Watermarks,
    /// Closed for writes while too few members are in sync.
    pub gates: &'static Gates,
    /// Tells the workers that a committed offset has moved.
    pub announce: Box<dyn Fn() + Send + Sync>,
    /// Sees to it that the replicas are told who is in sync; called when one that listens may
    /// have been told something else.
    pub members_changed: Box<dyn Fn() + Send + Sync>,
}

impl LocalAuthority {
    /// An authority with these rules and no members.
    pub fn new(rules: Rules, parts: Parts) -> Self {
        LocalAuthority {
            set: Mutex::new(InSyncSet::new(rules)),
            started: Instant::now(),
            parts,
        }
    }

    fn now(&self) -> Now {
        Now {
            ms: self.started.elapsed().as_millis() as u64,
            log_end: self.parts.log.end(),
            wanted: LEVELS.map(|level| self.parts.marks.wanted(level)),
        }
    }

    fn carry_out(&self, action: Action) -> bool {
        match action {
            Action::Publish(level, offset) => return self.parts.marks.publish(level, offset),
            Action::Uncertain(offset) => {
                self.parts.marks.publish_uncertain(offset);
                return true;
            }
            Action::EndTerm => self.parts.marks.end_term(),
            Action::Writable(writable) => self.parts.gates.set(Gates::NO_REPLICAS, !writable),
            Action::Joined(id) => tracing::info!(replica = %id, "replica is in sync"),
            Action::Demoted(id) => tracing::warn!(
                replica = %id,
                "replica did not acknowledge within sync-timeout and leaves the in-sync set"
            ),
            Action::Left(id) => tracing::warn!(
                replica = %id,
                "link to an in-sync replica is lost; it leaves the in-sync set"
            ),
            Action::Failed(id) => tracing::warn!(
                replica = %id,
                "replica did not acknowledge within sync-timeout; waiting writes fail"
            ),
        }
        false
    }
}

impl Authority for LocalAuthority {
    fn tell(&self, event: Event) {
        let mut actions = Vec::new();
        let mut moved = false;
        // Who attaches has not heard what the others have.
        let mut members_changed = matches!(event, Event::Attached(..));
        let mut set = self.set.lock();
        set.on_event(event, self.now(), &mut actions);
        // Under the lock, so that offsets are published in the order they were decided.
        for action in actions {
            members_changed |= matches!(action, Action::Joined(_) | Action::Demoted(_));
            moved |= self.carry_out(action);
        }
        drop(set);
        if moved {
            (self.parts.announce)();
        }
        if members_changed {
            (self.parts.members_changed)();
        }
    }

    fn members(&self) -> Vec<MemberView> {
        self.set.lock().members().collect()
    }

    fn in_sync_count(&self) -> usize {
        self.set.lock().in_sync_count()
    }
}
