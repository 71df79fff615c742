//! The hash of a request's key, computed once.

use crate::hash::hash;
use crate::protocol::Args;
use std::cell::Cell;

/// Remembers the hash of the key looked up last: the executor has computed it to find the
/// shard, and the handler asks for the same key. Keys are told apart by where they lie.
#[derive(Default)]
pub struct HashCache {
    last: Cell<(usize, usize, u64)>,
    /// A hash that was computed ahead, for a key between these addresses.
    expected: Cell<Option<(usize, usize, u64)>>,
}

impl HashCache {
    /// The hash of `key`.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let (at, len, cached) = self.last.get();
        if at == key.as_ptr() as usize && len == key.len() {
            return cached;
        }
        let value = hash(key);
        self.last.set((key.as_ptr() as usize, key.len(), value));
        value
    }

    /// The hash of a request's only key, which may have been computed ahead.
    #[inline]
    pub fn hash_only_key(&self, key: &[u8]) -> u64 {
        let at = key.as_ptr() as usize;
        match self.expected.take() {
            Some((from, to, value)) if (from..to).contains(&at) => {
                debug_assert_eq!(value, hash(key));
                self.last.set((at, key.len(), value));
                value
            }
            _ => self.hash(key),
        }
    }

    /// Says that the only key of the request `args` has this hash.
    #[inline]
    pub fn expect(&self, args: Args<'_>, value: Option<u64>) {
        self.expected.set(value.map(|value| {
            let span = args.span();
            (span.start, span.end, value)
        }));
    }

    /// Forgets the key: its bytes may move.
    pub fn clear(&self) {
        self.last.set((0, usize::MAX, 0));
    }
}
