//! The figures.

use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies in buckets of less than half a percent.
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            buckets: vec![0; 64 * STEPS],
            count: 0,
            max_ns: 0,
        }
    }
}

impl Histogram {
    /// Adds one latency.
    #[inline]
    pub fn add(&mut self, latency: Duration) {
        let ns = (latency.as_nanos() as u64).max(1);
        self.buckets[bucket(ns)] += 1;
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// The latency below which this share of operations lies, in microseconds.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            seen += n;
            if seen >= wanted {
                // The middle of the bucket, but never above what was seen.
                let middle = (lower_edge(i) + lower_edge(i + 1)) / 2;
                return middle.min(self.max_ns) as f64 / 1000.0;
            }
        }
        self.max_us()
    }

    /// The greatest latency in microseconds.
    pub fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1000.0
    }
}

/// Steps of a doubling.
const STEPS: usize = 1 << STEP_BITS;

/// Fine enough to tell two percent of a round trip apart.
const STEP_BITS: usize = 8;

fn bucket(ns: u64) -> usize {
    let doubling = ns.ilog2() as usize;
    let within = if doubling >= STEP_BITS {
        (ns >> (doubling - STEP_BITS)) as usize & (STEPS - 1)
    } else {
        (ns << (STEP_BITS - doubling)) as usize & (STEPS - 1)
    };
    doubling * STEPS + within
}

fn lower_edge(bucket: usize) -> u64 {
    let (doubling, within) = (bucket / STEPS, (bucket % STEPS) as u64);
    let steps = STEPS as u64;
    if doubling >= STEP_BITS {
        (steps + within) << (doubling - STEP_BITS)
    } else {
        (steps + within) >> (STEP_BITS - doubling)
    }
}

/// What a run has measured.
#[derive(Default)]
pub struct Report {
    /// Operations completed.
    pub operations: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Latencies.
    pub latency: Histogram,
    /// Replies that were null: `GET` of keys that are not there.
    pub nulls: u64,
    /// Error replies by text.
    pub errors: BTreeMap<String, u64>,
    /// CPU time of the generator itself during the run.
    pub own_cpu: Duration,
}

impl Report {
    /// Counts an error reply, or the first error within an aggregate.
    #[cold]
    pub fn count_error(&mut self, reply: &[u8]) {
        let lines = reply.split(|byte| *byte == b'\n');
        let error = lines.clone().find(|line| line.starts_with(b"-"));
        let text = String::from_utf8_lossy(error.unwrap_or(reply));
        let text = text.trim_start_matches('-').trim_end();
        // Texts that quote their arguments must not fill the memory.
        let text = if self.errors.len() < ERROR_TEXTS || self.errors.contains_key(text) {
            text
        } else {
            "(other errors)"
        };
        *self.errors.entry(text.to_owned()).or_default() += 1;
    }

    /// The share of one core that the generator used.
    fn own_share(&self) -> f64 {
        self.own_cpu.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// For people.
    pub fn text(&self) -> String {
        let q = |share| self.latency.quantile_us(share);
        let mut text = format!(
            "{} operations in {:.2} s: {:.0} ops/s\n\
             latency in microseconds: p50 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0}\n",
            self.operations,
            self.elapsed.as_secs_f64(),
            self.rate(),
            q(0.5),
            q(0.99),
            q(0.999),
            self.latency.max_us(),
        );
        if self.nulls > 0 {
            text.push_str(&format!("null replies: {}\n", self.nulls));
        }
        for (error, n) in &self.errors {
            text.push_str(&format!("ERROR REPLIES, {n} times: {error}\n"));
        }
        if self.own_share() > SATURATED {
            text.push_str("this generator was busy all the time: the server may be faster\n");
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        let q = |share| self.latency.quantile_us(share);
        serde_json::json!({
            "operations": self.operations,
            "seconds": self.elapsed.as_secs_f64(),
            "ops_per_second": self.rate(),
            "p50_us": q(0.5),
            "p99_us": q(0.99),
            "p999_us": q(0.999),
            "max_us": self.latency.max_us(),
            "nulls": self.nulls,
            "errors": self.errors,
            "generator_cpu_seconds": self.own_cpu.as_secs_f64(),
        })
        .to_string()
    }
}

/// How many different texts of errors are kept.
const ERROR_TEXTS: usize = 20;

/// A generator that uses more of its core than this measures itself.
const SATURATED: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_text_and_their_number_is_bounded() {
        let mut report = Report::default();
        report.count_error(b"-ERR no\r\n");
        report.count_error(b"*2\r\n+OK\r\n-ERR no\r\n");
        assert_eq!(report.errors["ERR no"], 2);
        for i in 0..100 {
            report.count_error(format!("-ERR {i}\r\n").as_bytes());
        }
        assert_eq!(report.errors.len(), ERROR_TEXTS + 1);
        assert_eq!(report.errors["(other errors)"], 81);
        assert!(report.text().contains("ERROR REPLIES, 2 times: ERR no"));
    }

    #[test]
    fn one_latency_is_every_quantile() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_nanos(123_457));
        for share in [0.0, 0.5, 1.0] {
            let got = histogram.quantile_us(share);
            assert!((got - 123.457).abs() < 0.5 && got <= histogram.max_us());
        }
        assert_eq!(Histogram::default().quantile_us(0.5), 0.0);
    }

    #[test]
    fn quantiles_are_within_half_a_percent() {
        let mut histogram = Histogram::default();
        for us in 1..=10_000u64 {
            histogram.add(Duration::from_micros(us));
        }
        for (share, us) in [(0.5, 5000.0), (0.99, 9900.0), (0.999, 9990.0)] {
            let got = histogram.quantile_us(share);
            assert!((got - us).abs() / us < 0.005, "{share}: {got}");
        }
        assert_eq!(histogram.max_us(), 10_000.0);
    }
}
