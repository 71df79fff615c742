//! A hash table that never rehashes at once: extendible hashing over small segments.
//!
//! ```text
//! directory (2^global_depth)      segments                 buckets of one segment
//! ┌───┬───┬───┬───┐               ┌─────────────────┐      ┌──────┬──────┬─ … ─┬──────┐
//! │ 0 │ 0 │ 1 │ 2 │ ───index───►  │ depth, len, ────┼────► │ 64 B │ 64 B │     │ 64 B │
//! └───┴───┴───┴───┘               └─────────────────┘      └──────┴──────┴─ … ─┴──────┘
//!                                                           8 words: tag (16) │ pointer (48)
//! ```
//!
//! The *position* of an item is its hash without the `SKIP` bits that its owner has used
//! already (to choose a shard). The first `global_depth` bits of the position choose the
//! segment, the 16 bits that follow the segment's own depth are the item's *tag*. The tag
//! alone places the item inside the segment: its home bucket is `tag * buckets / 65536`, and
//! a full home spills into the buckets after it. So
//! * a segment grows in steps of 64 bytes without looking at an item, and is 15/16 full
//!   before it does: about nine bytes a key;
//! * only a split, of at most a few hundred items, hashes keys again;
//! * items lie in the order of their hash, so a cursor that is a prefix of the hash space
//!   stays true across growth, shrinking and splits: [`Table::scan`] returns every item that
//!   stays in the table exactly once.
//!
//! What must stay true: an item lies in its home bucket or behind a run of full buckets that
//! begins there; a bucket's words are filled from the front; pointers fit 48 bits.

use crate::hash::hash;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Something that lives behind one thin pointer and carries its own key.
///
/// # Safety
/// `into_raw` must give a pointer below 2^48 that `from_raw` turns back into the same item,
/// and `key` must return the same bytes for as long as the item is in a table.
pub unsafe trait Item: Sized {
    /// Gives up ownership.
    fn into_raw(self) -> NonNull<u8>;
    /// Takes ownership back.
    ///
    /// # Safety
    /// `raw` must come from `into_raw` and be used once.
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;
    /// The item's key.
    ///
    /// # Safety
    /// `raw` must point to a live item that outlives `'a` unmodified in its key.
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8];
}

/// A place in a table. It holds until the table is changed in any other way than by
/// [`Table::replace`].
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    segment: u32,
    bucket: u32,
    index: u32,
}

/// The table; see the module's documentation.
pub struct Table<T: Item, const SKIP: u32 = 0> {
    directory: Vec<u32>,
    segments: Vec<Segment>,
    global_depth: u32,
    len: usize,
    items: PhantomData<T>,
}

// SAFETY: the table owns its items and hands out references under the usual borrow rules.
unsafe impl<T: Item + Send, const SKIP: u32> Send for Table<T, SKIP> {}
// SAFETY: as above; shared access only reads.
unsafe impl<T: Item + Sync, const SKIP: u32> Sync for Table<T, SKIP> {}

impl<T: Item, const SKIP: u32> Default for Table<T, SKIP> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Item, const SKIP: u32> Table<T, SKIP> {
    /// An empty table; it allocates nothing.
    pub const fn new() -> Self {
        Table {
            directory: Vec::new(),
            segments: Vec::new(),
            global_depth: 0,
            len: 0,
            items: PhantomData,
        }
    }

