//! jemalloc with 8-byte size classes as the global allocator.
//!
//! The allocator is built with a quantum of 8 bytes (`.cargo/config.toml`), so that a
//! 24-byte entry occupies 24 bytes. A plain `malloc` then promises an alignment of only 8,
//! less than what ready-made bindings assume; therefore every larger alignment is asked for
//! by name here.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use tikv_jemalloc_sys as je;

/// The allocator that the binaries install.
pub struct Jemalloc;

#[inline]
fn flags(layout: Layout) -> c_int {
    if layout.align() <= 8 {
        0
    } else {
        je::MALLOCX_ALIGN(layout.align())
    }
}

// SAFETY: every call hands the layout's size and alignment to jemalloc, which keeps both.
unsafe impl GlobalAlloc for Jemalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the size of a layout given to an allocator is not zero.
        unsafe { je::mallocx(layout.size(), flags(layout)).cast() }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe { je::mallocx(layout.size(), flags(layout) | je::MALLOCX_ZERO).cast() }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller gives the pointer and the layout of one earlier allocation.
        unsafe { je::sdallocx(ptr.cast(), layout.size(), flags(layout)) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; the new size is not zero.
        unsafe { je::rallocx(ptr.cast(), new_size, flags(layout)).cast() }
    }
}

/// Bytes that jemalloc gives for a request of `size` bytes: its size classes are multiples
/// of 8 up to 64, then four for each doubling.
#[inline]
pub fn size_class(size: usize) -> usize {
    if size <= 64 {
        return size.next_multiple_of(8);
    }
    let step = 1usize << ((size - 1).ilog2() - 2);
    size.next_multiple_of(step)
}

/// What the allocator says of itself, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryStats {
    /// Handed out to the program.
    pub allocated: usize,
    /// In pages that hold at least one allocation.
    pub active: usize,
    /// Mapped and in physical memory, as far as the allocator knows.
    pub resident: usize,
}

/// The allocator's name and version.
pub fn version() -> String {
    let version = tikv_jemalloc_ctl::version::read().unwrap_or_default();
    // The version of the release, without the commit.
    let version = version.trim_end_matches('\0');
    format!("jemalloc-{}", version.split('-').next().unwrap_or(version))
}

/// Reads the statistics; a few microseconds.
pub fn stats() -> MemoryStats {
    use tikv_jemalloc_ctl::{epoch, stats};
    if epoch::advance().is_err() {
        return MemoryStats::default();
    }
    MemoryStats {
        allocated: stats::allocated::read().unwrap_or(0),
        active: stats::active::read().unwrap_or(0),
        resident: stats::resident::read().unwrap_or(0),
    }
}

/// The allocator's own report, for people.
pub fn report() -> String {
    let mut text = Vec::new();
    let options = tikv_jemalloc_ctl::stats_print::Options::default();
    match tikv_jemalloc_ctl::stats_print::stats_print(&mut text, options) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("the allocator gives no report: {error}\n"),
    }
}

/// Gives free pages of all arenas back to the operating system; whether that worked.
pub fn purge() -> bool {
    flush_thread_cache();
    // SAFETY: the name ends with a zero byte, and this control neither reads nor writes a
    // value. The number stands for all arenas.
    let failed = unsafe {
        je::mallctl(
            c"arena.4096.purge".as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        )
    };
    failed == 0
}

/// Gives what this thread's cache holds of freed memory back, so that [`stats`] does not
/// count it any more.
pub fn flush_thread_cache() {
    // SAFETY: the name ends with a zero byte, and this control neither reads nor writes a
    // value. Without a cache it does nothing.
    unsafe {
        je::mallctl(
            c"thread.tcache.flush".as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        );
    }
}

/// An integer that the allocator calls `name`, as it was before `new` took its place.
///
/// # Errors
/// As the allocator gives them: there is no such name, or it is no integer.
pub fn control(name: &[u8], new: Option<i64>) -> io::Result<i64> {
    let name = CString::new(name)?;
    for width in [8, 4, 1] {
        let (mut old, mut len) = (0i64, width);
        let mut value = new.unwrap_or(0);
        let (from, from_len) = match new {
            Some(_) => ((&raw mut value).cast::<c_void>(), width),
            None => (std::ptr::null_mut(), 0),
        };
        // SAFETY: the name ends with a zero byte; both buffers are as long as is said, and
        // aligned for any integer. jemalloc refuses lengths that are not the control's own.
        let code = unsafe {
            je::mallctl(
                name.as_ptr(),
                (&raw mut old).cast(),
                &mut len,
                from,
                from_len,
            )
        };
        match code {
            0 => return Ok(old),
            libc::EINVAL => {}
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

/// A text that the allocator calls `name`.
///
/// # Errors
/// When there is none of that name.
pub fn text(name: &[u8]) -> io::Result<String> {
    // Only names known to be texts: for others the address would be a number.
    let known = TEXTS.iter().find(|text| text.to_bytes() == name);
    let name = known.ok_or(io::Error::from_raw_os_error(libc::ENOENT))?;
    let mut text: *const c_char = std::ptr::null();
    let mut len = size_of_val(&text);
    // SAFETY: the name ends with a zero byte, the buffer holds a pointer, and nothing is set.
    let code = unsafe {
        je::mallctl(
            name.as_ptr(),
            (&raw mut text).cast(),
            &mut len,
            std::ptr::null_mut(),
            0,
        )
    };
    if code != 0 || text.is_null() {
        return Err(io::Error::from_raw_os_error(code));
    }
    // SAFETY: the texts of these names end with a zero byte and live as long as the process.
    let text = unsafe { CStr::from_ptr(text) };
    Ok(text.to_string_lossy().into_owned())
}

const TEXTS: [&CStr; 6] = [
    c"version",
    c"config.malloc_conf",
    c"opt.dss",
    c"opt.metadata_thp",
    c"opt.percpu_arena",
    c"opt.thp",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_those_of_the_allocator() {
        for size in (1..5000).chain([65_535, 65_536, 65_537, 1 << 20]) {
            // SAFETY: `nallocx` only computes.
            let real = unsafe { je::nallocx(size, 0) };
            assert_eq!(size_class(size), real, "for {size}");
        }
    }

    #[test]
    fn large_alignments_are_kept() {
        for align in [16, 32, 64, 4096] {
            for size in [1, 24, 56, 72, 200] {
                let layout = Layout::from_size_align(size, align).expect("a valid layout");
                // SAFETY: the layout is not empty and the pointer is freed with it.
                unsafe {
                    let p = Jemalloc.alloc(layout);
                    assert_eq!(p as usize % align, 0);
                    Jemalloc.dealloc(p, layout);
                }
            }
        }
    }
}
