//! Start and stop.

use super::cron;
use super::live::LiveValues;
use super::state::Server;
use super::stop::{self, StopRequest};
use crate::commit::Rules;
use crate::config::{AppendFsync, Config, ConfigHandle};
use crate::dump_file;
use crate::execute::{Gates, Settings};
use crate::net::{self, Incoming, WorkerHandle};
use crate::rdb::Target;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The data on disk cannot be loaded.
    #[error("{0}")]
    Load(String),
    /// Something of the operating system's.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(config: ConfigHandle) -> Result<(), StartError> {
    let server = Server::new(config);
    log_panics();
    let current = server.config.current();
    let sockets = listen(&current)?;
    let _pid_file = PidFile::write(&current)?;
    let (handles, queues): (Vec<_>, Vec<_>) = (0..worker_count(&current))
        .map(|_| WorkerHandle::new())
        .unzip();
    server.set_workers(handles.clone());
    for (index, (handle, queue)) in handles.into_iter().zip(queues).enumerate() {
        std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .stack_size(WORKER_STACK)
            .spawn(move || {
                let run = || net::run_worker(server, index, handle, queue);
                if let Err(error) = or_abort(run) {
                    tracing::error!(%error, worker = index, "a worker could not start");
                    server.stop("a worker could not start");
                }
            })
            .map_err(|source| StartError::System {
                doing: "starting a worker",
                source,
            })?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::System {
            doing: "starting the main runtime",
            source,
        })?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve(server, sockets))
}

/// Has panics logged where everything else is.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("?");
        tracing::error!(thread, "a fault of the server's own: {panic}");
    }));
}

/// Runs what a thread is there for, and ends the process if that panics: the clients of a
/// worker that is no more would wait for ever, while those of the others find the server well.
/// Whoever supervises it starts it again, and what was acknowledged is in its file and on its
/// replicas.
fn or_abort<R>(run: impl FnOnce() -> R) -> R {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(_) => {
            let thread = std::thread::current();
            let thread = thread.name().unwrap_or("?");
            tracing::error!(thread, "the thread has died, and the process ends with it");
            std::process::abort();
        }
    }
}

enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

fn listen(config: &Config) -> Result<Vec<Socket>, StartError> {
    let mut sockets = Vec::new();
    if config.port != 0 {
        for address in &config.bind {
            // A leading dash: such an address may be missing on this machine.
            let (optional, host) = match address.strip_prefix('-') {
                Some(host) => (true, host),
                None => (false, address.as_str()),
            };
            match listen_tcp(host, config) {
                Ok(socket) => sockets.push(Socket::Tcp(socket)),
                Err(error) if optional && is_missing(&error) => {}
                Err(source) => {
                    let address = format!("{host}:{}", config.port);
                    return Err(StartError::Listen { address, source });
                }
            }
        }
    }
    if let Some(path) = &config.unixsocket {
        let socket = net::bind_unix(Path::new(path), config.unixsocketperm);
        sockets.push(Socket::Unix(socket.map_err(|source| {
            StartError::Listen {
                address: path.clone(),
                source,
            }
        })?));
    }
    Ok(sockets)
}

fn listen_tcp(host: &str, config: &Config) -> io::Result<std::net::TcpListener> {
    let ip = match host {
        "*" => Ipv4Addr::UNSPECIFIED.into(),
        "::*" => Ipv6Addr::UNSPECIFIED.into(),
        name => (name, config.port)
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?
            .ip(),
    };
    net::bind_tcp(ip, config.port, config.tcp_backlog as i32)
}

/// Whether the machine does not have the address, or its family.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ENOPROTOOPT)
    )
}

