//! Sorted sets.

/// A large sorted set.
#[derive(Clone, Debug, Default)]
pub struct SortedSet {}

impl SortedSet {
    /// Bytes in memory.
    pub fn mem_bytes(&self) -> usize {
        size_of::<Self>()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A sorted set, wherever it is stored.
#[derive(Clone, Copy, Debug)]
pub enum SortedSetRef<'a> {
    /// Packed, in the key's entry.
    Packed(&'a [u8]),
    /// On the heap.
    Full(&'a SortedSet),
}
