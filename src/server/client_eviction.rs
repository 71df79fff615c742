//! Closing the largest clients while all together take more than `maxmemory-clients`.
//!
//! Looked at by the cron. Links between nodes, and clients that asked for it with
//! `CLIENT NO-EVICT`, neither count nor go.

use super::state::Server;
use crate::config::{ClientMemory, Config};
use crate::net::{ClientInfo, ClientKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Closes clients, largest first, until the others fit.
pub(super) fn evict_clients(server: &Server) {
    let config = server.config.current();
    let Some(most) = limit(&config) else {
        return;
    };
    let mut clients: Vec<(usize, Arc<ClientInfo>)> = server
        .clients
        .all()
        .into_iter()
        .filter(|client| may_go(client))
        .map(|client| (client.mem_bytes(), client))
        .collect();
    let mut used: u64 = clients.iter().map(|(bytes, _)| *bytes as u64).sum();
    if used <= most {
        return;
    }
    clients.sort_unstable_by_key(|(bytes, _)| *bytes);
    while used > most
        && let Some((bytes, client)) = clients.pop()
    {
        tracing::info!(
            client = client.id,
            addr = client.addr,
            bytes,
            "closing a client: all clients together reached maxmemory-clients"
        );
        client.kill();
        server.stats.evicted_clients.fetch_add(1, Ordering::Relaxed);
        used -= bytes as u64;
    }
}

fn may_go(client: &ClientInfo) -> bool {
    matches!(client.kind(), ClientKind::Normal | ClientKind::PubSub)
        && !client.no_evict.load(Ordering::Relaxed)
        && !client.killed.load(Ordering::Relaxed)
}

/// In bytes; `None` for no bound.
fn limit(config: &Config) -> Option<u64> {
    let bytes = match config.maxmemory_clients {
        ClientMemory::Bytes(bytes) => bytes,
        ClientMemory::Percent(percent) => {
            (u128::from(config.maxmemory) * u128::from(percent) / 100) as u64
        }
    };
    (bytes > 0).then_some(bytes)
}
