//! The snapshot on disk: an RDB file that is made by `SAVE`, `BGSAVE`, save points and at
//! shutdown, and loaded at start where there is no append-only file.
//!
//! `handle` is what the rest of the server sees, `save` makes a file from a snapshot, `load`
//! reads one, `insert` puts what was read into the keyspace.
//!
//! What must stay true: the file under its name is always a whole one. A new one is written
//! beside it, fsynced, and put in its place by renaming; whatever fails before leaves the old
//! one as it was.

mod handle;
mod insert;
mod load;
mod save;

pub use handle::{Cancelled, DumpFile, DumpStatus};
pub use load::{
    Expired, LoadError, Loaded, Rules, load_at_start, load_beside, load_into, load_locked,
};
pub use save::{form, remove_leftovers, save_locked};
