//! Where the entries of a snapshot arrive, from the walker and from writers.
//!
//! The walker and the writers write into outputs of their own. An entry is serialised under the
//! output's lock (what is one string alone is compressed later); a walker that shared it would
//! have it nearly always, and each writer would wait until the lock is handed over for
//! fairness's sake, which takes half a millisecond.
//!
//! Values of many elements are not serialised under anybody's lock: of lists, sets and streams
//! a copy is kept that shares their memory, hashes and sorted sets are taken in pieces
//! (`pieces.rs`).
//!
//! The locks here are taken under a shard's lock and nothing is taken under them.

use super::binary::{Binary, RdbForm};
use super::pieces::Taken;
use super::text::Text;
use super::walker::Instant;
use crate::keyspace::{DbIndex, Entry, EntryRef, HandedBy, Libraries, Ticket, ValueRef};
use crate::rdb::{
    Checksum, KeyForm, put_compressed, put_end, put_key_in_parts, put_select, put_string,
};
use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a snapshot is made of.
pub enum Form {
    /// The commands that make the data.
    Commands,
    /// An RDB file.
    Rdb(Box<RdbForm>),
}

/// A part of a snapshot.
pub(super) enum Piece {
    /// As it is.
    Bytes(Bytes),
    /// Bytes of which these ranges are strings to compress.
    Plain(Vec<u8>, Vec<Range<usize>>),
    /// A large string, to be written as RDB has strings.
    Text(Arc<Vec<u8>>),
    /// A key of this database that is still to be serialised.
    Later(DbIndex, Entry),
}

/// See the module's documentation.
pub(super) struct Sink {
    /// What the walker has written: the head first. Nobody else waits for it.
    walked: Mutex<Output>,
    /// What the writers have written: entries.
    changed: Mutex<Output>,
    /// Of what has been sent; the walker alone sends.
    checksum: Mutex<Option<Checksum>>,
    /// How keys are written; `None` for commands.
    form: Option<KeyForm>,
    /// Values that are taken in pieces and have not been begun.
    frozen: Mutex<HashMap<Ticket, Taken>>,
    last_ticket: AtomicU64,
    failure: Mutex<Option<String>>,
    unwanted: AtomicBool,
    keys: AtomicU64,
}

struct Output {
    written: Written,
    /// What is serialised when it is sent.
    later: Vec<Piece>,
}

enum Written {
    Text(Text<'static>),
    Binary(Box<Binary>),
}

impl Output {
    fn new(form: &Form) -> Self {
        let written = match form {
            Form::Commands => Written::Text(Text::default()),
            Form::Rdb(form) => Written::Binary(Box::new(Binary::new((**form).clone()))),
        };
        Output {
            written,
            later: Vec::new(),
        }
    }

    /// Bytes that wait to be sent, about.
    fn len(&self) -> usize {
        let written = match &self.written {
            Written::Text(text) => text.len(),
            Written::Binary(binary) => binary.len(),
        };
        written + self.later.len() * LATER_BYTES
    }

    fn admits(&mut self, entry: EntryRef<'_>) -> bool {
        match &mut self.written {
            Written::Text(_) => true,
            Written::Binary(binary) => binary.admits(entry),
        }
    }

    fn entry(&mut self, db: DbIndex, entry: EntryRef<'_>) {
        if is_long_and_shared(entry.value()) {
            return self.later.push(Piece::Later(db, entry.copied(entry.key())));
        }
        match &mut self.written {
            Written::Text(text) => text.entry(db, entry),
            Written::Binary(binary) => binary.entry(db, entry),
        }
    }

    /// Takes what has been written. What comes later says again which database it belongs to,
    /// as the other output may come in between.
    fn take(&mut self) -> Vec<Piece> {
        let mut pieces: Vec<_> = match &mut self.written {
            Written::Text(text) => text.take().into_iter().map(Piece::Bytes).collect(),
            Written::Binary(binary) => binary.take(),
        };
        pieces.append(&mut self.later);
        pieces
    }

    /// Drops what has been written.
    fn forget(&mut self) {
        self.later.clear();
        match &mut self.written {
            Written::Text(text) => *text = Text::default(),
            Written::Binary(binary) => **binary = Binary::new(binary.form().clone()),
        }
    }

    fn fault(&self) -> Option<String> {
        match &self.written {
            Written::Binary(binary) => binary.fault().map(str::to_owned),
            Written::Text(_) => None,
        }
    }
}

/// Whether a copy of the value costs next to nothing, and serialising it much.
fn is_long_and_shared(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::List(list) => list.node_count() > FEW_NODES,
        ValueRef::SetTable(set) => set.len() > FEW_ELEMENTS,
        ValueRef::Stream(stream) => stream.is_costly(),
        _ => false,
    }
}

/// Whether the value is taken in pieces.
fn is_long_and_frozen(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::HashTable(table) => table.len() > FEW_ELEMENTS,
        ValueRef::SortedSet(set) => set.len() > FEW_ELEMENTS,
        _ => false,
    }
}

impl Default for Sink {
    fn default() -> Self {
        Sink::new(Form::Commands)
    }
}

impl Sink {
    /// A sink for a snapshot of this form.
    pub fn new(form: Form) -> Self {
        let (checksum, keys) = match &form {
            Form::Rdb(form) => (
                form.checksum.then(Checksum::default),
                Some(form.keys.clone()),
            ),
            Form::Commands => (None, None),
        };
        Sink {
            walked: Mutex::new(Output::new(&form)),
            changed: Mutex::new(Output::new(&form)),
            checksum: Mutex::new(checksum),
            form: keys,
            frozen: Mutex::default(),
            last_ticket: AtomicU64::new(0),
            failure: Mutex::default(),
            unwanted: AtomicBool::new(false),
            keys: AtomicU64::new(0),
        }
    }

