//! The shards that a command has locked.
//!
//! Lock order: databases ascending, shards ascending, then the write log. Whoever locks more
//! than one shard does it here.

use super::database::{DbIndex, Keyspace, SHARDS};
use super::shard::Shard;
use crate::time::{Duration, Instant};
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

/// Locked shards; they are unlocked when this is dropped.
pub struct Locked<'k> {
    guards: SmallVec<[Guard<'k>; 1]>,
}

struct Guard<'k> {
    db: DbIndex,
    shard: u32,
    lock: MutexGuard<'k, Shard>,
}

impl<'k> Locked<'k> {
    /// Locks one shard.
    #[inline]
    pub fn one(keyspace: &'k Keyspace, db: DbIndex, shard: usize) -> Self {
        let lock = keyspace.database(db).shard(shard).lock();
        let mut guards = SmallVec::new();
        guards.push(Guard {
            db,
            shard: shard as u32,
            lock,
        });
        Locked { guards }
    }

    /// Locks several shards, each once, in order.
    pub fn several(keyspace: &'k Keyspace, places: &mut Vec<(DbIndex, usize)>) -> Self {
        places.sort_unstable();
        places.dedup();
        Locked {
            guards: places
                .iter()
                .map(|(db, shard)| Guard {
                    db: *db,
                    shard: *shard as u32,
                    lock: keyspace.database(*db).shard(*shard).lock(),
                })
                .collect(),
        }
    }

    /// Locks one shard, unless `give_up` becomes true while another thread holds it.
    #[inline]
    pub fn one_unless(
        keyspace: &'k Keyspace,
        db: DbIndex,
        shard: usize,
        give_up: impl Fn() -> bool,
    ) -> Option<Self> {
        let lock = acquire(keyspace.database(db).shard(shard), give_up)?;
        let mut guards = SmallVec::new();
        guards.push(Guard {
            db,
            shard: shard as u32,
            lock,
        });
        Some(Locked { guards })
    }

    /// Locks several shards like [`Locked::several`], unless `give_up` becomes true while
    /// another thread holds one of them.
    pub fn several_unless(
        keyspace: &'k Keyspace,
        places: &mut Vec<(DbIndex, usize)>,
        give_up: impl Fn() -> bool,
    ) -> Option<Self> {
        places.sort_unstable();
        places.dedup();
        let guards = places
            .iter()
            .map(|(db, shard)| {
                Some(Guard {
                    db: *db,
                    shard: *shard as u32,
                    lock: acquire(keyspace.database(*db).shard(*shard), &give_up)?,
                })
            })
            .collect::<Option<_>>()?;
        Some(Locked { guards })
    }

    /// Locks a whole database.
    pub fn database(keyspace: &'k Keyspace, db: DbIndex) -> Self {
        let database = keyspace.database(db);
        let guard = |shard: usize| Guard {
            db,
            shard: shard as u32,
            lock: database.shard(shard).lock(),
        };
        Locked {
            guards: (0..SHARDS).map(guard).collect(),
        }
    }

    /// Locks every shard of every database.
    pub fn everything(keyspace: &'k Keyspace) -> Self {
        keyspace.make_all();
        let dbs = (0..keyspace.databases()).map(DbIndex);
        let mut all = dbs
            .flat_map(|db| (0..SHARDS).map(move |s| (db, s)))
            .collect();
        Self::several(keyspace, &mut all)
    }

    /// Locks all other shards too. Those behind the last locked one are waited for. Those before
    /// it would be locked against the order, so that they are waited for until `patience` has
    /// passed; if one is not free by then, nothing more is locked.
    #[must_use]
    pub fn widen(&mut self, keyspace: &'k Keyspace, patience: Duration) -> bool {
        keyspace.make_all();
        let until = Instant::now() + patience;
        let last = self.guards.last().map(|guard| (guard.db, guard.shard));
        let mut more = Vec::new();
        for db in (0..keyspace.databases()).map(DbIndex) {
            for shard in (0..SHARDS).filter(|shard| !self.holds(db, *shard)) {
                let mutex = keyspace.database(db).shard(shard);
                let in_order = Some((db, shard as u32)) > last;
                let lock = match in_order {
                    true => Some(mutex.lock()),
                    false => mutex.try_lock_until(until),
                };
                let Some(lock) = lock else { return false };
                let shard = shard as u32;
                more.push(Guard { db, shard, lock });
            }
        }
        self.guards.extend(more);
        self.guards
            .sort_unstable_by_key(|guard| (guard.db, guard.shard));
        true
    }

