//! Snapshots without a fork: the data as it was at one instant, as commands or as an RDB file.
//!
//! A snapshot begins while all shards are locked: it notes the log's end and gives every
//! shard a new epoch. From then on the first change of an entry of an older epoch hands the
//! entry to the snapshot before it happens (the *pre-image*), and a thread walks the shards
//! slice by slice and hands over the rest. So every entry of that instant comes out exactly
//! once, as it was then, and no writer waits longer than for a slice.
//!
//! ```text
//! writer ── pre-image ──┐
//!                       ├──► sink (text or binary) ──► bounded channel ──► file, or a link
//! walker ── slices ─────┘
//! ```
//! The walker pauses while the channel is full; pre-images then gather in memory, at most
//! once the size of the data.
//!
//! Values of many elements do not come in one piece under a lock: `sink.rs`. So no writer waits
//! longer for a large value than for a small one.
//!
//! Values that are one string, packed collections among them, are compressed when they are sent,
//! under no lock. A snapshot for a file steps aside for those who serve (`pace.rs`).
//!
//! What must stay true: one snapshot at a time; a snapshot that has begun stamps every entry
//! with its epoch even if nobody wants it any more, because epochs are eight bits and come
//! again.
//!
mod binary;
mod pace;
mod pieces;
mod sink;
mod text;
mod walker;

#[cfg(test)]
mod tests;

pub use binary::RdbForm;
pub use pace::{Pace, dawdle, step_back};
pub use sink::Form;
pub use walker::{Chunks, Instant, Snapshots, begin_with};
