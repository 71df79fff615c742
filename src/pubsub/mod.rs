//! Messages between connections: channels, patterns and shard channels, keyspace events,
//! `MONITOR`, and the notices of client-side caching.
//!
//! Every connection has a [`Mailbox`]. Who has something for it puts it there, from whatever
//! thread, and notes in its [`Outbox`] that the connection has to be woken; that happens once
//! per worker when a batch is done. The connection moves its mail behind what it has written
//! so far, between two replies and never within one: `net::connection`.
//!
//! What must stay true: nobody ever waits for a reader. A mailbox that outgrows the output
//! bound of its client's class ends that client. All who publish take one lock, so that
//! every subscriber sees messages in one order; it is taken while shards may be locked, and
//! under it only the write log and mailboxes are.

mod mailbox;
mod monitors;
mod registry;
mod subscriptions;
mod tracking;

pub use mailbox::{Mail, Mailbox, Outbox, Stamp};
pub use monitors::{Monitors, is_shown};
pub use registry::{Kind, Message, PubSub, Totals};
pub use subscriptions::Subscriptions;
pub use tracking::{Broadcast, Tracking, TrackingFlags, TrackingTable};
