//! The syntax of `redis.conf`, and reading all of a server's configuration.
//!
//! A line is an option and its arguments under the quoting rules of inline commands; blank
//! lines and lines that begin with `#` say nothing; `include` reads other files in place.
//! Later lines win, except that `save` and `client-output-buffer-limit` add up.

use super::command_line::Sources;
use super::handle::ConfigHandle;
use super::resolved::Config;
use super::spec::{Flags, Kind, Spec};
use super::table;
use super::value::Value;
use crate::glob;
use crate::protocol::split_quoted;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How deep files may include files.
const MAX_INCLUDES: usize = 16;

/// The configuration cannot be used. Displayed as Redis displays it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("Fatal error, can't open config file '{path}': {reason}", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A line is wrong.
    #[error(
        "\n*** FATAL CONFIG FILE ERROR (Lockstep {version}) ***\n\
         Reading the configuration file, at line {number}\n>>> '{line}'\n{message}",
        version = env!("CARGO_PKG_VERSION")
    )]
    Line {
        /// Counted from one, in its own file.
        number: usize,
        /// The line.
        line: String,
        /// What is wrong with it.
        message: String,
    },
}

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, ready to be shared.
    pub handle: ConfigHandle,
    /// Options that were set to something and do nothing here, to be warned of once: the
    /// name, and why.
    pub inert: Vec<(&'static str, &'static str)>,
    /// Lines that are kept for others: `user` lines, and `rename-command` lines of two
    /// arguments. Each with all its words.
    pub users: Vec<Vec<Vec<u8>>>,
    /// Commands to rename; to nothing, to hide them.
    pub renames: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads the configuration from its sources.
///
/// # Errors
/// When a file cannot be read or a line is wrong.
pub fn load(sources: &Sources) -> Result<Loaded, LoadError> {
    let mut text = Vec::new();
    let mut file = None;
    if let Some(path) = &sources.file {
        text = read_file(path)?;
        // `dir` may move the process; CONFIG REWRITE must still find the file.
        file = Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    }
    if sources.stdin {
        text.push(b'\n');
        let mut input = Vec::new();
        io::stdin()
            .read_to_end(&mut input)
            .map_err(|error| LoadError::Open {
                path: PathBuf::from("-"),
                reason: reason(&error),
            })?;
        text.extend(input);
    }
    if !sources.options.is_empty() {
        text.push(b'\n');
        text.extend_from_slice(&sources.options);
    }
    load_text(&text, file)
}

/// Reads the configuration from text; `file` is where `CONFIG REWRITE` writes it.
///
/// # Errors
/// When a line is wrong or an included file cannot be read.
pub fn load_text(text: &[u8], file: Option<PathBuf>) -> Result<Loaded, LoadError> {
    let mut loader = Loader::new();
    loader.text(text, 0)?;
    let inert = loader.inert_ones();
    Ok(Loaded {
        handle: ConfigHandle::new(Config::new(loader.values), file),
        inert,
        users: loader.users,
        renames: loader.renames,
    })
}

/// The text of an error of the operating system, without the number that Rust adds.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|error| LoadError::Open {
        path: path.to_owned(),
        reason: reason(&error),
    })
}

/// An error inside a line, or one that has its own place already.
enum Problem {
    Here(Cow<'static, str>),
    Elsewhere(LoadError),
}

impl From<Cow<'static, str>> for Problem {
    fn from(message: Cow<'static, str>) -> Problem {
        Problem::Here(message)
    }
}

impl From<&'static str> for Problem {
    fn from(message: &'static str) -> Problem {
        Problem::Here(message.into())
    }
}

struct Loader {
    options: Vec<&'static Spec>,
    values: Vec<Value>,
    /// The first `save` line replaces the default; those after it add to it.
    save_seen: bool,
    users: Vec<Vec<Vec<u8>>>,
    renames: Vec<(Vec<u8>, Vec<u8>)>,
    modules: bool,
}

impl Loader {
    fn new() -> Loader {
        let options: Vec<_> = table::options().collect();
        Loader {
            values: options.iter().map(|spec| spec.default_value()).collect(),
            options,
            save_seen: false,
            users: Vec::new(),
            renames: Vec::new(),
            modules: false,
        }
    }

