//! What happens by the clock: active expiry, ticks of the in-sync set, pings.

use super::client_eviction::evict_clients;
use super::state::Server;
use crate::commit::Event;
use crate::execute::{Gates, Scratch, expire_due};
use crate::keyspace::SHARDS;
use crate::net::ClientKind;
use crate::replication::tell_replicas;
use crate::time::{self, Duration, Instant};
use std::sync::atomic::Ordering;

/// The interval of the in-sync set's ticks for a timeout: fine enough that the timeout is
/// kept to a tenth, coarse enough to cost nothing.
pub fn sync_tick_ms(timeout_ms: u64) -> u64 {
    (timeout_ms / 10).clamp(5, 50)
}

/// Runs for ever, on the main thread.
pub async fn run(server: &'static Server) {
    tokio::task::spawn_local(tick_in_sync_set(server));
    tokio::task::spawn_local(ping_replicas(server));
    tokio::task::spawn_local(tell_replicas(server));
    tokio::task::spawn_local(sample(server));
    tokio::task::spawn_local(relieve_memory(server));
    let mut scratch = Scratch::default();
    loop {
        tokio::time::sleep(EXPIRY_INTERVAL).await;
        // A pause promises that the data stands still.
        let may_write = !server.gates.has(
            Gates::REPLICA
                | Gates::LOADING
                | Gates::NO_REPLICAS
                | Gates::TOO_FEW_REPLICAS
                | Gates::PAUSED_WRITES,
        );
        let paused = server.cron_paused.load(Ordering::Relaxed) || server.scripts.is_running();
        if may_write && !paused && server.active_expire.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let whole = expire(server, &mut scratch);
            let stats = &server.stats;
            let took = begun.elapsed().as_micros() as u64;
            stats.expiry_us.fetch_add(took, Ordering::Relaxed);
            let cut_short = u64::from(!whole);
            stats
                .expiry_cut_short
                .fetch_add(cut_short, Ordering::Relaxed);
        }
    }
}

/// One cycle of active expiry: due keys of every shard, within a bound on time. Gives whether
/// that sufficed.
fn expire(server: &'static Server, scratch: &mut Scratch) -> bool {
    let settings = server.settings();
    let begun = Instant::now();
    let dbs: Vec<_> = server.keyspace.used().map(|(db, _)| db).collect();
    for db in dbs {
        for shard in 0..SHARDS {
            let now = time::unix_ms();
            while expire_due(server, &settings, db, shard, now, KEYS_AT_ONCE, scratch)
                >= KEYS_AT_ONCE
            {
                if begun.elapsed() > EXPIRY_BUDGET {
                    server.log.notify();
                    return false;
                }
            }
        }
    }
    server.log.notify();
    true
}

/// Takes the samples from which `INFO` shows rates and the peak of memory.
async fn sample(server: &'static Server) {
    for tick in 0u64.. {
        tokio::time::sleep(SAMPLE_INTERVAL).await;
        if server.cron_paused.load(Ordering::Relaxed) {
            continue;
        }
        let stats = &server.stats;
        let turns = server.worker_turns();
        stats.rates.lock().sample(stats, turns, Instant::now());
        evict_clients(server);
        if tick % 10 == 0 {
            let memory = crate::allocator::stats().allocated as u64;
            stats.note_memory(memory);
            close_idle_clients(server);
            wake_slow_readers(server);
        }
        server.watch_replicas();
        server.dump_file.if_due(server);
        server.migration_sockets.close_idle();
    }
}

/// Keeps memory within `maxmemory`.
async fn relieve_memory(server: &'static Server) {
    loop {
        tokio::time::sleep(MEMORY_INTERVAL).await;
        if server.live.limits_memory() || server.gates.has(Gates::OUT_OF_MEMORY) {
            server.relieve_memory(false);
        }
    }
}

/// Lets connections look at their output limits: the soft one is exceeded by time passing
/// and both by `CONFIG SET`, neither of which makes a connection's task run.
fn wake_slow_readers(server: &Server) {
    let limits = [ClientKind::Normal, ClientKind::PubSub].map(|kind| server.output_limit(kind));
    if limits
        .iter()
        .all(|limit| limit.hard == 0 && limit.soft == 0)
    {
        return;
    }
    for client in server.clients.all() {
        let limit = server.output_limit(client.kind());
        let pending = client.output_bytes.load(Ordering::Relaxed);
        let over = |bound: usize| bound > 0 && pending > bound;
        if over(limit.hard) || over(limit.soft) {
            client.wake();
        }
    }
}

/// Ends clients that have not sent anything for `timeout`; those that wait for something and
/// the links between nodes stay.
fn close_idle_clients(server: &Server) {
    let timeout = server.config.current().timeout_seconds;
    if timeout == 0 {
        return;
    }
    // Who is paused cannot be told from who is idle.
    if server.gates.has(Gates::PAUSED | Gates::PAUSED_WRITES) {
        return;
    }
    let oldest = time::unix_ms() - timeout as i64 * 1000;
    for client in server.clients.all() {
        if client.kind() == ClientKind::Normal
            && !client.blocked.load(Ordering::Relaxed)
            && client.held_bytes.load(Ordering::Relaxed) == 0
            && client.active_ms.load(Ordering::Relaxed) < oldest
        {
            tracing::debug!(client = client.id, "closing an idle client");
            client.kill();
        }
    }
}

async fn tick_in_sync_set(server: &'static Server) {
    loop {
        let timeout = super::start::rules(&server.config.current()).timeout_ms;
        tokio::time::sleep(Duration::from_millis(sync_tick_ms(timeout))).await;
        server.authority().tell(Event::Tick);
    }
}

/// Replicas are pinged so that both ends notice a link that is dead.
async fn ping_replicas(server: &'static Server) {
    loop {
        let period = server.config.current().repl_ping_replica_period_seconds;
        tokio::time::sleep(Duration::from_secs(period)).await;
        // Held, so that nothing is appended while the role changes.
        let _publishing = server.pubsub.publishing();
        if !server.replication.is_replica() && !server.replication.links().is_empty() {
            server.log.append_stream_only(b"*1\r\n$4\r\nPING\r\n");
            server.log.notify();
        }
    }
}

const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
const MEMORY_INTERVAL: Duration = Duration::from_millis(10);
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);
/// A quarter of the interval.
const EXPIRY_BUDGET: Duration = Duration::from_millis(25);
const KEYS_AT_ONCE: usize = 64;
