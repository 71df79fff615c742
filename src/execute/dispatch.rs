//! From a request to its command, through the gates in Redis's order.

use super::blocking;
use super::context::{Origin, Settings};
use super::effect::Effect;
use super::events;
use super::run::{self, Done, Frame, Scratch};
use super::session::{After, BlockOn, SessionContext};
use crate::commands;
use crate::commands::handler::Handler;
use crate::commands::renames::{self, Called};
use crate::commands::spec::{CommandSpec, Flags};
use crate::commands::table::{self, Command};
use crate::net::Client;
use crate::observe::{self, LogKind};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::pubsub::is_shown;
use crate::replication::Role;
use crate::server::{CommandClock, Server};
use crate::time::{Duration, UnixMs};
use std::sync::atomic::{AtomicU32, Ordering};

/// A request as the connection hands it over.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The arguments, the command's name first; never empty.
    pub args: Args<'a>,
    /// The request as a RESP array.
    pub raw: &'a [u8],
}

/// Conditions of the node that refuse some commands. All are rare, so that one load of all
/// of them is what a request pays.
#[derive(Default)]
pub struct Gates(AtomicU32);

impl Gates {
    /// The data is being loaded.
    pub const LOADING: u32 = 1;
    /// This node is a replica and read-only.
    pub const READ_ONLY: u32 = 1 << 1;
    /// This node is a replica whose link is down and that may not serve stale data.
    pub const STALE: u32 = 1 << 2;
    /// Too few replicas are in sync for writes.
    pub const NO_REPLICAS: u32 = 1 << 3;
    /// Memory is full.
    pub const OUT_OF_MEMORY: u32 = 1 << 4;
    /// The append-only file cannot be written.
    pub const FILE_ERROR: u32 = 1 << 5;
    /// `CLIENT PAUSE … WRITE`.
    pub const PAUSED_WRITES: u32 = 1 << 6;
    /// `CLIENT PAUSE … ALL`.
    pub const PAUSED: u32 = 1 << 7;
    /// This node is a replica: it does not expire keys on its own.
    pub const REPLICA: u32 = 1 << 8;
    /// Fewer good replicas than `min-replicas-to-write`.
    pub const TOO_FEW_REPLICAS: u32 = 1 << 9;
    /// Snapshots cannot be saved: writes are refused.
    pub const SAVE_ERROR: u32 = 1 << 10;
    /// A script has been running for longer than `busy-reply-threshold`.
    pub const BUSY: u32 = 1 << 11;
    /// Somebody is shown every command; nothing is refused.
    pub const MONITORED: u32 = 1 << 12;
    /// Somebody is told of changed keys; nothing is refused.
    pub const TRACKING: u32 = 1 << 13;

    /// The role of the primary is on its way from here, or has just come: writes wait instead
    /// of being refused for what is about to change. With `PAUSED_WRITES` only.
    pub const ROLE_MOVES: u32 = 1 << 14;

    /// Sets or clears a condition.
    pub fn set(&self, gate: u32, on: bool) {
        if on {
            self.0.fetch_or(gate, Ordering::SeqCst);
        } else {
            self.0.fetch_and(!gate, Ordering::SeqCst);
        }
    }

    /// All conditions.
    #[inline]
    pub fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Whether a condition holds.
    pub fn has(&self, gate: u32) -> bool {
        self.load() & gate != 0
    }
}

/// What a worker lends to the execution of a request.
pub struct Batch<'a> {
    /// The server.
    pub server: &'static Server,
    /// Settings as of the batch's begin.
    pub settings: &'a Settings,
    /// The time of the batch.
    pub now: UnixMs,
    /// Reused buffers.
    pub scratch: &'a mut Scratch,
    /// Counts and times the commands.
    pub clock: CommandClock<'a>,
    /// Whether the batch is executed outside the runtime, as scripts are.
    pub aside: bool,
}

