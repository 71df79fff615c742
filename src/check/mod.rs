//! `lockstep check`: what is whole of append-only and RDB files, and cutting a torn tail off.
//!
//! `scan` reads one file with the readers of the loaders (`aof`, `rdb`), so that what is found
//! whole here loads. This file finds the files, prints, asks and cuts.
//!
//! What must stay true: files are streamed; only the last increment is ever cut, only after
//! its last whole unit, and only when the user has said so.

mod scan;

use crate::aof::{Manifest, ManifestError};
use crate::rdb;
use clap::Args;
pub use scan::{Fault, FaultKind, RdbReport, Report, scan};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

/// What a user may say.
#[derive(Args, Debug)]
pub struct Options {
    /// An RDB file, an append-only file, a manifest, or a folder that holds a manifest.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Cut the last file after its last whole unit.
    #[arg(long)]
    fix: bool,
    /// Do not ask before cutting.
    #[arg(long)]
    yes: bool,
    /// Cut what was written after this Unix time (needs `aof-timestamp-enabled`).
    #[arg(long, value_name = "SECONDS")]
    truncate_to_timestamp: Option<i64>,
}

/// The files are not whole, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The operating system refused.
    #[error("can't {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The manifest is wrong.
    #[error("the manifest {}, {error}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        error: ManifestError,
    },
    /// A folder without a manifest, or with several.
    #[error("{}: {count} manifests in this folder; name one", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// How many it has.
        count: usize,
    },
    /// A file is not whole.
    #[error("{} is not whole: {why}", path.display())]
    Faulty {
        /// The file.
        path: PathBuf,
        /// What can be done.
        why: &'static str,
    },
}

/// Checks what was named, up to the first that is not whole.
///
/// # Errors
/// When something is not whole and was not repaired.
pub fn run(options: &Options) -> Result<(), CheckError> {
    options.paths.iter().try_for_each(|path| {
        let files = files_of(path)?;
        let last = files.len().saturating_sub(1);
        files
            .iter()
            .enumerate()
            .try_for_each(|(index, file)| check_file(file, index == last, options))
    })
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckError {
    move |source| CheckError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// The files that a path stands for, in the order in which they are loaded.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, CheckError> {
    let metadata = std::fs::metadata(path).map_err(io_error("open", path))?;
    if metadata.is_dir() {
        let mut manifests = manifests_in(path)?;
        return match (manifests.pop(), manifests.len()) {
            (Some(only), 0) => files_of(&only),
            (found, more) => Err(CheckError::Folder {
                path: path.to_owned(),
                count: more + usize::from(found.is_some()),
            }),
        };
    }
    if !is_manifest(path)? {
        return Ok(vec![path.to_owned()]);
    }
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_MANIFEST).read_to_end(&mut text))
        .map_err(io_error("read", path))?;
    let manifest = Manifest::parse(&text).map_err(|error| CheckError::Manifest {
        path: path.to_owned(),
        error,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let files: Vec<PathBuf> = manifest.to_load().map(|f| folder.join(&f.name)).collect();
    println!("{}: a manifest of {} files", path.display(), files.len());
    Ok(files)
}

fn manifests_in(folder: &Path) -> Result<Vec<PathBuf>, CheckError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error("read", folder))? {
        let path = entry.map_err(io_error("read", folder))?.path();
        if path.extension().is_some_and(|ending| ending == "manifest") {
            found.push(path);
        }
    }
    Ok(found)
}

/// By its name or, when it was renamed, by how it begins.
fn is_manifest(path: &Path) -> Result<bool, CheckError> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(5).read_to_end(&mut head))
        .map_err(io_error("read", path))?;
    let named = path.extension().is_some_and(|ending| ending == "manifest");
    Ok((named && !rdb::is_head(&head)) || head == b"file ")
}

fn check_file(path: &Path, is_last: bool, options: &Options) -> Result<(), CheckError> {
    let report = scan(path, options.truncate_to_timestamp).map_err(io_error("read", path))?;
    print(path, &report);
    let Some(fault) = &report.fault else {
        return Ok(());
    };
    let faulty = |why| {
        Err(CheckError::Faulty {
            path: path.to_owned(),
            why,
        })
    };
    if fault.kind == FaultKind::Hopeless {
        return faulty("RDB data cannot be repaired by cutting; restore a copy");
    }
    if !is_last {
        return faulty("only the last file may be cut");
    }
    if !options.fix && fault.kind != FaultKind::Later {
        return faulty("--fix cuts it after its last whole unit; make a backup before");
    }
    let lost = report.size.saturating_sub(report.whole);
    println!(
        "  cutting it from {} to {} bytes loses {lost} bytes{}",
        report.size,
        report.whole,
        match fault.kind {
            FaultKind::Corrupt => ", among them whatever is whole after the fault",
            _ => "",
        }
    );
    if !options.yes && !agreed() {
        return faulty("left as it is");
    }
    cut(path, report.whole).map_err(io_error("truncate", path))?;
    println!("{}: cut to {} bytes", path.display(), report.whole);
    Ok(())
}

fn cut(path: &Path, len: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()
}

fn agreed() -> bool {
    print!("Continue? [y/N] ");
    // Nobody who cannot see the question is kept from answering it.
    let _ = io::stdout().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().take(16).read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn print(path: &Path, report: &Report) {
    println!("{}: {} bytes", path.display(), report.size);
    if let Some(rdb) = &report.rdb {
        println!("  RDB version {}", rdb.version);
        for (name, value) in &rdb.facts {
            println!("  {name}: {value}");
        }
        let keys: u64 = rdb.keys.values().sum();
        let each: Vec<String> = rdb.keys.iter().map(|(t, n)| format!("{n} {t}")).collect();
        let each = each.join(", ");
        println!("  keys: {keys} ({each}), {} expire", rdb.expires);
        if rdb.libraries > 0 {
            println!("  libraries of functions: {}", rdb.libraries);
        }
    }
    if report.rdb.is_none() || report.commands > 0 {
        println!("  commands: {}", report.commands);
    }
    if let Some(found) = &report.annotation {
        println!("  history: {} up to {}", found.replid, found.offset);
    }
    match &report.fault {
        None => println!("  whole"),
        Some(fault) => {
            println!("  whole up to {} of {} bytes", report.whole, report.size);
            println!("  fault at offset {}: {}", fault.offset, fault.what);
        }
    }
}

/// More than any number of files that somebody has.
const LONGEST_MANIFEST: u64 = 16 << 20;
