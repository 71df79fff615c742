//! Making a new base from a snapshot, and the files that a start needs.
//!
//! A rewrite divides the log at its snapshot's instant: the writer goes on in a new increment
//! from there, while a thread writes the snapshot to a temporary file. Once that is fsynced and
//! renamed, one new manifest puts it in the place of the old base and of the increments before
//! the division. A crash before that leaves the old base and all increments, which say the
//! same.
//!
//! *Fresh* files are made when those on disk are of another history or none: then the new
//! increment is named by no manifest before the new base is.

use super::handle::{Files, Mode};
use super::manifest::{self, FileInfo, Kind, Manifest, files_like, sync_dir};
use crate::dump_file;
use crate::server::Server;
use crate::snapshot::{self, Chunks, Form, Pace};
use crate::time::{Duration, Instant};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

/// Starts a rewrite on a thread of its own; false if one runs.
pub(super) fn start(server: &'static Server, fresh: bool) -> bool {
    {
        let mut gate = server.aof.gate.lock();
        if gate.rewriting {
            return false;
        }
        gate.rewriting = true;
        gate.fresh = fresh;
    }
    // Before the command that asked for it is answered: who then asks whether it is done must
    // not be told so because the thread has not begun.
    server.aof.status.lock().rewriting_since = Some(Instant::now());
    let spawned = server.aof.start_writer(server).and_then(|()| {
        std::thread::Builder::new()
            .name("aof-rewrite".into())
            .spawn(move || run(server, fresh))
    });
    if let Err(error) = spawned {
        ended(
            server,
            fresh,
            Err(format!("no thread: {error}")),
            Instant::now(),
        );
        server.aof.gate.lock().rewriting = false;
    }
    true
}

/// Starts a rewrite if the file has grown enough, or if an earlier one has to be repeated.
pub(super) fn if_due(server: &'static Server) {
    let (idle, linked, retry) = {
        let gate = server.aof.gate.lock();
        let retry = gate.retry_at.is_some_and(|at| at <= Instant::now());
        (!gate.rewriting, gate.mode == Mode::On && gate.linked, retry)
    };
    if !idle {
        return;
    }
    if retry {
        server.aof.gate.lock().retry_at = None;
        start(server, !linked || server.aof.last_error().is_some());
        return;
    }
    let config = server.config.current();
    let status = server.aof.status();
    let percentage = u64::from(config.auto_aof_rewrite_percentage);
    let (current, base) = (status.current_bytes, status.base_bytes.max(1));
    if linked
        && percentage > 0
        && current > config.auto_aof_rewrite_min_size
        && current.saturating_sub(base).saturating_mul(100) / base >= percentage
        && !server.snapshots.in_progress()
        && server.aof.gate.lock().retry_at.is_none()
    {
        tracing::info!(
            base,
            current,
            "the append-only file has grown; rewriting it"
        );
        start(server, false);
    }
}

fn run(server: &'static Server, mut fresh: bool) {
    loop {
        let begun = Instant::now();
        {
            let mut status = server.aof.status.lock();
            status.rewriting_since = Some(begun);
            status.rewrites += 1;
        }
        let result = once(server, fresh);
        let again = ended(server, fresh, result, begun);
        if !again {
            return;
        }
        fresh = true;
    }
}

/// Notes how a rewrite ended; whether fresh files are to be made at once.
fn ended(server: &'static Server, fresh: bool, result: Result<(), String>, begun: Instant) -> bool {
    {
        let mut status = server.aof.status.lock();
        status.rewriting_since = None;
        status.last_rewrite_took = Some(begun.elapsed());
        status.last_rewrite_failed = result.is_err();
        status.failed_in_a_row = match result {
            Ok(()) => 0,
            Err(_) => status.failed_in_a_row + 1,
        };
    }
    let mut gate = server.aof.gate.lock();
    let again = std::mem::take(&mut gate.fresh_wanted);
    gate.rewriting = again;
    gate.fresh = again;
    match result {
        Ok(()) => tracing::info!("rewrite of the append-only file done"),
        Err(error) => {
            tracing::warn!(%error, "rewrite of the append-only file failed");
            if !again && (fresh || gate.mode == Mode::On) {
                gate.retry_at = Some(Instant::now() + RETRY);
            }
        }
    }
    again
}

