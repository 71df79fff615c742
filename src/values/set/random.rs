//! Random members, as `SPOP` and `SRANDMEMBER` draw them. The caller brings the random
//! numbers.

use super::{SetRef, ints};
use crate::values::packed::Element;
use std::collections::HashSet;

/// A sample of more than one member in this many is taken from a walk over them all.
const SPARSE: usize = 3;

impl<'a> SetRef<'a> {
    /// A member drawn evenly.
    pub fn random(self, next: &mut dyn FnMut() -> u64) -> Option<Element<'a>> {
        match self {
            Self::Table(table) => table.random(next),
            Self::Ints(_) if self.is_empty() => None,
            Self::Ints(bytes) => {
                let index = below(next(), self.len());
                Some(Element::Int(ints::get(bytes, index)))
            }
            Self::Packed(_) => {
                let len = self.len();
                self.iter().nth(below(next(), len.max(1)))
            }
        }
    }

    /// `count` different members; all of them, in their order, if there are no more.
    pub fn random_distinct(self, count: usize, next: &mut dyn FnMut() -> u64) -> Vec<Element<'a>> {
        let len = self.len();
        if count >= len {
            return self.iter().collect();
        }
        if let Self::Table(table) = self
            && count.saturating_mul(SPARSE) <= len
        {
            let mut seen = HashSet::with_capacity(count);
            let mut drawn = Vec::with_capacity(count);
            while drawn.len() < count {
                let Some(member) = table.random(&mut *next) else {
                    break;
                };
                if seen.insert(identity(member)) {
                    drawn.push(member);
                }
            }
            return drawn;
        }
        // Each member is taken with the chance that the rest of the sample can be filled
        // from the rest of the members; this keeps their order.
        let (mut wanted, mut left) = (count, len);
        let mut drawn = Vec::with_capacity(count);
        for member in self.iter() {
            if wanted == 0 {
                break;
            }
            if below(next(), left) < wanted {
                drawn.push(member);
                wanted -= 1;
            }
            left -= 1;
        }
        drawn
    }

    /// `count` members, each drawn anew, one after the other.
    pub fn random_repeated(
        self,
        count: usize,
        next: &mut dyn FnMut() -> u64,
        mut each: impl FnMut(Element<'a>),
    ) {
        if let Self::Packed(_) = self {
            let all: Vec<Element<'a>> = self.iter().collect();
            if !all.is_empty() {
                (0..count).for_each(|_| each(all[below(next(), all.len())]));
            }
            return;
        }
        for _ in 0..count {
            match self.random(next) {
                Some(member) => each(member),
                None => return,
            }
        }
    }
}

/// What tells a member of a set from the others while the set does not change: the integer,
/// or where the text lies.
fn identity(member: Element<'_>) -> (bool, i64, usize) {
    match member {
        Element::Int(value) => (true, value, 0),
        Element::Str(text) => (false, text.as_ptr() as i64, text.len()),
    }
}

/// A number in `0..bound` from 64 random bits.
pub(super) fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}
