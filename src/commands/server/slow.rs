//! `SLOWLOG` and `LATENCY`. What they show is kept in `observe/`.

use crate::execute::SessionContext;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError};

pub(super) fn slowlog_get(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 3 {
        return Err(WireError::quoting(
            "ERR unknown subcommand or wrong number of arguments for '",
            args.at(1),
            "'. Try SLOWLOG HELP.",
        ));
    }
    let most = match args.get(2).map(parse_i64) {
        None => 10,
        Some(Some(-1)) => usize::MAX,
        Some(count) => {
            count
                .and_then(|count| usize::try_from(count).ok())
                .ok_or(WireError::fixed(
                    "ERR count should be greater than or equal to -1",
                ))?
        }
    };
    let entries = context.server.slow_log.newest(most);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.at);
        reply.int(entry.took_us as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk_str(&entry.addr);
        reply.bulk(&entry.name);
    }
    Ok(())
}

pub(super) fn slowlog_len(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(context.server.slow_log.len() as i64);
    Ok(())
}

pub(super) fn slowlog_reset(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    context.server.slow_log.clear();
    reply.ok();
    Ok(())
}

pub(super) fn slowlog_help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    Show the newest slow commands (10; -1 for all): number, Unix time, microseconds,",
            "    arguments, client address, client name.",
            "LEN",
            "    Count them.",
            "RESET",
            "    Forget them.",
        ],
    );
    Ok(())
}

pub(super) fn latency_latest(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let events = context.server.latency.events();
    reply.array(events.len());
    for (name, event) in events {
        let (at, took_ms) = event.samples.back().copied().unwrap_or_default();
        reply.array(4);
        reply.bulk_str(name);
        reply.int(at);
        reply.int(took_ms as i64);
        reply.int(event.worst_ms as i64);
    }
    Ok(())
}

pub(super) fn latency_history(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let event = context.server.latency.event(args.at(2)).unwrap_or_default();
    reply.array(event.samples.len());
    for (at, took_ms) in event.samples {
        reply.array(2);
        reply.int(at);
        reply.int(took_ms as i64);
    }
    Ok(())
}

pub(super) fn latency_reset(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let latency = &context.server.latency;
    let forgotten = match args.len() {
        2 => latency.forget_all(),
        _ => args.from(2).filter(|name| latency.forget(name)).count(),
    };
    reply.int(forgotten as i64);
    Ok(())
}

pub(super) fn latency_help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "LATENCY",
        &[
            "HISTORY <event>",
            "    Show the times and milliseconds of an event's spikes.",
            "LATEST",
            "    Show the last and the worst spike of each event.",
            "RESET [<event> ...]",
            "    Forget the spikes of these events, or of all.",
        ],
    );
    Ok(())
}
