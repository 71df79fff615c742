//! The big encoding of a set: many small pages of packed members, found by hash.
//!
//! ```text
//! chunks of the directory             pages
//! ┌──────────┐   ┌───┬───┬─ … ┐      ┌────────┬────────┬─ … ┐
//! │ 0 … 63   │──►│ 0 │ 1 │    │ ──►  │ member │ member │    │   elements of values::packed
//! ├──────────┤   └───┴───┴─ … ┘      └────────┴────────┴─ … ┘
//! │ 64 …     │
//! └──────────┘
//! ```
//!
//! This is linear hashing: with `n` pages, the lowest `log2(n)` bits of a member's hash (one
//! bit more for pages that have been split in this round) are the number of its page. The
//! table grows by splitting one page at a time, in order, and shrinks by taking the last
//! page back into the one it came from; no change ever touches more than a few pages. A
//! member costs its own bytes, one or two for its length, and about two for its share of
//! page and directory; no pointer of its own.
//!
//! A scan goes through the pages in the order of the *reversed* hash: there, the members of
//! a page are a contiguous range at any size of the table, and a split or merge only cuts or
//! joins ranges. So [`SetTable::scan`] returns each member that stays exactly once.
//!
//! A clone shares the chunks, and whoever changes one copies it first, with its pages: a
//! snapshot takes a set of any size in a moment.
//!
//! What must stay true: a member lies in the page that its hash names; the hash is that of
//! its packed form, of which every text has exactly one; `longest` is at least the number of
//! members of any page.

use super::packed::{encoded, find_encoded};
use crate::allocator::size_class;
use crate::hash::hash;
use crate::values::packed::{EditBuf, Element, read, skip};
use std::sync::Arc;

/// Packed members, one after the other.
type Page = Vec<u8>;
/// A part of the directory, with its pages.
type Chunk = Vec<Page>;

/// A set on the heap.
#[derive(Clone, Debug, Default)]
pub struct SetTable {
    /// The pages; all chunks but the last have [`CHUNK`] of them.
    chunks: Vec<Arc<Chunk>>,
    /// How many pages there are.
    pages: usize,
    /// How many members there are.
    len: usize,
    /// What the members weigh; see [`weight`].
    weight: usize,
    /// An upper bound of the members in a page.
    longest: usize,
    /// Bytes of all pages.
    page_bytes: usize,
}

/// Where a member that is not in the table belongs.
#[derive(Clone, Copy, Debug)]
pub struct Absent {
    index: usize,
    /// How many members are there.
    members: usize,
}

impl SetTable {
    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether this is a member.
    pub fn contains(&self, member: Element<'_>) -> bool {
        let wanted = encoded(member);
        let mut form = EditBuf::new();
        wanted.write_to(&mut form);
        let page = self.page(self.page_of(hash(&form)));
        page.is_some_and(|page| find_encoded(page, 0, &wanted).is_some())
    }

    /// Adds a member; answers whether it is new.
    pub fn add(&mut self, member: Element<'_>) -> bool {
        match self.absent(member) {
            Some(absent) => {
                self.add_absent(member, absent);
                true
            }
            None => false,
        }
    }

    /// Where to add a member; `None` if it is one already.
    pub fn absent(&self, member: Element<'_>) -> Option<Absent> {
        let new = encoded(member);
        let mut form = EditBuf::new();
        new.write_to(&mut form);
        let index = self.page_of(hash(&form));
        let page = self.page(index).map_or(&[][..], Vec::as_slice);
        let (mut at, mut members) = (0, 0);
        while at < page.len() {
            if new.is_at(page, at) {
                return None;
            }
            let Some(next) = skip(page, at) else { break };
            at = next;
            members += 1;
        }
        Some(Absent { index, members })
    }

    /// Adds a member of which [`SetTable::absent`] has said where, the set being as it was.
    pub fn add_absent(&mut self, member: Element<'_>, absent: Absent) {
        let mut form = EditBuf::new();
        encoded(member).write_to(&mut form);
        if self.pages == 0 {
            self.push_page(Page::new());
        }
        let Some(page) = self.page_mut(absent.index) else {
            return debug_assert!(false, "a page that is not there");
        };
        let before = allocated(page);
        append(page, &form);
        let after = allocated(page);
        self.page_bytes = self.page_bytes + after - before;
        self.longest = self.longest.max(absent.members + 1);
        self.len += 1;
        self.weight += weight(form.len());
        while self.pages * PAGE_MEMBERS < self.len || self.pages * PAGE_WEIGHT < self.weight {
            self.split();
        }
    }

