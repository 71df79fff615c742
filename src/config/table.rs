//! Every option, declared once: ours first, then those of Redis 8.2 and Valkey 9.1.
//!
//! Where the two differ in a default, Redis's is taken. An inert option is one that is
//! accepted, kept and reported so that existing files and tools work, and that changes
//! nothing; its help says why.

use super::spec::{Flags, Kind, Spec};

const YES_NO: Kind = Kind::Bool;
const TEXT: Kind = Kind::Text;
const IMMUTABLE: Flags = Flags::IMMUTABLE;
const PORT: Kind = int(0, 65535);
const COUNT: Kind = int(0, i32::MAX as i64);
const POSITIVE: Kind = int(1, i32::MAX as i64);
const DELAY: Kind = int(i32::MIN as i64, i32::MAX as i64);
const LONG: Kind = int(0, i64::MAX);
const ANY_COUNT: Kind = unsigned(0, i64::MAX);
const BYTES: Kind = bytes(0);
const SIGNED_BYTES: Kind = Kind::Memory {
    min: 0,
    signed: true,
};
const EXPOSURE: Kind = Kind::Choice(&["no", "yes", "local"]);

const fn int(min: i64, max: i64) -> Kind {
    let signed = true;
    Kind::Number { min, max, signed }
}

const fn unsigned(min: i64, max: i64) -> Kind {
    let signed = false;
    Kind::Number { min, max, signed }
}

const fn bytes(min: i64) -> Kind {
    let signed = false;
    Kind::Memory { min, signed }
}

/// An option that may be set at any time.
const fn live(name: &'static str, kind: Kind, default: &'static str) -> Spec {
    Spec::new(name, kind, default)
}

/// An option that is settled at the start.
const fn fixed(name: &'static str, kind: Kind, default: &'static str) -> Spec {
    Spec::new(name, kind, default).flags(IMMUTABLE)
}

/// An option that does nothing here, for the reason that `why` gives.
const fn inert(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Spec {
    Spec::new(name, kind, default).flags(Flags::INERT).help(why)
}

/// The same, and settled at the start.
const fn inert_fixed(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    why: &'static str,
) -> Spec {
    inert(name, kind, default, why).flags(IMMUTABLE)
}

/// The option called `name`, by that or another of its names, and the name as the table
/// spells it.
pub fn find(name: &[u8]) -> Option<(usize, &'static str)> {
    options()
        .enumerate()
        .find_map(|(index, spec)| spec.spelled(name).map(|spelled| (index, spelled)))
}

/// All options. An option's place here is its index in the table of values.
pub fn options() -> impl Iterator<Item = &'static Spec> {
    GROUPS.iter().flat_map(|group| group.iter())
}

const GROUPS: [&[Spec]; 16] = [
    SYNC,
    NETWORK,
    PROCESS,
    LOGGING,
    SECURITY,
    PERSISTENCE,
    REPLICATION,
    MEMORY,
    KEYSPACE,
    ENCODINGS,
    OBSERVATION,
    TLS,
    CLUSTER,
    KERNEL,
    ELSEWHERE,
    RETIRED,
];

const SYNC: &[Spec] = &[
    live(
        "sync-ack",
        Kind::Choice(&["async", "received", "applied", "fsynced"]),
        "applied",
    )
    .help("What every in-sync replica must have done with a write before it is answered."),
    live("sync-timeout", int(1, i32::MAX as i64), "1000")
        .help("Milliseconds that a write waits for a replica before sync-on-timeout applies."),
    live(
        "sync-on-timeout",
        Kind::Choice(&["demote", "fail", "wait"]),
        "demote",
    )
    .help("Whether a late replica leaves the in-sync set, or its writes fail, or they wait on."),
    live("min-insync-replicas", COUNT, "0")
        .help("Refuse writes while fewer replicas than this are in sync."),
    live("held-reply-limit", bytes(4096), "64mb")
        .help("Bytes of waiting replies at which a client's socket is no longer read."),
    live("held-reply-total-limit", bytes(65536), "1gb")
        .help("Bytes of waiting replies at which no client that has some is read any more."),
    live(
        "rdb-write-version",
        Kind::Choice(&["9", "10", "11", "12", "80"]),
        "11",
    )
    .help("Who reads snapshots: 9 Redis 5, 10 Redis 7.0, 11 Redis 7.2 and Valkey, 80 Valkey 9."),
    live(
        "replica-rdb-version",
        Kind::Choice(&["auto", "9", "10", "11", "12", "80"]),
        "auto",
    )
    .help(
        "RDB version of a full copy for a Redis or Valkey replica; auto goes by what it announces.",
    ),
    fixed("workers", int(0, 1024), "0")
        .help("Threads that serve clients; 0 for one per core, up to a few."),
];

