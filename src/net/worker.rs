//! A worker: one thread, one current-thread runtime, its connections and what they share.
//!
//! Connections on a worker take turns; nothing here is touched by another thread but the
//! [`WorkerHandle`], through which sockets are handed over and commitment is announced.

use super::burst::Bursts;
use super::connection;
use super::registry::{ClientInfo, Seat};
use super::stream::Stream;
use super::window::Window;
use crate::commit::{AckLevel, LEVELS};
use crate::execute::{Scratch, Settings};
use crate::server::{CommandCounts, Server};
use crate::time::Duration;
use parking_lot::Mutex;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use tokio::sync::{Notify, mpsc};

/// A job for a worker: runs on its thread, with the worker.
pub type Job = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// What other threads hold of a worker.
pub struct WorkerHandle {
    /// How many connections it has.
    pub connections: AtomicUsize,
    /// How often it has read requests. Written by the worker only, like the next.
    pub reads: AtomicU64,
    /// How often it has sent.
    pub writes: AtomicU64,
    /// How often it has had something to do, until it had to wait again.
    pub turns: AtomicU64,
    /// How long these turns took, in microseconds.
    pub busy_us: AtomicU64,
    /// When the turn began, in microseconds since the server's start.
    turn_began_us: AtomicU64,
    /// Whether it sends replies through `io_uring`.
    pub has_ring: AtomicBool,
    jobs: mpsc::UnboundedSender<Job>,
    committed: Notify,
    has_waiting: AtomicBool,
    /// Clients that have got mail.
    mail: Mutex<Vec<Arc<ClientInfo>>>,
    has_mail: Notify,
}

impl WorkerHandle {
    /// A handle, and the queue from which the worker takes its jobs.
    pub fn new() -> (Arc<WorkerHandle>, mpsc::UnboundedReceiver<Job>) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let handle = WorkerHandle {
            connections: AtomicUsize::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            turn_began_us: AtomicU64::new(0),
            has_ring: AtomicBool::new(false),
            jobs,
            committed: Notify::new(),
            has_waiting: AtomicBool::new(false),
            mail: Mutex::default(),
            has_mail: Notify::new(),
        };
        (Arc::new(handle), queue)
    }

    /// The worker's thread goes on after waiting. On that thread, like the next.
    fn begins_turn(&self, server_us: u64) {
        self.turn_began_us.store(server_us, Ordering::Relaxed);
    }

    /// The worker's thread has to wait.
    fn ends_turn(&self, server_us: u64) {
        let began = self.turn_began_us.load(Ordering::Relaxed);
        let took = server_us.saturating_sub(began);
        let busy = self.busy_us.load(Ordering::Relaxed);
        self.busy_us.store(busy + took, Ordering::Relaxed);
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns + 1, Ordering::Relaxed);
    }

    /// Runs `job` on the worker's thread.
    pub fn run(&self, job: Job) {
        // The queue closes only when the process ends.
        let _ = self.jobs.send(job);
    }

    /// Makes connections of this worker look at their mail. Cheap for many of them: the
    /// worker is woken once and wakes them itself.
    pub fn wake_for_mail(&self, clients: impl Iterator<Item = Arc<ClientInfo>>) {
        self.mail.lock().extend(clients);
        self.has_mail.notify_one();
    }

    /// Tells the worker that a committed offset has moved.
    pub fn announce_committed(&self) {
        if self.has_waiting.load(Ordering::SeqCst) {
            self.committed.notify_one();
        }
    }
}

/// What the connections of a worker share.
pub struct Worker {
    /// The server.
    pub server: &'static Server,
    /// The worker's number.
    pub index: usize,
    /// The worker's handle.
    pub handle: Arc<WorkerHandle>,
    /// Buffers of the command being executed.
    pub scratch: RefCell<Scratch>,
    /// The buffers of scripts.
    pub spare_scratch: RefCell<Scratch>,
    asides: Asides,
    /// What the connections send together.
    pub(super) bursts: Bursts,
    /// How often this worker has executed each command.
    pub counts: Arc<CommandCounts>,
    /// Requests looked at before they are executed.
    pub window: RefCell<Window>,
    /// Where sockets are read into; connections keep only what is incomplete.
    pub read_buffer: RefCell<Vec<u8>>,
    settings: RefCell<Rc<Settings>>,
    settings_version: Cell<u64>,
    waiting: RefCell<[BinaryHeap<Waiting>; 4]>,
    /// Bytes received since memory was last looked at.
    unwatched_bytes: Cell<usize>,
}

