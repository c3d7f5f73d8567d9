//! Allocates from the memory that the module starts with, before it grows.
//!
//! Between the end of the data and the end of its last page a module has up to 64 KiB, which the standard library leaves
//! alone: it grows memory for its first allocation, which costs more than a small handler's work.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

const PAGE: usize = 65536;

unsafe extern "C" {
    /// Where the linker put the end of the data.
    static __heap_base: u8;
}

/// Gives the rest of the first memory, then memory from the system. It takes back the last allocation alone.
struct FirstMemory {
    /// From here on it is free; 0 before the first allocation.
    free: Cell<usize>,
    end: Cell<usize>,
}

// SAFETY: a guest has one thread.
unsafe impl Sync for FirstMemory {}

#[global_allocator]
static MEMORY: FirstMemory = FirstMemory { free: Cell::new(0), end: Cell::new(0) };

impl FirstMemory {
    /// Take the bytes from `start` to `start + size`, if they are free.
    fn take(&self, start: usize, size: usize) -> Option<*mut u8> {
        let after = start.checked_add(size).filter(|after| *after <= self.end.get())?;
        self.free.set(after);
        Some(ptr::with_exposed_provenance_mut(start))
    }

    fn has(&self, at: *mut u8) -> bool {
        at.addr() < self.end.get()
    }
}

// SAFETY: an allocation is where nothing else is: between the end of the data and the end of the first memory, each
// behind those before it, or where the system allocates, which is beyond that end.
unsafe impl GlobalAlloc for FirstMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.free.get() == 0 {
            let start = (&raw const __heap_base).expose_provenance();
            self.free.set(start);
            self.end.set(start.next_multiple_of(PAGE));
        }
        let start = self.free.get().next_multiple_of(layout.align());
        // SAFETY: the caller keeps the rules of `alloc`.
        self.take(start, layout.size()).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if !self.has(at) {
            // SAFETY: the system allocated it.
            unsafe { System.dealloc(at, layout) }
        } else if at.addr() + layout.size() == self.free.get() {
            self.free.set(at.addr());
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.has(at) {
            // SAFETY: the system allocated it.
            return unsafe { System.realloc(at, layout, size) };
        }
        if at.addr() + layout.size() == self.free.get() && self.take(at.addr(), size).is_some() {
            return at;
        }
        // SAFETY: the caller keeps the rules of `realloc`; the new allocation is another one.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(at, new, size.min(layout.size()));
                self.dealloc(at, layout);
            }
            new
        }
    }
}
