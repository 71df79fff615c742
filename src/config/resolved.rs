//! The values in force under typed names, for those who act on them.
//!
//! [`Config::new`] is the only place that goes from an option's name to a field. It names
//! options that the table holds, with the kind that the table gives them; a test builds it
//! from the defaults.

use super::spec::Spec;
use super::table;
use super::value::{NotifyClass, OutputLimit, SavePoint, ShutdownFlags, Value};
use crate::commit::{AckLevel, Policy};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// When the append-only file is forced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before a write is answered.
    Always,
    /// Once a second.
    EverySec,
    /// When the operating system likes.
    No,
}

/// Least severity that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// All there is.
    Debug,
    /// Much.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// What an operator must know.
    Warning,
    /// Nothing.
    Nothing,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// As Redis writes them.
    Text,
    /// An object on a line.
    Json,
}

/// Which keys go when `maxmemory` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxmemoryPolicy {
    /// With a TTL, least recently used.
    VolatileLru,
    /// With a TTL, least frequently used.
    VolatileLfu,
    /// With a TTL, any.
    VolatileRandom,
    /// With a TTL, the soonest to expire.
    VolatileTtl,
    /// Least recently used.
    AllkeysLru,
    /// Least frequently used.
    AllkeysLfu,
    /// Any.
    AllkeysRandom,
    /// None: writes are refused.
    NoEviction,
}

impl MaxmemoryPolicy {
    /// Whether entries count how often they are used.
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }

    /// Whether entries note when they were last used, and eviction goes by it.
    pub fn is_lru(self) -> bool {
        matches!(self, Self::VolatileLru | Self::AllkeysLru)
    }

    /// Whether only keys with an expiry go.
    pub fn is_volatile(self) -> bool {
        matches!(
            self,
            Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl
        )
    }

    /// Whether any key will do.
    pub fn is_random(self) -> bool {
        matches!(self, Self::VolatileRandom | Self::AllkeysRandom)
    }
}

/// Who may use something dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Nobody.
    No,
    /// Anybody.
    Yes,
    /// Clients on a loopback address or the Unix socket.
    Local,
}

/// Whose payloads are checked deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanitizeDump {
    /// Nobody's.
    No,
    /// All.
    Yes,
    /// Those that clients send.
    Clients,
}

/// A bound on the memory of all clients together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMemory {
    /// Bytes; 0 for no bound.
    Bytes(u64),
    /// Percent of `maxmemory`.
    Percent(u8),
}

/// Every option's value, at one moment. Fields are named after options, with the unit last;
/// what they mean stands in the table.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The table documents each option once.
pub struct Config {
    /// By the option's place in the table.
    pub(super) values: Vec<Value>,

    pub sync_ack: AckLevel,
    pub sync_timeout_ms: u64,
    pub sync_on_timeout: Policy,
    pub min_insync_replicas: usize,
    pub held_reply_limit: usize,
    pub held_reply_total_limit: usize,
    pub workers: usize,
    /// Whether `io_uring` may be used.
    pub io_uring: bool,

    pub bind: Vec<String>,
    pub port: u16,
    pub tcp_backlog: u32,
    pub unixsocket: Option<String>,
    pub unixsocketperm: Option<u32>,
    pub timeout_seconds: u64,
    pub tcp_keepalive_seconds: u64,
    pub protected_mode: bool,
    pub maxclients: usize,
    pub client_query_buffer_limit: usize,
    pub proto_max_bulk_len: u64,
    /// Of normal clients, replicas and subscribers.
    pub client_output_buffer_limit: [OutputLimit; 3],
    pub bind_source_addr: Option<String>,

    pub daemonize: bool,
    pub pidfile: Option<PathBuf>,
    pub supervised: &'static str,
    pub shutdown_timeout_seconds: u64,
    pub shutdown_on_sigint: ShutdownFlags,
    pub shutdown_on_sigterm: ShutdownFlags,
    pub hz: u32,
    pub databases: u32,

    pub loglevel: LogLevel,
    pub logfile: Option<PathBuf>,
    pub log_format: LogFormat,
    pub hide_user_data_from_log: bool,