/// Executes one request and writes its reply. `Done` says what the reply must wait for.
#[inline]
pub fn dispatch(
    batch: &mut Batch<'_>,
    client: &mut Client,
    request: Request<'_>,
    reply: &mut Reply<'_>,
) -> (Done, After) {
    match renames::called(request.args) {
        Called::AsSaid => perform(batch, client, request, reply),
        Called::Nothing => {
            let error = table::unknown_command(request.args);
            refuse(batch, client, None, &error, reply)
        }
        Called::Really(words) => {
            let mut raw = Vec::new();
            words.view().encode_into(&mut raw);
            let request = Request {
                args: words.view(),
                raw: &raw,
            };
            perform(batch, client, request, reply)
        }
    }
}

/// Executes one request that has its command's real name.
#[inline]
fn perform(
    batch: &mut Batch<'_>,
    client: &mut Client,
    request: Request<'_>,
    reply: &mut Reply<'_>,
) -> (Done, After) {
    let args = request.args;
    let command = match table::find(args) {
        Ok(command) => command,
        Err(_) if is_http(args) => {
            tracing::warn!(
                client = client.id,
                "closing a connection that speaks HTTP: it may be an attack through a browser"
            );
            return (Done::default(), After::Abort);
        }
        Err(error) => {
            client.last_command = None;
            return refuse(batch, client, None, &error, reply);
        }
    };
    let spec = command.spec;
    client.note_command(command);
    if let Err(error) = gates(batch.server, client, command, args) {
        return refuse(batch, client, Some(command), &error, reply);
    }
    if client.transaction.is_open() && !runs_inside_transaction(spec) {
        let flags = flags_of(batch.server, command, args);
        client.transaction.queue(command, args, flags);
        client.info.executed_more(-1);
        reply.simple("QUEUED");
        return (Done::default(), After::Continue);
    }
    if batch.server.gates.load() & (Gates::PAUSED | Gates::PAUSED_WRITES) != 0
        && must_pause(batch.server, client, command, args)
    {
        client.info.executed_more(-1);
        return (Done::default(), After::Block(super::BlockOn::Pause));
    }
    if !batch.aside && runs_scripts(spec, client) {
        client.info.executed_more(-1);
        return (Done::default(), After::Block(super::BlockOn::Aside));
    }
    batch.clock.begins(command);
    let start = reply.position();
    let mut slow_from_us = batch.settings.slow_from_us;
    let (result, done, after) = match spec.handler {
        Handler::Read(handler) => {
            let locked = run::lock(batch.server, spec, args, client.db, batch.scratch);
            let Some(mut locked) = locked else {
                batch.clock.counts().comes_again(command);
                let busy = batch.server.scripts.busy_error();
                return refuse(batch, client, Some(command), &busy, reply);
            };
            let frame = frame(batch, client);
            let result = run::read(&frame, handler, args, &mut locked, batch.scratch, reply);
            if client.tracking.is_some() {
                let reader = events::reader(client);
                events::remember(batch.server, reader, command, args, batch.scratch);
            }
            let expired = run::commit(&frame, &mut locked, batch.scratch);
            let offset = run::newest(&locked).max(expired);
            run::serve_and_unlock(&frame, locked, batch.scratch);
            (
                result,
                Done {
                    offset,
                    ..Done::default()
                },
                After::Continue,
            )
        }
        Handler::Write(handler) => {
            let locked = run::lock(batch.server, spec, args, client.db, batch.scratch);
            let Some(mut locked) = locked else {
                batch.clock.counts().comes_again(command);
                let busy = batch.server.scripts.busy_error();
                return refuse(batch, client, Some(command), &busy, reply);
            };
            let frame = frame(batch, client);
            let writes = spec.flags.contains(Flags::WRITE);
            let result = if writes && batch.server.gates.has(Gates::READ_ONLY) {
                // The role changed between the gates and the locks.
                Err(errors::READ_ONLY)
            } else {
                run::write(&frame, handler, args, &mut locked, batch.scratch, reply)
            };
            let blocks = result == Ok(Effect::Block);
            if client.tracking.is_some() {
                // XREAD and PFCOUNT are reads that may do more.
                let reader = events::reader(client);
                events::remember(batch.server, reader, command, args, batch.scratch);
            }
            let (result, mut done) =
                finish_write(&frame, request, result, &mut locked, batch.scratch);
            let mut after = After::Continue;
            if blocks {
                // Nothing was answered, so there is nothing to hold.
                done = Done::default();
                after = blocking::file(client, spec, &mut locked, batch.scratch);
            }
            run::serve_and_unlock(&frame, locked, batch.scratch);
            (result, done, after)
        }
        Handler::Session(handler) => {
            let counts = batch.clock.counts();
            let before = counts.executed();
            let mut context = SessionContext::new(batch, client, command);
            let result = handler(&mut context, args, reply);
            let (done, after) = context.into_outcome();
            if comes_again(&after) {
                counts.comes_again(command);
            }
            let more = counts.executed() as i64 - before as i64;
            if more != 0 {
                client.info.executed_more(more);
            }
            if spec.flags.contains(Flags::ADMIN) {
                // CONFIG SET may just have asked for everything, itself included.
                slow_from_us = batch.server.settings().slow_from_us;
            }
            (result, done, after)
        }
        Handler::Container => (
            Err(table::unknown_subcommand(spec, args)),
            Done::default(),
            After::Continue,
        ),
    };
    if !batch.scratch.garbage.is_empty() {
        run::free_garbage(batch.server, batch.scratch);
    }
    if batch.server.gates.has(Gates::MONITORED) && is_shown(command) && !comes_again(&after) {
        let outbox = &mut batch.scratch.outbox;
        client.show(batch.server, command, args, outbox);
    }
    if client.tracking.is_some() {
        forget_caching(client, command);
    }
    if done.wrote {
        client.last_write = done.offset;
    }
    if batch.clock.times_alone(command, args, slow_from_us) {
        let took = batch.clock.ends();
        if is_slow(took, slow_from_us) {
            observe::note_slow(batch.server, Some(client), command, args, took);
        }
    }
    if let Err(error) = result {
        reply.rewind(start);
        if !done.error_is_counted {
            batch.server.stats.count_error(&error);
        }
        batch.clock.counts().failed(command);
        reply.error(&error);
        return (done, After::Continue);
    }
    let settings = batch.settings;
    if request.raw.len() >= settings.large_request_from
        || reply.bytes_since(start) >= settings.large_reply_from
    {
        let written = reply.bytes_since(start);
        note_large(batch, client, command, request, written);
    }
    (done, after)
}

