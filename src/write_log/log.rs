//! The log itself. Innermost lock of all; held for the copy of one effect.

use crate::keyspace::DbIndex;
use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// See the module's documentation.
pub struct WriteLog {
    inner: Mutex<Inner>,
    end: AtomicU64,
    recording: AtomicBool,
    /// Whether the bytes are a primary's: see [`WriteLog::follow`].
    following: AtomicBool,
    /// Whether the data here is no longer what the log says: see [`WriteLog::is_diverged`].
    diverged: AtomicBool,
    /// The end of the newest effect that tells of fields of hashes that expire.
    field_expiry: AtomicU64,
    consumers: RwLock<Vec<Arc<Consumer>>>,
}

struct Inner {
    /// The database that the stream has selected; unknown after a break in the stream.
    selected: Option<DbIndex>,
    frozen: VecDeque<(u64, Bytes)>,
    kept_from: u64,
    tail: BytesMut,
    tail_start: u64,
    /// Ranges that belong to the replication stream and not to the file.
    stream_only: VecDeque<(u64, u64)>,
    backlog: u64,
    next_consumer: u64,
    /// A chunk was begun since the log was last trimmed.
    grew: bool,
}

struct Consumer {
    id: ConsumerId,
    /// Everything before this offset has been consumed.
    at: AtomicU64,
    waiting: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Names a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerId(u64);

/// Part of the log.
#[derive(Debug, Default)]
pub struct Read {
    /// The bytes, in order.
    pub parts: Vec<Bytes>,
    /// The offset after the last byte.
    pub end: u64,
    /// The ranges among them that do not belong in the append-only file.
    pub stream_only: Vec<(u64, u64)>,
}

/// The offset asked for is not in the log (any more).
#[derive(Debug, PartialEq, Eq)]
pub struct NotKept;

impl WriteLog {
    /// An empty log whose next byte follows `offset`; `backlog` in bytes.
    pub fn new(offset: u64, backlog: u64) -> Self {
        WriteLog {
            inner: Mutex::new(Inner {
                selected: None,
                frozen: VecDeque::new(),
                kept_from: offset,
                tail: BytesMut::new(),
                tail_start: offset,
                stream_only: VecDeque::new(),
                backlog,
                next_consumer: 0,
                grew: false,
            }),
            end: AtomicU64::new(offset),
            recording: AtomicBool::new(false),
            following: AtomicBool::new(false),
            diverged: AtomicBool::new(false),
            field_expiry: AtomicU64::new(0),
            consumers: RwLock::new(Vec::new()),
        }
    }

    /// The offset after the newest byte.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::SeqCst)
    }

