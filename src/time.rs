//! The only place that reads a clock.
//!
//! Wall-clock time is for what users see and for key expiry; everything that measures a
//! duration uses [`Instant`], which never goes backwards.

pub use std::time::{Duration, Instant};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch: the unit in which keys expire.
pub type UnixMs = i64;

/// Wall-clock time in microseconds since the Unix epoch.
pub fn unix_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_micros() as u64)
}

/// Wall-clock time in milliseconds since the Unix epoch.
pub fn unix_ms() -> UnixMs {
    (unix_micros() / 1000) as UnixMs
}

/// Wall-clock time in whole seconds since the Unix epoch.
pub fn unix_seconds() -> i64 {
    unix_ms() / 1000
}

/// The local time as log lines carry it, to the millisecond.
pub fn local_stamp() -> String {
    chrono::Local::now()
        .format("%d %b %Y %H:%M:%S%.3f")
        .to_string()
}