    fn text(&mut self, text: &[u8], depth: usize) -> Result<(), LoadError> {
        for (index, line) in text.split(|c| *c == b'\n').enumerate() {
            let line = trimmed(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let outcome = match split_quoted(line) {
                Some(words) if words.is_empty() => Ok(()),
                Some(words) => self.directive(&words, depth),
                None => Err("Unbalanced quotes in configuration line".into()),
            };
            outcome.map_err(|problem| match problem {
                Problem::Elsewhere(error) => error,
                Problem::Here(message) => LoadError::Line {
                    number: index + 1,
                    line: String::from_utf8_lossy(line).into_owned(),
                    message: message.into_owned(),
                },
            })?;
        }
        Ok(())
    }

    fn directive(&mut self, words: &[Vec<u8>], depth: usize) -> Result<(), Problem> {
        let (name, args) = (&words[0], &words[1..]);
        if let Some((index, _)) = table::find(name) {
            return self.option(index, args);
        }
        match (name.to_ascii_lowercase().as_slice(), args) {
            (b"include", [pattern]) => self.include(pattern, depth),
            (b"rename-command", [from, to]) => {
                self.renames.push((from.clone(), to.clone()));
                Ok(())
            }
            (b"user", [_, ..]) => {
                self.users.push(words.to_vec());
                Ok(())
            }
            (b"loadmodule", [_, ..]) => {
                self.modules = true;
                Ok(())
            }
            (b"sentinel", _) => Err("sentinel directive while not in sentinel mode".into()),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn option(&mut self, index: usize, args: &[Vec<u8>]) -> Result<(), Problem> {
        let spec = self.options[index];
        let adds = match spec.kind {
            Kind::Save => std::mem::replace(&mut self.save_seen, true),
            _ => true,
        };
        let before = adds.then_some(&self.values[index]);
        if args.is_empty() && spec.kind == Kind::ReplicaOf {
            return Err("wrong number of arguments".into());
        }
        self.values[index] = spec.parse(args, before)?;
        Ok(())
    }

    fn include(&mut self, pattern: &[u8], depth: usize) -> Result<(), Problem> {
        if depth == MAX_INCLUDES {
            return Err("Too many nested include directives".into());
        }
        for path in matching_files(pattern) {
            let text = read_file(&path).map_err(Problem::Elsewhere)?;
            self.text(&text, depth + 1).map_err(Problem::Elsewhere)?;
        }
        Ok(())
    }

    fn inert_ones(&self) -> Vec<(&'static str, &'static str)> {
        let mut found: Vec<_> = self
            .options
            .iter()
            .zip(&self.values)
            .filter(|(spec, value)| {
                spec.flags.contains(Flags::INERT) && **value != spec.default_value()
            })
            .map(|(spec, _)| (spec.name, spec.help))
            .collect();
        if self.modules {
            found.push(("loadmodule", "There are no modules."));
        }
        found
    }
}

pub(super) fn trimmed(line: &[u8]) -> &[u8] {
    let blank = |c: &u8| matches!(c, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().position(|c| !blank(c)).unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|c| !blank(c))
        .map_or(start, |at| at + 1);
    &line[start..end]
}

/// The files that an `include` names, in the order of their names. A path without wildcards
/// is itself, whether or not it exists; wildcards may match nothing.
fn matching_files(pattern: &[u8]) -> Vec<PathBuf> {
    let is_pattern = |part: &[u8]| part.iter().any(|c| matches!(c, b'*' | b'?' | b'['));
    if !is_pattern(pattern) {
        return vec![PathBuf::from(OsStr::from_bytes(pattern))];
    }
    let root = if pattern.starts_with(b"/") { "/" } else { "" };
    let mut paths = vec![PathBuf::from(root)];
    for part in pattern
        .split(|c| *c == b'/')
        .filter(|part| !part.is_empty())
    {
        if !is_pattern(part) {
            for path in &mut paths {
                path.push(OsStr::from_bytes(part));
            }
            continue;
        }
        paths = paths
            .iter()
            .flat_map(|folder| children_matching(folder, part))
            .collect();
    }
    paths.retain(|path| path.exists());
    paths.sort();
    paths
}

fn children_matching(folder: &Path, part: &[u8]) -> Vec<PathBuf> {
    let listed = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let Ok(entries) = std::fs::read_dir(listed) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .filter(|name| {
            let name = name.as_bytes();
            // As in a shell, hidden files have to be asked for.
            (part[0] == b'.' || name[0] != b'.') && glob::matches(part, name, false)
        })
        .map(|name| folder.join(name))
        .collect()
}
