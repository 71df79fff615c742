//! `FCALL` and `FCALL_RO`.

use crate::execute::SessionContext;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError};
use crate::scripting::{Call, Program, evaluate};

/// `FCALL function numkeys [key ...] [arg ...]`
pub(super) fn fcall(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    run(ctx, args, false, reply)
}

/// `FCALL_RO function numkeys [key ...] [arg ...]`
pub(super) fn fcall_ro(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    run(ctx, args, true, reply)
}

fn run(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    read_only: bool,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    ctx.show(args);
    let found = ctx.server.keyspace.functions.find(args.at(1));
    let (library, index) = found.ok_or(WireError::fixed("ERR Function not found"))?;
    let count = parse_i64(args.at(2)).ok_or(WireError::fixed("ERR Bad number of keys provided"))?;
    if count > args.len() as i64 - 3 {
        return Err(WireError::fixed(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let keys = usize::try_from(count)
        .map_err(|_| WireError::fixed("ERR Number of keys can't be negative"))?;
    let rest = args.skip(3);
    let call = Call {
        program: Program::Function(library, index),
        command: args,
        keys: rest.first(keys),
        args: rest.skip(keys),
        read_only,
    };
    evaluate(ctx, &call, reply)
}
