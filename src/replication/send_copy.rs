//! Sending a full copy to a replica.
//!
//! A copy is an RDB file, of the version that the replica is known to read: straight from the
//! snapshot and ended by a mark, or, for those that do not know marks or where
//! `repl-diskless-sync` is off, through a file, so that its length is known. Nodes of our own
//! kind always get it straight.
//!
//! What must stay true: the copy is the data at the offset that is announced with it, and the
//! cursor keeps the log from there.

use super::primary::Cursor;
use super::shared_copy::{self, Kind};
use super::state::{LinkState, ReplicaLink};
use crate::dump_file;
use crate::net::{Client, ClientKind, ReplicaHello, Stream};
use crate::rdb::Target;
use crate::server::Server;
use crate::snapshot::{Chunks, Form};
use crate::time::Duration;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

/// What was sent.
pub(super) struct Sent {
    /// The offset at which the stream goes on.
    pub offset: u64,
    /// Keeps the log from there.
    pub cursor: Cursor,
    /// The replica must not get the stream before it has acknowledged: it finds the end of the
    /// copy by looking at the last bytes that came.
    pub silent_until_acked: bool,
}

/// Sends a full copy.
pub(super) async fn full_sync(
    server: &'static Server,
    stream: &mut Stream,
    client: &Client,
    link: &Arc<ReplicaLink>,
) -> io::Result<Sent> {
    server.stats.full_syncs.fetch_add(1, Ordering::Relaxed);
    let hello = &client.replica;
    let (kind, form) = rdb_form(server, hello, link.pushes);
    let begin = shared_copy::begin(server, kind, form);
    let copy = keeping_alive(server, stream, begin).await?;
    let copy = copy.ok_or_else(|| io::Error::other("no snapshot could begin"))?;
    let (offset, cursor) = (copy.offset, copy.cursor);
    *link.state.lock() = LinkState::SendSnapshot;
    tracing::info!(replica = %link.id, client = client.id, offset, "full resync begins");
    let mut task = Sending {
        server,
        stream,
        offset,
    };
    if !hello.plain {
        let replid = server.replication.replid();
        let answer = format!("+FULLRESYNC {replid} {offset}\r\n");
        task.send(answer.as_bytes()).await?;
    }
    let knows_marks = hello.capabilities.iter().any(|name| name == "eof");
    let direct = link.pushes || knows_marks && server.config.current().repl_diskless_sync;
    match direct {
        true => task.send_marked(copy.chunks).await?,
        false => task.send_measured(copy.chunks, client.id).await?,
    }
    tracing::info!(replica = %link.id, "full resync sent");
    Ok(Sent {
        offset,
        cursor,
        silent_until_acked: direct && !link.pushes,
    })
}

/// How a file for this replica is made.
fn rdb_form(server: &Server, hello: &ReplicaHello, ours: bool) -> (Kind, Form) {
    let mut form = dump_file::form(server, false);
    let version = match server.config.current().replica_rdb_version {
        _ if ours => OURS,
        Some(version) => version,
        None => readable_by(hello),
    };
    form.keys.target = Target {
        version,
        // Within a group, the time that a copy takes is worth more than the bytes.
        compress: form.keys.target.compress && !ours,
    };
    // Redis 7.0 ends itself when it meets a type that it does not know.
    form.strict = version < OURS && server.config.current().replica_rdb_version.is_none();
    form.without_keys = hello.without_keys;
    let kind = Kind {
        version,
        compress: form.keys.target.compress,
        strict: form.strict,
        without_keys: form.without_keys,
    };
    (kind, Form::Rdb(Box::new(form)))
}

/// Whether a replica understands what the stream says of fields of hashes that expire. Where
/// the operator has said what it reads, nothing is withheld.
pub(super) fn knows_field_expiry(
    server: &Server,
    hello: &ReplicaHello,
    link: &ReplicaLink,
) -> bool {
    // Who serves no clients only looks on.
    let only_looks = link.port == 0;
    let told = server.config.current().replica_rdb_version.is_some();
    link.pushes || only_looks || told || readable_by(hello) >= WITH_FIELD_EXPIRY
}

/// The newest version of the format that a replica is known to read.
fn readable_by(hello: &ReplicaHello) -> u32 {
    if let Some(version) = &hello.version {
        // Only Valkey tells its version.
        let major = version.split('.').next().and_then(|n| n.parse().ok());
        return if major.unwrap_or(0u32) >= 9 { 80 } else { 11 };
    }
    if hello.capabilities.iter().any(|c| c == "rdb-channel-repl") {
        // Redis 8.
        return 12;
    }
    OLDEST
}

/// The first version of the format with fields that expire.
const WITH_FIELD_EXPIRY: u32 = 12;

/// Waits for something and sends an empty line a second meanwhile, so that the replica does
/// not give up.
async fn keeping_alive<T>(
    server: &Server,
    stream: &mut Stream,
    work: impl Future<Output = T>,
) -> io::Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(KEEP_ALIVE, work.as_mut()).await {
            Ok(done) => return Ok(done),
            Err(_) => send(server, stream, b"\n").await?,
        }
    }
}

