//! `FAILOVER`: this primary hands its role to one of its replicas.
//!
//! 1. Writes are held back (`server/pause.rs`); replies that are held go on being released.
//! 2. When the target has acknowledged the whole log and nobody waits for a commit any more,
//!    this node becomes the target's replica, with everything locked, so that the log ends
//!    where the target's does.
//! 3. The link to the target asks with `PSYNC <replid> <offset> FAILOVER`. The target becomes
//!    a primary then and goes on with the stream under a new replication id.
//! 4. The writes that were held back are refused with `-READONLY`: by then the new primary
//!    takes them. If it does not answer, new ones are refused after a moment.
//!
//! What must stay true: no write is executed here between the end that the target has
//! acknowledged and the change of role (but with `FORCE`, which says so). If the target
//! refuses, this node becomes a primary again; if it cannot be reached, the attempt goes on
//! until `FAILOVER ABORT`, because it may have taken the role already.

use super::replica::{become_primary, hand_over};
use super::state::{LinkState, ReplicaLink, Upstream};
use crate::commit::{AckLevel, LEVELS, MemberState};
use crate::protocol::WireError;
use crate::server::{Hold, Server};
use crate::time::{Duration, Instant};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What `FAILOVER` was asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The replica that is to take over; any that is first to have everything if `None`.
    pub target: Option<Upstream>,
    /// When to give up, or to go on without waiting.
    pub deadline: Option<Instant>,
    /// Whether the target takes over at the deadline in any case.
    pub force: bool,
}

/// How far a failover is, in the words of `INFO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    #[default]
    Idle,
    /// A replica is waited for.
    WaitingForSync,
    /// The target is asked to take over.
    InProgress,
}

impl Phase {
    /// The word that `INFO` uses.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Idle => "no-failover",
            Phase::WaitingForSync => "waiting-for-sync",
            Phase::InProgress => "failover-in-progress",
        }
    }
}

/// The failover that runs, if one does. Its lock may be taken under the shards' locks; nothing
/// is locked under it.
#[derive(Default)]
pub struct Failover(Mutex<State>);

#[derive(Default)]
struct State {
    phase: Phase,
    /// Grows with every failover, so that a task of an older one notices.
    run: u64,
}

impl Failover {
    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.0.lock().phase
    }

    fn begin(&self) -> Option<u64> {
        let mut state = self.0.lock();
        if state.phase != Phase::Idle {
            return None;
        }
        state.phase = Phase::WaitingForSync;
        state.run += 1;
        Some(state.run)
    }

    /// Goes from one phase to another; false if the failover was in another meanwhile.
    fn step(&self, run: u64, from: Phase, to: Phase) -> bool {
        let mut state = self.0.lock();
        let fits = state.run == run && state.phase == from;
        if fits {
            state.phase = to;
        }
        fits
    }

    fn is_waiting(&self, run: u64) -> bool {
        let state = self.0.lock();
        state.run == run && state.phase == Phase::WaitingForSync
    }

    fn is_in_progress(&self, run: u64) -> bool {
        let state = self.0.lock();
        state.run == run && state.phase == Phase::InProgress
    }

    /// Ends the failover that runs; what it was doing.
    fn end(&self) -> Phase {
        std::mem::take(&mut self.0.lock().phase)
    }
}

/// Begins a failover.
///
/// # Errors
/// When this node or its replicas are not in a state for it.
pub fn begin(server: &'static Server, plan: Plan) -> Result<(), WireError> {
    let failover = &server.replication.failover;
    if failover.phase() != Phase::Idle {
        return Err(ALREADY);
    }
    if server.replication.is_replica() {
        return Err(NOT_A_PRIMARY);
    }
    let links = server.replication.links();
    if links.is_empty() {
        return Err(NO_REPLICAS);
    }
    if plan.force && (plan.deadline.is_none() || plan.target.is_none()) {
        return Err(FORCE_NEEDS_MORE);
    }
    if let Some(target) = &plan.target {
        let link = links.iter().find(|link| is_target(link, target));
        let link = link.ok_or(NO_SUCH_REPLICA)?;
        if *link.state.lock() != LinkState::Online {
            return Err(NOT_ONLINE);
        }
    }
    let worker = server.workers().first().ok_or(NO_REPLICAS)?;
    let run = failover.begin().ok_or(ALREADY)?;
    server.pause.hold(server, Hold::HandOver);
    tracing::info!(?plan, "failover begins: writes are held back");
    worker.run(Box::new(move |_| {
        tokio::task::spawn_local(wait_for_sync(server, plan, run));
    }));
    Ok(())
}