    /// How many items there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no item.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the item with this key is. `hash` must be `crate::hash::hash(key)`.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Slot> {
        if self.len == 0 {
            return None;
        }
        let position = position::<SKIP>(hash);
        let segment = self.segment_of(position);
        let seg = &self.segments[segment as usize];
        let tag = tag_of(position, seg.depth);
        let buckets = &seg.buckets[..];
        let mut b = home(tag, buckets.len());
        for _ in 0..buckets.len() {
            let words = &buckets[b].0;
            let mut candidates = matches(words, tag);
            while candidates != 0 {
                let index = candidates.trailing_zeros();
                candidates &= candidates - 1;
                let Some(raw) = pointer(words[index as usize]) else {
                    continue;
                };
                // SAFETY: every word in the table came from `Item::into_raw` and is live.
                if unsafe { T::key(raw) } == key {
                    return Some(Slot {
                        segment,
                        bucket: b as u32,
                        index,
                    });
                }
            }
            if words[BUCKET - 1] == 0 {
                return None;
            }
            b = if b + 1 == buckets.len() { 0 } else { b + 1 };
        }
        None
    }

    /// The item at `slot`, which the table goes on owning.
    #[inline]
    pub fn get(&self, slot: Slot) -> NonNull<u8> {
        let word = self.segments[slot.segment as usize].buckets[slot.bucket as usize].0
            [slot.index as usize];
        pointer(word).expect("a slot points at an item")
    }

    /// Puts `raw` where the item with the same key was. The caller has taken over the old
    /// pointer (it reallocated or replaced the item).
    #[inline]
    pub fn replace(&mut self, slot: Slot, raw: NonNull<u8>) {
        let word = &mut self.segments[slot.segment as usize].buckets[slot.bucket as usize].0
            [slot.index as usize];
        *word = (*word & TAG_MASK) | raw.as_ptr() as u64;
    }

    /// Adds an item whose key is not in the table.
    pub fn insert_new(&mut self, hash: u64, item: T) {
        let position = position::<SKIP>(hash);
        if self.directory.is_empty() {
            self.directory.push(0);
            self.segments.push(Segment::with_buckets(0, 1));
        }
        let raw = item.into_raw().as_ptr() as u64;
        assert!(raw & TAG_MASK == 0, "pointers fit 48 bits");
        loop {
            let segment = self.segment_of(position);
            let seg = &mut self.segments[segment as usize];
            if seg.len < seg.limit() {
                let tag = tag_of(position, seg.depth);
                seg.place(u64::from(tag) << TAG_SHIFT | raw);
                self.len += 1;
                return;
            }
            self.make_room(segment, position);
        }
    }

    /// Takes the item at `slot` out.
    pub fn remove(&mut self, slot: Slot) -> T {
        let seg = &mut self.segments[slot.segment as usize];
        let raw = pointer(seg.take(slot.bucket as usize, slot.index as usize))
            .expect("a slot points at an item");
        self.len -= 1;
        if self.len == 0 {
            self.directory = Vec::new();
            self.segments = Vec::new();
            self.global_depth = 0;
        } else {
            seg.shrink();
        }
        // SAFETY: the word came from `into_raw` and has just left the table.
        unsafe { T::from_raw(raw) }
    }

    /// Visits items from `cursor` (0 to begin) until at least `count` were visited or the
    /// table ends; gives the cursor to go on with, 0 at the end. A cursor is a prefix of the
    /// positions, in 53 bits.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(NonNull<u8>)) -> u64 {
        let mut position = cursor << CURSOR_SHIFT;
        let mut visited = 0;
        if self.len == 0 {
            return 0;
        }
        loop {
            let id = self.segment_of(position);
            let seg = &self.segments[id as usize];
            let from = tag_of(position, seg.depth);
            let home_bucket = home(from, seg.buckets.len());
            let end = first_tag(home_bucket + 1, seg.buckets.len());
            if let Some(next) = seg.buckets.get(home_bucket + 1) {
                let items = next.0.iter().filter_map(|word| pointer(*word));
                items.for_each(|raw| prefetch_line(raw.as_ptr()));
            }
            seg.visit_tags(home_bucket, u32::from(from)..end, |word| {
                if let Some(raw) = pointer(word) {
                    visited += 1;
                    visit(raw);
                }
            });
            match next_position(position, seg.depth, end) {
                None => return 0,
                Some(next) => position = next,
            }
            if visited >= count {
                return position >> CURSOR_SHIFT;
            }
        }
    }

    /// Visits the items whose position begins with these 32 bits.
    pub fn visit_prefix(&self, prefix: u32, mut visit: impl FnMut(NonNull<u8>)) {
        if self.len == 0 {
            return;
        }
        let position = u64::from(prefix) << 32;
        let seg = &self.segments[self.segment_of(position) as usize];
        let first = u32::from(tag_of(position, seg.depth));
        // A deep segment's tag holds bits that the prefix does not: all of them count.
        let last = first + (1 << seg.depth.saturating_sub(16)) - 1;
        let buckets = seg.buckets.len();
        for b in home(first as u16, buckets)..=home(last.min(0xffff) as u16, buckets) {
            let tags = first_tag(b, buckets).max(first)..first_tag(b + 1, buckets).min(last + 1);
            seg.visit_tags(b, tags, |word| {
                if let Some(raw) = pointer(word) {
                    visit(raw);
                }
            });
        }
    }

    /// Whether a scan that has got to `cursor` is past the item with this hash.
    #[inline]
    pub fn is_behind(cursor: u64, hash: u64) -> bool {
        position::<SKIP>(hash) >> CURSOR_SHIFT < cursor
    }

    /// An item drawn evenly, given a source of random numbers.
    pub fn random(&self, mut next: impl FnMut() -> u64) -> Option<NonNull<u8>> {
        if self.len == 0 {
            return None;
        }
        // A segment is chosen in proportion to its share of hash space, which is its
        // expected share of items; an empty word is drawn again. Where most segments are
        // nearly empty that could take long, so the draws are bounded.
        for _ in 0..512 {
            let seg = &self.segments[self.segment_of(next()) as usize];
            let draw = (next() % (seg.buckets.len() * BUCKET) as u64) as usize;
            if let Some(raw) = pointer(seg.buckets[draw / BUCKET].0[draw % BUCKET]) {
                return Some(raw);
            }
        }
        let mut found = None;
        for start in [next() >> CURSOR_SHIFT, 0] {
            if found.is_none() {
                self.scan(start, 1, |raw| found = found.or(Some(raw)));
            }
        }
        found
    }

    /// Every item, in the order of a scan.
    pub fn iter(&self) -> impl Iterator<Item = NonNull<u8>> + '_ {
        self.segments
            .iter()
            .flat_map(|seg| seg.buckets.iter())
            .flat_map(|bucket| bucket.0.iter())
            .filter_map(|word| pointer(*word))
    }

    /// Bytes of the directory and the buckets, items aside.
    pub fn mem_bytes(&self) -> usize {
        self.directory.capacity() * size_of::<u32>()
            + self.segments.capacity() * size_of::<Segment>()
            + self
                .segments
                .iter()
                .map(|seg| size_of_val(&seg.buckets[..]))
                .sum::<usize>()
    }

    /// Asks the processor to fetch the bucket in which `find` will look first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if self.len == 0 {
            return;
        }
        let position = position::<SKIP>(hash);
        let seg = &self.segments[self.segment_of(position) as usize];
        let b = home(tag_of(position, seg.depth), seg.buckets.len());
        prefetch_line((&raw const seg.buckets[b]).cast());
    }

    /// Asks the processor to fetch the items that `find` is likely to compare.
    #[inline]
    pub fn prefetch_item(&self, hash: u64) {
        if self.len == 0 {
            return;
        }
        let position = position::<SKIP>(hash);
        let seg = &self.segments[self.segment_of(position) as usize];
        let tag = tag_of(position, seg.depth);
        let words = &seg.buckets[home(tag, seg.buckets.len())].0;
        let candidates = matches(words, tag);
        if candidates != 0
            && let Some(raw) = pointer(words[candidates.trailing_zeros() as usize])
        {
            // The header and key, and as much of a small value as is likely to be read.
            for line in 0..4 {
                prefetch_line(raw.as_ptr().wrapping_add(64 * line));
            }
        }
    }

    #[inline]
    fn segment_of(&self, position: u64) -> u32 {
        // A shift by 64 would overflow, so one bit is shifted apart.
        self.directory[(position >> 1 >> (63 - self.global_depth)) as usize]
    }

    /// Grows the segment, or splits it when it is as large as segments get.
    fn make_room(&mut self, segment: u32, position: u64) {
        let seg = &mut self.segments[segment as usize];
        let buckets = seg.buckets.len();
        if buckets < MAX_BUCKETS {
            let step = STEPS.iter().find(|step| **step > buckets);
            seg.rebuild(*step.unwrap_or(&MAX_BUCKETS));
        } else if seg.depth >= MAX_DEPTH {
            // Only a broken hash gets here; the segment grows and lookups get slower.
            seg.rebuild(buckets + 8);
        } else {
            self.split(segment, position);
        }
    }

    fn split(&mut self, segment: u32, at: u64) {
        let depth = self.segments[segment as usize].depth;
        if depth == self.global_depth {
            self.directory = self.directory.iter().flat_map(|id| [*id, *id]).collect();
            self.global_depth += 1;
        }
        let words: Vec<u64> = self.segments[segment as usize].words().collect();
        let mut halves = [(); 2].map(|()| Vec::with_capacity(words.len()));
        for (i, word) in words.iter().enumerate() {
            // The keys lie anywhere in memory; each would be waited for.
            if let Some(later) = words.get(i + AHEAD).and_then(|word| pointer(*word)) {
                prefetch_line(later.as_ptr());
            }
            if let Some(raw) = pointer(*word) {
                // SAFETY: every word in the table came from `into_raw` and is live.
                let position = position::<SKIP>(hash(unsafe { T::key(raw) }));
                let half = (position >> (63 - depth) & 1) as usize;
                let tag = u64::from(tag_of(position, depth + 1));
                halves[half].push(tag << TAG_SHIFT | raw.as_ptr() as u64);
            }
        }
        let [low, high] = halves.map(|words| Segment::of(depth + 1, &words));
        self.segments[segment as usize] = low;
        let new_id = self.segments.len() as u32;
        self.segments.push(high);
        // The directory entries of the old segment, of which the upper half moves.
        let prefix = (at >> 1 >> (63 - depth)) as usize;
        let width = 1usize << (self.global_depth - depth);
        let first = prefix * width;
        self.directory[first + width / 2..first + width].fill(new_id);
    }
}

