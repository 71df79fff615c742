//! Runs of equal registers.
//!
//! ```text
//!   00nnnnnn            n + 1 registers of 0
//!   01nnnnnn nnnnnnnn   n + 1 registers of 0, high bits first
//!   1vvvvvnn            n + 1 registers of v + 1
//! ```
//!
//! Setting a register cuts the run that it lies in, into three at most; then neighbours of
//! the same value are joined, from the run before on.

use super::{Corrupt, HEADER, REGISTERS, invalidate};
use smallvec::SmallVec;
use std::ops::Range;

/// The runs of registers that are all 0.
pub(super) const ALL_ZERO: [u8; 2] = [0x7f, 0xff];

/// A run of equal registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub registers: Range<usize>,
    pub value: u8,
    /// Whether it is the form of two bytes.
    pub long: bool,
}

/// The run at `at`: value, length, and bytes that it takes.
fn read(bytes: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let first = *bytes.get(at)?;
    let low = usize::from(first & 0x3f);
    Some(match first >> 6 {
        0 => (0, low + 1, 1),
        1 => (0, (low << 8 | usize::from(*bytes.get(at + 1)?)) + 1, 2),
        _ => ((first >> 2 & 31) + 1, (low & 3) + 1, 1),
    })
}

/// All runs of a HyperLogLog. They make sense if they are of all registers and end with the
/// string.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = Result<Run, Corrupt>> {
    let (mut at, mut register, mut failed) = (HEADER, 0, false);
    std::iter::from_fn(move || {
        if failed || at == bytes.len() && register == REGISTERS {
            return None;
        }
        let run = read(bytes, at).filter(|(_, len, _)| register + len <= REGISTERS);
        let Some((value, len, size)) = run else {
            failed = true;
            return Some(Err(Corrupt));
        };
        let registers = register..register + len;
        (at, register) = (at + size, register + len);
        Some(Ok(Run {
            registers,
            value,
            long: size == 2,
        }))
    })
}

/// What came of setting a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// It was lower before (or not).
    Done(bool),
    /// The encoding cannot hold it: nothing was changed.
    TooLarge,
}

/// Raises a register to `value`; the string has `max_len` bytes at most afterwards, or no
/// more than before.
pub(super) fn set(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    max_len: usize,
) -> Result<Set, Corrupt> {
    if value > MAX_VALUE {
        return Ok(Set::TooLarge);
    }
    let (mut at, mut first, mut before) = (HEADER, 0, None);
    let (old, len, size) = loop {
        let run = read(bytes, at).ok_or(Corrupt)?;
        if index < first + run.1 {
            break run;
        }
        before = Some(at);
        at += run.2;
        first += run.1;
    };
    if old >= value {
        return Ok(Set::Done(false));
    }
    let mut cut = SmallVec::<[u8; 8]>::new();
    put(&mut cut, old, index - first);
    put(&mut cut, value, 1);
    put(&mut cut, old, first + len - 1 - index);
    if cut.len() > size && bytes.len() + cut.len() - size > max_len {
        return Ok(Set::TooLarge);
    }
    bytes.splice(at..at + size, cut);
    join(bytes, before.unwrap_or(HEADER));
    invalidate(bytes);
    Ok(Set::Done(true))
}

/// Adds a run, unless it is empty. One that was cut out of another is not longer than that.
fn put(out: &mut SmallVec<[u8; 8]>, value: u8, len: usize) {
    match (value, len) {
        (_, 0) => {}
        (0, 1..=MAX_SHORT) => out.push(len as u8 - 1),
        (0, _) => out.extend([0x40 | ((len - 1) >> 8) as u8, (len - 1) as u8]),
        (value, _) => out.push(0x80 | (value - 1) << 2 | (len as u8 - 1)),
    }
}

/// Joins neighbours of the same value, among the few runs from `at` on that a change can have
/// made neighbours.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..RUNS_TO_JOIN {
        let Some((value, len, size)) = read(bytes, at) else {
            return;
        };
        if value > 0
            && let Some((next_value, next_len, 1)) = read(bytes, at + 1)
            && next_value == value
            && len + next_len <= MAX_VALUE_RUN
        {
            bytes[at + 1] = 0x80 | (value - 1) << 2 | (len + next_len - 1) as u8;
            bytes.remove(at);
            continue;
        }
        at += size;
    }
}

/// The highest value of a register.
const MAX_VALUE: u8 = 32;
/// Registers in a run of zeros of one byte.
const MAX_SHORT: usize = 64;
/// Registers in a run of another value.
const MAX_VALUE_RUN: usize = 4;
/// The run before, the three that one was cut into, the one after.
const RUNS_TO_JOIN: usize = 5;
