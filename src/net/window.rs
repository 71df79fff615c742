//! A few requests of one batch, looked at before they are executed.
//!
//! When a table is larger than the cache, most of a lookup's time is spent waiting for
//! memory. The requests that a client has pipelined are independent of each other as far as
//! that is concerned: so the keys of several are hashed and the memory that their lookups
//! will read is asked for, and only then is the first executed.

use crate::commands::table;
use crate::commands::{handler::Scope, key_positions};
use crate::keyspace::{DbIndex, Keyspace, shard_of};
use crate::protocol::{Args, Limits, Parsed, ProtocolError, RequestReader};

/// Requests that have been parsed and not executed.
#[derive(Default)]
pub struct Window {
    ranges: Vec<(u32, u32)>,
    items: Vec<Item>,
    next: usize,
}

struct Item {
    at: usize,
    len: usize,
    first_range: usize,
    last_range: usize,
    /// The hash of the request's only key.
    hash: Option<u64>,
}

/// What stopped the window's filling.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
    /// The window is full, or the rest of the bytes is no whole request; parsing goes on at
    /// this position.
    Until(usize),
    /// The request at this position, of this length, is not in the window: the reader holds
    /// it in a form of its own. It comes after those in the window.
    Apart(usize, usize),
    /// What follows the window breaks the protocol.
    Broken(ProtocolError),
}

/// One request of the window.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    /// Where it begins.
    pub at: usize,
    /// Its length.
    pub len: usize,
    /// Its arguments.
    pub args: Args<'a>,
    /// The hash of its only key.
    pub hash: Option<u64>,
}

impl Window {
    /// Parses requests from `at` on, at most `most`.
    pub fn fill(
        &mut self,
        reader: &mut RequestReader,
        bytes: &[u8],
        mut at: usize,
        limits: &Limits,
        most: usize,
    ) -> Filled {
        self.ranges.clear();
        self.items.clear();
        self.next = 0;
        while self.items.len() < most && at < bytes.len() {
            match reader.parse(&bytes[at..], limits) {
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Nothing(n)) => at += n,
                Ok(Parsed::Request(n)) => {
                    let Some(ranges) = reader.plain_ranges() else {
                        return Filled::Apart(at, n);
                    };
                    let first_range = self.ranges.len();
                    self.ranges.extend_from_slice(ranges);
                    self.items.push(Item {
                        at,
                        len: n,
                        first_range,
                        last_range: self.ranges.len(),
                        hash: None,
                    });
                    at += n;
                }
                Err(error) => return Filled::Broken(error),
            }
        }
        Filled::Until(at)
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Asks for the memory that the requests' lookups in `db` will read.
    pub fn prefetch(&mut self, bytes: &[u8], keyspace: &Keyspace, db: DbIndex) {
        let database = keyspace.database(db);
        for item in &mut self.items {
            let ranges = &self.ranges[item.first_range..item.last_range];
            let args = Args::new(&bytes[item.at..], ranges);
            item.hash = table::find(args).ok().and_then(|command| {
                let one_key = command.spec.scope == Scope::Keys;
                let key = key_positions::only_key(command.spec, args).filter(|_| one_key)?;
                Some(crate::hash::hash(key))
            });
        }
        // A shard that another worker has locked is left out: this is only a hint.
        let hashes = || self.items.iter().filter_map(|item| item.hash);
        for hash in hashes() {
            if let Some(shard) = database.shard(shard_of(hash)).try_lock() {
                shard.prefetch(hash);
            }
        }
        for hash in hashes() {
            if let Some(shard) = database.shard(shard_of(hash)).try_lock() {
                shard.prefetch_entry(hash);
            }
        }
    }

    /// Takes the next request out.
    #[inline]
    pub fn take<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Next<'a>> {
        let item = self.items.get(self.next)?;
        self.next += 1;
        let ranges = &self.ranges[item.first_range..item.last_range];
        Some(Next {
            at: item.at,
            len: item.len,
            args: Args::new(&bytes[item.at..], ranges),
            hash: item.hash,
        })
    }
}
