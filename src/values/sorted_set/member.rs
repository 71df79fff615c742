//! One member of a big sorted set: a single allocation behind a thin pointer.
//!
//! ```text
//!   score:f64 LE │ length:u8 (255: a u32 LE follows) │ text
//! ```
//!
//! This file and its `unsafe` are the only place that knows the layout.

use crate::values::table::Item;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;

const LONG: u8 = 255;
const LENGTH_AT: usize = 8;
const ALIGN: usize = 8;

/// An owned member.
pub(super) struct MemberItem(NonNull<u8>);

// SAFETY: the item owns its allocation, which holds nothing but bytes.
unsafe impl Send for MemberItem {}
// SAFETY: as above; through a shared reference the bytes are only read.
unsafe impl Sync for MemberItem {}

impl MemberItem {
    pub(super) fn new(text: &[u8], score: f64) -> Self {
        let long = text.len() >= usize::from(LONG);
        let text_at = LENGTH_AT + if long { 5 } else { 1 };
        let layout = layout(text_at + text.len());
        // SAFETY: the layout's size is not zero, because the score is there.
        let Some(raw) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout);
        };
        // SAFETY: the allocation has `layout.size()` bytes and nobody else knows of it.
        let bytes = unsafe {
            raw.write_bytes(0, layout.size());
            slice::from_raw_parts_mut(raw.as_ptr(), layout.size())
        };
        bytes[..LENGTH_AT].copy_from_slice(&score.to_le_bytes());
        if long {
            bytes[LENGTH_AT] = LONG;
            bytes[LENGTH_AT + 1..text_at].copy_from_slice(&(text.len() as u32).to_le_bytes());
        } else {
            bytes[LENGTH_AT] = text.len() as u8;
        }
        bytes[text_at..].copy_from_slice(text);
        Self(raw)
    }

    /// Bytes that the allocation takes.
    pub(super) fn size(text: &[u8]) -> usize {
        let head = if text.len() >= usize::from(LONG) {
            5
        } else {
            1
        };
        crate::allocator::size_class(LENGTH_AT + head + text.len())
    }
}

impl Drop for MemberItem {
    fn drop(&mut self) {
        // SAFETY: the item owns the allocation, and its length gives the layout it was made
        // with.
        unsafe {
            let (at, len) = text_range(self.0);
            dealloc(self.0.as_ptr(), layout(at + len));
        }
    }
}

// SAFETY: `from_raw` undoes `into_raw`; pointers of user space lie below 2^48; the text is
// never written after `new`.
unsafe impl Item for MemberItem {
    fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).0
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8] {
        // SAFETY: the caller vouches for a live item; its length says where the text lies.
        unsafe {
            let (at, len) = text_range(raw);
            slice::from_raw_parts(raw.as_ptr().add(at), len)
        }
    }
}

/// A member that a table owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Member(NonNull<u8>);

// SAFETY: a member goes wherever the set goes that owns it.
unsafe impl Send for Member {}
// SAFETY: through a shared set members are only read.
unsafe impl Sync for Member {}

impl Member {
    /// The member behind `raw`.
    ///
    /// # Safety
    /// `raw` must be an item of a table. The member must not be used after the item has left
    /// the table, nor what it gives while the item's score is written.
    pub(super) unsafe fn of(raw: NonNull<u8>) -> Self {
        Member(raw)
    }

    /// Its score.
    #[inline]
    pub(super) fn score(self) -> f64 {
        // SAFETY: the item is live (see `of`), and begins with the score.
        f64::from_le_bytes(unsafe { self.0.cast::<[u8; 8]>().read() })
    }

    /// Its text, for as long as the set is borrowed.
    #[inline]
    pub(super) fn text<'a>(self) -> &'a [u8] {
        // SAFETY: the item is live (see `of`), and its text is never written.
        unsafe { MemberItem::key(self.0) }
    }

    /// Writes the score.
    pub(super) fn set_score(self, score: f64) {
        // SAFETY: the item is live (see `of`), and begins with the score.
        unsafe { self.0.cast::<[u8; 8]>().write(score.to_le_bytes()) }
    }
}

/// Where the text lies.
///
/// # Safety
/// `raw` must point to a live item.
unsafe fn text_range(raw: NonNull<u8>) -> (usize, usize) {
    // SAFETY: the item has a length, and four more bytes if it says so.
    unsafe {
        match raw.add(LENGTH_AT).read() {
            LONG => {
                let len = raw.add(LENGTH_AT + 1).cast::<[u8; 4]>().read();
                (LENGTH_AT + 5, u32::from_le_bytes(len) as usize)
            }
            len => (LENGTH_AT + 1, usize::from(len)),
        }
    }
}

fn layout(size: usize) -> Layout {
    // Members are bounded far below what a layout refuses.
    Layout::from_size_align(size, ALIGN).expect("a member's size is a valid layout")
}
