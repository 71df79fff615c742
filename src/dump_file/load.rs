//! Reading a file into the keyspace.

use super::insert::{Collector, WAITING, insert_all};
use crate::execute::{Settings, created, with_frequency, with_idle};
use crate::keyspace::{DbIndex, Entry, Keyspace, Libraries};
use crate::rdb::{self, FileReader, Item, Key, Problem, RdbError};
use crate::scripting::read_library;
use crate::server::{Counted, Server};
use crate::snapshot;
use crate::time::{self, Instant, UnixMs};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

/// The file cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system refused.
    #[error("can't open the RDB file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it cannot be loaded.
    #[error("the RDB file {}, {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What and where.
        error: RdbError,
    },
}

/// What a file held.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Keys that were put into the keyspace.
    pub keys: u64,
    /// Keys that had expired and were left out.
    pub expired: u64,
    /// Libraries of functions.
    pub libraries: Libraries,
    /// Where in which history the file stands, if it says so.
    pub position: Option<(String, u64)>,
    /// The database that the stream has selected there.
    pub selected: Option<DbIndex>,
}

/// Loads the file that the configuration names, if it exists; whether it does.
///
/// # Errors
/// The data in memory is then incomplete and must not be served.
pub fn load_at_start(server: &'static Server) -> Result<bool, LoadError> {
    let config = server.config.current();
    let path = config.dir.join(&config.dbfilename);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(LoadError::Io { path, source }),
    };
    let begun = Instant::now();
    let content = |error| LoadError::Content {
        path: path.clone(),
        error,
    };
    server
        .loading
        .begins(file.metadata().map_or(0, |of| of.len()));
    let file = Counted {
        inner: file,
        progress: &server.loading,
    };
    let mut reader = FileReader::new(file, config.rdbchecksum).map_err(content)?;
    let loaded = load_into(server, &mut reader, Expired::LeftOut).map_err(content)?;
    tracing::info!(
        file = %path.display(),
        keys = loaded.keys,
        expired = loaded.expired,
        bytes = reader.offset(),
        seconds = begun.elapsed().as_secs_f64(),
        "RDB file loaded"
    );
    server.dump_file.loaded(loaded.keys, loaded.expired);
    resume(server, &loaded);
    Ok(true)
}

/// Loads the file into a keyspace that the caller has locked (`DEBUG RELOAD`).
///
/// # Errors
/// When there is no file or it cannot be loaded.
pub fn load_locked(
    server: &Server,
    rules: &Rules<'_>,
    put: impl FnMut(DbIndex, Entry, u64) -> bool,
) -> Result<(), LoadError> {
    let config = server.config.current();
    let path = config.dir.join(&config.dbfilename);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(source) => return Err(LoadError::Io { path, source }),
    };
    let loaded = FileReader::new(file, config.rdbchecksum)
        .and_then(|mut reader| load_items(&mut reader, rules, put));
    match loaded {
        Ok(loaded) => {
            server.dump_file.loaded(loaded.keys, loaded.expired);
            server.keyspace.functions.replace(loaded.libraries);
            Ok(())
        }
        Err(error) => Err(LoadError::Content { path, error }),
    }
}

/// Goes on in the history of which the file is a part.
fn resume(server: &Server, loaded: &Loaded) {
    let Some((replid, offset)) = &loaded.position else {
        return;
    };
    server.replication.restore(replid.clone());
    server.log.restart_at(*offset);
    match loaded.selected {
        Some(db) => server.log.set_selected(db),
        None => server.log.forget_selected(),
    }
    server.log.start_recording();
    if server.config.current().replicaof.is_none() {
        server.replication.renew(*offset);
    }
}

/// What becomes of keys that have expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// They are left out.
    LeftOut,
    /// They are taken like others: what follows may speak of them.
    Taken,
}

/// Loads everything from `reader` into the server's keyspace.
///
/// # Errors
/// When the file is damaged, or holds a key twice or one that is there already.
pub fn load_into<R: Read>(
    server: &'static Server,
    reader: &mut FileReader<R>,
    expired: Expired,
) -> Result<Loaded, RdbError> {
    load_beside(server, &server.keyspace, reader, expired)
}

