//! The manifest: which files make up the append-only file, and in which order.
//!
//! ```text
//! file appendonly.aof.2.base.aof seq 2 type b
//! file appendonly.aof.4.incr.aof seq 4 type i
//! file appendonly.aof.1.base.aof seq 1 type h
//! ```
//! At most one base (`b`), then increments (`i`) in ascending order; history (`h`) is what a
//! rewrite has replaced and nobody has deleted yet. The format is Redis's. Names with odd
//! characters are quoted as in its configuration files.
//!
//! The manifest is replaced in one step (written beside it, synced, renamed), so that it names
//! either the old files or the new ones, whenever the machine stops.

use crate::protocol::split_quoted;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What a file is to the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The data at some instant.
    Base,
    /// What happened since.
    Incr,
    /// Replaced; to be deleted.
    History,
}

/// One line of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// The name inside the folder.
    pub name: String,
    /// Its number among those of its kind.
    pub seq: u64,
    /// What it is.
    pub kind: Kind,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base, if there is one.
    pub base: Option<FileInfo>,
    /// The increments, oldest first.
    pub incr: Vec<FileInfo>,
    /// Files to be deleted.
    pub history: Vec<FileInfo>,
    base_seq: u64,
    incr_seq: u64,
}

/// A line of a manifest is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ManifestError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Manifest {
    /// Parses a manifest.
    ///
    /// # Errors
    /// Names the first line that is wrong. A manifest without a file is wrong too.
    pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        let mut lines = 0;
        for (index, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
            lines = index + 1;
            let fail = |what: &str| ManifestError {
                line: lines,
                what: what.to_owned(),
            };
            if line.first() == Some(&b'#') {
                continue;
            }
            if line.len() > MAX_LINE {
                return Err(fail("the line is too long"));
            }
            let line = line
                .strip_suffix(b"\n")
                .ok_or_else(|| fail("the line is cut off"))?;
            let info = parse_line(line).map_err(|what| fail(&what))?;
            manifest.add(info).map_err(fail)?;
        }
        if manifest == Manifest::default() {
            return Err(ManifestError {
                line: lines.max(1),
                what: "the manifest names no file".to_owned(),
            });
        }
        Ok(manifest)
    }

    fn add(&mut self, info: FileInfo) -> Result<(), &'static str> {
        match info.kind {
            Kind::Base if self.base.is_some() => return Err("there is a base already"),
            Kind::Base => {
                self.base_seq = self.base_seq.max(info.seq);
                self.base = Some(info);
            }
            Kind::Incr => {
                if self.incr.last().is_some_and(|last| last.seq >= info.seq) {
                    return Err("the numbers of increments do not ascend");
                }
                self.incr_seq = self.incr_seq.max(info.seq);
                self.incr.push(info);
            }
            Kind::History => self.history.push(info),
        }
        Ok(())
    }

    /// The manifest as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let files = self.base.iter().chain(&self.history).chain(&self.incr);
        for info in files {
            let kind = match info.kind {
                Kind::Base => 'b',
                Kind::Incr => 'i',
                Kind::History => 'h',
            };
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "file {} seq {} type {kind}",
                quoted(&info.name),
                info.seq
            );
        }
        text
    }

    /// The files to load, in order.
    pub fn to_load(&self) -> impl Iterator<Item = &FileInfo> {
        self.base.iter().chain(&self.incr)
    }

    /// The next base of this family of names; it is not added.
    pub fn next_base(&self, prefix: &str, as_rdb: bool) -> FileInfo {
        let seq = self.base_seq + 1;
        let ending = if as_rdb { "rdb" } else { "aof" };
        FileInfo {
            name: format!("{prefix}.{seq}.base.{ending}"),
            seq,
            kind: Kind::Base,
        }
    }

    /// The next increment of this family of names; it is not added.
    pub fn next_incr(&self, prefix: &str) -> FileInfo {
        let seq = self.incr_seq + 1;
        FileInfo {
            name: format!("{prefix}.{seq}.incr.aof"),
            seq,
            kind: Kind::Incr,
        }
    }

    /// Adds an increment after all others.
    pub fn push_incr(&mut self, info: FileInfo) {
        self.incr_seq = self.incr_seq.max(info.seq);
        self.incr.push(info);
    }

    /// Puts a new base in the place of the old one and of the increments before `first`;
    /// what is replaced becomes history.
    pub fn replace_base(&mut self, base: FileInfo, first: Option<FileInfo>) {
        let keep_from = first.as_ref().map_or(u64::MAX, |info| info.seq);
        let old = std::mem::take(&mut self.incr);
        let (kept, replaced): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|info| info.seq >= keep_from);
        for info in self.base.take().into_iter().chain(replaced) {
            self.history.push(FileInfo {
                kind: Kind::History,
                ..info
            });
        }
        self.base_seq = self.base_seq.max(base.seq);
        self.base = Some(base);
        self.incr = kept;
        if let Some(first) = first
            && self.incr.is_empty()
        {
            self.push_incr(first);
        }
    }

    /// The same, with numbers beyond those of all files in `dir` that have such names: where
    /// there was no manifest they may be data that nobody must overwrite.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn beyond_files(&self, dir: &Path, prefix: &str) -> io::Result<Manifest> {
        let mut beyond = self.clone();
        for info in files_like(dir, prefix)? {
            match info.kind {
                Kind::Incr => beyond.incr_seq = beyond.incr_seq.max(info.seq),
                _ => beyond.base_seq = beyond.base_seq.max(info.seq),
            }
        }
        Ok(beyond)
    }

    /// Writes the manifest to `dir/name`, replacing what is there in one step.
    ///
    /// # Errors
    /// As the file system says; the old manifest is then still there.
    pub fn persist(&self, dir: &Path, name: &str) -> io::Result<()> {
        self.prepare(dir, name)?;
        commit(dir, name)
    }

    /// The first half of [`Manifest::persist`]: all that takes long. [`commit`] is the other.
    ///
    /// # Errors
    /// As the file system says.
    pub fn prepare(&self, dir: &Path, name: &str) -> io::Result<()> {
        let mut file = File::create(temporary(dir, name))?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()
    }
}

