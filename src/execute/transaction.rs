//! `MULTI` … `EXEC`: queued commands, executed at once.
//!
//! All shards that the queued commands need are locked before the first runs and unlocked
//! after the last, and all effects go to the log as one. So nobody, on any node, sees half.

use super::blocking;
use super::context::Origin;
use super::dispatch::Gates;
use super::effect::Effect;
use super::events;
use super::run::{self, Done, Frame};
use super::session::SessionContext;
use crate::commands::handler::{Handler, Scope};
use crate::commands::spec::Flags;
use crate::commands::table::Command;
use crate::keyspace::{DbIndex, Locked, WatchFlag};
use crate::observe;
use crate::protocol::{OwnedArgs, Reply, WireError, errors};
use crate::pubsub::is_shown;
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A client's transaction: what it watches, and what it has queued.
#[derive(Default)]
pub struct Transaction {
    open: bool,
    poisoned: bool,
    queue: Vec<(&'static Command, OwnedArgs)>,
    flags: Option<Flags>,
    watched: Vec<Watched>,
    touched: WatchFlag,
}

struct Watched {
    db: DbIndex,
    key: Box<[u8]>,
    /// A flag of its own if it had logically expired already: its deletion then changes
    /// nothing, and only what is there at EXEC counts.
    was_expired: Option<WatchFlag>,
}

impl Watched {
    fn shard(&self) -> usize {
        crate::keyspace::shard_of(crate::hash::hash(&self.key))
    }

    /// The flag that is raised when the key is touched.
    fn flag<'w>(&'w self, shared: &'w WatchFlag) -> &'w WatchFlag {
        self.was_expired.as_ref().unwrap_or(shared)
    }

    /// Whether the key was touched, or has expired, since it was watched.
    fn is_touched(&self, locked: &Locked<'_>, now: i64) -> bool {
        let hash = crate::hash::hash(&self.key);
        let entry = locked.shard(self.db, self.shard()).lookup(hash, &self.key);
        let expired = entry.and_then(|e| e.expiry()).is_some_and(|at| at <= now);
        match &self.was_expired {
            Some(flag) => flag.load(Ordering::Acquire) && entry.is_some() && !expired,
            None => expired,
        }
    }
}

impl Transaction {
    /// Whether commands are being queued.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Begins to queue.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Queues a command.
    pub fn queue(
        &mut self,
        command: &'static Command,
        args: crate::protocol::Args<'_>,
        flags: Flags,
    ) {
        self.flags = Some(self.flags.unwrap_or(Flags::empty()) | flags);
        self.queue.push((command, args.to_owned()));
    }

    /// Notes that a command could not be queued, so that EXEC must fail.
    pub fn poison(&mut self) {
        self.poisoned |= self.open;
    }

    /// Whether a queued command has the flag.
    pub fn any_flag(&self, flag: Flags) -> bool {
        self.flags.is_some_and(|flags| flags.contains(flag))
    }

    /// How many commands are queued; -1 when none is open (`CLIENT LIST`).
    pub fn queued(&self) -> i64 {
        if self.open {
            self.queue.len() as i64
        } else {
            -1
        }
    }

    /// How many keys are watched.
    pub fn watching(&self) -> usize {
        self.watched.len()
    }

    /// Bytes that the watched keys take.
    pub fn watched_bytes(&self) -> usize {
        let bytes = |watched: &Watched| size_of::<Watched>() + watched.key.len();
        self.watched.iter().map(bytes).sum()
    }

    /// What is raised when a watched key is touched.
    pub fn touched(&self) -> WatchFlag {
        Arc::clone(&self.touched)
    }

    /// Bytes of the queued commands.
    pub fn mem_bytes(&self) -> usize {
        self.queue.iter().map(|(_, args)| args.mem_bytes()).sum()
    }

