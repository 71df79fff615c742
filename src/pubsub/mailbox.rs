//! What waits for a connection, and who has to be woken for it.

use crate::net::ClientInfo;
use crate::server::Server;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that a connection gets without having asked for it just now.
#[derive(Clone, Debug)]
pub enum Mail {
    /// A message: everything behind the first byte, which differs between the protocols.
    Message {
        /// The encoding from the second byte on.
        body: Bytes,
        /// The write that the message tells of.
        stamp: Option<Stamp>,
    },
    /// Bytes that go as they are (`MONITOR`).
    Raw(Bytes),
    /// Keys that a client must not serve from its cache any more.
    Invalid {
        /// The keys as an encoded array; `None` for all keys.
        keys: Option<Bytes>,
        /// Whether another client asked for them to be sent here.
        redirected: bool,
    },
    /// The client with this number, to which such notices should go, is gone.
    RedirectionBroken(u64),
}

/// The write that a message tells of: it must not be seen before that is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The term in which it was written.
    pub term: u64,
    /// Its offset.
    pub offset: u64,
}

impl Mail {
    fn len(&self) -> usize {
        match self {
            Mail::Message { body, .. } => body.len(),
            Mail::Raw(bytes) => bytes.len(),
            Mail::Invalid { keys, .. } => keys.as_ref().map_or(0, Bytes::len),
            Mail::RedirectionBroken(_) => 0,
        }
    }
}

/// A connection's mail, in the order in which it came.
#[derive(Default)]
pub struct Mailbox {
    has_mail: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    mail: Vec<Mail>,
    /// Of all mail.
    bytes: usize,
    /// Nobody takes mail from here any more.
    closed: bool,
}

impl Mailbox {
    /// Whether something waits.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Acquire)
    }

    /// Takes everything out.
    pub fn take(&self) -> Vec<Mail> {
        let mut inner = self.inner.lock();
        self.has_mail.store(false, Ordering::Release);
        inner.bytes = 0;
        std::mem::take(&mut inner.mail)
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// Refuses all mail from now on, and forgets what is there.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.bytes = 0;
        inner.mail = Vec::new();
        self.has_mail.store(false, Ordering::Release);
    }

    /// Puts something in; whether it is the first, and how many bytes wait now.
    fn put(&self, mail: Mail) -> Option<(bool, usize)> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return None;
        }
        inner.bytes += mail.len() + size_of::<Mail>();
        inner.mail.push(mail);
        self.has_mail.store(true, Ordering::Release);
        Some((inner.mail.len() == 1, inner.bytes))
    }
}

/// Connections that have to be woken for their mail when a batch is done.
#[derive(Default)]
pub struct Outbox {
    to_wake: Vec<Arc<ClientInfo>>,
}

impl Outbox {
    /// Puts mail into a client's box. A client that does not read fast enough is ended.
    pub fn post(&mut self, server: &Server, client: &Arc<ClientInfo>, mail: Mail) {
        let Some((is_first, bytes)) = client.mailbox.put(mail) else {
            return;
        };
        if bytes > UNBOUNDED {
            let limit = server.output_limit(client.kind()).hard;
            let pending = bytes + client.output_bytes.load(Ordering::Relaxed);
            if limit > 0 && pending > limit {
                tracing::warn!(
                    client = client.id,
                    pending,
                    "closing a client that does not read what it subscribed to"
                );
                server
                    .stats
                    .output_limit_disconnections
                    .fetch_add(1, Ordering::Relaxed);
                client.mailbox.close();
                client.kill();
                return;
            }
        }
        if is_first {
            self.to_wake.push(Arc::clone(client));
        }
    }

    /// Takes over whom another box has to wake.
    pub fn append(&mut self, other: &mut Outbox) {
        self.to_wake.append(&mut other.to_wake);
    }

    /// Wakes everybody who has got mail: each worker once. No shard should be locked.
    #[inline]
    pub fn flush(&mut self, server: &Server) {
        if !self.to_wake.is_empty() {
            self.flush_all(server);
        }
    }

    #[cold]
    fn flush_all(&mut self, server: &Server) {
        self.to_wake.sort_by_key(|client| client.worker);
        let workers = server.workers();
        while let Some(last) = self.to_wake.last() {
            let worker = last.worker;
            let first = self.to_wake.partition_point(|c| c.worker < worker);
            let clients = self.to_wake.drain(first..);
            match workers.get(worker) {
                Some(handle) => handle.wake_for_mail(clients),
                None => clients.for_each(|client| client.wake()),
            }
        }
    }
}

/// Bytes in a mailbox below which its bound is not looked at.
const UNBOUNDED: usize = 1024;
