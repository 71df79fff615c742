//! A sorted set on the heap: a table that owns the members, and a tree of them in order.
//!
//! What must stay true: the tree holds exactly the items of the table, and an item's score is
//! written only while the tree does not hold it.

use super::frozen::{Frozen, Place};
use super::member::{Member, MemberItem};
use super::order;
use super::tree::Tree;
use crate::hash::hash;
use crate::values::packed::Element;
use crate::values::table::{Item, Slot, Table};
use std::cmp::Ordering;

/// A large sorted set.
#[derive(Default)]
pub struct SortedSet {
    table: Table<MemberItem>,
    tree: Tree,
    item_bytes: usize,
    /// What a snapshot has still to be given, while it takes the set.
    frozen: Option<Box<Frozen>>,
}

impl std::fmt::Debug for SortedSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SortedSet({} members)", self.len())
    }
}

impl Clone for SortedSet {
    fn clone(&self) -> Self {
        let mut copy = SortedSet::default();
        for member in self.tree.from(0) {
            copy.insert(member.text(), member.score());
        }
        copy
    }
}

impl SortedSet {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes in memory.
    pub fn mem_bytes(&self) -> usize {
        size_of::<Self>() + self.table.mem_bytes() + self.tree.mem_bytes() + self.item_bytes
    }

    fn member(&self, slot: Slot) -> Member {
        // SAFETY: the slot's item is in the table, which is borrowed; members are handed out
        // only for as long as the set is.
        unsafe { Member::of(self.table.get(slot)) }
    }

    fn find(&self, text: &[u8]) -> Option<(Slot, Member)> {
        let slot = self.table.find(hash(text), text)?;
        Some((slot, self.member(slot)))
    }

    /// A member's score.
    pub fn score(&self, text: &[u8]) -> Option<f64> {
        self.find(text).map(|(_, member)| member.score())
    }

    /// How many members come before this one, and its score.
    pub fn rank(&self, text: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(text)?;
        let before = |m: Member| order((m.score(), m.text()), (score, text)) == Ordering::Less;
        Some((self.tree.count_before(before), score))
    }

    pub(super) fn count_before(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.tree.count_before(|m| before(m.score(), m.text()))
    }

    pub(super) fn from(&self, start: usize) -> impl Iterator<Item = (Element<'_>, f64)> {
        self.tree.from(start).map(pair)
    }

    pub(super) fn down_from(&self, end: usize) -> impl Iterator<Item = (Element<'_>, f64)> {
        self.tree.down_from(end).map(pair)
    }

    pub(super) fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Element<'a>, f64),
    ) -> u64 {
        self.table.scan(cursor, count, |raw| {
            // SAFETY: the item is in the table, which is borrowed for as long as the text.
            let member = unsafe { Member::of(raw) };
            visit(Element::Str(member.text()), member.score());
        })
    }

    /// Adds a member that is not there.
    pub fn insert(&mut self, text: &[u8], score: f64) {
        let raw = MemberItem::new(text, score).into_raw();
        // SAFETY: `raw` was given up in the line above and is used once as an owner.
        self.table
            .insert_new(hash(text), unsafe { MemberItem::from_raw(raw) });
        self.item_bytes += MemberItem::size(text);
        // SAFETY: the item is in the table now, and leaves the tree before it leaves that.
        let member = unsafe { Member::of(raw) };
        self.tree.insert(member);
        if let Some(frozen) = &mut self.frozen {
            frozen.comes(member);
        }
    }

    /// Gives a member that is there another score.
    pub fn set_score(&mut self, text: &[u8], score: f64) {
        if let Some((_, member)) = self.find(text) {
            if let Some(frozen) = &mut self.frozen {
                frozen.leaves(member);
            }
            self.tree.remove(member);
            member.set_score(score);
            self.tree.insert(member);
            if let Some(frozen) = &mut self.frozen {
                frozen.comes(member);
            }
        }
    }

    /// Removes a member, if it is there.
    pub fn remove(&mut self, text: &[u8]) {
        if let Some((slot, member)) = self.find(text) {
            if let Some(frozen) = &mut self.frozen {
                frozen.leaves(member);
            }
            self.tree.remove(member);
            self.item_bytes -= MemberItem::size(text);
            drop(self.table.remove(slot));
        }
    }

    /// Removes `n` members from rank `start` on.
    pub fn remove_range(&mut self, start: usize, n: usize) {
        let gone: Vec<Member> = self.tree.from(start).take(n).collect();
        for member in gone {
            // A copy: the text goes with the member.
            let text = member.text().to_vec();
            self.remove(&text);
        }
    }

    // --- snapshots ---

    /// Begins to remember the members as they are now, until [`SortedSet::next_piece`] has
    /// given all of them out. The ticket says who wants them.
    pub fn freeze(&mut self, ticket: u64) {
        self.frozen = Some(Box::new(Frozen::new(ticket)));
    }

    /// Who is taking the members as they were.
    pub fn ticket(&self) -> Option<u64> {
        self.frozen.as_ref().map(|frozen| frozen.ticket)
    }

    /// Gives out some more members as they were when the set was frozen, nearly in order;
    /// whether there are more. When there are none, nothing is remembered any longer.
    pub fn next_piece(&mut self, count: usize, mut each: impl FnMut(Element<'_>, f64)) -> bool {
        let Some(mut frozen) = self.frozen.take() else {
            return false;
        };
        let left = frozen.saved.len().saturating_sub(count);
        for (text, score) in frozen.saved.drain(left..) {
            each(Element::Str(&text), score);
        }
        let start = match &frozen.place {
            Place::Start => Some(0),
            Place::Behind(..) => {
                let passed = |m: Member| !frozen.place.is_before(m.score(), m.text());
                Some(self.tree.count_before(passed))
            }
            Place::End => None,
        };
        if let Some(start) = start {
            let mut last = None;
            for member in self.tree.from(start).take(count) {
                if !frozen.fresh.contains(&member) {
                    each(Element::Str(member.text()), member.score());
                }
                last = Some(member);
            }
            frozen.place = match last {
                Some(last) if start + count < self.len() => {
                    Place::Behind(last.score(), last.text().into())
                }
                _ => Place::End,
            };
        }
        let more = !matches!(frozen.place, Place::End) || !frozen.saved.is_empty();
        if more {
            self.frozen = Some(frozen);
        }
        more
    }

    /// Remembers nothing any longer.
    pub fn thaw(&mut self) {
        self.frozen = None;
    }

    /// A member drawn at random.
    pub fn random(&self, next: impl FnMut() -> u64) -> Option<(Element<'_>, f64)> {
        let raw = self.table.random(next)?;
        // SAFETY: the item is in the table, which is borrowed for as long as the text.
        Some(pair(unsafe { Member::of(raw) }))
    }
}

fn pair<'a>(member: Member) -> (Element<'a>, f64) {
    (Element::Str(member.text()), member.score())
}