/// A connection that waits for an offset.
struct Waiting {
    offset: Reverse<u64>,
    waker: Waker,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.offset == other.offset
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.offset.cmp(&other.offset)
    }
}

impl Worker {
    fn new(server: &'static Server, index: usize, handle: Arc<WorkerHandle>) -> Self {
        let wanted = server.config.current().io_uring;
        let bursts = Bursts::new(server, wanted, Arc::clone(&handle));
        Worker {
            server,
            index,
            handle,
            scratch: RefCell::default(),
            spare_scratch: RefCell::default(),
            asides: Asides::default(),
            bursts,
            window: RefCell::default(),
            counts: server.stats.command_stats.add_worker(),
            read_buffer: RefCell::new(vec![0; READ_BUFFER]),
            settings: RefCell::new(Rc::new(server.settings())),
            settings_version: Cell::new(server.settings_version()),
            waiting: RefCell::default(),
            unwatched_bytes: Cell::new(0),
        }
    }

    /// The settings, read anew when they have changed.
    #[inline]
    pub fn settings(&self) -> Rc<Settings> {
        let version = self.server.settings_version();
        if version != self.settings_version.get() {
            self.settings_version.set(version);
            *self.settings.borrow_mut() = Rc::new(self.server.settings());
        }
        Rc::clone(&self.settings.borrow())
    }

    /// Notes that bytes were received, and keeps memory within `maxmemory` now and then. No
    /// shard may be locked by this thread.
    #[inline]
    pub fn watch_memory(&self, received: usize) {
        let bytes = self.unwatched_bytes.get() + received;
        self.unwatched_bytes.set(bytes);
        if bytes >= UNWATCHED_BYTES {
            self.unwatched_bytes.set(0);
            self.server.relieve_memory(true);
        }
    }

    /// Runs `job` on this thread, outside the runtime.
    pub fn run_aside(&self, job: Box<dyn FnOnce()>) {
        self.asides.jobs.borrow_mut().push_back(job);
        self.asides.some.notify_one();
    }

    /// Whether connections have to wait for a script that runs on this thread: until it has
    /// taken so long that they are answered that the server is busy.
    #[inline]
    pub fn is_held_by_script(&self) -> bool {
        self.asides.running.get() && !self.server.scripts.is_slow()
    }

    /// Wakes `waker` when the script has ended, or has become slow.
    pub fn wake_after_script(&self, waker: &Waker) {
        self.asides.waiting.borrow_mut().push(waker.clone());
    }

    /// Wakes those who wait for the script.
    pub fn wake_script_waiters(&self) {
        for waker in self.asides.waiting.take() {
            waker.wake();
        }
    }

    /// Runs the scripts that have come.
    fn run_asides(&self) {
        loop {
            let Some(job) = self.asides.jobs.borrow_mut().pop_front() else {
                return;
            };
            // Nobody's replies wait until a script has ended.
            self.bursts.send();
            self.asides.running.set(true);
            job();
            self.asides.running.set(false);
            self.wake_script_waiters();
        }
    }

    /// Wakes `waker` once `offset` is committed at `level`, or its wait has failed.
    pub fn wake_when_committed(&self, level: AckLevel, offset: u64, waker: Waker) {
        self.waiting.borrow_mut()[level as usize].push(Waiting {
            offset: Reverse(offset),
            waker,
        });
        self.handle.has_waiting.store(true, Ordering::SeqCst);
        // It may have been committed before the worker was known to wait.
        let marks = &self.server.watermarks;
        if marks.committed(level) >= offset || marks.uncertain() >= offset {
            self.release();
        }
    }

