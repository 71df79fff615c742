//! PLACEHOLDER until the append-only file room lands.

use crate::server::Server;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

pub struct Aof {
    fsynced: AtomicU64,
    events: watch::Sender<u64>,
}

impl Aof {
    pub fn new() -> Self {
        Aof {
            fsynced: AtomicU64::new(0),
            events: watch::channel(0).0,
        }
    }
    /// The offset up to which the file is fsynced.
    pub fn fsynced(&self) -> u64 {
        self.fsynced.load(Ordering::SeqCst)
    }
    /// Loads what is there and starts to write.
    pub fn open(&self, _server: &'static Server) -> Result<(), std::io::Error> {
        Ok(())
    }
    /// Writes and fsyncs the rest.
    pub fn close(&self) {}
    /// What went wrong last.
    pub fn last_error(&self) -> Option<String> {
        None
    }
    /// Changes whenever the fsynced offset does.
    pub fn fsync_events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }
    pub fn suspend(&self, _server: &'static Server) {}
    /// The data was replaced by a full copy: the files must be made anew.
    pub fn after_full_sync(&self, _server: &'static Server) {}
    /// The replication id changed: the file must say so from here on.
    pub fn identity_changed(&self, _server: &'static Server) {}
}