impl<T: Item, const SKIP: u32> Drop for Table<T, SKIP> {
    fn drop(&mut self) {
        for seg in &self.segments {
            for word in seg.words() {
                if let Some(raw) = pointer(word) {
                    // SAFETY: the table owns the item and goes away.
                    drop(unsafe { T::from_raw(raw) });
                }
            }
        }
    }
}

/// One cache line of words.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket([u64; BUCKET]);

struct Segment {
    buckets: Box<[Bucket]>,
    len: u32,
    depth: u32,
}

impl Segment {
    fn with_buckets(depth: u32, buckets: usize) -> Self {
        Segment {
            buckets: vec![Bucket([0; BUCKET]); buckets].into_boxed_slice(),
            len: 0,
            depth,
        }
    }

    /// A segment that holds `words` with a little room to spare.
    fn of(depth: u32, words: &[u64]) -> Self {
        let mut seg = Self::with_buckets(depth, buckets_for(words.len() + 1));
        for word in words {
            seg.place(*word);
        }
        seg
    }

    /// How many items the segment takes before it must grow.
    #[inline]
    fn limit(&self) -> u32 {
        limit(self.buckets.len()) as u32
    }

    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.buckets
            .iter()
            .flat_map(|bucket| bucket.0)
            .filter(|word| *word != 0)
    }

    /// Puts a word in its home bucket or the first one after it that has room.
    fn place(&mut self, word: u64) {
        let buckets = self.buckets.len();
        let mut b = home((word >> TAG_SHIFT) as u16, buckets);
        loop {
            let words = &mut self.buckets[b].0;
            if words[BUCKET - 1] == 0 {
                let free = words.iter().position(|w| *w == 0).unwrap_or(BUCKET - 1);
                words[free] = word;
                self.len += 1;
                return;
            }
            b = if b + 1 == buckets { 0 } else { b + 1 };
        }
    }

    /// Takes a word out and closes the gap that this leaves in runs of full buckets.
    fn take(&mut self, bucket: usize, index: usize) -> u64 {
        let taken = self.buckets[bucket].0[index];
        self.len -= 1;
        let mut hole = bucket;
        let mut was_full = self.close(bucket, index);
        let buckets = self.buckets.len();
        let mut b = hole;
        while was_full {
            b = if b + 1 == buckets { 0 } else { b + 1 };
            if b == hole {
                break;
            }
            let words = self.buckets[b].0;
            let from_hole = (b + buckets - hole) % buckets;
            let displaced = words.iter().position(|word| {
                *word != 0 && {
                    let h = home((word >> TAG_SHIFT) as u16, buckets);
                    (b + buckets - h) % buckets >= from_hole
                }
            });
            if let Some(index) = displaced {
                self.buckets[hole].0[BUCKET - 1] = words[index];
                hole = b;
                was_full = self.close(b, index);
            } else if words[BUCKET - 1] == 0 {
                break;
            }
        }
        taken
    }

    /// Removes word `index` of a bucket, keeping the rest in front; whether it was full.
    fn close(&mut self, bucket: usize, index: usize) -> bool {
        let words = &mut self.buckets[bucket].0;
        let was_full = words[BUCKET - 1] != 0;
        let last = words.iter().rposition(|w| *w != 0).unwrap_or(index);
        words[index] = words[last];
        words[last] = 0;
        was_full
    }

    fn shrink(&mut self) {
        let buckets = self.buckets.len();
        if buckets > 1 && (self.len as usize) < buckets * BUCKET / 4 {
            self.rebuild(buckets_for(self.len as usize + 1));
        }
    }

    fn rebuild(&mut self, buckets: usize) {
        let old = std::mem::replace(self, Segment::with_buckets(self.depth, buckets));
        for word in old.words() {
            self.place(word);
        }
    }

    /// Visits the words whose tag is in `tags`, all of which have `home_bucket` as home.
    fn visit_tags(
        &self,
        home_bucket: usize,
        tags: std::ops::Range<u32>,
        mut visit: impl FnMut(u64),
    ) {
        let buckets = self.buckets.len();
        let mut b = home_bucket;
        for _ in 0..buckets {
            let words = &self.buckets[b].0;
            for word in words.iter().filter(|word| **word != 0) {
                if tags.contains(&((word >> TAG_SHIFT) as u32)) {
                    visit(*word);
                }
            }
            if words[BUCKET - 1] == 0 {
                return;
            }
            b = if b + 1 == buckets { 0 } else { b + 1 };
        }
    }
}

