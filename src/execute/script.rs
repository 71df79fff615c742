//! The commands of a script: executed under locks that were taken before the first of them,
//! with all effects in the log as one.
//!
//! A script names its keys, but may touch others, so that a whole database is locked for it
//! unless its text proves that it does not; every database if its text mentions another one.
//! Inside `EXEC` what it needs is locked already. A script that turns out to need more than
//! was locked is run again with everything locked, if nothing of it is to be seen yet;
//! otherwise the rest is locked then, as far as that goes without waiting against the lock
//! order. A [`ScriptRun`] owns all that its commands need: the Lua
//! functions that call it live as long as the interpreter and can borrow nothing.
//!
//! What must stay true: only the shards of keys that were touched are stamped with the
//! script's offset, so that nobody else waits for it.

use super::context::{Origin, Settings};
use super::dispatch::Gates;
use super::effect::{Effect, EffectBuf};
use super::events;
use super::run::{self, Frame, Scratch};
use super::session::{After, SessionContext};
use crate::commands::handler::{Handler, Scope};
use crate::commands::renames::{self, Called};
use crate::commands::spec::{CommandSpec, Flags};
use crate::commands::table::{self, Command};
use crate::keyspace::{DbIndex, Locked};
use crate::net::Client;
use crate::observe;
use crate::protocol::{Args, OutBuf, Reply, WireError, errors};
use crate::pubsub::is_shown;
use crate::server::{CommandClock, CommandCounts, Server};
use crate::time::{Duration, UnixMs};
use std::cell::Cell;
use std::sync::Arc;

/// What a script may do, by its flags and by the command that runs it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScriptRules {
    /// Writes are refused (`EVAL_RO`, `no-writes`).
    pub read_only: bool,
    /// Runs when memory is full (`allow-oom`, and scripts without a shebang line as long as
    /// they do not write more).
    pub allow_oom: bool,
    /// The script has a shebang line: what it may do was settled before it began.
    pub declared: bool,
}

/// What a script may touch, and what is locked for it.
#[derive(Clone, Copy)]
pub enum Reach<'a> {
    /// These keys.
    Keys(Args<'a>),
    /// The client's database.
    Database,
    /// Every database.
    Everything,
}

/// How much is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// The shards of the script's keys.
    Keys,
    /// The database that it began in.
    Database,
    /// Every database.
    Everything,
}

/// Buffers that the next script of the thread uses again. Empty.
#[derive(Default)]
struct Spare {
    effects: EffectBuf,
    touched: Vec<(DbIndex, usize)>,
    out: OutBuf,
}

thread_local! {
    static SPARE: Cell<Spare> = Cell::default();
}

/// How long a script that has written waits for shards before those that it holds.
const PATIENCE: Duration = Duration::from_millis(200);
/// The largest buffer that is kept, in bytes.
const SPARE_BYTES: usize = 64 * 1024;

/// A script in execution.
pub struct ScriptRun {
    /// The server.
    pub server: &'static Server,
    /// What it may do.
    pub rules: ScriptRules,
    settings: Settings,
    now: UnixMs,
    db: DbIndex,
    /// The database it began in, which is locked.
    home: DbIndex,
    client: Client,
    scratch: Scratch,
    locked: Locked<'static>,
    counts: Arc<CommandCounts>,
    touched: Vec<(DbIndex, usize)>,
    /// Whether `EXEC` runs the script, and commits its effects with its own.
    inside_exec: bool,
    holds: Holds,
    /// Whether a command needed what is not locked, and the script is to be run again.
    again: bool,
    /// Whether a command that writes was called: it cannot be stopped any more.
    wrote: bool,
    /// Whether a command has changed something that others can see.
    acted: bool,
    /// Errors in its reply that commands have answered, and whether there are others.
    failures: u64,
    new_errors: bool,
    /// The offset of the libraries, at most.
    loaded_at: u64,
    /// The client that runs it, if it tracks what it reads.
    reader: Option<u64>,
    /// The reply of the last command.
    pub out: OutBuf,
}

