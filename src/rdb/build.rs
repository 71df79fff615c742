//! Making entries of the keyspace from values that were read.

use super::packs::Fault;
use super::stream_build::stream_of;
use super::value::{Strings, Value};
use crate::execute::{Settings, string_payload};
use crate::keyspace::{Entry, Kind, Payload};
use crate::values::hash::{
    EMPTY, Encoding, HashMut, HashRef, Limits, NeedsConversion, Ttl, to_packed_ex, to_table,
};
use crate::values::list::{self, List, ListRef};
use crate::values::packed::{EditBuf, Encoded};
use crate::values::set::{self, OwnedSet};
use crate::values::sorted_set::{self, OwnedSortedSet};
use std::sync::Arc;

/// The entry of a key with this value, in the encoding that the settings ask for.
///
/// # Errors
/// When the value is one that no key can have: an element occurs twice, or there is none.
pub fn entry_of(
    key: &[u8],
    expires_at: Option<i64>,
    value: Value,
    settings: &Settings,
) -> Result<Entry, Fault> {
    if value.is_empty_collection() {
        return Err("a collection without elements");
    }
    match value {
        Value::String(text) => Ok(string_entry(key, expires_at, text)),
        Value::Hash(fields, expiries) => hash_entry(key, expires_at, &fields, &expiries, settings),
        Value::List(elements) => Ok(list_entry(key, expires_at, &elements, settings)),
        Value::Set(members, packed) => set_entry(key, expires_at, &members, packed, settings),
        Value::SortedSet(members, scores) => {
            sorted_set_entry(key, expires_at, &members, &scores, settings)
        }
        Value::Stream(value) => {
            let stream = Box::new(stream_of(&value)?);
            Ok(Entry::new(key, expires_at, Payload::Stream(stream)))
        }
    }
}

fn string_entry(key: &[u8], expires_at: Option<i64>, text: Vec<u8>) -> Entry {
    let payload = match string_payload(&text[..text.len().min(crate::execute::INLINE_STRING + 1)]) {
        // What was read is kept as it is, not copied.
        Payload::Shared(_) => Payload::Shared(Arc::new(text)),
        _ => string_payload(&text),
    };
    Entry::new(key, expires_at, payload)
}

fn sorted_set_entry(
    key: &[u8],
    expires_at: Option<i64>,
    members: &Strings,
    scores: &[f64],
    settings: &Settings,
) -> Result<Entry, Fault> {
    let limits = sorted_set::Limits {
        max_entries: settings.zset_max_listpack_entries,
        max_value: settings.zset_max_listpack_value,
    };
    let longest = members.iter().map(<[u8]>::len).max().unwrap_or(0);
    let mut set = OwnedSortedSet::for_members(members.len(), longest, limits);
    for (member, score) in members.iter().zip(scores) {
        if set.as_ref().score(member).is_some() {
            return Err("a member occurs twice");
        }
        set.insert(member, *score, limits);
    }
    let payload = match set {
        OwnedSortedSet::Packed(ref bytes) => Payload::Inline(Kind::SortedSetPacked, bytes),
        OwnedSortedSet::Full(set) => Payload::SortedSet(set),
    };
    Ok(Entry::new(key, expires_at, payload))
}

fn list_entry(
    key: &[u8],
    expires_at: Option<i64>,
    elements: &Strings,
    settings: &Settings,
) -> Entry {
    let limits = list::Limits::of(settings.list_max_listpack_size);
    let few = elements.len() <= limits.elements.min(list::packed::MOST);
    if few && elements.text_bytes() <= limits.bytes {
        let mut bytes = (elements.len() as u16).to_le_bytes().to_vec();
        let mut encoded = EditBuf::new();
        for text in elements.iter() {
            Encoded::new(text).write_to(&mut encoded);
            bytes.extend_from_slice(&encoded);
            encoded.clear();
        }
        if ListRef::Packed(&bytes).listpack_bytes() <= limits.bytes {
            return Entry::new(key, expires_at, Payload::Inline(Kind::ListPacked, &bytes));
        }
    }
    let mut list = List::default();
    elements.iter().for_each(|text| list.push(text));
    Entry::new(key, expires_at, Payload::List(Box::new(list)))
}

