//! How many bytes of replies wait for commitment, over all connections.

use crate::server::Server;
use std::sync::atomic::Ordering;

/// A connection's part in the server's count of held bytes. The count is kept in whole
/// units, so that the usual small replies never touch it.
pub struct HeldShare {
    server: &'static Server,
    counted: usize,
}

impl HeldShare {
    /// Of a connection that holds nothing.
    pub fn new(server: &'static Server) -> Self {
        HeldShare { server, counted: 0 }
    }

    /// Says how many bytes it holds now.
    #[inline]
    pub fn set(&mut self, bytes: usize) {
        let bytes = bytes - bytes % HELD_UNIT;
        if bytes != self.counted {
            let total = &self.server.held_bytes;
            total.fetch_add(bytes.wrapping_sub(self.counted), Ordering::Relaxed);
            self.counted = bytes;
        }
    }
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// The unit in which held bytes are counted for `held-reply-total-limit`.
const HELD_UNIT: usize = 4096;
