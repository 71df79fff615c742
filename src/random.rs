//! Randomness: seeds from the operating system and a small fast generator.
//!
//! State machines never draw here by themselves; they are handed what they need, so that a
//! simulation can replay them.

use std::cell::Cell;
use std::io::Read;

/// Sixteen bytes from the operating system, falling back to the clock and the process id
/// where `/dev/urandom` cannot be read.
pub fn seed16() -> [u8; 16] {
    let mut seed = [0u8; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut seed));
    if read.is_err() {
        let now = crate::time::unix_micros();
        seed[..8].copy_from_slice(&now.to_le_bytes());
        seed[8..].copy_from_slice(&(u64::from(std::process::id()) << 32 ^ now).to_le_bytes());
    }
    seed
}

/// Forty lower-case hexadecimal digits, the form of run ids and replication ids.
pub fn hex40() -> String {
    (0..3)
        .flat_map(|_| seed16())
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

thread_local! {
    static STATE: Cell<u64> = Cell::new(u64::from_le_bytes(
        seed16()[..8].try_into().unwrap_or([7; 8]),
    ) | 1);
}

/// The next 64 bits of this thread's generator (splitmix64). Not for secrets.
pub fn next_u64() -> u64 {
    STATE.with(|state| {
        let s = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(s);
        let mut z = s;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// A number in `0..bound`; 0 when `bound` is 0.
pub fn below(bound: u64) -> u64 {
    // Multiply-shift: the bias is below bound / 2^64.
    ((u128::from(next_u64()) * u128::from(bound)) >> 64) as u64
}