fn hash_entry(
    key: &[u8],
    expires_at: Option<i64>,
    fields: &Strings,
    expiries: &[i64],
    settings: &Settings,
) -> Result<Entry, Fault> {
    let limits = Limits {
        max_entries: settings.hash_max_entries,
        max_value: settings.hash_max_value,
    };
    let pairs = fields.len() / 2;
    let expiry = |pair: usize| expiries.get(pair).copied().filter(|at| *at > 0);
    // Redis keeps the encoding when no field expires any more.
    let mut hash = match !expiries.is_empty() {
        true => Hash::PackedEx(EMPTY.to_vec()),
        false => Hash::Packed(EMPTY.to_vec()),
    };
    if pairs > limits.max_entries {
        hash.convert(Encoding::Table);
    }
    for pair in 0..pairs {
        let (name, value) = (fields.get(2 * pair), fields.get(2 * pair + 1));
        if !hash.change(|hash| hash.set(name, value, Ttl::Drop, limits)) {
            return Err("a field occurs twice");
        }
        if expiry(pair).is_some() {
            hash.change(|hash| hash.set_expiry(name, expiry(pair)));
        }
    }
    let payload = match hash {
        Hash::Packed(ref bytes) => Payload::Inline(Kind::HashPacked, bytes),
        Hash::PackedEx(ref bytes) => Payload::Inline(Kind::HashPackedEx, bytes),
        Hash::Table(table) => Payload::Table(table),
    };
    Ok(Entry::new(key, expires_at, payload))
}

fn set_entry(
    key: &[u8],
    expires_at: Option<i64>,
    members: &Strings,
    packed: bool,
    settings: &Settings,
) -> Result<Entry, Fault> {
    let limits = set::Limits {
        max_ints: settings.set_max_intset_entries,
        max_entries: settings.set_max_listpack_entries,
        max_value: settings.set_max_listpack_value,
    };
    let first = set::member(members.get(0));
    // Redis packs a set that was none when it was saved only if it could be one of integers by
    // its size, and makes no set of integers of one that was packed.
    let encoding = match packed {
        true if members.len() <= limits.max_entries => set::Encoding::Packed,
        false if members.len() <= limits.max_ints => {
            set::encoding_for(first, members.len(), limits)
        }
        _ => set::Encoding::Table,
    };
    let mut set = OwnedSet::empty(encoding);
    for member in members.iter() {
        if !set.add(set::member(member), limits) {
            return Err("a member occurs twice");
        }
    }
    let payload = match set {
        OwnedSet::Ints(ref bytes) => Payload::Inline(Kind::SetInts, bytes),
        OwnedSet::Packed(ref bytes) => Payload::Inline(Kind::SetPacked, bytes),
        OwnedSet::Table(table) => Payload::Set(table),
    };
    Ok(Entry::new(key, expires_at, payload))
}

/// A hash in the making.
enum Hash {
    Packed(Vec<u8>),
    PackedEx(Vec<u8>),
    Table(Box<crate::values::hash::HashTable>),
}

impl Hash {
    /// Makes a change, in another encoding if it needs one.
    fn change(
        &mut self,
        change: impl Fn(&mut HashMut<'_>) -> Result<bool, NeedsConversion>,
    ) -> bool {
        loop {
            let changed = match self {
                Hash::Packed(bytes) => change(&mut HashMut::Packed(bytes)),
                Hash::PackedEx(bytes) => change(&mut HashMut::PackedEx(bytes)),
                Hash::Table(table) => change(&mut HashMut::Table(table)),
            };
            match changed {
                Ok(changed) => return changed,
                Err(NeedsConversion(encoding)) => self.convert(encoding),
            }
        }
    }

    fn convert(&mut self, encoding: Encoding) {
        *self = match self {
            Hash::Packed(bytes) if encoding == Encoding::PackedEx => {
                Hash::PackedEx(to_packed_ex(bytes))
            }
            Hash::Packed(bytes) => Hash::Table(Box::new(to_table(HashRef::Packed(bytes)))),
            Hash::PackedEx(bytes) => Hash::Table(Box::new(to_table(HashRef::PackedEx(bytes)))),
            Hash::Table(_) => return,
        };
    }
}
