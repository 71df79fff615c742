//! What commands about the connection and the server see.

use super::blocking::KeyWait;
use super::context::Settings;
use super::context::{Origin, WriteContext};
use super::dispatch::{Batch, Gates};
use super::run::{self, Done, Frame, Scratch};
use crate::commands::table::Command;
use crate::keyspace::{DbIndex, Locked, SHARDS, Shard};
use crate::net::Client;
use crate::protocol::{Args, WireError, errors};
use crate::pubsub::{Mail, Message};
use crate::server::{CommandClock, Server};
use crate::time::{Instant, UnixMs};
use std::sync::Arc;

/// What the connection does after the reply.
#[derive(Debug, Default)]
pub enum After {
    /// Goes on.
    #[default]
    Continue,
    /// Closes once everything has been sent.
    Close,
    /// Closes at once, whatever has not been sent.
    Abort,
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
#[derive(Clone, Debug)]
pub enum BlockOn {
    /// The end of `CLIENT PAUSE`; the request is executed then.
    Pause,
    /// A script's turn outside the runtime; the request is executed then.
    Aside,
    /// A key that is ready; the reply comes from whoever made it so.
    Keys(KeyWait),
    /// The end of the process, or that stopping was called off.
    Shutdown {
        /// Which request to stop.
        seq: u64,
    },
    /// `WAIT`: so many replicas at the offset; answered with their number.
    Replicas {
        /// How many.
        count: usize,
        /// At which offset.
        offset: u64,
        /// When to answer anyway.
        deadline: Option<Instant>,
    },
    /// `MIGRATE`: the answers of another server; the request is executed again then.
    Migration,
    /// `SAVE`: the end of the save of this number.
    Save {
        /// Its number.
        run: u64,
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
    pub(super) clock: &'a CommandClock<'a>,
    /// The command that runs.
    pub(super) command: &'static Command,
    /// Inside `EXEC`: what it has locked. Nothing else may be locked then.
    pub(super) held: Option<Locked<'static>>,
}

impl<'a> SessionContext<'a> {
    pub(super) fn new<'b: 'a>(
        batch: &'a mut Batch<'b>,
        client: &'a mut Client,
        command: &'static Command,
    ) -> Self {
        SessionContext {
            server: batch.server,
            client,
            settings: batch.settings,
            now: batch.now,
            after: After::Continue,
            done: Done::default(),
            scratch: batch.scratch,
            clock: &batch.clock,
            command,
            held: None,
        }
    }

    pub(super) fn into_outcome(self) -> (Done, After) {
        (self.done, self.after)
    }

    /// The command that runs.
    pub fn command(&self) -> &'static Command {
        self.command
    }

    /// Whether `EXEC` runs the command: it must neither block nor lock anything by itself.
    pub fn in_transaction(&self) -> bool {
        self.held.is_some()
    }

    /// The shard of one key, for commands that never run inside `EXEC`.
    pub fn lock_key(&self, db: DbIndex, key: &[u8]) -> Locked<'static> {
        debug_assert!(!self.in_transaction(), "EXEC holds locks already");
        let shard = crate::keyspace::shard_of(crate::hash::hash(key));
        Locked::one(&self.server.keyspace, db, shard)
    }