impl ScriptRun {
    /// Locks what the script needs. `client` stands for the one that runs it.
    pub fn begin(
        context: &mut SessionContext<'_>,
        client: Client,
        rules: ScriptRules,
        reach: Reach<'_>,
        counts: Arc<CommandCounts>,
    ) -> ScriptRun {
        let server = context.server;
        let db = context.client.db;
        let held = context.held.take();
        let inside_exec = held.is_some();
        let mut spare = SPARE.take();
        let locked = held.unwrap_or_else(|| match reach {
            Reach::Everything => Locked::everything(&server.keyspace),
            Reach::Database => Locked::database(&server.keyspace, db),
            Reach::Keys(keys) => run::lock_keys(&server.keyspace, db, keys, &mut spare.touched),
        });
        let mut run = ScriptRun {
            server,
            rules,
            settings: context.settings.clone(),
            now: context.now,
            db,
            home: db,
            client,
            scratch: Scratch {
                effects: spare.effects,
                ..Scratch::default()
            },
            locked,
            counts,
            touched: spare.touched,
            inside_exec,
            holds: match reach {
                Reach::Keys(_) if !inside_exec => Holds::Keys,
                Reach::Database if !inside_exec => Holds::Database,
                _ => Holds::Everything,
            },
            again: false,
            wrote: false,
            acted: false,
            failures: 0,
            new_errors: false,
            loaded_at: 0,
            reader: events::reader(context.client),
            out: spare.out,
        };
        run.out.truncate(0);
        run.scratch.serve(context.client.id);
        if inside_exec {
            std::mem::swap(&mut run.scratch, context.scratch);
        }
        run.client.db = db;
        run
    }

    /// Says that what runs comes from a library: the reply shows it, and must not be sent
    /// before the library is committed. Loading it has stamped every shard.
    pub fn depends_on_libraries(&mut self) {
        let shards = self.locked.shards().map(|(_, shard)| shard.last_write);
        self.loaded_at = shards.min().unwrap_or(0);
    }

    /// Whether a command of the script that writes was called: it cannot be stopped any more.
    pub fn wrote(&self) -> bool {
        self.wrote
    }

    /// Notes an error in the script's reply. One that a command has answered is counted already.
    pub fn note_error_reply(&mut self, error: &WireError, is_counted: bool) {
        match is_counted {
            true => self.failures += 1,
            false => {
                self.server.stats.count_error(error);
                self.new_errors = true;
            }
        }
    }

    /// Whether the script has to be ended now and run again, with everything locked.
    pub fn is_to_run_again(&self) -> bool {
        self.again
    }

    /// Ends the script: its effects go to the log, what its reply depends on to `context`.
    pub fn end(mut self, context: &mut SessionContext<'_>) {
        for _ in 0..self.failures + u64::from(self.new_errors) {
            context.clock.counts().failed(context.command);
        }
        if self.inside_exec {
            std::mem::swap(&mut self.scratch, context.scratch);
            context.held = Some(self.locked);
            return;
        }
        self.touched.sort_unstable();
        self.touched.dedup();
        let mut written = 0;
        if let Some(offset) = self.scratch.effects.append_to(&self.server.log) {
            self.server.stats.count_changes(1);
            for (db, shard) in &self.touched {
                self.locked.shard_mut(*db, *shard).last_write = offset;
            }
            context.done.offset = offset;
            context.done.wrote = true;
            written = offset;
        }
        let newest = self
            .touched
            .iter()
            .map(|(db, shard)| self.locked.shard(*db, *shard).last_write)
            .max();
        let newest = newest.unwrap_or(0).max(self.loaded_at);
        context.done.offset = context.done.offset.max(newest);
        let frame = frame(self.server, &self.settings, self.db, self.now);
        self.scratch.effects.clear();
        run::tell(&frame, &mut self.locked, &mut self.scratch, written);
        run::serve_and_unlock(&frame, self.locked, &mut self.scratch);
        context.scratch.take_mail_of(&mut self.scratch);
        run::free_garbage(self.server, &mut self.scratch);
        self.touched.clear();
        if self.out.buf.capacity() <= SPARE_BYTES && self.scratch.effects.capacity() <= SPARE_BYTES
        {
            SPARE.set(Spare {
                effects: self.scratch.effects,
                touched: self.touched,
                out: self.out,
            });
        }
    }

