//! Start and stop.

use super::cron;
use super::live::{LiveValues, OutputLimit};
use super::state::Server;
use crate::commit::{AckLevel, Policy, Rules};
use crate::config::{Config, ConfigHandle};
use crate::execute::{Gates, Settings};
use crate::net::{self, Incoming, WorkerHandle};
use std::io;
use std::path::Path;
use tokio::net::{TcpListener, UnixListener};

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
    let current = server.config.current();
    let sockets = listen(&current)?;
    let (handles, queues): (Vec<_>, Vec<_>) = (0..worker_count(&current))
        .map(|_| WorkerHandle::new())
        .unzip();
    server.set_workers(handles.clone());
    for (index, (handle, queue)) in handles.into_iter().zip(queues).enumerate() {
        std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                if let Err(error) = net::run_worker(server, index, handle, queue) {
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

enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

fn listen(config: &Config) -> Result<Vec<Socket>, StartError> {
    let mut sockets = Vec::new();
    if config.port != 0 {
        for address in &config.bind {
            let ip = address.parse().map_err(|_| StartError::Listen {
                address: address.clone(),
                source: io::Error::new(io::ErrorKind::InvalidInput, "not an address"),
            })?;
            let socket = net::bind_tcp(ip, config.port, 511);
            sockets.push(Socket::Tcp(socket.map_err(|source| {
                StartError::Listen {
                    address: format!("{address}:{}", config.port),
                    source,
                }
            })?));
        }
    }
    if let Some(path) = &config.unixsocket {
        let socket = net::bind_unix(Path::new(path), None);
        sockets.push(Socket::Unix(socket.map_err(|source| {
            StartError::Listen {
                address: path.clone(),
                source,
            }
        })?));
    }
    Ok(sockets)
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
    let config = server.config.current();
    if let Some((host, port)) = &config.replicaof {
        crate::replication::become_replica(server, host, *port);
    }
    tokio::task::spawn_local(cron::run(server));
    tracing::info!(port = config.port, "ready to accept connections");
    let mut stopping = server.stopping.subscribe();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|source| StartError::System { doing, source })?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
        .map_err(|source| StartError::System { doing, source })?;
    tokio::select! {
        _ = stopping.wait_for(Option::is_some) => {}
        _ = terminate.recv() => tracing::info!("SIGTERM received"),
        _ = interrupt.recv() => tracing::info!("SIGINT received"),
    }
    tracing::info!("bye");
    Ok(())
}

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

/// The values of the configuration that the data path reads.
pub(super) fn live_values(config: &Config) -> LiveValues {
    LiveValues {
        settings: Settings {
            databases: config.databases,
            ..Settings::default()
        },
        sync_level: AckLevel::parse(config.sync_ack.as_bytes()).unwrap_or_default(),
        held_per_client: 64 << 20,
        query_buffer: 1 << 30,
        max_clients: config.maxclients,
        keepalive_seconds: 300,
        requires_password: config.requirepass.is_some(),
        protected: false,
        output_limits: [
            OutputLimit::default(),
            OutputLimit {
                hard: 256 << 20,
                soft: 64 << 20,
                soft_seconds: 60,
            },
            OutputLimit {
                hard: 32 << 20,
                soft: 8 << 20,
                soft_seconds: 60,
            },
        ],
    }
}

/// The rules of the in-sync set.
pub(super) fn rules(config: &Config) -> Rules {
    let timeout_ms = config.sync_timeout_ms;
    Rules {
        timeout_ms,
        policy: match config.sync_on_timeout.as_str() {
            "fail" => Policy::Fail,
            "wait" => Policy::Wait,
            _ => Policy::Demote,
        },
        min_in_sync: config.min_insync_replicas,
        level: AckLevel::parse(config.sync_ack.as_bytes()).unwrap_or_default(),
        local_fsync: config.appendonly && config.appendfsync == "always",
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
        self.live.update_settings(|s| s.expires = !replica);
    }
}
