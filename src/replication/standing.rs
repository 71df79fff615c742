//! Whether a replica may take over: what it knows of the in-sync set.
//!
//! Who is in sync is the primary's to know; who promotes a replica when the primary is gone
//! (Sentinel) asks the replicas. So the primary tells them: whenever a member joins or is let
//! go, and when a replica attaches, it appends a message to the stream that names the members
//! in sync by their run ids. Not when a link has ended: its replica cannot hear it, and one that
//! is promoted while its primary lives would find its siblings ahead of itself.
//!
//! The message is a `PING` with a text, which stock replicas take like any other `PING`. What
//! must stay true: no client can bring one into the stream. Only writes and messages to
//! subscribers get there from clients, and no `PING` is either, in a script or out of it.
//!
//! Where replies wait for the replicas' files the message says that too, and a replica with
//! `appendfsync everysec` fsyncs at once what it writes: nobody could wait for its second.
//!
//! A replica counts as in sync from the message that names it to the one that does not, or to
//! the next link. That is where its knowledge ends: a primary that lets it go while it cannot
//! hear of it is not noticed here. What it must never do is count too early.

use super::state::ReplicaLink;
use crate::commit::{AckLevel, MemberState};
use crate::execute::Gates;
use crate::protocol::{Args, OwnedArgs};
use crate::server::Server;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a replica knows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    /// Nothing was said, or it is not named.
    #[default]
    Outside,
    /// It is in sync.
    InSync,
    /// The primary is of another make and has no in-sync set.
    Untold,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Standing {
    known: Mutex<Known>,
    /// Whether the primary waits for this replica's file.
    file_awaited: AtomicBool,
    /// Whether, on a primary, the server's level or that of some client is `fsynced`.
    server_awaits_files: AtomicBool,
    client_awaits_files: AtomicBool,
    /// Signalled when the primary should tell its replicas.
    pub(super) changed: tokio::sync::Notify,
}

impl Standing {
    /// The word that `INFO` uses.
    pub fn name(&self) -> &'static str {
        match *self.known.lock() {
            Known::Outside => "no",
            Known::InSync => "yes",
            Known::Untold => "unknown",
        }
    }

    /// A link to a primary begins; what an older one told is forgotten.
    pub(super) fn link_begins(&self, of_our_kind: bool) {
        *self.known.lock() = match of_our_kind {
            true => Known::Outside,
            false => Known::Untold,
        };
        self.file_awaited.store(false, Ordering::SeqCst);
    }

    /// Takes a command of the stream if it is the primary's message; whether it was.
    pub(super) fn take(&self, args: Args<'_>, run_id: &str) -> bool {
        let words = args
            .get(1)
            .and_then(|text| text.strip_prefix(PREFIX.as_bytes()));
        let ours = words.filter(|_| args.len() == 2 && args.is(0, "ping"));
        if let Some(ids) = ours {
            let named = ids.split(|c| *c == b' ').any(|id| id == run_id.as_bytes());
            *self.known.lock() = if named { Known::InSync } else { Known::Outside };
            let files = ids.split(|c| *c == b' ').any(|word| word == FILES);
            self.file_awaited.store(files, Ordering::SeqCst);
        }
        ours.is_some()
    }

    /// Whether the primary waits for this node's file.
    pub fn is_file_awaited(&self) -> bool {
        self.file_awaited.load(Ordering::Relaxed)
    }

    /// Notes the server's level, of which the replicas are told.
    pub fn note_level(&self, level: AckLevel) {
        let files = level == AckLevel::Fsynced;
        if self.server_awaits_files.swap(files, Ordering::SeqCst) != files {
            self.members_changed();
        }
    }

    /// Notes that a client waits for the replicas' files.
    pub fn note_clients_level(&self, level: AckLevel) {
        let files = level == AckLevel::Fsynced;
        if files && !self.client_awaits_files.swap(true, Ordering::SeqCst) {
            self.members_changed();
        }
    }

    fn awaits_files(&self) -> bool {
        let all = [&self.server_awaits_files, &self.client_awaits_files];
        all.iter().any(|files| files.load(Ordering::SeqCst))
    }

    /// Sees to it that the replicas are told who is in sync.
    pub fn members_changed(&self) {
        self.changed.notify_one();
    }
}

/// The priority by which Sentinel chooses: 0, which is never, while this replica may lack a
/// write that was acknowledged.
pub fn priority(server: &Server) -> u64 {
    let configured = server.config.current().replica_priority;
    let loads = server.gates.has(Gates::LOADING);
    let outside = *server.replication.standing.known.lock() == Known::Outside;
    // Where nothing is awaited nothing was promised.
    let promised = server.sync_level() != AckLevel::Async;
    if loads || outside && promised {
        0
    } else {
        configured as u64
    }
}

/// Tells the replicas who is in sync, for as long as the process runs.
pub async fn tell_replicas(server: &'static Server) {
    loop {
        server.replication.standing.changed.notified().await;
        let members = server.authority().members();
        // Held, so that nothing is appended while the role changes.
        let _publishing = server.pubsub.publishing();
        let links = server.replication.links();
        if server.replication.is_replica() || !links.iter().any(|link| link.pushes) {
            continue;
        }
        let in_sync = |link: &&Arc<ReplicaLink>| {
            let mut members = members.iter();
            members.any(|m| m.id == link.id && m.state == MemberState::InSync)
        };
        let named = links.iter().filter(in_sync);
        let mut ids: Vec<&str> = named.filter_map(|link| link.run_id.as_deref()).collect();
        if server.replication.standing.awaits_files() {
            ids.extend(std::str::from_utf8(FILES));
        }
        let mut message = Vec::new();
        OwnedArgs::of(["PING", &format!("{PREFIX}{}", ids.join(" "))])
            .view()
            .encode_into(&mut message);
        server.log.append_stream_only(&message);
        server.log.notify();
    }
}

/// How the message begins.
const PREFIX: &str = "in-sync: ";
/// Said among the ids where the replicas' files are waited for.
const FILES: &[u8] = b"fsync";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_counts_from_the_message_that_names_it() {
        let standing = Standing::default();
        let hear = |text: &str| standing.take(OwnedArgs::of(["PING", text]).view(), "b");
        assert_eq!(standing.name(), "no", "nobody has said anything");
        standing.link_begins(false);
        assert_eq!(standing.name(), "unknown");
        standing.link_begins(true);
        assert!(hear("in-sync: a"));
        assert_eq!(standing.name(), "no");
        assert!(hear("in-sync: a b c"));
        assert_eq!(standing.name(), "yes");
        assert!(!hear("hello a"), "any other");
        let published = OwnedArgs::of(["PUBLISH", "in-sync: ", "a"]);
        assert!(!standing.take(published.view(), "b"), "a client's message");
        assert_eq!(standing.name(), "yes");
        assert!(hear("in-sync: "));
        assert_eq!(standing.name(), "no");
        assert!(hear("in-sync: b") && !standing.is_file_awaited());
        assert!(hear("in-sync: b fsync") && standing.is_file_awaited());
        assert_eq!(standing.name(), "yes");
        standing.link_begins(true);
        assert_eq!(standing.name(), "no");
        assert!(!standing.is_file_awaited());
    }
}
