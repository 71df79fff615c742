//! `MIGRATE`: values on their way to another server.
//!
//! No lock is held while the network is waited for. The values are written down under their
//! locks ([`Parcel`]), a thread of its own sends them and waits for the answers (`courier`), and
//! then the command goes on under the locks again: a key that is still what was sent is
//! deleted.
//!
//! What must stay true: no write that a client was told is done is lost. A key that changed
//! meanwhile is sent again, replacing what was sent before; one that was deleted meanwhile is
//! deleted over there too. If a key keeps changing, it stays here, and the client is told.
//!
//! Until the client is answered its keys belong to the migration on both servers: what others
//! change over there may be replaced.
//!
//! A client that leaves while its keys are on their way leaves them in both places.

mod courier;
mod sockets;

pub use courier::{Courier, Report};
pub use sockets::{Login, Sockets, Target};

use std::sync::Arc;

/// What is sent of one key.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The key.
    pub key: Arc<[u8]>,
    /// What is to become of it over there.
    pub order: Order,
}

/// What the other server is asked to do with a key.
#[derive(Clone, Debug)]
pub enum Order {
    /// To make it.
    Restore {
        /// The value, as `DUMP` gives it.
        payload: Arc<[u8]>,
        /// Milliseconds until it expires; 0 for never.
        ttl_ms: i64,
        /// Whether it replaces what is there.
        replace: bool,
    },
    /// To delete what was sent before.
    Delete,
}

/// A migration in progress: what a client that waits for it has to remember.
pub struct Migration {
    /// The request's words, so that another request is not taken for this one.
    pub words: Vec<Box<[u8]>>,
    /// Who carries the parcels.
    pub courier: Arc<Courier>,
    /// What each parcel held.
    pub sent: Vec<Sent>,
    /// How often parcels were sent.
    pub tries: u32,
    /// The first error of any parcel.
    pub error: Option<String>,
}

/// What was sent of a key, to see whether it is still the same.
pub struct Sent {
    /// The key.
    pub key: Arc<[u8]>,
    /// Its value; `None` if the key was to be deleted over there.
    pub payload: Option<Arc<[u8]>>,
    /// When it expires.
    pub expires_at: Option<i64>,
}

impl Migration {
    /// Whether the answers are there.
    pub fn is_done(&self) -> bool {
        self.courier.is_done()
    }
}
