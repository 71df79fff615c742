//! The replica's end of the link to its primary.
//!
//! One task follows the primary for one generation of the role: connect, introduce, resync,
//! then apply the stream and acknowledge it. When the link breaks it begins again.

use super::copy::{Announced, take_copy};
use super::failover;
use super::handshake::{Dialogue, HandshakeError, Introduction, Offer};
use super::state::{Upstream, UpstreamState};
use super::upstream_client::UpstreamClient;
use crate::commit::Event;
use crate::execute::{Applier, ApplyError, Gates, LookAhead, call_off_all};
use crate::keyspace::{Cause, DbIndex, Locked};
use crate::protocol::{Limits, Parsed, RequestReader};
use crate::rdb::RdbError;
use crate::server::{Hold, Server};
use crate::time::{Duration, Instant};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why the link ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The primary refused or misbehaved.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The stream cannot be applied here.
    #[error("the stream cannot be applied: {0}")]
    Apply(#[from] ApplyError),
    /// The stream is not made of requests.
    #[error("the primary misbehaved: {0}")]
    Protocol(String),
    /// The full copy cannot be loaded.
    #[error("the primary's copy, {0}")]
    Copy(#[from] RdbError),
    /// The full copy was declined.
    #[error("{0}")]
    Declined(String),
    /// `CLIENT KILL`.
    #[error("the link was ended by a client")]
    Killed,
    /// The role changed.
    #[error("the role of this node has changed")]
    RoleChanged,
}

/// Makes this node a replica of `host:port`; false if it follows that node already.
pub fn become_replica(server: &'static Server, host: &str, port: u16) -> bool {
    let upstream = Upstream {
        host: host.to_owned(),
        port,
    };
    let Some(generation) = server.replication.demote(upstream.clone()) else {
        return false;
    };
    set_gates(server);
    // Whoever passed the gates before has finished once every lock was taken. Nobody will make
    // a key ready here any more for those who wait to write.
    let locked = Locked::everything(&server.keyspace);
    server.log.follow();
    call_off_all(&locked, Cause::RoleChanged);
    drop(locked);
    drop(server.pubsub.publishing());
    begin_to_follow(server, upstream, generation, false);
    true
}

/// Makes this primary a replica of its own replica `target`, which is asked to take over, if
/// `go` says so when nothing can be appended to the log any more.
pub(super) fn hand_over(
    server: &'static Server,
    target: &Upstream,
    go: impl FnOnce() -> bool,
) -> bool {
    let locked = Locked::everything(&server.keyspace);
    let publishing = server.pubsub.publishing();
    if !go() {
        return false;
    }
    server.pause.hold(server, Hold::HandedOver);
    let generation = server.replication.demote(target.clone());
    set_gates(server);
    server.log.follow();
    drop(publishing);
    call_off_all(&locked, Cause::RoleChanged);
    drop(locked);
    if let Some(generation) = generation {
        begin_to_follow(server, target.clone(), generation, true);
    }
    true
}

fn set_gates(server: &Server) {
    server.gates.set(Gates::REPLICA, true);
    server.gates.set(Gates::NO_REPLICAS, false);
    server.refresh_role_gates();
}

/// What follows a change of role: members and replicas learn of it, and a task follows the
/// primary.
fn begin_to_follow(server: &'static Server, upstream: Upstream, generation: u64, ask: bool) {
    server.wake_ack_waiters();
    server.authority().tell(Event::Role(false));
    // Replicas of this node stay: what they have is what is here, and they are sent away when
    // another history takes its place.
    tracing::info!(host = %upstream.host, port = upstream.port, "following a primary");
    match server.workers().first() {
        Some(worker) => worker.run(Box::new(move |_| {
            tokio::task::spawn_local(follow(server, upstream, generation, ask));
        })),
        None => tracing::warn!("no worker yet: the link to the primary starts with the server"),
    }
}

/// Makes this node a primary; false if it is one.
pub fn become_primary(server: &'static Server) -> bool {
    // All shards are locked, so that no half-applied unit of the stream is left behind and no
    // write slips between the two histories.
    let stream = server.replication.stream_lock();
    let locked = Locked::everything(&server.keyspace);
    // A history that others could continue does not tell of what clients wrote here meanwhile.
    let diverged = server.log.is_diverged();
    let shared = (!diverged).then(|| server.log.end());
    if !server.replication.promote(shared) {
        return false;
    }
    server.log.lead();
    server.log.start_recording();
    server.log.forget_selected();
    drop(locked);
    drop(stream);
    // Before writes are let in, so that none is answered as if nobody had to confirm it.
    server.authority().tell(Event::Role(true));
    server.gates.set(Gates::REPLICA, false);
    server.refresh_role_gates();
    close_links(server);
    server.aof.identity_changed(server);
    if diverged {
        // Commands may follow that build on what the files do not hold.
        server.aof.make_anew(server);
    }
    tracing::info!(
        replid = %server.replication.replid(),
        offset = server.log.end(),
        "this node is a primary now"
    );
    true
}

pub(super) fn close_links(server: &Server) {
    for link in server.replication.links() {
        link.closing
            .store(true, std::sync::atomic::Ordering::SeqCst);
        if let Some(client) = server.clients.get(link.client_id) {
            client.wake();
        }
    }
}

/// Follows a primary for as long as the generation lasts.
///
/// `ask`: it is a replica of this node that has to be asked to take over first.
async fn follow(server: &'static Server, upstream: Upstream, generation: u64, ask: bool) {
    // Told by an operator or the configuration: the first copy is taken without question.
    let mut consent = Consent {
        told: true,
        refused: None,
        take_over: if ask { Ask::Now } else { Ask::Never },
    };
    let mut complaints = Complaints::default();
    while server.replication.is_current(generation) {
        let state = |state| server.replication.set_upstream_state(generation, state);
        state(UpstreamState::Connect);
        server.replication.note_attempt(generation);
        let ended = tokio::select! {
            ended = run_link(server, &upstream, generation, &mut consent) => ended,
            () = until_superseded(server, generation) => Err(LinkError::RoleChanged),
        };
        state(UpstreamState::Connect);
        if let Err(error) = ended
            && server.replication.is_current(generation)
        {
            complaints.note(&upstream, &error);
            stop_if_told(server, &error);
            if let LinkError::Apply(ApplyError {
                half_done: true, ..
            }) = &error
            {
                // To go on from there would do the first part again: only a copy helps.
                let replication = &server.replication;
                replication.adopt(&crate::random::hex40(), None);
            }
            if let LinkError::Declined(why) = &error {
                server.replication.set_refusal(Some(why.clone()));
            }
        }
        server.refresh_role_gates();
        tokio::time::sleep(complaints.pause()).await;
    }
}

/// Ends the process if a command of the primary could not be applied and the operator wants
/// that to be noticed. The data here is as it was before that command, in the files as well.
fn stop_if_told(server: &'static Server, error: &LinkError) {
    let stops = server.config.current().propagation_error_behavior != "ignore";
    if stops && matches!(error, LinkError::Apply(_)) {
        tracing::error!("stopping, as propagation-error-behavior says");
        std::process::exit(1);
    }
}

/// What went wrong with the link, so that the same is not told five times a second, and a copy
/// that cannot be loaded, or is declined, is not asked for as often: it costs the primary a
/// snapshot.
#[derive(Default)]
struct Complaints {
    last: String,
    told_at: Option<Instant>,
    bad_copies: u32,
}

impl Complaints {
    fn note(&mut self, upstream: &Upstream, error: &LinkError) {
        self.bad_copies = match error {
            LinkError::Copy(_) | LinkError::Declined(_) => self.bad_copies.saturating_add(1),
            _ => 0,
        };
        let text = error.to_string();
        let lately = self.told_at.is_some_and(|at| at.elapsed() < TELL_AGAIN);
        if text != self.last || !lately {
            tracing::warn!(host = %upstream.host, port = upstream.port, %error, "link to primary");
            self.last = text;
            self.told_at = Some(Instant::now());
        }
    }

    fn pause(&self) -> Duration {
        RETRY * (1 << self.bad_copies.min(5))
    }
}

async fn until_superseded(server: &'static Server, generation: u64) {
    loop {
        // Asked for before looking, so that no change is missed in between.
        let changed = server.replication.role_changed();
        if !server.replication.is_current(generation) {
            return;
        }
        changed.await;
    }
}

async fn run_link(
    server: &'static Server,
    upstream: &Upstream,
    generation: u64,
    consent: &mut Consent,
) -> Result<(), LinkError> {
    let address = (upstream.host.as_str(), upstream.port);
    let timeout = Duration::from_secs(server.config.current().repl_timeout_seconds);
    let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
    let connecting = tokio::time::timeout(timeout, TcpStream::connect(address));
    let stream = connecting.await.map_err(timed_out)??;
    stream.set_nodelay(true)?;
    server
        .replication
        .set_upstream_state(generation, UpstreamState::Handshake);
    let mut dialogue = Dialogue::new(stream, timeout);
    let mut who = introduction(server);
    if consent.take_over != Ask::Never {
        who.take_over = true;
        // The target knows this history by its newest name.
        who.replid = Some(server.replication.replid());
    }
    let offer = dialogue.introduce(&who).await;
    if who.take_over {
        note_answer(server, consent, &dialogue, &offer)?;
    }
    let db = match offer? {
        Offer::Continue(replid) => {
            let end = server.log.end();
            server
                .replication
                .standing
                .link_begins(dialogue.of_our_kind);
            if let Some(replid) = replid
                && server.replication.adopt(&replid, Some(end))
            {
                // Replicas of this node learn the new id when they come back.
                close_links(server);
            }
            tracing::info!(offset = end, "partial resync with the primary");
            server.log.selected().unwrap_or_default()
        }
        Offer::Full { replid, offset } => {
            may_take_copy(server, &replid, offset, consent)?;
            server
                .replication
                .standing
                .link_begins(dialogue.of_our_kind);
            server
                .replication
                .set_upstream_state(generation, UpstreamState::Sync);
            let announced = Announced {
                replid: &replid,
                offset,
                generation,
            };
            take_copy(server, &mut dialogue, &announced).await?
        }
    };
    consent.told = false;
    server.replication.set_refusal(None);
    server
        .replication
        .set_upstream_state(generation, UpstreamState::Connected);
    server.refresh_role_gates();
    Follower::new(server, dialogue, timeout, generation, db)
        .run()
        .await
}

/// What the answer to `PSYNC … FAILOVER` means for the failover.
fn note_answer(
    server: &'static Server,
    consent: &mut Consent,
    dialogue: &Dialogue,
    offer: &Result<Offer, HandshakeError>,
) -> Result<(), LinkError> {
    match offer {
        Ok(_) => {
            consent.take_over = Ask::Never;
            failover::completed(server);
        }
        Err(HandshakeError::Refused { to: "PSYNC", error }) if consent.take_over == Ask::Again => {
            // It took over when it was asked first, or never will: an ordinary resync tells.
            tracing::warn!(%error, "the target was asked before; following it");
            consent.take_over = Ask::Never;
            failover::completed(server);
        }
        Err(HandshakeError::Refused { to: "PSYNC", error }) => {
            failover::refused(server, error);
            return Err(LinkError::RoleChanged);
        }
        Err(_) if dialogue.asked => consent.take_over = Ask::Again,
        Err(_) => {}
    }
    Ok(())
}

fn introduction(server: &'static Server) -> Introduction {
    let config = server.config.current();
    let knows_history = server.log.is_recording();
    let end = server.log.end();
    let announced = config.replica_announce_port;
    Introduction {
        port: if announced == 0 {
            config.port
        } else {
            announced
        },
        announce_ip: config.replica_announce_ip.clone(),
        auth: config
            .masterauth
            .clone()
            .map(|password| (config.masteruser.clone(), password)),
        run_id: server.run_id.clone(),
        replid: knows_history.then(|| server.replication.known_as(end)),
        offset: end,
        take_over: false,
    }
}

/// What may be asked of the primary, and taken from it.
struct Consent {
    /// Whether a full copy in place of the data here is wanted in any case: nothing was copied
    /// since somebody said whom to follow.
    told: bool,
    /// The history of which a copy was declined: it may grow longer than ours, and is still
    /// not ours.
    refused: Option<String>,
    /// Whether the node has to become a primary first.
    take_over: Ask,
}

/// Whether the node at the other end is to be asked to take over as primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Never,
    Now,
    /// It was asked, and the answer was lost: it may be a primary already.
    Again,
}

