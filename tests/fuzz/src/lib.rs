//! What is fuzzed: one function for each kind of bytes that come from outside.
//!
//! A target takes any bytes, gives them to comux's own code, and panics when a promise does not
//! hold. libFuzzer calls it in `examples/fuzz.rs`; `tests/replay.rs` calls it with the seeds, and
//! with everything that was ever found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a promise that does not hold is told by panicking"
)]

mod component;
mod configuration;
mod control;
mod cursor;
mod headers;
mod packets;
mod parts;

/// A kind of input, and what is done with it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also the name of its seeds and regressions.
    pub name: &'static str,
    /// Panics when something does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 5] = [
    Target { name: "control", run: control::run },
    Target { name: "component", run: component::run },
    Target { name: "configuration", run: configuration::run },
    Target { name: "headers", run: headers::run },
    Target { name: "packets", run: packets::run },
];
