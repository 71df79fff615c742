//! The section `replication`.

use super::Text;
use crate::commit::{LEVELS, MemberState, MemberView};
use crate::execute::SessionContext;
use crate::replication::{ReplicaLink, Role, Upstream, UpstreamState};
use crate::server::Server;
use std::sync::atomic::Ordering::SeqCst;

pub(super) fn replication(context: &SessionContext<'_>, text: &mut Text) {
    let server = context.server;
    match server.replication.role() {
        Role::Primary => text.field("role", "master"),
        Role::Replica(upstream) => {
            text.field("role", "slave");
            upstream_fields(server, &upstream, text);
        }
    }
    let members = server.authority().members();
    let links = server.replication.links();
    text.field("connected_slaves", links.len());
    if let Some(good) = server.good_replicas() {
        text.field("min_slaves_good_slaves", good);
    }
    for (i, link) in links.iter().enumerate() {
        let member = members.iter().find(|member| member.id == link.id);
        text.field(&format!("slave{i}"), replica_line(link, member));
    }
    text.field(
        "master_failover_state",
        server.replication.failover.phase().name(),
    );
    history_fields(server, text);
    in_sync_fields(server, &members, text);
}

/// The link to the primary.
fn upstream_fields(server: &Server, upstream: &Upstream, text: &mut Text) {
    let (state, heard) = server.replication.upstream_state();
    let config = server.config.current();
    let offset = server.log.end();
    let silent_seconds = heard.elapsed().as_secs();
    let up = state == UpstreamState::Connected;
    text.field("master_host", &upstream.host);
    text.field("master_port", upstream.port);
    text.field("master_link_status", if up { "up" } else { "down" });
    let last_io = if up { silent_seconds as i64 } else { -1 };
    text.field("master_last_io_seconds_ago", last_io);
    text.flag("master_sync_in_progress", state == UpstreamState::Sync);
    text.field("slave_read_repl_offset", offset);
    text.field("slave_repl_offset", offset);
    link_fields(server, up, text);
    if !up {
        text.field("master_link_state", state.name());
    }
    if let Some(why) = server.replication.refusal() {
        // It may quote the primary; a line break would begin a field.
        text.field("master_link_refusal", why.replace(['\r', '\n'], " "));
    }
    text.field("slave_priority", crate::replication::priority(server));
    text.field("replica_in_sync", server.replication.standing.name());
    text.flag("slave_read_only", config.replica_read_only);
    text.flag("replica_announced", config.replica_announced);
}

/// How the link to the primary has fared. What comes during a full copy is never put aside.
fn link_fields(server: &Server, up: bool, text: &mut Text) {
    let link = server.replication.link_history();
    text.field("replica_full_sync_buffer_size", 0);
    text.field("replica_full_sync_buffer_peak", 0);
    text.field("master_current_sync_attempts", link.attempts);
    text.field("master_total_sync_attempts", link.attempts_in_all);
    let down = link.down_since.map(|since| since.elapsed());
    if up {
        let since = link.up_since.map_or(0, |since| since.elapsed().as_secs());
        text.field("master_link_up_since_seconds", since);
    } else {
        let since = down.map_or(-1, |down| down.as_secs() as i64);
        text.field("master_link_down_since_seconds", since);
    }
    let all = link.down_before + down.unwrap_or_default();
    text.field("total_disconnect_time_sec", all.as_secs());
}

fn replica_line(link: &ReplicaLink, member: Option<&MemberView>) -> String {
    let lag_seconds = link.acked_at.lock().elapsed().as_secs();
    let latency = link.latency.lock();
    let in_sync = match member.map(|member| member.state) {
        Some(MemberState::InSync) => "yes",
        Some(MemberState::Joining(_)) => "joining",
        Some(MemberState::Candidate) | None => "no",
    };
    format!(
        "ip={},port={},state={},offset={},lag={lag_seconds},type=replica,insync={in_sync},\
         fsynced={},ack_us={},ack_us_max={}",
        link.address,
        link.port,
        link.state.lock().name(),
        link.applied.load(SeqCst),
        link.fsynced.load(SeqCst),
        latency.mean().as_micros(),
        latency.worst().as_micros(),
    )
}

/// Whose history this is, and how much of it is kept.
fn history_fields(server: &Server, text: &mut Text) {
    let end = server.log.end();
    let kept_from = server.log.kept_from();
    text.field("master_replid", server.replication.replid());
    match server.replication.previous() {
        Some((replid, until)) => {
            text.field("master_replid2", replid);
            text.field("master_repl_offset", end);
            // The first offset that is not shared with it, counted as PSYNC does.
            text.field("second_repl_offset", until + 1);
        }
        None => {
            text.field("master_replid2", "0".repeat(40));
            text.field("master_repl_offset", end);
            text.field("second_repl_offset", -1);
        }
    }
    let active = server.log.is_recording();
    text.flag("repl_backlog_active", active);
    let size = server.config.current().repl_backlog_size;
    text.field("repl_backlog_size", size);
    let first = if active { kept_from + 1 } else { 0 };
    text.field("repl_backlog_first_byte_offset", first);
    text.field("repl_backlog_histlen", end - kept_from);
}

/// What writes wait for.
fn in_sync_fields(server: &Server, members: &[MemberView], text: &mut Text) {
    let config = server.config.current();
    text.field("sync_ack", server.sync_level().name());
    text.field("sync_timeout_ms", config.sync_timeout_ms);
    text.field("min_insync_replicas", config.min_insync_replicas);
    if server.replication.is_replica() {
        // Membership and commitment are the primary's to know.
        return;
    }
    text.field("insync_replicas", server.authority().in_sync_count());
    let in_sync: Vec<&str> = members
        .iter()
        .filter(|member| member.state == MemberState::InSync)
        .map(|member| &*member.id)
        .collect();
    text.field("insync_set", in_sync.join(","));
    for level in &LEVELS[1..] {
        // Where nothing is waited for, everything is committed.
        let committed = server.watermarks.committed(*level).min(server.log.end());
        text.field(&format!("committed_offset_{}", level.name()), committed);
    }
}