const NETWORK: &[Spec] = &[
    live("bind", Kind::Words, "* -::*")
        .help("Addresses to listen on; a leading - makes one optional."),
    live("port", PORT, "6379").help("TCP port; 0 for none."),
    fixed("io-uring", Kind::Choice(&["auto", "no"]), "auto")
        .help("Send the replies of many clients in one system call where the kernel lets us."),
    fixed("tcp-backlog", COUNT, "511").help("Connections that may wait to be accepted."),
    fixed("unixsocket", TEXT, "").help("Path of a Unix socket to listen on."),
    fixed("unixsocketperm", Kind::Octal, "0").help("The Unix socket's permissions, in octal."),
    live("timeout", COUNT, "0").help("Seconds after which an idle client is closed; 0 for never."),
    live("tcp-keepalive", COUNT, "300").help("Seconds between TCP keepalive probes; 0 for none."),
    live("protected-mode", YES_NO, "yes")
        .help("Without a password, serve only clients of this machine."),
    live("maxclients", unsigned(1, u32::MAX as i64), "10000").help("Most clients at a time."),
    live("client-query-buffer-limit", bytes(1 << 20), "1gb")
        .help("Bytes of unparsed input at which a client is closed."),
    live("proto-max-bulk-len", int_bytes(1 << 20), "512mb").help("Longest argument, in bytes."),
    live(
        "client-output-buffer-limit",
        Kind::OutputLimits,
        "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
    )
    .help("Hard and soft bounds on a client's unread output, by class of client."),
    live("bind-source-addr", TEXT, "")
        .flags(Flags::INERT)
        .help("Local address of outgoing connections."),
    live("max-new-connections-per-cycle", unsigned(1, 1000), "10")
        .flags(Flags::INERT)
        .help("Connections are spread over the workers as they come."),
];

const PROCESS: &[Spec] = &[
    fixed("daemonize", YES_NO, "no").help("Go to the background."),
    fixed("pidfile", TEXT, "").help("File that holds the process id while the server runs."),
    fixed(
        "supervised",
        Kind::Choice(&["upstart", "systemd", "auto", "no"]),
        "no",
    )
    .help("Tell a service supervisor when the server is ready; auto finds out which."),
    live("shutdown-timeout", COUNT, "10")
        .help("Seconds that a shutdown waits for replicas to catch up."),
    live("shutdown-on-sigint", Kind::Shutdown, "default").help("How SIGINT stops the server."),
    live("shutdown-on-sigterm", Kind::Shutdown, "default").help("How SIGTERM stops the server."),
    live("hz", COUNT, "10")
        .flags(Flags::INERT)
        .help("How often a second background work is looked at."),
    fixed("databases", POSITIVE, "16").help("Number of databases."),
];

const LOGGING: &[Spec] = &[
    live(
        "loglevel",
        Kind::Choice(&["debug", "verbose", "notice", "warning", "nothing"]),
        "notice",
    )
    .help("Least severity that is logged."),
    fixed("logfile", TEXT, "").help("File to log to; standard output if empty."),
    live(
        "log-format",
        Kind::Choice(&["text", "json", "legacy", "logfmt"]),
        "text",
    )
    .help("Shape of a log line: text or json."),
    live("hide-user-data-from-log", YES_NO, "no")
        .flags(Flags::INERT)
        .help("Keep keys and values out of the log."),
];

const SECURITY: &[Spec] = &[
    live("requirepass", TEXT, "")
        .flags(Flags::SENSITIVE)
        .help("Password of the default user; empty for none."),
    fixed("enable-protected-configs", EXPOSURE, "no").help("Who may set protected options."),
    fixed("enable-debug-command", EXPOSURE, "no").help("Who may use DEBUG."),
    fixed("enable-module-command", EXPOSURE, "no")
        .flags(Flags::INERT)
        .help(NO_MODULES),
    fixed("aclfile", TEXT, "").flags(Flags::INERT).help(NO_ACL),
    live("acllog-max-len", LONG, "128")
        .flags(Flags::INERT)
        .help(NO_ACL),
    live(
        "acl-pubsub-default",
        Kind::Choice(&["allchannels", "resetchannels"]),
        "resetchannels",
    )
    .flags(Flags::INERT)
    .help(NO_ACL),
];

