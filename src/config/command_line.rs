//! The arguments of `lockstep-server`: `redis-server`'s grammar.
//!
//! An optional path first, then options, each `--name` with the arguments up to the next
//! `--name`, and as the last argument a `-` for more configuration on standard input. The
//! options become lines of configuration that are read after the file.

use super::value::quoted;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run the server.
    Run(Sources),
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
}

/// Where the configuration comes from, in the order in which it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// A file.
    pub file: Option<PathBuf>,
    /// Standard input.
    pub stdin: bool,
    /// Lines made of the command line's options.
    pub options: Vec<u8>,
}

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: lockstep-server [/path/to/lockstep.conf] [options] [-]
       lockstep-server -v | --version
       lockstep-server -h | --help

Options are those of the configuration file, each with two dashes before its name. They are
read after the file. A dash alone, first or last, reads configuration from standard input.

  lockstep-server                                   with the defaults
  lockstep-server /etc/lockstep/lockstep.conf --loglevel verbose
  lockstep-server --port 7777 --replicaof 127.0.0.1 6379 --sync-ack fsynced
  echo 'maxmemory 128mb' | lockstep-server -
";

/// Reads the arguments that follow the program's name.
pub fn parse_command_line(args: impl IntoIterator<Item = OsString>) -> Invocation {
    let args: Vec<OsString> = args.into_iter().collect();
    match args.first().map(|arg| arg.as_bytes()) {
        Some(b"-v" | b"--version") => return Invocation::Version,
        Some(b"-h" | b"--help") => return Invocation::Help,
        _ => {}
    }
    let mut sources = Sources::default();
    let mut rest = args.as_slice();
    // First or last, as in Redis.
    if let [dash, tail @ ..] = rest
        && dash.as_bytes() == b"-"
    {
        sources.stdin = true;
        rest = tail;
    }
    if let [path, tail @ ..] = rest
        && !path.as_bytes().starts_with(b"-")
    {
        sources.file = Some(path.into());
        rest = tail;
    }
    sources.options = lines_of(rest, &mut sources.stdin);
    Invocation::Run(sources)
}

fn lines_of(args: &[OsString], stdin: &mut bool) -> Vec<u8> {
    let mut lines = Vec::new();
    // An option's first argument may begin with dashes itself, as passwords do.
    let mut may_be_option = true;
    for (index, arg) in args.iter().enumerate() {
        let arg = arg.as_bytes();
        if arg == b"-" && index + 1 == args.len() {
            *stdin = true;
        } else if let Some(option) = arg.strip_prefix(b"--")
            && may_be_option
        {
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            // Several words in one argument are the option with its arguments.
            lines.extend_from_slice(option);
            let whole = option.iter().any(|c| c.is_ascii_whitespace());
            may_be_option = whole;
            // `--save` alone means none.
            if option.eq_ignore_ascii_case(b"save") && !is_value(args.get(index + 1)) {
                lines.extend_from_slice(b" \"\"");
                may_be_option = true;
            }
        } else {
            lines.push(b' ');
            lines.extend(quoted(arg));
            may_be_option = true;
        }
    }
    lines
}

fn is_value(arg: Option<&OsString>) -> bool {
    let arg = arg.map(OsString::as_os_str).map(OsStr::as_bytes);
    arg.is_some_and(|arg| !arg.starts_with(b"--"))
}
