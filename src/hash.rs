//! The keyed hash of keys and fields: SipHash-1-3 under a key drawn once per process.
//!
//! Keys come from clients, who could otherwise choose names that collide; so the hash is
//! keyed. Within a process a key always has the same hash: table positions and SCAN
//! cursors rest on that.

use siphasher::sip::SipHasher13;
use std::sync::OnceLock;

static HASHER: OnceLock<SipHasher13> = OnceLock::new();

/// The 64-bit hash of `bytes`, stable until the process ends.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    HASHER
        .get_or_init(|| SipHasher13::new_with_key(&crate::random::seed16()))
        .hash(bytes)
}