/// Sends a part of a full copy. A replica that takes nothing within `repl-timeout` is given
/// up: a snapshot waits for it, and others wait for their turn.
async fn send(server: &Server, stream: &mut Stream, part: &[u8]) -> io::Result<()> {
    let timeout = Duration::from_secs(server.config.current().repl_timeout_seconds);
    match tokio::time::timeout(timeout, stream.write_all(part)).await {
        Ok(sent) => {
            let sent_bytes = &server.stats.repl_bytes_out;
            sent_bytes.fetch_add(part.len() as u64, Ordering::Relaxed);
            sent
        }
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the replica took nothing of the full copy within repl-timeout",
        )),
    }
}

struct Sending<'a> {
    server: &'static Server,
    stream: &'a mut Stream,
    offset: u64,
}

impl Sending<'_> {
    /// As it comes, with a mark behind it.
    async fn send_marked(&mut self, mut chunks: Chunks) -> io::Result<()> {
        let mark = crate::random::hex40();
        self.send(format!("$EOF:{mark}\r\n").as_bytes()).await?;
        while let Some(chunk) = chunks.recv().await {
            self.check()?;
            self.send(&chunk.map_err(io::Error::other)?).await?;
        }
        self.send(mark.as_bytes()).await
    }

    /// Through a file, with its length before it.
    async fn send_measured(&mut self, chunks: Chunks, client: u64) -> io::Result<()> {
        let name = format!("temp-repl-{}-{client}.rdb", std::process::id());
        let path = self.server.config.current().dir.join(name);
        let (length, mut chunks) = through_file(path, chunks)?;
        let length = keeping_alive(self.server, self.stream, length).await?;
        let length = length.map_err(|_| io::Error::other("the copy's thread has failed"))??;
        self.send(format!("${length}\r\n").as_bytes()).await?;
        while let Some(chunk) = chunks.recv().await {
            self.check()?;
            self.send(&chunk?).await?;
        }
        Ok(())
    }

    async fn send(&mut self, part: &[u8]) -> io::Result<()> {
        send(self.server, self.stream, part).await
    }

    /// What happens meanwhile waits in the log, and must not grow without bound.
    fn check(&self) -> io::Result<()> {
        let limit = self.server.output_limit(ClientKind::Replica).hard;
        let behind = self.server.log.end() - self.offset;
        match limit > 0 && behind as usize > limit {
            true => Err(io::Error::other(
                "the stream outgrew client-output-buffer-limit during the full resync",
            )),
            false => Ok(()),
        }
    }
}

type Length = oneshot::Receiver<io::Result<u64>>;
type FileChunks = mpsc::Receiver<io::Result<Bytes>>;

/// Writes the snapshot into a file that has no name by the time anybody could look, says how
/// long it is, and reads it again.
fn through_file(path: PathBuf, mut chunks: Chunks) -> io::Result<(Length, FileChunks)> {
    let (tell, length) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    // It lives as long as it is open, whatever becomes of this process.
    std::fs::remove_file(&path)?;
    let mut write = move || -> io::Result<(u64, File)> {
        while let Some(chunk) = chunks.blocking_recv() {
            file.write_all(&chunk.map_err(io::Error::other)?)?;
        }
        let length = file.stream_position()?;
        file.seek(SeekFrom::Start(0))?;
        Ok((length, file.try_clone()?))
    };
    std::thread::Builder::new()
        .name("repl-file".into())
        .spawn(move || {
            let written = write();
            let (length, file) = match written {
                Ok((length, file)) => (Ok(length), Some(file)),
                Err(error) => (Err(error), None),
            };
            // Whoever does not listen has gone.
            if tell.send(length).is_ok()
                && let Some(file) = file
            {
                read_again(file, &sender);
            }
        })?;
    Ok((length, receiver))
}

fn read_again(mut file: File, sender: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let part = Read::by_ref(&mut file)
            .take(CHUNK as u64)
            .read_to_end(&mut chunk);
        let sent = match part {
            Ok(0) => return,
            Ok(_) => sender.blocking_send(Ok(Bytes::from(chunk))),
            Err(error) => sender.blocking_send(Err(error)),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The newest version of the format that Redis has: nodes of our own kind read it.
const OURS: u32 = 12;
/// The version for those that tell nothing of themselves: Redis 7.0 reads it.
const OLDEST: u32 = 10;
/// How long a replica is left without a sign.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Bytes of the file read at once.
const CHUNK: usize = 256 * 1024;
/// Parts of the file on their way.
const CHUNKS_IN_FLIGHT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_get_what_they_read() {
        let hello = |version: Option<&str>, capability: &str| ReplicaHello {
            version: version.map(str::to_owned),
            capabilities: vec![capability.to_owned()],
            ..ReplicaHello::default()
        };
        assert_eq!(readable_by(&hello(None, "eof")), 10);
        assert_eq!(readable_by(&hello(None, "rdb-channel-repl")), 12);
        assert_eq!(readable_by(&hello(Some("8.1.4"), "eof")), 11);
        assert_eq!(readable_by(&hello(Some("9.1.2"), "eof")), 80);
        assert_eq!(readable_by(&hello(Some("nonsense"), "eof")), 11);
    }
}