/// Whether the request will be executed once more.
fn comes_again(after: &After) -> bool {
    matches!(
        after,
        After::Block(BlockOn::Pause | BlockOn::Aside | BlockOn::Migration)
    )
}

/// `CLIENT CACHING` holds for the next command, or the next transaction.
#[cold]
fn forget_caching(client: &mut Client, command: &Command) {
    let open = client.transaction.is_open();
    if let Some(tracking) = &mut client.tracking
        && !open
        && !command.name.starts_with("client|")
    {
        tracking.caching = false;
    }
}

/// Notes a large request, a large reply, or both.
#[cold]
fn note_large(
    batch: &Batch<'_>,
    client: &Client,
    command: &Command,
    request: Request<'_>,
    written: usize,
) {
    let (settings, args) = (batch.settings, request.args);
    for (kind, bytes, from) in [
        (
            LogKind::LargeRequest,
            request.raw.len(),
            settings.large_request_from,
        ),
        (LogKind::LargeReply, written, settings.large_reply_from),
    ] {
        if bytes >= from {
            observe::note_large(batch.server, client, command, args, kind, bytes);
        }
    }
}

/// Whether somebody wants to know of a command that took so long.
#[inline]
pub(super) fn is_slow(took: Duration, slow_from_us: Option<u64>) -> bool {
    let took_us = took.as_micros() as u64;
    slow_from_us.is_some_and(|from| took_us >= from)
}

/// Appends a write's effect while its locks are held.
#[inline]
fn finish_write(
    frame: &Frame<'_>,
    request: Request<'_>,
    result: Result<Effect, WireError>,
    locked: &mut crate::keyspace::Locked<'static>,
    scratch: &mut Scratch,
) -> (Result<(), WireError>, Done) {
    let offset = match result {
        Ok(Effect::AsReceived) if scratch.effects.is_empty() => {
            run::commit_raw(frame, locked, scratch, request.raw)
        }
        Ok(Effect::AsReceived) => {
            scratch.effects.request(frame.db, request.args);
            run::commit(frame, locked, scratch)
        }
        // Also after an error: an expired key that was met has been deleted.
        _ => run::commit(frame, locked, scratch),
    };
    let done = if offset > 0 {
        Done {
            offset,
            wrote: true,
            ..Done::default()
        }
    } else {
        // A write that changed nothing has still read, and its reply shows what it read.
        Done {
            offset: run::newest(locked),
            ..Done::default()
        }
    };
    (result.map(|_| ()), done)
}

