//! Commands that wait for a key.
//!
//! A handler that has nothing to give ends with [`WriteContext::block`]; the executor files a
//! waiter in the shard of each key while the locks are held under which it was found empty, so
//! that no wake-up is lost. Whoever changes a key serves those who wait for it, on its own
//! thread, under the same locks, right after its own effect is in the log: their commands are
//! executed in the order in which they came, each with an effect and an offset of its own.
//! The reply goes to the waiter, and its connection holds it like any other.
//!
//! What must stay true: when a write has locked its shards, it also holds those that serving
//! would touch ([`close_over`]). Where a key was changed without that (a deletion of something
//! expired, an eviction, a copy from elsewhere), it is served a moment later under locks of
//! its own ([`serve_deferred`]).

use super::context::{Origin, Settings, WriteContext};
use super::dispatch::Gates;
use super::effect::Effect;
use super::events;
use super::run::{self, Frame, Scratch};
use super::session::{After, BlockOn};
use crate::commands::handler::{Handler, Scope};
use crate::commands::key_positions;
use crate::commands::spec::{CommandSpec, Flags};
use crate::commands::table;
use crate::keyspace::{
    Cause, DbIndex, Kind, Locked, Served, Waiter, WaiterParts, Wanted, shard_of,
};
use crate::net::Client;
use crate::protocol::{Args, OutBuf, OwnedArgs, Reply};
use crate::server::Server;
use crate::time::{self, Duration, Instant};
use hashbrown::HashSet;
use std::sync::Arc;

/// What a command waits for.
#[derive(Debug)]
pub struct BlockSpec {
    /// The keys whose change may end the wait; keys of the command.
    pub keys: Vec<Box<[u8]>>,
    /// What is executed then: the request, or what it meant when it was made (`XREAD … $`).
    pub args: OwnedArgs,
    /// How long it waits; `None` for ever.
    pub timeout: Option<Duration>,
    /// The type of value that it waits for.
    pub wanted: Wanted,
    /// Whether it must also be executed when a key goes or becomes another type.
    pub minds_loss: bool,
    /// The reply where nobody can wait, as inside a transaction. When the time is up, it is
    /// an array that is not there, whatever the command.
    pub null: NullReply,
}

impl BlockSpec {
    /// Waits for a value of the type at any of the keys, to execute the request again.
    pub fn new<'k>(
        args: Args<'_>,
        keys: impl IntoIterator<Item = &'k [u8]>,
        wanted: Wanted,
        timeout: Option<Duration>,
    ) -> Self {
        BlockSpec {
            keys: keys.into_iter().map(Into::into).collect(),
            args: args.to_owned(),
            timeout,
            wanted,
            minds_loss: false,
            null: NullReply::Array,
        }
    }
}

/// What stands for nothing in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullReply {
    /// `$-1` over RESP2.
    Bulk,
    /// `*-1` over RESP2.
    Array,
}

impl NullReply {
    /// Writes it.
    pub fn write(self, reply: &mut Reply<'_>) {
        match self {
            NullReply::Bulk => reply.null(),
            NullReply::Array => reply.null_array(),
        }
    }
}

/// What the connection of a client that waits for keys knows.
#[derive(Clone, Debug)]
pub struct KeyWait {
    /// Its place in the lines.
    pub waiter: Arc<Waiter>,
    /// When it is answered anyway.
    pub deadline: Option<Instant>,
}

impl WriteContext<'_> {
    /// Whether the command may wait: not inside transactions and scripts.
    pub fn may_block(&self) -> bool {
        self.may_block
    }

    /// Ends a command that has found nothing: it waits, or where nobody can wait is answered
    /// with nothing. No reply may have been written yet.
    pub fn block(&mut self, spec: BlockSpec, reply: &mut Reply<'_>) -> Effect {
        if !self.may_block {
            spec.null.write(reply);
            return Effect::None;
        }
        *self.blocks = Some(Box::new(spec));
        Effect::Block
    }
}

/// Files the client in the line of every key that its command waits for.
pub(super) fn file(
    client: &Client,
    spec: &CommandSpec,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
) -> After {
    let Some(block) = scratch.blocks.take() else {
        return After::Continue;
    };
    let mut others: Vec<Box<[u8]>> = Vec::new();
    key_positions::for_each_key(spec, block.args.view(), |key| {
        if !block.keys.iter().any(|waited| **waited == *key) {
            others.push(key.into());
        }
    });
    let waiter = Waiter::new(WaiterParts {
        db: client.db,
        resp3: client.resp3,
        touches: !client.no_touch,
        reader: events::reader(client),
        words: block.args.view().iter().map(Into::into).collect(),
        keys: block.keys,
        others,
        wanted: block.wanted,
        minds_loss: block.minds_loss,
        waker: client.info.waker.lock().clone(),
    });
    for key in &waiter.keys {
        let shard = locked.shard_mut(client.db, place(key));
        shard.file_waiter(key, Arc::clone(&waiter));
    }
    *client.info.waiter.lock() = Some(Arc::clone(&waiter));
    // A deadline beyond what the clock can say is none.
    let deadline = block
        .timeout
        .and_then(|timeout| Instant::now().checked_add(timeout));
    After::Block(BlockOn::Keys(KeyWait { waiter, deadline }))
}

