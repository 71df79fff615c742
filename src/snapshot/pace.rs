//! How a snapshot shares the processors with those who serve.
//!
//! Where every processor has work, a thread that never sleeps has its equal share of them, and
//! those who serve late have a queue. So a snapshot for a file has a lower priority, and works
//! for less time than the scheduler lets anybody finish, then sleeps: a worker that has become
//! ready waits for no longer than that, and the walker is hardly ever stopped while it holds a
//! shard's lock.

use crate::time::{Duration, Instant};
use std::sync::atomic::{AtomicU64, Ordering};

/// Whom a snapshot may hold up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nobody who serves: a file can wait.
    Behind,
    /// It shares alike: a replica waits.
    Abreast,
}

/// Sees to the pace, from within the thread that makes the snapshot.
pub(super) struct Breaths<'a> {
    pace: Pace,
    since: Instant,
    /// Counts what is served, and what it was at the last rest: a server that serves nobody
    /// has nobody to step aside for.
    served: &'a AtomicU64,
    seen: u64,
}

impl<'a> Breaths<'a> {
    /// Begins, on the thread that shall keep the pace; `served` counts the commands.
    pub fn begin(pace: Pace, served: &'a AtomicU64) -> Self {
        if pace == Pace::Behind {
            step_back();
        }
        Breaths {
            pace,
            since: Instant::now(),
            served,
            seen: served.load(Ordering::Relaxed),
        }
    }

    /// Sleeps if it is time to; no lock may be held.
    pub fn pause(&mut self) {
        if self.pace == Pace::Abreast || self.since.elapsed() < WORK {
            return;
        }
        let served = self.served.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.seen, served) != served {
            std::thread::sleep(REST);
        }
        self.since = Instant::now();
    }
}

/// Rests as long as tests want for so many keys: `delay` is in microseconds for each, or how
/// many keys take a microsecond if it is negative. It may change meanwhile, and the rest ends
/// when it is not `wanted` any more. No lock may be held.
pub fn dawdle(delay: impl Fn() -> i64, keys: u64, wanted: impl Fn() -> bool) {
    let begun = Instant::now();
    loop {
        let us = match delay() {
            0 => return,
            each @ 1.. => keys.saturating_mul(each.unsigned_abs()),
            several => keys / several.unsigned_abs(),
        };
        let left = Duration::from_micros(us).saturating_sub(begun.elapsed());
        if left.is_zero() || !wanted() {
            return;
        }
        std::thread::sleep(left.min(LOOK_UP));
    }
}

/// Gives this thread a lower priority than those that serve.
pub fn step_back() {
    // Linux has priorities for each thread; without it the file is made all the same.
    let this = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(this), NICE) {
        tracing::debug!(%error, "no lower priority for a file's thread");
    }
}

/// How often somebody who dawdles looks whether to go on.
const LOOK_UP: Duration = Duration::from_millis(10);
/// Less than a scheduler's slice, which is a millisecond or more.
const WORK: Duration = Duration::from_micros(250);
/// Enough for a worker to wake and answer.
const REST: Duration = Duration::from_micros(100);
/// A tenth of what others have, where they want it all.
const NICE: i32 = 10;
