//! Sandboxed plugins: what is loaded once, what lives per camera, and what a plugin may reach.
//!
//! This module narrows wasmtime to the one shape that comux needs: components of the world
//! `comux:plugin/plugin`, called synchronously on the camera's own thread, with a deadline and a
//! memory limit on every entry. One store per camera and plugin; a trap ends the store.

mod engine;
mod frames;
mod guest;
mod instance;
mod limits;
mod log;

pub use engine::{Engine, LoadError, LoadedPlugin};
pub use instance::{CallFailure, ConfigureError, Instance};
pub use limits::Limits;

/// The bindings that wasmtime generates from `wit/`.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub(crate) mod wit {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "plugin",
        imports: { default: trappable },
        with: { "comux:plugin/frames.frame": super::frames::FrameHandle },
    });
}
