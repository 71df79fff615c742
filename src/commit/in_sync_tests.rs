//! The in-sync set, event by event.

use super::*;

struct Story {
    set: InSyncSet,
    now: Now,
    committed: u64,
    uncertain: u64,
    writable: bool,
    notes: Vec<Action>,
}

fn rules(policy: Policy, min_in_sync: usize) -> Rules {
    Rules {
        timeout_ms: 1000,
        policy,
        min_in_sync,
        level: AckLevel::Applied,
        local_fsync: false,
        tick_ms: 50,
    }
}

impl Story {
    fn new(rules: Rules) -> Self {
        let mut story = Story {
            set: InSyncSet::new(rules),
            now: Now::default(),
            committed: u64::MAX,
            uncertain: 0,
            writable: true,
            notes: Vec::new(),
        };
        story.event(Event::Tick);
        story
    }

    fn event(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.set.on_event(event, self.now, &mut actions);
        for action in actions {
            match action {
                Action::Publish(AckLevel::Applied, offset) => {
                    assert!(
                        self.committed == u64::MAX || offset >= self.committed,
                        "I3: {offset} after {}",
                        self.committed
                    );
                    self.committed = offset;
                }
                Action::Publish(..) => {}
                Action::Uncertain(offset) => self.uncertain = self.uncertain.max(offset),
                Action::EndTerm => {}
                Action::Writable(writable) => self.writable = writable,
                note => self.notes.push(note),
            }
        }
    }

    fn write_until(&mut self, end: u64) {
        self.now.log_end = end;
        self.now.wanted = [0, 0, end, 0];
    }

    fn ack(&mut self, id: &str, offset: u64) {
        let acked = Acked {
            received: offset,
            applied: offset,
            fsynced: 0,
        };
        self.event(Event::Acked(id.into(), acked));
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 50 {
            self.now.ms += 50;
            self.event(Event::Tick);
        }
    }

    fn join(&mut self, id: &str) {
        self.event(Event::Attached(id.into(), 0));
        self.ack(id, self.now.log_end.max(1));
        self.ack(id, self.now.log_end.max(1));
        assert_eq!(self.notes.pop(), Some(Action::Joined(id.into())));
    }
}

#[test]
fn without_members_nothing_waits() {
    let mut story = Story::new(rules(Policy::Demote, 0));
    story.write_until(500);
    story.pass(5000);
    assert_eq!(story.committed, u64::MAX);
    assert!(story.writable);
}

#[test]
fn a_candidate_joins_only_when_it_has_everything_that_was_released() {
    let mut story = Story::new(rules(Policy::Demote, 0));
    story.write_until(5_000_000);
    story.event(Event::Attached("a".into(), 0));
    story.ack("a", 1000);
    assert_eq!(story.committed, u64::MAX, "too far behind to be waited for");
    story.ack("a", 4_900_000);
    assert_eq!(story.committed, 5_000_000, "writes wait from here on");
    // A reply that was released just before is in the log by now.
    story.write_until(5_000_100);
    story.ack("a", 5_000_000);
    assert_eq!(story.set.in_sync_count(), 0, "it lacks what was released");
    story.ack("a", 5_000_100);
    assert_eq!(story.set.in_sync_count(), 1);
    story.write_until(5_000_200);
    story.event(Event::Tick);
    assert_eq!(story.committed, 5_000_100);
    story.ack("a", 5_000_200);
    assert_eq!(story.committed, 5_000_200);
}

#[test]
fn the_slowest_member_decides_and_demotion_frees_the_rest() {
    let mut story = Story::new(rules(Policy::Demote, 1));
    assert!(!story.writable);
    story.write_until(10);
    story.join("a");
    story.join("b");
    assert!(story.writable);
    story.write_until(20);
    story.ack("a", 20);
    story.pass(900);
    assert_eq!(story.committed, 10, "b has not acknowledged");
    story.pass(100);
    assert_eq!(story.notes, [Action::Demoted("b".into())]);
    assert_eq!(story.committed, 20);
    assert_eq!(story.uncertain, 0, "a remains and min is 1");
    story.ack("b", 20);
    story.ack("b", 20);
    assert_eq!(story.set.in_sync_count(), 2, "it came back");
}

