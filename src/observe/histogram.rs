//! A histogram of durations, precise to about 3% from a nanosecond to a second.
//!
//! Durations are counted by octave, and each octave in 32 equal steps; what is shorter than 32 nanoseconds is
//! counted exactly. One thread adds, any may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of durations. About 7 KB, so that it is made when a command is first called.
pub struct Histogram {
    counts: Box<[AtomicU64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Histogram {
    /// Counts a duration of `nanos` `times` times. Only one thread may call this.
    #[inline]
    pub fn add(&self, nanos: u64, times: u64) {
        let count = &self.counts[bucket_of(nanos)];
        count.store(count.load(Ordering::Relaxed) + times, Ordering::Relaxed);
    }

    /// Adds what was counted so far to `sum`.
    pub fn add_to(&self, sum: &mut Durations) {
        for (sum, count) in sum.0.iter_mut().zip(&self.counts) {
            *sum += count.load(Ordering::Relaxed);
        }
    }
}

/// Counts of durations at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durations(Vec<u64>);

impl Default for Durations {
    fn default() -> Self {
        Durations(vec![0; BUCKETS])
    }
}

impl Durations {
    /// How many durations were counted.
    pub fn len(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes away what had been counted at an earlier moment.
    pub fn subtract(&mut self, earlier: &Durations) {
        for (count, earlier) in self.0.iter_mut().zip(&earlier.0) {
            *count = count.saturating_sub(*earlier);
        }
    }

    /// The nanoseconds that `percent` of the durations do not exceed; 0 if there is none.
    pub fn percentile(&self, percent: f64) -> u64 {
        let total = self.len();
        if total == 0 {
            return 0;
        }
        let rank = (percent / 100.0 * total as f64 + 0.5) as u64;
        let rank = rank.clamp(1, total);
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return last_of(bucket);
            }
        }
        MOST_NANOS
    }

    /// Upper bounds in nanoseconds, a power of two from 1024 on, and how many durations do
    /// not exceed them; a bound below which nothing new lies is left out.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut steps = Vec::new();
        let (mut seen, mut bucket) = (0, 0);
        let mut bound = 1024u64;
        let total = self.len();
        while seen < total {
            let before = seen;
            while bucket < BUCKETS && (last_of(bucket) <= bound || bound >= MOST_NANOS) {
                seen += self.0[bucket];
                bucket += 1;
            }
            if seen > before {
                steps.push((bound, seen));
            }
            bound *= 2;
        }
        steps
    }
}

/// Steps in an octave.
const STEPS: usize = 32;
const STEPS_BITS: u32 = STEPS.trailing_zeros();
/// Longer durations count as this long: a good second.
const MOST_NANOS: u64 = (1 << 30) + (1 << 30) / 2 - 1;
const BUCKETS: usize = bucket_of(MOST_NANOS) + 1;

const fn bucket_of(nanos: u64) -> usize {
    let nanos = if nanos > MOST_NANOS {
        MOST_NANOS
    } else {
        nanos
    };
    if nanos < STEPS as u64 {
        return nanos as usize;
    }
    let octave = 63 - nanos.leading_zeros();
    let step = (nanos >> (octave - STEPS_BITS)) as usize;
    (octave - STEPS_BITS) as usize * STEPS + step
}

/// The longest duration that is counted in a bucket, in nanoseconds.
fn last_of(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    (((bucket - shift * STEPS + 1) as u64) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket() {
        let mut last = None;
        for bucket in 0..BUCKETS {
            let upper = last_of(bucket);
            assert_eq!(bucket_of(upper), bucket);
            if let Some(last) = last {
                assert!(upper > last);
                assert_eq!(bucket_of(last + 1), bucket);
            }
            last = Some(upper);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_close() {
        let histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.add(micros * 1000, 2);
        }
        let mut sum = Durations::default();
        histogram.add_to(&mut sum);
        assert_eq!(sum.len(), 2000);
        for (percent, expected) in [(50.0, 500_000.0), (99.0, 990_000.0), (100.0, 1_000_000.0)] {
            let found = sum.percentile(percent) as f64;
            assert!((found / expected - 1.0).abs() < 0.04, "{percent} {found}");
        }
        let mut nothing = sum.clone();
        nothing.subtract(&sum);
        assert!(nothing.is_empty());
        assert_eq!(nothing.percentile(50.0), 0);
    }

    #[test]
    fn bounds_double_and_say_something_new() {
        let histogram = Histogram::default();
        for (nanos, times) in [(3, 1), (1500, 4), (1600, 1), (5_000_000_000, 1)] {
            histogram.add(nanos, times);
        }
        let mut sum = Durations::default();
        histogram.add_to(&mut sum);
        assert_eq!(sum.cumulative(), [(1024, 1), (2048, 6), (1 << 31, 7)]);
    }
}