    pub requirepass: Option<Vec<u8>>,
    pub enable_protected_configs: Exposure,
    pub enable_debug_command: Exposure,

    pub dir: PathBuf,
    pub appendonly: bool,
    pub appendfsync: AppendFsync,
    pub appendfilename: String,
    pub appenddirname: String,
    pub aof_load_truncated: bool,
    pub aof_timestamp_enabled: bool,
    pub aof_use_rdb_preamble: bool,
    pub auto_aof_rewrite_percentage: u32,
    pub auto_aof_rewrite_min_size: u64,
    pub save: Vec<SavePoint>,
    pub dbfilename: String,
    pub stop_writes_on_bgsave_error: bool,
    pub rdbcompression: bool,
    pub rdb_write_version: u32,
    pub rdbchecksum: bool,
    /// Microseconds for a key, or keys for a microsecond if negative.
    pub rdb_key_save_delay: i64,
    /// The same.
    pub key_load_delay: i64,
    pub sanitize_dump_payload: SanitizeDump,

    pub replicaof: Option<(String, u16)>,
    pub masterauth: Option<String>,
    pub masteruser: Option<String>,
    pub replica_read_only: bool,
    pub replica_serve_stale_data: bool,
    pub replica_priority: u32,
    pub replica_announced: bool,
    pub replica_announce_ip: Option<String>,
    pub replica_announce_port: u16,
    pub replica_ignore_maxmemory: bool,
    pub replica_lazy_flush: bool,
    pub replica_ignore_disk_write_errors: bool,
    pub repl_diskless_sync: bool,
    pub repl_flush_before_load: bool,
    /// `None` to go by what each replica says of itself.
    pub replica_rdb_version: Option<u32>,
    pub repl_backlog_size: u64,
    pub repl_backlog_ttl_seconds: u64,
    pub repl_timeout_seconds: u64,
    pub repl_ping_replica_period_seconds: u64,
    pub repl_disable_tcp_nodelay: bool,
    pub repl_diskless_sync_delay_seconds: u64,
    pub repl_diskless_sync_max_replicas: usize,
    pub min_replicas_to_write: usize,
    pub min_replicas_max_lag_seconds: u64,
    pub propagation_error_behavior: &'static str,

    pub maxmemory: u64,
    pub maxmemory_policy: MaxmemoryPolicy,
    pub maxmemory_samples: usize,
    pub maxmemory_eviction_tenacity: u32,
    pub maxmemory_clients: ClientMemory,
    pub lfu_log_factor: u32,
    pub lfu_decay_minutes: u32,

    pub active_expire_effort: u32,
    pub notify_keyspace_events: NotifyClass,
    pub tracking_table_max_keys: usize,
    pub busy_reply_threshold_ms: u64,

    pub hash_max_listpack_entries: usize,
    pub hash_max_listpack_value: usize,
    pub list_max_listpack_size: i32,
    pub list_compress_depth: usize,
    pub set_max_intset_entries: usize,
    pub set_max_listpack_entries: usize,
    pub set_max_listpack_value: usize,
    pub zset_max_listpack_entries: usize,
    pub zset_max_listpack_value: usize,
    pub hll_sparse_max_bytes: usize,
    pub stream_node_max_bytes: usize,
    pub stream_node_max_entries: usize,

    /// -1 for no log.
    pub slowlog_log_slower_than_us: i64,
    pub slowlog_max_len: usize,
    pub commandlog_large_reply_max_len: usize,
    pub commandlog_large_request_max_len: usize,
    pub commandlog_reply_larger_than: i64,
    pub commandlog_request_larger_than: i64,
    pub latency_monitor_threshold_ms: u64,
    pub latency_tracking: bool,
    pub latency_tracking_info_percentiles: Vec<f64>,
    pub availability_zone: String,
}

impl Default for Config {
    fn default() -> Config {
        Config::new(table::options().map(Spec::default_value).collect())
    }
}