fn once(server: &'static Server, fresh: bool) -> Result<(), String> {
    snapshot::step_back();
    let failed = |doing: &'static str| move |error: io::Error| format!("{doing}: {error}");
    // Only waits, for its turn and for chunks.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(failed("waiting"))?;
    let as_rdb = server.config.current().aof_use_rdb_preamble;
    let form = match as_rdb {
        true => Form::Rdb(Box::new(dump_file::form(server, true))),
        false => Form::Commands,
    };
    let ((generation, division), chunks) = runtime.block_on(snapshot::begin_with(
        server,
        "append-only file",
        form,
        Pace::Behind,
        |instant| server.aof.divide(server, instant, fresh),
    ));
    server.aof.wake();
    let (temporary, dir) = {
        let files = server.aof.files.lock();
        let name = format!("{TEMPORARY}{}.aof", std::process::id());
        (files.dir.join(name), files.dir.clone())
    };
    std::fs::create_dir_all(&dir).map_err(failed("creating the folder"))?;
    let written = write_base(server, &temporary, chunks, generation);
    if let Err(error) = written {
        // It may not even exist.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    let first = match division {
        Some(division) => Some(divided(&division)?),
        None => None,
    };
    adopt(server, &temporary, as_rdb, first, generation)
}

/// Waits until the writer has begun the new increment.
fn divided(division: &Receiver<Result<FileInfo, String>>) -> Result<FileInfo, String> {
    division
        .recv()
        .map_err(|_| "the writer has begun something else".to_owned())?
}

fn write_base(
    server: &'static Server,
    path: &Path,
    mut chunks: Chunks,
    generation: u64,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("writing {}: {error}", path.display());
    let mut file = File::create(path).map_err(failed)?;
    let mut since_sync = 0;
    while let Some(chunk) = chunks.blocking_recv() {
        let chunk = chunk?;
        file.write_all(&chunk).map_err(failed)?;
        since_sync += chunk.len();
        if since_sync >= SYNC_EVERY {
            // In portions, so that the fsyncs of the writer never wait for all of it.
            since_sync = 0;
            file.sync_data().map_err(failed)?;
        }
        if server.aof.gate.lock().generation != generation {
            return Err("the data was replaced meanwhile".into());
        }
    }
    file.sync_all().map_err(failed)
}

/// Makes the temporary file the base, and what it replaces history.
fn adopt(
    server: &'static Server,
    temporary: &Path,
    as_rdb: bool,
    first: Option<FileInfo>,
    generation: u64,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("putting the new base in place: {error}");
    if server.aof.gate.lock().generation != generation {
        let _ = std::fs::remove_file(temporary);
        return Err("the data was replaced meanwhile".into());
    }
    let writes = first.is_some();
    let mut files = server.aof.files.lock();
    if !writes {
        read_manifest(&mut files).map_err(failed)?;
    }
    let before = files.manifest.clone();
    if let Err(error) = put_in_place(&mut files, temporary, as_rdb, first) {
        files.manifest = before;
        return Err(failed(error));
    }
    let bytes = files.bytes();
    server.aof.status.lock().base_bytes = bytes;
    server.aof.current_bytes.store(bytes, Ordering::Relaxed);
    // The new chain is whole; what remains is tidying, which the next start repeats.
    if let Err(error) = delete_history(&mut files) {
        tracing::warn!(%error, "old append-only files could not be deleted");
    }
    drop(files);
    let mut gate = server.aof.gate.lock();
    if writes && gate.generation == generation {
        gate.linked = true;
        drop(gate);
        server.aof.mended(server);
        server.aof.wake();
    }
    Ok(())
}

