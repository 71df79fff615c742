//! The thread that writes the log to the file, and the thread that fsyncs it once a second.
//!
//! With `always` each batch is followed by an fsync on the writer's own thread: what arrives
//! meanwhile is the next batch, so that one fsync covers the writes of many clients. Otherwise
//! workers write by themselves before they send a reply ([`Writer::write_through`]), so that a
//! process that is killed loses nothing that it has answered; the thread sees to what nobody
//! is told of, and lets a millisecond's worth gather before it writes again; but where a primary
//! waits for a replica's file, each batch is fsynced at once with `everysec` too.
//!
//! What must stay true: who writes holds the writer; nobody waits for it with a lock of his
//! own.

use super::annotation::Annotation;
use super::handle::{Begin, Mode, Switch};
use super::manifest::{FileInfo, sync_dir};
use super::rewrite;
use crate::config::AppendFsync;
use crate::execute::Gates;
use crate::observe;
use crate::protocol::{encode_bulk, encode_header};
use crate::server::Server;
use crate::time::{Duration, Instant};
use crate::write_log::{NotKept, Read};
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::Thread;

/// Makes the writer and starts its thread, which lasts until the file is closed.
pub(super) fn spawn(server: &'static Server) -> io::Result<Thread> {
    let (jobs, todo) = mpsc::channel();
    std::thread::Builder::new()
        .name("aof-fsync".into())
        .spawn(move || fsync_thread(server, &todo))?;
    let writer = Writer {
        server,
        generation: 0,
        file: None,
        cursor: 0,
        seen: 0,
        unsynced: false,
        linked: false,
        fsynced_at: Instant::now(),
        ticked_at: Instant::now(),
        jobs,
    };
    *server.aof.pen.lock() = Some(writer);
    let handle = std::thread::Builder::new()
        .name("aof".into())
        .spawn(move || run(server))?;
    Ok(handle.thread().clone())
}

fn run(server: &'static Server) {
    loop {
        let next = match &mut *server.aof.pen.lock() {
            Some(writer) => writer.turn(),
            None => return,
        };
        match next {
            Next::Turn => {}
            Next::Sleep(time) => std::thread::sleep(time),
            Next::Wait(time) => std::thread::park_timeout(time),
            Next::End => return,
        }
    }
}

/// What the writer's thread does after a turn, without the writer.
enum Next {
    Turn,
    Sleep(Duration),
    /// Until it is woken, or for so long.
    Wait(Duration),
    End,
}

/// Who has it writes to the file.
pub(super) struct Writer {
    server: &'static Server,
    generation: u64,
    file: Option<OpenFile>,
    /// Everything before is in the file.
    cursor: u64,
    /// What that was at the thread's last turn.
    seen: u64,
    /// Whether something was written, or became of use, since the last fsync.
    unsynced: bool,
    linked: bool,
    fsynced_at: Instant,
    ticked_at: Instant,
    jobs: mpsc::Sender<Fsync>,
}

struct OpenFile {
    file: Arc<File>,
    len: u64,
}

/// What to do next, decided under the gate.
enum Turn {
    Write { read: Read, annotate: bool },
    Switch(Switch),
    Open(Begin),
    Lost,
    Idle,
}

