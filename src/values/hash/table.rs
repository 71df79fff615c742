//! The big encoding of a hash: an extendible table of fields, one allocation each.
//!
//! Fields that expire are also listed by time in `due`, under the address of their
//! allocation. What must stay true: `due` holds exactly the live items that carry an expiry,
//! each under the expiry it carries.

use super::field::{self, FieldItem};
use super::frozen::Frozen;
use super::{Field, HashRef, Ttl};
use crate::hash::hash;
use crate::time::UnixMs;
use crate::values::packed::Element;
use crate::values::table::{Item, Slot, Table};
use std::collections::BTreeSet;
use std::ptr::NonNull;

/// A hash on the heap.
#[derive(Default)]
pub struct HashTable {
    fields: Table<FieldItem>,
    due: BTreeSet<(UnixMs, Address)>,
    /// Bytes of all items.
    item_bytes: usize,
    /// What a snapshot has still to be given, while it takes the table.
    frozen: Option<Box<Frozen>>,
}

/// Where an item of `fields` lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address(NonNull<u8>);

// SAFETY: it is followed only by the table that owns the item.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

/// Bytes that an element of `due` takes, its share of a node's slack included.
const DUE_BYTES: usize = 24;

impl HashTable {
    /// A hash without fields; it allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many fields there are, expired ones among them.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The field of this name, even if it has expired.
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        let slot = self.fields.find(hash(name), name)?;
        Some(self.view(self.fields.get(slot)))
    }

    /// All fields, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().map(|raw| self.view(raw))
    }

    /// Sets a value; answers whether the field is new.
    pub fn set(&mut self, name: &[u8], value: &[u8], ttl: Ttl) -> bool {
        let hash = hash(name);
        let Some(slot) = self.fields.find(hash, name) else {
            self.insert_new(hash, name, value, None);
            return true;
        };
        let kept = match ttl {
            Ttl::Drop => None,
            Ttl::Keep => self.view(self.fields.get(slot)).expires_at,
        };
        self.write(slot, Some(value), kept);
        false
    }

    /// Removes a field; answers whether it was there.
    pub fn delete(&mut self, name: &[u8]) -> bool {
        let Some(slot) = self.fields.find(hash(name), name) else {
            return false;
        };
        self.remove(slot);
        true
    }

    /// Sets or takes away an expiry; answers whether the field is there.
    pub fn set_expiry(&mut self, name: &[u8], at: Option<UnixMs>) -> bool {
        let Some(slot) = self.fields.find(hash(name), name) else {
            return false;
        };
        self.write(slot, None, at);
        true
    }

    /// When the first field expires, if one does.
    pub fn min_expiry(&self) -> Option<UnixMs> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many fields have expired at `now`.
    pub fn expired_len(&self, now: UnixMs) -> usize {
        self.due.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// Removes up to `max` fields that have expired at `now`, the earliest first.
    pub fn pop_expired(
        &mut self,
        now: UnixMs,
        max: usize,
        each: &mut dyn FnMut(Element<'_>),
    ) -> usize {
        let mut popped = 0;
        while popped < max
            && let Some(&(at, Address(raw))) = self.due.first()
            && at <= now
        {
            // SAFETY: `due` lists live items only, and nothing changes until `remove`.
            let name = unsafe { FieldItem::key(raw) };
            each(Element::Str(name));
            match self.fields.find(hash(name), name) {
                Some(slot) => self.remove(slot),
                None => {
                    debug_assert!(false, "a field in `due` is not in the table");
                    self.due.pop_first();
                }
            }
            popped += 1;
        }
        popped
    }

    /// Visits about `count` fields; see [`HashRef::scan`]. The cursor is below 2^53.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(Field<'a>)) -> u64 {
        self.fields.scan(cursor, count, |raw| visit(self.view(raw)))
    }

    /// A field drawn evenly, expired ones among them.
    pub(super) fn random(&self, next: impl FnMut() -> u64) -> Option<Field<'_>> {
        self.fields.random(next).map(|raw| self.view(raw))
    }

    /// Bytes in memory.
    pub fn mem_bytes(&self) -> usize {
        size_of::<Self>() + self.fields.mem_bytes() + self.item_bytes + self.due.len() * DUE_BYTES
    }

    // --- snapshots ---

    /// Begins to remember the fields as they are now, until [`HashTable::next_piece`] has
    /// given all of them out. The ticket says who wants them.
    pub fn freeze(&mut self, ticket: u64) {
        self.frozen = Some(Box::new(Frozen::new(ticket)));
    }

    /// Who is taking the fields as they were.
    pub fn ticket(&self) -> Option<u64> {
        self.frozen.as_ref().map(|frozen| frozen.ticket)
    }

    /// Gives out some more fields as they were when the table was frozen, in no order; whether
    /// there are more. When there are none, nothing is remembered any longer.
    pub fn next_piece(&mut self, count: usize, mut each: impl FnMut(Field<'_>)) -> bool {
        let Some(mut frozen) = self.frozen.take() else {
            return false;
        };
        let left = frozen.saved.len().saturating_sub(count);
        for item in frozen.saved.drain(left..) {
            each(item.view());
        }
        if let Some(cursor) = frozen.cursor {
            let next = self.fields.scan(cursor, count, |raw| {
                if !frozen.fresh.contains(&Address(raw)) {
                    each(self.view(raw));
                }
            });
            frozen.cursor = (next != 0).then_some(next);
        }
        let more = frozen.cursor.is_some() || !frozen.saved.is_empty();
        if more {
            self.frozen = Some(frozen);
        }
        more
    }

    /// Remembers nothing any longer.
    pub fn thaw(&mut self) {
        self.frozen = None;
    }

    /// Puts a field aside as it is, before it changes.
    #[cold]
    fn save(&mut self, raw: NonNull<u8>) {
        let Some(mut frozen) = self.frozen.take() else {
            return;
        };
        let field = self.view(raw);
        if let (Element::Str(name), Element::Str(value)) = (field.name, field.value)
            && frozen.wants(hash(name), Address(raw))
        {
            let copy = FieldItem::new(name, value, field.expires_at);
            frozen.saved.push(copy);
        }
        self.frozen = Some(frozen);
    }

    fn view(&self, raw: NonNull<u8>) -> Field<'_> {
        // SAFETY: `raw` is an item of `fields`, which is borrowed for as long as the view.
        unsafe { field::view(raw) }
    }

    fn insert_new(&mut self, hash: u64, name: &[u8], value: &[u8], expires_at: Option<UnixMs>) {
        let raw = FieldItem::new(name, value, expires_at).into_raw();
        // SAFETY: `raw` was given up in the line above and is used once as an owner.
        let item = unsafe {
            self.item_bytes += field::size(raw);
            FieldItem::from_raw(raw)
        };
        if let Some(at) = expires_at {
            self.due.insert((at, Address(raw)));
        }
        if let Some(frozen) = &mut self.frozen {
            frozen.put(hash, None, Address(raw));
        }
        self.fields.insert_new(hash, item);
    }

    /// Gives the field a new value (the old one for `None`) and expiry.
    fn write(&mut self, slot: Slot, value: Option<&[u8]>, expires_at: Option<UnixMs>) {
        let raw = self.fields.get(slot);
        let old = self.view(raw).expires_at;
        if value.is_none() && old == expires_at {
            return;
        }
        if self.frozen.is_some() {
            self.save(raw);
        }
        // SAFETY: the table is borrowed exclusively, so nobody looks at the item; `raw` is
        // replaced in the table by `new` before it is freed; a value of the caller's does
        // not lie in the item, and the item's own is only copied.
        let now_at = unsafe {
            match value {
                Some(value) if field::overwrite(raw, value, expires_at) => raw,
                _ => {
                    let current = field::view(raw);
                    let (Element::Str(name), Element::Str(current)) = (current.name, current.value)
                    else {
                        return;
                    };
                    let new = FieldItem::new(name, value.unwrap_or(current), expires_at).into_raw();
                    self.item_bytes += field::size(new);
                    self.fields.replace(slot, new);
                    new
                }
            }
        };
        if old != expires_at || now_at != raw {
            if let Some(at) = old {
                self.due.remove(&(at, Address(raw)));
            }
            if let Some(at) = expires_at {
                self.due.insert((at, Address(now_at)));
            }
        }
        if let Some(frozen) = &mut self.frozen {
            // SAFETY: the item is in the table, and its name never changes.
            let hash = hash(unsafe { FieldItem::key(now_at) });
            frozen.put(hash, Some(Address(raw)), Address(now_at));
        }
        if now_at != raw {
            // SAFETY: the table has let go of `raw`, `due` too.
            unsafe {
                self.item_bytes -= field::size(raw);
                drop(FieldItem::from_raw(raw));
            }
        }
    }

    fn remove(&mut self, slot: Slot) {
        let raw = self.fields.get(slot);
        if let Some(at) = self.view(raw).expires_at {
            self.due.remove(&(at, Address(raw)));
        }
        // SAFETY: the item is live until it is dropped below.
        self.item_bytes -= unsafe { field::size(raw) };
        let item = self.fields.remove(slot);
        if let Some(frozen) = &mut self.frozen {
            let hash = hash(item.name());
            frozen.removed(hash, Address(raw), item);
        }
    }
}

/// The same fields in a table of their own.
pub fn to_table(from: HashRef<'_>) -> HashTable {
    let mut table = HashTable::new();
    let (mut name_digits, mut value_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
    for Field {
        name,
        value,
        expires_at,
    } in from.iter()
    {
        let name = name.text(&mut name_digits);
        let value = value.text(&mut value_digits);
        let hash = hash(name);
        if table.fields.find(hash, name).is_none() {
            table.insert_new(hash, name, value, expires_at);
        }
    }
    table
}