/// The hash without the bits that the table's owner has used.
#[inline]
fn position<const SKIP: u32>(hash: u64) -> u64 {
    hash << SKIP
}

/// The 16 bits after the first `depth`.
#[inline]
fn tag_of(position: u64, depth: u32) -> u16 {
    (position << depth >> 48) as u16
}

#[inline]
fn home(tag: u16, buckets: usize) -> usize {
    (tag as usize * buckets) >> 16
}

/// The first tag whose home is `bucket` or later.
fn first_tag(bucket: usize, buckets: usize) -> u32 {
    (bucket << 16).div_ceil(buckets) as u32
}

/// The first position after the tags below `end` of the segment around `position`.
fn next_position(position: u64, depth: u32, end: u32) -> Option<u64> {
    let prefix = position >> 1 >> (63 - depth);
    if end > u32::from(u16::MAX) {
        let next = prefix + 1;
        return (next >> depth == 0).then(|| next << 1 << (63 - depth));
    }
    Some((prefix << 1 << (63 - depth)) | u64::from(end) << (48 - depth))
}

#[inline]
fn pointer(word: u64) -> Option<NonNull<u8>> {
    NonNull::new(((word & !TAG_MASK) as usize) as *mut u8)
}

/// A bit for each word whose tag is `tag`; empty words may be among them for tag 0.
#[inline]
fn matches(words: &[u64; BUCKET], tag: u16) -> u32 {
    let tag = u64::from(tag);
    let mut mask = 0;
    for (i, word) in words.iter().enumerate() {
        mask |= u32::from(word >> TAG_SHIFT == tag) << i;
    }
    mask
}