/// Takes a waiter that has ended out of the lines in which it may still stand.
pub fn forget_waiter(server: &'static Server, waiter: &Waiter) {
    for key in &waiter.keys {
        // A script that holds the shard may run below this very call. Whoever serves the key
        // then passes over the waiter, and takes it out.
        let give_up = || server.scripts.is_running();
        let index = place(key);
        let locked = Locked::one_unless(&server.keyspace, waiter.db, index, give_up);
        if let Some(mut locked) = locked {
            let shard = locked.shard_mut(waiter.db, index);
            shard.forget_waiter(key, waiter);
        }
    }
}

/// Calls off everybody who waits for a key.
pub fn call_off_all(locked: &Locked<'static>, cause: Cause) {
    for (_, shard) in locked.shards() {
        for waiter in shard.waiters().all() {
            waiter.call_off(cause);
        }
    }
}

/// Adds to the locked shards those that would be touched if the command's keys became ready.
/// `None` if a script holds one of them for too long.
#[cold]
pub(super) fn close_over(
    server: &'static Server,
    spec: &CommandSpec,
    args: Args<'_>,
    db: DbIndex,
    locked: Locked<'static>,
) -> Option<Locked<'static>> {
    let mut seeds = Vec::new();
    seeds_of(server, spec, args, db, &mut seeds);
    close(server, locked, &seeds)
}

/// The keys of a command, as [`close`] takes them.
pub(super) fn seeds_of<'a>(
    server: &Server,
    spec: &CommandSpec,
    args: Args<'a>,
    db: DbIndex,
    seeds: &mut Vec<(DbIndex, &'a [u8])>,
) {
    key_positions::for_each_key(spec, args, |key| match spec.scope {
        Scope::Keys => seeds.push((db, key)),
        Scope::KeysAnywhere => {
            let all = 0..server.keyspace.databases();
            seeds.extend(all.map(|db| (DbIndex(db), key)));
        }
        // Everything that waiters of these databases can reach is locked.
        Scope::Database | Scope::Keyspace => {}
    });
}

/// Locks more until everything is locked that serving the waiters of `seeds` would touch, and
/// serving those that this makes ready, and so on.
#[cold]
pub(super) fn close(
    server: &'static Server,
    mut locked: Locked<'static>,
    seeds: &[(DbIndex, &[u8])],
) -> Option<Locked<'static>> {
    loop {
        let missing = missing(&locked, seeds);
        if missing.is_empty() {
            return Some(locked);
        }
        let mut places: Vec<_> = locked.places().chain(missing).collect();
        // Released first: locks are taken in ascending order only.
        drop(locked);
        let give_up = || server.scripts.is_slow();
        locked = Locked::several_unless(&server.keyspace, &mut places, give_up)?;
    }
}

/// The shards that serving would touch and that are not locked, as far as can be seen.
fn missing(locked: &Locked<'static>, seeds: &[(DbIndex, &[u8])]) -> Vec<(DbIndex, usize)> {
    let mut missing = Vec::new();
    let mut seen: HashSet<(DbIndex, Box<[u8]>)> = HashSet::new();
    let mut work: Vec<(DbIndex, Box<[u8]>)> = seeds
        .iter()
        .map(|(db, key)| (*db, Box::from(*key)))
        .collect();
    while let Some((db, key)) = work.pop() {
        let index = place(&key);
        if !locked.holds(db, index) {
            missing.push((db, index));
            continue;
        }
        let waiters = locked.shard(db, index).waiters();
        if !waiters.reach_further(&key) {
            continue;
        }
        for waiter in waiters.of(&key) {
            for reach in &waiter.reaches {
                if seen.insert((db, reach.clone())) {
                    work.push((db, reach.clone()));
                }
            }
        }
    }
    missing
}

/// Serves those who wait for keys that were changed under these locks.
#[inline]
pub(super) fn serve(frame: &Frame<'_>, locked: &mut Locked<'static>, scratch: &mut Scratch) {
    if locked.any_ready() {
        serve_ready(frame, locked, scratch);
    }
}

#[cold]
fn serve_ready(frame: &Frame<'_>, locked: &mut Locked<'static>, scratch: &mut Scratch) {
    while locked.any_ready() {
        let mut ready: Vec<_> = locked
            .shards()
            .flat_map(|(db, shard)| {
                let keys = shard.waiters().take_ready().into_iter();
                keys.map(move |(order, key)| (order, db, key))
            })
            .collect();
        ready.sort_unstable_by_key(|(order, ..)| *order);
        for (_, db, key) in ready {
            serve_key(frame, locked, scratch, db, &key);
        }
    }
}

