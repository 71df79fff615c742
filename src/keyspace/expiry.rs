//! When to look at which key: hints for active expiry.
//!
//! A hint is 32 bits of a key's position, filed under the time at which the key should be
//! looked at: four bytes a volatile key. What must stay true: every volatile key has a hint
//! at or before its expiry. A hint may be stale (the key is gone, or lives longer); looking
//! at it then costs one lookup and files it again if needed. So a longer expiry needs no new
//! hint, and nothing is ever searched for removal.

use crate::time::UnixMs;
use std::collections::BTreeMap;

/// The hints of one shard.
#[derive(Default)]
pub struct Hints {
    by_time: BTreeMap<UnixMs, Vec<u32>>,
    count: usize,
}

impl Hints {
    /// Files a hint for something due at `due`.
    pub fn add(&mut self, due: UnixMs, now: UnixMs, hint: u32) {
        self.by_time
            .entry(look_at(due, now))
            .or_default()
            .push(hint);
        self.count += 1;
    }

    /// How many hints are filed.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether a hint is due.
    pub fn any_due(&self, now: UnixMs) -> bool {
        self.by_time
            .first_key_value()
            .is_some_and(|(at, _)| *at <= now)
    }

    /// Takes up to `most` hints that are due.
    pub fn take_due(&mut self, now: UnixMs, most: usize) -> Vec<u32> {
        let mut due = Vec::new();
        while due.len() < most {
            let Some(mut first) = self.by_time.first_entry() else {
                break;
            };
            if *first.key() > now {
                break;
            }
            let hints = first.get_mut();
            let keep = hints.len().saturating_sub(most - due.len());
            due.extend(hints.drain(keep..));
            if hints.is_empty() {
                first.remove();
            }
        }
        self.count -= due.len();
        due
    }

    /// Forgets all hints.
    pub fn clear(&mut self) {
        self.by_time.clear();
        self.count = 0;
    }

    /// Bytes that the hints occupy.
    pub fn mem_bytes(&self) -> usize {
        self.by_time
            .values()
            .map(|hints| hints.capacity() * 4 + 48)
            .sum()
    }
}

/// The time to look: just after a near expiry, and coarsely before a far one, so that far
/// hints share few lists.
fn look_at(due: UnixMs, now: UnixMs) -> UnixMs {
    let ahead = due.saturating_sub(now).max(0);
    if ahead <= 8 * FINEST_MS {
        return (due | (FINEST_MS - 1)).saturating_add(1);
    }
    let width = 1i64 << (63 - (ahead / 8).leading_zeros());
    due & !(width.max(FINEST_MS) - 1)
}

/// The finest grain of time in milliseconds; a power of two.
const FINEST_MS: i64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_looked_at_until_it_is_due_and_soon_after() {
        for ttl in [0, 1, 500, 5_000, 3_600_000, 86_400_000 * 400] {
            let start = 1_800_000_000_123;
            let due = start + ttl;
            let (mut now, mut looks) = (start, 0);
            loop {
                let at = look_at(due, now);
                looks += 1;
                assert!(looks < 60, "ttl {ttl}");
                now = now.max(at);
                if now >= due {
                    break;
                }
            }
            assert!(
                now - due <= 2 * FINEST_MS,
                "ttl {ttl}: late by {}",
                now - due
            );
        }
    }

    #[test]
    fn due_hints_come_in_bounded_portions() {
        let mut hints = Hints::default();
        for i in 0..100 {
            hints.add(1000, 0, i);
        }
        assert!(!hints.any_due(500));
        assert_eq!(hints.take_due(5000, 30).len(), 30);
        assert_eq!(hints.take_due(5000, 100).len(), 70);
        assert_eq!(hints.len(), 0);
        assert!(!hints.any_due(i64::MAX));
    }
}
