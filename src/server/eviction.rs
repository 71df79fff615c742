//! Making room when more than `maxmemory` is in use.
//!
//! Keys are drawn at random, `maxmemory-samples` at a time, and the best candidates of all
//! draws are kept in a small pool; the best of the pool goes. That approximates "least
//! recently used" and the like without a list of all keys.
//!
//! Memory is looked at by the cron and by a worker that has received much, never for every
//! command: reading the allocator's statistics takes microseconds. So memory may exceed the
//! bound by what arrives between two looks. A pass is bounded in time and only one runs at a
//! time; a shard is locked for one draw or one deletion. Nobody who holds a shard's lock may
//! call into here.

use super::state::Server;
use crate::config::{Config, MaxmemoryPolicy};
use crate::execute::{Gates, Scratch, Settings, evict, frequency, idle_seconds};
use crate::keyspace::{DbIndex, EntryRef, SHARDS};
use crate::time::{self, Duration, Instant, UnixMs};
use parking_lot::Mutex;

/// The state of eviction.
#[derive(Default)]
pub struct Evictor {
    state: Mutex<State>,
    /// Held while the gate of commands that need memory is set, so that who has looked at an
    /// older configuration does not have the last word.
    gate: Mutex<()>,
    over: Mutex<TooMuch>,
}

/// How long more than `maxmemory` has been in use, as far as anybody looked.
#[derive(Default)]
struct TooMuch {
    since: Option<Instant>,
    before: Duration,
}

impl Evictor {
    /// How long more than `maxmemory` has been in use, in all and since it last became so.
    pub fn exceeded(&self) -> (Duration, Duration) {
        let over = self.over.lock();
        let current = over.since.map_or(Duration::ZERO, |since| since.elapsed());
        (over.before + current, current)
    }

    /// Forgets how long that was.
    pub fn reset_exceeded(&self) {
        let mut over = self.over.lock();
        over.before = Duration::ZERO;
        over.since = over.since.map(|_| Instant::now());
    }

