//! Changing one sorted set, wherever and however it is stored.
//!
//! A [`SortedSetEdit`] looks its key up once. It converts the set when a change does not fit
//! the encoding, and [`SortedSetEdit::close`] inserts a set that is new and deletes one that
//! has become empty.
//!
//! What must stay true: nothing of an existing set is touched by looking at it, because
//! touching tells the clients that watch the key.

use crate::execute::{Expiry, Found, Settings, WriteContext};
use crate::keyspace::{Kind, Payload};
use crate::protocol::WireError;
use crate::values::sorted_set::{
    Limits, NOTHING, OwnedSortedSet, SortedSet, SortedSetRef, packed, to_full,
};

/// The limits that are configured.
pub(in crate::commands) fn limits(settings: &Settings) -> Limits {
    Limits {
        max_entries: settings.zset_max_listpack_entries,
        max_value: settings.zset_max_listpack_value,
    }
}

/// A sorted set as it is put into an entry.
pub(in crate::commands) fn with_payload<R>(
    set: OwnedSortedSet,
    put: impl FnOnce(Payload<'_>) -> R,
) -> R {
    match set {
        OwnedSortedSet::Packed(bytes) => put(Payload::Inline(Kind::SortedSetPacked, &bytes)),
        OwnedSortedSet::Full(set) => put(Payload::SortedSet(set)),
    }
}

/// A sorted set being changed.
pub(in crate::commands) struct SortedSetEdit<'c, 'a, 'k> {
    ctx: &'c mut WriteContext<'a>,
    key: &'k [u8],
    place: Place,
    limits: Limits,
}

/// Where the set is.
enum Place {
    Found(Found),
    New(OwnedSortedSet),
}

impl<'c, 'a, 'k> SortedSetEdit<'c, 'a, 'k> {
    /// The set at `key`, which is about to get `expected` members, the first of `len` bytes;
    /// a new one if there is nothing.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub(in crate::commands) fn open_or_new(
        ctx: &'c mut WriteContext<'a>,
        key: &'k [u8],
        expected: usize,
        len: usize,
    ) -> Result<Self, WireError> {
        let limits = limits(ctx.settings());
        let Some(found) = ctx.find(key) else {
            let set = OwnedSortedSet::for_members(expected, len, limits);
            return Ok(SortedSetEdit {
                ctx,
                key,
                place: Place::New(set),
                limits,
            });
        };
        let mut edit = Self::of(ctx, key, found)?;
        if expected > limits.max_entries {
            edit.convert();
        }
        Ok(edit)
    }

    /// The set at `key`, which was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub(in crate::commands) fn of(
        ctx: &'c mut WriteContext<'a>,
        key: &'k [u8],
        found: Found,
    ) -> Result<Self, WireError> {
        ctx.sorted_set_of(found)?;
        ctx.mark_used(found);
        let limits = limits(ctx.settings());
        Ok(SortedSetEdit {
            ctx,
            key,
            place: Place::Found(found),
            limits,
        })
    }

    /// The set as it is.
    pub(in crate::commands) fn get(&self) -> SortedSetRef<'_> {
        match &self.place {
            // The type was looked at when the edit began.
            Place::Found(found) => self.ctx.sorted_set_of(*found).unwrap_or(NOTHING),
            Place::New(set) => set.as_ref(),
        }
    }

    /// Adds a member that is not there.
    pub(in crate::commands) fn insert(&mut self, member: &[u8], score: f64) {
        let limits = self.limits;
        if let Place::New(set) = &mut self.place {
            return set.insert(member, score, limits);
        }
        let set = self.get();
        if matches!(set, SortedSetRef::Packed(_)) && !limits.hold(set.len() + 1, member.len()) {
            self.convert();
        }
        if let Place::Found(found) = self.place {
            match self.ctx.object::<SortedSet>(found) {
                Some(set) => set.insert(member, score),
                None => packed::insert(&mut self.ctx.inline(found), member, score),
            }
        }
    }

    /// Gives a member that is there another score.
    pub(in crate::commands) fn set_score(&mut self, member: &[u8], score: f64) {
        match &mut self.place {
            Place::New(set) => set.set_score(member, score),
            Place::Found(found) => match self.ctx.object::<SortedSet>(*found) {
                Some(set) => set.set_score(member, score),
                None => packed::set_score(&mut self.ctx.inline(*found), member, score),
            },
        }
    }

    /// Removes a member; whether it was there.
    pub(in crate::commands) fn remove(&mut self, member: &[u8]) -> bool {
        if self.get().score(member).is_none() {
            return false;
        }
        match &mut self.place {
            Place::New(set) => set.remove(member),
            Place::Found(found) => match self.ctx.object::<SortedSet>(*found) {
                Some(set) => set.remove(member),
                None => packed::remove(&mut self.ctx.inline(*found), member),
            },
        }
        true
    }

    /// Removes `n` members from rank `start` on.
    pub(in crate::commands) fn remove_range(&mut self, start: usize, n: usize) {
        if n == 0 {
            return;
        }
        if let Place::Found(found) = self.place {
            match self.ctx.object::<SortedSet>(found) {
                Some(set) => set.remove_range(start, n),
                None => packed::remove_range(&mut self.ctx.inline(found), start, n),
            }
        }
    }

    /// Ends the edit; whether a set is left.
    pub(in crate::commands) fn close(self) -> bool {
        if self.get().is_empty() {
            if let Place::Found(found) = self.place {
                self.ctx.remove(found);
            }
            return false;
        }
        if let Place::New(set) = self.place {
            let db = self.ctx.db();
            with_payload(set, |payload| self.ctx.insert(db, self.key, None, payload));
        }
        true
    }

    fn convert(&mut self) {
        if let Place::Found(found) = self.place
            && let set @ SortedSetRef::Packed(_) = self.get()
        {
            let full = Box::new(to_full(set));
            let payload = Payload::SortedSet(full);
            self.ctx.replace(found, payload, Expiry::Keep);
        }
    }
}
