//! PING, ECHO, SELECT, RESET, QUIT.

use crate::commands::arguments::db_index;
use crate::execute::{After, SessionContext};
use crate::keyspace::DbIndex;
use crate::net::ReplyMode;
use crate::protocol::{Args, Reply, WireError, errors};

pub(super) fn ping(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 2 {
        return Err(errors::wrong_arity("ping"));
    }
    if context.client.only_listens() {
        // It takes everything it reads for a message.
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(args.get(1).unwrap_or_default());
        return Ok(());
    }
    match args.get(1) {
        Some(message) => reply.bulk(message),
        None => reply.simple("PONG"),
    }
    Ok(())
}

pub(super) fn echo(
    _context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.bulk(args.at(1));
    Ok(())
}

pub(super) fn select(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    context.client.db = db_index(args.at(1), context.server.keyspace.databases())?;
    reply.ok();
    Ok(())
}

pub(super) fn quit(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    context.after = After::Close;
    reply.ok();
    Ok(())
}

/// Puts everything that a client can change about its connection back.
pub(super) fn reset(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (server, client) = (context.server, &mut *context.client);
    client.end_transaction(server);
    client.stop_listening(server);
    // Nothing of what it listened to follows the reply.
    client.info.mailbox.take();
    client.db = DbIndex(0);
    client.resp3 = false;
    client.authenticated = !server.requires_password();
    client.reply_mode = ReplyMode::On;
    client.sync_level = None;
    super::client::set_no_evict(client, false);
    client.reads_here = false;
    super::client::set_no_touch(client, false);
    let mut names = client.info.names.lock();
    names.name.clear();
    names.user = super::auth::DEFAULT_USER.to_owned();
    drop(names);
    reply.set_resp3(false);
    reply.simple("RESET");
    Ok(())
}
