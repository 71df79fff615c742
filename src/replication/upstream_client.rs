//! The link to the primary as one of this server's clients: `CLIENT LIST` shows it and `CLIENT
//! KILL` ends it, after which the replica connects again.

use crate::commands::table;
use crate::keyspace::DbIndex;
use crate::net::{ClientInfo, ClientKind, LinkAddress};
use crate::server::Server;
use crate::time;
use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::net::TcpStream;

/// Listed until it is dropped.
pub(super) struct UpstreamClient {
    server: &'static Server,
    info: Arc<ClientInfo>,
}

impl UpstreamClient {
    /// Lists a link that follows the stream.
    pub fn new(server: &'static Server, stream: &TcpStream) -> Self {
        let text = |address: std::io::Result<std::net::SocketAddr>| {
            address.map_or_else(|_| "?:0".into(), |address| address.to_string())
        };
        let address = LinkAddress {
            peer: text(stream.peer_addr()),
            local: text(stream.local_addr()),
            fd: stream.as_raw_fd(),
            unix: false,
        };
        // Links to primaries live on the first worker.
        let info = Arc::new(ClientInfo::of_link(server.clients.next_id(), address, 0));
        info.kind
            .store(ClientKind::Primary as u32, Ordering::Relaxed);
        // As Redis calls what no user may do.
        "(superuser)".clone_into(&mut info.names.lock().user);
        server.clients.add(Arc::clone(&info));
        UpstreamClient { server, info }
    }

    /// Notes that bytes have come.
    pub fn heard(&self, bytes: usize) {
        let info = &self.info;
        info.active_ms.store(time::unix_ms(), Ordering::Relaxed);
        info.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that bytes were sent.
    pub fn said(&self, bytes: usize) {
        let sent = &self.info.bytes_out;
        sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes what was applied: so many commands, the last of which is called `last`.
    pub fn applied(&self, commands: u64, last: &[u8], db: DbIndex) {
        let info = &self.info;
        info.commands.fetch_add(commands, Ordering::Relaxed);
        info.db.store(db.0, Ordering::Relaxed);
        if let Some(command) = table::lookup(last) {
            let place = command.id as u32 + 1;
            info.last_command.store(place, Ordering::Relaxed);
        }
    }

    /// Resolves when the link is to end.
    pub async fn killed(&self) {
        poll_fn(|cx| {
            *self.info.waker.lock() = Some(cx.waker().clone());
            match self.info.killed.load(Ordering::SeqCst) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for UpstreamClient {
    fn drop(&mut self) {
        self.server.clients.remove(self.info.id);
    }
}
