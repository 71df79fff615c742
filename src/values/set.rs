//! Sets.

/// A set as a table.
#[derive(Clone, Debug, Default)]
pub struct SetTable {}

impl SetTable {
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

/// A set, wherever it is stored.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Sorted integers, in the key's entry.
    Ints(&'a [u8]),
    /// Packed, in the key's entry.
    Packed(&'a [u8]),
    /// A table.
    Table(&'a SetTable),
}
