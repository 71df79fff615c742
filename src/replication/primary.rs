//! The primary's end of a link to a replica.
//!
//! One poll function sends what is new in the log and reads acknowledgements. It runs on the
//! worker that accepted the connection: everything that connections of that worker append
//! in one turn goes out in one send.

use super::CAPABILITY;
use super::send_copy::{full_sync, knows_field_expiry};
use super::state::{LinkState, ReplicaLink};
use crate::commands::table;
use crate::commit::{AckLevel, Acked, Event, LEVELS};
use crate::net::{Client, ClientKind, Stream, Worker};
use crate::protocol::{Args, Limits, Parsed, RequestReader};
use crate::server::Server;
use crate::time::{Duration, Instant};
use crate::write_log::ConsumerId;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Serves a replica that asked for the stream from `offset` (the next byte, counted from 1
/// as PSYNC does) of the history `replid`.
pub async fn serve_replica(
    worker: &Rc<Worker>,
    mut stream: Stream,
    client: Client,
    replid: String,
    offset: i64,
) {
    let server = worker.server;
    let link = make_link(&stream, &client);
    client
        .info
        .kind
        .store(ClientKind::Replica as u32, Ordering::Relaxed);
    server.clients.add(Arc::clone(&client.info));
    if server.replication.add_link(Arc::clone(&link)) {
        // Its end was not noticed; what the replica had then it may have no more.
        server.authority().tell(Event::Detached(link.id.clone()));
    }
    if let Stream::Tcp(tcp) = &stream
        && server.config.current().repl_disable_tcp_nodelay
    {
        // Whether it works or not, the link does.
        let _ = tcp.set_nodelay(false);
    }
    let result = serve(server, &mut stream, &client, &link, &replid, offset).await;
    if let Err(error) = result {
        tracing::warn!(replica = %link.id, %error, "link to replica ended");
    }
    server.clients.remove(client.id);
    if server.replication.remove_link(&link) {
        server.authority().tell(Event::Detached(link.id.clone()));
    }
    server.wake_ack_waiters();
}

fn make_link(stream: &Stream, client: &Client) -> Arc<ReplicaLink> {
    let peer = stream.peer();
    let peer_host = peer.rsplit_once(':').map_or(&*peer, |(host, _)| host);
    let peer_host = peer_host.trim_matches(['[', ']']);
    let address = client.replica.address.clone();
    let address = address.unwrap_or_else(|| peer_host.to_owned());
    let port = client.replica.port;
    // A replica that does not say where it serves clients is known by its connection.
    let id = if port == 0 {
        peer.clone()
    } else {
        format!("{address}:{port}")
    };
    Arc::new(ReplicaLink {
        id,
        address,
        port,
        client_id: client.id,
        run_id: client.replica.run_id.clone(),
        pushes: client.replica.capabilities.iter().any(|c| c == CAPABILITY),
        state: Mutex::new(LinkState::WaitSnapshot),
        applied: AtomicU64::new(0),
        fsynced: AtomicU64::new(0),
        acked_at: Mutex::new(Instant::now()),
        latency: Mutex::default(),
        closing: AtomicBool::new(false),
    })
}

async fn serve(
    server: &'static Server,
    stream: &mut Stream,
    client: &Client,
    link: &Arc<ReplicaLink>,
    replid: &str,
    offset: i64,
) -> io::Result<()> {
    // PSYNC names the first byte wanted, counted from 1; a cursor is the bytes had.
    let have = u64::try_from(offset - 1).ok();
    let mut input = Vec::new();
    let (start, confirmed, consumer) = match have {
        Some(have)
            if server.replication.shares_history(replid, have)
                && server.log.holds(have)
                && !is_beyond(server, client, link, have) =>
        {
            let cursor = Cursor::new(server, have);
            server.stats.partial_syncs.fetch_add(1, Ordering::Relaxed);
            let answer = format!("+CONTINUE {}\r\n", server.replication.replid());
            stream.write_all(answer.as_bytes()).await?;
            tracing::info!(replica = %link.id, offset = have, "partial resync");
            (have, have, cursor)
        }
        _ => {
            if have.is_some() {
                let refused = &server.stats.refused_partial_syncs;
                refused.fetch_add(1, Ordering::Relaxed);
            }
            let sent = full_sync(server, stream, client, link).await?;
            if client.replica.rdb_only {
                return Ok(());
            }
            if sent.silent_until_acked {
                input = first_ack(server, stream, client, link, sent.offset).await?;
            }
            (sent.offset, 0, sent.cursor)
        }
    };
    *link.state.lock() = LinkState::Online;
    *link.acked_at.lock() = Instant::now();
    link.applied.store(0, Ordering::SeqCst);
    // Who serves no clients only looks on, like `redis-cli --replica`: nobody waits for it.
    if link.pushes || link.port != 0 {
        server
            .authority()
            .tell(Event::Attached(link.id.clone(), confirmed));
    }
    let mut sender = Sender {
        knows_field_expiry: knows_field_expiry(server, &client.replica, link),
        server,
        stream,
        link,
        client,
        consumer,
        cursor: start,
        parts: VecDeque::new(),
        reader: RequestReader::default(),
        heard: Instant::now(),
        input,
        timer: Box::pin(tokio::time::sleep(TIMER)),
        ask_again: None,
        patience: ASK_AGAIN,
    };
    // Acknowledgements that are here already.
    sender.take_acks()?;
    poll_fn(|cx| sender.poll(cx)).await
}

/// Waits until the replica has loaded its copy; gives what it has said.
async fn first_ack(
    server: &Server,
    stream: &mut Stream,
    client: &Client,
    link: &ReplicaLink,
    cursor: u64,
) -> io::Result<Vec<u8>> {
    let mut heard = Instant::now();
    let mut input = Vec::new();
    loop {
        if is_unwanted(client, link) {
            return Err(io::Error::other("closed by this server"));
        }
        let mut space = [0u8; 4096];
        match tokio::time::timeout(TIMER, stream.read(&mut space)).await {
            Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                heard = Instant::now();
                input.extend_from_slice(&space[..n?]);
                // Empty lines say that it is busy loading.
                let said = input.iter().position(|b| !matches!(b, b'\r' | b'\n'));
                input.drain(..said.unwrap_or(input.len()));
                if !input.is_empty() {
                    return Ok(input);
                }
            }
            Err(_) => {}
        }
        let timeout = server.config.current().repl_timeout_seconds;
        if heard.elapsed() > Duration::from_secs(timeout) {
            return Err(io::Error::other("no acknowledgement within repl-timeout"));
        }
        check_lag(server, cursor)?;
    }
}