    /// Whether effects are recorded at all: not before somebody needs them.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Acquire)
    }

    /// Starts recording. To have a complete stream from a known state on, the caller holds
    /// the locks of all shards or knows that no write runs.
    pub fn start_recording(&self) {
        self.recording.store(true, Ordering::Release);
    }

    /// From here on the log takes nothing but what a primary sends: what clients write on a
    /// writable replica changes the data and has no offset, since the bytes at an offset are the
    /// same on every node. The caller holds the locks of all shards.
    pub fn follow(&self) {
        self.following.store(true, Ordering::SeqCst);
    }

    /// From here on the log takes this node's own effects. The caller holds the locks of all
    /// shards. Whether the data differs from what the log says.
    pub fn lead(&self) -> bool {
        self.following.store(false, Ordering::SeqCst);
        self.diverged.swap(false, Ordering::SeqCst)
    }

    /// Whether the log is a primary's.
    #[inline]
    pub fn is_following(&self) -> bool {
        self.following.load(Ordering::SeqCst)
    }

    /// Whether something was written here, while a primary was followed, that is not in the log.
    pub fn is_diverged(&self) -> bool {
        self.diverged.load(Ordering::SeqCst)
    }

    /// Whether an effect of this node goes into the log.
    #[inline]
    fn takes_effects(&self) -> bool {
        if self.is_following() {
            self.diverged.store(true, Ordering::SeqCst);
            return false;
        }
        self.is_recording()
    }

    /// Appends one effect (a command, or several as one transaction) that was executed in
    /// `db`, and gives the offset after it. The caller holds the locks of the keys touched.
    #[inline]
    pub fn append(&self, db: DbIndex, effect: &[u8]) -> u64 {
        self.append_effect::<false>(db, effect)
    }

    /// The same, for an effect that tells of fields of hashes that expire.
    pub fn append_with_field_expiry(&self, db: DbIndex, effect: &[u8]) -> u64 {
        self.append_effect::<true>(db, effect)
    }

    #[inline]
    fn append_effect<const FIELD_EXPIRY: bool>(&self, db: DbIndex, effect: &[u8]) -> u64 {
        if !self.takes_effects() {
            return self.end();
        }
        let mut inner = self.inner.lock();
        if inner.selected != Some(db) {
            inner.select(db);
        }
        let end = inner.push(effect);
        if FIELD_EXPIRY {
            // Under the lock: whoever reads the effect sees the mark.
            self.field_expiry.store(end, Ordering::SeqCst);
        }
        self.trim_after_growth(&mut inner);
        self.end.store(end, Ordering::SeqCst);
        end
    }

    /// Notes that what will be received up to `end` tells of fields that expire.
    pub fn note_field_expiry(&self, end: u64) {
        self.field_expiry.fetch_max(end, Ordering::SeqCst);
    }

    /// Whether what comes after `from` tells, or may tell, of fields that expire. To be asked
    /// after that has been read.
    pub fn tells_of_field_expiry_after(&self, from: u64) -> bool {
        self.field_expiry.load(Ordering::SeqCst) > from
    }

    /// Appends bytes that belong to the replication stream alone: pings and messages.
    pub fn append_stream_only(&self, bytes: &[u8]) -> u64 {
        if !self.is_recording() || self.is_following() {
            return self.end();
        }
        let mut inner = self.inner.lock();
        let start = inner.end();
        let end = inner.push(bytes);
        self.trim_after_growth(&mut inner);
        match inner.stream_only.back_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => inner.stream_only.push_back((start, end)),
        }
        self.end.store(end, Ordering::SeqCst);
        end
    }

    /// Appends bytes received from a primary, unchanged, so that offsets agree along the
    /// chain. `stream_only` are the absolute ranges among them that stay out of the file.
    pub fn append_received(&self, bytes: &[u8], stream_only: &[(u64, u64)]) -> u64 {
        let mut inner = self.inner.lock();
        inner.stream_only.extend(stream_only);
        let end = inner.push(bytes);
        self.trim_after_growth(&mut inner);
        self.end.store(end, Ordering::SeqCst);
        end
    }

    /// Forgets which database the stream has selected, so that the next effect says so.
    pub fn forget_selected(&self) {
        self.inner.lock().selected = None;
    }

    /// The database that the stream has selected at its end; `None` when the next effect
    /// will say so.
    pub fn selected(&self) -> Option<DbIndex> {
        self.inner.lock().selected
    }

    /// Notes which database the stream has selected, where somebody else wrote it.
    pub fn set_selected(&self, db: DbIndex) {
        self.inner.lock().selected = Some(db);
    }

    /// Continues at another offset with an empty backlog (after a full resync). Cursors are
    /// moved there too.
    pub fn restart_at(&self, offset: u64) {
        let mut inner = self.inner.lock();
        inner.frozen.clear();
        inner.stream_only.clear();
        inner.tail = BytesMut::new();
        inner.tail_start = offset;
        inner.kept_from = offset;
        inner.selected = None;
        self.field_expiry.store(0, Ordering::SeqCst);
        self.diverged.store(false, Ordering::SeqCst);
        for consumer in self.consumers.read().iter() {
            consumer.at.store(offset, Ordering::SeqCst);
        }
        self.end.store(offset, Ordering::SeqCst);
    }

    /// Whether the log holds everything after `offset`.
    pub fn holds(&self, offset: u64) -> bool {
        let inner = self.inner.lock();
        self.is_recording() && (inner.kept_from..=inner.end()).contains(&offset)
    }

    /// The oldest offset from which the log is complete.
    pub fn kept_from(&self) -> u64 {
        self.inner.lock().kept_from
    }

    /// Sets the size of the backlog in bytes.
    pub fn set_backlog(&self, bytes: u64) {
        self.inner.lock().backlog = bytes;
    }

    /// Everything after `from`, up to about `most` bytes.
    ///
    /// # Errors
    /// [`NotKept`] when that part of the log is gone or yet to come.
    pub fn read(&self, from: u64, most: usize) -> Result<Read, NotKept> {
        let mut inner = self.inner.lock();
        if from < inner.kept_from || from > inner.end() {
            return Err(NotKept);
        }
        inner.freeze();
        let first = inner
            .frozen
            .partition_point(|(start, bytes)| start + bytes.len() as u64 <= from);
        let mut read = Read {
            end: from,
            ..Read::default()
        };
        for (start, bytes) in inner.frozen.range(first..) {
            if (read.end - from) as usize >= most {
                break;
            }
            let skip = (read.end - start) as usize;
            read.parts.push(bytes.slice(skip..));
            read.end = start + bytes.len() as u64;
        }
        let (low, high) = (from, read.end);
        let ranges = &inner.stream_only;
        let first = ranges.partition_point(|(_, end)| *end <= low);
        let within = ranges.range(first..).take_while(|(start, _)| *start < high);
        read.stream_only = within.copied().collect();
        inner.trim(self.oldest_cursor());
        Ok(read)
    }

    /// Adds a consumer that has everything before `at`; `wake` is called, from the thread of
    /// a writer, when it waits and there is something new.
    pub fn add_consumer(&self, at: u64, wake: impl Fn() + Send + Sync + 'static) -> ConsumerId {
        let mut inner = self.inner.lock();
        inner.next_consumer += 1;
        let id = ConsumerId(inner.next_consumer);
        self.consumers.write().push(Arc::new(Consumer {
            id,
            at: AtomicU64::new(at),
            waiting: AtomicBool::new(true),
            wake: Box::new(wake),
        }));
        id
    }

    /// Takes a consumer away.
    pub fn remove_consumer(&self, id: ConsumerId) {
        self.consumers.write().retain(|c| c.id != id);
    }

    /// Notes how far a consumer has got, so that the log before may be dropped.
    pub fn consumed(&self, id: ConsumerId, at: u64) {
        if let Some(consumer) = self.consumers.read().iter().find(|c| c.id == id) {
            consumer.at.store(at, Ordering::SeqCst);
        }
    }

    /// Bytes that the consumer has not had yet; 0 if there is no such consumer.
    pub fn behind(&self, id: ConsumerId) -> u64 {
        let consumers = self.consumers.read();
        let at = consumers.iter().find(|c| c.id == id);
        let at = at.map(|consumer| consumer.at.load(Ordering::SeqCst));
        at.map_or(0, |at| self.end().saturating_sub(at))
    }

    /// Says that the consumer, which has everything before `at`, wants to be woken; false
    /// when there is something new already and it should not wait.
    pub fn wait(&self, id: ConsumerId, at: u64) -> bool {
        if let Some(consumer) = self.consumers.read().iter().find(|c| c.id == id) {
            consumer.waiting.store(true, Ordering::SeqCst);
        }
        self.end() <= at
    }

    /// Wakes the consumers that wait. Writers call this once for a batch, without locks.
    #[inline]
    pub fn notify(&self) {
        for consumer in self.consumers.read().iter() {
            if consumer.waiting.load(Ordering::SeqCst)
                && consumer.waiting.swap(false, Ordering::SeqCst)
            {
                (consumer.wake)();
            }
        }
    }

    #[inline]
    fn trim_after_growth(&self, inner: &mut Inner) {
        if inner.grew {
            inner.grew = false;
            inner.trim(self.oldest_cursor());
        }
    }

    fn oldest_cursor(&self) -> u64 {
        let consumers = self.consumers.read();
        let cursors = consumers.iter().map(|c| c.at.load(Ordering::SeqCst));
        cursors.min().unwrap_or(u64::MAX)
    }
}

