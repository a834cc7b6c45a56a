//! A plugin for tests that attacks its host, on each frame of so many or in one of its other hooks,
//! in the way that its configuration names. What it does is what no author means to do: it stands
//! below the SDK, on the generated bindings, an allocator with a tripwire and `unsafe`.
//!
//! Between attacks it is a plugin like any other, so that a test sees whether the host still is
//! one.
#![cfg_attr(
    target_family = "wasm",
    expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "what goes wrong here is to end in a trap"
    )
)]

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod frames;
#[cfg(target_family = "wasm")]
mod heap;
#[cfg(target_family = "wasm")]
mod hooks;
#[cfg(target_family = "wasm")]
mod ways;
