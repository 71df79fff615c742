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
    pub fn event(&self, name: &[u8]) -> Option<LatencyEvent> {
        let name = std::str::from_utf8(name).ok()?;
        self.0.lock().get(name).cloned()
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
        let event = monitor.event(b"command").expect("noted");
        assert_eq!(event.samples, [(5, 20), (6, 15)]);
        assert_eq!(event.worst_ms, 20);
        assert!(monitor.forget(b"command") && !monitor.forget(b"command"));
    }
}
