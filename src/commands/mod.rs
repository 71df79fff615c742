//! Commands: how they are declared, found and described, then one room per family.
//!
//! `spec` is the shape of a declaration, `syntax` the notation of its arguments,
//! `key_positions` finds the keys of a request, `table` finds the command. Everything that
//! `COMMAND ...` prints is derived from the same declarations.

pub mod handler;
pub mod key_positions;
pub mod spec;
