//! The plugin's linear memory, beyond what Rust knows of it.

use std::arch::wasm32::{memory_grow, memory_size};

use crate::Found;

const PAGE: usize = 65_536;

/// Pages that are taken and marked.
const PAGES: usize = 256;

/// What every mark begins with, as it must not stand in the module: each byte is one more.
const MARK_PLUS_ONE: [u8; 16] = *b"nbsl.pg.uif.tqz;";

fn mark_begins() -> [u8; 16] {
    std::hint::black_box(MARK_PLUS_ONE).map(|byte| byte - 1)
}

/// Searches all of the memory for marks of others, and takes more of it, which must hold nothing.
pub fn search() -> Found {
    let first = memory_grow::<0>(PAGES);
    assert_ne!(first, usize::MAX, "so much memory is granted");
    // SAFETY: the pages were just granted, and nobody else knows of them.
    let fresh = unsafe { std::slice::from_raw_parts((first * PAGE) as *const u8, PAGES * PAGE) };
    let fresh = fresh.iter().filter(|byte| **byte != 0).count();
    let begins = mark_begins();
    let end = memory_size::<0>() * PAGE;
    let mut marks = 0;
    // From 16 on: at 0 is no object.
    for at in 16..end - begins.len() {
        // SAFETY: all of linear memory may be read, whatever it holds.
        let is_mark = |(place, byte): (usize, &u8)| unsafe {
            (at as *const u8).add(place).read_volatile() == *byte
        };
        marks += usize::from(begins.iter().enumerate().all(is_mark));
    }
    // The search's own copy is on the stack or in registers.
    Found { fresh, marks: marks.saturating_sub(1) }
}

/// Fills the memory that `search` took with marks.
pub fn mark(secret: &str) {
    let mut mark = mark_begins().to_vec();
    mark.extend_from_slice(secret.as_bytes());
    mark.resize(64, b'.');
    let end = memory_size::<0>() * PAGE;
    let start = end - PAGES * PAGE;
    for at in (start..end).step_by(mark.len()) {
        // SAFETY: `search` took these pages, and nothing else uses them.
        unsafe { std::ptr::copy_nonoverlapping(mark.as_ptr(), at as *mut u8, mark.len()) };
    }
}
