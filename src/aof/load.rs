//! Reading the append-only file at start.
//!
//! A unit (a command, or a transaction from `MULTI` to `EXEC`) is applied when it is whole, so
//! a torn tail never leaves half of one. Only the last file may be torn, and only if
//! `aof-load-truncated` allows it; it is then cut after its last whole unit. Anything else
//! that is wrong refuses to start, with the file and the offset.

use super::annotation::Annotation;
use super::manifest::{self, FileInfo, Kind, Manifest, ManifestError};
use super::piece::{Piece, next_piece};
use crate::dump_file::{self, Expired};
use crate::execute::{Applier, ApplyError, LookAhead};
use crate::keyspace::DbIndex;
use crate::protocol::{Args, Limits, OwnedArgs, RequestReader};
use crate::rdb::{self, FileReader, RdbError};
use crate::server::{Counted, Server};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The append-only file cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system refused.
    #[error("the append-only file: can't {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no append-only file but a snapshot, and that cannot be loaded.
    #[error(transparent)]
    Dump(#[from] dump_file::LoadError),
    /// There are files, but not the manifest that says which of them count.
    #[error(
        "the append-only file's manifest {} is missing, but {found} is there: put the manifest \
         back, or move the files away to start without their data", path.display()
    )]
    NoManifest {
        /// Where the manifest should be.
        path: PathBuf,
        /// A file that it may have named.
        found: String,
    },
    /// The manifest is wrong.
    #[error("the append-only file's manifest {}, {error}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        error: ManifestError,
    },
    /// An RDB file, or the part of a file that is one, cannot be loaded.
    #[error("the RDB data of the append only file {}, {error}", path.display())]
    Rdb {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: RdbError,
    },
    /// The bytes are no commands.
    #[error(
        "Bad file format reading the append only file {} at offset {offset}: {what}. Make a \
         backup of it before any attempt at repair (redis-check-aof --fix)", path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the command begins that is wrong.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file ends within a unit, and that is not allowed.
    #[error(
        "Unexpected end of file reading the append only file {} at offset {offset}: {why}",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the last whole unit ends.
        offset: u64,
        /// Why it was not cut there.
        why: &'static str,
    },
    /// A command cannot be applied.
    #[error("the append only file {} at offset {offset}: {error}", path.display())]
    Apply {
        /// The file.
        path: PathBuf,
        /// Where the command begins.
        offset: u64,
        /// What it answered.
        error: ApplyError,
    },
}

/// What was loaded.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The files.
    pub manifest: Manifest,
    /// The history that the data is the end of; `None` when the files do not say.
    pub annotation: Option<Annotation>,
    /// The database selected at the end of the last file.
    pub db: DbIndex,
    /// Bytes behind the last annotation's offset, or of everything: how much there is.
    pub measure: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Commands applied.
    pub commands: u64,
}

/// Loads what the manifest `dir/name` names. Without a manifest nothing is loaded.
///
/// # Errors
/// The data in memory is then incomplete and must not be served.
pub fn load(server: &'static Server, dir: &Path, name: &str) -> Result<Loaded, LoadError> {
    let path = dir.join(name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return without_manifest(dir, path);
        }
        Err(source) => {
            let doing = "read";
            return Err(LoadError::Io {
                doing,
                path,
                source,
            });
        }
    };
    let manifest = Manifest::parse(&text).map_err(|error| LoadError::Manifest { path, error })?;
    let mut loaded = Loaded::default();
    let files: Vec<&FileInfo> = manifest.to_load().collect();
    let size = |info: &&FileInfo| std::fs::metadata(dir.join(&info.name)).map_or(0, |of| of.len());
    server.loading.begins(files.iter().map(size).sum());
    for (index, info) in files.iter().enumerate() {
        let is_last = index + 1 == files.len();
        load_file(server, &dir.join(&info.name), is_last, &mut loaded)?;
    }
    loaded.manifest = manifest;
    Ok(loaded)
}