/// Puts the manifest in place that was prepared.
///
/// # Errors
/// As the file system says.
pub fn commit(dir: &Path, name: &str) -> io::Result<()> {
    std::fs::rename(temporary(dir, name), dir.join(name))?;
    sync_dir(dir)
}

fn temporary(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("temp-{name}"))
}

/// The files in `dir` that are named like bases and increments of this family.
///
/// # Errors
/// When the folder cannot be read.
pub fn files_like(dir: &Path, prefix: &str) -> io::Result<Vec<FileInfo>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let parsed = name.to_str().and_then(|name| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
            let (seq, ending) = rest.split_once('.')?;
            let kind = match ending {
                "base.rdb" | "base.aof" => Kind::Base,
                "incr.aof" => Kind::Incr,
                _ => return None,
            };
            Some(FileInfo {
                name: name.to_owned(),
                seq: seq.parse().ok()?,
                kind,
            })
        });
        found.extend(parsed);
    }
    Ok(found)
}

/// Makes what was created, renamed or deleted in a folder permanent.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn parse_line(line: &[u8]) -> Result<FileInfo, String> {
    let words = split_quoted(line).ok_or("unbalanced quotes")?;
    if words.len() < 6 || words.len() % 2 != 0 {
        return Err("expected 'file NAME seq NUMBER type b|i|h'".into());
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    for pair in words.chunks_exact(2) {
        let value = &pair[1][..];
        match &pair[0].to_ascii_lowercase()[..] {
            b"file" => {
                let text = std::str::from_utf8(value).map_err(|_| "the name is not UTF-8")?;
                if text.is_empty() || text.contains('/') || text == ".." {
                    return Err("a file must be named, not given as a path".into());
                }
                name = Some(text.to_owned());
            }
            b"seq" => {
                let number = crate::number::parse_i64(value).filter(|n| *n > 0);
                seq = Some(number.ok_or("the number is not positive")? as u64);
            }
            b"type" => {
                kind = Some(match value {
                    b"b" => Kind::Base,
                    b"i" => Kind::Incr,
                    b"h" => Kind::History,
                    _ => return Err("unknown type of file".into()),
                });
            }
            // Later versions of Redis note more.
            _ => {}
        }
    }
    match (name, seq, kind) {
        (Some(name), Some(seq), Some(kind)) => Ok(FileInfo { name, seq, kind }),
        _ => Err("file, seq and type must all be there".into()),
    }
}

