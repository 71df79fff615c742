//! Many new strings at once, for tests that need a full server (`DEBUG POPULATE`).

use super::context::{Expiry, Origin};
use super::dispatch::Gates;
use super::run::{Frame, commit, may_expire, write_context};
use super::session::SessionContext;
use crate::hash::hash;
use crate::keyspace::{Locked, shard_of};
use crate::protocol::{WireError, errors};

/// Sets the keys that are not there yet, each as a write of its own, in the client's
/// database.
///
/// # Errors
/// When this node may not write.
pub fn add_strings(
    context: &mut SessionContext<'_>,
    pairs: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<(), WireError> {
    let (server, db) = (context.server, context.client.db);
    for (key, value) in pairs {
        let mut locked = Locked::one(&server.keyspace, db, shard_of(hash(&key)));
        // A change of role sets its gate first and then takes every lock.
        if server.gates.has(Gates::READ_ONLY | Gates::REPLICA) {
            return Err(errors::READ_ONLY);
        }
        let frame = Frame {
            server,
            settings: context.settings,
            db,
            now: context.now,
            origin: Origin::Client,
            touches: true,
            may_block: false,
            may_expire: may_expire(server),
        };
        context.scratch.hashes.clear();
        let mut write = write_context(&frame, &mut locked, context.scratch);
        if write.find(&key).is_none() {
            write.set_string(&key, &value, Expiry::Clear);
            write.effect(3).arg(b"SET").arg(&key).arg(&value);
        }
        context.scratch.hashes.clear();
        let offset = commit(&frame, &mut locked, context.scratch);
        context.done.offset = context.done.offset.max(offset);
        context.done.wrote |= offset > 0;
    }
    Ok(())
}
