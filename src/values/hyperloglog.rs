//! HyperLogLogs: how many different elements were added, told by 16,384 registers.
//!
//! A HyperLogLog is a string in the format of Redis, so that it can be read, copied and sent
//! like any other:
//!
//! ```text
//!   "HYLL" │ encoding:u8 │ 0 0 0 │ count:u64 LE │ registers
//! ```
//!
//! The count is that of the last time somebody asked; its highest bit says that registers
//! have changed since. Of the 64 bits of an element's hash, 14 choose a register, and the
//! register keeps the greatest number of zeros, plus one, at the end of the other 50.
//!
//! | encoding | registers |
//! |---|---|
//! | 0, dense | 6 bits each, the lowest bits of a byte first: always 12,288 bytes |
//! | 1, sparse | runs of equal registers, see [`sparse`](self::sparse) |
//!
//! A sparse one becomes dense when a register exceeds 32 or the string a configured length,
//! and never the other way. How its runs are cut and joined is visible to who reads the
//! string, so that it is done exactly as Redis does.
//!
//! What must stay true: no bytes, wherever they come from, make anything here panic; what
//! makes no sense is [`Corrupt`].

mod dense;
mod estimate;
mod sparse;
#[cfg(test)]
mod tests;

pub use dense::set_wide_merge;

use std::fmt::Write as _;

/// How the registers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// All of them.
    Dense,
    /// Runs of equal ones.
    Sparse,
}

impl Encoding {
    /// Its name for `PFDEBUG ENCODING`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// The registers make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// What a string says of itself; `None` if it is no HyperLogLog. Runs are not looked at.
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    let rest = bytes.strip_prefix(MAGIC)?;
    match rest.first()? {
        0 if bytes.len() == DENSE_LEN => Some(Encoding::Dense),
        1 if bytes.len() >= HEADER => Some(Encoding::Sparse),
        _ => None,
    }
}

/// A sparse HyperLogLog to which nothing has been added.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = 1;
    bytes.extend_from_slice(&sparse::ALL_ZERO);
    bytes
}

/// The register of an element, and what the element puts there.
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur_64a(element);
    let index = (hash % REGISTERS as u64) as usize;
    // A bit beyond the hash ends the zeros.
    let rest = hash >> INDEX_BITS | 1 << (64 - INDEX_BITS);
    (index, rest.trailing_zeros() as u8 + 1)
}

/// Whether adding this would change a dense HyperLogLog.
pub fn dense_would_change(bytes: &[u8], (index, value): (usize, u8)) -> bool {
    dense::get(registers_of(bytes), index) < value
}

/// Adds what [`place`] gave; whether a register changed. The string becomes dense if it has
/// to, `max_sparse` being the most bytes of a sparse one.
///
/// # Errors
/// If the registers make no sense.
pub fn add(
    bytes: &mut Vec<u8>,
    (index, value): (usize, u8),
    max_sparse: usize,
) -> Result<bool, Corrupt> {
    if encoding(bytes) == Some(Encoding::Sparse) {
        match sparse::set(bytes, index, value, max_sparse)? {
            sparse::Set::Done(changed) => return Ok(changed),
            sparse::Set::TooLarge => drop(make_dense(bytes)?),
        }
    }
    Ok(dense::raise(registers_of_mut(bytes), index, value))
}

/// Makes a sparse HyperLogLog dense; whether it was not.
///
/// # Errors
/// If the registers make no sense.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if encoding(bytes) != Some(Encoding::Sparse) {
        return Ok(false);
    }
    let mut out = vec![0; DENSE_LEN];
    out[..HEADER].copy_from_slice(&bytes[..HEADER]);
    out[ENCODING_AT] = 0;
    for run in sparse::runs(bytes) {
        let run = run?;
        if run.value > 0 {
            for index in run.registers {
                dense::raise(&mut out[HEADER..], index, run.value);
            }
        }
    }
    *bytes = out;
    Ok(true)
}

/// The count of the last time, if it is still true.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let count = u64::from_le_bytes(*bytes.get(COUNT_AT..)?.first_chunk()?);
    (count & STALE == 0).then_some(count)
}

/// Notes a count.
pub fn set_cached(bytes: &mut [u8], count: u64) {
    if let Some(place) = bytes.get_mut(COUNT_AT..HEADER) {
        place.copy_from_slice(&count.to_le_bytes());
    }
}

/// Says that registers have changed since the count was noted.
pub fn invalidate(bytes: &mut [u8]) {
    if let Some(last) = bytes.get_mut(HEADER - 1) {
        *last |= 0x80;
    }
}

/// The bytes of a noted count.
pub const COUNT_AT: usize = 8;

/// How many elements there are, about.
///
/// # Errors
/// If the registers make no sense.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = [0; 64];
    match encoding(bytes).ok_or(Corrupt)? {
        Encoding::Dense => dense::histogram(registers_of(bytes), &mut histogram),
        Encoding::Sparse => {
            for run in sparse::runs(bytes) {
                let run = run?;
                histogram[usize::from(run.value)] += run.registers.len() as u32;
            }
        }
    }
    Ok(estimate::from_histogram(&histogram))
}

