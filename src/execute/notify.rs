//! How handlers note keyspace events; `events` publishes them.

use super::context::{Found, Origin, ReadContext, WriteContext};
use super::events::KeyEvent;
use crate::config::NotifyClass;
use crate::keyspace::{DbIndex, Payload};

impl WriteContext<'_> {
    /// Notes a keyspace event, in the client's database.
    #[inline]
    pub fn notify(&mut self, class: NotifyClass, event: &'static str, key: &[u8]) {
        self.notify_in(self.db, class, event, key);
    }

    /// Notes a keyspace event, in another database.
    #[inline]
    pub fn notify_in(&mut self, db: DbIndex, class: NotifyClass, event: &'static str, key: &[u8]) {
        if self.settings.notify.intersects(class) {
            self.events.push(KeyEvent::new(db, event, key));
        }
    }

    /// Notes that the value of a key that was found is about to be replaced by another.
    #[inline]
    pub fn notify_overwritten(&mut self, found: Found, key: &[u8], payload: &Payload<'_>) {
        if !self.settings.notify.is_empty() {
            self.overwritten(found, key, payload);
        }
    }

    #[cold]
    fn overwritten(&mut self, found: Found, key: &[u8], payload: &Payload<'_>) {
        let entry = self.entry(found);
        let old = entry.kind().type_name();
        let expired = entry.expiry().is_some_and(|at| at <= self.now);
        if expired && self.origin == Origin::Client {
            // It counts as gone, although its place is taken over.
            if self.may_expire {
                self.notify(NotifyClass::EXPIRED, "expired", key);
            }
            self.notify(NotifyClass::NEW, "new", key);
            return;
        }
        let db = self.db;
        self.notify_replaced(db, key, old, type_of(payload));
    }

    /// Notes that a value of the type `old` has made room for one of the type `new`.
    pub fn notify_replaced(&mut self, db: DbIndex, key: &[u8], old: &str, new: &str) {
        self.notify_in(db, NotifyClass::OVERWRITTEN, "overwritten", key);
        if old != new {
            self.notify_in(db, NotifyClass::TYPE_CHANGED, "type_changed", key);
        }
    }

    /// Notes that what was taken for a new key has made room for one of the type `old`.
    pub fn notify_not_new(&mut self, key: &[u8], old: &str, new: &str) {
        let db = self.db;
        let noted = KeyEvent::new(db, "new", key);
        self.events.retain(|event| *event != noted);
        self.notify_replaced(db, key, old, new);
    }

    /// Notes that a database was emptied, or all of them: no key is what clients may have
    /// cached.
    pub fn note_flush(&mut self, flushed: Flushed) {
        *self.flushed = flushed.max(*self.flushed);
    }
}

/// What a command has emptied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flushed {
    /// Nothing.
    #[default]
    Nothing,
    /// A database.
    Database,
    /// All databases.
    All,
}

impl ReadContext<'_> {
    /// Notes that a key was asked for in vain.
    #[inline]
    pub(super) fn notify_miss(&self, key: &[u8]) {
        self.notify(NotifyClass::KEY_MISS, "keymiss", key);
    }

    /// Notes that a key was found to be expired.
    pub(super) fn notify_expired(&self, key: &[u8]) {
        self.notify(NotifyClass::EXPIRED, "expired", key);
    }

    fn notify(&self, class: NotifyClass, event: &'static str, key: &[u8]) {
        if self.settings.notify.intersects(class) {
            let event = KeyEvent::new(self.db, event, key);
            self.events.borrow_mut().push(event);
        }
    }
}

fn type_of(payload: &Payload<'_>) -> &'static str {
    match payload {
        Payload::Int(_) | Payload::Shared(_) => "string",
        Payload::Inline(kind, _) => kind.type_name(),
        Payload::Table(_) => "hash",
        Payload::List(_) => "list",
        Payload::Set(_) => "set",
        Payload::SortedSet(_) => "zset",
        Payload::Stream(_) => "stream",
    }
}
