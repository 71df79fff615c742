//! How often each command was called and how long it took: `INFO commandstats`.
//!
//! Every worker counts into rows of its own, so that counting needs neither a lock nor an
//! atomic addition; whoever asks adds the workers up. A clock is read when the command
//! changes from one request to the next, not for every request: a pipeline of one command
//! is timed as a whole. Commands that can be slow are timed one by one where somebody wants
//! to know (`slowlog-log-slower-than`, `latency-monitor-threshold`).
//!
//! The histograms of `LATENCY HISTOGRAM` and `INFO latencystats` follow the same rule: the
//! commands of a run count as having taken equally long.

use crate::commands::table::{self, Command};
use crate::observe::{Durations, Histogram};
use crate::protocol::Args;
use crate::time::{Duration, Instant};
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The counters of one worker, a row for each command of the table.
pub struct CommandCounts {
    rows: Box<[Row]>,
    /// All executions: the sum of the rows' calls.
    executed: AtomicU64,
}

/// Written by one thread only.
#[derive(Default)]
struct Row {
    calls: AtomicU64,
    nanos: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    /// Whether the cost of the command grows with nothing but, at most, its arguments.
    constant_time: bool,
    /// Made at the first call that is tracked.
    durations: OnceLock<Histogram>,
}

/// The counters of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandCount {
    /// Executions.
    pub calls: u64,
    /// Their duration in nanoseconds.
    pub nanos: u64,
    /// Requests refused before execution.
    pub rejected: u64,
    /// Executions that ended in an error.
    pub failed: u64,
}

impl Default for CommandCounts {
    fn default() -> Self {
        CommandCounts {
            rows: table::all().iter().map(Row::new).collect(),
            executed: AtomicU64::new(0),
        }
    }
}

impl Row {
    fn new(command: &Command) -> Row {
        Row {
            constant_time: command.spec.complexity == "O(1)"
                || command.spec.complexity.starts_with("O(1) for each"),
            ..Row::default()
        }
    }
}

impl CommandCounts {
    /// Counts a request that was refused before execution.
    pub fn rejected(&self, command: &Command) {
        add(&self.rows[command.id].rejected, 1);
    }

    /// Counts an execution that ended in an error.
    pub fn failed(&self, command: &Command) {
        add(&self.rows[command.id].failed, 1);
    }

    /// Takes back an execution that will begin anew.
    pub fn comes_again(&self, command: &Command) {
        for counter in [&self.rows[command.id].calls, &self.executed] {
            let n = counter.load(Ordering::Relaxed);
            counter.store(n.saturating_sub(1), Ordering::Relaxed);
        }
    }

    /// How many commands this worker has executed, those inside transactions and scripts
    /// included.
    #[inline]
    pub fn executed(&self) -> u64 {
        self.executed.load(Ordering::Relaxed)
    }

    fn row(&self, id: usize) -> CommandCount {
        let row = &self.rows[id];
        CommandCount {
            calls: row.calls.load(Ordering::Relaxed),
            nanos: row.nanos.load(Ordering::Relaxed),
            rejected: row.rejected.load(Ordering::Relaxed),
            failed: row.failed.load(Ordering::Relaxed),
        }
    }
}

/// Adds to a counter that only the calling thread writes.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// Times the commands of one batch.
pub struct CommandClock<'a> {
    counts: &'a CommandCounts,
    /// `latency-tracking`.
    tracks: bool,
    running: Cell<Option<Run>>,
}

/// Requests for one command that follow each other.
#[derive(Clone, Copy)]
struct Run {
    id: usize,
    since: Instant,
    calls: u64,
}

impl<'a> CommandClock<'a> {
    /// A clock at rest. `tracks`: durations go into the histograms.
    pub fn new(counts: &'a CommandCounts, tracks: bool) -> Self {
        CommandClock {
            counts,
            tracks,
            running: Cell::new(None),
        }
    }

    /// The counters that it adds to.
    pub fn counts(&self) -> &'a CommandCounts {
        self.counts
    }

    /// A command begins now, and the one before has ended.
    #[inline]
    pub fn begins(&self, command: &Command) {
        add(&self.counts.rows[command.id].calls, 1);
        add(&self.counts.executed, 1);
        match self.running.get() {
            Some(run) if run.id == command.id => {
                let calls = run.calls + 1;
                self.running.set(Some(Run { calls, ..run }));
            }
            _ => {
                self.switch(Some((command.id, 1)));
            }
        }
    }

    /// A command that has begun already goes on (`EXEC` after what it ran).
    pub fn resumes(&self, command: &Command) {
        self.switch(Some((command.id, 0)));
    }

    /// Whether the command is to be timed by itself, for those who look for what takes as
    /// long as `slow_from_us`. One whose cost is that of its few arguments cannot.
    #[inline]
    pub fn times_alone(
        &self,
        command: &Command,
        args: Args<'_>,
        slow_from_us: Option<u64>,
    ) -> bool {
        slow_from_us.is_some_and(|from| {
            !self.counts.rows[command.id].constant_time || args.len() > FEW_ARGS || from < FINE_US
        })
    }

    /// The command that runs has ended; gives how long it took.
    pub fn ends(&self) -> Duration {
        self.switch(None)
    }

    /// Ends what runs and begins another; gives how long the former took.
    fn switch(&self, to: Option<(usize, u64)>) -> Duration {
        let now = Instant::now();
        let took = match self.running.get() {
            Some(run) => {
                let took = now.saturating_duration_since(run.since);
                let nanos = took.as_nanos() as u64;
                let row = &self.counts.rows[run.id];
                add(&row.nanos, nanos);
                if self.tracks && run.calls > 0 {
                    let durations = row.durations.get_or_init(Histogram::default);
                    durations.add(nanos / run.calls, run.calls);
                }
                took
            }
            None => Duration::ZERO,
        };
        self.running.set(to.map(|(id, calls)| Run {
            id,
            since: now,
            calls,
        }));
        took
    }
}

