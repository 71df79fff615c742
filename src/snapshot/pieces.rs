//! A hash or sorted set of many elements on its way into a snapshot, piece by piece.
//!
//! What stands in front of the elements is written when the value is frozen, under its shard's
//! lock: how many there are, when the key expires. Then the snapshot's thread takes some at a
//! time. In an RDB file nothing may come in between, so that it sends nothing else meanwhile.

use super::text::Text;
use crate::keyspace::{DbIndex, EntryRef, Pieces};
use crate::protocol::encode_bulk;
use crate::rdb::{Elements, KeyForm, put_key_of_elements, put_select};
use crate::time::UnixMs;
use crate::values::hash::Field;
use crate::values::packed::Element;
use bytes::Bytes;
use std::collections::BTreeMap;

/// See the module's documentation.
pub(super) enum Taken {
    /// For an RDB file.
    Binary(Vec<u8>, Elements),
    /// For a file of commands.
    Text(Box<Commands>),
}

impl Taken {
    /// Begins with an entry whose value is frozen under the same lock.
    pub fn begin(db: DbIndex, entry: EntryRef<'_>, keys: Option<&KeyForm>) -> Self {
        match keys {
            Some(form) => {
                let mut out = Vec::new();
                put_select(&mut out, db);
                let elements = put_key_of_elements(&mut out, entry, form);
                Taken::Binary(out, elements)
            }
            None => Taken::Text(Box::new(Commands {
                db,
                key: entry.key().into(),
                expiry: entry.expiry(),
                out: Text::default(),
            })),
        }
    }

    /// Takes the next piece, under the value's lock; whether there are more.
    pub fn take(&mut self, value: Pieces<'_>) -> bool {
        match self {
            Taken::Binary(out, elements) => match value {
                Pieces::Hash(table) => table.next_piece(PIECE, |f| elements.field(out, f)),
                Pieces::SortedSet(set) => {
                    set.next_piece(PIECE, |member, score| elements.scored(out, member, score))
                }
            },
            Taken::Text(commands) => commands.take(value),
        }
    }

    /// What has been written since this was last asked.
    pub fn written(&mut self) -> Vec<Bytes> {
        match self {
            Taken::Binary(out, _) => vec![Bytes::from(std::mem::take(out))],
            Taken::Text(commands) => commands.out.take(),
        }
    }

    /// Bytes that have been written and not asked for.
    pub fn len(&self) -> usize {
        match self {
            Taken::Binary(out, _) => out.len(),
            Taken::Text(commands) => commands.out.len(),
        }
    }

    /// Writes what stands behind the elements.
    pub fn end(&mut self) {
        if let Taken::Text(commands) = self {
            commands.out.select(commands.db);
            commands.out.expire(&commands.key, commands.expiry);
        }
    }
}

/// A value in the making as commands.
pub(super) struct Commands {
    db: DbIndex,
    key: Box<[u8]>,
    expiry: Option<UnixMs>,
    out: Text<'static>,
}

impl Commands {
    fn take(&mut self, value: Pieces<'_>) -> bool {
        let Commands { db, key, out, .. } = self;
        out.select(*db);
        match value {
            Pieces::Hash(table) => {
                let (mut set, mut expire) = (Words::default(), BTreeMap::new());
                let more = table.next_piece(PIECE, |field| {
                    set.add(field.name);
                    set.add(field.value);
                    note_expiry(&mut expire, field);
                    if set.bytes.len() >= LONG {
                        set.end(out, &[b"HSET", key]);
                    }
                });
                set.end(out, &[b"HSET", key]);
                for (at, mut names) in expire {
                    let at = at.to_string();
                    let count = names.count.to_string();
                    let head: [&[u8]; 5] = [
                        b"HPEXPIREAT",
                        key,
                        at.as_bytes(),
                        b"FIELDS",
                        count.as_bytes(),
                    ];
                    names.end(out, &head);
                }
                more
            }
            Pieces::SortedSet(set) => {
                let mut add = Words::default();
                let more = set.next_piece(PIECE, |member, score| {
                    let score = crate::number::format_double(score);
                    add.add(Element::Str(score.as_bytes()));
                    add.add(member);
                    if add.bytes.len() >= LONG {
                        add.end(out, &[b"ZADD", key]);
                    }
                });
                add.end(out, &[b"ZADD", key]);
                more
            }
        }
    }
}

fn note_expiry(expire: &mut BTreeMap<UnixMs, Words>, field: Field<'_>) {
    if let Some(at) = field.expires_at {
        expire.entry(at).or_default().add(field.name);
    }
}

/// The last words of a command, of which there may be any number.
#[derive(Default)]
struct Words {
    bytes: Vec<u8>,
    count: usize,
}

impl Words {
    fn add(&mut self, word: Element<'_>) {
        encode_bulk(&mut self.bytes, word.text(&mut itoa::Buffer::new()));
        self.count += 1;
    }

    /// Writes the command, if there are any.
    fn end(&mut self, out: &mut Text<'_>, head: &[&[u8]]) {
        if self.count > 0 {
            out.words(head, &self.bytes, self.count);
            self.bytes.clear();
            self.count = 0;
        }
    }
}

/// Elements taken under one lock. Tests want many pieces.
const PIECE: usize = if cfg!(test) { 9 } else { 128 };
/// Bytes after which another command begins.
const LONG: usize = 64 * 1024;