#[inline]
fn frame<'a>(batch: &Batch<'a>, client: &Client) -> Frame<'a> {
    Frame {
        server: batch.server,
        settings: batch.settings,
        db: client.db,
        now: batch.now,
        origin: Origin::Client,
        touches: !client.no_touch,
        may_expire: run::may_expire(batch.server),
        may_block: true,
    }
}

/// The gates, in Redis's order.
#[inline]
fn gates(
    server: &Server,
    client: &Client,
    command: &Command,
    args: Args<'_>,
) -> Result<(), WireError> {
    let spec = command.spec;
    if !spec.arity_fits(args.len()) {
        return Err(errors::wrong_arity(&command.name));
    }
    if !client.authenticated && !spec.flags.contains(Flags::NO_AUTH) {
        return Err(errors::NO_AUTH);
    }
    if client.transaction.is_open() && spec.flags.contains(Flags::NO_MULTI) {
        return Err(WireError::fixed(
            "ERR Command not allowed inside a transaction",
        ));
    }
    const REFUSE_NOTHING: u32 =
        Gates::PAUSED | Gates::PAUSED_WRITES | Gates::REPLICA | Gates::MONITORED | Gates::TRACKING;
    let gates = server.gates.load() & !REFUSE_NOTHING;
    if gates != 0 {
        return node_gates(server, client, command, args, gates);
    }
    listener_gates(client, command)
}

/// What clients that get more than replies may call.
#[inline]
fn listener_gates(client: &Client, command: &Command) -> Result<(), WireError> {
    if client.monitors && command.flags.intersects(KEYSPACE_FLAGS) {
        return Err(WireError::fixed(
            "ERR Replica can't interact with the keyspace",
        ));
    }
    if client.only_listens() {
        return subscriber_gate(command);
    }
    Ok(())
}

/// Commands that MONITOR leaves no room for.
const KEYSPACE_FLAGS: Flags = Flags::WRITE
    .union(Flags::READONLY)
    .union(Flags::MAY_REPLICATE);

/// What a subscriber that speaks RESP2 may call: it could not tell replies from messages.
#[cold]
fn subscriber_gate(command: &Command) -> Result<(), WireError> {
    let allowed = [
        "ping",
        "subscribe",
        "ssubscribe",
        "unsubscribe",
        "sunsubscribe",
        "psubscribe",
        "punsubscribe",
        "quit",
        "reset",
    ];
    if allowed.contains(&&*command.name) {
        return Ok(());
    }
    Err(WireError::new(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context",
        command.name
    )))
}

/// Sends a client that understands it from this replica to the primary.
#[cold]
fn redirect(server: &Server, client: &Client, flags: Flags) -> Result<(), WireError> {
    let reads = flags.contains(Flags::READONLY) && !client.reads_here;
    match server.replication.role() {
        Role::Replica(primary) if reads || flags.contains(Flags::WRITE) => Err(WireError::new(
            format!("REDIRECT {}:{}", primary.host, primary.port),
        )),
        _ => Ok(()),
    }
}