async fn serve(server: &'static Server, sockets: Vec<Socket>) -> Result<(), StartError> {
    let doing = "listening";
    for socket in sockets {
        let incoming = match socket {
            Socket::Tcp(socket) => TcpListener::from_std(socket).map(Incoming::Tcp),
            Socket::Unix(socket) => UnixListener::from_std(socket).map(Incoming::Unix),
        };
        let incoming = incoming.map_err(|source| StartError::System { doing, source })?;
        tokio::task::spawn_local(net::accept_loop(server, incoming));
    }
    let mut signals = Signals::new().map_err(|source| StartError::System {
        doing: "listening for signals",
        source,
    })?;
    let config = server.config.current();
    server.supervisor.loading();
    // Clients that come now are told that the data is being loaded.
    server.gates.set(Gates::LOADING, true);
    tokio::select! {
        loaded = load(server) => loaded?,
        request = signals.stop_requested(server) => {
            tracing::info!(why = request.why, "stopped while loading");
            return Ok(());
        }
    }
    if let Some((host, port)) = &config.replicaof {
        crate::replication::become_replica(server, host, *port);
    }
    server.loading.ends();
    server.gates.set(Gates::LOADING, false);
    tokio::task::spawn_local(cron::run(server));
    tracing::info!(port = config.port, "ready to accept connections");
    server.supervisor.ready();
    loop {
        let request = signals.stop_requested(server).await;
        tracing::info!(why = request.why, "stopping");
        tokio::select! {
            may_end = stop::gracefully(server, request.flags) => {
                if may_end {
                    break;
                }
            }
            _ = signals.stop_requested(server) => {
                tracing::warn!("stopping at once");
                break;
            }
        }
    }
    if let Some(path) = &config.unixsocket {
        let _ = std::fs::remove_file(path);
    }
    server.supervisor.stopping();
    tracing::info!("bye");
    Ok(())
}

/// Loads the data on a thread of its own, so that clients are answered meanwhile.
async fn load(server: &'static Server) -> Result<(), StartError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("load".into())
        .spawn(move || {
            let _ = sender.send(load_files(server));
        })
        .map_err(|source| StartError::System {
            doing: "starting the loader",
            source,
        })?;
    match receiver.await {
        Ok(result) => result.map_err(StartError::Load),
        Err(_) => Err(StartError::Load("the loader has died".into())),
    }
}

/// The append-only file, or the snapshot where there is none.
fn load_files(server: &'static Server) -> Result<(), String> {
    let config = server.config.current();
    dump_file::remove_leftovers(&config.dir);
    if !config.appendonly {
        dump_file::load_at_start(server).map_err(|error| error.to_string())?;
    }
    server.aof.open(server).map_err(|error| error.to_string())
}

/// The process's number in a file, for as long as it runs.
struct PidFile(Option<PathBuf>);

impl PidFile {
    fn write(config: &Config) -> Result<PidFile, StartError> {
        // As Redis: a default file for a daemon, otherwise only one that is asked for.
        let path = match &config.pidfile {
            Some(path) => path.clone(),
            None if config.daemonize => PathBuf::from(DEFAULT_PID_FILE),
            None => return Ok(PidFile(None)),
        };
        match std::fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Ok(PidFile(Some(path))),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the pid file cannot be written");
                Ok(PidFile(None))
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What may ask the server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Never looked at: a terminal that is closed must not end the server.
    _hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until somebody wants the server to stop.
    async fn stop_requested(&mut self, server: &'static Server) -> StopRequest {
        let (why, flags) = tokio::select! {
            request = server.stopping.asked() => return request,
            _ = self.terminate.recv() => {
                ("SIGTERM received", server.config.current().shutdown_on_sigterm)
            }
            _ = self.interrupt.recv() => {
                ("SIGINT received", server.config.current().shutdown_on_sigint)
            }
        };
        server.stopping.note_signal();
        let why = why.to_owned();
        StopRequest { why, flags }
    }
}

const DEFAULT_PID_FILE: &str = "/var/run/lockstep.pid";

fn worker_count(config: &Config) -> usize {
    match config.workers {
        0 => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            // The other half is for replication's kernel work, fsync and the clients that
            // often share the machine.
            (cores / 2).clamp(1, 8)
        }
        n => n,
    }
}

/// Bytes of a worker's stack: replies and JSON of scripts nest up to a thousand deep. Only
/// what is used takes memory.
const WORKER_STACK: usize = 32 << 20;

