//! Consumer two of the write log: links to replicas, and the link to a primary.
//!
//! The wire is PSYNC as Redis speaks it. Nodes of our own kind recognise each other by the
//! capability `lockstep` and then push acknowledgements: a replica sends `REPLCONF ACK
//! <applied> FACK <fsynced>` after every batch it applies and after every fsync that moved.
//!
//! With Redis and Valkey, on either end, the link is theirs: a full copy is an RDB file, and
//! acknowledgements come once a second and when `REPLCONF GETACK` asks.
//!
//! `state` is who this node is (role, replication ids); `primary` serves a replica's link,
//! `send_copy` gives it a full copy of a snapshot that several may share (`shared_copy`);
//! `replica` follows a primary; `handshake` is the dialogue that it begins with, `copy` and
//! `copy_file` take the full copy that may come then; `failover` hands the role of a primary
//! over; `standing` is what a replica knows of the in-sync set, `upstream_client`
//! shows the link to the primary among the clients.
//!
//! What must stay true: a replica's log holds the primary's bytes unchanged, so that offsets
//! agree along a chain; a replica acknowledges only whole units (commands, transactions).

mod copy;
mod copy_file;
mod failover;
mod handshake;
mod latency;
mod primary;
mod replica;
mod send_copy;
mod shared_copy;
mod standing;
mod state;
mod upstream_client;

pub use failover::{
    FAILING_OVER, Failover, NO_STREAM, Phase, Plan, abort, begin, note_primary, take_over,
};
pub use primary::serve_replica;
pub use replica::{become_primary, become_replica};
pub use shared_copy::Sharing;
pub use standing::{Standing, priority, tell_replicas};
pub use state::{LinkState, ReplicaLink, Replication, Role, Upstream, UpstreamState};

/// The capability by which nodes of our own kind recognise each other.
pub const CAPABILITY: &str = "lockstep";

/// What a node of our own kind answers to one that announces [`CAPABILITY`].
pub const GREETING: &str = "OK lockstep";