    fn note_excess(&self, excess: u64) {
        let mut over = self.over.lock();
        match (over.since, excess > 0) {
            (None, true) => over.since = Some(Instant::now()),
            (Some(since), false) => {
                over.before += since.elapsed();
                over.since = None;
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct State {
    /// Ascending by score: the last goes first.
    pool: Vec<Candidate>,
    /// What the scores in the pool mean.
    policy: Option<MaxmemoryPolicy>,
    scratch: Scratch,
}

struct Candidate {
    score: u64,
    db: DbIndex,
    key: Box<[u8]>,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// There is room.
    Enough,
    /// Time was up first.
    Unfinished,
    /// Nothing may be evicted.
    Nothing,
}

impl Server {
    /// Sets or clears the gate of commands that need memory, without evicting: for those who
    /// may hold locks.
    pub fn watch_memory(&self) {
        let _one = self.evictor.gate.lock();
        let config = self.config.current();
        let full = excess(self, &config) > 0;
        if !full || config.maxmemory_policy == MaxmemoryPolicy::NoEviction {
            self.gates.set(Gates::OUT_OF_MEMORY, full);
        }
    }

    /// Evicts keys while more than `maxmemory` is in use, for a short time, and refuses
    /// commands that need memory if nothing can be evicted. `urgent`: memory is being filled
    /// right now, so that more time is worth it.
    pub fn relieve_memory(&'static self, urgent: bool) {
        let gate = self.evictor.gate.lock();
        let config = self.config.current();
        let excess = excess(self, &config);
        self.evictor.note_excess(excess);
        if excess == 0 {
            self.gates.set(Gates::OUT_OF_MEMORY, false);
            return;
        }
        if config.maxmemory_policy == MaxmemoryPolicy::NoEviction {
            self.gates.set(Gates::OUT_OF_MEMORY, true);
            return;
        }
        drop(gate);
        // Somebody else is at it already.
        let Some(mut state) = self.evictor.state.try_lock() else {
            return;
        };
        let budget = budget(config.maxmemory_eviction_tenacity, urgent);
        let outcome = state.relieve(self, &config, excess, budget);
        drop(state);
        self.log.notify();
        crate::allocator::flush_thread_cache();
        let _one = self.evictor.gate.lock();
        let still = self.config.current().maxmemory == config.maxmemory;
        self.gates
            .set(Gates::OUT_OF_MEMORY, still && outcome == Outcome::Nothing);
    }
}

/// Bytes in use beyond `maxmemory`. A replica follows its primary whatever that takes. What
/// the log keeps for slow consumers beyond the backlog does not count: evicting would only
/// make it longer.
fn excess(server: &Server, config: &Config) -> u64 {
    let most = config.maxmemory;
    if most == 0 || server.replication.is_replica() && config.replica_ignore_maxmemory {
        return 0;
    }
    let log = &server.log;
    let kept = log.end().saturating_sub(log.kept_from());
    let uncounted = kept.saturating_sub(config.repl_backlog_size);
    let used = crate::allocator::stats().allocated as u64;
    used.saturating_sub(uncounted).saturating_sub(most)
}

/// How long a pass may take. The default tenacity gives what Redis documents for it, half a
/// millisecond; above 10 it grows by 15% a step.
fn budget(tenacity: u32, urgent: bool) -> Duration {
    let base_us = match tenacity {
        0..=10 => 50.0 * f64::from(tenacity.max(1)),
        _ => 500.0 * 1.15f64.powi(tenacity.min(60) as i32 - 10),
    };
    Duration::from_micros(base_us as u64) * if urgent { 8 } else { 1 }
}

impl State {
    /// Evicts keys that occupy about `excess` bytes.
    fn relieve(
        &mut self,
        server: &'static Server,
        config: &Config,
        excess: u64,
        budget: Duration,
    ) -> Outcome {
        let begun = Instant::now();
        if self.policy != Some(config.maxmemory_policy) {
            self.pool.clear();
            self.policy = Some(config.maxmemory_policy);
        }
        let settings = server.settings();
        let sampler = Sampler::new(server, config, &settings);
        let mut freed = 0;
        let mut misses = 0;
        while freed < excess {
            let Some(candidate) = self.next(&sampler) else {
                if sampler.total == 0 {
                    return Outcome::Nothing;
                }
                // Keys that qualify are rare; another pass may meet them.
                misses += 1;
                if misses > 16 || begun.elapsed() > budget {
                    return Outcome::Unfinished;
                }
                continue;
            };
            let Candidate { db, key, .. } = candidate;
            let Some(bytes) = evict(server, &settings, db, &key, &mut self.scratch) else {
                return Outcome::Nothing;
            };
            freed += bytes as u64;
            // The candidates that others deleted must not keep us here.
            if begun.elapsed() > budget {
                return Outcome::Unfinished;
            }
        }
        Outcome::Enough
    }

    /// The best candidate after another draw.
    fn next(&mut self, sampler: &Sampler<'_>) -> Option<Candidate> {
        let samples = if sampler.policy.is_random() {
            1
        } else {
            sampler.samples
        };
        for _ in 0..samples {
            sampler.draw(|score, db, key| self.offer(score, db, key));
        }
        self.pool.pop()
    }

    /// Keeps a candidate if it is among the best.
    fn offer(&mut self, score: u64, db: DbIndex, key: &[u8]) {
        if self.pool.len() >= POOL && self.pool.first().is_some_and(|worst| score <= worst.score) {
            return;
        }
        let known = |c: &Candidate| c.db == db && *c.key == *key;
        if self.pool.iter().any(known) {
            return;
        }
        if self.pool.len() >= POOL {
            self.pool.remove(0);
        }
        let at = self.pool.partition_point(|c| c.score < score);
        let key = key.into();
        self.pool.insert(at, Candidate { score, db, key });
    }
}

/// Draws keys that the policy allows to be evicted.
struct Sampler<'a> {
    server: &'static Server,
    settings: &'a Settings,
    policy: MaxmemoryPolicy,
    samples: usize,
    now: UnixMs,
    /// The databases with keys that qualify, and how many these are.
    dbs: Vec<(DbIndex, u64)>,
    /// The sum of those.
    total: u64,
}

impl<'a> Sampler<'a> {
    fn new(server: &'static Server, config: &Config, settings: &'a Settings) -> Self {
        let policy = config.maxmemory_policy;
        let mut dbs = Vec::new();
        for (db, database) in server.keyspace.used() {
            let mut keys = 0;
            for shard in 0..SHARDS {
                let shard = database.shard(shard).lock();
                keys += if policy.is_volatile() {
                    shard.volatile()
                } else {
                    shard.len()
                };
            }
            if keys > 0 {
                dbs.push((db, keys as u64));
            }
        }
        Sampler {
            server,
            settings,
            policy,
            samples: config.maxmemory_samples,
            now: time::unix_ms(),
            total: dbs.iter().map(|(_, keys)| keys).sum(),
            dbs,
        }
    }

    /// Draws one key and hands it over with its score: the higher, the sooner it should go.
    fn draw(&self, mut offer: impl FnMut(u64, DbIndex, &[u8])) {
        if self.total == 0 {
            return;
        }
        let mut at = crate::random::below(self.total);
        let db = self.dbs.iter().find(|(_, keys)| {
            let here = at < *keys;
            at = at.saturating_sub(*keys);
            here
        });
        let Some((db, _)) = db else { return };
        let database = self.server.keyspace.database(*db);
        let first = crate::random::below(SHARDS as u64) as usize;
        // Few keys leave shards empty: look on from there.
        for step in 0..SHARDS {
            let shard = database.shard((first + step) % SHARDS).lock();
            let (len, volatile) = (shard.len(), shard.volatile());
            if len == 0 || self.policy.is_volatile() && volatile == 0 {
                continue;
            }
            let qualifies = |e: &EntryRef<'_>| !self.policy.is_volatile() || e.expiry().is_some();
            // Where those that qualify are rare, drawing would mostly miss.
            if self.policy.is_volatile() && volatile < len / 8 {
                let mut found = Vec::new();
                shard.scan(random_cursor(), SCANNED, |entry| {
                    if found.len() < self.samples && qualifies(&entry) {
                        found.push((self.score(&entry), entry));
                    }
                });
                for (score, entry) in found {
                    offer(score, *db, entry.key());
                }
                return;
            }
            for _ in 0..8 {
                if let Some(entry) = shard.random().filter(qualifies) {
                    offer(self.score(&entry), *db, entry.key());
                    return;
                }
            }
            return;
        }
    }

    fn score(&self, entry: &EntryRef<'_>) -> u64 {
        match self.policy {
            MaxmemoryPolicy::VolatileLru | MaxmemoryPolicy::AllkeysLru => {
                u64::from(idle_seconds(entry.clock(), self.now))
            }
            MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu => {
                let used = frequency(entry.clock(), self.now, self.settings);
                u64::from(255 - used.min(255))
            }
            MaxmemoryPolicy::VolatileTtl => {
                let expiry = entry.expiry().unwrap_or(UnixMs::MAX);
                u64::MAX - expiry.max(0) as u64
            }
            MaxmemoryPolicy::VolatileRandom
            | MaxmemoryPolicy::AllkeysRandom
            | MaxmemoryPolicy::NoEviction => 0,
        }
    }
}

/// A place in hash space to begin a scan. A cursor that the table rounds down is fine.
fn random_cursor() -> u64 {
    crate::random::next_u64() >> CURSOR_UNUSED_BITS
}

/// Candidates kept.
const POOL: usize = 16;
/// Entries looked at, at once, for one that has an expiry.
const SCANNED: usize = 256;
/// Cursors of a scan stay below 2^53.
const CURSOR_UNUSED_BITS: u32 = 11;
