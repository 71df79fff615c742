//! One field of a big hash: a single allocation behind a thin pointer.
//!
//! ```text
//!   flags:u8 │ name length │ value length │ [expiry:i64 LE] │ name │ value
//!     bits 0-1, 2-3: each length takes 1, 2, 4 or 8 bytes, LE
//!     bit 4:         an expiry is there
//! ```
//!
//! Names and values of ordinary size cost three bytes beyond their own. This file and its
//! `unsafe` are the only place that knows the layout.

use super::Field;
use crate::time::UnixMs;
use crate::values::packed::Element;
use crate::values::table::Item;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;

const HAS_EXPIRY: u8 = 1 << 4;
/// What allocators give anyway, and low pointer bits for whoever wants to use them.
const ALIGN: usize = 8;

/// An owned field.
pub(super) struct FieldItem(NonNull<u8>);

// SAFETY: the item owns its allocation, which holds nothing but bytes.
unsafe impl Send for FieldItem {}
// SAFETY: as above; through a shared reference the bytes are only read.
unsafe impl Sync for FieldItem {}

impl FieldItem {
    pub(super) fn new(name: &[u8], value: &[u8], expires_at: Option<UnixMs>) -> Self {
        let (name_width, value_width) = (width_code(name.len()), width_code(value.len()));
        let shape = Shape {
            name_at: 1
                + (1 << name_width)
                + (1 << value_width)
                + 8 * usize::from(expires_at.is_some()),
            name_len: name.len(),
            value_len: value.len(),
            has_expiry: expires_at.is_some(),
        };
        let layout = shape.layout();
        // SAFETY: the layout's size is not zero, because the flags are there.
        let raw = unsafe { alloc(layout) };
        let Some(raw) = NonNull::new(raw) else {
            handle_alloc_error(layout);
        };
        // SAFETY: the allocation has `layout.size()` bytes and nobody else knows of it.
        let bytes = unsafe {
            raw.write_bytes(0, layout.size());
            slice::from_raw_parts_mut(raw.as_ptr(), layout.size())
        };
        bytes[0] = name_width | value_width << 2 | if shape.has_expiry { HAS_EXPIRY } else { 0 };
        let (name_bytes, value_bytes) = (1 << name_width, 1 << value_width);
        bytes[1..1 + name_bytes].copy_from_slice(&name.len().to_le_bytes()[..name_bytes]);
        bytes[1 + name_bytes..][..value_bytes]
            .copy_from_slice(&value.len().to_le_bytes()[..value_bytes]);
        if let Some(at) = expires_at {
            bytes[shape.expiry_at()..shape.name_at].copy_from_slice(&at.to_le_bytes());
        }
        bytes[shape.name_at..shape.value_at()].copy_from_slice(name);
        bytes[shape.value_at()..].copy_from_slice(value);
        Self(raw)
    }

    /// The field's name.
    pub(super) fn name(&self) -> &[u8] {
        // SAFETY: the item is live and borrowed.
        unsafe { Self::key(self.0) }
    }

    /// The field, to look at.
    pub(super) fn view(&self) -> Field<'_> {
        // SAFETY: the item is live and borrowed.
        unsafe { view(self.0) }
    }
}

impl Drop for FieldItem {
    fn drop(&mut self) {
        // SAFETY: the item owns the allocation, and its shape gives the layout it was made with.
        unsafe {
            let layout = Shape::read(self.0).layout();
            dealloc(self.0.as_ptr(), layout);
        }
    }
}

// SAFETY: `from_raw` undoes `into_raw`; pointers of user space lie below 2^48; the name is
// never written after `new`.
unsafe impl Item for FieldItem {
    fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).0
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8] {
        // SAFETY: the caller vouches for a live item; its shape says where the name lies.
        unsafe {
            let shape = Shape::read(raw);
            slice::from_raw_parts(raw.as_ptr().add(shape.name_at), shape.name_len)
        }
    }
}