/// The name, in quotes if it needs them.
fn quoted(name: &str) -> String {
    let odd = |b: u8| b.is_ascii_whitespace() || b.is_ascii_control() || b == b'"' || b == b'\'';
    if !name.bytes().any(|b| odd(b) || b == b'\\' || b >= 0x80) {
        return name.to_owned();
    }
    let mut text = String::from('"');
    for b in name.bytes() {
        match b {
            b'"' | b'\\' => text.extend(['\\', b as char]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x20..=0x7e => text.push(b as char),
            _ => {
                let _ = write!(text, "\\x{b:02x}");
            }
        }
    }
    text.push('"');
    text
}

/// Redis reads no longer lines.
const MAX_LINE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut manifest = Manifest::default();
        let base = manifest.next_base("a b\"c\\é", false);
        manifest.replace_base(base, None);
        for _ in 0..3 {
            let incr = manifest.next_incr("x.aof");
            manifest.push_incr(incr);
        }
        let parsed = Manifest::parse(manifest.text().as_bytes()).expect("valid");
        assert_eq!(parsed, manifest);
        let first = manifest.incr[2].clone();
        let base = manifest.next_base("x.aof", false);
        manifest.replace_base(base, Some(first));
        assert_eq!(
            manifest.text(),
            "file x.aof.2.base.aof seq 2 type b\n\
             file \"a b\\\"c\\\\\\xc3\\xa9.1.base.aof\" seq 1 type h\n\
             file x.aof.1.incr.aof seq 1 type h\n\
             file x.aof.2.incr.aof seq 2 type h\n\
             file x.aof.3.incr.aof seq 3 type i\n"
        );
        let parsed = Manifest::parse(manifest.text().as_bytes()).expect("valid");
        assert_eq!(parsed, manifest);
        assert_eq!(parsed.next_incr("x").name, "x.4.incr.aof");
    }

    #[test]
    fn a_new_chain_takes_an_increment_that_the_manifest_never_named() {
        let mut manifest = Manifest::default();
        manifest.push_incr(manifest.next_incr("x"));
        let fresh = manifest.next_incr("x");
        manifest.replace_base(manifest.next_base("x", false), Some(fresh.clone()));
        assert_eq!(manifest.incr, [fresh]);
        assert_eq!(manifest.history.len(), 1);
    }

    #[test]
    fn every_wrong_line_is_named() {
        let good = "file a.1.base.aof seq 1 type b\n";
        for (text, line, what) in [
            ("", 1, "names no file"),
            ("# a comment\n", 1, "names no file"),
            ("file a seq 1 type b", 1, "cut off"),
            ("\n", 1, "expected"),
            ("file a seq 1\n", 1, "expected"),
            ("file a seq 1 type b more\n", 1, "expected"),
            ("file a seq 1 type x\n", 1, "unknown type"),
            ("file a seq 0 type b\n", 1, "not positive"),
            ("file a seq one type b\n", 1, "not positive"),
            ("file ../a seq 1 type b\n", 1, "not given as a path"),
            ("file \"a seq 1 type b\n", 1, "unbalanced"),
            ("name a seq 1 type b\n", 1, "must all be there"),
            (&format!("{good}{good}"), 2, "a base already"),
            (
                &format!("{good}file i seq 2 type i\nfile j seq 2 type i\n"),
                3,
                "ascend",
            ),
            (
                &format!("file {} seq 1 type b\n", "n".repeat(1100)),
                1,
                "long",
            ),
        ] {
            let error = Manifest::parse(text.as_bytes()).expect_err(text);
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.what.contains(what), "{text:?}: {error}");
        }
        let later = "file a seq 1 type i startoffset 12\r\n";
        assert!(Manifest::parse(later.as_bytes()).is_ok());
    }
}