/// Calls the failover off. If the target was asked already, this node becomes a primary again:
/// the future of that, which must not run while anything is locked.
///
/// # Errors
/// When there is none.
pub fn abort(server: &'static Server) -> Result<impl FnOnce() + Send + 'static, WireError> {
    let phase = server.replication.failover.end();
    if phase == Phase::Idle {
        return Err(NONE_RUNS);
    }
    tracing::warn!("failover is called off");
    Ok(move || {
        if phase == Phase::InProgress {
            become_primary(server);
            note_primary(server, None);
        }
        let_writes_go_on(server);
    })
}

/// The target has taken over, and this node follows it.
pub(super) fn completed(server: &'static Server) {
    if server.replication.failover.end() == Phase::InProgress {
        tracing::info!("failover is done: the target has taken over");
        let_writes_go_on(server);
    }
}

/// The target has refused to take over.
pub(super) fn refused(server: &'static Server, why: &str) {
    if server.replication.failover.end() == Phase::InProgress {
        tracing::warn!(
            error = why,
            "the target refuses to take over; going on as primary"
        );
        become_primary(server);
        note_primary(server, None);
        let_writes_go_on(server);
    }
}

/// This node is asked by its primary to take over (`PSYNC <replid> <offset> FAILOVER`).
///
/// # Errors
/// When it is no replica, or not of that history.
pub fn take_over(server: &'static Server, replid: &str) -> Result<(), WireError> {
    if !server.replication.is_replica() {
        return Err(SENT_TO_PRIMARY);
    }
    if !server.replication.replid().eq_ignore_ascii_case(replid) {
        return Err(OTHER_HISTORY);
    }
    tracing::info!("the primary hands its role over");
    // The old primary is about to attach as the first replica: writes wait for it, so that
    // none is confirmed by this node alone.
    let least = server.config.current().min_insync_replicas;
    let wanted = least.max(usize::from(server.sync_level() != AckLevel::Async));
    if wanted > 0 {
        server.pause.hold(server, Hold::TakeOver);
    }
    become_primary(server);
    note_primary(server, None);
    match server.workers().first() {
        Some(worker) if wanted > 0 => worker.run(Box::new(move |_| {
            tokio::task::spawn_local(wait_for_members(server, wanted));
        })),
        _ => server.pause.release(server, Hold::TakeOver),
    }
    Ok(())
}

/// Lets writes in when enough members are in sync, or `sync-timeout` has passed.
async fn wait_for_members(server: &'static Server, wanted: usize) {
    let begun = Instant::now();
    let limit = Duration::from_millis(server.config.current().sync_timeout_ms);
    while server.authority().in_sync_count() < wanted
        && begun.elapsed() < limit
        && !server.replication.is_replica()
    {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    server.pause.release(server, Hold::TakeOver);
}

/// Lets `CONFIG GET replicaof` and `CONFIG REWRITE` tell whom this node follows now.
pub fn note_primary(server: &Server, upstream: Option<&Upstream>) {
    let words = upstream.map(|node| (node.host.clone(), node.port.to_string()));
    let args: Vec<&[u8]> = match &words {
        Some((host, port)) => vec![host.as_bytes(), port.as_bytes()],
        None => Vec::new(),
    };
    if let Err(error) = server.config.note("replicaof", &args) {
        tracing::warn!(%error, "the configuration does not follow the change of role");
    }
}

async fn wait_for_sync(server: &'static Server, plan: Plan, run: u64) {
    let failover = &server.replication.failover;
    let begun = Instant::now();
    while failover.is_waiting(run) {
        let late = plan.deadline.is_some_and(|at| Instant::now() >= at);
        if late && !plan.force {
            if failover.step(run, Phase::WaitingForSync, Phase::Idle) {
                tracing::warn!("failover timed out: no replica has everything");
                let_writes_go_on(server);
            }
            return;
        }
        server.scripts.none_running().await;
        let forced = if late { plan.target.clone() } else { None };
        if let Some(target) = forced {
            let go = || failover.step(run, Phase::WaitingForSync, Phase::InProgress);
            switch(server, target, go);
            return;
        }
        if let Some(target) = successor(server, &plan, begun) {
            let go = || {
                // Again, now that nothing can be appended.
                let still = successor(server, &plan, begun).as_ref() == Some(&target);
                still && failover.step(run, Phase::WaitingForSync, Phase::InProgress)
            };
            if switch(server, target.clone(), go) {
                return;
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn switch(server: &'static Server, target: Upstream, go: impl FnOnce() -> bool) -> bool {
    let switched = hand_over(server, &target, go);
    if switched {
        note_primary(server, Some(&target));
        tokio::task::spawn_local(refuse_if_overdue(server));
    }
    switched
}

/// A target that answers does so at once: then nobody is refused before it is the primary. One
/// that does not may be gone, and clients are not to hang on that.
async fn refuse_if_overdue(server: &'static Server) {
    let failover = &server.replication.failover;
    let run = failover.0.lock().run;
    tokio::time::sleep(OVERDUE).await;
    if failover.is_in_progress(run) {
        server.pause.is_overdue(server);
    }
}

/// The replica that can take over now: it has everything, and nobody waits for a commit.
fn successor(server: &Server, plan: &Plan, begun: Instant) -> Option<Upstream> {
    let end = server.log.end();
    if !is_settled(server, end, begun) {
        return None;
    }
    let members = server.authority().members();
    let in_sync = |link: &Arc<ReplicaLink>| {
        let member = members.iter().find(|member| member.id == link.id);
        member.is_some_and(|member| member.state == MemberState::InSync)
    };
    let links = server.replication.links();
    let fits = |link: &&Arc<ReplicaLink>| {
        *link.state.lock() == LinkState::Online
            && link.port != 0
            && link.applied.load(Ordering::SeqCst) >= end
            && plan
                .target
                .as_ref()
                .is_none_or(|target| is_target(link, target))
    };
    let best = links.iter().filter(fits).max_by_key(|link| in_sync(link));
    best.map(|link| Upstream {
        host: link.address.clone(),
        port: link.port,
    })
}

/// Whether every reply that waits for a commit has got it, or its error.
fn is_settled(server: &Server, end: u64, begun: Instant) -> bool {
    // A wait is noted shortly after its write. After a moment, who has not asked never will.
    let all_noted = begun.elapsed() > Duration::from_millis(100);
    LEVELS.into_iter().all(|level| {
        let marks = &server.watermarks;
        let everything = level == server.sync_level() && !all_noted;
        let awaited = if everything {
            end
        } else {
            marks.wanted(level).min(end)
        };
        marks.committed(level) >= awaited || marks.uncertain() >= awaited
    })
}

fn is_target(link: &ReplicaLink, target: &Upstream) -> bool {
    link.port == target.port && link.address.eq_ignore_ascii_case(&target.host)
}

fn let_writes_go_on(server: &Server) {
    server.pause.release(server, Hold::HandedOver);
    server.pause.release(server, Hold::HandOver);
}

/// How long writes wait for a target that was asked to take over.
const OVERDUE: Duration = Duration::from_millis(250);
/// How often to look at what the replicas have.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The answer to a change of role by hand while a failover runs.
pub const FAILING_OVER: WireError =
    WireError::fixed("ERR REPLICAOF not allowed while failing over.");
/// The answer to a replica that asks for the stream meanwhile.
pub const NO_STREAM: WireError = WireError::fixed("NOMASTERLINK Can't SYNC while failing over");
const ALREADY: WireError = WireError::fixed("ERR FAILOVER already in progress.");
const NONE_RUNS: WireError = WireError::fixed("ERR No failover in progress.");
const NOT_A_PRIMARY: WireError =
    WireError::fixed("ERR FAILOVER is not valid when server is a replica.");
const NO_REPLICAS: WireError = WireError::fixed("ERR FAILOVER requires connected replicas.");
const FORCE_NEEDS_MORE: WireError = WireError::fixed(
    "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
);
const NO_SUCH_REPLICA: WireError =
    WireError::fixed("ERR FAILOVER target HOST and PORT is not a replica.");
const NOT_ONLINE: WireError = WireError::fixed("ERR FAILOVER target replica is not online.");
const SENT_TO_PRIMARY: WireError =
    WireError::fixed("ERR PSYNC FAILOVER can't be sent to a master.");
const OTHER_HISTORY: WireError =
    WireError::fixed("ERR PSYNC FAILOVER replid must match my replid.");