/// The field behind `raw`.
///
/// # Safety
/// `raw` must point to a live item that is not changed or freed during `'a`.
pub(super) unsafe fn view<'a>(raw: NonNull<u8>) -> Field<'a> {
    // SAFETY: the item is live, and its shape says how many bytes it has.
    unsafe {
        let shape = Shape::read(raw);
        let bytes: &'a [u8] = slice::from_raw_parts(raw.as_ptr(), shape.layout().size());
        let (name, value) = bytes[shape.name_at..].split_at(shape.name_len);
        Field {
            name: Element::Str(name),
            value: Element::Str(value),
            expires_at: shape.has_expiry.then(|| {
                let at = raw.add(shape.expiry_at()).cast::<[u8; 8]>();
                UnixMs::from_le_bytes(at.read())
            }),
        }
    }
}

/// Writes value and expiry over the old ones if they take the same room; answers whether it
/// did.
///
/// # Safety
/// `raw` must point to a live item that nobody else looks at; `value` must not lie in it.
pub(super) unsafe fn overwrite(raw: NonNull<u8>, value: &[u8], expires_at: Option<UnixMs>) -> bool {
    // SAFETY: the item is live and exclusively ours; what is written keeps its shape.
    unsafe {
        let shape = Shape::read(raw);
        if shape.value_len != value.len() || shape.has_expiry != expires_at.is_some() {
            return false;
        }
        let to = raw.as_ptr().add(shape.value_at());
        to.copy_from_nonoverlapping(value.as_ptr(), value.len());
        if let Some(at) = expires_at {
            raw.add(shape.expiry_at())
                .cast::<[u8; 8]>()
                .write(at.to_le_bytes());
        }
        true
    }
}

/// Bytes of the item's allocation.
///
/// # Safety
/// `raw` must point to a live item.
pub(super) unsafe fn size(raw: NonNull<u8>) -> usize {
    // SAFETY: as the caller vouches.
    unsafe { Shape::read(raw).layout().size() }
}

/// The lengths of an item, read from its head.
struct Shape {
    name_at: usize,
    name_len: usize,
    value_len: usize,
    has_expiry: bool,
}

impl Shape {
    /// # Safety
    /// `raw` must point to a live item.
    #[inline]
    unsafe fn read(raw: NonNull<u8>) -> Self {
        // SAFETY: a live item begins with flags that say how long the rest of its head is.
        unsafe {
            let flags = raw.read();
            let (name_width, value_width) = (1 << (flags & 3), 1 << (flags >> 2 & 3));
            let has_expiry = flags & HAS_EXPIRY != 0;
            Self {
                name_at: 1 + name_width + value_width + 8 * usize::from(has_expiry),
                name_len: read_length(raw.add(1), name_width),
                value_len: read_length(raw.add(1 + name_width), value_width),
                has_expiry,
            }
        }
    }

    fn expiry_at(&self) -> usize {
        self.name_at - 8
    }

    fn value_at(&self) -> usize {
        self.name_at + self.name_len
    }

    fn layout(&self) -> Layout {
        let size = self.value_at() + self.value_len;
        // Lengths of slices that exist at the same time cannot overflow `isize`.
        Layout::from_size_align(size, ALIGN).unwrap_or(Layout::new::<u64>())
    }
}

/// # Safety
/// `width` (1, 2, 4 or 8) bytes must be readable at `at`.
#[inline]
unsafe fn read_length(at: NonNull<u8>, width: usize) -> usize {
    // SAFETY: as the caller vouches; unaligned reads go through byte arrays.
    unsafe {
        match width {
            1 => usize::from(at.read()),
            2 => usize::from(u16::from_le_bytes(at.cast::<[u8; 2]>().read())),
            4 => u32::from_le_bytes(at.cast::<[u8; 4]>().read()) as usize,
            _ => u64::from_le_bytes(at.cast::<[u8; 8]>().read()) as usize,
        }
    }
}

/// The binary logarithm of how many bytes a length takes.
fn width_code(length: usize) -> u8 {
    match length {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    }
}