impl Inner {
    fn end(&self) -> u64 {
        self.tail_start + self.tail.len() as u64
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) -> u64 {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.grow(bytes.len());
        }
        self.tail.extend_from_slice(bytes);
        self.end()
    }

    /// Makes room: a new chunk, so that the old one can be dropped when it is consumed.
    #[cold]
    fn grow(&mut self, need: usize) {
        self.freeze();
        self.tail = BytesMut::with_capacity(need.max(CHUNK));
        self.grew = true;
    }

    fn select(&mut self, db: DbIndex) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(db.0);
        let command = format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{digits}\r\n", digits.len());
        self.push(command.as_bytes());
        self.selected = Some(db);
    }

    fn freeze(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            let start = self.tail_start;
            self.tail_start += bytes.len() as u64;
            self.frozen.push_back((start, bytes));
        }
    }

    fn trim(&mut self, cursor: u64) {
        let keep = self.end().saturating_sub(self.backlog).min(cursor);
        while let Some((start, bytes)) = self.frozen.front() {
            let chunk_end = start + bytes.len() as u64;
            if chunk_end > keep {
                break;
            }
            self.kept_from = chunk_end;
            self.frozen.pop_front();
        }
        while self
            .stream_only
            .front()
            .is_some_and(|(_, e)| *e <= self.kept_from)
        {
            self.stream_only.pop_front();
        }
    }
}

