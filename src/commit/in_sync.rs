//! The in-sync set: who must acknowledge a write, and how far everybody has.
//!
//! A replica is attached as a *candidate*. Once it is nearly caught up it is *joining*:
//! writes wait for it from then on, but it does not count yet. It is *in sync* when it has
//! acknowledged everything that was released without it. Only then may a failover choose it.
//!
//! What must stay true:
//! * I1: the committed offset of a level never exceeds what every in-sync member has
//!   acknowledged at that level, what was released while it was not a member aside.
//! * I2: a member in sync has acknowledged every write that any client was told is done.
//! * I3: a committed offset never goes back while this node is a primary.
//!
//! The machine has no clock and does no I/O: [`InSyncSet::on_event`] is given the time and
//! the log's end, and answers with [`Action`]s. About I2: a client's reply is released
//! without waiting when it reads "nothing to wait for" *after* its write moved the log's
//! end. A joining member therefore first makes the set publish a finite offset, and only at
//! a later event, with a log end read after that, learns what it must have acknowledged.

use super::watermarks::{AckLevel, LEVELS};
use std::collections::BTreeMap;

/// Names a member across reconnections: the address it announces.
pub type MemberId = String;

/// What happens when a member does not acknowledge in time (`sync-on-timeout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// It leaves the set.
    #[default]
    Demote,
    /// The waits fail; it stays.
    Fail,
    /// The waits go on.
    Wait,
}

/// The configured rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long a wait may last before the policy applies, in milliseconds.
    pub timeout_ms: u64,
    /// What happens then.
    pub policy: Policy,
    /// Fewer members in sync than this, and writes are refused.
    pub min_in_sync: usize,
    /// The level that the server's clients wait for by default.
    pub level: AckLevel,
    /// Whether a write also waits for the local file (`appendfsync always`).
    pub local_fsync: bool,
    /// The interval of ticks in milliseconds.
    pub tick_ms: u64,
}

/// What a replica has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Acked {
    /// In its memory.
    pub received: u64,
    /// Applied.
    pub applied: u64,
    /// Fsynced.
    pub fsynced: u64,
}

impl Acked {
    /// The offset acknowledged at `level`.
    pub fn at(&self, level: AckLevel) -> u64 {
        match level {
            AckLevel::Async => u64::MAX,
            AckLevel::Received => self.received,
            AckLevel::Applied => self.applied,
            AckLevel::Fsynced => self.fsynced,
        }
    }
}

/// Where a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It receives the stream; nobody waits for it.
    Candidate,
    /// Writes wait for it; it counts once it has acknowledged the offset (unknown at first).
    Joining(Option<u64>),
    /// It counts.
    InSync,
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A replica's link streams from now on; it has everything up to the offset (0 after a
    /// full copy, of which it has confirmed nothing yet).
    Attached(MemberId, u64),
    /// A replica's link is gone.
    Detached(MemberId),
    /// A replica acknowledged.
    Acked(MemberId, Acked),
    /// The local append-only file is fsynced up to this offset.
    LocalFsynced(u64),
    /// The rules changed.
    Rules(Rules),
    /// This node became a primary (true) or a replica (false); members are forgotten.
    Role(bool),
    /// Time passed.
    Tick,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Everything up to the offset is committed at the level; `u64::MAX`: nothing to wait
    /// for.
    Publish(AckLevel, u64),
    /// Uncommitted waits up to the offset have failed.
    Uncertain(u64),
    /// This node is no primary any more: what waits now has failed, whatever is published
    /// next.
    EndTerm,
    /// Whether enough members are in sync for writes.
    Writable(bool),
    /// A member is in sync from now on.
    Joined(MemberId),
    /// A member left the set because it did not acknowledge in time.
    Demoted(MemberId),
    /// A member left the set because its link is gone.
    Left(MemberId),
    /// Waits failed; the member stays.
    Failed(MemberId),
}

/// The time and the facts of the log at an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Monotonic milliseconds.
    pub ms: u64,
    /// The end of the write log, read after all earlier actions were carried out.
    pub log_end: u64,
    /// The newest offset that somebody waits for, by level.
    pub wanted: [u64; 4],
}

#[derive(Clone, Debug)]
struct Member {
    state: MemberState,
    acked: Acked,
    connected: bool,
    /// It was in sync and has not been let go since: the policy decides about it, also while
    /// it catches up again.
    pledged: bool,
    /// What it must have acknowledged to join, once it has acknowledged at all: after a
    /// demotion, everything that it was waited for.
    must_reach: Option<u64>,
    /// Since when, and up to where, somebody waits in vain.
    behind: Option<(u64, [u64; 4])>,
}

