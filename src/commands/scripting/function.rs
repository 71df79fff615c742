//! `FUNCTION`: libraries, and the function that runs.
//!
//! What changes the libraries locks everything, so that they agree with the log as the keys
//! do: a snapshot holds what the log has said before it.

use crate::execute::{Effect, Origin, ReadContext, SessionContext, WriteContext};
use crate::glob;
use crate::keyspace::{Conflict, Libraries, Library};
use crate::protocol::{Args, Reply, WireError};
use crate::rdb;
use crate::scripting::{
    Kind, LOAD_TIMEOUT, ScriptFlags, conflict_text, library_name, read_library,
};
use crate::time::Duration;

/// `FUNCTION LOAD [REPLACE] function-code`
pub(super) fn load(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let last = args.len() - 1;
    let mut replace = false;
    for at in 2..last {
        if !args.is(at, "replace") {
            let text = "ERR Unknown option given: ";
            return Err(WireError::quoting(text, args.at(at), ""));
        }
        replace = true;
    }
    let mut all = Libraries::clone(&ctx.functions().get());
    let name = library_name(args.at(last))?;
    if !replace && all.has(&name) {
        // Before its text runs, as in Redis.
        return Err(conflict_text(&Conflict::Library(name)));
    }
    let library = read_library(args.at(last), patience(ctx))?;
    all.add(library, replace)
        .map_err(|conflict| conflict_text(&conflict))?;
    ctx.functions().replace(all);
    reply.bulk(&name);
    Ok(Effect::AsReceived)
}

/// `FUNCTION DELETE library-name`
pub(super) fn delete(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let mut all = Libraries::clone(&ctx.functions().get());
    if !all.remove(args.at(2)) {
        return Err(WireError::fixed("ERR Library not found"));
    }
    ctx.functions().replace(all);
    reply.ok();
    Ok(Effect::AsReceived)
}

/// `FUNCTION FLUSH [ASYNC | SYNC]`
pub(super) fn flush(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    if args.len() > 3 {
        return Err(too_many(args));
    }
    if args.len() == 3 && !args.is(2, "async") && !args.is(2, "sync") {
        return Err(WireError::fixed(
            "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
        ));
    }
    ctx.functions().replace(Libraries::default());
    reply.ok();
    Ok(Effect::AsReceived)
}

/// `FUNCTION RESTORE serialized-value [FLUSH | APPEND | REPLACE]`
pub(super) fn restore(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    if args.len() > 4 {
        return Err(too_many(args));
    }
    let (flush, replace) = (args.is(3, "flush"), args.is(3, "replace"));
    if args.len() == 4 && !flush && !replace && !args.is(3, "append") {
        return Err(WireError::fixed(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ));
    }
    let codes =
        rdb::read_functions(args.at(2)).map_err(|error| WireError::new(format!("ERR {error}")))?;
    let mut all = match flush {
        true => Libraries::default(),
        false => Libraries::clone(&ctx.functions().get()),
    };
    let mut given = Libraries::default();
    for code in codes {
        let library = read_library(&code, patience(ctx))?;
        given
            .add(library, false)
            .map_err(|conflict| conflict_text(&conflict))?;
    }
    if replace {
        // All of them make room before the first comes, for functions that have moved.
        given.iter().for_each(|library| {
            all.remove(&library.name);
        });
    }
    for library in given.iter() {
        all.add(Library::clone(library), false)
            .map_err(|conflict| match conflict {
                Conflict::Library(name) => {
                    WireError::quoting("ERR Library ", &name, " already exists")
                }
                conflict => conflict_text(&conflict),
            })?;
    }
    ctx.functions().replace(all);
    reply.ok();
    Ok(Effect::AsReceived)
}

/// What has been accepted once is never too slow.
fn patience(ctx: &WriteContext<'_>) -> Option<Duration> {
    (ctx.origin() == Origin::Client).then_some(LOAD_TIMEOUT)
}

/// `FUNCTION DUMP`
pub(super) fn dump(
    ctx: &ReadContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let all = ctx.functions().get();
    let codes = all.iter().map(|library| &*library.code);
    reply.bulk(&rdb::write_functions(codes, ctx.settings().rdb));
    Ok(())
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`
pub(super) fn list(
    ctx: &ReadContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (mut pattern, mut with_code, mut at) = (None, false, 2);
    while at < args.len() {
        if !with_code && args.is(at, "withcode") {
            with_code = true;
        } else if pattern.is_none() && args.is(at, "libraryname") {
            at += 1;
            let given = args.get(at);
            pattern =
                Some(given.ok_or(WireError::fixed("ERR library name argument was not given"))?);
        } else {
            return Err(WireError::quoting("ERR Unknown argument ", args.at(at), ""));
        }
        at += 1;
    }
    let all = ctx.functions().get();
    let fits = |library: &&std::sync::Arc<Library>| {
        pattern.is_none_or(|pattern| glob::matches(pattern, &library.name, true))
    };
    let shown: Vec<_> = all.iter().filter(fits).collect();
    reply.array(shown.len());
    for library in shown {
        write_library(library, with_code, reply);
    }
    Ok(())
}

fn write_library(library: &Library, with_code: bool, reply: &mut Reply<'_>) {
    reply.map(3 + usize::from(with_code));
    reply.bulk_str("library_name");
    reply.bulk(&library.name);
    reply.bulk_str("engine");
    reply.bulk_str("LUA");
    reply.bulk_str("functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk_str("name");
        reply.bulk(&function.name);
        reply.bulk_str("description");
        match &function.description {
            Some(text) => reply.bulk(text),
            None => reply.null(),
        }
        reply.bulk_str("flags");
        let flags = ScriptFlags::from_bits_truncate(function.flags);
        let names = ScriptFlags::NAMES;
        let set = names.iter().filter(|(_, flag)| flags.contains(*flag));
        reply.set(set.clone().count());
        for (name, _) in set {
            reply.simple(name);
        }
    }
    if with_code {
        reply.bulk_str("library_code");
        reply.bulk(&library.code);
    }
}

/// `FUNCTION STATS`
pub(super) fn stats(
    ctx: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let scripts = &ctx.server.scripts;
    let function = scripts.slow_function();
    if function.is_none() && scripts.is_slow() {
        return Err(scripts.busy_error());
    }
    reply.map(2);
    reply.bulk_str("running_script");
    match function {
        Some(function) => {
            reply.map(3);
            reply.bulk_str("name");
            reply.bulk(&function.name);
            reply.bulk_str("command");
            let command = function.command.view();
            reply.array(command.len());
            command.iter().for_each(|word| reply.bulk(word));
            reply.bulk_str("duration_ms");
            reply.int(function.since.elapsed().as_millis() as i64);
        }
        None => reply.null(),
    }
    let (libraries, functions) = ctx.server.keyspace.functions.get().counts();
    reply.bulk_str("engines");
    reply.map(1);
    reply.bulk_str("LUA");
    reply.map(2);
    reply.bulk_str("libraries_count");
    reply.int(libraries as i64);
    reply.bulk_str("functions_count");
    reply.int(functions as i64);
    Ok(())
}

/// `FUNCTION KILL`
pub(super) fn kill(
    ctx: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    ctx.server.scripts.kill_slow(Kind::Functions)?;
    reply.ok();
    Ok(())
}

/// `FUNCTION HELP`
pub(super) fn help(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help("FUNCTION", HELP);
    Ok(())
}

fn too_many(args: Args<'_>) -> WireError {
    WireError::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        args.at(1),
        "'. Try FUNCTION HELP.",
    )
}

const HELP: &[&str] = &[
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
];