    /// Executes a command; its reply is in `out` unless it failed.
    ///
    /// # Errors
    /// What the command answers, or why a script may not call it.
    pub fn call(&mut self, args: Args<'_>, resp3: bool) -> Result<(), WireError> {
        let result = self.perform(args, resp3);
        if let Err(error) = &result
            && !self.again
        {
            self.server.stats.count_error(error);
        }
        result
    }

    fn perform(&mut self, args: Args<'_>, resp3: bool) -> Result<(), WireError> {
        let really;
        let args = match renames::called(args) {
            Called::AsSaid => args,
            Called::Nothing => return Err(texts::UNKNOWN),
            Called::Really(words) => {
                really = words;
                really.view()
            }
        };
        let command = table::find(args).map_err(|_| texts::UNKNOWN)?;
        let before = self.touched.len();
        if let Err(error) = self.admit(command.spec, args, before) {
            self.touched.truncate(before);
            if !self.again {
                self.counts.rejected(command);
            }
            return Err(error);
        }
        self.wrote |= command.spec.flags.contains(Flags::WRITE);
        self.out.truncate(0);
        let result = self.execute(command, args, resp3);
        if result.is_err() {
            self.counts.failed(command);
        }
        result
    }

    /// Whether the command may be executed; what it needs is locked then, and its places are
    /// among those touched.
    fn admit(
        &mut self,
        spec: &CommandSpec,
        args: Args<'_>,
        before: usize,
    ) -> Result<(), WireError> {
        if !spec.arity_fits(args.len()) {
            return Err(texts::WRONG_ARGS);
        }
        if spec.flags.contains(Flags::NOSCRIPT) {
            return Err(texts::NOT_ALLOWED);
        }
        self.gates(spec)?;
        let (keyspace, touched) = (&self.server.keyspace, &mut self.touched);
        run::places(keyspace, spec, args, self.db, touched);
        self.lock_more(spec, before)
    }

    fn gates(&self, spec: &CommandSpec) -> Result<(), WireError> {
        let gates = self.server.gates.load();
        if gates & Gates::STALE != 0 && !spec.flags.contains(Flags::STALE) {
            return Err(texts::STALE);
        }
        let writes = spec.flags.contains(Flags::WRITE);
        // PFCOUNT notes its count, PUBLISH goes to the replicas.
        let may_replicate = spec.flags.contains(Flags::MAY_REPLICATE);
        if (writes || may_replicate) && self.rules.read_only {
            return Err(texts::READ_ONLY_SCRIPT);
        }
        // What has begun to write goes on, so that nobody sees half of it.
        if self.wrote {
            return Ok(());
        }
        if writes && gates & Gates::READ_ONLY != 0 {
            return Err(errors::READ_ONLY);
        }
        if writes && gates & Gates::FILE_ERROR != 0 {
            return Err(self.server.file_error());
        }
        if writes && gates & (Gates::SAVE_ERROR | Gates::READ_ONLY) == Gates::SAVE_ERROR {
            return Err(errors::SAVE_ERROR);
        }
        if writes && gates & (Gates::NO_REPLICAS | Gates::TOO_FEW_REPLICAS) != 0 {
            return Err(errors::NO_REPLICAS);
        }
        if spec.flags.contains(Flags::DENYOOM)
            && gates & Gates::OUT_OF_MEMORY != 0
            && !self.rules.allow_oom
        {
            return Err(errors::OUT_OF_MEMORY);
        }
        Ok(())
    }

    /// Sees to it that what the command touches is locked: its places are those from `before`
    /// on. What a script touches that shows in its text was locked before it began.
    fn lock_more(&mut self, spec: &CommandSpec, before: usize) -> Result<(), WireError> {
        let is_locked = match self.holds {
            Holds::Everything => true,
            Holds::Database => {
                self.db == self.home && !matches!(spec.scope, Scope::KeysAnywhere | Scope::Keyspace)
            }
            Holds::Keys => {
                let mut new = self.touched[before..].iter();
                new.all(|(db, shard)| self.locked.holds(*db, *shard))
            }
        };
        if is_locked {
            return Ok(());
        }
        if !self.acted {
            self.again = true;
            return Err(texts::AGAIN);
        }
        match self.locked.widen(&self.server.keyspace, PATIENCE) {
            true => self.holds = Holds::Everything,
            false => return Err(texts::OTHER_DATABASE),
        }
        Ok(())
    }

