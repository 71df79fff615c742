//! What commands about the connection and the server see.

use super::context::Settings;
use super::dispatch::Batch;
use super::run::{Done, Scratch};
use crate::keyspace::{DbIndex, Locked};
use crate::net::Client;
use crate::server::Server;
use crate::time::{Instant, UnixMs};

/// What the connection does after the reply.
#[derive(Debug, Default)]
pub enum After {
    /// Goes on.
    #[default]
    Continue,
    /// Closes once everything has been sent.
    Close,
    /// Stops reading until something happens.
    Block(BlockOn),
    /// Becomes the link to a replica that asked for the stream: replid and offset.
    Replicate {
        /// The replication id that the replica knows, `?` for none.
        replid: String,
        /// The offset of the next byte that it wants, -1 for none.
        offset: i64,
    },
}

/// What a blocked connection waits for.
#[derive(Clone, Copy, Debug)]
pub enum BlockOn {
    /// The end of `CLIENT PAUSE`; the request is executed then.
    Pause,
    /// `WAIT`: so many replicas at the offset; answered with their number.
    Replicas {
        /// How many.
        count: usize,
        /// At which offset.
        offset: u64,
        /// When to answer anyway.
        deadline: Option<Instant>,
    },
    /// `WAITAOF`: the local file and so many replicas' files.
    Files {
        /// Whether the local file must be fsynced.
        local: bool,
        /// How many replicas.
        count: usize,
        /// At which offset.
        offset: u64,
        /// When to answer anyway.
        deadline: Option<Instant>,
    },
}

/// What session commands see.
pub struct SessionContext<'a> {
    /// The server.
    pub server: &'static Server,
    /// The client.
    pub client: &'a mut Client,
    /// The settings.
    pub settings: &'a Settings,
    /// The time of the batch.
    pub now: UnixMs,
    /// What the connection does after the reply.
    pub after: After,
    /// What the reply depends on.
    pub done: Done,
    pub(super) scratch: &'a mut Scratch,
}

impl<'a> SessionContext<'a> {
    pub(super) fn new<'b: 'a>(batch: &'a mut Batch<'b>, client: &'a mut Client) -> Self {
        SessionContext {
            server: batch.server,
            client,
            settings: batch.settings,
            now: batch.now,
            after: After::Continue,
            done: Done::default(),
            scratch: batch.scratch,
        }
    }

    pub(super) fn into_outcome(self) -> (Done, After) {
        (self.done, self.after)
    }

    /// Locks the shard of one key.
    pub fn lock_key(&self, db: DbIndex, key: &[u8]) -> Locked<'static> {
        let shard = crate::keyspace::shard_of(crate::hash::hash(key));
        Locked::one(&self.server.keyspace, db, shard)
    }

    /// Says that the reply shows what is in these shards.
    pub fn depends_on(&mut self, locked: &Locked<'_>) {
        let newest = locked.shards().map(|(_, s)| s.last_write).max();
        self.done.offset = self.done.offset.max(newest.unwrap_or(0));
    }
}