/// The lower of the thresholds from which commands count as slow, of those that are set.
fn slow_from_us(config: &Config) -> Option<u64> {
    let slow_log = u64::try_from(config.slowlog_log_slower_than_us).ok();
    let monitor = Some(config.latency_monitor_threshold_ms).filter(|ms| *ms > 0);
    let monitor = monitor.map(|ms| ms.saturating_mul(1000));
    slow_log.into_iter().chain(monitor).min()
}

/// A threshold in bytes, of which -1 means that there is none.
fn bytes_from(threshold: i64) -> usize {
    usize::try_from(threshold).unwrap_or(usize::MAX)
}

/// The values of the configuration that the data path reads.
pub(super) fn live_values(config: &Config) -> LiveValues {
    LiveValues {
        settings: Settings {
            max_bulk: config.proto_max_bulk_len,
            hash_max_entries: config.hash_max_listpack_entries,
            hash_max_value: config.hash_max_listpack_value,
            list_max_listpack_size: config.list_max_listpack_size,
            set_max_intset_entries: config.set_max_intset_entries,
            set_max_listpack_entries: config.set_max_listpack_entries,
            set_max_listpack_value: config.set_max_listpack_value,
            zset_max_listpack_entries: config.zset_max_listpack_entries,
            zset_max_listpack_value: config.zset_max_listpack_value,
            stream_node_max_bytes: config.stream_node_max_bytes,
            stream_node_max_entries: config.stream_node_max_entries,
            hll_sparse_max_bytes: config.hll_sparse_max_bytes,
            notify: config.notify_keyspace_events,
            rdb: Target {
                version: config.rdb_write_version,
                compress: config.rdbcompression,
            },
            lfu: config.maxmemory_policy.is_lfu(),
            lfu_log_factor: config.lfu_log_factor,
            lfu_decay_minutes: config.lfu_decay_minutes,
            databases: config.databases,
            slow_from_us: slow_from_us(config),
            tracks_latency: config.latency_tracking,
            large_request_from: bytes_from(config.commandlog_request_larger_than),
            large_reply_from: bytes_from(config.commandlog_reply_larger_than),
        },
        sync_level: config.sync_ack,
        held_per_client: config.held_reply_limit,
        held_in_all: config.held_reply_total_limit,
        limits_memory: config.maxmemory > 0,
        query_buffer: config.client_query_buffer_limit,
        max_clients: config.maxclients,
        keepalive_seconds: config.tcp_keepalive_seconds,
        requires_password: config.requirepass.is_some(),
        protected: config.protected_mode && config.requirepass.is_none(),
        output_limits: config.client_output_buffer_limit,
    }
}

/// The rules of the in-sync set.
pub(super) fn rules(config: &Config) -> Rules {
    let timeout_ms = config.sync_timeout_ms;
    Rules {
        timeout_ms,
        policy: config.sync_on_timeout,
        min_in_sync: config.min_insync_replicas,
        level: config.sync_ack,
        local_fsync: config.appendonly && config.appendfsync == AppendFsync::Always,
        tick_ms: cron::sync_tick_ms(timeout_ms),
    }
}

impl Server {
    /// Sets the gates that follow from the role and the state of the link to the primary.
    pub fn refresh_role_gates(&self) {
        let config = self.config.current();
        let replica = self.replication.is_replica();
        let (state, _) = self.replication.upstream_state();
        let stale = state != crate::replication::UpstreamState::Connected;
        self.gates
            .set(Gates::READ_ONLY, replica && config.replica_read_only);
        self.gates.set(
            Gates::STALE,
            replica && stale && !config.replica_serve_stale_data,
        );
        super::logging::set_replica(replica);
    }
}

#[cfg(test)]
mod tests {
    use super::or_abort;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const CHILD: &str = "LOCKSTEP_TEST_PANICS";

    /// A worker that had panicked left a server that answered some of its clients.
    #[test]
    fn a_thread_that_panics_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            let _ = std::thread::spawn(|| or_abort(|| panic!("on purpose"))).join();
            return;
        }
        let mut child = Command::new(std::env::current_exe().expect("a path"));
        child.args([
            "--exact",
            "server::start::tests::a_thread_that_panics_ends_the_process",
        ]);
        let output = child.env(CHILD, "1").output().expect("a process");
        assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT));
        assert_eq!(or_abort(|| 5), 5);
    }
}