fn is_unwanted(client: &Client, link: &ReplicaLink) -> bool {
    client.info.killed.load(Ordering::Relaxed) || link.closing.load(Ordering::SeqCst)
}

/// Whether the stream from `have` on tells of what the replica does not understand. The copy
/// that it gets instead may still be one that it can load.
fn is_beyond(server: &Server, client: &Client, link: &ReplicaLink, have: u64) -> bool {
    !knows_field_expiry(server, &client.replica, link)
        && server.log.tells_of_field_expiry_after(have)
}

/// What a replica has not taken stays in the log, but not without bound.
fn check_lag(server: &Server, cursor: u64) -> io::Result<()> {
    let limit = server.output_limit(ClientKind::Replica).hard;
    let behind = server.log.end().saturating_sub(cursor) as usize;
    match limit > 0 && behind > limit {
        true => Err(io::Error::other(
            "the replica is behind by more than client-output-buffer-limit",
        )),
        false => Ok(()),
    }
}

/// A consumer of the log that is removed when dropped.
pub(super) struct Cursor {
    server: &'static Server,
    id: ConsumerId,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Cursor {
    /// Keeps the log from `at` on, and wakes whatever waker is stored when there is more.
    pub(super) fn new(server: &'static Server, at: u64) -> Self {
        let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
        let to_wake = Arc::clone(&waker);
        let id = server.log.add_consumer(at, move || {
            if let Some(waker) = &*to_wake.lock() {
                waker.wake_by_ref();
            }
        });
        Cursor { server, id, waker }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.server.log.remove_consumer(self.id);
    }
}

struct Sender<'a> {
    knows_field_expiry: bool,
    server: &'static Server,
    stream: &'a mut Stream,
    link: &'a Arc<ReplicaLink>,
    client: &'a Client,
    consumer: Cursor,
    cursor: u64,
    parts: VecDeque<Bytes>,
    reader: RequestReader,
    input: Vec<u8>,
    /// When the replica last sent anything: one that loads its copy sends empty lines.
    heard: Instant,
    timer: Pin<Box<tokio::time::Sleep>>,
    /// When to ask once more how far the replica's file is.
    ask_again: Option<Pin<Box<tokio::time::Sleep>>>,
    /// How long to wait before that.
    patience: Duration,
}

