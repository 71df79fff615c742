//! Listening sockets, and who gets the connections.

use super::stream::Stream;
use super::worker::WorkerHandle;
use crate::server::Server;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

/// Where connections come from.
pub enum Incoming {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Binds a TCP port.
///
/// # Errors
/// The operating system's.
pub fn bind_tcp(address: IpAddr, port: u16, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(SocketAddr::new(address, port)),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(address, port).into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Binds a Unix socket, replacing one left behind; `mode` are its permissions.
///
/// # Errors
/// The operating system's.
pub fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<std::os::unix::net::UnixListener> {
    let _ = std::fs::remove_file(path);
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Accepts connections for ever and hands each to the worker with the fewest.
pub async fn accept_loop(server: &'static Server, incoming: Incoming) {
    loop {
        let accepted = match &incoming {
            Incoming::Tcp(listener) => listener.accept().await.and_then(|(stream, peer)| {
                Ok((Accepted::Tcp(stream.into_std()?), Some(peer.ip())))
            }),
            Incoming::Unix(listener) => listener
                .accept()
                .await
                .and_then(|(stream, _)| Ok((Accepted::Unix(stream.into_std()?), None))),
        };
        match accepted {
            Ok((socket, peer)) => admit(server, socket, peer),
            Err(error) => {
                // Out of descriptors, most likely: trying again at once would only spin.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

fn admit(server: &'static Server, mut socket: Accepted, peer: Option<IpAddr>) {
    let seat = server.clients.seat(server.max_clients());
    if seat.is_some() {
        // As in Redis, who finds no place was never a client.
        server.stats.count_connection();
    }
    let refusal = if seat.is_none() {
        server.stats.count_rejected_connection();
        Some("-ERR max number of clients reached\r\n")
    } else if peer.is_some_and(|ip| !ip.to_canonical().is_loopback()) && server.is_protected() {
        server.stats.count_rejected_connection();
        Some(PROTECTED)
    } else {
        None
    };
    if let Some(text) = refusal {
        // Best effort: the socket's buffer is empty, so this does not block.
        let _ = match &mut socket {
            Accepted::Tcp(tcp) => io::Write::write(tcp, text.as_bytes()),
            Accepted::Unix(unix) => io::Write::write(unix, text.as_bytes()),
        };
        return;
    }
    if let Accepted::Tcp(tcp) = &socket {
        prepare(tcp, server.keepalive_seconds());
    }
    let worker: &Arc<WorkerHandle> = server.least_loaded_worker();
    // Counted here too, so that a burst is spread before the workers have taken it.
    worker.connections.fetch_add(1, Ordering::Relaxed);
    worker.run(Box::new(move |worker| {
        worker.handle.connections.fetch_sub(1, Ordering::Relaxed);
        let stream = match socket {
            Accepted::Tcp(tcp) => tokio::net::TcpStream::from_std(tcp).map(Stream::Tcp),
            Accepted::Unix(unix) => tokio::net::UnixStream::from_std(unix).map(Stream::Unix),
        };
        match stream {
            Ok(stream) => worker.adopt(stream, seat),
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
    }));
}

fn prepare(tcp: &std::net::TcpStream, keepalive_seconds: u64) {
    let socket = SockRef::from(tcp);
    let _ = socket.set_tcp_nodelay(true);
    if keepalive_seconds > 0 {
        // Redis's scheme: the first probe after the interval, then three at a third of it.
        let third = Duration::from_secs((keepalive_seconds / 3).max(1));
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive_seconds))
            .with_interval(third)
            .with_retries(3);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
}

const PROTECTED: &str = "-DENIED This server is in protected mode: no password is set for the \
default user, so only connections from the loopback interface are accepted. Set a password \
(requirepass), or, if every host that can reach this port is trusted, turn protected-mode off.\r\n";