#[test]
fn too_few_members_make_waits_uncertain_and_refuse_writes() {
    let mut story = Story::new(rules(Policy::Demote, 1));
    story.write_until(10);
    story.join("a");
    story.write_until(30);
    story.pass(1100);
    assert_eq!((story.committed, story.uncertain), (10, 30));
    assert!(!story.writable);
    story.ack("a", 30);
    story.ack("a", 30);
    assert!(story.writable);
    assert_eq!(story.committed, 30);
}

#[test]
fn fail_keeps_the_member_and_wait_waits() {
    let mut story = Story::new(rules(Policy::Fail, 0));
    story.join("a");
    story.write_until(30);
    story.pass(1000);
    assert_eq!(story.uncertain, 30);
    assert_eq!(story.set.in_sync_count(), 1);
    story.event(Event::Detached("a".into()));
    story.write_until(40);
    story.event(Event::Tick);
    assert!(story.committed < 30, "it is still waited for");

    let mut story = Story::new(rules(Policy::Wait, 0));
    story.join("a");
    story.write_until(30);
    story.pass(60_000);
    assert_eq!((story.committed, story.uncertain), (1, 0));
    story.event(Event::Detached("a".into()));
    story.pass(60_000);
    assert_eq!((story.committed, story.uncertain), (1, 0));
    story.event(Event::Attached("a".into(), 0));
    story.ack("a", 30);
    assert_eq!(story.committed, 30);
}

#[test]
fn a_lost_link_frees_its_waits_at_once_under_demote() {
    let mut story = Story::new(rules(Policy::Demote, 0));
    story.join("a");
    story.write_until(30);
    story.event(Event::Detached("a".into()));
    assert_eq!(story.committed, u64::MAX);
}

#[test]
fn the_local_file_counts_when_it_is_always_fsynced() {
    let mut story = Story::new(Rules {
        local_fsync: true,
        ..rules(Policy::Demote, 0)
    });
    story.write_until(30);
    story.event(Event::Tick);
    assert_eq!(story.committed, 0);
    story.event(Event::LocalFsynced(20));
    assert_eq!(story.committed, 20);
    assert_eq!(
        story.set.published[AckLevel::Async.index()],
        20,
        "for everybody"
    );
}

#[test]
fn a_slow_but_steady_member_is_not_late() {
    let mut story = Story::new(rules(Policy::Demote, 0));
    story.join("a");
    for i in 1..100 {
        story.write_until(i * 100);
        story.pass(400);
        story.ack("a", i * 100 - 50);
    }
    assert_eq!(story.notes, []);
}

#[test]
fn a_member_that_comes_back_without_its_data_does_not_count() {
    // The link of a crashed replica may be replaced before anybody notices its end; what the
    // replica had acknowledged then says nothing about what it has.
    let mut story = Story::new(rules(Policy::Demote, 1));
    story.write_until(30);
    story.join("a");
    story.event(Event::Attached("a".into(), 0));
    assert_eq!(story.set.in_sync_count(), 0);
    assert!(!story.writable);
    story.ack("a", 29);
    assert_eq!(story.set.in_sync_count(), 0);
    story.ack("a", 30);
    assert_eq!(story.set.in_sync_count(), 1);
}

#[test]
fn a_member_that_comes_and_goes_is_still_waited_for() {
    let mut story = Story::new(rules(Policy::Wait, 0));
    story.join("a");
    story.write_until(30);
    for _ in 0..3 {
        story.event(Event::Detached("a".into()));
        story.event(Event::Attached("a".into(), 1));
        story.pass(5000);
    }
    assert_eq!(story.committed, 1);
    story.ack("a", 30);
    assert_eq!(story.committed, 30);
}
