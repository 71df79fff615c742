//! HyperLogLogs: strings that count different elements.
//!
//! What must stay true: the strings are Redis's, byte for byte, the noted count among them.
//! `PFCOUNT` of one key notes it, and is then an effect like any write, though it may be called
//! where writes may not; there it only counts.

use super::handler::Handler;
use super::spec::{CommandSpec, Flags, Group, KeySpec};
use super::strings::edited_payload;
use crate::config::NotifyClass;
use crate::execute::{Effect, Expiry, Found, Origin, SessionContext, WriteContext};
use crate::keyspace::Kind;
use crate::protocol::{Args, Reply, WireError};
use crate::values::hyperloglog::{self as hll, Corrupt, Encoding, Merged};

const HYPERLOGLOG: CommandSpec = CommandSpec {
    group: Group::HyperLogLog,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "pfadd",
        since: "2.8.9",
        arity: -2,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key [element [element ...]]",
        summary: "Adds elements to a HyperLogLog, creating it if missing.",
        complexity: "O(1) for each element",
        handler: Handler::Write(pfadd),
        ..HYPERLOGLOG
    },
    CommandSpec {
        name: "pfcount",
        since: "2.8.9",
        arity: -2,
        flags: Flags::of("readonly may_replicate"),
        keys: &[KeySpec::from(1, "RW access")
            .note("Written because the count is noted beside what it is of.")],
        syntax: "key [key ...]",
        summary: "Estimates how many different elements HyperLogLogs have together.",
        complexity: "O(1) for one key, most often without looking at its registers; O(N) for N \
                     keys, whose registers are all looked at",
        handler: Handler::Write(pfcount),
        ..HYPERLOGLOG
    },
    CommandSpec {
        name: "pfmerge",
        since: "2.8.9",
        arity: -2,
        flags: Flags::of("write denyoom"),
        keys: &[
            KeySpec::at(1, "RW access insert"),
            KeySpec::from(2, "RO access"),
        ],
        syntax: "destkey [sourcekey [sourcekey ...]]",
        summary: "Adds to a HyperLogLog whatever others have.",
        complexity: "O(N), N being the number of keys, all of whose registers are looked at",
        handler: Handler::Write(pfmerge),
        ..HYPERLOGLOG
    },
    CommandSpec {
        name: "pfdebug",
        since: "2.8.9",
        arity: 3,
        flags: Flags::of("write denyoom admin"),
        keys: &[KeySpec::at(2, "RW access")],
        syntax: "subcommand key",
        summary: "Shows how a HyperLogLog is stored, or makes it dense.",
        complexity: "N/A",
        syscmd: true,
        handler: Handler::Write(pfdebug),
        ..HYPERLOGLOG
    },
    CommandSpec {
        name: "pfselftest",
        since: "2.8.9",
        arity: 1,
        flags: Flags::of("admin"),
        summary: "Tests the HyperLogLogs of this server on made-up data.",
        complexity: "N/A",
        syscmd: true,
        handler: Handler::Session(pfselftest),
        ..HYPERLOGLOG
    },
];

/// `PFADD key [element [element ...]]`
fn pfadd(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, max_sparse) = (args.at(1), ctx.settings().hll_sparse_max_bytes);
    let places = args.from(2).map(hll::place);
    let changed = match ctx.find(key) {
        None => {
            let mut bytes = hll::empty();
            for place in places {
                hll::add(&mut bytes, place, max_sparse).map_err(|Corrupt| CORRUPT)?;
            }
            hll::invalidate(&mut bytes);
            ctx.insert(ctx.db(), key, None, edited_payload(&mut bytes));
            true
        }
        Some(found) if encoding_of(ctx, found)? == Encoding::Dense => {
            add_to_dense(ctx, found, args)?
        }
        Some(found) => {
            let mut bytes = ctx.string_of(found)?.to_vec();
            let mut changed = false;
            for place in places {
                changed |= hll::add(&mut bytes, place, max_sparse).map_err(|Corrupt| CORRUPT)?;
            }
            if changed {
                hll::invalidate(&mut bytes);
                store(ctx, found, bytes);
            }
            changed
        }
    };
    reply.int(i64::from(changed));
    if !changed {
        return Ok(Effect::None);
    }
    ctx.notify(NotifyClass::STRING, "pfadd", key);
    Ok(Effect::AsReceived)
}

