//! Entries as the commands that make them: what the base of an append-only file and a full
//! copy consist of.

use crate::keyspace::{DbIndex, EntryRef, Libraries, ValueRef};
use crate::protocol::{encode_bulk, encode_header};
use crate::time::UnixMs;
use crate::values::hash::{Field, HashRef};
use crate::values::list::ListRef;
use crate::values::packed::Element;
use crate::values::set::SetRef;
use crate::values::sorted_set::SortedSetRef;
use crate::values::stream::{Group, Stream, StreamId};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Commands in the making, in chunks.
#[derive(Default)]
pub(super) struct Text<'t> {
    /// Where finished chunks go; they are kept if that is not said.
    to: Option<&'t mut (dyn FnMut(Bytes) + Send)>,
    done: Vec<Bytes>,
    done_bytes: usize,
    current: Vec<u8>,
    selected: Option<DbIndex>,
}

impl<'t> Text<'t> {
    /// Commands whose chunks go to `to` one by one.
    pub fn to(to: &'t mut (dyn FnMut(Bytes) + Send)) -> Self {
        Text {
            to: Some(to),
            ..Text::default()
        }
    }

    /// Ends the last chunk.
    pub fn end(mut self) {
        self.cut();
    }

    /// Bytes that have been written and not taken.
    pub fn len(&self) -> usize {
        self.done_bytes + self.current.len()
    }