/// Nothing is loaded, unless there is data that a manifest should have named: a server that
/// began without it would sooner or later take its replicas' data away too.
fn without_manifest(dir: &Path, path: PathBuf) -> Result<Loaded, LoadError> {
    let prefix = path.file_stem().and_then(|name| name.to_str());
    let found = match prefix.map(|prefix| manifest::files_like(dir, prefix)) {
        Some(Ok(found)) => found,
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
            return Err(LoadError::Io {
                doing: "list",
                path: dir.to_owned(),
                source: error,
            });
        }
        _ => Vec::new(),
    };
    let has_bytes = |info: &FileInfo| {
        std::fs::metadata(dir.join(&info.name)).is_ok_and(|about| about.len() > 0)
    };
    // Increments without a base are what a first rewrite leaves that was cut off, files without
    // a byte what a first start leaves.
    let base = found.iter().find(|info| info.kind == Kind::Base);
    match base {
        Some(info) if found.iter().any(has_bytes) => Err(LoadError::NoManifest {
            path,
            found: info.name.clone(),
        }),
        _ => Ok(Loaded::default()),
    }
}

fn load_file(
    server: &'static Server,
    path: &Path,
    is_last: bool,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let io_error = |doing| {
        move |source| LoadError::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    };
    let mut file = File::open(path).map_err(io_error("open"))?;
    let mut reading = Reading::new(server, path);
    let end = loop {
        let chunk = READ_AT_ONCE.max(reading.reader.missing(reading.input.len()));
        let more = io::Read::by_ref(&mut file)
            .take(chunk as u64)
            .read_to_end(&mut reading.input)
            .map_err(io_error("read"))?;
        server.loading.adds(more as u64);
        if reading.is_rdb() {
            load_rdb(&mut file, &mut reading, loaded)?;
            reading.take_input(loaded)?;
            continue;
        }
        if more == 0 {
            break reading.start + reading.input.len() as u64;
        }
        reading.take_input(loaded)?;
    };
    loaded.db = reading.applier.db();
    loaded.commands += reading.applier.applied;
    loaded.bytes += reading.whole;
    if reading.whole == end {
        tracing::info!(file = %path.display(), bytes = end, "loaded a file of the append-only file");
        return Ok(());
    }
    reading.torn(end, is_last)
}

/// Loads the RDB data with which a file begins; commands may follow.
fn load_rdb(
    file: &mut File,
    reading: &mut Reading<'_>,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let failed = |error| LoadError::Rdb {
        path: reading.path.to_owned(),
        error,
    };
    let begun = std::mem::take(&mut reading.input);
    let checks = reading.server.config.current().rdbchecksum;
    let file = Counted {
        inner: file,
        progress: &reading.server.loading,
    };
    let mut reader = FileReader::new(begun.as_slice().chain(file), checks).map_err(failed)?;
    // What follows may speak of keys that have expired meanwhile.
    let held = dump_file::load_into(reading.server, &mut reader, Expired::Taken);
    let held = held.map_err(failed)?;
    reading.server.dump_file.loaded(held.keys, held.expired);
    reading.start = reader.offset();
    reading.whole = reading.start;
    match held.position {
        Some((replid, offset)) => {
            loaded.annotation = Some(Annotation { replid, offset });
            loaded.measure = 0;
        }
        None => loaded.measure += reading.whole,
    }
    let (read, mut chain) = reader.into_rest();
    reading.input = read;
    // What the chain has not taken of its first part comes before the rest of the file.
    let unread = chain.get_mut().0;
    reading.input.extend_from_slice(unread);
    Ok(())
}

/// One file on its way into memory.
struct Reading<'a> {
    server: &'static Server,
    path: &'a Path,
    input: Vec<u8>,
    /// The file's offset of the first byte of `input`.
    start: u64,
    /// Where the last whole unit ends in the file.
    whole: u64,
    reader: RequestReader,
    limits: Limits,
    applier: Applier,
    ahead: LookAhead,
    may_cut: bool,
}

impl<'a> Reading<'a> {
    fn new(server: &'static Server, path: &'a Path) -> Self {
        let limits = Limits::default();
        let config = server.config.current();
        Reading {
            server,
            path,
            input: Vec::new(),
            start: 0,
            whole: 0,
            reader: RequestReader::default(),
            limits: Limits {
                // The file may have been written under a wider limit.
                max_bulk: limits.max_bulk.max(config.proto_max_bulk_len),
                ..limits
            },
            applier: Applier::new(server),
            ahead: LookAhead::new(&server.keyspace),
            may_cut: config.aof_load_truncated,
        }
    }