/// Registers as bytes: what several HyperLogLogs are merged in.
#[derive(Clone)]
pub struct Merged(Box<[u8; REGISTERS]>);

impl Default for Merged {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Merged {
    /// Raises every register to that of the string, if it is higher there.
    ///
    /// # Errors
    /// If the registers make no sense.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        match encoding(bytes).ok_or(Corrupt)? {
            Encoding::Dense => dense::merge(registers_of(bytes), &mut self.0),
            Encoding::Sparse => {
                for run in sparse::runs(bytes) {
                    let run = run?;
                    for register in &mut self.0[run.registers] {
                        *register = run.value.max(*register);
                    }
                }
            }
        }
        Ok(())
    }

    /// How many elements there are, about.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; 64];
        for register in self.0.iter() {
            histogram[usize::from(register & 63)] += 1;
        }
        estimate::from_histogram(&histogram)
    }

    /// The registers.
    pub fn registers(&self) -> &[u8] {
        &*self.0
    }

    /// Raises the registers of the string to these, as if elements had been added.
    ///
    /// # Errors
    /// If the string's own registers make no sense.
    pub fn raise(&self, bytes: &mut Vec<u8>, max_sparse: usize) -> Result<(), Corrupt> {
        for (index, value) in self.0.iter().enumerate() {
            if *value > 0 {
                add(bytes, (index, *value), max_sparse)?;
            }
        }
        Ok(())
    }
}

/// The runs of a sparse HyperLogLog as `PFDEBUG DECODE` shows them.
///
/// # Errors
/// If they make no sense.
pub fn describe(bytes: &[u8]) -> Result<String, Corrupt> {
    let mut out = String::new();
    for run in sparse::runs(bytes) {
        let run = run?;
        let len = run.registers.len();
        let letter = if run.long { 'Z' } else { 'z' };
        // Writing to a string cannot fail.
        let _ = match run.value {
            0 => write!(out, "{letter}:{len} "),
            value => write!(out, "v:{value},{len} "),
        };
    }
    out.pop();
    Ok(out)
}

/// Checks what the format and the estimate promise on made-up data: what went wrong, if
/// anything did.
pub fn self_test() -> Result<(), String> {
    let mut dense = vec![0; DENSE_LEN - HEADER];
    let mut plain = vec![0; REGISTERS];
    for step in 0..4 * REGISTERS as u64 {
        let (index, value) = place(&step.to_le_bytes());
        dense::raise(&mut dense, index, value);
        plain[index] = value.max(plain[index]);
    }
    if (0..REGISTERS).any(|index| dense::get(&dense, index) != plain[index]) {
        return Err("TESTFAILED a dense register does not hold what was put there".into());
    }
    let (mut sparse, mut dense) = (empty(), empty());
    make_dense(&mut dense).map_err(|Corrupt| "TESTFAILED an empty HyperLogLog is corrupt")?;
    for added in 1..=SELF_TEST_ELEMENTS {
        let place = place(&(added * SELF_TEST_STEP).to_le_bytes());
        let (a, b) = (add(&mut sparse, place, 3000), add(&mut dense, place, 3000));
        if a != b {
            return Err(format!(
                "TESTFAILED encodings disagree about element {added}"
            ));
        }
        if added.is_power_of_two() || added == SELF_TEST_ELEMENTS {
            let (a, b) = (count(&sparse), count(&dense));
            // Four times the standard error.
            let tolerance = (added as f64 * 4.0 * STANDARD_ERROR).ceil() as u64;
            if a != b || !a.is_ok_and(|count| count.abs_diff(added) <= tolerance) {
                return Err(format!("TESTFAILED {added} elements are counted as {a:?}"));
            }
        }
    }
    Ok(())
}

const SELF_TEST_ELEMENTS: u64 = 200_000;
const SELF_TEST_STEP: u64 = 0x9e37_79b9;
/// 1.04 through the root of the number of registers.
const STANDARD_ERROR: f64 = 0.0081;

fn registers_of(bytes: &[u8]) -> &[u8] {
    bytes.get(HEADER..).unwrap_or_default()
}

fn registers_of_mut(bytes: &mut [u8]) -> &mut [u8] {
    bytes.get_mut(HEADER..).unwrap_or_default()
}

/// MurmurHash64A under the seed that Redis uses.
fn murmur_64a(text: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = SEED ^ (text.len() as u64).wrapping_mul(M);
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = (hash ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |k, b| k << 8 | u64::from(*b));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const HEADER: usize = 16;
const INDEX_BITS: u32 = 14;
/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const DENSE_LEN: usize = HEADER + REGISTERS * 6 / 8;
const STALE: u64 = 1 << 63;
