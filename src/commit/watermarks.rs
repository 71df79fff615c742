//! The committed offset of each acknowledgement level, as the workers read it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a replica must have done before a reply goes (`sync-ack`, `CLIENT SYNC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AckLevel {
    /// Nothing is awaited.
    Async,
    /// The bytes are in its memory.
    Received,
    /// The commands are applied.
    #[default]
    Applied,
    /// Its append-only file is fsynced past the offset.
    Fsynced,
}

impl AckLevel {
    /// The level's name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            AckLevel::Async => "async",
            AckLevel::Received => "received",
            AckLevel::Applied => "applied",
            AckLevel::Fsynced => "fsynced",
        }
    }

    /// The level of that name, ASCII case aside.
    pub fn parse(name: &[u8]) -> Option<AckLevel> {
        LEVELS
            .into_iter()
            .find(|level| name.eq_ignore_ascii_case(level.name().as_bytes()))
    }

    #[inline]
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// All levels, weakest first.
pub const LEVELS: [AckLevel; 4] = [
    AckLevel::Async,
    AckLevel::Received,
    AckLevel::Applied,
    AckLevel::Fsynced,
];

/// How a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is over.
    Committed,
    /// It goes on.
    Waits,
    /// It is given up: the write may or may not survive.
    Failed,
}

/// Published by the in-sync set, read by every connection.
///
/// `u64::MAX` says that there is nothing to wait for.
pub struct Watermarks {
    committed: [AtomicU64; 4],
    /// Waits up to this offset that are not committed have failed.
    uncertain: AtomicU64,
    /// The newest offset that somebody waits for, by level.
    wanted: [AtomicU64; 4],
    /// Grows when this node stops being a primary: what waited then waits in vain.
    term: AtomicU64,
    /// What was committed when the last term ended, by level.
    last: [AtomicU64; 4],
}

impl Default for Watermarks {
    fn default() -> Self {
        Watermarks {
            committed: std::array::from_fn(|_| AtomicU64::new(u64::MAX)),
            uncertain: AtomicU64::new(0),
            wanted: std::array::from_fn(|_| AtomicU64::new(0)),
            term: AtomicU64::new(0),
            last: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Watermarks {
    /// Everything up to this offset is committed at `level`.
    #[inline]
    pub fn committed(&self, level: AckLevel) -> u64 {
        // SeqCst: a writer reads this after it has moved the log's end, the in-sync set
        // reads the log's end after it has written this. One of them sees the other.
        self.committed[level.index()].load(Ordering::SeqCst)
    }

    /// Waits up to this offset that are not committed have failed.
    #[inline]
    pub fn uncertain(&self) -> u64 {
        self.uncertain.load(Ordering::SeqCst)
    }

    /// Notes that somebody waits for `offset`.
    #[inline]
    pub fn want(&self, level: AckLevel, offset: u64) {
        self.wanted[level.index()].fetch_max(offset, Ordering::SeqCst);
    }

    /// The newest offset that anybody has waited for at `level`.
    pub fn wanted(&self, level: AckLevel) -> u64 {
        self.wanted[level.index()].load(Ordering::SeqCst)
    }

    /// Publishes a level's committed offset; whether it changed.
    pub fn publish(&self, level: AckLevel, offset: u64) -> bool {
        self.committed[level.index()].swap(offset, Ordering::SeqCst) != offset
    }

    /// Publishes the offset up to which waits have failed.
    pub fn publish_uncertain(&self, offset: u64) {
        self.uncertain.fetch_max(offset, Ordering::SeqCst);
    }

    /// The term of this node as a primary. A reply belongs to the term that was current
    /// before its command was executed.
    #[inline]
    pub fn term(&self) -> u64 {
        self.term.load(Ordering::SeqCst)
    }

    /// Ends the term: what is not committed by now never will be here, whatever is published
    /// afterwards.
    pub fn end_term(&self) {
        for level in LEVELS {
            let committed = self.committed(level);
            self.last[level.index()].store(committed, Ordering::SeqCst);
        }
        self.term.fetch_add(1, Ordering::SeqCst);
    }

    /// How a wait of `term` for `offset` stands.
    #[inline]
    pub(super) fn standing(&self, term: u64, level: AckLevel, offset: u64) -> Standing {
        // In this order: what is published after the end of a term says nothing about it.
        let committed = self.committed(level);
        let uncertain = self.uncertain();
        let current = self.term();
        if current != term {
            let known = current == term + 1;
            let committed = known && offset <= self.last[level.index()].load(Ordering::SeqCst);
            return match committed {
                true => Standing::Committed,
                false => Standing::Failed,
            };
        }
        match offset {
            _ if offset <= committed => Standing::Committed,
            _ if offset <= uncertain => Standing::Failed,
            _ => Standing::Waits,
        }
    }

    /// Starts over at `offset` (the log restarted there).
    pub fn restart(&self) {
        self.uncertain.store(0, Ordering::SeqCst);
        for wanted in &self.wanted {
            wanted.store(0, Ordering::SeqCst);
        }
    }
}
