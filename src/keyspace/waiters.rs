//! Clients that wait for keys, filed with the shards of those keys.
//!
//! A [`Waiter`] is in the line of each key that it waits for, first come first served. It is
//! taken exactly once: served by whoever made a key ready, or called off. Its state has a lock
//! of its own, taken after the locks of shards; lines change under their shard's lock. One
//! that was called off may be found in a line for a while and is passed over.

use super::database::DbIndex;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// A client that waits for keys.
pub struct Waiter {
    /// Grows with each waiter, so that lines are sorted by it.
    ticket: u64,
    /// The client's database.
    pub db: DbIndex,
    /// Whether it speaks RESP3.
    pub resp3: bool,
    /// Whether its accesses leave a trace.
    pub touches: bool,
    /// Whom to tell when what it reads changes, if it caches that.
    pub reader: Option<u64>,
    /// The words of what is executed when a key is ready.
    pub words: Vec<Box<[u8]>>,
    /// The keys that it waits for, each once.
    pub keys: Box<[Box<[u8]>]>,
    /// All keys that serving it may touch, those it waits for included.
    pub reaches: Box<[Box<[u8]>]>,
    /// The type that makes a key ready.
    pub wanted: Wanted,
    /// Whether it must hear of it when a key goes, or becomes another type.
    pub minds_loss: bool,
    state: Mutex<WaiterState>,
    waker: Option<Waker>,
}

/// The type of value that a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A list.
    List,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
    /// Any value.
    Any,
}

/// Where a waiter stands.
#[derive(Debug, Default)]
pub enum WaiterState {
    /// Nobody has taken it.
    #[default]
    Waiting,
    /// Its command was executed; the connection has not fetched the reply yet.
    Served(Served),
    /// It was called off.
    CalledOff(Cause),
}

/// Why a waiter was called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its time was up, or `CLIENT UNBLOCK` says so.
    TimedOut,
    /// `CLIENT UNBLOCK … ERROR`.
    Unblocked,
    /// The node became a replica.
    RoleChanged,
    /// The client is gone.
    Gone,
}

/// The reply of a waiter that was served.
#[derive(Debug)]
pub struct Served {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The newest write that it depends on.
    pub offset: u64,
    /// Whether serving it wrote.
    pub wrote: bool,
    /// The term in which it was served.
    pub term: u64,
}

/// What a waiter is made of.
pub struct WaiterParts {
    /// See [`Waiter::db`], and so on.
    pub db: DbIndex,
    /// Whether the client speaks RESP3.
    pub resp3: bool,
    /// Whether its accesses leave a trace.
    pub touches: bool,
    /// Whom to tell when what it reads changes, if it caches that.
    pub reader: Option<u64>,
    /// The words of what is executed when a key is ready.
    pub words: Vec<Box<[u8]>>,
    /// The keys that it waits for.
    pub keys: Vec<Box<[u8]>>,
    /// Other keys that serving it may touch.
    pub others: Vec<Box<[u8]>>,
    /// The type that makes a key ready.
    pub wanted: Wanted,
    /// Whether it must hear of the loss of a key.
    pub minds_loss: bool,
    /// Runs the connection's task.
    pub waker: Option<Waker>,
}

