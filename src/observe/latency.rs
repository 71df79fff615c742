//! Spikes by event (`LATENCY`).

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

/// The spikes of one event.
#[derive(Clone, Debug, Default)]
pub struct LatencyEvent {
    /// Unix seconds and milliseconds, oldest first; one for a second.
    pub samples: VecDeque<(i64, u64)>,
    /// The worst ever, in milliseconds.
    pub worst_ms: u64,
}

/// What can be said of an event's spikes as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// In milliseconds.
    pub mean_ms: f64,
    /// The mean distance from the mean, in milliseconds.
    pub deviation_ms: f64,
    /// Seconds from one spike to the next, on average, the time since the last included.
    pub period_s: f64,
}

impl LatencyEvent {
    /// The lowest and the highest of the samples kept, in milliseconds.
    pub fn bounds(&self) -> (u64, u64) {
        let values = self.samples.iter().map(|(_, ms)| *ms);
        (values.clone().min().unwrap_or(0), values.max().unwrap_or(0))
    }

    /// The samples summed up, at a Unix time in seconds; `None` if there is none.
    pub fn summary(&self, now: i64) -> Option<Summary> {
        let (first, _) = self.samples.front()?;
        let count = self.samples.len() as f64;
        let values = self.samples.iter().map(|(_, ms)| *ms as f64);
        let mean_ms = values.clone().sum::<f64>() / count;
        let deviation_ms = values.map(|ms| (ms - mean_ms).abs()).sum::<f64>() / count;
        Some(Summary {
            mean_ms,
            deviation_ms,
            period_s: (now - first).max(1) as f64 / count,
        })
    }
}

/// All spikes over `latency-monitor-threshold`.
#[derive(Default)]
pub struct LatencyMonitor(Mutex<BTreeMap<&'static str, LatencyEvent>>);

impl LatencyMonitor {
    /// Notes a spike. Of several in one second the worst is kept.
    pub fn note(&self, event: &'static str, at: i64, took_ms: u64) {
        let mut events = self.0.lock();
        let event = events.entry(event).or_default();
        event.worst_ms = event.worst_ms.max(took_ms);
        match event.samples.back_mut() {
            Some((last, worst)) if *last == at => *worst = (*worst).max(took_ms),
            _ => event.samples.push_back((at, took_ms)),
        }
        if event.samples.len() > SAMPLES {
            event.samples.pop_front();
        }
    }

    /// The events that have spikes.
    pub fn events(&self) -> Vec<(&'static str, LatencyEvent)> {
        let events = self.0.lock();
        events.iter().map(|(name, e)| (*name, e.clone())).collect()
    }

    /// The spikes of one event.
    pub fn event(&self, name: &[u8]) -> Option<(&'static str, LatencyEvent)> {
        let name = std::str::from_utf8(name).ok()?;
        let events = self.0.lock();
        events
            .get_key_value(name)
            .map(|(name, event)| (*name, event.clone()))
    }

    /// Forgets one event; whether there was one.
    pub fn forget(&self, name: &[u8]) -> bool {
        let name = std::str::from_utf8(name).ok();
        name.is_some_and(|name| self.0.lock().remove(name).is_some())
    }

    /// Forgets all events; how many there were.
    pub fn forget_all(&self) -> usize {
        std::mem::take(&mut *self.0.lock()).len()
    }
}

/// Kept for an event.
const SAMPLES: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_second_is_kept() {
        let monitor = LatencyMonitor::default();
        monitor.note("command", 5, 20);
        monitor.note("command", 5, 10);
        monitor.note("command", 6, 15);
        let (name, event) = monitor.event(b"command").expect("noted");
        assert_eq!(name, "command");
        assert_eq!(event.samples, [(5, 20), (6, 15)]);
        assert_eq!(event.worst_ms, 20);
        assert_eq!(event.bounds(), (15, 20));
        let summary = event.summary(8).expect("two samples");
        assert_eq!((summary.mean_ms, summary.deviation_ms), (17.5, 2.5));
        assert_eq!(summary.period_s, 1.5);
        assert!(monitor.forget(b"command") && !monitor.forget(b"command"));
    }
}