    fn is_rdb(&self) -> bool {
        self.start == 0 && self.whole == 0 && rdb::is_head(&self.input)
    }

    /// Applies what is whole.
    fn take_input(&mut self, loaded: &mut Loaded) -> Result<(), LoadError> {
        let mut at = 0;
        while at < self.input.len() {
            let rest = &self.input[at..];
            let offset = self.start + at as u64;
            let mut annotation = None;
            let piece = next_piece(&mut self.reader, &self.limits, rest);
            let n = match piece.map_err(|what| self.corrupt(offset, what))? {
                None => break,
                Some(Piece::Comment(n)) => {
                    if let Some(found) = Annotation::parse(&rest[..n])
                        && !self.applier.in_transaction()
                    {
                        annotation = Some(found);
                    }
                    n
                }
                Some(Piece::Command(n)) => {
                    let hash = (self.ahead).hash(&self.input, at, &self.limits, self.applier.db());
                    let args = self.reader.args(rest);
                    let applied = match empty_stream_of_redis_5(args) {
                        Some(made) => (made.iter())
                            .try_for_each(|command| self.applier.apply(command.view(), None)),
                        None => self.applier.apply(args, hash),
                    };
                    applied.map_err(|error| LoadError::Apply {
                        path: self.path.to_owned(),
                        offset,
                        error,
                    })?;
                    n
                }
            };
            at += n;
            if !self.applier.in_transaction() {
                let whole = self.start + at as u64;
                loaded.measure += whole - self.whole;
                self.whole = whole;
            }
            if annotation.is_some() {
                loaded.annotation = annotation;
                loaded.measure = 0;
            }
        }
        self.input.drain(..at);
        self.ahead.forget();
        self.start += at as u64;
        Ok(())
    }

    fn corrupt(&self, offset: u64, what: String) -> LoadError {
        LoadError::Corrupt {
            path: self.path.to_owned(),
            offset,
            what,
        }
    }

    /// The file ends at `end`, within a unit.
    fn torn(&self, end: u64, is_last: bool) -> Result<(), LoadError> {
        let (path, offset) = (self.path.to_owned(), self.whole);
        let refuse = |why| {
            Err(LoadError::Truncated {
                path: path.clone(),
                offset,
                why,
            })
        };
        // A damaged length swallows what comes after it, and looks like a torn tail. Where an
        // annotation follows, that was written: cutting would lose it.
        if Annotation::is_in(&self.input) {
            let what = "the length of an argument reaches beyond what was written after it";
            return Err(self.corrupt(self.start, what.into()));
        }
        if !is_last {
            return refuse("only the last file may be cut off");
        }
        if !self.may_cut {
            return refuse("'aof-load-truncated' is 'no'");
        }
        tracing::warn!(
            file = %path.display(), offset, lost_bytes = end - offset,
            "short read while loading the append-only file; it is cut after its last whole unit"
        );
        let cut = OpenOptions::new().write(true).open(&path).and_then(|file| {
            file.set_len(offset)?;
            file.sync_all()
        });
        cut.map_err(|source| LoadError::Io {
            doing: "truncate",
            path: path.clone(),
            source,
        })
    }
}

/// Redis 5 writes a stream that has groups and never had an entry as an entry with the ID 0-0,
/// which no server accepts, itself included: it loses the stream. These commands make it.
fn empty_stream_of_redis_5(args: Args<'_>) -> Option<[OwnedArgs; 2]> {
    let is_it = args.len() == 7
        && args[0].eq_ignore_ascii_case(b"xadd")
        && args[2].eq_ignore_ascii_case(b"maxlen")
        && args[3] == *b"0"
        && args[4] == *b"0-0";
    is_it.then(|| {
        let (key, group) = (&args[1], &b"lockstep"[..]);
        let create: [&[u8]; 6] = [b"XGROUP", b"CREATE", key, group, b"0-0", b"MKSTREAM"];
        let destroy: [&[u8]; 4] = [b"XGROUP", b"DESTROY", key, group];
        [OwnedArgs::of(create), OwnedArgs::of(destroy)]
    })
}

const READ_AT_ONCE: usize = 1 << 20;

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