/// Loads everything from `reader` into another keyspace than the one that is served.
///
/// # Errors
/// As [`load_into`].
pub fn load_beside<R: Read>(
    server: &Server,
    keyspace: &Keyspace,
    reader: &mut FileReader<R>,
    expired: Expired,
) -> Result<Loaded, RdbError> {
    let now = time::unix_ms();
    let rules = Rules {
        settings: &server.settings(),
        databases: keyspace.databases(),
        now,
        expired,
    };
    let loaded = std::thread::scope(|scope| {
        let (send, receive) = sync_channel(WAITING);
        let inserting = scope.spawn(move || insert_all(keyspace, receive, now));
        let mut collector = Collector::new(send);
        let delay = || server.config.current().key_load_delay;
        let slow = delay() != 0;
        let loaded = load_items(reader, &rules, |db, entry, at| {
            if slow {
                snapshot::dawdle(delay, 1, || true);
            }
            collector.put(db, entry, at)
        });
        collector.flush();
        drop(collector);
        match inserting.join() {
            Ok(Ok(())) => loaded,
            Ok(Err(offset)) => Err(RdbError {
                offset,
                what: Problem::Duplicate("a key"),
            }),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    keyspace.functions.replace(loaded.libraries.clone());
    Ok(loaded)
}

/// How keys are taken from a file.
pub struct Rules<'a> {
    /// Decides on the encodings.
    pub settings: &'a Settings,
    /// How many databases there are.
    pub databases: u32,
    /// The time.
    pub now: UnixMs,
    /// What becomes of keys that have expired.
    pub expired: Expired,
}

/// Hands every key of a file to `put`, with the offset at which it begins; `put` answers whether
/// there was none of its name.
///
/// # Errors
/// When the file is damaged or `put` has refused a key.
pub fn load_items<R: Read>(
    reader: &mut FileReader<R>,
    rules: &Rules<'_>,
    mut put: impl FnMut(DbIndex, Entry, u64) -> bool,
) -> Result<Loaded, RdbError> {
    let mut loaded = Loaded::default();
    let mut facts = Facts::default();
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Aux(name, value) => facts.note(&name, &value),
            Item::Sizes(..) => {}
            Item::Function(code) => take_library(&code, reader.offset(), &mut loaded)?,
            Item::Key(key) => take_key(key, rules, &mut loaded, &mut put)?,
        }
    }
    loaded.position = facts.replid.zip(facts.offset);
    loaded.selected = facts.selected.filter(|db| db.0 < rules.databases);
    Ok(loaded)
}

fn take_library(code: &[u8], offset: u64, loaded: &mut Loaded) -> Result<(), RdbError> {
    let fault = |what| RdbError { offset, what };
    let library =
        read_library(code, None).map_err(|why| fault(Problem::Library(why.text().into_owned())))?;
    let joined = loaded.libraries.add(library, false);
    joined.map_err(|_| fault(Problem::Duplicate("a library or function")))
}

fn take_key(
    key: Key,
    rules: &Rules<'_>,
    loaded: &mut Loaded,
    put: &mut impl FnMut(DbIndex, Entry, u64) -> bool,
) -> Result<(), RdbError> {
    let fault = |what| RdbError {
        offset: key.offset,
        what,
    };
    if key.db >= rules.databases {
        return Err(fault(Problem::Malformed(
            "a key of a database beyond those that 'databases' allows",
        )));
    }
    if rules.expired == Expired::LeftOut && key.expires_at.is_some_and(|at| at <= rules.now) {
        loaded.expired += 1;
        return Ok(());
    }
    if key.value.is_empty_collection() {
        // Versions of Redis with a fault have written such; they mean nothing.
        tracing::warn!(offset = key.offset, "a key without elements is left out");
        return Ok(());
    }
    let mut entry = rdb::entry_of(&key.name, key.expires_at, key.value, rules.settings)
        .map_err(|why| fault(Problem::Malformed(why)))?;
    entry.set_clock(match (key.idle_seconds, key.frequency) {
        (Some(seconds), _) => with_idle(seconds, rules.now, rules.settings),
        (None, Some(count)) => with_frequency(count, rules.now, rules.settings),
        (None, None) => created(rules.now, rules.settings),
    });
    if !put(DbIndex(key.db), entry, key.offset) {
        return Err(fault(Problem::Duplicate("a key")));
    }
    loaded.keys += 1;
    Ok(())
}

/// What a file says of itself.
#[derive(Default)]
struct Facts {
    replid: Option<String>,
    offset: Option<u64>,
    selected: Option<DbIndex>,
}

impl Facts {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let number = crate::number::parse_i64(value);
        match name {
            b"repl-id" if value.len() == 40 && value.iter().all(u8::is_ascii_hexdigit) => {
                self.replid = String::from_utf8(value.to_vec()).ok();
            }
            b"repl-offset" => self.offset = number.and_then(|n| u64::try_from(n).ok()),
            b"repl-stream-db" => {
                self.selected = number.and_then(|n| u32::try_from(n).ok()).map(DbIndex);
            }
            _ => {}
        }
    }
}
