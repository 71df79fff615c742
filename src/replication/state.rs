//! Who this node is: its role, its replication ids, its links.

use super::failover::Failover;
use super::latency::AckLatency;
use super::shared_copy::Sharing;
use super::standing::Standing;
use crate::commit::AckLevel;
use crate::time::{Duration, Instant};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A node's role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It decides the order of writes.
    Primary,
    /// It follows another node.
    Replica(Upstream),
}

/// The node that a replica follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Where the link to the primary stands, in the words of `ROLE` and `INFO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamState {
    /// To be connected.
    #[default]
    Connect,
    /// The handshake runs.
    Handshake,
    /// A full copy is being received.
    Sync,
    /// The stream is followed.
    Connected,
}

impl UpstreamState {
    /// The word that `ROLE` uses.
    pub fn name(self) -> &'static str {
        match self {
            UpstreamState::Connect => "connect",
            UpstreamState::Handshake => "handshake",
            UpstreamState::Sync => "sync",
            UpstreamState::Connected => "connected",
        }
    }
}

/// Where the link to a replica stands, in the words of `INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It waits for a snapshot to begin.
    WaitSnapshot,
    /// A full copy is being sent.
    SendSnapshot,
    /// The stream is being sent.
    Online,
}

impl LinkState {
    /// The word that `INFO` uses.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::WaitSnapshot => "wait_bgsave",
            LinkState::SendSnapshot => "send_bulk",
            LinkState::Online => "online",
        }
    }
}

/// A replica's link as others see it.
pub struct ReplicaLink {
    /// The member's name: address and port that the replica announces.
    pub id: String,
    /// The address.
    pub address: String,
    /// The port on which it serves clients.
    pub port: u16,
    /// The client's number.
    pub client_id: u64,
    /// The run of its process, if it says that.
    pub run_id: Option<String>,
    /// Whether it pushes acknowledgements.
    pub pushes: bool,
    /// Where the link stands.
    pub state: Mutex<LinkState>,
    /// Applied there.
    pub applied: AtomicU64,
    /// Fsynced there.
    pub fsynced: AtomicU64,
    /// When it last acknowledged.
    pub acked_at: Mutex<Instant>,
    /// How long it takes to acknowledge.
    pub latency: Mutex<AckLatency>,
    /// Set to end the link.
    pub closing: AtomicBool,
}

struct Identity {
    role: Role,
    replid: String,
    /// The id before the last promotion, and the offset up to which it is valid.
    previous: Option<(String, u64)>,
    upstream_state: UpstreamState,
    /// When the link to the primary was last heard of, or lost.
    upstream_heard: Instant,
    /// Grows with every change of role, so that tasks of an old role notice.
    generation: u64,
    /// Why the primary's last offer was refused.
    refusal: Option<String>,
    link: LinkHistory,
}

/// What has become of the link to the primary since this node was told to follow it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkHistory {
    /// Since when it is up.
    pub up_since: Option<Instant>,
    /// Since when it is down, if it ever was up.
    pub down_since: Option<Instant>,
    /// How long it was down before, after it first was up.
    pub down_before: Duration,
    /// Attempts to connect and synchronise since it was last up, the one that led there among
    /// them.
    pub attempts: u64,
    /// All attempts.
    pub attempts_in_all: u64,
}

impl LinkHistory {
    fn changes(&mut self, from: UpstreamState, to: UpstreamState) {
        let (was_up, is_up) = (
            from == UpstreamState::Connected,
            to == UpstreamState::Connected,
        );
        if was_up && !is_up {
            self.up_since = None;
            self.down_since = Some(Instant::now());
            self.attempts = 0;
        } else if is_up && !was_up {
            self.up_since = Some(Instant::now());
            let down = self.down_since.take().map(|since| since.elapsed());
            self.down_before += down.unwrap_or_default();
        }
    }
}

/// See the module's documentation.
pub struct Replication {
    identity: Mutex<Identity>,
    links: Mutex<Vec<Arc<ReplicaLink>>>,
    /// Whether there ever was a link.
    had_links: AtomicBool,
    changed: tokio::sync::Notify,
    /// The offset that a `WAIT` waits for, the one that a `WAITAOF` does, and the one up to
    /// which replicas were asked how far they are.
    waited_for: AtomicU64,
    files_waited_for: AtomicU64,
    asked_up_to: AtomicU64,
    /// See [`Replication::stream_lock`].
    stream: Mutex<()>,
    /// The handing over of this node's role.
    pub failover: Failover,
    /// Replicas that wait for a snapshot.
    pub sharing: Sharing,
    /// What this node knows of the in-sync set as a replica.
    pub standing: Standing,
}

