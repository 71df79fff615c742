//! Making the file from a snapshot.

use crate::keyspace::{Libraries, Locked};
use crate::rdb::{
    Checksum, KeyForm, Target, Usage, put_end, put_function, put_head, put_key, put_select,
    put_string,
};
use crate::server::{COMPATIBLE_VERSION, Server};
use crate::snapshot::{self, Chunks, Form, Pace, RdbForm};
use crate::time::{self, Duration};
use bytes::Bytes;
use nix::unistd::Pid;
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// A file was not made.
#[derive(Debug)]
pub enum SaveError {
    /// Somebody asked to stop.
    Cancelled,
    /// Something went wrong.
    Failed(String),
}

impl From<String> for SaveError {
    fn from(error: String) -> Self {
        SaveError::Failed(error)
    }
}

/// How files are made now; `aof_base` says that the file begins an append-only file.
pub fn form(server: &Server, aof_base: bool) -> RdbForm {
    let config = server.config.current();
    let policy = config.maxmemory_policy;
    let memory = crate::allocator::stats().allocated;
    RdbForm {
        keys: KeyForm {
            target: Target {
                version: config.rdb_write_version,
                compress: config.rdbcompression,
            },
            usage: if policy.is_lfu() {
                Usage::Frequency
            } else if policy.is_lru() {
                Usage::Idle
            } else {
                Usage::Nothing
            },
            now: time::unix_ms(),
            settings: server.settings(),
        },
        facts: vec![
            ("redis-ver", COMPATIBLE_VERSION.to_owned()),
            ("redis-bits", usize::BITS.to_string()),
            ("ctime", time::unix_seconds().to_string()),
            ("used-mem", memory.to_string()),
            ("aof-base", u8::from(aof_base).to_string()),
            ("lockstep-ver", env!("CARGO_PKG_VERSION").to_owned()),
        ],
        checksum: config.rdbchecksum,
        without_keys: false,
        strict: false,
    }
}

/// Makes the file anew; gives the number of changes that it holds.
/// It takes the place of the old one under the lock `placing`, unless it is `cancelled` by then.
pub(super) fn save(
    server: &'static Server,
    cancelled: &AtomicBool,
    placing: &Mutex<()>,
) -> Result<u64, SaveError> {
    snapshot::step_back();
    let config = server.config.current();
    let path = config.dir.join(&config.dbfilename);
    let temporary = config.dir.join(format!("temp-{}.rdb", std::process::id()));
    // Only waits, for its turn and for chunks.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| format!("waiting: {error}"))?;
    let form = Form::Rdb(Box::new(form(server, false)));
    let (changes, chunks) = runtime.block_on(snapshot::begin_with(
        server,
        "saving",
        form,
        Pace::Behind,
        |_| server.stats.changes.load(Ordering::Relaxed),
    ));
    let next =
        |chunks: &mut Chunks| runtime.block_on(async { timeout(LOOK_UP, chunks.recv()).await });
    let written = write(&temporary, chunks, next, cancelled).and_then(|()| {
        let _placing = placing.lock();
        match cancelled.load(Ordering::Relaxed) {
            true => Err(SaveError::Cancelled),
            false => put_in_place(&temporary, &path).map_err(SaveError::Failed),
        }
    });
    if written.is_err() {
        // It may not even exist.
        let _ = std::fs::remove_file(&temporary);
    }
    written.map(|()| changes)
}

fn write(
    path: &Path,
    mut chunks: Chunks,
    next: impl Fn(&mut Chunks) -> Result<Option<Result<Bytes, String>>, Elapsed>,
    cancelled: &AtomicBool,
) -> Result<(), SaveError> {
    let failed = |error: io::Error| format!("writing {}: {error}", path.display());
    let mut file = File::create(path).map_err(failed)?;
    let mut since_sync = 0;
    loop {
        let chunk = next(&mut chunks);
        if cancelled.load(Ordering::Relaxed) {
            return Err(SaveError::Cancelled);
        }
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk?,
            Ok(None) => break,
            // Nothing has come yet.
            Err(_) => continue,
        };
        file.write_all(&chunk).map_err(failed)?;
        since_sync += chunk.len();
        if since_sync >= SYNC_EVERY {
            // So that nobody else's fsync has to wait for all of it.
            since_sync = 0;
            file.sync_data().map_err(failed)?;
        }
    }
    file.sync_all().map_err(failed)?;
    Ok(())
}