impl Config {
    /// The configuration of these values, one for each option of the table.
    pub(super) fn new(values: Vec<Value>) -> Config {
        let v = Named(&values);
        Config {
            sync_ack: AckLevel::parse(v.choice("sync-ack").as_bytes()).unwrap_or_default(),
            sync_timeout_ms: v.u64("sync-timeout"),
            sync_on_timeout: match v.choice("sync-on-timeout") {
                "fail" => Policy::Fail,
                "wait" => Policy::Wait,
                _ => Policy::Demote,
            },
            min_insync_replicas: v.usize("min-insync-replicas"),
            held_reply_limit: v.usize("held-reply-limit"),
            held_reply_total_limit: v.usize("held-reply-total-limit"),
            workers: v.usize("workers"),
            io_uring: v.choice("io-uring") != "no",

            bind: v.words("bind"),
            port: v.u32("port") as u16,
            tcp_backlog: v.u32("tcp-backlog"),
            unixsocket: v.some_text("unixsocket"),
            unixsocketperm: Some(v.u32("unixsocketperm")).filter(|mode| *mode != 0),
            timeout_seconds: v.u64("timeout"),
            tcp_keepalive_seconds: v.u64("tcp-keepalive"),
            protected_mode: v.bool("protected-mode"),
            maxclients: v.usize("maxclients"),
            client_query_buffer_limit: v.usize("client-query-buffer-limit"),
            proto_max_bulk_len: v.u64("proto-max-bulk-len"),
            client_output_buffer_limit: match v.get("client-output-buffer-limit") {
                Value::Limits(limits) => *limits,
                _ => Default::default(),
            },
            bind_source_addr: v.some_text("bind-source-addr"),

            daemonize: v.bool("daemonize"),
            pidfile: v.some_path("pidfile"),
            supervised: v.choice("supervised"),
            shutdown_timeout_seconds: v.u64("shutdown-timeout"),
            shutdown_on_sigint: v.shutdown("shutdown-on-sigint"),
            shutdown_on_sigterm: v.shutdown("shutdown-on-sigterm"),
            hz: v.u32("hz"),
            databases: v.u32("databases"),

            loglevel: match v.choice("loglevel") {
                "debug" => LogLevel::Debug,
                "verbose" => LogLevel::Verbose,
                "warning" => LogLevel::Warning,
                "nothing" => LogLevel::Nothing,
                _ => LogLevel::Notice,
            },
            logfile: v.some_path("logfile"),
            log_format: match v.choice("log-format") {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            hide_user_data_from_log: v.bool("hide-user-data-from-log"),

            requirepass: Some(v.text("requirepass").to_vec()).filter(|text| !text.is_empty()),
            enable_protected_configs: v.exposure("enable-protected-configs"),
            enable_debug_command: v.exposure("enable-debug-command"),

            dir: PathBuf::from(OsString::from_vec(v.text("dir").to_vec())),
            appendonly: v.bool("appendonly"),
            appendfsync: match v.choice("appendfsync") {
                "always" => AppendFsync::Always,
                "no" => AppendFsync::No,
                _ => AppendFsync::EverySec,
            },
            appendfilename: v.string("appendfilename"),
            appenddirname: v.string("appenddirname"),
            aof_load_truncated: v.bool("aof-load-truncated"),
            aof_timestamp_enabled: v.bool("aof-timestamp-enabled"),
            aof_use_rdb_preamble: v.bool("aof-use-rdb-preamble"),
            auto_aof_rewrite_percentage: v.u32("auto-aof-rewrite-percentage"),
            auto_aof_rewrite_min_size: v.u64("auto-aof-rewrite-min-size"),
            save: match v.get("save") {
                Value::Save(points) => points.clone(),
                _ => Vec::new(),
            },
            dbfilename: v.string("dbfilename"),
            stop_writes_on_bgsave_error: v.bool("stop-writes-on-bgsave-error"),
            rdbcompression: v.bool("rdbcompression"),
            rdb_write_version: match v.choice("rdb-write-version") {
                "9" => 9,
                "10" => 10,
                "12" => 12,
                "80" => 80,
                _ => 11,
            },
            rdbchecksum: v.bool("rdbchecksum"),
            rdb_key_save_delay: v.number("rdb-key-save-delay"),
            key_load_delay: v.number("key-load-delay"),
            sanitize_dump_payload: match v.choice("sanitize-dump-payload") {
                "yes" => SanitizeDump::Yes,
                "clients" => SanitizeDump::Clients,
                _ => SanitizeDump::No,
            },

            replicaof: match v.words("replicaof").as_slice() {
                [host, port] => port.parse().ok().map(|port| (host.clone(), port)),
                _ => None,
            },
            masterauth: v.some_text("masterauth"),
            masteruser: v.some_text("masteruser"),
            replica_read_only: v.bool("replica-read-only"),
            replica_serve_stale_data: v.bool("replica-serve-stale-data"),
            replica_priority: v.u32("replica-priority"),
            replica_announced: v.bool("replica-announced"),
            replica_announce_ip: v.some_text("replica-announce-ip"),
            replica_announce_port: v.u32("replica-announce-port") as u16,
            replica_ignore_maxmemory: v.bool("replica-ignore-maxmemory"),
            replica_lazy_flush: v.bool("replica-lazy-flush"),
            replica_ignore_disk_write_errors: v.bool("replica-ignore-disk-write-errors"),
            repl_diskless_sync: v.bool("repl-diskless-sync"),
            replica_rdb_version: v.choice("replica-rdb-version").parse().ok(),
            repl_flush_before_load: v.choice("repl-diskless-load") == "flush-before-load",
            repl_backlog_size: v.u64("repl-backlog-size"),
            repl_backlog_ttl_seconds: v.u64("repl-backlog-ttl"),
            repl_timeout_seconds: v.u64("repl-timeout"),
            repl_ping_replica_period_seconds: v.u64("repl-ping-replica-period"),
            repl_disable_tcp_nodelay: v.bool("repl-disable-tcp-nodelay"),
            repl_diskless_sync_delay_seconds: v.u64("repl-diskless-sync-delay"),
            repl_diskless_sync_max_replicas: v.usize("repl-diskless-sync-max-replicas"),
            min_replicas_to_write: v.usize("min-replicas-to-write"),
            min_replicas_max_lag_seconds: v.u64("min-replicas-max-lag"),
            propagation_error_behavior: v.choice("propagation-error-behavior"),

            maxmemory: v.u64("maxmemory"),
            maxmemory_policy: match v.choice("maxmemory-policy") {
                "volatile-lru" => MaxmemoryPolicy::VolatileLru,
                "volatile-lfu" => MaxmemoryPolicy::VolatileLfu,
                "volatile-random" => MaxmemoryPolicy::VolatileRandom,
                "volatile-ttl" => MaxmemoryPolicy::VolatileTtl,
                "allkeys-lru" => MaxmemoryPolicy::AllkeysLru,
                "allkeys-lfu" => MaxmemoryPolicy::AllkeysLfu,
                "allkeys-random" => MaxmemoryPolicy::AllkeysRandom,
                _ => MaxmemoryPolicy::NoEviction,
            },
            maxmemory_samples: v.usize("maxmemory-samples"),
            maxmemory_eviction_tenacity: v.u32("maxmemory-eviction-tenacity"),
            maxmemory_clients: match v.get("maxmemory-clients") {
                Value::Percent(percent) => ClientMemory::Percent(*percent),
                _ => ClientMemory::Bytes(v.u64("maxmemory-clients")),
            },
            lfu_log_factor: v.u32("lfu-log-factor"),
            lfu_decay_minutes: v.u32("lfu-decay-time"),

            active_expire_effort: v.u32("active-expire-effort"),
            notify_keyspace_events: match v.get("notify-keyspace-events") {
                Value::Events(events) => *events,
                _ => NotifyClass::empty(),
            },
            tracking_table_max_keys: v.usize("tracking-table-max-keys"),
            busy_reply_threshold_ms: v.u64("busy-reply-threshold"),

            hash_max_listpack_entries: v.usize("hash-max-listpack-entries"),
            hash_max_listpack_value: v.usize("hash-max-listpack-value"),
            list_max_listpack_size: v.number("list-max-listpack-size") as i32,
            list_compress_depth: v.usize("list-compress-depth"),
            set_max_intset_entries: v.usize("set-max-intset-entries"),
            set_max_listpack_entries: v.usize("set-max-listpack-entries"),
            set_max_listpack_value: v.usize("set-max-listpack-value"),
            zset_max_listpack_entries: v.usize("zset-max-listpack-entries"),
            zset_max_listpack_value: v.usize("zset-max-listpack-value"),
            hll_sparse_max_bytes: v.usize("hll-sparse-max-bytes"),
            stream_node_max_bytes: v.usize("stream-node-max-bytes"),
            stream_node_max_entries: v.usize("stream-node-max-entries"),

            slowlog_log_slower_than_us: v.number("slowlog-log-slower-than"),
            slowlog_max_len: v.usize("slowlog-max-len"),
            commandlog_large_reply_max_len: v.usize("commandlog-large-reply-max-len"),
            commandlog_large_request_max_len: v.usize("commandlog-large-request-max-len"),
            commandlog_reply_larger_than: v.number("commandlog-reply-larger-than"),
            commandlog_request_larger_than: v.number("commandlog-request-larger-than"),
            latency_monitor_threshold_ms: v.u64("latency-monitor-threshold"),
            latency_tracking: v.bool("latency-tracking"),
            latency_tracking_info_percentiles: match v.get("latency-tracking-info-percentiles") {
                Value::Percentiles(list) => list.clone(),
                _ => Vec::new(),
            },
            availability_zone: v.string("availability-zone"),
            values,
        }
    }

    /// The value of the option of that name or alias, as `CONFIG GET` shows it.
    pub fn shown(&self, name: &str) -> Option<Vec<u8>> {
        let (index, _) = table::find(name.as_bytes())?;
        let spec = table::options().nth(index)?;
        Some(self.values[index].shown(spec.kind))
    }
}

/// Values by name. Asking for what the table does not hold is a mistake in this file, which
/// the defaults' test meets.
struct Named<'a>(&'a [Value]);

