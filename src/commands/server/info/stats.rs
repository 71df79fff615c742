//! The sections `stats`, `commandstats`, `errorstats`, `latencystats` and `threads`.

use super::Text;
use crate::commands::table;
use crate::execute::SessionContext;
use crate::server::CommandCount;
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn stats(context: &SessionContext<'_>, text: &mut Text) {
    let stats = &context.server.stats;
    let rates = stats.rates.lock().means();
    let kilobytes = |per_second: u64| format!("{:.2}", per_second as f64 / 1024.0);
    let counts = ended_calls(context);
    let connections = stats.connections.load(Relaxed);
    text.field("total_connections_received", connections);
    let executed: u64 = counts.iter().map(|count| count.calls).sum();
    // An EXEC around this has not ended either.
    let around = u64::from(context.in_transaction());
    text.field("total_commands_processed", executed.saturating_sub(around));
    text.field("instantaneous_ops_per_sec", rates.commands);
    text.field("total_net_input_bytes", stats.bytes_in.load(Relaxed));
    text.field("total_net_output_bytes", stats.bytes_out.load(Relaxed));
    text.field("instantaneous_input_kbps", kilobytes(rates.bytes_in));
    text.field("instantaneous_output_kbps", kilobytes(rates.bytes_out));
    let repl = kilobytes(rates.repl_bytes_in);
    text.field("instantaneous_input_repl_kbps", repl);
    let repl = kilobytes(rates.repl_bytes_out);
    text.field("instantaneous_output_repl_kbps", repl);
    for (name, counter) in [
        ("rejected_connections", &stats.rejected_connections),
        ("sync_full", &stats.full_syncs),
        ("sync_partial_ok", &stats.partial_syncs),
        ("sync_partial_err", &stats.refused_partial_syncs),
        // Redis's name of it, and Valkey's.
        ("expired_subkeys", &stats.expired_fields),
        ("expired_fields", &stats.expired_fields),
        ("expired_keys", &stats.expired_keys),
        ("evicted_keys", &stats.evicted_keys),
        ("evicted_clients", &stats.evicted_clients),
        ("keyspace_hits", &stats.hits),
        ("keyspace_misses", &stats.misses),
        ("expired_time_cap_reached_count", &stats.expiry_cut_short),
        ("acl_access_denied_auth", &stats.denied_logins),
    ] {
        text.field(name, counter.load(Relaxed));
    }
    let share = stale_percent(context);
    text.field("expired_stale_perc", format_args!("{share:.2}"));
    let expiry_ms = stats.expiry_us.load(Relaxed) / 1000;
    text.field("expire_cycle_cpu_milliseconds", expiry_ms);
    let (total, current) = context.server.evictor.exceeded();
    text.field("total_eviction_exceeded_time", total.as_millis());
    text.field("current_eviction_exceeded_time", current.as_millis());
    // Every payload is checked whole, whatever sanitize-dump-payload says.
    let restore = table::lookup(b"restore").map(|command| command.id);
    let payloads = restore.and_then(|id| counts.get(id)).map_or(0, |c| c.calls);
    text.field("dump_payload_sanitizations", payloads);
    let heard = context.server.pubsub.totals();
    text.field("pubsub_channels", heard.channels);
    text.field("pubsub_patterns", heard.patterns);
    text.field("pubsubshard_channels", heard.shard_channels);
    // There is no fork.
    for name in ["latest_fork_usec", "total_forks"] {
        text.field(name, 0);
    }
    for name in NEVER {
        text.field(name, 0);
    }
    for (name, counter) in [
        ("evicted_scripts", &stats.evicted_scripts),
        ("total_net_repl_input_bytes", &stats.repl_bytes_in),
        ("total_net_repl_output_bytes", &stats.repl_bytes_out),
        (
            "client_query_buffer_limit_disconnections",
            &stats.query_limit_disconnections,
        ),
        (
            "client_output_buffer_limit_disconnections",
            &stats.output_limit_disconnections,
        ),
    ] {
        text.field(name, counter.load(Relaxed));
    }
    let (keys, items, prefixes) = context.server.tracking.totals();
    text.field("tracking_total_keys", keys);
    text.field("tracking_total_items", items);
    text.field("tracking_total_prefixes", prefixes);
    text.field("total_error_replies", stats.error_replies.load(Relaxed));
    let workers = context.server.workers();
    let reads: u64 = workers.iter().map(|w| w.reads.load(Relaxed)).sum();
    let writes: u64 = workers.iter().map(|w| w.writes.load(Relaxed)).sum();
    text.field("total_reads_processed", reads);
    text.field("total_writes_processed", writes);
    let (turns, busy_us) = context.server.worker_turns();
    text.field("eventloop_cycles", turns);
    text.field("eventloop_duration_sum", busy_us);
    let commands_ns: u64 = counts.iter().map(|count| count.nanos).sum();
    text.field("eventloop_duration_cmd_sum", commands_ns / 1000);
    text.field("instantaneous_eventloop_cycles_per_sec", rates.turns);
    let each = rates.busy_us / rates.turns.max(1);
    text.field("instantaneous_eventloop_duration_usec", each);
    text.field("protocol_errors", stats.protocol_errors.load(Relaxed));
}

