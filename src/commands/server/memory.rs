//! `MEMORY`.

use super::process;
use crate::allocator;
use crate::commands::handler::{Handler, Scope};
use crate::commands::spec::{CommandSpec, Flags, KeySpec};
use crate::execute::{ReadContext, SessionContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::server::Server;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

/// `MEMORY` and its subcommands.
pub(super) const COMMAND: CommandSpec = CommandSpec {
    name: "memory",
    since: "4.0.0",
    arity: -2,
    summary: "Groups the commands about memory.",
    complexity: "By subcommand",
    handler: Handler::Container,
    subcommands: &[
        CommandSpec {
            name: "doctor",
            summary: "Tells in words what is wrong with the use of memory.",
            handler: Handler::Session(doctor),
            scope: Scope::Keyspace,
            ..REPORT
        },
        CommandSpec {
            name: "malloc-stats",
            summary: "Shows the allocator's own report.",
            complexity: "O(N), N being the amount of memory",
            handler: Handler::Session(malloc_stats),
            ..REPORT
        },
        CommandSpec {
            name: "purge",
            summary: "Gives memory that is free back to the operating system.",
            complexity: "O(N), N being the amount of memory",
            tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
            handler: Handler::Session(purge),
            ..REPORT
        },
        CommandSpec {
            name: "stats",
            summary: "Tells where the server's memory goes.",
            handler: Handler::Session(stats),
            scope: Scope::Keyspace,
            ..REPORT
        },
        CommandSpec {
            name: "usage",
            since: "4.0.0",
            arity: -3,
            flags: Flags::of("readonly"),
            keys: &[KeySpec::at(2, "RO")],
            syntax: "key [SAMPLES count]",
            summary: "Tells how many bytes a key and its value occupy.",
            complexity: "O(1)",
            handler: Handler::Read(usage),
            ..super::SERVER
        },
        CommandSpec {
            name: "help",
            since: "4.0.0",
            arity: 2,
            flags: Flags::of("loading stale"),
            summary: "Lists the subcommands.",
            complexity: "O(1)",
            handler: Handler::Session(help),
            ..super::SERVER
        },
    ],
    ..super::SERVER
};

const REPORT: CommandSpec = CommandSpec {
    since: "4.0.0",
    arity: 2,
    complexity: "O(1)",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    ..super::SERVER
};

/// The sizes are known, so that nothing is sampled; the option is only checked.
fn usage(
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

fn stats(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let memory = Memory::of(context);
    let mut fields: Vec<(&str, Field)> = vec![
        ("peak.allocated", Bytes(memory.peak)),
        ("total.allocated", Bytes(memory.used)),
        ("startup.allocated", Bytes(memory.startup)),
        ("replication.backlog", Bytes(memory.backlog)),
        ("replica.fullsync.buffer", Bytes(0)),
        ("clients.slaves", Bytes(memory.replica_clients)),
        ("clients.normal", Bytes(memory.normal_clients)),
        ("cluster.links", Bytes(0)),
        ("aof.buffer", Bytes(0)),
        ("lua.caches", Bytes(0)),
        ("functions.caches", Bytes(0)),
        ("script.VMs", Bytes(0)),
    ];
    let names: Vec<String> = memory.dbs.keys().map(|db| format!("db.{db}")).collect();
    for (name, tables) in names.iter().zip(memory.dbs.values()) {
        fields.push((name, Tables(*tables)));
    }
    fields.extend([
        ("overhead.db.hashtable.lut", Bytes(memory.tables)),
        ("overhead.db.hashtable.rehashing", Bytes(0)),
        ("overhead.total", Bytes(memory.overhead())),
        ("db.dict.rehashing.count", Bytes(0)),
        ("keys.count", Bytes(memory.keys)),
        (
            "keys.bytes-per-key",
            Bytes(memory.dataset().checked_div(memory.keys).unwrap_or(0)),
        ),
        ("dataset.bytes", Bytes(memory.dataset())),
        ("dataset.percentage", Share(memory.dataset_percent())),
        ("peak.percentage", Share(percent(memory.used, memory.peak))),
        ("allocator.allocated", Bytes(memory.used)),
        ("allocator.active", Bytes(memory.active)),
        ("allocator.resident", Bytes(memory.mapped)),
        ("allocator.muzzy", Bytes(0)),
    ]);
    for (ratio_name, difference_name, part, whole) in [
        (
            "allocator-fragmentation.ratio",
            "allocator-fragmentation.bytes",
            memory.active,
            memory.used,
        ),
        (
            "allocator-rss.ratio",
            "allocator-rss.bytes",
            memory.mapped,
            memory.active,
        ),
        (
            "rss-overhead.ratio",
            "rss-overhead.bytes",
            memory.resident,
            memory.mapped,
        ),
        (
            "fragmentation",
            "fragmentation.bytes",
            memory.resident,
            memory.used,
        ),
    ] {
        fields.push((ratio_name, Share(ratio(part, whole))));
        fields.push((difference_name, Difference(part as i64 - whole as i64)));
    }
    write_fields(&fields, reply);
    Ok(())
}

/// A value in the reply of `MEMORY STATS`.
#[derive(Clone, Copy)]
enum Field {
    Bytes(u64),
    Difference(i64),
    Share(f64),
    /// Bytes of a database's tables.
    Tables(u64),
}
use Field::{Bytes, Difference, Share, Tables};

fn write_fields(fields: &[(&str, Field)], reply: &mut Reply<'_>) {
    reply.map(fields.len());
    for (name, field) in fields {
        reply.bulk_str(name);
        match *field {
            Bytes(bytes) => reply.int(bytes as i64),
            Difference(bytes) => reply.int(bytes),
            Share(share) => reply.double(share),
            Tables(bytes) => {
                reply.map(2);
                reply.bulk_str("overhead.hashtable.main");
                reply.int(bytes as i64);
                // Expiries stand in the entries themselves.
                reply.bulk_str("overhead.hashtable.expires");
                reply.int(0);
            }
        }
    }
}

/// What is wrong with the server's use of memory, in words.
fn doctor(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let memory = Memory::of(context);
    let clients = context.server.clients.all().len() as u64;
    reply.verbatim("txt", &report(&memory, clients));
    Ok(())
}

fn report(memory: &Memory, clients: u64) -> String {
    if memory.used < SMALL {
        return format!(
            "Less than {} MB are in use: too little to say anything about.\n",
            SMALL >> 20
        );
    }
    let mut findings: Vec<String> = Vec::new();
    if memory.peak > memory.used * 3 / 2 {
        findings.push(format!(
            "Peak: {:.1} times as much memory was in use before as is now. The allocator may \
             still hold some of it; MEMORY PURGE gives it back.",
            ratio(memory.peak, memory.used)
        ));
    }
    if memory.resident > memory.used + memory.used * 2 / 5 && memory.resident - memory.used > SMALL
    {
        findings.push(format!(
            "Fragmentation: the process occupies {:.2} times what it uses. Values of ever other \
             sizes do that; it often passes as new data fills the gaps.",
            ratio(memory.resident, memory.used)
        ));
    }
    if memory.replica_clients > 10 << 20 {
        findings.push(
            "Replicas: their output waits for them to read. They or the network are too slow."
                .into(),
        );
    }
    if clients > 0 && memory.normal_clients / clients > 200 << 10 {
        findings.push(
            "Clients: their buffers are large. Look at CLIENT LIST for tot-mem and omem, and at \
             client-output-buffer-limit and maxmemory-clients."
                .into(),
        );
    }
    if findings.is_empty() {
        return "Nothing is wrong with the use of memory.\n".into();
    }
    findings
        .iter()
        .map(|finding| format!("* {finding}\n"))
        .collect()
}

/// Below this much memory in use, ratios mean nothing.
const SMALL: u64 = 5 << 20;

fn malloc_stats(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.verbatim("txt", &allocator::report());
    Ok(())
}

fn purge(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if !allocator::purge() {
        return Err(WireError::fixed("ERR Error purging dirty pages"));
    }
    reply.ok();
    Ok(())
}

fn help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "MEMORY",
        &[
            "DOCTOR",
            "    Tell in words what is wrong with the use of memory.",
            "MALLOC-STATS",
            "    Show the allocator's own report.",
            "PURGE",
            "    Give memory that is free back to the operating system.",
            "STATS",
            "    Show where the server's memory goes.",
            "USAGE <key> [SAMPLES <count>]",
            "    Show how many bytes a key and its value occupy.",
        ],
    );
    Ok(())
}

