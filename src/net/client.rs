//! The state of one client.

use super::registry::{ClientInfo, ClientKind, Followed};
use crate::commands::table::Command;
use crate::commit::AckLevel;
use crate::execute::Transaction;
use crate::keyspace::DbIndex;
use crate::migration::Migration;
use crate::protocol::Args;
use crate::pubsub::{Kind, Outbox, Subscriptions, Tracking};
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Which replies a client gets (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// Not that of the next command.
    SkipNext,
    /// Not that of this command.
    Skip,
}

/// What the server knows of a client; owned by its connection.
pub struct Client {
    /// The client's number.
    pub id: u64,
    /// The database selected.
    pub db: DbIndex,
    /// Whether it speaks RESP3.
    pub resp3: bool,
    /// Whether it has authenticated, or need not.
    pub authenticated: bool,
    /// Its transaction.
    pub transaction: Transaction,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: bool,
    /// `CLIENT CAPA REDIRECT`: a replica sends it to the primary.
    pub redirects: bool,
    /// `READONLY`: all the same it reads from a replica.
    pub reads_here: bool,
    /// Which replies it gets.
    pub reply_mode: ReplyMode,
    /// The acknowledgement level asked for with `CLIENT SYNC`; the server's if none.
    pub sync_level: Option<AckLevel>,
    /// The offset of its last write, for `WAIT`.
    pub last_write: u64,
    /// The last command; published once for a batch.
    pub last_command: Option<&'static Command>,
    /// The migration it waits for.
    pub migration: Option<Box<Migration>>,
    /// What a replica has said of itself with `REPLCONF`.
    pub replica: ReplicaHello,
    /// What it listens to; `None` when to nothing.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// Whether it is shown every command (`MONITOR`).
    pub monitors: bool,
    /// `CLIENT TRACKING`; `None` when it is off.
    pub tracking: Option<Box<Tracking>>,
    /// Whether it has tracked: what it read may still be remembered.
    pub has_tracked: bool,
    /// What other threads may know.
    pub info: Arc<ClientInfo>,
}

/// What a replica has said of itself.
#[derive(Clone, Debug, Default)]
pub struct ReplicaHello {
    /// The port on which it serves clients.
    pub port: u16,
    /// The address it announces, if it does.
    pub address: Option<String>,
    /// The run of its process, if it is a node of our own kind.
    pub run_id: Option<String>,
    /// The capabilities it named.
    pub capabilities: Vec<String>,
    /// Its version, which Valkey tells.
    pub version: Option<String>,
    /// It asked with `SYNC`: nothing comes before the copy.
    pub plain: bool,
    /// It wants a copy and no stream.
    pub rdb_only: bool,
    /// It wants a copy without the keys.
    pub without_keys: bool,
}

impl Client {
    /// A client that has just connected.
    pub fn new(info: Arc<ClientInfo>, authenticated: bool) -> Self {
        Client {
            id: info.id,
            db: DbIndex(0),
            resp3: false,
            authenticated,
            transaction: Transaction::default(),
            no_touch: false,
            redirects: false,
            reads_here: false,
            reply_mode: ReplyMode::On,
            sync_level: None,
            last_write: 0,
            migration: None,
            last_command: None,
            replica: ReplicaHello::default(),
            subscriptions: None,
            monitors: false,
            tracking: None,
            has_tracked: false,
            info,
        }
    }

    /// Notes the command about to be executed.
    #[inline]
    pub fn note_command(&mut self, command: &'static Command) {
        self.last_command = Some(command);
    }

    /// Lets other threads see what may have changed: `CLIENT LIST` reads it.
    ///
    /// Once for a batch. The atomics share a few cache lines that hardly anyone but this
    /// connection touches, so the stores cost next to nothing.
    pub fn publish(&self) {
        let info = &self.info;
        info.db.store(self.db.0, Ordering::Relaxed);
        info.resp
            .store(if self.resp3 { 3 } else { 2 }, Ordering::Relaxed);
        let command = self.last_command.map_or(0, |command| command.id as u32 + 1);
        info.last_command.store(command, Ordering::Relaxed);
        let transaction = &self.transaction;
        let queued = transaction.queued();
        if queued != info.multi.load(Ordering::Relaxed) {
            info.multi.store(queued, Ordering::Relaxed);
            let bytes = transaction.mem_bytes();
            info.multi_bytes.store(bytes, Ordering::Relaxed);
        }
        let watching = transaction.watching();
        let before = info.watch.load(Ordering::Relaxed);
        if watching != before {
            info.note_followed(Followed::Keys, transaction.watched_bytes());
        }
        if watching > 0 || before > 0 {
            info.watch.store(watching, Ordering::Relaxed);
            *info.touched.lock() = (watching > 0).then(|| transaction.touched());
        }
    }

    /// Whether it is on this machine: a loopback address or a Unix socket.
    pub fn is_local(&self) -> bool {
        let addr = &self.info.addr;
        self.info.unix || addr.starts_with("127.") || addr.starts_with("[::1]")
    }

    /// Ends the transaction without executing it.
    pub fn end_transaction(&mut self, server: &'static Server) {
        self.transaction.end(server);
    }

    /// Whether it may only listen and change to what: a subscriber that speaks RESP2.
    #[inline]
    pub fn only_listens(&self) -> bool {
        self.subscriptions.is_some() && !self.resp3
    }

    /// Lets others see how many subscriptions there are, and forgets the set if it is empty.
    pub fn subscriptions_changed(&mut self) {
        let subscriptions = self.subscriptions.take_if(|s| s.is_empty());
        let all = subscriptions.as_ref().or(self.subscriptions.as_ref());
        for (kind, count) in [Kind::Channel, Kind::Pattern, Kind::Shard]
            .into_iter()
            .zip(&self.info.subscriptions)
        {
            let now = all.map_or(0, |all| all.len(kind)) as u32;
            count.store(now, Ordering::Relaxed);
        }
        let bytes = all.map_or(0, |all| all.mem_bytes());
        self.info.note_followed(Followed::Topics, bytes);
        let kind = match self.subscriptions {
            Some(_) => ClientKind::PubSub,
            None => ClientKind::Normal,
        };
        self.info.kind.store(kind as u32, Ordering::Relaxed);
    }

    /// Ends all subscriptions, without a word to the client.
    pub fn unsubscribe_all(&mut self, server: &Server) {
        let Some(all) = self.subscriptions.take() else {
            return;
        };
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for topic in all.of(kind) {
                server.pubsub.unsubscribe(kind, topic, self.id);
            }
        }
        self.subscriptions_changed();
    }

    /// Ends `MONITOR`.
    pub fn stop_monitoring(&mut self, server: &Server) {
        if std::mem::take(&mut self.monitors) {
            server.monitors.remove(server, &self.info);
        }
    }

    /// Shows a command of this client to those who monitor.
    #[cold]
    pub fn show(&self, server: &Server, command: &Command, args: Args<'_>, outbox: &mut Outbox) {
        let info = &self.info;
        let socket = format!("unix:{}", info.laddr.trim_end_matches(":0"));
        let address = if info.unix { &socket } else { &info.addr };
        server
            .monitors
            .show(server, (self.db, address), command, args, outbox);
    }

    /// Ends everything by which others have something for this client.
    pub fn stop_listening(&mut self, server: &'static Server) {
        self.unsubscribe_all(server);
        server.forget_tracker(self);
        self.stop_monitoring(server);
    }
}