    /// Locks these shards and acts on their keys as a write does: what `act` notes as its
    /// effect enters the log before they are unlocked. Not inside `EXEC`.
    ///
    /// # Errors
    /// When the node has become a read-only replica since the gates.
    pub fn write<R>(
        &mut self,
        mut places: Vec<(DbIndex, usize)>,
        act: impl FnOnce(&mut WriteContext<'_>) -> R,
    ) -> Result<R, WireError> {
        debug_assert!(!self.in_transaction(), "EXEC holds locks already");
        let mut locked = Locked::several(&self.server.keyspace, &mut places);
        if self.server.gates.has(Gates::READ_ONLY) {
            return Err(errors::READ_ONLY);
        }
        self.scratch.hashes.clear();
        let frame = Frame {
            server: self.server,
            settings: self.settings,
            db: self.client.db,
            now: self.now,
            origin: Origin::Client,
            touches: !self.client.no_touch,
            may_expire: run::may_expire(self.server),
            may_block: false,
        };
        let result = act(&mut run::write_context(&frame, &mut locked, self.scratch));
        let written = run::commit(&frame, &mut locked, self.scratch);
        self.done.wrote |= written > 0;
        self.depends_on(&locked);
        run::serve_and_unlock(&frame, locked, self.scratch);
        Ok(result)
    }

    /// Shows every shard, all locked at once. The command must have the scope `Keyspace`,
    /// so that `EXEC` has locked them all.
    pub fn with_everything<R>(&mut self, look: impl FnOnce(&Locked<'static>) -> R) -> R {
        let locked = match self.held.take() {
            Some(held) => {
                let result = look(&held);
                self.held = Some(held);
                return result;
            }
            None => Locked::everything(&self.server.keyspace),
        };
        self.depends_on(&locked);
        look(&locked)
    }

    /// Hands out every shard, all locked at once, to change; nothing of that reaches the log.
    /// The command must have the scope `Keyspace`.
    pub fn with_everything_mut<R>(&mut self, change: impl FnOnce(&mut Locked<'static>) -> R) -> R {
        match self.held.take() {
            Some(mut held) => {
                let result = change(&mut held);
                self.held = Some(held);
                result
            }
            None => {
                let mut locked = Locked::everything(&self.server.keyspace);
                self.depends_on(&locked);
                change(&mut locked)
            }
        }
    }

    /// Shows every shard of every database in use, one after the other: no moment at which
    /// all are locked, unless `EXEC` has locked them. The command must have the scope
    /// `Keyspace`.
    pub fn each_shard(&self, mut look: impl FnMut(DbIndex, &Shard)) {
        if let Some(held) = &self.held {
            held.shards().for_each(|(db, shard)| look(db, shard));
            return;
        }
        for (db, database) in self.server.keyspace.used() {
            for shard in 0..SHARDS {
                look(db, &database.shard(shard).lock());
            }
        }
    }

    /// Publishes a message, and puts the request into the stream to the replicas: their
    /// subscribers hear it too. Gives how many heard it here.
    pub fn publish(&mut self, shard: bool, args: Args<'_>) -> usize {
        let server = self.server;
        let carries = server.replication.carries_messages();
        if !carries && server.pubsub.is_silent() {
            return 0;
        }
        let message = Message {
            shard,
            channel: args.at(1),
            text: args.at(2),
            stamp: None,
        };
        let publishing = server.pubsub.publishing();
        let receivers = publishing.publish(server, message, &mut self.scratch.outbox);
        // A change of role waits for those who publish, so that a replica adds nothing to its
        // primary's stream.
        if carries && !server.gates.has(Gates::REPLICA) {
            let mut request = Vec::new();
            args.encode_into(&mut request);
            self.client.last_write = server.log.append_stream_only(&request);
        }
        receivers
    }

    /// Shows the command to those who monitor, if anybody does.
    pub fn show(&mut self, args: Args<'_>) {
        if self.server.gates.has(Gates::MONITORED) {
            let outbox = &mut self.scratch.outbox;
            self.client.show(self.server, self.command, args, outbox);
        }
    }

    /// Puts something into the client's own mailbox, behind what others have put there.
    pub fn post(&mut self, mail: Mail) {
        let info = Arc::clone(&self.client.info);
        self.scratch.outbox.post(self.server, &info, mail);
    }

    /// Says that the reply shows what is in these shards.
    pub fn depends_on(&mut self, locked: &Locked<'_>) {
        let newest = locked.shards().map(|(_, s)| s.last_write).max();
        self.done.offset = self.done.offset.max(newest.unwrap_or(0));
    }
}