/// Thresholds below this many microseconds make every command timed by itself.
const FINE_US: u64 = 1000;
/// So many arguments are done with in far less than [`FINE_US`].
const FEW_ARGS: usize = 64;

impl Drop for CommandClock<'_> {
    fn drop(&mut self) {
        if self.running.get().is_some() {
            self.switch(None);
        }
    }
}

/// The counters of all workers.
#[derive(Default)]
pub struct CommandStats {
    workers: Mutex<Vec<Arc<CommandCounts>>>,
    /// The sums at the last `CONFIG RESETSTAT`: the rows themselves belong to their workers.
    zero: Mutex<Vec<CommandCount>>,
    /// The same for the histograms, by the command's place in the table.
    zero_durations: Mutex<BTreeMap<usize, Durations>>,
}

impl CommandStats {
    /// Rows for one more worker.
    pub fn add_worker(&self) -> Arc<CommandCounts> {
        let counts = Arc::new(CommandCounts::default());
        self.workers.lock().push(Arc::clone(&counts));
        counts
    }

    /// The counters of every command, in the order of the table.
    pub fn counts(&self) -> Vec<CommandCount> {
        let mut counts = self.sums();
        for (count, zero) in counts.iter_mut().zip(&*self.zero.lock()) {
            count.calls -= zero.calls;
            count.nanos -= zero.nanos;
            count.rejected -= zero.rejected;
            count.failed -= zero.failed;
        }
        counts
    }

    /// Sets all counters back to zero. What runs and has begun already counts afterwards: as in
    /// Redis a call counts when it has ended.
    pub fn reset(&self, running: Option<&Command>) {
        let mut sums = self.sums();
        if let Some(own) = running.and_then(|command| sums.get_mut(command.id)) {
            own.calls = own.calls.saturating_sub(1);
        }
        *self.zero.lock() = sums;
        let mut zero = self.zero_durations.lock();
        zero.clear();
        for command in table::all() {
            if let Some(sum) = self.all_durations(command.id) {
                zero.insert(command.id, sum);
            }
        }
    }

    /// How long the calls of a command took; `None` if none was tracked.
    pub fn durations(&self, command: &Command) -> Option<Durations> {
        let mut sum = self.all_durations(command.id)?;
        if let Some(zero) = self.zero_durations.lock().get(&command.id) {
            sum.subtract(zero);
        }
        (!sum.is_empty()).then_some(sum)
    }

    /// Since the start, whatever was reset.
    fn all_durations(&self, id: usize) -> Option<Durations> {
        let mut sum: Option<Durations> = None;
        for worker in &*self.workers.lock() {
            if let Some(histogram) = worker.rows[id].durations.get() {
                histogram.add_to(sum.get_or_insert_default());
            }
        }
        sum
    }

    fn sums(&self) -> Vec<CommandCount> {
        let mut sums = vec![CommandCount::default(); table::all().len()];
        for worker in &*self.workers.lock() {
            for (id, sum) in sums.iter_mut().enumerate() {
                let row = worker.row(id);
                sum.calls += row.calls;
                sum.nanos += row.nanos;
                sum.rejected += row.rejected;
                sum.failed += row.failed;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up_and_a_reset_starts_over() {
        let stats = CommandStats::default();
        let (one, two) = (stats.add_worker(), stats.add_worker());
        let [first, second, ..] = table::all() else {
            panic!("the table has commands");
        };
        let clock = CommandClock::new(&one, true);
        clock.begins(first);
        clock.begins(first);
        clock.begins(second);
        drop(clock);
        CommandClock::new(&two, true).begins(first);
        two.failed(first);
        two.rejected(second);
        let counts = stats.counts();
        assert_eq!((counts[0].calls, counts[0].failed), (3, 1));
        assert_eq!(stats.durations(first).map(|d| d.len()), Some(3));
        assert_eq!((counts[1].calls, counts[1].rejected), (1, 1));
        stats.reset(None);
        assert_eq!(stats.counts()[0], CommandCount::default());
        assert_eq!(stats.durations(first), None);
        CommandClock::new(&two, false).begins(first);
        assert_eq!(stats.counts()[0].calls, 1);
        stats.reset(Some(first));
        assert_eq!(stats.counts()[0].calls, 1);
    }
}
