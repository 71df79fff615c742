//! `CLIENT TRACKING` and its relatives: notices for clients that cache keys.

use super::client::on_or_off;
use crate::execute::SessionContext;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::pubsub::TrackingFlags;
use std::sync::atomic::Ordering;

pub(super) fn tracking(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let options = Options::parse(context, args)?;
    let server = context.server;
    if on_or_off(args, 2)? {
        options.check(context)?;
        let Options {
            flags,
            redirect,
            prefixes,
        } = options;
        server.start_tracking(context.client, flags, redirect, &prefixes);
    } else {
        server.stop_tracking(context.client);
    }
    reply.ok();
    Ok(())
}

#[derive(Default)]
struct Options<'a> {
    flags: TrackingFlags,
    redirect: u64,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(context: &SessionContext<'_>, args: Args<'a>) -> Result<Self, WireError> {
        let mut options = Options::default();
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "redirect") && at + 1 < args.len() {
                at += 1;
                if options.redirect != 0 {
                    return Err(ONE_REDIRECT);
                }
                let id = parse_i64(args.at(at)).ok_or(errors::NOT_AN_INTEGER)?;
                let known = u64::try_from(id).ok();
                let known = known.and_then(|id| context.server.clients.get(id));
                options.redirect = known.ok_or(NO_SUCH_REDIRECT)?.id;
            } else if args.is(at, "prefix") && at + 1 < args.len() {
                at += 1;
                options.prefixes.push(args.at(at));
            } else if args.is(at, "bcast") {
                options.flags |= TrackingFlags::BCAST;
            } else if args.is(at, "optin") {
                options.flags |= TrackingFlags::OPTIN;
            } else if args.is(at, "optout") {
                options.flags |= TrackingFlags::OPTOUT;
            } else if args.is(at, "noloop") {
                options.flags |= TrackingFlags::NOLOOP;
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    /// Whether the options go together, and with how the client tracks already.
    fn check(&self, context: &SessionContext<'_>) -> Result<(), WireError> {
        let (optin, optout) = (TrackingFlags::OPTIN, TrackingFlags::OPTOUT);
        let bcast = self.flags.contains(TrackingFlags::BCAST);
        let either = self.flags & (optin | optout);
        if !self.prefixes.is_empty() && !bcast {
            return Err(WireError::fixed(
                "ERR PREFIX option requires BCAST mode to be enabled",
            ));
        }
        let old = TrackingFlags::of(&context.client.info);
        let is_on = old.contains(TrackingFlags::ON);
        if is_on && old.contains(TrackingFlags::BCAST) != bcast {
            return Err(WireError::fixed(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this \
                 client, and then re-enabling it with a different mode.",
            ));
        }
        if bcast && !either.is_empty() {
            return Err(WireError::fixed(
                "ERR OPTIN and OPTOUT are not compatible with BCAST",
            ));
        }
        if either == optin | optout {
            return Err(WireError::fixed(
                "ERR You can't specify both OPTIN mode and OPTOUT mode",
            ));
        }
        if either.contains(optin) && old.contains(optout)
            || either.contains(optout) && old.contains(optin)
        {
            return Err(WireError::fixed(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this \
                 client, and then re-enabling it with a different mode.",
            ));
        }
        self.check_prefixes(context)
    }

    /// A client must not hear of one key twice.
    fn check_prefixes(&self, context: &SessionContext<'_>) -> Result<(), WireError> {
        let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        let tracking = context.client.tracking.as_ref();
        let existing = tracking.map_or(&[][..], |tracking| &tracking.prefixes);
        for (i, one) in self.prefixes.iter().enumerate() {
            if let Some(other) = existing.iter().find(|other| overlap(one, other)) {
                return Err(overlapping(one, "an existing prefix", other));
            }
            let others = &self.prefixes[i + 1..];
            if let Some(other) = others.iter().find(|other| overlap(one, other)) {
                return Err(overlapping(one, "another provided prefix", other));
            }
        }
        Ok(())
    }
}

fn overlapping(one: &[u8], which: &str, other: &[u8]) -> WireError {
    WireError::from_bytes(
        [
            b"ERR Prefix '",
            one,
            b"' overlaps with ",
            which.as_bytes(),
            b" '",
            other,
            b"'. Prefixes for a single client must not overlap.",
        ]
        .concat(),
    )
}

pub(super) fn trackinginfo(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let flags = TrackingFlags::of(&context.client.info);
    let caching = context.client.tracking.as_ref().is_some_and(|t| t.caching);
    let on = flags.contains(TrackingFlags::ON);
    let optin = flags.contains(TrackingFlags::OPTIN);
    let optout = flags.contains(TrackingFlags::OPTOUT);
    let words = [
        (on, "on"),
        (!on, "off"),
        (flags.contains(TrackingFlags::BCAST), "bcast"),
        (optin, "optin"),
        (optin && caching, "caching-yes"),
        (optout, "optout"),
        (optout && caching, "caching-no"),
        (flags.contains(TrackingFlags::NOLOOP), "noloop"),
        (
            flags.contains(TrackingFlags::BROKEN_REDIRECT),
            "broken_redirect",
        ),
    ];
    reply.map(3);
    reply.bulk_str("flags");
    reply.set(words.iter().filter(|(set, _)| *set).count());
    for (_, word) in words.iter().filter(|(set, _)| *set) {
        reply.bulk_str(word);
    }
    reply.bulk_str("redirect");
    reply.int(redirect(context));
    reply.bulk_str("prefixes");
    let tracking = context.client.tracking.as_ref();
    let prefixes = tracking.map_or(&[][..], |tracking| &tracking.prefixes);
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

pub(super) fn caching(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let flags = TrackingFlags::of(&context.client.info);
    let Some(tracking) = context.client.tracking.as_mut() else {
        return Err(NOT_TRACKING);
    };
    if args.is(2, "yes") {
        if !flags.contains(TrackingFlags::OPTIN) {
            return Err(WireError::fixed(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if args.is(2, "no") {
        if !flags.contains(TrackingFlags::OPTOUT) {
            return Err(WireError::fixed(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(errors::SYNTAX);
    }
    tracking.caching = true;
    reply.ok();
    Ok(())
}

pub(super) fn getredir(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(redirect(context));
    Ok(())
}

/// Who gets the notices: 0 for the client itself, -1 while there are none.
fn redirect(context: &SessionContext<'_>) -> i64 {
    match context.client.tracking {
        Some(_) => context.client.info.redirect.load(Ordering::Relaxed) as i64,
        None => -1,
    }
}

const ONE_REDIRECT: WireError =
    WireError::fixed("ERR A client can only redirect to a single other client");
const NO_SUCH_REDIRECT: WireError =
    WireError::fixed("ERR The client ID you want redirect to does not exist");
const NOT_TRACKING: WireError = WireError::fixed(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
     or OPTOUT mode enabled",
);
