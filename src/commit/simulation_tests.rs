//! Seeded schedules of the in-sync set with modelled replicas, links and clients.
//!
//! The machine that runs is the real one; around it stand a log that is only a length, and
//! replicas that hold a prefix of it. Links delay and break, replicas stall, crash with or
//! without their data, and come back over a partial or a full resync, also before the end of
//! their old link was noticed. Clients write, and read the watermarks as connections do.
//! After every step:
//! * S1: what a client was told is done is on every member that is in sync (I1, I2);
//! * S2: committed offsets never go back, except to the log's end when waiting begins (I3);
//! * S3: nobody waits for longer than the timeout under `demote` and `fail`;
//! * S4: nobody is told that a write is done while fewer than `min-insync-replicas` have it.

use super::*;
use crate::commit::Watermarks;
use crate::commit::watermarks::Standing;
use std::collections::VecDeque;

/// A small generator of our own: a seed must give the same schedule for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Default)]
struct Replica {
    /// What it has applied.
    has: u64,
    /// Of that, what survives a crash.
    fsynced: u64,
    /// What is under way to it, and to the primary.
    stream: VecDeque<u64>,
    acks: VecDeque<Acked>,
    linked: bool,
    /// The primary has noticed the end of the link.
    noticed: bool,
    paused: bool,
}

/// A write whose reply waits.
struct Waiting {
    offset: u64,
    level: AckLevel,
    term: u64,
    since: u64,
}

