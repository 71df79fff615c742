//! `DEBUG` commands that look into the process: MALLCTL, STRUCTSIZE, LEAK, SCRIPT,
//! HTSTATS-KEY, CONFIG-REWRITE-FORCE-ALL, AOF-FLUSH-SLEEP; and what Redis and Valkey have
//! for parts that are not here.

use super::{find, wrong_form};
use crate::config::parse_memory;
use crate::execute::SessionContext;
use crate::keyspace::{Entry, Shard, ValueRef};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::scripting::Script;
use std::sync::atomic::Ordering;

/// Runs the subcommand, if it is one of these.
///
/// # Errors
/// What the subcommand answers, and for those that cannot be here, why.
pub(super) fn run(
    context: &mut SessionContext<'_>,
    name: &[u8],
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match (name, args.len()) {
        (b"mallctl", 3 | 4) => allocator_number(args, reply)?,
        (b"mallctl-str", 3) => allocator_text(args.at(2), reply)?,
        (b"structsize", 2) => reply.bulk_str(&format!(
            "bits:{} entry:{} shard:{}",
            usize::BITS,
            size_of::<Entry>(),
            size_of::<Shard>()
        )),
        (b"leak", 3) => {
            std::mem::forget(args.at(2).to_vec());
            reply.ok();
        }
        (b"script", 3) => script(context, args.at(2), reply)?,
        (b"htstats-key", 3 | 4) => value_table(context, args.at(2), reply)?,
        (b"config-rewrite-force-all", 2) => {
            let rewritten = context.server.config.rewrite_all();
            rewritten.map_err(|error| WireError::new(error.to_string()))?;
            reply.ok();
        }
        (b"aof-flush-sleep", 3) => {
            let sleep = parse_i64(args.at(2)).and_then(|us| u64::try_from(us).ok());
            let sleep = sleep.ok_or(errors::NOT_AN_INTEGER)?;
            let pause = &context.server.aof.pause_us;
            pause.store(sleep.min(LONGEST_PAUSE_US), Ordering::Relaxed);
            reply.ok();
        }
        (b"replybuffer", 4) if reply_buffer(args)? => reply.ok(),
        (b"dict-resizing", 3) => reply.ok(),
        (b"quicklist-packed-threshold", 3) => {
            let bytes = parse_memory(args.at(2)).filter(|bytes| *bytes <= MOST_PACKED);
            bytes.ok_or(BAD_THRESHOLD)?;
            reply.ok();
        }
        (b"set-disable-deny-scripts", 3) if args.at(2) == b"0" => reply.ok(),
        _ => return Err(elsewhere(name).unwrap_or_else(|| wrong_form(args))),
    }
    Ok(())
}

/// `DEBUG MALLCTL name [value]`
fn allocator_number(args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let new = match args.get(3).map(parse_i64) {
        Some(None) => return Err(errors::NOT_AN_INTEGER),
        new => new.flatten(),
    };
    let old = crate::allocator::control(args.at(2), new).map_err(of_the_system)?;
    reply.int(old);
    Ok(())
}

/// `DEBUG MALLCTL-STR name`
fn allocator_text(name: &[u8], reply: &mut Reply<'_>) -> Result<(), WireError> {
    let text = crate::allocator::text(name).map_err(of_the_system)?;
    reply.bulk_str(&text);
    Ok(())
}

fn of_the_system(error: std::io::Error) -> WireError {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    WireError::new(format!("ERR {}", &text[..end]))
}

/// `DEBUG SCRIPT LIST|sha`: to the log, as in Redis.
fn script(
    context: &SessionContext<'_>,
    which: &[u8],
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let scripts = context.server.scripts.all();
    let show = |script: &Script| {
        let body = script.body.escape_ascii();
        tracing::warn!(sha = script.hex(), %body, "DEBUG SCRIPT");
    };
    if which.eq_ignore_ascii_case(b"list") {
        scripts.iter().for_each(|script| show(script));
    } else {
        let wanted = |hex: &str| hex.as_bytes().eq_ignore_ascii_case(which);
        let found = scripts.iter().find(|script| wanted(&script.hex()));
        show(found.ok_or(WireError::fixed("NOSCRIPT No matching script."))?);
    }
    reply.ok();
    Ok(())
}

