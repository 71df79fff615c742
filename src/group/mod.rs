//! `lockstep group`: a primary and synchronous replicas on this machine, for trying things.
//!
//! `options` is what a user may say, `nodes` starts, watches and stops the processes,
//! `roles` decides (without I/O) who should be primary, `status` prints.

mod nodes;
mod options;
mod roles;
mod status;

pub use nodes::run;
pub use options::{GroupError, Options};
