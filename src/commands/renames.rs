//! `rename-command`: names under which clients do not find commands, and those under which
//! they do.
//!
//! Settled once, before there are clients. Only what clients and scripts say is translated;
//! the log, the replicas and the files always hold the real names, so that nodes with
//! different renames understand each other. Without renames this costs one load a request.

use super::table::{self, Command};
use crate::protocol::{Args, OwnedArgs};
use std::collections::HashMap;
use std::sync::OnceLock;

static RENAMES: OnceLock<Renames> = OnceLock::new();

/// By a name in lower case: the real name of what it calls, or nothing for a hidden one.
#[derive(Default)]
struct Renames(HashMap<Vec<u8>, Option<&'static str>>);

/// What the words of a request call.
pub enum Called {
    /// What they say.
    AsSaid,
    /// Nothing: the name was taken away.
    Nothing,
    /// The same with the command's real name.
    Really(OwnedArgs),
}

/// Puts renames in force, in order: from a name to another, or to the empty one to hide the
/// command. Only the first call counts.
///
/// # Errors
/// The renaming that cannot be done, as its place, and why.
pub fn settle(wanted: &[(Vec<u8>, Vec<u8>)]) -> Result<(), (usize, &'static str)> {
    let renames = Renames::build(wanted)?;
    if !renames.0.is_empty() {
        // A second server in the same process is a test's.
        let _ = RENAMES.set(renames);
    }
    Ok(())
}

/// What a client's request calls.
#[inline]
pub fn called(args: Args<'_>) -> Called {
    match RENAMES.get() {
        None => Called::AsSaid,
        Some(renames) => renames.called(args),
    }
}

/// The command or subcommand that clients call `name` (`client|setname`).
pub fn by_full_name(name: &[u8]) -> Option<&'static Command> {
    let (word, rest) = match name.iter().position(|byte| *byte == b'|') {
        Some(bar) => name.split_at(bar),
        None => (name, &[][..]),
    };
    match RENAMES.get().and_then(|renames| renames.get(word)) {
        None => table::by_full_name(name),
        Some(None) => None,
        Some(Some(real)) => table::by_full_name(&[real.as_bytes(), rest].concat()),
    }
}

impl Renames {
    fn build(wanted: &[(Vec<u8>, Vec<u8>)]) -> Result<Renames, (usize, &'static str)> {
        let mut renames = Renames::default();
        for (place, (from, to)) in wanted.iter().enumerate() {
            let from = from.to_ascii_lowercase();
            let real = match renames.0.get(&from) {
                Some(real) => *real,
                None => table::lookup(&from).map(|command| command.spec.name),
            };
            let Some(real) = real else {
                return Err((place, "No such command in rename-command"));
            };
            let to = to.to_ascii_lowercase();
            let taken = match renames.0.get(&to) {
                Some(there) => there.is_some(),
                None => to != from && table::lookup(&to).is_some(),
            };
            if taken {
                return Err((place, "Target command name already exists"));
            }
            renames.0.insert(from, None);
            if !to.is_empty() {
                renames.0.insert(to, Some(real));
            }
        }
        Ok(renames)
    }

    fn get(&self, word: &[u8]) -> Option<Option<&'static str>> {
        self.0.get(&word.to_ascii_lowercase()).copied()
    }

    #[cold]
    fn called(&self, args: Args<'_>) -> Called {
        match self.get(args.at(0)) {
            None => Called::AsSaid,
            Some(None) => Called::Nothing,
            Some(Some(real)) => {
                let words = std::iter::once(real.as_bytes()).chain(args.from(1));
                Called::Really(OwnedArgs::of(words))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(pairs: &[(&str, &str)]) -> Result<Renames, (usize, &'static str)> {
        let pairs = pairs.iter().map(|(a, b)| ((*a).into(), (*b).into()));
        Renames::build(&pairs.collect::<Vec<_>>())
    }

    fn says(renames: &Renames, words: &[&str]) -> String {
        match renames.called(OwnedArgs::of(words).view()) {
            Called::AsSaid => "as said".into(),
            Called::Nothing => "nothing".into(),
            Called::Really(args) => format!("{:?}", args.view()),
        }
    }

    #[test]
    fn names_go_and_come() {
        let renames = build(&[("FlushAll", ""), ("config", "Secret"), ("get", "set2")]).unwrap();
        assert_eq!(says(&renames, &["FLUSHALL"]), "nothing");
        assert_eq!(says(&renames, &["Config", "GET", "x"]), "nothing");
        assert_eq!(says(&renames, &["SECRET", "GET"]), r#"["config", "GET"]"#);
        assert_eq!(says(&renames, &["set", "a", "b"]), "as said");
    }

    #[test]
    fn two_commands_may_change_places() {
        let renames = build(&[("get", "x"), ("set", "get"), ("x", "set")]).unwrap();
        assert_eq!(says(&renames, &["get", "k"]), r#"["set", "k"]"#);
        assert_eq!(says(&renames, &["set", "k"]), r#"["get", "k"]"#);
        assert_eq!(says(&renames, &["x", "k"]), "nothing");
    }

    #[test]
    fn what_cannot_be_renamed() {
        let no_such = (1, "No such command in rename-command");
        assert_eq!(build(&[("get", ""), ("nosuch", "x")]).err(), Some(no_such));
        assert_eq!(build(&[("get", ""), ("get", "x")]).err(), Some(no_such));
        let taken = (0, "Target command name already exists");
        assert_eq!(build(&[("get", "set")]).err(), Some(taken));
    }
}
