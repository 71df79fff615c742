//! The section `keysizes`: how many values have which size, by powers of two.

use super::Text;
use crate::execute::SessionContext;
use crate::keyspace::{EntryRef, Shard, ValueRef};
use crate::values::hash::HashRef;
use crate::values::list::ListRef;
use crate::values::set::SetRef;
use crate::values::sorted_set::SortedSetRef;
use std::collections::BTreeMap;

/// Exact in small databases, scaled up from a sample in large ones: nothing is counted when
/// values change.
pub(super) fn keysizes(context: &SessionContext<'_>, text: &mut Text) {
    let mut databases: BTreeMap<u32, Sizes> = BTreeMap::new();
    context.each_shard(|db, shard| {
        if !shard.is_empty() {
            databases.entry(db.0).or_default().add(shard);
        }
    });
    for (db, sizes) in databases {
        for (bins, title) in sizes.0.iter().zip(TITLES) {
            let bins: Vec<String> = bins
                .iter()
                .enumerate()
                .map(|(log, count)| (log.checked_sub(1).map_or(0, |log| 1 << log), count.round()))
                .filter(|(_, count)| *count > 0.0)
                .map(|(bin, count)| format!("{}={count}", short(bin)))
                .collect();
            if !bins.is_empty() {
                text.field(&format!("db{db}_distrib_{title}"), bins.join(","));
            }
        }
    }
}

/// A power of two with the unit that it fills.
fn short(bin: usize) -> String {
    let units = [("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let unit = units.iter().find(|(_, shift)| bin >= 1 << shift);
    match unit {
        Some((name, shift)) => format!("{}{name}", bin >> shift),
        None => bin.to_string(),
    }
}

/// What Redis calls the line of each kind, in Redis's order.
const TITLES: [&str; 5] = [
    "strings_sizes",
    "lists_items",
    "sets_items",
    "zsets_items",
    "hashes_items",
];
// Their places there.
const STRING: usize = 0;
const LIST: usize = 1;
const SET: usize = 2;
const SORTED_SET: usize = 3;
const HASH: usize = 4;

/// By kind, as in [`TITLES`], and by the logarithm of the size, plus one.
struct Sizes([[f64; 65]; TITLES.len()]);

impl Default for Sizes {
    fn default() -> Self {
        Sizes([[0.0; 65]; TITLES.len()])
    }
}

impl Sizes {
    fn add(&mut self, shard: &Shard) {
        if shard.len() <= EXACT {
            shard.entries().for_each(|entry| self.look(entry, 1.0));
            return;
        }
        let weight = shard.len() as f64 / SAMPLE as f64;
        for entry in (0..SAMPLE).filter_map(|_| shard.random()) {
            self.look(entry, weight);
        }
    }

    fn look(&mut self, entry: EntryRef<'_>, weight: f64) {
        if let Some((kind, size)) = size_of_value(entry.value()) {
            self.0[kind][size.checked_ilog2().map_or(0, |log| log as usize + 1)] += weight;
        }
    }
}

/// The kind, and bytes of a string or elements of a collection; streams are not counted.
fn size_of_value(value: ValueRef<'_>) -> Option<(usize, usize)> {
    Some(match value {
        ValueRef::Int(n) => (STRING, itoa::Buffer::new().format(n).len()),
        ValueRef::Str { bytes, .. } => (STRING, bytes.len()),
        ValueRef::Shared(value) => (STRING, value.len()),
        ValueRef::HashPacked(bytes) => (HASH, HashRef::Packed(bytes).len()),
        ValueRef::HashPackedEx(bytes) => (HASH, HashRef::PackedEx(bytes).len()),
        ValueRef::HashTable(table) => (HASH, HashRef::Table(table).len()),
        ValueRef::ListPacked(bytes) => (LIST, ListRef::Packed(bytes).len()),
        ValueRef::List(list) => (LIST, list.len()),
        ValueRef::SetInts(bytes) => (SET, SetRef::Ints(bytes).len()),
        ValueRef::SetPacked(bytes) => (SET, SetRef::Packed(bytes).len()),
        ValueRef::SetTable(set) => (SET, set.len()),
        ValueRef::SortedSetPacked(bytes) => (SORTED_SET, SortedSetRef::Packed(bytes).len()),
        ValueRef::SortedSet(set) => (SORTED_SET, set.len()),
        ValueRef::Stream(_) => return None,
    })
}

/// Shards up to this many entries are counted whole.
const EXACT: usize = 256;
/// Entries looked at in each larger shard.
const SAMPLE: usize = 32;