fn limit(buckets: usize) -> usize {
    buckets * BUCKET * 15 / 16
}

fn buckets_for(items: usize) -> usize {
    STEPS
        .iter()
        .copied()
        .find(|step| limit(*step) >= items)
        .unwrap_or_else(|| (items * 16).div_ceil(BUCKET * 15))
}

#[inline]
fn prefetch_line(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program can observe, at any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// How many items ahead memory is asked for.
const AHEAD: usize = 8;
/// Words in a bucket: one cache line.
const BUCKET: usize = 8;
const TAG_SHIFT: u32 = 48;
const TAG_MASK: u64 = 0xffff << TAG_SHIFT;
/// Cursors keep 53 bits of a position: the integers that every client can hold.
const CURSOR_SHIFT: u32 = 11;
/// The deepest segment whose cursors are still exact in 53 bits.
const MAX_DEPTH: u32 = 30;
/// The sizes of a segment in buckets: those for which the allocator has a class.
const STEPS: [usize; 20] = [
    1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64,
];
const MAX_BUCKETS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    // A thin box around the key: an item is one pointer.
    #[allow(clippy::box_collection)]
    struct Word(Box<Vec<u8>>);

    // SAFETY: a box's pointer is thin, its key never changes.
    unsafe impl Item for Word {
        fn into_raw(self) -> NonNull<u8> {
            NonNull::from(Box::leak(self.0)).cast()
        }
        unsafe fn from_raw(raw: NonNull<u8>) -> Self {
            // SAFETY: per contract the pointer came from `into_raw`.
            Word(unsafe { Box::from_raw(raw.as_ptr().cast()) })
        }
        unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8] {
            // SAFETY: per contract the item is live.
            unsafe { raw.cast::<Vec<u8>>().as_ref() }
        }
    }

    fn key(i: u64) -> Vec<u8> {
        format!("key:{i}").into_bytes()
    }

    fn add<const S: u32>(table: &mut Table<Word, S>, i: u64) {
        table.insert_new(hash(&key(i)), Word(Box::new(key(i))));
    }

    fn name(raw: NonNull<u8>) -> Vec<u8> {
        // SAFETY: the tests call this on items of a live table.
        unsafe { Word::key(raw) }.to_vec()
    }

    fn full_scan<const S: u32>(table: &Table<Word, S>, step: usize) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = table.scan(cursor, step, |raw| seen.push(name(raw)));
            if cursor == 0 {
                return seen;
            }
        }
    }

    #[test]
    fn insert_find_remove_against_a_set() {
        let mut table: Table<Word, 6> = Table::new();
        let mut model = BTreeSet::new();
        let mut seed = 7u64;
        for round in 0..60_000u64 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let i = seed >> 33 & 0x3fff;
            // Grow for a while, then mostly shrink, so that both paths run.
            let insert = (seed >> 20 & 7) < if round < 30_000 { 6 } else { 2 };
            match table.find(hash(&key(i)), &key(i)) {
                Some(slot) if !insert => {
                    assert!(model.remove(&i));
                    assert_eq!(*table.remove(slot).0, key(i));
                }
                Some(slot) => assert_eq!(name(table.get(slot)), key(i)),
                None => {
                    assert!(!model.contains(&i));
                    if insert {
                        model.insert(i);
                        add(&mut table, i);
                    }
                }
            }
            assert_eq!(table.len(), model.len());
        }
        for i in 0..0x4000 {
            assert_eq!(
                table.find(hash(&key(i)), &key(i)).is_some(),
                model.contains(&i)
            );
        }
        let mut seen = full_scan(&table, 10);
        seen.sort();
        let mut expected: Vec<_> = model.iter().map(|i| key(*i)).collect();
        expected.sort();
        assert_eq!(seen, expected);
    }

    #[test]
    fn scan_returns_what_stays_exactly_once_while_the_table_changes() {
        let mut table: Table<Word> = Table::new();
        for i in 0..5000 {
            add(&mut table, i);
        }
        let mut seen = Vec::new();
        let (mut cursor, mut extra) = (0, 10_000);
        loop {
            cursor = table.scan(cursor, 10, |raw| seen.push(name(raw)));
            assert!(cursor < 1 << 53);
            if cursor == 0 {
                break;
            }
            for _ in 0..40 {
                add(&mut table, extra);
                extra += 1;
            }
            if extra.is_multiple_of(3) {
                for gone in extra - 40..extra {
                    if let Some(slot) = table.find(hash(&key(gone)), &key(gone)) {
                        table.remove(slot);
                    }
                }
            }
        }
        let kept = |k: &&Vec<u8>| {
            String::from_utf8_lossy(k)[4..]
                .parse()
                .is_ok_and(|i: u64| i < 5000)
        };
        let mut stayed: Vec<_> = seen.iter().filter(kept).collect();
        assert_eq!(stayed.len(), 5000, "each once");
        stayed.sort();
        stayed.dedup();
        assert_eq!(stayed.len(), 5000, "all of them");
    }

    #[test]
    fn random_reaches_everything() {
        let mut table: Table<Word> = Table::new();
        for i in 0..1000 {
            add(&mut table, i);
        }
        let mut seen = BTreeSet::new();
        for _ in 0..20_000 {
            seen.extend(table.random(crate::random::next_u64).map(name));
        }
        assert_eq!(seen.len(), 1000);
    }

    #[test]
    fn memory_stays_near_nine_bytes_a_key() {
        let mut table: Table<Word> = Table::new();
        let mut worst: f64 = 0.0;
        for i in 0..200_000 {
            add(&mut table, i);
            if i > 50_000 && i % 5000 == 0 {
                worst = worst.max(table.mem_bytes() as f64 / table.len() as f64);
            }
        }
        assert!(worst < 11.5, "{worst} bytes a key");
    }
}
