//! One snapshot for all replicas that wait for a full copy of the same form.
//!
//! Snapshots take turns. Whoever comes while one runs waits for the next, together with the
//! others that wait for the same: when it begins, each of them gets a cursor on the log at its
//! instant and a channel of its own, and a task hands every part of the snapshot to all.
//!
//! The slowest sets the pace, as far as its channel is full; who takes nothing is given up by
//! its own link within `repl-timeout` and left out from then on. When nobody is left, the
//! snapshot is given up.

use super::Role;
use super::primary::Cursor;
use crate::server::Server;
use crate::snapshot::{self, Chunks, Form, Pace};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// How the file of a copy is made: those who want the same can share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The version of the format.
    pub version: u32,
    /// Whether strings are compressed.
    pub compress: bool,
    /// Whether it fails on what the version cannot hold.
    pub strict: bool,
    /// Whether it holds no keys.
    pub without_keys: bool,
}

/// A copy of the data, and a cursor on the stream that continues it.
pub(super) struct Copy {
    /// The offset at which the copy was made.
    pub offset: u64,
    /// The copy.
    pub chunks: Chunks,
    /// Keeps the log from `offset` on.
    pub cursor: Cursor,
}

/// Who waits for a snapshot to begin.
#[derive(Default)]
pub struct Sharing(Mutex<Vec<Group>>);

struct Group {
    kind: Kind,
    waiting: Vec<oneshot::Sender<Copy>>,
}

impl Sharing {
    /// Joins those who wait for the same; whether there were any.
    fn join(&self, kind: Kind, who: oneshot::Sender<Copy>) -> bool {
        let mut groups = self.0.lock();
        if let Some(group) = groups.iter_mut().find(|group| group.kind == kind) {
            group.waiting.push(who);
            return true;
        }
        let waiting = vec![who];
        groups.push(Group { kind, waiting });
        false
    }

    fn take(&self, kind: Kind) -> Vec<oneshot::Sender<Copy>> {
        let mut groups = self.0.lock();
        let at = groups.iter().position(|group| group.kind == kind);
        at.map(|at| groups.swap_remove(at).waiting)
            .unwrap_or_default()
    }
}

/// A copy of the data in this form, as soon as it is its turn; `None` if the server stops.
pub(super) async fn begin(server: &'static Server, kind: Kind, form: Form) -> Option<Copy> {
    let (tell, copy) = oneshot::channel();
    if !server.replication.sharing.join(kind, tell) {
        // A task of its own: it must go on if the link that began it ends.
        tokio::task::spawn_local(lead(server, kind, form));
    }
    copy.await.ok()
}

async fn lead(server: &'static Server, kind: Kind, form: Form) {
    let begun = snapshot::begin_with(server, "full resync", form, Pace::Abreast, |instant| {
        // Whoever comes from here on waits for another.
        let waiting = server.replication.sharing.take(kind);
        let offset = instant.offset;
        if matches!(server.replication.role(), Role::Primary) {
            // As with Redis, the stream says first where it goes on: there are readers that do
            // not look into the file for it. What a replica passes on is not its own to add to.
            server.log.forget_selected();
        }
        let start = |tell: oneshot::Sender<Copy>| {
            let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
            let cursor = Cursor::new(server, offset);
            let copy = Copy {
                offset,
                chunks,
                cursor,
            };
            // Some have gone meanwhile.
            tell.send(copy).ok().map(|()| sender)
        };
        waiting.into_iter().filter_map(start).collect::<Vec<_>>()
    });
    let (mut takers, mut chunks) = begun.await;
    if takers.len() > 1 {
        tracing::info!(replicas = takers.len(), "replicas share a snapshot");
    }
    while let Some(chunk) = chunks.recv().await {
        let mut left = Vec::with_capacity(takers.len());
        for taker in takers {
            if taker.send(chunk.clone()).await.is_ok() {
                left.push(taker);
            }
        }
        if left.is_empty() {
            return;
        }
        takers = left;
    }
}

/// Parts of the copy on their way to one replica.
const CHUNKS_IN_FLIGHT: usize = 16;
