//! What the server owns. It lives until the process ends.

use super::eviction::Evictor;
use super::live::{Live, OutputLimit};
use super::load_progress::LoadProgress;
use super::pause::Pause;
use super::stats::Stats;
use super::stop::Stopping;
use super::supervisor::Supervisor;
use crate::aof::Aof;
use crate::commit::{AckLevel, Event, Rules, Watermarks};
use crate::config::{ConfigHandle, ShutdownFlags};
use crate::coordination::{Authority, LocalAuthority, Parts};
use crate::dump_file::DumpFile;
use crate::execute::{BlockOn, FlushedKeys, Garbage, Gates, Settings};
use crate::keyspace::Keyspace;
use crate::migration::Sockets;
use crate::net::{ClientKind, Registry, WorkerHandle};
use crate::observe::{CommandLogs, LatencyMonitor};
use crate::protocol::{Reply, WireError};
use crate::pubsub::{Monitors, PubSub, TrackingTable};
use crate::replication::{LinkState, ReplicaLink, Replication};
use crate::scripting::Scripts;
use crate::snapshot::Snapshots;
use crate::time::{self, Instant};
use crate::write_log::WriteLog;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

/// Everything that outlives a connection. There is one for a process, leaked on purpose:
/// its parts refer to each other for as long as any thread runs.
pub struct Server {
    /// The configuration.
    pub config: ConfigHandle,
    /// Its values for the data path.
    pub live: Live,
    /// The data.
    pub keyspace: Keyspace,
    /// The order of writes.
    pub log: WriteLog,
    /// The committed offsets.
    pub watermarks: Watermarks,
    /// Conditions that refuse commands.
    pub gates: Gates,
    /// Counters.
    pub stats: Stats,
    /// Whether expired keys that nobody asks for are deleted (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expire: AtomicBool,
    /// Whether what happens by the clock has to wait (`DEBUG PAUSE-CRON`).
    pub cron_paused: AtomicBool,
    /// Values on their way to the thread that frees them.
    pub lazy_free_pending: AtomicU64,
    /// The last slow and large commands.
    pub command_logs: CommandLogs,
    /// Spikes of latency.
    pub latency: LatencyMonitor,
    /// What holds clients back.
    pub pause: Pause,
    /// The scripts.
    pub scripts: Scripts,
    /// Makes room when memory is full.
    pub evictor: Evictor,
    /// The clients.
    pub clients: Registry,
    /// This node's role and its links.
    pub replication: Replication,
    /// Its snapshots.
    pub snapshots: Snapshots,
    /// Bytes of held replies in all connections, in whole units: see `net::connection`.
    pub held_bytes: AtomicUsize,
    /// The append-only file.
    pub aof: Aof,
    /// The snapshot on disk.
    pub dump_file: DumpFile,
    /// How far the loading of files has come.
    pub loading: LoadProgress,
    /// Connections to servers to which keys were migrated.
    pub migration_sockets: Sockets,
    /// Who listens to which channels.
    pub pubsub: PubSub,
    /// Who is shown every command.
    pub monitors: Monitors,
    /// Which keys clients have cached.
    pub tracking: TrackingTable,
    /// Identifies this run of the process.
    pub run_id: String,
    /// When the server started.
    pub started: Instant,
    /// When the server started, in Unix seconds.
    pub started_at: i64,
    authority: OnceLock<LocalAuthority>,
    workers: OnceLock<Vec<Arc<WorkerHandle>>>,
    garbage: Mutex<Sender<Garbage>>,
    /// Connections that wait for acknowledgements (`WAIT`).
    ack_waiters: Mutex<Vec<Waker>>,
    /// Whether the server is to stop.
    pub stopping: Stopping,
    /// Who started the process and wants to be told.
    pub supervisor: Supervisor,
}

