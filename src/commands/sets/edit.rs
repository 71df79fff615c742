//! Changing one set, wherever and however it is stored.
//!
//! A [`SetEdit`] looks its key up once. It converts the set when a change does not fit the
//! encoding, and [`SetEdit::close`] inserts a set that is new and deletes one that has become
//! empty.
//!
//! What must stay true: nothing of an existing set is touched by looking at it or by a change
//! that changes nothing, because touching tells the clients that watch the key.

use crate::execute::{Expiry, Found, Settings, WriteContext};
use crate::keyspace::{Kind, Payload};
use crate::protocol::WireError;
use crate::values::packed::Element;
use crate::values::set::{
    Encoding, Limits, NOTHING, NeedsConversion, OwnedSet, SetMut, SetRef, SetTable, convert,
    encoding_for,
};

/// The limits that are configured.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        max_ints: settings.set_max_intset_entries,
        max_entries: settings.set_max_listpack_entries,
        max_value: settings.set_max_listpack_value,
    }
}

/// A set as it is put into an entry.
pub(super) fn with_payload<R>(set: OwnedSet, put: impl FnOnce(Payload<'_>) -> R) -> R {
    match set {
        OwnedSet::Ints(bytes) => put(Payload::Inline(Kind::SetInts, &bytes)),
        OwnedSet::Packed(bytes) => put(Payload::Inline(Kind::SetPacked, &bytes)),
        OwnedSet::Table(table) => put(Payload::Set(table)),
    }
}

/// A set being changed.
pub(super) struct SetEdit<'c, 'a, 'k> {
    ctx: &'c mut WriteContext<'a>,
    key: &'k [u8],
    place: Place,
    limits: Limits,
}

/// Where the set is.
enum Place {
    Found(Found),
    New(OwnedSet),
}

impl<'c, 'a, 'k> SetEdit<'c, 'a, 'k> {
    /// The set at `key`, which is about to get `first` and perhaps more, `expected` in all; a
    /// new one if there is nothing. As in Redis, so many that are expected decide about the
    /// encoding even if some turn out to be the same.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    #[inline]
    pub(super) fn open_or_new(
        ctx: &'c mut WriteContext<'a>,
        key: &'k [u8],
        first: Element<'_>,
        expected: usize,
    ) -> Result<Self, WireError> {
        let limits = limits(ctx.settings());
        let Some(found) = ctx.find(key) else {
            let set = OwnedSet::empty(encoding_for(first, expected, limits));
            return Ok(SetEdit {
                ctx,
                key,
                place: Place::New(set),
                limits,
            });
        };
        let mut edit = Self::of(ctx, key, found)?;
        let too_many = match edit.get().encoding() {
            Encoding::Ints => expected > limits.max_ints,
            Encoding::Packed => expected > limits.max_entries,
            Encoding::Table => false,
        };
        if too_many {
            edit.convert(Encoding::Table);
        }
        Ok(edit)
    }

    /// The set at `key`, which was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub(super) fn of(
        ctx: &'c mut WriteContext<'a>,
        key: &'k [u8],
        found: Found,
    ) -> Result<Self, WireError> {
        ctx.set_of(found)?;
        ctx.mark_used(found);
        let limits = limits(ctx.settings());
        Ok(SetEdit {
            ctx,
            key,
            place: Place::Found(found),
            limits,
        })
    }

    /// The set as it is.
    #[inline]
    pub(super) fn get(&self) -> SetRef<'_> {
        match &self.place {
            // The type was looked at when the edit began.
            Place::Found(found) => self.ctx.set_of(*found).unwrap_or(NOTHING),
            Place::New(set) => set.as_ref(),
        }
    }

    /// Adds a member; whether it is new.
    #[inline]
    pub(super) fn add(&mut self, member: Element<'_>) -> bool {
        let limits = self.limits;
        if let Place::New(set) = &mut self.place {
            return set.add(member, limits);
        }
        if let SetRef::Table(table) = self.get() {
            let Some(absent) = table.absent(member) else {
                return false;
            };
            // A table needs no conversion.
            return self.change(|set| {
                if let SetMut::Table(table) = set {
                    table.add_absent(member, absent);
                }
                Ok(true)
            });
        }
        !self.get().contains(member) && self.change(|set| set.add(member, limits))
    }

    /// Removes a member; whether it was there.
    #[inline]
    pub(super) fn remove(&mut self, member: Element<'_>) -> bool {
        self.get().contains(member) && self.change(|set| Ok(set.remove(member)))
    }

    /// Ends the edit; whether a set is left.
    #[inline]
    pub(super) fn close(self) -> bool {
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

    /// Makes a change, after a conversion if the set needs one.
    #[inline]
    fn change<R>(
        &mut self,
        mut change: impl FnMut(&mut SetMut<'_>) -> Result<R, NeedsConversion>,
    ) -> R {
        loop {
            let result = match &mut self.place {
                Place::Found(found) => change_found(self.ctx, *found, &mut change),
                Place::New(set) => change(&mut set.as_mut()),
            };
            match result {
                Ok(answer) => return answer,
                Err(NeedsConversion(to)) => self.convert(to),
            }
        }
    }

    fn convert(&mut self, to: Encoding) {
        let converted = convert(self.get(), to);
        match self.place {
            Place::Found(found) => with_payload(converted, |payload| {
                self.ctx.replace(found, payload, Expiry::Keep);
            }),
            Place::New(_) => self.place = Place::New(converted),
        }
    }
}

#[inline]
fn change_found<R>(
    ctx: &mut WriteContext<'_>,
    found: Found,
    change: &mut impl FnMut(&mut SetMut<'_>) -> Result<R, NeedsConversion>,
) -> Result<R, NeedsConversion> {
    match ctx.entry(found).kind() {
        Kind::SetInts => change(&mut SetMut::Ints(&mut ctx.inline(found))),
        Kind::SetPacked => change(&mut SetMut::Packed(&mut ctx.inline(found))),
        _ => {
            let table = ctx.object::<SetTable>(found);
            // The type was looked at when the edit began.
            change(&mut SetMut::Table(table.expect("a set, not in its entry")))
        }
    }
}
