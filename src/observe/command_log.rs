//! The last commands that were slow, or whose request or reply was large (`SLOWLOG`,
//! `COMMANDLOG`).

use crate::commands::table::Command;
use crate::net::Client;
use crate::protocol::Args;
use crate::time;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// What a log collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Commands that took long.
    Slow,
    /// Long requests.
    LargeRequest,
    /// Long replies.
    LargeReply,
}

impl LogKind {
    /// The kind that `COMMANDLOG` calls so, ASCII case aside.
    pub fn by_name(name: &[u8]) -> Option<LogKind> {
        [
            ("slow", LogKind::Slow),
            ("large-request", LogKind::LargeRequest),
            ("large-reply", LogKind::LargeReply),
        ]
        .into_iter()
        .find_map(|(word, kind)| word.as_bytes().eq_ignore_ascii_case(name).then_some(kind))
    }
}

/// One remarkable command.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Grows by one from entry to entry.
    pub id: u64,
    /// When it ended, in Unix seconds.
    pub at: i64,
    /// How long it took, in microseconds, or how large it was, in bytes.
    pub measure: u64,
    /// Its arguments, shortened, secrets blotted out.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub name: Vec<u8>,
}

impl LogEntry {
    /// An entry for a command that has just ended; its number is given by the log.
    pub fn new(client: Option<&Client>, command: &Command, args: Args<'_>, measure: u64) -> Self {
        let shown = if args.len() > MOST_ARGS {
            MOST_ARGS - 1
        } else {
            args.len()
        };
        let mut texts: Vec<Vec<u8>> = (0..shown)
            .map(|i| {
                if is_secret(command, args, i) {
                    b"(redacted)".to_vec()
                } else {
                    shortened(args.at(i))
                }
            })
            .collect();
        if shown < args.len() {
            let left = args.len() - shown;
            texts.push(format!("... ({left} more arguments)").into_bytes());
        }
        LogEntry {
            id: 0,
            at: time::unix_seconds(),
            measure,
            args: texts,
            addr: client.map_or_else(String::new, |client| client.info.addr.clone()),
            name: client.map_or_else(Default::default, |client| {
                client.info.names.lock().name.clone()
            }),
        }
    }
}

/// The three logs.
#[derive(Default)]
pub struct CommandLogs([CommandLog; 3]);

impl CommandLogs {
    /// The log of a kind.
    pub fn of(&self, kind: LogKind) -> &CommandLog {
        &self.0[kind as usize]
    }
}

/// A log. Short locks, taken only for remarkable commands and by those who ask.
#[derive(Default)]
pub struct CommandLog(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Newest first.
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

impl CommandLog {
    /// Adds an entry and keeps at most `most`.
    pub fn push(&self, mut entry: LogEntry, most: usize) {
        let mut inner = self.0.lock();
        entry.id = inner.next_id;
        inner.next_id += 1;
        inner.entries.push_front(entry);
        inner.entries.truncate(most);
    }

    /// The newest entries, at most `most`.
    pub fn newest(&self, most: usize) -> Vec<LogEntry> {
        self.0.lock().entries.iter().take(most).cloned().collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries; numbers go on.
    pub fn clear(&self) {
        self.0.lock().entries.clear();
    }
}

/// Whether an argument is a password.
pub fn is_secret(command: &Command, args: Args<'_>, i: usize) -> bool {
    match &*command.name {
        "auth" => i > 0,
        "hello" => args.is(i.wrapping_sub(1), "auth") || args.is(i.wrapping_sub(2), "auth"),
        "config|set" => ["requirepass", "masterauth", "masteruser"]
            .iter()
            .any(|option| i > 2 && i % 2 == 1 && args.is(i - 1, option)),
        "migrate" => is_migrate_login(args, i),
        _ => false,
    }
}

/// Whether argument `i` of a `MIGRATE` says who logs in at the other server, or with what. Read
/// as the command reads it: a key may be called `AUTH`, and after an error nothing is read.
fn is_migrate_login(args: Args<'_>, i: usize) -> bool {
    let mut at = FIRST_MIGRATE_OPTION;
    while at < i {
        let values = if args.is(at, "auth") {
            1
        } else if args.is(at, "auth2") {
            2
        } else if args.is(at, "copy") || args.is(at, "replace") {
            0
        } else {
            return false;
        };
        if i <= at + values {
            return true;
        }
        at += 1 + values;
    }
    false
}

fn shortened(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= MOST_BYTES {
        return arg.to_vec();
    }
    let mut text = arg[..MOST_BYTES].to_vec();
    let left = arg.len() - MOST_BYTES;
    text.extend_from_slice(format!("... ({left} more bytes)").as_bytes());
    text
}

/// Where `MIGRATE host port key db timeout` ends.
const FIRST_MIGRATE_OPTION: usize = 6;
/// Arguments shown, the last of which may count those left out.
const MOST_ARGS: usize = 32;
/// Bytes shown of an argument.
const MOST_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::table;
    use crate::protocol::OwnedArgs;

    #[test]
    fn passwords_do_not_get_into_the_log() {
        let secrets = |words: &[&str]| -> Vec<usize> {
            let args = OwnedArgs::of(words);
            let command = table::find(args.view()).expect("a command");
            (0..words.len())
                .filter(|i| is_secret(command, args.view(), *i))
                .collect()
        };
        assert_eq!(secrets(&["AUTH", "user", "pass"]), [1, 2]);
        assert_eq!(
            secrets(&["HELLO", "3", "AUTH", "u", "p", "SETNAME", "n"]),
            [3, 4]
        );
        let migrate = |rest: &[&str]| {
            let begin = ["MIGRATE", "host", "6379", "AUTH", "0", "100"];
            secrets(&[&begin[..], rest].concat())
        };
        assert_eq!(migrate(&["COPY", "AUTH", "auth", "REPLACE"]), [8]);
        assert_eq!(migrate(&["auth2", "u", "p", "KEYS", "AUTH", "k"]), [7, 8]);
        assert!(migrate(&["KEYS", "AUTH", "b"]).is_empty());
        assert_eq!(
            secrets(&["CONFIG", "SET", "timeout", "1", "RequirePass", "p"]),
            [5]
        );
        assert_eq!(secrets(&["SET", "k", "v"]), [0usize; 0]);
    }

    #[test]
    fn long_arguments_are_cut() {
        assert_eq!(shortened(b"abc"), b"abc");
        let cut = shortened(&[b'x'; 200]);
        assert!(cut.ends_with(b"x... (72 more bytes)"));
    }
}
