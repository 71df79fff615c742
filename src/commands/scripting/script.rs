//! `SCRIPT`: the cache of scripts, and the script that runs.

use crate::execute::SessionContext;
use crate::protocol::{Args, Reply, WireError};
use crate::scripting::{Kind, Script, check, parse_sha};
use std::sync::Arc;

/// `SCRIPT LOAD script`
pub(super) fn load(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let scripts = &ctx.server.scripts;
    let script = match scripts.of_text(args.at(2)) {
        Some(script) => script,
        None => {
            let script = Arc::new(Script::new(args.at(2))?);
            check(ctx.server, &script)?;
            script
        }
    };
    scripts.keep_loaded(&script);
    reply.bulk_str(&script.hex());
    Ok(())
}

/// `SCRIPT EXISTS sha1 [sha1 ...]`
pub(super) fn exists(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.array(args.len() - 2);
    for digits in args.from(2) {
        let sha = parse_sha(digits);
        let known = sha.is_some_and(|sha| ctx.server.scripts.get(&sha).is_some());
        reply.int(i64::from(known));
    }
    Ok(())
}

/// `SCRIPT FLUSH [ASYNC | SYNC]`
pub(super) fn flush(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let known = args.is(2, "async") || args.is(2, "sync");
    if args.len() > 3 || args.len() == 3 && !known {
        return Err(WireError::fixed(
            "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
        ));
    }
    ctx.server.scripts.flush();
    reply.ok();
    Ok(())
}

/// `SCRIPT KILL`
pub(super) fn kill(
    ctx: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    ctx.server.scripts.kill_slow(Kind::Scripts)?;
    reply.ok();
    Ok(())
}

/// `SCRIPT SHOW sha1`: Valkey's.
pub(super) fn show(
    ctx: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let sha = parse_sha(args.at(2));
    match sha.and_then(|sha| ctx.server.scripts.get(&sha)) {
        Some(script) => reply.bulk(&script.body),
        None => return Err(WireError::fixed("NOSCRIPT No matching script.")),
    }
    Ok(())
}

/// `SCRIPT DEBUG YES | SYNC | NO`
pub(super) fn debug(
    _: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.is(2, "no") {
        reply.ok();
        return Ok(());
    }
    Err(if args.is(2, "yes") || args.is(2, "sync") {
        WireError::fixed("ERR The script debugger is not available")
    } else {
        WireError::fixed("ERR Use SCRIPT DEBUG YES/SYNC/NO")
    })
}

/// `SCRIPT HELP`
pub(super) fn help(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help("SCRIPT", HELP);
    Ok(())
}

const HELP: &[&str] = &[
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
];