    /// Watches a key, whose shard is locked.
    pub fn watch(&mut self, locked: &mut Locked<'_>, db: DbIndex, key: &[u8], now: i64) {
        if self.watched.iter().any(|w| w.db == db && *w.key == *key) {
            return;
        }
        let hash = crate::hash::hash(key);
        let shard = locked.shard_mut(db, crate::keyspace::shard_of(hash));
        let expiry = shard.lookup(hash, key).and_then(|entry| entry.expiry());
        let was_expired = expiry.is_some_and(|at| at <= now).then(WatchFlag::default);
        let flag = was_expired.as_ref().unwrap_or(&self.touched);
        shard.watch(key, Arc::clone(flag));
        self.watched.push(Watched {
            db,
            key: key.into(),
            was_expired,
        });
    }

    /// Stops watching.
    pub fn unwatch(&mut self, server: &'static Server) {
        for watched in self.watched.drain(..) {
            // A script that holds the shard may run below this very call. The flag then stays
            // until somebody watches the key again.
            let give_up = || server.scripts.is_running();
            let (db, shard) = (watched.db, watched.shard());
            if let Some(mut locked) = Locked::one_unless(&server.keyspace, db, shard, give_up) {
                let shard = locked.shard_mut(db, shard);
                shard.unwatch(&watched.key, watched.flag(&self.touched));
            }
        }
        self.touched = Arc::new(AtomicBool::new(false));
    }

    /// Stops watching; the shards are locked already.
    fn unwatch_locked(&mut self, locked: &mut Locked<'_>) {
        for watched in self.watched.drain(..) {
            let shard = locked.shard_mut(watched.db, watched.shard());
            shard.unwatch(&watched.key, watched.flag(&self.touched));
        }
        self.touched = Arc::new(AtomicBool::new(false));
    }

    /// Ends the transaction without executing anything.
    pub fn end(&mut self, server: &'static Server) {
        self.open = false;
        self.poisoned = false;
        self.queue = Vec::new();
        self.flags = None;
        self.unwatch(server);
    }

    /// The shards of the watched keys.
    fn watched_places(&self) -> impl Iterator<Item = (DbIndex, usize)> + '_ {
        self.watched
            .iter()
            .map(|watched| (watched.db, watched.shard()))
    }

    /// Whether a watched key has changed or expired since it was watched.
    fn is_touched(&self, locked: &Locked<'_>, now: i64) -> bool {
        self.touched.load(Ordering::Acquire)
            || self
                .watched
                .iter()
                .any(|watched| watched.is_touched(locked, now))
    }
}

/// `EXEC`.
///
/// # Errors
/// When no transaction is open, or one of its commands was refused.
pub fn exec(context: &mut SessionContext<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let transaction = &mut context.client.transaction;
    if !transaction.open {
        return Err(WireError::fixed("ERR EXEC without MULTI"));
    }
    if transaction.poisoned {
        transaction.end(context.server);
        return Err(errors::EXEC_ABORT);
    }
    let queue = std::mem::take(&mut transaction.queue);
    let Some(mut locked) = lock_all(context, &queue) else {
        context.client.transaction.end(context.server);
        return Err(context.server.scripts.busy_error());
    };
    if role_has_changed(context) {
        drop(locked);
        context.client.transaction.end(context.server);
        return Err(errors::READ_ONLY);
    }
    if context.client.transaction.is_touched(&locked, context.now) {
        context.depends_on(&locked);
        drop(locked);
        context.client.transaction.end(context.server);
        reply.null_array();
        return Ok(());
    }
    // From here on nothing is watched: a queued UNWATCH must not lock the shards again.
    let transaction = &mut context.client.transaction;
    transaction.unwatch_locked(&mut locked);
    transaction.open = false;
    let exec = context.command;
    reply.array(queue.len());
    for (command, args) in &queue {
        run_queued(context, command, args, &mut locked, reply);
    }
    context.command = exec;
    context.clock.resumes(exec);
    let frame = frame_of(context);
    let offset = run::commit(&frame, &mut locked, context.scratch);
    if offset > 0 {
        context.done = Done {
            offset,
            wrote: true,
            ..Done::default()
        };
    }
    context.depends_on(&locked);
    run::serve_and_unlock(&frame, locked, context.scratch);
    context.client.transaction.end(context.server);
    Ok(())
}

/// Whether this node became a read-only replica between the gates and the locks.
fn role_has_changed(context: &SessionContext<'_>) -> bool {
    context.server.gates.has(Gates::READ_ONLY) && context.client.transaction.any_flag(Flags::WRITE)
}

