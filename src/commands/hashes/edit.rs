//! Changing one hash, wherever and however it is stored.
//!
//! A [`HashEdit`] looks its key up once. It converts the hash when a change does not fit the
//! encoding, and [`HashEdit::close`] does what a change may leave to do: insert a hash that
//! is new, delete one that has become empty, have active expiry look earlier.
//!
//! What must stay true: nothing of an existing hash is touched by looking at it, because
//! touching tells the clients that watch the key.

use crate::config::NotifyClass;
use crate::execute::{Found, Origin, WriteContext};
use crate::keyspace::{Kind, Payload};
use crate::protocol::WireError;
use crate::time::UnixMs;
use crate::values::hash::{
    EMPTY, Encoding, HashMut, HashRef, HashTable, Limits, NeedsConversion, Ttl, to_packed_ex,
    to_table,
};

/// A hash being changed.
pub(super) struct HashEdit<'c, 'a, 'k> {
    pub(super) ctx: &'c mut WriteContext<'a>,
    key: &'k [u8],
    place: Place,
    /// When its first field expired before the change.
    due: Option<UnixMs>,
    limits: Limits,
}

/// Where the hash is.
enum Place {
    Found(Found),
    Packed(Vec<u8>),
    PackedEx(Vec<u8>),
    Table(Box<HashTable>),
}

impl<'c, 'a, 'k> HashEdit<'c, 'a, 'k> {
    /// The hash at `key`; a new one if there is nothing.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    #[inline]
    pub(super) fn open_or_new(
        ctx: &'c mut WriteContext<'a>,
        key: &'k [u8],
    ) -> Result<Self, WireError> {
        let found = ctx.find(key);
        let due = match found {
            Some(found) => ctx.hash_of(found)?.min_expiry(),
            None => None,
        };
        let place = match found {
            Some(found) => {
                ctx.mark_used(found);
                Place::Found(found)
            }
            None => Place::Packed(EMPTY.into()),
        };
        let settings = ctx.settings();
        let limits = Limits {
            max_entries: settings.hash_max_entries,
            max_value: settings.hash_max_value,
        };
        Ok(HashEdit {
            ctx,
            key,
            place,
            due,
            limits,
        })
    }

    /// The time by which fields are judged. What comes from the log is as alive as the log
    /// says: for it nothing has expired.
    #[inline]
    pub(super) fn now(&self) -> UnixMs {
        match self.ctx.origin() {
            Origin::Client => self.ctx.now(),
            Origin::Log => UnixMs::MIN,
        }
    }

