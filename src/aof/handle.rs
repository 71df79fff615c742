//! What the rest of the server sees of the append-only file, and what its threads share.
//!
//! Lock order: shards, then the gate, then the log's and the in-sync set's own locks. The
//! lock of the files is never taken under the gate.

use super::load::{self, LoadError};
use super::manifest::{FileInfo, Manifest};
use super::writer::Writer;
use super::{rewrite, writer};
use crate::commit::Event;
use crate::config::AppendFsync;
use crate::dump_file;
use crate::execute::Gates;
use crate::keyspace::{Libraries, Locked};
use crate::server::Server;
use crate::snapshot;
use crate::time::{Duration, Instant};
use crate::write_log::ConsumerId;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::Thread;
use tokio::sync::watch;

/// The append-only file; one for a server.
pub struct Aof {
    fsynced: AtomicU64,
    events: watch::Sender<u64>,
    writing: AtomicBool,
    pub(super) gate: Mutex<Gate>,
    pub(super) files: Mutex<Files>,
    writer: Mutex<Option<Thread>>,
    /// Who has it writes to the file. Before the gate in the order of locks.
    pub(super) pen: Mutex<Option<Writer>>,
    /// Whether workers write to the file before they send.
    pub(super) by_workers: AtomicBool,
    /// The offset up to which the log has been given to the operating system.
    pub(super) written: AtomicU64,
    /// Whether the thread for fsyncs is at work.
    pub(super) fsyncing: AtomicBool,
    error: Mutex<Option<String>>,
    pub(super) status: Mutex<AofStatus>,
    pub(super) current_bytes: AtomicU64,
    /// How long the writer waits before each write, for tests (`DEBUG AOF-FLUSH-SLEEP`).
    pub pause_us: AtomicU64,
}

/// Numbers for `INFO persistence`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AofStatus {
    /// Whether a rewrite runs.
    pub rewriting_since: Option<Instant>,
    /// How long the last rewrite took.
    pub last_rewrite_took: Option<Duration>,
    /// Whether the last rewrite failed.
    pub last_rewrite_failed: bool,
    /// How many rewrites have failed since one succeeded.
    pub failed_in_a_row: u64,
    /// Rewrites that were begun.
    pub rewrites: u64,
    /// Bytes of all files after the last rewrite, or at start.
    pub base_bytes: u64,
    /// Bytes of all files.
    pub current_bytes: u64,
    /// Fsyncs that took over a second (`aof_delayed_fsync`).
    pub delayed_fsyncs: u64,
}

/// Whether the log goes to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// `appendonly no`.
    Off,
    /// The data is being replaced: the files hold an older history and get nothing more.
    Suspended,
    /// Everything goes to a file.
    On,
}

/// What the writer must know before it reads the log.
pub(super) struct Gate {
    pub mode: Mode,
    /// Grows whenever the log that the writer follows becomes another.
    pub generation: u64,
    pub consumer: Option<ConsumerId>,
    /// Whether the manifest names the increment being written.
    pub linked: bool,
    pub switch: Option<Switch>,
    /// An annotation is due though nothing was written.
    pub annotate: bool,
    pub closing: Option<mpsc::Sender<()>>,
    pub rewriting: bool,
    /// Whether what runs makes new files, which it may still be waiting to begin.
    pub fresh: bool,
    /// New files are to be made once the running rewrite ends.
    pub fresh_wanted: bool,
    /// When a rewrite that failed is tried again.
    pub retry_at: Option<Instant>,
    /// Where and with which file the writer begins.
    pub begin: Option<Begin>,
}

/// The writer is to go on in a new increment from an offset.
pub(super) struct Switch {
    pub at: u64,
    pub selected: Option<crate::keyspace::DbIndex>,
    /// Whether the files of before are of another history.
    pub fresh: bool,
    pub done: mpsc::Sender<Result<FileInfo, String>>,
}

/// An increment that exists already, to be continued.
pub(super) struct Begin {
    pub info: FileInfo,
    pub at: u64,
}