/// A base without a manifest is refused at a start, so that between the two nothing happens
/// that takes long.
fn put_in_place(
    files: &mut Files,
    temporary: &Path,
    as_rdb: bool,
    first: Option<FileInfo>,
) -> io::Result<()> {
    if files.manifest == Manifest::default() {
        files.manifest = files.manifest.beyond_files(&files.dir, &files.prefix)?;
    }
    let base = files.manifest.next_base(&files.prefix, as_rdb);
    let path = files.path(&base);
    files.manifest.replace_base(base, first);
    let name = files.manifest_name();
    files.manifest.prepare(&files.dir, &name)?;
    std::fs::rename(temporary, path)?;
    manifest::commit(&files.dir, &name)
}

fn delete_history(files: &mut Files) -> io::Result<()> {
    if files.manifest.history.is_empty() {
        return Ok(());
    }
    for info in &files.manifest.history {
        match std::fs::remove_file(files.path(info)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    files.manifest.history.clear();
    files.persist()
}

/// Reads the manifest on disk, if none is known: its numbers must not be used again, and its
/// files are to be deleted.
pub(super) fn read_manifest(files: &mut Files) -> io::Result<()> {
    if files.manifest != Manifest::default() {
        return Ok(());
    }
    match std::fs::read(files.dir.join(files.manifest_name())) {
        Ok(text) => {
            let parsed = Manifest::parse(&text);
            files.manifest =
                parsed.map_err(|error| io::Error::other(format!("the manifest, {error}")))?;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Completes the files after a start: a base, an increment to go on with, nothing stale.
pub(super) fn prepare_files(files: &mut Files) -> io::Result<FileInfo> {
    for entry in std::fs::read_dir(&files.dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            std::fs::remove_file(entry.path())?;
        }
    }
    // Files that were made and not named yet when the server was killed.
    for info in files_like(&files.dir, &files.prefix)? {
        let path = files.path(&info);
        let named = files.manifest.to_load().chain(&files.manifest.history);
        if named.into_iter().all(|file| file.name != info.name) && path.metadata()?.len() == 0 {
            std::fs::remove_file(path)?;
        }
    }
    let mut changed = false;
    if files.manifest == Manifest::default() {
        files.manifest = files.manifest.beyond_files(&files.dir, &files.prefix)?;
        let base = files.manifest.next_base(&files.prefix, false);
        File::create(files.path(&base))?.sync_all()?;
        files.manifest.replace_base(base, None);
        changed = true;
    }
    let incr = match files.manifest.incr.last() {
        Some(incr) => incr.clone(),
        None => {
            let incr = files.manifest.next_incr(&files.prefix);
            File::create(files.path(&incr))?.sync_all()?;
            files.manifest.push_incr(incr.clone());
            changed = true;
            incr
        }
    };
    if changed {
        sync_dir(&files.dir)?;
        files.persist()?;
    }
    delete_history(files)?;
    Ok(incr)
}

/// Before version 7 Redis kept one file beside the RDB file: it becomes the base.
pub(super) fn adopt_single_file(server: &'static Server, dir: &Path, name: &str) -> io::Result<()> {
    let config = server.config.current();
    let single = config.dir.join(&config.appendfilename);
    if dir.join(name).exists() || !single.is_file() {
        return Ok(());
    }
    let mut taken = Manifest::default();
    taken.replace_base(
        FileInfo {
            name: config.appendfilename.clone(),
            seq: 1,
            kind: Kind::Base,
        },
        None,
    );
    // The manifest first: until the file follows, a start fails rather than finds nothing.
    taken.persist(dir, name)?;
    std::fs::rename(&single, dir.join(&config.appendfilename))?;
    sync_dir(dir)?;
    tracing::info!(file = %single.display(), "an append-only file of an old version was taken over");
    Ok(())
}

/// What the names of unfinished bases begin with, as Redis's do.
const TEMPORARY: &str = "temp-rewriteaof-bg-";
/// Bytes of a base between fsyncs.
const SYNC_EVERY: usize = 4 << 20;
/// The pause after a rewrite that failed.
const RETRY: Duration = Duration::from_secs(10);