/// `DEBUG HTSTATS-KEY key [full]`: how large the table of a value is.
fn value_table(
    context: &mut SessionContext<'_>,
    key: &[u8],
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let db = context.client.db;
    let (len, bytes) = context.with_everything(|locked| {
        let entry = find(locked, db, key).ok_or(errors::NO_SUCH_KEY)?;
        match entry.value() {
            ValueRef::HashTable(table) => Ok((table.len(), table.mem_bytes())),
            ValueRef::SetTable(table) => Ok((table.len(), table.mem_bytes())),
            ValueRef::SortedSet(set) => Ok((set.len(), set.mem_bytes())),
            _ => Err(NO_TABLE),
        }
    })?;
    reply.verbatim(
        "txt",
        &format!(
            "Hash table 0 stats (main hash table):\n number of elements: {len}\n \
             bytes of tables: {bytes}\n"
        ),
    );
    Ok(())
}

/// Whether this is a form of `DEBUG REPLYBUFFER`. A connection's buffer here has no peak that is
/// forgotten, and is not resized by the clock: both may be switched as one likes.
fn reply_buffer(args: Args<'_>) -> Result<bool, WireError> {
    if !args.is(2, "peak-reset-time") {
        return Ok(args.is(2, "resizing"));
    }
    if !args.is(3, "never") && !args.is(3, "reset") {
        parse_i64(args.at(3)).ok_or(errors::NOT_AN_INTEGER)?;
    }
    Ok(true)
}

/// Why a subcommand of Redis or Valkey is not here. To answer OK and do nothing would tell a
/// test that it tests something.
fn elsewhere(name: &[u8]) -> Option<WireError> {
    let (_, why) = ELSEWHERE
        .iter()
        .find(|(names, _)| names.iter().any(|n| n.as_bytes() == name))?;
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    Some(WireError::new(format!(
        "ERR DEBUG {name} is not supported: {why}"
    )))
}

const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["replicate", "set-skip-checksum-validation"],
        "nodes of a group must not differ",
    ),
    (
        &["restart", "crash-and-recover"],
        "the process leaves starting again to its supervisor",
    ),
    (
        &["hashtable-can-abort-shrink"],
        "tables grow and shrink in small steps that nothing stops",
    ),
    (
        &["client-enforce-reply-list"],
        "a connection has one output buffer, and no list of replies",
    ),
    (
        &["set-disable-deny-scripts"],
        "commands that scripts may not call need a connection",
    ),
    (
        &[
            "repl-pause",
            "pause-after-fork",
            "delay-rdb-client-free-second",
        ],
        "nothing forks for a full copy",
    ),
    (
        &["keysizes-hist-assert"],
        "sizes are counted when INFO asks",
    ),
    (
        &[
            "mark-internal-client",
            "internal_secret",
            "drop-cluster-packet-filter",
            "close-cluster-link-on-packet-drop",
            "disable-cluster-random-ping",
            "disable-cluster-reconnection",
            "clusterlink",
            "slotmigration",
        ],
        "there is no cluster mode",
    ),
    (&["force-tls-write-error"], "there is no TLS"),
];

const NO_TABLE: WireError = WireError::fixed(
    "ERR The value stored at the specified key is not represented using an hash table",
);

const BAD_THRESHOLD: WireError =
    WireError::fixed("ERR argument must be a memory value bigger than 1 and smaller than 4gb");

/// 4 GB.
const MOST_PACKED: u64 = 1 << 32;
/// An hour.
const LONGEST_PAUSE_US: u64 = 3_600_000_000;
