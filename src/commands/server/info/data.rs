//! The section `keyspace`.

use super::Text;
use crate::execute::SessionContext;
use crate::keyspace::{EntryRef, Shard, ValueRef};
use crate::time::UnixMs;
use crate::values::hash::HashRef;
use std::collections::BTreeMap;

/// Counts of keys are exact. The mean time to live, and in large databases the number of
/// hashes with field expiry, come from a sample.
pub(super) fn keyspace(context: &SessionContext<'_>, text: &mut Text) {
    let mut databases: BTreeMap<u32, Count> = BTreeMap::new();
    context.each_shard(|db, shard| {
        if !shard.is_empty() {
            databases.entry(db.0).or_default().add(shard, context.now);
        }
    });
    for (db, count) in databases {
        let ttl = count.ttl_sum.checked_div(count.ttls).unwrap_or(0);
        text.field(
            &format!("db{db}"),
            format_args!(
                "keys={},expires={},avg_ttl={ttl},subexpiry={}",
                count.keys,
                count.volatile,
                count.subexpiry.round()
            ),
        );
    }
}

#[derive(Default)]
struct Count {
    keys: usize,
    volatile: usize,
    subexpiry: f64,
    ttls: i64,
    ttl_sum: i64,
}

impl Count {
    fn add(&mut self, shard: &Shard, now: UnixMs) {
        self.keys += shard.len();
        self.volatile += shard.volatile();
        if shard.len() <= EXACT {
            shard.entries().for_each(|entry| self.look(entry, now, 1.0));
            return;
        }
        let weight = shard.len() as f64 / SAMPLE as f64;
        for entry in (0..SAMPLE).filter_map(|_| shard.random()) {
            self.look(entry, now, weight);
        }
    }

    fn look(&mut self, entry: EntryRef<'_>, now: UnixMs, weight: f64) {
        if let Some(at) = entry.expiry() {
            self.ttls += 1;
            self.ttl_sum = self.ttl_sum.saturating_add((at - now).max(0));
        }
        let first_field = match entry.value() {
            ValueRef::HashPackedEx(bytes) => HashRef::PackedEx(bytes).min_expiry(),
            ValueRef::HashTable(table) => HashRef::Table(table).min_expiry(),
            _ => None,
        };
        if first_field.is_some() {
            self.subexpiry += weight;
        }
    }
}

/// Shards up to this many entries are looked at whole.
const EXACT: usize = 256;
/// Entries looked at in each larger shard.
const SAMPLE: usize = 32;