impl Writer {
    fn turn(&mut self) -> Next {
        let (turn, closing) = self.look();
        let policy = self.server.config.current().appendfsync;
        let wrote = match turn {
            Turn::Write { read, annotate } => self.write(&read, annotate, policy),
            Turn::Switch(switch) => {
                self.switch(switch, policy);
                return Next::Turn;
            }
            Turn::Open(begin) => {
                self.open(begin, policy);
                return Next::Turn;
            }
            Turn::Lost => {
                tracing::error!("the log has moved on without the append-only file");
                self.file = None;
                self.server.aof.rewrite(self.server, true);
                false
            }
            Turn::Idle => false,
        };
        let by_workers = self.file.is_some() && policy != AppendFsync::Always;
        self.server
            .aof
            .by_workers
            .store(by_workers, Ordering::Release);
        if let Some(closed) = closing
            && !wrote
        {
            self.finish();
            // Whoever closes may have given up waiting.
            let _ = closed.send(());
            return Next::End;
        }
        self.fsync_if_due(policy);
        self.tick();
        // If workers have written, they will again, and need nobody who is woken by it.
        let moved = std::mem::replace(&mut self.seen, self.cursor) != self.cursor;
        match (wrote, policy) {
            (true, AppendFsync::Always) => Next::Turn,
            (true, _) if is_awaited(self.server) => Next::Turn,
            (true, _) => Next::Sleep(GATHER),
            (false, _) if by_workers && moved => Next::Sleep(GATHER),
            (false, _) => self.wait(),
        }
    }

    /// Writes what the log holds before `end`, before a worker tells anybody of it. While the
    /// file is being fsynced nothing is written, as in Redis: it would be waited for. Whether
    /// the thread has to do something first, for which it is worth waiting.
    pub fn write_through(&mut self, end: u64) -> bool {
        while self.cursor < end && !self.server.aof.is_fsyncing() {
            let limit = {
                let gate = self.server.aof.gate.lock();
                if gate.mode != Mode::On {
                    return false;
                }
                let other_file = gate.generation != self.generation || gate.begin.is_some();
                match &gate.switch {
                    _ if other_file || self.file.is_none() => return true,
                    Some(switch) if switch.fresh || self.cursor >= switch.at => return true,
                    Some(switch) => switch.at,
                    None => u64::MAX,
                }
            };
            let Ok(read) = self.server.log.read(self.cursor, READ_AT_ONCE) else {
                return false;
            };
            let policy = self.server.config.current().appendfsync;
            if !self.write(&cut(read, self.cursor, limit), false, policy) {
                return false;
            }
        }
        false
    }

    /// Looks what there is to do. While the server closes, the sender is given along.
    fn look(&mut self) -> (Turn, Option<mpsc::Sender<()>>) {
        let mut gate = self.server.aof.gate.lock();
        let closing = gate.closing.clone();
        if gate.generation != self.generation {
            self.generation = gate.generation;
            self.file = None;
            self.unsynced = false;
        }
        if gate.mode != Mode::On {
            return (Turn::Idle, closing);
        }
        if let Some(begin) = gate.begin.take() {
            return (Turn::Open(begin), closing);
        }
        let fresh = gate.switch.as_ref().is_some_and(|switch| switch.fresh);
        let limit = gate.switch.as_ref().map_or(u64::MAX, |switch| switch.at);
        if (fresh || self.cursor >= limit)
            && let Some(switch) = gate.switch.take()
        {
            return (Turn::Switch(switch), closing);
        }
        if self.file.is_none() {
            return (Turn::Idle, closing);
        }
        if gate.linked && !self.linked {
            // What is in the file counts from now on.
            self.unsynced = true;
        }
        self.linked = gate.linked;
        match self.server.log.read(self.cursor, READ_AT_ONCE) {
            Ok(read) => {
                let read = cut(read, self.cursor, limit);
                let annotate = std::mem::take(&mut gate.annotate);
                if read.parts.is_empty() && !annotate {
                    return (Turn::Idle, closing);
                }
                (Turn::Write { read, annotate }, closing)
            }
            Err(NotKept) => (Turn::Lost, closing),
        }
    }

