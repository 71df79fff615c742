//! `EVAL` and its like.

use crate::execute::SessionContext;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::scripting::{Call, Program, Script, check, evaluate, parse_sha};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `EVAL script numkeys [key ...] [arg ...]`
pub(super) fn eval(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    by_text(ctx, args, false, reply)
}

/// `EVAL_RO script numkeys [key ...] [arg ...]`
pub(super) fn eval_ro(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    by_text(ctx, args, true, reply)
}

/// `EVALSHA sha1 numkeys [key ...] [arg ...]`
pub(super) fn evalsha(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    by_sha(ctx, args, false, reply)
}

/// `EVALSHA_RO sha1 numkeys [key ...] [arg ...]`
pub(super) fn evalsha_ro(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    by_sha(ctx, args, true, reply)
}

fn by_text(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    read_only: bool,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    ctx.show(args);
    let keys = count_keys(args)?;
    let scripts = &ctx.server.scripts;
    let script = match scripts.of_text(args.at(1)) {
        Some(script) => script,
        None => {
            let script = Arc::new(Script::new(args.at(1))?);
            check(ctx.server, &script)?;
            let forgotten = scripts.keep_evaluated(&script);
            let counter = &ctx.server.stats.evicted_scripts;
            counter.fetch_add(forgotten, Ordering::Relaxed);
            script
        }
    };
    run(ctx, script, args, keys, read_only, reply)
}

fn by_sha(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    read_only: bool,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    ctx.show(args);
    // Redis looks for the script before it looks at the number of keys only if the digest
    // has the wrong length.
    let sha = parse_sha(args.at(1)).ok_or(NO_SCRIPT)?;
    let keys = count_keys(args)?;
    let script = ctx.server.scripts.used(&sha).ok_or(NO_SCRIPT)?;
    run(ctx, script, args, keys, read_only, reply)
}

fn count_keys(args: Args<'_>) -> Result<usize, WireError> {
    let count = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    if count > args.len() as i64 - 3 {
        return Err(WireError::fixed(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    usize::try_from(count).map_err(|_| WireError::fixed("ERR Number of keys can't be negative"))
}

fn run(
    ctx: &mut SessionContext<'_>,
    script: Arc<Script>,
    args: Args<'_>,
    keys: usize,
    read_only: bool,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let rest = args.skip(3);
    let call = Call {
        program: Program::Script(script),
        command: args,
        keys: rest.first(keys),
        args: rest.skip(keys),
        read_only,
    };
    evaluate(ctx, &call, reply)
}

const NO_SCRIPT: WireError = WireError::fixed("NOSCRIPT No matching script. Please use EVAL.");