    /// The hash as it is.
    #[inline]
    pub(super) fn get(&self) -> HashRef<'_> {
        match &self.place {
            // The type was looked at when the edit began.
            Place::Found(found) => self.ctx.hash_of(*found).unwrap_or(HashRef::Packed(&EMPTY)),
            Place::Packed(bytes) => HashRef::Packed(bytes),
            Place::PackedEx(bytes) => HashRef::PackedEx(bytes),
            Place::Table(table) => HashRef::Table(table),
        }
    }

    /// Prepares for `pairs` fields to be set at once: too many for a packed hash convert it
    /// even if some have the same name, as in Redis.
    #[inline]
    pub(super) fn expect(&mut self, pairs: usize) {
        if pairs > self.limits.max_entries && self.get().encoding() != Encoding::Table {
            self.convert(Encoding::Table);
        }
    }

    /// Prepares for expiries, as Redis does even if no field turns out to get one; `OBJECT
    /// ENCODING` shows it.
    pub(super) fn expect_expiries(&mut self) {
        if matches!(self.get(), HashRef::Packed(_)) {
            self.convert(Encoding::PackedEx);
        }
    }

    /// Sets a field's value; whether the field is new.
    #[inline]
    pub(super) fn set(&mut self, name: &[u8], value: &[u8], ttl: Ttl) -> bool {
        let limits = self.limits;
        self.change(|hash| match hash {
            HashMut::Packed(buf) | HashMut::PackedEx(buf)
                if buf.bytes().len() + name.len() + value.len() > MAX_PACKED =>
            {
                Err(NeedsConversion(Encoding::Table))
            }
            hash => hash.set(name, value, ttl, limits),
        })
    }

    /// Removes a field, expired or not; whether it was there.
    pub(super) fn delete(&mut self, name: &[u8]) -> bool {
        self.get().find(name).is_some() && self.change(|hash| Ok(hash.delete(name)))
    }

    /// Sets or takes away the expiry of a field; whether it is there. The encodings know no
    /// expiry before the epoch's first millisecond.
    pub(super) fn set_expiry(&mut self, name: &[u8], at: Option<UnixMs>) -> bool {
        self.change(|hash| hash.set_expiry(name, at.map(|at| at.max(1))))
    }

    /// Removes the field if it has expired, which is an effect of its own.
    #[inline]
    pub(super) fn reap(&mut self, name: &[u8]) {
        if self.due.is_none_or(|due| due > self.now()) || !self.ctx.may_expire() {
            return;
        }
        let now = self.now();
        let expired = self.get().find(name).is_some_and(|f| !f.is_live(now));
        if expired && self.delete(name) {
            self.ctx.effect(3).arg(b"HDEL").arg(self.key).arg(name);
            self.ctx.notify(NotifyClass::HASH, "hexpired", self.key);
            self.ctx.count_expired_fields(1);
        }
    }

    /// Removes up to `most` expired fields, each with an effect of its own.
    pub(super) fn reap_all(&mut self, most: usize) {
        let now = self.now();
        let mut names = Vec::new();
        if self.due.is_none_or(|due| due > now) || !self.ctx.may_expire() {
            return;
        }
        self.change(|hash| Ok(hash.pop_expired(now, most, &mut |name| names.push(name.to_vec()))));
        for name in &names {
            self.ctx.effect(3).arg(b"HDEL").arg(self.key).arg(name);
        }
        if !names.is_empty() {
            self.ctx.notify(NotifyClass::HASH, "hexpired", self.key);
        }
        self.ctx.count_expired_fields(names.len() as u64);
    }

    /// Ends the edit, and tells those who listen of `events`; and that the hash is gone, if it
    /// is.
    #[inline]
    pub(super) fn close_with(self, events: &[&'static str]) {
        let had_place = matches!(self.place, Place::Found(_));
        let gone = had_place && self.get().is_empty();
        let key = self.key;
        let ctx = self.finish();
        for event in events {
            ctx.notify(NotifyClass::HASH, event, key);
        }
        if gone {
            ctx.notify(NotifyClass::GENERIC, "del", key);
        }
    }

    /// Ends the edit of which nobody need hear, unless the hash is gone.
    #[inline]
    pub(super) fn close(self) {
        self.close_with(&[]);
    }

    #[inline]
    fn finish(self) -> &'c mut WriteContext<'a> {
        let payload = match &self.place {
            Place::Found(found) => {
                let found = *found;
                let hash = self.get();
                if hash.is_empty() {
                    self.ctx.remove(found);
                } else if let Some(due) = hash.min_expiry()
                    && self.due.is_none_or(|old| due < old)
                {
                    self.ctx.hint_expiry(found, due);
                }
                return self.ctx;
            }
            _ if self.get().is_empty() => return self.ctx,
            Place::Packed(bytes) => Payload::Inline(Kind::HashPacked, bytes),
            Place::PackedEx(bytes) => Payload::Inline(Kind::HashPackedEx, bytes),
            Place::Table(_) => {
                if let Place::Table(table) = self.place {
                    let db = self.ctx.db();
                    self.ctx.insert(db, self.key, None, Payload::Table(table));
                }
                return self.ctx;
            }
        };
        let db = self.ctx.db();
        self.ctx.insert(db, self.key, None, payload);
        self.ctx
    }

    /// Makes a change, after a conversion if the hash needs one.
    #[inline]
    fn change<R>(
        &mut self,
        mut change: impl FnMut(&mut HashMut<'_>) -> Result<R, NeedsConversion>,
    ) -> R {
        loop {
            let result = match &mut self.place {
                Place::Found(found) => change_found(self.ctx, *found, &mut change),
                Place::Packed(bytes) => change(&mut HashMut::Packed(bytes)),
                Place::PackedEx(bytes) => change(&mut HashMut::PackedEx(bytes)),
                Place::Table(table) => change(&mut HashMut::Table(table)),
            };
            match result {
                Ok(answer) => return answer,
                Err(NeedsConversion(to)) => self.convert(to),
            }
        }
    }

    fn convert(&mut self, to: Encoding) {
        let (hash, to_table_now) = (self.get(), to == Encoding::Table);
        let converted = match hash {
            HashRef::Packed(bytes) if !to_table_now => Place::PackedEx(to_packed_ex(bytes)),
            hash => Place::Table(Box::new(to_table(hash))),
        };
        let Place::Found(found) = self.place else {
            self.place = converted;
            return;
        };
        let payload = match &converted {
            Place::PackedEx(bytes) => Payload::Inline(Kind::HashPackedEx, bytes),
            _ => match converted {
                Place::Table(table) => Payload::Table(table),
                _ => return,
            },
        };
        self.ctx.recode(found, payload);
    }
}

#[inline]
fn change_found<R>(
    ctx: &mut WriteContext<'_>,
    found: Found,
    change: &mut impl FnMut(&mut HashMut<'_>) -> Result<R, NeedsConversion>,
) -> Result<R, NeedsConversion> {
    match ctx.entry(found).kind() {
        Kind::HashPacked => change(&mut HashMut::Packed(&mut ctx.inline(found))),
        Kind::HashPackedEx => change(&mut HashMut::PackedEx(&mut ctx.inline(found))),
        _ => {
            let table = ctx.object::<HashTable>(found);
            // The type was looked at when the edit began.
            change(&mut HashMut::Table(table.expect("a hash, not packed")))
        }
    }
}

/// A packed hash does not grow beyond this, in bytes, whatever the configuration allows:
/// every change moves what follows.
const MAX_PACKED: usize = 1 << 20;