fn frame_of<'a>(context: &SessionContext<'a>) -> Frame<'a> {
    Frame {
        server: context.server,
        settings: context.settings,
        db: context.client.db,
        now: context.now,
        origin: Origin::Client,
        touches: !context.client.no_touch,
        may_expire: run::may_expire(context.server),
        may_block: false,
    }
}

/// Locks everything that the queued commands and the watched keys need. A queued `SELECT`
/// changes the database of the commands after it. `None` if a script holds some for too long.
fn lock_all(
    context: &mut SessionContext<'_>,
    queue: &[(&'static Command, OwnedArgs)],
) -> Option<Locked<'static>> {
    let keyspace = &context.server.keyspace;
    let mut places = std::mem::take(&mut context.scratch.places);
    places.clear();
    places.extend(context.client.transaction.watched_places());
    let mut db = context.client.db;
    let mut seeds = Vec::new();
    for (command, args) in queue {
        let args = args.view();
        let spec = command.spec;
        match spec.handler {
            Handler::Read(_) | Handler::Write(_) => {
                run::places(keyspace, spec, args, db, &mut places);
                blocking::seeds_of(context.server, spec, args, db, &mut seeds);
            }
            Handler::Session(_) if spec.name == "select" => {
                let index = args.get(1).and_then(crate::number::parse_i64);
                db = index
                    .and_then(|i| u32::try_from(i).ok())
                    .filter(|i| *i < keyspace.databases())
                    .map_or(db, DbIndex);
            }
            Handler::Session(_) if spec.scope == Scope::Keyspace => {
                run::places(keyspace, spec, args, db, &mut places);
            }
            _ => {}
        }
    }
    let server = context.server;
    let locked = Locked::several_unless(keyspace, &mut places, || server.scripts.is_slow());
    context.scratch.places = places;
    let locked = locked?;
    if locked.any_waiters() {
        return blocking::close(server, locked, &seeds);
    }
    Some(locked)
}

fn run_queued(
    context: &mut SessionContext<'_>,
    command: &'static Command,
    args: &OwnedArgs,
    locked: &mut Locked<'static>,
    reply: &mut Reply<'_>,
) {
    let args = args.view();
    let start = reply.position();
    let frame = frame_of(context);
    context.scratch.hashes.clear();
    context.command = command;
    context.clock.begins(command);
    let result = match command.spec.handler {
        Handler::Read(handler) => {
            let result = run::read(&frame, handler, args, locked, context.scratch, reply);
            if context.client.tracking.is_some() {
                let reader = events::reader(context.client);
                events::remember(context.server, reader, command, args, context.scratch);
            }
            result
        }
        Handler::Write(handler) => {
            let result = run::write(&frame, handler, args, locked, context.scratch, reply);
            if context.client.tracking.is_some() {
                let reader = events::reader(context.client);
                events::remember(context.server, reader, command, args, context.scratch);
            }
            result.map(|effect| {
                if effect == Effect::AsReceived {
                    context.scratch.effects.request(frame.db, args);
                }
            })
        }
        Handler::Session(handler) => {
            context.held = Some(std::mem::replace(locked, Locked::nothing()));
            let result = handler(context, args, reply);
            if let Some(held) = context.held.take() {
                *locked = held;
            }
            result
        }
        Handler::Container => {
            let container = command.spec;
            Err(crate::commands::table::unknown_subcommand(container, args))
        }
    };
    run::tell_trackers(context.server, locked, context.scratch);
    if is_shown(command) {
        context.show(args);
    }
    let settings = context.settings;
    if context
        .clock
        .times_alone(command, args, settings.slow_from_us)
    {
        let took = context.clock.ends();
        if super::dispatch::is_slow(took, settings.slow_from_us) {
            observe::note_slow(context.server, Some(&*context.client), command, args, took);
        }
    }
    if let Err(error) = result {
        reply.rewind(start);
        if !std::mem::take(&mut context.done.error_is_counted) {
            context.server.stats.count_error(&error);
        }
        context.clock.counts().failed(command);
        reply.error(&error);
    }
}
