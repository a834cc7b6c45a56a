//! An allocator with a tripwire: `cabi_realloc`, through which the host asks for room, and the
//! clean-up after a call, by which the plugin gives it back, are its allocations and deallocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::ways::{loop_forever, trap};

struct Tripwire;

/// What the allocator does from now on.
static ARMED: AtomicU8 = AtomicU8::new(0);

/// Traps at the next allocation.
pub const TRAP_ON_ALLOC: u8 = 1;
/// Never returns from the next allocation.
pub const LOOP_ON_ALLOC: u8 = 2;
/// Never returns from the next deallocation.
pub const LOOP_ON_FREE: u8 = 3;

pub fn arm(with: u8) {
    ARMED.store(with, Relaxed);
}

fn trip() {
    match ARMED.load(Relaxed) {
        TRAP_ON_ALLOC => trap(),
        LOOP_ON_ALLOC => loop_forever(),
        _ => {}
    }
}

// SAFETY: what returns is the system's allocator.
unsafe impl GlobalAlloc for Tripwire {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        trip();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if ARMED.load(Relaxed) == LOOP_ON_FREE {
            loop_forever();
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Tripwire = Tripwire;