/// A member as `INFO` shows it.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// Its name.
    pub id: MemberId,
    /// Where it stands.
    pub state: MemberState,
    /// What it has acknowledged.
    pub acked: Acked,
    /// Whether its link is up.
    pub connected: bool,
}

/// See the module's documentation.
pub struct InSyncSet {
    rules: Rules,
    members: BTreeMap<MemberId, Member>,
    primary: bool,
    local_fsynced: u64,
    /// What has been published, by level.
    published: [u64; 4],
    /// Waits up to here have failed, unless they are committed.
    uncertain: u64,
    writable: bool,
}

impl InSyncSet {
    /// A set without members. The first event publishes what follows from the rules.
    pub fn new(rules: Rules) -> Self {
        InSyncSet {
            rules,
            members: BTreeMap::new(),
            primary: true,
            local_fsynced: 0,
            published: [u64::MAX; 4],
            uncertain: 0,
            writable: true,
        }
    }

    /// Takes an event and says what follows.
    pub fn on_event(&mut self, event: Event, now: Now, actions: &mut Vec<Action>) {
        match event {
            Event::Attached(id, have) => self.attached(id, have, now),
            Event::Detached(id) => self.detached(&id, now, actions),
            Event::Acked(id, acked) => {
                // Who comes in must not prolong the waits that it finds.
                let waited_for = self.waits(now).into_iter().max().unwrap_or(0);
                if let Some(member) = self.members.get_mut(&id) {
                    member.must_reach = member.must_reach.or(Some(waited_for));
                    member.acked = Acked {
                        received: acked.received.max(acked.applied),
                        ..acked
                    };
                }
            }
            Event::LocalFsynced(offset) => self.local_fsynced = offset,
            Event::Rules(rules) => self.rules = rules,
            Event::Role(primary) => {
                if self.primary && !primary {
                    actions.push(Action::EndTerm);
                }
                self.primary = primary;
                self.members.clear();
                // A replica's offsets may start over.
                self.uncertain = 0;
            }
            Event::Tick => self.tick(now, actions),
        }
        self.advance_joining(now, actions);
        self.publish(now, actions);
        self.check();
    }

