//! The write log: the only place where order is decided.
//!
//! Every write appends its effect here while it holds the locks of the keys it touched, so
//! the log's order is the order in which anybody could have observed the writes. The log's
//! bytes are the replication stream and the append-only file alike; a position in it is the
//! replication offset. The log knows neither of its consumers: each is a cursor with a way
//! to wake it.
//!
//! ```text
//!        kept from                                                end
//! ───────┬────────────┬───────┬──────────────────┬────────────────┐
//!  gone  │ frozen     │ frozen│ frozen           │ tail (growing) │
//! ───────┴────────────┴───────┴──────────────────┴────────────────┘
//!             ▲ replica link           ▲ append-only file
//! ```
//! A reader freezes the tail and gets counted slices of it; nothing is copied. What lies
//! more than the backlog's size behind the end, and behind every cursor, is dropped.

mod log;

pub use log::{ConsumerId, NotKept, Read, WriteLog};