/// Adds the elements from argument 2 on; whether a register changed. A dense string stays as
/// long as it is, and is changed where it lies.
fn add_to_dense(
    ctx: &mut WriteContext<'_>,
    found: Found,
    args: Args<'_>,
) -> Result<bool, WireError> {
    let mut digits = itoa::Buffer::new();
    let value = ctx.string_of(found)?;
    let bytes = value.bytes(&mut digits);
    let mut higher = args.from(2).map(hll::place);
    // Nothing of the string is touched before it is known that something changes.
    if !higher.any(|place| hll::dense_would_change(bytes, place)) {
        return Ok(false);
    }
    edit(ctx, found, |bytes| {
        for place in args.from(2).map(hll::place) {
            hll::add(bytes, place, 0).map_err(|Corrupt| CORRUPT)?;
        }
        hll::invalidate(bytes);
        Ok(true)
    })
}

/// `PFCOUNT key [key ...]`
fn pfcount(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    if args.len() > 2 {
        let merged = merge(ctx, args, 1)?.0;
        reply.int(merged.count() as i64);
        return Ok(Effect::None);
    }
    let key = args.at(1);
    let Some(found) = ctx.find_used(key) else {
        reply.int(0);
        return Ok(Effect::None);
    };
    encoding_of(ctx, found)?;
    let mut digits = itoa::Buffer::new();
    let value = ctx.string_of(found)?;
    let bytes = value.bytes(&mut digits);
    if let Some(count) = hll::cached(bytes) {
        reply.int(count as i64);
        return Ok(Effect::None);
    }
    let count = hll::count(bytes).map_err(|Corrupt| CORRUPT)?;
    reply.int(count as i64);
    // A node that may not write on its own keeps what it was sent.
    if !ctx.may_expire() && ctx.origin() == Origin::Client {
        return Ok(Effect::None);
    }
    edit(ctx, found, |bytes| {
        hll::set_cached(bytes, count);
        Ok(())
    })?;
    Ok(Effect::AsReceived)
}

/// `PFMERGE destkey [sourcekey [sourcekey ...]]`
fn pfmerge(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let (key, max_sparse) = (args.at(1), ctx.settings().hll_sparse_max_bytes);
    let (merged, any_dense) = merge(ctx, args, 1)?;
    let found = ctx.find(key);
    let mut bytes = match found {
        Some(found) => ctx.string_of(found)?.to_vec(),
        None => hll::empty(),
    };
    if any_dense {
        hll::make_dense(&mut bytes).map_err(|Corrupt| CORRUPT)?;
    }
    let raised = merged.raise(&mut bytes, max_sparse);
    raised.map_err(|Corrupt| CORRUPT)?;
    hll::invalidate(&mut bytes);
    match found {
        Some(found) => store(ctx, found, bytes),
        None => ctx.insert(ctx.db(), key, None, edited_payload(&mut bytes)),
    }
    ctx.notify(NotifyClass::STRING, "pfadd", key);
    reply.ok();
    Ok(Effect::AsReceived)
}

/// The registers of the keys from argument `first` on, and whether one of them is dense.
fn merge(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    first: usize,
) -> Result<(Merged, bool), WireError> {
    let mut merged = Merged::default();
    let mut any_dense = false;
    for key in args.from(first) {
        let Some(found) = ctx.find_used(key) else {
            continue;
        };
        any_dense |= encoding_of(ctx, found)? == Encoding::Dense;
        let mut digits = itoa::Buffer::new();
        let value = ctx.string_of(found)?;
        let added = merged.add(value.bytes(&mut digits));
        added.map_err(|Corrupt| CORRUPT)?;
    }
    Ok((merged, any_dense))
}