impl Sender<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        *self.consumer.waker.lock() = Some(cx.waker().clone());
        if let Err(error) = self.check(cx) {
            return Poll::Ready(Err(error));
        }
        if let Poll::Ready(result) = self.poll_acks(cx) {
            return Poll::Ready(result);
        }
        self.poll_send(cx)
    }

    /// Ends the link when it should end; keeps a timer running for that.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if is_unwanted(self.client, self.link) {
            return Err(io::Error::other("closed by this server"));
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer = Box::pin(tokio::time::sleep(TIMER));
            let timeout = self.server.config.current().repl_timeout_seconds;
            if self.heard.elapsed() > Duration::from_secs(timeout) {
                return Err(io::Error::other("no acknowledgement within repl-timeout"));
            }
            check_lag(self.server, self.cursor)?;
        }
        Ok(())
    }

    /// A replica of another kind acknowledges when it is asked to: once for what has gathered,
    /// if somebody waits for it. The question is a part of the stream.
    fn ask_for_acknowledgement(&mut self, cx: &mut Context<'_>) {
        if self.link.pushes || self.server.replication.is_replica() {
            return;
        }
        let again = match &mut self.ask_again {
            Some(timer) => timer.as_mut().poll(cx).is_ready(),
            None => false,
        };
        let marks = &self.server.watermarks;
        let wanted = LEVELS[1..].iter().map(|level| marks.wanted(*level)).max();
        if again || self.server.replication.must_ask(wanted.unwrap_or(0)) {
            self.ask_again = None;
            let end = self.server.log.append_stream_only(GETACK);
            self.server.replication.asked(end);
            // The links to others like it.
            self.server.log.notify();
        }
    }

    /// What such a replica says of its file is what was fsynced before it was asked: where
    /// that is not enough it is asked again.
    fn ask_again_for_file(&mut self, fsynced: u64) {
        let wanted = self.server.watermarks.wanted(AckLevel::Fsynced);
        let wanted = wanted.max(self.server.replication.wanted_in_files());
        if self.link.pushes || fsynced >= wanted {
            self.patience = ASK_AGAIN;
        } else if self.ask_again.is_none() {
            self.ask_again = Some(Box::pin(tokio::time::sleep(self.patience)));
            self.patience = (2 * self.patience).min(ASK_SELDOM);
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ask_for_acknowledgement(cx);
        loop {
            if self.parts.is_empty() {
                let Ok(read) = self.server.log.read(self.cursor, READ_AT_ONCE) else {
                    return Poll::Ready(Err(io::Error::other("the log no longer reaches back")));
                };
                if read.parts.is_empty() {
                    if self.server.log.wait(self.consumer.id, self.cursor) {
                        return Poll::Pending;
                    }
                    continue;
                }
                if !self.knows_field_expiry
                    && self.server.log.tells_of_field_expiry_after(self.cursor)
                {
                    return Poll::Ready(Err(io::Error::other(NOT_UNDERSTOOD)));
                }
                self.cursor = read.end;
                self.parts.extend(read.parts);
                self.server.log.consumed(self.consumer.id, self.cursor);
            }
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.parts.len().min(slices.len());
            for (slice, part) in slices.iter_mut().zip(&self.parts) {
                *slice = IoSlice::new(part);
            }
            let written = Pin::new(&mut *self.stream).poll_write_vectored(cx, &slices[..count]);
            match written {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(n)) => {
                    let sent = &self.server.stats.repl_bytes_out;
                    sent.fetch_add(n as u64, Ordering::Relaxed);
                    self.sent(n);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn sent(&mut self, mut n: usize) {
        self.server
            .stats
            .bytes_out
            .fetch_add(n as u64, Ordering::Relaxed);
        while let Some(part) = self.parts.front_mut() {
            if n < part.len() {
                part.advance(n);
                return;
            }
            n -= part.len();
            self.parts.pop_front();
        }
        self.link.latency.lock().sent(self.cursor, Instant::now());
    }

    fn poll_acks(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0u8; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut *self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            if buf.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.heard = Instant::now();
            self.input.extend_from_slice(buf.filled());
            if let Err(error) = self.take_acks() {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn take_acks(&mut self) -> io::Result<()> {
        let limits = Limits::default();
        let mut at = 0;
        let mut newest = None;
        loop {
            let rest = &self.input[at..];
            match self.reader.parse(rest, &limits) {
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Nothing(n)) => at += n,
                Ok(Parsed::Request(n)) => {
                    let args = self.reader.args(rest);
                    newest = parse_ack(args).or(newest);
                    self.note_command(&args[0]);
                    at += n;
                }
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
        self.input.drain(..at);
        if self.input.len() > 64 * 1024 {
            return Err(io::Error::other("the replica misbehaved: a huge request"));
        }
        if let Some((applied, fsynced)) = newest {
            self.acknowledged(applied, fsynced)?;
        }
        Ok(())
    }

    /// What `CLIENT LIST` shows.
    fn note_command(&self, name: &[u8]) {
        let info = &self.client.info;
        info.commands.fetch_add(1, Ordering::Relaxed);
        if let Some(command) = table::lookup(name) {
            let place = command.id as u32 + 1;
            info.last_command.store(place, Ordering::Relaxed);
        }
    }

    fn acknowledged(&mut self, applied: u64, fsynced: Option<u64>) -> io::Result<()> {
        let link = self.link;
        if applied > self.cursor {
            return Err(io::Error::other(
                "the replica misbehaved: it acknowledged what it was not sent",
            ));
        }
        if link.closing.load(Ordering::SeqCst) {
            return Err(io::Error::other("closed by this server"));
        }
        let now = Instant::now();
        *link.acked_at.lock() = now;
        link.latency.lock().acknowledged(applied, now);
        link.applied.store(applied, Ordering::SeqCst);
        if let Some(fsynced) = fsynced {
            link.fsynced.store(fsynced.min(applied), Ordering::SeqCst);
            self.ask_again_for_file(fsynced);
        }
        let acked = Acked {
            received: applied,
            applied,
            fsynced: link.fsynced.load(Ordering::SeqCst),
        };
        self.server
            .authority()
            .tell(Event::Acked(link.id.clone(), acked));
        self.server.wake_ack_waiters();
        Ok(())
    }
}

/// `REPLCONF ACK <applied> [FACK <fsynced>]`; anything else a replica says is ignored.
fn parse_ack(args: Args<'_>) -> Option<(u64, Option<u64>)> {
    if !args.is(0, "replconf") || !args.is(1, "ack") {
        return None;
    }
    let number = |i| {
        args.get(i)
            .and_then(crate::number::parse_i64)
            .and_then(|n| u64::try_from(n).ok())
    };
    let fsynced = if args.is(3, "fack") { number(4) } else { None };
    Some((number(2)?, fsynced))
}

const GETACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
/// How long to wait for a replica's file before asking again: twice as long each time, up to
/// a bound.
const ASK_AGAIN: Duration = Duration::from_millis(5);
const ASK_SELDOM: Duration = Duration::from_millis(200);
/// Bytes of the log taken at once.
const READ_AT_ONCE: usize = 1 << 20;
/// How often a link looks at its bounds.
const TIMER: Duration = Duration::from_millis(500);
/// Why a link ends.
const NOT_UNDERSTOOD: &str = "the stream tells of fields of hashes that expire, for which this \
     replica is not known to have commands: its data would differ. \
     See replica-rdb-version";