impl Waiter {
    /// A waiter that came after all others. The shards of its keys must be locked, so that
    /// the lines it joins stay sorted.
    pub fn new(parts: WaiterParts) -> Arc<Waiter> {
        static TICKETS: AtomicU64 = AtomicU64::new(0);
        let mut keys: Vec<Box<[u8]>> = Vec::with_capacity(parts.keys.len());
        for key in parts.keys {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let mut reaches = keys.clone();
        reaches.extend(parts.others);
        Arc::new(Waiter {
            ticket: TICKETS.fetch_add(1, Ordering::Relaxed),
            db: parts.db,
            resp3: parts.resp3,
            touches: parts.touches,
            reader: parts.reader,
            words: parts.words,
            keys: keys.into(),
            reaches: reaches.into(),
            wanted: parts.wanted,
            minds_loss: parts.minds_loss,
            state: Mutex::default(),
            waker: parts.waker,
        })
    }

    /// Calls it off; whether it was still waiting. The connection hears of it.
    pub fn call_off(&self, cause: Cause) -> bool {
        let mut state = self.state.lock();
        if !matches!(*state, WaiterState::Waiting) {
            return false;
        }
        *state = WaiterState::CalledOff(cause);
        drop(state);
        self.wake();
        true
    }

    /// Serves it with what `execute` gives, if nobody has taken it; `None` leaves it waiting.
    /// Whether it is not waiting any more.
    pub fn serve(&self, execute: impl FnOnce() -> Option<Served>) -> bool {
        let mut state = self.state.lock();
        if !matches!(*state, WaiterState::Waiting) {
            return true;
        }
        let Some(served) = execute() else {
            return false;
        };
        *state = WaiterState::Served(served);
        drop(state);
        self.wake();
        true
    }

    /// How it ended, for its connection, which asks only once it has ended; `None` while it
    /// waits.
    pub fn outcome(&self) -> Option<Result<Served, Cause>> {
        let mut state = self.state.lock();
        match std::mem::take(&mut *state) {
            WaiterState::Waiting => None,
            WaiterState::Served(served) => {
                *state = WaiterState::CalledOff(Cause::Gone);
                Some(Ok(served))
            }
            WaiterState::CalledOff(cause) => {
                *state = WaiterState::CalledOff(cause);
                Some(Err(cause))
            }
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter")
            .field("ticket", &self.ticket)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

/// The lines of one shard.
#[derive(Default)]
pub struct Waiters {
    lines: HashMap<Box<[u8]>, Line>,
    /// Keys that have changed, with the order in which they did.
    ready: RefCell<Vec<(u64, Box<[u8]>)>>,
}

#[derive(Default)]
struct Line {
    waiters: VecDeque<Arc<Waiter>>,
    /// How many of them mind the loss of the key.
    mind_loss: usize,
    /// How many of them touch other keys when they are served.
    reach_further: usize,
    /// Whether the key is noted as ready.
    noted: Cell<bool>,
}

impl Waiters {
    /// Whether nobody waits here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a key has changed that somebody waits for.
    #[inline]
    pub fn any_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// The keys that are waited for.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.keys().map(|key| &**key)
    }

    /// How many keys are waited for, and how many by somebody who minds their loss.
    pub fn count(&self) -> (usize, usize) {
        let minding = self.lines.values().filter(|line| line.mind_loss > 0);
        (self.lines.len(), minding.count())
    }

    /// Everybody who waits; who waits for several keys comes several times.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Waiter>> {
        self.lines.values().flat_map(|line| &line.waiters)
    }

    /// Those who wait for the key, in order.
    pub fn of(&self, key: &[u8]) -> impl Iterator<Item = &Arc<Waiter>> {
        self.lines.get(key).into_iter().flat_map(|l| &l.waiters)
    }

    /// The first who waits for the key and came after `ticket`.
    pub fn next(&self, key: &[u8], after: Option<u64>) -> Option<Arc<Waiter>> {
        let line = self.lines.get(key)?;
        let at = after.map_or(0, |ticket| {
            line.waiters.partition_point(|w| w.ticket <= ticket)
        });
        line.waiters.get(at).cloned()
    }

    /// Whether anybody who waits for the key minds its loss.
    pub fn minds_loss(&self, key: &[u8]) -> bool {
        self.lines.get(key).is_some_and(|line| line.mind_loss > 0)
    }

    /// Whether serving those who wait for the key may touch other keys.
    pub fn reach_further(&self, key: &[u8]) -> bool {
        self.lines.get(key).is_some_and(|l| l.reach_further > 0)
    }

    pub(super) fn file(&mut self, key: &[u8], waiter: Arc<Waiter>) {
        let line = self.lines.entry_ref(key).or_default();
        line.mind_loss += usize::from(waiter.minds_loss);
        line.reach_further += usize::from(waiter.reaches.len() > 1);
        line.waiters.push_back(waiter);
    }

    pub(super) fn forget(&mut self, key: &[u8], waiter: &Waiter) {
        let Some(line) = self.lines.get_mut(key) else {
            return;
        };
        let found = line
            .waiters
            .binary_search_by_key(&waiter.ticket, |w| w.ticket);
        if let Ok(at) = found {
            line.waiters.remove(at);
            line.mind_loss -= usize::from(waiter.minds_loss);
            line.reach_further -= usize::from(waiter.reaches.len() > 1);
        }
        if line.waiters.is_empty() {
            self.lines.remove(key);
        }
    }

    /// Notes that the key has changed.
    pub(super) fn note(&self, key: &[u8]) {
        static ORDER: AtomicU64 = AtomicU64::new(0);
        if let Some(line) = self.lines.get(key)
            && !line.noted.replace(true)
        {
            let order = ORDER.fetch_add(1, Ordering::Relaxed);
            self.ready.borrow_mut().push((order, key.into()));
        }
    }

    /// The keys that have changed, each with its place in the order of changes.
    pub fn take_ready(&self) -> Vec<(u64, Box<[u8]>)> {
        let ready = self.ready.take();
        for (_, key) in &ready {
            if let Some(line) = self.lines.get(key) {
                line.noted.set(false);
            }
        }
        ready
    }
}

impl Waiter {
    /// Its place in every line; see [`Waiters::next`].
    pub fn ticket(&self) -> u64 {
        self.ticket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(keys: &[&str]) -> Arc<Waiter> {
        Waiter::new(WaiterParts {
            db: DbIndex(0),
            resp3: false,
            touches: true,
            reader: None,
            words: Vec::new(),
            keys: keys.iter().map(|key| key.as_bytes().into()).collect(),
            others: Vec::new(),
            wanted: Wanted::List,
            minds_loss: false,
            waker: None,
        })
    }

    fn served() -> Served {
        Served {
            bytes: Vec::new(),
            offset: 7,
            wrote: true,
            term: 0,
        }
    }

    #[test]
    fn a_waiter_is_taken_exactly_once() {
        let first = waiter(&["k"]);
        assert!(first.outcome().is_none());
        assert!(!first.serve(|| None), "nothing to serve: it waits on");
        assert!(first.serve(|| Some(served())));
        assert!(!first.call_off(Cause::TimedOut), "too late");
        assert!(matches!(
            first.outcome(),
            Some(Ok(Served { offset: 7, .. }))
        ));

        let second = waiter(&["k"]);
        assert!(second.call_off(Cause::Gone));
        assert!(second.serve(|| panic!("it was called off")));
        assert!(matches!(second.outcome(), Some(Err(Cause::Gone))));
    }

    #[test]
    fn lines_keep_the_order_and_changes_are_noted_once() {
        let mut waiters = Waiters::default();
        let all: Vec<_> = (0..3).map(|_| waiter(&["k", "k", "l"])).collect();
        assert_eq!(all[0].keys.len(), 2);
        for one in &all {
            for key in &one.keys {
                waiters.file(key, Arc::clone(one));
            }
        }
        waiters.note(b"other");
        assert!(!waiters.any_ready());
        waiters.note(b"l");
        waiters.note(b"k");
        waiters.note(b"l");
        let ready = waiters.take_ready();
        let keys: Vec<_> = ready.iter().map(|(_, key)| &**key).collect();
        assert_eq!(keys, [b"l", b"k"]);
        waiters.forget(b"k", &all[1]);
        let first = waiters.next(b"k", None).expect("the first");
        assert_eq!(first.ticket(), all[0].ticket());
        let next = waiters.next(b"k", Some(first.ticket())).expect("the third");
        assert_eq!(next.ticket(), all[2].ticket());
        assert!(waiters.next(b"k", Some(next.ticket())).is_none());
        for one in [&all[0], &all[2], &all[2]] {
            waiters.forget(b"k", one);
        }
        assert_eq!(waiters.count(), (1, 0));
    }
}
