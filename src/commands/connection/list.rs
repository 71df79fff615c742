//! How connections are shown: `CLIENT LIST` and `CLIENT INFO`.

use super::filter::{Asker, Filter};
use crate::commands::table;
use crate::execute::SessionContext;
use crate::net::{ClientInfo, ClientKind};
use crate::protocol::{Args, Reply, WireError};
use crate::pubsub::{Kind, TrackingFlags};
use crate::time::UnixMs;
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn info(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    context.client.publish();
    let mut text = Vec::new();
    describe(&context.client.info, context.now, &mut text);
    verbatim(reply, &text);
    Ok(())
}

pub(super) fn list(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    context.client.publish();
    let filter = Filter::parse(context, args, Asker::List)?;
    let clients = &context.server.clients;
    let mut chosen = match filter.ids() {
        Some(ids) => ids.iter().filter_map(|id| clients.get(*id)).collect(),
        None => clients.all(),
    };
    let own = context.client.id;
    let spares_oneself = filter.spares_oneself.unwrap_or(false);
    chosen
        .retain(|client| !(spares_oneself && client.id == own) && filter.fits(client, context.now));
    let mut text = Vec::with_capacity(chosen.len() * 320);
    for client in &chosen {
        describe(client, context.now, &mut text);
    }
    verbatim(reply, &text);
    Ok(())
}

/// One line. Fields for things that do not exist here (a reply buffer of fixed size) hold
/// what they hold in Redis for a client without them.
fn describe(client: &ClientInfo, now: UnixMs, out: &mut Vec<u8>) {
    let names = client.names.lock().clone();
    let (input, output) = (
        client.query_bytes.load(Relaxed),
        client.output_bytes.load(Relaxed),
    );
    let multi_bytes = client.multi_bytes.load(Relaxed);
    let memory = client.mem_bytes();
    let tracking = TrackingFlags::of(client);
    let redirect = match tracking.contains(TrackingFlags::ON) {
        true => client.redirect.load(Relaxed) as i64,
        false => -1,
    };
    // As if there were Redis's buffer, and its list for what that does not hold.
    let (obl, oll, omem) = match output {
        0..=OUTPUT_BUFFER => (output, 0, 0),
        _ => (0, output.div_ceil(OUTPUT_BUFFER), output),
    };
    let events = if output > 0 { "rw" } else { "r" };
    let _ = write!(
        out,
        "id={} addr={} laddr={} fd={} name=",
        client.id, client.addr, client.laddr, client.fd,
    );
    out.extend_from_slice(&names.name);
    let _ = write!(
        out,
        " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} qbuf={input} \
         qbuf-free=0 argv-mem=0 multi-mem={multi_bytes} rbs=0 rbp=0 obl={obl} oll={oll} omem={omem} \
         tot-mem={memory} events={events} cmd={} user={} redir={redirect} resp={} lib-name=",
        (now - client.created_ms).max(0) / 1000,
        (now - client.active_ms.load(Relaxed)).max(0) / 1000,
        flags(client),
        client.db.load(Relaxed),
        client.subscriptions[Kind::Channel as usize].load(Relaxed),
        client.subscriptions[Kind::Pattern as usize].load(Relaxed),
        client.subscriptions[Kind::Shard as usize].load(Relaxed),
        client.multi.load(Relaxed),
        watching(client),
        command(client),
        names.user,
        client.resp.load(Relaxed),
    );
    out.extend_from_slice(&names.lib_name);
    out.extend_from_slice(b" lib-ver=");
    out.extend_from_slice(&names.lib_ver);
    let _ = writeln!(
        out,
        " io-thread={} tot-net-in={} tot-net-out={} tot-cmds={}",
        client.worker,
        client.bytes_in.load(Relaxed),
        client.bytes_out.load(Relaxed),
        client.executed(),
    );
}

/// The letters of Redis, in its order.
pub(super) fn flags(client: &ClientInfo) -> String {
    let mut flags = String::new();
    let mut flag = |on: bool, letter| {
        if on {
            flags.push(letter);
        }
    };
    let kind = client.kind();
    let tracking = TrackingFlags::of(client);
    flag(client.monitors.load(Relaxed), 'O');
    flag(kind == ClientKind::Replica, 'S');
    flag(kind == ClientKind::Primary, 'M');
    flag(kind == ClientKind::PubSub, 'P');
    flag(client.multi.load(Relaxed) >= 0, 'x');
    flag(
        client.blocked.load(Relaxed) || client.paused.load(Relaxed),
        'b',
    );
    flag(tracking.contains(TrackingFlags::ON), 't');
    flag(tracking.contains(TrackingFlags::BROKEN_REDIRECT), 'R');
    flag(tracking.contains(TrackingFlags::BCAST), 'B');
    flag(is_touched(client), 'd');
    flag(client.killed.load(Relaxed), 'A');
    flag(client.unix, 'U');
    flag(client.no_evict.load(Relaxed), 'e');
    flag(client.no_touch.load(Relaxed), 'T');
    if flags.is_empty() {
        flags.push('N');
    }
    flags
}

/// Whether its transaction will fail, because a key that it watches was touched.
fn is_touched(client: &ClientInfo) -> bool {
    let flag = client.touched.lock();
    flag.as_ref().is_some_and(|flag| flag.load(Relaxed))
}

/// How many keys it watches; none any more once one was touched.
fn watching(client: &ClientInfo) -> usize {
    match is_touched(client) {
        true => 0,
        false => client.watch.load(Relaxed),
    }
}

/// The full name of the last command.
fn command(client: &ClientInfo) -> &'static str {
    let last = client.last_command.load(Relaxed) as usize;
    match last.checked_sub(1).and_then(|id| table::all().get(id)) {
        Some(command) => &command.name,
        None => "NULL",
    }
}

/// Names come from clients, but only printable ones are taken, so the text is ASCII.
fn verbatim(reply: &mut Reply<'_>, text: &[u8]) {
    reply.verbatim("txt", &String::from_utf8_lossy(text));
}

/// Bytes of Redis's output buffer.
const OUTPUT_BUFFER: usize = 16 * 1024;