/// The files on disk.
#[derive(Default)]
pub(super) struct Files {
    pub dir: PathBuf,
    pub prefix: String,
    pub manifest: Manifest,
}

impl Files {
    pub fn manifest_name(&self) -> String {
        format!("{}.manifest", self.prefix)
    }

    pub fn path(&self, info: &FileInfo) -> PathBuf {
        self.dir.join(&info.name)
    }

    pub fn persist(&self) -> std::io::Result<()> {
        self.manifest.persist(&self.dir, &self.manifest_name())
    }

    /// Bytes of all files that would be loaded.
    pub fn bytes(&self) -> u64 {
        let len = |info| std::fs::metadata(self.path(info)).map_or(0, |m| m.len());
        self.manifest.to_load().map(len).sum()
    }
}

impl Default for Aof {
    fn default() -> Self {
        Self::new()
    }
}

impl Aof {
    /// Nothing is open yet.
    pub fn new() -> Self {
        Aof {
            fsynced: AtomicU64::new(0),
            events: watch::channel(0).0,
            writing: AtomicBool::new(false),
            pause_us: AtomicU64::new(0),
            gate: Mutex::new(Gate {
                mode: Mode::Off,
                generation: 0,
                consumer: None,
                linked: false,
                switch: None,
                annotate: false,
                closing: None,
                rewriting: false,
                fresh: false,
                fresh_wanted: false,
                retry_at: None,
                begin: None,
            }),
            files: Mutex::default(),
            writer: Mutex::new(None),
            pen: Mutex::new(None),
            by_workers: AtomicBool::new(false),
            written: AtomicU64::new(0),
            fsyncing: AtomicBool::new(false),
            error: Mutex::new(None),
            status: Mutex::default(),
            current_bytes: AtomicU64::new(0),
        }
    }

    // --- for everybody ---

    /// The offset up to which the file is fsynced.
    pub fn fsynced(&self) -> u64 {
        self.fsynced.load(Ordering::SeqCst)
    }

    /// Whether the log goes to a file now.
    pub fn is_writing(&self) -> bool {
        self.writing.load(Ordering::SeqCst)
    }

    /// Puts what has been executed into the file, before anybody is told of it: a process that
    /// is killed then loses nothing. With `always` replies wait for the fsync instead. No lock
    /// may be held.
    #[inline]
    pub fn write_through(&self, server: &'static Server) {
        if self.by_workers.load(Ordering::Acquire)
            && self.written.load(Ordering::Acquire) < server.log.end()
        {
            self.write_now(server.log.end());
        }
    }

