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
        for (kind, title) in TITLES {
            let Some(bins) = sizes.0.get(kind) else {
                continue;
            };
            let bins: Vec<String> = bins
                .iter()
                .map(|(bin, count)| (bin, count.round()))
                .filter(|(_, count)| *count > 0.0)
                .map(|(bin, count)| format!("{}={count}", short(*bin)))
                .collect();
            text.field(&format!("db{db}_distrib_{title}"), bins.join(","));
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

/// The kind by `TYPE`, and what Redis calls its line, in Redis's order.
const TITLES: [(&str, &str); 5] = [
    ("string", "strings_sizes"),
    ("list", "lists_items"),
    ("set", "sets_items"),
    ("zset", "zsets_items"),
    ("hash", "hashes_items"),
];

/// By kind and lower bound of the size.
#[derive(Default)]
struct Sizes(BTreeMap<&'static str, BTreeMap<usize, f64>>);

impl Sizes {
    fn add(&mut self, shard: &Shard) {
        if shard.len() <= SAMPLE {
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
            let bin = size.checked_ilog2().map_or(0, |log| 1 << log);
            *self.0.entry(kind).or_default().entry(bin).or_default() += weight;
        }
    }
}

/// Bytes of a string, elements of a collection; streams are not counted.
fn size_of_value(value: ValueRef<'_>) -> Option<(&'static str, usize)> {
    Some(match value {
        ValueRef::Int(n) => ("string", itoa::Buffer::new().format(n).len()),
        ValueRef::Str { bytes, .. } => ("string", bytes.len()),
        ValueRef::Shared(value) => ("string", value.len()),
        ValueRef::HashPacked(bytes) => ("hash", HashRef::Packed(bytes).len()),
        ValueRef::HashPackedEx(bytes) => ("hash", HashRef::PackedEx(bytes).len()),
        ValueRef::HashTable(table) => ("hash", HashRef::Table(table).len()),
        ValueRef::ListPacked(bytes) => ("list", ListRef::Packed(bytes).len()),
        ValueRef::List(list) => ("list", list.len()),
        ValueRef::SetInts(bytes) => ("set", SetRef::Ints(bytes).len()),
        ValueRef::SetPacked(bytes) => ("set", SetRef::Packed(bytes).len()),
        ValueRef::SetTable(set) => ("set", set.len()),
        ValueRef::SortedSetPacked(bytes) => ("zset", SortedSetRef::Packed(bytes).len()),
        ValueRef::SortedSet(set) => ("zset", set.len()),
        ValueRef::Stream(_) => return None,
    })
}

/// Entries looked at in each shard.
const SAMPLE: usize = 256;
