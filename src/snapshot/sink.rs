//! Where the entries of a snapshot arrive, from the walker and from writers.
//!
//! The walker and the writers write into outputs of their own. An entry is serialised under the
//! output's lock (what is one string alone is compressed later); a walker that shared it would
//! have it nearly always, and each writer would wait until the lock is handed over for
//! fairness's sake, which takes half a millisecond.
//!
//! The locks here are taken under a shard's lock and nothing is taken under them.

use super::binary::{Binary, RdbForm};
use super::text::Text;
use super::walker::Instant;
use crate::keyspace::{DbIndex, EntryRef, HandedBy, Libraries};
use crate::rdb::{Checksum, put_compressed, put_end, put_string};
use bytes::Bytes;
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
}

/// See the module's documentation.
pub(super) struct Sink {
    /// What the walker has written: the head first. Nobody else waits for it.
    walked: Mutex<Output>,
    /// What the writers have written: entries.
    changed: Mutex<Output>,
    /// Of what has been sent; the walker alone sends.
    checksum: Mutex<Option<Checksum>>,
    compress: bool,
    unwanted: AtomicBool,
    keys: AtomicU64,
}

enum Output {
    Text(Text),
    Binary(Box<Binary>),
}

impl Output {
    fn new(form: &Form) -> Self {
        match form {
            Form::Commands => Output::Text(Text::default()),
            Form::Rdb(form) => Output::Binary(Box::new(Binary::new((**form).clone()))),
        }
    }

    fn len(&self) -> usize {
        match self {
            Output::Text(text) => text.len(),
            Output::Binary(binary) => binary.len(),
        }
    }

    /// Takes what has been written. What comes later says again which database it belongs to,
    /// as the other output may come in between.
    fn take(&mut self) -> Vec<Piece> {
        match self {
            Output::Text(text) => text.take().into_iter().map(Piece::Bytes).collect(),
            Output::Binary(binary) => binary.take(),
        }
    }

    /// Drops what has been written.
    fn forget(&mut self) {
        match self {
            Output::Text(text) => *text = Text::default(),
            Output::Binary(binary) => **binary = Binary::new(binary.form().clone()),
        }
    }

    fn fault(&self) -> Option<String> {
        match self {
            Output::Binary(binary) => binary.fault().map(str::to_owned),
            Output::Text(_) => None,
        }
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
        let (checksum, compress) = match &form {
            Form::Rdb(form) if form.checksum => {
                (Some(Checksum::default()), form.keys.target.compress)
            }
            Form::Rdb(form) => (None, form.keys.target.compress),
            Form::Commands => (None, false),
        };
        Sink {
            walked: Mutex::new(Output::new(&form)),
            changed: Mutex::new(Output::new(&form)),
            checksum: Mutex::new(checksum),
            compress,
            unwanted: AtomicBool::new(false),
            keys: AtomicU64::new(0),
        }
    }

    /// Begins at the snapshot's instant, before any entry comes: with the libraries.
    pub fn begin(&self, replid: impl FnOnce() -> String, instant: Instant, all: &Libraries) {
        match &mut *self.walked.lock() {
            Output::Text(text) => text.libraries(all),
            Output::Binary(binary) => {
                binary.begin(replid(), instant);
                binary.libraries(all);
            }
        }
    }

    /// Takes an entry as it was at the snapshot's instant.
    pub fn take_entry(&self, db: DbIndex, entry: EntryRef<'_>, by: HandedBy) {
        self.keys.fetch_add(1, Ordering::Relaxed);
        if !self.unwanted.load(Ordering::Relaxed) {
            let output = match by {
                HandedBy::Walker => &self.walked,
                HandedBy::Writer => &self.changed,
            };
            match &mut *output.lock() {
                Output::Text(text) => text.entry(db, entry),
                Output::Binary(binary) => binary.entry(db, entry),
            }
        }
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

    /// The bytes of a piece, in the order in which they are sent.
    pub fn bytes_of(&self, piece: Piece) -> Bytes {
        let bytes = match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Plain(written, plain) => {
                let mut out = Vec::with_capacity(written.len());
                let mut at = 0;
                for range in plain {
                    out.extend_from_slice(&written[at..range.start]);
                    at = range.end;
                    put_compressed(&mut out, &written[range]);
                }
                out.extend_from_slice(&written[at..]);
                Bytes::from(out)
            }
            Piece::Text(text) => {
                let mut out = Vec::with_capacity(text.len() / 4);
                put_string(&mut out, &text, self.compress);
                Bytes::from(out)
            }
        };
        if let Some(checksum) = &mut *self.checksum.lock() {
            checksum.update(&bytes);
        }
        bytes
    }

    /// What stands at the end, when everything else has been sent: commands select the
    /// database in which the stream goes on, a file ends with its checksum.
    pub fn end(&self, selected: Option<DbIndex>) -> Bytes {
        let mut out = Vec::new();
        match &mut *self.walked.lock() {
            Output::Text(text) => {
                if let Some(db) = selected {
                    text.select(db);
                }
                text.take()
                    .iter()
                    .for_each(|part| out.extend_from_slice(part));
            }
            Output::Binary(_) => put_end(&mut out, self.checksum.lock().take()),
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

    /// Why the snapshot cannot be what was asked for.
    pub fn fault(&self) -> Option<String> {
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