const PERSISTENCE: &[Spec] = &[
    live("dir", Kind::Dir, ".")
        .flags(Flags::PROTECTED)
        .help("Folder of all data files."),
    live("appendonly", YES_NO, "no").help("Keep every write in the append-only file."),
    live(
        "appendfsync",
        Kind::Choice(&["everysec", "always", "no"]),
        "everysec",
    )
    .help("When the append-only file is forced to disk; always makes replies wait for it."),
    fixed(
        "appendfilename",
        Kind::FileName("filename"),
        "appendonly.aof",
    )
    .help("What the names of append-only files begin with."),
    fixed("appenddirname", Kind::FileName("dirname"), "appendonlydir")
        .help("Folder of the append-only files, inside dir."),
    live("aof-load-truncated", YES_NO, "yes")
        .help("Start on an append-only file whose tail is cut off, without that tail."),
    live("aof-timestamp-enabled", YES_NO, "no")
        .flags(Flags::INERT)
        .help("Note the time in the append-only file."),
    live("aof-use-rdb-preamble", YES_NO, "yes")
        .help("Let the base of the append-only file be a snapshot."),
    live("auto-aof-rewrite-percentage", COUNT, "100")
        .help("Growth of the append-only file, in percent, that starts a rewrite; 0 for never."),
    live("auto-aof-rewrite-min-size", SIGNED_BYTES, "64mb")
        .help("Size below which the append-only file is not rewritten."),
    live("no-appendfsync-on-rewrite", YES_NO, "no")
        .flags(Flags::INERT)
        .help("A rewrite does not compete with fsync for one process here."),
    live("aof-rewrite-incremental-fsync", YES_NO, "yes")
        .flags(Flags::INERT)
        .help(INCREMENTAL_FSYNC),
    live("save", Kind::Save, "3600 1 300 100 60 10000")
        .help("Seconds and changes after which a snapshot is written."),
    live("dbfilename", Kind::FileName("filename"), "dump.rdb")
        .flags(Flags::PROTECTED)
        .help("Name of the snapshot file."),
    live("stop-writes-on-bgsave-error", YES_NO, "yes")
        .help("Refuse writes after a snapshot that failed."),
    live("rdbcompression", YES_NO, "yes").help("Compress strings in snapshots."),
    fixed("rdbchecksum", YES_NO, "yes").help("End snapshots with a checksum and check it."),
    live("rdb-key-save-delay", DELAY, "0")
        .flags(Flags::HIDDEN)
        .help("Microseconds that a snapshot rests for each key, for tests; if negative, keys a rest of one."),
    live("key-load-delay", DELAY, "0")
        .flags(Flags::HIDDEN)
        .help("The same for keys that are loaded."),
    live("loading-process-events-interval-bytes", int(1024, i32::MAX as i64), "524288")
        .flags(Flags::HIDDEN.union(Flags::INERT))
        .help("Clients are served all the time while data is loaded."),
    live("rdb-save-incremental-fsync", YES_NO, "yes")
        .flags(Flags::INERT)
        .help(INCREMENTAL_FSYNC),
    live("rdb-del-sync-files", YES_NO, "no")
        .flags(Flags::INERT)
        .help("A full sync leaves no files behind."),
    live(
        "rdb-version-check",
        Kind::Choice(&["strict", "relaxed"]),
        "strict",
    )
    .flags(Flags::INERT)
    .help("A snapshot of an unknown version is always refused."),
    live(
        "sanitize-dump-payload",
        Kind::Choice(&["no", "yes", "clients"]),
        "no",
    )
    .flags(Flags::INERT)
    .help("Check payloads of RESTORE and snapshots deeply before they are used."),
];

