//! Consumer one of the write log: the append-only file.
//!
//! The file is a folder of files, as Redis 7 lays it out: a *base* (the data at some instant),
//! *increments* (what happened since, one after the other), and a *manifest* that names them.
//! Lockstep adds comments that say which replication id and offset the file has got to, which
//! Redis skips: a node that restarts resumes from there.
//!
//! ```text
//! write log ──► writer thread ──► increment ──fsync──► fsynced offset ──► in-sync set, FACK
//! snapshot  ──► rewrite thread ─► new base ──► manifest names it and what came after it
//! ```
//! `manifest`, `annotation` and `piece` are the formats, `load` reads everything at start, `writer` is
//! the thread that writes and fsyncs, `rewrite` makes a new base, `handle` is what the rest of
//! the server sees and what the threads share.
//!
//! What must stay true:
//! * the manifest names a chain that is complete at every moment: an increment is in it before
//!   a byte of the log goes there, a base only once it is whole and fsynced;
//! * annotations stand between whole units, and never claim more than what precedes them;
//! * the fsynced offset is told only for what a restart would find: not while the files are
//!   those of an older history (after a full copy, or before the first base);
//! * a failed fsync is never repeated as if nothing had happened. With `always` the server
//!   stops; otherwise writes are refused until new files have been made from memory.
//!
//! Not done: the log grows in memory while the disk does not take it (writers are not held
//! back, except by held replies under `always`).

mod annotation;
mod handle;
mod load;
mod manifest;
mod piece;
mod rewrite;
mod writer;

pub use annotation::Annotation;
pub use handle::{Aof, AofStatus};
pub use load::LoadError;
pub use manifest::{FileInfo, Kind, Manifest, ManifestError};
pub use piece::{Piece, next_piece};
