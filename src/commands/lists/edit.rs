//! Changing one list, wherever and however it is stored.
//!
//! A [`ListEdit`] looks its key up once. It converts the list when a change does not fit the
//! encoding, and [`ListEdit::close`] inserts a list that is new, deletes one that has become
//! empty and packs one that has become small.
//!
//! What must stay true: nothing of an existing list is touched by looking at it, because
//! touching tells the clients that watch the key.

use crate::execute::{Expiry, Found, WriteContext};
use crate::keyspace::{Kind, Payload};
use crate::protocol::WireError;
use crate::values::list::{Limits, List, ListRef, packed};

/// Which end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum End {
    /// The front.
    Left,
    /// The back.
    Right,
}

impl End {
    /// The end that a word names.
    pub(in crate::commands) fn named(word: &[u8]) -> Option<End> {
        if word.eq_ignore_ascii_case(b"left") {
            Some(End::Left)
        } else if word.eq_ignore_ascii_case(b"right") {
            Some(End::Right)
        } else {
            None
        }
    }

    /// The keyspace event of an element that goes from here.
    pub(in crate::commands) fn popped(self) -> &'static str {
        match self {
            End::Left => "lpop",
            End::Right => "rpop",
        }
    }

    /// The keyspace event of an element that comes here.
    pub(in crate::commands) fn pushed(self) -> &'static str {
        match self {
            End::Left => "lpush",
            End::Right => "rpush",
        }
    }
}

/// A list being changed.
pub(in crate::commands) struct ListEdit<'c, 'a, 'k> {
    ctx: &'c mut WriteContext<'a>,
    key: &'k [u8],
    place: Place,
    limits: Limits,
}

/// Where the list is.
enum Place {
    Found(Found),
    Packed(Vec<u8>),
    Quick(Box<List>),
}