    /// Begins at the snapshot's instant, before any entry comes: with the libraries.
    pub fn begin(&self, replid: impl FnOnce() -> String, instant: Instant, all: &Libraries) {
        match &mut self.walked.lock().written {
            Written::Text(text) => text.libraries(all),
            Written::Binary(binary) => {
                binary.begin(replid(), instant);
                binary.libraries(all);
            }
        }
    }

    /// Takes an entry as it was at the snapshot's instant; or gives a ticket with which its
    /// value is taken in pieces, as it is now.
    pub fn take_entry(&self, db: DbIndex, entry: EntryRef<'_>, by: HandedBy) -> Option<Ticket> {
        self.keys.fetch_add(1, Ordering::Relaxed);
        if self.is_unwanted() {
            return None;
        }
        let output = match by {
            HandedBy::Walker => &self.walked,
            HandedBy::Writer => &self.changed,
        };
        let mut output = output.lock();
        if !output.admits(entry) {
            return None;
        }
        if !is_long_and_frozen(entry.value()) {
            output.entry(db, entry);
            return None;
        }
        let ticket = self.last_ticket.fetch_add(1, Ordering::Relaxed) + 1;
        let taken = Taken::begin(db, entry, self.form.as_ref());
        self.frozen.lock().insert(ticket, taken);
        Some(ticket)
    }

    /// Begins to take a value in pieces.
    pub fn begin_pieces(&self, ticket: Ticket) -> Option<Taken> {
        self.frozen.lock().remove(&ticket)
    }

    /// Whether there are values that have still to be taken in pieces.
    pub fn has_frozen(&self) -> bool {
        !self.frozen.lock().is_empty()
    }

    /// What has gathered, if it is at least so many bytes: what stands at the head comes first.
    pub fn gathered(&self, least: usize) -> Vec<Piece> {
        let mut walked = self.walked.lock();
        if walked.len() + self.changed.lock().len() < least.max(1) {
            return Vec::new();
        }
        let mut pieces = walked.take();
        pieces.extend(self.changed.lock().take());
        pieces
    }

    /// Gives the bytes of a piece to `send`, in the order in which they are sent.
    pub fn each_bytes(&self, piece: Piece, send: &mut (dyn FnMut(Bytes) + Send)) {
        let mut send = |bytes| self.sent(bytes, send);
        let compress = self.form.as_ref().is_some_and(|form| form.target.compress);
        match piece {
            Piece::Bytes(bytes) => send(bytes),
            Piece::Plain(written, plain) => {
                let mut out = Vec::with_capacity(written.len());
                let mut at = 0;
                for range in plain {
                    out.extend_from_slice(&written[at..range.start]);
                    at = range.end;
                    put_compressed(&mut out, &written[range]);
                }
                out.extend_from_slice(&written[at..]);
                send(Bytes::from(out));
            }
            Piece::Text(text) => {
                let mut out = Vec::with_capacity(text.len() / 4);
                put_string(&mut out, &text, compress);
                send(Bytes::from(out));
            }
            Piece::Later(db, entry) => match &self.form {
                Some(form) => {
                    let mut out = Vec::new();
                    put_select(&mut out, db);
                    put_key_in_parts(&mut out, entry.view(), form, &mut |out| {
                        send(Bytes::from(std::mem::take(out)));
                    });
                    send(Bytes::from(out));
                }
                None => {
                    let mut text = Text::to(&mut send);
                    text.entry(db, entry.view());
                    text.end();
                }
            },
        }
    }

    /// Bytes are sent now: those of the walker are, by `send`.
    pub fn sent(&self, bytes: Bytes, send: &mut (dyn FnMut(Bytes) + Send)) {
        if bytes.is_empty() {
            return;
        }
        if let Some(checksum) = &mut *self.checksum.lock() {
            checksum.update(&bytes);
        }
        send(bytes);
    }

    /// What stands at the end, when everything else has been sent: commands select the
    /// database in which the stream goes on, a file ends with its checksum.
    pub fn end(&self, selected: Option<DbIndex>) -> Bytes {
        let mut out = Vec::new();
        match &mut self.walked.lock().written {
            Written::Text(text) => {
                if let Some(db) = selected {
                    text.select(db);
                }
                text.take()
                    .iter()
                    .for_each(|part| out.extend_from_slice(part));
            }
            Written::Binary(_) => put_end(&mut out, self.checksum.lock().take()),
        }
        Bytes::from(out)
    }

    /// From here on nothing is kept.
    pub fn give_up(&self) {
        self.unwanted.store(true, Ordering::Relaxed);
        for output in [&self.walked, &self.changed] {
            output.lock().forget();
        }
    }

    /// The snapshot is not what it should be.
    pub fn fail(&self, why: &str) {
        self.failure.lock().get_or_insert_with(|| why.to_owned());
    }

    /// Why the snapshot cannot be what was asked for.
    pub fn fault(&self) -> Option<String> {
        if let Some(failure) = &*self.failure.lock() {
            return Some(failure.clone());
        }
        let outputs = [&self.walked, &self.changed];
        outputs.iter().find_map(|output| output.lock().fault())
    }

    /// Whether nobody wants the snapshot any more.
    pub fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::Relaxed)
    }

    /// Entries that have arrived.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }
}

/// Nodes and elements that are serialised at once, where they are. Tests want all ways.
const FEW_NODES: usize = if cfg!(test) { 1 } else { 8 };
const FEW_ELEMENTS: usize = if cfg!(test) { 40 } else { 512 };
/// What a value that is serialised later counts for: it is sent at the next occasion.
const LATER_BYTES: usize = 64 * 1024;