    /// Writes a batch and an annotation; false if that failed.
    fn write(&mut self, read: &Read, annotate: bool, policy: AppendFsync) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        let mut line = Vec::with_capacity(96);
        let annotation = Annotation {
            replid: self.server.replication.replid(),
            offset: read.end,
        };
        annotation.write_to(&mut line);
        let mut parts = without_stream_only(read, self.cursor);
        parts.push(Bytes::from(line));
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let aof = &self.server.aof;
        match aof.pause_us.load(Ordering::Relaxed) {
            0 => {}
            us => std::thread::sleep(Duration::from_micros(us)),
        }
        let begun = Instant::now();
        let written = write_all(&file.file, &mut parts);
        observe::note_event(self.server, "aof-write", begun.elapsed());
        match written {
            Ok(()) => {
                file.len += bytes;
                aof.current_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.cursor = read.end;
                self.unsynced = true;
                aof.written.store(self.cursor, Ordering::Release);
                let gate = aof.gate.lock();
                if gate.generation == self.generation
                    && let Some(consumer) = gate.consumer
                {
                    self.server.log.consumed(consumer, self.cursor);
                }
                drop(gate);
                aof.mended_by_write(self.server);
                true
            }
            Err(error) => {
                let always = policy == AppendFsync::Always;
                // The part that was written would be repeated.
                let cut = file.file.set_len(file.len);
                aof.gate.lock().annotate |= annotate;
                aof.failed(
                    self.server,
                    always,
                    format!("writing the append-only file: {error}"),
                );
                if let Err(error) = cut {
                    self.give_up(format!("cutting off half a write: {error}"));
                }
                false
            }
        }
    }

    /// The file is in an unknown state: new ones are made from memory.
    fn give_up(&mut self, error: String) {
        self.file = None;
        self.server.aof.broken(self.server, error);
    }

    fn fsync_if_due(&mut self, policy: AppendFsync) {
        if !self.unsynced {
            return;
        }
        let Some(file) = &self.file else {
            return;
        };
        match policy {
            AppendFsync::No => {}
            AppendFsync::Always => {
                let begun = Instant::now();
                let synced = file.file.sync_data();
                observe::note_event(self.server, "aof-fsync-always", begun.elapsed());
                if let Err(error) = synced {
                    let error = format!("fsync of the append-only file: {error}");
                    self.server.aof.failed(self.server, true, error);
                }
                self.unsynced = false;
                let aof = &self.server.aof;
                aof.publish(self.server, self.generation, self.cursor);
            }
            AppendFsync::EverySec => {
                let due = self.fsynced_at.elapsed() >= SECOND || is_awaited(self.server);
                if due && !self.server.aof.fsyncing.swap(true, Ordering::SeqCst) {
                    self.fsynced_at = Instant::now();
                    self.unsynced = false;
                    let job = Fsync {
                        file: Arc::clone(&file.file),
                        generation: self.generation,
                        offset: self.cursor,
                    };
                    // The thread lasts as long as this one.
                    let _ = self.jobs.send(job);
                }
            }
        }
    }

    /// Goes on in a new increment.
    fn switch(&mut self, switch: Switch, policy: AppendFsync) {
        // Nobody will fsync the old one later.
        if let Some(old) = &self.file
            && !switch.fresh
        {
            if let Err(error) = old.file.sync_data() {
                let always = policy == AppendFsync::Always;
                let error = format!("fsync of the append-only file: {error}");
                self.server.aof.failed(self.server, always, error.clone());
                let _ = switch.done.send(Err(error.clone()));
                return self.give_up(error);
            }
            let aof = &self.server.aof;
            aof.publish(self.server, self.generation, self.cursor);
        }
        let opened = self.new_increment(&switch);
        let answer = match opened {
            Ok((info, file)) => {
                self.file = Some(file);
                self.begin_at(switch.at);
                self.unsynced = true;
                self.linked = !switch.fresh;
                Ok(info)
            }
            Err(error) => {
                let error = format!("a new increment of the append-only file: {error}");
                if switch.fresh {
                    let always = policy == AppendFsync::Always;
                    self.server.aof.failed(self.server, always, error.clone());
                }
                Err(error)
            }
        };
        // A rewrite that was superseded does not listen any more.
        let _ = switch.done.send(answer);
    }

    /// What comes from here on goes to the file that is open now.
    fn begin_at(&mut self, offset: u64) {
        self.cursor = offset;
        self.server.aof.written.store(offset, Ordering::Release);
    }

    fn new_increment(&self, switch: &Switch) -> io::Result<(FileInfo, OpenFile)> {
        let mut files = self.server.aof.files.lock();
        std::fs::create_dir_all(&files.dir)?;
        if switch.fresh {
            rewrite::read_manifest(&mut files)?;
        }
        let info = if switch.fresh {
            let beyond = files.manifest.beyond_files(&files.dir, &files.prefix)?;
            beyond.next_incr(&files.prefix)
        } else {
            files.manifest.next_incr(&files.prefix)
        };
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(files.path(&info))?;
        let mut head = Vec::new();
        if let Some(db) = switch.selected {
            // A loader begins each file in database 0.
            encode_header(&mut head, b'*', 2);
            encode_bulk(&mut head, b"SELECT");
            encode_bulk(&mut head, itoa::Buffer::new().format(db.0).as_bytes());
        }
        let annotation = Annotation {
            replid: self.server.replication.replid(),
            offset: switch.at,
        };
        annotation.write_to(&mut head);
        file.write_all(&head)?;
        file.sync_all()?;
        sync_dir(&files.dir)?;
        if !switch.fresh {
            files.manifest.push_incr(info.clone());
            if let Err(error) = files.persist() {
                files.manifest.incr.pop();
                return Err(error);
            }
        }
        let len = head.len() as u64;
        let file = Arc::new(OpenOptions::new().append(true).open(files.path(&info))?);
        Ok((info, OpenFile { file, len }))
    }

    /// Continues an increment that exists.
    fn open(&mut self, begin: Begin, policy: AppendFsync) {
        let path = self.server.aof.files.lock().path(&begin.info);
        let opened = OpenOptions::new().append(true).open(&path);
        match opened.and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((len, file)) => {
                self.file = Some(OpenFile {
                    file: Arc::new(file),
                    len,
                });
                self.begin_at(begin.at);
                self.unsynced = true;
                self.linked = true;
            }
            Err(error) => {
                let always = policy == AppendFsync::Always;
                let error = format!("opening {}: {error}", path.display());
                self.server.aof.failed(self.server, always, error.clone());
                self.give_up(error);
            }
        }
    }

    /// What is looked at once a second.
    fn tick(&mut self) {
        if self.ticked_at.elapsed() >= SECOND {
            self.ticked_at = Instant::now();
            rewrite::if_due(self.server);
        }
    }

    fn wait(&self) -> Next {
        let consumer = self.server.aof.gate.lock().consumer;
        let nothing_new = match (consumer, &self.file) {
            (Some(consumer), Some(_)) => self.server.log.wait(consumer, self.cursor),
            _ => true,
        };
        // After a failure there is something new, but trying at once would only spin.
        match nothing_new || self.server.aof.last_error().is_some() {
            true if self.unsynced => Next::Wait(GATHER_LONG),
            true => Next::Wait(SECOND),
            false => Next::Turn,
        }
    }

    /// The last fsync.
    fn finish(&mut self) {
        if let Some(file) = &self.file {
            match file.file.sync_data() {
                Ok(()) => {
                    let aof = &self.server.aof;
                    aof.publish(self.server, self.generation, self.cursor);
                }
                Err(error) => tracing::error!(%error, "fsync of the append-only file"),
            }
        }
    }
}