/// Where memory goes, in bytes.
#[derive(Default)]
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
    /// What the log keeps for slow consumers beyond that, which eviction does not count.
    pub uncounted: u64,
    pub normal_clients: u64,
    pub replica_clients: u64,
    /// Of tables, entries aside.
    pub tables: u64,
    /// The same by database.
    pub dbs: BTreeMap<u32, u64>,
    pub keys: u64,
}

impl Memory {
    pub fn of(context: &SessionContext<'_>) -> Memory {
        let server: &Server = context.server;
        let allocator = allocator::stats();
        let used = allocator.allocated as u64;
        let kept = server.log.end().saturating_sub(server.log.kept_from());
        let (mut keys, mut dbs) = (0, BTreeMap::new());
        context.each_shard(|db, shard| {
            if !shard.is_empty() {
                *dbs.entry(db.0).or_default() += shard.overhead_bytes() as u64;
                keys += shard.len() as u64;
            }
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
            peak: server.stats.note_memory(used),
            startup: server.stats.startup_memory.load(Relaxed),
            active: allocator.active as u64,
            mapped: allocator.resident as u64,
            resident: process::resident_bytes(),
            backlog: kept,
            uncounted: kept.saturating_sub(server.config.current().repl_backlog_size),
            normal_clients,
            replica_clients,
            tables: dbs.values().sum(),
            dbs,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_finds_what_is_wrong() {
        let mut memory = Memory {
            used: 100 << 20,
            peak: 110 << 20,
            resident: 120 << 20,
            ..Memory::default()
        };
        assert!(report(&memory, 1).starts_with("Nothing"));
        memory.peak = 200 << 20;
        memory.normal_clients = 10 << 20;
        let text = report(&memory, 3);
        assert!(text.contains("Peak") && text.contains("Clients") && !text.contains("Frag"));
        memory.used = 1000;
        assert!(report(&memory, 3).starts_with("Less"));
    }
}