struct World {
    dice: Dice,
    set: InSyncSet,
    rules: Rules,
    marks: Watermarks,
    replicas: Vec<Replica>,
    log_end: u64,
    ms: u64,
    waiting: Vec<Waiting>,
    /// The highest offset that a client was told is done, waiting for the rules' level.
    told: u64,
    /// The highest offset that was released when it had to wait.
    confirmed: u64,
    writable: bool,
    joins: u64,
    releases: u64,
    failures: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed);
        let policies = [Policy::Demote, Policy::Fail, Policy::Wait];
        let levels = [AckLevel::Received, AckLevel::Applied, AckLevel::Fsynced];
        let rules = Rules {
            timeout_ms: 200 + dice.below(800),
            policy: policies[dice.below(3) as usize],
            min_in_sync: dice.below(3) as usize,
            level: levels[dice.below(3) as usize],
            local_fsync: false,
            tick_ms: 50,
        };
        let replicas = 1 + dice.below(3) as usize;
        let mut world = World {
            dice,
            set: InSyncSet::new(rules),
            rules,
            marks: Watermarks::default(),
            replicas: (0..replicas).map(|_| Replica::default()).collect(),
            log_end: 0,
            ms: 0,
            waiting: Vec::new(),
            told: 0,
            confirmed: 0,
            writable: true,
            joins: 0,
            releases: 0,
            failures: 0,
        };
        for replica in &mut world.replicas {
            replica.noticed = true;
        }
        world.tell(Event::Tick);
        world
    }

    fn tell(&mut self, event: Event) {
        let now = Now {
            ms: self.ms,
            log_end: self.log_end,
            wanted: LEVELS.map(|level| self.marks.wanted(level)),
        };
        let mut actions = Vec::new();
        self.set.on_event(event, now, &mut actions);
        for action in actions {
            match action {
                Action::Publish(level, offset) => {
                    let before = self.marks.committed(level);
                    let began = before == u64::MAX && offset >= self.log_end;
                    assert!(began || offset >= before, "S2: {offset} after {before}");
                    self.marks.publish(level, offset);
                }
                Action::Uncertain(offset) => self.marks.publish_uncertain(offset),
                Action::Writable(writable) => self.writable = writable,
                Action::Joined(_) => self.joins += 1,
                Action::EndTerm => self.marks.end_term(),
                Action::Demoted(_) | Action::Left(_) | Action::Failed(_) => {}
            }
        }
    }

    fn step(&mut self) {
        let i = self.dice.below(self.replicas.len() as u64) as usize;
        match self.dice.below(100) {
            0..30 => self.write(),
            30..55 => self.deliver(i),
            55..78 => self.acknowledge(i),
            78..90 => self.pass(),
            90..93 => self.replicas[i].paused ^= true,
            93..95 => self.break_link(i),
            95..96 => self.crash(i),
            96..97 => self.notice(i),
            _ => self.attach(i),
        }
        self.release();
        self.check();
    }

    fn write(&mut self) {
        if !self.writable {
            return;
        }
        let term = self.marks.term();
        self.log_end += 1 + self.dice.below(300);
        let offset = self.log_end;
        for replica in self.replicas.iter_mut().filter(|r| r.linked) {
            replica.stream.push_back(offset);
        }
        let level = self.rules.level;
        if offset <= self.marks.committed(level) {
            self.told = self.told.max(offset);
            return;
        }
        self.marks.want(level, offset);
        self.waiting.push(Waiting {
            offset,
            level,
            term,
            since: self.ms,
        });
    }

    /// A replica applies some of what has arrived; sometimes it fsyncs.
    fn deliver(&mut self, i: usize) {
        let fsyncs = self.dice.one_in(2);
        let most = self.dice.below(8);
        let replica = &mut self.replicas[i];
        if replica.paused || !replica.linked {
            return;
        }
        for _ in 0..most {
            if let Some(offset) = replica.stream.pop_front() {
                replica.has = replica.has.max(offset);
            }
        }
        if fsyncs {
            replica.fsynced = replica.has;
        }
        replica.acks.push_back(Acked {
            received: replica.has,
            applied: replica.has,
            fsynced: replica.fsynced,
        });
    }

    /// An acknowledgement arrives; those on a link whose end was not noticed do too.
    fn acknowledge(&mut self, i: usize) {
        if let Some(acked) = self.replicas[i].acks.pop_front() {
            self.tell(Event::Acked(name(i), acked));
        }
    }

    fn break_link(&mut self, i: usize) {
        let replica = &mut self.replicas[i];
        if replica.linked {
            replica.linked = false;
            replica.noticed = false;
            replica.stream.clear();
        }
    }

    /// The replica comes back with what was fsynced, or with nothing.
    fn crash(&mut self, i: usize) {
        let empty = self.dice.one_in(2);
        self.break_link(i);
        let replica = &mut self.replicas[i];
        replica.has = if empty { 0 } else { replica.fsynced };
        replica.fsynced = replica.has;
        replica.paused = false;
    }

    fn notice(&mut self, i: usize) {
        if !self.replicas[i].linked && !self.replicas[i].noticed {
            self.replicas[i].noticed = true;
            self.replicas[i].acks.clear();
            self.tell(Event::Detached(name(i)));
        }
    }

    fn attach(&mut self, i: usize) {
        if self.replicas[i].linked || self.replicas[i].paused {
            return;
        }
        let full = self.replicas[i].has == 0 || self.dice.one_in(4);
        // The new link shows the primary that the old one is gone.
        self.notice(i);
        let end = self.log_end;
        let replica = &mut self.replicas[i];
        replica.linked = true;
        replica.acks.clear();
        let have = if full { 0 } else { replica.has };
        if full {
            replica.has = 0;
            replica.fsynced = 0;
        }
        // The rest of the log, or the copy, comes as one piece.
        replica.stream.push_back(end);
        self.tell(Event::Attached(name(i), have));
    }

    fn pass(&mut self) {
        self.ms += 50;
        self.tell(Event::Tick);
        let patience = self.rules.timeout_ms + 2 * self.rules.tick_ms;
        if self.rules.policy != Policy::Wait {
            // Each of the members may be late in turn.
            let longest = patience * (self.replicas.len() as u64 + 1);
            for waiting in &self.waiting {
                let standing = self
                    .marks
                    .standing(waiting.term, waiting.level, waiting.offset);
                let since = self.ms - waiting.since;
                let over = standing != Standing::Waits;
                assert!(over || since <= longest, "S3: {since} ms");
            }
        }
    }

    fn release(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            let standing = self
                .marks
                .standing(waiting.term, waiting.level, waiting.offset);
            match standing {
                Standing::Waits => self.waiting.push(waiting),
                Standing::Failed => self.failures += 1,
                Standing::Committed => {
                    self.releases += 1;
                    self.told = self.told.max(waiting.offset);
                    self.confirmed = self.confirmed.max(waiting.offset);
                    let having = |i: &usize| self.durable(*i) >= waiting.offset;
                    let copies = (0..self.replicas.len()).filter(having).count();
                    // A crash that nobody could know of yet takes nothing from the promise.
                    let unknown = self.replicas.iter().filter(|r| !r.noticed && !r.linked);
                    assert!(
                        copies + unknown.count() >= self.rules.min_in_sync,
                        "S4: {copies} have {}",
                        waiting.offset
                    );
                }
            }
        }
    }

    /// What a replica has at the level that is waited for.
    fn durable(&self, i: usize) -> u64 {
        match self.rules.level {
            AckLevel::Fsynced => self.replicas[i].fsynced,
            _ => self.replicas[i].has,
        }
    }

    fn check(&self) {
        for (i, replica) in self.replicas.iter().enumerate() {
            let member = self.set.members().find(|m| m.id == name(i));
            let Some(member) = member.filter(|m| m.connected) else {
                continue;
            };
            // A crash behind a link whose end is not noticed cannot be known.
            if member.state == MemberState::InSync && replica.linked {
                let told = self.told;
                assert!(replica.has >= told, "S1: {} of {told}", replica.has);
            }
        }
    }
}

fn name(i: usize) -> MemberId {
    format!("replica-{i}")
}

#[test]
fn what_was_told_is_on_every_member_in_sync() {
    let seeds = match std::env::var("LOCKSTEP_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("LOCKSTEP_SEED is a number");
            seed..seed + 1
        }
        Err(_) if std::env::var("SOAK_MINUTES").is_ok() => 0..200_000,
        Err(_) => 0..3_000,
    };
    let (mut joins, mut releases, mut failures) = (0, 0, 0);
    for seed in seeds.clone() {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..600 {
                world.step();
            }
            (world.joins, world.releases, world.failures)
        });
        let Ok(counts) = run else {
            panic!("to see it again: LOCKSTEP_SEED={seed}");
        };
        joins += counts.0;
        releases += counts.1;
        failures += counts.2;
    }
    if seeds.end - seeds.start > 1 {
        // The schedules are worth nothing if nothing happens in them.
        assert!(joins > 1_000 && releases > 10_000 && failures > 1_000);
    }
}
