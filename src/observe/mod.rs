//! What operators look at after something was slow: the slow log and the latency monitor.
//!
//! Both are fed by the executor. It times a command by itself when the command's cost can
//! grow with data or arguments; commands of constant time are timed in runs, and looked at
//! one by one only if a threshold is below a millisecond.

mod latency;
mod slow_log;

pub use latency::{LatencyEvent, LatencyMonitor};
pub use slow_log::{SlowEntry, SlowLog};

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
    client: &Client,
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
        let entry = SlowEntry::new(client, command, args, took_us);
        server.slow_log.push(entry, config.slowlog_max_len);
    }
    let threshold_ms = config.latency_monitor_threshold_ms;
    let took_ms = took_us / 1000;
    if threshold_ms > 0 && took_ms >= threshold_ms {
        let fast = command.flags.contains(Flags::FAST);
        let event = if fast { "fast-command" } else { "command" };
        server.latency.note(event, time::unix_seconds(), took_ms);
    }
}
