//! From registers to a count: the estimator of Otmar Ertl, "New cardinality estimation
//! algorithms for HyperLogLog sketches" (2017), by which Redis counts, too.

use super::{INDEX_BITS, REGISTERS};

/// The estimate for so many registers of each value. Values of 52 and more, which only
/// registers made by hand have, count for nothing, as in Redis.
pub(super) fn from_histogram(histogram: &[u32; 64]) -> u64 {
    const BITS: usize = 64 - INDEX_BITS as usize;
    let m = REGISTERS as f64;
    let mut z = m * tau((m - f64::from(histogram[BITS + 1])) / m);
    for value in (1..=BITS).rev() {
        z += f64::from(histogram[value]);
        z *= 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    (ALPHA * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// 1 / (2 ln 2).
#[allow(clippy::excessive_precision)]
const ALPHA: f64 = 0.721_347_520_444_481_703_680;
