//! What a connection says of itself and wants for itself: `CLIENT SETNAME` and the like.

use crate::commit::AckLevel;
use crate::execute::SessionContext;
use crate::net::{Client, ReplyMode};
use crate::number::parse_i64;
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
            reply.ok();
        }
        _ => return Err(errors::SYNTAX),
    }
    Ok(())
}

/// `CLIENT TRACKING`: there is no client-side caching yet, so that everything but turning it
/// off is refused; what Redis would refuse, with Redis's words.
pub(super) fn tracking(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let options = TrackingOptions::parse(context, args)?;
    if on_or_off(args, 2)? {
        options.check()?;
        return Err(NO_TRACKING);
    }
    reply.ok();
    Ok(())
}

#[derive(Default)]
struct TrackingOptions<'a> {
    prefixes: Vec<&'a [u8]>,
    bcast: bool,
    optin: bool,
    optout: bool,
}

impl<'a> TrackingOptions<'a> {
    fn parse(context: &SessionContext<'_>, args: Args<'a>) -> Result<Self, WireError> {
        let mut options = TrackingOptions::default();
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "redirect") && at + 1 < args.len() {
                at += 1;
                let id = parse_i64(args.at(at)).ok_or(errors::NOT_AN_INTEGER)?;
                let known = u64::try_from(id).ok();
                let known = known.and_then(|id| context.server.clients.get(id));
                known.ok_or(NO_SUCH_REDIRECT)?;
            } else if args.is(at, "prefix") && at + 1 < args.len() {
                at += 1;
                options.prefixes.push(args.at(at));
            } else if args.is(at, "bcast") {
                options.bcast = true;
            } else if args.is(at, "optin") {
                options.optin = true;
            } else if args.is(at, "optout") {
                options.optout = true;
            } else if !args.is(at, "noloop") {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    fn check(&self) -> Result<(), WireError> {
        if !self.prefixes.is_empty() && !self.bcast {
            return Err(WireError::fixed(
                "ERR PREFIX option requires BCAST mode to be enabled",
            ));
        }
        if self.bcast && (self.optin || self.optout) {
            return Err(WireError::fixed(
                "ERR OPTIN and OPTOUT are not compatible with BCAST",
            ));
        }
        if self.optin && self.optout {
            return Err(WireError::fixed(
                "ERR You can't specify both OPTIN mode and OPTOUT mode",
            ));
        }
        for (i, one) in self.prefixes.iter().enumerate() {
            let others = &self.prefixes[i + 1..];
            let overlaps = |other: &&&[u8]| other.starts_with(one) || one.starts_with(other);
            if let Some(other) = others.iter().find(overlaps) {
                return Err(WireError::new(format!(
                    "ERR Prefix '{}' overlaps with another provided prefix '{}'. Prefixes for a \
                     single client must not overlap.",
                    String::from_utf8_lossy(one),
                    String::from_utf8_lossy(other)
                )));
            }
        }
        Ok(())
    }
}

pub(super) fn trackinginfo(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.map(3);
    reply.bulk_str("flags");
    reply.set(1);
    reply.bulk_str("off");
    reply.bulk_str("redirect");
    reply.int(-1);
    reply.bulk_str("prefixes");
    reply.array(0);
    Ok(())
}

pub(super) fn caching(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    _reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    Err(WireError::fixed(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
         or OPTOUT mode enabled",
    ))
}

pub(super) fn getredir(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    // What Redis answers while tracking is off.
    reply.int(-1);
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

fn on_or_off(args: Args<'_>, i: usize) -> Result<bool, WireError> {
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
const NO_SUCH_REDIRECT: WireError =
    WireError::fixed("ERR The client ID you want redirect to does not exist");
const NO_TRACKING: WireError =
    WireError::fixed("ERR CLIENT TRACKING is not supported by this version of Lockstep");
const BAD_LEVEL: WireError =
    WireError::fixed("ERR CLIENT SYNC level must be async, received, applied, fsynced or default");

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Choose whether the next command's keys are tracked.",
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
    "TRACKING (ON|OFF) [...]",
    "    Notices about changed keys (not supported yet).",
    "TRACKINGINFO",
    "    Describe the tracking of this connection.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    End the waiting of a blocked client.",
    "UNPAUSE",
    "    End a pause.",
];
