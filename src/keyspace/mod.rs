//! The keys and their values.
//!
//! A [`Database`] is a fixed number of [`Shard`]s, each behind one short lock. A shard owns
//! all that belongs to its keys: the table of entries, expiry, watchers, blocked clients, the
//! snapshot's position. Commands lock the shards of their keys in ascending order ([`Locked`]); no lock
//! is ever held across an await.

mod database;
mod entry;
mod expiry;
mod libraries;
mod locks;
mod shard;
mod waiters;

pub use database::{Database, DbIndex, Keyspace, SHARD_BITS, SHARDS, shard_of};
pub use entry::{Entry, EntryRef, Kind, MAX_INLINE, Object, Payload, Pieces, ValueRef};
pub use libraries::{Conflict, Everything, FunctionInfo, Functions, Libraries, Library};
pub use locks::Locked;
pub use shard::{Given, HandedBy, Inline, PreImage, Shard, Step, Ticket, WatchFlag};
pub use waiters::{Cause, Served, Waiter, WaiterParts, Waiters, Wanted};
