//! Taking one key away because memory is full: a write like any other.

use super::context::{Origin, Settings};
use super::events::KeyEvent;
use super::run::{Frame, Scratch, commit, may_evict, serve_and_unlock};
use crate::config::NotifyClass;
use crate::keyspace::{DbIndex, Locked, shard_of};
use crate::server::Server;
use crate::time;

/// Deletes a key to make room; the deletion is an effect. Gives the bytes that it occupied:
/// 0 when it was gone already, `None` when this node may not write now.
pub fn evict(
    server: &'static Server,
    settings: &Settings,
    db: DbIndex,
    key: &[u8],
    scratch: &mut Scratch,
) -> Option<usize> {
    let hash = crate::hash::hash(key);
    let index = shard_of(hash);
    let mut locked = Locked::one(&server.keyspace, db, index);
    if !may_evict(server) {
        return None;
    }
    let shard = locked.shard_mut(db, index);
    let Some(slot) = shard.find(hash, key) else {
        return Some(0);
    };
    let freed = shard.entry(slot).mem_bytes();
    let entry = shard.remove(slot);
    let frame = Frame {
        server,
        settings,
        db,
        now: time::unix_ms(),
        origin: Origin::Client,
        touches: false,
        may_expire: true,
        may_block: false,
    };
    scratch.effects.command(db, 2).arg(b"DEL").arg(key);
    if settings.notify.contains(NotifyClass::EVICTED) {
        let events = scratch.events.get_mut();
        events.push(KeyEvent::new(db, "evicted", key));
    }
    commit(&frame, &mut locked, scratch);
    serve_and_unlock(&frame, locked, scratch);
    scratch.send_mail(server);
    server.stats.count_evicted();
    if freed > FREED_HERE {
        server.free_later(Box::new(entry));
    }
    Some(freed)
}

/// Values up to this size in bytes are freed by whoever evicts them: sending them elsewhere
/// costs more, and the room would be there later.
const FREED_HERE: usize = 64 * 1024;
