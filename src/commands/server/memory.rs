//! `MEMORY`.

use super::process;
use crate::allocator;
use crate::execute::{ReadContext, SessionContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::server::Server;
use std::sync::atomic::Ordering::Relaxed;

/// The sizes are known, so that nothing is sampled; the option is only checked.
pub(super) fn usage(
    context: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let mut at = 3;
    while at < args.len() {
        if !args.is(at, "samples") || at + 1 >= args.len() {
            return Err(errors::SYNTAX);
        }
        let samples = parse_i64(args.at(at + 1)).ok_or(errors::NOT_AN_INTEGER)?;
        if samples < 0 {
            return Err(errors::SYNTAX);
        }
        at += 2;
    }
    match context.peek(args.at(2)) {
        Some(entry) => reply.int((entry.mem_bytes() + TABLE_SLOT_BYTES) as i64),
        None => reply.null(),
    }
    Ok(())
}

pub(super) fn stats(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let memory = Memory::of(context);
    let counts = [
        ("peak.allocated", memory.peak),
        ("total.allocated", memory.used),
        ("startup.allocated", memory.startup),
        ("replication.backlog", memory.backlog),
        ("clients.slaves", memory.replica_clients),
        ("clients.normal", memory.normal_clients),
        ("overhead.total", memory.overhead()),
        ("keys.count", memory.keys),
        (
            "keys.bytes-per-key",
            memory.dataset().checked_div(memory.keys).unwrap_or(0),
        ),
        ("dataset.bytes", memory.dataset()),
        ("allocator.allocated", memory.used),
        ("allocator.active", memory.active),
        ("allocator.resident", memory.mapped),
    ];
    let ratios = [
        ("dataset.percentage", memory.dataset_percent()),
        ("peak.percentage", percent(memory.used, memory.peak)),
        (
            "allocator-fragmentation.ratio",
            ratio(memory.active, memory.used),
        ),
        ("allocator-rss.ratio", ratio(memory.mapped, memory.active)),
        ("fragmentation", ratio(memory.resident, memory.used)),
    ];
    reply.map(counts.len() + ratios.len());
    for (name, count) in counts {
        reply.bulk_str(name);
        reply.int(count as i64);
    }
    for (name, value) in ratios {
        reply.bulk_str(name);
        reply.double(value);
    }
    Ok(())
}

pub(super) fn help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "MEMORY",
        &[
            "STATS",
            "    Show where the server's memory goes.",
            "USAGE <key> [SAMPLES <count>]",
            "    Show how many bytes a key and its value occupy.",
        ],
    );
    Ok(())
}

/// Where memory goes, in bytes.
pub(super) struct Memory {
    pub used: u64,
    pub peak: u64,
    pub startup: u64,
    pub active: u64,
    /// Mapped and present, as the allocator knows it.
    pub mapped: u64,
    /// Present, as the operating system knows it.
    pub resident: u64,
    pub backlog: u64,
    pub normal_clients: u64,
    pub replica_clients: u64,
    /// Of tables, entries aside.
    pub tables: u64,
    pub keys: u64,
}

impl Memory {
    pub fn of(context: &SessionContext<'_>) -> Memory {
        let server: &Server = context.server;
        let allocator = allocator::stats();
        let used = allocator.allocated as u64;
        let (mut tables, mut keys) = (0, 0);
        context.each_shard(|_, shard| {
            tables += shard.overhead_bytes() as u64;
            keys += shard.len() as u64;
        });
        let (mut normal_clients, mut replica_clients) = (0, 0);
        for client in server.clients.all() {
            let bytes = client.mem_bytes() as u64;
            match client.kind() {
                crate::net::ClientKind::Replica => replica_clients += bytes,
                _ => normal_clients += bytes,
            }
        }
        Memory {
            used,
            peak: server.stats.peak_memory.fetch_max(used, Relaxed).max(used),
            startup: server.stats.startup_memory.load(Relaxed),
            active: allocator.active as u64,
            mapped: allocator.resident as u64,
            resident: process::resident_bytes(),
            backlog: server.log.end() - server.log.kept_from(),
            normal_clients,
            replica_clients,
            tables,
            keys,
        }
    }

    /// What is not data.
    pub fn overhead(&self) -> u64 {
        let parts = self.startup + self.backlog + self.normal_clients;
        (parts + self.replica_clients + self.tables).min(self.used)
    }

    /// What is.
    pub fn dataset(&self) -> u64 {
        self.used - self.overhead()
    }

    /// Of what was allocated since the start.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.used.saturating_sub(self.startup))
    }
}

pub(super) fn percent(part: u64, whole: u64) -> f64 {
    ratio(part, whole) * 100.0
}

pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// A table's share of a key: a pointer and a tag at the usual load.
const TABLE_SLOT_BYTES: usize = 12;