/// `PFDEBUG subcommand key`
fn pfdebug(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    if args.is(1, "simd") {
        // Our registers are merged by four at a time, or one by one.
        let wide = args.is(2, "on");
        if !wide && !args.is(2, "off") {
            return Err(ON_OR_OFF);
        }
        hll::set_wide_merge(wide);
        reply.simple(if wide { "enabled" } else { "disabled" });
        return Ok(Effect::None);
    }
    let found = ctx.find(args.at(2)).ok_or(NO_KEY)?;
    let encoding = encoding_of(ctx, found)?;
    let mut digits = itoa::Buffer::new();
    let value = ctx.string_of(found)?;
    let bytes = value.bytes(&mut digits);
    match &*args.at(1).to_ascii_lowercase() {
        b"encoding" => {
            reply.simple(encoding.name());
            Ok(Effect::None)
        }
        b"decode" if encoding == Encoding::Dense => Err(NOT_SPARSE),
        b"decode" => {
            let runs = hll::describe(bytes).map_err(|Corrupt| CORRUPT)?;
            reply.bulk_str(&runs);
            Ok(Effect::None)
        }
        b"getreg" => {
            let mut merged = Merged::default();
            merged.add(bytes).map_err(|Corrupt| CORRUPT)?;
            reply.array(merged.registers().len());
            for register in merged.registers() {
                reply.int(i64::from(*register));
            }
            make_dense(ctx, found, encoding)
        }
        b"todense" => {
            let effect = make_dense(ctx, found, encoding)?;
            reply.int(i64::from(encoding == Encoding::Sparse));
            Ok(effect)
        }
        _ => Err(WireError::quoting(
            "ERR Unknown PFDEBUG subcommand '",
            args.at(1),
            "'",
        )),
    }
}

fn make_dense(
    ctx: &mut WriteContext<'_>,
    found: Found,
    encoding: Encoding,
) -> Result<Effect, WireError> {
    if encoding == Encoding::Dense {
        return Ok(Effect::None);
    }
    let mut bytes = ctx.string_of(found)?.to_vec();
    hll::make_dense(&mut bytes).map_err(|Corrupt| CORRUPT)?;
    store(ctx, found, bytes);
    Ok(Effect::AsReceived)
}

/// `PFSELFTEST`
fn pfselftest(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    hll::self_test().map_err(WireError::new)?;
    reply.ok();
    Ok(())
}

/// How the HyperLogLog that was found is stored.
fn encoding_of(ctx: &WriteContext<'_>, found: Found) -> Result<Encoding, WireError> {
    let mut digits = itoa::Buffer::new();
    let value = ctx.string_of(found)?;
    hll::encoding(value.bytes(&mut digits)).ok_or(NOT_A_HYPERLOGLOG)
}

/// Gives the key new bytes.
fn store(ctx: &mut WriteContext<'_>, found: Found, mut bytes: Vec<u8>) {
    ctx.replace(found, edited_payload(&mut bytes), Expiry::Keep);
}

/// Changes the string that was found, in its place if it is a large one.
fn edit<R>(
    ctx: &mut WriteContext<'_>,
    found: Found,
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, WireError>,
) -> Result<R, WireError> {
    if ctx.entry(found).kind() == Kind::StrShared
        && let Some(bytes) = ctx.shared_string(found)
    {
        return change(bytes);
    }
    let mut bytes = ctx.string_of(found)?.to_vec();
    let result = change(&mut bytes)?;
    store(ctx, found, bytes);
    Ok(result)
}

const NOT_A_HYPERLOGLOG: WireError =
    WireError::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPT: WireError = WireError::fixed("INVALIDOBJ Corrupted HLL object detected");
const NO_KEY: WireError = WireError::fixed("ERR The specified key does not exist");
const NOT_SPARSE: WireError = WireError::fixed("ERR HLL encoding is not sparse");
const ON_OR_OFF: WireError = WireError::fixed("ERR Argument must be ON or OFF");
