//! `DEBUG`, as far as tests of this server and of client libraries need it.

mod data;
mod inner;
mod reload;

use super::digest::{self, Digest};
use crate::config::{ClientMemory, Exposure};
use crate::execute::SessionContext;
use crate::keyspace::{DbIndex, EntryRef, Locked, shard_of};
use crate::number::parse_f64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::{Duration, UnixMs};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

pub(super) fn debug(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let allowed = match context.server.config.current().enable_debug_command {
        Exposure::Yes => true,
        Exposure::Local => context.client.is_local(),
        Exposure::No => false,
    };
    if !allowed {
        return Err(NOT_ALLOWED);
    }
    match (&*args.at(1).to_ascii_lowercase(), args.len()) {
        (b"help", 2) => reply.help("DEBUG", HELP),
        (b"sleep", 3) => {
            sleep(context, args.at(2));
            reply.ok();
        }
        (b"digest", 2) => {
            let now = context.now;
            let digest =
                context.with_everything(|locked| digest::compatible::of_everything(locked, now));
            reply.simple(&digest.hex());
        }
        (b"digest", 3) if args.is(2, "full") => {
            let now = context.now;
            let digest = context.with_everything(|locked| digest::of_everything(locked, now));
            reply.simple(&digest.hex());
        }
        (b"reload", _) => reload::reload(context, args, reply)?,
        (b"loadaof", 2) => reload::load_aof(context, reply)?,
        (b"digest-value", _) => {
            digest_value(context, args.from(2), reply, digest::compatible::of_value);
        }
        (b"digest-value-full", _) => {
            digest_value(context, args.from(2), reply, digest::of_value);
        }
        (b"object", 3) => object(context, args.at(2), true, reply)?,
        (b"object", 4) if args.is(3, "fast") => object(context, args.at(2), false, reply)?,
        (b"set-active-expire", 3) => {
            let on = args.at(2) != b"0";
            context.server.active_expire.store(on, Ordering::Relaxed);
            reply.ok();
        }
        (b"change-repl-id", 2) => {
            context.server.replication.change_id();
            context.server.aof.identity_changed(context.server);
            reply.ok();
        }
        (b"log", 3) => {
            tracing::warn!("DEBUG LOG: {}", args.at(2).escape_ascii());
            reply.ok();
        }
        // An answer like any other: nothing has failed, and nothing is counted.
        (b"error", 3) => reply.error(&WireError::from_bytes(args.at(2).to_vec())),
        (b"protocol", 3) => protocol(args.at(2), reply)?,
        (b"populate", _) => data::populate(context, args, reply)?,
        (b"sdslen", 3) => data::string_lengths(context, args.at(2), reply)?,
        (b"listpack", 3) => data::encoded_as(context, args.at(2), "listpack", reply)?,
        (b"quicklist", 3 | 4) => data::encoded_as(context, args.at(2), "quicklist", reply)?,
        (b"htstats", 3 | 4) => data::table_stats(context, args, reply)?,
        (b"stringmatch-test", 2) => data::match_at_random(reply),
        (b"pause-cron", 3) => {
            let on = args.at(2) != b"0";
            context.server.cron_paused.store(on, Ordering::Relaxed);
            reply.ok();
        }
        (b"client-eviction", 2) => client_eviction(context, reply)?,
        (b"assert" | b"panic" | b"oom", 2) => die(Signal::SIGABRT),
        (b"segfault", 2) => die(Signal::SIGSEGV),
        (name, _) => inner::run(context, name, args, reply)?,
    }
    Ok(())
}

/// Redis stops altogether while it sleeps; here everything that touches data does, and
/// connections of other workers that do not may go on.
fn sleep(context: &mut SessionContext<'_>, seconds: &[u8]) {
    let seconds = parse_f64(seconds).unwrap_or(0.0).clamp(0.0, LONGEST_SLEEP);
    context.with_everything(|_| std::thread::sleep(Duration::from_secs_f64(seconds)));
}

