//! Commands from a primary or from the append-only file.
//!
//! What arrives here has been decided: no gate refuses it, nothing expires by the clock, and
//! nothing is appended to the log (the bytes that carried it are). A transaction is applied
//! when its `EXEC` arrives, all at once, with all its shards locked; what comes before a
//! missing `EXEC` is never applied.

use super::context::{Origin, Settings};
use super::dispatch::Gates;
use super::run::{self, Frame, Scratch};
use crate::commands::handler::Handler;
use crate::commands::spec::CommandSpec;
use crate::commands::table;
use crate::config::NotifyClass;
use crate::keyspace::{DbIndex, Locked};
use crate::protocol::{Args, OutBuf, OwnedArgs, Reply, WireError};
use crate::pubsub::Message;
use crate::replication::Role;
use crate::server::Server;
use crate::time;

/// Applies a stream of commands in order.
pub struct Applier {
    server: &'static Server,
    scratch: Scratch,
    settings: Settings,
    db: DbIndex,
    queue: Option<Vec<(DbIndex, OwnedArgs)>>,
    out: OutBuf,
    /// Whether this is the life of a primary, of which clients hear, and not a file.
    follows: bool,
    settings_version: u64,
    /// Whether something since it was last asked told of fields that expire.
    field_expiry: bool,
    /// Whether a command that fails is skipped, as in Redis: the data here was changed by others
    /// than the primary, so that it may have to fail.
    skips: bool,
    /// Which commands of the unit were skipped, counted from 0.
    skipped: Vec<usize>,
    /// Commands skipped in all.
    skipped_total: u64,
    /// Commands applied.
    pub applied: u64,
}

/// A command of the stream could not be applied: the stream and this node disagree.
#[derive(Debug, thiserror::Error)]
#[error("{command}: {error}")]
pub struct ApplyError {
    /// The command, shortened.
    pub command: String,
    /// What it answered.
    pub error: WireError,
    /// Whether earlier commands of its transaction were applied: the data is that of no moment.
    pub half_done: bool,
}

impl Applier {
    /// An applier at the beginning of a stream.
    pub fn new(server: &'static Server) -> Self {
        let settings = Settings {
            notify: NotifyClass::empty(),
            ..server.settings()
        };
        Applier {
            server,
            scratch: Scratch::default(),
            settings,
            db: DbIndex(0),
            queue: None,
            out: OutBuf::default(),
            follows: false,
            settings_version: 0,
            field_expiry: false,
            skips: false,
            skipped: Vec::new(),
            skipped_total: 0,
            applied: 0,
        }
    }

    /// An applier that continues a stream in which `db` is selected.
    pub fn continuing(server: &'static Server, db: DbIndex) -> Self {
        Applier {
            db,
            follows: true,
            settings_version: server.settings_version(),
            settings: server.settings(),
            ..Self::new(server)
        }
    }

    /// Begins a batch of a primary's stream: the configuration may have changed.
    pub fn begin_batch(&mut self) {
        let version = self.server.settings_version();
        if self.settings_version != version {
            self.settings_version = version;
            self.settings = self.server.settings();
        }
    }

    /// Ends a batch: clients hear of what was applied.
    pub fn end_batch(&mut self) {
        self.scratch.send_mail(self.server);
    }

    /// Shows a command of the primary to those who monitor this node.
    #[cold]
    fn show(&mut self, db: DbIndex, args: Args<'_>) {
        let address = match self.server.replication.role() {
            Role::Replica(upstream) => format!("{}:{}", upstream.host, upstream.port),
            Role::Primary => return,
        };
        if let Ok(command) = table::find(args) {
            let (monitors, outbox) = (&self.server.monitors, &mut self.scratch.outbox);
            monitors.show(self.server, (db, &address), command, args, outbox);
        }
    }

    /// Hands a message of the primary to the subscribers here.
    fn publish(&mut self, spec: &CommandSpec, args: Args<'_>) {
        let message = Message {
            shard: spec.name == "spublish",
            channel: args.at(1),
            text: args.at(2),
            stamp: None,
        };
        let outbox = &mut self.scratch.outbox;
        self.server.pubsub.publish(self.server, message, outbox);
    }

    /// Whether anything applied since this was last asked told of fields of hashes that expire.
    pub fn told_of_field_expiry(&mut self) -> bool {
        std::mem::take(&mut self.field_expiry)
    }

    /// Says whether commands that fail are skipped from here on.
    pub fn skip_what_fails(&mut self, skips: bool) {
        self.skips = skips;
    }

