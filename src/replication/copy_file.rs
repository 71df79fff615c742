//! Loading an RDB file while it arrives from a primary.
//!
//! ```text
//! socket ──► link's task ──► bounded channel ──► thread: reader ──► keyspace of its own
//! ```
//! The file itself tells where it ends; what came behind it goes back to the dialogue. The
//! link's task stops reading the socket while the channel is full.

use super::copy::{CopyEnd, MARK_BYTES};
use super::handshake::{Dialogue, HandshakeError};
use super::replica::LinkError;
use crate::dump_file::{self, Expired};
use crate::keyspace::{DbIndex, Keyspace};
use crate::rdb::{FileReader, RdbError};
use crate::server::Server;
use crate::time::Instant;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What the loading thread has to say at its end.
type Outcome = Result<Loaded, RdbError>;

struct Loaded {
    file: dump_file::Loaded,
    bytes: u64,
    /// What was taken from the channel and not used.
    unused: Vec<u8>,
    /// The channel.
    chunks: ChunkReader,
}

/// Loads the file into `keyspace`; gives the database that the stream after it has selected,
/// if the file says so.
pub(super) async fn receive(
    server: &'static Server,
    dialogue: &mut Dialogue,
    end: CopyEnd,
    keyspace: &Arc<Keyspace>,
) -> Result<Option<DbIndex>, LinkError> {
    let begun = Instant::now();
    let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let outcome = start_loading(server, chunks, Arc::clone(keyspace))?;
    let length = match &end {
        CopyEnd::Length(length) => Some(*length),
        CopyEnd::Mark(_) => None,
    };
    let loaded = feed(server, dialogue, length, sender, outcome).await?;
    take_end(dialogue, &end, &loaded).await?;
    tracing::info!(
        keys = loaded.file.keys,
        bytes = loaded.bytes,
        seconds = begun.elapsed().as_secs_f64(),
        "the primary's copy is loaded"
    );
    server
        .dump_file
        .loaded(loaded.file.keys, loaded.file.expired);
    Ok(loaded.file.selected)
}

fn start_loading(
    server: &'static Server,
    chunks: mpsc::Receiver<Vec<u8>>,
    keyspace: Arc<Keyspace>,
) -> io::Result<oneshot::Receiver<Outcome>> {
    let (tell, outcome) = oneshot::channel();
    let checks = server.config.current().rdbchecksum;
    let load = move || -> Outcome {
        let chunks = ChunkReader {
            chunks,
            current: Vec::new(),
            at: 0,
        };
        let mut reader = FileReader::new(chunks, checks)?;
        // Whether a key has expired is for the primary to say.
        let file = dump_file::load_beside(server, &keyspace, &mut reader, Expired::Taken)?;
        let bytes = reader.offset();
        let (unused, chunks) = reader.into_rest();
        Ok(Loaded {
            file,
            bytes,
            unused,
            chunks,
        })
    };
    std::thread::Builder::new()
        .name("load".into())
        .spawn(move || {
            // Nobody listens any more when the link has ended.
            let _ = tell.send(load());
        })?;
    Ok(outcome)
}

/// Hands what arrives to the loading thread, `length` bytes at most, until that has finished.
async fn feed(
    server: &'static Server,
    dialogue: &mut Dialogue,
    length: Option<u64>,
    sender: mpsc::Sender<Vec<u8>>,
    mut outcome: oneshot::Receiver<Outcome>,
) -> Result<Loaded, LinkError> {
    let mut left = length.unwrap_or(u64::MAX);
    while left > 0 {
        let permit = tokio::select! {
            biased;
            done = &mut outcome => return finished(done, dialogue),
            permit = sender.reserve() => permit,
        };
        let Ok(permit) = permit else { break };
        if dialogue.buffer.is_empty() {
            tokio::select! {
                biased;
                done = &mut outcome => return finished(done, dialogue),
                read = dialogue.fill() => server.note_from_primary(read?),
            }
        }
        let chunk = match usize::try_from(left) {
            Ok(left) if left < dialogue.buffer.len() => dialogue.buffer.drain(..left).collect(),
            _ => std::mem::take(&mut dialogue.buffer),
        };
        left -= chunk.len() as u64;
        permit.send(chunk);
    }
    // A file that wants more than was announced finds its end.
    drop(sender);
    finished(outcome.await, dialogue)
}

/// The loading thread has ended; what it was given too much of goes back.
fn finished(
    outcome: Result<Outcome, oneshot::error::RecvError>,
    dialogue: &mut Dialogue,
) -> Result<Loaded, LinkError> {
    let outcome = outcome.map_err(|_| io::Error::other("the loading thread has failed"))?;
    let mut loaded = outcome.map_err(LinkError::Copy)?;
    let mut rest = std::mem::take(&mut loaded.unused);
    loaded.chunks.drain_into(&mut rest);
    rest.append(&mut dialogue.buffer);
    dialogue.buffer = rest;
    Ok(loaded)
}

/// Looks whether the file ended where it should.
async fn take_end(
    dialogue: &mut Dialogue,
    end: &CopyEnd,
    loaded: &Loaded,
) -> Result<(), LinkError> {
    let whole = match end {
        CopyEnd::Length(length) => loaded.bytes == *length,
        CopyEnd::Mark(mark) => {
            while dialogue.buffer.len() < MARK_BYTES {
                dialogue.fill().await.map_err(HandshakeError::from)?;
            }
            dialogue.buffer.drain(..MARK_BYTES).eq(mark.iter().copied())
        }
    };
    match whole {
        true => Ok(()),
        false => Err(LinkError::Protocol(format!(
            "the full copy does not end with its file, which has {} bytes",
            loaded.bytes
        ))),
    }
}

/// What comes through the channel, to read.
struct ChunkReader {
    chunks: mpsc::Receiver<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl ChunkReader {
    /// Appends everything that nobody has read.
    fn drain_into(&mut self, out: &mut Vec<u8>) {
        self.chunks.close();
        out.extend_from_slice(&self.current[self.at..]);
        self.at = self.current.len();
        while let Ok(chunk) = self.chunks.try_recv() {
            out.extend_from_slice(&chunk);
        }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            match self.chunks.blocking_recv() {
                Some(chunk) => (self.current, self.at) = (chunk, 0),
                None => return Ok(0),
            }
        }
        let n = out.len().min(self.current.len() - self.at);
        out[..n].copy_from_slice(&self.current[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Chunks on their way to the loading thread.
const CHUNKS_IN_FLIGHT: usize = 16;