/// Leaves only what lies before `limit`, which is an end of a unit.
fn cut(mut read: Read, from: u64, limit: u64) -> Read {
    if read.end <= limit {
        return read;
    }
    let mut room = limit.saturating_sub(from) as usize;
    read.parts.retain_mut(|part| {
        part.truncate(room);
        room -= part.len();
        !part.is_empty()
    });
    read.end = limit.max(from);
    read
}

/// The parts of what begins at `from`, without what belongs to the stream alone.
fn without_stream_only(read: &Read, from: u64) -> Vec<Bytes> {
    if read.stream_only.is_empty() {
        return read.parts.clone();
    }
    let mut kept = Vec::with_capacity(read.parts.len() + read.stream_only.len());
    let mut start = from;
    for part in &read.parts {
        let end = start + part.len() as u64;
        let mut at = start;
        for (skip_from, skip_to) in &read.stream_only {
            let (low, high) = ((*skip_from).clamp(at, end), (*skip_to).clamp(at, end));
            if low > at {
                kept.push(part.slice((at - start) as usize..(low - start) as usize));
            }
            at = high;
        }
        if at < end {
            kept.push(part.slice((at - start) as usize..));
        }
        start = end;
    }
    kept
}

fn write_all(mut file: &File, parts: &mut [Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = &mut slices[..];
    // As many at once as the kernel takes.
    while !rest.is_empty() {
        let n = match file.write_vectored(&rest[..rest.len().min(1024)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        IoSlice::advance_slices(&mut rest, n);
    }
    Ok(())
}

/// An fsync for the thread of its own.
struct Fsync {
    file: Arc<File>,
    generation: u64,
    offset: u64,
}

fn fsync_thread(server: &'static Server, jobs: &mpsc::Receiver<Fsync>) {
    for job in jobs {
        let begun = Instant::now();
        let done = job.file.sync_data();
        if begun.elapsed() >= SECOND {
            server.aof.status.lock().delayed_fsyncs += 1;
        }
        match done {
            Ok(()) => server.aof.publish(server, job.generation, job.offset),
            Err(error) => {
                let error = format!("fsync of the append-only file: {error}");
                server.aof.broken(server, error);
            }
        }
        server.aof.fsyncing.store(false, Ordering::SeqCst);
        if is_awaited(server) {
            // What was written meanwhile is the next to be fsynced.
            server.aof.wake();
        }
    }
}

/// Whether this node's primary waits for its file: then each second is at once.
fn is_awaited(server: &Server) -> bool {
    server.replication.standing.is_file_awaited() && server.gates.has(Gates::REPLICA)
}

const READ_AT_ONCE: usize = 4 << 20;
const SECOND: Duration = Duration::from_secs(1);
/// How long writes gather where no reply waits for them.
const GATHER: Duration = Duration::from_millis(1);
/// How often an idle writer looks whether the fsync of what it wrote is due.
const GATHER_LONG: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&'static str], stream_only: &[(u64, u64)]) -> Read {
        let parts: Vec<_> = parts
            .iter()
            .map(|p| Bytes::from_static(p.as_bytes()))
            .collect();
        let len: usize = parts.iter().map(Bytes::len).sum();
        Read {
            parts,
            end: 100 + len as u64,
            stream_only: stream_only.to_vec(),
        }
    }

    fn text(parts: &[Bytes]) -> String {
        String::from_utf8(parts.concat()).expect("text")
    }

    #[test]
    fn what_is_for_the_stream_alone_stays_out_of_the_file() {
        for (ranges, expected) in [
            (&[][..], "abcdefghij"),
            (&[(100, 102)][..], "cdefghij"),
            (&[(98, 101), (102, 107), (109, 120)][..], "bhi"),
            (&[(90, 200)][..], ""),
        ] {
            let read = read(&["abc", "def", "ghij"], ranges);
            assert_eq!(
                text(&without_stream_only(&read, 100)),
                expected,
                "{ranges:?}"
            );
        }
    }

    #[test]
    fn a_batch_ends_where_the_next_increment_begins() {
        for (limit, expected) in [(100, ""), (103, "abc"), (104, "abcd"), (200, "abcdef")] {
            let cut = cut(read(&["abc", "def"], &[]), 100, limit);
            assert_eq!(text(&cut.parts), expected);
            assert_eq!(cut.end, 100 + expected.len() as u64);
        }
    }
}
