//! How long a replica takes to acknowledge.

use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// Matches what was sent with what was acknowledged.
#[derive(Default)]
pub struct AckLatency {
    in_flight: VecDeque<(u64, Instant)>,
    mean_us: f64,
    worst_us: u64,
}

impl AckLatency {
    /// Everything up to `offset` has been handed to the socket.
    pub fn sent(&mut self, offset: u64, now: Instant) {
        // A replica that has stopped acknowledging must not make this grow.
        if self.in_flight.len() < 1024 {
            self.in_flight.push_back((offset, now));
        }
    }

    /// Everything up to `offset` is acknowledged.
    pub fn acknowledged(&mut self, offset: u64, now: Instant) {
        let mut oldest = None;
        while let Some((sent, at)) = self.in_flight.front().copied()
            && sent <= offset
        {
            oldest = oldest.or(Some(at));
            self.in_flight.pop_front();
        }
        let Some(at) = oldest else { return };
        let took = now.saturating_duration_since(at).as_micros() as u64;
        self.worst_us = self.worst_us.max(took);
        self.mean_us = if self.mean_us == 0.0 {
            took as f64
        } else {
            self.mean_us + (took as f64 - self.mean_us) / 64.0
        };
    }

    /// A moving mean.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.mean_us as u64)
    }

    /// The worst so far.
    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.worst_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_covers_everything_before_it() {
        let start = Instant::now();
        let at = |us| start + Duration::from_micros(us);
        let mut latency = AckLatency::default();
        latency.sent(10, at(0));
        latency.sent(20, at(50));
        latency.sent(30, at(60));
        latency.acknowledged(20, at(100));
        assert_eq!(latency.mean(), Duration::from_micros(100));
        latency.acknowledged(30, at(560));
        assert_eq!(latency.worst(), Duration::from_micros(500));
        latency.acknowledged(30, at(9000));
        assert_eq!(latency.worst(), Duration::from_micros(500));
    }
}
