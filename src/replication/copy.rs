//! Taking a full copy from a primary.
//!
//! A copy is an RDB file, announced by a length or ended by a mark. It is loaded beside the
//! data, which is served meanwhile, by two threads of its own.
//!
//! What must stay true: the data and the history change together, under every lock; a copy
//! that breaks off leaves both as they were.

use super::copy_file::receive;
use super::handshake::Dialogue;
use super::replica::{LinkError, close_links};
use crate::execute::Gates;
use crate::keyspace::{DbIndex, Keyspace, Libraries, Locked, SHARDS};
use crate::pubsub::Outbox;
use crate::server::Server;
use std::sync::Arc;

/// A copy that a primary has announced.
pub(super) struct Announced<'a> {
    /// The history of which it is one.
    pub replid: &'a str,
    /// The offset at which it was made.
    pub offset: u64,
    /// The role's generation for which it is taken.
    pub generation: u64,
}

/// How the end of a copy is told.
pub(super) enum CopyEnd {
    /// So many bytes.
    Length(u64),
    /// These bytes behind it.
    Mark(Vec<u8>),
}

impl CopyEnd {
    fn parse(header: &str) -> Result<CopyEnd, LinkError> {
        if let Some(mark) = header.strip_prefix("EOF:")
            && mark.len() == MARK_BYTES
        {
            return Ok(CopyEnd::Mark(mark.as_bytes().to_vec()));
        }
        match header.parse() {
            Ok(length) => Ok(CopyEnd::Length(length)),
            Err(_) => Err(LinkError::Protocol(format!(
                "{header:?} where the length of a copy was due"
            ))),
        }
    }
}

/// Receives a full copy in place of the data here; gives the database that the stream after
/// it has selected.
pub(super) async fn take_copy(
    server: &'static Server,
    dialogue: &mut Dialogue,
    announced: &Announced<'_>,
) -> Result<DbIndex, LinkError> {
    let end = CopyEnd::parse(&dialogue.copy_header().await?)?;
    let offset = announced.offset;
    tracing::info!(offset, "full resync with the primary begins");
    let result = take_file(server, dialogue, end, announced).await;
    if result.is_ok() {
        // Replicas of this node must take a copy as well.
        close_links(server);
        server.aof.make_anew(server);
        tracing::info!(offset, "full resync with the primary done");
    }
    if server.gates.has(Gates::TRACKING) {
        let mut outbox = Outbox::default();
        server.tracking.flushed(server, &mut outbox);
        outbox.flush(server);
    }
    result
}

async fn take_file(
    server: &'static Server,
    dialogue: &mut Dialogue,
    end: CopyEnd,
    announced: &Announced<'_>,
) -> Result<DbIndex, LinkError> {
    let keyspace = Arc::new(Keyspace::new(server.keyspace.databases()));
    keyspace.set_epoch(server.keyspace.epoch());
    let replacing = match server.config.current().repl_flush_before_load {
        true => Some(Replacing::begin(server).await),
        false => None,
    };
    let received = receive(server, dialogue, end, &keyspace).await;
    server.scripts.none_running().await;
    let result = received.and_then(|selected| {
        let db = selected.unwrap_or_default();
        install(server, &keyspace, announced, db).map(|()| db)
    });
    // What was loaded in vain, above all.
    server.free_later(Box::new(keyspace));
    if let (Some(replacing), Ok(_)) = (replacing, &result) {
        replacing.done();
    }
    result
}

/// The time in which the data here is neither the old nor the new: nobody sees it, and if it
/// ends before the new is whole (also because nobody waits for it any more), there is none.
struct Replacing {
    server: &'static Server,
    whole: bool,
}

impl Replacing {
    async fn begin(server: &'static Server) -> Self {
        server.scripts.none_running().await;
        server.gates.set(Gates::LOADING, true);
        // The files go on holding the old history until the new one can take its place.
        server.aof.suspend(server);
        flush_everything(server);
        Replacing {
            server,
            whole: false,
        }
    }

    fn done(mut self) {
        self.whole = true;
    }
}

impl Drop for Replacing {
    fn drop(&mut self) {
        if !self.whole {
            flush_everything(self.server);
            let replication = &self.server.replication;
            replication.adopt(&crate::random::hex40(), None);
            self.server.log.restart_at(0);
        }
        self.server.gates.set(Gates::LOADING, false);
    }
}

/// Puts the copy in the place of the data.
fn install(
    server: &'static Server,
    keyspace: &Keyspace,
    announced: &Announced<'_>,
    db: DbIndex,
) -> Result<(), LinkError> {
    // The files go on holding the old history until the new one can take its place.
    server.aof.suspend(server);
    let stream = server.replication.stream_lock();
    let mut locked = Locked::everything(&server.keyspace);
    if !server.replication.is_current(announced.generation) {
        drop((locked, stream));
        // The old history goes on here, and the files with it.
        server.aof.make_anew(server);
        return Err(LinkError::RoleChanged);
    }
    keyspace.make_all();
    for (index, (db, shard)) in locked.shards_mut().enumerate() {
        let fresh = keyspace.database(db).shard(index % SHARDS);
        let old = shard.take_keys(&mut fresh.lock());
        // An offset of the old history says nothing about the new one.
        shard.last_write = 0;
        server.free_later(Box::new(old));
    }
    let libraries = keyspace.functions.get();
    server.keyspace.functions.replace((*libraries).clone());
    begin_history(server, announced, db);
    Ok(())
}

/// Goes on in the primary's history. The caller holds the stream's lock.
fn begin_history(server: &Server, announced: &Announced<'_>, db: DbIndex) {
    server.replication.adopt(announced.replid, None);
    server.log.restart_at(announced.offset);
    server.log.set_selected(db);
    server.watermarks.restart();
    server.log.start_recording();
}

fn flush_everything(server: &'static Server) {
    let mut locked = Locked::everything(&server.keyspace);
    for (_, shard) in locked.shards_mut() {
        server.free_later(Box::new(shard.flush()));
    }
    server.keyspace.functions.replace(Libraries::default());
}

/// Bytes of the mark at the end of a copy.
pub(super) const MARK_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_copy_is_a_length_or_a_mark() {
        let mark = "a".repeat(40);
        assert!(matches!(
            CopyEnd::parse(&format!("EOF:{mark}")),
            Ok(CopyEnd::Mark(found)) if found == mark.as_bytes()
        ));
        assert!(matches!(CopyEnd::parse("176"), Ok(CopyEnd::Length(176))));
        for bad in ["", "EOF:", "EOF:abc", "-1", "x"] {
            assert!(CopyEnd::parse(bad).is_err(), "{bad}");
        }
    }
}
