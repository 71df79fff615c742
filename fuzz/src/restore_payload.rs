//! Payloads of `RESTORE`: whatever they say, they are a value or an error, in memory that their
//! size bounds; a wrong checksum is always an error.

use crate::allocations::peak_of;
use lockstep::execute::Settings;
use lockstep::rdb::{PayloadError, Target, entry_of, read_payload, write_payload};

/// Panics if the reader does something wrong with this input: once as it is, and once as the
/// object of a payload whose version and checksum are right.
pub fn check(input: &[u8]) {
    for payload in [input.to_vec(), sealed(input, 11), sealed(input, 80)] {
        let (_, peak) = peak_of(|| read(&payload));
        let most = FIXED + PER_BYTE * payload.len();
        assert!(peak <= most, "{peak} bytes for {}", payload.len());
    }
    let mut wrong = sealed(input, 11);
    if let Some(last) = wrong.last_mut() {
        *last ^= 1;
    }
    assert!(matches!(read_payload(&wrong), Err(PayloadError::Envelope)));
}

/// The payload of an object of which nothing is known.
fn sealed(object: &[u8], version: u16) -> Vec<u8> {
    let mut payload = [object, &version.to_le_bytes()].concat();
    let sum = checksum(&payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}

/// CRC-64 of Jones, bit by bit.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u64::from(*byte), |sum, _| {
            (sum >> 1) ^ (POLYNOMIAL & 0u64.wrapping_sub(sum & 1))
        })
    })
}

fn read(payload: &[u8]) {
    let Ok(value) = read_payload(payload) else {
        return;
    };
    let settings = Settings::default();
    let Ok(entry) = entry_of(b"key", None, value, &settings) else {
        return;
    };
    let target = Target {
        version: 80,
        compress: true,
    };
    let again = write_payload(entry.view().value(), target);
    let again = read_payload(&again).expect("what was written is read");
    entry_of(b"key", None, again, &settings).expect("and kept");
}

const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
/// Buffers, whatever the input.
const FIXED: usize = 2 << 20;
/// Compressed strings grow by up to 88, and then their elements have places.
const PER_BYTE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_payload_is_taken() {
        assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert!(read_payload(&sealed(b"\x00\x03abc", 11)).is_ok());
    }
}