/// An empty or older node must not make a fuller one discard its data unless told to.
fn may_take_copy(
    server: &Server,
    replid: &str,
    offset: u64,
    consent: &mut Consent,
) -> Result<(), LinkError> {
    let ours = server.log.end();
    let refused = consent.refused.as_deref() == Some(replid);
    if consent.told || replid == server.replication.replid() || (offset >= ours && !refused) {
        return Ok(());
    }
    consent.refused = Some(replid.to_owned());
    Err(LinkError::Declined(format!(
        "the primary offers a full copy of another history at offset {offset}, this node has \
         {ours}: it would lose data. Send REPLICAOF again to accept"
    )))
}

/// Applies the stream.
struct Follower {
    server: &'static Server,
    dialogue: Dialogue,
    timeout: Duration,
    generation: u64,
    applier: Applier,
    ahead: LookAhead,
    reader: RequestReader,
    /// How far into the buffer the commands have been applied or queued.
    parsed: usize,
    /// Ranges of the buffer that do not belong in the append-only file.
    stream_only: Vec<(usize, usize)>,
    /// Where the commands of the transaction that is being received are.
    queued: Vec<(usize, usize)>,
    asked: bool,
    acked: (u64, u64),
    heard: Instant,
    listed: UpstreamClient,
    /// The name of the command that came last.
    last_name: Vec<u8>,
}

