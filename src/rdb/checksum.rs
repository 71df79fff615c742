//! CRC-64 as RDB uses it (polynomial of Jones, reflected, no initial value).

use crc::{CRC_64_REDIS, Crc, Digest, Table};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// A checksum in the making.
#[derive(Clone)]
pub struct Checksum(Digest<'static, u64, Table<16>>);

impl Default for Checksum {
    fn default() -> Self {
        Checksum(CRC.digest())
    }
}

impl Checksum {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of what was added.
    pub fn value(&self) -> u64 {
        self.0.clone().finalize()
    }
}

/// The checksum of these bytes.
pub fn of(bytes: &[u8]) -> u64 {
    CRC.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_check_value() {
        assert_eq!(of(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let mut parts = Checksum::default();
        parts.update(b"1234");
        parts.update(b"56789");
        assert_eq!(parts.value(), of(b"123456789"));
    }
}
