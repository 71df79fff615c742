//! The 24 bits that tell how recently or how often an entry was used.
//!
//! Under LRU they are the access time in seconds, modulo 2^24. Under LFU the upper 16 bits
//! are the minute of the last decrement and the lower 8 a logarithmic counter, by the
//! formulas that Redis documents for its LFU.

use super::context::Settings;
use crate::time::UnixMs;

/// The bits of an entry made now.
pub fn created(now: UnixMs, settings: &Settings) -> u32 {
    if settings.lfu {
        minute(now) << 8 | LFU_START
    } else {
        second(now)
    }
}

/// The bits after an access.
#[inline]
pub fn accessed(clock: u32, now: UnixMs, settings: &Settings) -> u32 {
    if !settings.lfu {
        return second(now);
    }
    let count = frequency(clock, now, settings);
    let probability = 1.0
        / (f64::from(count.saturating_sub(LFU_START)) * f64::from(settings.lfu_log_factor) + 1.0);
    let draw = (crate::random::next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let grown = if count < 255 && draw < probability {
        count + 1
    } else {
        count
    };
    minute(now) << 8 | grown
}

/// The LFU counter now: one less for each decay period that passed.
pub fn frequency(clock: u32, now: UnixMs, settings: &Settings) -> u32 {
    let passed = minute(now).wrapping_sub(clock >> 8) & 0xffff;
    let periods = passed.checked_div(settings.lfu_decay_minutes).unwrap_or(0);
    (clock & 0xff).saturating_sub(periods)
}

/// Seconds since the last access.
pub fn idle_seconds(clock: u32, now: UnixMs) -> u32 {
    second(now).wrapping_sub(clock) & 0xff_ffff
}

/// The bits of an entry that was last used so many seconds ago; under LFU it counts as new.
pub fn with_idle(seconds: u64, now: UnixMs, settings: &Settings) -> u32 {
    if settings.lfu {
        return created(now, settings);
    }
    // Longer than the clock goes round is as long as the clock can say.
    let seconds = seconds.min(0xff_ffff) as u32;
    second(now).wrapping_sub(seconds) & 0xff_ffff
}

/// The bits of an entry with this counter; under LRU it counts as just used.
pub fn with_frequency(count: u8, now: UnixMs, settings: &Settings) -> u32 {
    if !settings.lfu {
        return created(now, settings);
    }
    minute(now) << 8 | u32::from(count)
}

fn second(now: UnixMs) -> u32 {
    (now / 1000) as u32 & 0xff_ffff
}

fn minute(now: UnixMs) -> u32 {
    (now / 60_000) as u32 & 0xffff
}

/// The counter of a new entry, so that it is not the first to be evicted.
const LFU_START: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_wraps() {
        let settings = Settings::default();
        let now = 0x1_0000_0010 * 1000;
        let clock = created(now, &settings);
        assert_eq!(idle_seconds(clock, now + 42_000), 42);
        assert_eq!(idle_seconds(0xff_fffe, 2000), 4);
    }

    #[test]
    fn frequency_decays_by_the_minute() {
        let settings = Settings {
            lfu: true,
            ..Settings::default()
        };
        let clock = created(0, &settings);
        assert_eq!(frequency(clock, 0, &settings), 5);
        assert_eq!(frequency(clock, 3 * 60_000, &settings), 2);
        assert_eq!(frequency(clock, 90 * 60_000, &settings), 0);
    }
}
