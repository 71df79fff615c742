//! One connection: read, execute, send, in one poll function.

use super::client::{Client, ReplyMode};
use super::held_share::HeldShare;
use super::mail;
use super::output::{Output, Sent};
use super::registry::{ClientInfo, ClientKind};
use super::request::run_one;
use super::served;
use super::stream::Stream;
use super::window::{Filled, Window};
use super::worker::Worker;
use crate::commit::{AckLevel, Verdict};
use crate::execute::{After, Batch, BlockOn, Gates, Request, Scratch, forget_waiter};
use crate::keyspace::Cause;
use crate::protocol::{Args, Limits, Reply, RequestReader, WireError};
use crate::server::CommandClock;
use crate::time::{self, Instant, UnixMs};
use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// Serves a client until it goes.
///
/// Every connection has this future, however idle: what is large is made and taken apart in
/// functions of its own, or boxed.
pub async fn serve(worker: &Rc<Worker>, stream: Stream) {
    let connection = begin(worker, stream);
    let end = poll_fn(|cx| {
        // While a script of it runs, the connection is the script's.
        let Ok(mut polled) = connection.try_borrow_mut() else {
            return Poll::Pending;
        };
        let result = polled.poll(cx);
        if result.is_pending() && polled.aside == Aside::Wanted {
            polled.aside = Aside::Queued;
            let own = Rc::clone(&connection);
            worker.run_aside(Box::new(move || own.borrow_mut().execute_aside()));
        }
        if polled.burst == Burst::Wanted {
            polled.burst = Burst::Joined;
            drop(polled);
            worker.bursts.join(&connection);
        }
        result
    })
    .await;
    if let Some(link) = finish(worker, connection, end) {
        link.await;
    }
}

fn begin(worker: &Rc<Worker>, stream: Stream) -> Rc<RefCell<Connection>> {
    let connection = Connection::new(worker, stream);
    worker
        .server
        .clients
        .add(Arc::clone(&connection.client.info));
    Rc::new(RefCell::new(connection))
}

/// Takes the connection apart; gives what is to be done with the socket, if anything.
fn finish(
    worker: &Rc<Worker>,
    connection: Rc<RefCell<Connection>>,
    end: End,
) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
    let id = connection.borrow().client.info.id;
    worker.server.clients.remove(id);
    connection.borrow_mut().aside = Aside::Ended;
    // If its script was about to begin, there is nothing to hand on.
    let connection = Rc::try_unwrap(connection).ok()?;
    let Connection {
        stream,
        mut client,
        blocked,
        ..
    } = connection.into_inner();
    if let Some(BlockOn::Keys(wait)) = blocked.map(|blocked| blocked.on) {
        // If it has been served, what that did stands, as in Redis.
        wait.waiter.call_off(Cause::Gone);
        forget_waiter(worker.server, &wait.waiter);
    }
    client.end_transaction(worker.server);
    client.stop_listening(worker.server);
    let End::Replicate { replid, offset } = end else {
        return None;
    };
    let worker = Rc::clone(worker);
    Some(Box::pin(async move {
        crate::replication::serve_replica(&worker, stream, client, replid, offset).await;
    }))
}

/// Why a connection's poll function has ended.
enum End {
    /// The client is gone or must go.
    Closed,
    /// The connection becomes the link to a replica.
    Replicate { replid: String, offset: i64 },
}

/// Whether the connection's requests wait to be executed outside the runtime: scripts are,
/// so that the other tasks of the thread can run when one takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aside {
    No,
    /// The next request is a script.
    Wanted,
    /// The worker has been told.
    Queued,
    /// The connection is gone.
    Ended,
}

