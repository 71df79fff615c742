//! What a snapshot has still to be given of a table that changes meanwhile.
//!
//! The snapshot goes through the table piece by piece, in the order of a scan. A field that it
//! has not reached is put aside, as it was, before it is changed or removed; what is added
//! where it will still come by is fresh, and passed over. So every field of the instant at
//! which the table was frozen is given out exactly once, and no change takes longer than the
//! one field.
//!
//! What must stay true: `fresh` holds items of the table only, so that an address that is
//! given to another item means that one.

use super::field::FieldItem;
use super::table::Address;
use crate::values::table::Table;
use hashbrown::HashSet;

/// See the module's documentation.
pub(super) struct Frozen {
    pub ticket: u64,
    /// How far the table has been walked, as its scan counts; `None` when it is at the end.
    pub cursor: Option<u64>,
    /// Items that did not lie in the table like this when it was frozen.
    pub fresh: HashSet<Address>,
    /// Items as they were, of which the table holds others or none.
    pub saved: Vec<FieldItem>,
}

impl Frozen {
    pub fn new(ticket: u64) -> Self {
        Frozen {
            ticket,
            cursor: Some(0),
            fresh: HashSet::new(),
            saved: Vec::new(),
        }
    }

    fn is_ahead(&self, hash: u64) -> bool {
        self.cursor
            .is_some_and(|cursor| !Table::<FieldItem>::is_behind(cursor, hash))
    }

    /// Whether the item must be saved before it changes.
    pub fn wants(&self, hash: u64, item: Address) -> bool {
        self.is_ahead(hash) && !self.fresh.contains(&item)
    }

    /// An item is in the table now, new or in place of `old`.
    pub fn put(&mut self, hash: u64, old: Option<Address>, item: Address) {
        if let Some(old) = old {
            self.fresh.remove(&old);
        }
        if self.is_ahead(hash) {
            self.fresh.insert(item);
        }
    }

    /// An item has left the table, which lay at this address.
    pub fn removed(&mut self, hash: u64, at: Address, item: FieldItem) {
        if !self.fresh.remove(&at) && self.is_ahead(hash) {
            self.saved.push(item);
        }
    }
}