const REPLICATION: &[Spec] = &[
    fixed("replicaof", Kind::ReplicaOf, "")
        .alias(&["slaveof"])
        .help("Host and port of the primary to follow."),
    live("masterauth", TEXT, "")
        .alias(&["primaryauth"])
        .flags(Flags::SENSITIVE)
        .help("Password to give to the primary."),
    live("masteruser", TEXT, "")
        .alias(&["primaryuser"])
        .help("User to authenticate as at the primary."),
    live("replica-read-only", YES_NO, "yes")
        .alias(&["slave-read-only"])
        .help("Refuse writes of clients on a replica."),
    live("replica-serve-stale-data", YES_NO, "yes")
        .alias(&["slave-serve-stale-data"])
        .help("Let a replica that has lost its primary answer reads."),
    live("replica-priority", COUNT, "100")
        .alias(&["slave-priority"])
        .help("Rank for promotion by Sentinel, least first; 0 for never."),
    live("replica-announced", YES_NO, "yes")
        .help("Whether Sentinel shows this replica to clients."),
    live("replica-announce-ip", TEXT, "")
        .alias(&["slave-announce-ip"])
        .help("Address under which the primary lists this replica."),
    live("replica-announce-port", PORT, "0")
        .alias(&["slave-announce-port"])
        .help("Port under which the primary lists this replica."),
    live("replica-ignore-maxmemory", YES_NO, "yes")
        .alias(&["slave-ignore-maxmemory"])
        .help("Leave eviction to the primary."),
    live("replica-lazy-flush", YES_NO, "no")
        .alias(&["slave-lazy-flush"])
        .flags(Flags::INERT)
        .help("Free the old data in the background before a full sync is loaded."),
    live("replica-ignore-disk-write-errors", YES_NO, "no")
        .flags(Flags::INERT)
        .help("Let a replica go on when its append-only file cannot be written."),
    live("repl-backlog-size", int_bytes(1), "1mb")
        .help("Bytes of the write log kept for replicas that come back."),
    live("repl-backlog-ttl", LONG, "3600")
        .flags(Flags::INERT)
        .help("The backlog is kept."),
    live("repl-timeout", POSITIVE, "60")
        .help("Seconds of silence after which a replication link is closed."),
    live("repl-ping-replica-period", POSITIVE, "10")
        .alias(&["repl-ping-slave-period"])
        .help("Seconds between PINGs to replicas."),
    live("repl-disable-tcp-nodelay", YES_NO, "no")
        .help("Save packets to replicas at the price of latency."),
    live("repl-diskless-sync", YES_NO, "yes")
        .help("A full sync goes straight to the socket, not through a file."),
    live("repl-diskless-sync-delay", COUNT, "5")
        .flags(Flags::INERT)
        .help("A full sync begins at once."),
    live("repl-diskless-sync-max-replicas", COUNT, "0")
        .flags(Flags::INERT)
        .help("A full sync begins at once."),
    live(
        "repl-diskless-load",
        Kind::Choice(&["disabled", "on-empty-db", "swapdb", "flush-before-load"]),
        "disabled",
    )
    .help("A full sync is loaded beside the old data; flush-before-load spares the memory."),
    live("replica-full-sync-buffer-limit", SIGNED_BYTES, "0")
        .flags(Flags::INERT)
        .help("What happens during a full sync waits in the write log."),
    live("dual-channel-replication-enabled", YES_NO, "no")
        .flags(Flags::INERT)
        .help("What happens during a full sync waits in the write log."),
    live("min-replicas-to-write", COUNT, "0")
        .alias(&["min-slaves-to-write"])
        .help("Refuse writes while fewer replicas than this are connected and not late."),
    live("min-replicas-max-lag", COUNT, "10")
        .alias(&["min-slaves-max-lag"])
        .help("Seconds without an acknowledgement that make a replica late."),
    live(
        "propagation-error-behavior",
        Kind::Choice(&["ignore", "panic", "panic-on-replicas"]),
        "ignore",
    )
    .help("An error in the primary's stream ends the link, which is tried again, or the server."),
    inert_fixed("repl-mptcp", YES_NO, "no", NO_MPTCP),
];