impl Follower {
    fn new(
        server: &'static Server,
        dialogue: Dialogue,
        timeout: Duration,
        generation: u64,
        db: DbIndex,
    ) -> Self {
        Follower {
            listed: UpstreamClient::new(server, &dialogue.stream),
            last_name: Vec::new(),
            server,
            dialogue,
            timeout,
            generation,
            applier: Applier::continuing(server, db),
            ahead: LookAhead::new(&server.keyspace),
            reader: RequestReader::default(),
            parsed: 0,
            stream_only: Vec::new(),
            queued: Vec::new(),
            asked: true,
            acked: (0, 0),
            heard: Instant::now(),
        }
    }

    async fn run(mut self) -> Result<(), LinkError> {
        let mut space = vec![0u8; 256 * 1024];
        let mut fsyncs = self.server.aof.fsync_events();
        let mut timer = tokio::time::interval(Duration::from_secs(1));
        // What came behind a full copy is here already.
        self.take_input()?;
        loop {
            self.acknowledge().await?;
            tokio::select! {
                biased;
                () = self.listed.killed() => return Err(LinkError::Killed),
                read = self.dialogue.stream.read(&mut space) => {
                    let n = read?;
                    if n == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    self.heard = Instant::now();
                    self.listed.heard(n);
                    self.server.note_from_primary(n);
                    self.dialogue.buffer.extend_from_slice(&space[..n]);
                    self.server.scripts.none_running().await;
                    self.take_input()?;
                }
                _ = fsyncs.changed() => {}
                _ = timer.tick() => {
                    if self.heard.elapsed() > self.timeout {
                        return Err(io::Error::from(io::ErrorKind::TimedOut).into());
                    }
                    if self.heard.elapsed() < Duration::from_secs(1) {
                        self.server.replication.heard_upstream();
                    }
                    // Once a second in any case, as Redis does.
                    self.asked = true;
                }
            }
        }
    }

