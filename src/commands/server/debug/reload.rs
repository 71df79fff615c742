//! `DEBUG RELOAD`: everything through an RDB file and back, in one go.

use crate::dump_file::{self, Expired, Rules};
use crate::execute::SessionContext;
use crate::keyspace::shard_of;
use crate::protocol::{Args, Reply, WireError};

/// `DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]`
///
/// Nobody but replicas can tell that the data was away: everything is locked meanwhile.
pub(super) fn reload(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (mut merge, mut flush, mut save) = (false, true, true);
    for at in 2..args.len() {
        if args.is(at, "merge") {
            merge = true;
        } else if args.is(at, "noflush") {
            flush = false;
        } else if args.is(at, "nosave") {
            save = false;
        } else {
            return Err(UNKNOWN_OPTION);
        }
    }
    let (server, now) = (context.server, context.now);
    context.with_everything_mut(|locked| {
        if save {
            dump_file::save_locked(server, locked).map_err(failed)?;
        }
        if flush {
            for (_, shard) in locked.shards_mut() {
                server.free_later(Box::new(shard.flush()));
            }
        }
        let rules = Rules {
            settings: &server.settings(),
            databases: server.keyspace.databases(),
            now,
            expired: Expired::LeftOut,
        };
        dump_file::load_locked(server, &rules, |db, entry, _| {
            let hash = crate::hash::hash(entry.view().key());
            let shard = locked.shard_mut(db, shard_of(hash));
            if let Some(slot) = shard.find(hash, entry.view().key()) {
                if !merge {
                    return false;
                }
                drop(shard.remove(slot));
            }
            shard.insert_entry(hash, entry, now);
            true
        })
        .map_err(failed)
    })?;
    reply.ok();
    Ok(())
}

/// `DEBUG LOADAOF`
pub(super) fn load_aof(
    context: &mut SessionContext<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if context.in_transaction() {
        return Err(WireError::fixed(
            "ERR DEBUG LOADAOF: not inside a transaction",
        ));
    }
    let server = context.server;
    let loaded = server.aof.reload(server);
    loaded.map_err(|why| WireError::new(format!("ERR DEBUG LOADAOF: {why}")))?;
    reply.ok();
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> WireError {
    WireError::new(format!("ERR DEBUG RELOAD: {error}"))
}

const UNKNOWN_OPTION: WireError =
    WireError::fixed("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
