//! The section `persistence`.

use super::Text;
use crate::execute::{Gates, SessionContext};
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn persistence(context: &SessionContext<'_>, text: &mut Text) {
    let server = context.server;
    let status = |failed: bool| if failed { "err" } else { "ok" };
    text.flag("loading", server.gates.has(Gates::LOADING));
    text.flag("async_loading", false);
    // Nothing saves to an RDB file yet, so everything has changed since.
    let changes = server.stats.changes.load(Relaxed);
    text.field("rdb_changes_since_last_save", changes);
    text.flag("rdb_bgsave_in_progress", false);
    text.field("rdb_last_save_time", server.started_at);
    text.field("rdb_last_bgsave_status", "ok");
    text.field("rdb_last_bgsave_time_sec", -1);
    text.field("rdb_current_bgsave_time_sec", -1);
    text.field("rdb_saves", 0);
    text.flag("aof_enabled", server.config.current().appendonly);
    text.flag("aof_rewrite_in_progress", false);
    text.flag("aof_rewrite_scheduled", false);
    text.field("aof_last_rewrite_time_sec", -1);
    text.field("aof_current_rewrite_time_sec", -1);
    text.field("aof_last_bgrewrite_status", "ok");
    text.field(
        "aof_last_write_status",
        status(server.aof.last_error().is_some()),
    );
    text.field("aof_fsynced_offset", server.aof.fsynced());
}
