//! Lockstep: a Redis-protocol compatible cache whose replicas move in step with the primary.
//!
//! The rooms below stand in the order of the data path.

pub mod aof;
pub mod bench;
pub mod check;
pub mod client;
pub mod commands;
pub mod commit;
pub mod config;
pub mod coordination;
pub mod dump_file;
pub mod execute;
pub mod group;
pub mod keyspace;
pub mod migration;
pub mod net;
pub mod observe;
pub mod protocol;
pub mod pubsub;
pub mod rdb;
pub mod replication;
pub mod scripting;
pub mod server;
pub mod snapshot;
pub mod values;
pub mod write_log;

pub mod allocator;
pub mod glob;
pub mod hash;
pub mod number;
pub mod random;
pub mod time;
