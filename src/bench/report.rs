//! The figures.

use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies in buckets of about one percent.
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
                return lower_edge(i) as f64 / 1000.0;
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
const STEPS: usize = 64;

fn bucket(ns: u64) -> usize {
    let doubling = ns.ilog2() as usize;
    let within = if doubling >= 6 {
        (ns >> (doubling - 6)) as usize & (STEPS - 1)
    } else {
        (ns << (6 - doubling)) as usize & (STEPS - 1)
    };
    doubling * STEPS + within
}

fn lower_edge(bucket: usize) -> u64 {
    let (doubling, within) = (bucket / STEPS, (bucket % STEPS) as u64);
    if doubling >= 6 {
        (64 + within) << (doubling - 6)
    } else {
        (64 + within) >> (6 - doubling)
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
    /// Error replies by text.
    pub errors: BTreeMap<String, u64>,
}

impl Report {
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
        for (error, n) in &self.errors {
            text.push_str(&format!("ERROR REPLIES {n} times: {error}\n"));
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
            "errors": self.errors,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        for us in 1..=10_000u64 {
            histogram.add(Duration::from_micros(us));
        }
        for (share, us) in [(0.5, 5000.0), (0.99, 9900.0), (0.999, 9990.0)] {
            let got = histogram.quantile_us(share);
            assert!((got - us).abs() / us < 0.02, "{share}: {got}");
        }
        assert_eq!(histogram.max_us(), 10_000.0);
    }
}
