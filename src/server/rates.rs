//! How much happens per second, as `INFO` shows it.

use super::stats::Stats;
use crate::time::Instant;
use std::sync::atomic::Ordering::Relaxed;

/// The last samples of the counters, a tenth of a second apart.
#[derive(Default)]
pub struct Rates {
    last: Option<(Instant, PerSecond)>,
    samples: [PerSecond; SAMPLES],
    next: usize,
}

/// Counts per second; between samples, plain counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerSecond {
    /// Commands executed.
    pub commands: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received over links between nodes.
    pub repl_bytes_in: u64,
    /// Bytes sent over links between nodes.
    pub repl_bytes_out: u64,
    /// Turns of the workers.
    pub turns: u64,
    /// Microseconds that these took.
    pub busy_us: u64,
}

impl Rates {
    /// Takes a sample of the counters.
    ///
    /// The workers count their turns, and how long these took in microseconds, themselves.
    pub fn sample(&mut self, stats: &Stats, (turns, busy_us): (u64, u64), now: Instant) {
        let counts = PerSecond {
            commands: stats.commands.load(Relaxed),
            bytes_in: stats.bytes_in.load(Relaxed),
            bytes_out: stats.bytes_out.load(Relaxed),
            repl_bytes_in: stats.repl_bytes_in.load(Relaxed),
            repl_bytes_out: stats.repl_bytes_out.load(Relaxed),
            turns,
            busy_us,
        };
        if let Some((then, before)) = self.last {
            let millis = now.saturating_duration_since(then).as_millis().max(1) as u64;
            // A reset makes counters smaller.
            let rate = |now: u64, then: u64| now.saturating_sub(then) * 1000 / millis;
            self.samples[self.next] = PerSecond {
                commands: rate(counts.commands, before.commands),
                bytes_in: rate(counts.bytes_in, before.bytes_in),
                bytes_out: rate(counts.bytes_out, before.bytes_out),
                repl_bytes_in: rate(counts.repl_bytes_in, before.repl_bytes_in),
                repl_bytes_out: rate(counts.repl_bytes_out, before.repl_bytes_out),
                turns: rate(counts.turns, before.turns),
                busy_us: rate(counts.busy_us, before.busy_us),
            };
            self.next = (self.next + 1) % SAMPLES;
        }
        self.last = Some((now, counts));
    }

    /// The means of the last samples.
    pub fn means(&self) -> PerSecond {
        let mean =
            |of: fn(&PerSecond) -> u64| self.samples.iter().map(of).sum::<u64>() / SAMPLES as u64;
        PerSecond {
            commands: mean(|s| s.commands),
            bytes_in: mean(|s| s.bytes_in),
            bytes_out: mean(|s| s.bytes_out),
            repl_bytes_in: mean(|s| s.repl_bytes_in),
            repl_bytes_out: mean(|s| s.repl_bytes_out),
            turns: mean(|s| s.turns),
            busy_us: mean(|s| s.busy_us),
        }
    }
}

/// As many as Redis keeps.
const SAMPLES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn a_steady_stream_shows_its_rate() {
        let stats = Stats::default();
        let mut rates = Rates::default();
        let start = Instant::now();
        for tick in 0..=SAMPLES as u64 {
            stats.commands.store(tick * 50, Relaxed);
            rates.sample(&stats, (0, 0), start + Duration::from_millis(tick * 100));
        }
        assert_eq!(rates.means().commands, 500);
    }
}
