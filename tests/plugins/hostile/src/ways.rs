//! Ways to burn time and memory.

use std::arch::wasm32::{memory_grow, memory_size, unreachable};
use std::hint::black_box;

const PAGE: usize = 65_536;

pub fn trap() -> ! {
    unreachable()
}

pub fn loop_forever() -> ! {
    loop {
        black_box(());
    }
}

/// Calls itself until the stack is used up: the native one, as it keeps nothing in memory.
pub fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { black_box(recurse(depth + 1)) + 1 }
}

/// Takes memory and writes to it, page by page, until the host refuses.
pub fn grow_by_pages() -> ! {
    loop {
        let page = memory_grow::<0>(1);
        if page == usize::MAX {
            trap();
        }
        // SAFETY: the page was just granted, and nobody else knows of it.
        unsafe { ((page * PAGE) as *mut u8).write_volatile(1) };
    }
}

/// Takes so many MiB more and writes to them all. Traps once the host refuses.
pub fn grow_by(megabytes: usize) {
    let pages = megabytes * 16;
    let first = memory_grow::<0>(pages);
    if first == usize::MAX {
        trap();
    }
    // SAFETY: the pages were just granted, and nobody else knows of them.
    unsafe { std::ptr::write_bytes((first * PAGE) as *mut u8, 1, pages * PAGE) };
}

/// Asks for the whole address space in one go.
pub fn grow_to_the_end() -> ! {
    if memory_grow::<0>(65_535 - memory_size::<0>()) == usize::MAX {
        trap();
    }
    loop_forever()
}

/// Asks for the whole address space in one go and lives on without.
pub fn ask_for_everything() -> bool {
    memory_grow::<0>(65_535 - memory_size::<0>()) != usize::MAX
}

/// Fills some memory over and over, by the one instruction for it.
pub fn fill_forever(megabytes: usize) -> ! {
    let pages = megabytes * 16;
    let first = memory_grow::<0>(pages);
    assert_ne!(first, usize::MAX, "so much memory is granted");
    let mut value = 0_u8;
    loop {
        value = value.wrapping_add(1);
        // SAFETY: the pages were just granted, and nobody else knows of them.
        unsafe { std::ptr::write_bytes((first * PAGE) as *mut u8, value, pages * PAGE) };
        black_box(first);
    }
}

/// Copies some memory onto itself over and over.
pub fn copy_forever(megabytes: usize) -> ! {
    let pages = megabytes * 16;
    let first = memory_grow::<0>(pages);
    assert_ne!(first, usize::MAX, "so much memory is granted");
    let start = first * PAGE;
    loop {
        // SAFETY: both parts lie within the pages that were just granted.
        unsafe { std::ptr::copy(start as *const u8, (start + 1) as *mut u8, pages * PAGE - 1) };
        black_box(first);
    }
}
