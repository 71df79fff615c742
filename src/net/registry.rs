//! All clients of the server, for the commands that list, find or end them.

use super::stream::Stream;
use crate::keyspace::{Waiter, WatchFlag};
use crate::pubsub::Mailbox;
use crate::time;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

/// What kind of client it is (`CLIENT LIST TYPE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ClientKind {
    /// An ordinary client.
    Normal = 0,
    /// A replica of this server.
    Replica = 1,
    /// The link to this server's primary.
    Primary = 2,
    /// A subscriber.
    PubSub = 3,
}

/// What other threads may know of a client. The connection updates it once for a batch.
pub struct ClientInfo {
    /// The client's number, never reused.
    pub id: u64,
    /// The peer's address.
    pub addr: String,
    /// The local address.
    pub laddr: String,
    /// The file descriptor.
    pub fd: i32,
    /// The worker it lives on.
    pub worker: usize,
    /// When it connected, in Unix milliseconds.
    pub created_ms: i64,
    /// When it last sent something, in Unix milliseconds.
    pub active_ms: AtomicI64,
    /// Its database.
    pub db: AtomicU32,
    /// A [`ClientKind`].
    pub kind: AtomicU32,
    /// Queued commands, -1 without a transaction.
    pub multi: AtomicI64,
    /// Watched keys.
    pub watch: AtomicUsize,
    /// Bytes of queued commands.
    pub multi_bytes: AtomicUsize,
    /// Bytes by which what it watches, listens to and tracks is known.
    pub followed_bytes: [AtomicUsize; 3],
    /// The last command's place in the command table, plus 1; 0 for none.
    pub last_command: AtomicU32,
    /// Bytes in its query buffer.
    pub query_bytes: AtomicUsize,
    /// Bytes in its output buffer.
    pub output_bytes: AtomicUsize,
    /// Bytes of its output while some of it waits for commitment; 0 otherwise.
    pub held_bytes: AtomicUsize,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Requests taken.
    pub commands: AtomicU64,
    /// How many more commands were executed than requests were taken: a refused or queued
    /// request executes nothing, `EXEC` and scripts execute several.
    pub more_commands: AtomicI64,
    /// The protocol version.
    pub resp: AtomicU32,
    /// Whether it is blocked.
    pub blocked: AtomicBool,
    /// Whether `CLIENT PAUSE` holds a command of its back.
    pub paused: AtomicBool,
    /// Whether a key that it watches was touched; `None` while it watches none.
    pub touched: Mutex<Option<WatchFlag>>,
    /// Whether it is blocked for a limited time.
    pub timed: AtomicBool,
    /// `CLIENT NO-EVICT`.
    pub no_evict: AtomicBool,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: AtomicBool,
    /// `CLIENT CAPA REDIRECT`.
    pub redirects: AtomicBool,
    /// Whether it came over a Unix socket.
    pub unix: bool,
    /// Set to end the connection; then wake it.
    pub killed: AtomicBool,
    /// Set by `CLIENT UNBLOCK`: 1 as if by timeout, 2 with an error; then wake it.
    pub unblock: AtomicU32,
    /// Its place in the lines of the keys that it waits for.
    pub waiter: Mutex<Option<Arc<Waiter>>>,
    /// Channels, patterns and shard channels that it listens to.
    pub subscriptions: [AtomicU32; 3],
    /// Whether it gets every command (`MONITOR`).
    pub monitors: AtomicBool,
    /// What it is told of changed keys (`CLIENT TRACKING`): [`crate::pubsub::TrackingFlags`].
    pub tracking: AtomicU32,
    /// The client that is told in its place; 0 for none.
    pub redirect: AtomicU64,
    /// What others have for it.
    pub mailbox: Mailbox,
    /// What changes rarely.
    pub names: Mutex<Names>,
    /// The connection's task.
    pub waker: Mutex<Option<Waker>>,
}

/// What a client says of itself.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// `CLIENT SETNAME`.
    pub name: Vec<u8>,
    /// The user it authenticated as.
    pub user: String,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_ver: Vec<u8>,
}

/// Where a connection leads.
pub struct LinkAddress {
    /// The peer's address.
    pub peer: String,
    /// The local address.
    pub local: String,
    /// The file descriptor's number.
    pub fd: i32,
    /// Whether it is a Unix socket.
    pub unix: bool,
}

/// What a client keeps memory for beside its buffers: places in [`ClientInfo::followed_bytes`].
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Followed {
    /// Watched keys.
    Keys = 0,
    /// Channels and patterns.
    Topics = 1,
    /// Prefixes of keys (`CLIENT TRACKING … BCAST`).
    Prefixes = 2,
}

