//! Lists.

/// A list of packed nodes.
#[derive(Clone, Debug, Default)]
pub struct List {}

impl List {
    /// Bytes in memory.
    pub fn mem_bytes(&self) -> usize {
        size_of::<Self>()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A list, wherever it is stored.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// Packed, in the key's entry.
    Packed(&'a [u8]),
    /// Packed nodes.
    Quick(&'a List),
}