    fn write_now(&self, end: u64) {
        let begun = Instant::now();
        while let Some(mut pen) = self.pen.try_lock_for(PATIENCE) {
            let waits = pen.as_mut().is_some_and(|pen| pen.write_through(end));
            drop(pen);
            if !waits || begun.elapsed() >= PATIENCE {
                return;
            }
            // A rewrite has begun, and with it a new file.
            self.wake();
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// What went wrong last, while it is not mended.
    pub fn last_error(&self) -> Option<String> {
        self.error.lock().clone()
    }

    /// Changes whenever the fsynced offset does.
    pub fn fsync_events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    /// Numbers for `INFO`.
    pub fn status(&self) -> AofStatus {
        AofStatus {
            current_bytes: self.current_bytes.load(Ordering::Relaxed),
            ..*self.status.lock()
        }
    }

    /// Whether new files are to be made once what runs has ended.
    pub fn is_rewrite_pending(&self) -> bool {
        self.gate.lock().fresh_wanted
    }

    /// Bytes of the log that are still to be written.
    pub fn unwritten(&self, server: &Server) -> u64 {
        let consumer = self.gate.lock().consumer;
        consumer.map_or(0, |consumer| server.log.behind(consumer))
    }

    /// Whether the thread for fsyncs is at work.
    pub fn is_fsyncing(&self) -> bool {
        self.fsyncing.load(Ordering::SeqCst)
    }

    // --- start and stop ---

    /// Loads what is there and starts to write.
    ///
    /// # Errors
    /// The data is then incomplete and must not be served.
    pub fn open(&self, server: &'static Server) -> Result<(), LoadError> {
        let config = server.config.current();
        let (dir, name) = {
            let mut files = self.files.lock();
            files.dir = config.dir.join(&config.appenddirname);
            files.prefix.clone_from(&config.appendfilename);
            (files.dir.clone(), files.manifest_name())
        };
        if !config.appendonly {
            return Ok(());
        }
        let io_error = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| LoadError::Io {
                doing,
                path,
                source,
            }
        };
        std::fs::create_dir_all(&dir).map_err(io_error("create", &dir))?;
        rewrite::adopt_single_file(server, &dir, &name).map_err(io_error("move into", &dir))?;
        let loaded = load::load(server, &dir, &name)?;
        if loaded.manifest == Manifest::default() && dump_file::load_at_start(server)? {
            // Redis starts empty here, and its next save takes the place of the data.
            tracing::warn!(
                "there is no append-only file yet: the data is that of the RDB file, and a first \
                 append-only file is made of it"
            );
            self.start_writer(server)
                .map_err(io_error("start a thread for", &dir))?;
            self.rewrite(server, true);
            return Ok(());
        }
        let known = match &loaded.annotation {
            Some(annotation) if loaded.measure == 0 => {
                server.replication.restore(annotation.replid.clone());
                true
            }
            // Commands nobody counted follow: the data is of no history that others know.
            _ => false,
        };
        let offset = loaded.annotation.as_ref().map_or(0, |a| a.offset) + loaded.measure;
        server.log.restart_at(offset);
        server.log.set_selected(loaded.db);
        server.log.start_recording();
        if known && config.replicaof.is_none() {
            server.replication.renew(offset);
        }
        tracing::info!(
            commands = loaded.commands,
            bytes = loaded.bytes,
            offset,
            "append-only file loaded"
        );
        let begin = {
            let mut files = self.files.lock();
            files.manifest = loaded.manifest;
            let begun = rewrite::prepare_files(&mut files);
            let info = begun.map_err(io_error("write into", &dir))?;
            let bytes = files.bytes();
            self.current_bytes.store(bytes, Ordering::Relaxed);
            self.status.lock().base_bytes = bytes;
            Begin { info, at: offset }
        };
        {
            let mut gate = self.gate.lock();
            gate.mode = Mode::On;
            gate.linked = true;
            gate.annotate = true;
            gate.generation += 1;
            gate.consumer = Some(self.consume(server, offset));
            gate.begin = Some(begin);
            self.writing.store(true, Ordering::SeqCst);
        }
        server.refresh_rules();
        self.start_writer(server)
            .map_err(io_error("start a thread for", &dir))
    }

    /// Empties the data and loads the files anew (`DEBUG LOADAOF`), on this thread; meanwhile
    /// clients are told that data is being loaded. Nothing may be locked by it.
    ///
    /// # Errors
    /// When nothing is written, or the files do not get all that there is. What the files do not
    /// hold is then still there; only if they cannot be loaded the process ends, as in Redis.
    pub fn reload(&self, server: &'static Server) -> Result<(), String> {
        if !self.is_writing() {
            return Err("there is no append-only file".into());
        }
        // A primary's stream waits, and so do snapshots, expiry and clients.
        let _stream = server.replication.stream_lock();
        server.gates.set(Gates::LOADING, true);
        let result = self.reload_quietly(server);
        server.gates.set(Gates::LOADING, false);
        result
    }

    fn reload_quietly(&self, server: &'static Server) -> Result<(), String> {
        // Whoever passed the gate before has finished when all locks were taken.
        drop(Locked::everything(&server.keyspace));
        let begun = Instant::now();
        self.wake();
        while !self.gate.lock().linked || self.unwritten(server) > 0 {
            if begun.elapsed() > RELOAD_PATIENCE || self.last_error().is_some() {
                return Err("the append-only file does not hold everything".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        {
            let mut locked = Locked::everything(&server.keyspace);
            for (_, shard) in locked.shards_mut() {
                server.free_later(Box::new(shard.flush()));
            }
            server.keyspace.functions.replace(Libraries::default());
        }
        let (dir, name) = {
            let files = self.files.lock();
            (files.dir.clone(), files.manifest_name())
        };
        let loaded = load::load(server, &dir, &name);
        server.loading.ends();
        if let Err(error) = loaded {
            tracing::error!(%error, "the data is incomplete; exiting");
            std::process::exit(1);
        }
        Ok(())
    }

    /// Writes and fsyncs the rest.
    pub fn close(&self) {
        // Files that are being made for the first time are worth waiting for.
        while {
            let gate = self.gate.lock();
            gate.rewriting && (gate.fresh || gate.mode == Mode::On && !gate.linked)
        } {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.writer.lock().is_none() {
            return;
        }
        let (sender, closed) = mpsc::channel();
        self.gate.lock().closing = Some(sender);
        self.wake();
        // An error says that the writer has ended, which is as good.
        let _ = closed.recv();
    }

    // --- what happens to the server ---

    /// The configuration has changed: starts or stops writing.
    pub fn configure(&self, server: &'static Server) {
        let wanted = server.config.current().appendonly;
        let mode = self.gate.lock().mode;
        // Before `open` the folder is not known, and `open` reads the configuration itself.
        if self.files.lock().dir.as_os_str().is_empty() || server.gates.has(Gates::LOADING) {
            return;
        }
        match (wanted, mode) {
            (true, Mode::Off) => self.rewrite(server, true),
            (false, Mode::On | Mode::Suspended) => self.stop_writing(server, Mode::Off),
            _ => {}
        }
        self.wake();
    }

    /// The data is about to be replaced: from here on nothing goes to the files, which go on
    /// holding the history of before.
    pub fn suspend(&self, server: &'static Server) {
        if self.gate.lock().mode != Mode::Off {
            self.stop_writing(server, Mode::Suspended);
        }
    }

    /// The data is not what the files say (it was replaced by a full copy, say): they are made
    /// anew.
    pub fn make_anew(&self, server: &'static Server) {
        if server.config.current().appendonly {
            self.rewrite(server, true);
        }
    }

    /// The replication id changed: the file must say so from here on.
    pub fn identity_changed(&self, server: &'static Server) {
        let mode = {
            let mut gate = self.gate.lock();
            gate.annotate = true;
            gate.mode
        };
        if mode == Mode::Suspended {
            self.rewrite(server, true);
        }
        self.wake();
    }

    /// Starts a rewrite, of new files for a new history if `fresh`, in the background.
    pub(super) fn rewrite(&self, server: &'static Server, fresh: bool) {
        if !rewrite::start(server, fresh) && fresh {
            self.gate.lock().fresh_wanted = true;
        }
    }

    /// Starts a rewrite (`BGREWRITEAOF`); false if one runs.
    pub fn start_rewrite(&self, server: &'static Server) -> bool {
        rewrite::start(server, false)
    }

    // --- among the threads ---

    /// At a snapshot's instant: what is before goes to the old files, the rest to a new
    /// increment. `None` when nothing is written, and the base alone is made anew.
    pub(super) fn divide(
        &self,
        server: &'static Server,
        instant: snapshot::Instant,
        fresh: bool,
    ) -> (u64, Option<mpsc::Receiver<Result<FileInfo, String>>>) {
        let mut gate = self.gate.lock();
        if gate.mode == Mode::Off && !server.config.current().appendonly {
            return (gate.generation, None);
        }
        let fresh = fresh || gate.mode != Mode::On || !gate.linked;
        if fresh {
            gate.generation += 1;
            gate.mode = Mode::On;
            gate.linked = false;
            gate.retry_at = None;
            self.fsynced.store(0, Ordering::SeqCst);
            let old = gate.consumer.replace(self.consume(server, instant.offset));
            if let Some(old) = old {
                server.log.remove_consumer(old);
            }
            self.writing.store(true, Ordering::SeqCst);
        }
        let (done, receiver) = mpsc::channel();
        gate.switch = Some(Switch {
            at: instant.offset,
            selected: instant.selected,
            fresh,
            done,
        });
        let generation = gate.generation;
        drop(gate);
        if fresh {
            // From this instant on replies wait for the file, if they are to.
            server.authority().tell(Event::LocalFsynced(instant.offset));
            server.refresh_rules();
        }
        (generation, Some(receiver))
    }

    /// Publishes an fsynced offset of the log that `generation` follows.
    pub(super) fn publish(&self, server: &'static Server, generation: u64, offset: u64) {
        {
            let gate = self.gate.lock();
            if gate.generation != generation {
                return;
            }
            if gate.linked {
                self.fsynced.fetch_max(offset, Ordering::SeqCst);
            }
            server.authority().tell(Event::LocalFsynced(offset));
        }
        self.events.send_replace(offset);
        server.wake_ack_waiters();
    }

    /// Notes that the file cannot be written. With `always` no write could be confirmed any
    /// more, and the server ends.
    pub(super) fn failed(&self, server: &Server, always: bool, error: String) {
        if always {
            tracing::error!(
                %error,
                "can't recover from an append-only file error with 'appendfsync always'; exiting"
            );
            std::process::exit(1);
        }
        let mut current = self.error.lock();
        if current.as_ref() != Some(&error) {
            tracing::error!(%error, "append-only file; writes are refused until it is mended");
        }
        *current = Some(error);
        server.gates.set(Gates::FILE_ERROR, true);
    }

    /// The file's state on disk is unknown (a failed fsync, say): nothing more may be claimed
    /// of it. Writes are refused until new files have been made from memory.
    pub(super) fn broken(&self, server: &'static Server, error: String) {
        let always = server.config.current().appendfsync == AppendFsync::Always;
        self.failed(server, always, error);
        self.gate.lock().linked = false;
        self.rewrite(server, true);
    }

    /// A write has succeeded: if writing was all that was wrong, it is mended.
    pub(super) fn mended_by_write(&self, server: &Server) {
        if self.error.lock().is_some() && self.gate.lock().linked {
            self.mended(server);
        }
    }

    /// Notes that the file can be written again.
    pub(super) fn mended(&self, server: &Server) {
        if self.error.lock().take().is_some() {
            tracing::warn!("the append-only file is written again");
            server.gates.set(Gates::FILE_ERROR, false);
        }
    }

    /// Wakes the writer.
    pub(super) fn wake(&self) {
        if let Some(writer) = &*self.writer.lock() {
            writer.unpark();
        }
    }

    /// Starts the writer, if it does not run.
    pub(super) fn start_writer(&self, server: &'static Server) -> std::io::Result<()> {
        let mut running = self.writer.lock();
        if running.is_none() {
            let thread = writer::spawn(server)?;
            *running = Some(thread);
        }
        Ok(())
    }

    fn consume(&self, server: &'static Server, at: u64) -> ConsumerId {
        server.log.add_consumer(at, || server.aof.wake())
    }

    fn stop_writing(&self, server: &'static Server, mode: Mode) {
        {
            let mut gate = self.gate.lock();
            gate.mode = mode;
            gate.generation += 1;
            gate.linked = false;
            gate.fresh_wanted = false;
            gate.switch = None;
            gate.begin = None;
            self.writing.store(false, Ordering::SeqCst);
            self.by_workers.store(false, Ordering::Release);
            self.fsynced.store(0, Ordering::SeqCst);
            if let Some(consumer) = gate.consumer.take() {
                server.log.remove_consumer(consumer);
            }
        }
        self.mended(server);
        server.refresh_rules();
        self.wake();
    }
}

/// How long a worker waits for whoever writes. Only the change to a new increment takes longer
/// on a healthy disk.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a reload waits for what is to be written.
const RELOAD_PATIENCE: Duration = Duration::from_secs(10);
