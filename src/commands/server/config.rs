//! `CONFIG`. Options and their checks live in `config/`.

use crate::config::{Change, Config};
use crate::execute::SessionContext;
use crate::protocol::{Args, Reply, WireError, errors};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

pub(super) fn get(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let patterns: Vec<&[u8]> = args.from(2).collect();
    let found = context.server.config.get(&patterns);
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    Ok(())
}

pub(super) fn set(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() % 2 == 1 {
        return Err(errors::SYNTAX);
    }
    let rest: Vec<&[u8]> = args.from(2).collect();
    let pairs: Vec<(&[u8], &[u8])> = rest.chunks_exact(2).map(|p| (p[0], p[1])).collect();
    let server = context.server;
    let local = context.client.is_local();
    let change = server
        .config
        .set(&pairs, local, apply)
        .map_err(|error| WireError::new(error.to_string()))?;
    server.config_changed();
    // The next command must not slip through before anybody has looked. Inside EXEC this thread
    // holds locks, and the cron looks soon after.
    let memory = change.includes("maxmemory") || change.includes("maxmemory-policy");
    if memory && !context.in_transaction() {
        server.relieve_memory(true);
    }
    for name in &change.inert {
        tracing::warn!(option = name, "this option has no effect in Lockstep");
    }
    tracing::info!(options = ?change.names, "CONFIG SET");
    reply.ok();
    Ok(())
}

/// Does what a change needs beyond being stored, or refuses it.
fn apply(change: &Change) -> Result<(), (&'static str, String)> {
    for name in RESTART_ONLY {
        if change.includes(name) {
            return Err((name, "it can only be changed by a restart".to_owned()));
        }
    }
    if change.includes("maxclients") {
        allow_files(change.new.maxclients).map_err(|reason| ("maxclients", reason))?;
    }
    if change.includes("dir") {
        std::env::set_current_dir(&change.new.dir).map_err(|e| ("dir", e.to_string()))?;
    }
    if change.includes("appendonly") && change.new.appendonly {
        can_hold_files(&change.new).map_err(|error| {
            tracing::warn!(%error, "the append-only file cannot be turned on");
            let reason = "Unable to turn on AOF. Check server logs.";
            ("appendonly", reason.to_owned())
        })?;
    }
    Ok(())
}

/// Sees to it that the process may open a file for each of so many clients, and those that it
/// needs besides.
fn allow_files(clients: usize) -> Result<(), String> {
    let needed = (clients as u64).saturating_add(OTHER_FILES);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| e.to_string())?;
    if needed <= soft {
        return Ok(());
    }
    let most = hard.max(soft);
    let raised = needed <= most && setrlimit(Resource::RLIMIT_NOFILE, needed, hard).is_ok();
    if raised {
        return Ok(());
    }
    let fit = most.saturating_sub(OTHER_FILES);
    Err(format!(
        "The operating system is not able to handle the specified number of clients, try with {fit}"
    ))
}

/// What Redis sets aside for files that are not clients.
const OTHER_FILES: u64 = 32;

/// Whether the folder of the append-only file is there and takes files: told now, it is a refused
/// option; found out later, all writes would have to be refused.
fn can_hold_files(config: &Config) -> std::io::Result<()> {
    let folder = config.dir.join(&config.appenddirname);
    std::fs::create_dir_all(&folder)?;
    let probe = folder.join(format!("temp-probe-{}", std::process::id()));
    std::fs::File::create(&probe)?;
    std::fs::remove_file(probe)
}

/// What Redis can change while it runs and this server cannot.
const RESTART_ONLY: [&str; 2] = ["bind", "port"];

pub(super) fn rewrite(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let rewritten = context.server.config.rewrite();
    rewritten.map_err(|error| WireError::new(error.to_string()))?;
    tracing::info!("CONFIG REWRITE");
    reply.ok();
    Ok(())
}

pub(super) fn resetstat(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    context.server.stats.reset(context.command());
    context.server.evictor.reset_exceeded();
    reply.ok();
    Ok(())
}

pub(super) fn help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "CONFIG",
        &[
            "GET <pattern> [<pattern> ...]",
            "    Show the options that match the patterns.",
            "RESETSTAT",
            "    Set the counters of INFO back to 0.",
            "REWRITE",
            "    Write the options in force to the configuration file.",
            "SET <option> <value> [<option> <value> ...]",
            "    Change options.",
        ],
    );
    Ok(())
}
