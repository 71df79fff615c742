//! The identity of a stream's entry.

use std::fmt;

/// Milliseconds and a sequence number; entries are in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Milliseconds, Unix time where the server chose them.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

impl StreamId {
    /// The lowest identity, which no entry has.
    pub const MIN: StreamId = StreamId::new(0, 0);
    /// The highest.
    pub const MAX: StreamId = StreamId::new(u64::MAX, u64::MAX);

    /// An identity.
    pub const fn new(ms: u64, seq: u64) -> Self {
        StreamId { ms, seq }
    }

    /// The next one; `None` after the last.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The one before; `None` before the first.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// The text that clients see.
    pub fn text(self) -> IdText {
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (ms, seq) = (ms.format(self.ms), seq.format(self.seq));
        let mut text = IdText {
            bytes: [b'-'; 41],
            len: (ms.len() + 1 + seq.len()) as u8,
        };
        text.bytes[..ms.len()].copy_from_slice(ms.as_bytes());
        text.bytes[ms.len() + 1..][..seq.len()].copy_from_slice(seq.as_bytes());
        text
    }

    /// Sixteen bytes that sort as identities do.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An identity as text.
pub struct IdText {
    bytes: [u8; 41],
    len: u8,
}

impl std::ops::Deref for IdText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