impl Named<'_> {
    fn get(&self, name: &str) -> &Value {
        let found = table::options().position(|spec| spec.name == name);
        debug_assert!(found.is_some(), "no option is called {name}");
        &self.0[found.unwrap_or_default()]
    }

    fn bool(&self, name: &str) -> bool {
        debug_assert!(matches!(self.get(name), Value::Bool(_)), "{name}");
        matches!(self.get(name), Value::Bool(true))
    }

    fn number(&self, name: &str) -> i64 {
        match self.get(name) {
            Value::Number(number) => *number,
            other => {
                debug_assert!(matches!(other, Value::Percent(_)), "{name}");
                0
            }
        }
    }

    fn u64(&self, name: &str) -> u64 {
        u64::try_from(self.number(name)).unwrap_or_default()
    }

    fn u32(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or_default()
    }

    fn usize(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or_default()
    }

    fn choice(&self, name: &str) -> &'static str {
        match self.get(name) {
            Value::Choice(word) => word,
            _ => {
                debug_assert!(false, "{name}");
                ""
            }
        }
    }

    fn exposure(&self, name: &str) -> Exposure {
        match self.choice(name) {
            "yes" => Exposure::Yes,
            "local" => Exposure::Local,
            _ => Exposure::No,
        }
    }

    fn text(&self, name: &str) -> &[u8] {
        match self.get(name) {
            Value::Text(text) => text,
            _ => {
                debug_assert!(false, "{name}");
                b""
            }
        }
    }

    fn string(&self, name: &str) -> String {
        String::from_utf8_lossy(self.text(name)).into_owned()
    }

    fn some_text(&self, name: &str) -> Option<String> {
        Some(self.string(name)).filter(|text| !text.is_empty())
    }

    fn some_path(&self, name: &str) -> Option<PathBuf> {
        let text = Some(self.text(name).to_vec()).filter(|text| !text.is_empty());
        text.map(|text| PathBuf::from(OsString::from_vec(text)))
    }

    fn words(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Value::Words(words) => words
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect(),
            _ => Vec::new(),
        }
    }

    fn shutdown(&self, name: &str) -> ShutdownFlags {
        match self.get(name) {
            Value::Shutdown(flags) => *flags,
            _ => ShutdownFlags::empty(),
        }
    }
}
