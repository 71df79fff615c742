//! Commands: how they are declared, found and described, then one room per family.
//!
//! `spec` is the shape of a declaration, `syntax` the notation of its arguments,
//! `key_positions` finds the keys of a request, `table` finds the command. Everything that
//! `COMMAND ...` prints (`introspection`) is derived from the same declarations, and so are
//! calls for tests (`sample_calls`). A family joins by its `COMMANDS` in `table::FAMILIES`.

pub mod arguments;
pub mod bitmaps;
pub mod cluster;
pub mod connection;
pub mod databases;
pub mod expire;
pub mod generic;
pub mod geo;
pub mod handler;
pub mod hashes;
pub mod hyperloglog;
pub mod introspection;
pub mod key_positions;
pub mod lists;
mod many_pop;
pub mod persistence;
pub mod pubsub;
pub mod renames;
#[cfg(test)]
mod replay_tests;
pub mod replication;
pub mod sample_calls;
pub mod scripting;
pub mod server;
pub mod sets;
pub mod sort;
pub mod sorted_sets;
pub mod spec;
pub mod streams;
pub mod strings;
pub mod syntax;
pub mod table;
#[cfg(test)]
mod table_replay_tests;
pub mod timeouts;
pub mod transactions;
pub mod transfer;
pub use hashes::{expire_one, reap_field};
