//! Random fields, as `HRANDFIELD` draws them. The caller brings the random numbers.

use super::{Field, HashRef};
use crate::time::UnixMs;
use std::collections::HashSet;

/// How often a draw from a table may meet an expired field before the live ones are listed.
const PATIENCE: usize = 64;
/// A sample of more than one field in this many is taken from a list of them all.
const SPARSE: usize = 3;

impl<'a> HashRef<'a> {
    /// A field drawn from those live at `now`.
    pub fn random(self, now: UnixMs, next: &mut dyn FnMut() -> u64) -> Option<Field<'a>> {
        if let Self::Table(table) = self {
            for _ in 0..PATIENCE {
                let field = table.random(&mut *next)?;
                if field.is_live(now) {
                    return Some(field);
                }
            }
        }
        let live = self.live_len(now);
        if live == 0 {
            return None;
        }
        self.live(now).nth(below(next(), live))
    }

    /// `count` different fields drawn from those live at `now`; all of them, in their order,
    /// if there are no more.
    pub fn random_distinct(
        self,
        now: UnixMs,
        count: usize,
        next: &mut dyn FnMut() -> u64,
    ) -> Vec<Field<'a>> {
        let live = self.live_len(now);
        if count >= live {
            return self.live(now).collect();
        }
        if let Self::Table(table) = self
            && count.saturating_mul(SPARSE) <= live
        {
            let mut seen = HashSet::with_capacity(count);
            let mut drawn = Vec::with_capacity(count);
            for _ in 0..count * 2 + PATIENCE {
                if drawn.len() == count {
                    return drawn;
                }
                if let Some(field) = table.random(&mut *next)
                    && field.is_live(now)
                    && seen.insert(field.name.to_vec())
                {
                    drawn.push(field);
                }
            }
        }
        // Each field is taken with the chance that the rest of the sample can be filled
        // from the rest of the fields; this keeps their order.
        let (mut wanted, mut left) = (count, live);
        let mut drawn = Vec::with_capacity(count);
        for field in self.live(now) {
            if below(next(), left) < wanted {
                drawn.push(field);
                wanted -= 1;
            }
            left -= 1;
            if wanted == 0 {
                break;
            }
        }
        drawn
    }

    /// `count` fields, each drawn anew from those live at `now`, one after the other.
    pub fn random_repeated(
        self,
        now: UnixMs,
        count: usize,
        next: &mut dyn FnMut() -> u64,
        mut each: impl FnMut(Field<'a>),
    ) {
        // Where most have expired, a draw would mostly miss.
        if let Self::Table(table) = self
            && self.live_len(now) > table.len() / 2
        {
            for _ in 0..count {
                match self.random(now, next) {
                    Some(field) => each(field),
                    None => return,
                }
            }
            return;
        }
        let live: Vec<Field<'a>> = self.live(now).collect();
        if !live.is_empty() {
            (0..count).for_each(|_| each(live[below(next(), live.len())]));
        }
    }
}

/// A number in `0..bound` from 64 random bits.
fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}
