//! Entries as the keys of an RDB file.

use super::sink::Piece;
use super::walker::Instant;
use crate::keyspace::{DbIndex, EntryRef, Libraries};
use crate::rdb::{
    KeyForm, Rest, needed_version, put_function, put_head, put_key_quickly, put_select,
};
use bytes::Bytes;
use std::ops::Range;

/// How an RDB file is made.
#[derive(Clone)]
pub struct RdbForm {
    /// How its keys are written.
    pub keys: KeyForm,
    /// What stands at its head.
    pub facts: Vec<(&'static str, String)>,
    /// Whether it ends with a checksum.
    pub checksum: bool,
    /// Whether the keys are left out.
    pub without_keys: bool,
    /// Whether a value of a kind that the version does not have makes the snapshot fail.
    pub strict: bool,
}

/// A file in the making, in pieces.
pub(super) struct Binary {
    form: RdbForm,
    done: Vec<Piece>,
    done_bytes: usize,
    current: Vec<u8>,
    /// The strings in `current` that are compressed later, ascending.
    plain: Vec<Range<usize>>,
    selected: Option<DbIndex>,
    fault: Option<String>,
}

impl Binary {
    pub fn new(form: RdbForm) -> Self {
        Binary {
            form,
            done: Vec::new(),
            done_bytes: 0,
            current: Vec::new(),
            plain: Vec::new(),
            selected: None,
            fault: None,
        }
    }

    /// Why this is no file for its reader.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub fn form(&self) -> &RdbForm {
        &self.form
    }

    /// Writes the head: where in the stream the snapshot stands belongs to it.
    pub fn begin(&mut self, replid: String, instant: Instant) {
        let db = instant.selected.map_or(-1, |db| i64::from(db.0));
        self.form.facts.extend([
            ("repl-stream-db", db.to_string()),
            ("repl-id", replid),
            ("repl-offset", instant.offset.to_string()),
        ]);
        put_head(&mut self.current, self.form.keys.target, &self.form.facts);
    }

    /// Writes the libraries, which come before all keys.
    pub fn libraries(&mut self, all: &Libraries) {
        for library in all.iter() {
            put_function(&mut self.current, &library.code, self.form.keys.target);
        }
    }

    /// Bytes that have been written and not taken.
    pub fn len(&self) -> usize {
        self.done_bytes + self.current.len()
    }

    /// Takes what has been written; what comes later selects its database anew.
    pub fn take(&mut self) -> Vec<Piece> {
        self.cut();
        self.done_bytes = 0;
        self.selected = None;
        std::mem::take(&mut self.done)
    }

    /// Whether the entry is to be written at all.
    pub fn admits(&mut self, entry: EntryRef<'_>) -> bool {
        if self.form.without_keys || self.fault.is_some() {
            return false;
        }
        let version = self.form.keys.target.version;
        if self.form.strict && needed_version(entry, &self.form.keys) > version {
            let key = entry.key().escape_ascii();
            self.fault = Some(format!(
                "RDB version {version} has no hashes whose fields expire, such as '{key}'; \
                 'replica-rdb-version' says which version the replica reads"
            ));
            return false;
        }
        true
    }

    /// Writes a key that is admitted.
    pub fn entry(&mut self, db: DbIndex, entry: EntryRef<'_>) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            put_select(&mut self.current, db);
        }
        // What is large is copied, and what can be is compressed, by the thread that sends,
        // under no lock.
        match put_key_quickly(&mut self.current, entry, &self.form.keys) {
            Rest::Nothing => {}
            Rest::Compress(from) => self.plain.push(from..self.current.len()),
            Rest::Text(text) => {
                self.cut();
                self.done_bytes += text.len();
                self.done.push(Piece::Text(text));
            }
        }
        if self.current.len() >= CHUNK {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if !self.current.is_empty() {
            let room = Vec::with_capacity(CHUNK + CHUNK / 8);
            let chunk = std::mem::replace(&mut self.current, room);
            self.done_bytes += chunk.len();
            let plain = std::mem::take(&mut self.plain);
            self.done.push(match plain.is_empty() {
                true => Piece::Bytes(Bytes::from(chunk)),
                false => Piece::Plain(chunk, plain),
            });
        }
    }
}

/// Bytes of a chunk, about.
const CHUNK: usize = 64 * 1024;
