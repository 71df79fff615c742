//! The configured values that the data path reads, each cheap to read from any thread.

use crate::commit::AckLevel;
pub use crate::config::OutputLimit;
use crate::execute::Settings;
use crate::net::ClientKind;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// Values published when the configuration changes.
#[derive(Default)]
pub struct Live {
    settings: RwLock<Settings>,
    version: AtomicU64,
    sync_level: AtomicU8,
    held_per_client: AtomicUsize,
    query_buffer: AtomicUsize,
    held_in_all: AtomicUsize,
    limits_memory: AtomicBool,
    max_clients: AtomicUsize,
    keepalive_seconds: AtomicU64,
    requires_password: AtomicBool,
    protected: AtomicBool,
    output_limits: RwLock<[OutputLimit; 3]>,
}

/// What is published; made from the configuration.
#[derive(Clone, Debug)]
pub struct LiveValues {
    /// What handlers see.
    pub settings: Settings,
    /// `sync-ack`.
    pub sync_level: AckLevel,
    /// Held bytes at which a client's socket is no longer read.
    pub held_per_client: usize,
    /// `held-reply-total-limit` in bytes.
    pub held_in_all: usize,
    /// Whether `maxmemory` is set.
    pub limits_memory: bool,
    /// `client-query-buffer-limit` in bytes.
    pub query_buffer: usize,
    /// `maxclients`.
    pub max_clients: usize,
    /// `tcp-keepalive` in seconds.
    pub keepalive_seconds: u64,
    /// Whether the default user has a password.
    pub requires_password: bool,
    /// Whether only loopback connections are admitted.
    pub protected: bool,
    /// `client-output-buffer-limit` of normal clients, replicas and subscribers.
    pub output_limits: [OutputLimit; 3],
}

impl Live {
    /// Publishes new values.
    pub fn publish(&self, values: LiveValues) {
        *self.settings.write() = values.settings;
        *self.output_limits.write() = values.output_limits;
        self.sync_level
            .store(values.sync_level as u8, Ordering::Relaxed);
        self.held_per_client
            .store(values.held_per_client, Ordering::Relaxed);
        self.held_in_all
            .store(values.held_in_all, Ordering::Relaxed);
        self.limits_memory
            .store(values.limits_memory, Ordering::Relaxed);
        self.query_buffer
            .store(values.query_buffer, Ordering::Relaxed);
        self.max_clients
            .store(values.max_clients, Ordering::Relaxed);
        self.keepalive_seconds
            .store(values.keepalive_seconds, Ordering::Relaxed);
        self.requires_password
            .store(values.requires_password, Ordering::Relaxed);
        self.protected.store(values.protected, Ordering::Relaxed);
        self.touch();
    }

    /// Changes the settings in place and makes the workers read them anew.
    pub fn update_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.write());
        self.touch();
    }

    fn touch(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A copy of the settings.
    pub fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    /// Changes whenever the settings do.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// `sync-ack`.
    #[inline]
    pub fn sync_level(&self) -> AckLevel {
        match self.sync_level.load(Ordering::Relaxed) {
            0 => AckLevel::Async,
            1 => AckLevel::Received,
            2 => AckLevel::Applied,
            _ => AckLevel::Fsynced,
        }
    }

    /// Held bytes at which a client's socket is no longer read.
    pub fn held_per_client(&self) -> usize {
        self.held_per_client.load(Ordering::Relaxed)
    }

    /// Held bytes of all clients at which sockets are no longer read.
    pub fn held_in_all(&self) -> usize {
        self.held_in_all.load(Ordering::Relaxed)
    }

    /// Whether `maxmemory` is set.
    #[inline]
    pub fn limits_memory(&self) -> bool {
        self.limits_memory.load(Ordering::Relaxed)
    }

    /// `client-query-buffer-limit` in bytes.
    pub fn query_buffer(&self) -> usize {
        self.query_buffer.load(Ordering::Relaxed)
    }

    /// `maxclients`.
    pub fn max_clients(&self) -> usize {
        self.max_clients.load(Ordering::Relaxed)
    }

    /// `tcp-keepalive` in seconds.
    pub fn keepalive_seconds(&self) -> u64 {
        self.keepalive_seconds.load(Ordering::Relaxed)
    }

    /// Whether the default user has a password.
    pub fn requires_password(&self) -> bool {
        self.requires_password.load(Ordering::Relaxed)
    }

    /// Whether only loopback connections are admitted.
    pub fn protected(&self) -> bool {
        self.protected.load(Ordering::Relaxed)
    }

    /// The output bounds of a class of clients.
    pub fn output_limit(&self, kind: ClientKind) -> OutputLimit {
        let limits = self.output_limits.read();
        match kind {
            ClientKind::Replica => limits[1],
            ClientKind::PubSub => limits[2],
            ClientKind::Normal | ClientKind::Primary => limits[0],
        }
    }
}