impl Server {
    /// Makes the server. Nothing runs yet.
    pub fn new(config: ConfigHandle) -> &'static Server {
        let (garbage, rubbish) = channel();
        let current = config.current();
        let server: &'static Server = Box::leak(Box::new(Server {
            live: Live::default(),
            keyspace: Keyspace::new(current.databases),
            log: WriteLog::new(0, current.repl_backlog_size),
            watermarks: Watermarks::default(),
            gates: Gates::default(),
            stats: Stats::default(),
            active_expire: AtomicBool::new(true),
            cron_paused: AtomicBool::new(false),
            lazy_free_pending: AtomicU64::new(0),
            command_logs: CommandLogs::default(),
            latency: LatencyMonitor::default(),
            pause: Pause::default(),
            scripts: Scripts::default(),
            evictor: Evictor::default(),
            clients: Registry::default(),
            replication: Replication::new(),
            snapshots: Snapshots::default(),
            held_bytes: AtomicUsize::new(0),
            aof: Aof::new(),
            dump_file: DumpFile::default(),
            loading: LoadProgress::default(),
            migration_sockets: Sockets::default(),
            pubsub: PubSub::default(),
            monitors: Monitors::default(),
            tracking: TrackingTable::default(),
            run_id: crate::random::hex40(),
            started: Instant::now(),
            started_at: time::unix_seconds(),
            authority: OnceLock::new(),
            workers: OnceLock::new(),
            garbage: Mutex::new(garbage),
            ack_waiters: Mutex::new(Vec::new()),
            stopping: Stopping::default(),
            supervisor: Supervisor::find(current.supervised),
            config,
        }));
        server.apply_config();
        let parts = Parts {
            log: &server.log,
            marks: &server.watermarks,
            gates: &server.gates,
            announce: Box::new(|| server.announce_committed()),
            members_changed: Box::new(|| server.replication.standing.members_changed()),
        };
        let authority = LocalAuthority::new(server.rules(), parts);
        // Nobody else has seen the server yet.
        let _ = server.authority.set(authority);
        let memory = crate::allocator::stats().allocated as u64;
        server.stats.startup_memory.store(memory, Ordering::Relaxed);
        spawn_free_thread(rubbish, server);
        server
    }

    /// Publishes the configuration's values to those who read them.
    pub fn apply_config(&self) {
        let config = self.config.current();
        self.live.publish(super::start::live_values(&config));
        self.replication.standing.note_level(config.sync_ack);
        self.tracking.set_max_keys(config.tracking_table_max_keys);
        // What follows from the role is not in the configuration.
        self.refresh_role_gates();
        super::logging::set_level(config.loglevel);
        self.log.set_backlog(config.repl_backlog_size);
        self.watch_memory();
        self.watch_replicas();
        if let Some(authority) = self.authority.get() {
            authority.tell(Event::Rules(self.rules()));
        }
    }

    /// Publishes the configuration's values, and lets the rooms that keep files follow it.
    pub fn config_changed(&'static self) {
        self.apply_config();
        self.aof.configure(self);
        self.dump_file.watch(self);
    }

    fn rules(&self) -> Rules {
        let mut rules = super::start::rules(&self.config.current());
        // While there is no file that a restart would load, no reply can wait for it.
        rules.local_fsync &= self.aof.is_writing();
        rules
    }

    /// Tells the in-sync set by which rules it works now.
    pub fn refresh_rules(&self) {
        self.authority().tell(Event::Rules(self.rules()));
    }

    /// Who decides membership.
    pub fn authority(&self) -> &dyn Authority {
        // Set before the server is handed out by `new`.
        self.authority.get().expect("the server is complete")
    }

    /// The workers, once they run.
    pub fn workers(&self) -> &[Arc<WorkerHandle>] {
        self.workers.get().map_or(&[], Vec::as_slice)
    }

    /// How many turns the workers have had, and how many microseconds these took.
    pub fn worker_turns(&self) -> (u64, u64) {
        self.workers().iter().fold((0, 0), |(turns, busy_us), w| {
            (
                turns + w.turns.load(Ordering::Relaxed),
                busy_us + w.busy_us.load(Ordering::Relaxed),
            )
        })
    }

    /// Says which workers there are; once.
    pub fn set_workers(&self, workers: Vec<Arc<WorkerHandle>>) {
        let _ = self.workers.set(workers);
    }

    /// The worker with the fewest connections.
    pub fn least_loaded_worker(&self) -> &Arc<WorkerHandle> {
        self.workers()
            .iter()
            .min_by_key(|worker| worker.connections.load(Ordering::Relaxed))
            .expect("listeners start after the workers")
    }

    /// Tells every worker that a committed offset has moved.
    pub fn announce_committed(&self) {
        for worker in self.workers() {
            worker.announce_committed();
        }
        self.wake_ack_waiters();
    }

    /// Wakes those who wait for acknowledgements to look again.
    pub fn wake_ack_waiters(&self) {
        for waker in std::mem::take(&mut *self.ack_waiters.lock()) {
            waker.wake();
        }
    }

    /// Frees something large on the thread for that.
    pub fn free_later(&self, garbage: Garbage) {
        self.lazy_free_pending.fetch_add(1, Ordering::Relaxed);
        // If that thread is gone the process is ending, and the value is freed here.
        let _ = self.garbage.lock().send(garbage);
    }

    /// Answers a blocked client if what it waits for is there or its time is up; otherwise
    /// sees to it that `waker` is woken.
    pub fn try_unblock(
        &self,
        on: &BlockOn,
        timed_out: bool,
        reply: &mut Reply<'_>,
        waker: &Waker,
    ) -> bool {
        // First ask to be woken, then look: what happens in between is not missed.
        self.ack_waiters.lock().push(waker.clone());
        match on {
            // Keys are served by those who change them.
            BlockOn::Aside | BlockOn::Keys(_) => false,
            BlockOn::Pause => !self.gates.has(Gates::PAUSED | Gates::PAUSED_WRITES),
            // The connection itself knows.
            BlockOn::Migration => false,
            BlockOn::Save { run } => match self.dump_file.outcome(*run) {
                Some(good) => {
                    if good {
                        reply.ok();
                    } else {
                        reply.error(&WireError::fixed("ERR"));
                    }
                    true
                }
                None => false,
            },
            BlockOn::Shutdown { seq } => {
                let failed = self.stopping.has_failed(*seq);
                if failed {
                    reply.error(&SHUTDOWN_FAILED);
                }
                failed
            }
            BlockOn::Replicas { .. } | BlockOn::Files { .. } if self.gates.has(Gates::REPLICA) => {
                reply.error(&crate::protocol::errors::ROLE_CHANGED);
                true
            }
            BlockOn::Replicas { count, offset, .. } => {
                let reached = self.replication.count_acked(AckLevel::Applied, *offset);
                if reached < *count && !timed_out {
                    return false;
                }
                reply.int(reached as i64);
                true
            }
            BlockOn::Files {
                local,
                count,
                offset,
                ..
            } => {
                let reached = self.replication.count_acked(AckLevel::Fsynced, *offset);
                let here = self.config.current().appendonly && self.aof.fsynced() >= *offset;
                if (reached < *count || (*local && !here)) && !timed_out {
                    return false;
                }
                reply.array(2);
                reply.int(i64::from(here));
                reply.int(reached as i64);
                true
            }
        }
    }

    /// The error that writes get while the append-only file cannot be written.
    pub fn file_error(&self) -> WireError {
        let error = self.aof.last_error().unwrap_or_default();
        // As in Redis the system's word for it alone; the log says what was being done.
        let cause = error.rsplit_once(": ").map_or(&*error, |(_, cause)| cause);
        let end = cause.find(" (os error").unwrap_or(cause.len());
        let text = format!("MISCONF Errors writing to the AOF file: {}", &cause[..end]);
        WireError::new(text)
    }

    /// Replicas that are online and have acknowledged within `min-replicas-max-lag`; `None`
    /// where that is not asked for.
    pub fn good_replicas(&self) -> Option<usize> {
        let config = self.config.current();
        let (least, lag) = (
            config.min_replicas_to_write,
            config.min_replicas_max_lag_seconds,
        );
        if least == 0 || lag == 0 {
            return None;
        }
        let good = |link: &&Arc<ReplicaLink>| {
            *link.state.lock() == LinkState::Online
                && link.acked_at.lock().elapsed().as_secs() <= lag
        };
        Some(self.replication.links().iter().filter(good).count())
    }

    /// Refuses writes while there are fewer good replicas than `min-replicas-to-write`.
    pub fn watch_replicas(&self) {
        let least = self.config.current().min_replicas_to_write;
        let too_few =
            !self.replication.is_replica() && self.good_replicas().is_some_and(|good| good < least);
        if too_few != self.gates.has(Gates::TOO_FEW_REPLICAS) {
            self.gates.set(Gates::TOO_FEW_REPLICAS, too_few);
        }
    }

    /// Notes that so many bytes came from the primary.
    pub fn note_from_primary(&self, bytes: usize) {
        use std::sync::atomic::Ordering::Relaxed;
        self.replication.heard_upstream();
        self.stats.bytes_in.fetch_add(bytes as u64, Relaxed);
        self.stats.repl_bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    /// A copy of the settings.
    pub fn settings(&self) -> Settings {
        self.live.settings()
    }

    /// Changes whenever the settings do.
    #[inline]
    pub fn settings_version(&self) -> u64 {
        self.live.version()
    }

    /// The level that replies wait for unless their client asked for another.
    #[inline]
    pub fn sync_level(&self) -> AckLevel {
        self.live.sync_level()
    }

    /// Held bytes at which a client's socket is no longer read.
    pub fn held_reply_limit(&self) -> usize {
        self.live.held_per_client()
    }

    /// Whether held replies take so much memory that sockets are not to be read.
    #[inline]
    pub fn holds_too_much(&self) -> bool {
        self.held_bytes.load(Ordering::Relaxed) >= self.live.held_in_all()
    }

    /// `client-query-buffer-limit` in bytes.
    pub fn query_buffer_limit(&self) -> usize {
        self.live.query_buffer()
    }

    /// Whether the default user has a password.
    pub fn requires_password(&self) -> bool {
        self.live.requires_password()
    }

    /// The bounds on a client's unsent output.
    pub fn output_limit(&self, kind: ClientKind) -> OutputLimit {
        self.live.output_limit(kind)
    }

    /// `maxclients`.
    pub fn max_clients(&self) -> usize {
        self.live.max_clients()
    }

    /// `tcp-keepalive` in seconds.
    pub fn keepalive_seconds(&self) -> u64 {
        self.live.keepalive_seconds()
    }

    /// Whether only loopback connections are admitted.
    pub fn is_protected(&self) -> bool {
        self.live.protected()
    }

    /// Asks the server to stop.
    pub fn stop(&self, why: &str) {
        self.stopping.ask(why, ShutdownFlags::FORCE);
    }
}

const SHUTDOWN_FAILED: WireError = WireError::fixed("ERR Errors trying to SHUTDOWN. Check logs.");

/// Values that take long to free must not be freed by a thread that executes commands.
fn spawn_free_thread(rubbish: Receiver<Garbage>, server: &'static Server) {
    let spawned = std::thread::Builder::new()
        .name("lazy-free".into())
        .spawn(move || {
            for garbage in rubbish {
                let flushed = garbage.downcast_ref::<FlushedKeys>();
                let objects = flushed.map_or(1, |flushed| flushed.keys);
                drop(garbage);
                server.lazy_free_pending.fetch_sub(1, Ordering::Relaxed);
                let freed = &server.stats.lazy_freed;
                freed.fetch_add(objects, Ordering::Relaxed);
            }
        });
    if let Err(error) = spawned {
        // Values are then freed where they are sent from.
        tracing::warn!(%error, "no thread for freeing large values");
    }
}