    /// Which commands of the last unit were skipped: 0 is the first of a transaction, or the
    /// only one.
    pub fn take_skipped(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.skipped)
    }

    fn skip(&mut self, place: usize, error: &ApplyError) {
        self.skipped.push(place);
        self.skipped_total += 1;
        // Not each one: there may be one for every command that follows.
        if self.skipped_total.is_power_of_two() {
            tracing::warn!(
                %error,
                skipped = self.skipped_total,
                "a command of the primary fails on what was changed here, and is skipped"
            );
        }
    }

    /// The database that the stream has selected.
    pub fn db(&self) -> DbIndex {
        self.db
    }

    /// Whether a transaction has begun and not ended.
    pub fn in_transaction(&self) -> bool {
        self.queue.is_some()
    }

    /// How many commands of a transaction are queued.
    pub fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, Vec::len)
    }

    /// Applies one command. `hash` is that of its only key, where that has been looked at ahead.
    ///
    /// # Errors
    /// When the command is unknown here or fails; the data may differ from the primary's.
    pub fn apply(&mut self, args: Args<'_>, hash: Option<u64>) -> Result<(), ApplyError> {
        let name = &args[0];
        if name.eq_ignore_ascii_case(b"select") {
            return self.select(args);
        }
        if name.eq_ignore_ascii_case(b"multi") {
            self.queue = Some(Vec::new());
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"exec") {
            let queue = self.queue.take().unwrap_or_default();
            return self.apply_all(&queue);
        }
        if let Some(queue) = &mut self.queue {
            queue.push((self.db, args.to_owned()));
            return Ok(());
        }
        let spec = resolve(args)?;
        self.scratch.hashes.clear();
        self.scratch.expect_key(args, hash);
        // What the stream says cannot be refused: a slow script is waited for.
        let mut locked = loop {
            let locked = run::lock(self.server, spec, args, self.db, &mut self.scratch);
            if let Some(locked) = locked {
                break locked;
            }
        };
        let result = self.run(spec, self.db, args, &mut locked);
        self.serve_and_unlock(locked);
        match result {
            Err(error) if self.skips => self.skip(0, &error),
            other => other?,
        }
        Ok(())
    }

    fn select(&mut self, args: Args<'_>) -> Result<(), ApplyError> {
        let index = args
            .get(1)
            .and_then(crate::number::parse_i64)
            .and_then(|i| u32::try_from(i).ok())
            .filter(|i| *i < self.server.keyspace.databases())
            .ok_or_else(|| failed(args, crate::protocol::errors::DB_OUT_OF_RANGE))?;
        self.db = DbIndex(index);
        Ok(())
    }

    fn apply_all(&mut self, queue: &[(DbIndex, OwnedArgs)]) -> Result<(), ApplyError> {
        let mut specs = Vec::with_capacity(queue.len());
        let mut places = Vec::new();
        for (db, args) in queue {
            let spec = resolve(args.view())?;
            run::places(&self.server.keyspace, spec, args.view(), *db, &mut places);
            specs.push(spec);
        }
        let mut locked = Locked::several(&self.server.keyspace, &mut places);
        for (done, ((db, args), spec)) in queue.iter().zip(specs).enumerate() {
            self.scratch.hashes.clear();
            match self.run(spec, *db, args.view(), &mut locked) {
                Err(error) if self.skips => self.skip(done, &error),
                other => other.map_err(|error| ApplyError {
                    half_done: done > 0,
                    ..error
                })?,
            }
        }
        self.serve_and_unlock(locked);
        Ok(())
    }

    /// Serves those who wait here for what the stream has brought.
    fn serve_and_unlock(&mut self, locked: Locked<'static>) {
        if !locked.any_ready() {
            return;
        }
        let frame = frame(self.server, &self.settings, self.db);
        run::serve_and_unlock(&frame, locked, &mut self.scratch);
        run::free_garbage(self.server, &mut self.scratch);
    }

    fn run(
        &mut self,
        spec: &'static CommandSpec,
        db: DbIndex,
        args: Args<'_>,
        locked: &mut Locked<'static>,
    ) -> Result<(), ApplyError> {
        if self.follows && self.server.gates.has(Gates::MONITORED) {
            self.show(db, args);
        }
        if self.follows && matches!(spec.name, "publish" | "spublish") {
            self.publish(spec, args);
            return Ok(());
        }
        let Handler::Write(handler) = spec.handler else {
            if matches!(spec.name, "eval" | "evalsha" | "fcall") {
                return Err(failed(args, SCRIPT));
            }
            // Pings and the like: nothing to apply.
            return Ok(());
        };
        let frame = frame(self.server, &self.settings, db);
        let mut reply = Reply::new(&mut self.out, false);
        let result = run::write(&frame, handler, args, locked, &mut self.scratch, &mut reply);
        self.out.clear();
        self.field_expiry |= self.scratch.effects.tells_of_field_expiry();
        self.scratch.effects.clear();
        run::tell(&frame, locked, &mut self.scratch, 0);
        run::free_garbage(self.server, &mut self.scratch);
        self.applied += 1;
        result.map(|_| ()).map_err(|error| failed(args, error))
    }
}

fn frame<'a>(server: &'static Server, settings: &'a Settings, db: DbIndex) -> Frame<'a> {
    Frame {
        server,
        settings,
        db,
        now: time::unix_ms(),
        origin: Origin::Log,
        touches: false,
        may_expire: false,
        may_block: false,
    }
}

/// What a script wrote on another node it need not write here: Redis logs its effects from
/// version 5 on, and the script itself before, and until 7 with `lua-replicate-commands no`.
const SCRIPT: WireError = WireError::fixed(
    "ERR a script instead of its effects, as Redis before version 5 logs it: \
     use the RDB file of that server, or let it rewrite its append-only file first",
);

fn resolve(args: Args<'_>) -> Result<&'static CommandSpec, ApplyError> {
    table::resolve(args).map_err(|error| failed(args, error))
}

fn failed(args: Args<'_>, error: WireError) -> ApplyError {
    let mut command: String = args
        .iter()
        .take(3)
        .map(|arg| arg[..arg.len().min(64)].escape_ascii().to_string() + " ")
        .collect();
    command.truncate(128);
    ApplyError {
        command: command.trim_end().to_owned(),
        error,
        half_done: false,
    }
}