    /// No shard at all.
    pub fn nothing() -> Self {
        Locked {
            guards: SmallVec::new(),
        }
    }

    /// A locked shard.
    ///
    /// # Panics
    /// If the shard is not among the locked ones: the command table's key positions and
    /// scopes decide what is locked, so that would be a fault of the table.
    #[inline]
    pub fn shard(&self, db: DbIndex, shard: usize) -> &Shard {
        &self.guards[self.index(db, shard)].lock
    }

    /// A locked shard, to change.
    ///
    /// # Panics
    /// As [`Locked::shard`].
    #[inline]
    pub fn shard_mut(&mut self, db: DbIndex, shard: usize) -> &mut Shard {
        let index = self.index(db, shard);
        &mut self.guards[index].lock
    }

    /// Whether the shard is among the locked ones.
    pub fn holds(&self, db: DbIndex, shard: usize) -> bool {
        self.guards
            .binary_search_by_key(&(db, shard as u32), |guard| (guard.db, guard.shard))
            .is_ok()
    }

    /// The places of the locked shards, ascending.
    pub fn places(&self) -> impl Iterator<Item = (DbIndex, usize)> {
        let place = |guard: &Guard<'_>| (guard.db, guard.shard as usize);
        self.guards.iter().map(place)
    }

    /// Whether anybody waits for a key of the locked shards.
    #[inline]
    pub fn any_waiters(&self) -> bool {
        self.guards.iter().any(|g| g.lock.has_waiters())
    }

    /// Whether a key of the locked shards has changed that somebody waits for.
    #[inline]
    pub fn any_ready(&self) -> bool {
        self.guards.iter().any(|g| g.lock.has_ready())
    }

    /// All locked shards with their databases, ascending.
    pub fn shards(&self) -> impl Iterator<Item = (DbIndex, &Shard)> {
        self.guards.iter().map(|guard| (guard.db, &*guard.lock))
    }

    /// All locked shards, to change.
    pub fn shards_mut(&mut self) -> impl Iterator<Item = (DbIndex, &mut Shard)> {
        self.guards
            .iter_mut()
            .map(|guard| (guard.db, &mut *guard.lock))
    }

    /// Exchanges the contents of two databases, all of whose shards must be locked.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        for shard in 0..SHARDS {
            let (low, high) = (self.index(a.min(b), shard), self.index(a.max(b), shard));
            if low != high {
                let (left, right) = self.guards.split_at_mut(high);
                Shard::swap_contents(&mut left[low].lock, &mut right[0].lock);
            }
        }
    }

    #[inline]
    fn index(&self, db: DbIndex, shard: usize) -> usize {
        if let [only] = &self.guards[..]
            && only.shard == shard as u32
            && only.db == db
        {
            return 0;
        }
        self.guards
            .binary_search_by_key(&(db, shard as u32), |guard| (guard.db, guard.shard))
            .expect("the command locked the shards of its keys")
    }
}

/// Locks a shard. Whoever finds it locked asks now and then whether to give up: a script may
/// hold it for long.
#[inline]
fn acquire(shard: &Mutex<Shard>, give_up: impl Fn() -> bool) -> Option<MutexGuard<'_, Shard>> {
    if let Some(guard) = shard.try_lock() {
        return Some(guard);
    }
    loop {
        if let Some(guard) = shard.try_lock_for(PATIENCE) {
            return Some(guard);
        }
        if give_up() {
            return None;
        }
    }
}

/// How long to wait for a shard between two looks around.
const PATIENCE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_can_be_widened() {
        let keyspace = Keyspace::new(3);
        let mut locked = Locked::database(&keyspace, DbIndex(1));
        assert!(locked.widen(&keyspace, Duration::ZERO));
        let all = (0..3).flat_map(|db| (0..SHARDS).map(move |shard| (DbIndex(db), shard)));
        assert!(locked.places().eq(all));
        drop(locked);
        // A shard before those that are locked is not waited for: who holds it may wait for one
        // of them.
        let other = Locked::one(&keyspace, DbIndex(0), 5);
        let mut locked = Locked::database(&keyspace, DbIndex(1));
        assert!(!locked.widen(&keyspace, Duration::from_millis(5)));
        assert_eq!(locked.places().count(), SHARDS);
        drop(other);
        assert!(locked.widen(&keyspace, Duration::from_secs(60)));
    }
}