/// Bytes of one chunk of the tail.
const CHUNK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(log: &WriteLog, from: u64) -> Vec<u8> {
        log.read(from, usize::MAX).expect("kept").parts.concat()
    }

    #[test]
    fn nothing_is_recorded_before_somebody_needs_it() {
        let log = WriteLog::new(10, 1000);
        assert_eq!(log.append(DbIndex(0), b"x"), 10);
        log.start_recording();
        let end = log.append(DbIndex(0), b"x");
        assert_eq!(end, 10 + 23 + 1, "a SELECT goes first");
        assert_eq!(log.append(DbIndex(0), b"yz"), end + 2);
        assert_eq!(all(&log, end), b"yz");
        assert_eq!(all(&log, 10).len(), 26);
    }

    #[test]
    fn cursors_read_slices_and_the_backlog_is_bounded() {
        let log = WriteLog::new(0, 300_000);
        log.start_recording();
        let slow = log.add_consumer(0, || {});
        let mut expected = Vec::new();
        let mut at = 0;
        for i in 0..20_000u32 {
            let effect = vec![i as u8; (i % 90) as usize + 1];
            log.append(DbIndex(0), &effect);
            if i % 1000 == 7 {
                let read = log.read(at, usize::MAX).expect("kept");
                expected.extend(read.parts.concat());
                at = read.end;
                log.consumed(slow, at);
            }
        }
        expected.extend(all(&log, at));
        assert_eq!(expected.len() as u64, log.end());
        log.consumed(slow, log.end());
        all(&log, log.end());
        assert!(log.end() - log.kept_from() < 300_000 + 2 * CHUNK as u64);
        assert_eq!(log.read(0, 1).err(), Some(NotKept));
        assert_eq!(log.read(log.end() + 1, 1).err(), Some(NotKept));
    }

    #[test]
    fn what_is_for_the_stream_alone_is_marked() {
        let log = WriteLog::new(0, 1 << 20);
        log.start_recording();
        log.append(DbIndex(3), b"a");
        let before = log.end();
        let after = log.append_stream_only(b"ping");
        log.append(DbIndex(3), b"b");
        let read = log.read(0, usize::MAX).expect("kept");
        assert_eq!(read.stream_only, [(before, after)]);
        assert!(read.parts.concat().ends_with(b"apingb"));
    }

    #[test]
    fn a_log_that_follows_takes_nothing_of_its_own() {
        let log = WriteLog::new(7, 1 << 20);
        log.start_recording();
        log.follow();
        assert_eq!(log.append_stream_only(b"ping"), 7);
        assert!(!log.is_diverged());
        assert_eq!(log.append(DbIndex(0), b"local"), 7);
        assert!(log.is_diverged());
        assert_eq!(log.append_received(b"theirs", &[]), 13);
        assert_eq!(all(&log, 7), b"theirs");
        assert!(log.lead(), "it has diverged");
        assert!(!log.is_diverged());
        assert!(log.append(DbIndex(0), b"own") > 13);
    }

    #[test]
    fn fields_that_expire_leave_a_mark() {
        let log = WriteLog::new(0, 1 << 20);
        log.start_recording();
        let before = log.append(DbIndex(0), b"a");
        let end = log.append_with_field_expiry(DbIndex(0), b"expires");
        log.append(DbIndex(0), b"b");
        assert!(log.tells_of_field_expiry_after(before));
        assert!(!log.tells_of_field_expiry_after(end));
        log.note_field_expiry(end + 5);
        assert!(log.tells_of_field_expiry_after(end));
        log.restart_at(3);
        assert!(!log.tells_of_field_expiry_after(3));
    }

    #[test]
    fn a_waiting_consumer_is_woken_once() {
        let log = WriteLog::new(0, 100);
        log.start_recording();
        let woken = Arc::new(AtomicU64::new(0));
        let seen = woken.clone();
        let id = log.add_consumer(0, move || {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        log.append(DbIndex(0), b"a");
        log.notify();
        log.notify();
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        assert!(!log.wait(id, 0), "something new is there");
        assert!(log.wait(id, log.end()));
    }
}
