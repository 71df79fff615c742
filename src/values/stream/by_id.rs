//! An ordered map by identity for what mostly grows at its end: pending entries.
//!
//! Items lie in sorted runs of up to [`RUN`], and a run at the end is filled before the next
//! begins, where a tree of single items would stay half empty.
//!
//! A clone shares the runs, and whoever changes one copies it first.
//!
//! What must stay true: runs are not empty and do not overlap; a run's key is not above its
//! first item.

use super::id::StreamId;
use super::{SHARED, map_bytes};
use crate::allocator::size_class;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A map by identity.
#[derive(Clone, Debug)]
pub struct ById<V> {
    runs: BTreeMap<StreamId, Arc<Vec<(StreamId, V)>>>,
    len: usize,
}

impl<V> Default for ById<V> {
    fn default() -> Self {
        ById {
            runs: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<V: Copy> ById<V> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of an identity.
    pub fn get(&self, id: StreamId) -> Option<&V> {
        let (_, run) = self.runs.range(..=id).next_back()?;
        let at = run.binary_search_by_key(&id, |item| item.0).ok()?;
        run.get(at).map(|(_, value)| value)
    }

    /// Whether there is such an identity.
    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// Sets the value of an identity; gives the one it had.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        let floor = self.runs.range(..=id).next_back();
        let floor = floor.or_else(|| self.runs.first_key_value());
        let Some(mut key) = floor.map(|(key, _)| *key) else {
            self.len += 1;
            self.runs.insert(id, Arc::new(vec![(id, value)]));
            return None;
        };
        if id < key
            && let Some(run) = self.runs.remove(&key)
        {
            // Below everything: the first run begins earlier from now on.
            self.runs.insert(id, run);
            key = id;
        }
        let is_last = self
            .runs
            .last_key_value()
            .is_some_and(|(last, _)| *last == key);
        let run = Arc::make_mut(self.runs.get_mut(&key)?);
        let at = match run.binary_search_by_key(&id, |item| item.0) {
            Ok(at) => return Some(std::mem::replace(&mut run[at].1, value)),
            Err(at) => at,
        };
        self.len += 1;
        if run.len() < RUN {
            run.insert(at, (id, value));
        } else if is_last && at == run.len() {
            self.runs.insert(id, Arc::new(vec![(id, value)]));
        } else {
            let mut upper = run.split_off(RUN / 2);
            match at.checked_sub(RUN / 2) {
                Some(at) => upper.insert(at, (id, value)),
                None => run.insert(at, (id, value)),
            }
            if let Some((first, _)) = upper.first() {
                self.runs.insert(*first, Arc::new(upper));
            }
        }
        None
    }

    /// Removes an identity; gives its value.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let (key, run) = self.runs.range_mut(..=id).next_back()?;
        let at = run.binary_search_by_key(&id, |item| item.0).ok()?;
        let key = *key;
        let run = Arc::make_mut(run);
        let (_, value) = run.remove(at);
        self.len -= 1;
        if run.is_empty() {
            self.runs.remove(&key);
        } else if run.len() * 4 < run.capacity() {
            run.shrink_to(run.len() * 2);
        }
        Some(value)
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, &V)> {
        self.runs
            .values()
            .flat_map(|run| run.iter())
            .map(|(id, value)| (*id, value))
    }

    /// The items from `start` on.
    pub fn from(&self, start: StreamId) -> impl Iterator<Item = (StreamId, &V)> {
        let floor = self.runs.range(..=start).next_back();
        let first = floor.map_or(start, |(key, _)| *key);
        let items = self.runs.range(first..).flat_map(|(_, run)| run.iter());
        let items = items.skip_while(move |(id, _)| *id < start);
        items.map(|(id, value)| (*id, value))
    }

    /// The first identity.
    pub fn first(&self) -> Option<StreamId> {
        let (_, run) = self.runs.first_key_value()?;
        run.first().map(|(id, _)| *id)
    }

    /// The last identity.
    pub fn last(&self) -> Option<StreamId> {
        let (_, run) = self.runs.last_key_value()?;
        run.last().map(|(id, _)| *id)
    }

    /// Bytes in memory besides its own size.
    pub fn mem_bytes(&self) -> usize {
        let runs = self.runs.values();
        let items: usize = runs.map(|run| run.capacity()).sum();
        items * size_of::<(StreamId, V)>()
            + map_bytes::<StreamId, Arc<Vec<V>>>(self.runs.len())
            + self.runs.len() * size_class(SHARED + size_of::<Vec<V>>())
    }
}

/// Items of a run.
const RUN: usize = 64;