fn digest_value<'a>(
    context: &mut SessionContext<'_>,
    keys: impl Iterator<Item = &'a [u8]>,
    reply: &mut Reply<'_>,
    of_value: fn(Option<EntryRef<'_>>, UnixMs) -> Digest,
) {
    let (db, now) = (context.client.db, context.now);
    let digests: Vec<String> = context.with_everything(|locked| {
        keys.map(|key| of_value(find(locked, db, key), now).hex())
            .collect()
    });
    reply.array(digests.len());
    for digest in digests {
        reply.simple(&digest);
    }
}

/// `DEBUG OBJECT key [FAST]`: FAST leaves out what takes long to find.
fn object(
    context: &mut SessionContext<'_>,
    key: &[u8],
    with_length: bool,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (db, now) = (context.client.db, context.now);
    let target = context.server.settings().rdb;
    let line = context.with_everything(|locked| {
        let entry = find(locked, db, key)?;
        let idle = crate::execute::idle_seconds(entry.clock(), now);
        let mut length = String::new();
        if with_length {
            // What DUMP gives, without the type and what follows the value.
            let payload = crate::rdb::write_payload(entry.value(), target);
            length = format!("serializedlength:{} ", payload.len().saturating_sub(11));
        }
        Some(format!(
            "Value at:{:p} refcount:1 encoding:{} {length}lru:{} lru_seconds_idle:{idle}",
            entry.key().as_ptr(),
            crate::commands::generic::encoding_name(entry),
            entry.clock(),
        ))
    });
    reply.simple(&line.ok_or(errors::NO_SUCH_KEY)?);
    Ok(())
}

fn find<'l>(locked: &'l Locked<'static>, db: DbIndex, key: &[u8]) -> Option<EntryRef<'l>> {
    let hash = crate::hash::hash(key);
    locked.shard(db, shard_of(hash)).lookup(hash, key)
}

/// Ends the process at once, for those who test what happens then.
fn die(signal: Signal) {
    tracing::error!(%signal, "DEBUG ends the process");
    // The first SIGSEGV may meet the handler that looks for overflown stacks. That one puts the
    // default back and returns, as if what failed were to be done again: the second ends us.
    for _ in 0..2 {
        let _ = nix::sys::signal::raise(signal);
    }
    // Where the signal is caught or ignored.
    std::process::abort();
}

/// How many clients occupy how much, by powers of two.
fn client_eviction(
    context: &mut SessionContext<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if context.server.config.current().maxmemory_clients == ClientMemory::Bytes(0) {
        return Err(WireError::fixed("ERR maxmemory-clients is disabled."));
    }
    let mut sizes: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for client in context.server.clients.all() {
        let bytes = client.mem_bytes();
        let row = sizes.entry(bytes.max(1).ilog2()).or_default();
        row.0 += bytes;
        row.1 += 1;
    }
    let lines = sizes.iter().map(|(log, (bytes, clients))| {
        format!(
            "up to {} bytes: {clients} clients, {bytes} bytes\n",
            2u64 << log
        )
    });
    reply.verbatim("txt", &lines.collect::<String>());
    Ok(())
}

