//! PLACEHOLDER until the configuration room lands.

use parking_lot::RwLock;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Config {
    pub port: u16,
    pub bind: Vec<String>,
    pub unixsocket: Option<String>,
    pub databases: u32,
    pub dir: String,
    pub appendonly: bool,
    pub appendfsync: String,
    pub requirepass: Option<String>,
    pub masterauth: Option<String>,
    pub masteruser: Option<String>,
    pub replicaof: Option<(String, u16)>,
    pub repl_backlog_size: u64,
    pub repl_timeout_seconds: u64,
    pub replica_announce_ip: Option<String>,
    pub replica_announce_port: u16,
    pub replica_read_only: bool,
    pub replica_serve_stale_data: bool,
    pub workers: usize,
    pub sync_ack: String,
    pub sync_timeout_ms: u64,
    pub sync_on_timeout: String,
    pub min_insync_replicas: usize,
    pub maxclients: usize,
}

#[derive(Clone)]
pub struct ConfigHandle(Arc<RwLock<Arc<Config>>>);

impl ConfigHandle {
    pub fn current(&self) -> Arc<Config> {
        self.0.read().clone()
    }

    pub fn from_args(args: impl Iterator<Item = String>) -> ConfigHandle {
        let mut c = Config {
            port: 6379,
            bind: vec!["127.0.0.1".into()],
            unixsocket: None,
            databases: 16,
            dir: ".".into(),
            appendonly: false,
            appendfsync: "everysec".into(),
            requirepass: None,
            masterauth: None,
            masteruser: None,
            replicaof: None,
            repl_backlog_size: 1 << 20,
            repl_timeout_seconds: 60,
            replica_announce_ip: None,
            replica_announce_port: 0,
            replica_read_only: true,
            replica_serve_stale_data: true,
            workers: 1,
            sync_ack: "applied".into(),
            sync_timeout_ms: 1000,
            sync_on_timeout: "demote".into(),
            min_insync_replicas: 0,
            maxclients: 10000,
        };
        let args: Vec<String> = args.collect();
        let mut i = 0;
        while i < args.len() {
            let v = args.get(i + 1).cloned().unwrap_or_default();
            match args[i].as_str() {
                "--port" => c.port = v.parse().unwrap_or(6379),
                "--dir" => c.dir = v,
                "--unixsocket" => c.unixsocket = Some(v),
                "--appendonly" => c.appendonly = v == "yes",
                "--appendfsync" => c.appendfsync = v,
                "--requirepass" => c.requirepass = Some(v),
                "--workers" => c.workers = v.parse().unwrap_or(1),
                "--sync-ack" => c.sync_ack = v,
                "--sync-timeout" => c.sync_timeout_ms = v.parse().unwrap_or(1000),
                "--sync-on-timeout" => c.sync_on_timeout = v,
                "--min-insync-replicas" => c.min_insync_replicas = v.parse().unwrap_or(0),
                "--replicaof" => {
                    let (h, p) = match v.split_once(' ') {
                        Some((h, p)) => (h.to_owned(), p.to_owned()),
                        None => {
                            i += 1;
                            (v, args.get(i + 1).cloned().unwrap_or_default())
                        }
                    };
                    c.replicaof = Some((h, p.parse().unwrap_or(0)));
                }
                _ => {}
            }
            i += 2;
        }
        ConfigHandle(Arc::new(RwLock::new(Arc::new(c))))
    }
}
