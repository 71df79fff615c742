//! PLACEHOLDER until the snapshot room lands.

use crate::server::Server;
use crate::write_log::ConsumerId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::mpsc;

pub type LogCursor = (ConsumerId, Arc<Mutex<Option<Waker>>>);

pub struct Copy {
    pub offset: u64,
    pub chunks: mpsc::Receiver<Result<Bytes, String>>,
    pub cursor: LogCursor,
}

pub async fn begin(server: &'static Server, _purpose: &str) -> Copy {
    let locked = crate::keyspace::Locked::everything(&server.keyspace);
    server.log.start_recording();
    let offset = server.log.end();
    let cursor = crate::replication::consumer(server, offset);
    let (tx, chunks) = mpsc::channel(4);
    let n: usize = locked.shards().map(|(_, s)| s.len()).sum();
    if n > 0 {
        let _ = tx.try_send(Err("snapshots are not here yet".into()));
    }
    Copy {
        offset,
        chunks,
        cursor,
    }
}