/// One client's connection.
pub(super) struct Connection {
    worker: Rc<Worker>,
    stream: Stream,
    client: Client,
    reader: RequestReader,
    /// Bytes of requests that are not complete yet.
    pending: Vec<u8>,
    output: Output,
    /// No more requests are taken; the connection ends when everything has been sent.
    closing: bool,
    blocked: Option<Blocked>,
    aside: Aside,
    burst: Burst,
    /// The socket took less than was to be sent: the next goes by itself, so that it is
    /// noticed when it takes more.
    congested: bool,
    /// The offset for which the worker has been asked to wake this connection.
    asked_for: Option<(AckLevel, u64)>,
    replicate: Option<(String, i64)>,
    /// When the output first exceeded the soft limit.
    over_soft_limit: Option<Instant>,
    /// What this connection adds to the server's count of held bytes.
    held: HeldShare,
    /// The length of the output at which a batch is interrupted.
    full_at: usize,
    /// `pending` begins with requests that were not looked at because the output was full.
    interrupted: bool,
    waker_is_known: bool,
    /// How many of the bytes to be executed were counted as received before.
    counted: usize,
    /// Whether the last batch held more than one request.
    pipelined: bool,
}

/// Whether the output goes with the worker's burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Burst {
    No,
    /// It is to join.
    Wanted,
    /// The worker knows.
    Joined,
}

