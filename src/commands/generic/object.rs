//! `OBJECT`: how a value is stored and how often it is used.

use crate::execute::{ReadContext, SessionContext, frequency, idle_seconds};
use crate::keyspace::{EntryRef, ValueRef};
use crate::protocol::{Args, Reply, WireError, errors};

/// `OBJECT ENCODING key`
pub(super) fn encoding(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match ctx.peek_counted(args.at(2)) {
        Some(entry) => reply.bulk_str(encoding_name(entry)),
        None => reply.null(),
    }
    Ok(())
}

/// `OBJECT FREQ key`
pub(super) fn freq(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let Some(entry) = ctx.peek_counted(args.at(2)) else {
        reply.null();
        return Ok(());
    };
    if !ctx.settings().lfu {
        return Err(errors::NOT_LFU);
    }
    let count = frequency(entry.clock(), ctx.now(), ctx.settings());
    reply.int(i64::from(count));
    Ok(())
}

/// `OBJECT IDLETIME key`
pub(super) fn idletime(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let Some(entry) = ctx.peek_counted(args.at(2)) else {
        reply.null();
        return Ok(());
    };
    if ctx.settings().lfu {
        return Err(errors::IS_LFU);
    }
    reply.int(i64::from(idle_seconds(entry.clock(), ctx.now())));
    Ok(())
}

/// `OBJECT REFCOUNT key`
pub(super) fn refcount(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match ctx.peek_counted(args.at(2)) {
        Some(_) => reply.int(1),
        None => reply.null(),
    }
    Ok(())
}

/// `OBJECT HELP`
pub(super) fn help(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help("OBJECT", HELP);
    Ok(())
}

/// Redis's name for how a value is stored. `DEBUG OBJECT` shows it too.
pub(crate) fn encoding_name(entry: EntryRef<'_>) -> &'static str {
    match entry.value() {
        ValueRef::Int(_) => "int",
        ValueRef::Str {
            bytes,
            edited: false,
        } if fits_one_line(entry, bytes.len()) => "embstr",
        ValueRef::Str { .. } | ValueRef::Shared(_) => "raw",
        ValueRef::HashPacked(_) => "listpack",
        ValueRef::HashPackedEx(_) => "listpackex",
        ValueRef::HashTable(_) | ValueRef::SetTable(_) => "hashtable",
        ValueRef::ListPacked(_) | ValueRef::SetPacked(_) | ValueRef::SortedSetPacked(_) => {
            "listpack"
        }
        ValueRef::List(_) => "quicklist",
        ValueRef::SetInts(_) => "intset",
        ValueRef::SortedSet(_) => "skiplist",
        ValueRef::Stream(_) => "stream",
    }
}

/// Whether Redis 8.2 would hold key, expiry and string in one cache line: what it then calls
/// `embstr`. Found by asking it. An expiry takes 8 bytes; beside a key of 32 bytes and more
/// there is room for it anyway.
fn fits_one_line(entry: EntryRef<'_>, len: usize) -> bool {
    let key = entry.key().len();
    let expiry = if entry.expiry().is_some() && key < 32 {
        8
    } else {
        0
    };
    key + len + expiry <= 41
}

const HELP: &[&str] = &[
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
];
