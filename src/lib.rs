//! Lockstep: a Redis-protocol compatible cache whose replicas move in step with the primary.
//!
//! The rooms below stand in the order of the data path.

pub mod allocator;
pub mod commands;
pub mod glob;
pub mod hash;
pub mod number;
pub mod random;
pub mod time;
