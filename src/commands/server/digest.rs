//! One number for all data, by which nodes are compared: `DEBUG DIGEST` gives that of Redis
//! (`compatible`), `DEBUG DIGEST FULL` one that tells all that the nodes of a group share.
//!
//! The digest of a key is the SHA-1 of its database, name, type, expiry and value; all are
//! combined with exclusive or, so that order does not matter: two nodes hold the same keys in
//! different places. The encoding does not matter either. What has logically expired is left
//! out, since a replica and its primary may be asked at slightly different moments.

pub mod compatible;

use crate::keyspace::{DbIndex, EntryRef, Locked, ValueRef};
use crate::time::UnixMs;
use crate::values::hash::HashRef;
use crate::values::list::ListRef;
use crate::values::set::SetRef;
use crate::values::sorted_set::SortedSetRef;
use crate::values::stream::{Group, Stream};
use sha1::{Digest as _, Sha1};

/// 160 bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Digest([u8; 20]);

impl Digest {
    fn combine(&mut self, other: Digest) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine ^= theirs;
        }
    }

    /// Forty hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The digest of everything that is locked.
pub fn of_everything(locked: &Locked<'_>, now: UnixMs) -> Digest {
    let mut digest = Digest::default();
    for (db, shard) in locked.shards() {
        for entry in shard.entries() {
            if let Some(one) = of_entry(db, entry, now) {
                digest.combine(one);
            }
        }
    }
    digest
}

/// The digest of a value and its expiry, whatever its name; zero for what is not there.
pub fn of_value(entry: Option<EntryRef<'_>>, now: UnixMs) -> Digest {
    let live = entry.filter(|entry| entry.expiry().is_none_or(|at| at > now));
    live.and_then(|entry| value_digest(entry, now))
        .unwrap_or_default()
}

fn of_entry(db: DbIndex, entry: EntryRef<'_>, now: UnixMs) -> Option<Digest> {
    if entry.expiry().is_some_and(|at| at <= now) {
        return None;
    }
    let value = value_digest(entry, now)?;
    let mut sha = Sha1::new();
    sha.update(db.0.to_le_bytes());
    add(&mut sha, entry.key());
    sha.update(value.0);
    Some(Digest(sha.finalize().into()))
}

/// `None` for a hash of which every field has expired.
fn value_digest(entry: EntryRef<'_>, now: UnixMs) -> Option<Digest> {
    let mut sha = Sha1::new();
    sha.update(entry.expiry().unwrap_or(-1).to_le_bytes());
    match entry.value() {
        ValueRef::Int(n) => add_string(&mut sha, itoa::Buffer::new().format(n).as_bytes()),
        ValueRef::Str { bytes, .. } => add_string(&mut sha, bytes),
        ValueRef::Shared(value) => add_string(&mut sha, value),
        ValueRef::HashPacked(bytes) => add_hash(&mut sha, HashRef::Packed(bytes), now)?,
        ValueRef::HashPackedEx(bytes) => add_hash(&mut sha, HashRef::PackedEx(bytes), now)?,
        ValueRef::HashTable(table) => add_hash(&mut sha, HashRef::Table(table), now)?,
        ValueRef::ListPacked(bytes) => add_list(&mut sha, ListRef::Packed(bytes)),
        ValueRef::List(list) => add_list(&mut sha, ListRef::Quick(list)),
        ValueRef::SetInts(bytes) => add_set(&mut sha, SetRef::Ints(bytes)),
        ValueRef::SetPacked(bytes) => add_set(&mut sha, SetRef::Packed(bytes)),
        ValueRef::SetTable(table) => add_set(&mut sha, SetRef::Table(table)),
        ValueRef::SortedSetPacked(bytes) => add_sorted(&mut sha, SortedSetRef::Packed(bytes)),
        ValueRef::SortedSet(set) => add_sorted(&mut sha, SortedSetRef::Full(set)),
        ValueRef::Stream(stream) => add_stream(&mut sha, stream),
    }
    Some(Digest(sha.finalize().into()))
}

fn add_string(sha: &mut Sha1, bytes: &[u8]) {
    sha.update(b"string");
    add(sha, bytes);
}

fn add_hash(sha: &mut Sha1, hash: HashRef<'_>, now: UnixMs) -> Option<()> {
    let mut fields = Digest::default();
    let mut any = false;
    for field in hash.live(now) {
        let (mut name, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
        let mut one = Sha1::new();
        add(&mut one, field.name.text(&mut name));
        add(&mut one, field.value.text(&mut value));
        one.update(field.expires_at.unwrap_or(-1).to_le_bytes());
        fields.combine(Digest(one.finalize().into()));
        any = true;
    }
    sha.update(b"hash");
    sha.update(fields.0);
    any.then_some(())
}

fn add_set(sha: &mut Sha1, set: SetRef<'_>) {
    let mut members = Digest::default();
    for member in set.iter() {
        let mut one = Sha1::new();
        add(&mut one, member.text(&mut itoa::Buffer::new()));
        members.combine(Digest(one.finalize().into()));
    }
    sha.update(b"set");
    sha.update(members.0);
}

fn add_list(sha: &mut Sha1, list: ListRef<'_>) {
    sha.update(b"list");
    for element in list.iter() {
        add(sha, element.text(&mut itoa::Buffer::new()));
    }
}

fn add_sorted(sha: &mut Sha1, set: SortedSetRef<'_>) {
    sha.update(b"zset");
    for (member, score) in set.iter() {
        add(sha, member.text(&mut itoa::Buffer::new()));
        // A zero may have lost its sign in one encoding.
        sha.update((score + 0.0).to_le_bytes());
    }
}

/// When consumers were heard of is left out: it is not replicated.
fn add_stream(sha: &mut Sha1, stream: &Stream) {
    sha.update(b"stream");
    for entry in stream.iter() {
        sha.update(entry.id.to_bytes());
        sha.update((entry.fields as u64).to_le_bytes());
        for (field, value) in entry.pairs() {
            let (mut name, mut text) = (itoa::Buffer::new(), itoa::Buffer::new());
            add(sha, field.text(&mut name));
            add(sha, value.text(&mut text));
        }
    }
    sha.update(stream.last_id.to_bytes());
    sha.update(stream.max_deleted_id.to_bytes());
    sha.update(stream.entries_added.to_le_bytes());
    for (name, group) in stream.groups() {
        add(sha, name);
        add_group(sha, group);
    }
}

fn add_group(sha: &mut Sha1, group: &Group) {
    sha.update(group.last_id.to_bytes());
    let read = group.entries_read.map_or(-1, |read| read as i64);
    sha.update(read.to_le_bytes());
    for (id, pending) in group.pending().iter() {
        sha.update(id.to_bytes());
        sha.update(pending.delivered_at.to_le_bytes());
        sha.update(pending.deliveries.to_le_bytes());
        add(sha, group.consumer_name(pending));
    }
    for consumer in group.consumers() {
        add(sha, consumer.name());
    }
}

/// Adds bytes with their length, so that neighbours cannot run into each other.
fn add(sha: &mut Sha1, bytes: &[u8]) {
    sha.update((bytes.len() as u64).to_le_bytes());
    sha.update(bytes);
}