#[cold]
fn node_gates(
    server: &Server,
    client: &Client,
    command: &Command,
    args: Args<'_>,
    gates: u32,
) -> Result<(), WireError> {
    let flags = flags_of(server, command, args);
    let role_moves = gates & Gates::ROLE_MOVES != 0;
    if gates & Gates::READ_ONLY != 0 && client.redirects && !role_moves {
        redirect(server, client, flags)?;
    }
    let exec_has = |flag| args.is(0, "exec") && client.transaction.any_flag(flag);
    let writes = flags.contains(Flags::WRITE) || exec_has(Flags::WRITE);
    let grows = flags.contains(Flags::DENYOOM) || exec_has(Flags::DENYOOM);
    if gates & Gates::OUT_OF_MEMORY != 0 && grows {
        return Err(errors::OUT_OF_MEMORY);
    }
    // PING is what watches whether a server is well.
    let tells = writes || command.spec.name == "ping";
    if gates & Gates::FILE_ERROR != 0 && tells {
        return Err(server.file_error());
    }
    // As in Redis only a primary: a replica goes on taking its stream in any case.
    if gates & (Gates::SAVE_ERROR | Gates::READ_ONLY) == Gates::SAVE_ERROR && tells {
        return Err(errors::SAVE_ERROR);
    }
    if gates & (Gates::NO_REPLICAS | Gates::TOO_FEW_REPLICAS) != 0
        && gates & Gates::READ_ONLY == 0
        && writes
        && !role_moves
    {
        return Err(errors::NO_REPLICAS);
    }
    if gates & Gates::READ_ONLY != 0 && writes && !role_moves {
        return Err(errors::READ_ONLY);
    }
    listener_gates(client, command)?;
    if gates & Gates::STALE != 0 && !flags.contains(Flags::STALE) {
        return Err(errors::MASTER_DOWN);
    }
    if gates & Gates::BUSY != 0 && !runs_while_busy(command.spec, client) {
        return Err(server.scripts.busy_error());
    }
    if gates & Gates::LOADING != 0 && !flags.contains(Flags::LOADING) {
        return Err(server.loading.refusal());
    }
    Ok(())
}

/// Whether the command runs a script, or a transaction with one in it.
#[inline]
fn runs_scripts(spec: &CommandSpec, client: &Client) -> bool {
    let one = spec.flags.contains(Flags::SCRIPT);
    one || spec.name == "exec" && client.transaction.any_flag(Flags::SCRIPT)
}

/// Whether the command is executed while a script holds all locks: it must not need any.
fn runs_while_busy(spec: &CommandSpec, client: &Client) -> bool {
    spec.flags.contains(Flags::ALLOW_BUSY)
        && spec.name != "watch"
        && (client.transaction.watching() == 0
            || !matches!(spec.name, "unwatch" | "discard" | "reset"))
}

/// The flags of a command, which a script or function may say more of.
#[inline]
fn flags_of(server: &Server, command: &Command, args: Args<'_>) -> Flags {
    match command.spec.flags.contains(Flags::SCRIPT) {
        true => commands::scripting::flags_of_call(server, command.spec, args),
        false => command.spec.flags,
    }
}

/// Commands that act on the open transaction rather than join it.
fn runs_inside_transaction(spec: &CommandSpec) -> bool {
    matches!(
        spec.name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

/// Whether `CLIENT PAUSE` holds this command back.
#[cold]
fn must_pause(server: &Server, client: &Client, command: &Command, args: Args<'_>) -> bool {
    let spec = command.spec;
    let writes = flags_of(server, command, args)
        .intersects(Flags::WRITE.union(Flags::MAY_REPLICATE))
        || spec.name == "exec" && client.transaction.any_flag(Flags::WRITE);
    let all = server.gates.has(Gates::PAUSED);
    (writes || all) && !matches!(spec.name, "replconf" | "psync" | "sync")
}

/// A browser can be made to send HTTP here; none of what follows may be executed.
#[cold]
fn is_http(args: Args<'_>) -> bool {
    args.is(0, "post") || args.is(0, "host:")
}

#[cold]
fn refuse(
    batch: &mut Batch<'_>,
    client: &mut Client,
    command: Option<&Command>,
    error: &WireError,
    reply: &mut Reply<'_>,
) -> (Done, After) {
    client.transaction.poison();
    client.info.executed_more(-1);
    if let Some(tracking) = &mut client.tracking {
        // What CLIENT CACHING said was said of this command.
        tracking.caching &= client.transaction.is_open();
    }
    batch.server.stats.count_error(error);
    if let Some(command) = command {
        batch.clock.counts().rejected(command);
    }
    if command.is_some_and(|command| command.name == "exec") {
        // A refused EXEC ends the transaction, and its text says why.
        client.end_transaction(batch.server);
        let text = error.text();
        let text = text.strip_prefix("ERR ").unwrap_or(&text);
        reply.error(&WireError::new(format!(
            "EXECABORT Transaction discarded because of: {text}"
        )));
    } else {
        reply.error(error);
    }
    (Done::default(), After::Continue)
}
