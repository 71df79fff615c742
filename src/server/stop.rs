//! A graceful stop: no write is left that a client was told is done and a replica or the
//! file lacks.

use super::state::Server;
use crate::execute::Gates;
use crate::replication::LinkState;
use crate::time::{Duration, Instant};
use std::sync::atomic::Ordering;

/// Stops new writes, waits until the replicas have the rest (at most `shutdown-timeout`),
/// and completes the append-only file.
pub async fn gracefully(server: &'static Server) {
    let limit = Duration::from_secs(server.config.current().shutdown_timeout_seconds);
    server.gates.set(Gates::PAUSED_WRITES, true);
    let begun = Instant::now();
    while behind(server) {
        if begun.elapsed() >= limit {
            tracing::warn!("replicas lag behind at shutdown; going all the same");
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Replies that have just been released get a moment to leave.
    tokio::time::sleep(Duration::from_millis(20)).await;
    save(server).await;
    server.aof.close();
}

/// Saves the data as it is now, if `SHUTDOWN` or the configuration asks for it.
async fn save(server: &'static Server) {
    let wanted = match server.dump_file.at_shutdown() {
        Some(wanted) => wanted,
        None => !server.config.current().save.is_empty(),
    };
    if !wanted {
        return;
    }
    // One that runs may have begun before the last write.
    let run = loop {
        match server.dump_file.start(server) {
            Some(run) => break run,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    while server.dump_file.outcome(run).is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether an online replica lacks something.
fn behind(server: &Server) -> bool {
    if server.replication.is_replica() {
        return false;
    }
    let end = server.log.end();
    server.replication.links().iter().any(|link| {
        *link.state.lock() == LinkState::Online && link.applied.load(Ordering::SeqCst) < end
    })
}