    /// The members, by name.
    pub fn members(&self) -> impl Iterator<Item = MemberView> + '_ {
        self.members.iter().map(|(id, member)| MemberView {
            id: id.clone(),
            state: member.state,
            acked: member.acked,
            connected: member.connected,
        })
    }

    /// How many connected members are in sync.
    pub fn in_sync_count(&self) -> usize {
        let counts = |m: &&Member| m.connected && m.state == MemberState::InSync;
        self.members.values().filter(counts).count()
    }

    fn attached(&mut self, id: MemberId, have: u64, now: Now) {
        let member = self.members.entry(id).or_insert(Member {
            state: MemberState::Candidate,
            acked: Acked::default(),
            connected: true,
            pledged: false,
            must_reach: None,
            behind: None,
        });
        // It may have lost what it had acknowledged, and be fed from a copy now.
        member.acked = Acked {
            received: member.acked.received.min(have),
            applied: member.acked.applied.min(have),
            fsynced: member.acked.fsynced.min(have),
        };
        // A member that was waited for while it was away goes on being waited for, but counts
        // only when it has everything again.
        if member.state == MemberState::InSync {
            member.state = MemberState::Joining(Some(now.log_end));
        }
        member.connected = true;
    }

    fn detached(&mut self, id: &str, now: Now, actions: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.connected = false;
        let was_waited_for = member.state != MemberState::Candidate;
        if member.pledged && self.rules.policy != Policy::Demote {
            return;
        }
        self.members.remove(id);
        if was_waited_for {
            actions.push(Action::Left(id.to_owned()));
            self.fail_if_too_few(now, actions);
        }
    }

    fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        let mut late = Vec::new();
        let waits = self.waits(now);
        for (id, member) in &mut self.members {
            if member.state != MemberState::Candidate && member.is_late(waits, now, &self.rules) {
                late.push(id.clone());
            }
        }
        for id in late {
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            let joining = !member.pledged;
            match self.rules.policy {
                // A joining member has promised nothing yet: nobody fails because of it.
                Policy::Fail if !joining => {
                    let target = now.wanted.into_iter().max().unwrap_or(0);
                    member.behind = None;
                    self.give_up(target.min(now.log_end), actions);
                    actions.push(Action::Failed(id));
                }
                Policy::Wait if !joining => {}
                _ => {
                    member.state = MemberState::Candidate;
                    member.pledged = false;
                    member.must_reach = Some(now.log_end);
                    member.behind = None;
                    if !member.connected {
                        self.members.remove(&id);
                    }
                    actions.push(Action::Demoted(id));
                    self.fail_if_too_few(now, actions);
                }
            }
        }
        if self.primary && !self.enough() {
            // Nothing can be confirmed: whoever waits is told so rather than left waiting.
            self.give_up(now.log_end, actions);
        }
    }

    /// The newest offset that somebody waits for now, by level; 0 if nobody does.
    fn waits(&self, now: Now) -> [u64; 4] {
        LEVELS.map(|level| {
            let wanted = now.wanted[level.index()].min(now.log_end);
            let over = self.published[level.index()].max(self.uncertain);
            if wanted > over { wanted } else { 0 }
        })
    }

    fn give_up(&mut self, offset: u64, actions: &mut Vec<Action>) {
        self.uncertain = self.uncertain.max(offset);
        actions.push(Action::Uncertain(offset));
    }

    fn fail_if_too_few(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.enough() {
            self.give_up(now.log_end, actions);
        }
    }

    fn enough(&self) -> bool {
        self.in_sync_count() >= self.rules.min_in_sync
    }

    fn advance_joining(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.primary {
            return;
        }
        let level = self.rules.level;
        for (id, member) in &mut self.members {
            let caught_up = member.acked.applied.min(member.acked.at(level));
            match member.state {
                MemberState::Candidate
                    if member.connected
                        && member.must_reach.is_some_and(|offset| caught_up >= offset)
                        && now.log_end.saturating_sub(caught_up) <= JOIN_LAG =>
                {
                    member.state = MemberState::Joining(None);
                }
                MemberState::Joining(None) => {
                    member.state = MemberState::Joining(Some(now.log_end));
                }
                _ => {}
            }
            if let MemberState::Joining(Some(needed)) = member.state
                && caught_up >= needed
            {
                member.state = MemberState::InSync;
                member.pledged = true;
                actions.push(Action::Joined(id.clone()));
            }
        }
    }

    fn publish(&mut self, now: Now, actions: &mut Vec<Action>) {
        let enough = !self.primary || self.enough();
        for level in LEVELS {
            let committed = self.committed(level, enough, now);
            let slot = &mut self.published[level.index()];
            if *slot != committed {
                *slot = committed;
                actions.push(Action::Publish(level, committed));
            }
        }
        if self.writable != enough {
            self.writable = enough;
            actions.push(Action::Writable(enough));
        }
    }

    /// What is committed at `level`.
    fn committed(&self, level: AckLevel, enough: bool, now: Now) -> u64 {
        let published = self.published[level.index()];
        if !self.primary {
            return u64::MAX;
        }
        // Who asked not to wait for replicas gets what Redis gives: with `appendfsync always`
        // the local file is waited for all the same.
        let asks_replicas = level != AckLevel::Async;
        // What was released while there was nothing to wait for is committed by definition.
        let floor = if published == u64::MAX {
            now.log_end
        } else {
            published
        };
        if !enough && asks_replicas {
            return floor;
        }
        let members = self
            .members
            .values()
            .filter(|m| asks_replicas && m.state != MemberState::Candidate)
            .map(|m| m.acked.at(level))
            .min();
        let local = self.rules.local_fsync.then_some(self.local_fsynced);
        match members.into_iter().chain(local).min() {
            None => u64::MAX,
            Some(acked) => floor.max(acked.min(now.log_end)),
        }
    }

    /// The invariants of this module, as far as they concern the state alone.
    fn check(&self) {
        for level in LEVELS {
            let published = self.published[level.index()];
            for member in self.members.values() {
                if let MemberState::Joining(Some(needed)) = member.state {
                    debug_assert!(
                        published != u64::MAX || level == AckLevel::Async || !self.primary,
                        "I2: writes wait for a member that joins at {needed}"
                    );
                }
            }
        }
    }
}

impl Member {
    /// Whether somebody has waited for this member longer than the rules allow.
    fn is_late(&mut self, wanted: [u64; 4], now: Now, rules: &Rules) -> bool {
        let waits = |targets: &[u64; 4], acked: &Acked| {
            LEVELS
                .into_iter()
                .any(|level| targets[level.index()] > acked.at(level))
        };
        match self.behind {
            Some((since, targets)) if waits(&targets, &self.acked) => {
                // A wait may have begun right after the last tick; so one tick is taken off.
                now.ms.saturating_sub(since) + rules.tick_ms >= rules.timeout_ms
            }
            _ => {
                self.behind = waits(&wanted, &self.acked).then_some((now.ms, wanted));
                false
            }
        }
    }
}

/// A candidate this close to the end of the log, in bytes, may join: what remains is a
/// fraction of a second even on a slow link.
const JOIN_LAG: u64 = 1 << 20;

#[cfg(test)]
#[path = "in_sync_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "simulation_tests.rs"]
mod simulation_tests;
