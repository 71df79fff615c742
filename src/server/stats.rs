//! Counters for `INFO`.

use super::command_stats::CommandStats;
use super::rates::Rates;
use crate::commands::table::Command;
use crate::protocol::WireError;
use crate::time;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What the server has done since it started, or since `CONFIG RESETSTAT`.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Stats {
    pub connections: AtomicU64,
    pub rejected_connections: AtomicU64,
    pub commands: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    /// Of the links between nodes.
    pub repl_bytes_in: AtomicU64,
    pub repl_bytes_out: AtomicU64,
    /// Clients closed because of `client-query-buffer-limit`.
    pub query_limit_disconnections: AtomicU64,
    /// Clients closed because of `client-output-buffer-limit`.
    pub output_limit_disconnections: AtomicU64,
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub expired_keys: AtomicU64,
    pub expired_fields: AtomicU64,
    /// Cycles of active expiry that ended because their time was up.
    pub expiry_cut_short: AtomicU64,
    /// Time spent in cycles of active expiry, in microseconds.
    pub expiry_us: AtomicU64,
    /// Logins with a wrong name or password. A reset leaves them, as in Redis.
    pub denied_logins: AtomicU64,
    pub evicted_keys: AtomicU64,
    pub evicted_clients: AtomicU64,
    /// Large values, and keys of flushed databases, freed in the background.
    pub lazy_freed: AtomicU64,
    /// Scripts that were evaluated and have been forgotten for others.
    pub evicted_scripts: AtomicU64,
    /// In Unix seconds.
    pub peak_memory_at: AtomicI64,
    pub error_replies: AtomicU64,
    pub protocol_errors: AtomicU64,
    pub changes: AtomicU64,
    pub full_syncs: AtomicU64,
    pub partial_syncs: AtomicU64,
    pub refused_partial_syncs: AtomicU64,
    pub command_stats: CommandStats,
    pub rates: Mutex<Rates>,
    /// In bytes.
    pub peak_memory: AtomicU64,
    /// In bytes.
    pub startup_memory: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Stats {
    /// Counts lookups.
    #[inline]
    pub fn count_lookups(&self, hits: u64, misses: u64) {
        if hits > 0 {
            self.hits.fetch_add(hits, Ordering::Relaxed);
        }
        if misses > 0 {
            self.misses.fetch_add(misses, Ordering::Relaxed);
        }
    }

    /// Counts keys that expired.
    pub fn count_expired(&self, keys: u64) {
        self.expired_keys.fetch_add(keys, Ordering::Relaxed);
    }

    /// Counts a key that was evicted.
    pub fn count_evicted(&self) {
        self.evicted_keys.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts hash fields that expired.
    pub fn count_expired_fields(&self, fields: u64) {
        self.expired_fields.fetch_add(fields, Ordering::Relaxed);
    }

    /// Counts changes of the keyspace.
    #[inline]
    pub fn count_changes(&self, changes: u64) {
        self.changes.fetch_add(changes, Ordering::Relaxed);
    }

    /// Counts what one batch of a connection received and executed.
    #[inline]
    pub fn count_batch(&self, received: usize, executed: u64) {
        self.bytes_in.fetch_add(received as u64, Ordering::Relaxed);
        self.commands.fetch_add(executed, Ordering::Relaxed);
    }

    /// Counts an error reply, by its code.
    pub fn count_error(&self, error: &WireError) {
        self.count_error_code(error.code());
    }

    fn count_error_code(&self, code: &str) {
        self.error_replies.fetch_add(1, Ordering::Relaxed);
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < MOST_CODES {
            errors.insert(code.to_owned(), 1);
        }
    }

    /// Error replies by code.
    pub fn errors(&self) -> Vec<(String, u64)> {
        let errors = self.errors.lock();
        errors.iter().map(|(code, n)| (code.clone(), *n)).collect()
    }

    /// Notes the memory in use, in bytes; gives the most there ever was.
    pub fn note_memory(&self, used: u64) -> u64 {
        let peak = self.peak_memory.fetch_max(used, Ordering::Relaxed);
        if used > peak {
            self.peak_memory_at
                .store(time::unix_seconds(), Ordering::Relaxed);
        }
        peak.max(used)
    }

    /// Counts a client that broke the protocol, and the error that it is told.
    pub fn count_protocol_error(&self) {
        self.count_error_code("ERR");
        self.protocol_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection.
    pub fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that was turned away.
    pub fn count_rejected_connection(&self) {
        self.rejected_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the counters back to zero, as `CONFIG RESETSTAT` does, which is what `running` is. The
    /// count of changes stays: it belongs to persistence.
    pub fn reset(&self, running: &Command) {
        for counter in [
            &self.connections,
            &self.rejected_connections,
            &self.commands,
            &self.bytes_in,
            &self.bytes_out,
            &self.repl_bytes_in,
            &self.repl_bytes_out,
            &self.query_limit_disconnections,
            &self.output_limit_disconnections,
            &self.hits,
            &self.misses,
            &self.expired_keys,
            &self.expired_fields,
            &self.expiry_cut_short,
            &self.expiry_us,
            &self.evicted_keys,
            &self.evicted_clients,
            &self.lazy_freed,
            &self.error_replies,
            &self.protocol_errors,
            &self.evicted_scripts,
            &self.full_syncs,
            &self.partial_syncs,
            &self.refused_partial_syncs,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.command_stats.reset(Some(running));
        let memory = crate::allocator::stats().allocated as u64;
        self.peak_memory.store(memory, Ordering::Relaxed);
        self.peak_memory_at
            .store(time::unix_seconds(), Ordering::Relaxed);
        self.errors.lock().clear();
    }
}

/// How many error codes are told apart. They come from us, but a bound costs nothing.
const MOST_CODES: usize = 128;