/// Serves those who wait for the key, until it has nothing more for them.
fn serve_key(
    frame: &Frame<'_>,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
    db: DbIndex,
    key: &[u8],
) {
    let hash = crate::hash::hash(key);
    let index = shard_of(hash);
    let mut after = None;
    loop {
        let shard = locked.shard(db, index);
        let kind = shard.lookup(hash, key).map(|entry| entry.kind());
        if kind.is_none() && !shard.waiters().minds_loss(key) {
            return;
        }
        let Some(waiter) = shard.waiters().next(key, after) else {
            return;
        };
        after = Some(waiter.ticket());
        if !waiter.minds_loss && !kind.is_some_and(|kind| is_wanted(waiter.wanted, kind)) {
            continue;
        }
        if !waiter
            .reaches
            .iter()
            .all(|key| locked.holds(db, place(key)))
        {
            scratch.deferred.push((db, key.into()));
            return;
        }
        if waiter.serve(|| execute(frame, locked, scratch, &waiter)) {
            for key in &waiter.keys {
                locked.shard_mut(db, place(key)).forget_waiter(key, &waiter);
            }
        }
    }
}

/// Executes what a waiter waits to have executed; `None` if it must wait on.
fn execute(
    frame: &Frame<'_>,
    locked: &mut Locked<'static>,
    scratch: &mut Scratch,
    waiter: &Waiter,
) -> Option<Served> {
    let server = frame.server;
    let args = OwnedArgs::of(&waiter.words);
    let args = args.view();
    let command = table::find(args).ok()?;
    let Handler::Write(handler) = command.spec.handler else {
        return None;
    };
    if command.spec.flags.contains(Flags::WRITE) && server.gates.has(Gates::READ_ONLY) {
        return None;
    }
    let term = server.watermarks.term();
    let own = Frame {
        server,
        settings: frame.settings,
        db: waiter.db,
        now: frame.now,
        origin: Origin::Client,
        touches: waiter.touches,
        may_expire: run::may_expire(server),
        may_block: true,
    };
    // The cache tells keys apart by their addresses, and these are others.
    scratch.hashes.clear();
    let mut out = OutBuf::default();
    let mut reply = Reply::new(&mut out, waiter.resp3);
    let result = run::write(&own, handler, args, locked, scratch, &mut reply);
    scratch.hashes.clear();
    scratch.blocks = None;
    match &result {
        Ok(Effect::AsReceived) => scratch.effects.request(own.db, args),
        Ok(_) => {}
        Err(error) => {
            reply.rewind(0);
            server.stats.count_error(error);
            reply.error(error);
        }
    }
    let offset = run::commit(&own, locked, scratch);
    if result == Ok(Effect::Block) {
        return None;
    }
    events::remember(server, waiter.reader, command, args, scratch);
    let read = waiter.reaches.iter();
    let read = read.map(|key| locked.shard(waiter.db, place(key)).last_write);
    let bytes = match out.shared.is_empty() {
        true => out.buf,
        false => out.flatten(),
    };
    Some(Served {
        bytes,
        offset: read.max().unwrap_or(0).max(offset),
        wrote: offset > 0,
        term,
    })
}

/// Serves the keys that became ready while too little was locked. No shard may be locked by
/// this thread.
#[cold]
pub(super) fn serve_deferred(server: &'static Server, settings: &Settings, scratch: &mut Scratch) {
    while let Some((db, key)) = scratch.deferred.pop() {
        let give_up = || server.scripts.is_running();
        let locked = Locked::one_unless(&server.keyspace, db, place(&key), give_up);
        let Some(mut locked) = locked.and_then(|held| close(server, held, &[(db, &key)])) else {
            // Whoever serves next does it: a script holds the locks, below this very call.
            scratch.deferred.push((db, key));
            return;
        };
        let frame = Frame {
            server,
            settings,
            db,
            now: time::unix_ms(),
            origin: Origin::Client,
            touches: false,
            may_expire: run::may_expire(server),
            may_block: false,
        };
        serve_key(&frame, &mut locked, scratch, db, &key);
        serve(&frame, &mut locked, scratch);
    }
}

fn is_wanted(wanted: Wanted, kind: Kind) -> bool {
    match wanted {
        Wanted::List => matches!(kind, Kind::ListPacked | Kind::List),
        Wanted::SortedSet => matches!(kind, Kind::SortedSetPacked | Kind::SortedSet),
        Wanted::Stream => kind == Kind::Stream,
        Wanted::Any => true,
    }
}

/// The shard of a key.
fn place(key: &[u8]) -> usize {
    shard_of(crate::hash::hash(key))
}

#[cfg(test)]
#[path = "blocking_tests.rs"]
mod tests;