impl<'c, 'a, 'k> ListEdit<'c, 'a, 'k> {
    /// The list at `key`; a new one if there is nothing.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub(in crate::commands) fn open_or_new(
        ctx: &'c mut WriteContext<'a>,
        key: &'k [u8],
    ) -> Result<Self, WireError> {
        if let Some(found) = ctx.find(key) {
            return Self::of(ctx, key, found);
        }
        let limits = Limits::of(ctx.settings().list_max_listpack_size);
        Ok(ListEdit {
            ctx,
            key,
            place: Place::Packed(packed::EMPTY.into()),
            limits,
        })
    }

    /// The list at `key`, which was found.
    ///
    /// # Errors
    /// `WRONGTYPE` for another type.
    pub(in crate::commands) fn of(
        ctx: &'c mut WriteContext<'a>,
        key: &'k [u8],
        found: Found,
    ) -> Result<Self, WireError> {
        ctx.list_of(found)?;
        ctx.mark_used(found);
        let limits = Limits::of(ctx.settings().list_max_listpack_size);
        Ok(ListEdit {
            ctx,
            key,
            place: Place::Found(found),
            limits,
        })
    }

    /// The list as it is.
    pub(in crate::commands) fn get(&self) -> ListRef<'_> {
        match &self.place {
            // The type was looked at when the edit began.
            Place::Found(found) => self
                .ctx
                .list_of(*found)
                .unwrap_or(ListRef::Packed(&packed::EMPTY)),
            Place::Packed(bytes) => ListRef::Packed(bytes),
            Place::Quick(list) => ListRef::Quick(list),
        }
    }

    /// How many elements there are.
    pub(in crate::commands) fn len(&self) -> usize {
        self.get().len()
    }

    /// Prepares for `count` more elements with `bytes` bytes of text in all.
    pub(in crate::commands) fn expect(&mut self, count: usize, bytes: usize) {
        let list = self.get();
        if matches!(list, ListRef::Packed(_)) && !self.limits.hold(list, count, bytes) {
            self.unpack();
        }
    }

    /// Adds an element at an end; [`ListEdit::expect`] comes first.
    pub(in crate::commands) fn push(&mut self, end: End, text: &[u8]) {
        let at = match end {
            End::Left => 0,
            End::Right => self.len(),
        };
        self.insert(at, text);
    }

    /// Inserts an element in front of the one at `index`.
    pub(in crate::commands) fn insert(&mut self, index: usize, text: &[u8]) {
        match &mut self.place {
            Place::Packed(bytes) => packed::insert(bytes, index, text),
            Place::Quick(list) => list.insert(index, text),
            Place::Found(found) => match self.ctx.object::<List>(*found) {
                Some(list) => list.insert(index, text),
                None => packed::insert(&mut self.ctx.inline(*found), index, text),
            },
        }
    }

    /// Gives the element at `index` another text.
    pub(in crate::commands) fn replace(&mut self, index: usize, text: &[u8]) {
        match &mut self.place {
            Place::Packed(bytes) => packed::replace(bytes, index, text),
            Place::Quick(list) => list.replace(index, text),
            Place::Found(found) => match self.ctx.object::<List>(*found) {
                Some(list) => list.replace(index, text),
                None => packed::replace(&mut self.ctx.inline(*found), index, text),
            },
        }
    }

    /// Removes `n` elements from `index` on.
    pub(in crate::commands) fn remove(&mut self, index: usize, n: usize) {
        if n == 0 {
            return;
        }
        match &mut self.place {
            Place::Packed(bytes) => packed::remove(bytes, index, n),
            Place::Quick(list) => list.remove(index, n),
            Place::Found(found) => match self.ctx.object::<List>(*found) {
                Some(list) => list.remove(index, n),
                None => packed::remove(&mut self.ctx.inline(*found), index, n),
            },
        }
    }

    /// Removes the elements at `places`, which ascend, in one walk over the list.
    pub(in crate::commands) fn remove_all(&mut self, places: &[usize]) {
        match &mut self.place {
            Place::Packed(bytes) => packed::remove_all(bytes, places),
            Place::Quick(list) => list.remove_all(places),
            Place::Found(found) => match self.ctx.object::<List>(*found) {
                Some(list) => list.remove_all(places),
                None => packed::remove_all(&mut self.ctx.inline(*found), places),
            },
        }
    }

    /// Removes the element at an end.
    pub(in crate::commands) fn pop(&mut self, end: End) -> Option<Vec<u8>> {
        let last = self.len().checked_sub(1)?;
        let at = match end {
            End::Left => 0,
            End::Right => last,
        };
        let text = self.get().get(at)?.to_vec();
        self.remove(at, 1);
        Some(text)
    }

    /// Ends the edit; whether a list is left. A list that has shrunk enough is packed.
    pub(in crate::commands) fn close(mut self) -> bool {
        if self.get().is_empty() {
            if let Place::Found(found) = self.place {
                self.ctx.remove(found);
            }
            return false;
        }
        if let list @ ListRef::Quick(_) = self.get()
            && self.limits.half().hold(list, 0, 0)
        {
            self.pack();
        }
        let db = self.ctx.db();
        match self.place {
            Place::Found(_) => {}
            Place::Packed(bytes) => {
                let payload = Payload::Inline(Kind::ListPacked, &bytes);
                self.ctx.insert(db, self.key, None, payload);
            }
            Place::Quick(list) => self.ctx.insert(db, self.key, None, Payload::List(list)),
        }
        true
    }

    /// Ends an edit that has only added: what is large stays as it is.
    pub(in crate::commands) fn close_grown(self) {
        let db = self.ctx.db();
        match self.place {
            Place::Found(_) => {}
            Place::Packed(bytes) => {
                let payload = Payload::Inline(Kind::ListPacked, &bytes);
                self.ctx.insert(db, self.key, None, payload);
            }
            Place::Quick(list) => self.ctx.insert(db, self.key, None, Payload::List(list)),
        }
    }

    fn unpack(&mut self) {
        let mut list = Box::new(List::default());
        for element in self.get().iter() {
            list.push(element.text(&mut itoa::Buffer::new()));
        }
        match self.place {
            Place::Found(found) => self.ctx.replace(found, Payload::List(list), Expiry::Keep),
            _ => self.place = Place::Quick(list),
        }
    }

    fn pack(&mut self) {
        let mut bytes = packed::EMPTY.to_vec();
        for (i, element) in self.get().iter().enumerate() {
            packed::insert(&mut bytes, i, element.text(&mut itoa::Buffer::new()));
        }
        match self.place {
            Place::Found(found) => {
                let payload = Payload::Inline(Kind::ListPacked, &bytes);
                self.ctx.replace(found, payload, Expiry::Keep);
            }
            _ => self.place = Place::Packed(bytes),
        }
    }
}