    /// Removes a member; answers whether it was there.
    pub fn remove(&mut self, member: Element<'_>) -> bool {
        let wanted = encoded(member);
        let mut form = EditBuf::new();
        wanted.write_to(&mut form);
        let index = self.page_of(hash(&form));
        let Some(page) = self.page_mut(index) else {
            return false;
        };
        let Some(range) = find_encoded(page, 0, &wanted) else {
            return false;
        };
        let before = allocated(page);
        page.drain(range);
        fit(page);
        let after = allocated(page);
        self.page_bytes = self.page_bytes + after - before;
        self.len -= 1;
        self.weight -= weight(form.len());
        while self.pages > 1
            && self.pages * PAGE_MEMBERS > self.len * 2
            && self.pages * PAGE_WEIGHT > self.weight * 2
        {
            self.merge();
        }
        true
    }

    /// All members, in no order.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            chunks: self.chunks.iter(),
            pages: [].iter(),
            page: &[],
            at: 0,
        }
    }

    /// Visits the members of one page after the other until about `count` have been visited;
    /// see [`super::SetRef::scan`]. The cursor is below 2^53.
    pub fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Element<'a>),
    ) -> u64 {
        let mut place = cursor << CURSOR_SHIFT;
        let mut visited = 0;
        while visited < count {
            let index = self.page_of(place.reverse_bits());
            let Some(page) = self.page(index) else {
                return 0;
            };
            let depth = self.depth(index);
            let range_start = match depth {
                0 => 0,
                _ => place >> (64 - depth) << (64 - depth),
            };
            let mut at = 0;
            while let Some((element, next)) = read(page, at) {
                // Since the last call pages may have been joined, and part of this one's
                // members have been visited.
                if range_start == place || hash(&page[at..next]).reverse_bits() >= place {
                    visit(element);
                    visited += 1;
                }
                at = next;
            }
            // Past the range of this page; the last one ends where counting starts again.
            let size = if depth == 0 { 0 } else { 1 << (64 - depth) };
            place = range_start.wrapping_add(size);
            if place == 0 {
                return 0;
            }
        }
        place >> CURSOR_SHIFT
    }

    /// A member drawn evenly.
    pub(super) fn random(&self, mut next: impl FnMut() -> u64) -> Option<Element<'_>> {
        if self.len == 0 {
            return None;
        }
        loop {
            let page = self.page(super::random::below(next(), self.pages))?;
            // A draw beyond the page's members is void, so that full pages count for more.
            let mut wanted = super::random::below(next(), self.longest);
            let mut at = 0;
            while wanted > 0
                && let Some(after) = skip(page, at)
            {
                at = after;
                wanted -= 1;
            }
            if wanted == 0
                && let Some((element, _)) = read(page, at)
            {
                return Some(element);
            }
        }
    }

    /// Bytes in memory.
    pub fn mem_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| {
            size_class(SHARED + size_of::<Chunk>())
                + size_class(chunk.capacity() * size_of::<Page>())
        });
        size_of::<Self>()
            + size_class(self.chunks.capacity() * size_of::<Arc<Chunk>>())
            + chunks.sum::<usize>()
            + self.page_bytes
    }

    /// The number of the page for a hash.
    #[inline]
    fn page_of(&self, hash: u64) -> usize {
        let round = self.round();
        let number = hash & ((1 << round) - 1);
        let number = if (number as usize) < self.pages.saturating_sub(1 << round) {
            hash & ((2 << round) - 1)
        } else {
            number
        };
        number as usize
    }

    /// How many bits of the hash every page is told apart by.
    #[inline]
    fn round(&self) -> u32 {
        self.pages.max(1).ilog2()
    }

    /// How many bits of the hash tell this page apart.
    fn depth(&self, index: usize) -> u32 {
        let round = self.round();
        let base = 1usize << round;
        round + u32::from(index >= base || index < self.pages.saturating_sub(base))
    }

    #[inline]
    fn page(&self, index: usize) -> Option<&Page> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    #[inline]
    fn page_mut(&mut self, index: usize) -> Option<&mut Page> {
        self.chunk_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    /// A chunk to change: a copy of its own, if others have it too.
    #[inline]
    fn chunk_mut(&mut self, index: usize) -> Option<&mut Chunk> {
        let chunk = self.chunks.get_mut(index)?;
        if Arc::get_mut(chunk).is_none() {
            // Pages that are copied have no slack.
            self.page_bytes -= chunk.iter().map(allocated).sum::<usize>();
            self.page_bytes += Arc::make_mut(chunk).iter().map(allocated).sum::<usize>();
        }
        Arc::get_mut(self.chunks.get_mut(index)?)
    }

    fn push_page(&mut self, page: Page) {
        if self.pages.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::default());
        }
        if let Some(chunk) = self.chunk_mut(self.pages / CHUNK) {
            if chunk.len() == chunk.capacity() {
                // An eighth at a time: little is left over, and little is moved.
                chunk.reserve_exact((chunk.len() / 8).max(4).min(CHUNK - chunk.len()));
            }
            chunk.push(page);
        }
        self.pages += 1;
    }

    /// Splits the next page of this round.
    fn split(&mut self) {
        let round = self.round();
        let index = self.pages - (1 << round);
        let Some(page) = self.page_mut(index) else {
            return debug_assert!(false, "a page that is not there");
        };
        let before = allocated(page);
        let mut moved = Page::new();
        let (mut at, mut kept) = (0, 0);
        while let Some(next) = skip(page, at) {
            if hash(&page[at..next]) >> round & 1 == 1 {
                moved.extend_from_slice(&page[at..next]);
            } else {
                page.copy_within(at..next, kept);
                kept += next - at;
            }
            at = next;
        }
        page.truncate(kept);
        fit(page);
        fit(&mut moved);
        let after = allocated(page) + allocated(&moved);
        self.page_bytes = self.page_bytes + after - before;
        self.push_page(moved);
    }

    /// Takes the last page back into the one it was split from.
    fn merge(&mut self) {
        let Some(chunk) = self.chunk_mut((self.pages - 1) / CHUNK) else {
            return debug_assert!(false, "a table of several pages");
        };
        let last = chunk.pop().unwrap_or_default();
        if chunk.is_empty() {
            self.chunks.pop();
            if self.chunks.capacity() > 4 * self.chunks.len() + 16 {
                self.chunks.shrink_to(2 * self.chunks.len());
            }
        } else if chunk.capacity() - chunk.len() > 8 + chunk.len() / 2 {
            chunk.shrink_to(chunk.len() + chunk.len() / 8);
        }
        self.pages -= 1;
        let index = self.pages - (1 << self.round());
        let Some(page) = self.page_mut(index) else {
            return debug_assert!(false, "a page that is not there");
        };
        let before = allocated(page) + allocated(&last);
        append(page, &last);
        let after = allocated(page);
        let (mut at, mut members) = (0, 0);
        while let Some(next) = skip(page, at) {
            at = next;
            members += 1;
        }
        self.page_bytes = self.page_bytes + after - before;
        self.longest = self.longest.max(members);
    }
}