    /// Wakes the connections whose offsets are committed by now. Runs on the worker's own
    /// thread.
    pub fn release(&self) {
        let marks = &self.server.watermarks;
        let mut waiting = self.waiting.borrow_mut();
        let mut any = false;
        for level in LEVELS {
            let heap = &mut waiting[level as usize];
            if heap.is_empty() {
                continue;
            }
            let reached = marks.committed(level).max(marks.uncertain());
            while heap.peek().is_some_and(|w| w.offset.0 <= reached) {
                if let Some(ready) = heap.pop() {
                    ready.waker.wake();
                }
            }
            any |= !heap.is_empty();
        }
        self.handle.has_waiting.store(any, Ordering::SeqCst);
    }

    /// Takes over a connected socket.
    pub fn adopt(self: &Rc<Self>, stream: Stream, seat: Option<Seat>) {
        self.handle.connections.fetch_add(1, Ordering::Relaxed);
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            connection::serve(&worker, stream).await;
            worker.handle.connections.fetch_sub(1, Ordering::Relaxed);
            drop(seat);
        });
    }
}

/// Runs a worker until the process ends.
pub fn run_worker(
    server: &'static Server,
    index: usize,
    handle: Arc<WorkerHandle>,
    mut jobs: mpsc::UnboundedReceiver<Job>,
) -> std::io::Result<()> {
    let server_us = || server.started.elapsed().as_micros() as u64;
    let (begins, ends) = (Arc::clone(&handle), Arc::clone(&handle));
    begins.begins_turn(server_us());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(move || begins.begins_turn(server_us()))
        .on_thread_park(move || ends.ends_turn(server_us()))
        .build()?;
    let local = tokio::task::LocalSet::new();
    let worker = Rc::new(Worker::new(server, index, handle));
    let releasing = Rc::clone(&worker);
    local.spawn_local(async move {
        loop {
            releasing.handle.committed.notified().await;
            releasing.release();
        }
    });
    let carrying = Rc::clone(&worker);
    local.spawn_local(async move {
        loop {
            carrying.handle.has_mail.notified().await;
            let clients = std::mem::take(&mut *carrying.handle.mail.lock());
            clients.iter().for_each(|client| client.wake());
        }
    });
    let sending = Rc::clone(&worker);
    local.spawn_local(std::future::poll_fn(move |cx| sending.bursts.poll(cx)));
    let working = Rc::clone(&worker);
    local.spawn_local(async move {
        while let Some(job) = jobs.recv().await {
            job(&working);
        }
        working.asides.ended.set(true);
        working.asides.some.notify_one();
    });
    let (turning, turner) = (Rc::clone(&worker), (local, runtime));
    let turner = Rc::new(turner);
    let own = Rc::clone(&turner);
    TURN.with(|turn| {
        *turn.borrow_mut() = Some(Rc::new(move || {
            turning.wake_script_waiters();
            let (local, runtime) = &*own;
            local.block_on(runtime, async { tokio::time::sleep(ONE_TURN).await });
        }));
    });
    let (local, runtime) = &*turner;
    while !worker.asides.ended.get() {
        local.block_on(runtime, worker.asides.some.notified());
        // What follows a script in its pipeline may wait with a timeout or start a task, and
        // then asks for the runtime.
        let _inside = (runtime.enter(), local.enter());
        worker.run_asides();
    }
    Ok(())
}

/// Lets the other tasks of this worker's thread run for a moment. Called by a script that
/// takes long, which runs outside the runtime.
pub fn let_others_run() {
    let turn = TURN.with(|turn| turn.borrow().clone());
    if let Some(turn) = turn {
        turn();
    }
}

type Turn = Rc<dyn Fn()>;

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// What is executed outside the runtime: scripts.
#[derive(Default)]
struct Asides {
    jobs: RefCell<VecDeque<Box<dyn FnOnce()>>>,
    some: Notify,
    running: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
    ended: Cell<bool>,
}

/// How long the other tasks get when a script lets them run.
const ONE_TURN: Duration = Duration::from_micros(200);

/// How much a worker receives before it looks at the memory in use.
const UNWATCHED_BYTES: usize = 64 * 1024;
/// Bytes read from a socket at once.
const READ_BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_result<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_takes_little() {
        fn serve(worker: &'static Rc<Worker>, stream: Stream) -> impl Future<Output = ()> {
            connection::serve(worker, stream)
        }
        // What it does in rare cases, as being a link to a replica, has no room in its task.
        assert!(size_of_result(serve) <= 128, "{}", size_of_result(serve));
    }
}
