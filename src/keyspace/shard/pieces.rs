//! A shard's part in a snapshot: walking its keys, and values that are taken in pieces.
//!
//! A hash or a sorted set of many elements is *frozen* when the snapshot first meets it, by the
//! walker or by whoever is about to change it: it remembers by itself what it was
//! ([`Pieces::freeze`]), and the snapshot takes a piece of it at a time, with the lock released
//! in between. The ticket goes with the value, wherever that goes.
//!
//! What must stay true: a frozen value is either in the table under the key that `frozen`
//! names, or alone in `frozen`, in exactly one shard whenever no lock is held.

use super::super::database::DbIndex;
use super::super::entry::{Entry, EntryPtr, EntryRef, Pieces};
use super::{HandedBy, Keys, PreImage, Shard, Ticket, Walk};
use crate::hash::hash;
use crate::values::table::Slot;

/// A value that a snapshot takes in pieces.
pub(super) struct Frozen {
    ticket: Ticket,
    place: Place,
}

enum Place {
    /// Under this key.
    Key(Box<[u8]>),
    /// Its key is deleted, or has another value.
    Alone(Entry),
}

/// What came of walking; to be dropped when the lock has been released.
pub struct Step {
    /// Whether there is more to do.
    pub more: bool,
    /// Keys that only the snapshot had.
    _garbage: Option<Keys>,
}

/// What came of asking for a piece; to be dropped when the lock has been released.
pub enum Given {
    /// A piece, and there are more.
    Piece,
    /// The last piece; and the value, if nobody else has it.
    Last(Option<Entry>),
    /// Nothing: the value is in another shard.
    Elsewhere,
    /// Nothing, and there never will be: the value is not where its shard says.
    Lost,
}

impl Shard {
    /// Begins a snapshot: from here on, entries not of `epoch` go to `sink` before they
    /// change, and [`Shard::walk`] visits the rest.
    pub fn begin_snapshot(&mut self, epoch: u8, sink: PreImage) {
        debug_assert!(self.frozen.is_empty(), "the last snapshot took all");
        self.epoch = epoch;
        self.snapshot = Some(Walk {
            sink,
            db: self.db,
            cursor: 0,
            aside: Vec::new(),
            own_done: false,
        });
    }

    /// Hands about `count` more entries to the snapshot.
    pub fn walk(&mut self, count: usize) -> Step {
        let mut step = Step {
            more: false,
            _garbage: None,
        };
        let Some(walk) = &mut self.snapshot else {
            return step;
        };
        let (db, table, cursor, own): (DbIndex, &Keys, _, _) = match walk.aside.last_mut() {
            Some((db, table, cursor)) => (*db, table, cursor, false),
            None if !walk.own_done => (walk.db, &self.table, &mut walk.cursor, true),
            None => {
                self.snapshot = None;
                return step;
            }
        };
        step.more = true;
        let (epoch, sink) = (self.epoch, &walk.sink);
        let mut frozen: Vec<(Ticket, Box<[u8]>)> = Vec::new();
        let next = table.scan(*cursor, count, |raw| {
            let mut ptr = EntryPtr(raw);
            // SAFETY: the entry is live and the table borrowed.
            let entry = unsafe { EntryRef::of(raw) };
            if entry.epoch() != epoch {
                if let Some(ticket) = sink(db, entry, HandedBy::Walker) {
                    frozen.push((ticket, entry.key().into()));
                }
                ptr.set_epoch(epoch);
            }
        });
        *cursor = next;
        for (ticket, key) in frozen {
            self.freeze_walked(ticket, &key, own);
        }
        if next == 0
            && let Some(walk) = &mut self.snapshot
        {
            match own {
                true => walk.own_done = true,
                false => step._garbage = walk.aside.pop().map(|(_, table, _)| table),
            }
        }
        step
    }

    /// Whether a snapshot has still to walk here.
    pub fn is_walked(&self) -> bool {
        self.snapshot.is_some()
    }

    /// A value that the snapshot takes in pieces.
    pub fn next_frozen(&self) -> Option<Ticket> {
        self.frozen.last().map(|frozen| frozen.ticket)
    }

    /// Whether the value is in this shard.
    pub fn has_frozen(&self, ticket: Ticket) -> bool {
        self.frozen.iter().any(|frozen| frozen.ticket == ticket)
    }

    /// Lets `take` have the next piece of a value; it says whether there are more.
    pub fn piece(&mut self, ticket: Ticket, take: impl FnOnce(Pieces<'_>) -> bool) -> Given {
        let Some(at) = self.frozen.iter().position(|f| f.ticket == ticket) else {
            return Given::Elsewhere;
        };
        let slot = match &self.frozen[at].place {
            Place::Alone(_) => None,
            Place::Key(key) => self.table.find(hash(key), key),
        };
        let value = match (slot, &mut self.frozen[at].place) {
            (_, Place::Alone(entry)) => entry.pieces(),
            // SAFETY: the entry is live and `self` borrowed exclusively.
            (Some(slot), _) => unsafe { EntryPtr(self.table.get(slot)).pieces() },
            (None, _) => None,
        };
        match value.map(take) {
            Some(true) => Given::Piece,
            Some(false) => match self.frozen.swap_remove(at).place {
                Place::Alone(entry) => Given::Last(Some(entry)),
                Place::Key(_) => Given::Last(None),
            },
            None => {
                self.frozen.swap_remove(at);
                Given::Lost
            }
        }
    }

    /// Freezes the value at `slot`.
    pub(super) fn freeze(&mut self, slot: Slot, ticket: Ticket) {
        let key: Box<[u8]> = self.entry(slot).key().into();
        if let Some(mut value) = self.pieces(slot) {
            value.freeze(ticket);
            self.frozen_at(ticket, &key);
        }
    }

    /// Freezes a value that the walker has met.
    fn freeze_walked(&mut self, ticket: Ticket, key: &[u8], own: bool) {
        if own {
            if let Some(slot) = self.find(hash(key), key) {
                self.freeze(slot, ticket);
            }
            return;
        }
        // Nobody else has it.
        let aside = self.snapshot.as_mut().and_then(|w| w.aside.last_mut());
        if let Some((_, table, _)) = aside
            && let Some(slot) = table.find(hash(key), key)
        {
            let mut entry = table.remove(slot);
            if let Some(mut value) = entry.pieces() {
                value.freeze(ticket);
                self.frozen_alone(ticket, entry);
            }
        }
    }

    /// A frozen value has come to this key.
    #[cold]
    pub(super) fn frozen_at(&mut self, ticket: Ticket, key: &[u8]) {
        self.frozen.push(Frozen {
            ticket,
            place: Place::Key(key.into()),
        });
    }

    /// A frozen value has lost its key.
    #[cold]
    pub(super) fn frozen_alone(&mut self, ticket: Ticket, entry: Entry) {
        self.frozen.push(Frozen {
            ticket,
            place: Place::Alone(entry),
        });
    }

    /// A frozen value leaves.
    #[cold]
    pub(super) fn frozen_gone(&mut self, ticket: Ticket) {
        self.frozen.retain(|frozen| frozen.ticket != ticket);
    }

    /// Takes the frozen values out of the table, which is about to be given away.
    pub(super) fn part_from_frozen(&mut self) {
        for frozen in &mut self.frozen {
            if let Place::Key(key) = &frozen.place
                && let Some(slot) = self.table.find(hash(key), key)
            {
                frozen.place = Place::Alone(self.table.remove(slot));
            }
        }
    }
}
