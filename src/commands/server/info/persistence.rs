//! The section `persistence`.

use super::Text;
use crate::execute::{Gates, SessionContext};
use crate::replication::{Role, UpstreamState};
use crate::time::Duration;
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn persistence(context: &SessionContext<'_>, text: &mut Text) {
    let server = context.server;
    let status = |failed: bool| if failed { "err" } else { "ok" };
    text.flag("loading", server.gates.has(Gates::LOADING));
    let loads = matches!(server.replication.role(), Role::Replica(_))
        && server.replication.upstream_state().0 == UpstreamState::Sync;
    // A primary's copy is loaded beside the data, which is served.
    text.flag("async_loading", loads && !server.gates.has(Gates::LOADING));
    if let Some(at) = server.loading.estimate(context.now) {
        text.field("loading_start_time", at.began);
        text.field("loading_total_bytes", at.total);
        text.field("loading_loaded_bytes", at.loaded);
        text.field("loading_loaded_perc", format_args!("{:.2}", at.percent));
        text.field("loading_eta_seconds", at.seconds_left);
    }
    // Nothing forks, so that nothing is copied on write.
    for name in [
        "current_cow_peak",
        "current_cow_size",
        "current_cow_size_age",
        "rdb_last_cow_size",
        "aof_last_cow_size",
        "module_fork_in_progress",
        "module_fork_last_cow_size",
    ] {
        text.field(name, 0);
    }
    let dump = server.dump_file.status();
    let seconds = |time: Option<Duration>| time.map_or(-1, |time| time.as_secs() as i64);
    let changes = server.stats.changes.load(Relaxed);
    let unsaved = changes.saturating_sub(dump.saved_changes);
    text.field("rdb_changes_since_last_save", unsaved);
    text.flag("rdb_bgsave_in_progress", dump.running_for.is_some());
    let last_save = server.dump_file.last_save(server);
    text.field("rdb_last_save_time", last_save);
    text.field("rdb_last_bgsave_status", status(dump.last_failed));
    text.field("rdb_last_bgsave_time_sec", seconds(dump.last_took));
    text.field("rdb_current_bgsave_time_sec", seconds(dump.running_for));
    text.field("rdb_saves", dump.saves);
    text.field("rdb_last_load_keys_expired", dump.loaded_expired);
    text.field("rdb_last_load_keys_loaded", dump.loaded_keys);
    text.flag("aof_enabled", server.config.current().appendonly);
    let aof = server.aof.status();
    text.flag("aof_rewrite_in_progress", aof.rewriting_since.is_some());
    text.flag("aof_rewrite_scheduled", server.aof.is_rewrite_pending());
    text.field("aof_last_rewrite_time_sec", seconds(aof.last_rewrite_took));
    let current = aof.rewriting_since.map(|since| since.elapsed());
    text.field("aof_current_rewrite_time_sec", seconds(current));
    text.field("aof_last_bgrewrite_status", status(aof.last_rewrite_failed));
    text.field("aof_rewrites", aof.rewrites);
    text.field("aof_rewrites_consecutive_failures", aof.failed_in_a_row);
    text.field(
        "aof_last_write_status",
        status(server.aof.last_error().is_some()),
    );
    if server.config.current().appendonly {
        text.field("aof_current_size", aof.current_bytes);
        text.field("aof_base_size", aof.base_bytes);
        text.flag("aof_pending_rewrite", server.aof.is_rewrite_pending());
        text.field("aof_buffer_length", server.aof.unwritten(server));
        text.flag("aof_pending_bio_fsync", server.aof.is_fsyncing());
        text.field("aof_delayed_fsync", aof.delayed_fsyncs);
    }
    text.field("aof_fsynced_offset", server.aof.fsynced());
    let saves = server.snapshots.in_progress();
    text.flag("snapshot_in_progress", saves);
    let (done, total) = server.snapshots.progress();
    text.field("snapshot_keys_done", done);
    text.field("snapshot_keys_total", total);
    // Redis's fields are of the one that runs.
    let (done, total) = if saves { (done, total) } else { (0, 0) };
    text.field("current_save_keys_processed", done);
    text.field("current_save_keys_total", total);
    let share = 100.0 * done as f64 / total.max(1) as f64;
    text.field("current_fork_perc", format_args!("{share:.2}"));
}
