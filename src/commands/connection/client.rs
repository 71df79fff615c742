//! What a connection says of itself and wants for itself: `CLIENT SETNAME` and the like.

use crate::commit::AckLevel;
use crate::execute::SessionContext;
use crate::net::{Client, ReplyMode};
use crate::protocol::{Args, Reply, WireError, errors};
use std::sync::atomic::Ordering;

pub(super) fn id(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(context.client.id as i64);
    Ok(())
}

pub(super) fn getname(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let names = context.client.info.names.lock();
    if names.name.is_empty() {
        reply.null();
    } else {
        reply.bulk(&names.name);
    }
    Ok(())
}

pub(super) fn setname(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if !valid_label(args.at(2)) {
        return Err(BAD_NAME);
    }
    set_name(context.client, args.at(2));
    reply.ok();
    Ok(())
}

pub(super) fn setinfo(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let mut names = context.client.info.names.lock();
    let field = if args.is(2, "lib-name") {
        &mut names.lib_name
    } else if args.is(2, "lib-ver") {
        &mut names.lib_ver
    } else {
        return Err(WireError::quoting(
            "ERR Unrecognized option '",
            args.at(2),
            "'",
        ));
    };
    let value = args.at(3);
    if !valid_label(value) {
        return Err(WireError::quoting(
            "ERR ",
            args.at(2),
            " cannot contain spaces, newlines or special characters.",
        ));
    }
    *field = value.to_vec();
    reply.ok();
    Ok(())
}

pub(super) fn reply(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let mode = &mut context.client.reply_mode;
    if args.is(2, "on") {
        *mode = ReplyMode::On;
        reply.ok();
    } else if args.is(2, "off") {
        *mode = ReplyMode::Off;
    } else if args.is(2, "skip") {
        if *mode != ReplyMode::Off {
            *mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(errors::SYNTAX);
    }
    Ok(())
}

pub(super) fn no_evict(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    set_no_evict(context.client, on_or_off(args, 2)?);
    reply.ok();
    Ok(())
}

/// `CLIENT CAPA`, Valkey's: what is not known is passed over, so that clients can say what
/// later servers understand.
pub(super) fn capa(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if (2..args.len()).any(|at| args.is(at, "redirect")) {
        context.client.redirects = true;
        context.client.info.redirects.store(true, Ordering::Relaxed);
    }
    reply.ok();
    Ok(())
}

/// `CLIENT IMPORT-SOURCE`, Valkey's: it means something in import mode only, which there is
/// not here. Nobody is a source, so that `OFF` says what is the case.
pub(super) fn import_source(
    _context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.is(2, "off") {
        reply.ok();
        return Ok(());
    }
    Err(WireError::fixed("ERR Server is not in import mode"))
}

pub(super) fn no_touch(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    set_no_touch(context.client, on_or_off(args, 2)?);
    reply.ok();
    Ok(())
}

/// `CLIENT SYNC [level]`: what the replies of this connection wait for.
pub(super) fn sync(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match args.len() {
        2 => {
            let own = context.client.sync_level;
            let level = own.unwrap_or(context.server.sync_level());
            reply.bulk_str(level.name());
        }
        3 if args.is(2, "default") => {
            context.client.sync_level = None;
            reply.ok();
        }
        3 => {
            let level = AckLevel::parse(args.at(2)).ok_or(BAD_LEVEL)?;
            context.client.sync_level = Some(level);
            let standing = &context.server.replication.standing;
            standing.note_clients_level(level);
            reply.ok();
        }
        _ => return Err(errors::SYNTAX),
    }
    Ok(())
}

pub(super) fn help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help("CLIENT", HELP);
    Ok(())
}

/// Gives the connection a name that has been checked; an empty one takes it away.
pub(super) fn set_name(client: &mut Client, name: &[u8]) {
    client.info.names.lock().name = name.to_vec();
}

pub(super) fn set_no_evict(client: &mut Client, on: bool) {
    client.info.no_evict.store(on, Ordering::Relaxed);
}

pub(super) fn set_no_touch(client: &mut Client, on: bool) {
    client.no_touch = on;
    client.info.no_touch.store(on, Ordering::Relaxed);
}

/// Whether a name fits on a line of `CLIENT LIST`: printable ASCII without blanks.
pub(super) fn valid_label(label: &[u8]) -> bool {
    label.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

pub(super) fn on_or_off(args: Args<'_>, i: usize) -> Result<bool, WireError> {
    if args.is(i, "on") {
        Ok(true)
    } else if args.is(i, "off") {
        Ok(false)
    } else {
        Err(errors::SYNTAX)
    }
}

pub(super) const BAD_NAME: WireError =
    WireError::fixed("ERR Client names cannot contain spaces, newlines or special characters.");
const BAD_LEVEL: WireError =
    WireError::fixed("ERR CLIENT SYNC level must be async, received, applied, fsynced or default");

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Choose whether the next command's keys are tracked.",
    "CAPA <capability> [<capability> ...]",
    "    Say what this client handles: REDIRECT, being sent from a replica to its primary.",
    "GETNAME",
    "    Show the name of this connection.",
    "GETREDIR",
    "    Show the client that receives this one's tracking notices.",
    "ID",
    "    Show the number of this connection.",
    "INFO",
    "    Describe this connection.",
    "KILL <ip:port>",
    "    Close the connection from this address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close the connections that match all of: ADDR <ip:port>, LADDR <ip:port>,",
    "    TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <name>, ID <client-id>,",
    "    MAXAGE <seconds>. SKIPME (YES|NO) spares this connection or not (yes).",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [...]]",
    "    Describe the open connections.",
    "NO-EVICT (ON|OFF)",
    "    Protect this connection from being closed to save memory.",
    "NO-TOUCH (ON|OFF)",
    "    Keep this connection's commands from marking keys as used.",
    "PAUSE <milliseconds> [WRITE|ALL]",
    "    Make all clients wait, or those that write.",
    "REPLY (ON|OFF|SKIP)",
    "    Choose whether this connection gets replies.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Record the client library's name or version.",
    "SETNAME <name>",
    "    Name this connection.",
    "SYNC [ASYNC|RECEIVED|APPLIED|FSYNCED|DEFAULT]",
    "    Show or choose what replicas must have done before this connection's writes are",
    "    answered.",
    "TRACKING (ON|OFF) [REDIRECT <client-id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN]",
    "         [OPTOUT] [NOLOOP]",
    "    Ask for notices about changed keys, or end them.",
    "TRACKINGINFO",
    "    Describe the tracking of this connection.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    End the waiting of a blocked client.",
    "UNPAUSE",
    "    End a pause.",
];