/// Bytes that the allocator gives for a page.
#[inline]
fn allocated(page: &Page) -> usize {
    match page.capacity() {
        0 => 0,
        capacity => size_class(capacity),
    }
}

/// Adds to the end of a page, whose room is a size class of the allocator.
#[inline]
fn append(page: &mut Page, bytes: &[u8]) {
    let needed = page.len() + bytes.len();
    if needed > page.capacity() {
        page.reserve_exact(size_class(needed) - page.len());
    }
    page.extend_from_slice(bytes);
}

/// Gives back room that a page no longer needs.
fn fit(page: &mut Page) {
    let wanted = size_class(page.len());
    if page.capacity() > wanted + wanted / 4 {
        page.shrink_to(wanted);
    }
}

/// What a member counts for when pages are filled: its bytes, but a giant does not make
/// more than a few pages.
fn weight(bytes: usize) -> usize {
    bytes.min(2 * PAGE_WEIGHT)
}

/// The members of a table.
#[derive(Clone)]
pub struct Iter<'a> {
    chunks: std::slice::Iter<'a, Arc<Chunk>>,
    pages: std::slice::Iter<'a, Page>,
    page: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            if let Some((element, next)) = read(self.page, self.at) {
                self.at = next;
                return Some(element);
            }
            match self.pages.next() {
                Some(page) => (self.page, self.at) = (page, 0),
                None => self.pages = self.chunks.next()?.iter(),
            }
        }
    }
}

/// Pages in a chunk of the directory: what is copied when one of them is changed that a clone
/// has too.
const CHUNK: usize = 64;
/// What counting who shares it costs a chunk, in bytes.
const SHARED: usize = 16;
/// Members of a page, on average.
const PAGE_MEMBERS: usize = 8;
/// Bytes of a page, on average, if members are long.
const PAGE_WEIGHT: usize = 1024;
/// Cursors keep 53 bits of a place: the integers that every client can hold.
const CURSOR_SHIFT: u32 = 11;