    /// Applies the commands that are complete and appends them to the log.
    fn take_input(&mut self) -> Result<(), LinkError> {
        let limits = Limits::default();
        let _stream = self.server.replication.stream_lock();
        // Nothing of the old history may follow a promotion.
        if !self.server.replication.is_current(self.generation) {
            return Err(LinkError::RoleChanged);
        }
        self.applier.begin_batch();
        self.applier.skip_what_fails(may_disagree(self.server));
        self.ahead.forget();
        let (mut unit_end, mut unit_db) = (0, self.applier.db());
        let (mut failed, mut commands) = (None, 0);
        loop {
            let rest = &self.dialogue.buffer[self.parsed..];
            match self.reader.parse(rest, &limits) {
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Nothing(n)) => self.parsed += n,
                Ok(Parsed::Request(n)) => {
                    let args = self.reader.args(rest);
                    let name = &args[0];
                    commands += 1;
                    self.last_name.clear();
                    self.last_name.extend_from_slice(name);
                    if name.eq_ignore_ascii_case(b"ping") {
                        let standing = &self.server.replication.standing;
                        standing.take(args, &self.server.run_id);
                        self.stream_only.push((self.parsed, self.parsed + n));
                    } else if name.eq_ignore_ascii_case(b"replconf") {
                        self.asked |= args.is(1, "getack");
                        self.stream_only.push((self.parsed, self.parsed + n));
                    } else {
                        if is_message(name) {
                            self.stream_only.push((self.parsed, self.parsed + n));
                        }
                        let (buffer, db) = (&self.dialogue.buffer, self.applier.db());
                        let hash = self.ahead.hash(buffer, self.parsed, &limits, db);
                        let queued = self.applier.queued();
                        if let Err(error) = self.applier.apply(args, hash) {
                            // What came before it is done, and must not be done again.
                            failed = Some(error);
                            break;
                        }
                        let queued = self.applier.queued() > queued;
                        self.note_applied((self.parsed, self.parsed + n), queued);
                    }
                    self.parsed += n;
                }
                Err(error) => return Err(LinkError::Protocol(error.to_string())),
            }
            if !self.applier.in_transaction() {
                unit_end = self.parsed;
                unit_db = self.applier.db();
            }
        }
        if unit_end > 0 {
            self.append(unit_end);
            self.server.log.set_selected(unit_db);
        }
        self.applier.end_batch();
        self.listed.applied(commands, &self.last_name, unit_db);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// What was skipped stays out of the file, in which it would fail again.
    fn note_applied(&mut self, range: (usize, usize), queued: bool) {
        if queued {
            self.queued.push(range);
        } else if !self.applier.in_transaction() {
            for place in self.applier.take_skipped() {
                let range = self.queued.get(place).copied().unwrap_or(range);
                self.stream_only.push(range);
                self.stream_only.sort_unstable();
            }
            self.queued.clear();
        }
    }