impl Replication {
    /// A primary with a fresh replication id.
    pub fn new() -> Self {
        Replication {
            identity: Mutex::new(Identity {
                role: Role::Primary,
                replid: crate::random::hex40(),
                previous: None,
                upstream_state: UpstreamState::Connect,
                upstream_heard: Instant::now(),
                generation: 0,
                refusal: None,
                link: LinkHistory::default(),
            }),
            links: Mutex::new(Vec::new()),
            had_links: AtomicBool::new(false),
            changed: tokio::sync::Notify::new(),
            waited_for: AtomicU64::new(0),
            files_waited_for: AtomicU64::new(0),
            asked_up_to: AtomicU64::new(0),
            stream: Mutex::new(()),
            failover: Failover::default(),
            sharing: Sharing::default(),
            standing: Standing::default(),
        }
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.identity.lock().role.clone()
    }

    /// Whether this node is a replica.
    pub fn is_replica(&self) -> bool {
        matches!(self.identity.lock().role, Role::Replica(_))
    }

    /// The replication id.
    pub fn replid(&self) -> String {
        self.identity.lock().replid.clone()
    }

    /// The previous replication id and the offset up to which it is valid.
    pub fn previous(&self) -> Option<(String, u64)> {
        self.identity.lock().previous.clone()
    }

    /// Takes over an id that was stored, at start.
    pub fn restore(&self, replid: String) {
        self.identity.lock().replid = replid;
    }

    /// A primary that has started from a file goes on under a new id: replicas may have had
    /// more of the old history than the file. Up to `offset` the two are the same.
    pub fn renew(&self, offset: u64) {
        let mut identity = self.identity.lock();
        let old = std::mem::replace(&mut identity.replid, crate::random::hex40());
        identity.previous = Some((old, offset));
    }

    /// The id under which this node is best known at `offset`, the end of its log: the
    /// previous one if nothing has happened since.
    pub fn known_as(&self, offset: u64) -> String {
        let identity = self.identity.lock();
        match &identity.previous {
            Some((id, until)) if *until == offset => id.clone(),
            _ => identity.replid.clone(),
        }
    }

    /// Draws a new id without a past, so that replicas must resynchronise in full.
    pub fn change_id(&self) {
        let mut identity = self.identity.lock();
        identity.replid = crate::random::hex40();
        identity.previous = None;
    }

    /// Takes over the primary's id: after a full resync without a past, after a partial one
    /// with the old id as the previous one. Whether it is another one.
    pub fn adopt(&self, replid: &str, keep_previous_until: Option<u64>) -> bool {
        let mut identity = self.identity.lock();
        if identity.replid == replid {
            return false;
        }
        let old = std::mem::replace(&mut identity.replid, replid.to_owned());
        identity.previous = keep_previous_until.map(|offset| (old, offset));
        true
    }

    /// Becomes a primary: a new id, with the old as the second if the history up to `shared` is
    /// the old primary's. False if it is one already.
    pub fn promote(&self, shared: Option<u64>) -> bool {
        let mut identity = self.identity.lock();
        if identity.role == Role::Primary {
            return false;
        }
        identity.role = Role::Primary;
        identity.generation += 1;
        // Offsets may have started over since.
        self.waited_for.store(0, Ordering::SeqCst);
        self.files_waited_for.store(0, Ordering::SeqCst);
        self.asked_up_to.store(0, Ordering::SeqCst);
        let old = std::mem::replace(&mut identity.replid, crate::random::hex40());
        identity.previous = shared.map(|offset| (old, offset));
        identity.refusal = None;
        drop(identity);
        self.changed.notify_waiters();
        true
    }

    /// Becomes a replica; gives the generation that the following task belongs to. `None` if
    /// it follows that node already and has not refused its copy.
    pub fn demote(&self, upstream: Upstream) -> Option<u64> {
        let mut identity = self.identity.lock();
        if identity.role == Role::Replica(upstream.clone()) && identity.refusal.is_none() {
            return None;
        }
        identity.role = Role::Replica(upstream);
        identity.generation += 1;
        identity.upstream_state = UpstreamState::Connect;
        identity.upstream_heard = Instant::now();
        identity.refusal = None;
        identity.link = LinkHistory::default();
        let generation = identity.generation;
        drop(identity);
        self.changed.notify_waiters();
        Some(generation)
    }

    /// Held while commands from the primary are applied and appended to the log: whoever
    /// holds it finds that data and log agree. Taken before any shard's lock.
    pub fn stream_lock(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.stream.lock()
    }

    /// Whether tasks of this generation should go on.
    pub fn is_current(&self, generation: u64) -> bool {
        self.identity.lock().generation == generation
    }