const MEMORY: &[Spec] = &[
    live("maxmemory", BYTES, "0")
        .help("Bytes at which keys are evicted or writes refused; 0 for none."),
    live(
        "maxmemory-policy",
        Kind::Choice(&[
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "noeviction",
        ]),
        "noeviction",
    )
    .help("Which keys go when maxmemory is reached."),
    live("maxmemory-samples", int(1, 64), "5").help("Keys compared for each eviction."),
    live("maxmemory-eviction-tenacity", int(0, 100), "10")
        .help("How long a request may be held up by eviction, from 0 to 100."),
    live("maxmemory-clients", Kind::MemoryOrPercent, "0").help(
        "Bytes, or percent of maxmemory, that all clients' buffers may take; 0 for no bound.",
    ),
    live("lfu-log-factor", COUNT, "10").help("How slowly the LFU counter grows."),
    live("lfu-decay-time", COUNT, "1").help("Minutes after which the LFU counter shrinks by one."),
    inert("lazyfree-lazy-eviction", YES_NO, "no", ALWAYS_LAZY),
    inert("lazyfree-lazy-expire", YES_NO, "no", ALWAYS_LAZY),
    inert("lazyfree-lazy-server-del", YES_NO, "no", ALWAYS_LAZY),
    inert("lazyfree-lazy-user-del", YES_NO, "no", ALWAYS_LAZY),
    inert("lazyfree-lazy-user-flush", YES_NO, "no", ALWAYS_LAZY),
    inert("activedefrag", YES_NO, "no", NO_DEFRAG),
    inert("active-defrag-cycle-max", int(1, 99), "25", NO_DEFRAG),
    inert("active-defrag-cycle-min", int(1, 99), "1", NO_DEFRAG),
    inert("active-defrag-cycle-us", int(0, 100_000), "500", NO_DEFRAG),
    inert("active-defrag-ignore-bytes", bytes(1), "100mb", NO_DEFRAG),
    inert(
        "active-defrag-max-scan-fields",
        int(1, i64::MAX),
        "1000",
        NO_DEFRAG,
    ),
    inert(
        "active-defrag-threshold-lower",
        int(0, 1000),
        "10",
        NO_DEFRAG,
    ),
    inert(
        "active-defrag-threshold-upper",
        int(0, 1000),
        "100",
        NO_DEFRAG,
    ),
    inert(
        "jemalloc-bg-thread",
        YES_NO,
        "yes",
        "The allocator's own threads are always on.",
    ),
];

const KEYSPACE: &[Spec] = &[
    live("active-expire-effort", int(1, 10), "1")
        .flags(Flags::INERT)
        .help("How hard expired keys are looked for."),
    live("notify-keyspace-events", Kind::Events, "").help("Classes of keyspace events to publish."),
    live("tracking-table-max-keys", ANY_COUNT, "1000000")
        .help("Keys remembered for client-side caching."),
    live("busy-reply-threshold", LONG, "5000")
        .alias(&["lua-time-limit"])
        .help("Milliseconds after which others are told that a script is running."),
    inert(
        "activerehashing",
        YES_NO,
        "yes",
        "Tables grow in small steps and are never rehashed as a whole.",
    ),
    inert_fixed(
        "hash-seed",
        TEXT,
        "",
        "The hash key is drawn at each start.",
    ),
    inert("import-mode", YES_NO, "no", "Not built."),
];

const ENCODINGS: &[Spec] = &[
    live("hash-max-listpack-entries", ANY_COUNT, "512")
        .alias(&["hash-max-ziplist-entries"])
        .help("Most fields of a packed hash."),
    live("hash-max-listpack-value", BYTES, "64")
        .alias(&["hash-max-ziplist-value"])
        .help("Longest field or value of a packed hash, in bytes."),
    live(
        "list-max-listpack-size",
        int(i32::MIN as i64, i32::MAX as i64),
        "-2",
    )
    .alias(&["list-max-ziplist-size"])
    .help("Elements, or by -1 to -5 the size, of a packed piece of a list."),
    live("list-compress-depth", COUNT, "0")
        .flags(Flags::INERT)
        .help("Pieces at either end of a list that are not compressed; 0 for no compression."),
    live("set-max-intset-entries", ANY_COUNT, "512")
        .help("Most members of a packed set of integers."),
    live("set-max-listpack-entries", ANY_COUNT, "128").help("Most members of a packed set."),
    live("set-max-listpack-value", ANY_COUNT, "64")
        .help("Longest member of a packed set, in bytes."),
    live("zset-max-listpack-entries", ANY_COUNT, "128")
        .alias(&["zset-max-ziplist-entries"])
        .help("Most members of a packed sorted set."),
    live("zset-max-listpack-value", BYTES, "64")
        .alias(&["zset-max-ziplist-value"])
        .help("Longest member of a packed sorted set, in bytes."),
    live("hll-sparse-max-bytes", BYTES, "3000").help("Most bytes of a sparse HyperLogLog."),
    live("stream-node-max-bytes", BYTES, "4096").help("Most bytes of a packed piece of a stream."),
    live("stream-node-max-entries", LONG, "100")
        .help("Most entries of a packed piece of a stream."),
    inert(
        "vset-force-single-threaded-execution",
        YES_NO,
        "no",
        "There are no vector sets.",
    ),
];