struct Blocked {
    on: BlockOn,
    /// Whether the client does not want the reply (`CLIENT REPLY`).
    silent: bool,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Connection {
    fn new(worker: &Rc<Worker>, stream: Stream) -> Self {
        let server = worker.server;
        let info = Arc::new(ClientInfo::new(
            server.clients.next_id(),
            &stream,
            worker.index,
        ));
        Connection {
            worker: Rc::clone(worker),
            aside: Aside::No,
            burst: Burst::No,
            congested: false,
            stream,
            client: Client::new(info, !server.requires_password()),
            reader: RequestReader::default(),
            pending: Vec::new(),
            output: Output::default(),
            closing: false,
            blocked: None,
            asked_for: None,
            replicate: None,
            over_soft_limit: None,
            held: HeldShare::new(server),
            full_at: 0,
            interrupted: false,
            waker_is_known: false,
            counted: 0,
            pipelined: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.remember_waker(cx);
        if self.worker.is_held_by_script() {
            self.worker.wake_after_script(cx.waker());
            return Poll::Pending;
        }
        // A client that never stops sending must not starve the others of its worker.
        for _ in 0..READS_PER_TURN {
            if self.client.info.killed.load(Ordering::Relaxed) {
                return Poll::Ready(End::Closed);
            }
            if self.client.info.mailbox.has_mail() {
                self.take_mail();
            }
            if self.poll_unblock(cx).is_pending() {
                return self.poll_blocked(cx);
            }
            match self.poll_send(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Pending,
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => return Poll::Pending,
            }
            let read = self.poll_read(cx);
            let info = &self.client.info;
            info.query_bytes
                .store(self.pending.len(), Ordering::Relaxed);
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(false) => return self.end(cx),
                Poll::Ready(true) => {}
            }
            if self.pipelined && !self.output.is_empty() && !self.interrupted && !self.joins_burst()
            {
                // The replies of a pipeline go after the other connections have had their
                // turn: sent in one burst, they wake a client on another core once and not
                // each time anew. A single reply is not worth another turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        match self.poll_send(cx) {
            Poll::Ready(Err(end)) => Poll::Ready(end),
            _ => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Lets others wake the task. A task's waker is the same at every poll.
    fn remember_waker(&mut self, cx: &Context<'_>) {
        if !self.waker_is_known {
            *self.client.info.waker.lock() = Some(cx.waker().clone());
            self.waker_is_known = true;
        }
    }

    /// Sends what may go. `Ok(true)`: requests may be read; `Ok(false)`: not for now.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, End>> {
        if self.output.is_empty() {
            return Poll::Ready(self.after_sending());
        }
        if self.joins_burst() {
            return Poll::Ready(Ok(true));
        }
        let unsent = self.output.pending();
        if unsent > UNLIMITED && self.output.held.is_empty() && self.exceeds_limits(unsent) {
            return Poll::Ready(Err(self.end_for_output()));
        }
        let server = self.worker.server;
        server.aof.write_through(server);
        let marks = &server.watermarks;
        let sent = match self.output.poll_send(&mut self.stream, cx, marks) {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Closed)),
            Poll::Pending => return Poll::Pending,
        };
        let pending = self.output.pending();
        self.note_sent(pending, sent);
        match sent {
            Sent::All => {
                self.congested = false;
                Poll::Ready(self.after_sending())
            }
            Sent::Held(Verdict::Until(_, level, offset)) => {
                if self.asked_for != Some((level, offset)) {
                    self.asked_for = Some((level, offset));
                    self.worker
                        .wake_when_committed(level, offset, cx.waker().clone());
                }
                if self.closing {
                    return Poll::Ready(Ok(false));
                }
                // What a subscriber gets does not end because its socket is not read.
                let kind = self.client.info.kind();
                if kind == ClientKind::PubSub && self.exceeds_limits(pending) {
                    return Poll::Ready(Err(End::Closed));
                }
                // Only who holds replies itself is stopped by what all hold: it is woken
                // when they leave, and the others soon hold some too.
                let server = self.worker.server;
                let full = pending >= server.held_reply_limit() || server.holds_too_much();
                Poll::Ready(Ok(!full))
            }
            Sent::Held(Verdict::All) => Poll::Ready(Ok(true)),
            Sent::Blocked => {
                if self.exceeds_limits(pending) {
                    return Poll::Ready(Err(self.end_for_output()));
                }
                // Clients send whole pipelines before they read the first reply.
                Poll::Ready(Ok(!self.closing && pending < MOST_UNSENT))
            }
        }
    }

    /// Whether the output is left to the worker's burst.
    #[inline]
    fn joins_burst(&mut self) -> bool {
        let joins = self.worker.bursts.work() && self.may_join();
        if joins && self.burst == Burst::No {
            self.burst = Burst::Wanted;
        }
        joins
    }

    /// Whether the output can go with a burst: in one piece, and nothing is to follow it.
    fn may_join(&mut self) -> bool {
        let marks = &self.worker.server.watermarks;
        !self.closing && !self.congested && self.output.is_one_piece(marks, BURST_PART)
    }

    /// At the burst: whether this connection takes part.
    pub(super) fn is_ready_for_burst(&mut self) -> bool {
        self.burst = Burst::No;
        let ready = self.may_join();
        if !ready && !self.output.is_empty() {
            self.client.info.wake();
        }
        ready
    }

    /// What is to be sent, if it is ready for the burst.
    pub(super) fn burst_part(&self) -> (BorrowedFd<'_>, &[u8]) {
        (self.stream.as_fd(), self.output.rest())
    }

    /// Sends what would be a burst of its own.
    pub(super) fn send_alone(&mut self) {
        let taken = self.stream.try_write(self.output.rest()).ok();
        self.note_burst(taken);
    }

    /// Notes how much of the output has gone with the burst; the rest the connection sends.
    pub(super) fn note_burst(&mut self, taken: Option<usize>) {
        if self.output.note_taken(taken.unwrap_or(0)) {
            self.over_soft_limit = None;
            self.note_sent(0, Sent::All);
        } else {
            self.congested = true;
            self.client.info.wake();
        }
    }

    /// The connection ends; what waits for a burst would be lost.
    fn end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.burst != Burst::No {
            let server = self.worker.server;
            server.aof.write_through(server);
            let marks = &server.watermarks;
            let _ = self.output.poll_send(&mut self.stream, cx, marks);
        }
        Poll::Ready(End::Closed)
    }

    /// Publishes how much has been sent, and how much has not.
    fn note_sent(&mut self, pending: usize, sent: Sent) {
        let info = &self.client.info;
        info.output_bytes.store(pending, Ordering::Relaxed);
        let held = match sent {
            Sent::Held(_) => pending,
            Sent::All | Sent::Blocked => 0,
        };
        info.held_bytes.store(held, Ordering::Relaxed);
        self.held.set(held);
        let sent = std::mem::take(&mut self.output.newly_sent) as u64;
        if sent > 0 {
            add(&self.worker.handle.writes, 1);
            let before = info.bytes_out.load(Ordering::Relaxed);
            info.bytes_out.store(before + sent, Ordering::Relaxed);
            let stats = &self.worker.server.stats;
            stats.bytes_out.fetch_add(sent, Ordering::Relaxed);
        }
    }