impl ClientInfo {
    /// Notes how many bytes what the client follows takes.
    pub fn note_followed(&self, what: Followed, bytes: usize) {
        self.followed_bytes[what as usize].store(bytes, Ordering::Relaxed);
    }

    /// Of a client that has just connected.
    pub fn new(id: u64, stream: &Stream, worker: usize) -> Self {
        let address = LinkAddress {
            peer: stream.peer(),
            local: stream.local(),
            fd: stream.fd(),
            unix: matches!(stream, Stream::Unix(_)),
        };
        Self::of_link(id, address, worker)
    }

    /// Of a connection that this server has made, or of any other.
    pub fn of_link(id: u64, address: LinkAddress, worker: usize) -> Self {
        let now = time::unix_ms();
        ClientInfo {
            id,
            addr: address.peer,
            laddr: address.local,
            fd: address.fd,
            worker,
            created_ms: now,
            active_ms: now.into(),
            db: 0.into(),
            kind: 0.into(),
            multi: (-1).into(),
            watch: 0.into(),
            multi_bytes: 0.into(),
            followed_bytes: Default::default(),
            last_command: 0.into(),
            query_bytes: 0.into(),
            output_bytes: 0.into(),
            held_bytes: 0.into(),
            bytes_in: 0.into(),
            bytes_out: 0.into(),
            commands: 0.into(),
            more_commands: 0.into(),
            resp: 2.into(),
            blocked: false.into(),
            paused: false.into(),
            touched: Mutex::default(),
            timed: false.into(),
            no_evict: false.into(),
            no_touch: false.into(),
            redirects: false.into(),
            unix: address.unix,
            killed: false.into(),
            unblock: 0.into(),
            waiter: Mutex::default(),
            subscriptions: std::array::from_fn(|_| 0.into()),
            monitors: false.into(),
            tracking: 0.into(),
            redirect: 0.into(),
            mailbox: Mailbox::default(),
            names: Mutex::new(Names {
                user: "default".into(),
                ..Names::default()
            }),
            waker: Mutex::new(None),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> ClientKind {
        match self.kind.load(Ordering::Relaxed) {
            1 => ClientKind::Replica,
            2 => ClientKind::Primary,
            3 => ClientKind::PubSub,
            _ => ClientKind::Normal,
        }
    }

    /// Commands executed.
    pub fn executed(&self) -> u64 {
        let requests = self.commands.load(Ordering::Relaxed);
        requests.saturating_add_signed(self.more_commands.load(Ordering::Relaxed))
    }

    /// Notes that other than one command was executed for a request. Only for the client's own
    /// connection.
    pub fn executed_more(&self, commands: i64) {
        let before = self.more_commands.load(Ordering::Relaxed);
        self.more_commands
            .store(before + commands, Ordering::Relaxed);
    }

    /// Bytes that it occupies, buffers included.
    pub fn mem_bytes(&self) -> usize {
        CONNECTION_BYTES
            + self.query_bytes.load(Ordering::Relaxed)
            + self.output_bytes.load(Ordering::Relaxed)
            + self.multi_bytes.load(Ordering::Relaxed)
            + self.mailbox.bytes()
            + self
                .followed_bytes
                .iter()
                .map(|bytes| bytes.load(Ordering::Relaxed))
                .sum::<usize>()
    }

    /// Ends the connection.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Makes the connection's task run.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }
}

/// The clients by number.
#[derive(Default)]
pub struct Registry {
    clients: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    count: AtomicUsize,
    next_id: AtomicU64,
    seats: AtomicUsize,
}

/// A connection's place among `maxclients`, given back when it ends.
pub struct Seat(&'static Registry);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Registry {
    /// The next client's number.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A place for one more connection; `None` when `most` are taken. Taken when a connection
    /// is accepted, so that a burst cannot exceed the bound before workers get to see it.
    pub fn seat(&'static self, most: usize) -> Option<Seat> {
        self.seats
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < most).then_some(taken + 1)
            })
            .ok()
            .map(|_| Seat(self))
    }

    /// How many clients are connected.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether no client is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a client.
    pub fn add(&self, client: Arc<ClientInfo>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.clients.lock().insert(client.id, client);
    }

    /// Takes a client away.
    pub fn remove(&self, id: u64) {
        if self.clients.lock().remove(&id).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The client with this number.
    pub fn get(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.clients.lock().get(&id).cloned()
    }

    /// All clients, by number.
    pub fn all(&self) -> Vec<Arc<ClientInfo>> {
        self.clients.lock().values().cloned().collect()
    }
}

/// What a connection occupies before it buffers anything, in bytes: its task and its entry
/// among the clients.
const CONNECTION_BYTES: usize = 1536;