    fn execute(
        &mut self,
        command: &'static Command,
        args: Args<'_>,
        resp3: bool,
    ) -> Result<(), WireError> {
        self.scratch.hashes.clear();
        let clock = CommandClock::new(&self.counts, self.settings.tracks_latency);
        clock.begins(command);
        let mut reply = Reply::new(&mut self.out, resp3);
        let frame = frame(self.server, &self.settings, self.db, self.now);
        let result = match command.spec.handler {
            Handler::Read(handler) => {
                let (locked, scratch) = (&mut self.locked, &mut self.scratch);
                let result = run::read(&frame, handler, args, locked, scratch, &mut reply);
                events::remember(self.server, self.reader, command, args, scratch);
                result
            }
            Handler::Write(handler) => {
                let before = self.scratch.effects.commands();
                let (locked, scratch) = (&mut self.locked, &mut self.scratch);
                let result = run::write(&frame, handler, args, locked, scratch, &mut reply);
                if result == Ok(Effect::AsReceived) {
                    self.scratch.effects.request(self.db, args);
                }
                self.acted |= self.scratch.effects.commands() != before;
                result.map(|_| ())
            }
            Handler::Session(handler) => {
                // A message that was published is out.
                self.acted |= command.flags.contains(Flags::MAY_REPLICATE);
                let mut context = SessionContext {
                    server: self.server,
                    client: &mut self.client,
                    settings: &self.settings,
                    now: self.now,
                    after: After::Continue,
                    done: run::Done::default(),
                    scratch: &mut self.scratch,
                    clock: &clock,
                    command,
                    held: Some(std::mem::replace(&mut self.locked, Locked::nothing())),
                };
                let result = handler(&mut context, args, &mut reply);
                if let Some(held) = context.held.take() {
                    self.locked = held;
                }
                self.db = self.client.db;
                result
            }
            Handler::Container => Err(table::unknown_subcommand(command.spec, args)),
        };
        if self.server.gates.has(Gates::MONITORED) && is_shown(command) {
            // In the database that a SELECT has led to.
            let (monitors, outbox) = (&self.server.monitors, &mut self.scratch.outbox);
            monitors.show(self.server, (self.db, "lua"), command, args, outbox);
        }
        let slow_from = self.settings.slow_from_us;
        if clock.times_alone(command, args, slow_from) {
            let took = clock.ends();
            if super::dispatch::is_slow(took, slow_from) {
                observe::note_slow(self.server, None, command, args, took);
            }
        }
        result
    }
}

fn frame<'a>(
    server: &'static Server,
    settings: &'a Settings,
    db: DbIndex,
    now: UnixMs,
) -> Frame<'a> {
    Frame {
        server,
        settings,
        db,
        now,
        origin: Origin::Client,
        touches: true,
        may_expire: run::may_expire(server),
        may_block: false,
    }
}

/// Whether a script's text speaks of anything beyond the database it runs in.
pub fn mentions_other_databases(body: &[u8]) -> bool {
    const WORDS: [&[u8]; 5] = [b"select", b"swapdb", b"flushall", b"move", b"copy"];
    let lower = body.to_ascii_lowercase();
    WORDS
        .iter()
        .any(|word| memchr::memmem::find(&lower, word).is_some())
}

mod texts {
    use crate::protocol::WireError;

    pub const UNKNOWN: WireError = WireError::fixed("ERR Unknown Redis command called from script");
    pub const WRONG_ARGS: WireError =
        WireError::fixed("ERR Wrong number of args calling Redis command from script");
    pub const NOT_ALLOWED: WireError =
        WireError::fixed("ERR This Redis command is not allowed from script");
    pub const STALE: WireError =
        WireError::fixed("ERR Can not execute the command on a stale replica");
    pub const READ_ONLY_SCRIPT: WireError =
        WireError::fixed("ERR Write commands are not allowed from read-only scripts.");
    /// Nobody sees it.
    pub const AGAIN: WireError = WireError::fixed("ERR The script is run again");
    pub const OTHER_DATABASE: WireError = WireError::fixed(
        "ERR This script uses another database; write the command's name out in its text",
    );
}
