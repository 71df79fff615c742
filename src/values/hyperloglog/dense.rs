//! Registers of six bits each: register `i` begins with bit `6 * i`, the lowest bits of a
//! byte coming first. So four registers take three bytes.

use super::REGISTERS;
use std::sync::atomic::{AtomicBool, Ordering};

/// Register `index`; 0 beyond the end.
#[inline]
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * 6 / 8, index * 6 % 8);
    let byte = |at: usize| u16::from(registers.get(at).copied().unwrap_or(0));
    ((byte(at) | byte(at + 1) << 8) >> shift) as u8 & 63
}

/// Raises register `index` to `value`; whether it was lower.
#[inline]
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    if get(registers, index) >= value {
        return false;
    }
    let (at, shift) = (index * 6 / 8, index * 6 % 8);
    let (value, mask) = (u16::from(value & 63) << shift, 63u16 << shift);
    for (at, value, mask) in [
        (at, value as u8, mask as u8),
        (at + 1, (value >> 8) as u8, (mask >> 8) as u8),
    ] {
        if mask != 0
            && let Some(byte) = registers.get_mut(at)
        {
            *byte = *byte & !mask | value;
        }
    }
    true
}

/// The four registers in three bytes.
#[inline]
fn four([a, b, c]: [u8; 3]) -> [u8; 4] {
    [a & 63, a >> 6 | b << 2 & 63, b >> 4 | c << 4 & 63, c >> 2]
}

/// The 32 registers in 24 bytes, in a form that compilers turn into vector instructions.
#[inline]
fn thirty_two(bytes: &[u8; 24]) -> [u8; 32] {
    let mut registers = [0; 32];
    for (three, to) in bytes
        .as_chunks::<3>()
        .0
        .iter()
        .zip(registers.as_chunks_mut::<4>().0)
    {
        let [a, b, c] = three.map(u32::from);
        let bits = a | b << 8 | c << 16;
        let spread =
            bits & 0x3f | bits << 2 & 0x3f00 | bits << 4 & 0x3f_0000 | bits << 6 & 0x3f00_0000;
        *to = spread.to_le_bytes();
    }
    registers
}

/// Counts the registers of each value.
pub(super) fn histogram(registers: &[u8], histogram: &mut [u32; 64]) {
    for three in registers.as_chunks::<3>().0 {
        for register in four(*three) {
            histogram[usize::from(register)] += 1;
        }
    }
}

/// Raises `to` to these registers where they are higher.
pub(super) fn merge(registers: &[u8], to: &mut [u8; REGISTERS]) {
    if WIDE_MERGE.load(Ordering::Relaxed) {
        let parts = registers.as_chunks::<24>().0.iter();
        for (part, to) in parts.zip(to.as_chunks_mut::<32>().0) {
            for (to, register) in to.iter_mut().zip(thirty_two(part)) {
                *to = register.max(*to);
            }
        }
        return;
    }
    for (index, to) in to.iter_mut().enumerate() {
        *to = get(registers, index).max(*to);
    }
}

/// Whether registers are merged four at a time, or, to compare, one at a time.
pub fn set_wide_merge(on: bool) {
    WIDE_MERGE.store(on, Ordering::Relaxed);
}

static WIDE_MERGE: AtomicBool = AtomicBool::new(true);