const OBSERVATION: &[Spec] = &[
    live("slowlog-log-slower-than", int(-1, i64::MAX), "10000")
        .alias(&["commandlog-execution-slower-than"])
        .help("Microseconds that make a command slow; -1 for no log."),
    live("slowlog-max-len", LONG, "128")
        .alias(&["commandlog-slow-execution-max-len"])
        .help("Slow commands remembered."),
    live("commandlog-large-reply-max-len", LONG, "128")
        .help("Commands with large replies remembered."),
    live("commandlog-large-request-max-len", LONG, "128").help("Large requests remembered."),
    live("commandlog-reply-larger-than", int(-1, i64::MAX), "1048576")
        .help("Bytes that make a reply large; -1 for no log."),
    live(
        "commandlog-request-larger-than",
        int(-1, i64::MAX),
        "1048576",
    )
    .help("Bytes that make a request large; -1 for no log."),
    live("latency-monitor-threshold", LONG, "0")
        .help("Milliseconds that make an event a latency spike; 0 for no monitor."),
    live("latency-tracking", YES_NO, "yes").help("Keep a latency histogram of each command."),
    live(
        "latency-tracking-info-percentiles",
        Kind::Percentiles,
        "50 99 99.9",
    )
    .help("Percentiles in INFO latencystats."),
    live("availability-zone", TEXT, "").help("This node's zone, as HELLO and INFO tell it."),
];

const TLS: &[Spec] = &[
    inert("tls-port", PORT, "0", NO_TLS),
    inert(
        "tls-auth-clients",
        Kind::Choice(&["no", "yes", "optional"]),
        "yes",
        NO_TLS,
    ),
    inert(
        "tls-auth-clients-user",
        Kind::Choice(&["CN", "URI", "off"]),
        "off",
        NO_TLS,
    ),
    inert("tls-auto-reload-interval", COUNT, "0", NO_TLS),
    inert("tls-ca-cert-dir", TEXT, "", NO_TLS),
    inert("tls-ca-cert-file", TEXT, "", NO_TLS),
    inert("tls-cert-file", TEXT, "", NO_TLS),
    inert("tls-ciphers", TEXT, "", NO_TLS),
    inert("tls-ciphersuites", TEXT, "", NO_TLS),
    inert("tls-client-cert-file", TEXT, "", NO_TLS),
    inert("tls-client-key-file", TEXT, "", NO_TLS),
    inert("tls-client-key-file-pass", TEXT, "", NO_TLS).flags(Flags::SENSITIVE),
    inert("tls-cluster", YES_NO, "no", NO_TLS),
    inert("tls-dh-params-file", TEXT, "", NO_TLS),
    inert("tls-key-file", TEXT, "", NO_TLS),
    inert("tls-key-file-pass", TEXT, "", NO_TLS).flags(Flags::SENSITIVE),
    inert("tls-prefer-server-ciphers", YES_NO, "no", NO_TLS),
    inert("tls-protocols", TEXT, "", NO_TLS),
    inert("tls-replication", YES_NO, "no", NO_TLS),
    inert("tls-session-cache-size", COUNT, "20480", NO_TLS),
    inert("tls-session-cache-timeout", COUNT, "300", NO_TLS),
    inert("tls-session-caching", YES_NO, "yes", NO_TLS),
    inert(
        "max-new-tls-connections-per-cycle",
        unsigned(1, 1000),
        "1",
        NO_TLS,
    ),
];