/// Removes what killed servers have left of files that they were making in `dir`. Those of
/// processes that live are theirs.
pub fn remove_leftovers(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(maker_of) else {
            continue;
        };
        // This process has made nothing yet.
        let lives = pid.as_raw() as u32 != std::process::id()
            && nix::sys::signal::kill(pid, None) != Err(nix::errno::Errno::ESRCH);
        if !lives && std::fs::remove_file(entry.path()).is_ok() {
            tracing::info!(file = %entry.path().display(), "removed what a killed server left");
        }
    }
}

/// The process that makes the file of this name, if it is the name of one in the making.
fn maker_of(name: &str) -> Option<Pid> {
    let middle = name.strip_prefix("temp-")?.strip_suffix(".rdb")?;
    let pid = match middle.strip_prefix("repl-") {
        Some(rest) => rest.split_once('-')?.0,
        None => middle.strip_prefix("locked-").unwrap_or(middle),
    };
    // 0 and less are no processes.
    let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
    Some(Pid::from_raw(pid))
}

fn put_in_place(temporary: &Path, path: &Path) -> Result<(), String> {
    let renamed = std::fs::rename(temporary, path).and_then(|()| {
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        match folder.as_os_str().is_empty() {
            true => File::open("."),
            false => File::open(folder),
        }?
        .sync_all()
    });
    renamed.map_err(|error| format!("putting {} in place: {error}", path.display()))
}

/// Makes the file anew from everything, all of it locked (`DEBUG RELOAD`, `FLUSHALL`).
///
/// # Errors
/// What went wrong; the old file is then as it was.
pub fn save_locked(server: &Server, locked: &Locked<'_>) -> Result<(), String> {
    let config = server.config.current();
    let path = config.dir.join(&config.dbfilename);
    // A save may be running beside this.
    let name = format!("temp-locked-{}.rdb", std::process::id());
    let temporary = config.dir.join(name);
    let libraries = server.keyspace.functions.get();
    let bytes = encode(locked, &libraries, &form(server, false));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written
        .map_err(|error| format!("writing {}: {error}", temporary.display()))
        .and_then(|()| put_in_place(&temporary, &path))
}

/// A file of everything that is locked, in memory.
fn encode(locked: &Locked<'_>, libraries: &Libraries, form: &RdbForm) -> Vec<u8> {
    let mut out = Vec::new();
    put_head(&mut out, form.keys.target, &form.facts);
    for library in libraries.iter() {
        put_function(&mut out, &library.code, form.keys.target);
    }
    let mut selected = None;
    for (db, shard) in locked.shards() {
        for entry in shard.entries() {
            if selected != Some(db) {
                selected = Some(db);
                put_select(&mut out, db);
            }
            if let Some(text) = put_key(&mut out, entry, &form.keys) {
                put_string(&mut out, &text, form.keys.target.compress);
            }
        }
    }
    let mut sum = Checksum::default();
    sum.update(&out);
    put_end(&mut out, Some(sum));
    out
}

/// How often to look whether the file is still wanted.
const LOOK_UP: Duration = Duration::from_millis(50);
/// Bytes between fsyncs.
const SYNC_EVERY: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_in_the_making_have_a_maker() {
        let maker = |name| maker_of(name).map(Pid::as_raw);
        assert_eq!(maker("temp-123.rdb"), Some(123));
        assert_eq!(maker("temp-repl-45-6.rdb"), Some(45));
        assert_eq!(maker("temp-locked-7.rdb"), Some(7));
        for other in [
            "dump.rdb",
            "temp-x.rdb",
            "temp-0.rdb",
            "temp--1.rdb",
            "temp-1.aof",
            "temp-repl-7.rdb",
        ] {
            assert_eq!(maker(other), None, "{other}");
        }
    }
}