    /// Resolves at the next change of role after this call.
    pub fn role_changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    /// Where the link to the primary stands, and when it was last heard of.
    pub fn upstream_state(&self) -> (UpstreamState, Instant) {
        let identity = self.identity.lock();
        (identity.upstream_state, identity.upstream_heard)
    }

    /// Notes where the link to the primary stands.
    pub fn set_upstream_state(&self, generation: u64, state: UpstreamState) {
        let mut identity = self.identity.lock();
        if identity.generation == generation {
            let before = identity.upstream_state;
            identity.link.changes(before, state);
            identity.upstream_state = state;
            identity.upstream_heard = Instant::now();
        }
    }

    /// Notes that the primary is about to be connected to.
    pub fn note_attempt(&self, generation: u64) {
        let mut identity = self.identity.lock();
        if identity.generation == generation {
            identity.link.attempts += 1;
            identity.link.attempts_in_all += 1;
        }
    }

    /// What has become of the link to the primary so far.
    pub fn link_history(&self) -> LinkHistory {
        self.identity.lock().link
    }

    /// Notes that the primary was heard of.
    pub fn heard_upstream(&self) {
        self.identity.lock().upstream_heard = Instant::now();
    }

    /// Notes why the primary's offer was refused.
    pub fn set_refusal(&self, why: Option<String>) {
        self.identity.lock().refusal = why;
    }

    /// Why the primary's last offer was refused.
    pub fn refusal(&self) -> Option<String> {
        self.identity.lock().refusal.clone()
    }

    /// Whether a replica that knows `replid` and wants the bytes after `offset` shares our
    /// history up to there.
    pub fn shares_history(&self, replid: &str, offset: u64) -> bool {
        let identity = self.identity.lock();
        replid.eq_ignore_ascii_case(&identity.replid)
            || identity
                .previous
                .as_ref()
                .is_some_and(|(id, until)| id.eq_ignore_ascii_case(replid) && offset <= *until)
    }

    /// Notes that a client waits until replicas have acknowledged `offset`, or fsynced it.
    pub fn want_acknowledged(&self, offset: u64, in_files: bool) {
        self.waited_for.fetch_max(offset, Ordering::SeqCst);
        if in_files {
            self.files_waited_for.fetch_max(offset, Ordering::SeqCst);
        }
    }

    /// The newest offset that a client has wanted in replicas' files.
    pub fn wanted_in_files(&self) -> u64 {
        self.files_waited_for.load(Ordering::SeqCst)
    }

    /// Whether replicas must be asked how far they are, when somebody waits for `wanted`.
    pub fn must_ask(&self, wanted: u64) -> bool {
        let wanted = wanted.max(self.waited_for.load(Ordering::SeqCst));
        wanted > self.asked_up_to.load(Ordering::SeqCst)
    }

    /// Notes that the stream asks replicas at `offset` how far they are.
    pub fn asked(&self, offset: u64) {
        self.asked_up_to.fetch_max(offset, Ordering::SeqCst);
    }

    /// The links to replicas.
    pub fn links(&self) -> Vec<Arc<ReplicaLink>> {
        self.links.lock().clone()
    }

    /// Whether messages belong in the stream: some replica follows this node, or did and may
    /// come back for what it missed.
    #[inline]
    pub fn carries_messages(&self) -> bool {
        self.had_links.load(Ordering::SeqCst)
    }

    /// Adds a link. An older one of the same member is told to end; whether there was one.
    pub fn add_link(&self, link: Arc<ReplicaLink>) -> bool {
        self.had_links.store(true, Ordering::SeqCst);
        let mut links = self.links.lock();
        let before = links.len();
        for old in links.iter().filter(|old| old.id == link.id) {
            old.closing.store(true, Ordering::SeqCst);
        }
        links.retain(|old| old.id != link.id);
        let replaced = links.len() < before;
        links.push(link);
        replaced
    }

    /// Takes a link away; whether it was still the member's current one.
    pub fn remove_link(&self, link: &Arc<ReplicaLink>) -> bool {
        let mut links = self.links.lock();
        let before = links.len();
        links.retain(|other| !Arc::ptr_eq(other, link));
        links.len() < before
    }

    /// How many replicas have acknowledged `offset` at `level`.
    pub fn count_acked(&self, level: AckLevel, offset: u64) -> usize {
        let acked = |link: &&Arc<ReplicaLink>| match level {
            AckLevel::Fsynced => link.fsynced.load(Ordering::SeqCst) >= offset,
            _ => link.applied.load(Ordering::SeqCst) >= offset,
        };
        let online = |link: &&Arc<ReplicaLink>| *link.state.lock() == LinkState::Online;
        self.links
            .lock()
            .iter()
            .filter(online)
            .filter(acked)
            .count()
    }
}

impl Default for Replication {
    fn default() -> Self {
        Self::new()
    }
}
