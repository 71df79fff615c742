//! Streams.

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {}

impl Stream {
    /// Bytes in memory.
    pub fn mem_bytes(&self) -> usize {
        size_of::<Self>()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