const CLUSTER: &[Spec] = &[
    inert_fixed("cluster-enabled", YES_NO, "no", NO_CLUSTER),
    inert(
        "cluster-allow-pubsubshard-when-down",
        YES_NO,
        "yes",
        NO_CLUSTER,
    ),
    inert("cluster-allow-reads-when-down", YES_NO, "no", NO_CLUSTER),
    inert("cluster-allow-replica-migration", YES_NO, "yes", NO_CLUSTER),
    inert("cluster-announce-bus-port", PORT, "0", NO_CLUSTER),
    inert("cluster-announce-client-ipv4", TEXT, "", NO_CLUSTER),
    inert("cluster-announce-client-ipv6", TEXT, "", NO_CLUSTER),
    inert("cluster-announce-client-port", PORT, "0", NO_CLUSTER),
    inert("cluster-announce-client-tls-port", PORT, "0", NO_CLUSTER),
    inert("cluster-announce-hostname", Kind::Hostname, "", NO_CLUSTER),
    inert(
        "cluster-announce-human-nodename",
        Kind::Hostname,
        "",
        NO_CLUSTER,
    ),
    inert("cluster-announce-ip", TEXT, "", NO_CLUSTER),
    inert("cluster-announce-port", PORT, "0", NO_CLUSTER),
    inert("cluster-announce-tls-port", PORT, "0", NO_CLUSTER),
    inert("cluster-blacklist-ttl", LONG, "60", NO_CLUSTER),
    inert(
        "cluster-compatibility-sample-ratio",
        int(0, 100),
        "0",
        NO_CLUSTER,
    ),
    inert_fixed("cluster-config-file", TEXT, "nodes.conf", NO_CLUSTER),
    inert(
        "cluster-config-save-behavior",
        Kind::Choice(&["sync", "best-effort"]),
        "sync",
        NO_CLUSTER,
    ),
    inert_fixed("cluster-databases", POSITIVE, "1", NO_CLUSTER),
    inert("cluster-link-sendbuf-limit", BYTES, "0", NO_CLUSTER),
    inert(
        "cluster-manual-failover-timeout",
        POSITIVE,
        "5000",
        NO_CLUSTER,
    ),
    inert("cluster-migration-barrier", COUNT, "1", NO_CLUSTER),
    inert("cluster-node-timeout", LONG, "15000", NO_CLUSTER),
    inert_fixed("cluster-port", PORT, "0", NO_CLUSTER),
    inert(
        "cluster-preferred-endpoint-type",
        Kind::Choice(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
        NO_CLUSTER,
    ),
    inert("cluster-replica-no-failover", YES_NO, "no", NO_CLUSTER)
        .alias(&["cluster-slave-no-failover"]),
    inert("cluster-replica-validity-factor", COUNT, "10", NO_CLUSTER)
        .alias(&["cluster-slave-validity-factor"]),
    inert("cluster-require-full-coverage", YES_NO, "yes", NO_CLUSTER),
    inert(
        "cluster-slot-migration-log-max-len",
        LONG,
        "1000",
        NO_CLUSTER,
    ),
    inert("cluster-slot-stats-enabled", YES_NO, "no", NO_CLUSTER),
    inert(
        "slot-migration-max-failover-repl-bytes",
        SIGNED_BYTES,
        "0",
        NO_CLUSTER,
    ),
];

const KERNEL: &[Spec] = &[
    inert_fixed("server-cpulist", TEXT, "", NO_PINNING).alias(&["server_cpulist"]),
    inert_fixed("bio-cpulist", TEXT, "", NO_PINNING).alias(&["bio_cpulist"]),
    inert_fixed("aof-rewrite-cpulist", TEXT, "", NO_FORK).alias(&["aof_rewrite_cpulist"]),
    inert_fixed("bgsave-cpulist", TEXT, "", NO_FORK).alias(&["bgsave_cpulist"]),
    inert_fixed("disable-thp", YES_NO, "yes", NO_FORK),
    inert(
        "oom-score-adj",
        Kind::Choice(&["no", "yes", "relative", "absolute"]),
        "no",
        NO_FORK,
    ),
    inert(
        "oom-score-adj-values",
        Kind::OomValues,
        "0 200 800",
        NO_FORK,
    ),
    inert_fixed(
        "socket-mark-id",
        unsigned(0, u32::MAX as i64),
        "0",
        "Sockets are not marked.",
    ),
    inert_fixed("mptcp", YES_NO, "no", NO_MPTCP),
    inert("rdma-bind", Kind::Words, "", NO_RDMA),
    inert("rdma-port", PORT, "0", NO_RDMA),
    inert_fixed("rdma-completion-vector", int(-1, 1024), "-1", NO_RDMA),
    inert_fixed("rdma-rx-size", int(65536, 16 << 20), "1048576", NO_RDMA),
];

const ELSEWHERE: &[Spec] = &[
    inert_fixed(
        "io-threads",
        int(1, 256),
        "1",
        "Threads are set with workers.",
    ),
    inert(
        "prefetch-batch-max-size",
        int(0, 128),
        "16",
        "Batches are looked up as they come.",
    ),
    inert(
        "dynamic-hz",
        YES_NO,
        "yes",
        "Background work follows what there is to do.",
    ),
    inert_fixed("syslog-enabled", YES_NO, "no", NO_SYSLOG),
    inert_fixed("syslog-ident", TEXT, "redis", NO_SYSLOG),
    inert_fixed(
        "syslog-facility",
        Kind::Choice(&[
            "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
        ]),
        "local0",
        NO_SYSLOG,
    ),
    inert(
        "log-timestamp-format",
        Kind::Choice(&["legacy", "iso8601", "milliseconds"]),
        "legacy",
        "Log lines carry one form of time.",
    ),
    inert(
        "crash-log-enabled",
        YES_NO,
        "yes",
        "A panic is always logged.",
    ),
    inert(
        "crash-memcheck-enabled",
        YES_NO,
        "yes",
        "There is no memory test.",
    ),
    inert_fixed("always-show-logo", YES_NO, "no", "There is no logo."),
    inert_fixed("set-proc-title", YES_NO, "yes", NO_TITLE),
    inert(
        "proc-title-template",
        Kind::TitleTemplate,
        "{title} {listen-addr} {server-mode}",
        NO_TITLE,
    ),
    inert(
        "locale-collate",
        Kind::Locale,
        "",
        "Strings are compared by their bytes.",
    ),
    inert("ignore-warnings", TEXT, "", "No warning stops the server."),
    inert(
        "extended-redis-compatibility",
        YES_NO,
        "no",
        "Answers are Redis's already.",
    ),
    inert_fixed(
        "unixsocketgroup",
        TEXT,
        "",
        "The Unix socket keeps the process's group.",
    ),
];

/// Names that no server lists: of older files, and for tests of Redis itself.
const RETIRED: &[Spec] = &[
    inert("io-threads-do-reads", YES_NO, "no", RETIRED_LONG_AGO).flags(Flags::HIDDEN),
    inert("list-max-ziplist-entries", LONG, "512", RETIRED_LONG_AGO).flags(Flags::HIDDEN),
    inert("list-max-ziplist-value", BYTES, "64", RETIRED_LONG_AGO).flags(Flags::HIDDEN),
    inert("lua-replicate-commands", YES_NO, "yes", RETIRED_LONG_AGO).flags(Flags::HIDDEN),
    inert("use-exit-on-panic", YES_NO, "no", FOR_TESTS).flags(Flags::HIDDEN),
    inert("aof-disable-auto-gc", YES_NO, "no", FOR_TESTS).flags(Flags::HIDDEN),
    inert_fixed(
        "lua-enable-deprecated-api",
        YES_NO,
        "no",
        "What Redis has dropped from Lua is not here either.",
    )
    .flags(Flags::HIDDEN),
    inert("watchdog-period", COUNT, "0", "There is no watchdog.").flags(Flags::HIDDEN),
];

const NO_MODULES: &str = "There are no modules.";
const NO_ACL: &str = "Users and their rights are not built yet.";
const INCREMENTAL_FSYNC: &str = "Large files are always forced to disk in pieces.";
const NO_MPTCP: &str = "Connections are plain TCP.";
const NO_RDMA: &str = "There is no RDMA.";
const ALWAYS_LAZY: &str =
    "Large values are always freed in the background: nobody should wait for that.";
const NO_DEFRAG: &str = "Memory is not moved; tables and entries are small pieces.";
const NO_TLS: &str = "TLS is not built yet.";
const NO_CLUSTER: &str = "Cluster mode is not built yet.";
const NO_PINNING: &str = "Threads are not pinned to cores.";
const NO_FORK: &str = "The server does not fork and leaves such settings to its supervisor.";
const NO_SYSLOG: &str = "Logs go to a file or to standard output.";
const NO_TITLE: &str = "The process keeps its name.";
const FOR_TESTS: &str = "It is there for the tests of Redis itself.";
const RETIRED_LONG_AGO: &str = "Redis and Valkey have dropped it too.";

const fn int_bytes(min: i64) -> Kind {
    let signed = true;
    Kind::Memory { min, signed }
}