    /// Takes what has been written; what comes later selects its database anew.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.cut();
        self.done_bytes = 0;
        self.selected = None;
        std::mem::take(&mut self.done)
    }

    /// Writes the commands that make the entry.
    pub fn entry(&mut self, db: DbIndex, entry: EntryRef<'_>) {
        self.select(db);
        let (key, expiry) = (entry.key(), entry.expiry());
        match entry.value() {
            ValueRef::Int(n) => self.string(key, itoa::Buffer::new().format(n).as_bytes(), expiry),
            ValueRef::Str { bytes, .. } => self.string(key, bytes, expiry),
            ValueRef::Shared(value) => self.shared_string(key, value, expiry),
            ValueRef::HashPacked(bytes) => self.hash(key, HashRef::Packed(bytes), expiry),
            ValueRef::HashPackedEx(bytes) => self.hash(key, HashRef::PackedEx(bytes), expiry),
            ValueRef::HashTable(table) => self.hash(key, HashRef::Table(table), expiry),
            ValueRef::ListPacked(bytes) => self.list(key, ListRef::Packed(bytes), expiry),
            ValueRef::List(list) => self.list(key, ListRef::Quick(list), expiry),
            ValueRef::SetInts(bytes) => self.set_of_members(key, SetRef::Ints(bytes), expiry),
            ValueRef::SetPacked(bytes) => self.set_of_members(key, SetRef::Packed(bytes), expiry),
            ValueRef::SetTable(table) => self.set_of_members(key, SetRef::Table(table), expiry),
            ValueRef::SortedSetPacked(bytes) => {
                self.sorted_set(key, SortedSetRef::Packed(bytes), expiry);
            }
            ValueRef::SortedSet(set) => self.sorted_set(key, SortedSetRef::Full(set), expiry),
            ValueRef::Stream(stream) => self.stream(key, stream, expiry),
        }
        self.cut_if_long();
    }

    /// Writes the commands that make the libraries.
    pub fn libraries(&mut self, all: &Libraries) {
        for library in all.iter() {
            self.command(3).arg(b"FUNCTION").arg(b"LOAD");
            self.arg(&library.code);
            self.cut_if_long();
        }
    }

    /// Selects a database, if it is not selected already.
    pub fn select(&mut self, db: DbIndex) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            self.command(2).arg(b"SELECT").int(i64::from(db.0));
        }
    }

    /// Writes a command: words, and `count` more that are encoded already.
    pub fn words(&mut self, head: &[&[u8]], encoded: &[u8], count: usize) {
        self.command(head.len() + count);
        for word in head {
            self.arg(word);
        }
        self.current.extend_from_slice(encoded);
        self.cut_if_long();
    }

    /// Sets the key's expiry, if it has one.
    pub fn expire(&mut self, key: &[u8], expiry: Option<UnixMs>) {
        if let Some(at) = expiry {
            self.command(3).arg(b"PEXPIREAT").arg(key).int(at);
        }
    }

    fn string(&mut self, key: &[u8], value: &[u8], expiry: Option<UnixMs>) {
        self.set(key, expiry).arg(value).expires(expiry);
    }

    fn shared_string(&mut self, key: &[u8], value: &Arc<Vec<u8>>, expiry: Option<UnixMs>) {
        if value.len() < SHARE_FROM {
            return self.string(key, value, expiry);
        }
        self.set(key, expiry);
        encode_header(&mut self.current, b'$', value.len());
        self.cut();
        // Not copied: should the value change meanwhile, the change copies.
        self.push(Bytes::from_owner(Shared(Arc::clone(value))));
        self.current.extend_from_slice(b"\r\n");
        self.expires(expiry);
    }

    fn set(&mut self, key: &[u8], expiry: Option<UnixMs>) -> &mut Self {
        let argc = if expiry.is_some() { 5 } else { 3 };
        self.command(argc).arg(b"SET").arg(key)
    }

    fn expires(&mut self, expiry: Option<UnixMs>) {
        if let Some(at) = expiry {
            self.arg(b"PXAT").int(at);
        }
    }

    fn hash(&mut self, key: &[u8], hash: HashRef<'_>, expiry: Option<UnixMs>) {
        let mut piece: Vec<Field<'_>> = Vec::with_capacity(PIECE_FIELDS.min(hash.len()));
        let mut piece_bytes = 0;
        let mut by_expiry: BTreeMap<UnixMs, Vec<Field<'_>>> = BTreeMap::new();
        for field in hash.iter() {
            let bytes = field.name.text_len() + field.value.text_len();
            if piece.len() == PIECE_FIELDS || piece_bytes + bytes > PIECE_BYTES && piece_bytes > 0 {
                self.fields(key, &piece);
                piece.clear();
                piece_bytes = 0;
            }
            piece_bytes += bytes;
            piece.push(field);
            if let Some(at) = field.expires_at {
                by_expiry.entry(at).or_default().push(field);
            }
        }
        self.fields(key, &piece);
        for (at, fields) in &by_expiry {
            for piece in fields.chunks(PIECE_FIELDS) {
                self.command(5 + piece.len()).arg(b"HPEXPIREAT").arg(key);
                self.int(*at).arg(b"FIELDS").int(piece.len() as i64);
                for field in piece {
                    self.arg(field.name.text(&mut itoa::Buffer::new()));
                }
            }
        }
        self.expire(key, expiry);
    }

    fn fields(&mut self, key: &[u8], fields: &[Field<'_>]) {
        if fields.is_empty() {
            return;
        }
        self.command(2 + 2 * fields.len()).arg(b"HSET").arg(key);
        for field in fields {
            let mut digits = itoa::Buffer::new();
            self.arg(field.name.text(&mut digits));
            self.arg(field.value.text(&mut digits));
        }
        self.cut_if_long();
    }

    fn set_of_members(&mut self, key: &[u8], set: SetRef<'_>, expiry: Option<UnixMs>) {
        self.pieces(key, b"SADD", set.iter(), expiry);
    }

    /// A collection of single elements, in pieces.
    fn pieces<'e>(
        &mut self,
        key: &[u8],
        command: &[u8],
        elements: impl Iterator<Item = Element<'e>>,
        expiry: Option<UnixMs>,
    ) {
        let mut piece: Vec<Element<'_>> = Vec::with_capacity(PIECE_FIELDS);
        let mut piece_bytes = 0;
        for element in elements {
            let bytes = element.text_len();
            if piece.len() == PIECE_FIELDS || piece_bytes + bytes > PIECE_BYTES && piece_bytes > 0 {
                self.piece(key, command, &piece);
                piece.clear();
                piece_bytes = 0;
            }
            piece_bytes += bytes;
            piece.push(element);
        }
        self.piece(key, command, &piece);
        self.expire(key, expiry);
    }

    fn sorted_set(&mut self, key: &[u8], set: SortedSetRef<'_>, expiry: Option<UnixMs>) {
        let mut members = set.iter().peekable();
        while members.peek().is_some() {
            let (mut piece, mut bytes) = (Vec::with_capacity(PIECE_FIELDS), 0);
            while piece.len() < PIECE_FIELDS && bytes < PIECE_BYTES {
                let Some((member, score)) = members.next() else {
                    break;
                };
                bytes += member.text_len();
                piece.push((member, score));
            }
            self.command(2 + 2 * piece.len()).arg(b"ZADD").arg(key);
            for (member, score) in piece {
                self.arg(crate::number::format_double(score).as_bytes());
                self.arg(member.text(&mut itoa::Buffer::new()));
            }
            self.cut_if_long();
        }
        self.expire(key, expiry);
    }

    fn list(&mut self, key: &[u8], list: ListRef<'_>, expiry: Option<UnixMs>) {
        self.pieces(key, b"RPUSH", list.iter(), expiry);
    }

    fn piece(&mut self, key: &[u8], command: &[u8], elements: &[Element<'_>]) {
        if elements.is_empty() {
            return;
        }
        self.command(2 + elements.len()).arg(command).arg(key);
        for element in elements {
            self.arg(element.text(&mut itoa::Buffer::new()));
        }
        self.cut_if_long();
    }

    fn stream(&mut self, key: &[u8], stream: &Stream, expiry: Option<UnixMs>) {
        for entry in stream.iter() {
            self.command(3 + 2 * entry.fields).arg(b"XADD").arg(key);
            self.arg(&entry.id.text());
            for (field, value) in entry.pairs() {
                let (mut name, mut text) = (itoa::Buffer::new(), itoa::Buffer::new());
                self.arg(field.text(&mut name)).arg(value.text(&mut text));
            }
            self.cut_if_long();
        }
        if stream.is_empty() {
            // An entry that is trimmed at once makes the key.
            self.command(7).arg(b"XADD").arg(key);
            self.arg(b"MAXLEN")
                .arg(b"0")
                .arg(b"0-1")
                .arg(b"x")
                .arg(b"y");
        }
        self.command(7).arg(b"XSETID").arg(key);
        self.arg(&stream.last_id.text());
        self.arg(b"ENTRIESADDED").int(stream.entries_added as i64);
        self.arg(b"MAXDELETEDID").arg(&stream.max_deleted_id.text());
        for (name, group) in stream.groups() {
            self.group(key, name, group);
        }
        self.expire(key, expiry);
    }

    fn group(&mut self, key: &[u8], name: &[u8], group: &Group) {
        self.command(7).arg(b"XGROUP").arg(b"CREATE").arg(key);
        self.arg(name).arg(&group.last_id.text());
        let read = group.entries_read.map_or(-1, |read| read as i64);
        self.arg(b"ENTRIESREAD").int(read);
        for consumer in group.consumers() {
            self.command(5).arg(b"XGROUP").arg(b"CREATECONSUMER");
            self.arg(key).arg(name).arg(consumer.name());
        }
        // Entries that were delivered together share a command.
        let mut piece: Vec<StreamId> = Vec::new();
        let mut pending = group.pending().iter().peekable();
        while let Some((id, one)) = pending.next() {
            piece.push(id);
            let more = pending.peek().is_some_and(|(_, next)| *next == one);
            if more && piece.len() < PIECE_FIELDS {
                continue;
            }
            self.command(11 + piece.len()).arg(b"XCLAIM").arg(key);
            self.arg(name).arg(group.consumer_name(one)).arg(b"0");
            for id in piece.drain(..) {
                self.arg(&id.text());
            }
            self.arg(b"TIME").int(one.delivered_at);
            self.arg(b"RETRYCOUNT").int(one.deliveries as i64);
            self.arg(b"JUSTID").arg(b"FORCE");
            self.cut_if_long();
        }
    }

    fn command(&mut self, argc: usize) -> &mut Self {
        encode_header(&mut self.current, b'*', argc);
        self
    }

    fn arg(&mut self, bytes: &[u8]) -> &mut Self {
        encode_bulk(&mut self.current, bytes);
        self
    }

    fn int(&mut self, n: i64) -> &mut Self {
        self.arg(itoa::Buffer::new().format(n).as_bytes())
    }

    fn cut_if_long(&mut self) {
        if self.current.len() >= CHUNK {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if !self.current.is_empty() {
            let room = Vec::with_capacity(CHUNK + CHUNK / 8);
            let chunk = std::mem::replace(&mut self.current, room);
            self.push(Bytes::from(chunk));
        }
    }

    fn push(&mut self, chunk: Bytes) {
        if let Some(to) = &mut self.to {
            return to(chunk);
        }
        self.done_bytes += chunk.len();
        self.done.push(chunk);
    }
}

/// A large string, kept alive by a chunk.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes of a chunk, about.
const CHUNK: usize = 64 * 1024;
/// Strings of this length are not copied.
const SHARE_FROM: usize = 16 * 1024;
/// What one HSET or SADD holds at most, unless a single field or member is larger.
const PIECE_FIELDS: usize = 64;
const PIECE_BYTES: usize = 64 * 1024;
