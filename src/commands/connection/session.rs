//! PING, ECHO, SELECT, RESET, QUIT.

use crate::execute::{After, SessionContext};
use crate::keyspace::DbIndex;
use crate::net::ReplyMode;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};

pub(super) fn ping(
    _context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 2 {
        return Err(errors::wrong_arity("ping"));
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
    let index = parse_i64(args.at(1)).ok_or(errors::NOT_AN_INTEGER)?;
    if i32::try_from(index).is_err() {
        return Err(WireError::fixed(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    let index = u32::try_from(index)
        .ok()
        .filter(|index| *index < context.server.keyspace.databases())
        .ok_or(errors::DB_OUT_OF_RANGE)?;
    context.client.db = DbIndex(index);
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
    client.db = DbIndex(0);
    client.resp3 = false;
    client.authenticated = !server.requires_password();
    client.reply_mode = ReplyMode::On;
    client.sync_level = None;
    super::client::set_no_evict(client, false);
    super::client::set_no_touch(client, false);
    let mut names = client.info.names.lock();
    names.name.clear();
    names.user = super::auth::DEFAULT_USER.to_owned();
    drop(names);
    reply.set_resp3(false);
    reply.simple("RESET");
    Ok(())
}