/// Of keys that expire, how many percent are due and still there: a sample.
fn stale_percent(context: &SessionContext<'_>) -> f64 {
    let (mut volatile, mut due) = (0, 0);
    context.each_shard(|_, shard| {
        if shard.volatile() > 0
            && let Some(expiry) = shard.random().and_then(|entry| entry.expiry())
        {
            volatile += 1;
            due += u64::from(expiry <= context.now);
        }
    });
    100.0 * due as f64 / f64::from(volatile.max(1))
}

/// What Redis counts and cannot happen here: no threads for input alone, no defragmentation,
/// nothing unexpected in the stream, no access control, no reply buffers
/// whose size follows their use.
const NEVER: [&str; 18] = [
    "reply_buffer_shrinks",
    "reply_buffer_expands",
    "migrate_cached_sockets",
    "slave_expires_tracked_keys",
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "total_active_defrag_time",
    "current_active_defrag_time",
    "unexpected_error_replies",
    "io_threaded_reads_processed",
    "io_threaded_writes_processed",
    "io_threaded_total_prefetch_batches",
    "io_threaded_total_prefetch_entries",
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "acl_access_denied_channel",
];

/// What commands have been called, without the call that asks: as in Redis a call counts when it
/// has ended.
fn ended_calls(context: &SessionContext<'_>) -> Vec<CommandCount> {
    let mut counts = context.server.stats.command_stats.counts();
    if let Some(own) = counts.get_mut(context.command().id) {
        own.calls = own.calls.saturating_sub(1);
    }
    counts
}

pub(super) fn commands(context: &SessionContext<'_>, text: &mut Text) {
    let counts = ended_calls(context);
    for (command, count) in table::all().iter().zip(counts) {
        if count.calls + count.rejected == 0 {
            continue;
        }
        let usec = count.nanos / 1000;
        let each = count.nanos as f64 / 1000.0 / (count.calls.max(1)) as f64;
        text.field(
            &format!("cmdstat_{}", command.name),
            format_args!(
                "calls={},usec={usec},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                count.calls, count.rejected, count.failed
            ),
        );
    }
}

pub(super) fn errors(context: &SessionContext<'_>, text: &mut Text) {
    for (code, count) in context.server.stats.errors() {
        text.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn latencies(context: &SessionContext<'_>, text: &mut Text) {
    let stats = &context.server.stats.command_stats;
    let config = context.server.config.current();
    if !config.latency_tracking {
        return;
    }
    for command in table::all() {
        let Some(durations) = stats.durations(command) else {
            continue;
        };
        let shares = config.latency_tracking_info_percentiles.iter();
        let shares: Vec<String> = shares
            .map(|percent| {
                let micros = durations.percentile(*percent) as f64 / 1000.0;
                format!("p{percent}={micros:.3}")
            })
            .collect();
        text.field(
            &format!("latency_percentiles_usec_{}", command.name),
            shares.join(","),
        );
    }
}

/// One line for each worker: what Redis shows of its I/O threads.
pub(super) fn threads(context: &SessionContext<'_>, text: &mut Text) {
    for (index, worker) in context.server.workers().iter().enumerate() {
        text.field(
            &format!("io_thread_{index}"),
            format_args!(
                "clients={},reads={},writes={}",
                worker.connections.load(Relaxed),
                worker.reads.load(Relaxed),
                worker.writes.load(Relaxed)
            ),
        );
    }
}