    /// Appends the first bytes of the buffer, which are whole units, to the log.
    fn append(&mut self, unit_end: usize) {
        let start = self.server.log.end();
        let ranges: Vec<_> = self
            .stream_only
            .extract_if(.., |(_, end)| *end <= unit_end)
            .map(|(from, to)| (start + from as u64, start + to as u64))
            .collect();
        let log = &self.server.log;
        if self.applier.told_of_field_expiry() {
            // For replicas of this node that do not understand it.
            log.note_field_expiry(start + unit_end as u64);
        }
        log.append_received(&self.dialogue.buffer[..unit_end], &ranges);
        log.notify();
        self.dialogue.buffer.drain(..unit_end);
        self.parsed -= unit_end;
        for (from, to) in self.stream_only.iter_mut().chain(&mut self.queued) {
            *from -= unit_end;
            *to -= unit_end;
        }
    }

    /// Tells the primary how far this node is, if that has changed or it asked.
    ///
    /// Redis and Valkey hear of it when they ask, and once a second, as from their own.
    async fn acknowledge(&mut self) -> io::Result<()> {
        let applied = self.server.log.end();
        let fsynced = self.server.aof.fsynced().min(applied);
        let news = (applied, fsynced) != self.acked && self.dialogue.of_our_kind;
        if !news && !self.asked {
            return Ok(());
        }
        self.acked = (applied, fsynced);
        self.asked = false;
        let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
        let (applied, fsynced) = (digits.0.format(applied), digits.1.format(fsynced));
        let request = format!(
            "*5\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n${}\r\n{applied}\r\n$4\r\nFACK\r\n${}\r\n{fsynced}\r\n",
            applied.len(),
            fsynced.len()
        );
        self.listed.said(request.len());
        self.dialogue.stream.write_all(request.as_bytes()).await
    }
}

/// Whether what is here may be other than what the primary has: clients write here, or this
/// node evicts by itself. Then commands of the primary may fail, and are skipped as in Redis.
fn may_disagree(server: &Server) -> bool {
    let config = server.config.current();
    let tells = config.propagation_error_behavior != "ignore";
    let changes = !config.replica_read_only || !config.replica_ignore_maxmemory;
    !tells && (changes || server.log.is_diverged())
}

/// Whether a command only carries a message to subscribers: those never go into a file.
fn is_message(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"publish") || name.eq_ignore_ascii_case(b"spublish")
}

/// How long to keep quiet about the same trouble.
const TELL_AGAIN: Duration = Duration::from_secs(10);
/// How long to wait before another attempt.
const RETRY: Duration = Duration::from_millis(200);