    fn after_sending(&mut self) -> Result<bool, End> {
        self.over_soft_limit = None;
        if let Some((replid, offset)) = self.replicate.take() {
            return Err(End::Replicate { replid, offset });
        }
        if self.closing {
            return Err(End::Closed);
        }
        Ok(true)
    }

    #[cold]
    fn end_for_output(&self) -> End {
        tracing::warn!(
            client = self.client.id,
            "closing a client whose replies exceed client-output-buffer-limit"
        );
        let stats = &self.worker.server.stats;
        stats
            .output_limit_disconnections
            .fetch_add(1, Ordering::Relaxed);
        End::Closed
    }

    /// Whether the output exceeds `client-output-buffer-limit`.
    fn exceeds_limits(&mut self, pending: usize) -> bool {
        let limit = self.worker.server.output_limit(self.client.info.kind());
        if limit.hard > 0 && pending > limit.hard {
            return true;
        }
        if limit.soft == 0 || pending <= limit.soft {
            self.over_soft_limit = None;
            return false;
        }
        let since = *self.over_soft_limit.get_or_insert_with(Instant::now);
        since.elapsed().as_secs() >= limit.soft_seconds
    }

    /// Reads once and executes what is complete. `false`: the connection has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.closing {
            return Poll::Pending;
        }
        if self.interrupted {
            self.execute_pending();
            return Poll::Ready(true);
        }
        let worker = Rc::clone(&self.worker);
        let mut shared = worker.read_buffer.borrow_mut();
        if !self.pending.is_empty() {
            return self.poll_read_more(cx);
        }
        let mut buf = ReadBuf::new(&mut shared);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(false),
            Poll::Ready(Ok(())) => {}
        }
        let bytes = buf.filled();
        if bytes.is_empty() {
            return self.peer_closed();
        }
        let used = self.execute(bytes);
        if used < bytes.len() && !self.closing {
            self.pending.extend_from_slice(&bytes[used..]);
        }
        Poll::Ready(true)
    }

    /// Reads to the end of an incomplete request.
    fn poll_read_more(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let limit = self.worker.server.query_buffer_limit();
        let missing = self.reader.missing(self.pending.len());
        // Room for what is announced, but only as it arrives: at most doubling.
        let room = missing.clamp(16 * 1024, self.pending.len().max(64 * 1024));
        self.pending.reserve(room);
        let (have, want) = (self.pending.len(), self.pending.capacity());
        self.pending.resize(want, 0);
        let mut buf = ReadBuf::new(&mut self.pending[have..]);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buf);
        let got = buf.filled().len();
        self.pending.truncate(have + got);
        match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(false),
            Poll::Ready(Ok(())) if got == 0 => return self.peer_closed(),
            Poll::Ready(Ok(())) => {}
        }
        let bytes = std::mem::take(&mut self.pending);
        // The rest was counted when it came.
        self.counted = have;
        let used = self.execute(&bytes);
        if self.closing {
            return Poll::Ready(true);
        }
        if used == 0 {
            self.pending = bytes;
        } else if used < bytes.len() {
            self.pending = bytes[used..].to_vec();
        }
        if self.pending.len() > limit {
            tracing::warn!(
                client = self.client.id,
                "closing a client that reached the query buffer limit"
            );
            let stats = &self.worker.server.stats;
            stats
                .query_limit_disconnections
                .fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(false);
        }
        Poll::Ready(true)
    }

    /// The peer sends no more; what it is owed still goes out.
    fn peer_closed(&mut self) -> Poll<bool> {
        if self.output.is_empty() {
            return Poll::Ready(false);
        }
        self.closing = true;
        Poll::Ready(true)
    }

    /// Executes what was received earlier and had to wait.
    fn execute_pending(&mut self) {
        self.interrupted = false;
        if !self.pending.is_empty() {
            let mut bytes = std::mem::take(&mut self.pending);
            self.counted = bytes.len();
            let used = self.execute(&bytes);
            bytes.drain(..used);
            self.pending = bytes;
        }
    }

    /// Executes a script and what was received behind it. Runs outside the runtime, so that
    /// the worker can let its other tasks run in between.
    fn execute_aside(&mut self) {
        if self.aside != Aside::Queued {
            return;
        }
        self.aside = Aside::No;
        self.blocked = None;
        let mut bytes = std::mem::take(&mut self.pending);
        let worker = Rc::clone(&self.worker);
        // The worker's own buffers stay for those who run meanwhile.
        let mut scratch = worker.spare_scratch.take();
        let mut window = Window::default();
        let used = self.execute_with(&bytes, true, &mut scratch, &mut window);
        worker.spare_scratch.replace(scratch);
        bytes.drain(..used);
        self.pending = bytes;
        self.client.info.wake();
    }

    /// Executes the requests in `bytes` and says how many bytes they took.
    fn execute(&mut self, bytes: &[u8]) -> usize {
        let worker = Rc::clone(&self.worker);
        let mut scratch = worker.scratch.borrow_mut();
        let mut window = worker.window.borrow_mut();
        self.execute_with(bytes, false, &mut scratch, &mut window)
    }

    fn execute_with(
        &mut self,
        bytes: &[u8],
        aside: bool,
        scratch: &mut Scratch,
        window: &mut Window,
    ) -> usize {
        let worker = Rc::clone(&self.worker);
        let server = worker.server;
        let settings = worker.settings();
        let now = time::unix_ms();
        scratch.serve(self.client.id);
        let mut batch = Batch {
            server,
            settings: &settings,
            now,
            scratch,
            aside,
            clock: CommandClock::new(&worker.counts, settings.tracks_latency),
        };
        self.full_at = self.output.out.buf.len() + OUTPUT_AT_ONCE;
        let (mut at, mut executed, mut wanted) = (0, 0, None);
        while at < bytes.len() && self.takes_requests() {
            let limits = Limits {
                max_bulk: settings.max_bulk,
                authenticated: self.client.authenticated,
            };
            // Before authentication, limits may change with every request.
            let most = if limits.authenticated { WINDOW } else { 1 };
            let filled = window.fill(&mut self.reader, bytes, at, &limits, most);
            if window.len() >= PREFETCH_FROM {
                window.prefetch(bytes, &server.keyspace, self.client.db);
            }
            let mut ended = false;
            while self.takes_requests()
                && let Some(next) = window.take(bytes)
            {
                batch.scratch.expect_key(next.args, next.hash);
                let request = Request {
                    args: next.args,
                    raw: &bytes[next.at..next.at + next.len],
                };
                executed += 1;
                at = next.at + next.len;
                if self.run_one(&mut batch, request, &mut wanted) {
                    at = next.at;
                    ended = true;
                }
            }
            batch.scratch.expect_key(Args::new(&[], &[]), None);
            if ended || !self.takes_requests() {
                break;
            }
            match filled {
                Filled::Until(end) if end == at && window.len() == 0 => break,
                Filled::Until(end) => {
                    at = end;
                    if window.len() < most {
                        break;
                    }
                }
                Filled::Apart(start, n) => {
                    executed += 1;
                    at = start + n;
                    let reader = std::mem::take(&mut self.reader);
                    let request = Request {
                        args: reader.args(&bytes[start..]),
                        raw: reader.raw(&bytes[start..], n),
                    };
                    if self.run_one(&mut batch, request, &mut wanted) {
                        at = start;
                    }
                    self.reader = reader;
                }
                Filled::Broken(error) => {
                    server.stats.count_protocol_error();
                    Reply::new(&mut self.output.out, self.client.resp3).error(&error.to_wire());
                    self.closing = true;
                }
            }
        }
        if !self.takes_requests() {
            // Requests after the last executed one are parsed again when their time comes.
            self.reader.reset();
        }
        self.interrupted = self.output_is_full() && at < bytes.len();
        if let Some((level, offset)) = wanted {
            server.watermarks.want(level, offset);
        }
        drop(batch);
        scratch.send_mail(server);
        self.reader.shrink();
        self.pipelined = executed > 1;
        let received = bytes.len() - std::mem::take(&mut self.counted);
        self.after_batch(now, received, executed);
        at
    }

    /// Whether requests are executed as they come.
    #[inline]
    fn takes_requests(&self) -> bool {
        !self.closing && self.blocked.is_none() && !self.output_is_full()
    }

    /// Whether the batch has produced so much that some should be sent first: small requests
    /// can have huge replies.
    #[inline]
    fn output_is_full(&self) -> bool {
        self.output.out.buf.len() >= self.full_at
    }

    /// Executes one request and notes what its reply waits for; whether the request must be
    /// executed again later.
    #[inline]
    fn run_one(
        &mut self,
        batch: &mut Batch<'_>,
        request: Request<'_>,
        wanted: &mut Option<(AckLevel, u64)>,
    ) -> bool {
        let level = self.client.sync_level.unwrap_or(batch.server.sync_level());
        let mode = self.client.reply_mode;
        let (held, after) = run_one(batch, &mut self.client, &mut self.output, request, level);
        *wanted = held.or(*wanted);
        if self.client.info.mailbox.has_mail() {
            self.take_mail();
        }
        self.follow(after, mode)
    }

    /// Puts what others have for this client behind what it has been answered so far.
    #[cold]
    fn take_mail(&mut self) {
        if !self.closing {
            mail::take(&self.client, &mut self.output, self.worker.server);
        }
    }

    /// Does what a command asked the connection to do; whether the request must be executed
    /// again later.
    fn follow(&mut self, after: After, mode: ReplyMode) -> bool {
        match after {
            After::Continue => {}
            After::Close => self.closing = true,
            After::Abort => {
                self.closing = true;
                self.client.info.killed.store(true, Ordering::Relaxed);
            }
            After::Replicate { replid, offset } => {
                self.replicate = Some((replid, offset));
                self.closing = true;
            }
            After::Block(on) => {
                let deadline = match &on {
                    BlockOn::Pause
                    | BlockOn::Aside
                    | BlockOn::Migration
                    | BlockOn::Save { .. }
                    | BlockOn::Shutdown { .. } => None,
                    BlockOn::Keys(wait) => wait.deadline,
                    BlockOn::Replicas { deadline, .. } | BlockOn::Files { deadline, .. } => {
                        *deadline
                    }
                };
                let timer = deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
                // Nobody can end the wait of a paused client, so it does not count as blocked.
                let paused = matches!(on, BlockOn::Pause | BlockOn::Aside);
                if matches!(on, BlockOn::Aside) {
                    self.aside = Aside::Wanted;
                }
                let again = paused || matches!(on, BlockOn::Migration);
                let silent = matches!(mode, ReplyMode::Off | ReplyMode::Skip);
                let postponed = matches!(on, BlockOn::Pause);
                self.client.info.paused.store(postponed, Ordering::Relaxed);
                self.blocked = Some(Blocked { on, silent, timer });
                self.client.info.blocked.store(!paused, Ordering::Relaxed);
                let timed = deadline.is_some();
                self.client.info.timed.store(timed, Ordering::Relaxed);
                return again;
            }
        }
        false
    }

    /// Wakes the log's consumers and publishes what changed.
    fn after_batch(&mut self, now: UnixMs, received: usize, executed: u64) {
        let server = self.worker.server;
        if server.log.is_recording() {
            server.log.notify();
        }
        if server.live.limits_memory() {
            self.worker.watch_memory(received);
        }
        add(&self.worker.handle.reads, 1);
        server.stats.count_batch(received, executed);
        self.client.publish();
        let info = &self.client.info;
        info.active_ms.store(now, Ordering::Relaxed);
        // Only this connection writes them, so nobody's count is lost.
        add(&info.bytes_in, received as u64);
        add(&info.commands, executed);
    }

    /// Whether the connection may go on: it is not blocked, or what it waited for is there.
    fn poll_unblock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(blocked) = &mut self.blocked else {
            return Poll::Ready(());
        };
        let timed_out = match &mut blocked.timer {
            Some(timer) => timer.as_mut().poll(cx).is_ready(),
            None => false,
        };
        let server = self.worker.server;
        if let BlockOn::Keys(wait) = &blocked.on {
            let (client, output) = (&mut self.client, &mut self.output);
            let ended = served::settle(server, wait, timed_out, blocked.silent, client, output);
            match ended {
                Some(goes_on) => self.closing |= !goes_on,
                None => return Poll::Pending,
            }
            return self.go_on(cx);
        }
        let unblocked = self.client.info.unblock.swap(0, Ordering::Relaxed);
        let mut reply = Reply::new(&mut self.output.out, self.client.resp3);
        let again = matches!(
            blocked.on,
            BlockOn::Pause | BlockOn::Aside | BlockOn::Migration
        );
        if unblocked == 2 && !again {
            reply.error(&WireError::fixed(
                "UNBLOCKED client unblocked via CLIENT UNBLOCK",
            ));
        } else {
            let timed_out = timed_out || unblocked == 1;
            let there = server.try_unblock(&blocked.on, timed_out, &mut reply, cx.waker());
            // Asked after the waker is known, so that no answer is missed.
            let answered = matches!(blocked.on, BlockOn::Migration)
                && self.client.migration.as_ref().is_none_or(|m| m.is_done());
            if !there && !answered {
                return Poll::Pending;
            }
            // Who waits for replicas of a primary that is none any more is told, and closed.
            let of_primary = matches!(blocked.on, BlockOn::Replicas { .. } | BlockOn::Files { .. });
            self.closing |= of_primary && server.gates.has(Gates::REPLICA);
        }
        self.go_on(cx)
    }

    /// Ends the wait and executes what was received meanwhile.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.blocked = None;
        self.client.info.blocked.store(false, Ordering::Relaxed);
        self.client.info.paused.store(false, Ordering::Relaxed);
        self.client.info.timed.store(false, Ordering::Relaxed);
        if !self.closing {
            self.execute_pending();
        }
        if self.blocked.is_some() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// While blocked: sends earlier replies and notices when the client goes.
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if !self.output.is_empty() {
            let marks = &self.worker.server.watermarks;
            let sent = self.output.poll_send(&mut self.stream, cx, marks);
            if let Poll::Ready(Ok(sent)) = sent {
                let pending = self.output.pending();
                self.note_sent(pending, sent);
                if sent == Sent::Blocked && self.exceeds_limits(pending) {
                    return Poll::Ready(End::Closed);
                }
            }
            match sent {
                Poll::Ready(Err(_)) => return Poll::Ready(End::Closed),
                Poll::Ready(Ok(Sent::Held(Verdict::Until(_, level, offset))))
                    if self.asked_for != Some((level, offset)) =>
                {
                    self.asked_for = Some((level, offset));
                    self.worker
                        .wake_when_committed(level, offset, cx.waker().clone());
                }
                _ => {}
            }
        }
        let mut more = [0u8; 4096];
        loop {
            if self.pending.len() > self.worker.server.query_buffer_limit() {
                return Poll::Ready(End::Closed);
            }
            let mut buf = ReadBuf::new(&mut more);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(End::Closed),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    return Poll::Ready(End::Closed);
                }
                Poll::Ready(Ok(())) => self.pending.extend_from_slice(buf.filled()),
            }
        }
    }
}

/// How much output one batch may add before some of it is sent.
const OUTPUT_AT_ONCE: usize = 1 << 20;
/// Adds to a counter that one thread writes: cheaper than an atomic addition.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// The longest output that goes with a burst: the others wait for it.
const BURST_PART: usize = 64 * 1024;
/// How often a connection reads before the others get their turn.
const READS_PER_TURN: usize = 8;
/// Replies up to this length count for no limit, as in Redis, in bytes.
const UNLIMITED: usize = 16 * 1024;
/// From how many bytes on that a client does not read, nothing more is read from it.
const MOST_UNSENT: usize = 1 << 30;
/// How many pipelined requests are looked at before they are executed.
const WINDOW: usize = 16;
/// From how many on that pays.
const PREFETCH_FROM: usize = 3;
