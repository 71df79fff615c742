//! What operators look at after something was slow or large: the command logs, the latency
//! monitor, and histograms of how long commands take.
//!
//! All are fed by the executor. It times a command by itself when the command's cost can
//! grow with data or arguments; commands of constant time are timed in runs, and looked at
//! one by one only if a threshold is below a millisecond.

mod command_log;
mod graph;
mod histogram;
mod latency;

pub use command_log::{CommandLog, CommandLogs, LogEntry, LogKind, is_secret};
pub use graph::{Column, draw};
pub use histogram::{Durations, Histogram};
pub use latency::{LatencyEvent, LatencyMonitor, Summary};

use crate::commands::spec::Flags;
use crate::commands::table::Command;
use crate::net::Client;
use crate::protocol::Args;
use crate::server::Server;
use crate::time::{self, Duration};

/// Notes that a command took so long, where that is over a threshold.
#[cold]
pub fn note_slow(
    server: &Server,
    client: Option<&Client>,
    command: &Command,
    args: Args<'_>,
    took: Duration,
) {
    let config = server.config.current();
    let threshold_us = config.slowlog_log_slower_than_us;
    let took_us = took.as_micros() as u64;
    if u64::try_from(threshold_us).is_ok_and(|threshold| took_us >= threshold)
        && !command.flags.contains(Flags::SKIP_SLOWLOG)
    {
        let entry = LogEntry::new(client, command, args, took_us);
        let log = server.command_logs.of(LogKind::Slow);
        log.push(entry, config.slowlog_max_len);
    }
    let fast = command.flags.contains(Flags::FAST);
    note_event(server, if fast { "fast-command" } else { "command" }, took);
}

/// Notes that something took so long, where that is over `latency-monitor-threshold`.
pub fn note_event(server: &Server, event: &'static str, took: Duration) {
    let threshold_ms = server.config.current().latency_monitor_threshold_ms;
    let took_ms = took.as_millis() as u64;
    if threshold_ms > 0 && took_ms >= threshold_ms {
        server.latency.note(event, time::unix_seconds(), took_ms);
    }
}

/// Notes a request or a reply of so many bytes, where that is over its threshold.
#[cold]
pub fn note_large(
    server: &Server,
    client: &Client,
    command: &Command,
    args: Args<'_>,
    kind: LogKind,
    bytes: usize,
) {
    if command.flags.contains(Flags::SKIP_SLOWLOG) {
        return;
    }
    let config = server.config.current();
    let most = match kind {
        LogKind::Slow => config.slowlog_max_len,
        LogKind::LargeRequest => config.commandlog_large_request_max_len,
        LogKind::LargeReply => config.commandlog_large_reply_max_len,
    };
    let entry = LogEntry::new(Some(client), command, args, bytes as u64);
    server.command_logs.of(kind).push(entry, most);
}