/// A reply of every type, for those who test a client library.
fn protocol(kind: &[u8], reply: &mut Reply<'_>) -> Result<(), WireError> {
    match &*kind.to_ascii_lowercase() {
        b"string" => reply.bulk_str("Hello World"),
        b"integer" => reply.int(12345),
        // Redis's test value, not a bad approximation of pi.
        #[allow(clippy::approx_constant)]
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"attrib" => {
            if reply.resp3() {
                reply.raw(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk_str("Some real reply following the attribute");
        }
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        b"verbatim" => reply.verbatim("txt", "This is a verbatim\nstring"),
        kind @ (b"array" | b"set") => {
            match kind {
                b"array" => reply.array(3),
                _ => reply.set(3),
            }
            (0..3).for_each(|n| reply.int(n));
        }
        b"push" => {
            if !reply.resp3() {
                return Err(WireError::fixed(
                    "ERR RESP2 is not supported by this command",
                ));
            }
            // A push is no reply, and the caller waits for one. The push comes after it, as
            // in Redis, whatever the text says.
            reply.bulk_str("Some real reply following the push reply");
            reply.push(2);
            reply.bulk_str("server-cpu-usage");
            reply.int(42);
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.int(n);
                reply.bool(n == 1);
            }
        }
        _ => {
            return Err(WireError::fixed(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

fn wrong_form(args: Args<'_>) -> WireError {
    WireError::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        args.at(1),
        "'. Try DEBUG HELP.",
    )
}

const NOT_ALLOWED: WireError = WireError::fixed(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you \
     can run it from a local connection, otherwise you need to set this option in the \
     configuration file, and then restart the server.",
);

/// In seconds.
const LONGEST_SLEEP: f64 = 3600.0;

const HELP: &[&str] = &[
    "AOF-FLUSH-SLEEP <microseconds>",
    "    Wait before each write to the append-only file.",
    "ASSERT, PANIC, OOM, SEGFAULT",
    "    End the process at once, by SIGABRT or SIGSEGV.",
    "CHANGE-REPL-ID",
    "    Draw a new replication id: replicas must resynchronise in full.",
    "CLIENT-EVICTION",
    "    Show how many clients occupy how much memory.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Write all options to the configuration file, those at their defaults as well.",
    "DICT-RESIZING <0|1>",
    "    Accepted: tables grow and shrink in small steps, whatever this says.",
    "DIGEST [FULL]",
    "    Show one number for all data, equal on nodes with equal data.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Show such a number for each of these values.",
    "ERROR <string>",
    "    Answer with this error.",
    "HTSTATS <db> [FULL]",
    "    Show how large a database's tables are.",
    "HTSTATS-KEY <key> [FULL]",
    "    Show how large the table of a value is.",
    "LEAK <string>",
    "    Lose the memory of a copy of the string.",
    "LISTPACK <key>",
    "    Check that a value is stored as a listpack.",
    "LOADAOF",
    "    Empty the data and load the append-only file.",
    "LOG <message>",
    "    Write a line to the server's log.",
    "MALLCTL <name> [<integer>]",
    "    Show or set a number of the allocator's.",
    "MALLCTL-STR <name>",
    "    Show a text of the allocator's.",
    "OBJECT <key> [FAST]",
    "    Show how a value is stored; FAST without how long its payload is.",
    "PAUSE-CRON <0|1>",
    "    Stop or resume what is done by the clock: expiry, eviction, idle clients.",
    "POPULATE <count> [<prefix> [<size>]]",
    "    Add strings named <prefix>:<number>, unless they are there.",
    "PROTOCOL <type>",
    "    Answer with a value of this type: string, integer, double, bignum, null, array, set,",
    "    map, attrib, push, verbatim, true or false.",
    "QUICKLIST <key> [<0|1>]",
    "    Check that a value is stored as a quicklist.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted: elements of lists have one form, whatever their length.",
    "REPLYBUFFER PEAK-RESET-TIME <milliseconds|NEVER|RESET>",
    "REPLYBUFFER RESIZING <0|1>",
    "    Accepted: the buffer of replies is not resized by the clock.",
    "SDSLEN <key>",
    "    Show how a key and its string lie in memory.",
    "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
    "    Save the RDB file, forget everything and load the file; MERGE replaces keys that are",
    "    there, NOFLUSH forgets nothing, NOSAVE loads the file that is there.",
    "SCRIPT <LIST|<sha>>",
    "    Write the text of all scripts, or of one, to the server's log.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Stop or resume deleting expired keys that nobody asks for.",
    "SET-DISABLE-DENY-SCRIPTS 0",
    "    Accepted: commands that scripts may not call stay closed to them; 1 is refused.",
    "SLEEP <seconds>",
    "    Stop everything for a while.",
    "STRINGMATCH-TEST",
    "    Match patterns at random, to see that nothing breaks.",
    "STRUCTSIZE",
    "    Show how large the structures are that hold keys.",
];
