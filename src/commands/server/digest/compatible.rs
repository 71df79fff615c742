//! The digest as Redis and Valkey define it, so that data can be compared across makes.
//!
//! Two operations build it: *mixing* a text in, `D := SHA1(D xor SHA1(text))`, where order
//! matters, and *adding* one, `D := D xor SHA1(text)`, where it does not. It does not tell what
//! the other digest does: when keys and fields expire, the groups of a stream, counters. That a
//! field expires is told as Redis tells it; Valkey does not.

use super::Digest;
use crate::keyspace::{DbIndex, EntryRef, Locked, ValueRef};
use crate::number::format_double;
use crate::time::UnixMs;
use crate::values::hash::HashRef;
use crate::values::list::ListRef;
use crate::values::set::SetRef;
use crate::values::sorted_set::SortedSetRef;
use crate::values::stream::Stream;
use sha1::{Digest as _, Sha1};

impl Digest {
    fn add(&mut self, text: &[u8]) {
        self.combine(Digest(Sha1::digest(text).into()));
    }

    fn mix(&mut self, text: &[u8]) {
        self.add(text);
        self.0 = Sha1::digest(self.0).into();
    }
}

/// The digest of everything that is locked; what has logically expired is left out.
pub fn of_everything(locked: &Locked<'_>, now: UnixMs) -> Digest {
    let mut all = Digest::default();
    let mut begun: Option<DbIndex> = None;
    for (db, shard) in locked.shards() {
        let live = |entry: &EntryRef<'_>| entry.expiry().is_none_or(|at| at > now);
        for entry in shard.entries().filter(live) {
            if begun != Some(db) {
                begun = Some(db);
                all.mix(&db.0.to_be_bytes());
            }
            let mut one = Digest::default();
            one.mix(entry.key());
            add_value(&mut one, entry);
            all.add(&one.0);
        }
    }
    all
}

/// The digest of a value, whatever its name; zero for what is not there.
pub fn of_value(entry: Option<EntryRef<'_>>, now: UnixMs) -> Digest {
    let mut digest = Digest::default();
    if let Some(entry) = entry.filter(|entry| entry.expiry().is_none_or(|at| at > now)) {
        add_value(&mut digest, entry);
    }
    digest
}

fn add_value(digest: &mut Digest, entry: EntryRef<'_>) {
    let value = entry.value();
    digest.mix(&type_number(value).to_be_bytes());
    match value {
        ValueRef::Int(n) => digest.mix(itoa::Buffer::new().format(n).as_bytes()),
        ValueRef::Str { bytes, .. } => digest.mix(bytes),
        ValueRef::Shared(value) => digest.mix(value),
        ValueRef::HashPacked(bytes) => add_hash(digest, HashRef::Packed(bytes)),
        ValueRef::HashPackedEx(bytes) => add_hash(digest, HashRef::PackedEx(bytes)),
        ValueRef::HashTable(table) => add_hash(digest, HashRef::Table(table)),
        ValueRef::ListPacked(bytes) => mix_list(digest, ListRef::Packed(bytes)),
        ValueRef::List(list) => mix_list(digest, ListRef::Quick(list)),
        ValueRef::SetInts(bytes) => add_set(digest, SetRef::Ints(bytes)),
        ValueRef::SetPacked(bytes) => add_set(digest, SetRef::Packed(bytes)),
        ValueRef::SetTable(table) => add_set(digest, SetRef::Table(table)),
        ValueRef::SortedSetPacked(bytes) => add_sorted(digest, SortedSetRef::Packed(bytes)),
        ValueRef::SortedSet(set) => add_sorted(digest, SortedSetRef::Full(set)),
        ValueRef::Stream(stream) => mix_stream(digest, stream),
    }
    if entry.expiry().is_some() {
        digest.add(b"!!expire!!");
    }
}

/// The numbers by which Redis knows types.
fn type_number(value: ValueRef<'_>) -> u32 {
    match value {
        ValueRef::Int(_) | ValueRef::Str { .. } | ValueRef::Shared(_) => 0,
        ValueRef::ListPacked(_) | ValueRef::List(_) => 1,
        ValueRef::SetInts(_) | ValueRef::SetPacked(_) | ValueRef::SetTable(_) => 2,
        ValueRef::SortedSetPacked(_) | ValueRef::SortedSet(_) => 3,
        ValueRef::HashPacked(_) | ValueRef::HashPackedEx(_) | ValueRef::HashTable(_) => 4,
        ValueRef::Stream(_) => 6,
    }
}

fn add_hash(digest: &mut Digest, hash: HashRef<'_>) {
    for field in hash.iter() {
        let mut one = Digest::default();
        one.mix(field.name.text(&mut itoa::Buffer::new()));
        one.mix(field.value.text(&mut itoa::Buffer::new()));
        if field.expires_at.is_some() {
            one.add(b"!!hexpire!!");
        }
        digest.add(&one.0);
    }
}

fn mix_list(digest: &mut Digest, list: ListRef<'_>) {
    for element in list.iter() {
        digest.mix(element.text(&mut itoa::Buffer::new()));
    }
}

fn add_set(digest: &mut Digest, set: SetRef<'_>) {
    for member in set.iter() {
        digest.add(member.text(&mut itoa::Buffer::new()));
    }
}

fn add_sorted(digest: &mut Digest, set: SortedSetRef<'_>) {
    for (member, score) in set.iter() {
        let mut one = Digest::default();
        one.mix(member.text(&mut itoa::Buffer::new()));
        one.mix(format_double(score).as_bytes());
        digest.add(&one.0);
    }
}

fn mix_stream(digest: &mut Digest, stream: &Stream) {
    for entry in stream.iter() {
        digest.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
        for (field, value) in entry.pairs() {
            digest.mix(field.text(&mut itoa::Buffer::new()));
            digest.mix(value.text(&mut itoa::Buffer::new()));
        }
    }
}
