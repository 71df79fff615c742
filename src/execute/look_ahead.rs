//! Looks at the commands of a stream before they are applied.
//!
//! A stream is applied in order, command by command, and when the tables are larger than the
//! cache most of that time is spent waiting for memory. So the next commands are parsed ahead
//! of their turn, and the memory that their lookups will read is asked for: it comes while
//! the commands before them are applied. The window of a client's pipeline does the same.
//!
//! Only hints come from here: a command that is not looked at is applied all the same.

use crate::commands::handler::Scope;
use crate::commands::{key_positions, table};
use crate::keyspace::{DbIndex, Keyspace, shard_of};
use crate::protocol::{Limits, Parsed, RequestReader};
use std::collections::VecDeque;

/// See the module's documentation.
pub struct LookAhead {
    keyspace: &'static Keyspace,
    reader: RequestReader,
    /// Where the commands that were looked at begin, and the hash of the only key of each.
    seen: VecDeque<(usize, u64)>,
    /// Where looking goes on.
    until: usize,
}

impl LookAhead {
    /// One that has seen nothing.
    pub fn new(keyspace: &'static Keyspace) -> Self {
        LookAhead {
            keyspace,
            reader: RequestReader::default(),
            seen: VecDeque::with_capacity(AHEAD),
            until: 0,
        }
    }

    /// The hash of the only key of the command at `at` in `input`, which is applied next, if
    /// it has been looked at; looks at more when that was the last.
    #[inline]
    pub fn hash(&mut self, input: &[u8], at: usize, limits: &Limits, db: DbIndex) -> Option<u64> {
        if at >= self.until {
            self.look(input, at, limits, db);
        }
        while let Some(&(begins, hash)) = self.seen.front() {
            if begins > at {
                return None;
            }
            self.seen.pop_front();
            if begins == at {
                return Some(hash);
            }
        }
        None
    }

    /// The input has changed: its first bytes are gone, or all is new.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.until = 0;
    }

    #[inline(never)]
    fn look(&mut self, input: &[u8], mut at: usize, limits: &Limits, db: DbIndex) {
        self.reader.reset();
        self.seen.clear();
        for _ in 0..AHEAD {
            // Anything else is for the stream's owner to judge.
            let rest = &input[at..];
            if rest.first() != Some(&b'*') {
                break;
            }
            let Ok(Parsed::Request(n)) = self.reader.parse(rest, limits) else {
                break;
            };
            let args = self.reader.args(rest);
            let key = table::find(args).ok().and_then(|command| {
                let one_key = command.spec.scope == Scope::Keys;
                key_positions::only_key(command.spec, args).filter(|_| one_key)
            });
            if let Some(key) = key {
                self.seen.push_back((at, crate::hash::hash(key)));
            }
            at += n;
        }
        self.until = at;
        self.fetch(db);
    }

    fn fetch(&self, db: DbIndex) {
        let database = self.keyspace.database(db);
        // A shard that is locked is left out: this is only a hint.
        for (_, hash) in &self.seen {
            if let Some(shard) = database.shard(shard_of(*hash)).try_lock() {
                shard.prefetch(*hash);
            }
        }
        for (_, hash) in &self.seen {
            if let Some(shard) = database.shard(shard_of(*hash)).try_lock() {
                shard.prefetch_entry(*hash);
            }
        }
    }
}

/// How many commands are looked at, at once.
const AHEAD: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of each command of `input`, looked at in order.
    fn hashes(ahead: &mut LookAhead, input: &[u8]) -> Vec<Option<u64>> {
        let (mut reader, limits) = (RequestReader::default(), Limits::default());
        let (mut at, mut found) = (0, Vec::new());
        while let Ok(Parsed::Request(n) | Parsed::Nothing(n)) = reader.parse(&input[at..], &limits)
        {
            found.push(ahead.hash(input, at, &limits, DbIndex(0)));
            at += n;
        }
        assert_eq!(at, input.len());
        found
    }

    fn set(key: &str) -> String {
        format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$1\r\nx\r\n", key.len())
    }

    #[test]
    fn each_command_with_one_key_is_told_its_hash() {
        let keyspace: &'static Keyspace = Box::leak(Box::new(Keyspace::new(1)));
        let mut ahead = LookAhead::new(keyspace);
        let keys: Vec<String> = (0..3 * AHEAD).map(|n| format!("key-{n}")).collect();
        let mut input = String::from("*1\r\n$5\r\nMULTI\r\n");
        keys.iter().for_each(|key| input += &set(key));
        input += "*3\r\n$3\r\nDEL\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n";
        for _ in 0..2 {
            let found = hashes(&mut ahead, input.as_bytes());
            let hash = |key: &String| Some(crate::hash::hash(key.as_bytes()));
            let mut expected = vec![None];
            expected.extend(keys.iter().map(hash));
            expected.extend([None, None]);
            assert_eq!(found, expected);
            ahead.forget();
        }
    }

    #[test]
    fn what_is_no_command_ends_the_look() {
        let keyspace: &'static Keyspace = Box::leak(Box::new(Keyspace::new(1)));
        let mut ahead = LookAhead::new(keyspace);
        let (a, b) = (set("a"), set("b"));
        let hash = |key: &str| Some(crate::hash::hash(key.as_bytes()));
        let input = format!("{a}inline\r\n{b}");
        let found = hashes(&mut ahead, input.as_bytes());
        assert_eq!(found, [hash("a"), None, hash("b")]);
        for torn in ["*", "*3\r\n$3\r\nSET", "#TS:1\r\n", "*-9\r\n", ""] {
            ahead.forget();
            let (limits, db) = (Limits::default(), DbIndex(0));
            assert_eq!(ahead.hash(torn.as_bytes(), 0, &limits, db), None, "{torn}");
            let input = format!("{a}{torn}");
            ahead.forget();
            let found = ahead.hash(input.as_bytes(), 0, &limits, db);
            assert_eq!(found, hash("a"), "{torn}");
            assert_eq!(ahead.hash(input.as_bytes(), a.len(), &limits, db), None);
        }
    }
}
